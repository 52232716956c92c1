//! The whole daemon, its files and its name server, and the phones around it, on one virtual clock.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use switchboard::config::Config;
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, Identity, Udp, Usage};
use switchboard::files::{Contents, FileError, Step};
use switchboard::rng::{Rng, Seed};
use switchboard::time::{Instant, UnixTime};

use super::net::{Net, Packet, Weather};
use super::phone::{Manner, Phone};

pub const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5060);
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 53), 53);
/// Where phones are tested from.
const PROBE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5070);
const RESOLVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 40_000);
const NOON: UnixTime = UnixTime(1_784_800_800);

pub struct World {
    pub now: Instant,
    pub core: Core,
    pub phones: Vec<Phone>,
    pub net: Net,
    /// What a name server knows: number → address.
    pub names: BTreeMap<String, Ipv4Addr>,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
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
            files: BTreeMap::new(),
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

    /// Lets the time pass, with all that happens in it.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            let phones = self.phones.iter().filter_map(Phone::next_deadline);
            let next = phones.chain(self.core.next_deadline()).chain(self.net.next_arrival()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(packet) = self.net.arrive(self.now) {
                self.arrive(&packet);
            }
            for phone in self.phones.iter_mut().filter(|phone| !phone.gone) {
                if phone.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                    phone.handle_timeout(self.now);
                }
            }
            if self.core.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.core.handle_timeout(self.now);
                self.settle();
                let next = self.core.next_deadline();
                assert!(next.is_none_or(|next| next > self.now), "the deadline does not advance: {next:?}");
            }
        }
        self.now = end;
    }

    fn arrive(&mut self, packet: &Packet) {
        if packet.to == SERVER {
            self.received += 1;
            let event = Event::Datagram {
                socket: Udp::Sip,
                source: packet.from,
                local: SERVER,
                ttl: None,
                bytes: &packet.bytes,
            };
            self.core.handle_event(event, self.now);
        } else if packet.to == RESOLVER {
            let local = RESOLVER;
            let event =
                Event::Datagram { socket: Udp::Dns, source: packet.from, local, ttl: None, bytes: &packet.bytes };
            self.core.handle_event(event, self.now);
        } else if packet.to == PROBE {
            let local = PROBE;
            let event =
                Event::Datagram { socket: Udp::Probe, source: packet.from, local, ttl: None, bytes: &packet.bytes };
            self.core.handle_event(event, self.now);
        } else if packet.to == DNS {
            if let Some(bytes) = self.name_server(&packet.bytes) {
                self.net.send(Packet { from: DNS, to: packet.from, bytes }, self.now);
            }
        } else {
            let phone = self.phones.iter_mut().find(|phone| phone.address == packet.to);
            if let Some(phone) = phone.filter(|phone| !phone.gone) {
                phone.handle_packet(packet, self.now);
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
        let mut effects: VecDeque<Effect> = std::iter::from_fn(|| self.core.poll_effect()).collect();
        while let Some(effect) = effects.pop_front() {
            self.perform(effect);
            effects.extend(std::iter::from_fn(|| self.core.poll_effect()));
        }
        for phone in &mut self.phones {
            while let Some(packet) = phone.poll_packet() {
                self.net.send(packet, self.now);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Read { reader, path, .. } => {
                let bytes = self.files.get(&path).cloned();
                let contents = bytes.map(|bytes| Contents { bytes, modified: NOON }).ok_or(FileError::NotFound);
                self.core.handle_event(Event::Read { reader, contents }, self.now);
            }
            Effect::Write { writer, steps } => {
                for step in steps {
                    match step {
                        Step::Write(path, bytes) => drop(self.files.insert(path, bytes)),
                        Step::Rename { from, to } => {
                            let bytes = self.files.remove(&from).expect("what is renamed was written");
                            self.files.insert(to, bytes);
                        }
                        Step::Keep { file, copy } => {
                            let bytes = self.files.get(&file).expect("what is kept is there").clone();
                            self.files.insert(copy, bytes);
                        }
                        Step::Remove(path) => drop(self.files.remove(&path)),
                        Step::MakeDir(_) | Step::Sync(_) | Step::SyncDir(_) | Step::Link { .. } => {}
                    }
                }
                self.core.handle_event(Event::Written { writer, result: Ok(()) }, self.now);
            }
            Effect::Watch { .. } => {}
            Effect::Dial { stream, .. } | Effect::DialUnix { stream, .. } => {
                self.core.handle_event(Event::Closed { stream, failed: true }, self.now);
            }
            Effect::Measure => self.core.handle_event(Event::Usage(Usage::default()), self.now),
            Effect::Exit => self.exited = true,
            Effect::Finish(_) | Effect::Abort(_) | Effect::Reload => {}
        }
    }

    /// A name server (RFC 1035 §4.1): one question, one address or "no such name".
    fn name_server(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut labels = Vec::new();
        let mut at = 12;
        while question[at] != 0 {
            let length = usize::from(question[at]);
            labels.push(String::from_utf8(question[at + 1..at + 1 + length].to_vec()).ok()?.to_ascii_lowercase());
            at += length + 1;
        }
        let number = labels.join(".").strip_suffix(".local.mesh")?.to_owned();
        let address = self.names.get(&number);
        let mut answer = question[..at + 5].to_vec();
        answer[2] = 0x84;
        answer[3] = if address.is_some() { 0x80 } else { 0x83 };
        answer[6..12].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
        if let Some(address) = address {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
            answer.extend_from_slice(&address.octets());
        }
        Some(answer)
    }
}
