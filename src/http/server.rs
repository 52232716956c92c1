//! Answers HTTP requests on bounded streams: few connections, small requests, a time limit for everything.
//!
//! Deliberately not here: what is answered (that is `api/`), TLS, compression, ranges, a `Date` (the machine may not
//! know it). Read RFC 9112 §3, §6, §9 and RFC 9110 §8.6, §10.1.1 first.
//!
//! ```text
//!   accepted ──▶ Head ──▶ Body ──▶ Asked ──respond──▶ Answering ──all sent, kept──▶ Head
//!                  │ malformed: 400, 413, 431; late: 408 │             │ all sent, not kept
//!                  └──────────────────────────────────────┴────────────▶ finished
//! ```
//!
//! The body of an answer is held once; the shell pulls it as the client takes it, so a slow client costs no more than
//! that, and not for longer than a minute.

use std::collections::VecDeque;
use std::time::Duration;

use super::Command;
use super::body::{BadBody, Body};
use crate::engine::{Counter, Engine, Peer, StreamId, Table};
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::{Instant, sooner};
use crate::wire::http::{self, BadMessage, Framing, Method, Persistence, Request, RequestHead, Response};

/// For the head of a request, from the connection or its first byte on: against clients that drip.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// For the body of a request.
const BODY_TIME: Duration = Duration::from_secs(20);
/// For us to answer. What takes longer than a turn has a limit of its own (`limits::LIVE_WAIT`), so this is for faults.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// For the client to take the answer.
const SEND_TIME: Duration = Duration::from_secs(60);
/// After which a client that has not taken its answer makes room for others.
const TAKE_TIME: Duration = Duration::from_secs(5);
/// Empty lines before a request (RFC 9112 §2.2); a browser of long ago sent one.
const EMPTY_LINES: usize = 8;
/// Between two requests; the page asks every few seconds.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// For the shell to get the last bytes of a finished stream out.
const LINGER_TIME: Duration = Duration::from_secs(10);
/// Connections above the limit that are told so.
const TURNED_AWAY: usize = 4;
/// All connections that exist at once.
const CONNECTIONS: usize = limits::HTTP_CONNECTIONS + TURNED_AWAY;
/// Finished streams that are watched until they are gone.
const LINGERING: usize = 32;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The engine.
#[derive(Debug, Default)]
pub struct Server {
    connections: SortedMap<StreamId, Connection>,
    /// Finished streams, the oldest first, and until when they may last.
    lingering: VecDeque<(StreamId, Instant)>,
    requests: VecDeque<(StreamId, Peer, Request)>,
    commands: VecDeque<Command>,
    /// The latest time that was said; sending has none of its own.
    latest: Instant,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    requests: u64,
    malformed: u64,
    late: u64,
    turned_away: u64,
    displaced: u64,
    stray: u64,
}

#[derive(Debug)]
struct Connection {
    peer: Peer,
    stage: Stage,
    /// When the stage must be over.
    until: Instant,
    /// Bytes that are not understood yet.
    input: Vec<u8>,
    /// Bytes of empty lines before the request.
    blank: usize,
    /// Requests answered on it.
    answered: u32,
    /// The client sends no more.
    ended: bool,
}

#[derive(Debug)]
enum Stage {
    /// A request is waited for, or its head.
    Head,
    /// The body is coming; `interim` is what still is to be sent of `100 Continue`.
    Body { head: Box<RequestHead>, body: Body, interim: &'static [u8] },
    /// The request is complete and has not been answered.
    Asked { method: Method, persistence: Persistence, interim: &'static [u8] },
    /// The answer goes out: its head, then its body.
    Answering { head: Vec<u8>, body: Vec<u8>, sent: usize, persistence: Persistence },
}

/// How a stream is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Gone,
    Finish,
    Abort,
}

impl Server {
    /// A server without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client connected.
    pub fn handle_accepted(&mut self, stream: StreamId, peer: Peer, now: Instant) {
        self.latest = self.latest.max(now);
        if self.connections.contains_key(&stream) {
            self.counts.stray += 1;
            return;
        }
        self.counts.accepted += 1;
        if self.connections.len() >= limits::HTTP_CONNECTIONS {
            if let Some((oldest, leave)) = self.least_wanted(peer == Peer::Owner, now) {
                self.counts.displaced += 1;
                self.leave(oldest, leave);
            }
        }
        let full = self.connections.len() >= limits::HTTP_CONNECTIONS;
        if full {
            self.counts.turned_away += 1;
            log::debug!("http: connection turned away, {} are open", self.connections.len());
        }
        if self.connections.len() >= CONNECTIONS {
            self.commands.push_back(Command::Abort(stream));
            return;
        }
        let until = now + HEAD_TIME;
        let input = Vec::new();
        let connection = Connection { peer, stage: Stage::Head, until, input, blank: 0, answered: 0, ended: false };
        self.connections.insert(stream, connection);
        if full {
            self.refuse(stream, 503, "too many connections");
        }
    }

    /// Who makes room for somebody new, so that nobody can shut out the others by holding connections: one that is only kept
    /// for later; the oldest whose request is not complete (honest ones come with the first packet); the oldest that has
    /// not taken its answer for a while. Over the unix socket nobody is pushed out, and whoever comes there pushes out
    /// anybody.
    fn least_wanted(&self, trusted: bool, now: Instant) -> Option<(StreamId, Leave)> {
        let idle = |c: &Connection| matches!(c.stage, Stage::Head) && c.input.is_empty() && c.answered > 0;
        let kept = self.connections.iter().filter(|(_, c)| idle(c)).min_by_key(|(_, c)| c.until);
        if let Some((id, _)) = kept {
            return Some((*id, Leave::Finish));
        }
        let oldest = |wanted: &dyn Fn(&Connection) -> bool| {
            self.connections.iter().find(|(_, c)| c.peer != Peer::Owner && wanted(c)).map(|(id, _)| *id)
        };
        let slow = |c: &Connection| match &c.stage {
            Stage::Answering { head, body, sent, .. } => {
                *sent < head.len().saturating_add(body.len()) && c.until + TAKE_TIME <= now + SEND_TIME
            }
            _ => false,
        };
        oldest(&|c| matches!(c.stage, Stage::Head | Stage::Body { .. }))
            .map(|id| (id, Leave::Finish))
            .or_else(|| oldest(&slow).map(|id| (id, Leave::Abort)))
            .or_else(|| oldest(&|_| trusted).map(|id| (id, Leave::Abort)))
    }

    /// Bytes came.
    pub fn handle_received(&mut self, stream: StreamId, bytes: &[u8], now: Instant) {
        self.latest = self.latest.max(now);
        if self.connections.contains_key(&stream) {
            self.after_answer(stream);
        } else {
            self.counts.stray += 1;
        }
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        if connection.ended {
            self.counts.stray += 1;
            return;
        }
        match &connection.stage {
            // What comes after a request that is the last one is of no interest.
            Stage::Answering { persistence: Persistence::Close, .. } => return,
            // Never later than it was: empty lines must not keep a connection open.
            Stage::Head if connection.input.is_empty() => connection.until = connection.until.min(now + HEAD_TIME),
            _ => {}
        }
        connection.input.extend_from_slice(bytes);
        self.advance(stream);
        // Requests that are sent ahead of our answers are kept, but not many.
        let waiting = self.connections.get(&stream).is_some_and(|c| {
            matches!(c.stage, Stage::Asked { .. } | Stage::Answering { .. })
                && c.input.len() > limits::HTTP_REQUEST_HEAD
        });
        if waiting {
            self.counts.malformed += 1;
            self.leave(stream, Leave::Abort);
        }
    }

    /// The client will send no more, or the stream failed and is gone.
    pub fn handle_closed(&mut self, stream: StreamId, failed: bool, now: Instant) {
        self.latest = self.latest.max(now);
        let known = self.connections.contains_key(&stream);
        self.after_answer(stream);
        let Some(connection) = self.connections.get_mut(&stream) else {
            match self.lingering.iter().position(|(id, _)| *id == stream) {
                Some(index) if failed => drop(self.lingering.remove(index)),
                None if !known => self.counts.stray += 1,
                _ => {}
            }
            return;
        };
        connection.ended = true;
        match &mut connection.stage {
            _ if failed => self.leave(stream, Leave::Gone),
            Stage::Head | Stage::Body { .. } => self.leave(stream, Leave::Finish),
            Stage::Asked { persistence, .. } | Stage::Answering { persistence, .. } => {
                *persistence = Persistence::Close
            }
        }
    }

    /// A complete request; it is to be answered with [`Server::respond`], at once or later.
    pub fn poll_request(&mut self) -> Option<(StreamId, Peer, Request)> {
        self.requests.pop_front()
    }

    /// Whether the client of a request that was not answered yet still waits for that. One that closed its side does not: a
    /// program that was killed looks the same.
    pub fn is_waiting(&self, stream: StreamId) -> bool {
        self.connections.get(&stream).is_some_and(|c| !c.ended && matches!(c.stage, Stage::Asked { .. }))
    }

    /// Closes a stream whose client does not wait for its answer any more.
    pub fn give_up(&mut self, stream: StreamId) {
        if self.connections.get(&stream).is_some_and(|c| matches!(c.stage, Stage::Asked { .. })) {
            self.leave(stream, Leave::Finish);
        }
    }

    /// Answers the request that came from `stream`.
    pub fn respond(&mut self, stream: StreamId, response: Response, now: Instant) {
        self.latest = self.latest.max(now);
        let unseen = self.requests.iter().any(|(id, ..)| *id == stream);
        let connection =
            self.connections.get_mut(&stream).filter(|c| !unseen && matches!(c.stage, Stage::Asked { .. }));
        match connection {
            Some(connection) => connection.answer(response, now),
            None => self.counts.stray += 1,
        }
    }

    /// Fills `buffer` with the next bytes to send; 0: nothing now.
    ///
    /// Nothing else comes of it: what follows the last byte is done by [`Engine::handle_timeout`], which is due at once.
    pub fn poll_send(&mut self, stream: StreamId, buffer: &mut [u8]) -> usize {
        let Some(connection) = self.connections.get_mut(&stream) else { return 0 };
        match &mut connection.stage {
            Stage::Body { interim, .. } => {
                let count = super::copy(interim, buffer);
                *interim = interim.get(count..).unwrap_or_default();
                count
            }
            Stage::Answering { head, body, sent, .. } => {
                let mut count = 0;
                if *sent < head.len() {
                    count = super::copy(head.get(*sent..).unwrap_or_default(), buffer);
                }
                let from = sent.saturating_add(count).saturating_sub(head.len());
                if sent.saturating_add(count) >= head.len() {
                    let room = buffer.get_mut(count..).unwrap_or_default();
                    count = count.saturating_add(super::copy(body.get(from..).unwrap_or_default(), room));
                }
                *sent = sent.saturating_add(count);
                if *sent >= head.len().saturating_add(body.len()) {
                    connection.until = self.latest;
                }
                count
            }
            Stage::Head | Stage::Asked { .. } => 0,
        }
    }

    /// Hangs up on everybody.
    pub fn abandon(&mut self) {
        let streams = self.connections.keys().copied().chain(self.lingering.iter().map(|(stream, _)| *stream));
        self.commands.extend(streams.map(Command::Abort));
        self.connections = SortedMap::new();
        self.lingering.clear();
        self.requests.clear();
    }

    /// What is to be done with streams.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// If the whole answer was taken, the connection is closed, or what comes next on it is looked at.
    fn after_answer(&mut self, stream: StreamId) {
        let latest = self.latest;
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        match &connection.stage {
            Stage::Answering { head, body, sent, persistence } if *sent >= head.len().saturating_add(body.len()) => {
                if *persistence == Persistence::Close {
                    return self.leave(stream, Leave::Finish);
                }
                connection.stage = Stage::Head;
                connection.answered = connection.answered.saturating_add(1);
                connection.until = latest + IDLE_TIME;
                self.advance(stream);
            }
            _ => {}
        }
    }

    /// Understands as much of the input as can be.
    fn advance(&mut self, stream: StreamId) {
        let latest = self.latest;
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        match connection.understand(latest) {
            Ok(None) => {}
            Ok(Some(request)) => {
                self.counts.requests += 1;
                self.requests.push_back((stream, connection.peer, request));
            }
            Err(bad) => {
                self.counts.malformed += 1;
                log::debug!("http: request refused: {bad}");
                let status = match bad {
                    BadMessage::HeadTooLong => 431,
                    BadMessage::BodyTooLong => 413,
                    _ => 400,
                };
                self.refuse(stream, status, &bad.to_string());
            }
        }
    }

    /// Answers instead of the API, and closes.
    fn refuse(&mut self, stream: StreamId, status: u16, text: &str) {
        let latest = self.latest;
        if let Some(connection) = self.connections.get_mut(&stream) {
            connection.input = Vec::new();
            let interim = connection.begun();
            connection.stage = Stage::Asked { method: Method::Get, persistence: Persistence::Close, interim };
            connection.answer(Response::text(status, text), latest);
        }
    }

    fn leave(&mut self, stream: StreamId, leave: Leave) {
        self.connections.remove(&stream);
        self.requests.retain(|(id, ..)| *id != stream);
        match leave {
            Leave::Gone => {}
            Leave::Abort => self.commands.push_back(Command::Abort(stream)),
            Leave::Finish => {
                if self.lingering.len() >= LINGERING {
                    if let Some((oldest, _)) = self.lingering.pop_front() {
                        self.commands.push_back(Command::Abort(oldest));
                    }
                }
                self.lingering.push_back((stream, self.latest + LINGER_TIME));
                self.commands.push_back(Command::Finish(stream));
            }
        }
    }
}

impl Connection {
    /// Reads on; gives a request that became complete.
    fn understand(&mut self, now: Instant) -> Result<Option<Request>, BadMessage> {
        if matches!(self.stage, Stage::Head) {
            // RFC 9112 §2.2: empty lines before a request are ignored; they are no request either.
            let blank = self.input.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            self.blank = self.blank.saturating_add(blank);
            if self.blank > EMPTY_LINES * 2 {
                return Err(BadMessage::Syntax);
            }
            self.input.drain(..blank);
            if self.input.is_empty() {
                return Ok(None);
            }
            let Some((head, taken)) = http::parse_request(&self.input)? else { return Ok(None) };
            self.input.drain(..taken.min(self.input.len()));
            let body = Body::new(head.framing, limits::HTTP_REQUEST_BODY)?;
            let waits = head.waits_for_continue && self.input.is_empty();
            self.until = now + BODY_TIME;
            self.blank = 0;
            self.stage = Stage::Body { head: Box::new(head), body, interim: if waits { CONTINUE } else { b"" } };
        }
        let Stage::Body { body, .. } = &mut self.stage else { return Ok(None) };
        let taken = body.push(&self.input)?;
        self.input.drain(..taken.min(self.input.len()));
        if !body.is_complete() {
            return Ok(None);
        }
        let interim = self.begun();
        match std::mem::replace(&mut self.stage, Stage::Head) {
            Stage::Body { head, body, .. } => {
                let RequestHead { mut request, framing, persistence, .. } = *head;
                if framing != Framing::Empty {
                    request.body = body.into_bytes();
                }
                let persistence = if self.ended { Persistence::Close } else { persistence };
                self.stage = Stage::Asked { method: request.method, persistence, interim };
                self.until = now + ANSWER_TIME;
                Ok(Some(request))
            }
            other => {
                self.stage = other;
                Ok(None)
            }
        }
    }

    /// What is missing of an interim answer of which the client has seen the beginning.
    fn begun(&self) -> &'static [u8] {
        match self.stage {
            Stage::Body { interim, .. } | Stage::Asked { interim, .. } if interim.len() < CONTINUE.len() => interim,
            _ => b"",
        }
    }

    fn answer(&mut self, response: Response, now: Instant) {
        let Stage::Asked { method, persistence, interim } = self.stage else { return };
        let response = if (200..600).contains(&response.status) { response } else { Response::text(500, "no answer") };
        let head = [interim, &http::emit_head(&response, persistence)].concat();
        let bare = method == Method::Head || matches!(response.status, 204 | 304);
        let body = if bare { Vec::new() } else { response.body };
        self.stage = Stage::Answering { head, body, sent: 0, persistence };
        self.until = now + SEND_TIME;
    }
}

impl From<BadBody> for BadMessage {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::TooLarge => Self::BodyTooLong,
            BadBody::Chunk | BadBody::Truncated => Self::Chunk,
        }
    }
}

impl Engine for Server {
    fn handle_timeout(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
        let late: Vec<StreamId> = self.connections.iter().filter(|(_, c)| c.until <= now).map(|(id, _)| *id).collect();
        for stream in late {
            self.after_answer(stream);
            let Some(connection) = self.connections.get(&stream).filter(|c| c.until <= now) else { continue };
            match connection.stage {
                Stage::Head if connection.input.is_empty() => self.leave(stream, Leave::Finish),
                Stage::Head | Stage::Body { .. } => {
                    self.counts.late += 1;
                    self.refuse(stream, 408, "the request did not come in time");
                }
                Stage::Asked { .. } => {
                    log::warn!("http: a request was not answered");
                    self.requests.retain(|(id, ..)| *id != stream);
                    self.refuse(stream, 503, "no answer");
                }
                Stage::Answering { .. } => {
                    self.counts.late += 1;
                    self.leave(stream, Leave::Abort);
                }
            }
        }
        while let Some((stream, _)) = self.lingering.front().copied().filter(|(_, until)| *until <= now) {
            self.lingering.pop_front();
            self.commands.push_back(Command::Abort(stream));
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let connection = self.connections.values().map(|c| c.until).min();
        sooner(connection, self.lingering.front().map(|(_, until)| *until))
    }

    fn tables(&self) -> Vec<Table> {
        // An input is at most the head of one request, or what one delivery brought beyond it.
        vec![
            Table { name: "http_connections", used: self.connections.len(), limit: CONNECTIONS },
            Table { name: "http_requests", used: self.requests.len(), limit: CONNECTIONS },
            Table { name: "http_lingering", used: self.lingering.len(), limit: LINGERING },
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { accepted, requests, malformed, late, turned_away, displaced, stray } = self.counts;
        [
            ("connections_accepted", accepted),
            ("connections_turned_away", turned_away),
            ("connections_displaced", displaced),
            ("requests", requests),
            ("requests_malformed", malformed),
            ("clients_too_slow", late),
            ("stray_events", stray),
        ]
        .map(|(name, count)| Counter { name, count })
        .to_vec()
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
