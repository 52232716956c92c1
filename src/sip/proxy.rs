//! The proxy core (RFC 3261 §16): what happens to a request from its arrival to the choice of its next hop.
//!
//! ```text
//!              datagram
//!                 │
//!     ┌───────────▼───────────┐ response  ┌────────────┐
//!     │ proxy.rs: request?    ├──────────►│ answers.rs │ branch, best answer, back to the caller
//!     └─┬───────┬──────────┬──┘           └────────────┘
//!  new  │  ACK, │ CANCEL   │ known: the last answer again
//!       │  ┌────▼──────┐
//!       │  │ cancel.rs │
//!       │  └───────────┘
//!   ┌───▼───────┐ for us   ┌────────────┐
//!   │ target.rs ├─────────►│ service.rs │ REGISTER, OPTIONS, SUBSCRIBE …
//!   └───┬───────┘          └────────────┘
//!       │ for somebody else
//!   ┌───▼────────┐ unknown address: a question, handle_whereabouts
//!   │ forward.rs │ a branch for each target
//!   └────────────┘
//!                  timeouts.rs: what the clock and ICMP say
//! ```
//!
//! What this proxy deliberately does not do: change bodies, follow redirections itself, authenticate, speak TCP or TLS,
//! judge header fields that it need not understand (§16.3).

mod answers;
mod cancel;
mod counts;
mod forward;
mod service;
mod timeouts;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use log::debug;

use super::calls::Calls;
use super::cookie::Cookies;
use super::fairness::Fairness;
use super::ours::Ours;
use super::outbox::Outbox;
use super::registrar::Registrar;
use super::response::{claim, reason};
use super::target::{self, NextHop, NoPlan, Plan};
use super::transaction::context::{Context, Peer, Server};
use super::transaction::key::server_key;
use super::transaction::store::{Handle, Store};
use super::transaction::{Again, ServerInvite, ServerOther};
use super::{Question, Whereabouts};
use crate::config;
use crate::limits;
use crate::rng::{Rng, Seed};
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::sip::{self, Answer, Essentials, Fault, HeaderTable, Message, Method, Name, NameAddr, Via, respond};

pub(super) use counts::Counts;

/// The proxy with everything that it decides by.
#[derive(Debug)]
pub(super) struct Proxy {
    pub ours: Ours,
    pub registrar: Registrar,
    pub calls: Calls,
    pub store: Store,
    pub outbox: Outbox,
    pub fairness: Fairness,
    pub counts: Counts,
    cookies: Cookies,
    rng: Rng,
    domain: String,
    addresses: Vec<Ipv4Addr>,
    record_route: bool,
    timer_c: Duration,
    questions: VecDeque<Question>,
    lookups: SortedMap<u32, Handle>,
    next_token: u32,
    /// ICMP that may still be looked at before this instant.
    icmp: (u32, Instant),
    /// For messages that are read again.
    spare: HeaderTable,
}

/// A request that can be answered.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    message: Message<'a>,
    essentials: Essentials<'a>,
    method: Method<'a>,
    peer: Peer,
}

/// The way that a request has behind it.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// So often through us.
    times: u8,
    /// Once with the same loop mark.
    unchanged: bool,
    /// The last time not directly before now: somebody else sent it back.
    came_round: bool,
}

impl Passed {
    /// Nothing that matters has changed since; or it has gone round more often than numbers stand for numbers in real life.
    /// Together with one number standing for one other (`forward.rs`) that is what keeps a few REGISTERs from making thousands of
    /// INVITEs out of one (RFC 5393 §3).
    fn is_loop(self) -> bool {
        self.unchanged || self.times >= limits::SIP_LAPS
    }
}

impl Proxy {
    pub fn new(config: &config::Sip, domain: &str, seed: &Seed) -> Self {
        let mut proxy = Self {
            ours: Ours::new(config, domain),
            registrar: Registrar::new(config),
            calls: Calls::new(config),
            store: Store::new(config.transaction_memory),
            outbox: Outbox::default(),
            fairness: Fairness::new(),
            counts: Counts::default(),
            cookies: Cookies::new(seed),
            rng: Rng::new(seed, "sip"),
            domain: String::new(),
            addresses: Vec::new(),
            record_route: true,
            timer_c: Duration::ZERO,
            questions: VecDeque::new(),
            lookups: SortedMap::new(),
            next_token: 0,
            icmp: (0, Instant::default()),
            spare: HeaderTable::default(),
        };
        proxy.set_config(config, domain);
        proxy
    }

    pub fn set_config(&mut self, config: &config::Sip, domain: &str) {
        self.ours.set_config(config, domain);
        self.registrar.set_config(config);
        self.calls.set_config(config);
        self.store.set_limit(config.transaction_memory);
        self.record_route = config.record_route;
        self.timer_c = config.timer_c;
        domain.clone_into(&mut self.domain);
    }

    pub fn set_identity(&mut self, name: &str, addresses: &[Ipv4Addr]) {
        self.ours.set_identity(name, addresses);
        self.addresses = addresses.to_vec();
    }

    /// A request arrived.
    pub fn handle_request(&mut self, message: &Message<'_>, source: SocketAddrV4, local: SocketAddrV4, now: Instant) {
        let Some(method) = message.method() else { return };
        let essentials = match Essentials::of(message) {
            Ok(essentials) => essentials,
            Err(fault) => return self.refuse_malformed(message, method, fault, source, local),
        };
        let peer = Peer::new(&essentials.via, source, local);
        let asked = Asked { message: *message, essentials, method, peer };
        match method {
            Method::Ack => self.handle_ack(&asked, now),
            Method::Cancel => self.handle_cancel(&asked, now),
            _ => {
                let key = server_key(&self.cookies, message, &essentials, method);
                match self.store.find(key) {
                    Some(handle) => self.handle_repeat(handle, &asked),
                    None => self.handle_new(&asked, key, now),
                }
            }
        }
    }

    /// RFC 3261 §17.2: a request that is known already is not done again.
    fn handle_repeat(&mut self, handle: Handle, asked: &Asked<'_>) {
        self.counts.repeated += 1;
        let Some(context) = self.store.get_mut(handle) else { return };
        let again = match &context.server {
            Server::Invite(machine) => machine.handle_repeat(),
            Server::Other(machine) => machine.handle_repeat(),
            Server::Nobody => Again::Absorb,
        };
        if again == Again::Absorb || context.repeats >= limits::SIP_REPEATS {
            return;
        }
        context.repeats += 1;
        if context.answer.is_empty() {
            if context.server.is_open() {
                self.send_trying(asked);
            }
        } else {
            self.outbox.push_bytes(context.peer.path(), &context.answer);
        }
    }

    fn handle_new(&mut self, asked: &Asked<'_>, key: u64, now: Instant) {
        // A To tag alone opens no door: it must be that of a call in the list.
        if !self.calls.holds(&asked.essentials) && !self.fairness.admit(*asked.peer.source.ip(), &self.cookies) {
            self.counts.over_share += 1;
            debug!("dropped a request of {}: more than its share while busy", asked.peer.source);
            return;
        }
        let message = asked.message;
        let plan = match target::plan(&message, &self.ours) {
            Ok(plan) => plan,
            Err(NoPlan::Scheme) => return self.reply(asked, 416, reason(416), &[]),
            Err(NoPlan::RequestUri) => return self.reply(asked, 400, "Malformed Request-URI", &[]),
            Err(NoPlan::Route) => return self.reply(asked, 400, "Malformed Route", &[]),
        };
        if plan.next == NextHop::Ourselves || self.is_for_server(asked, &plan) {
            self.serve(asked, key, now);
        } else {
            self.pass_on(asked, &plan, key, now);
        }
    }

    /// RFC 3261 §16.3 and what follows.
    fn pass_on(&mut self, asked: &Asked<'_>, plan: &Plan<'_>, key: u64, now: Instant) {
        if asked.essentials.max_forwards == Some(0) {
            return self.reply(asked, 483, reason(483), &[]);
        }
        let lap = self.lap(asked, plan);
        let passed = self.passed(asked, lap);
        if passed.is_loop() {
            self.counts.loops += 1;
            return self.reply(asked, 482, reason(482), &[]);
        }
        if let Some(unsupported) = options(asked, Name::ProxyRequire) {
            return self.reply(asked, 420, reason(420), &[("Unsupported", &unsupported)]);
        }
        // As received, as sent, and two short answers.
        let bytes = asked.message.bytes().len().saturating_mul(2).saturating_add(size_of::<Context>() + 1_024);
        let claim = claim(asked.essentials.to_tag);
        let place = self.place(asked);
        if !self.has_share(asked) || !self.store.make_room(bytes, claim) {
            self.counts.overloaded += 1;
            // Spread over time, or all come back together (RFC 3261 §21.5.4).
            let seconds = 5 + self.rng.below(10);
            return self.reply(asked, 503, reason(503), &[("Retry-After", seconds.to_string().as_bytes())]);
        }
        let invite = asked.method == Method::Invite;
        let server = if invite { Server::Invite(ServerInvite::new()) } else { Server::Other(ServerOther::new(now)) };
        let mut context = Context::new(Some(key), server, asked.peer, asked.message.bytes(), lap);
        context.came_round = passed.came_round;
        context.place = place;
        let Some(handle) = self.store.insert(context) else { return };
        self.counts.requests += 1;
        if invite {
            // §17.2.1: within 200 ms. Nothing is quicker than at once.
            self.send_trying(asked);
        }
        self.calls.observe_request(&asked.message, &asked.essentials, asked.peer.source, now);
        self.route(handle, asked, plan, now);
        self.conclude(handle, now);
        self.store.settle(handle, now);
    }

    /// Where a source is counted.
    fn place(&self, asked: &Asked<'_>) -> u8 {
        let place = self.cookies.digest("place").field(&asked.peer.source.ip().octets()).finish();
        u8::try_from(place & 0xff).unwrap_or(0)
    }

    /// Whether a source may have something kept: always within a call of the list, else within its share. A To tag alone is no
    /// proof of a call.
    fn has_share(&self, asked: &Asked<'_>) -> bool {
        self.store.has_share(self.place(asked)) || self.calls.holds(&asked.essentials)
    }

    /// An answer of our own that leaves no state behind: the caller's own repeats bring it again, and the ACK for it is known by
    /// its To tag (RFC 3261 §8.2.7).
    fn reply(&mut self, asked: &Asked<'_>, status: u16, reason: &str, extra: &[(&str, &[u8])]) {
        if status >= 300 {
            self.counts.refused += 1;
            debug!("{} of {}: {status} {reason}", asked.method.as_bytes().escape_ascii(), asked.peer.source);
        }
        self.send_answer(asked, status, reason, extra);
    }

    /// Composes and sends an answer of our own; the caller keeps it if it may be wanted again.
    fn send_answer(&mut self, asked: &Asked<'_>, status: u16, reason: &str, extra: &[(&str, &[u8])]) -> &[u8] {
        let tag = self.cookies.to_tag(asked.essentials.call_id, asked.essentials.from_tag);
        let answer = Answer {
            status,
            reason,
            to_tag: (status > 100).then_some(tag.as_bytes()),
            received: Some(*asked.peer.source.ip()),
            rport: Some(asked.peer.source.port()),
            extra,
            body: None,
        };
        self.outbox.push(asked.peer.path(), |out| respond(&asked.message, &answer, out))
    }

    fn send_trying(&mut self, asked: &Asked<'_>) {
        self.send_answer(asked, 100, reason(100), &[]);
    }

    /// RFC 3261 §16.3 step 1: what cannot be read is answered if there is a way, and never remembered.
    fn refuse_malformed(
        &mut self,
        message: &Message<'_>,
        method: Method<'_>,
        fault: Fault,
        source: SocketAddrV4,
        local: SocketAddrV4,
    ) {
        self.counts.malformed += 1;
        debug!("malformed {} of {source}: {fault:?}", method.as_bytes().escape_ascii());
        let via = message.elements(Name::Via).next().and_then(|element| Via::parse(element).ok());
        let Some(via) = via.filter(|_| fault.answerable() && method != Method::Ack) else { return };
        let call_id = message.header(Name::CallId).unwrap_or(b"");
        // As it will be reckoned for the ACK, if that can be read.
        let from = message.header(Name::From).and_then(|from| NameAddr::parse(from).ok());
        let tag = self.cookies.to_tag(call_id, from.and_then(|from| from.params.find("tag").flatten()));
        let answer = Answer {
            status: fault.status(),
            reason: fault.reason(),
            to_tag: Some(tag.as_bytes()),
            received: Some(*source.ip()),
            rport: Some(source.port()),
            ..Answer::default()
        };
        let path = Peer::new(&via, source, local).path();
        self.outbox.push(path, |out| respond(message, &answer, out));
    }

    /// The loop mark (RFC 5393 §4.2): a digest of what decides where the request goes. The topmost Via is not part of it, for it
    /// changes with every lap; a spiral, which comes back for another number, has another mark.
    fn lap(&self, asked: &Asked<'_>, plan: &Plan<'_>) -> u32 {
        let Asked { message, essentials, .. } = asked;
        let target: &[u8] = match &plan.next {
            // One number is one target, however its URI is dressed up.
            NextHop::User(number) => number,
            _ => message.request_uri().unwrap_or(b""),
        };
        let mut digest = self
            .cookies
            .digest("lap")
            .field(target)
            .field(essentials.from_tag.unwrap_or(b""))
            .field(essentials.to_tag.unwrap_or(b""))
            .field(essentials.call_id)
            .number(essentials.cseq.number);
        for name in [Name::Route, Name::ProxyRequire] {
            for value in message.headers(name) {
                digest = digest.field(value);
            }
        }
        u32::try_from(digest.finish() >> 32).unwrap_or(0)
    }

    /// How often the request went through us before, by the branches of ours among its Vias.
    fn passed(&self, asked: &Asked<'_>, lap: u32) -> Passed {
        let Asked { message, essentials, .. } = asked;
        let mut passed = Passed::default();
        for (above, element) in message.elements(Name::Via).enumerate() {
            let Some(branch) = Via::parse(element).ok().and_then(|via| via.branch) else { continue };
            if let Some(id) = self.cookies.open(branch, essentials.call_id, essentials.cseq.number) {
                passed.times += 1;
                passed.unchanged |= id.lap == lap;
                passed.came_round |= above > 0 && passed.times == 1;
            }
        }
        passed
    }

    /// Reads the stored request of a context again and hands it to `act`, which must not do so once more. Settle the context
    /// afterwards.
    fn with_request(&mut self, handle: Handle, act: impl FnOnce(&mut Self, &Asked<'_>)) {
        let Some(context) = self.store.get_mut(handle) else { return };
        let bytes = std::mem::take(&mut context.request);
        let peer = context.peer;
        let mut table = std::mem::take(&mut self.spare);
        if let Ok(message) = Message::parse(&bytes, &mut table) {
            if let (Ok(essentials), Some(method)) = (Essentials::of(&message), message.method()) {
                act(self, &Asked { message, essentials, method, peer });
            }
        }
        self.spare = table;
        if let Some(context) = self.store.get_mut(handle) {
            context.request = bytes;
        }
    }

    /// Tells the list of calls about an answer that leaves.
    fn observe_answer(&mut self, bytes: &[u8], now: Instant) {
        let mut table = std::mem::take(&mut self.spare);
        if let Ok(message) = Message::parse(bytes, &mut table) {
            if let Ok(essentials) = Essentials::of(&message) {
                self.calls.observe_response(&message, &essentials, now);
            }
        }
        self.spare = table;
    }

    /// The next name that the core must find the address of.
    pub fn poll_question(&mut self) -> Option<Question> {
        while let Some(question) = self.questions.pop_front() {
            if self.lookups.contains_key(&question.token) {
                return Some(question);
            }
        }
        None
    }

    /// Questions that are out, and the bound of their queue.
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// The answer of the core.
    pub fn handle_whereabouts(&mut self, token: u32, whereabouts: Whereabouts<'_>, now: Instant) {
        let Some(handle) = self.lookups.remove(&token) else {
            self.counts.stray_whereabouts += 1;
            return;
        };
        let Some(context) = self.store.get_mut(handle) else { return };
        context.lookup = None;
        self.with_request(handle, |proxy, asked| proxy.located(handle, asked, whereabouts, now));
        self.conclude(handle, now);
        self.store.settle(handle, now);
    }
}

/// The option tags in a header field, as they are listed in Unsupported. We support none.
fn options(asked: &Asked<'_>, name: Name) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    for tag in asked.message.elements(name).filter(|tag| !tag.is_empty()) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(tag);
    }
    (!list.is_empty()).then_some(list)
}

/// What is wrong with a datagram that is no message at all.
impl Counts {
    pub fn count_not_sip(&mut self, what: sip::NotSip) {
        match what {
            sip::NotSip::KeepAlive => self.keep_alives += 1,
            sip::NotSip::Stun => self.stun += 1,
            sip::NotSip::Junk => self.junk += 1,
            sip::NotSip::TooManyHeaders => self.too_many_headers += 1,
        }
    }
}
