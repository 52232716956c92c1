//! What the watch over the daemon wants done: measure, look at every engine, write to the collector, make an engine anew.
//!
//! An engine that is made anew gets what it must keep from the old one, and is told again what others had told it. Those who
//! waited for it are told that there is no answer; its own questions to others are dropped, so that no answer to the old one
//! reaches the new one. What is lost: of the exchange, requests on their way (registrations and calls live on, as over a restart of the
//! daemon); of the book, who is online until the next look; of the map and the tests, what only they knew (except who was
//! seen when); of the resolver, its cache; of the HTTP client and server, what was on its way.

use super::Core;
use super::event::{Effect, Report};
use crate::dns::{Resolver, Unresolved};
use crate::engine::{Asker, Engine, Part, StreamId};
use crate::files::{Reader, Watched, Writer};
use crate::health::{self, Cure, Facts, Health, Reason, SlowTurn, Usage};
use crate::hosts::Hosts;
use crate::limits;
use crate::mesh::Mesh;
use crate::phonebook::{self, Phonebook};
use crate::probe::Probe;
use crate::sip::Sip;
use crate::time::Instant;
use crate::wire::http::{FetchError, Url};

impl Core {
    /// What the watch wants.
    pub(super) fn route_health(&mut self, now: Instant) {
        while let Some(request) = self.health.poll_request() {
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
                health::Request::Cure(Cure::Restart(part, trouble)) => {
                    log::warn!("{}: {}; it is started anew", part.name(), trouble.word());
                    self.renew(part, now);
                    self.health.handle_cure(now);
                }
                health::Request::Cure(Cure::Exit(part, trouble)) => {
                    log::error!(
                        "{}: {} again and again; the daemon ends to be started anew",
                        part.name(),
                        trouble.word()
                    );
                    self.farewell(now);
                }
            }
        }
    }

    fn look(&mut self, now: Instant) {
        for part in Part::ALL {
            let (tables, counters) = {
                let engine = self.engine(part);
                (engine.tables(), engine.counters())
            };
            self.health.handle_look(part, &tables, &counters, now);
        }
        self.health.handle_looked(now);
    }

    pub(super) fn measured(&mut self, usage: Usage, now: Instant) {
        let book = match self.phonebook.status().state {
            _ if !self.config.phonebook.enabled => health::Book::Unknown,
            phonebook::State::Boot => health::Book::Boot,
            phonebook::State::Success => health::Book::Success,
            phonebook::State::Failed => health::Book::Failed,
            phonebook::State::Stale => health::Book::Stale,
        };
        let crashes = self.recent_crash(now).map_or(0, |crash| crash.crash_count_24h);
        self.health.handle_usage(usage, Facts { book, crashes }, now);
    }

    /// The crash of a process before this one, for a day.
    pub(super) fn recent_crash(&self, now: Instant) -> Option<&Report> {
        let at = |crash: &Report| Instant::from_micros(crash.at_us);
        self.crash.as_deref().filter(|crash| now.since(at(crash)).as_secs() < 86_400)
    }

    pub(super) fn crashed(&mut self, crash: &Report, now: Instant) {
        self.crash = Some(Box::new(crash.clone()));
        if crash.fresh {
            self.health.handle_crash(now);
        }
    }

    pub(super) fn slow_turn(
        &mut self,
        took: std::time::Duration,
        cause: &'static str,
        share: std::time::Duration,
        at: Instant,
    ) {
        self.health.handle_slow_turn(SlowTurn { at, took, cause, share, due: self.due });
    }

    fn post(&mut self, reason: Reason, now: Instant) {
        let json = match (reason, &self.crash) {
            (Reason::Crash, Some(crash)) => self.crash_json(crash, now).into_bytes(),
            _ => self.health_json(reason, now),
        };
        let timeout = self.config.health.collector_timeout;
        let sent = match Url::parse(&self.config.health.collector_url) {
            Ok(url) => self.client.bring(url, json, timeout, Asker::Collector, now).is_ok(),
            Err(_) => false,
        };
        if !sent {
            self.health.handle_delivery(false, now);
        }
    }

    /// Makes an engine anew.
    pub(super) fn renew(&mut self, part: Part, now: Instant) {
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
                (self.tested, self.talking) = (None, None);
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
                (self.tested, self.mapped_book) = (None, None);
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
            Part::Mesh => {
                self.forget(|asker| matches!(asker, Asker::Mesh(_)));
                self.effects.push_back(Effect::Abort(StreamId::Babel));
                // Who was seen when is kept, as over a restart of the daemon.
                let mut saved = self.sip.save(self.keeper.boot_id());
                self.mesh.book().save(&mut saved, now);
                self.mesh = Mesh::new(&self.config, &seed, now);
                self.mesh.restore(&saved, self.keeper.boot_id(), now);
                self.keeper.forget(Writer::State);
                self.mesh.handle_clock(self.clock);
                self.mesh.set_identity(&self.identity.name, &self.identity.addresses, now);
                self.mapped_book = None;
                // Host files are watched for the hosts, and the map has them from there.
                let names = &self.config.names;
                let files = [(Watched::HostsDir, &names.hosts_dir), (Watched::HostsOlsr, &names.hosts_olsr)];
                self.effects.extend(files.map(|(watched, path)| Effect::Watch { watched, path: path.clone() }));
            }
            Part::Probe => {
                self.forget(|asker| matches!(asker, Asker::Probe(_)));
                let port = self.probe.port();
                let rung = self.probe.take_rung();
                self.probe = Probe::new(&self.config.probe, &seed, now);
                self.probe.set_rung(rung);
                self.probe.set_port(port);
                self.probe.set_identity(&self.identity.addresses);
                self.probe.handle_icmp_mode(self.icmp.0, self.icmp.1, now);
                (self.tested, self.talking, self.testing) = (None, None, false);
                self.keeper.forget(Writer::PhoneTests);
            }
            Part::Health => {
                let new = Health::new(&self.config.health, String::new(), now);
                self.health = std::mem::replace(&mut self.health, new).anew(now);
            }
        }
    }

    /// What these have asked others for is dropped.
    fn forget(&mut self, gone: impl Fn(Asker) -> bool) {
        self.resolver.forget(&gone);
        self.client.forget(&gone);
    }

    /// The engine of that name.
    pub(super) fn engine(&self, part: Part) -> &dyn Engine {
        #[cfg(test)]
        if let Some((_, planted)) = self.planted.iter().find(|(planted, _)| *planted == part) {
            return planted;
        }
        match part {
            Part::Sip => &self.sip,
            Part::Phonebook => &self.phonebook,
            Part::Hosts => &self.hosts,
            Part::Dns => &self.resolver,
            Part::HttpClient => &self.client,
            Part::HttpServer => &self.server,
            Part::Mesh => &self.mesh,
            Part::Probe => &self.probe,
            Part::Health => &self.health,
        }
    }

    pub(super) fn engine_mut(&mut self, part: Part) -> &mut dyn Engine {
        #[cfg(test)]
        if let Some(index) = self.planted.iter().position(|(planted, _)| *planted == part) {
            return &mut self.planted[index].1;
        }
        match part {
            Part::Sip => &mut self.sip,
            Part::Phonebook => &mut self.phonebook,
            Part::Hosts => &mut self.hosts,
            Part::Dns => &mut self.resolver,
            Part::HttpClient => &mut self.client,
            Part::HttpServer => &mut self.server,
            Part::Mesh => &mut self.mesh,
            Part::Probe => &mut self.probe,
            Part::Health => &mut self.health,
        }
    }
}

#[cfg(test)]
#[path = "care_tests.rs"]
mod tests;
