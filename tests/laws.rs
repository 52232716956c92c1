//! The laws that every engine keeps (see `switchboard::engine::Engine`), checked with 256 seeded lives of each:
//!
//! * an engine to which nothing happens does nothing, and a timeout that comes too early does no harm;
//! * after a timeout the next deadline is later; when nothing happens any more, deadlines end and tables drain;
//! * no table grows beyond its limit;
//! * an answer that nobody waits for is counted and dropped;
//! * no bytes make it panic;
//! * the same inputs give the same outputs.
//!
//! A new engine needs a [`Subject`] in `laws/` and a line at the end of this file. `LAW_SEED=7 cargo test --test laws`
//! repeats one life.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::time::Duration;

use switchboard::engine::Engine;
use switchboard::rng::{Rng, Seed};
use switchboard::time::Instant;

#[path = "laws/dns.rs"]
mod dns;
#[path = "laws/health.rs"]
mod health;
#[path = "laws/hosts.rs"]
mod hosts;
#[path = "laws/http.rs"]
mod http;
#[path = "laws/mesh.rs"]
mod mesh;
#[path = "laws/phonebook.rs"]
mod phonebook;
#[path = "laws/probe.rs"]
mod probe;
#[path = "laws/sip.rs"]
mod sip;

/// Lives of each engine, and things that happen in each.
const LIVES: u64 = 256;
const HAPPENINGS: usize = 200;

/// An engine with the little of its surroundings that makes what happens to it half plausible.
trait Subject {
    /// What its name is in a failure.
    const NAME: &'static str;
    /// Whether it has duties of its own, so that it never runs out of deadlines.
    const PERIODIC: bool;
    /// Tables that keep what they have when nothing happens.
    const RESTING: &'static [&'static str];

    /// As it is at the start of the daemon.
    fn new(seed: &Seed, now: Instant) -> Self;

    fn engine(&mut self) -> &mut dyn Engine;

    /// One thing happens to it, by chance: asked, answered, broken, nonsense.
    fn happen(&mut self, chance: &mut Chance, now: Instant);

    /// Takes out everything that it wants done, as text. What is answered must have been asked.
    fn drain(&mut self, log: &mut Vec<String>);

    /// Something comes that it does not wait for: an answer to nothing.
    fn stray(&mut self, chance: &mut Chance, now: Instant);

    /// Whatever keeps it busy by itself is switched off, before it must come to rest.
    fn calm(&mut self, _chance: &mut Chance, _now: Instant) {}

    /// What must be true when it has come to rest.
    fn at_rest(&mut self) {}
}

/// Draws from what a test offers.
struct Chance(Rng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(u64::try_from(bound).unwrap())).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.0.next_u64().to_le_bytes()[0]).collect()
    }

    /// `bytes` with a few of them changed, or cut, or with more behind.
    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            match self.below(4) {
                0 if !bytes.is_empty() => bytes.truncate(self.below(bytes.len())),
                1 => bytes.extend(self.bytes(20)),
                _ if !bytes.is_empty() => {
                    let place = self.below(bytes.len());
                    bytes[place] = self.0.next_u64().to_le_bytes()[0];
                }
                _ => {}
            }
        }
        bytes
    }
}

/// Says which life it was when a test fails in it.
struct Witness(&'static str, u64);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("law broken by {} with LAW_SEED={}", self.0, self.1);
        }
    }
}

fn check<S: Subject>() {
    let only = std::env::var("LAW_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    for number in only.map_or(0..LIVES, |seed| seed..seed + 1) {
        let _witness = Witness(S::NAME, number);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        idle::<S>(&seed);
        let first = live::<S>(&seed);
        assert!(!first.is_empty(), "a life in which nothing is done proves nothing");
        assert_eq!(first, live::<S>(&seed), "the same inputs give the same outputs");
    }
}

fn counted(engine: &dyn Engine) -> u64 {
    engine.counters().iter().map(|counter| counter.count).sum()
}

fn within_limits(engine: &dyn Engine) {
    for table in engine.tables() {
        assert!(table.used <= table.limit, "{table:?}");
    }
}

/// Calls for a timeout and checks what must hold after every one.
fn timeout(subject: &mut impl Subject, now: Instant) {
    subject.engine().handle_timeout(now);
    let next = subject.engine().next_deadline();
    assert!(next.is_none_or(|next| next > now), "after a timeout at {now:?} the next deadline is {next:?}");
    within_limits(subject.engine());
}

/// Nothing happens to a new engine.
fn idle<S: Subject>(seed: &Seed) {
    let mut now = Instant::from_micros(1_000_000);
    let mut subject = S::new(seed, now);
    let mut log = Vec::new();
    subject.drain(&mut log);
    log.clear();
    if S::PERIODIC {
        return;
    }
    assert_eq!(subject.engine().next_deadline(), None, "nothing has been asked of it");
    for _ in 0..10 {
        now = now + Duration::from_secs(1_000);
        timeout(&mut subject, now);
        subject.drain(&mut log);
        assert_eq!(log, [] as [String; 0]);
    }
}

fn live<S: Subject>(seed: &Seed) -> Vec<String> {
    let mut chance = Chance(Rng::new(seed, "laws"));
    let mut now = Instant::from_micros(1_000_000);
    let mut subject = S::new(seed, now);
    let mut log = Vec::new();
    subject.drain(&mut log);
    for _ in 0..HAPPENINGS {
        subject.happen(&mut chance, now);
        within_limits(subject.engine());
        // Now and then two things happen before anybody looks.
        if !chance.one_in(8) {
            subject.drain(&mut log);
            if chance.one_in(8) {
                dropped(&mut subject, &mut chance, now);
            }
            early(&mut subject, now);
        }
        now = match (chance.below(10), subject.engine().next_deadline()) {
            (0..=2, _) => now,
            (3, Some(deadline)) => deadline.max(now),
            (4, _) => now + Duration::from_micros(u64::try_from(chance.below(20_000_000)).unwrap()),
            _ => now + Duration::from_micros(u64::try_from(chance.below(300_000)).unwrap()),
        };
        if subject.engine().next_deadline().is_some_and(|deadline| deadline <= now) {
            timeout(&mut subject, now);
        }
        subject.drain(&mut log);
    }
    subject.calm(&mut chance, now);
    subject.drain(&mut log);
    rest(&mut subject, &mut log, now);
    log
}

/// What nobody waits for is counted and dropped.
fn dropped<S: Subject>(subject: &mut S, chance: &mut Chance, now: Instant) {
    let (tables, deadline) = (subject.engine().tables(), subject.engine().next_deadline());
    let before = counted(subject.engine());
    subject.stray(chance, now);
    assert!(counted(subject.engine()) > before, "it is counted");
    let mut log = Vec::new();
    subject.drain(&mut log);
    assert_eq!(log, [] as [String; 0], "and nothing comes of it");
    assert_eq!((subject.engine().tables(), subject.engine().next_deadline()), (tables, deadline));
}

/// A timeout before its time changes nothing.
fn early<S: Subject>(subject: &mut S, now: Instant) {
    let deadline = subject.engine().next_deadline();
    if deadline.is_some_and(|deadline| deadline <= now) {
        return;
    }
    let tables = subject.engine().tables();
    timeout(subject, now);
    let mut log = Vec::new();
    subject.drain(&mut log);
    assert_eq!(log, [] as [String; 0], "nothing was due at {now:?}");
    assert_eq!((subject.engine().tables(), subject.engine().next_deadline()), (tables, deadline));
}

/// Nothing happens any more: deadlines come to an end, and tables with them.
fn rest<S: Subject>(subject: &mut S, log: &mut Vec<String>, mut now: Instant) {
    for turn in 0..10_000 {
        let Some(deadline) = subject.engine().next_deadline() else { break };
        now = now.max(deadline);
        timeout(subject, now);
        subject.drain(log);
        if S::PERIODIC && turn > 200 {
            break;
        }
    }
    if S::PERIODIC {
        return;
    }
    assert_eq!(subject.engine().next_deadline(), None, "it comes to rest");
    for table in subject.engine().tables() {
        assert!(table.used == 0 || S::RESTING.contains(&table.name), "at rest, but {table:?}");
    }
    subject.at_rest();
}

#[test]
fn the_resolver_keeps_the_laws() {
    check::<dns::Subject>();
}

#[test]
fn the_http_client_keeps_the_laws() {
    check::<http::ClientSubject>();
}

#[test]
fn the_http_server_keeps_the_laws() {
    check::<http::ServerSubject>();
}

#[test]
fn the_host_files_keep_the_laws() {
    check::<hosts::Subject>();
}

#[test]
fn the_phonebook_keeps_the_laws() {
    check::<phonebook::Subject>();
}

#[test]
fn the_exchange_keeps_the_laws() {
    check::<sip::Subject>();
}

#[test]
fn the_map_of_the_mesh_keeps_the_laws() {
    check::<mesh::Subject>();
}

#[test]
fn the_test_desk_keeps_the_laws() {
    check::<probe::Subject>();
}

#[test]
fn the_watch_over_the_daemon_keeps_the_laws() {
    check::<health::Subject>();
}
