//! What the desk does by itself: cycles over all phones, with and without ICMP, switched off and on.

use super::*;

#[test]
fn nobody_to_test_is_nothing_to_do() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert_eq!(desk.probe.next_deadline(), None);
    desk.probe.handle_targets(&names(&["441530"]), desk.now);
    assert!(desk.probe.next_deadline().is_some());
    desk.probe.handle_targets(&names(&[]), desk.now);
    assert_eq!(desk.probe.next_deadline(), None);
    desk.pass(Duration::from_secs(10_000));
    assert!(desk.pings.is_empty() && desk.messages.is_empty());
}

#[test]
fn a_phone_takes_less_than_400_bytes() {
    assert!(size_of::<Phone>() + "4415301234".len() < 400, "{}", size_of::<Phone>());
}

#[test]
fn without_icmp_the_ping_is_disabled_and_options_go_on() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.probe.handle_icmp_mode(IcmpMode::None, 0, desk.now);
    assert_eq!(desk.probe.trace(PHONE, 1, desk.now), Err(Refusal::NoIcmp));
    desk.begin();
    assert!(desk.pings.is_empty());
    for _ in 0..5 {
        let request = desk.take_messages().remove(0);
        desk.answer(&request, 200);
        desk.pass(ms(200));
    }
    assert_eq!(desk.status("441530"), (Status::Disabled, Status::Online, Status::Online));
}

#[test]
fn targets_change_between_cycles_and_keep_what_is_known() {
    let mut desk = Desk::new(pings_only(1), &["441530", "441531"]);
    desk.begin();
    for ping in desk.take_pings() {
        desk.reply(&ping, 64);
    }
    desk.probe.handle_targets(&names(&["441529", "441531", "441532"]), desk.now);
    desk.pass(ms(3_000));
    let numbers: Vec<_> = desk.probe.phones().map(Phone::number).collect();
    assert_eq!(numbers, ["441529", "441531", "441532"]);
    assert_eq!((desk.status("441531").0, desk.status("441529").0), (Status::Online, Status::Unknown));
    assert_eq!(desk.probe.find("441531").unwrap().samples().count(), 1);
}

#[test]
fn a_phone_without_an_address_is_no_dns() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.found = None;
    desk.begin();
    assert_eq!(desk.status("441530"), (Status::NoDns, Status::NoDns, Status::NoDns));
    assert_eq!((desk.count("cycles"), desk.pings.len()), (1, 0));
}

#[test]
fn switched_off_it_stops_and_switched_on_it_begins_again() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 100);
    desk.probe.handle_config(&config::Probe { enabled: false, ..ringing() }, desk.now);
    desk.drain();
    assert_eq!(desk.methods(), ["CANCEL"], "nobody goes on ringing");
    desk.answer(&invite, 487);
    desk.pass(Duration::from_secs(100));
    assert_eq!((desk.probe.next_deadline(), desk.methods()), (None, vec!["ACK".to_owned()]));
    assert_eq!(desk.probe.ping("441530", 1, 1, desk.now), Err(Refusal::Off));
    desk.probe.handle_config(&pings_only(1), desk.now);
    desk.begin();
    assert_eq!(desk.pings.len(), 1);
}

#[test]
fn switched_off_in_the_middle_nothing_is_left_behind() {
    let mut desk = Desk::new(config::Probe::default(), &["441530", "441531", "441532"]);
    desk.begin();
    desk.pass(ms(300));
    desk.probe.handle_config(&config::Probe { enabled: false, ..config::Probe::default() }, desk.now);
    desk.pass(ms(10));
    let used = |name| desk.probe.tables().iter().find(|table| table.name == name).unwrap().used;
    assert_eq!((used("probe_in_flight"), used("probe_tests"), used("probe_way_questions")), (0, 0, 0));
    assert_eq!(desk.probe.next_deadline(), None);
}

#[test]
fn progress_says_how_far_it_is_and_when_it_ends() {
    let mut desk = Desk::new(pings_only(5), &["441530", "441531", "441532"]);
    let before = desk.probe.progress(desk.now);
    assert_eq!((before.started, before.done, before.total), (None, 0, 3));
    desk.begin();
    let under_way = desk.probe.progress(desk.now);
    assert!(under_way.started.is_some() && under_way.estimated_end.unwrap() > desk.now);
    let revision = desk.probe.revision();
    desk.pass(ms(5_000));
    let after = desk.probe.progress(desk.now);
    assert_eq!((after.started, after.done, after.estimated_end), (None, 3, None));
    let interval = after.next.unwrap().since(under_way.started.unwrap());
    assert_eq!((interval, desk.probe.revision() != revision), (Duration::from_secs(600), true));
}
