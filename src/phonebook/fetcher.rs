//! When to ask which server: one round tries the servers in their order until one has the book.
//!
//! ```text
//!            due or asked for             a server answers well
//!   resting ----------------> asking ----------------------------> resting, next round after the interval
//!                             ^    |  it does not: the next server
//!                             +----+  none is left --------------> resting, next round sooner (back-off)
//! ```
//!
//! What the answer is worth is decided in `mod.rs`.

use std::path::PathBuf;
use std::time::Duration;

use super::book::Digest;
use crate::config;
use crate::limits::BOOK_SERVERS;
use crate::rng::Rng;
use crate::time::{Instant, micros};
use crate::wire::http::{BadUrl, Url};

/// The first round comes this long after the start, and up to three times as long: the mesh is finding its routes, and
/// all its nodes may have been switched on together.
const FIRST: Duration = Duration::from_secs(2);
/// After a round that failed, doubled each time, up to the interval.
const BACK_OFF: Duration = Duration::from_secs(30);
/// After a round that wants to be confirmed.
const CONFIRM: Duration = Duration::from_secs(300);
/// Between the beginnings of two rounds that somebody asks for: anybody may ask, and each may cost a server a megabyte.
const PAUSE: Duration = Duration::from_secs(5);
/// The same for each entry after a round that brought another book: a router is busy with one of 5000 entries for a second or two.
const PAUSE_PER_ENTRY: Duration = Duration::from_millis(6);
/// Beyond the time limits of a download, after which its answer is not waited for any more.
const GRACE: Duration = Duration::from_secs(30);

/// A server of the book.
#[derive(Clone, Debug)]
struct Server {
    url: String,
    place: Result<Place, BadUrl>,
    validators: Option<Validators>,
}

/// Where the book is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a web server.
    Http(Url),
    /// On this machine.
    File(PathBuf),
}

/// By which a server can tell that nothing changed, and for which content that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// The book that came with them.
    pub digest: Digest,
}

/// One server is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where.
    pub place: Result<Place, BadUrl>,
    /// What to send along.
    pub validators: Option<Validators>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Waiting { until: Instant, conditional: bool },
}

#[derive(Debug)]
struct Round {
    server: usize,
    asked: Asked,
    /// It was begun under another configuration: it only lasts until its answer has come.
    outdated: bool,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A server had a book.
    Good,
    /// A server has one that is only taken if it says the same again.
    Confirm,
    /// None had.
    Bad,
}

/// The schedule and the round.
#[derive(Debug)]
pub struct Fetcher {
    servers: Vec<Server>,
    round: Option<Round>,
    next: Option<Instant>,
    /// Before this nobody has a round begun.
    rests_until: Instant,
    failures: u32,
    /// Rounds since the start.
    pub rounds: u64,
    rng: Rng,
}

impl Fetcher {
    /// The first round is due a few seconds from now.
    pub fn new(servers: &[config::Server], mut rng: Rng, now: Instant) -> Self {
        let next = soon(&mut rng, now);
        let servers: Vec<Server> = servers.iter().take(BOOK_SERVERS).map(server).collect();
        let next = (!servers.is_empty()).then_some(next);
        Self { servers, round: None, next, rests_until: now, failures: 0, rounds: 0, rng }
    }

    /// Other servers, another interval.
    pub fn handle_config(&mut self, servers: &[config::Server], interval: Duration, now: Instant) {
        let wanted = servers.iter().take(BOOK_SERVERS).map(|server| &server.url);
        if !wanted.eq(self.servers.iter().map(|server| &server.url)) {
            self.servers = servers.iter().take(BOOK_SERVERS).map(server).collect();
            self.restart(now);
        }
        self.next = self.next.map(|at| at.min(now + interval));
    }

    /// As at the start; a running round comes to nothing.
    pub fn restart(&mut self, now: Instant) {
        self.failures = 0;
        self.next = (!self.servers.is_empty()).then_some(soon(&mut self.rng, now));
        if let Some(round) = &mut self.round {
            round.outdated = true;
        }
    }

    /// Whether there is anybody to ask.
    pub fn has_servers(&self) -> bool {
        !self.servers.is_empty()
    }

    /// A round is due now, or a few seconds after the last one; a running one is as good.
    pub fn fetch_now(&mut self, now: Instant) {
        if self.has_servers() && !self.is_running() {
            let soonest = now.max(self.rests_until);
            self.next = Some(self.next.map_or(soonest, |next| next.min(soonest)));
        }
    }

    /// The round brought another book, with so many entries.
    pub fn rest(&mut self, entries: usize, now: Instant) {
        let pause = PAUSE_PER_ENTRY.saturating_mul(u32::try_from(entries).unwrap_or(u32::MAX));
        self.rests_until = self.rests_until.max(now + pause);
    }

    /// Whether a round is running.
    pub fn is_running(&self) -> bool {
        self.round.is_some()
    }

    /// Begins a round if it is due.
    pub fn begin_if_due(&mut self, now: Instant) -> bool {
        let due = self.round.is_none() && self.next.is_some_and(|at| at <= now);
        if due {
            self.next = None;
            self.rests_until = now + PAUSE;
            self.rounds = self.rounds.saturating_add(1);
            self.round = Some(Round { server: 0, asked: Asked::Not, outdated: false });
        }
        due
    }

    /// The question to the server whose turn it is. `have` is the book that is served: validators of another one would
    /// make the server say that nothing changed when it did.
    pub fn poll_question(
        &mut self,
        have: Option<Digest>,
        config: &config::Phonebook,
        now: Instant,
    ) -> Option<Question> {
        let round = self.round.as_mut().filter(|round| round.asked == Asked::Not && !round.outdated)?;
        let server = self.servers.get(round.server)?;
        let validators = server.validators.clone().filter(|known| Some(known.digest) == have);
        let until = now + config.total_timeout.saturating_add(config.connect_timeout).saturating_add(GRACE);
        round.asked = Asked::Waiting { until, conditional: validators.is_some() };
        Some(Question { place: server.place.clone(), validators })
    }

    /// The server that was asked and has not answered, and whether it may answer that nothing changed.
    pub fn waits_for(&self) -> Option<(&str, &Result<Place, BadUrl>, bool)> {
        let round = self.round.as_ref().filter(|round| !round.outdated)?;
        let Asked::Waiting { conditional, .. } = round.asked else { return None };
        self.servers.get(round.server).map(|server| (server.url.as_str(), &server.place, conditional))
    }

    /// The answer came, or will not come, to a round that is to come to nothing: it is over.
    pub fn end_if_outdated(&mut self) -> bool {
        let outdated = self.round.as_ref().is_some_and(|round| round.outdated);
        if outdated {
            self.round = None;
        }
        outdated
    }

    /// The server that was asked has nothing good; false if it was the last.
    pub fn try_next(&mut self) -> bool {
        let Some(round) = &mut self.round else { return false };
        round.server = round.server.saturating_add(1);
        round.asked = Asked::Not;
        round.server < self.servers.len()
    }

    /// What the server that answered sent along with the book it has.
    pub fn remember(&mut self, validators: Option<Validators>) {
        let at = self.round.as_ref().map(|round| round.server);
        if let Some(server) = at.and_then(|at| self.servers.get_mut(at)) {
            server.validators = validators;
        }
    }

    /// The round is over.
    pub fn end(&mut self, end: End, interval: Duration, now: Instant) {
        self.round = None;
        let wait = match end {
            End::Good => {
                self.failures = 0;
                interval
            }
            End::Confirm => interval.min(CONFIRM),
            End::Bad => {
                let wait = BACK_OFF.saturating_mul(1 << self.failures.min(10));
                self.failures = self.failures.saturating_add(1);
                interval.min(wait)
            }
        };
        self.next = Some(now + self.rng.jitter(wait).max(Duration::from_secs(1)));
    }

    /// Whether the answer that is waited for is overdue.
    pub fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.round, Some(Round { asked: Asked::Waiting { until, .. }, .. }) if until <= now)
    }

    /// When the next round is due, if none is running.
    pub fn next_round(&self) -> Option<Instant> {
        self.next.filter(|_| self.round.is_none())
    }

    /// When something is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.round {
            Some(Round { asked: Asked::Waiting { until, .. }, .. }) => Some(until),
            _ => self.next,
        }
    }
}

fn soon(rng: &mut Rng, now: Instant) -> Instant {
    let spread = micros(FIRST).saturating_mul(2);
    now + FIRST + Duration::from_micros(rng.below(spread))
}

fn server(server: &config::Server) -> Server {
    let url = server.url.clone();
    let place = match url.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Ok(Place::File(path.into())),
        Some(_) => Err(BadUrl::Path),
        None => Url::parse(&url).map(Place::Http),
    };
    Server { url, place, validators: None }
}
