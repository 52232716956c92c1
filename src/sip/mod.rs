//! Registrar and transaction-stateful proxy (RFC 3261 §10, §16, §17) over UDP and IPv4: the engine [`Sip`].
//!
//! (First landing: the interface. The proxy moves in behind it.)

pub mod calls;
pub mod cookie;
pub mod fairness;
pub mod ours;
pub mod outbox;
pub mod registrar;
pub mod state;
mod text;
pub mod transaction;

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::rng::Seed;
use crate::time::{Clock, Instant};

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
    registrar: registrar::Registrar,
    calls: calls::Calls,
    outbox: outbox::Outbox,
}

impl Sip {
    /// An exchange for phones of `domain`.
    pub fn new(config: &config::Sip, domain: &str, seed: &Seed, now: Instant) -> Self {
        let _ = (config, domain, seed, now);
        Self {
            registrar: registrar::Registrar::new(config),
            calls: calls::Calls::new(config),
            outbox: outbox::Outbox::default(),
        }
    }

    /// Takes over a changed configuration. Calls and registrations stay.
    pub fn set_config(&mut self, config: &config::Sip, domain: &str, now: Instant) {
        let _ = (config, domain, now);
    }

    /// Who this node is: its host name and addresses.
    pub fn set_identity(&mut self, name: &str, addresses: &[Ipv4Addr]) {
        let _ = (name, addresses);
    }

    /// What the wall clock says.
    pub fn handle_clock(&mut self, clock: Clock) {
        let _ = clock;
    }

    /// A datagram came from `source` to `local`, an address of ours.
    pub fn handle_datagram(&mut self, bytes: &[u8], source: SocketAddrV4, local: SocketAddrV4, now: Instant) {
        let _ = (bytes, source, local, now);
    }

    /// The network says that `destination` cannot be reached.
    pub fn handle_unreachable(&mut self, destination: SocketAddrV4, now: Instant) {
        let _ = (destination, now);
    }

    /// More datagrams wait than a turn of the loop may take, or not any more.
    pub fn handle_congestion(&mut self, busy: bool) {
        let _ = busy;
    }

    /// The answer to a [`Question`].
    pub fn handle_whereabouts(&mut self, token: u32, whereabouts: Whereabouts<'_>, now: Instant) {
        let _ = (token, whereabouts, now);
    }

    /// The next name that somebody else must find the address of. Poll after every `handle_*`.
    pub fn poll_question(&mut self) -> Option<Question> {
        None
    }

    /// The next datagram to send, copied into `buffer`. Poll after every `handle_*`.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Sent> {
        self.outbox.poll(buffer)
    }

    /// Registrations and calls, for the process after this one (JSON). `boot_id` names this start of the machine.
    pub fn save(&self, boot_id: &str) -> Vec<u8> {
        let _ = boot_id;
        Vec::new()
    }

    /// Takes over what [`Sip::save`] of an earlier process wrote. Damaged text is ignored.
    pub fn restore(&mut self, saved: &[u8], boot_id: &str, now: Instant) {
        let _ = (saved, boot_id, now);
    }

    /// Who can be called.
    pub fn registrar(&self) -> &registrar::Registrar {
        &self.registrar
    }

    /// Who talks with whom.
    pub fn calls(&self) -> &calls::Calls {
        &self.calls
    }

    /// Grows whenever [`Sip::save`] would say something new that is worth writing.
    pub fn revision(&self) -> u64 {
        0
    }
}

impl Engine for Sip {
    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.outbox.table()]
    }

    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }
}
