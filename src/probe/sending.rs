//! What goes out, when, and what is kept of it while it is under way.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::cycle::urgency;
use super::flights::{Flight, What, sequence};
use super::ring::Ring;
use super::schedule::Next;
use super::sipmsg::{self, Request};
use super::trace::PATIENCE;
use super::trial::{Owner, Phase};
use super::{IcmpOut, Probe};
use crate::limits;
use crate::time::{Instant, sooner};
use crate::wire::icmp::{self, Echo};

/// RFC 3261 §17.1.2.1, for a phone that is not known to be slower.
const T1: Duration = Duration::from_millis(500);
/// The longest pause between repeats.
const T2: Duration = Duration::from_secs(4);
/// What our echoes carry: the token and the whole number.
pub(super) const PAYLOAD: usize = 12;

/// An echo that waits to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct EchoOut {
    number: u32,
    ttl: u8,
}

/// A SIP message that waits to be sent.
#[derive(Clone, Debug)]
pub(super) enum SipOut {
    /// The OPTIONS under way by that number; written when it is sent.
    Options(u32),
    /// A whole message.
    Message(SocketAddrV4, Vec<u8>),
}

impl Probe {
    /// The next message for the ICMP socket, written into `buffer`; `now` is when it is really sent, which on a busy node is
    /// some time after it was due.
    pub fn poll_icmp(&mut self, buffer: &mut [u8], now: Instant) -> Option<IcmpOut> {
        while let Some(EchoOut { number, ttl }) = self.icmp_out.pop_front() {
            // What was given up meanwhile is not sent.
            let flight = self.flights.find(sequence(number)).filter(|flight| flight.number == number);
            let Some(destination) = flight.map(|flight| flight.target) else { continue };
            self.flights.stamp(sequence(number), now);
            let mut payload: heapless::Vec<u8, PAYLOAD> = heapless::Vec::new();
            // There is room for both.
            let _ = payload.extend_from_slice(&self.token);
            let _ = payload.extend_from_slice(&number.to_be_bytes());
            let echo = Echo { identifier: self.identifier, sequence: sequence(number), payload: &payload };
            let len = icmp::emit_request(&echo, buffer)?;
            return Some(IcmpOut { destination, ttl: Some(ttl).filter(|ttl| *ttl > 0), len });
        }
        None
    }

    /// The next datagram for the SIP test port, written into `buffer`: to whom, and how many bytes.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(SocketAddrV4, usize)> {
        while let Some(out) = self.sip_out.pop_front() {
            let (to, bytes) = match out {
                SipOut::Message(to, bytes) => (to, bytes),
                SipOut::Options(number) => match self.options(number) {
                    Some(written) => written,
                    None => continue,
                },
            };
            buffer.get_mut(..bytes.len())?.copy_from_slice(&bytes);
            return Some((to, bytes.len()));
        }
        None
    }

    /// The OPTIONS under way by that number.
    fn options(&self, number: u32) -> Option<(SocketAddrV4, Vec<u8>)> {
        let flight = self.flights.find(sequence(number)).filter(|flight| flight.number == number)?;
        let What::Options { test, index, .. } = flight.what else { return None };
        let trial = self.trials.get(&test)?;
        let to = ["<", &trial.uri, ">"].concat();
        let cseq = u32::from(index).saturating_add(1);
        let request = Request {
            method: "OPTIONS",
            uri: &trial.uri,
            to: &to,
            branch: number,
            call: trial.call,
            cseq,
            offer: None,
        };
        Some((trial.to, sipmsg::write(&self.caller, &request)))
    }

    fn has_room(&self) -> bool {
        self.flights.len() < self.config.in_flight.max(1)
    }

    /// When the schedule has something to send.
    pub(super) fn sending_deadline(&self) -> Option<Instant> {
        let room = self.has_room();
        let at_once = self.has_phone_to_ring() || (room && self.has_ready_phone());
        let at_once = at_once.then(Instant::default);
        let question = self.ways.planned().filter(|_| room);
        let soonest = sooner(sooner(at_once, question), self.agenda.next(room));
        soonest.map(|at| at.max(self.pace.wake()))
    }

    /// When a flight is to be looked after: with what is sent next, if that is soon enough.
    pub(super) fn flights_deadline(&self) -> Option<Instant> {
        let at = self.flights.next_event()?;
        Some(self.sending_deadline().filter(|next| *next <= at + limits::PROBE_QUANTUM).map_or(at, |next| next.max(at)))
    }

    /// Sends what is due, as far as the rate and the number in flight allow.
    pub(super) fn send_what_is_due(&mut self, now: Instant) {
        while self.pace.is_free(now) {
            let room = self.has_room();
            if self.has_phone_to_ring() {
                self.ring_next(now);
            } else if let Some(next) = self.agenda.pop(now, room) {
                match next {
                    Next::Trace(id) => self.send_trace(id, now),
                    Next::Repeat(sequence) => self.send_repeat(sequence, now),
                    Next::Test(key) => self.send_test(key, now),
                }
            } else if let Some((_, id)) = self.ways.plan(now).filter(|(at, _)| room && *at <= now) {
                self.send_question(id, now);
            } else if room && self.has_ready_phone() {
                self.begin_next(now);
            } else {
                break;
            }
        }
    }

    fn send_test(&mut self, key: u16, now: Instant) {
        let prove = self.config.traceroute;
        let Some(trial) = self.trials.get_mut(&key) else { return };
        trial.due = None;
        if !trial.has_more() {
            return;
        }
        let prove = prove && matches!(trial.owner, Owner::Cycle(_));
        let (index, ttl) = trial.send(prove);
        let (phase, target, more, urgency) = (trial.phase(), *trial.to.ip(), trial.has_more(), urgency(trial));
        let t1 = t1(trial.longest_us());
        let end = now + self.config.timeout;
        match phase {
            Phase::Ping => {
                self.counts.pings += 1;
                self.send_echo(What::Ping { test: key, index, ttl }, target, ttl, now, end);
            }
            Phase::Options => {
                self.counts.options += 1;
                let what = What::Options { test: key, index, sends: 1 };
                let sent = self.flights.add(what, target, now, (now + t1).min(end), end);
                self.send_options(sent, now);
            }
        }
        if more {
            let spacing = Duration::from_millis(u64::try_from(self.config.spacing_ms).unwrap_or(u64::MAX));
            self.put_on_agenda(key, urgency, now + spacing);
        }
    }

    fn send_options(&mut self, sequence: u16, now: Instant) {
        self.pace.take(now);
        if let Some(number) = self.flights.find(sequence).map(|flight| flight.number) {
            self.push_sip(SipOut::Options(number));
        }
    }

    fn send_repeat(&mut self, sequence: u16, now: Instant) {
        let Some(Flight { what: What::Options { test, index, sends }, end, .. }) = self.flights.find(sequence).copied()
        else {
            return;
        };
        let t1 = t1(self.trials.get(&test).map_or(0, |trial| trial.longest_us()));
        // §17.1.2.2, timer E: the pauses double.
        let pause = t1.saturating_mul(1 << sends.min(8)).min(T2.max(t1));
        let what = What::Options { test, index, sends: sends.saturating_add(1) };
        self.flights.repeat(sequence, what, (now + pause).min(end));
        self.counts.repeats += 1;
        self.send_options(sequence, now);
    }

    fn send_question(&mut self, id: u32, now: Instant) {
        if let Some((target, ttl, patience)) = self.ways.send(id, now) {
            self.counts.hops_asked += 1;
            self.send_echo(What::Ask(id), target, ttl, now, now + patience);
        }
    }

    fn send_trace(&mut self, id: u32, now: Instant) {
        let Some(trace) = self.traces.iter_mut().find(|trace| trace.id == id) else { return };
        let Some(ttl) = trace.send() else { return };
        let (target, more) = (trace.target, trace.has_more());
        self.send_echo(What::Trace { trace: id, ttl }, target, ttl, now, now + PATIENCE);
        if more {
            self.agenda.add_trace(now, id);
        }
    }

    fn send_echo(&mut self, what: What, target: std::net::Ipv4Addr, ttl: u8, now: Instant, end: Instant) {
        self.pace.take(now);
        let key = self.flights.add(what, target, now, end, end);
        let Some(number) = self.flights.find(key).map(|flight| flight.number) else { return };
        if self.icmp_out.len() >= limits::PROBE_OUTBOX {
            self.icmp_out.pop_front();
            self.counts.dropped += 1;
        }
        self.icmp_out.push_back(EchoOut { number, ttl });
    }

    /// Calls a phone.
    pub(super) fn start_ring(&mut self, number: &str, to: SocketAddrV4, asker: Option<u32>, now: Instant) {
        let ring = Ring::new(number, to, self.rng.next_u64(), asker, &self.caller, now);
        if self.rings.len() >= limits::PROBE_RINGS {
            // All of them are over.
            self.rings.remove(0);
        }
        self.rung.insert(number.to_owned(), now);
        self.counts.rings += 1;
        let invite = ring.invite();
        self.rings.push(ring);
        self.pace.take(now);
        self.send_sip(to, Some(invite));
    }

    pub(super) fn send_sip(&mut self, to: SocketAddrV4, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = bytes {
            self.push_sip(SipOut::Message(to, bytes));
        }
    }

    fn push_sip(&mut self, out: SipOut) {
        if self.sip_out.len() >= limits::PROBE_OUTBOX {
            self.sip_out.pop_front();
            self.counts.dropped += 1;
        }
        self.sip_out.push_back(out);
    }

    /// Looks after what is due: repeats, and what is lost.
    pub(super) fn handle_flights(&mut self, now: Instant) {
        while let Some((sequence, flight)) = self.flights.due(now) {
            if flight.end > now {
                self.flights.queue(sequence, now);
                self.agenda.add_repeat(now, sequence);
                continue;
            }
            self.land(sequence);
            self.counts.lost += 1;
            self.lose(flight, now);
        }
    }

    /// It is not under way any more, however that ended.
    pub(super) fn land(&mut self, sequence: u16) {
        if let Some(queued) = self.flights.remove(sequence).and_then(|flight| flight.queued) {
            self.agenda.remove_repeat(queued, sequence);
        }
    }

    /// A probe that has landed brought nothing.
    pub(super) fn lose(&mut self, flight: Flight, now: Instant) {
        match flight.what {
            What::Ping { test, .. } | What::Options { test, .. } => {
                if let Some(trial) = self.trials.get_mut(&test) {
                    trial.handle_loss();
                }
                self.go_on(test, now);
            }
            What::Ask(id) => self.ways.handle_silence(id, now),
            What::Trace { trace: id, ttl } => {
                if let Some(trace) = self.traces.iter_mut().find(|trace| trace.id == id) {
                    trace.handle_silence(ttl);
                }
                self.trace_goes_on(id, now);
            }
        }
    }

    pub(super) fn drop_flights_of(&mut self, key: u16) {
        self.drop_flights(|what| matches!(what, What::Ping { test, .. } | What::Options { test, .. } if *test == key));
    }

    pub(super) fn drop_flights_of_trace(&mut self, id: u32) {
        self.drop_flights(|what| matches!(what, What::Trace { trace, .. } if *trace == id));
    }

    pub(super) fn drop_ask_flights(&mut self) {
        self.drop_flights(|what| matches!(what, What::Ask(_)));
    }

    fn drop_flights(&mut self, gone: impl Fn(&What) -> bool) {
        for sequence in self.flights.find_all(|flight| gone(&flight.what)) {
            self.land(sequence);
        }
    }
}

/// A phone whose pings take long is not asked again before its answer can be there.
fn t1(longest_us: u32) -> Duration {
    T1.max(Duration::from_micros(u64::from(longest_us)).saturating_mul(2))
}
