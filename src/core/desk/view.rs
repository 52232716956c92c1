//! What the test desk found, in the words of the API.

use super::Desk;
use crate::api::phones;
use crate::api::view::{HopView, PhaseView, PhoneTestView, PhoneTestsView, RttView, SampleView};
use crate::core::Core;
use crate::engine::Table;
use crate::probe;
use crate::time::Instant;

impl Core {
    /// `/tmp/uac_bulk_results.txt`.
    pub(in crate::core) fn phone_ping_json(&self, now: Instant) -> Option<Vec<u8>> {
        let Desk { probe, .. } = self.desk.get()?;
        let (progress, load) = (probe.progress(now), probe.load(now));
        let view = PhoneTestsView {
            icmp: match probe.icmp_mode() {
                probe::IcmpMode::None => "none",
                probe::IcmpMode::Raw => "raw",
                probe::IcmpMode::Datagram => "datagram",
            },
            interval_s: self.config.probe.interval.as_secs(),
            last_update: probe.phones().filter_map(probe::Phone::tested).max().map(|at| self.clock.date(at)),
            running: progress.started.is_some(),
            done: progress.done,
            total: progress.total,
            remaining_s: progress.estimated_end.map(|at| at.since(now).as_secs()),
            next_s: progress.next.map(|at| at.since(now).as_secs()),
            in_flight: (load.in_flight, load.in_flight_limit),
            rate: (load.rate, load.rate_limit),
        };
        // Both are in the order of the numbers.
        let mut paths = probe.paths().peekable();
        let tests = probe.phones().map(|phone| {
            while paths.peek().is_some_and(|path| path.number < phone.number()) {
                paths.next();
            }
            let path = paths.next_if(|path| path.number == phone.number());
            PhoneTestView {
                number: phone.number(),
                address: phone.address(),
                status: phone.status().as_str(),
                ping: phase_view(phone.ping()),
                options: phase_view(phone.options()),
                call: phone.call().as_str(),
                tested: phone.tested().map(|at| self.clock.date(at)),
                history: phone.samples().map(sample_view).collect(),
                path: path.map(path_view).unwrap_or_default(),
            }
        });
        Some(phones::phone_ping_json(&view, tests))
    }

    /// No table, but a bound, and how much of it is used.
    pub(in crate::core) fn probe_rate(&self, now: Instant) -> Option<Table> {
        let load = self.desk.get()?.probe.load(now);
        Some(Table { name: "probe_rate", used: load.rate, limit: load.rate_limit })
    }
}

pub(super) fn phase_view((status, stats): (probe::Status, probe::Stats)) -> PhaseView {
    let rtt = stats.rtt.map(|rtt| RttView {
        min_us: rtt.min_us,
        avg_us: rtt.avg_us,
        max_us: rtt.max_us,
        median_us: rtt.median_us,
        jitter_us: rtt.jitter_us,
    });
    PhaseView { status: status.as_str(), sent: stats.sent, received: stats.received, rtt }
}

fn sample_view(sample: &probe::Sample) -> SampleView {
    let measured = |micros| Some(micros).filter(|micros| *micros > 0);
    SampleView {
        ping_us: measured(sample.ping_us),
        options_us: measured(sample.options_us),
        loss_percent: sample.loss_percent,
    }
}

/// The routers, and the phone at the end.
fn path_view(path: probe::Path<'_>) -> Vec<HopView> {
    let hops = path.hops.iter().map(|hop| HopView { hop: hop.distance, ip: hop.address, rtt_us: hop.rtt_us });
    let last = path.hops.last().map_or(1, |hop| hop.distance.saturating_add(1));
    hops.chain([HopView { hop: last, ip: Some(path.address), rtt_us: path.rtt_us }]).collect()
}
