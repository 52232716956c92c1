//! The watch over a daemon in which everything happens: engines that are stuck, a collector that is not there, clocks that jump.

use std::time::Duration;

use switchboard::config;
use switchboard::engine::{Counter, Engine, Part, Table};
use switchboard::health::{Book, Facts, Health, Request, SlowTurn, Usage};
use switchboard::rng::Seed;
use switchboard::time::Instant;

use crate::Chance;

pub struct Subject {
    health: Health,
    measuring: bool,
    posted: bool,
    cpu: Duration,
}

fn config(chance: &mut Chance) -> config::Health {
    config::Health {
        enabled: !chance.one_in(4),
        interval: Duration::from_secs(*chance.of(&[1, 60])),
        passive_safety: !chance.one_in(4),
        collector: !chance.one_in(4),
        collector_url: (*chance.of(&["http://a/", "http://b/"])).into(),
        starts_file: (*chance.of(&["/tmp/a", "/tmp/b"])).into(),
        ..config::Health::default()
    }
}

impl crate::Subject for Subject {
    const NAME: &'static str = "health";
    const PERIODIC: bool = true;
    const RESTING: &'static [&'static str] = &["health_slow_turns"];

    fn new(_seed: &Seed, now: Instant) -> Self {
        let config = config::Health { collector: true, ..config::Health::default() };
        let health = Health::new(&config, "boot".into(), now);
        Self { health, measuring: false, posted: false, cpu: Duration::ZERO }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.health
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        let part = *chance.of(&Part::ALL);
        match chance.below(14) {
            0..=3 if self.measuring => {
                self.measuring = false;
                self.cpu += Duration::from_millis(u64::try_from(chance.below(3_000)).unwrap());
                let resident_kb = u32::try_from(chance.below(40_000)).unwrap();
                let usage = Usage { cpu: self.cpu, resident_kb, anonymous_kb: *chance.of(&[0, resident_kb, u32::MAX]) };
                let book = *chance.of(&[Book::Unknown, Book::Boot, Book::Success, Book::Failed, Book::Stale]);
                self.health.handle_usage(usage, Facts { book, crashes: *chance.of(&[0, 0, 3, u32::MAX]) }, now);
            }
            4..=5 if self.posted => {
                self.posted = false;
                self.health.handle_delivery(chance.one_in(2), now);
            }
            6 => self.health.watch.handle_overdue(part, now),
            7 => self.health.watch.handle_done(part),
            8 => {
                let used = chance.below(3);
                let counters = [Counter { name: "x", count: u64::try_from(chance.below(2)).unwrap() }];
                self.health.handle_look(part, &[Table { name: "http_fetches", used, limit: 2 }], &counters, now);
                self.health.handle_looked(now);
            }
            9 => {
                let took = Duration::from_millis(u64::try_from(chance.below(3_000)).unwrap());
                self.health.handle_slow_turn(SlowTurn {
                    at: now,
                    took,
                    cause: "timers",
                    share: took,
                    cpu: took,
                    due: 3,
                });
            }
            10 => self.health.handle_crash(now),
            11 => self.health.handle_config(&config(chance), now),
            12 => self.health.handle_cure(now),
            _ => self.health.watch.handle_well(now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some(request) = self.health.poll_request() {
            match request {
                Request::Measure => self.measuring = true,
                Request::Read(_) => self.health.handle_starts(Some(b"boot\n0\n500000\nx\n")),
                Request::Post(_) => {
                    assert!(!self.posted, "one report at a time");
                    self.posted = true;
                }
                Request::Look | Request::Write(_) | Request::Cure(_) => {}
            }
            log.push(format!("{request:?}"));
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(3) {
            0 if !self.measuring => self.health.handle_usage(Usage::default(), Facts::default(), now),
            1 if !self.posted => self.health.handle_delivery(true, now),
            _ => self.health.handle_starts(Some(b"boot\n1\n")),
        }
    }
}
