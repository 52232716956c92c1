//! Whose answer something is: by identifier, sequence and target, in time, once. All else is counted and dropped.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::flights::{Flight, What, sequence};
use super::sending::PAYLOAD;
use super::trial::{Owner, guess};
use super::{IcmpError, IcmpIn, Probe, SipIn, sipmsg};
use crate::time::{Instant, micros};
use crate::wire::icmp::{self, Echo, Message as Icmp};
use crate::wire::sip::{Answer, Message, Method, NotSip, respond};

/// What a router says of one of our echoes.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// Who says it.
    from: Ipv4Addr,
    /// Whether the echo had gone as far as it was allowed to; else it cannot be delivered.
    is_hop: bool,
    destination: Ipv4Addr,
    identifier: u16,
    sequence: u16,
    at: Instant,
}

impl Probe {
    /// A message came out of the ICMP socket.
    pub fn handle_icmp(&mut self, message: &IcmpIn<'_>, now: Instant) {
        let said = |is_hop, quote: icmp::Quote| Said {
            from: message.from,
            is_hop,
            destination: quote.destination,
            identifier: quote.identifier,
            sequence: quote.sequence,
            at: message.at,
        };
        match icmp::parse(message.bytes) {
            Ok(Icmp::Reply(echo)) => self.handle_reply(&echo, message, now),
            Ok(Icmp::TimeExceeded(quote)) => self.handle_said(said(true, quote), now),
            Ok(Icmp::Unreachable(_, quote)) => self.handle_said(said(false, quote), now),
            // A raw socket also hears what others ask this node.
            Ok(Icmp::Request(_) | Icmp::Other(_)) => {}
            // Errors about what was no echo are for others.
            Err(icmp::BadIcmp::QuoteOther) => self.counts.foreign += 1,
            Err(_) => self.counts.malformed += 1,
        }
        self.settle(now);
    }

    /// An error came from the side of an unprivileged ICMP socket.
    pub fn handle_icmp_error(&mut self, error: &IcmpError<'_>, now: Instant) {
        let is_hop = match error.kind {
            (11, 0) => true,
            (3, _) => false,
            _ => return,
        };
        match icmp::quoted_echo(error.quoted) {
            Ok((identifier, sequence)) => {
                let (from, destination, at) = (error.from, error.destination, error.at);
                self.handle_said(Said { from, is_hop, destination, identifier, sequence, at }, now);
            }
            Err(_) => self.counts.malformed += 1,
        }
        self.settle(now);
    }

    fn handle_reply(&mut self, echo: &Echo<'_>, message: &IcmpIn<'_>, now: Instant) {
        let number = echo.payload.strip_prefix(&self.token).and_then(|number| <[u8; 4]>::try_from(number).ok());
        let number = number.filter(|_| echo.payload.len() == PAYLOAD).map(u32::from_be_bytes);
        let Some(number) = number.filter(|n| echo.identifier == self.identifier && sequence(*n) == echo.sequence)
        else {
            self.counts.foreign += 1;
            return;
        };
        let flight = self.flights.find(echo.sequence).filter(|flight| flight.number == number).copied();
        let Some(flight) = flight.filter(|flight| message.at <= flight.end) else {
            self.counts.late += 1;
            return;
        };
        if flight.target != message.from || matches!(flight.what, What::Options { .. }) {
            self.counts.foreign += 1;
            return;
        }
        self.land(echo.sequence);
        let (rtt, ttl) = (rtt_us(&flight, message.at), message.ttl.unwrap_or(0));
        match flight.what {
            What::Ping { test, index, .. } => {
                self.counts.pings_answered += 1;
                let owner = self.trials.get(&test).map(|trial| trial.owner);
                let distance = self.distance(owner, ttl);
                if let Some(trial) = self.trials.get_mut(&test) {
                    trial.handle_answer(index, Some(rtt));
                    if trial.reply_ttl != ttl {
                        (trial.reply_ttl, trial.distance) = (ttl, distance);
                    }
                }
                self.go_on(test, now);
            }
            What::Ask(id) => {
                self.counts.hops_answered += 1;
                self.ways.handle_target(id, now);
            }
            What::Trace { trace: id, ttl: range } => {
                if let Some(trace) = self.traces.iter_mut().find(|trace| trace.id == id) {
                    trace.handle_target(range, ttl, rtt);
                }
                self.trace_goes_on(id, now);
            }
            What::Options { .. } => {}
        }
    }

    /// As far away as it turned out to be the last time that its replies looked like this, or as they look.
    fn distance(&self, owner: Option<Owner>, reply_ttl: u8) -> u8 {
        let phone = match owner {
            Some(Owner::Cycle(index)) => self.phone(index),
            _ => None,
        };
        let known = phone.filter(|phone| phone.reply_ttl == reply_ttl && phone.distance > 0);
        let most = u8::try_from(self.config.max_hops).unwrap_or(u8::MAX);
        known.map_or(guess(reply_ttl), |phone| phone.distance).min(most)
    }

    fn handle_said(&mut self, said: Said, now: Instant) {
        let Said { from, is_hop, .. } = said;
        if said.identifier != self.identifier {
            self.counts.foreign += 1;
            return;
        }
        let Some(flight) = self.flights.find(said.sequence).filter(|flight| said.at <= flight.end).copied() else {
            self.counts.late += 1;
            return;
        };
        if flight.target != said.destination || matches!(flight.what, What::Options { .. }) {
            self.counts.foreign += 1;
            return;
        }
        self.land(said.sequence);
        let rtt = rtt_us(&flight, said.at);
        if !is_hop {
            self.counts.unreachable += 1;
            match flight.what {
                What::Ask(id) => self.ways.handle_unreachable(id, now),
                _ => self.lose(flight, now),
            }
            return;
        }
        match flight.what {
            What::Ping { test, index, ttl } => {
                self.ways.charge(ttl, from, now);
                let goes_again = self.trials.get_mut(&test).is_some_and(|trial| trial.handle_too_short(index, ttl));
                if !goes_again {
                    self.counts.unreachable += 1;
                }
                self.go_on(test, now);
            }
            What::Ask(id) => {
                self.counts.hops_answered += 1;
                self.ways.handle_router(id, from, rtt, now);
            }
            What::Trace { trace: id, ttl } => {
                self.ways.charge(ttl, from, now);
                if let Some(trace) = self.traces.iter_mut().find(|trace| trace.id == id) {
                    match ttl {
                        // As far as any packet goes, and still not there: it runs in a circle.
                        0 => trace.handle_silence(0),
                        ttl => trace.handle_router(ttl, from, rtt),
                    }
                }
                self.trace_goes_on(id, now);
            }
            What::Options { .. } => {}
        }
    }

    /// A datagram came out of the SIP test port.
    pub fn handle_datagram(&mut self, datagram: &SipIn<'_>, now: Instant) {
        let mut headers = std::mem::take(&mut self.headers);
        match Message::parse(datagram.bytes, &mut headers) {
            Ok(message) if message.method().is_some() => self.answer_request(&message, datagram.from),
            Ok(message) => self.handle_response(&message, datagram, now),
            Err(NotSip::KeepAlive) => {}
            Err(_) => self.counts.malformed += 1,
        }
        self.headers = headers;
        self.settle(now);
    }

    fn handle_response(&mut self, message: &Message<'_>, datagram: &SipIn<'_>, now: Instant) {
        let (source, ttl) = (datagram.from, datagram.ttl.unwrap_or(0));
        let Some(answer) = sipmsg::read(message) else {
            self.counts.foreign += 1;
            return;
        };
        let ring = self.rings.iter_mut().find(|ring| ring.call == answer.call && ring.to.ip() == source.ip());
        if let Some(ring) = ring {
            let (to, messages) = (ring.to, ring.handle_answer(&answer, message, &self.caller, now));
            for bytes in messages {
                self.send_sip(to, Some(bytes));
            }
            return;
        }
        let key = sequence(answer.branch);
        let flight = self.flights.find(key).filter(|flight| flight.number == answer.branch).copied();
        let Some(flight) = flight.filter(|flight| datagram.at <= flight.end) else {
            self.counts.late += 1;
            return;
        };
        let What::Options { test, index, sends } = flight.what else {
            self.counts.foreign += 1;
            return;
        };
        let ours = self.trials.get(&test).is_some_and(|trial| trial.call == answer.call);
        let right = answer.method == Method::Options && answer.cseq == u32::from(index).saturating_add(1);
        if !ours || !right || flight.target != *source.ip() {
            self.counts.foreign += 1;
            return;
        }
        if answer.status < 200 {
            // It has it; only the final answer counts, and that needs no repeats (§17.1.2.2).
            if let Some(queued) = self.flights.calm(key) {
                self.agenda.remove_repeat(queued, key);
            }
            return;
        }
        self.land(key);
        self.counts.options_answered += 1;
        let distance = self.distance(self.trials.get(&test).map(|trial| trial.owner), ttl);
        if let Some(trial) = self.trials.get_mut(&test) {
            // A phone that answers no ping is as far away as this looks; after a ping nobody looks at it any more.
            (trial.reply_ttl, trial.distance) = (ttl, distance);
            // Of one that was sent twice nobody knows which was answered.
            trial.handle_answer(index, (sends == 1).then(|| rtt_us(&flight, datagram.at)));
        }
        self.go_on(test, now);
    }

    /// Phones may say BYE while we do, or ask who we are; all else is nothing for a test port.
    fn answer_request(&mut self, message: &Message<'_>, source: SocketAddrV4) {
        self.counts.requests += 1;
        let known = sipmsg::call_of(message).is_some_and(|call| self.rings.iter().any(|ring| ring.call == call));
        let (status, reason) = match message.method() {
            None | Some(Method::Ack) => return,
            Some(Method::Options) => (200, "OK"),
            Some(Method::Bye) if known => (200, "OK"),
            Some(Method::Bye | Method::Cancel) => (481, "Call/Transaction Does Not Exist"),
            Some(Method::Invite) => (480, "Temporarily Unavailable"),
            Some(_) => (405, "Method Not Allowed"),
        };
        // RFC 3261 §8.2.1 and §11.2.
        let extra: &[(&str, &[u8])] = &[("Allow", b"BYE, OPTIONS")];
        let answer = Answer {
            status,
            reason,
            to_tag: Some(b"switchboard-test"),
            received: Some(*source.ip()),
            rport: Some(source.port()),
            extra,
            body: None,
        };
        let mut out = Vec::new();
        respond(message, &answer, &mut out);
        self.send_sip(source, Some(out));
    }

    /// The network says that nobody takes SIP there.
    pub fn handle_unreachable(&mut self, destination: SocketAddrV4, now: Instant) {
        let trials = &self.trials;
        let there = |flight: &Flight| match flight.what {
            What::Options { test, .. } => trials.get(&test).is_some_and(|trial| trial.to == destination),
            _ => false,
        };
        let gone = self.flights.find_all(there);
        for sequence in gone {
            let Some(flight) = self.flights.find(sequence).copied() else { continue };
            self.land(sequence);
            self.counts.unreachable += 1;
            self.lose(flight, now);
        }
        for ring in self.rings.iter_mut().filter(|ring| ring.to == destination) {
            ring.handle_unreachable(now);
        }
        self.settle(now);
    }
}

/// From sending to receiving; the same microsecond counts as one.
fn rtt_us(flight: &Flight, at: Instant) -> u32 {
    u32::try_from(micros(at.since(flight.sent))).unwrap_or(u32::MAX).max(1)
}
