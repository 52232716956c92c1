//! Probes under way: what each was for, and until when its answer counts.
//!
//! The number of a probe is its sequence on the wire, for pings as for OPTIONS; numbers go round, and one that is under way is
//! passed over.

use std::net::Ipv4Addr;

use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The ping `index` of a test; it may go `ttl` hops far, 0: as far as any packet.
    Ping { test: u16, index: u8, ttl: u8 },
    /// The OPTIONS `index` of a test, sent so many times.
    Options { test: u16, index: u8, sends: u8 },
    /// A question of [`super::ways::Ways`].
    Ask(u32),
    /// A probe of somebody's trace; `ttl` 0: the first, which goes all the way.
    Trace { trace: u32, ttl: u8 },
}

/// A probe under way.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// What for.
    pub what: What,
    /// To whom.
    pub target: Ipv4Addr,
    /// Its number, whose lower half is its sequence.
    pub number: u32,
    /// When it was (first) sent.
    pub sent: Instant,
    /// When it is to be looked after.
    pub event: Instant,
    /// When it is lost.
    pub end: Instant,
    /// It waits for its turn to be sent again, since then.
    pub queued: Option<Instant>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    flights: SortedMap<u16, Flight>,
    events: SortedSet<(Instant, u16)>,
    next: u32,
}

/// What goes over the wire of a number.
pub fn sequence(number: u32) -> u16 {
    let [_, _, high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

impl Flights {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// A probe goes out now; `event` and `end` as in [`Flight`]. There must be fewer than 65 536 of them.
    pub fn add(&mut self, what: What, target: Ipv4Addr, sent: Instant, event: Instant, end: Instant) -> u16 {
        while self.flights.contains_key(&sequence(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let key = sequence(number);
        self.flights.insert(key, Flight { what, target, number, sent, event, end, queued: None });
        self.events.insert((event, key));
        key
    }

    /// The probe of that sequence.
    pub fn find(&self, sequence: u16) -> Option<&Flight> {
        self.flights.get(&sequence)
    }

    /// It is really sent only now.
    pub fn stamp(&mut self, sequence: u16, now: Instant) {
        if let Some(flight) = self.flights.get_mut(&sequence) {
            flight.sent = flight.sent.max(now);
        }
    }

    /// It is answered, or lost.
    pub fn remove(&mut self, sequence: u16) -> Option<Flight> {
        let flight = self.flights.remove(&sequence)?;
        self.events.remove(&(flight.event, sequence));
        Some(flight)
    }

    /// It was sent again, and is to be looked after at `event`.
    pub fn repeat(&mut self, sequence: u16, what: What, event: Instant) {
        if let Some(flight) = self.flights.get_mut(&sequence) {
            self.events.remove(&(flight.event, sequence));
            (flight.what, flight.event, flight.queued) = (what, event, None);
            self.events.insert((event, sequence));
        }
    }

    /// It waits for its turn to be sent again.
    pub fn queue(&mut self, sequence: u16, at: Instant) {
        self.calm(sequence);
        if let Some(flight) = self.flights.get_mut(&sequence) {
            flight.queued = Some(at);
        }
    }

    /// It is not sent again; says since when it was to be.
    pub fn calm(&mut self, sequence: u16) -> Option<Instant> {
        let flight = self.flights.get_mut(&sequence)?;
        self.events.remove(&(flight.event, sequence));
        flight.event = flight.end;
        self.events.insert((flight.event, sequence));
        flight.queued.take()
    }

    /// One that is to be looked after.
    pub fn due(&self, now: Instant) -> Option<(u16, Flight)> {
        let (_, sequence) = self.events.first().filter(|(at, _)| *at <= now)?;
        Some((*sequence, *self.flights.get(sequence)?))
    }

    /// When the next is to be looked after.
    pub fn next_event(&self) -> Option<Instant> {
        self.events.first().map(|(at, _)| *at)
    }

    /// The sequences of all that `wanted` says.
    pub fn find_all(&self, wanted: impl Fn(&Flight) -> bool) -> Vec<u16> {
        self.flights.iter().filter(|(_, flight)| wanted(flight)).map(|(sequence, _)| *sequence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn add(flights: &mut Flights, end: u64) -> u16 {
        flights.add(What::Ask(1), Ipv4Addr::LOCALHOST, at(0), at(end), at(end))
    }

    #[test]
    fn numbers_go_round_and_pass_over_what_is_under_way() {
        let mut flights = Flights { next: 65_534, ..Flights::default() };
        let long = add(&mut flights, 100);
        let others: Vec<u16> = (0..65_535).map(|_| add(&mut flights, 1)).collect();
        assert_eq!((long, flights.len()), (65_534, 65_536));
        assert_eq!((others[0], others[1], others[65_534]), (65_535, 0, 65_533));
        for sequence in others.into_iter().rev() {
            assert!(flights.remove(sequence).is_some());
        }
        let number = |flights: &Flights, sequence| flights.find(sequence).unwrap().number;
        let before = number(&flights, long);
        for _ in 0..2 {
            assert_ne!(add(&mut flights, 1), long);
        }
        assert_eq!(number(&flights, long), before);
    }

    #[test]
    fn each_is_looked_after_in_time() {
        let mut flights = Flights::default();
        let (a, b) = (add(&mut flights, 5), add(&mut flights, 3));
        assert_eq!((flights.next_event(), flights.due(at(2)).is_none()), (Some(at(3)), true));
        assert_eq!(flights.due(at(3)).unwrap().0, b);
        flights.repeat(b, What::Ask(2), at(4));
        assert_eq!((flights.due(at(3)).is_none(), flights.due(at(9)).unwrap().0), (true, b));
        assert_eq!(flights.remove(b).unwrap().what, What::Ask(2));
        assert_eq!(flights.due(at(9)).unwrap().0, a);
        assert_eq!(flights.find_all(|_| true), [a]);
        flights.remove(a);
        assert_eq!((flights.next_event(), flights.len()), (None, 0));
    }
}
