//! `make bench`: the test desk and the crawl beside the programs that people use for the same, in one run on one mesh.
//!
//! * 500 phones with five pings and five OPTIONS each, beside `fping` doing its five pings;
//! * the ways to 400 phones behind 300 routers, beside `scamper`;
//! * a crawl of 300 routers, beside `xargs -P32 curl`.
//!
//! The meshes are network namespaces, so echo replies, expired TTLs and rationed errors are the kernel's own; OPTIONS and pages
//! are answered by this program, started once more as [`responder`]. Needs root. Prints markdown tables. CPU is what the
//! scheduler counted for the program and its children, kernel included; what the kernel does for the other end of a virtual
//! cable within a system call is counted for whoever made the call, for both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout)]
#![allow(dead_code, missing_docs, reason = "shares the ground of the tests, not all of it")]

mod crawl;
mod daemon;
mod pings;
#[path = "../../tests/support/real/mod.rs"]
mod real;
mod responder;
mod traces;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use real::{ground, namespaces};

/// What a program took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("responder") => return responder::run(&words[1..]),
        _ if words.iter().any(|word| word == "--bench") => {}
        // `cargo test --benches` and the like ask for tests: there are none.
        _ => return,
    }
    if !namespaces::may_be_made() {
        return;
    }
    let wanted = |name: &str| {
        let named = words.iter().any(|word| !word.starts_with('-'));
        !named || words.iter().any(|word| word == name)
    };
    if wanted("pings") && ground::installed("fping", "fping") {
        pings::run();
    }
    if wanted("traces") && ground::installed("scamper", "scamper") {
        traces::run();
    }
    if wanted("crawl") && ground::installed("curl", "curl") {
        crawl::run();
    }
}

/// Runs a program to its end; what it printed, and what it took with all its children.
pub fn measured(command: &mut Command) -> (String, Cost) {
    let spent = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let time = |value: nix::sys::time::TimeVal| {
            Duration::new(value.tv_sec().try_into().unwrap(), u32::try_from(value.tv_usec()).unwrap() * 1_000)
        };
        time(usage.user_time()) + time(usage.system_time())
    };
    let (before, begun) = (spent(), Instant::now());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let cost = Cost { wall: begun.elapsed(), cpu: spent() - before };
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), cost)
}

/// CPU of a process until now, to the nanosecond.
pub fn cpu(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

pub fn table(title: &str, columns: &[&str], rows: &[(&str, Vec<String>)]) {
    println!("\n{title}\n\n| | {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len()));
    for (name, cells) in rows {
        println!("| {name} | {} |", cells.join(" | "));
    }
}

pub fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e3)
}
