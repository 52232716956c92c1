//! Names to addresses over UDP (RFC 1035), with a cache.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use crate::config;
use crate::engine::{Asker, Busy, Counter, Engine, Table};
use crate::files::Watched;
use crate::rng::Seed;
use crate::time::Instant;

/// The addresses of one name, in the order in which the server gave them.
pub type Addresses = heapless::Vec<Ipv4Addr, 8>;

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It does not exist, has no IPv4 address, or is no name at all.
    NoSuchName,
    /// No server answered.
    NoAnswer,
    /// No server is known.
    NoServer,
    /// The servers could not say.
    Failed,
}

/// The engine.
#[derive(Debug)]
pub struct Resolver {}

impl Resolver {
    /// A resolver with an empty cache.
    pub fn new(_config: &config::Names, _seed: &Seed) -> Self {
        Self {}
    }

    /// Takes over a changed configuration.
    pub fn set_config(&mut self, _config: &config::Names) {}

    /// The content of `resolv.conf`; `None`: it is gone.
    pub fn handle_resolv_conf(&mut self, _contents: Option<&[u8]>) {}

    /// Asks for the addresses of `name`; answered by [`Resolver::poll_answer`], exactly once.
    pub fn ask(&mut self, _name: &str, _asker: Asker, _now: Instant) -> Result<(), Busy> {
        Err(Busy)
    }

    /// A datagram came on the resolver's socket.
    pub fn handle_datagram(&mut self, _datagram: &[u8], _source: SocketAddrV4, _now: Instant) {}

    /// Nobody listens there (ICMP).
    pub fn handle_unreachable(&mut self, _destination: SocketAddrV4, _now: Instant) {}

    /// The next datagram to send: to whom, and how many bytes of `buffer`.
    pub fn poll_transmit(&mut self, _buffer: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        None
    }

    /// An answer to somebody who asked.
    pub fn poll_answer(&mut self) -> Option<(Asker, Result<Addresses, Unresolved>)> {
        None
    }

    /// A file that is to be watched.
    pub fn poll_watch(&mut self) -> Option<(Watched, PathBuf)> {
        None
    }
}

impl Engine for Resolver {
    fn handle_timeout(&mut self, _now: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn tables(&self) -> Vec<Table> {
        Vec::new()
    }

    fn counters(&self) -> Vec<Counter> {
        Vec::new()
    }
}
