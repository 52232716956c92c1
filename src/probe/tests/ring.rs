//! Phones that are rung: whether, how long, and that each is let go.

use super::*;

#[test]
fn a_phone_that_is_called_while_its_address_is_looked_up_is_not_rung() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert!(!desk.probe.minds_calls());
    desk.probe.ring("441530", 4, desk.now).unwrap();
    assert!(desk.probe.minds_calls());
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.pass(ms(10));
    let Some((4, Report::Ring(report))) = desk.probe.poll_report() else { panic!("a report") };
    assert_eq!((report.outcome, desk.take_messages().len()), (RingOutcome::BrokenOff, 0));
}

#[test]
fn nobody_is_rung_unless_it_is_wanted_and_nothing_else_answered() {
    let mut desk = Desk::new(config::Probe { call_test: false, ..ringing() }, &["441530"]);
    desk.begin();
    desk.pass(Duration::from_secs(60));
    assert!(desk.methods().iter().all(|method| method == "OPTIONS"));
    let mut desk = Desk::new(ringing(), &["441530"]);
    desk.begin();
    let request = desk.take_messages().remove(0);
    desk.answer(&request, 486);
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.methods(), [] as [String; 0]);
}

#[test]
fn a_phone_that_rings_is_cancelled_at_once() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    assert!(String::from_utf8_lossy(&invite.1).contains("m=audio"));
    desk.answer(&invite, 100);
    desk.pass(ms(2_000));
    assert_eq!(desk.methods(), [] as [String; 0], "100 ends the repeats, and is not yet ringing");
    desk.answer(&invite, 180);
    let cancel = desk.take_messages().remove(0);
    assert_eq!((method(&cancel.1), header(&cancel.1, Name::CSeq)), ("CANCEL".into(), "1 CANCEL".into()));
    assert_eq!(header(&cancel.1, Name::Via), header(&invite.1, Name::Via));
    desk.probe.handle_unreachable(sip_at(PHONE), desk.now);
    desk.pass(ms(600));
    assert_eq!(desk.methods(), ["CANCEL"], "again, whatever a router on the way says");
    desk.answer(&cancel, 200);
    desk.pass(ms(5_000));
    assert_eq!(desk.methods(), [] as [String; 0], "it has heard of it");
    desk.answer(&invite, 487);
    let ack = desk.take_messages().remove(0);
    assert_eq!((method(&ack.1), header(&ack.1, Name::To)), ("ACK".into(), "<sip:441530@10.1.2.3>;tag=phone".into()));
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Online);
    assert_eq!(desk.status("441530"), (Status::Disabled, Status::Offline, Status::Online));
    // The 487 comes again: it is acknowledged again, and nothing else happens.
    desk.answer(&invite, 487);
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(33_000));
    assert_eq!((desk.methods().len(), desk.probe.rings.len()), (0, 0));
}

#[test]
fn a_phone_that_says_100_alone_has_eight_seconds_more_and_is_cancelled() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.pass(ms(6_000));
    desk.take_messages();
    desk.answer_from(sip_at(ROUTER), &invite.1, 180);
    assert_eq!(desk.methods(), [] as [String; 0], "that was somebody else");
    desk.answer(&invite, 100);
    desk.pass(ms(7_900));
    assert_eq!(desk.methods(), [] as [String; 0]);
    desk.pass(ms(200));
    assert_eq!(desk.methods(), ["CANCEL"], "it may begin to ring at any moment");
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Online, "it is alive");
}

#[test]
fn a_phone_that_is_answered_is_hung_up_on() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 200);
    let sent = desk.take_messages();
    let [ack, bye] = sent.as_slice() else { panic!("{sent:?}") };
    assert!(ack.1.starts_with(b"ACK sip:line1@10.1.2.3:5062 SIP/2.0\r\n"));
    assert!(bye.1.starts_with(b"BYE sip:line1@10.1.2.3:5062 SIP/2.0\r\n"));
    assert_eq!((header(&ack.1, Name::CSeq), header(&bye.1, Name::CSeq)), ("1 ACK".into(), "2 BYE".into()));
    assert_eq!(header(&bye.1, Name::To), "<sip:441530@10.1.2.3>;tag=phone");
    assert_ne!(header(&ack.1, Name::Via), header(&invite.1, Name::Via), "the ACK of a 2xx is a transaction of its own");
    // The 200 was repeated before it heard the ACK; the BYE is repeated until it is answered.
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK"]);
    // A second phone behind the first one declines.
    desk.answer(&invite, 603);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(500));
    assert_eq!(desk.methods(), ["BYE"]);
    desk.answer(bye, 200);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(33_000));
    assert_eq!((desk.methods().len(), desk.probe.rings.len()), (0, 0));
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up_on() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 183);
    assert_eq!(desk.methods(), ["CANCEL"]);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK", "BYE"]);
}

#[test]
fn nothing_is_cancelled_that_was_not_heard_of_and_silence_is_offline() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.pass(ms(9_000));
    assert_eq!(desk.methods(), ["INVITE", "INVITE", "INVITE", "INVITE"], "at 0.5, 1.5, 3.5 and 7.5 s");
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Offline);
    // It wakes up after all.
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), ["CANCEL"]);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK", "BYE"]);
}

#[test]
fn a_cancel_is_given_up_64_t1_later() {
    let mut desk = Desk::new(ringing(), &["441530", "441531"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 180);
    desk.take_messages();
    desk.pass(ms(31_900));
    let sent = desk.methods();
    assert!(sent.iter().all(|method| method == "CANCEL") && sent.len() == 10, "nobody else is rung: {sent:?}");
    desk.pass(ms(200));
    assert_eq!(desk.methods(), ["INVITE"], "now the other one");
}

#[test]
fn no_two_phones_ring_and_none_twice_within_the_pause() {
    let mut desk = Desk::new(ringing(), &["441530", "441531", "441532"]);
    desk.begin();
    let (mut invites, mut open) = (Vec::new(), 0);
    for _ in 0..8_000 {
        desk.pass(ms(100));
        for message in desk.take_messages() {
            if method(&message.1) != "INVITE" {
                continue;
            }
            open += 1;
            assert_eq!(open, 1, "the one before is over");
            invites.push(message.0);
            desk.answer(&message, 180);
            desk.pass(ms(700));
            desk.answer(&message, 487);
            open -= 1;
        }
    }
    invites.sort();
    assert_eq!(invites, [0, 1, 2].map(|last| sip_at(Ipv4Addr::new(10, 1, 2, 3 + last))), "once each in 13 minutes");
    desk.pass(Duration::from_secs(3_600));
    assert!(desk.methods().contains(&"INVITE".to_owned()), "after the pause again");
}

#[test]
fn a_phone_in_a_call_is_left_alone() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.begin();
    desk.pass(Duration::from_secs(60));
    assert!(!desk.methods().contains(&"INVITE".to_owned()));
    assert_eq!(desk.probe.ring("441530", 1, desk.now), Err(Refusal::InCall));
    // One that gets a call while it is rung is let go.
    desk.probe.handle_calls(&names(&[]), desk.now);
    let invite = rung(&mut desk);
    desk.answer(&invite, 100);
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.drain();
    assert_eq!(desk.methods(), ["CANCEL"]);
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Unknown);
}

#[test]
fn somebody_may_ring_a_phone_once() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert_eq!(desk.probe.ring("441530", 4, desk.now), Ok(()));
    assert_eq!(desk.probe.ring("441531", 5, desk.now), Err(Refusal::Busy), "one at a time");
    desk.pass(ms(10));
    let invite = desk.take_messages().remove(0);
    assert_eq!(desk.probe.ring("441531", 5, desk.now), Err(Refusal::Busy));
    assert!(desk.probe.minds_calls(), "somebody may call it now");
    desk.answer(&invite, 486);
    let (asker, report) = desk.probe.poll_report().unwrap();
    let expected = RingReport { number: "441530".into(), outcome: RingOutcome::Refused(486) };
    assert_eq!((asker, report), (4, Report::Ring(expected)));
    assert_eq!(desk.methods(), ["ACK"]);
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), [] as [String; 0], "that was overtaken by the refusal");
    let refused = desk.probe.ring("441530", 4, desk.now);
    assert!(matches!(refused, Err(Refusal::TooSoon(left)) if left > Duration::from_secs(3_500)), "{refused:?}");
    desk.found = None;
    assert_eq!(desk.probe.ring("441531", 6, desk.now), Ok(()));
    desk.pass(ms(10));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert!(matches!(report, Report::Ring(RingReport { outcome: RingOutcome::Unreachable, .. })));
}

#[test]
fn what_a_ring_says_of_a_phone_stands_in_the_table_if_the_cycle_rang_it() {
    for (asked, expected) in [(false, Status::Online), (true, Status::Unknown)] {
        let mut desk = Desk::new(config::Probe { call_test: !asked, ..ringing() }, &["441530"]);
        let invite = match asked {
            false => rung(&mut desk),
            true => {
                desk.probe.ring("441530", 4, desk.now).unwrap();
                desk.pass(ms(10));
                desk.take_messages().remove(0)
            }
        };
        desk.answer(&invite, 486);
        assert_eq!(desk.probe.find("441530").unwrap().call(), expected);
    }
}

#[test]
fn who_is_in_the_next_cycle_already_is_not_rung_for_the_one_before() {
    let config = config::Probe { interval: Duration::from_secs(20), ..ringing() };
    let mut desk = Desk::new(config, &["441530", "441531"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 180);
    desk.take_messages();
    // The first one holds the line until it is given up; meanwhile both answer.
    desk.begin();
    for request in desk.take_messages().iter().filter(|message| method(&message.1) == "OPTIONS") {
        desk.answer(request, 200);
    }
    assert_eq!(desk.status("441531").1, Status::Online);
    desk.take_messages();
    desk.pass(ms(18_000));
    assert!(!desk.methods().contains(&"INVITE".to_owned()));
}

#[test]
fn phones_that_refuse_at_once_are_rung_at_the_rate_and_few_are_remembered() {
    let numbers: Vec<String> = (0..12).map(|number| format!("44153{number:02}0")).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let mut desk = Desk::new(config::Probe { rate: 1, traceroute: false, ..ringing() }, &numbers);
    desk.begin();
    let (mut rung, mut last) = (0, None);
    for _ in 0..7_000 {
        desk.pass(ms(10));
        for message in desk.take_messages().iter().filter(|message| method(&message.1) == "INVITE") {
            let gap = last.replace(desk.now).map(|last: Instant| desk.now.since(last));
            // A second, less what a late shell may make up for.
            assert!(gap.is_none_or(|gap| gap >= ms(930)), "{rung}: {gap:?}");
            // The first one holds the line until all of them are known to answer nothing.
            desk.answer(message, if rung == 0 { 180 } else { 486 });
            rung += 1;
        }
        assert!(desk.probe.tables().iter().all(|table| table.used <= table.limit));
    }
    assert_eq!(rung, 12);
}

#[test]
fn a_flood_of_requests_to_the_test_port_fills_no_memory() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let (_, request) = desk.take_messages().remove(0);
    for _ in 0..2 * limits::PROBE_OUTBOX {
        desk.sip_came(sip_at(PHONE), None, &request);
    }
    desk.drain();
    let dropped = u64::try_from(limits::PROBE_OUTBOX).unwrap();
    assert_eq!((desk.messages.len(), desk.count("dropped")), (limits::PROBE_OUTBOX, dropped));
}

#[test]
fn what_was_saved_of_rings_is_believed_within_reason() {
    let restored = |file: &str, number: &str| {
        let mut desk = Desk::new(config::Probe::default(), &[]);
        desk.probe.restore(file.as_bytes(), "b", desk.now);
        (desk.probe.ring(number, 4, desk.now), desk.probe.rung.len())
    };
    let future = r#"{"boot_id":"b","rung":{"441530":18446744073709551615}}"#;
    assert_eq!(restored(future, "441530").0, Err(Refusal::TooSoon(Duration::from_secs(3_600))));
    let long = "7".repeat(limits::SIP_USER + 1);
    assert_eq!(restored(&format!(r#"{{"boot_id":"b","rung":{{"{long}":1}}}}"#), "441530"), (Ok(()), 0));
    let many: Vec<String> = (0..limits::PROBE_RUNG + 9).map(|number| format!("\"{number}\":1")).collect();
    let full = format!(r#"{{"boot_id":"b","rung":{{{}}}}}"#, many.join(","));
    assert_eq!(restored(&full, "441530"), (Err(Refusal::Busy), limits::PROBE_RUNG), "until some are forgotten");
}

#[test]
fn requests_to_the_test_port_are_answered_and_start_nothing() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    let call = header(&invite.1, Name::CallId);
    let request = |method: &str, call: &str| {
        format!(
            "{method} sip:999900@10.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.2.3;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for (method, call, expected) in [
        ("OPTIONS", "x", "200"),
        ("BYE", call.as_str(), "200"),
        ("BYE", "x", "481"),
        ("CANCEL", "x", "481"),
        ("INVITE", "x", "480"),
        ("REGISTER", "x", "405"),
        ("ACK", "x", ""),
    ] {
        desk.sip_came(sip_at(PHONE), None, request(method, call).as_bytes());
        desk.drain();
        let answers = desk.take_messages();
        let status = answers.first().map_or(String::new(), |(_, bytes)| String::from_utf8_lossy(&bytes[8..11]).into());
        assert_eq!((status.as_str(), answers.len()), (expected, usize::from(!expected.is_empty())), "{method}");
    }
}
