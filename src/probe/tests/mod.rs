//! The test desk with a phone or two, on a moved clock.

mod answers;
mod asked;
mod cycle;
mod ring;
mod ways;

use crate::sorted::SortedSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::*;
use crate::wire::icmp::{self, Echo, Quote};
use crate::wire::sip::{Answer, Message, Name, respond};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PHONE: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const ID: u16 = 4_242;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sip_at(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, 5060)
}

fn names(numbers: &[&str]) -> SortedSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

/// An echo that was sent.
#[derive(Clone, Debug)]
struct Ping {
    to: Ipv4Addr,
    ttl: Option<u8>,
    bytes: Vec<u8>,
}

impl Ping {
    fn echo(&self) -> Echo<'_> {
        match icmp::parse(&self.bytes) {
            Ok(icmp::Message::Request(echo)) => echo,
            other => panic!("{other:?}"),
        }
    }
}

/// The engine, and what it sent since it was last looked at.
struct Desk {
    probe: Probe,
    now: Instant,
    pings: Vec<Ping>,
    messages: Vec<(SocketAddrV4, Vec<u8>)>,
    /// Where phones are; `None`: nowhere.
    found: Option<Ipv4Addr>,
}

impl Desk {
    fn new(config: config::Probe, numbers: &[&str]) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut probe = Probe::new(&config, &[3; 32], now);
        probe.set_identity(&[Ipv4Addr::LOCALHOST, US]);
        probe.handle_icmp_mode(IcmpMode::Raw, ID, now);
        probe.handle_targets(&names(numbers), now);
        Self { probe, now, pings: Vec::new(), messages: Vec::new(), found: Some(PHONE) }
    }

    fn drain(&mut self) {
        while let Some((token, number)) = self.probe.poll_question() {
            // The last digits of a number are those of its address.
            let last = number.bytes().last().map_or(0, |digit| digit - b'0');
            let whereabouts = self.found.map(|address| {
                let [a, b, c, d] = address.octets();
                Whereabouts { address: sip_at(Ipv4Addr::new(a, b, c, d + last)), node: None }
            });
            self.probe.handle_address(token, whereabouts, self.now);
        }
        let mut buffer = [0; 2_000];
        while let Some(out) = self.probe.poll_icmp(&mut buffer, self.now) {
            self.pings.push(Ping { to: out.destination, ttl: out.ttl, bytes: buffer[..out.len].to_vec() });
        }
        while let Some((to, length)) = self.probe.poll_transmit(&mut buffer) {
            self.messages.push((to, buffer[..length].to_vec()));
        }
    }

    /// Time passes, and everything is done in its time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while let Some(at) = self.probe.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.probe.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Until the next cycle has begun and its first packets are out.
    fn begin(&mut self) {
        self.drain();
        let start = self.probe.progress(self.now).next.unwrap();
        self.pass(start.since(self.now) + ms(20));
    }

    fn icmp(&mut self, from: Ipv4Addr, ttl: u8, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut bytes = [0; 200];
        let length = write(&mut bytes).unwrap();
        let message = IcmpIn { from, ttl: Some(ttl), bytes: &bytes[..length], at: self.now };
        self.probe.handle_icmp(&message, self.now);
        self.drain();
    }

    fn sip_came(&mut self, from: SocketAddrV4, ttl: Option<u8>, bytes: &[u8]) {
        self.probe.handle_datagram(&SipIn { from, ttl, bytes, at: self.now }, self.now);
    }

    fn reply(&mut self, ping: &Ping, ttl: u8) {
        self.icmp(ping.to, ttl, |out| icmp::emit_reply(&ping.echo(), out));
    }

    fn expire(&mut self, ping: &Ping, router: Ipv4Addr) {
        let (Echo { identifier, sequence, .. }, destination) = (ping.echo(), ping.to);
        let quote = Quote { source: US, destination, identifier, sequence };
        self.icmp(router, 60, |out| icmp::emit_time_exceeded(&quote, out));
    }

    /// Answers a request that was sent, from `source`.
    fn answer_from(&mut self, source: SocketAddrV4, request: &[u8], status: u16) {
        self.sip_came(source, Some(62), &answer_to(request, status));
        self.drain();
    }

    fn answer(&mut self, request: &(SocketAddrV4, Vec<u8>), status: u16) {
        self.answer_from(request.0, &request.1, status);
    }

    fn take_pings(&mut self) -> Vec<Ping> {
        std::mem::take(&mut self.pings)
    }

    fn take_messages(&mut self) -> Vec<(SocketAddrV4, Vec<u8>)> {
        std::mem::take(&mut self.messages)
    }

    /// The methods of what was sent, and forgets it.
    fn methods(&mut self) -> Vec<String> {
        self.take_messages().iter().map(|(_, bytes)| method(bytes)).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.probe.counters().iter().find(|counter| counter.name == name).unwrap().count
    }

    fn status(&self, number: &str) -> (Status, Status, Status) {
        let phone = self.probe.find(number).unwrap();
        (phone.ping().0, phone.options().0, phone.status())
    }
}

fn answer_to(request: &[u8], status: u16) -> Vec<u8> {
    let mut table = HeaderTable::default();
    let message = Message::parse(request, &mut table).unwrap();
    let mut out = Vec::new();
    let tag = (status > 100).then_some(&b"phone"[..]);
    let extra: &[(&str, &[u8])] = &[("Contact", b"<sip:line1@10.1.2.3:5062>")];
    respond(&message, &Answer { status, reason: "X", to_tag: tag, extra, ..Answer::default() }, &mut out);
    out
}

fn method(bytes: &[u8]) -> String {
    String::from_utf8(bytes.split(|b| *b == b' ').next().unwrap().to_vec()).unwrap()
}

fn header(bytes: &[u8], name: Name) -> String {
    let mut table = HeaderTable::default();
    let message = Message::parse(bytes, &mut table).unwrap();
    String::from_utf8(message.header(name).unwrap().to_vec()).unwrap()
}

fn pings_only(count: usize) -> config::Probe {
    config::Probe { ping_count: count, options_count: 0, traceroute: false, ..config::Probe::default() }
}

fn options_only(count: usize) -> config::Probe {
    config::Probe { ping_count: 0, options_count: count, ..config::Probe::default() }
}

fn ringing() -> config::Probe {
    config::Probe {
        ping_count: 0,
        options_count: 1,
        call_test: true,
        interval: Duration::from_secs(120),
        timeout: Duration::from_secs(1),
        ..config::Probe::default()
    }
}

/// A phone that is rung: its INVITE.
fn rung(desk: &mut Desk) -> (SocketAddrV4, Vec<u8>) {
    desk.begin();
    desk.pass(ms(1_000));
    let messages = desk.take_messages();
    let is_invite = |message: &&(SocketAddrV4, Vec<u8>)| method(&message.1) == "INVITE";
    assert_eq!(messages.iter().filter(is_invite).count(), 1);
    messages.last().filter(is_invite).unwrap().clone()
}
