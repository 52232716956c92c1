//! A simulated mesh for people who want to see the program at work: nodes, phones and their owners, on the clock that it is given.
//!
//! The engines are the real ones. They ask their sockets, files and servers as always; what is meant for this mesh goes to
//! [`World`] instead, and its answers come back as the same events. No packet for an address of it leaves the process, and no
//! file is written for it. `switchboard run --demo` is the only way to it, and programs for routers are built without
//! (feature `demo`).
//!
//! ```text
//!   Core ── datagram, ICMP, stream, watch ──▶ World ── net.rs: is it reached, how late? ──▶ calls.rs, firmware.rs
//!        ◀───────────── Event ──────────────── queue ◀──────────────────────────────────────┘
//! ```
//!
//! Deliberately not here: speech, the real network, and anything that a test of the engines would want: strangers and damage are
//! in `tests/`.

mod calls;
mod firmware;
pub mod net;
pub mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use calls::Calls;
use net::{Net, Weather};
use places::{Kind, PLACES, Phone, SERVER, is_simulated};

use crate::core::Core;
use crate::core::event::{Effect, Event, IcmpError, IcmpIn, IcmpMode, IcmpOut, Identity, Transmit, Udp};
use crate::engine::StreamId;
use crate::files::Watched;
use crate::limits;
use crate::rng::{Rng, Seed};
use crate::time::{Instant, sooner};
use crate::wire::icmp::{self, Echo, Message, Quote};

/// Between two looks at who is there and what the firmware has to say.
const LOOK: Duration = Duration::from_secs(5);
/// Port of SIP.
const SIP: u16 = 5060;

/// Something on its way.
#[derive(Debug)]
enum Coming {
    /// To a phone.
    ToPhone {
        phone: usize,
        socket: Udp,
        bytes: Vec<u8>,
    },
    Datagram {
        socket: Udp,
        source: SocketAddrV4,
        ttl: Option<u8>,
        bytes: Vec<u8>,
    },
    Reply {
        from: Ipv4Addr,
        ttl: u8,
        bytes: Vec<u8>,
    },
    /// A router let the echo request end.
    Expired {
        from: Ipv4Addr,
        destination: Ipv4Addr,
        request: Vec<u8>,
    },
    Connected(StreamId),
    Received(StreamId, Vec<u8>),
}

/// The other side of a stream.
#[derive(Debug)]
struct Talk {
    /// `None`: this node's babeld.
    node: Option<usize>,
    asked: Vec<u8>,
}

/// Everything beyond this node.
#[derive(Debug)]
pub struct World {
    net: Net,
    phones: Vec<Phone>,
    calls: Calls,
    rng: Rng,
    /// The addresses of ours that SIP and tests are sent to.
    local: SocketAddrV4,
    mode: IcmpMode,
    coming: BTreeMap<(Instant, u64), Coming>,
    count: u64,
    talks: BTreeMap<StreamId, Talk>,
    watched: BTreeSet<Watched>,
    /// The files as they were delivered.
    files: BTreeMap<(Watched, String), String>,
    next_look: Instant,
}

impl World {
    /// A mesh around a node whose exchange listens at `sip`.
    pub fn new(seed: &Seed, sip: SocketAddrV4, now: Instant) -> Self {
        let phones = places::phones();
        let ip = if sip.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *sip.ip() };
        Self {
            net: Net::new(now),
            calls: Calls::new(&phones, now),
            phones,
            rng: Rng::new(seed, "demo"),
            local: SocketAddrV4::new(ip, sip.port()),
            mode: IcmpMode::Raw,
            coming: BTreeMap::new(),
            count: 0,
            talks: BTreeMap::new(),
            watched: BTreeSet::new(),
            files: BTreeMap::new(),
            next_look: now,
        }
    }

    /// Who this node is on the simulated mesh. Real phones must be able to send to every address that it names: where the exchange
    /// listens on loopback, there is no other.
    pub fn identity(&self, real: Identity) -> Identity {
        let loopback = self.local.ip().is_loopback();
        let addresses = real.addresses.into_iter().filter(|address| !loopback || address.is_loopback()).collect();
        Identity { name: PLACES.first().map_or("", |place| place.name).to_owned(), addresses, lan: real.lan }
    }

    /// How the ICMP socket of this process hears of errors.
    pub fn set_icmp_mode(&mut self, mode: IcmpMode) {
        self.mode = mode;
    }

    /// The phones, for comparisons with what is said of them.
    pub fn phones(&self) -> &[Phone] {
        &self.phones
    }

    /// The nodes and links, for comparisons.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Whether a phone is switched on and its node is to be reached.
    pub fn is_on(&self, phone: &Phone, now: Instant) -> bool {
        let at_home = self.net.seconds(now) / 60 % 6 != 4;
        let on = phone.kind != Kind::Off && (phone.kind != Kind::Sometimes || at_home);
        on && self.net.reach(phone.node, now).is_some()
    }

    fn come(&mut self, at: Instant, what: Coming) {
        self.count += 1;
        self.coming.insert((at, self.count), what);
    }

    fn is_lost(&mut self, weather: Weather) -> bool {
        self.rng.below(1_000) < weather.loss
    }

    /// Half the way there and back.
    fn half(weather: Weather) -> Duration {
        Duration::from_micros(weather.rtt_us / 2)
    }

    /// Takes a datagram that is not for the real network. Every question for a name is the simulated mesh's.
    pub fn take_datagram(&mut self, transmit: &Transmit, bytes: &[u8], now: Instant) -> bool {
        let Transmit { socket, destination, .. } = *transmit;
        if socket == Udp::Dns {
            if let Some(bytes) = no_such_name(bytes) {
                let at = now + Duration::from_millis(5);
                self.come(at, Coming::Datagram { socket, source: destination, ttl: None, bytes });
            }
            return true;
        }
        if !is_simulated(*destination.ip()) {
            return false;
        }
        let phone = self.phones.iter().position(|phone| phone.address == *destination.ip());
        let Some((phone, node)) = phone.and_then(|index| Some((index, self.phones.get(index)?.node))) else {
            return true;
        };
        if let Some((_, weather)) = self.net.reach(node, now) {
            // What the exchange sends would be repeated; tests count what is lost.
            if socket == Udp::Sip || !self.is_lost(weather) {
                self.come(now + Self::half(weather), Coming::ToPhone { phone, socket, bytes: bytes.to_vec() });
            }
        }
        true
    }

    /// Takes an echo request that is not for the real network.
    pub fn take_icmp(&mut self, out: &IcmpOut, bytes: &[u8], now: Instant) -> bool {
        let to = out.destination;
        if !is_simulated(to) {
            return false;
        }
        let Ok(Message::Request(echo)) = icmp::parse(bytes) else { return true };
        let phone = self.phones.iter().find(|phone| phone.address == to).cloned();
        let [_, _, node, _] = to.octets();
        let Some((way, weather)) = self.net.reach(usize::from(node), now) else { return true };
        let hops = u8::try_from(way.len()).unwrap_or(u8::MAX);
        if self.is_lost(weather) || self.is_lost(weather) {
            return true;
        }
        let rtt = weather.rtt_us + self.rng.below(weather.rtt_us / 4 + 400);
        let is_router = phone.is_none() && places::address(usize::from(node)) == to;
        let last = hops.saturating_sub(u8::from(is_router));
        if let Some(router) = out.ttl.filter(|ttl| *ttl <= last).and_then(|ttl| way.get(usize::from(ttl) - 1)) {
            let share = rtt * u64::from(out.ttl.unwrap_or(1)) / u64::from(hops.max(1));
            if let Some(router) = self.net.routers.get_mut(*router).filter(|router| !router.silent) {
                let from = router.address;
                if router.speaks(now) {
                    let (destination, request) = (to, bytes.to_vec());
                    self.come(now + Duration::from_micros(share), Coming::Expired { from, destination, request });
                }
            }
            return true;
        }
        let answers = phone.map_or(is_router, |phone| phone.kind != Kind::NoPing && self.is_on(&phone, now));
        let mut reply = vec![0; bytes.len()];
        if answers && icmp::emit_reply(&echo, &mut reply).is_some() {
            let reply = Coming::Reply { from: to, ttl: 64 - last, bytes: reply };
            self.come(now + Duration::from_micros(rtt), reply);
        }
        true
    }

    /// Takes what is to be done on the simulated mesh; gives back what is not.
    pub fn take_effect(&mut self, effect: Effect, now: Instant) -> Option<Effect> {
        match effect {
            // All that is watched is this node's firmware's.
            Effect::Watch { watched, .. } => {
                // Whoever asks again has forgotten everything.
                self.files.retain(|(of, _), _| *of != watched);
                self.watched.insert(watched);
                self.next_look = now;
                None
            }
            Effect::Dial { stream, address } if is_simulated(*address.ip()) => {
                let [_, _, node, _] = address.ip().octets();
                self.open(stream, Some(usize::from(node)), now);
                None
            }
            Effect::DialUnix { stream, .. } => {
                self.open(stream, None, now);
                None
            }
            Effect::Finish(stream) | Effect::Abort(stream) if self.talks.remove(&stream).is_some() => None,
            effect => Some(effect),
        }
    }

    fn open(&mut self, stream: StreamId, node: Option<usize>, now: Instant) {
        self.talks.insert(stream, Talk { node, asked: Vec::new() });
        // Who is not there does not answer either.
        if let Some((_, weather)) = self.net.reach(node.unwrap_or(0), now) {
            self.come(now + Duration::from_micros(weather.rtt_us), Coming::Connected(stream));
        }
    }

    /// Hears what the core says on streams of this mesh.
    pub fn hear(&mut self, core: &mut Core, now: Instant) {
        let mut buffer = [0; limits::STREAM_CHUNK];
        for (stream, talk) in &mut self.talks {
            while let length @ 1.. = core.poll_stream(*stream, &mut buffer) {
                talk.asked.extend_from_slice(buffer.get(..length).unwrap_or_default());
            }
        }
        let whole = |talk: &&mut Talk| talk.asked.ends_with(b"\r\n\r\n") || talk.asked.ends_with(b"quit\n");
        let asked = self.talks.iter_mut().filter_map(|(stream, talk)| {
            let asked = std::mem::take(&mut Some(talk).filter(whole)?.asked);
            Some((*stream, asked))
        });
        for (stream, asked) in asked.collect::<Vec<_>>() {
            let node = self.talks.get(&stream).and_then(|talk| talk.node);
            let Some((_, weather)) = self.net.reach(node.unwrap_or(0), now) else { continue };
            let answer = match node {
                None => firmware::routes(&self.net, now),
                Some(SERVER) if asked.starts_with(b"GET /phonebook.csv") => document(places::BOOK),
                Some(node) => document(&firmware::sysinfo(node, &self.net, now)),
            };
            self.come(now + Duration::from_micros(weather.rtt_us * 2), Coming::Received(stream, answer.into_bytes()));
        }
    }

    /// When something happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let coming = self.coming.keys().next().map(|(at, _)| *at);
        sooner(coming, sooner(self.calls.next_deadline(), Some(self.next_look)))
    }

    /// Lets everything happen that is due, and tells the core.
    pub fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        if self.next_look <= now {
            self.next_look = now + LOOK;
            self.look(core, now);
        }
        if self.calls.next_deadline().is_some_and(|at| at <= now) {
            let on: Vec<bool> = self.phones.iter().map(|phone| self.is_on(phone, now)).collect();
            self.calls.handle_timeout(&self.phones, &on, &mut self.rng, now);
            self.send_said(now);
        }
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), what) = entry.remove_entry();
            self.arrive(what, core, at, now);
        }
    }

    /// Delivers the files that changed.
    fn look(&mut self, core: &mut Core, now: Instant) {
        for watched in self.watched.clone() {
            let current = firmware::files(watched, &self.net, &self.phones, now);
            let names: BTreeSet<&String> = current.iter().map(|(name, _)| name).collect();
            let gone = |(of, name): &&(Watched, String)| *of == watched && !names.contains(name);
            for key in self.files.keys().filter(gone).cloned().collect::<Vec<_>>() {
                self.files.remove(&key);
                core.handle_event(Event::Changed { watched, name: &key.1, contents: None }, now);
            }
            for (name, text) in current {
                let key = (watched, name);
                if self.files.get(&key) != Some(&text) {
                    let contents = Some(text.as_bytes());
                    core.handle_event(Event::Changed { watched, name: &key.1, contents }, now);
                    self.files.insert(key, text);
                }
            }
        }
    }

    /// What the phones said is on its way.
    fn send_said(&mut self, now: Instant) {
        for said in self.calls.take_said() {
            let Some(phone) = self.phones.get(said.phone).cloned() else { continue };
            let Some((way, weather)) = self.net.reach(phone.node, now) else { continue };
            let ttl = u8::try_from(way.len()).ok().map(|hops| 64_u8.saturating_sub(hops));
            if said.socket == Udp::Sip || !self.is_lost(weather) {
                let (socket, bytes, source) = (said.socket, said.bytes, SocketAddrV4::new(phone.address, SIP));
                self.come(now + Self::half(weather), Coming::Datagram { socket, source, ttl, bytes });
            }
        }
    }

    fn arrive(&mut self, what: Coming, core: &mut Core, at: Instant, now: Instant) {
        match what {
            Coming::ToPhone { phone: index, socket, bytes } => {
                let phone = self.phones.get(index).filter(|phone| phone.kind != Kind::NoSip && self.is_on(phone, now));
                let Some(phone) = phone else { return };
                self.calls.handle_datagram(index, phone, socket, &bytes, &mut self.rng, now);
                self.send_said(now);
            }
            Coming::Datagram { socket, source, ttl, bytes } => {
                let event = Event::Datagram { socket, source, local: self.local, ttl, at: None, bytes: &bytes };
                core.handle_event(event, now);
            }
            Coming::Reply { from, ttl, bytes } => {
                core.handle_event(Event::Icmp(IcmpIn { from, ttl: Some(ttl), bytes: &bytes, at }), now);
            }
            Coming::Expired { from, destination, request } => {
                let Ok(Message::Request(Echo { identifier, sequence, .. })) = icmp::parse(&request) else { return };
                if self.mode == IcmpMode::Datagram {
                    let error = IcmpError { from, destination, kind: (11, 0), quoted: &request, at };
                    return core.handle_event(Event::IcmpFailed(error), now);
                }
                let quote = Quote { source: places::address(0), destination, identifier, sequence };
                let mut bytes = [0; 64];
                let length = icmp::emit_time_exceeded(&quote, &mut bytes).unwrap_or(0);
                let bytes = bytes.get(..length).unwrap_or_default();
                core.handle_event(Event::Icmp(IcmpIn { from, ttl: Some(60), bytes, at }), now);
            }
            Coming::Connected(stream) if self.talks.contains_key(&stream) => {
                core.handle_event(Event::Connected(stream), now);
            }
            Coming::Received(stream, bytes) if self.talks.contains_key(&stream) => {
                core.handle_event(Event::Received { stream, bytes: &bytes }, now);
                core.handle_event(Event::Closed { stream, failed: false }, now);
            }
            Coming::Connected(_) | Coming::Received(..) => {}
        }
    }
}

/// The world of a daemon that is to have one.
pub fn world(seed: &Seed, sip: SocketAddrV4, now: Instant) -> Option<World> {
    Some(World::new(seed, sip, now))
}

fn document(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// The answer of a name server that does not know the name (RFC 1035 §4.1): all names are in the host files.
fn no_such_name(question: &[u8]) -> Option<Vec<u8>> {
    let mut answer = question.to_vec();
    let flags = answer.get_mut(2..4)?;
    flags.copy_from_slice(&[0x85, 0x83]);
    Some(answer)
}
