//! Fetches documents: a few at once, each with a time limit and a size limit.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Command;
use crate::engine::{Asker, Busy, Counter, Engine, StreamId, Table};
use crate::time::Instant;
use crate::wire::http::{FetchError, Fetched, Url};

/// What is to be fetched, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// From where.
    pub url: Url,
    /// What the caller has already (`If-None-Match`).
    pub etag: Option<String>,
    /// Of when the caller's copy is (`If-Modified-Since`), as the server had said it.
    pub last_modified: Option<String>,
    /// To find the address of the server and reach it; anew for each redirect.
    pub connect_timeout: Duration,
    /// For everything.
    pub total_timeout: Duration,
    /// The largest body that is taken, in bytes.
    pub max_body: usize,
}

/// The engine.
#[derive(Debug, Default)]
pub struct Client {}

impl Client {
    /// A client that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a download; its end is told by [`Client::poll_outcome`], exactly once.
    pub fn fetch(&mut self, _request: FetchRequest, _asker: Asker, _now: Instant) -> Result<(), Busy> {
        Err(Busy)
    }

    /// The address of the host that [`Client::poll_question`] asked for; `None`: there is none.
    pub fn handle_address(&mut self, _request: u32, _address: Option<Ipv4Addr>, _now: Instant) {}

    /// A stream that was dialled is open.
    pub fn handle_connected(&mut self, _stream: StreamId, _now: Instant) {}

    /// Bytes came.
    pub fn handle_received(&mut self, _stream: StreamId, _bytes: &[u8], _now: Instant) {}

    /// The other side will send no more, or the stream failed.
    pub fn handle_closed(&mut self, _stream: StreamId, _failed: bool, _now: Instant) {}

    /// A host whose address is needed, and the number to answer with.
    pub fn poll_question(&mut self) -> Option<(u32, String)> {
        None
    }

    /// What is to be done with streams.
    pub fn poll_command(&mut self) -> Option<Command> {
        None
    }

    /// Fills `buffer` with the next bytes to send; 0: nothing now.
    pub fn poll_send(&mut self, _stream: StreamId, _buffer: &mut [u8]) -> usize {
        0
    }

    /// How a download ended.
    pub fn poll_outcome(&mut self) -> Option<(Asker, Result<Fetched, FetchError>)> {
        None
    }
}

impl Engine for Client {
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
