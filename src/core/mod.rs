//! All engines together, still without I/O: the whole daemon as one value that a test can run on a virtual clock.
//!
//! The contract with the shell: after every `handle_*`, poll until nothing comes any more, in any order:
//! [`Core::poll_datagram`], [`Core::poll_stream`], [`Core::poll_effect`]. Then sleep until [`Core::next_deadline`] at the
//! latest. Calling too often does no harm.
//!
//! An engine to come (modem, lte) is a field here, a [`Part`] with its lines in `care.rs`, its arms in
//! `route.rs`, and its kinds of [`event::Udp`], [`crate::files::Reader`] or [`crate::engine::Asker`].

mod care;
mod desk;
pub mod event;
pub mod flight;
mod keep;
mod live;
#[cfg(test)]
mod planted;
mod route;
mod view;
mod view_health;

use std::collections::VecDeque;

use crate::config::Config;
use crate::dns::Resolver;
use crate::engine::{Engine, Part, StreamId, Table};
use crate::health::Health;
use crate::hosts::Hosts;
use crate::http::client::Client;
use crate::http::server::Server;
use crate::limits;
use crate::mesh::Mesh;
use crate::phonebook::Phonebook;
use crate::probe::Probe;
use crate::rng::Seed;
use crate::sip::Sip;
use crate::sorted::SortedSet;
use crate::time::{Clock, Instant, sooner};

use event::{Effect, Event, IcmpMode, IcmpOut, Identity, Report, Transmit, Udp};
use flight::Flight;

/// The daemon without its shell.
pub struct Core {
    config: Config,
    started: Instant,
    clock: Clock,
    identity: Identity,
    sip: Sip,
    phonebook: Phonebook,
    hosts: Hosts,
    resolver: Resolver,
    client: Client,
    server: Server,
    mesh: Mesh,
    probe: Probe,
    health: Health,
    keeper: keep::Keeper,
    live: live::Live,
    /// The numbers that were registered when [`crate::sip::registrar::Registrar::presence_revision`] was this.
    registered: SortedSet<String>,
    presence_revision: Option<u64>,
    /// The revisions of book and registrar when the test desk was told whom to test, and of the calls when it was told
    /// who talks.
    tested: Option<(u64, u64)>,
    talking: Option<u64>,
    /// The revision of the book that the map knows.
    mapped_book: Option<u64>,
    /// Until then, strangers cannot have the configuration read again.
    reload_rests_until: Instant,
    /// Whether a cycle of tests was going on when somebody looked last.
    testing: bool,
    /// Which ICMP socket there is, and the identifier of its echoes.
    icmp: (IcmpMode, u16),
    /// The most recent crash of a process before this one.
    crash: Option<Box<Report>>,
    /// Which engines had something due in the last turn of the loop, a bit each.
    due: u16,
    seed: Seed,
    /// Engines that were made anew.
    renewals: u8,
    /// Engines that stand in for others, to see what becomes of those that do not do their work.
    #[cfg(test)]
    planted: Vec<(Part, planted::Planted)>,
    /// Nothing of the mesh around us is real.
    simulated: bool,
    effects: VecDeque<Effect>,
    /// In a place of its own, where the handler of a fatal signal finds it.
    flight: Box<Flight>,
}

impl Core {
    /// A daemon that has not seen anything yet. `boot_id` names this run of the machine: what an earlier process saved
    /// under another name is not believed.
    pub fn new(config: Config, seed: &Seed, boot_id: String, now: Instant) -> Self {
        let mut core = Self {
            started: now,
            clock: Clock::default(),
            identity: Identity::default(),
            sip: Sip::new(&config.sip, &config.names.domain, seed, now),
            phonebook: Phonebook::new(&config.phonebook, &config.servers, seed, now),
            hosts: Hosts::new(&config.names),
            resolver: Resolver::new(&config.names, seed),
            client: Client::new(),
            server: Server::new(),
            mesh: Mesh::new(&config, seed, now),
            probe: Probe::new(&config.probe, seed, now),
            health: Health::new(&config.health, boot_id.clone(), now),
            keeper: keep::Keeper::new(boot_id, now),
            live: live::Live::new(now),
            registered: SortedSet::new(),
            presence_revision: Some(0),
            tested: None,
            talking: None,
            mapped_book: None,
            reload_rests_until: now,
            testing: false,
            icmp: (IcmpMode::None, 0),
            crash: None,
            due: 0,
            seed: *seed,
            renewals: 0,
            #[cfg(test)]
            planted: Vec::new(),
            simulated: false,
            effects: VecDeque::new(),
            flight: Box::default(),
            config,
        };
        core.health.watch.set_ringing(core.config.sip.timer_c);
        core.effects.push_back(core.keeper.read_state(&core.config));
        core.settle(now);
        core
    }

    /// Something happened outside.
    pub fn handle_event(&mut self, event: Event<'_>, now: Instant) {
        self.flight.record(&event, now);
        self.deliver(event, now);
        self.settle(now);
    }

    /// The configuration was read again. Calls and registrations stay.
    pub fn handle_config(&mut self, config: Config, now: Instant) {
        self.flight.busy("", "configuration", 0);
        self.sip.set_config(&config.sip, &config.names.domain, now);
        self.phonebook.handle_config(&config.phonebook, &config.servers, now);
        self.hosts.set_config(&config.names);
        self.resolver.set_config(&config.names);
        self.mesh.handle_config(&config, now);
        self.probe.handle_config(&config.probe, now);
        self.health.handle_config(&config.health, now);
        self.health.watch.set_ringing(config.sip.timer_c);
        self.keeper.handle_config(&self.config, &config);
        self.config = config;
        self.settle(now);
    }

    /// Does everything that is due. What one engine then says may make another one due at once.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.due = 0;
        let mut all_done = false;
        for _ in 0..limits::ROUNDS {
            let mut due = false;
            for part in Part::ALL {
                if self.deadline(part).is_some_and(|deadline| deadline <= now) {
                    self.flight.busy(part.name(), "timeout", 0);
                    self.engine_mut(part).handle_timeout(now);
                    self.due |= 1 << part as u16;
                    due = true;
                }
            }
            self.settle(now);
            if !due {
                all_done = true;
                break;
            }
        }
        self.health.watch.handle_well(now);
        if all_done && !self.health.watch.is_worried() {
            return;
        }
        // They had their turns. One that still says that it is due is not waited for, and watched.
        for part in Part::ALL {
            let rests = self.health.watch.rests_until(part).is_some_and(|rests| rests > now);
            match self.engine(part).next_deadline().is_some_and(|deadline| deadline <= now) {
                true if rests => {}
                true => self.health.watch.handle_overdue(part, now),
                false => self.health.watch.handle_done(part),
            }
        }
        // Also if it is the watch itself that is due and does nothing.
        self.health.handle_looked(now);
        self.settle(now);
    }

    /// When there is something to do next, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let engines = Part::ALL.into_iter().map(|part| self.deadline(part));
        engines.fold(sooner(self.keeper.next_deadline(), self.live.next_deadline()), sooner)
    }

    /// When the engine is to be given its turn: when it says, unless it has just had one in vain.
    fn deadline(&self, part: Part) -> Option<Instant> {
        let deadline = self.engine(part).next_deadline()?;
        Some(self.health.watch.rests_until(part).map_or(deadline, |rests| deadline.max(rests)))
    }

    /// The next datagram to be sent by `socket`, written into `buffer`, which holds any datagram.
    pub fn poll_datagram(&mut self, socket: Udp, buffer: &mut [u8]) -> Option<Transmit> {
        match socket {
            Udp::Sip => {
                let sent = self.sip.poll_transmit(buffer)?;
                Some(Transmit { socket, source: sent.source, destination: sent.destination, len: sent.len })
            }
            Udp::Dns => {
                let (destination, len) = self.resolver.poll_transmit(buffer)?;
                Some(Transmit { socket, source: None, destination, len })
            }
            Udp::Probe => {
                let (destination, len) = self.probe.poll_transmit(buffer)?;
                Some(Transmit { socket, source: None, destination, len })
            }
        }
    }

    /// The next ICMP message to be sent at this very moment, written into `buffer`.
    pub fn poll_icmp(&mut self, buffer: &mut [u8], now: Instant) -> Option<IcmpOut> {
        self.probe.poll_icmp(buffer, now)
    }

    /// The next bytes to be written on a stream; 0: nothing now.
    pub fn poll_stream(&mut self, stream: StreamId, buffer: &mut [u8]) -> usize {
        let length = match stream {
            StreamId::Incoming(_) => self.server.poll_send(stream, buffer),
            StreamId::Outgoing(_) => self.client.poll_send(stream, buffer),
            StreamId::Babel => self.mesh.poll_send(buffer),
        };
        // With its last bytes a stream is done, and whoever reads to the end waits for us to close it.
        self.route_effects();
        length
    }

    /// The next thing to be done outside.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What happened last, and what is being done.
    pub fn flight(&self) -> &Flight {
        &self.flight
    }

    /// Calls that are shown.
    pub fn active_calls(&self) -> usize {
        self.sip.calls().len()
    }

    /// Every bounded table of every engine.
    pub fn tables(&self) -> Vec<Table> {
        self.engines().flat_map(|(_, engine)| engine.tables()).collect()
    }

    fn engines(&self) -> impl Iterator<Item = (Part, &dyn Engine)> {
        Part::ALL.into_iter().map(|part| (part, self.engine(part)))
    }
}
