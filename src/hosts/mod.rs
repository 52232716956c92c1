//! The names that the node already knows: host files of arednlink and OLSR.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::files::Watched;
use crate::time::Instant;

/// The engine.
#[derive(Debug)]
pub struct Hosts {}

impl Hosts {
    /// Knows nothing until files come.
    pub fn new(_config: &config::Names) -> Self {
        Self {}
    }

    /// Takes over a changed configuration.
    pub fn set_config(&mut self, _config: &config::Names) {}

    /// The whole content of one file; `None`: it is gone.
    pub fn handle_file(&mut self, _watched: Watched, _name: &str, _contents: Option<&[u8]>, _now: Instant) {}

    /// Every address of a name, each once; case does not matter, nor whether the domain is said.
    pub fn lookup(&self, _name: &str) -> Vec<Ipv4Addr> {
        Vec::new()
    }

    /// Files that are to be watched.
    pub fn poll_watch(&mut self) -> Option<(Watched, PathBuf)> {
        None
    }
}

impl Engine for Hosts {
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
