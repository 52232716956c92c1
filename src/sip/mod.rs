//! Registrar and transaction-stateful proxy (RFC 3261 §10, §16, §17) over UDP and IPv4: the engine [`Sip`].
//!
//! This file is the face: it reads datagrams and hands them down. `proxy.rs` has the picture of what happens then; the four
//! transaction machines are in `transaction/`; `registrar.rs` and `calls.rs` stand beside.
//!
//! Everything that is to be sent waits in the outbox, every name to be found in the queue of questions: poll both after every
//! `handle_*`.

pub mod calls;
pub mod cookie;
pub mod fairness;
pub mod ours;
pub mod outbox;
mod proxy;
pub mod registrar;
pub mod response;
pub mod state;
pub mod target;
mod text;
pub mod transaction;

use std::net::{Ipv4Addr, SocketAddrV4};

use log::info;

use self::calls::Calls;
use self::proxy::Proxy;
use self::registrar::Registrar;
use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::limits;
use crate::rng::Seed;
use crate::time::{Clock, Instant, sooner};
use crate::wire::sip::{HeaderTable, Message, StartLine};

pub use outbox::Sent;

/// A name whose address somebody else must find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Returned with the answer.
    pub token: u32,
    /// What is asked for.
    pub name: Name,
}

/// What a [`Question`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A phone: letters, digits, "-", "_" and "." only; to be looked for as `<number>.<domain>`.
    Number(String),
    /// A host name, from a Route or Request-URI.
    Host(String),
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts<'a> {
    /// At these addresses; none is as good as unknown.
    At(&'a [Ipv4Addr]),
    /// Nobody knows it.
    Unknown,
    /// It is in the book, but not on the mesh now.
    KnownButUnreachable,
}

/// The engine.
#[derive(Debug)]
pub struct Sip {
    enabled: bool,
    /// Where the headers of the datagram at hand are.
    table: HeaderTable,
    proxy: Proxy,
}

impl Sip {
    /// An exchange for phones of `domain`.
    pub fn new(config: &config::Sip, domain: &str, seed: &Seed, now: Instant) -> Self {
        let _ = now;
        Self { enabled: config.enabled, table: HeaderTable::default(), proxy: Proxy::new(config, domain, seed) }
    }

    /// Takes over a changed configuration. Calls and registrations stay.
    pub fn set_config(&mut self, config: &config::Sip, domain: &str, now: Instant) {
        let _ = now;
        self.enabled = config.enabled;
        self.proxy.set_config(config, domain);
    }

    /// The port that is really listened on, where the configuration says 0 (any).
    pub fn set_port(&mut self, port: u16) {
        self.proxy.ours.set_port(port);
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.proxy.ours.port()
    }

    /// Who this node is: its host name and addresses.
    pub fn set_identity(&mut self, name: &str, addresses: &[Ipv4Addr]) {
        self.proxy.set_identity(name, addresses);
    }

    /// What the wall clock says.
    pub fn handle_clock(&mut self, clock: Clock) {
        self.proxy.registrar.set_clock(clock);
    }

    /// A datagram came from `source` to `local`, an address of ours.
    pub fn handle_datagram(&mut self, bytes: &[u8], source: SocketAddrV4, local: SocketAddrV4, now: Instant) {
        if !self.enabled {
            return;
        }
        let Self { table, proxy, .. } = self;
        match Message::parse(bytes, table) {
            Ok(message) => match message.start_line() {
                StartLine::Request { .. } => proxy.handle_request(&message, source, local, now),
                StartLine::Response { .. } => proxy.handle_response(&message, now),
            },
            Err(what) => proxy.counts.count_not_sip(what),
        }
    }

    /// The network says that `destination` cannot be reached.
    ///
    /// `quoted` is the beginning of what was sent there, as the ICMP has it: without it anybody could end calls that have not
    /// been answered yet. `None`: our own system says so.
    pub fn handle_unreachable(&mut self, destination: SocketAddrV4, quoted: Option<&[u8]>, now: Instant) {
        self.proxy.handle_unreachable(destination, quoted, now);
    }

    /// More datagrams wait than a turn of the loop may take, or not any more.
    pub fn handle_congestion(&mut self, busy: bool) {
        self.proxy.fairness.handle_congestion(busy);
    }

    /// The answer to a [`Question`].
    pub fn handle_whereabouts(&mut self, token: u32, whereabouts: Whereabouts<'_>, now: Instant) {
        self.proxy.handle_whereabouts(token, whereabouts, now);
    }

    /// The next name that somebody else must find the address of. Poll after every `handle_*`.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.proxy.poll_question()
    }

    /// The next datagram to send, copied into `buffer`. Poll after every `handle_*`.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Sent> {
        self.proxy.outbox.poll(buffer)
    }

    /// Who is registered.
    pub fn registrar(&self) -> &Registrar {
        &self.proxy.registrar
    }

    /// The calls that people look at.
    pub fn calls(&self) -> &Calls {
        &self.proxy.calls
    }

    /// Registrations and calls, for the process after this one (JSON). `boot_id` names this start of the machine: the
    /// instants in it mean nothing after another one.
    pub fn save(&self, boot_id: &str) -> Vec<u8> {
        state::save(boot_id, &self.proxy.registrar, &self.proxy.calls)
    }

    /// Takes over what [`Sip::save`] of an earlier process wrote. Damaged text is ignored.
    pub fn restore(&mut self, saved: &[u8], boot_id: &str, now: Instant) {
        let restored = state::restore(saved, boot_id, &mut self.proxy.registrar, &mut self.proxy.calls, now);
        if restored.registrations + restored.calls > 0 {
            info!("{} registrations and {} calls live on", restored.registrations, restored.calls);
        }
    }

    /// Another number whenever [`Sip::save`] would say something new that is worth writing.
    pub fn revision(&self) -> u64 {
        self.proxy.registrar.revision().wrapping_add(self.proxy.calls.revision())
    }
}

impl Engine for Sip {
    fn handle_timeout(&mut self, now: Instant) {
        self.proxy.handle_timeout(now);
        self.proxy.registrar.handle_timeout(now);
        self.proxy.calls.handle_timeout(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let proxy = &self.proxy;
        sooner(proxy.store.next_deadline(), sooner(proxy.registrar.next_deadline(), proxy.calls.next_deadline()))
    }

    fn tables(&self) -> Vec<Table> {
        let proxy = &self.proxy;
        let questions = Table { name: "sip_questions", used: proxy.questions(), limit: limits::SIP_QUESTIONS };
        let mut tables = vec![proxy.outbox.table(), questions];
        tables.extend(proxy.store.tables());
        tables.extend(proxy.registrar.tables());
        tables.extend(proxy.calls.tables());
        tables
    }

    fn counters(&self) -> Vec<Counter> {
        let proxy = &self.proxy;
        let mut counters = proxy.counts.list();
        let (sent, lost) = proxy.outbox.counts();
        counters.extend([
            Counter { name: "datagrams_sent", count: sent },
            Counter { name: "datagrams_lost", count: lost },
            Counter { name: "transactions_evicted", count: proxy.store.evicted() },
        ]);
        counters.extend(proxy.registrar.counters());
        counters.extend(proxy.calls.counters());
        counters
    }
}
