//! All engines together, still without I/O: the whole daemon as one value that a test can run on a virtual clock.
//!
//! The contract with the shell: after every `handle_*`, poll until nothing comes any more, in any order:
//! [`Core::poll_datagram`], [`Core::poll_stream`], [`Core::poll_effect`]. Then sleep until [`Core::next_deadline`] at the
//! latest. Calling too often does no harm.
//!
//! An engine to come (modem, lte) is a field here, a [`Part`] with its lines here and in `care/mod.rs`, its arms in
//! `route.rs`, and its kinds of [`event::Udp`], [`crate::files::Reader`] or [`crate::engine::Asker`]. One that small devices do
//! without is in a [`Slot`], as the test desk (`desk/`), the map (`map.rs`) and the watch (`care/`) are.

mod care;
mod desk;
pub mod event;
pub mod flight;
mod keep;
mod map;
mod route;
mod slot;
mod view;

use std::collections::VecDeque;

use crate::config::Config;
use crate::dns::Resolver;
use crate::engine::{Engine, Part, StreamId, Table};
use crate::features::Feature;
use crate::hosts::Hosts;
use crate::http::client::Client;
use crate::http::server::Server;
use crate::limits;
use crate::phonebook::Phonebook;
use crate::rng::Seed;
use crate::sip::Sip;
use crate::sorted::SortedSet;
use crate::time::{Clock, Instant, sooner};

use care::Care;
use desk::Desk;
use event::{Effect, Event, IcmpOut, Identity, Transmit, Udp};
use flight::Flight;
use map::Map;
use slot::{Slot, one_of};

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
    desk: Slot<Desk, { one_of(Feature::Desk) }>,
    map: Slot<Map, { one_of(Feature::Mesh) }>,
    care: Slot<Care, { one_of(Feature::Health) }>,
    keeper: keep::Keeper,
    /// The numbers that were registered when [`crate::sip::registrar::Registrar::presence_revision`] was this.
    registered: SortedSet<String>,
    presence_revision: Option<u64>,
    /// Until then, strangers cannot have the configuration read again.
    reload_rests_until: Instant,
    /// Which engines had something due in the last turn of the loop, a bit each.
    due: u16,
    seed: Seed,
    /// Engines that were made anew.
    renewals: u8,
    /// Engines that stand in for others, to see what becomes of those that do not do their work.
    #[cfg(test)]
    planted: Vec<(Part, care::Planted)>,
    /// Nothing of the mesh around us is real.
    simulated: bool,
    effects: VecDeque<Effect>,
    /// In a place of its own, where the handler of a fatal signal finds it.
    flight: Slot<Box<Flight>, { one_of(Feature::Health) }>,
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
            desk: Slot::new(|| Desk::new(&config, seed, now)),
            map: Slot::new(|| Map::new(&config, seed, now)),
            care: Slot::new(|| Care::new(&config, &boot_id, now)),
            keeper: keep::Keeper::new(boot_id, now),
            registered: SortedSet::new(),
            presence_revision: Some(0),
            reload_rests_until: now,
            due: 0,
            seed: *seed,
            renewals: 0,
            #[cfg(test)]
            planted: Vec::new(),
            simulated: false,
            effects: VecDeque::new(),
            flight: Slot::new(Box::default),
            config,
        };
        core.effects.push_back(core.keeper.read_state(&core.config));
        core.clear_map();
        core.settle(now);
        core
    }

    /// Something happened outside.
    pub fn handle_event(&mut self, event: Event<'_>, now: Instant) {
        self.take_in(event, now);
        self.settle(now);
    }

    /// The same for one of many, after the last of which [`Self::settle`] must follow.
    pub fn take_in(&mut self, event: Event<'_>, now: Instant) {
        if let Some(flight) = self.flight.get_mut() {
            flight.record(&event, now);
        }
        self.deliver(event, now);
    }

    /// The configuration was read again. Calls and registrations stay.
    pub fn handle_config(&mut self, config: Config, now: Instant) {
        self.busy("", "configuration");
        self.sip.set_config(&config.sip, &config.names.domain, now);
        self.phonebook.handle_config(&config.phonebook, &config.servers, now);
        self.hosts.set_config(&config.names);
        self.resolver.set_config(&config.names);
        if let Some(map) = self.map.get_mut() {
            map.mesh.handle_config(&config, now);
        }
        if let Some(desk) = self.desk.get_mut() {
            desk.probe.handle_config(&config.probe, now);
        }
        if let Some(care) = self.care.get_mut() {
            care.handle_config(&config, now);
        }
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
                if self.deadline(part).is_none_or(|deadline| deadline > now) {
                    continue;
                }
                self.busy(part.name(), "timeout");
                if let Some(engine) = self.engine_mut(part) {
                    engine.handle_timeout(now);
                }
                self.due |= 1 << part as u16;
                due = true;
            }
            self.settle(now);
            if !due {
                all_done = true;
                break;
            }
        }
        self.watch_turn(all_done, now);
    }

    /// When there is something to do next, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let engines = Part::ALL.into_iter().map(|part| self.deadline(part));
        let waiting = self.desk.get().and_then(Desk::next_deadline);
        engines.fold(sooner(self.keeper.next_deadline(), waiting), sooner)
    }

    /// When the engine is to be given its turn: when it says, unless it has just had one in vain.
    fn deadline(&self, part: Part) -> Option<Instant> {
        let deadline = self.engine(part)?.next_deadline()?;
        let rests = self.care.get().and_then(|care| care.rests_until(part));
        Some(rests.map_or(deadline, |rests| deadline.max(rests)))
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
            Udp::Probe => self.desk.get_mut()?.poll_transmit(buffer),
        }
    }

    /// The next ICMP message to be sent at this very moment, written into `buffer`.
    pub fn poll_icmp(&mut self, buffer: &mut [u8], now: Instant) -> Option<IcmpOut> {
        self.desk.get_mut()?.poll_icmp(buffer, now)
    }

    /// Whether the test desk has its turn so soon that answers to tests can wait until then.
    pub fn answers_can_wait(&self, now: Instant) -> bool {
        self.deadline(Part::Probe).is_some_and(|deadline| deadline <= now + limits::PROBE_QUANTUM)
    }

    /// The next bytes to be written on a stream; 0: nothing now.
    pub fn poll_stream(&mut self, stream: StreamId, buffer: &mut [u8]) -> usize {
        let length = match stream {
            StreamId::Incoming(_) => self.server.poll_send(stream, buffer),
            StreamId::Outgoing(_) => self.client.poll_send(stream, buffer),
            StreamId::Babel => self.map.get_mut().map_or(0, |map| map.mesh.poll_send(buffer)),
        };
        // With its last bytes a stream is done, and whoever reads to the end waits for us to close it.
        self.route_effects();
        length
    }

    /// The next thing to be done outside.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What happened last, and what is being done; nobody keeps it where no crash is told.
    pub fn flight(&self) -> Option<&Flight> {
        self.flight.get().map(|flight| &**flight)
    }

    /// An engine begins something that did not come from outside.
    fn busy(&mut self, engine: &'static str, operation: &'static str) {
        if let Some(flight) = self.flight.get_mut() {
            flight.busy(engine, operation, 0);
        }
    }

    /// Calls that are shown.
    pub fn active_calls(&self) -> usize {
        self.sip.calls().len()
    }

    /// Every bounded table of every engine.
    pub fn tables(&self) -> Vec<Table> {
        self.engines().flat_map(|(_, engine)| engine.tables()).collect()
    }

    /// Those that there are.
    fn engines(&self) -> impl Iterator<Item = (Part, &dyn Engine)> {
        Part::ALL.into_iter().filter_map(|part| Some((part, self.engine(part)?)))
    }

    /// The engine of that name, unless the program was built without it.
    fn engine(&self, part: Part) -> Option<&dyn Engine> {
        #[cfg(test)]
        if let Some((_, planted)) = self.planted.iter().find(|(planted, _)| *planted == part) {
            return Some(planted);
        }
        Some(match part {
            Part::Sip => &self.sip,
            Part::Phonebook => &self.phonebook,
            Part::Hosts => &self.hosts,
            Part::Dns => &self.resolver,
            Part::HttpClient => &self.client,
            Part::HttpServer => &self.server,
            Part::Mesh => &self.map.get()?.mesh,
            Part::Probe => &self.desk.get()?.probe,
            Part::Health => &self.care.get()?.health,
        })
    }

    fn engine_mut(&mut self, part: Part) -> Option<&mut dyn Engine> {
        #[cfg(test)]
        if let Some(index) = self.planted.iter().position(|(planted, _)| *planted == part) {
            return Some(&mut self.planted[index].1);
        }
        Some(match part {
            Part::Sip => &mut self.sip,
            Part::Phonebook => &mut self.phonebook,
            Part::Hosts => &mut self.hosts,
            Part::Dns => &mut self.resolver,
            Part::HttpClient => &mut self.client,
            Part::HttpServer => &mut self.server,
            Part::Mesh => &mut self.map.get_mut()?.mesh,
            Part::Probe => &mut self.desk.get_mut()?.probe,
            Part::Health => &mut self.care.get_mut()?.health,
        })
    }
}
