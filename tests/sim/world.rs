//! The whole daemon, its files and its name server, and the phones around it, on one virtual clock.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use switchboard::config::Config;
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, Identity, Udp, Usage};
use switchboard::rng::{Rng, Seed};
use switchboard::time::Instant;

use super::clock::{self, Files, NOON, World as _, name_server};
use super::net::{Net, Packet, Weather};
use super::phone::{Manner, Phone};

pub const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5060);
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 53), 53);
/// Where phones are tested from.
const PROBE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5070);
const RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40_000);

pub struct World {
    pub now: Instant,
    pub core: Core,
    pub phones: Vec<Phone>,
    pub net: Net,
    /// What a name server knows: number → address.
    pub names: BTreeMap<String, Ipv4Addr>,
    pub files: Files,
    pub config: Config,
    /// A digest over everything the daemon sent, to compare two runs.
    pub trace: u64,
    pub sent: u64,
    pub received: u64,
    seed: Seed,
    exited: bool,
}

impl World {
    pub fn new(number: u64, weather: Weather) -> Self {
        let mut seed = Seed::default();
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut config = Config::default();
        config.names.servers = vec![DNS];
        let now = Instant::from_micros(3_000_000);
        let mut world = Self {
            now,
            core: Core::new(config.clone(), &seed, "boot".into(), now),
            phones: Vec::new(),
            net: Net::new(Rng::new(&seed, "net"), weather),
            names: BTreeMap::new(),
            files: Files::default(),
            config,
            trace: 0,
            sent: 0,
            received: 0,
            seed,
            exited: false,
        };
        world.introduce();
        world
    }

    pub fn rng(&self, purpose: &str) -> Rng {
        Rng::new(&self.seed, purpose)
    }

    pub fn add_phone(&mut self, number: &str, manner: Manner) -> usize {
        let last = u8::try_from(self.phones.len() + 2).unwrap();
        let address = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 5060);
        let rng = self.rng(number);
        self.phones.push(Phone::new(number, address, SERVER, rng, manner));
        self.phones.len() - 1
    }

    /// The process stops in an orderly way and a new one starts; what is on the way stays on the way.
    pub fn restart(&mut self) {
        self.core.handle_event(Event::Stop, self.now);
        self.settle();
        assert!(std::mem::take(&mut self.exited), "the daemon was told to stop and did not");
        self.crash();
    }

    /// The process stops without a word and a new one starts.
    pub fn crash(&mut self) {
        let mut seed = self.seed;
        seed[31] = seed[31].wrapping_add(1);
        self.seed = seed;
        self.core = Core::new(self.config.clone(), &seed, "boot".into(), self.now);
        self.introduce();
    }

    fn introduce(&mut self) {
        let identity =
            Identity { name: "HB9XX-NODE".into(), addresses: vec![*SERVER.ip(), Ipv4Addr::LOCALHOST], lan: Vec::new() };
        self.core.handle_event(Event::Identity(identity), self.now);
        self.core.handle_event(Event::WallClock(NOON), self.now);
        self.settle();
    }

    fn arrive(&mut self, packet: &Packet) {
        let socket = match packet.to {
            SERVER => Some(Udp::Sip),
            RESOLVER => Some(Udp::Dns),
            PROBE => Some(Udp::Probe),
            _ => None,
        };
        if let Some(socket) = socket {
            self.received += u64::from(socket == Udp::Sip);
            let (source, local, bytes) = (packet.from, packet.to, &packet.bytes);
            self.core.handle_event(Event::Datagram { socket, source, local, ttl: None, at: None, bytes }, self.now);
        } else if packet.to == DNS {
            if let Some(bytes) = name_server(&packet.bytes, |number| self.names.get(number).copied()) {
                self.net.send(Packet { from: DNS, to: packet.from, bytes }, self.now);
            }
        } else {
            let phone = self.phones.iter_mut().find(|phone| phone.address == packet.to);
            if let Some(phone) = phone.filter(|phone| !phone.gone) {
                phone.handle_packet(packet, self.now);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match self.files.perform(effect, &mut self.core, self.now) {
            Some(Effect::Dial { stream, .. } | Effect::DialUnix { stream, .. }) => {
                self.core.handle_event(Event::Closed { stream, failed: true }, self.now);
            }
            Some(Effect::Measure) => self.core.handle_event(Event::Usage(Usage::default()), self.now),
            Some(Effect::Exit) => self.exited = true,
            _ => {}
        }
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
        self.phones.iter().filter_map(Phone::next_deadline).chain(self.net.next_arrival()).min()
    }

    fn happen(&mut self) {
        while let Some(packet) = self.net.arrive(self.now) {
            self.arrive(&packet);
        }
        for phone in self.phones.iter_mut().filter(|phone| !phone.gone) {
            if phone.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                phone.handle_timeout(self.now);
            }
        }
    }

    /// Moves everything that the daemon and the phones have to say onto the network or into the files.
    fn settle(&mut self) {
        let mut buffer = vec![0; switchboard::limits::DATAGRAM];
        for socket in [Udp::Sip, Udp::Dns, Udp::Probe] {
            while let Some(transmit) = self.core.poll_datagram(socket, &mut buffer) {
                let from = match socket {
                    Udp::Sip => SERVER,
                    Udp::Dns => RESOLVER,
                    Udp::Probe => PROBE,
                };
                if let Some(source) = transmit.source {
                    assert_eq!(source, *SERVER.ip(), "answers leave from the address that was asked");
                }
                let bytes = buffer[..transmit.len].to_vec();
                self.sent += u64::from(socket == Udp::Sip);
                for byte in &bytes {
                    self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
                self.net.send(Packet { from, to: transmit.destination, bytes }, self.now);
            }
        }
        while let Some(effect) = self.core.poll_effect() {
            self.perform(effect);
        }
        for phone in &mut self.phones {
            while let Some(packet) = phone.poll_packet() {
                self.net.send(packet, self.now);
            }
        }
    }
}
