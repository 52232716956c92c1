//! What every engine has in common, and the words in which engines ask each other for something.
//!
//! Conventions, the same in every engine:
//!
//! * `handle_*` takes in something that happened; `now` comes last.
//! * `poll_*` takes out something to be done; it is called until it answers `None`, after every `handle_*`.
//! * `next_deadline()` says when `handle_timeout(now)` must be called next; calling it too early does no harm.
//!
//! A request from one engine to another is data with a return address ([`Asker`]). `core/route.rs` delivers it. A full
//! table answers [`Busy`] at once.

use std::net::Ipv4Addr;

use crate::time::Instant;

/// A state machine without I/O, clock or chance of its own.
///
/// Laws that `tests/laws.rs` checks for every engine: an idle engine stays idle; after `handle_timeout(now)` the next
/// deadline is later than `now`; no table grows beyond its limit; an answer nobody waits for is counted and dropped; no
/// bytes make it panic; the same inputs give the same outputs.
pub trait Engine {
    /// Does everything that is due at `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// When there is something to do next, if nothing happens before; `None` is never.
    fn next_deadline(&self) -> Option<Instant>;

    /// Every table that input can fill, with its bound.
    fn tables(&self) -> Vec<Table>;

    /// What happened since the start, by reason.
    fn counters(&self) -> Vec<Counter>;
}

/// The engines, in the order in which they get their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The exchange.
    Sip,
    /// The book.
    Phonebook,
    /// Names in the node's files.
    Hosts,
    /// Names elsewhere.
    Dns,
    /// Downloads.
    HttpClient,
    /// The API's connections.
    HttpServer,
    /// The map.
    Mesh,
    /// The test desk.
    Probe,
    /// The watch over all of them.
    Health,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Sip,
        Self::Phonebook,
        Self::Hosts,
        Self::Dns,
        Self::HttpClient,
        Self::HttpServer,
        Self::Mesh,
        Self::Probe,
        Self::Health,
    ];

    /// As it is called in `/metrics`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Phonebook => "phonebook",
            Self::Hosts => "hosts",
            Self::Dns => "dns",
            Self::HttpClient => "http_client",
            Self::HttpServer => "http_server",
            Self::Mesh => "mesh",
            Self::Probe => "probe",
            Self::Health => "health",
        }
    }
}

/// How full a bounded table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// As it is called in `/metrics`.
    pub name: &'static str,
    /// Entries, or bytes where the limit is in bytes.
    pub used: usize,
    /// The bound, from `limits.rs` or the configuration.
    pub limit: usize,
}

/// How often something happened since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// As it is called in `/metrics`, without the engine's name in front.
    pub name: &'static str,
    /// Wraps never: counted in 64 bits.
    pub count: u64,
}

/// The table that would have to hold the request is full; ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Who asked, and what the answer is to be delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// The proxy waits for the address of a callee (the token of its request).
    Sip(u32),
    /// The same, for a callee whose number is in the book.
    SipListed(u32),
    /// The test desk wants the address of a phone (the token of its question).
    Probe(u32),
    /// The phonebook wants to know whether this entry's phone is on the mesh (index in the book).
    Presence(u32),
    /// The HTTP client needs the address of a server (its request).
    HttpClient(u32),
    /// The phonebook waits for a download.
    Fetch,
    /// The daemon's health waits for the collector to take a report.
    Collector,
    /// The map waits for a router's answer (the token of its question).
    Mesh(u32),
}

/// Who is at the other end of a stream that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on this machine with the right to control the daemon: the unix socket, which file permissions guard.
    Owner,
    /// Whoever has this address, over TCP.
    Address(Ipv4Addr),
}

/// A byte stream (TCP or unix socket), named by whoever opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// Accepted by the shell; belongs to the HTTP server.
    Incoming(u32),
    /// Dialled by an engine; belongs to the HTTP client.
    Outgoing(u32),
    /// The socket of the node's babeld; belongs to the map of the mesh.
    Babel,
}
