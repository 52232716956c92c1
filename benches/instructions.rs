//! `make bench`: instructions for each message, counted by valgrind, so that a change of one in a hundred can be seen on any
//! machine, busy or not.
//!
//! Runs itself under callgrind, once with few and once with many rounds; the difference is the rounds alone. The phones'
//! side is part of the same process: `phones` below says how much of a call that is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout)]
#![allow(dead_code, missing_docs, reason = "shares the ground of the tests and the messages, not all of them")]

mod messages;
#[path = "../tests/support/real/mod.rs"]
mod real;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use messages::{CALLEE, Heard, answers, invite, options, register, within_dialog};
use switchboard::config;
use switchboard::core::event::{Event, Udp};
use switchboard::core::flight::Flight;
use switchboard::engine::Engine as _;
use switchboard::sip::Sip;
use switchboard::time::Instant;
use switchboard::wire::sip::{Essentials, HeaderTable, Message};

const EXCHANGE: Ipv4Addr = Ipv4Addr::new(10, 33, 14, 153);
const HERE: SocketAddrV4 = SocketAddrV4::new(EXCHANGE, 5_060);
const ONE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 33, 14, 154), 5_060);
const TWO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 33, 14, 155), 5_060);

/// A thing that is done so many times.
type Round = fn(u32);

const ROUNDS: [(&str, Round); 6] = [
    ("parse an INVITE of 1 kB", parse),
    ("what the flight recorder adds to it", flight),
    ("OPTIONS, answered", ping),
    ("REGISTER, refreshed", registering),
    ("a call: 6 messages in, 7 out", calls),
    ("  of it the phones' own work", phones),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let play = |place: &str, rounds: &str| ROUNDS[place.parse::<usize>().unwrap()].1(rounds.parse().unwrap());
    match arguments.as_slice() {
        [_, word, place, rounds] if word == "play" => play(place, rounds),
        _ if !arguments.iter().any(|argument| argument == "--bench") => {}
        _ if !real::installed("valgrind", "valgrind") => {}
        _ => {
            println!("\n| | instructions |\n|---|---:|");
            for (place, (name, _)) in ROUNDS.iter().enumerate() {
                let (few, many) = (count(&arguments[0], place, 100), count(&arguments[0], place, 1_100));
                println!("| {name} | {} |", (many - few) / 1_000);
            }
        }
    }
}

fn count(program: &str, place: usize, rounds: u32) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program, "play"])
        .arg(place.to_string())
        .arg(rounds.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1));
    collected.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("valgrind says: {text}"))
}

/// The engine, and what leaves it.
struct Bench {
    sip: Sip,
    now: Instant,
    buffer: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::from_micros(1_000_000);
        let sip = Sip::new(&config::Sip { listen: HERE, ..config::Sip::default() }, "local.mesh", &[7; 32], now);
        let mut bench = Self { sip, now, buffer: vec![0; 65_536] };
        bench.sip.set_identity("HB9BLA-VM-1", &[EXCHANGE]);
        bench
    }

    /// One datagram in; what comes out, with its destination.
    fn tell(&mut self, message: &str, source: SocketAddrV4) -> Vec<(SocketAddrV4, String)> {
        self.sip.handle_datagram(message.as_bytes(), source, HERE, self.now);
        let mut out = Vec::new();
        while let Some(sent) = self.sip.poll_transmit(&mut self.buffer) {
            out.push((sent.destination, String::from_utf8_lossy(&self.buffer[..sent.len]).into_owned()));
        }
        out
    }

    /// A hundredth of a second goes by.
    fn wait(&mut self) {
        self.now = self.now + Duration::from_millis(10);
        while self.sip.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.sip.handle_timeout(self.now);
            while self.sip.poll_transmit(&mut self.buffer).is_some() {}
        }
    }
}

fn parse(rounds: u32) {
    let text = invite(1, ONE, EXCHANGE);
    let mut table = HeaderTable::default();
    for _ in 0..rounds {
        let message = Message::parse(black_box(text.as_bytes()), &mut table).unwrap();
        black_box(Essentials::of(&message).unwrap());
    }
}

fn flight(rounds: u32) {
    let text = invite(1, ONE, EXCHANGE);
    let mut flight = Flight::default();
    let event =
        Event::Datagram { socket: Udp::Sip, source: ONE, local: HERE, ttl: None, at: None, bytes: text.as_bytes() };
    for number in 0..rounds {
        flight.record(black_box(&event), Instant::from_micros(u64::from(number)));
        flight.idle(0, 0);
    }
}

fn ping(rounds: u32) {
    let mut bench = Bench::new();
    for number in 1..=rounds {
        let out = bench.tell(&options(number, ONE, EXCHANGE), ONE);
        assert!(out[0].1.starts_with("SIP/2.0 200"));
        bench.wait();
    }
}

fn registering(rounds: u32) {
    let mut bench = Bench::new();
    for number in 1..=rounds {
        let out = bench.tell(&register(number, ONE, EXCHANGE, "441530"), ONE);
        assert!(out[0].1.starts_with("SIP/2.0 200"));
        bench.wait();
    }
}

fn calls(rounds: u32) {
    let mut bench = Bench::new();
    bench.tell(&register(1, TWO, EXCHANGE, CALLEE), TWO);
    for call in 1..=rounds {
        let mut done = false;
        let mut under_way = vec![(ONE, invite(call, ONE, EXCHANGE))];
        while let Some((source, message)) = under_way.pop() {
            for (destination, text) in bench.tell(&message, source) {
                if destination == TWO {
                    // Last in, first out: 180 is to go before 200.
                    under_way.extend(answers(&text, TWO).into_iter().rev().map(|answer| (TWO, answer)));
                } else if let Heard::Answered(call) = Heard::of(&text) {
                    under_way.push((ONE, within_dialog("BYE", 2, call, ONE, EXCHANGE, &text)));
                    under_way.push((ONE, within_dialog("ACK", 1, call, ONE, EXCHANGE, &text)));
                } else if let Heard::HungUp = Heard::of(&text) {
                    done = true;
                }
            }
        }
        assert!(done, "call {call} did not end");
        bench.wait();
    }
}

/// What the phones of [`calls`] do, without an exchange between them.
fn phones(rounds: u32) {
    for call in 1..=rounds {
        let request = invite(call, ONE, EXCHANGE);
        for answer in answers(black_box(&request), TWO) {
            if let Heard::Answered(call) = Heard::of(black_box(&answer)) {
                black_box(within_dialog("ACK", 1, call, ONE, EXCHANGE, &answer));
                let bye = within_dialog("BYE", 2, call, ONE, EXCHANGE, &answer);
                for answer in answers(black_box(&bye), TWO) {
                    black_box(Heard::of(&answer));
                }
            }
        }
    }
}
