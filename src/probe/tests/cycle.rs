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
    let pings = desk.take_pings();
    desk.reply(&pings[0], 64);
    desk.probe.handle_targets(&names(&["441529", "441531", "441532"]), desk.now);
    assert_eq!(desk.probe.phones().count(), 2, "a cycle ends with those with which it began");
    assert_eq!(desk.probe.progress(desk.now).done, 1);
    desk.reply(&pings[1], 64);
    desk.pass(ms(3_000));
    let numbers: Vec<_> = desk.probe.phones().map(Phone::number).collect();
    assert_eq!(numbers, ["441529", "441531", "441532"]);
    assert_eq!((desk.status("441531").0, desk.status("441529").0), (Status::Online, Status::Unknown));
    assert_eq!(desk.probe.find("441531").unwrap().samples().count(), 1);
}

#[test]
fn targets_are_bounded_in_number_and_length() {
    let mut desk = Desk::new(pings_only(1), &[]);
    let long = "7".repeat(limits::SIP_USER + 1);
    let many = (0..limits::PROBE_PHONES + 9).map(|number| format!("{:06}", number)).chain([long.clone()]).collect();
    desk.probe.handle_targets(&many, desk.now);
    assert_eq!((desk.probe.phones().count(), desk.probe.find(&long).is_none()), (limits::PROBE_PHONES, true));
    desk.probe.handle_targets(&names(&[&long, "441530"]), desk.now);
    assert_eq!(desk.probe.phones().map(Phone::number).collect::<Vec<_>>(), ["441530"]);
}

#[test]
fn nodes_that_got_their_power_back_together_do_not_begin_together() {
    let starts: SortedSet<Instant> = (0..9)
        .map(|seed| {
            let mut probe = Probe::new(&pings_only(1), &[seed; 32], Instant::default());
            probe.handle_icmp_mode(IcmpMode::Raw, ID, Instant::default());
            probe.handle_targets(&names(&["441530"]), Instant::default());
            probe.next_deadline().unwrap()
        })
        .collect();
    assert_eq!(starts.len(), 9);
    assert!(starts.iter().all(|at| (10..20).contains(&at.since(Instant::default()).as_secs())), "{starts:?}");
}

#[test]
fn a_cycle_that_takes_longer_than_the_interval_is_followed_by_a_breath() {
    let mut desk = Desk::new(config::Probe { interval: ms(500), ..pings_only(1) }, &["441530"]);
    desk.begin();
    desk.pass(ms(2_500));
    assert_eq!((desk.count("cycles"), desk.take_pings().len()), (1, 1));
    desk.pass(ms(700));
    assert_eq!(desk.take_pings().len(), 1, "two seconds for the phone and one for everybody else");
}

#[test]
fn another_interval_rate_and_address_are_taken_over() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.begin();
    desk.pass(ms(3_000));
    let shorter = config::Probe { interval: Duration::from_secs(60), ..pings_only(20) };
    let slower = config::Probe { rate: 1, spacing_ms: 10, listen: "10.0.0.7:5070".parse().unwrap(), ..shorter };
    desk.probe.handle_config(&slower, desk.now);
    let next = desk.probe.progress(desk.now).next.unwrap();
    assert_eq!(next.since(desk.now), Duration::from_secs(60), "not when the longer one would have been over");
    desk.take_pings();
    desk.begin();
    desk.pass(ms(2_500));
    assert_eq!(desk.pings.len(), 3, "one a second");
    // The address that the configuration says is not replaced by one that the node has besides.
    desk.probe.handle_config(&config::Probe { listen: slower.listen, ..options_only(1) }, desk.now);
    desk.probe.set_identity(&[US]);
    desk.pass(Duration::from_secs(120));
    assert!(header(&desk.messages[0].1, Name::Via).starts_with("SIP/2.0/UDP 10.0.0.7:5070;"));
}

#[test]
fn tests_of_the_cycle_leave_room_for_those_of_people() {
    let many: Vec<String> = (0..1_100).map(|number| format!("{}0", 100_000 + number)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let config = config::Probe { rate: 5_000, in_flight: 9_999, spacing_ms: 10_000, ..config::Probe::default() };
    let mut desk = Desk::new(config, &many);
    desk.begin();
    desk.pass(ms(900));
    let tests = |desk: &Desk| desk.probe.tables().iter().find(|table| table.name == "probe_tests").unwrap().used;
    assert_eq!(tests(&desk), limits::PROBE_TESTS - limits::PROBE_LIVE);
    desk.probe.ping("441530", 1, 1, desk.now).unwrap();
    desk.pass(ms(10));
    assert_eq!(tests(&desk), limits::PROBE_TESTS - limits::PROBE_LIVE + 1);
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
    let config = config::Probe { ping_count: 1, ..config::Probe::default() };
    let mut desk = Desk::new(config.clone(), &["441530", "441531", "441532"]);
    desk.begin();
    for ping in desk.take_pings() {
        desk.reply(&ping, 60);
    }
    desk.pass(ms(300));
    let used = |desk: &Desk| {
        let used = |name| desk.probe.tables().iter().find(|table| table.name == name).unwrap().used;
        ["probe_in_flight", "probe_tests", "probe_way_questions", "probe_questions"].map(used)
    };
    let [in_flight, tests, ways, _] = used(&desk);
    assert!(in_flight > tests && tests > 0 && ways > 0, "pings, OPTIONS and questions of ways");
    let off = config::Probe { enabled: false, ..config.clone() };
    desk.probe.handle_config(&off, desk.now);
    desk.pass(ms(10));
    assert_eq!((used(&desk), desk.probe.next_deadline()), ([0; 4], None));

    // The same while addresses are awaited; and after all of it a cycle comes to its end.
    desk.probe.handle_config(&config, desk.now);
    desk.now = desk.probe.progress(desk.now).next.unwrap();
    desk.probe.handle_timeout(desk.now);
    let (token, _) = desk.probe.poll_question().unwrap();
    desk.probe.handle_config(&off, desk.now);
    assert_eq!(used(&desk), [0; 4]);
    desk.probe.handle_address(token, None, desk.now);
    assert_eq!(desk.count("foreign_answers"), 1);
    desk.take_pings();
    desk.probe.handle_config(&config, desk.now);
    desk.begin();
    for ping in desk.take_pings() {
        desk.reply(&ping, 60);
    }
    desk.pass(Duration::from_secs(60));
    assert_eq!((desk.count("cycles"), used(&desk)), (1, [0; 4]));
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
