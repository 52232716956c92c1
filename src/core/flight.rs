//! The flight recorder: the last things that the core was told, and what it is doing right now.
//!
//! It is read by the handler of a fatal signal (`rt/crash.rs`), in whatever moment that comes. So it is plain memory of a fixed
//! size that does not move, filled without allocating, and its reader looks at every index twice. It deliberately keeps no
//! effects, no answers and no timeouts: given the same events, the core does the same again ([`replay`]).
//!
//! What strangers sent is kept whole, because it is what a crash is about: the record goes into a file that only its owner may
//! read, and nowhere else (`docs/adr/0042-flight-recorder.md`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{Ordering, compiler_fence};

use super::event::{Event, IcmpIn, Udp};
use crate::engine::{Peer, StreamId};
use crate::limits::{FLIGHT_BYTES, FLIGHT_EVENTS, FLIGHT_HEAD};
use crate::time::Instant;
use crate::wire::crash::{Flown, Kind};

/// In the place of a port: what became of a stream.
const OPENED: u16 = 0;
const ENDED: u16 = 1;
const FAILED: u16 = 2;

/// What one event left.
#[derive(Clone, Copy)]
struct Slot {
    /// Without its bytes.
    event: Flown<'static>,
    /// Where its bytes begin, counted since the start.
    start: usize,
    length: usize,
}

/// The recorder.
pub struct Flight {
    slots: Box<[Slot]>,
    bytes: Box<[u8]>,
    /// Events since the start.
    events: usize,
    /// Bytes since the start, those included that were skipped at the end of the ring.
    written: usize,
    doing: Doing,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// The engine, as it is called in `/metrics`; empty when it is none.
    pub engine: &'static str,
    /// What it handles.
    pub operation: &'static str,
    /// How many bytes that has.
    pub size: u32,
    /// Calls that were going on before.
    pub calls: usize,
    /// Phones that were registered before.
    pub registrations: usize,
}

impl Default for Flight {
    fn default() -> Self {
        let nothing = Flown {
            at_us: 0,
            kind: Kind::Node,
            address: 0,
            local: 0,
            local_port: 0,
            port: 0,
            ttl: 0,
            size: 0,
            bytes: &[],
        };
        Self {
            slots: vec![Slot { event: nothing, start: 0, length: 0 }; FLIGHT_EVENTS].into(),
            bytes: vec![0; FLIGHT_BYTES].into(),
            events: 0,
            written: 0,
            doing: Doing::default(),
        }
    }
}

impl Flight {
    /// Something happened outside and is about to be handled.
    pub fn record(&mut self, event: &Event<'_>, now: Instant) {
        let Some((engine, flown)) = flown(event, now) else { return };
        self.busy(engine, flown.kind.name(), flown.size);
        let start = self.keep(flown.bytes);
        let slot = Slot { event: Flown { bytes: &[], ..flown }, start, length: flown.bytes.len() };
        if let Some(place) = self.slots.get_mut(self.events % FLIGHT_EVENTS) {
            *place = slot;
        }
        self.events = self.events.wrapping_add(1);
        // Whatever happens from here on, the handler of a signal sees it all.
        compiler_fence(Ordering::SeqCst);
    }

    /// An engine begins something that did not come from outside.
    pub fn busy(&mut self, engine: &'static str, operation: &'static str, size: u32) {
        self.doing = Doing { engine, operation, size, ..self.doing };
        compiler_fence(Ordering::SeqCst);
    }

    /// Everything was handled.
    pub fn idle(&mut self, calls: usize, registrations: usize) {
        self.doing = Doing { calls, registrations, ..Doing::default() };
        compiler_fence(Ordering::SeqCst);
    }

    /// What is being done.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// What is still there of what happened, oldest first. Allocates nothing and cannot panic.
    pub fn events(&self) -> impl Iterator<Item = Flown<'_>> {
        let first = self.events.saturating_sub(FLIGHT_EVENTS);
        (first..self.events).filter_map(|index| {
            let slot = self.slots.get(index % FLIGHT_EVENTS)?;
            // Bytes that were overwritten since then are gone.
            let there = self.written.wrapping_sub(slot.start) <= FLIGHT_BYTES;
            let begin = slot.start % FLIGHT_BYTES;
            let bytes = self.bytes.get(begin..begin.wrapping_add(slot.length)).filter(|_| there);
            Some(Flown { bytes: bytes.unwrap_or_default(), ..slot.event })
        })
    }

    /// Copies bytes into the ring, in one piece.
    fn keep(&mut self, bytes: &[u8]) -> usize {
        let mut start = self.written;
        let left = FLIGHT_BYTES.saturating_sub(start % FLIGHT_BYTES);
        if bytes.len() > left {
            start = start.wrapping_add(left);
        }
        let begin = start % FLIGHT_BYTES;
        if let Some(place) = self.bytes.get_mut(begin..begin.saturating_add(bytes.len())) {
            place.copy_from_slice(bytes);
        }
        self.written = start.wrapping_add(bytes.len());
        start
    }
}

/// What is kept of an event, and which engine it goes to first. `None`: nothing worth a place.
fn flown<'a>(event: &Event<'a>, now: Instant) -> Option<(&'static str, Flown<'a>)> {
    let at_us = now.as_micros();
    let plain = |kind| Flown { at_us, kind, address: 0, local: 0, local_port: 0, port: 0, ttl: 0, size: 0, bytes: &[] };
    let with = |kind, bytes: &'a [u8], most: usize| Flown {
        size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        bytes: bytes.get(..most).unwrap_or(bytes),
        ..plain(kind)
    };
    let stream = |stream: StreamId, port| {
        let (engine, address) = whose(stream);
        (engine, Flown { address, port, ..plain(Kind::Stream) })
    };
    Some(match event {
        Event::Datagram { socket, source, local, ttl, bytes, .. } => {
            let (engine, kind) = match socket {
                Udp::Sip => ("sip", Kind::Sip),
                Udp::Dns => ("dns", Kind::Dns),
                Udp::Probe => ("probe", Kind::Probe),
            };
            let (address, local, local_port) = (u32::from(*source.ip()), u32::from(*local.ip()), local.port());
            // Half of the ring: then the one before it is still there.
            let (port, ttl) = (source.port(), ttl.unwrap_or(0));
            (engine, Flown { address, local, local_port, port, ttl, ..with(kind, bytes, FLIGHT_BYTES / 2) })
        }
        Event::Icmp(message) => {
            let (address, ttl) = (u32::from(message.from), message.ttl.unwrap_or(0));
            ("probe", Flown { address, ttl, ..with(Kind::Icmp, message.bytes, FLIGHT_HEAD) })
        }
        Event::IcmpFailed(error) => {
            let (address, local) = (u32::from(error.from), u32::from(error.destination));
            ("probe", Flown { address, local, ..with(Kind::Unreachable, error.quoted, FLIGHT_HEAD) })
        }
        Event::Unreachable { socket, destination, quoted } => {
            let engine = match socket {
                Udp::Sip => "sip",
                Udp::Dns => "dns",
                Udp::Probe => "probe",
            };
            let (address, port) = (u32::from(*destination.ip()), destination.port());
            let quoted = quoted.unwrap_or_default();
            (engine, Flown { address, port, ..with(Kind::Unreachable, quoted, FLIGHT_HEAD) })
        }
        Event::Accepted { stream, peer } => {
            let (engine, address) = whose(*stream);
            let (local, port) = match peer {
                Peer::Owner => (0, 1),
                Peer::Address(client) => (u32::from(*client), 0),
            };
            (engine, Flown { address, local, port, ..plain(Kind::Accepted) })
        }
        Event::Received { stream, bytes } => {
            let (engine, address) = whose(*stream);
            let kind = if matches!(stream, StreamId::Incoming(_)) { Kind::Request } else { Kind::Download };
            (engine, Flown { address, ..with(kind, bytes, FLIGHT_HEAD) })
        }
        Event::Connected(id) => stream(*id, OPENED),
        Event::Closed { stream: id, failed } => stream(*id, if *failed { FAILED } else { ENDED }),
        Event::Read { contents, .. } => {
            let size = contents.as_ref().map_or(0, |contents| contents.bytes.len());
            ("files", Flown { size: u32::try_from(size).unwrap_or(u32::MAX), ..plain(Kind::File) })
        }
        Event::Changed { name, contents, .. } => {
            let size = u32::try_from(contents.unwrap_or_default().len()).unwrap_or(u32::MAX);
            ("files", Flown { size, ..with(Kind::File, name.as_bytes(), FLIGHT_HEAD) })
        }
        Event::Written { .. } => ("files", plain(Kind::File)),
        Event::Identity(_)
        | Event::IcmpOpened(..)
        | Event::Bound(..)
        | Event::Simulated
        | Event::WallClock(_)
        | Event::Crashed(_) => ("", plain(Kind::Node)),
        Event::FetchPhonebook | Event::Dump | Event::Stop => ("", plain(Kind::Operator)),
        Event::Usage(_) | Event::SlowTurn { .. } => ("health", plain(Kind::Node)),
        // Told in every turn.
        Event::Congested(_) => return None,
    })
}

/// The engine that a stream belongs to, and its number; what strangers opened has the highest bit.
fn whose(stream: StreamId) -> (&'static str, u32) {
    match stream {
        StreamId::Incoming(number) => ("http_server", number | ACCEPTED),
        StreamId::Outgoing(number) => ("http_client", number & !ACCEPTED),
        StreamId::Babel => ("mesh", 0),
    }
}

const ACCEPTED: u32 = 1 << 31;

/// The event again, if all of it was kept: what strangers sent to the daemon. Everything else is for people to read.
pub fn replay<'a>(flown: &Flown<'a>) -> Option<Event<'a>> {
    let whole = usize::try_from(flown.size) == Ok(flown.bytes.len());
    let (bytes, ttl) = (flown.bytes, Some(flown.ttl).filter(|ttl| *ttl > 0));
    let datagram = |socket| {
        let source = SocketAddrV4::new(Ipv4Addr::from(flown.address), flown.port);
        let local = SocketAddrV4::new(Ipv4Addr::from(flown.local), flown.local_port);
        whole.then_some(Event::Datagram { socket, source, local, ttl, at: None, bytes })
    };
    let stream = (flown.address & ACCEPTED != 0).then_some(StreamId::Incoming(flown.address & !ACCEPTED));
    match flown.kind {
        Kind::Sip => datagram(Udp::Sip),
        Kind::Dns => datagram(Udp::Dns),
        Kind::Probe => datagram(Udp::Probe),
        Kind::Icmp if whole => {
            let from = Ipv4Addr::from(flown.address);
            Some(Event::Icmp(IcmpIn { from, ttl, bytes, at: Instant::from_micros(flown.at_us) }))
        }
        Kind::Accepted => {
            let client = Peer::Address(Ipv4Addr::from(flown.local));
            stream.map(|stream| Event::Accepted { stream, peer: if flown.port > 0 { Peer::Owner } else { client } })
        }
        Kind::Request if whole => stream.map(|stream| Event::Received { stream, bytes }),
        Kind::Stream if flown.port != OPENED => {
            stream.map(|stream| Event::Closed { stream, failed: flown.port == FAILED })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5_060);
    const THERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 5_062);

    fn sip(bytes: &[u8]) -> Event<'_> {
        Event::Datagram { socket: Udp::Sip, source: THERE, local: HERE, ttl: None, at: None, bytes }
    }

    fn at(second: u64) -> Instant {
        Instant::from_micros(second * 1_000_000)
    }

    #[test]
    fn what_happened_last_is_there_with_its_bytes_and_in_order() {
        let mut flight = Flight::default();
        let messages: Vec<Vec<u8>> = (0..1_000_u32).map(|n| n.to_string().repeat(n as usize % 700).into()).collect();
        for (second, bytes) in (0..).zip(&messages) {
            flight.record(&sip(bytes), at(second));
            let events: Vec<_> = flight.events().collect();
            assert_eq!(events.len(), (second as usize + 1).min(FLIGHT_EVENTS));
            let last = events.last().unwrap();
            assert_eq!((last.at_us, last.bytes), (second * 1_000_000, bytes.as_slice()));
            for event in &events {
                let sent = &messages[(event.at_us / 1_000_000) as usize];
                assert_eq!(event.size as usize, sent.len());
                assert!(event.bytes == *sent || event.bytes.is_empty(), "bytes of another event");
            }
        }
        let kept: usize = flight.events().map(|event| event.bytes.len()).sum();
        assert!(kept > FLIGHT_BYTES * 8 / 10, "only {kept} bytes of the ring are of use");
    }

    #[test]
    fn what_strangers_sent_comes_out_as_it_went_in() {
        let mut flight = Flight::default();
        let icmp = IcmpIn { from: *THERE.ip(), ttl: Some(61), bytes: b"echo", at: at(3) };
        let stream = StreamId::Incoming(7);
        for (second, event) in (1..).zip([
            sip(b"OPTIONS"),
            Event::Datagram { socket: Udp::Dns, source: THERE, local: HERE, ttl: Some(64), at: None, bytes: b"" },
            Event::Icmp(icmp),
            Event::Accepted { stream, peer: Peer::Owner },
            Event::Accepted { stream: StreamId::Incoming(8), peer: Peer::Address(*THERE.ip()) },
            Event::Received { stream, bytes: b"GET / HTTP/1.1\r\n\r\n" },
            Event::Received { stream: StreamId::Outgoing(7), bytes: b"HTTP/1.1 200 OK\r\n\r\n" },
            Event::Congested(true),
            Event::Closed { stream, failed: true },
            Event::Closed { stream: StreamId::Babel, failed: true },
        ]) {
            flight.record(&event, at(second));
        }
        let again: Vec<String> = flight.events().filter_map(|f| replay(&f).map(|event| format!("{event:?}"))).collect();
        let local = HERE;
        let expected = [
            Event::Datagram { socket: Udp::Sip, source: THERE, local, ttl: None, at: None, bytes: b"OPTIONS" },
            Event::Datagram { socket: Udp::Dns, source: THERE, local, ttl: Some(64), at: None, bytes: b"" },
            Event::Icmp(icmp),
            Event::Accepted { stream, peer: Peer::Owner },
            Event::Accepted { stream: StreamId::Incoming(8), peer: Peer::Address(*THERE.ip()) },
            Event::Received { stream, bytes: b"GET / HTTP/1.1\r\n\r\n" },
            Event::Closed { stream, failed: true },
        ]
        .map(|event| format!("{event:?}"));
        assert_eq!(again, expected);
        assert_eq!(flight.events().count(), 9, "only what is told in every turn has no place");
    }

    #[test]
    fn a_datagram_of_any_size_leaves_its_size() {
        let mut flight = Flight::default();
        let largest = vec![b'x'; crate::limits::DATAGRAM];
        for _ in 0..5 {
            flight.record(&sip(&largest), at(1));
        }
        let last = flight.events().last().unwrap();
        assert_eq!((last.size as usize, last.bytes.len()), (largest.len(), FLIGHT_BYTES / 2));
        assert!(replay(&last).is_none(), "half a datagram is another one");
        assert_eq!(flight.doing().engine, "sip");
        flight.idle(2, 3);
        assert_eq!(flight.doing(), Doing { calls: 2, registrations: 3, ..Doing::default() });
    }
}
