//! `GET /metrics` in the text format of Prometheus, version 0.0.4.
//!
//! Names: `switchboard_<what>` for the exchange as a whole, `switchboard_<engine>_<table>` and `…_limit` for how full each
//! bounded table is, `switchboard_<engine>_<event>_total` for what happened since the start. No label carries anything that
//! came from the network.

use std::fmt::Write;

use super::view::{BookState, CallState, EngineView, HealthMetrics, StatusView};
use crate::wire::http::Response;

/// The answer to `GET /metrics`. `calls`: the state of each call that is going on.
pub fn metrics(
    status: &StatusView<'_>,
    calls: impl Iterator<Item = CallState>,
    engines: &[EngineView],
    health: Option<&HealthMetrics>,
) -> Response {
    let mut out = String::with_capacity(8 << 10);
    family(&mut out, "switchboard_build_info", "gauge", "Always 1; the label says which version runs.");
    let version: String = status.version.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect();
    value(&mut out, "switchboard_build_info", &format!("{{version=\"{version}\"}}"), 1);
    single(&mut out, "switchboard_uptime_seconds", "Since the daemon was started.", status.uptime_s);
    single(&mut out, "switchboard_registrations", "Contacts that are registered.", count(status.registrations));

    let mut by_state = [0_u64; 4];
    for state in calls {
        let [dialled, ringing, established, terminating] = &mut by_state;
        *match state {
            CallState::InviteSent => dialled,
            CallState::Ringing => ringing,
            CallState::Established => established,
            CallState::Terminating => terminating,
        } += 1;
    }
    family(&mut out, "switchboard_calls", "gauge", "Calls that are going on, by how far they are.");
    for (state, calls) in ["invite_sent", "ringing", "established", "terminating"].iter().zip(by_state) {
        value(&mut out, "switchboard_calls", &format!("{{state=\"{state}\"}}"), calls);
    }

    let book = &status.phonebook;
    single(&mut out, "switchboard_phonebook_entries", "Entries of the book.", count(book.entries));
    single(&mut out, "switchboard_phonebook_online", "Entries whose phone is on the mesh.", count(book.online));
    single(&mut out, "switchboard_phonebook_problems", "Rows left out or doubtful.", count(book.problems));
    let up = u64::from(book.state == BookState::Success);
    single(&mut out, "switchboard_phonebook_up", "1 if the last download succeeded.", up);
    if let Some(age) = book.age_s {
        single(&mut out, "switchboard_phonebook_age_seconds", "Since a server last confirmed the book.", age);
    }

    if let Some(health) = health {
        self::health(&mut out, health);
    }
    for engine in engines {
        for table in &engine.tables {
            let name = format!("switchboard_{}", joined(engine.engine, table.name));
            single(&mut out, &name, "How full a bounded table is.", count(table.used));
            single(&mut out, &format!("{name}_limit"), "The bound of that table.", count(table.limit));
        }
        for counter in &engine.counters {
            let event = joined(engine.engine, counter.name);
            let name = format!("switchboard_{}_total", event.strip_suffix("_total").unwrap_or(&event));
            family(&mut out, &name, "counter", "Since the start.");
            value(&mut out, &name, "", counter.count);
        }
    }
    Response {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        headers: vec![("Cache-Control", "no-store".into()), ("X-Content-Type-Options", "nosniff".into())],
        body: out.into_bytes(),
    }
}

fn health(out: &mut String, health: &HealthMetrics) {
    single(
        out,
        "switchboard_health_score",
        "100 is well; dashboards of nodes know how it is reckoned.",
        health.score.into(),
    );
    family(out, "switchboard_process_cpu_seconds_total", "counter", "Processor time since the start.");
    let (seconds, millis) = (health.cpu_ms / 1_000, health.cpu_ms % 1_000);
    let _ = writeln!(out, "switchboard_process_cpu_seconds_total {seconds}.{millis:03}");
    let resident = u64::from(health.resident_kb).saturating_mul(1_024);
    single(out, "switchboard_process_resident_memory_bytes", "Resident memory.", resident);
    single(out, "switchboard_memory_stable", "0 if memory grows hour after hour.", health.memory_stable.into());
    single(
        out,
        "switchboard_restarts_last_day",
        "Starts in the last 24 hours after the first.",
        health.restarts.into(),
    );
    single(out, "switchboard_crashes_last_day", "Crashes in the last 24 hours.", health.crashes.into());
    let (name, longest) = ("switchboard_longest_turn_seconds", health.longest_turn_ms);
    family(out, name, "gauge", "The longest turn of the loop, if that was too long.");
    let _ = writeln!(out, "{name} {}.{:03}", longest / 1_000, longest % 1_000);
    family(out, "switchboard_engine_responsive", "gauge", "1 if the engine does what it has to.");
    for task in &health.tasks {
        value(out, "switchboard_engine_responsive", &format!("{{engine=\"{}\"}}", task.name), task.responsive.into());
    }
    family(out, "switchboard_engine_restarts_total", "counter", "How often the engine was started anew.");
    for task in &health.tasks {
        value(out, "switchboard_engine_restarts_total", &format!("{{engine=\"{}\"}}", task.name), task.restarts.into());
    }
}

fn single(out: &mut String, name: &str, help: &str, number: u64) {
    family(out, name, "gauge", help);
    value(out, name, "", number);
}

// Writing into a string cannot fail.
fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn value(out: &mut String, name: &str, labels: &str, number: u64) {
    let _ = writeln!(out, "{name}{labels} {number}");
}

/// `<engine>_<name>`, and the engine only once where the name has it as well.
fn joined(engine: &str, name: &str) -> String {
    let (engine, name) = (word(engine), word(name));
    match name.strip_prefix(&engine) {
        Some(rest) if rest.starts_with('_') => name,
        _ => format!("{engine}_{name}"),
    }
}

/// A metric's name knows letters, digits and the underscore only.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::{BookStatusView, TaskMetrics};
    use crate::engine::{Counter, Table};
    use crate::time::UnixTime;

    fn text() -> String {
        let status = StatusView {
            version: "0.1.0\"\n",
            features: Vec::new(),
            node: "n".into(),
            sip_server: "localnode.local.mesh".into(),
            domain: "local.mesh".into(),
            date: UnixTime(1_784_800_800),
            uptime_s: 61,
            phonebook: BookStatusView {
                state: BookState::Success,
                entries: 226,
                online: 33,
                private: 0,
                problems: 2,
                fetching: false,
                last_updated: None,
                age_s: Some(5),
                next_fetch_in_s: None,
                source: None,
                error: None,
            },
            registrations: 3,
            calls: 2,
            simulated: false,
        };
        let engines = [EngineView {
            engine: "sip",
            tables: vec![
                Table { name: "transactions", used: 7, limit: 4_000 },
                Table { name: "sip_outbox_bytes", used: 1, limit: 2 },
            ],
            counters: vec![Counter { name: "drop-junk", count: 1 << 40 }, Counter { name: "sent_total", count: 2 }],
        }];
        let calls = [CallState::Ringing, CallState::Established, CallState::Established];
        let health = HealthMetrics {
            score: 80,
            cpu_ms: 61_007,
            resident_kb: 1_212,
            restarts: 1,
            crashes: 0,
            memory_stable: true,
            tasks: vec![
                TaskMetrics { name: "sip", responsive: true, restarts: 0 },
                TaskMetrics { name: "mesh", responsive: false, restarts: 2 },
            ],
            longest_turn_ms: 412,
        };
        String::from_utf8(metrics(&status, calls.into_iter(), &engines, Some(&health)).body).expect("UTF-8")
    }

    #[test]
    fn numbers_are_where_a_dashboard_looks_for_them() {
        let text = text();
        for line in [
            "switchboard_build_info{version=\"0.1.0\"} 1",
            "switchboard_uptime_seconds 61",
            "switchboard_registrations 3",
            "switchboard_calls{state=\"established\"} 2",
            "switchboard_calls{state=\"terminating\"} 0",
            "switchboard_phonebook_entries 226",
            "switchboard_phonebook_up 1",
            "switchboard_phonebook_age_seconds 5",
            "switchboard_health_score 80",
            "switchboard_process_cpu_seconds_total 61.007",
            "switchboard_process_resident_memory_bytes 1241088",
            "switchboard_restarts_last_day 1",
            "switchboard_crashes_last_day 0",
            "switchboard_memory_stable 1",
            "switchboard_longest_turn_seconds 0.412",
            "switchboard_engine_responsive{engine=\"mesh\"} 0",
            "switchboard_engine_restarts_total{engine=\"mesh\"} 2",
            "switchboard_sip_transactions 7",
            "switchboard_sip_transactions_limit 4000",
            "switchboard_sip_outbox_bytes 1",
            "switchboard_sip_drop_junk_total 1099511627776",
            "switchboard_sip_sent_total 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut family = "";
        let text = text();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("kind");
                assert!(matches!(kind, "gauge" | "counter"));
                assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name} is declared once");
                family = name;
            } else if !line.starts_with("# HELP ") {
                let (name, number) = line.rsplit_once(' ').expect("value");
                assert_eq!(name.split('{').next(), Some(family), "a sample follows its own declaration");
                let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
                assert!(whole.parse::<u64>().is_ok() && part.parse::<u64>().is_ok(), "{number}");
            }
        }
        assert!(text.ends_with('\n'));
    }
}
