//! How the daemon is, as JSON: the message `agent_health` of the schema `meshmon.v2`, which dashboards and collectors know, with a
//! few members more.
//!
//! Written by hand, as the tests of the phones are: decimals come from whole numbers, on processors that compute no floats.

use std::time::Duration;

use super::phones::put;
use super::view::known;
use crate::time::{UnixTime, millis};

/// Everything that is said.
#[derive(Clone, Debug)]
pub struct HealthView<'a> {
    /// The node's name.
    pub node: &'a str,
    /// When it was measured.
    pub measured: UnixTime,
    /// Now.
    pub now: UnixTime,
    /// Why the report is made.
    pub reason: &'static str,
    /// The processor's share, in thousandths.
    pub cpu_permille: u32,
    /// Resident memory, in kB.
    pub resident_kb: u32,
    /// Between two reports.
    pub interval_s: u64,
    /// Since the start.
    pub uptime_s: u64,
    /// In the last 24 hours.
    pub restarts: u32,
    /// 0 to 100.
    pub score: u8,
    /// The tasks, by the names that dashboards know; then our own.
    pub tasks: Vec<TaskView>,
    /// Contacts that are registered.
    pub registrations: usize,
    /// Calls that are going on.
    pub calls: usize,
    /// The phonebook.
    pub book: BookHealthView,
    /// What is well, by the names that dashboards know.
    pub checks: [(&'static str, bool); 6],
    /// The loop.
    pub turns: TurnsView,
    /// The report of the last crash, if there was one within a day.
    pub last_crash: Option<String>,
}

/// An engine, or a task of it.
#[derive(Clone, Copy, Debug)]
pub struct TaskView {
    /// What it is called.
    pub name: &'static str,
    /// Whether it does what it has to.
    pub responsive: bool,
    /// When it last had everything done that was due.
    pub heartbeat: UnixTime,
    /// The same, in seconds before now.
    pub age_s: u64,
    /// How often it was started anew.
    pub restarts: u32,
}

/// The phonebook.
#[derive(Clone, Debug)]
pub struct BookHealthView {
    /// When its content changed last.
    pub last_updated: Option<UnixTime>,
    /// UNKNOWN, BOOT, SUCCESS, FAILED or STALE.
    pub state: &'static str,
    /// The first 16 digits of the digest of its content; nothing without a book.
    pub hash: Option<String>,
    /// Entries.
    pub entries: usize,
}

/// Turns of the loop that took too long.
#[derive(Clone, Debug, Default)]
pub struct TurnsView {
    /// How many, since the start.
    pub slow: u64,
    /// The longest.
    pub longest: Duration,
    /// The last ones.
    pub last: Vec<SlowTurnView>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct SlowTurnView {
    /// When.
    pub at: UnixTime,
    /// How long it took.
    pub took: Duration,
    /// What took most of it.
    pub cause: &'static str,
    /// How long that took.
    pub share: Duration,
    /// How long the processor was at work for us in it, at most.
    pub cpu: Duration,
    /// Whose timers were due in it.
    pub due: Vec<&'static str>,
}

/// The message.
pub fn health(view: &HealthView<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 << 10);
    put(&mut out, format_args!("{{\"schema\":\"meshmon.v2\",\"type\":\"agent_health\",\"node\":"));
    // A plain string cannot fail to be written.
    let _ = serde_json::to_writer(&mut out, view.node);
    put(&mut out, format_args!(",\"timestamp\":{},\"sent_at\":", view.measured.0));
    date(&mut out, Some(view.now));
    let tenths = view.resident_kb.saturating_mul(10) / 1_024;
    put(&mut out, format_args!(",\"interval_seconds\":{},\"reporting_reason\":\"{}\"", view.interval_s, view.reason));
    put(&mut out, format_args!(",\"cpu_pct\":{}.{}", view.cpu_permille / 10, view.cpu_permille % 10));
    put(&mut out, format_args!(",\"mem_mb\":{}.{},\"uptime_seconds\":{}", tenths / 10, tenths % 10, view.uptime_s));
    put(&mut out, format_args!(",\"restart_count\":{},\"health_score\":{}", view.restarts, view.score));
    let all = view.tasks.iter().all(|task| task.responsive);
    put(&mut out, format_args!(",\"threads\":{{\"all_responsive\":{all}"));
    for TaskView { name, responsive, heartbeat, age_s, restarts } in &view.tasks {
        put(&mut out, format_args!(",\"{name}\":{{\"responsive\":{responsive},\"last_heartbeat\":"));
        date(&mut out, Some(*heartbeat));
        put(&mut out, format_args!(",\"heartbeat_age_seconds\":{age_s},\"restarts\":{restarts}}}"));
    }
    let (registered, entries) = (view.registrations, view.book.entries);
    put(&mut out, format_args!("}},\"sip_service\":{{\"registered_users\":{registered}"));
    put(&mut out, format_args!(",\"directory_entries\":{entries},\"active_calls\":{}}}", view.calls));
    put(&mut out, format_args!(",\"phonebook\":{{\"last_updated\":"));
    date(&mut out, view.book.last_updated);
    put(&mut out, format_args!(",\"fetch_status\":\"{}\",\"csv_hash\":", view.book.state));
    match &view.book.hash {
        Some(hash) => put(&mut out, format_args!("\"{hash}\"")),
        None => out.extend_from_slice(b"null"),
    }
    put(&mut out, format_args!(",\"entries_loaded\":{entries}}},\"checks\":{{"));
    for (index, (name, well)) in view.checks.iter().enumerate() {
        put(&mut out, format_args!("{}\"{name}\":{well}", if index == 0 { "" } else { "," }));
    }
    put(&mut out, format_args!("}},\"event_loop\":{{\"slow_turns\":{}", view.turns.slow));
    put(&mut out, format_args!(",\"longest_ms\":{},\"last\":[", millis(view.turns.longest)));
    for (index, turn) in view.turns.last.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"at\":" } else { b",{\"at\":" });
        date(&mut out, Some(turn.at));
        let (took, share, cpu) = (millis(turn.took), millis(turn.share), millis(turn.cpu));
        put(
            &mut out,
            format_args!(
                ",\"took_ms\":{took},\"cause\":\"{}\",\"cause_ms\":{share},\"cpu_ms\":{cpu},\"timers\":[",
                turn.cause
            ),
        );
        for (index, name) in turn.due.iter().enumerate() {
            put(&mut out, format_args!("{}\"{name}\"", if index == 0 { "" } else { "," }));
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]},\"last_crash\":");
    out.extend_from_slice(view.last_crash.as_deref().unwrap_or("null").trim_end().as_bytes());
    out.extend_from_slice(b"}\n");
    out
}

/// A date, or `null` while the router does not know it.
fn date(out: &mut Vec<u8>, time: Option<UnixTime>) {
    match time.and_then(known) {
        Some(date) => put(out, format_args!("\"{date}\"")),
        None => out.extend_from_slice(b"null"),
    }
}
