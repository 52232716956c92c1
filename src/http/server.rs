//! Answers HTTP requests on bounded streams.

use super::Command;
use crate::engine::{Counter, Engine, StreamId, Table};
use crate::time::Instant;
use crate::wire::http::{Request, Response};

/// The engine.
#[derive(Debug, Default)]
pub struct Server {}

impl Server {
    /// A server without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client connected. `trusted`: by the unix socket.
    pub fn handle_accepted(&mut self, _stream: StreamId, _trusted: bool, _now: Instant) {}

    /// Bytes came.
    pub fn handle_received(&mut self, _stream: StreamId, _bytes: &[u8], _now: Instant) {}

    /// The client will send no more, or the stream failed and is gone.
    pub fn handle_closed(&mut self, _stream: StreamId, _failed: bool, _now: Instant) {}

    /// A complete request; it is to be answered with [`Server::respond`].
    pub fn poll_request(&mut self) -> Option<(StreamId, bool, Request)> {
        None
    }

    /// Answers the request that came from `stream`.
    pub fn respond(&mut self, _stream: StreamId, _response: Response, _now: Instant) {}

    /// Fills `buffer` with the next bytes to send; 0: nothing now. Poll commands afterwards.
    pub fn poll_send(&mut self, _stream: StreamId, _buffer: &mut [u8]) -> usize {
        0
    }

    /// What is to be done with streams.
    pub fn poll_command(&mut self) -> Option<Command> {
        None
    }
}

impl Engine for Server {
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
