//! Names to addresses over UDP, with a cache: a stub resolver for the name servers of the node.
//!
//! Deliberately not here: recursion, TCP, DNSSEC, IPv6. Read RFC 1035 §4, RFC 5452 (what makes an answer ours), RFC 2308
//! (why "no" is remembered) first.
//!
//! ```text
//!   ask ──▶ cached? ── yes ──────────────────────────────────────────────▶ answer
//!              └─ no ─▶ question ─▶ server 1, server 2, server 1, server 2 ─▶ answer to all who asked
//!                         ▲ the same name joins it     a second for each, less if one says it cannot
//! ```
//!
//! A stranger who does not see our questions must guess the number of one, the port, and how its letters are cased. Case is only
//! held against servers that were seen to repeat it, and only in the first round: the second one asks in plain lower case,
//! for servers that are particular about it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::engine::{Asker, Busy, Counter, Engine, Table};
use crate::files::Watched;
use crate::limits;
use crate::rng::{Rng, Seed};
use crate::sorted::SortedMap;
use crate::time::{Instant, sooner};
pub use crate::wire::dns::Addresses;
use crate::wire::dns::{self, Echo, Reply};

/// How long one server is waited for.
const TRY: Duration = Duration::from_secs(1);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// Servers that are asked; further ones are for others.
const SERVERS: usize = 2;
/// The port of name servers.
const PORT: u16 = 53;
/// How long an answer is remembered at least and at most, in seconds: phones move, and a call should not cost a question each.
const KEPT: (u32, u32) = (5, 60);
/// How long it is remembered that there is no such name: somebody who plugs a phone in does not want to wait.
const NO_NAME: Duration = Duration::from_secs(10);
/// How long it is remembered that nobody could say.
const NO_ANSWER: Duration = Duration::from_secs(5);
/// How often what was remembered for too long is thrown away.
const SWEEP: Duration = Duration::from_secs(60);

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
pub struct Resolver {
    domain: String,
    /// Whether the servers stand in the configuration and not in `resolv.conf`.
    configured: bool,
    resolv_conf: PathBuf,
    watch: Option<PathBuf>,
    servers: heapless::Vec<Server, SERVERS>,
    questions: Vec<Question>,
    cache: SortedMap<String, Cached>,
    sweep: Option<Instant>,
    answers: VecDeque<(Asker, Result<Addresses, Unresolved>)>,
    rng: Rng,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    asked: u64,
    cached: u64,
    joined: u64,
    sent: u64,
    resolved: u64,
    no_such_name: u64,
    unresolved: u64,
    busy: u64,
    malformed: u64,
    stray: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Server {
    address: SocketAddrV4,
    /// It repeats questions letter by letter.
    exact: bool,
}

#[derive(Debug)]
struct Question {
    /// Lower case, with its domain.
    name: String,
    /// The same with letters in random case.
    cased: String,
    askers: Vec<Asker>,
    tries: heapless::Vec<Try, { ROUNDS * SERVERS }>,
    /// How many servers, round by round, were asked or passed over.
    turn: usize,
    /// When the next server is asked.
    until: Instant,
    /// A server said that it cannot say.
    failed: bool,
}

/// A question as it was sent to one server.
#[derive(Clone, Copy, Debug)]
struct Try {
    id: u16,
    server: SocketAddrV4,
    round: usize,
    sent: bool,
    /// This server will not answer it (any more).
    over: bool,
}

#[derive(Debug)]
struct Cached {
    result: Result<Addresses, Unresolved>,
    until: Instant,
}

impl Resolver {
    /// A resolver with an empty cache.
    pub fn new(config: &config::Names, seed: &Seed) -> Self {
        let mut resolver = Self {
            domain: String::new(),
            configured: false,
            resolv_conf: PathBuf::new(),
            watch: None,
            servers: heapless::Vec::new(),
            questions: Vec::new(),
            cache: SortedMap::new(),
            sweep: None,
            answers: VecDeque::new(),
            rng: Rng::new(seed, "dns"),
            counts: Counts::default(),
        };
        resolver.set_config(config);
        resolver
    }

    /// Takes over a changed configuration.
    pub fn set_config(&mut self, config: &config::Names) {
        self.domain = config.domain.to_ascii_lowercase();
        let configured = !config.servers.is_empty();
        if configured {
            self.set_servers(config.servers.iter().copied());
        } else if self.configured || self.resolv_conf != config.resolv_conf {
            self.set_servers(std::iter::empty());
            self.watch = Some(config.resolv_conf.clone());
        }
        self.resolv_conf.clone_from(&config.resolv_conf);
        self.configured = configured;
    }

    /// The content of `resolv.conf`; `None`: it is gone.
    pub fn handle_resolv_conf(&mut self, contents: Option<&[u8]>) {
        if self.configured {
            return;
        }
        let server = |line: &[u8]| {
            let line = std::str::from_utf8(line).ok()?;
            let mut words = line.split_ascii_whitespace();
            let address =
                words.next().filter(|word| *word == "nameserver").and(words.next())?.parse::<Ipv4Addr>().ok()?;
            // resolver(5): 0.0.0.0 is this machine.
            let address = if address.is_unspecified() { Ipv4Addr::LOCALHOST } else { address };
            Some(SocketAddrV4::new(address, PORT))
        };
        self.set_servers(contents.unwrap_or_default().split(|b| *b == b'\n').filter_map(server));
    }

    /// Asks for the addresses of `name`; answered by [`Resolver::poll_answer`], exactly once.
    ///
    /// A name without a dot stands in the configured domain; one with a final dot stands for itself.
    pub fn ask(&mut self, name: &str, asker: Asker, now: Instant) -> Result<(), Busy> {
        let waiting: usize = self.questions.iter().map(|q| q.askers.len()).sum();
        if waiting.saturating_add(self.answers.len()) >= limits::DNS_ASKERS {
            self.counts.busy += 1;
            return Err(Busy);
        }
        if let Some(result) = self.known(name) {
            self.counts.asked += 1;
            self.answers.push_back((asker, result));
            return Ok(());
        }
        let name = self.full_name(name);
        if let Some(cached) = self.cache.get(&name).filter(|cached| cached.until > now) {
            self.counts.asked += 1;
            self.counts.cached += 1;
            self.answers.push_back((asker, cached.result.clone()));
            return Ok(());
        }
        if self.is_foreign(&name) && !self.has_room_for_foreign() {
            self.counts.busy += 1;
            return Err(Busy);
        }
        if let Some(question) = self.questions.iter_mut().find(|question| question.name == name) {
            self.counts.asked += 1;
            self.counts.joined += 1;
            question.askers.push(asker);
            return Ok(());
        }
        if self.questions.len() >= limits::DNS_QUESTIONS {
            self.counts.busy += 1;
            return Err(Busy);
        }
        self.counts.asked += 1;
        let cased = self.cased(&name);
        let (askers, tries) = (vec![asker], heapless::Vec::new());
        self.questions.push(Question { name, cased, askers, tries, turn: 0, until: now, failed: false });
        self.ask_next(self.questions.len().saturating_sub(1), now);
        Ok(())
    }

    /// A datagram came on the resolver's socket.
    pub fn handle_datagram(&mut self, datagram: &[u8], source: SocketAddrV4, now: Instant) {
        let id = dns::reply_id(datagram);
        let is_asked = |t: &Try| Some(t.id) == id && t.server == source && t.sent && !t.over;
        let mut malformed = false;
        let mut found = None;
        'questions: for (index, question) in self.questions.iter().enumerate() {
            for t in question.tries.iter().filter(|t| is_asked(t)) {
                match dns::parse_reply(datagram, question.sent_name(t)) {
                    Ok((reply, echo)) => {
                        found = Some((index, *t, reply, echo));
                        break 'questions;
                    }
                    Err(bad) => {
                        malformed = true;
                        log::debug!("dns: {source}: {bad:?}");
                    }
                }
            }
        }
        let Some((index, t, reply, echo)) = found else {
            if malformed {
                self.counts.malformed += 1;
            } else {
                self.counts.stray += 1;
            }
            return;
        };
        if let Some(server) = self.servers.iter_mut().find(|server| server.address == source) {
            let mixed = self.questions.get(index).is_some_and(|q| q.cased != q.name) && t.round == 0;
            if server.exact && echo == Echo::Folded {
                // It always repeated our letters: somebody else wrote this.
                self.counts.stray += 1;
                return;
            }
            server.exact |= mixed && echo == Echo::Exact;
        }
        match reply {
            Reply::Addresses(addresses, ttl) => {
                let kept = Duration::from_secs(u64::from(ttl.clamp(KEPT.0, KEPT.1)));
                self.counts.resolved += 1;
                self.end(index, Ok(addresses), Some(kept), now);
            }
            Reply::NoSuchName => {
                self.counts.no_such_name += 1;
                self.end(index, Err(Unresolved::NoSuchName), Some(NO_NAME), now);
            }
            Reply::Failed => {
                if let Some(question) = self.questions.get_mut(index) {
                    question.failed = true;
                }
                self.give_up(index, source, now);
            }
        }
    }

    /// Nobody listens there (ICMP).
    pub fn handle_unreachable(&mut self, destination: SocketAddrV4, now: Instant) {
        let mut index = self.questions.len();
        while index > 0 {
            index = index.saturating_sub(1);
            self.give_up(index, destination, now);
        }
    }

    /// The next datagram to send: to whom, and how many bytes of `buffer`.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        for question in &mut self.questions {
            let Some(t) = question.tries.last().copied().filter(|t| !t.sent) else { continue };
            let length = dns::emit_question(t.id, question.sent_name(&t), buffer)?;
            if let Some(latest) = question.tries.last_mut() {
                latest.sent = true;
            }
            self.counts.sent += 1;
            return Some((t.server, length));
        }
        None
    }

    /// An answer to somebody who asked.
    pub fn poll_answer(&mut self) -> Option<(Asker, Result<Addresses, Unresolved>)> {
        self.answers.pop_front()
    }

    /// A file that is to be watched.
    pub fn poll_watch(&mut self) -> Option<(Watched, PathBuf)> {
        self.watch.take().map(|path| (Watched::ResolvConf, path))
    }

    /// Drops everything that is asked, without a word to those who asked: who they are.
    pub fn abandon(&mut self) -> Vec<Asker> {
        let waiting = std::mem::take(&mut self.questions).into_iter().flat_map(|question| question.askers);
        waiting.chain(std::mem::take(&mut self.answers).into_iter().map(|(asker, _)| asker)).collect()
    }

    /// Those who ask do not exist any more: they get no answers.
    pub fn forget(&mut self, gone: impl Fn(Asker) -> bool) {
        self.answers.retain(|(asker, _)| !gone(*asker));
        for question in &mut self.questions {
            question.askers.retain(|asker| !gone(*asker));
        }
    }

    fn set_servers(&mut self, addresses: impl Iterator<Item = SocketAddrV4>) {
        let mut servers: heapless::Vec<Server, SERVERS> = heapless::Vec::new();
        for address in addresses {
            let known = self.servers.iter().find(|server| server.address == address).copied();
            let twice = servers.iter().any(|server| server.address == address);
            if twice || servers.push(known.unwrap_or(Server { address, exact: false })).is_err() {
                continue;
            }
        }
        if !servers.iter().map(|s| s.address).eq(self.servers.iter().map(|s| s.address)) {
            // Other servers may know other names.
            self.cache.clear();
            self.sweep = None;
        }
        self.servers = servers;
    }

    /// What needs no server.
    fn known(&self, name: &str) -> Option<Result<Addresses, Unresolved>> {
        let bare = name.strip_suffix('.').unwrap_or(name);
        // RFC 6761 §6.3.
        let literal =
            if bare.eq_ignore_ascii_case("localhost") { Some(Ipv4Addr::LOCALHOST) } else { bare.parse().ok() };
        if let Some(address) = literal {
            return Some(Ok([address].into_iter().collect()));
        }
        let is_name = dns::is_name(bare) && dns::is_name(&self.full_name(name));
        (!is_name).then_some(Err(Unresolved::NoSuchName))
    }

    /// Names of the mesh are answered by the node at once. Others may take seconds, and whoever wants that can have them asked
    /// for: together they get half of the tables, so that phones are always found.
    fn has_room_for_foreign(&self) -> bool {
        let foreign = || self.questions.iter().filter(|question| self.is_foreign(&question.name));
        let askers: usize = foreign().map(|question| question.askers.len()).sum();
        foreign().count() < limits::DNS_QUESTIONS / 2 && askers < limits::DNS_ASKERS / 2
    }

    /// Whether a full name stands outside the domain of the mesh.
    fn is_foreign(&self, name: &str) -> bool {
        !self.domain.is_empty() && !name.strip_suffix(&self.domain).is_some_and(|host| host.ends_with('.'))
    }

    fn full_name(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        match name.strip_suffix('.') {
            Some(absolute) => absolute.to_owned(),
            None if name.contains('.') || self.domain.is_empty() => name,
            None => format!("{name}.{}", self.domain),
        }
    }

    /// The same name with letters in random case.
    fn cased(&mut self, name: &str) -> String {
        let mut bits = 0;
        let case = |(index, letter): (usize, char)| {
            if index % 64 == 0 {
                bits = self.rng.next_u64();
            }
            bits = bits.rotate_left(1);
            if bits & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
        };
        name.chars().enumerate().map(case).collect()
    }

    /// Turns to the next server that may still answer, or ends the question.
    fn ask_next(&mut self, index: usize, now: Instant) {
        let id = u16::try_from(self.rng.below(1 << 16)).unwrap_or_default();
        let Some(question) = self.questions.get_mut(index) else { return };
        let count = self.servers.len();
        while question.turn < count.saturating_mul(ROUNDS) {
            let turn = question.turn;
            question.turn = turn.saturating_add(1);
            let (Some(place), Some(round)) = (turn.checked_rem(count), turn.checked_div(count)) else { break };
            let Some(server) = self.servers.get(place).map(|server| server.address) else { break };
            // Who said that it cannot say will not say anything else within a second.
            let refused = question.failed && question.tries.iter().any(|t| t.server == server && t.over);
            if refused || question.tries.push(Try { id, server, round, sent: false, over: false }).is_err() {
                continue;
            }
            question.until = now + TRY;
            return;
        }
        let reason = match question.failed {
            _ if count == 0 => Unresolved::NoServer,
            true => Unresolved::Failed,
            false => Unresolved::NoAnswer,
        };
        self.counts.unresolved += 1;
        let kept = (reason != Unresolved::NoServer).then_some(NO_ANSWER);
        self.end(index, Err(reason), kept, now);
    }

    /// A server will not answer a question: the next one is asked at once. What nobody listens to is asked again in the
    /// second round, after its second: a name server that restarts is gone for a moment only.
    fn give_up(&mut self, index: usize, server: SocketAddrV4, now: Instant) {
        let count = self.servers.len();
        let Some(question) = self.questions.get_mut(index) else { return };
        for t in question.tries.iter_mut().filter(|t| t.server == server && t.sent) {
            t.over = true;
        }
        if !question.tries.last().is_some_and(|latest| latest.over) {
            // Another one is being waited for already.
            return;
        }
        if question.failed || question.turn < count {
            self.ask_next(index, now);
        }
    }

    /// Everybody who asked is answered.
    fn end(&mut self, index: usize, result: Result<Addresses, Unresolved>, kept: Option<Duration>, now: Instant) {
        if index >= self.questions.len() {
            return;
        }
        let question = self.questions.swap_remove(index);
        self.answers.extend(question.askers.into_iter().map(|asker| (asker, result.clone())));
        let Some(kept) = kept else { return };
        if self.cache.len() >= limits::DNS_CACHE && !self.cache.contains_key(&question.name) {
            let soonest = self.cache.iter().min_by_key(|(_, cached)| cached.until).map(|(name, _)| name.clone());
            soonest.map(|name| self.cache.remove(&name));
        }
        self.cache.insert(question.name, Cached { result, until: now + kept });
        self.sweep = self.sweep.or(Some(now + SWEEP));
    }
}

impl Question {
    /// The name as it was sent.
    fn sent_name(&self, t: &Try) -> &str {
        if t.round == 0 { &self.cased } else { &self.name }
    }
}

impl Engine for Resolver {
    fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.questions.iter().position(|question| question.until <= now) {
            self.ask_next(index, now);
        }
        if self.sweep.is_some_and(|sweep| sweep <= now) {
            self.cache.retain(|_, cached| cached.until > now);
            self.sweep = (!self.cache.is_empty()).then_some(now + SWEEP);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        sooner(self.questions.iter().map(|question| question.until).min(), self.sweep)
    }

    fn tables(&self) -> Vec<Table> {
        let waiting: usize = self.questions.iter().map(|q| q.askers.len()).sum();
        vec![
            Table { name: "dns_questions", used: self.questions.len(), limit: limits::DNS_QUESTIONS },
            Table { name: "dns_askers", used: waiting.saturating_add(self.answers.len()), limit: limits::DNS_ASKERS },
            Table { name: "dns_cache", used: self.cache.len(), limit: limits::DNS_CACHE },
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { asked, cached, joined, sent, resolved, no_such_name, unresolved, busy, malformed, stray } =
            self.counts;
        [
            ("names_asked", asked),
            ("names_from_cache", cached),
            ("names_joined", joined),
            ("questions_sent", sent),
            ("names_resolved", resolved),
            ("names_unknown", no_such_name),
            ("names_unresolved", unresolved),
            ("names_refused_busy", busy),
            ("replies_malformed", malformed),
            ("replies_stray", stray),
        ]
        .map(|(name, count)| Counter { name, count })
        .to_vec()
    }
}

#[cfg(test)]
mod tests;
