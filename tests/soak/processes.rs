//! The real program: how soon it answers when the power comes back and nothing else is there yet, and how it is after a long time under
//! load.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::real::sipp::{Phone, Play, sipp};
use crate::real::{Exchange, Handset, Kind, PATIENCE, Process, Setup, until};

fn book(entries: usize) -> String {
    let rows = (0..entries).map(|number| format!("Op{number},Smith,HB9{number:03},{},\r\n", 440_000 + number));
    "Firstname,Name,Callsign,Telephone,Privat\r\n".to_owned() + &rows.collect::<String>()
}

/// After a power cut: a book of 500 entries on flash, no name server, no server of the book, no mesh.
#[test]
fn a_phone_registers_as_soon_as_the_daemon_is_started() {
    let _alone = crate::ALONE.lock();
    let servers = vec!["http://nobody.local.mesh/book.csv".into()];
    let setup = Setup { kind: Some(Kind::Switchboard), book: Some(book(500)), servers, ..Setup::default() };
    let mut exchange = Exchange::with("emergency", &setup);
    let mut took = Vec::new();
    for _ in 0..10 {
        exchange.stop(PATIENCE);
        let phone = Handset::new(&exchange, 7, 0);
        phone.socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let register = phone.registration("440001", "");
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(["run", "--config"]).arg(exchange.path("switchboard"));
        let began = Instant::now();
        let mut process = Process::start("emergency", &mut command, &exchange.path(""));
        let mut answer = [0; 2_048];
        until("an answer", PATIENCE, || {
            phone.send(&register);
            let length = phone.socket.recv(&mut answer).ok()?;
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
    let number = |name, usual| std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual);
    let seconds = number("SOAK_SECONDS", 3_600);
    let rate = u32::try_from(number("SOAK_RATE", 20)).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let health = vec!["option interval '10'".into()];
    let setup = Setup { kind: Some(Kind::Switchboard), book: Some(book(500)), health, ..Setup::default() };
    let mut exchange = Exchange::with("soak", &setup);
    let (mut memory, mut calls, mut lost) = (Vec::new(), 0, 0);
    while Instant::now() < end {
        let caller = Phone::registered(&exchange, "441530", 4);
        let callee = Phone::registered(&exchange, "196630", 5);
        let play = Play { calls: 40 * rate, rate, ..Play::default() };
        let waiting = callee.waits("callee", play);
        lost += caller.calls("caller", "196630", play).failures(Duration::from_secs(60));
        calls += play.calls;
        drop(waiting);
        memory.push((exchange.kilobytes("VmRSS"), exchange.kilobytes("RssAnon")));
        exchange.process().signal(Signal::SIGHUP);
    }
    let report: serde_json::Value = serde_json::from_str(&exchange.read("tmp/software_health.json")).unwrap();
    println!("{calls} calls in {seconds} s, {lost} lost; resident and anonymous memory after each 800 calls (kB):");
    println!("  {memory:?}");
    println!("  at most {} kB; {}", exchange.kilobytes("VmHWM"), report["event_loop"]);
    assert_eq!(lost, 0);
    assert_eq!(report["checks"]["all_threads_responsive"], true, "{report:#}");
    assert_eq!(report["restart_count"], 0, "{report:#}");
    let (first, last) = (memory[memory.len() / 4].1, memory.last().unwrap().1);
    assert!(last <= first + first / 10 + 128, "memory grows: {memory:?}");
}
