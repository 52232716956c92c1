//! A resolver, people who ask it, and name servers of every kind.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use switchboard::config;
use switchboard::dns::Resolver;
use switchboard::engine::{Asker, Engine};
use switchboard::rng::Seed;
use switchboard::time::Instant;

use crate::Chance;

pub struct Subject {
    resolver: Resolver,
    /// The latest questions, and whom they were sent to.
    sent: Vec<(SocketAddrV4, Vec<u8>)>,
    asked: u32,
    waiting: BTreeSet<Asker>,
}

const NAMES: [&str; 12] = [
    "441530.local.mesh",
    "441531",
    "HB9BLA-NAS.local.mesh.",
    "a.b",
    "x",
    "",
    "..",
    "10.0.0.1",
    "localhost",
    "a b",
    "ü",
    "*.x",
];

fn server(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 53)
}

/// An answer of some kind to a question.
fn reply(chance: &mut Chance, question: &[u8]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2] = 0x81;
    bytes[3] = 0x80 | *chance.of(&[0, 0, 0, 0, 0, 2, 3, 5]);
    for _ in 0..chance.below(10) {
        bytes[7] += 1;
        bytes.extend_from_slice(&[
            0xc0,
            12,
            0,
            *chance.of(&[1, 1, 1, 1, 5, 28]),
            0,
            1,
            0,
            0,
            *chance.of(&[0, 1]),
            9,
            0,
            4,
        ]);
        bytes.extend_from_slice(&[10, 1, 0, *chance.of(&[1, 2, 3])]);
    }
    if chance.one_in(4) {
        bytes[12..].make_ascii_lowercase();
    }
    if chance.one_in(3) { chance.damaged(bytes) } else { bytes }
}

impl Subject {
    /// More names than can be remembered are asked for and answered.
    fn many(&mut self, now: Instant) {
        let (mut buffer, mut log) = ([0; 512], Vec::new());
        crate::Subject::drain(self, &mut log);
        for number in 0..600 {
            self.asked += 1;
            if self.resolver.ask(&format!("m{number}.x"), Asker::Sip(self.asked), now).is_ok() {
                self.waiting.insert(Asker::Sip(self.asked));
            }
            if let Some((to, length)) = self.resolver.poll_transmit(&mut buffer) {
                let mut bytes = buffer[..length].to_vec();
                bytes[2] = 0x80;
                bytes[3] = 3;
                self.resolver.handle_datagram(&bytes, to, now);
            }
            crate::Subject::drain(self, &mut log);
        }
    }
}

impl crate::Subject for Subject {
    const NAME: &'static str = "dns";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &[];

    fn new(seed: &Seed, _now: Instant) -> Self {
        let mut resolver = Resolver::new(&config::Names::default(), seed);
        resolver.handle_resolv_conf(Some(b"nameserver 10.0.0.1\nnameserver 10.0.0.2\n"));
        Self { resolver, sent: Vec::new(), asked: 0, waiting: BTreeSet::new() }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.resolver
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(40) {
            0 if chance.one_in(100) => self.many(now),
            0..=12 => {
                for _ in 0..*chance.of(&[1, 1, 1, 1, 1, 100]) {
                    let random = format!("n{}.x", chance.below(1_000));
                    let name = if chance.one_in(2) { random.as_str() } else { chance.of(&NAMES) };
                    self.asked += 1;
                    if self.resolver.ask(name, Asker::Sip(self.asked), now).is_ok() {
                        self.waiting.insert(Asker::Sip(self.asked));
                    }
                }
            }
            13..=33 if !self.sent.is_empty() => {
                let (to, question) = chance.of(&self.sent).clone();
                let source = if chance.one_in(8) { server(2) } else { to };
                let bytes = reply(chance, &question);
                self.resolver.handle_datagram(&bytes, source, now);
            }
            34 | 35 => self.resolver.handle_unreachable(server(*chance.of(&[1, 2, 3])), now),
            36 => {
                let text =
                    chance.of(&["nameserver 10.0.0.1", "nameserver 10.0.0.3\nnameserver 10.0.0.1\n", "", "nameserver"]);
                self.resolver.handle_resolv_conf(Some(text.as_bytes()));
            }
            37 => self.resolver.handle_resolv_conf(Some(&chance.bytes(100))),
            38 => {
                let servers = chance.of(&[vec![], vec![server(1)], vec![server(2), server(1)]]).clone();
                self.resolver.set_config(&config::Names { servers, ..config::Names::default() });
            }
            _ => self.resolver.handle_datagram(&chance.bytes(600), server(1), now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        let mut buffer = [0; 512];
        while let Some((to, length)) = self.resolver.poll_transmit(&mut buffer) {
            log.push(format!("ask {to} {:?}", &buffer[..length]));
            if self.sent.len() >= 64 {
                self.sent.remove(0);
            }
            self.sent.push((to, buffer[..length].to_vec()));
        }
        while let Some((asker, answer)) = self.resolver.poll_answer() {
            assert!(self.waiting.remove(&asker), "{asker:?} has asked, and was not answered yet");
            log.push(format!("answer {asker:?} {answer:?}"));
        }
        while let Some(watch) = self.resolver.poll_watch() {
            log.push(format!("{watch:?}"));
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        let bytes = match self.sent.first().cloned() {
            Some((_, question)) if chance.one_in(2) => reply(chance, &question),
            _ => chance.bytes(600),
        };
        self.resolver.handle_datagram(&bytes, server(9), now);
    }

    fn at_rest(&mut self) {
        assert!(self.waiting.is_empty(), "not answered: {:?}", self.waiting);
    }
}
