//! A whole mesh around the core, on a virtual clock: 300 routers and 500 phones, a name server, a book server, a collector. It keeps
//! nothing that grows, so that what grows is the daemon.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switchboard::config::{Config, Server};
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, IcmpIn, IcmpMode, Identity, Udp, Usage};
use switchboard::engine::{Peer, StreamId};
use switchboard::files::Watched;
use switchboard::limits;
use switchboard::rng::{Rng, Seed};
use switchboard::time::Instant;
use switchboard::wire::icmp::{self, Echo, Quote};

use super::clock::{self, Files, NOON, World as _, name_server, said};
use super::message::Message;
use super::truth::Truth;

const NODE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub const SIP: SocketAddrV4 = SocketAddrV4::new(NODE, 5_060);
const PROBE: SocketAddrV4 = SocketAddrV4::new(NODE, 5_070);
const RESOLVER: SocketAddrV4 = SocketAddrV4::new(NODE, 40_000);
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 53), 53);
const BOOK: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 80);
const COLLECTOR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 90);

/// What is on its way to whom.
enum Coming {
    /// To the daemon.
    Datagram { socket: Udp, source: SocketAddrV4, bytes: Vec<u8> },
    /// To the daemon.
    Icmp { from: Ipv4Addr, ttl: u8, bytes: Vec<u8> },
    /// To a phone.
    Phone { to: SocketAddrV4, from: SocketAddrV4, bytes: Vec<u8> },
    /// A server took the connection.
    Connected(StreamId),
    /// A server answers, and hangs up.
    Answer { stream: StreamId, bytes: Vec<u8>, failed: bool },
    /// A phone registers.
    Register(usize),
    /// A phone sends what it prepared.
    Send { from: SocketAddrV4, bytes: Vec<u8> },
}

/// What is broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub names: bool,
    pub book: bool,
    pub collector: bool,
}

pub struct World {
    pub now: Instant,
    pub core: Core,
    pub config: Config,
    pub trouble: Trouble,
    /// Whether phones renew their registrations.
    pub renewing: bool,
    /// Everything that the core was told, and what it sent.
    pub events: u64,
    pub sent: u64,
    pub posted: usize,
    pub answered_calls: usize,
    pub files: Files,
    book: String,
    truth: Truth,
    rng: Rng,
    coming: BTreeMap<(Instant, u64), Coming>,
    serial: u64,
    buffer: Vec<u8>,
    requests: BTreeMap<StreamId, (SocketAddrV4, Vec<u8>)>,
    /// Where each phone is, and how far.
    phones: Vec<(String, SocketAddrV4, u8)>,
    by_address: BTreeMap<Ipv4Addr, usize>,
    calls: u64,
    /// What the daemon is said to use.
    pub kb: u32,
}

impl World {
    pub fn new(number: u64) -> Self {
        Self::with(number, |_| {})
    }

    /// One in which the daemon is configured otherwise.
    pub fn with(number: u64, change: impl FnOnce(&mut Config)) -> Self {
        let mut seed = Seed::default();
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut config = Config::default();
        config.names.servers = vec![DNS];
        config.servers = vec![Server { url: "http://book.local.mesh/book.csv".into() }];
        config.mesh.crawl = true;
        config.health.collector = true;
        config.health.collector_url = "http://collector.local.mesh:5000/ingest".into();
        change(&mut config);
        let truth = Truth::new(&mut Rng::new(&seed, "truth"), 300, 500);
        let phones: Vec<(String, SocketAddrV4, u8)> = (0_u8..)
            .flat_map(|third| (1..=250_u8).map(move |last| Ipv4Addr::new(10, 40, third, last)))
            .zip(&truth.phones)
            .map(|(address, phone)| {
                let hops = u8::try_from(2 + phone.router % 5).unwrap();
                (phone.number.clone(), SocketAddrV4::new(address, 5_060), hops)
            })
            .collect();
        let by_address = phones.iter().enumerate().map(|(index, (_, at, _))| (*at.ip(), index)).collect();
        let now = Instant::from_micros(20_000_000);
        let mut world = Self {
            now,
            core: Core::new(config.clone(), &seed, "boot".into(), now),
            config,
            trouble: Trouble::default(),
            renewing: true,
            events: 0,
            sent: 0,
            posted: 0,
            answered_calls: 0,
            book: String::new(),
            truth,
            rng: Rng::new(&seed, "world"),
            files: Files::default(),
            coming: BTreeMap::new(),
            serial: 0,
            buffer: vec![0; limits::DATAGRAM],
            requests: BTreeMap::new(),
            phones,
            by_address,
            calls: 0,
            kb: 2_000,
        };
        world.new_book(0);
        let name = world.truth.routers[0].name.clone();
        let identity = Identity { name, addresses: vec![NODE, Ipv4Addr::LOCALHOST], lan: Vec::new() };
        world.tell(Event::Identity(identity));
        world.tell(Event::WallClock(NOON));
        world.tell(Event::IcmpOpened(IcmpMode::Raw, 4_711));
        // Three of five register; the others are known by their names.
        for index in (0..world.phones.len()).filter(|index| index % 5 < 3) {
            let delay = Duration::from_millis(world.rng.below(60_000));
            world.come(delay, Coming::Register(index));
        }
        world
    }

    /// The book changes: the edition stands in it.
    pub fn new_book(&mut self, edition: usize) {
        let mut book = String::from("Firstname,Name,Callsign,Telephone,Privat\r\n");
        for (index, (number, ..)) in self.phones.iter().enumerate() {
            book += &format!("Op{index},Edition {edition},HB9{index:03},{number},\r\n");
        }
        self.book = book;
    }

    fn come(&mut self, after: Duration, what: Coming) {
        self.serial += 1;
        self.coming.insert((self.now + after, self.serial), what);
    }

    fn tell(&mut self, event: Event<'_>) {
        self.events += 1;
        self.core.handle_event(event, self.now);
        self.settle();
    }

    pub fn reload(&mut self, change: impl Fn(&mut Config)) {
        change(&mut self.config);
        self.core.handle_config(self.config.clone(), self.now);
        self.settle();
    }

    /// Bytes of the heap that the daemon holds; it is a new one afterwards.
    pub fn weigh(&mut self, live: impl Fn() -> usize) -> usize {
        let fresh = Core::new(self.config.clone(), &[1; 32], "boot".into(), self.now);
        let with_both = live();
        drop(std::mem::replace(&mut self.core, fresh));
        with_both - live()
    }

    /// The mesh forgets and finds a router.
    pub fn churn(&mut self) {
        let files = self.truth.files();
        let place = usize::try_from(self.rng.below(u64::try_from(files.len()).unwrap())).unwrap();
        let (watched, name, contents) = &files[place];
        self.tell(Event::Changed { watched: *watched, name, contents: None });
        self.tell(Event::Changed { watched: *watched, name, contents: Some(contents.as_bytes()) });
        let lqm = self.truth.lqm(0);
        self.tell(Event::Changed { watched: Watched::Lqm, name: "lqm.info", contents: Some(lqm.as_bytes()) });
    }

    /// Somebody sends everything that comes to mind, as fast as the wire carries it.
    pub fn flood(&mut self, datagrams: usize) {
        for number in 0..datagrams {
            let source = SocketAddrV4::new(Ipv4Addr::new(10, 66, 6, u8::try_from(number % 250).unwrap()), 5_060);
            let serial = self.rng.next_u64();
            let method = ["REGISTER", "INVITE", "OPTIONS", "BYE", "SUBSCRIBE"][number % 5];
            let text = format!(
                "{method} sip:{serial}@localnode SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{serial}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{serial}@localnode>;tag=1\r\nTo: <sip:{serial}@localnode>\r\nCall-ID: {serial}\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:{serial}@{source}>\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
            );
            let noise: Vec<u8> = (0..200).map(|_| self.rng.next_u64().to_le_bytes()[0]).collect();
            let bytes = if number % 7 == 0 { noise.clone() } else { text.into_bytes() };
            self.tell(Event::Datagram { socket: Udp::Sip, source, local: SIP, ttl: None, at: None, bytes: &bytes });
            if number % 20 == 0 {
                self.tell(Event::Datagram {
                    socket: Udp::Dns,
                    source: DNS,
                    local: RESOLVER,
                    ttl: None,
                    at: None,
                    bytes: &noise,
                });
                self.tell(Event::Datagram {
                    socket: Udp::Probe,
                    source,
                    local: PROBE,
                    ttl: None,
                    at: None,
                    bytes: &noise,
                });
                let at = self.now;
                self.tell(Event::Icmp(IcmpIn { from: *source.ip(), ttl: Some(60), bytes: &noise, at }));
            }
        }
    }

    /// A hundred strangers connect to the API, and say nothing or nonsense.
    pub fn strangers(&mut self) {
        for number in 0..100_u32 {
            let stream = StreamId::Incoming(self.serial.to_le_bytes()[0].into());
            let stream = if number % 2 == 0 { stream } else { StreamId::Incoming(1_000_000 + number) };
            self.serial += 1;
            self.tell(Event::Accepted { stream, peer: Peer::Address(Ipv4Addr::new(10, 66, 6, 7)) });
            self.tell(Event::Received { stream, bytes: b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n" });
            if number % 3 == 0 {
                self.tell(Event::Received { stream, bytes: b"\r\n" });
            }
        }
    }

    /// One phone calls another; both talk for a while.
    pub fn call(&mut self) {
        let many = u64::try_from(self.phones.len()).unwrap();
        let caller = usize::try_from(self.rng.below(many)).unwrap();
        let callee = usize::try_from(self.rng.below(many)).unwrap();
        self.calls += 1;
        let ((own, at, _), (number, ..)) = (&self.phones[caller], &self.phones[callee]);
        let serial = self.calls;
        let text = format!(
            "INVITE sip:{number}@localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKi{serial}\r\nMax-Forwards: 70\r\n\
             From: <sip:{own}@localnode.local.mesh>;tag=f{serial}\r\nTo: <sip:{number}@localnode.local.mesh>\r\n\
             Call-ID: soak{serial}@{at}\r\nCSeq: 1 INVITE\r\nContact: <sip:{own}@{at}>\r\nContent-Length: 0\r\n\r\n"
        );
        let from = *at;
        self.come(Duration::ZERO, Coming::Send { from, bytes: text.into_bytes() });
    }

    fn arrive(&mut self, coming: Coming) {
        match coming {
            Coming::Datagram { socket, source, bytes } => {
                let local = match socket {
                    Udp::Sip => SIP,
                    Udp::Dns => RESOLVER,
                    Udp::Probe => PROBE,
                };
                self.tell(Event::Datagram { socket, source, local, ttl: None, at: None, bytes: &bytes });
            }
            Coming::Icmp { from, ttl, bytes } => {
                let at = self.now;
                self.tell(Event::Icmp(IcmpIn { from, ttl: Some(ttl), bytes: &bytes, at }));
            }
            Coming::Phone { to, from, bytes } => self.phone(to, from, &bytes),
            Coming::Connected(stream) => {
                if !self.requests.contains_key(&stream) {
                    return;
                }
                self.tell(Event::Connected(stream));
                self.serve(stream);
            }
            Coming::Answer { stream, bytes, failed } => {
                if self.requests.remove(&stream).is_none() {
                    return;
                }
                for piece in bytes.chunks(limits::STREAM_CHUNK) {
                    self.tell(Event::Received { stream, bytes: piece });
                }
                self.tell(Event::Closed { stream, failed });
            }
            Coming::Register(index) => {
                let (number, at, _) = &self.phones[index];
                self.serial += 1;
                let text = format!(
                    "REGISTER sip:localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKr{serial}\r\n\
                     Max-Forwards: 70\r\nFrom: <sip:{number}@localnode.local.mesh>;tag=r\r\n\
                     To: <sip:{number}@localnode.local.mesh>\r\nCall-ID: register-{number}\r\nCSeq: {serial} REGISTER\r\n\
                     Contact: <sip:{number}@{at}>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
                    serial = self.serial
                );
                let source = *at;
                self.arrive(Coming::Datagram { socket: Udp::Sip, source, bytes: text.into_bytes() });
                if self.renewing {
                    self.come(Duration::from_secs(3_000), Coming::Register(index));
                }
            }
            Coming::Send { from, bytes } => self.arrive(Coming::Datagram { socket: Udp::Sip, source: from, bytes }),
        }
    }

    /// A phone that answers every call at once, acknowledges, and hangs up after a minute.
    fn phone(&mut self, to: SocketAddrV4, from: SocketAddrV4, bytes: &[u8]) {
        if !self.by_address.contains_key(to.ip()) {
            return;
        }
        let message = Message::parse(bytes);
        let reply = |text: String| Coming::Send { from: to, bytes: text.into_bytes() };
        match (message.status(), message.method()) {
            (None, "ACK") => {}
            (None, "INVITE") => {
                let contact = [("contact", format!("<sip:phone@{to}>"))];
                self.come(Duration::from_millis(20), reply(message.answer(180, "Ringing", "t", &contact, "")));
                self.come(Duration::from_secs(2), reply(message.answer(200, "OK", "t", &contact, "")));
            }
            (None, _) => {
                let text = message.answer(200, "OK", "t", &[], "");
                if from == PROBE {
                    let answer = Coming::Datagram { socket: Udp::Probe, source: to, bytes: text.into_bytes() };
                    return self.come(Duration::from_millis(15), answer);
                }
                self.come(Duration::from_millis(15), reply(text));
            }
            (Some(200), _) if message.cseq().1 == "INVITE" => {
                self.answered_calls += 1;
                let routes: String = message.routes().iter().rev().map(|route| format!("Route: {route}\r\n")).collect();
                let target = message.contact().unwrap();
                for (number, method, after) in [(1, "ACK", 10), (2, "BYE", 60_000)] {
                    let text = format!(
                        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {to};branch=z9hG4bK{method}{}\r\nMax-Forwards: 70\r\n{routes}\
                         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
                        message.one("call-id").replace(['@', ':'], "x"),
                        message.one("from"),
                        message.one("to"),
                        message.one("call-id")
                    );
                    self.come(Duration::from_millis(after), reply(text));
                }
            }
            _ => {}
        }
    }

    fn carry(&mut self, socket: Udp, to: SocketAddrV4, bytes: Vec<u8>) {
        match socket {
            Udp::Dns => {
                let answer = name_server(&bytes, |name| self.address_of(name));
                if let Some(answer) = answer.filter(|_| !self.trouble.names) {
                    let answer = Coming::Datagram { socket, source: DNS, bytes: answer };
                    self.come(Duration::from_millis(5), answer);
                }
            }
            Udp::Sip | Udp::Probe => {
                // One test in a hundred is lost; phones here repeat nothing, so their calls are not.
                let lost = socket == Udp::Probe && self.rng.below(100) == 0;
                if self.by_address.contains_key(to.ip()) && !lost {
                    let from = if socket == Udp::Sip { SIP } else { PROBE };
                    self.come(Duration::from_millis(10), Coming::Phone { to, from, bytes });
                }
            }
        }
    }

    /// A ping, or a probe that a router on the way takes for its own.
    fn echo(&mut self, to: Ipv4Addr, ttl: Option<u8>, bytes: &[u8]) {
        let Some(index) = self.by_address.get(&to).copied() else { return };
        let Ok(icmp::Message::Request(echo)) = icmp::parse(bytes) else { panic!("{bytes:?}") };
        let hops = self.phones[index].2;
        let mut out = vec![0; 100];
        let far = ttl.unwrap_or(64);
        let (from, length) = if far >= hops {
            (to, icmp::emit_reply(&Echo { ..echo }, &mut out))
        } else {
            let quote = Quote { source: NODE, destination: to, identifier: echo.identifier, sequence: echo.sequence };
            (Ipv4Addr::new(10, 9, hops, far), icmp::emit_time_exceeded(&quote, &mut out))
        };
        out.truncate(length.unwrap());
        let distance = far.min(hops);
        let delay = Duration::from_millis(3 * u64::from(distance) + self.rng.below(5));
        self.come(delay, Coming::Icmp { from, ttl: 64 - (distance - 1), bytes: out });
    }

    fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let router = || self.truth.routers.iter().find(|router| router.name == name).map(|router| router.address);
        match name {
            "book" => Some(BOOK),
            "collector" => Some(COLLECTOR),
            _ => self.phones.iter().find(|(number, ..)| number == name).map(|(_, at, _)| *at.ip()).or_else(router),
        }
    }

    fn perform(&mut self, effect: Effect) {
        let Some(effect) = self.files.perform(effect, &mut self.core, self.now) else { return };
        match effect {
            Effect::Watch { watched, .. } => {
                for (kind, name, contents) in self.truth.files() {
                    if kind == watched {
                        let contents = Some(contents.as_bytes());
                        self.core.handle_event(Event::Changed { watched, name: &name, contents }, self.now);
                    }
                }
            }
            Effect::Dial { stream, address } => {
                self.requests.insert(stream, (address, Vec::new()));
                let refused = (self.trouble.book && *address.ip() == BOOK)
                    || (self.trouble.collector && *address.ip() == COLLECTOR);
                let after = Duration::from_millis(20);
                match refused {
                    true => self.come(after, Coming::Answer { stream, bytes: Vec::new(), failed: true }),
                    false => self.come(after, Coming::Connected(stream)),
                }
            }
            Effect::DialUnix { stream, .. } => self.core.handle_event(Event::Closed { stream, failed: true }, self.now),
            Effect::Finish(stream) | Effect::Abort(stream) => drop(self.requests.remove(&stream)),
            Effect::Measure => {
                let usage = Usage {
                    cpu: Duration::from_micros(self.now.as_micros() / 200),
                    resident_kb: self.kb,
                    anonymous_kb: self.kb,
                };
                self.core.handle_event(Event::Usage(usage), self.now);
            }
            Effect::Read { .. } | Effect::Write { .. } | Effect::Reload | Effect::Exit => {}
        }
    }

    /// A server reads the request, and answers.
    fn serve(&mut self, stream: StreamId) {
        let request = said(&mut self.core, stream);
        let Some((address, _)) = self.requests.get(&stream) else { return };
        let address = *address.ip();
        let text = String::from_utf8_lossy(&request).into_owned();
        let path = text.split(' ').nth(1).unwrap().to_owned();
        let host = text.split("Host: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap().to_owned();
        let ok = |body: &[u8]| {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend_from_slice(body);
            answer
        };
        let (bytes, after) = if address == BOOK {
            (ok(self.book.as_bytes()), Duration::from_millis(50))
        } else if address == COLLECTOR {
            assert!(text.starts_with("POST /ingest "), "{text}");
            self.posted += 1;
            (ok(b"{}"), Duration::from_millis(50))
        } else {
            let name = host.strip_suffix(".local.mesh").unwrap().to_owned();
            let timeout = Duration::from_secs(5);
            let (outcome, takes) = self.truth.answer(&name, !path.starts_with("/a/"), timeout, &mut self.rng);
            match outcome {
                Ok(fetched) if fetched.status == 200 => (ok(&fetched.body), takes),
                Ok(fetched) => {
                    (format!("HTTP/1.1 {} No\r\nContent-Length: 0\r\n\r\n", fetched.status).into_bytes(), takes)
                }
                Err(_) => return,
            }
        };
        self.come(after, Coming::Answer { stream, bytes, failed: false });
    }
}

impl clock::World for World {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn next(&self) -> Option<Instant> {
        self.coming.keys().next().map(|(at, _)| *at)
    }

    fn happen(&mut self) {
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let coming = entry.remove();
            self.arrive(coming);
        }
    }

    /// Everything that the core has to say, onto the wire or into files.
    fn settle(&mut self) {
        loop {
            for socket in [Udp::Sip, Udp::Dns, Udp::Probe] {
                while let Some(transmit) = self.core.poll_datagram(socket, &mut self.buffer) {
                    self.sent += 1;
                    let bytes = self.buffer[..transmit.len].to_vec();
                    self.carry(socket, transmit.destination, bytes);
                }
            }
            while let Some(out) = self.core.poll_icmp(&mut self.buffer, self.now) {
                self.sent += 1;
                let bytes = self.buffer[..out.len].to_vec();
                self.echo(out.destination, out.ttl, &bytes);
            }
            let Some(effect) = self.core.poll_effect() else { return };
            self.perform(effect);
        }
    }
}
