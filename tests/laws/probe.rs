//! A test desk, phones and routers of every kind, and people who want something of it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use switchboard::sorted::SortedSet;

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::probe::{IcmpError, IcmpIn, IcmpMode, Probe, SipIn, Whereabouts};
use switchboard::rng::Seed;
use switchboard::time::Instant;
use switchboard::wire::icmp::{self, Message, Quote};
use switchboard::wire::sip::{self, Answer, HeaderTable};

use crate::Chance;

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NUMBERS: [&str; 8] = ["441530", "441531", "441532", "196630", "anna", "", "a b", "\u{fc}"];

pub struct Subject {
    probe: Probe,
    questions: Vec<u32>,
    /// The latest echoes and messages, and whom they were sent to.
    echoes: Vec<(Ipv4Addr, Vec<u8>)>,
    messages: Vec<(SocketAddrV4, Vec<u8>)>,
    asker: u32,
    now: Instant,
    waiting: SortedSet<u32>,
    /// Those who wanted a ring. One that is under way goes on without them, and is told to nobody.
    ringers: SortedSet<u32>,
}

fn config() -> config::Probe {
    config::Probe {
        interval: Duration::from_secs(60),
        rate: 50,
        in_flight: 8,
        call_test: true,
        call_test_pause: Duration::from_secs(60),
        ..config::Probe::default()
    }
}

fn sip_came(probe: &mut Probe, from: SocketAddrV4, bytes: &[u8], now: Instant) {
    probe.handle_datagram(&SipIn { from, ttl: Some(60), bytes, at: now }, now);
}

fn address(chance: &mut Chance) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, *chance.of(&[1, 2, 3, 4, 5]))
}

impl Subject {
    /// Something comes out of the ICMP socket.
    fn icmp(&mut self, chance: &mut Chance, now: Instant) {
        let (to, bytes) = match self.echoes.is_empty() {
            true => (US, chance.bytes(60)),
            false => chance.of(&self.echoes).clone(),
        };
        let mut out = vec![0; 100];
        let length = match icmp::parse(&bytes) {
            Ok(Message::Request(echo)) => {
                let destination = if chance.one_in(8) { address(chance) } else { to };
                let (identifier, sequence) = (echo.identifier, echo.sequence);
                let quote = Quote { source: US, destination, identifier, sequence };
                match chance.below(8) {
                    0..=3 => icmp::emit_reply(&echo, &mut out),
                    4..=6 => icmp::emit_time_exceeded(&quote, &mut out),
                    _ => icmp::emit_unreachable(1, &quote, &mut out),
                }
            }
            _ => Some(0),
        };
        out.truncate(length.unwrap());
        let out = if chance.one_in(8) { chance.damaged(out) } else { out };
        let (from, ttl) = (if chance.one_in(4) { address(chance) } else { to }, Some(*chance.of(&[0, 1, 60, 64, 250])));
        // The kernel's time is a little earlier than ours, or wrong.
        let at = Instant::from_micros(now.as_micros() - u64::try_from(chance.below(900_000)).unwrap());
        if chance.one_in(5) {
            let kind = *chance.of(&[(11, 0), (3, 1), (11, 1), (5, 0)]);
            self.probe.handle_icmp_error(&IcmpError { from, destination: to, kind, quoted: &bytes, at }, now);
        } else {
            self.probe.handle_icmp(&IcmpIn { from, ttl, bytes: &out, at }, now);
        }
    }

    /// Something comes on the SIP test port.
    fn sip(&mut self, chance: &mut Chance, now: Instant) {
        let Some((to, bytes)) = (!self.messages.is_empty()).then(|| chance.of(&self.messages).clone()) else {
            return sip_came(&mut self.probe, SocketAddrV4::new(US, 1), &chance.bytes(300), now);
        };
        let source = if chance.one_in(8) { SocketAddrV4::new(address(chance), 5060) } else { to };
        let mut table = HeaderTable::default();
        let mut out = Vec::new();
        match sip::Message::parse(&bytes, &mut table) {
            Ok(message) if !chance.one_in(6) => {
                let status = *chance.of(&[100, 180, 183, 200, 200, 404, 486, 487, 603]);
                let extra: &[(&str, &[u8])] = &[("Contact", b"<sip:x@10.1.0.9>")];
                let answer = Answer { status, reason: "X", to_tag: Some(b"t"), extra, ..Answer::default() };
                sip::respond(&message, &answer, &mut out);
            }
            _ => out = bytes,
        }
        let out = if chance.one_in(8) { chance.damaged(out) } else { out };
        sip_came(&mut self.probe, source, &out, now);
    }

    fn want(&mut self, chance: &mut Chance, now: Instant) {
        // Whoever hung up or waited long enough is told what is known, if anything is, and never again. First comes what was said.
        while let Some((told, _)) = self.probe.poll_report() {
            assert!(self.waiting.remove(&told) || self.ringers.contains(&told), "{told} waits, and was not told yet");
        }
        if let Some(gone) = self.waiting.first().copied().filter(|_| chance.one_in(4)) {
            self.probe.forget(gone, now);
            self.waiting.remove(&gone);
            assert_eq!(self.probe.forget(gone, now), None, "he is gone already");
        }
        self.asker += 1;
        let number = *chance.of(&NUMBERS);
        let admitted = match chance.below(3) {
            0 => self.probe.trace(address(chance), self.asker, now),
            1 => self.probe.ping(number, *chance.of(&[0, 1, 5, 255]), self.asker, now),
            _ => {
                self.ringers.insert(self.asker);
                self.probe.ring(number, self.asker, now)
            }
        };
        if admitted.is_ok() {
            self.waiting.insert(self.asker);
        }
    }

    fn answer(&mut self, chance: &mut Chance, token: u32, now: Instant) {
        let node = chance.one_in(2).then(|| Ipv4Addr::new(10, 5, 0, *chance.of(&[1, 2])));
        let at = SocketAddrV4::new(address(chance), *chance.of(&[5060, 5060, 1, 0]));
        let whereabouts = (!chance.one_in(5)).then_some(Whereabouts { address: at, node });
        self.probe.handle_address(token, whereabouts, now);
    }
}

impl crate::Subject for Subject {
    const NAME: &'static str = "probe";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &["probe_phones", "probe_routers", "probe_rung"];

    fn new(seed: &Seed, now: Instant) -> Self {
        let mut probe = Probe::new(&config(), seed, now);
        probe.set_identity(&[US]);
        probe.handle_icmp_mode(IcmpMode::Raw, 7, now);
        let (questions, echoes, messages) = (Vec::new(), Vec::new(), Vec::new());
        Self { probe, questions, echoes, messages, asker: 0, now, waiting: SortedSet::new(), ringers: SortedSet::new() }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.probe
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        self.now = now;
        match chance.below(40) {
            0 => {
                let many = if chance.one_in(400) { 6_000 } else { 0 };
                let known = NUMBERS.iter().map(|number| (*number).to_owned());
                let mut numbers: SortedSet<String> = known.chain((0..many).map(|number| number.to_string())).collect();
                let gone = chance.below(12);
                numbers.retain(|number| number.len() != gone);
                self.probe.handle_targets(&numbers, now);
            }
            1 => {
                let counts = *chance.of(&[(5, 5), (2, 0), (0, 2), (0, 0), (20, 20)]);
                let enabled = !chance.one_in(10);
                let (rate, in_flight) = *chance.of(&[(50, 8), (1, 1), (5_000, 1_024)]);
                let (ping_count, options_count) = counts;
                let config = config::Probe { enabled, rate, in_flight, ping_count, options_count, ..config() };
                self.probe.handle_config(&config, now);
            }
            2 => {
                let (mode, identifier) =
                    *chance.of(&[(IcmpMode::Raw, 7), (IcmpMode::Datagram, 9), (IcmpMode::None, 0)]);
                self.probe.handle_icmp_mode(mode, identifier, now);
            }
            3 => {
                let numbers: SortedSet<String> = (0..chance.below(3)).map(|_| (*chance.of(&NUMBERS)).into()).collect();
                self.probe.handle_calls(&numbers, now);
            }
            4 => self.probe.handle_unreachable(SocketAddrV4::new(address(chance), 5060), now),
            5..=8 => self.want(chance, now),
            9..=16 if !self.questions.is_empty() => {
                let token = self.questions.remove(0);
                self.answer(chance, token, now);
            }
            17..=28 => self.icmp(chance, now),
            _ => self.sip(chance, now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some((token, number)) = self.probe.poll_question() {
            log.push(format!("{token}: where is {number}?"));
            self.questions.push(token);
        }
        let mut buffer = [0; 2_000];
        while let Some(out) = self.probe.poll_icmp(&mut buffer, self.now) {
            log.push(format!("{out:?} {:?}", &buffer[..out.len]));
            self.echoes.push((out.destination, buffer[..out.len].to_vec()));
        }
        while let Some((to, length)) = self.probe.poll_transmit(&mut buffer) {
            log.push(format!("{to}: {}", String::from_utf8_lossy(&buffer[..length])));
            self.messages.push((to, buffer[..length].to_vec()));
        }
        self.echoes.drain(..self.echoes.len().saturating_sub(20));
        self.messages.drain(..self.messages.len().saturating_sub(20));
        while let Some((asker, report)) = self.probe.poll_report() {
            assert!(
                self.waiting.remove(&asker) || self.ringers.contains(&asker),
                "{asker} waits, and was not told yet"
            );
            log.push(format!("{asker}: {report:?}"));
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(3) {
            0 => self.probe.handle_address(u32::MAX, None, now),
            1 => {
                let mut out = [0; 50];
                let echo = icmp::Echo { identifier: 8, sequence: 0, payload: b"x" };
                let length = icmp::emit_reply(&echo, &mut out).unwrap();
                let message = IcmpIn { from: US, ttl: None, bytes: &out[..length], at: now };
                self.probe.handle_icmp(&message, now);
            }
            _ => sip_came(&mut self.probe, SocketAddrV4::new(US, 5060), b"SIP/2.0 200 OK\r\n\r\n", now),
        }
    }

    fn calm(&mut self, chance: &mut Chance, now: Instant) {
        self.probe.handle_config(&config::Probe { enabled: false, ..config() }, now);
        for token in std::mem::take(&mut self.questions) {
            self.answer(chance, token, now);
        }
    }

    fn at_rest(&mut self) {
        assert!(self.waiting.is_empty(), "not told: {:?}", self.waiting);
    }
}
