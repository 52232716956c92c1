//! A mesh of routers and phones around a test desk, as true as it matters to probes: ways there and back, delays, loss, routers
//! that say nothing and routers that say only six things at once and then one a second, phones of every kind, and strangers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use switchboard::config;
use switchboard::demo::net;
use switchboard::engine::Engine;
use switchboard::probe::{IcmpIn, IcmpMode, Probe, Report, SipIn, Whereabouts};
use switchboard::rng::Rng;
use switchboard::sorted::SortedSet;
use switchboard::time::Instant;
use switchboard::wire::icmp::{self, Echo, Message, Quote};
use switchboard::wire::sip::{self, Answer, HeaderTable, Method};

pub const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const IDENTIFIER: u16 = 0x5eed;

/// How large, and how bad.
pub struct Scenery {
    pub routers: usize,
    pub phones: usize,
    /// Routers that never say that a packet ended with them, in percent.
    pub silent_percent: u64,
    /// The worst phones lose so many packets each way, in percent.
    pub phone_loss_percent: u64,
    /// What every link loses, in thousandths of a percent.
    pub link_loss: u64,
    /// Whether host files say which router a phone is behind.
    pub nodes_known: bool,
    /// Whether some ways back are longer or shorter than the ways there.
    pub crooked: bool,
}

/// A router of the demo, which knows its parent and rations what it says, farther away.
pub struct Router {
    is: net::Router,
    pub depth: u8,
    delay_us: u64,
}

impl Deref for Router {
    type Target = net::Router;

    fn deref(&self) -> &net::Router {
        &self.is
    }
}

impl DerefMut for Router {
    fn deref_mut(&mut self) -> &mut net::Router {
        &mut self.is
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers everything.
    Alive,
    /// Has an address and answers nothing.
    Dead,
    /// Nobody knows its address.
    Unknown,
    /// Answers no pings.
    NoPing,
    /// Answers no SIP.
    NoSip,
}

pub struct SimPhone {
    pub number: String,
    pub address: Ipv4Addr,
    pub router: usize,
    pub kind: Kind,
    first_ttl: u8,
    /// Hops that the way back is longer (or shorter).
    pub detour: i8,
    pub loss_percent: u64,
    sip_status: u16,
    /// Round trips of what it answered in time, as they were. Where the way back is longer than the way there, questions
    /// about the way reach it as well.
    pub ping_rtts: Vec<u64>,
    pub options: BTreeMap<u32, u32>,
    pub options_rtts: Vec<u64>,
}

/// Something on its way to us.
enum Coming {
    Icmp { from: Ipv4Addr, ttl: u8, bytes: Vec<u8> },
    Sip { source: SocketAddrV4, ttl: u8, bytes: Vec<u8> },
}

pub struct World {
    pub probe: Probe,
    pub now: Instant,
    pub routers: Vec<Router>,
    pub phones: Vec<SimPhone>,
    pub scenery: Scenery,
    rng: Rng,
    coming: BTreeMap<(Instant, u64), Coming>,
    next: u64,
    by_address: BTreeMap<Ipv4Addr, usize>,
    /// Every packet that went out: when, and the TTL if it was limited.
    pub sent: Vec<(Instant, Option<u8>)>,
    pub under_way_at_most: usize,
    /// Questions are not answered.
    pub deaf_resolver: bool,
    pub questions: Vec<(u32, String)>,
    pub reports: Vec<(u32, Report)>,
}

fn ms(rng: &mut Rng, from: u64, to: u64) -> u64 {
    from * 1_000 + rng.below((to - from) * 1_000)
}

/// What is left of the TTL of a phone's packet.
fn ttl_back(first: u8, routers: usize, detour: i8) -> u8 {
    let routers = i16::try_from(routers).unwrap() + i16::from(detour);
    u8::try_from(i16::from(first) - routers.max(0)).unwrap()
}

impl SimPhone {
    /// Another cycle begins.
    pub fn forget(&mut self) {
        self.ping_rtts.clear();
        self.options.clear();
        self.options_rtts.clear();
    }
}

impl World {
    pub fn new(scenery: Scenery, config: &config::Probe, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut rng = Rng::new(&bytes, "world");
        let now = Instant::from_micros(1_000_000);
        let mut routers: Vec<Router> = Vec::new();
        for index in 0..scenery.routers {
            // Hubs have many links: those who have some get more. No way is longer than 11 hops.
            let parent = if index < 4 {
                None
            } else {
                let mut parent = usize::try_from(rng.below(u64::try_from(index).unwrap())).unwrap();
                if rng.below(2) == 0 {
                    parent = routers[parent].parent.unwrap_or(parent);
                }
                while routers[parent].depth >= 10 {
                    parent = routers[parent].parent.unwrap();
                }
                Some(parent)
            };
            let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
            let slow = rng.below(20) == 0;
            let silent = rng.below(100) < scenery.silent_percent;
            routers.push(Router {
                is: net::Router::new(Ipv4Addr::new(10, 100, high, low), parent, silent, now),
                depth: parent.map_or(1, |parent| routers[parent].depth + 1),
                delay_us: if slow { ms(&mut rng, 20, 60) } else { ms(&mut rng, 1, 8) },
            });
        }
        let mut phones = Vec::new();
        for index in 0..scenery.phones {
            let [_, _, high, low] = u32::try_from(index).unwrap().to_be_bytes();
            let kind = match rng.below(100) {
                0..=7 => Kind::Dead,
                8..=14 => Kind::Unknown,
                15..=18 => Kind::NoPing,
                19..=21 => Kind::NoSip,
                _ => Kind::Alive,
            };
            let detour = match rng.below(20) {
                _ if !scenery.crooked => 0,
                0 => *[1, 1, 2].get(usize::try_from(rng.below(3)).unwrap()).unwrap(),
                1 => -1,
                _ => 0,
            };
            let lossy = rng.below(10) == 0;
            phones.push(SimPhone {
                number: format!("{}", 440_000 + index),
                address: Ipv4Addr::new(10, 200, high, low),
                router: usize::try_from(rng.below(u64::try_from(routers.len()).unwrap())).unwrap(),
                kind,
                first_ttl: *[64, 64, 64, 64, 128, 255].get(usize::try_from(rng.below(6)).unwrap()).unwrap(),
                detour,
                loss_percent: if lossy { rng.below(scenery.phone_loss_percent + 1) } else { 0 },
                sip_status: *[200, 200, 200, 404, 486, 501].get(usize::try_from(rng.below(6)).unwrap()).unwrap(),
                ping_rtts: Vec::new(),
                options: BTreeMap::new(),
                options_rtts: Vec::new(),
            });
        }
        let by_address = phones.iter().enumerate().map(|(index, phone)| (phone.address, index)).collect();
        let mut probe = Probe::new(config, &bytes, now);
        probe.set_identity(&[US]);
        probe.handle_icmp_mode(IcmpMode::Raw, IDENTIFIER, now);
        let numbers: SortedSet<String> = phones.iter().map(|phone| phone.number.clone()).collect();
        probe.handle_targets(&numbers, now);
        let mut world = Self {
            probe,
            now,
            routers,
            phones,
            scenery,
            rng,
            coming: BTreeMap::new(),
            next: 0,
            by_address,
            sent: Vec::new(),
            under_way_at_most: 0,
            deaf_resolver: false,
            questions: Vec::new(),
            reports: Vec::new(),
        };
        world.drain();
        world
    }

    /// The routers to a phone, the nearest first.
    pub fn way(&self, phone: usize) -> Vec<usize> {
        net::way(self.phones[phone].router, |router| self.routers[router].parent)
    }

    /// Lives until `end` or until nothing more is planned; says whether `done` came true.
    pub fn run(&mut self, end: Instant, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        while !done(self) {
            let coming = self.coming.keys().next().map(|(at, _)| *at);
            let deadline = self.probe.next_deadline();
            let Some(at) = [coming, deadline].into_iter().flatten().min().filter(|at| *at <= end) else {
                return false;
            };
            self.now = self.now.max(at);
            // The kernel stamps what comes; the loop looks at it a little later.
            while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((at, _), what) = entry.remove_entry();
                self.deliver(what, at);
                self.drain();
            }
            if self.probe.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.probe.handle_timeout(self.now);
                assert!(self.probe.next_deadline().is_none_or(|next| next > self.now));
            }
            self.drain();
            for table in self.probe.tables() {
                assert!(table.used <= table.limit, "{table:?}");
                if table.name == "probe_in_flight" {
                    self.under_way_at_most = self.under_way_at_most.max(table.used);
                }
            }
        }
        true
    }

    fn deliver(&mut self, what: Coming, at: Instant) {
        match what {
            Coming::Icmp { from, ttl, bytes } => {
                self.probe.handle_icmp(&IcmpIn { from, ttl: Some(ttl), bytes: &bytes, at }, self.now);
            }
            Coming::Sip { source, ttl, bytes } => {
                let message = SipIn { from: source, ttl: Some(ttl), bytes: &bytes, at: self.now };
                self.probe.handle_datagram(&message, self.now);
            }
        }
    }

    fn come(&mut self, after_us: u64, what: Coming) {
        self.next += 1;
        self.coming.insert((self.now + Duration::from_micros(after_us), self.next), what);
    }

    fn drain(&mut self) {
        loop {
            self.questions.extend(std::iter::from_fn(|| self.probe.poll_question()));
            if self.deaf_resolver || self.questions.is_empty() {
                break;
            }
            self.answer_questions();
        }
        self.reports.extend(std::iter::from_fn(|| self.probe.poll_report()));
        let mut buffer = [0; 2_000];
        while let Some(out) = self.probe.poll_icmp(&mut buffer, self.now) {
            self.sent.push((self.now, out.ttl));
            let bytes = buffer[..out.len].to_vec();
            self.carry(out.destination, out.ttl, &bytes);
        }
        while let Some((to, length)) = self.probe.poll_transmit(&mut buffer) {
            self.sent.push((self.now, None));
            let bytes = buffer[..length].to_vec();
            self.carry_sip(to, &bytes);
        }
    }

    /// What was asked is answered now.
    pub fn answer_questions(&mut self) {
        for (token, number) in std::mem::take(&mut self.questions) {
            let phone = self.phones.iter().find(|phone| phone.number == number);
            let whereabouts = phone.filter(|phone| phone.kind != Kind::Unknown).map(|phone| Whereabouts {
                address: SocketAddrV4::new(phone.address, 5060),
                node: Some(self.routers[phone.router].address).filter(|_| self.scenery.nodes_known),
            });
            self.probe.handle_address(token, whereabouts, self.now);
        }
    }

    fn lost(&mut self, thousandths_of_percent: u64) -> bool {
        self.rng.below(100_000) < thousandths_of_percent
    }

    /// An echo request on its way.
    fn carry(&mut self, to: Ipv4Addr, ttl: Option<u8>, bytes: &[u8]) {
        let Ok(Message::Request(echo)) = icmp::parse(bytes) else { panic!("{bytes:?}") };
        let ttl = ttl.unwrap_or(64);
        let Some(index) = self.by_address.get(&to).copied() else { return };
        let way = self.way(index);
        let mut there_us = 0;
        for (step, router) in way.iter().enumerate() {
            there_us += self.routers[*router].delay_us / 2 + self.rng.below(1_500);
            if self.lost(self.scenery.link_loss) {
                return;
            }
            if step + 1 == usize::from(ttl) {
                self.expire(*router, to, &echo, there_us);
                return;
            }
        }
        let phone = &self.phones[index];
        let (loss, kind, detour, first_ttl) = (phone.loss_percent, phone.kind, phone.detour, phone.first_ttl);
        if matches!(kind, Kind::Dead | Kind::NoPing) || self.lost(loss * 1_000) || self.lost(loss * 1_000) {
            return;
        }
        // Now and then something takes for ever, and comes when nobody waits any more.
        let late = self.rng.below(300) == 0;
        let rtt = there_us * 2 + self.rng.below(3_000) + if late { 2_500_000 } else { 0 };
        let ttl = ttl_back(first_ttl, way.len(), detour);
        let mut out = vec![0; 100];
        let length = icmp::emit_reply(&echo, &mut out).unwrap();
        out.truncate(length);
        if !late {
            self.phones[index].ping_rtts.push(rtt);
        }
        if self.rng.below(200) == 0 {
            // Twice.
            self.come(rtt + 900, Coming::Icmp { from: to, ttl, bytes: out.clone() });
        }
        self.strangers(to, &echo);
        self.come(rtt, Coming::Icmp { from: to, ttl, bytes: out });
    }

    /// What is not ours, or is wrong, and must change nothing.
    fn strangers(&mut self, to: Ipv4Addr, echo: &Echo<'_>) {
        let mut out = vec![0; 100];
        let length = match self.rng.below(40) {
            // Somebody else's ping with the same sequence.
            0 => icmp::emit_reply(&Echo { identifier: 77, ..*echo }, &mut out),
            // Our sequence from somebody whom it was not sent to.
            1 => {
                let length = icmp::emit_reply(echo, &mut out);
                out.truncate(length.unwrap());
                self.come(50, Coming::Icmp { from: Ipv4Addr::new(10, 9, 9, 9), ttl: 60, bytes: out });
                return;
            }
            // An answer that says it is ours, but was never asked for in these words.
            2 => icmp::emit_reply(&Echo { payload: b"switchboard?", ..*echo }, &mut out),
            // A router about somebody else's packet of the same sequence.
            3 => {
                let destination = Ipv4Addr::new(10, 9, 9, 8);
                let (identifier, sequence) = (echo.identifier, echo.sequence);
                icmp::emit_time_exceeded(&Quote { source: US, destination, identifier, sequence }, &mut out)
            }
            4 => Some(self.rng.below(60)).and_then(|length| usize::try_from(length).ok()),
            _ => return,
        };
        out.truncate(length.unwrap());
        self.come(40, Coming::Icmp { from: to, ttl: 60, bytes: out });
    }

    fn expire(&mut self, index: usize, to: Ipv4Addr, echo: &Echo<'_>, there_us: u64) {
        let now = self.now;
        let router = &mut self.routers[index];
        if !router.speaks(now) {
            return;
        }
        let (from, depth) = (router.address, router.depth);
        for _ in 0..depth {
            if self.lost(self.scenery.link_loss) {
                return;
            }
        }
        let quote = Quote { source: US, destination: to, identifier: echo.identifier, sequence: echo.sequence };
        let mut bytes = vec![0; 100];
        let length = icmp::emit_time_exceeded(&quote, &mut bytes).unwrap();
        bytes.truncate(length);
        self.come(there_us * 2, Coming::Icmp { from, ttl: 64 - depth, bytes });
    }

    fn carry_sip(&mut self, to: SocketAddrV4, bytes: &[u8]) {
        let mut table = HeaderTable::default();
        let message = sip::Message::parse(bytes, &mut table).unwrap();
        assert_eq!(message.method(), Some(Method::Options));
        let cseq = sip::Essentials::of(&message).unwrap().cseq.number;
        let index = self.by_address[to.ip()];
        let way = self.way(index);
        let there_us: u64 = way.iter().map(|router| self.routers[*router].delay_us / 2).sum();
        let phone = &mut self.phones[index];
        let sends = phone.options.entry(cseq).or_default();
        *sends += 1;
        let first = *sends == 1;
        let (loss, kind, status) = (phone.loss_percent, phone.kind, phone.sip_status);
        let ttl = ttl_back(phone.first_ttl, way.len(), phone.detour);
        if matches!(kind, Kind::Dead | Kind::NoSip) || self.lost(loss * 1_000) || self.lost(loss * 1_000) {
            return;
        }
        let rtt = there_us * 2 + ms(&mut self.rng, 2, 30);
        let mut out = Vec::new();
        let answer = Answer { status, reason: "Whatever", to_tag: Some(b"phone"), ..Answer::default() };
        sip::respond(&message, &answer, &mut out);
        if first {
            self.phones[index].options_rtts.push(rtt);
        }
        if self.rng.below(100) == 0 {
            // Somebody else says the same.
            let source = SocketAddrV4::new(Ipv4Addr::new(10, 9, 9, 9), 5060);
            self.come(10, Coming::Sip { source, ttl: 60, bytes: out.clone() });
        }
        self.come(rtt, Coming::Sip { source: to, ttl, bytes: out });
    }
}
