//! What the watch over the daemon wants done: measure, look at every engine, write to the collector, make an engine anew.
//!
//! An engine that is made anew gets what it must keep from the old one, and is told again what others had told it. Those who
//! waited for it are told that there is no answer; its own questions to others are dropped, so that no answer to the old one
//! reaches the new one. What is lost: of the exchange, requests on their way (registrations and calls live on, as over a restart of the
//! daemon); of the book, who is online until the next look; of the map and the tests, what only they knew (except who was
//! seen and who was rung when); of the resolver, its cache; of the HTTP client and server, what was on its way.

#[cfg(test)]
#[allow(dead_code)] // where the tests of the whole are not
mod planted;
#[cfg(test)]
#[cfg(all(feature = "desk", feature = "health", feature = "mesh"))]
mod tests;
mod view;

#[cfg(test)]
pub use planted::Planted;

use super::Core;
use super::event::{Effect, Event, Report};
use crate::config::Config;
use crate::dns::{Resolver, Unresolved};
use crate::engine::{Asker, Engine, Part};
use crate::files::{Reader, Writer};
use crate::health::{self, Cure, Facts, Health, Reason, SlowTurn, Usage};
use crate::hosts::Hosts;
use crate::limits;
use crate::phonebook::{self, Phonebook};
use crate::sip::Sip;
use crate::time::Instant;
use crate::wire::http::{FetchError, Fetched, Url};

/// The watch, and what it is to tell.
pub struct Care {
    pub(super) health: Health,
    /// The most recent crash of a process before this one.
    crash: Option<Box<Report>>,
}

impl Care {
    /// The process started at `now`, in the run of the machine of that name.
    pub fn new(config: &Config, boot_id: &str, now: Instant) -> Self {
        let mut health = Health::new(&config.health, boot_id.to_owned(), now);
        health.watch.set_ringing(config.sip.timer_c);
        Self { health, crash: None }
    }

    /// Another configuration.
    pub fn handle_config(&mut self, config: &Config, now: Instant) {
        self.health.handle_config(&config.health, now);
        self.health.watch.set_ringing(config.sip.timer_c);
    }

    /// Before that, an engine is not given its turn: it has just had one in vain.
    pub fn rests_until(&self, part: Part) -> Option<Instant> {
        self.health.watch.rests_until(part)
    }
}

impl Core {
    /// From outside to the watch.
    pub(super) fn tell_care(&mut self, event: &Event<'_>, now: Instant) {
        if let Event::Usage(usage) = event {
            return self.measured(*usage, now);
        }
        let Some(Care { health, crash }) = self.care.get_mut() else { return };
        match *event {
            Event::Read { ref contents, .. } => {
                health.handle_starts(contents.as_ref().ok().map(|contents| contents.bytes.as_slice()));
            }
            Event::Crashed(report) => {
                tell_crash(report);
                *crash = Some(Box::new(report.clone()));
                if report.fresh {
                    health.handle_crash(now);
                }
            }
            Event::SlowTurn { took, cause, share, cpu } => {
                health.handle_slow_turn(SlowTurn { at: now, took, cause, share, cpu, due: self.due });
            }
            _ => {}
        }
    }

    /// What it uses is measured, and is judged by how the others are.
    fn measured(&mut self, usage: Usage, now: Instant) {
        let book = match self.phonebook.status().state {
            _ if !self.config.phonebook.enabled => health::Book::Unknown,
            phonebook::State::Boot => health::Book::Boot,
            phonebook::State::Success => health::Book::Success,
            phonebook::State::Failed => health::Book::Failed,
            phonebook::State::Stale => health::Book::Stale,
        };
        let crashes = self.recent_crash(now).map_or(0, |crash| crash.crash_count_24h);
        if let Some(care) = self.care.get_mut() {
            care.health.handle_usage(usage, Facts { book, crashes }, now);
        }
    }

    /// The crash of a process before this one, for a day.
    fn recent_crash(&self, now: Instant) -> Option<&Report> {
        let at = |crash: &Report| Instant::from_micros(crash.at_us);
        self.care.get()?.crash.as_deref().filter(|crash| now.since(at(crash)).as_secs() < 86_400)
    }

    /// All engines had their turns. One that still says that it is due is not waited for, and watched.
    pub(super) fn watch_turn(&mut self, all_done: bool, now: Instant) {
        let Some(care) = self.care.get_mut() else { return };
        care.health.watch.handle_well(now);
        if all_done && !care.health.watch.is_worried() {
            return;
        }
        for part in Part::ALL {
            let deadline = self.engine(part).and_then(Engine::next_deadline);
            let Some(Care { health: Health { watch, .. }, .. }) = self.care.get_mut() else { return };
            let rests = watch.rests_until(part).is_some_and(|rests| rests > now);
            match deadline.is_some_and(|deadline| deadline <= now) {
                true if rests => {}
                true => watch.handle_overdue(part, now),
                false => watch.handle_done(part),
            }
        }
        // Also if it is the watch itself that is due and does nothing.
        if let Some(care) = self.care.get_mut() {
            care.health.handle_looked(now);
        }
        self.settle(now);
    }

    /// What the watch wants.
    pub(super) fn route_care(&mut self, now: Instant) {
        while let Some(request) = self.care.get_mut().and_then(|care| care.health.poll_request()) {
            match request {
                health::Request::Measure => self.effects.push_back(Effect::Measure),
                health::Request::Look => self.look(now),
                health::Request::Read(path) => {
                    self.effects.push_back(Effect::Read { reader: Reader::Starts, path, limit: limits::STARTS_FILE });
                }
                health::Request::Write(steps) => {
                    self.effects.push_back(Effect::Write { writer: Writer::Starts, steps });
                }
                health::Request::Post(reason) => self.post(reason, now),
                health::Request::Cure(cure) => self.cure(cure, now),
            }
        }
    }

    fn look(&mut self, now: Instant) {
        for part in Part::ALL {
            let Some((tables, counters)) = self.engine(part).map(|engine| (engine.tables(), engine.counters())) else {
                continue;
            };
            if let Some(care) = self.care.get_mut() {
                care.health.handle_look(part, &tables, &counters, now);
            }
        }
        if let Some(care) = self.care.get_mut() {
            care.health.handle_looked(now);
        }
    }

    fn post(&mut self, reason: Reason, now: Instant) {
        let crash = self.care.get().and_then(|care| care.crash.as_deref()).filter(|_| reason == Reason::Crash);
        let json = match crash {
            Some(crash) => Some(self.crash_json(crash, now).into_bytes()),
            None => self.health_json(reason, now),
        };
        let timeout = self.config.health.collector_timeout;
        let sent = match (Url::parse(&self.config.health.collector_url), json) {
            (Ok(url), Some(json)) => self.client.bring(url, json, timeout, Asker::Collector, now).is_ok(),
            _ => false,
        };
        if !sent {
            self.delivered(false, now);
        }
    }

    /// What became of a report.
    pub(super) fn answer_collector(&mut self, outcome: Result<Fetched, FetchError>, now: Instant) {
        self.delivered(outcome.is_ok_and(|answer| (200..300).contains(&answer.status)), now);
    }

    fn delivered(&mut self, taken: bool, now: Instant) {
        if let Some(care) = self.care.get_mut() {
            care.health.handle_delivery(taken, now);
        }
    }

    fn cure(&mut self, cure: Cure, now: Instant) {
        match cure {
            Cure::Restart(part, trouble) => {
                log::warn!("{}: {}; it is started anew", part.name(), trouble.word());
                self.renew(part, now);
                if let Some(care) = self.care.get_mut() {
                    care.health.handle_cure(now);
                }
            }
            Cure::Exit(part, trouble) => {
                let (part, trouble) = (part.name(), trouble.word());
                log::error!("{part}: {trouble} again and again; the daemon ends to be started anew");
                self.farewell(now);
            }
        }
    }

    /// Makes an engine anew.
    fn renew(&mut self, part: Part, now: Instant) {
        #[cfg(test)]
        self.planted.retain(|(planted, stand_in)| *planted != part || stand_in.for_good);
        self.renewals = self.renewals.wrapping_add(1);
        let mut seed = self.seed;
        // Other identifiers than the old one had: an answer to the old one must not look like one to the new one.
        if let Some(byte) = seed.last_mut() {
            *byte = byte.wrapping_add(self.renewals);
        }
        match part {
            Part::Sip => {
                self.forget(|asker| matches!(asker, Asker::Sip(_) | Asker::SipListed(_)));
                let (saved, port) = (self.sip.save(self.keeper.boot_id()), self.sip.port());
                self.sip = Sip::new(&self.config.sip, &self.config.names.domain, &seed, now);
                self.sip.restore(&saved, self.keeper.boot_id(), now);
                self.sip.set_port(port);
                self.sip.set_identity(&self.identity.name, &self.identity.addresses);
                self.sip.handle_clock(self.clock);
                self.presence_revision = None;
                if let Some(desk) = self.desk.get_mut() {
                    desk.forget_targets();
                    desk.forget_calls();
                }
                self.keeper.forget(Writer::State);
                self.keeper.forget(Writer::ActiveCalls);
            }
            Part::Phonebook => {
                self.forget(|asker| matches!(asker, Asker::Fetch | Asker::Presence(_)));
                self.phonebook = Phonebook::new(&self.config.phonebook, &self.config.servers, &seed, now);
                self.phonebook.handle_clock(self.clock);
                // Who is registered is told once more.
                self.registered.clear();
                self.presence_revision = None;
                if let Some(desk) = self.desk.get_mut() {
                    desk.forget_targets();
                }
                if let Some(map) = self.map.get_mut() {
                    map.forget_book();
                }
                self.keeper.forget(Writer::BookJson);
            }
            // Its watches deliver everything again.
            Part::Hosts => self.hosts = Hosts::new(&self.config.names),
            Part::Dns => {
                let waiting = self.resolver.abandon();
                self.resolver = Resolver::new(&self.config.names, &seed);
                for asker in waiting {
                    self.deliver_answer(asker, Err(Unresolved::Failed), now);
                }
            }
            Part::HttpClient => {
                for asker in self.client.abandon() {
                    self.deliver_outcome(asker, Err(FetchError::NotReached), now);
                }
            }
            Part::HttpServer => self.server.abandon(),
            Part::Mesh => self.renew_map(&seed, now),
            Part::Probe => self.renew_desk(&seed, now),
            Part::Health => {
                let new = Health::new(&self.config.health, String::new(), now);
                if let Some(care) = self.care.get_mut() {
                    care.health = std::mem::replace(&mut care.health, new).anew(now);
                }
            }
        }
    }

    /// What these have asked others for is dropped.
    pub(super) fn forget(&mut self, gone: impl Fn(Asker) -> bool) {
        self.resolver.forget(&gone);
        self.client.forget(&gone);
    }
}

/// An older crash was told by an earlier process.
fn tell_crash(crash: &Report) {
    if crash.fresh {
        log::error!(
            "the process before this one crashed: {} in {}, {}{}{}; crashes in the last 24 hours: {}",
            crash.description(),
            crash.engine,
            crash.operation,
            if crash.message.is_empty() { "" } else { ": " },
            crash.message,
            crash.crash_count_24h
        );
    }
}
