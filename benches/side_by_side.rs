//! `make bench`: how much work Switchboard and Kamailio, with one worker, get done on one core, in the same run.
//!
//! The server under load has core 0 for itself, the load core 1. OPTIONS, REGISTER and calls at full load come from
//! the generators below, because SIPp is slower than what it would measure: so many requests are kept under way, and
//! nothing is ever sent twice, so that a datagram lost is a call lost. At 100 calls a second SIPp plays both phones.
//! Prints one markdown table. On a machine that does something else at the time, the numbers say nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout)]
#![allow(dead_code, missing_docs, reason = "shares the ground of the tests, not all of it")]

mod messages;
#[path = "../tests/support/real/mod.rs"]
mod real;

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use messages::{CALLEE, Heard, answers, lines, options, register};
use real::sipp::{Phone, Play, sipp};
use real::{Exchange, Kind, Setup, installed};

/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(5);
/// Requests or calls under way at once.
const WINDOW: u32 = 50;
/// Phones that register in turn.
const PHONES: u32 = 400;
/// Calls that are held at once to see what memory they take.
const HELD: u32 = 2_000;

fn main() {
    // `cargo test --benches` and the like ask for tests: there are none.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let _ = Command::new("taskset").args(["-pc", "1", &std::process::id().to_string()]).output();
    let mut kinds = vec![Kind::Switchboard];
    if installed("kamailio", "kamailio") {
        kinds.push(Kind::Kamailio);
    }
    let columns: Vec<Column> = kinds.into_iter().map(measure).collect();
    print(&columns);
}

/// What was measured of one server: rows by name, each a value that is ready to be read.
struct Column {
    name: &'static str,
    cells: Vec<(&'static str, String)>,
}

fn measure(kind: Kind) -> Column {
    let name = match kind {
        Kind::Switchboard => "Switchboard",
        Kind::Kamailio => "Kamailio",
    };
    let mut cells = Vec::new();
    let setup = Setup { pinned: Some(0), kind: Some(kind), log_level: "warn", ..Setup::default() };
    let fresh = || Exchange::with("bench", &setup);

    let exchange = fresh();
    cells.push(("resident, idle (MB)", megabytes(&exchange)));
    let load = flood(&exchange, options);
    cells.push(("OPTIONS/s", load.per_second()));
    cells.push(("CPU ms per 1000 OPTIONS", load.milliseconds_per_thousand()));
    let load = flood(&exchange, |number, own, to| register(number, own, to, &format!("77{:04}", number % PHONES)));
    cells.push(("REGISTER/s", load.per_second()));
    cells.push(("CPU ms per 1000 REGISTER", load.milliseconds_per_thousand()));
    drop(exchange);

    let exchange = fresh();
    let load = Calls::prepare(&exchange).run(&exchange);
    cells.push(("calls/s, 50 at once", load.per_second()));
    cells.push(("lost", load.lost.to_string()));
    cells.push(("CPU s per 1000 calls", load.seconds_per_thousand()));
    cells.push(("resident after it (MB)", megabytes(&exchange)));
    drop(exchange);

    let exchange = fresh();
    Calls::prepare(&exchange).hold(HELD);
    cells.push(("resident with 2000 calls (MB)", megabytes(&exchange)));
    drop(exchange);

    if sipp() {
        let exchange = fresh();
        let load = sipp_load(&exchange, 100, 2_000);
        cells.push(("SIPp, 100 calls/s: CPU s per 1000", load.seconds_per_thousand()));
        cells.push(("SIPp, 100 calls/s: lost", load.lost.to_string()));
        drop(exchange);
        let mut best = 0;
        for rate in [500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 5_000] {
            let exchange = fresh();
            let load = sipp_load(&exchange, rate, rate * 3);
            if load.lost > 0 {
                break;
            }
            best = rate;
        }
        cells.push(("SIPp, most calls/s without loss", best.to_string()));
    }
    Column { name, cells }
}

/// Work done, and what it took.
struct Load {
    done: u32,
    lost: u32,
    wall: Duration,
    /// CPU time of the server, in seconds.
    cpu: f64,
}

impl Load {
    fn per_second(&self) -> String {
        format!("{:.0}", f64::from(self.done) / self.wall.as_secs_f64())
    }
    fn milliseconds_per_thousand(&self) -> String {
        format!("{:.1}", self.cpu * 1e6 / f64::from(self.done))
    }
    fn seconds_per_thousand(&self) -> String {
        format!("{:.3}", self.cpu * 1e3 / f64::from(self.done))
    }
}

// Requests that are answered at once -----------------------------------------------------------------------------------

fn flood(exchange: &Exchange, compose: impl Fn(u32, SocketAddrV4, Ipv4Addr) -> String) -> Load {
    let socket = UdpSocket::bind((exchange.net.host(2), 5_060)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.connect((exchange.address(), 5_060)).unwrap();
    let own = SocketAddrV4::new(exchange.net.host(2), 5_060);
    let (mut sent, mut done, mut lost) = (0, 0, 0);
    let (cpu, begun) = (cpu(exchange), Instant::now());
    let send = |sent: &mut u32| {
        *sent += 1;
        socket.send(compose(*sent, own, exchange.address()).as_bytes()).unwrap();
    };
    while sent < WINDOW {
        send(&mut sent);
    }
    let mut answer = [0; 65_536];
    while begun.elapsed() < LOAD {
        match socket.recv(&mut answer) {
            Ok(length) => {
                assert!(answer[..length].starts_with(b"SIP/2.0 200"), "{}", String::from_utf8_lossy(&answer[..length]));
                done += 1;
                send(&mut sent);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                lost += sent - done - lost;
                for _ in 0..WINDOW {
                    send(&mut sent);
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    Load { done, lost, wall: begun.elapsed(), cpu: self::cpu(exchange) - cpu }
}

// Calls ----------------------------------------------------------------------------------------------------------------

/// A caller and a callee who never rest.
struct Calls {
    caller: UdpSocket,
    own: SocketAddrV4,
    exchange: Ipv4Addr,
}

impl Calls {
    /// Registers the callee, and lets it answer every call at once for as long as the process lives.
    fn prepare(exchange: &Exchange) -> Self {
        let callee = UdpSocket::bind((exchange.net.host(3), 5_060)).unwrap();
        let there = SocketAddrV4::new(exchange.net.host(3), 5_060);
        let request = register(1, there, exchange.address(), CALLEE);
        callee.send_to(request.as_bytes(), (exchange.address(), 5_060)).unwrap();
        callee.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut answer = [0; 2_048];
        let length = callee.recv(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"SIP/2.0 200"));
        std::thread::spawn(move || answer_every_call(&callee, there));

        let own = SocketAddrV4::new(exchange.net.host(2), 5_060);
        let caller = UdpSocket::bind(own).unwrap();
        caller.connect((exchange.address(), 5_060)).unwrap();
        caller.set_read_timeout(Some(Duration::from_millis(1_000))).unwrap();
        Self { caller, own, exchange: exchange.address() }
    }

    /// Keeps [`WINDOW`] calls under way; each is hung up as soon as it is answered.
    fn run(&self, exchange: &Exchange) -> Load {
        let (mut begun_calls, mut done) = (0, 0);
        let (cpu, begun) = (cpu(exchange), Instant::now());
        while begun_calls < WINDOW {
            begun_calls += 1;
            self.invite(begun_calls);
        }
        let mut quiet = false;
        while !quiet && done < begun_calls {
            match self.hear() {
                Some((Heard::Answered(call), answer)) => {
                    self.within_dialog("ACK", 1, call, &answer);
                    self.within_dialog("BYE", 2, call, &answer);
                }
                Some((Heard::HungUp, _)) => {
                    done += 1;
                    if begun.elapsed() < LOAD {
                        begun_calls += 1;
                        self.invite(begun_calls);
                    }
                }
                Some((Heard::Progress, _)) => {}
                None => quiet = true,
            }
        }
        let wall = if quiet { begun.elapsed() - Duration::from_secs(1) } else { begun.elapsed() };
        Load { done, lost: begun_calls - done, wall, cpu: self::cpu(exchange) - cpu }
    }

    /// Begins `count` calls and leaves them all up.
    fn hold(&self, count: u32) {
        let (mut begun, mut up) = (0, 0);
        while up < count {
            while begun < count && begun < up + WINDOW {
                begun += 1;
                self.invite(begun);
            }
            match self.hear() {
                Some((Heard::Answered(call), answer)) => {
                    self.within_dialog("ACK", 1, call, &answer);
                    up += 1;
                }
                Some(_) => {}
                None => panic!("{up} calls are up, then silence"),
            }
        }
    }

    fn invite(&self, call: u32) {
        let _ = self.caller.send(messages::invite(call, self.own, self.exchange).as_bytes());
    }

    fn within_dialog(&self, method: &str, number: u32, call: u32, answer: &str) {
        let text = messages::within_dialog(method, number, call, self.own, self.exchange, answer);
        let _ = self.caller.send(text.as_bytes());
    }

    /// The next message, and what it means; `None` after a second of silence.
    fn hear(&self) -> Option<(Heard, String)> {
        let mut bytes = [0; 4_096];
        match self.caller.recv(&mut bytes) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                Some((Heard::of(&text), text))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn answer_every_call(socket: &UdpSocket, own: SocketAddrV4) {
    let mut bytes = [0; 4_096];
    loop {
        match socket.recv_from(&mut bytes) {
            Ok((length, from)) => {
                for answer in answers(&String::from_utf8_lossy(&bytes[..length]), own) {
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn sipp_load(exchange: &Exchange, rate: u32, calls: u32) -> Load {
    let caller = Phone::registered(exchange, "441530", 4);
    let callee = Phone::registered(exchange, "196630", 5);
    let play = Play { calls, rate, ..Play::default() };
    let (cpu, begun) = (cpu(exchange), Instant::now());
    let waiting = callee.waits("callee", play);
    let mut calling = caller.calls("caller", "196630", play);
    let lost = calling.failures(Duration::from_secs(60));
    let load = Load { done: calls, lost, wall: begun.elapsed(), cpu: self::cpu(exchange) - cpu };
    drop(waiting);
    load
}

// The server seen from outside -----------------------------------------------------------------------------------------

/// The processes of the server: itself and its workers.
fn processes(exchange: &Exchange) -> Vec<u32> {
    let group = exchange.id().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| stat(*process).get(2) == Some(&group))
        .collect()
}

/// Fields of `/proc/PID/stat` behind the name: state, parent, group, …
fn stat(process: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    text.rsplit(')').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// CPU seconds of the server until now, in user and kernel, as the scheduler has counted them to the nanosecond.
fn cpu(exchange: &Exchange) -> f64 {
    let nanoseconds: u64 = processes(exchange)
        .into_iter()
        .filter_map(|process| fs::read_to_string(format!("/proc/{process}/schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    nanoseconds as f64 / 1e9
}

/// Resident memory of the server; pages that its processes share are counted once.
fn megabytes(exchange: &Exchange) -> String {
    let kilobytes: f64 = processes(exchange)
        .into_iter()
        .filter_map(|process| fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok())
        .filter_map(|text| lines(&text, "Pss:").next()?.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .sum();
    format!("{:.1}", kilobytes / 1_024.0)
}

fn print(columns: &[Column]) {
    let mut rows: BTreeMap<usize, (&str, Vec<&str>)> = BTreeMap::new();
    for column in columns {
        for (place, (name, value)) in column.cells.iter().enumerate() {
            rows.entry(place).or_insert((name, Vec::new())).1.push(value);
        }
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    println!("\n| | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    for (name, values) in rows.values() {
        println!("| {name} | {} |", values.join(" | "));
    }
    let _ = std::io::stdout().flush();
}
