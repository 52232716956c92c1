//! The real daemon ended by every fatal signal, by a panic and by faults of its own, and what the next start says of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use nix::sys::signal::Signal;
use real::{Exchange, Handset, Kind, PATIENCE, Setup, until};
use serde_json::Value;
use switchboard::wire::crash::{Kind as What, Record};

/// What makes the daemon log a line: a phone registers.
const NUMBER: &str = "441530";
const LINE: &str = "441530 registered";

fn start(name: &str, plant: &'static str) -> Exchange {
    Exchange::with(name, &Setup { kind: Some(Kind::Switchboard), plant, ..Setup::default() })
}

/// A phone registers, and does not wait for the answer.
fn register(exchange: &Exchange) -> Handset {
    let phone = Handset::new(exchange, 2, 5_060);
    phone.send(&phone.registration(NUMBER, "Expires: 3600\r\n"));
    phone
}

/// Waits for its end by `signal`, and starts it again without a plant; answers with what dashboards read.
fn crash_and_restart(exchange: &mut Exchange, signal: Signal) -> Value {
    let status = exchange.process().wait(PATIENCE);
    assert_eq!(status.signal(), Some(signal as i32), "{status}");
    let record = fs::metadata(exchange.path("tmp/crash.bin")).expect("a record");
    assert_eq!(record.permissions().mode() & 0o777, 0o600);
    exchange.plant = "";
    exchange.launch();
    assert!(!exchange.path("tmp/crash.bin").exists(), "a record is told once");
    serde_json::from_str(&exchange.read("tmp/last_crash.json")).expect("JSON")
}

#[test]
fn every_fatal_signal_leaves_a_record_that_the_next_start_tells() {
    let mut exchange = start("signals", "");
    register(&exchange).hears("SIP/2.0 200");
    for (count, (signal, name)) in (1..).zip([
        (Signal::SIGSEGV, "Segmentation fault"),
        (Signal::SIGBUS, "Bus error"),
        (Signal::SIGFPE, "Floating point exception"),
        (Signal::SIGABRT, "Aborted"),
        (Signal::SIGILL, "Illegal instruction"),
        (Signal::SIGTRAP, "Trap"),
    ]) {
        exchange.process().signal(signal);
        let told = crash_and_restart(&mut exchange, signal);
        assert_eq!(told["signal"], signal as i32);
        assert_eq!(told["signal_name"], signal.as_str());
        assert_eq!(told["description"], name);
        assert_eq!(told["fault_address"], "0x0", "nothing was touched: somebody sent it");
        assert_eq!(told["crash_count_24h"], count);
        // Registrations are saved every few seconds: those of the last moment the phone will renew.
        assert!(told["registered_users"] == 1 || count > 1);
        assert_eq!((told["thread_id"].as_str(), told["last_operation"].as_str()), (Some("main"), Some("waiting")));
        assert_eq!(told["machine"], std::env::consts::ARCH);
        assert!(told["memory_at_crash_mb"].as_f64().unwrap() > 0.5, "{told}");
        let (crashed, sent) = (told["crash_time"].as_str().unwrap(), told["sent_at"].as_str().unwrap());
        assert!("2020" < crashed && crashed <= sent, "{told}");
        assert!(exchange.log().contains(&format!("the process before this one crashed: {name}")));
    }
    // An orderly restart tells it to dashboards again, but not to the log.
    let lines = exchange.log().matches("crashed").count();
    fs::remove_file(exchange.path("tmp/last_crash.json")).unwrap();
    exchange.restart();
    let told: Value = serde_json::from_str(&exchange.read("tmp/last_crash.json")).unwrap();
    assert_eq!((told["crash_count_24h"].as_u64(), told["signal_name"].as_str()), (Some(6), Some("SIGTRAP")));
    assert_eq!(exchange.log().matches("crashed").count(), lines);
}

#[test]
fn an_engine_that_never_returns_is_ended_by_the_kernel_and_named() {
    let mut exchange = start("hang", "hang:441530 registered");
    register(&exchange);
    let told = crash_and_restart(&mut exchange, Signal::SIGPROF);
    assert_eq!(told["signal_name"], "SIGPROF");
    assert_eq!(told["description"], "Hung: a turn of the loop did not end");
    assert_eq!(told["thread_id"], "sip", "{told}");
    assert_eq!(told["fault_address"], "0x0", "{told}");
    let health = until("the report of the next process", PATIENCE, || {
        serde_json::from_str::<Value>(&exchange.read("tmp/software_health.json")).ok()
    });
    assert_eq!((&health["last_crash"]["crash_count_24h"], &health["restart_count"]), (&1.into(), &1.into()));
    assert_eq!((&health["health_score"], &health["checks"]["no_recent_crashes"]), (&55.into(), &false.into()));
}

#[test]
fn a_panic_says_what_where_and_with_which_datagram() {
    let mut exchange = start("panic", "panic:441530 registered");
    register(&exchange);
    let told = crash_and_restart(&mut exchange, Signal::SIGABRT);
    assert_eq!((told["description"].as_str(), told["thread_id"].as_str()), (Some("Panic"), Some("sip")));
    assert!(told["last_operation"].as_str().unwrap().starts_with("SIP datagram of "), "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("src/rt/crash.rs:") && message.contains(": planted: xxx"), "{message}");
    assert!(message.len() <= 256);
    assert!(!told["backtrace"].as_array().unwrap().is_empty());
    assert!(!told.to_string().contains(NUMBER), "what everybody may read names nobody");
    assert!(exchange.log().contains("switchboard: panic: src/rt/crash.rs:"));

    let kept = exchange.path("tmp/crash.bin.last");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(kept).unwrap();
    let record = Record::parse(&bytes).unwrap();
    let last = record.flight().last().unwrap();
    assert_eq!(last.kind, What::Sip);
    assert_eq!(last.size as usize, last.bytes.len());
    assert!(last.bytes.starts_with(b"REGISTER ") && last.address == u32::from(exchange.net.host(2)));

    let shown = exchange.verb(&["crash", "--show"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{text}");
    for word in ["Panic", "planted: xxx", "SIP datagram", &exchange.net.host(2).to_string(), "addr2line"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
}

#[test]
fn a_fault_of_its_own_says_where() {
    let mut exchange = start("fault", "fault:441530 registered");
    register(&exchange);
    let told = crash_and_restart(&mut exchange, Signal::SIGSEGV);
    assert_eq!((told["thread_id"].as_str(), told["fault_address"].as_str()), (Some("sip"), Some("0x8")));
    let frames = told["backtrace"].as_array().unwrap();
    assert!((3..=10).contains(&frames.len()), "{told}");
    // The first address is the fault itself.
    if let Ok(nm) = Command::new("nm").arg("-C").arg(env!("CARGO_BIN_EXE_switchboard")).output() {
        let symbols = String::from_utf8_lossy(&nm.stdout).into_owned();
        let find = |name: &str| {
            let line = symbols.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name}"));
            u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
        };
        let first = u64::from_str_radix(frames[0].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        let fault = find("switchboard::rt::crash::fault");
        assert!((fault..fault + 400).contains(&first), "{first:#x} is not in fault at {fault:#x}");
    }
}

#[test]
fn a_stack_that_runs_out_is_told_from_another_stack() {
    let mut exchange = start("deep", "deep:441530 registered");
    register(&exchange);
    let told = crash_and_restart(&mut exchange, Signal::SIGSEGV);
    assert_eq!(told["thread_id"], "sip");
}

#[test]
fn a_fault_in_the_handler_ends_it_at_once() {
    let mut exchange = start("twice", "twice:441530 registered");
    register(&exchange);
    let status = exchange.process().wait(PATIENCE);
    assert_eq!(status.signal(), Some(Signal::SIGSEGV as i32), "{status}");
    assert!(!exchange.path("tmp/crash.bin").exists());
    exchange.plant = "";
    exchange.launch();
    assert!(!exchange.path("tmp/last_crash.json").exists());
}

#[test]
fn a_link_at_the_name_of_the_record_leads_nowhere() {
    let mut exchange = start("link", "");
    let precious = exchange.tree.write("precious", "untouched");
    symlink(&precious, exchange.path("tmp/crash.bin")).unwrap();
    exchange.process().signal(Signal::SIGSEGV);
    let told = crash_and_restart(&mut exchange, Signal::SIGSEGV);
    assert_eq!(told["signal"], 11);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "untouched");
}

#[test]
fn the_line_that_the_plants_wait_for_is_logged() {
    let exchange = start("line", "");
    register(&exchange).hears("SIP/2.0 200");
    assert!(exchange.log().contains(LINE), "{}", exchange.log());
}

/// As process 1 of a container the kernel spares it what it does to itself: without an end of its own it would go on, deaf, after
/// its record. The stall's SIGPROF is such a signal.
#[test]
fn process_1_of_a_container_ends_too() {
    if !nix::unistd::geteuid().is_root() {
        real::ground::skipped("a container takes root");
        return;
    }
    let mut exchange = start("container", "");
    exchange.stop(PATIENCE);
    for signal in [Signal::SIGPROF, Signal::SIGABRT, Signal::SIGSEGV] {
        let _ = fs::remove_file(exchange.path("tmp/crash.bin"));
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_switchboard"), "run", "--config"]);
        command.arg(exchange.path("switchboard"));
        let mut container = real::Process::start("container", &mut command, &exchange.tree.path(""));
        let children = format!("/proc/{0}/task/{0}/children", container.id());
        until("its socket", PATIENCE, || exchange.verb(&["status"]).status.success().then_some(()));
        let inside: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(inside), signal).unwrap();
        let status = container.wait(PATIENCE);
        assert_eq!(status.code(), Some(128 + signal as i32), "{signal}: {status}");
        assert!(exchange.path("tmp/crash.bin").exists(), "{signal}: no record");
    }
}
