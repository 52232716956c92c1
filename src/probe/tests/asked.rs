//! What people ask for: a trace, a test of one phone; who has to wait, and who hung up.

use super::*;

#[test]
fn an_unprivileged_socket_tells_hops_beside() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.probe.handle_icmp_mode(IcmpMode::Datagram, 99, desk.now);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    assert_eq!((first.ttl, first.echo().identifier), (None, 99));
    desk.reply(&first, 63);
    desk.pass(ms(10));
    let asks = desk.take_pings();
    assert_eq!(asks.iter().map(|ask| ask.ttl.unwrap()).collect::<Vec<_>>(), [1, 2]);
    let said = |desk: &mut Desk, destination, quoted: &[u8], kind| {
        let error = IcmpError { from: ROUTER, destination, kind, quoted, at: desk.now };
        desk.probe.handle_icmp_error(&error, desk.now);
    };
    said(&mut desk, ROUTER, &asks[0].bytes, (11, 0));
    said(&mut desk, PHONE, &asks[0].bytes[..7], (11, 0));
    assert_eq!((desk.count("foreign_answers"), desk.count("malformed")), (1, 1));
    said(&mut desk, PHONE, &asks[0].bytes, (11, 0));
    desk.reply(&asks[1], 63);
    let (asker, report) = desk.probe.poll_report().unwrap();
    let Report::Trace(report) = report else { panic!("{report:?}") };
    let addresses: Vec<_> = report.hops.iter().filter_map(|hop| hop.address).collect();
    assert_eq!((asker, addresses, report.reached), (7, vec![ROUTER, PHONE], true));
}

#[test]
fn a_trace_of_nobody_is_told_in_time() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(5_000));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert_eq!(report, Report::Trace(TraceReport { target: PHONE, hops: vec![], reached: false }));
    desk.pass(Duration::from_secs(10));
    assert_eq!((desk.probe.next_deadline(), desk.pings.len()), (None, 1 + 20 + 20));
}

#[test]
fn a_trace_on_which_a_packet_runs_in_a_circle_asks_at_every_distance() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    desk.expire(&first, ROUTER);
    desk.pass(ms(200));
    assert_eq!(desk.pings.len(), 20);
    for ping in desk.take_pings() {
        desk.expire(&ping, Ipv4Addr::new(10, 5, 0, ping.ttl.unwrap() % 2));
    }
    let (_, report) = desk.probe.poll_report().unwrap();
    let Report::Trace(report) = report else { panic!("{report:?}") };
    assert_eq!((report.hops.len(), report.reached), (20, false));
}

#[test]
fn a_trace_is_told_in_time_though_the_rate_is_low() {
    let mut desk = Desk::new(config::Probe { rate: 1, ..config::Probe::default() }, &[]);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(4_999));
    assert_eq!(desk.probe.poll_report(), None);
    desk.pass(ms(1));
    assert!(matches!(desk.probe.poll_report(), Some((7, Report::Trace(_)))));
}

#[test]
fn so_many_pings_as_are_allowed_are_sent_for_somebody() {
    for (wanted, sent) in [(0, 1), (255, 20)] {
        let mut desk = Desk::new(config::Probe::default(), &[]);
        desk.probe.ping("441530", wanted, 7, desk.now).unwrap();
        desk.pass(Duration::from_secs(30));
        let Some((7, Report::Test(report))) = desk.probe.poll_report() else { panic!("a test") };
        assert_eq!((report.ping.1.sent, report.options.1.sent), (sent, sent));
    }
}

#[test]
fn what_people_wait_for_goes_on_when_tests_are_switched_off() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.ring("441530", 1, desk.now).unwrap();
    desk.probe.ping("441531", 2, 2, desk.now).unwrap();
    desk.pass(ms(10));
    desk.probe.ping("441532", 2, 3, desk.now).unwrap();
    let invite = desk.take_messages().remove(0);
    desk.answer(&invite, 100);
    desk.probe.handle_config(&config::Probe { enabled: false, ..config::Probe::default() }, desk.now);
    desk.pass(ms(500));
    let methods = desk.methods();
    assert!(!methods.contains(&"CANCEL".to_owned()), "{methods:?}");
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), ["CANCEL"]);
    desk.pass(Duration::from_secs(20));
    let told: SortedSet<u32> = std::iter::from_fn(|| desk.probe.poll_report()).map(|(asker, _)| asker).collect();
    assert_eq!(told, (1..4).collect());
}

#[test]
fn what_nobody_waits_for_any_more_ends_and_tells_what_it_knows() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    // A trace that knows its target and no router.
    desk.probe.trace(PHONE, 1, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    desk.reply(&first, 62);
    let Some(Report::Trace(report)) = desk.probe.forget(1, desk.now) else { panic!("a trace") };
    assert_eq!((report.reached, report.hops.last().unwrap().address), (true, Some(PHONE)));
    let in_flight = |desk: &Desk| desk.probe.load(desk.now).in_flight;
    assert_eq!(in_flight(&desk), 0);
    // A test whose pings go on.
    desk.probe.ping("441530", 5, 2, desk.now).unwrap();
    desk.pass(ms(250));
    for ping in desk.take_pings().iter().filter(|ping| ping.ttl.is_none()) {
        desk.reply(ping, 64);
    }
    let Some(Report::Test(report)) = desk.probe.forget(2, desk.now) else { panic!("a test") };
    assert_eq!((report.ping.0, report.ping.1.received, report.ping.1.sent), (Status::Online, 2, 2));
    assert_eq!((report.options.0, report.options.1.sent), (Status::Unknown, 0), "it had not come to that");
    assert_eq!(in_flight(&desk), 0);
    // One whose address nobody has said yet, asked for or not.
    desk.probe.ping("441531", 5, 3, desk.now).unwrap();
    assert_eq!(desk.probe.forget(3, desk.now), None);
    desk.probe.ping("441531", 5, 4, desk.now).unwrap();
    let (token, _) = desk.probe.poll_question().unwrap();
    assert_eq!((desk.probe.forget(4, desk.now), desk.probe.poll_question()), (None, None));
    desk.probe.handle_address(token, None, desk.now);
    assert_eq!((desk.count("foreign_answers"), desk.probe.poll_report()), (1, None));
    assert_eq!(desk.probe.forget(9, desk.now), None, "nobody");
    // Nothing is left that would send.
    desk.take_pings();
    desk.pass(Duration::from_secs(60));
    assert_eq!((desk.pings.len(), desk.messages.len(), desk.probe.next_deadline()), (0, 0, None));
}

#[test]
fn only_so_many_people_may_wait() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    for asker in 0..8 {
        let asked = match asker % 2 {
            0 => desk.probe.trace(PHONE, asker, desk.now),
            _ => desk.probe.ping("441530", 3, asker, desk.now),
        };
        assert_eq!(asked, Ok(()));
    }
    assert_eq!(desk.probe.trace(PHONE, 9, desk.now), Err(Refusal::Busy));
    assert_eq!(desk.probe.ring("441530", 9, desk.now), Err(Refusal::Busy));
    desk.pass(Duration::from_secs(20));
    assert_eq!(desk.probe.trace(PHONE, 9, desk.now), Err(Refusal::Busy), "what is said has not been heard");
    let told: SortedSet<u32> = std::iter::from_fn(|| desk.probe.poll_report()).map(|(asker, _)| asker).collect();
    assert_eq!(told, (0..8).collect());
    // A phone that rings is one of them.
    desk.probe.ring("441530", 9, desk.now).unwrap();
    desk.pass(ms(10));
    for asker in 10..17 {
        assert_eq!(desk.probe.trace(PHONE, asker, desk.now), Ok(()));
    }
    assert_eq!(desk.probe.trace(PHONE, 17, desk.now), Err(Refusal::Busy));
}

#[test]
fn somebodys_test_of_a_phone_is_told_and_changes_no_table() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.ping("441530", 2, 5, desk.now).unwrap();
    for _ in 0..2 {
        desk.pass(ms(190));
        let ping = desk.take_pings().remove(0);
        assert_eq!(ping.ttl, None, "nobody asks for its way");
        desk.reply(&ping, 62);
    }
    desk.pass(ms(250));
    for request in desk.take_messages() {
        desk.answer(&request, 200);
    }
    let (asker, report) = desk.probe.poll_report().unwrap();
    let Report::Test(report) = report else { panic!("{report:?}") };
    assert_eq!(
        (asker, report.address, report.ping.0, report.options.0),
        (5, Some(sip_at(PHONE)), Status::Online, Status::Online)
    );
    assert_eq!((report.ping.1.received, report.options.1.received, desk.probe.phones().count()), (2, 2, 0));
    desk.found = None;
    desk.probe.ping("441530", 2, 6, desk.now).unwrap();
    desk.pass(ms(10));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert!(matches!(report, Report::Test(TestReport { address: None, ping: (Status::NoDns, _), .. })));
}
