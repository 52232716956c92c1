//! Fetches documents by GET, a few at once, each within a time and a size that its caller sets; and brings one by POST.
//!
//! Of the answer to a POST the status is taken, and that is the end: a redirect is not followed (RFC 9110 §15.4 would have it
//! asked again by GET), a body is not waited for.
//!
//! Deliberately not here: connections that are kept (a node asks one server once an hour), compression, credentials, TLS.
//! Read RFC 9112 §6 and §9, RFC 9110 §13.1 and §15.4 first.
//!
//! ```text
//!   fetch ──▶ Finding ──address──▶ Dialling ──connected──▶ Exchanging ──whole answer──▶ outcome
//!                ▲ host is a name                              │ redirect (at most 5)
//!                └─────────────────────────────────────────────┘
//! ```
//!
//! A number names one step to one host: it is the question's and the stream's. An answer that comes after its step is
//! over finds nobody.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::Command;
use super::body::{BadBody, Body};
use crate::engine::{Asker, Busy, Counter, Engine, StreamId, Table};
use crate::limits;
use crate::time::Instant;
use crate::wire::http::{self, BadMessage, Download, FetchError, Fetched, ResponseHead, Url};

/// The engine.
#[derive(Debug, Default)]
pub struct Client {
    fetches: Vec<Fetch>,
    commands: VecDeque<Command>,
    outcomes: VecDeque<(Asker, Result<Fetched, FetchError>)>,
    /// The number of the latest step.
    number: u32,
    /// The addresses of this node.
    own: Vec<Ipv4Addr>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    started: u64,
    redirects: u64,
    fetched: u64,
    failed: u64,
    busy: u64,
    stray: u64,
}

#[derive(Debug)]
struct Fetch {
    asker: Asker,
    request: Download,
    /// What is brought there instead.
    post: Option<Vec<u8>>,
    /// When everything must be over.
    until: Instant,
    redirects: u8,
    /// The address of the first host.
    first: Ipv4Addr,
    number: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The address of the host is not known yet.
    Finding { until: Instant, asked: bool },
    /// The stream is not open yet.
    Dialling { until: Instant },
    /// The request goes out, the answer comes in.
    Exchanging { request: Vec<u8>, sent: usize, incoming: Incoming },
}

#[derive(Debug)]
enum Incoming {
    /// What came of it, and how many bytes answers before the answer took.
    Head(Vec<u8>, usize),
    Body(ResponseHead, Body),
}

/// What a step of the exchange led to.
enum Turn {
    /// More must come.
    Wait,
    /// It is over.
    End(Result<Fetched, FetchError>),
    /// It continues elsewhere.
    Redirect(Url),
}

/// What becomes of the stream of a step that is over.
#[derive(Clone, Copy)]
enum Stream {
    /// There is none (any more).
    Gone,
    Finish,
    Abort,
}

impl Client {
    /// A client that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The addresses of this node.
    pub fn set_identity(&mut self, own: &[Ipv4Addr]) {
        self.own = own.to_vec();
    }

    /// Starts a download; its end is told by [`Client::poll_outcome`], exactly once.
    pub fn fetch(&mut self, request: Download, asker: Asker, now: Instant) -> Result<(), Busy> {
        self.start(request, None, asker, now)
    }

    /// Brings `json` to `url`, within `timeout`; its end is told by [`Client::poll_outcome`], exactly once.
    pub fn bring(
        &mut self,
        url: Url,
        json: Vec<u8>,
        timeout: Duration,
        asker: Asker,
        now: Instant,
    ) -> Result<(), Busy> {
        let (connect_timeout, total_timeout) = (timeout, timeout);
        let request = Download { url, etag: None, last_modified: None, connect_timeout, total_timeout, max_body: 0 };
        self.start(request, Some(json), asker, now)
    }

    fn start(&mut self, request: Download, post: Option<Vec<u8>>, asker: Asker, now: Instant) -> Result<(), Busy> {
        if self.fetches.len().saturating_add(self.outcomes.len()) >= limits::HTTP_FETCHES {
            self.counts.busy += 1;
            return Err(Busy);
        }
        self.counts.started += 1;
        let until = now + request.total_timeout;
        let stage = Stage::Finding { until, asked: false };
        self.fetches.push(Fetch {
            asker,
            request,
            post,
            until,
            redirects: 0,
            first: Ipv4Addr::UNSPECIFIED,
            number: 0,
            stage,
        });
        self.start_step(self.fetches.len().saturating_sub(1), now);
        Ok(())
    }

    /// The address of the host that [`Client::poll_question`] asked for; `None`: there is none.
    pub fn handle_address(&mut self, request: u32, address: Option<Ipv4Addr>, now: Instant) {
        let waits = |f: &Fetch| f.number == request && matches!(f.stage, Stage::Finding { asked: true, .. });
        match (self.fetches.iter().position(waits), address) {
            (None, _) => self.counts.stray += 1,
            (Some(index), Some(address)) => self.dial(index, address, now),
            (Some(index), None) => self.end(index, Stream::Gone, Err(FetchError::UnknownHost)),
        }
    }

    /// A stream that was dialled is open.
    pub fn handle_connected(&mut self, stream: StreamId, _now: Instant) {
        let found = self.position(stream).and_then(|index| self.fetches.get_mut(index));
        let Some(fetch) = found.filter(|fetch| matches!(fetch.stage, Stage::Dialling { .. })) else {
            self.counts.stray += 1;
            return;
        };
        let Download { url, etag, last_modified, .. } = &fetch.request;
        let request = match &fetch.post {
            Some(json) => http::emit_post(url, json),
            None => http::emit_get(url, etag.as_deref(), last_modified.as_deref()),
        };
        fetch.stage = Stage::Exchanging { request, sent: 0, incoming: Incoming::Head(Vec::new(), 0) };
    }

    /// Bytes came.
    pub fn handle_received(&mut self, stream: StreamId, bytes: &[u8], now: Instant) {
        let Some((index, fetch)) = self.position(stream).and_then(|i| Some((i, self.fetches.get_mut(i)?))) else {
            self.counts.stray += 1;
            return;
        };
        match fetch.take(bytes) {
            Turn::Wait => {}
            Turn::End(Ok(fetched)) => self.end(index, Stream::Finish, Ok(fetched)),
            Turn::End(Err(error)) => self.end(index, Stream::Abort, Err(error)),
            Turn::Redirect(url) => self.redirect(index, url, now),
        }
    }

    /// The other side will send no more, or the stream failed.
    pub fn handle_closed(&mut self, stream: StreamId, failed: bool, _now: Instant) {
        let Some((index, fetch)) = self.position(stream).and_then(|i| Some((i, self.fetches.get_mut(i)?))) else {
            self.counts.stray += 1;
            return;
        };
        let left = if failed { Stream::Gone } else { Stream::Finish };
        let outcome = match &mut fetch.stage {
            Stage::Finding { .. } | Stage::Dialling { .. } => Err(FetchError::NotReached),
            // A stream that broke may have lost the end of a body that only the close would have ended.
            Stage::Exchanging { .. } if failed => Err(FetchError::Truncated),
            Stage::Exchanging { incoming, .. } => incoming.end(),
        };
        self.end(index, left, outcome);
    }

    /// A host whose address is needed, and the number to answer with.
    pub fn poll_question(&mut self) -> Option<(u32, String)> {
        self.fetches.iter_mut().find_map(|fetch| match &mut fetch.stage {
            Stage::Finding { asked, .. } if !*asked => {
                *asked = true;
                Some((fetch.number, fetch.request.url.host.clone()))
            }
            _ => None,
        })
    }

    /// What is to be done with streams.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Fills `buffer` with the next bytes to send; 0: nothing now.
    pub fn poll_send(&mut self, stream: StreamId, buffer: &mut [u8]) -> usize {
        let Some(fetch) = self.position(stream).and_then(|index| self.fetches.get_mut(index)) else { return 0 };
        let Stage::Exchanging { request, sent, .. } = &mut fetch.stage else { return 0 };
        let count = super::copy(request.get(*sent..).unwrap_or_default(), buffer);
        *sent = sent.saturating_add(count);
        count
    }

    /// How a download ended.
    pub fn poll_outcome(&mut self) -> Option<(Asker, Result<Fetched, FetchError>)> {
        self.outcomes.pop_front()
    }

    /// Drops everything, without a word to those who asked: who they are. Streams are hung up, and their numbers not used again.
    pub fn abandon(&mut self) -> Vec<Asker> {
        let fetches = std::mem::take(&mut self.fetches);
        let outcomes = std::mem::take(&mut self.outcomes);
        for fetch in fetches.iter().filter(|fetch| !matches!(fetch.stage, Stage::Finding { .. })) {
            self.commands.push_back(Command::Abort(StreamId::Outgoing(fetch.number)));
        }
        fetches.iter().map(|fetch| fetch.asker).chain(outcomes.iter().map(|(asker, _)| *asker)).collect()
    }

    /// Those who ask do not exist any more: what they asked for is dropped.
    pub fn forget(&mut self, gone: impl Fn(Asker) -> bool) {
        self.outcomes.retain(|(asker, _)| !gone(*asker));
        while let Some(index) = self.fetches.iter().position(|fetch| gone(fetch.asker)) {
            let fetch = self.fetches.remove(index);
            if !matches!(fetch.stage, Stage::Finding { .. }) {
                self.commands.push_back(Command::Abort(StreamId::Outgoing(fetch.number)));
            }
        }
    }

    /// The fetch that has this stream.
    fn position(&self, stream: StreamId) -> Option<usize> {
        let StreamId::Outgoing(number) = stream else { return None };
        self.fetches.iter().position(|f| f.number == number && !matches!(f.stage, Stage::Finding { .. }))
    }

    /// Goes for the host of the fetch's URL, which is new.
    fn start_step(&mut self, index: usize, now: Instant) {
        self.number = self.number.wrapping_add(1);
        let Some(fetch) = self.fetches.get_mut(index) else { return };
        fetch.number = self.number;
        let until = (now + fetch.request.connect_timeout).min(fetch.until);
        let literal = fetch.request.url.host.parse::<Ipv4Addr>().ok();
        fetch.stage = Stage::Finding { until, asked: literal.is_some() };
        if let Some(address) = literal {
            self.dial(index, address, now);
        }
    }

    fn dial(&mut self, index: usize, address: Ipv4Addr, _now: Instant) {
        let own = |address: Ipv4Addr| address.is_loopback() || self.own.contains(&address);
        let Some(fetch) = self.fetches.get_mut(index) else { return };
        let Stage::Finding { until, .. } = fetch.stage else { return };
        if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return self.end(index, Stream::Gone, Err(FetchError::NotReached));
        }
        if fetch.redirects == 0 {
            fetch.first = address;
        } else if !own(fetch.first) && (own(address) || is_on_mesh(fetch.first) && !is_on_mesh(address)) {
            // A server elsewhere has no business with this node, which would take us for somebody of its LAN, and one on the mesh
            // none with what only we can reach: the house behind the node, the Internet.
            return self.end(index, Stream::Gone, Err(FetchError::BadRedirect));
        }
        fetch.stage = Stage::Dialling { until };
        let stream = StreamId::Outgoing(fetch.number);
        let address = SocketAddrV4::new(address, fetch.request.url.port);
        self.commands.push_back(Command::Dial { stream, address });
    }

    fn redirect(&mut self, index: usize, url: Url, now: Instant) {
        let Some(fetch) = self.fetches.get_mut(index) else { return };
        if fetch.redirects >= limits::HTTP_REDIRECTS {
            return self.end(index, Stream::Abort, Err(FetchError::TooManyRedirects));
        }
        log::debug!("http: {} redirects to {url}", fetch.request.url);
        fetch.redirects = fetch.redirects.saturating_add(1);
        fetch.request.url = url;
        self.counts.redirects += 1;
        self.commands.push_back(Command::Abort(StreamId::Outgoing(fetch.number)));
        self.start_step(index, now);
    }

    fn end(&mut self, index: usize, stream: Stream, outcome: Result<Fetched, FetchError>) {
        if index >= self.fetches.len() {
            return;
        }
        let fetch = self.fetches.remove(index);
        let id = StreamId::Outgoing(fetch.number);
        match stream {
            Stream::Gone => {}
            Stream::Finish => self.commands.push_back(Command::Finish(id)),
            Stream::Abort => self.commands.push_back(Command::Abort(id)),
        }
        match &outcome {
            Ok(_) => self.counts.fetched += 1,
            Err(error) => {
                self.counts.failed += 1;
                log::debug!("http: {}: {error}", fetch.request.url);
            }
        }
        self.outcomes.push_back((fetch.asker, outcome));
    }
}

/// The mesh has the addresses of 10/8.
fn is_on_mesh(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [10, ..])
}

impl Fetch {
    /// Takes bytes of the answer.
    fn take(&mut self, bytes: &[u8]) -> Turn {
        // Bytes before the stream is open cannot be an answer to our request.
        let Stage::Exchanging { incoming, .. } = &mut self.stage else {
            return Turn::End(Err(FetchError::Malformed(BadMessage::Syntax)));
        };
        let fetch_error = |error| Turn::End(Err(error));
        let mut rest = Vec::new();
        if let Incoming::Head(text, spent) = incoming {
            text.extend_from_slice(bytes);
            // A head ends with a line, so without a new line there is nothing new to see.
            if !bytes.contains(&b'\n') && text.len() <= limits::HTTP_RESPONSE_HEAD {
                return Turn::Wait;
            }
            let (head, taken) = loop {
                match http::parse_response(text) {
                    Ok(None) => return Turn::Wait,
                    Err(bad) => return fetch_error(FetchError::Malformed(bad)),
                    // RFC 9110 §15.2: answers before the answer, but not for ever; nobody asked for another protocol.
                    Ok(Some((head, taken))) if matches!(head.status, 100 | 102..=199) => {
                        drop(text.drain(..taken));
                        *spent = spent.saturating_add(taken);
                        if *spent > limits::HTTP_RESPONSE_HEAD {
                            return fetch_error(FetchError::Malformed(BadMessage::HeadTooLong));
                        }
                    }
                    Ok(Some((head, _))) if head.status == 101 => {
                        return fetch_error(FetchError::Malformed(BadMessage::Syntax));
                    }
                    Ok(Some(head)) => break head,
                }
            };
            if self.post.is_some() {
                return Turn::End(Ok(Fetched { status: head.status, ..Fetched::default() }));
            }
            if matches!(head.status, 301 | 302 | 303 | 307 | 308) {
                return match head.location.as_deref().map(|location| self.request.url.join(location)) {
                    Some(Ok(url)) => Turn::Redirect(url),
                    _ => fetch_error(FetchError::BadRedirect),
                };
            }
            match Body::new(head.framing, self.request.max_body) {
                Ok(body) => {
                    rest = text.split_off(taken.min(text.len()));
                    *incoming = Incoming::Body(head, body);
                }
                Err(bad) => return fetch_error(bad.into()),
            }
        } else {
            rest.extend_from_slice(bytes);
        }
        match incoming {
            Incoming::Head(..) => Turn::Wait,
            Incoming::Body(_, body) => match body.push(&rest) {
                Err(bad) => fetch_error(bad.into()),
                Ok(_) if body.is_complete() => Turn::End(incoming.end()),
                Ok(_) => Turn::Wait,
            },
        }
    }

    fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Finding { until, .. } | Stage::Dialling { until } => until,
            Stage::Exchanging { .. } => self.until,
        }
    }
}

impl Incoming {
    /// The answer is as complete as it will be.
    fn end(&mut self) -> Result<Fetched, FetchError> {
        match std::mem::replace(self, Self::Head(Vec::new(), 0)) {
            Self::Head(..) => Err(FetchError::Truncated),
            Self::Body(head, mut body) => {
                body.end()?;
                let ResponseHead { status, etag, last_modified, .. } = head;
                Ok(Fetched { status, etag, last_modified, body: body.into_bytes() })
            }
        }
    }
}

impl From<BadBody> for FetchError {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::TooLarge => Self::TooLarge,
            BadBody::Chunk => Self::Malformed(BadMessage::Chunk),
            BadBody::Truncated => Self::Truncated,
        }
    }
}

impl Engine for Client {
    fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.fetches.iter().position(|fetch| fetch.deadline() <= now) {
            let Some(fetch) = self.fetches.get(index) else { return };
            let error = if fetch.until <= now { FetchError::TotalTimeout } else { FetchError::ConnectTimeout };
            let stream = if matches!(fetch.stage, Stage::Finding { .. }) { Stream::Gone } else { Stream::Abort };
            self.end(index, stream, Err(error));
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.fetches.iter().map(Fetch::deadline).min()
    }

    fn tables(&self) -> Vec<Table> {
        let used = self.fetches.len().saturating_add(self.outcomes.len());
        vec![Table { name: "http_fetches", used, limit: limits::HTTP_FETCHES }]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { started, redirects, fetched, failed, busy, stray } = self.counts;
        [
            ("fetches_started", started),
            ("fetches_redirected", redirects),
            ("fetches_done", fetched),
            ("fetches_failed", failed),
            ("fetches_refused_busy", busy),
            ("stray_events", stray),
        ]
        .map(|(name, count)| Counter { name, count })
        .to_vec()
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
