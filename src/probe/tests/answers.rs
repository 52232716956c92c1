//! What counts as an answer to a ping or an OPTIONS, when, from whom, and how often it is asked again.

use super::*;

#[test]
fn an_answer_counts_by_identifier_sequence_and_target_in_time_and_once() {
    let mut desk = Desk::new(pings_only(2), &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    assert_eq!((ping.to, ping.ttl, ping.echo().identifier), (PHONE, None, ID));
    desk.pass(ms(30));
    let echo = ping.echo();
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { identifier: ID + 1, ..echo }, out));
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { sequence: echo.sequence + 1, ..echo }, out));
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { payload: b"abc", ..echo }, out));
    desk.icmp(ROUTER, 60, |out| icmp::emit_reply(&echo, out));
    assert_eq!((desk.count("foreign_answers"), desk.count("pings_answered")), (4, 0));
    // To the ping that had this sequence 65 536 probes ago.
    let mut earlier = echo.payload.to_vec();
    earlier[9] ^= 1;
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { payload: &earlier, ..echo }, out));
    assert_eq!((desk.count("late_answers"), desk.count("pings_answered")), (1, 0));
    desk.reply(&ping, 60);
    assert_eq!(desk.count("pings_answered"), 1);
    desk.reply(&ping, 60);
    assert_eq!((desk.count("pings_answered"), desk.count("late_answers")), (1, 2));
    // The second comes too late.
    desk.pass(ms(300));
    let second = desk.take_pings().remove(0);
    desk.pass(ms(2_500));
    desk.reply(&second, 60);
    assert_eq!((desk.count("late_answers"), desk.count("lost")), (3, 1));
    let (status, stats) = desk.probe.find("441530").unwrap().ping();
    assert_eq!((status, stats.sent, stats.received), (Status::Online, 2, 1));
    assert_eq!(stats.rtt.unwrap().avg_us, 50_000, "20 ms since the beginning, and 30");
}

#[test]
fn the_kernels_time_counts_and_not_ours() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    let sent = Instant::from_micros(desk.now.as_micros() - 20_000);
    let mut bytes = [0; 64];
    let length = icmp::emit_reply(&ping.echo(), &mut bytes).unwrap();
    desk.pass(ms(900));
    let message = IcmpIn { from: PHONE, ttl: None, bytes: &bytes[..length], at: sent + Duration::from_micros(1_234) };
    desk.probe.handle_icmp(&message, desk.now);
    assert_eq!(desk.probe.find("441530").unwrap().ping().1.rtt.unwrap().avg_us, 1_234);
}

#[test]
fn what_came_after_its_time_is_late_also_if_nobody_has_looked_at_the_time_yet() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.now = desk.now + ms(2_000);
    desk.reply(&ping, 64);
    desk.expire(&ping, ROUTER);
    assert_eq!((desk.count("late_answers"), desk.count("pings_answered"), desk.count("unreachable")), (2, 0, 0));
    desk.pass(ms(1));
    assert_eq!(desk.status("441530").0, Status::Offline);
}

#[test]
fn a_phone_to_which_no_way_leads_is_not_waited_for() {
    for mode in [IcmpMode::Raw, IcmpMode::Datagram] {
        let mut desk = Desk::new(pings_only(1), &["441530"]);
        desk.probe.handle_icmp_mode(mode, ID, desk.now);
        desk.begin();
        let ping = desk.take_pings().remove(0);
        let Echo { identifier, sequence, .. } = ping.echo();
        let ours = Quote { source: US, destination: PHONE, identifier, sequence };
        // Of another program's ping, of another phone's, and of a packet that came in pieces.
        let others = [Quote { identifier: ID + 1, ..ours }, Quote { destination: ROUTER, ..ours }];
        for quote in others.into_iter().chain([ours]) {
            let mut quoted = [0; 64];
            let (identifier, sequence) = (quote.identifier, quote.sequence);
            let length = icmp::emit_request(&Echo { identifier, sequence, payload: b"" }, &mut quoted).unwrap();
            assert_eq!((desk.count("unreachable"), desk.status("441530").0), (0, Status::Unknown));
            match mode {
                IcmpMode::Raw => desk.icmp(ROUTER, 60, |out| icmp::emit_unreachable(1, &quote, out)),
                _ => {
                    for kind in [(11, 1), (3, 1)] {
                        let (destination, quoted) = (quote.destination, &quoted[..length]);
                        let error = IcmpError { from: ROUTER, destination, kind, quoted, at: desk.now };
                        desk.probe.handle_icmp_error(&error, desk.now);
                    }
                }
            }
        }
        assert_eq!((desk.count("foreign_answers"), desk.count("unreachable")), (2, 1), "{mode:?}");
        assert_eq!(desk.status("441530").0, Status::Offline, "at once");
    }
}

#[test]
fn the_kernels_time_counts_for_options_too() {
    // Read 100 ms after it was sent, 18 of which it was under way; or too late by the kernel's time.
    for (under_way, counts) in [(ms(18), (1, 0)), (ms(10_000), (0, 1))] {
        let mut desk = Desk::new(options_only(1), &["441530"]);
        desk.begin();
        let (from, request) = desk.take_messages().remove(0);
        let at = Instant::from_micros(desk.now.as_micros() - 20_000) + under_way;
        desk.pass(ms(80));
        desk.probe.handle_datagram(&SipIn { from, ttl: None, bytes: &answer_to(&request, 200), at }, desk.now);
        assert_eq!((desk.count("options_answered"), desk.count("late_answers")), counts);
        let rtt = desk.probe.find("441530").unwrap().options().1.rtt;
        assert_eq!(rtt.map(|rtt| rtt.avg_us), (counts.0 == 1).then_some(18_000));
    }
}

#[test]
fn a_busy_node_does_not_make_phones_slow() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.drain();
    desk.now = desk.probe.progress(desk.now).next.unwrap();
    for _ in 0..2 {
        desk.probe.handle_timeout(desk.now);
        while let Some((token, _)) = desk.probe.poll_question() {
            let whereabouts = Whereabouts { address: sip_at(PHONE), node: None };
            desk.probe.handle_address(token, Some(whereabouts), desk.now);
        }
    }
    // Calls keep the node busy for 40 ms before it gets round to sending.
    desk.now = desk.now + ms(40);
    desk.drain();
    let ping = desk.take_pings().remove(0);
    desk.now = desk.now + ms(3);
    desk.reply(&ping, 64);
    assert_eq!(desk.probe.find("441530").unwrap().ping().1.rtt.unwrap().avg_us, 3_000);
}

#[test]
fn any_final_answer_is_a_sign_of_life() {
    for status in [200, 302, 404, 405, 486, 501, 603] {
        let mut desk = Desk::new(options_only(1), &["441530"]);
        desk.begin();
        let request = desk.take_messages().remove(0);
        desk.answer(&request, status);
        assert_eq!(desk.status("441530"), (Status::Disabled, Status::Online, Status::Online), "{status}");
    }
}

#[test]
fn every_options_is_a_transaction_of_its_own() {
    let mut desk = Desk::new(options_only(3), &["441530"]);
    desk.begin();
    desk.pass(ms(450));
    let requests = desk.take_messages();
    assert_eq!(requests.len(), 3);
    let vias: SortedSet<String> = requests.iter().map(|(_, bytes)| header(bytes, Name::Via)).collect();
    let numbers: Vec<String> = requests.iter().map(|(_, bytes)| header(bytes, Name::CSeq)).collect();
    assert_eq!((vias.len(), numbers), (3, vec!["1 OPTIONS".into(), "2 OPTIONS".into(), "3 OPTIONS".into()]));
    assert_eq!(header(&requests[0].1, Name::CallId), header(&requests[2].1, Name::CallId));
    assert!(header(&requests[0].1, Name::From).contains("sip:999900@10.0.0.1:5070"));
}

#[test]
fn an_options_is_repeated_and_then_not_averaged() {
    let mut desk = Desk::new(options_only(2), &["441530"]);
    desk.begin();
    let first = desk.take_messages().remove(0);
    desk.pass(ms(250));
    let second = desk.take_messages().remove(0);
    desk.answer(&second, 200);
    desk.pass(ms(300));
    let again = desk.take_messages();
    assert_eq!(again, std::slice::from_ref(&first), "byte for byte, after half a second");
    desk.answer(&again[0], 200);
    let stats = desk.probe.find("441530").unwrap().options().1;
    assert_eq!((stats.sent, stats.received, desk.count("options_repeated")), (2, 2, 1));
    assert_eq!(stats.rtt.unwrap().avg_us, 70_000, "that of the second alone: sent at 200 ms, answered at 270");
    // The answer to the first sending comes as well.
    desk.answer(&first, 200);
    assert_eq!(desk.count("late_answers"), 1);
}

#[test]
fn repeats_come_after_half_a_second_and_then_a_second() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let mut sent = Vec::new();
    for _ in 0..300 {
        desk.pass(ms(10));
        sent.push(desk.take_messages().len());
    }
    let at: Vec<usize> =
        sent.iter().enumerate().filter(|(_, count)| **count > 0).map(|(place, _)| place / 10).collect();
    assert_eq!((at, sent.iter().sum::<usize>()), (vec![0, 4, 14], 3));
    assert_eq!(desk.status("441530").1, Status::Offline);
}

#[test]
fn repeats_are_four_seconds_apart_at_most() {
    let mut desk = Desk::new(config::Probe { timeout: Duration::from_secs(16), ..options_only(1) }, &["441530"]);
    desk.begin();
    desk.pass(ms(3_500));
    assert_eq!(desk.take_messages().len(), 4, "at 0, 0.5, 1.5 and 3.5 s");
    for _ in 0..3 {
        desk.pass(ms(4_000));
        assert_eq!(desk.take_messages().len(), 1);
    }
}

/// RFC 3261 takes 500 ms for a round trip; a way over many radios may be longer.
#[test]
fn a_slow_phone_is_asked_again_when_its_answer_could_be_there() {
    let slow = config::Probe { ping_count: 1, options_count: 1, traceroute: false, ..config::Probe::default() };
    for (timeout, again) in [(ms(4_000), true), (ms(1_500), false)] {
        let mut desk = Desk::new(config::Probe { timeout, ..slow.clone() }, &["441530"]);
        desk.begin();
        let ping = desk.take_pings().remove(0);
        desk.pass(ms(880));
        desk.reply(&ping, 64);
        desk.pass(ms(1_480));
        assert_eq!(desk.take_messages().len(), 1, "the first one alone");
        desk.pass(ms(100));
        assert_eq!(desk.status("441530").1 == Status::Offline, !again, "it is over when its time is");
        desk.pass(ms(300));
        assert_eq!(desk.take_messages().len(), usize::from(again));
    }
}

#[test]
fn a_provisional_answer_ends_the_repeats_and_proves_nothing() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let request = desk.take_messages().remove(0);
    desk.answer(&request, 100);
    desk.pass(ms(3_000));
    assert_eq!((desk.messages.len(), desk.status("441530").1), (0, Status::Offline));
}

#[test]
fn a_provisional_answer_comes_before_the_turn_of_a_repeat_that_is_due() {
    let mut desk = Desk::new(config::Probe { rate: 1, ..options_only(1) }, &["441530"]);
    desk.begin();
    let request = desk.take_messages().remove(0);
    desk.pass(ms(600));
    assert_eq!(desk.messages.len(), 0, "one packet a second");
    desk.answer(&request, 100);
    desk.pass(ms(3_000));
    assert_eq!(desk.messages.len(), 0);
}

#[test]
fn an_answer_from_elsewhere_or_to_something_else_is_foreign() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let (to, bytes) = desk.take_messages().remove(0);
    desk.answer_from(sip_at(ROUTER), &bytes, 200);
    let text = String::from_utf8(bytes.clone()).unwrap();
    desk.answer_from(to, text.replace("CSeq: 1", "CSeq: 2").as_bytes(), 200);
    desk.answer_from(to, text.replace("OPTIONS", "INVITE").as_bytes(), 200);
    desk.sip_came(to, None, b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n\r\n");
    let call = header(&bytes, Name::CallId)[..16].to_owned();
    desk.answer_from(to, text.replace(&call, "0123456789abcdef").as_bytes(), 200);
    assert_eq!((desk.count("foreign_answers"), desk.count("options_answered")), (5, 0));
    // To what had this sequence 65 536 probes ago.
    desk.answer_from(to, text.replace("z9hG4bK0000", "z9hG4bK0001").as_bytes(), 200);
    assert_eq!((desk.count("late_answers"), desk.count("options_answered")), (1, 0));
    // From another port of the same phone it is right.
    desk.answer_from(SocketAddrV4::new(*to.ip(), 1_024), &bytes, 200);
    assert_eq!(desk.count("options_answered"), 1);
}

#[test]
fn a_closed_port_is_not_waited_for() {
    let mut desk = Desk::new(config::Probe { options_count: 1, ..ringing() }, &["441530"]);
    desk.begin();
    desk.probe.handle_unreachable(SocketAddrV4::new(PHONE, 5_062), desk.now);
    desk.pass(ms(20));
    assert_eq!(desk.status("441530").1, Status::Unknown, "that was another port");
    desk.probe.handle_unreachable(sip_at(PHONE), desk.now);
    desk.pass(ms(20));
    assert_eq!(desk.status("441530").1, Status::Offline);
    assert_eq!(desk.methods(), ["OPTIONS", "INVITE"]);
    desk.probe.handle_unreachable(sip_at(ROUTER), desk.now);
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Unknown);
    desk.probe.handle_unreachable(sip_at(PHONE), desk.now);
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Offline);
}
