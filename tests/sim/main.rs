//! The whole daemon in simulation: phones that register, call, take back, hang up and vanish, over a network that loses,
//! doubles and reorders, and a daemon that is restarted in between; beside it a shadow model that says what must be true.
//!
//! 256 seeds run by default. A failure prints its seed; `SIM_SEED=17 cargo test --test sim` replays it alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/clock.rs"]
mod clock;
mod flight;
#[path = "../support/sip_message.rs"]
mod message;
mod net;
mod phone;
mod world;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use clock::World as _;
use net::Weather;
use phone::{Manner, News};
use world::World;

const CALM: Weather = Weather { loss: 0, double: 0, delay: Duration::from_millis(20) };
const STORM: Weather = Weather { loss: 10, double: 10, delay: Duration::from_millis(400) };

/// What the shadow model knows of one call.
#[derive(Debug, Default)]
struct Shadow {
    caller: usize,
    callee: Option<usize>,
    finals: Vec<(u16, String)>,
    unanswered: bool,
    taken_back: bool,
    hung_up_by: Option<usize>,
    heard_by: Vec<usize>,
    bye_status: Option<u16>,
    bye_unanswered: bool,
}

struct Story {
    world: World,
    calls: BTreeMap<String, Shadow>,
    registered: BTreeMap<usize, u32>,
}

impl Story {
    fn new(seed: u64, weather: Weather) -> Self {
        Self { world: World::new(seed, weather), calls: BTreeMap::new(), registered: BTreeMap::new() }
    }

    fn dial(&mut self, caller: usize, number: &str) -> String {
        let now = self.world.now;
        let call = self.world.phones[caller].dial(number, now);
        let callee = self.world.phones.iter().position(|phone| phone.number == number);
        self.calls.insert(call.clone(), Shadow { caller, callee, ..Shadow::default() });
        call
    }

    fn hang_up(&mut self, call: &str, by: usize) {
        let now = self.world.now;
        if self.world.phones[by].hang_up(call, now) {
            self.calls.get_mut(call).unwrap().hung_up_by = Some(by);
        }
    }

    fn take_back(&mut self, call: &str) {
        let shadow = self.calls.get_mut(call).unwrap();
        shadow.taken_back = true;
        self.world.phones[shadow.caller].cancel(call, self.world.now);
    }

    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
        for (index, phone) in self.world.phones.iter_mut().enumerate() {
            for news in phone.news.drain(..) {
                match news {
                    News::Registered { expires } => drop(self.registered.insert(index, expires)),
                    News::Final { call, status, tag } => self.calls.get_mut(&call).unwrap().finals.push((status, tag)),
                    News::NoAnswer { call } => self.calls.get_mut(&call).unwrap().unanswered = true,
                    News::HungUp { call } => self.calls.get_mut(&call).unwrap().heard_by.push(index),
                    News::ByeAnswered { call, status } => self.calls.get_mut(&call).unwrap().bye_status = Some(status),
                    News::ByeUnanswered { call } => self.calls.get_mut(&call).unwrap().bye_unanswered = true,
                    News::Rang { .. } | News::Cancelled { .. } => {}
                }
            }
        }
    }

    /// What must be true of every call once all is quiet.
    fn judge(&self, vanished: &[usize], restarted: bool) {
        for (id, call) in &self.calls {
            let caller_gone = vanished.contains(&call.caller);
            let callee_gone = call.callee.is_none_or(|callee| vanished.contains(&callee));
            if caller_gone {
                continue;
            }
            // A restart forgets INVITEs that were not answered yet; the caller repeats them or times out.
            if !restarted {
                assert!(!call.unanswered, "{id}: the caller never heard anything: {call:?}");
                assert_eq!(call.finals.len(), 1, "{id}: exactly one final answer: {call:?}");
            }
            let Some((status, _)) = call.finals.first() else { continue };
            let manner = call.callee.map(|callee| self.world.phones[callee].manner);
            // A name server that nobody hears leaves the caller with "temporarily unavailable".
            let by_name = call.callee.is_none_or(|callee| !self.registered.contains_key(&callee));
            if by_name && *status == 480 {
                continue;
            }
            if !callee_gone && !restarted {
                match (manner, call.taken_back) {
                    (Some(Manner::Answers), false) => assert_eq!(*status, 200, "{id}: {call:?}"),
                    (Some(Manner::Answers), true) => assert!([200, 487].contains(status), "{id}: {call:?}"),
                    (Some(Manner::IsBusy), _) => assert_eq!(*status, 486, "{id}: {call:?}"),
                    (Some(Manner::LetsItRing), true) => assert_eq!(*status, 487, "{id}: {call:?}"),
                    (Some(Manner::LetsItRing), false) => assert!([408, 480, 487].contains(status), "{id}: {call:?}"),
                    (None, _) => assert!([404, 487].contains(status), "{id}: {call:?}"),
                }
            }
            if let Some(by) = call.hung_up_by.filter(|by| !vanished.contains(by)) {
                let other = if by == call.caller { call.callee.unwrap() } else { call.caller };
                if !vanished.contains(&other) {
                    assert!(!call.bye_unanswered, "{id}: the BYE was never answered: {call:?}");
                    assert_eq!(call.bye_status, Some(200), "{id}: {call:?}");
                    // Two BYEs that cross surprise nobody.
                    let heard: &[usize] = if self.world.phones[other].has_hung_up(id) { &[] } else { &[other] };
                    assert_eq!(call.heard_by, heard, "{id}: the other side must hear it, once: {call:?}");
                }
            }
        }
    }

    /// After quiet, nothing is left.
    fn judge_tables(&self) {
        for table in self.world.core.tables() {
            assert!(table.used <= table.limit, "{table:?}");
            let stays = table.name.contains("book") || table.name.contains("entries") || table.name.contains("cache");
            // The node itself stays on the map.
            let stays = stays || table.name == "probe_phones";
            let stays = stays || ["mesh_nodes", "mesh_addresses"].contains(&table.name) && table.used == 1;
            assert!(table.used == 0 || stays, "not empty after quiet: {table:?}");
        }
    }
}

/// What happened in a morning, so that all of them together can be shown to have tried everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// A digest of everything the daemon sent.
    trace: u64,
    answered: usize,
    refused: usize,
    cancelled: usize,
    not_found: usize,
    hang_ups_heard: usize,
    restarts: usize,
    vanished: usize,
}

/// One seed: a morning on the mesh.
fn morning(seed: u64) -> Tally {
    let weather = if seed % 4 == 0 { CALM } else { STORM };
    let mut story = Story::new(seed, weather);
    let mut rng = story.world.rng("story");
    let manners = [Manner::Answers, Manner::Answers, Manner::Answers, Manner::IsBusy, Manner::LetsItRing];
    for index in 0..6_u64 {
        let manner = manners[usize::try_from((index + seed) % 5).unwrap()];
        let number = format!("44153{index}");
        let phone = story.world.add_phone(&number, manner);
        if rng.below(4) == 0 {
            let address: Ipv4Addr = *story.world.phones[phone].address.ip();
            story.world.names.insert(number, address);
        } else {
            let now = story.world.now;
            story.world.phones[phone].register(600, now);
        }
    }
    story.run(40);
    let mut vanished = Vec::new();
    let mut restarts = 0;
    let mut open: Vec<String> = Vec::new();
    for _ in 0..12 {
        let caller = usize::try_from(rng.below(6)).unwrap();
        match rng.below(12) {
            0..=5 if !vanished.contains(&caller) => {
                let callee = rng.below(7); // 6 is nobody's number
                if callee != u64::try_from(caller).unwrap() {
                    open.push(story.dial(caller, &format!("44153{callee}")));
                }
            }
            6 | 7 => {
                if let Some(call) = open.last().cloned() {
                    story.take_back(&call);
                }
            }
            8..=9 => {
                for call in open.clone() {
                    let shadow = &story.calls[&call];
                    let by = if rng.below(2) == 0 { Some(shadow.caller) } else { shadow.callee };
                    if let Some(by) = by.filter(|by| !vanished.contains(by)) {
                        story.hang_up(&call, by);
                    }
                }
            }
            10 if vanished.len() < 2 => {
                story.world.phones[caller].gone = true;
                vanished.push(caller);
            }
            11 if rng.below(3) == 0 => {
                story.world.restart();
                restarts += 1;
            }
            _ => {}
        }
        story.run(rng.below(9));
    }
    story.run(300);
    for call in open {
        let shadow = &story.calls[&call];
        let (caller, callee) = (shadow.caller, shadow.callee);
        if shadow.hung_up_by.is_none() && !vanished.contains(&caller) {
            story.hang_up(&call, caller);
        } else if let Some(callee) = callee.filter(|_| story.calls[&call].hung_up_by.is_none()) {
            story.hang_up(&call, callee);
        }
    }
    story.run(100);
    story.judge(&vanished, restarts > 0);
    for (index, phone) in story.world.phones.iter_mut().enumerate() {
        if !vanished.contains(&index) && story.registered.contains_key(&index) {
            phone.register(0, story.world.now);
        }
    }
    story.run(13 * 3_600);
    assert!(story.world.core.active_calls() == 0, "calls that nobody has any more are still shown");
    story.judge_tables();
    let finals = |wanted: &[u16]| {
        let count = |call: &&Shadow| call.finals.iter().any(|(status, _)| wanted.contains(status));
        story.calls.values().filter(count).count()
    };
    Tally {
        trace: story.world.trace,
        answered: finals(&[200]),
        refused: finals(&[486]),
        cancelled: finals(&[487]),
        not_found: finals(&[404]),
        hang_ups_heard: story.calls.values().filter(|call| !call.heard_by.is_empty()).count(),
        restarts,
        vanished: vanished.len(),
    }
}

#[test]
fn two_hundred_and_fifty_six_mornings() {
    let seeds = match std::env::var("SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIM_SEED is a number")],
        Err(_) => (0..256).collect(),
    };
    let mut all = Tally::default();
    for seed in &seeds {
        let result = std::panic::catch_unwind(|| morning(*seed));
        let Ok(one) = result else { panic!("replay with SIM_SEED={seed} cargo test --test sim") };
        all.answered += one.answered;
        all.refused += one.refused;
        all.cancelled += one.cancelled;
        all.not_found += one.not_found;
        all.hang_ups_heard += one.hang_ups_heard;
        all.restarts += one.restarts;
        all.vanished += one.vanished;
    }
    let least = seeds.len() / 4; // a simulation in which nothing happens proves nothing
    for (count, what) in [
        (all.answered, "answered"),
        (all.refused, "refused"),
        (all.cancelled, "cancelled"),
        (all.not_found, "not found"),
        (all.hang_ups_heard, "hang-ups heard"),
        (all.restarts, "restarts"),
        (all.vanished, "vanished"),
    ] {
        assert!(seeds.len() == 1 || count >= least, "too few {what}: {all:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_morning() {
    assert_eq!(morning(5), morning(5));
    assert_ne!(morning(5).trace, morning(6).trace);
}

#[test]
fn how_long_a_phone_was_not_seen_is_counted_over_a_restart() {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut world = World::new(1, CALM);
    let book = b"Firstname,Name,Callsign,Telephone,Privat\nA,B,HB9AAA,441530,\n".to_vec();
    world.files.put(&world.config.phonebook.book_file, book);
    let said = |world: &World| {
        let file = world.files.get(&world.config.mesh.findings_file).expect("findings are written");
        String::from_utf8(file.clone()).unwrap().contains("unseen")
    };
    world.restart(); // the process before knew no book
    world.run(DAY * 20);
    world.restart();
    world.run(DAY * 9);
    assert!(!said(&world));
    // Not an orderly stop this time: what stands in the file has to do.
    world.crash();
    world.run(DAY * 2);
    assert!(said(&world), "31 days in three lives");
}

/// AREDN's pages show it to the operator; it is written when it changes, and a zero is no badge.
#[test]
fn the_badge_counts_the_phones_of_the_book_that_are_online() {
    let mut world = World::new(7, CALM);
    let badge = |world: &World| world.files.get("/tmp/apps/switchboard/badge").cloned();
    let book =
        b"Firstname,Name,Callsign,Telephone,Privat\nA,A,HB9AAA,441530,\nB,B,HB9BBB,441531,\nC,C,HB9CCC,441532,\n";
    world.files.put("/www/arednstack/phonebook.csv", book.to_vec());
    world.restart();
    assert_eq!(badge(&world).as_deref(), Some(b"".as_slice()), "of the process before nothing stays");
    for (number, last) in [("441530", 30), ("441532", 32), ("990000", 99)] {
        world.names.insert(number.into(), Ipv4Addr::new(10, 0, 0, last));
    }
    world.run(Duration::from_secs(30 * 60));
    assert_eq!(badge(&world).as_deref(), Some(b"2".as_slice()));
    world.files.remove("/tmp/apps/switchboard/badge");
    world.run(Duration::from_secs(30 * 60));
    assert_eq!(badge(&world), None, "nothing changed, nothing is written");
    world.names.clear();
    world.run(Duration::from_secs(90 * 60));
    assert_eq!(badge(&world).as_deref(), Some(b"".as_slice()));
}
