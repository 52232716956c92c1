//! How the daemon is, in the words of the API.

use super::Care;
use crate::api::health::{self as words, BookHealthView, HealthView, SlowTurnView, TaskView, TurnsView};
use crate::api::render;
use crate::api::view::{HealthMetrics, TaskMetrics};
use crate::core::Core;
use crate::engine::Part;
use crate::features::Feature;
use crate::health::Reason;
use crate::time::{Instant, millis};
use crate::wire::crash;
use crate::wire::http::Response;

/// What dashboards know, and which engine does it here.
const TASKS: [(&str, Part); 12] = [
    ("phonebook_fetcher", Part::Phonebook),
    ("status_updater", Part::Phonebook),
    ("uac_bulk_tester", Part::Probe),
    ("topology_crawler", Part::Mesh),
    ("health_reporter", Part::Health),
    ("passive_safety", Part::Health),
    // They had no threads of their own.
    ("sip", Part::Sip),
    ("hosts", Part::Hosts),
    ("dns", Part::Dns),
    ("http_client", Part::HttpClient),
    ("http_server", Part::HttpServer),
    ("mesh", Part::Mesh),
];

impl Core {
    /// What the CGI program of that name prints.
    pub(in crate::core) fn show_health(&self, now: Instant) -> Response {
        match self.care.get() {
            None => render::missing(Feature::Health),
            Some(_) => render::json_file(
                self.health_json(Reason::Scheduled, now)
                    .unwrap_or_else(|| b"{\"error\": \"No health data available\"}\n".to_vec()),
            ),
        }
    }

    /// `/tmp/software_health.json`, and what the collector gets; `None` until it was measured.
    pub(in crate::core) fn health_json(&self, reason: Reason, now: Instant) -> Option<Vec<u8>> {
        let Care { health, .. } = self.care.get()?;
        let (report, watch) = (health.report()?, &health.watch);
        let task = |(name, part): (&'static str, Part)| TaskView {
            name,
            responsive: watch.responds(part, now),
            heartbeat: self.clock.date(watch.heartbeat(part)),
            age_s: now.since(watch.heartbeat(part)).as_secs(),
            restarts: watch.restarts(part),
        };
        let status = self.phonebook.status();
        let (slow, count, longest) = health.slow_turns();
        let slow = slow.map(|turn| SlowTurnView {
            at: self.clock.date(turn.at),
            took: turn.took,
            cause: turn.cause,
            share: turn.share,
            cpu: turn.cpu,
            due: Part::ALL.into_iter().filter(|part| turn.due & (1 << *part as u16) != 0).map(Part::name).collect(),
        });
        Some(words::health(&HealthView {
            node: &self.identity.name,
            measured: self.clock.date(report.at),
            now: self.clock.date(now),
            reason: reason.word(),
            cpu_permille: report.cpu_permille,
            resident_kb: report.resident_kb,
            interval_s: self.config.health.interval.as_secs(),
            uptime_s: now.since(self.started).as_secs(),
            restarts: report.restarts,
            score: report.score,
            tasks: TASKS.into_iter().filter(|(_, part)| self.engine(*part).is_some()).map(task).collect(),
            registrations: self.sip.registrar().len(),
            calls: self.sip.calls().len(),
            book: BookHealthView {
                last_updated: self.phonebook.last_updated(),
                state: if self.config.phonebook.enabled { status.state.word() } else { "UNKNOWN" },
                hash: status
                    .digest
                    .map(|digest| digest.hex().chars().take(16).collect::<String>().to_ascii_uppercase()),
                entries: status.entries,
            },
            checks: [
                ("memory_stable", report.memory_stable),
                ("no_recent_crashes", report.crashes == 0),
                ("sip_service_ok", report.sip_ok),
                ("phonebook_current", report.book_current),
                ("cpu_normal", report.cpu_normal),
                ("all_threads_responsive", report.all_respond),
            ],
            turns: TurnsView { slow: count, longest, last: slow.collect() },
            last_crash: self.recent_crash(now).map(|crash| self.crash_json(crash, now)),
        }))
    }

    /// `/tmp/last_crash.json`, and what the collector gets of it.
    pub(super) fn crash_json(&self, crash: &crash::Report, now: Instant) -> String {
        let date = |at| self.clock.date(at).rfc3339();
        crash.json(&self.identity.name, &date(now), &date(Instant::from_micros(crash.at_us)))
    }

    /// The same for `/metrics`; `None` until it was measured.
    pub(in crate::core) fn health_metrics(&self, now: Instant) -> Option<HealthMetrics> {
        let Care { health, .. } = self.care.get()?;
        let (report, watch) = (health.report()?, &health.watch);
        let task = |part: Part| TaskMetrics {
            name: part.name(),
            responsive: watch.responds(part, now),
            restarts: watch.restarts(part),
        };
        let (_, _, longest) = health.slow_turns();
        Some(HealthMetrics {
            score: report.score,
            cpu_ms: millis(report.cpu),
            resident_kb: report.resident_kb,
            restarts: report.restarts,
            crashes: report.crashes,
            memory_stable: report.memory_stable,
            tasks: self.engines().map(|(part, _)| task(part)).collect(),
            longest_turn_ms: millis(longest),
        })
    }
}
