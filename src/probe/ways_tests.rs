//! Ways on a clock of their own, answered by hand.

use super::*;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn errand(phone: u32, distance: u8, node: Option<u8>) -> Errand {
    let target = Ipv4Addr::new(10, 9, 0, u8::try_from(phone).unwrap());
    let (patience, tries) = (Duration::from_secs(1), 2);
    Errand { phone, target, distance, proven: true, node: node.map(address), before: None, patience, tries }
}

/// A phone that answers SIP and no ping.
fn mute(phone: u32, distance: u8) -> Errand {
    Errand { proven: false, ..errand(phone, distance, None) }
}

/// Ways on a clock of their own.
struct Walk {
    ways: Ways,
    now: Instant,
}

impl Walk {
    fn new() -> Self {
        let mut ways = Ways::default();
        ways.begin(1);
        Self { ways, now: Instant::from_micros(1_000_000) }
    }

    fn look_for(&mut self, errand: Errand) {
        self.ways.look_for(errand, self.now);
    }

    /// The next question is sent as soon as it may be: its number, target and TTL, and how long it had to wait.
    fn send(&mut self) -> Option<(u32, Ipv4Addr, u8, Duration)> {
        let (at, id) = self.ways.plan(self.now)?;
        let waited = at.since(self.now);
        self.now = self.now.max(at);
        let (target, ttl, _) = self.ways.send(id, self.now).unwrap();
        Some((id, target, ttl, waited))
    }

    /// Sends the next question and lets `router` answer it; 0: nobody.
    fn ask(&mut self, ttl: u8, router: u8) {
        let (id, _, asked, _) = self.send().unwrap();
        assert_eq!(asked, ttl);
        self.now = self.now + Duration::from_millis(if router == 0 { 1_000 } else { 10 });
        match router {
            0 => self.ways.handle_silence(id, self.now),
            router => self.ways.handle_router(id, address(router), 500, self.now),
        }
    }

    /// The routers to the phone that was found last; 0: silent.
    fn found(&mut self) -> (u32, Vec<u8>) {
        let found = self.ways.poll_found().unwrap();
        let way = self.ways.way(found.distance, found.link).unwrap();
        assert_eq!(way.iter().map(|hop| hop.distance).collect::<Vec<_>>(), (1..found.distance).collect::<Vec<_>>());
        (found.phone, way.iter().map(|hop| hop.address.map_or(0, |address| address.octets()[3])).collect())
    }
}

#[test]
fn a_way_that_is_known_is_not_asked_for_again() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 4, None));
    for (ttl, router) in [(3, 3), (2, 2), (1, 1)] {
        walk.ask(ttl, router);
    }
    assert_eq!(walk.found(), (1, vec![1, 2, 3]));
    walk.look_for(errand(2, 5, None));
    walk.ask(4, 4);
    walk.ask(3, 3);
    assert_eq!((walk.found(), walk.ways.is_busy()), ((2, vec![1, 2, 3, 4]), false));
    walk.look_for(errand(3, 1, None));
    assert_eq!((walk.found(), walk.ways.is_busy()), ((3, vec![]), false));
}

#[test]
fn phones_of_one_node_ask_together() {
    let mut walk = Walk::new();
    for (phone, distance) in [(1, 3), (2, 3), (3, 5)] {
        walk.look_for(errand(phone, distance, Some(2)));
    }
    assert_eq!(walk.ways.questions(), 1);
    walk.ask(2, 2);
    walk.ask(1, 1);
    walk.look_for(errand(4, 3, Some(2)));
    let all: Vec<_> = (0..4).map(|_| walk.found()).collect();
    assert!(all.iter().all(|(_, way)| *way == [1, 2]), "{all:?}");
    assert!(!walk.ways.is_busy());
}

#[test]
fn when_the_one_who_asks_goes_away_another_one_asks() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 2, Some(2)));
    walk.look_for(errand(2, 2, Some(2)));
    let (id, ..) = walk.send().unwrap();
    walk.ways.handle_unreachable(id, walk.now);
    let (id, target, ..) = walk.send().unwrap();
    assert_eq!(target, Ipv4Addr::new(10, 9, 0, 2));
    walk.ways.handle_router(id, address(1), 500, walk.now);
    assert_eq!((walk.found(), walk.ways.is_busy()), ((2, vec![1]), false));
}

#[test]
fn a_silent_router_is_a_gap_and_known_the_next_time() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 4, None));
    walk.ask(3, 0);
    walk.ask(3, 0);
    walk.ask(2, 2);
    walk.ask(1, 1);
    assert_eq!(walk.found(), (1, vec![1, 2, 0]));
    // One loss, and a look behind: it is the same one.
    walk.look_for(errand(2, 4, None));
    walk.ask(3, 0);
    walk.ask(2, 2);
    assert_eq!((walk.found(), walk.ways.is_busy()), ((2, vec![1, 2, 0]), false));
    // Behind another router it is another one, and it may have been an accident.
    walk.look_for(errand(3, 4, None));
    walk.ask(3, 0);
    walk.ask(2, 9);
    walk.ask(1, 1);
    walk.ask(3, 8);
    assert_eq!((walk.found(), walk.ways.is_busy()), ((3, vec![1, 9, 8]), false));
}

#[test]
fn silence_as_far_as_ourselves_ends() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 3, None));
    for ttl in [2, 2, 1, 1] {
        walk.ask(ttl, 0);
    }
    assert_eq!((walk.found(), walk.ways.is_busy()), ((1, vec![0, 0]), false));
}

#[test]
fn a_phone_that_answers_itself_is_nearer() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 4, None));
    for _ in 0..2 {
        let (id, ..) = walk.send().unwrap();
        walk.ways.handle_target(id, walk.now);
    }
    walk.ask(1, 1);
    assert_eq!(walk.found(), (1, vec![1]));
}

#[test]
fn a_router_is_not_asked_for_more_than_it_says() {
    let mut walk = Walk::new();
    for phone in 0..20 {
        walk.look_for(errand(phone, 2, None));
    }
    // Five at once: all may be for the same router. Then none before one of them is answered.
    let sent: Vec<_> = (0..5).map(|_| walk.send().unwrap()).collect();
    assert!(sent.iter().all(|(.., waited)| waited.is_zero()));
    assert_eq!(walk.send(), None);
    let began = walk.now;
    for (id, ..) in sent {
        walk.ways.handle_router(id, address(1), 500, walk.now);
    }
    // It was the same one: from now on one a second.
    for _ in 0..15 {
        let (id, _, _, waited) = walk.send().unwrap();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        walk.ways.handle_router(id, address(1), 500, walk.now);
    }
    assert!(walk.now.since(began) < Duration::from_secs(16));
    assert_eq!(walk.send(), None);
}

#[test]
fn an_expected_router_is_waited_for_alone() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 2, None));
    walk.look_for(errand(2, 2, None));
    walk.ask(1, 1);
    walk.ask(1, 2);
    for phone in 10..14 {
        walk.look_for(errand(phone, 2, None));
        walk.ask(1, 1);
    }
    walk.ways.begin(2);
    // The first is tired; a question that will be answered by the other need not wait.
    let before = Some(Link { distance: 1, address: address(2) });
    walk.look_for(Errand { before, ..errand(20, 2, None) });
    assert!(walk.send().unwrap().3.is_zero());
    walk.look_for(errand(21, 2, None));
    assert!(!walk.send().unwrap().3.is_zero());
}

#[test]
fn what_was_not_seen_in_two_cycles_is_forgotten() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 2, None));
    walk.ask(1, 1);
    walk.look_for(errand(2, 3, None));
    walk.ask(2, 0);
    walk.ask(2, 0);
    walk.ask(1, 1);
    for (cycle, known) in [(2, 1), (3, 1), (4, 0)] {
        walk.ways.begin(cycle);
        assert_eq!((walk.ways.routers(), walk.ways.silent.len()), (known, known), "cycle {cycle}");
    }
}

#[test]
fn the_way_of_a_node_is_looked_for_in_every_cycle() {
    let mut walk = Walk::new();
    for (cycle, router) in [(2, 1), (3, 9)] {
        walk.ways.begin(cycle);
        walk.look_for(errand(1, 2, Some(2)));
        walk.look_for(errand(2, 2, Some(2)));
        walk.ask(1, router);
        assert_eq!([walk.found(), walk.found()].map(|(_, way)| way), [vec![router], vec![router]]);
    }
}

#[test]
fn what_is_dropped_while_it_is_under_way_holds_nobody_up() {
    let mut walk = Walk::new();
    for phone in 0..9 {
        walk.look_for(errand(phone, 2, None));
    }
    while walk.send().is_some() {}
    walk.ways.drop_questions();
    walk.look_for(errand(1, 2, None));
    walk.ask(1, 1);
    assert_eq!((walk.found(), walk.ways.is_busy()), ((1, vec![1]), false));
}

#[test]
fn one_who_was_expected_and_is_silent_is_expected_no_more() {
    let mut walk = Walk::new();
    walk.look_for(errand(1, 2, None));
    walk.ask(1, 1);
    walk.ways.begin(2);
    let before = Some(Link { distance: 1, address: address(1) });
    walk.look_for(Errand { before, ..errand(1, 2, None) });
    walk.ask(1, 0);
    // Whose answer the second question costs is not known.
    walk.send().unwrap();
    assert_eq!(walk.ways.levels[1].under_way, 1);
}

#[test]
fn no_more_is_remembered_than_there_is_room_for() {
    let mut walk = Walk::new();
    for number in 0..u32::try_from(limits::PROBE_ROUTERS).unwrap() {
        let link = Link { distance: 9, address: Ipv4Addr::from(number) };
        walk.ways.see(link, 1, walk.now);
        walk.ways.silent.insert(link, 1);
    }
    walk.look_for(errand(1, 3, None));
    for (ttl, router) in [(2, 0), (2, 0), (1, 1)] {
        walk.ask(ttl, router);
    }
    let found = walk.ways.poll_found().unwrap();
    assert_eq!((found.distance, walk.ways.way(found.distance, found.link)), (3, None), "there is one, unknown");
    assert_eq!((walk.ways.routers(), walk.ways.refused), (limits::PROBE_ROUTERS, 1));
    assert_eq!((walk.ways.silent.len(), walk.ways.is_busy()), (limits::PROBE_ROUTERS, false));
}

#[test]
fn nobody_is_looked_for_beyond_the_longest_way() {
    let mut walk = Walk::new();
    walk.look_for(mute(1, HOPS));
    walk.ask(HOPS, 30);
    while let Some((id, _, ttl, _)) = walk.send() {
        assert!(ttl < HOPS, "{ttl}");
        walk.ways.handle_router(id, address(ttl), 500, walk.now);
    }
    assert_eq!(walk.ways.poll_found().map(|found| found.distance), Some(HOPS + 1));
}

#[test]
fn a_phone_that_answers_no_ping_stands_where_nobody_answers_any_more() {
    let mut walk = Walk::new();
    walk.look_for(mute(1, 3));
    walk.ask(3, 0);
    walk.ask(2, 12);
    walk.ask(1, 11);
    assert_eq!(walk.found(), (1, vec![11, 12]));
    // The next one is farther away than it seems, behind two more.
    walk.look_for(mute(2, 3));
    walk.ask(3, 13);
    walk.ask(2, 12); // who stands before the new one?
    walk.ask(4, 14);
    walk.ask(5, 0);
    assert_eq!(walk.found(), (2, vec![11, 12, 13, 14]));
    assert!(!walk.ways.is_busy());
    // And one that seems to be a neighbour.
    walk.look_for(mute(3, 1));
    walk.ask(1, 0);
    assert_eq!(walk.found(), (3, vec![]));
}

#[test]
fn what_lets_no_ping_through_stands_before_such_a_phone_and_is_found() {
    let mut walk = Walk::new();
    walk.look_for(mute(1, 2));
    let (id, _, ttl, _) = walk.send().unwrap();
    assert_eq!(ttl, 2);
    walk.ways.handle_unreachable(id, walk.now);
    walk.ask(1, 11);
    assert_eq!(walk.found(), (1, vec![11]));
}

#[test]
fn one_that_answers_this_ping_is_where_it_answers() {
    let mut walk = Walk::new();
    walk.look_for(mute(1, 3));
    let (id, ..) = walk.send().unwrap();
    walk.ways.handle_target(id, walk.now);
    walk.ask(2, 12);
    walk.ask(1, 11);
    assert_eq!(walk.found(), (1, vec![11, 12]));
}

#[test]
fn a_circle_is_not_followed_for_ever() {
    let mut walk = Walk::new();
    walk.look_for(mute(1, 2));
    let mut asked = Vec::new();
    while let Some((id, _, ttl, _)) = walk.send() {
        asked.push(ttl);
        walk.ways.handle_router(id, address(10 + ttl % 2), 500, walk.now);
    }
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 3, 4, 5]);
    assert_eq!(walk.ways.poll_found().map(|found| found.distance), Some(6), "no farther than that");
}

#[test]
fn who_answered_in_the_last_cycle_is_not_called_silent_after_one_loss() {
    let mut walk = Walk::new();
    // Behind 11 stands one who is silent, and 12.
    walk.look_for(errand(1, 4, None));
    walk.ask(3, 13);
    walk.ask(2, 0);
    walk.ask(2, 0);
    walk.ask(1, 11);
    walk.look_for(errand(2, 4, None));
    walk.ask(3, 14);
    walk.ask(2, 12);
    walk.ask(1, 11);
    assert_eq!([walk.found().1, walk.found().1].iter().filter(|way| **way == [11, 12, 14]).count(), 1);
    walk.ways.begin(2);
    let before = Some(Link { distance: 3, address: address(14) });
    walk.look_for(Errand { before, ..errand(2, 4, None) });
    walk.ask(3, 14);
    walk.ask(2, 0);
    walk.ask(2, 12);
    walk.ask(1, 11);
    assert_eq!(walk.found(), (2, vec![11, 12, 14]));
}
