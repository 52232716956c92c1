//! The test desk: pings, traces, OPTIONS and ring tests of all phones, on one schedule: the engine [`Probe`].
//!
//! ```text
//!   targets ─▶ name? ─▶ pings ─▶ OPTIONS ─▶ result        a cycle: `cycle.rs`, one phone: `trial.rs`
//!                         └─▶ way to it (`ways.rs`)   └─▶ neither answered: ring test (`ring.rs`), if that is on
//! ```
//!
//! This file is the face. `live.rs` is for people who wait; `sending.rs` says what goes out when (`schedule.rs`) and keeps what is under way (`flights.rs`);
//! `receiving.rs` says whose answer something is. An answer counts for the probe of its identifier, sequence and target, in time,
//! and once; everything else is counted and dropped.
//!
//! Deliberately not here: sockets (raw ICMP, or the unprivileged kind whose identifier the kernel chooses), names and addresses
//! of phones (asked for, [`Probe::poll_question`]), and writing: what is known is read by [`Probe::phones`].

mod cycle;
mod flights;
mod live;
mod phone;
mod receiving;
mod ring;
mod ringing;
mod schedule;
mod sending;
mod sipmsg;
mod statistics;
mod trace;
mod trial;
mod ways;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::limits;
use crate::rng::{Rng, Seed};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Instant, sooner};
use crate::wire::sip::HeaderTable;

pub use cycle::Progress;
pub use phone::{Phone, Sample, Status};
pub use ring::RingOutcome;
pub use statistics::{Rtt, Stats};
pub use trace::{TraceHop, TraceReport};
pub use ways::Hop;

use cycle::Cycle;
use flights::Flights;
use ring::Ring;
use schedule::{Agenda, Pace};
use sipmsg::Caller;
use trace::Trace;
use trial::Trial;
use ways::Ways;

/// How ICMP goes out and comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IcmpMode {
    /// The process may not: no pings, no traces.
    #[default]
    None,
    /// A raw socket, which hears what others are sent as well.
    Raw,
    /// The unprivileged socket, whose errors come beside it (`IP_RECVERR`).
    Datagram,
}

/// A message from an ICMP socket.
#[derive(Clone, Copy, Debug)]
pub struct IcmpIn<'a> {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// The TTL that it arrived with, if that is known.
    pub ttl: Option<u8>,
    /// The message behind the IP header.
    pub bytes: &'a [u8],
    /// When the kernel received it.
    pub at: Instant,
}

/// A datagram from the SIP test port.
#[derive(Clone, Copy, Debug)]
pub struct SipIn<'a> {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// The TTL that it arrived with, if that is known.
    pub ttl: Option<u8>,
    /// Its payload.
    pub bytes: &'a [u8],
    /// When the kernel received it.
    pub at: Instant,
}

/// An error from the side of an unprivileged ICMP socket.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// Who reports it.
    pub from: Ipv4Addr,
    /// Whom the probe was for.
    pub destination: Ipv4Addr,
    /// Type and code of RFC 792.
    pub kind: (u8, u8),
    /// The beginning of the probe, without its IP header.
    pub quoted: &'a [u8],
    /// When the kernel received it.
    pub at: Instant,
}

/// A message for the ICMP socket; its bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpOut {
    /// To whom.
    pub destination: Ipv4Addr,
    /// How many hops far; `None`: as far as any packet.
    pub ttl: Option<u8>,
    /// How many bytes of the buffer.
    pub len: usize,
}

/// Where a phone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where it takes SIP.
    pub address: SocketAddrV4,
    /// The router that announced it, if that is known: phones of one router have one way.
    pub node: Option<Ipv4Addr>,
}

/// Why somebody's test is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Tests are switched off.
    Off,
    /// There is no ICMP socket.
    NoIcmp,
    /// Too many others wait.
    Busy,
    /// A phone is being rung, or one was at this number not long ago: again in this time, at the earliest.
    TooSoon(Duration),
    /// The phone is in a call.
    InCall,
}

/// What somebody waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// [`Probe::trace`].
    Trace(TraceReport),
    /// [`Probe::ping`].
    Test(TestReport),
    /// [`Probe::ring`].
    Ring(RingReport),
}

/// Pings and OPTIONS of one phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestReport {
    /// Its number.
    pub number: String,
    /// Where it is; `None`: nobody knows.
    pub address: Option<SocketAddrV4>,
    /// The pings.
    pub ping: (Status, Stats),
    /// The OPTIONS.
    pub options: (Status, Stats),
}

/// A ring test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingReport {
    /// The number.
    pub number: String,
    /// What came of it.
    pub outcome: RingOutcome,
}

/// What tests put on the mesh now, and may put on it at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Probes that wait for an answer.
    pub in_flight: usize,
    /// Its bound.
    pub in_flight_limit: usize,
    /// Packets that went out in the last whole second.
    pub rate: usize,
    /// Its bound, in the mean of a second.
    pub rate_limit: usize,
}

/// The way to a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// The phone's number.
    pub number: &'a str,
    /// Its address.
    pub address: Ipv4Addr,
    /// The routers, the nearest first.
    pub hops: Vec<Hop>,
    /// The last round trip to the phone, in microseconds.
    pub rtt_us: Option<u32>,
}

/// What somebody wants to be done once the address is known.
#[derive(Clone, Debug)]
struct Wish {
    number: String,
    asker: u32,
    what: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// So many pings and OPTIONS.
    Test(u8),
    Ring,
}

/// Whose address is asked for.
#[derive(Clone, Debug)]
enum Question {
    /// The phone of that index, for the cycle.
    Cycle(u32),
    /// For somebody who waits.
    Wish(Wish),
}

#[derive(Clone, Debug, Default)]
struct Counts {
    cycles: u64,
    pings: u64,
    pings_answered: u64,
    options: u64,
    options_answered: u64,
    hops_asked: u64,
    hops_answered: u64,
    repeats: u64,
    lost: u64,
    late: u64,
    foreign: u64,
    malformed: u64,
    unreachable: u64,
    rings: u64,
    requests: u64,
    busy: u64,
    dropped: u64,
}

/// The engine.
#[derive(Debug)]
pub struct Probe {
    config: config::Probe,
    caller: Caller,
    mode: IcmpMode,
    identifier: u16,
    /// Marks our echoes, besides their identifier.
    token: [u8; 8],
    rng: Rng,
    /// In the order of their numbers.
    phones: Vec<Phone>,
    /// Who is to be tested from the next cycle on.
    targets: Option<SortedSet<String>>,
    cycle: Option<Cycle>,
    cycle_number: u32,
    next_cycle: Option<Instant>,
    in_calls: SortedSet<String>,
    questions: Vec<(u32, Question)>,
    /// Questions that were not yet picked up.
    unasked: VecDeque<u32>,
    next_token: u32,
    trials: SortedMap<u16, Trial>,
    traces: Vec<Trace>,
    rings: Vec<Ring>,
    /// Phones that answered nothing and may be rung.
    to_ring: VecDeque<Box<str>>,
    rung: SortedMap<String, Instant>,
    ways: Ways,
    pace: Pace,
    agenda: Agenda,
    flights: Flights,
    icmp_out: VecDeque<sending::EchoOut>,
    sip_out: VecDeque<sending::SipOut>,
    reports: VecDeque<(u32, Report)>,
    headers: HeaderTable,
    revision: u64,
    counts: Counts,
}

impl Probe {
    /// A test desk that knows no phones yet.
    pub fn new(config: &config::Probe, seed: &Seed, now: Instant) -> Self {
        let mut rng = Rng::new(seed, "probe");
        let mut probe = Self {
            config: config.clone(),
            caller: Caller::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, config.listen.port()), &config.caller_id),
            mode: IcmpMode::None,
            identifier: 0,
            token: rng.next_u64().to_be_bytes(),
            rng,
            phones: Vec::new(),
            targets: None,
            cycle: None,
            cycle_number: 0,
            next_cycle: None,
            in_calls: SortedSet::new(),
            questions: Vec::new(),
            unasked: VecDeque::new(),
            next_token: 0,
            trials: SortedMap::new(),
            traces: Vec::new(),
            rings: Vec::new(),
            to_ring: VecDeque::new(),
            rung: SortedMap::new(),
            ways: Ways::default(),
            pace: Pace::new(config.rate),
            agenda: Agenda::default(),
            flights: Flights::default(),
            icmp_out: VecDeque::new(),
            sip_out: VecDeque::new(),
            reports: VecDeque::new(),
            headers: HeaderTable::default(),
            revision: 0,
            counts: Counts::default(),
        };
        probe.handle_config(config, now);
        probe
    }

    /// Takes over a changed configuration. What is under way goes on, unless tests are switched off.
    pub fn handle_config(&mut self, config: &config::Probe, now: Instant) {
        let mut at = self.caller.at();
        if config.listen != self.config.listen {
            at.set_port(config.listen.port());
        }
        if !config.listen.ip().is_unspecified() {
            at.set_ip(*config.listen.ip());
        }
        self.caller = Caller::new(at, &config.caller_id);
        self.pace.set_rate(config.rate);
        self.config = config.clone();
        if self.plan() == (0, 0) {
            self.stop(now);
        }
        let latest = now + self.config.interval;
        self.next_cycle = self.next_cycle.map(|at| at.min(latest));
        self.schedule_cycle(now);
        self.settle(now);
    }

    /// The addresses of this node, the one that the mesh knows first.
    pub fn set_identity(&mut self, addresses: &[Ipv4Addr]) {
        let first = addresses.iter().find(|address| !address.is_loopback()).or(addresses.first());
        if let Some(address) = first.filter(|_| self.config.listen.ip().is_unspecified()) {
            self.caller.move_to(SocketAddrV4::new(*address, self.port()));
        }
    }

    /// The port that SIP tests really come from, where the configuration says 0 (any).
    pub fn set_port(&mut self, port: u16) {
        self.caller.move_to(SocketAddrV4::new(*self.caller.at().ip(), port));
    }

    /// The port that SIP tests come from.
    pub fn port(&self) -> u16 {
        self.caller.at().port()
    }

    /// What the shell's ICMP socket can do, and the identifier that its echoes carry.
    pub fn handle_icmp_mode(&mut self, mode: IcmpMode, identifier: u16, now: Instant) {
        self.mode = mode;
        self.identifier = identifier;
        self.schedule_cycle(now);
        self.revision = self.revision.wrapping_add(1);
    }

    /// How ICMP is sent, for the status.
    pub fn icmp_mode(&self) -> IcmpMode {
        self.mode
    }

    /// Who is to be tested: the numbers of the phones of the book that are on the mesh, and of the registered ones. A cycle
    /// that is under way ends with those with which it began.
    pub fn handle_targets(&mut self, numbers: &SortedSet<String>, now: Instant) {
        let numbers = numbers.iter().filter(|number| number.len() <= limits::SIP_USER).take(limits::PROBE_PHONES);
        self.targets = Some(numbers.cloned().collect());
        if self.cycle.is_none() {
            self.take_targets();
        }
        self.schedule_cycle(now);
        self.settle(now);
    }

    /// The numbers that are in a call: their phones are not rung.
    pub fn handle_calls(&mut self, numbers: &SortedSet<String>, now: Instant) {
        self.in_calls.clone_from(numbers);
        for index in 0..self.rings.len() {
            let wanted = |ring: &&mut Ring| ring.is_under_way() && self.in_calls.contains(&*ring.number);
            let Some(ring) = self.rings.get_mut(index).filter(wanted) else { continue };
            let (to, bytes) = (ring.to, ring.break_off(now));
            self.send_sip(to, bytes);
        }
        self.settle(now);
    }

    /// How many cycles have ended.
    pub fn cycles(&self) -> u64 {
        self.counts.cycles
    }

    /// Whether [`Probe::handle_calls`] matters now: a phone is rung, or may be at any moment.
    pub fn minds_calls(&self) -> bool {
        self.config.call_test || self.is_ring_wished() || self.rings.iter().any(Ring::is_under_way)
    }

    /// A phone whose address is to be found; answered by [`Probe::handle_address`].
    pub fn poll_question(&mut self) -> Option<(u32, String)> {
        if let Some(token) = self.unasked.pop_front() {
            let number =
                self.questions.iter().find(|(asked, _)| *asked == token).and_then(|(_, question)| match question {
                    Question::Wish(wish) => Some(wish.number.clone()),
                    Question::Cycle(index) => Some(self.phone(*index)?.number.to_string()),
                });
            return Some((token, number?));
        }
        self.ask_for_cycle()
    }

    /// Where a phone is; `None`: nobody knows.
    pub fn handle_address(&mut self, token: u32, whereabouts: Option<Whereabouts>, now: Instant) {
        let Some(place) = self.questions.iter().position(|(asked, _)| *asked == token) else {
            self.counts.foreign += 1;
            return;
        };
        match self.questions.swap_remove(place).1 {
            Question::Cycle(index) => self.found_for_cycle(index, whereabouts, now),
            Question::Wish(wish) => self.grant(wish, whereabouts, now),
        }
        self.settle(now);
    }

    /// All phones that are tested, by number.
    pub fn phones(&self) -> impl Iterator<Item = &Phone> {
        self.phones.iter()
    }

    /// The phone of that number.
    pub fn find(&self, number: &str) -> Option<&Phone> {
        let place = self.phones.binary_search_by(|phone| phone.number().cmp(number)).ok()?;
        self.phones.get(place)
    }

    /// The ways that were found with the last tests.
    pub fn paths(&self) -> impl Iterator<Item = Path<'_>> {
        self.phones.iter().filter_map(|phone| {
            let hops = self.ways.way(phone.distance, phone.link?)?;
            let rtt_us = phone.ping.1.rtt.map(|rtt| rtt.avg_us);
            Some(Path { number: &phone.number, address: *phone.address?.ip(), hops, rtt_us })
        })
    }

    /// How much is allowed at once, and how much of it is used.
    pub fn load(&self, now: Instant) -> Load {
        Load {
            in_flight: self.flights.len(),
            in_flight_limit: self.config.in_flight,
            rate: self.pace.rate(now),
            rate_limit: self.config.rate,
        }
    }

    /// Changes with every result.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn ask(&mut self, question: Question) -> u32 {
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        self.questions.push((token, question));
        token
    }

    fn phone(&self, index: u32) -> Option<&Phone> {
        self.phones.get(usize::try_from(index).ok()?)
    }

    fn phone_mut(&mut self, index: u32) -> Option<&mut Phone> {
        self.phones.get_mut(usize::try_from(index).ok()?)
    }

    /// How many pings and OPTIONS each phone of a cycle gets.
    fn plan(&self) -> (u8, u8) {
        let count = |configured| u8::try_from(configured).unwrap_or(u8::MAX);
        let pings = if self.mode == IcmpMode::None { 0 } else { self.config.ping_count };
        if self.config.enabled { (count(pings), count(self.config.options_count)) } else { (0, 0) }
    }
}

impl Engine for Probe {
    fn handle_timeout(&mut self, now: Instant) {
        self.handle_cycle_timeout(now);
        if self.flights_deadline().is_some_and(|at| at <= now) {
            self.handle_flights(now);
        }
        self.handle_rings(now);
        self.handle_traces(now);
        self.settle(now);
        self.send_what_is_due(now);
        self.settle(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let rings = self.rings.iter().map(|ring| Some(ring.next_deadline()));
        let traces = self.traces.iter().map(|trace| Some(trace.end()));
        let others = [self.cycle_deadline(), self.flights_deadline(), self.sending_deadline()];
        rings.chain(traces).chain(others).fold(None, sooner)
    }

    fn tables(&self) -> Vec<Table> {
        let table = |name, used, limit| Table { name, used, limit };
        vec![
            table("probe_phones", self.phones.len(), limits::PROBE_PHONES),
            // Fewer may be allowed now than are under way.
            table("probe_in_flight", self.flights.len(), self.config.in_flight.max(self.flights.len())),
            table("probe_tests", self.trials.len(), limits::PROBE_TESTS),
            table("probe_questions", self.questions.len(), limits::PROBE_QUESTIONS + limits::PROBE_LIVE),
            table("probe_routers", self.ways.routers(), limits::PROBE_ROUTERS),
            table("probe_way_questions", self.ways.questions(), limits::PROBE_PHONES + limits::PROBE_ROUTERS),
            table("probe_rings", self.rings.len(), limits::PROBE_RINGS),
            table("probe_rung", self.rung.len(), limits::PROBE_RUNG),
            table("probe_outbox", self.icmp_out.len() + self.sip_out.len(), 2 * limits::PROBE_OUTBOX),
            table("probe_reports", self.reports.len() + self.traces.len(), limits::PROBE_LIVE),
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let counts = &self.counts;
        let counter = |name, count| Counter { name, count };
        vec![
            counter("cycles", counts.cycles),
            counter("pings", counts.pings),
            counter("pings_answered", counts.pings_answered),
            counter("options", counts.options),
            counter("options_answered", counts.options_answered),
            counter("options_repeated", counts.repeats),
            counter("hops_asked", counts.hops_asked),
            counter("hops_answered", counts.hops_answered),
            counter("lost", counts.lost),
            counter("late_answers", counts.late),
            counter("foreign_answers", counts.foreign),
            counter("malformed", counts.malformed),
            counter("unreachable", counts.unreachable),
            counter("rings", counts.rings),
            counter("requests", counts.requests),
            counter("busy", counts.busy),
            counter("dropped", counts.dropped + self.ways.refused),
        ]
    }
}
