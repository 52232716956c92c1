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

/// What memory rises by and by, in kB: from the middle of a run to its end, in all but the two greatest of seven steps between the least
/// that there was in each eighth of the time. Once and again a burst touches pages that were never needed before, and they stay;
/// what leaks rises in every step.
fn rise(memory: &[usize]) -> usize {
    let (_, late) = memory.split_at(memory.len() / 2);
    let least: Vec<usize> =
        (0..8).map(|part| *late[late.len() * part / 8..late.len() * (part + 1) / 8].iter().min().unwrap()).collect();
    let signed = |kb: usize| i64::try_from(kb).unwrap();
    let mut steps: Vec<i64> = least.windows(2).map(|pair| signed(pair[1]) - signed(pair[0])).collect();
    steps.sort_unstable();
    usize::try_from(steps[..5].iter().sum::<i64>()).unwrap_or(0)
}

/// From so many rounds on, [`rise`] means something.
const ROUNDS: usize = 32;

#[test]
fn a_leak_is_told_from_pages_that_were_touched_once() {
    // What runs of an hour looked like: in the end flat; once with a burst at minute 40 and at minute 50; with ups and downs.
    let settled = |round: usize| 1_504 + [0, 48, 80, 132, 152, 156, 172, 176, 180, 184][(round / 4).min(9)];
    let bursts = |round: usize| settled(round) + 96 * usize::from(round > 48) + 60 * usize::from(round > 60);
    let restless = |round: usize| 1_400 + 24 * (round * 7 % 5);
    let hour = |memory: &dyn Fn(usize) -> usize| rise(&(0..72).map(memory).collect::<Vec<_>>());
    assert_eq!([hour(&settled), hour(&bursts), hour(&restless)], [0, 0, 0]);
    // The least that a block takes is 32 bytes: one for each call, one for every fourth, one page for every reload.
    let leaks = [800 * 32, 800 * 8, 4_096].map(|bytes| move |round: usize| bytes * round / 4_096 * 4);
    for leak in leaks {
        for normal in [&settled as &dyn Fn(usize) -> usize, &bursts, &restless] {
            let rise = hour(&|round| normal(round) + leak(round));
            assert!(rise > MOST_RISE, "{rise} kB");
        }
    }
}

/// The most that [`rise`] may say: three bytes for each call of an hour. Runs without a leak said 20 kB at most.
const MOST_RISE: usize = 48;

/// Twenty calls a second, or `SOAK_RATE`, for `SOAK_SECONDS`.
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
        for target in ["/metrics", "/api/v1/status", "/api/v1/calls"] {
            exchange.text(target);
        }
        memory.push((exchange.kilobytes("VmRSS"), exchange.kilobytes("RssAnon")));
        exchange.process().signal(Signal::SIGHUP);
    }
    let report: serde_json::Value = serde_json::from_str(&exchange.read("tmp/software_health.json")).unwrap();
    println!("{calls} calls in {seconds} s, {lost} lost; resident and anonymous memory after each 800 calls (kB):");
    println!("  {memory:?}");
    println!("  at most {} kB; {}", exchange.kilobytes("VmHWM"), report["event_loop"]);
    // Whether turns of the loop were slow by themselves, or others had the processor.
    println!("  nanoseconds on a processor, and waiting for one: {}", exchange.schedule());
    assert_eq!(lost, 0);
    assert_eq!(report["checks"]["all_threads_responsive"], true, "{report:#}");
    assert_eq!(report["restart_count"], 0, "{report:#}");
    let anonymous: Vec<usize> = memory.iter().map(|(_, anonymous)| *anonymous).collect();
    let (early, last) = (anonymous[anonymous.len() / 4], anonymous[anonymous.len() - 1]);
    assert!(last <= early + early / 10 + 128, "memory grows: {memory:?}");
    if anonymous.len() >= ROUNDS {
        println!("  by and by it rose by {} kB", rise(&anonymous));
        assert!(rise(&anonymous) <= MOST_RISE, "memory grows: {memory:?}");
    }
}
