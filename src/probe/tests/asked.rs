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
fn what_nobody_waits_for_any_more_ends_and_tells_what_it_knows() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    // A trace that knows its target and no router.
    desk.probe.trace(PHONE, 1, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    desk.reply(&first, 62);
    let Some(Report::Trace(report)) = desk.probe.forget(1, desk.now) else { panic!("a trace") };
    assert_eq!((report.reached, report.hops.last().unwrap().address), (true, Some(PHONE)));
    // A test whose pings go on.
    desk.probe.ping("441530", 5, 2, desk.now).unwrap();
    desk.pass(ms(250));
    for ping in desk.take_pings().iter().filter(|ping| ping.ttl.is_none()) {
        desk.reply(ping, 64);
    }
    let Some(Report::Test(report)) = desk.probe.forget(2, desk.now) else { panic!("a test") };
    assert_eq!((report.ping.0, report.ping.1.received, report.ping.1.sent), (Status::Online, 2, 2));
    assert_eq!((report.options.0, report.options.1.sent), (Status::Unknown, 0), "it had not come to that");
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
    let told: SortedSet<u32> = std::iter::from_fn(|| desk.probe.poll_report()).map(|(asker, _)| asker).collect();
    assert_eq!(told, (0..8).collect());
    assert_eq!(desk.probe.trace(PHONE, 9, desk.now), Ok(()));
}

#[test]
fn somebodys_test_of_a_phone_is_told_and_changes_no_table() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.ping("441530", 2, 5, desk.now).unwrap();
    desk.pass(ms(250));
    for ping in desk.take_pings() {
        assert_eq!(ping.ttl, None);
        desk.reply(&ping, 64);
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
