//! The real program: how soon it answers when the power comes back and nothing else is there yet, and how it is after a long time under
//! load.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::daemon::{Exchange, Kind, Setup};
use crate::ground::{PATIENCE, Process, until};
use crate::sipp::{Phone, Play, sipp};

fn book(entries: usize) -> String {
    let rows = (0..entries).map(|number| format!("Op{number},Smith,HB9{number:03},{},\r\n", 440_000 + number));
    "Firstname,Name,Callsign,Telephone,Privat\r\n".to_owned() + &rows.collect::<String>()
}

/// A line of `/proc/PID/status`, in kB.
fn status(process: u32, line: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|text| text.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {text}"));
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// After a power cut: a book of 500 entries on flash, no name server, no server of the book, no mesh.
#[test]
fn a_phone_registers_as_soon_as_the_daemon_is_started() {
    let _alone = crate::ALONE.lock();
    let servers = vec!["http://nobody.local.mesh/book.csv".into()];
    let setup = Setup { kind: Some(Kind::Switchboard), book: Some(book(500)), servers, ..Setup::default() };
    let mut exchange = Exchange::with("emergency", &setup);
    let mut took = Vec::new();
    for turn in 0..10 {
        exchange.stop(PATIENCE);
        let socket = UdpSocket::bind((exchange.net.host(7), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let (own, at) = (socket.local_addr().unwrap(), exchange.address());
        let register = format!(
            "REGISTER sip:{at} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{turn}\r\nMax-Forwards: 70\r\n\
             From: <sip:440001@{at}>;tag=1\r\nTo: <sip:440001@{at}>\r\nCall-ID: e@{own}\r\nCSeq: {} REGISTER\r\n\
             Contact: <sip:440001@{own}>\r\nContent-Length: 0\r\n\r\n",
            turn + 1
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(["run", "--config"]).arg(exchange.path("switchboard"));
        let began = Instant::now();
        let mut process = Process::start("emergency", &mut command, &exchange.path(""));
        let mut answer = [0; 2_048];
        until("an answer", PATIENCE, || {
            let _ = socket.send_to(register.as_bytes(), (at, exchange.port()));
            let (length, _) = socket.recv_from(&mut answer).ok()?;
            answer.get(..length)?.starts_with(b"SIP/2.0 200").then_some(())
        });
        took.push(began.elapsed());
        process.signal(Signal::SIGTERM);
        process.wait(PATIENCE);
        exchange.launch();
    }
    took.sort();
    println!("from the start of the process to the first answered REGISTER (ms), of ten:");
    println!(
        "  {:?}",
        took.iter().map(|took| took.as_secs_f64() * 1e3).map(|ms| (ms * 10.0).round() / 10.0).collect::<Vec<_>>()
    );
    assert!(took[5] < Duration::from_secs(1), "{took:?}");
}

/// Twenty calls a second for `SOAK_SECONDS`.
#[test]
#[ignore = "an hour: make soak"]
fn an_hour_of_calls_loses_none_and_memory_stays() {
    if !sipp() {
        return;
    }
    let _alone = crate::ALONE.lock();
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3_600);
    let end = Instant::now() + Duration::from_secs(seconds);
    let health = vec!["option interval '10'".into()];
    let setup = Setup { kind: Some(Kind::Switchboard), book: Some(book(500)), health, ..Setup::default() };
    let mut exchange = Exchange::with("soak", &setup);
    let (mut memory, mut calls, mut lost) = (Vec::new(), 0, 0);
    while Instant::now() < end {
        let caller = Phone::registered(&exchange, "441530", 4);
        let callee = Phone::registered(&exchange, "196630", 5);
        let play = Play { calls: 800, rate: 20, ..Play::default() };
        let waiting = callee.waits("callee", play);
        lost += caller.calls("caller", "196630", play).failures(Duration::from_secs(60));
        calls += play.calls;
        drop(waiting);
        memory.push((status(exchange.id(), "VmRSS:"), status(exchange.id(), "RssAnon:")));
        exchange.process().signal(Signal::SIGHUP);
    }
    let report: serde_json::Value = serde_json::from_str(&exchange.read("tmp/software_health.json")).unwrap();
    println!("{calls} calls in {seconds} s, {lost} lost; resident and anonymous memory after each 800 calls (kB):");
    println!("  {memory:?}");
    println!("  at most {} kB; {}", status(exchange.id(), "VmHWM:"), report["event_loop"]);
    assert_eq!(lost, 0);
    assert_eq!(report["checks"]["all_threads_responsive"], true, "{report:#}");
    assert_eq!(report["restart_count"], 0, "{report:#}");
    let (first, last) = (memory[memory.len() / 4].1, memory.last().unwrap().1);
    assert!(last <= first + first / 10 + 128, "memory grows: {memory:?}");
}
