//! What people ask for and wait for: a trace, a test of one phone, a ring. Each asker gets one report.

use std::net::Ipv4Addr;

use super::schedule::Urgency;
use super::statistics::{self, Stats};
use super::trace::Trace;
use super::trial::{Owner, Trial};
use super::{
    IcmpMode, Probe, Question, Refusal, Report, RingOutcome, RingReport, Status, TestReport, Wanted, Whereabouts, Wish,
};
use crate::limits;
use crate::time::Instant;

impl Probe {
    /// Traces the way to `target`; `asker` gets a report within five seconds.
    pub fn trace(&mut self, target: Ipv4Addr, asker: u32, now: Instant) -> Result<(), Refusal> {
        self.admit()?;
        if self.mode == IcmpMode::None {
            return Err(Refusal::NoIcmp);
        }
        let most = u8::try_from(self.config.max_hops).unwrap_or(u8::MAX);
        let id = self.next_token;
        self.next_token = id.wrapping_add(1);
        self.traces.push(Trace::new(id, asker, target, most, now));
        self.agenda.add_trace(now, id);
        Ok(())
    }

    /// Tests a phone with `count` pings and as many OPTIONS; it does not ring. `asker` gets a report.
    pub fn ping(&mut self, number: &str, count: u8, asker: u32, _now: Instant) -> Result<(), Refusal> {
        self.admit()?;
        let most = u8::try_from(statistics::MOST).unwrap_or(u8::MAX);
        self.wish(Wish { number: number.to_owned(), asker, what: Wanted::Test(count.clamp(1, most)) });
        Ok(())
    }

    /// Rings a phone and ends the call with its first sign of life. `asker` gets a report.
    pub fn ring(&mut self, number: &str, asker: u32, now: Instant) -> Result<(), Refusal> {
        self.admit()?;
        self.may_ring(number, now)?;
        if self.is_ring_wished() {
            return Err(Refusal::Busy);
        }
        self.wish(Wish { number: number.to_owned(), asker, what: Wanted::Ring });
        Ok(())
    }

    /// What somebody waited for.
    pub fn poll_report(&mut self) -> Option<(u32, Report)> {
        self.reports.pop_front()
    }

    /// Nobody waits for that report any more, or not for longer: what it is for ends now, and what is known is told. A phone
    /// that is being rung is let go as always, and a report of it is still to come.
    pub fn forget(&mut self, asker: u32, now: Instant) -> Option<Report> {
        let wished = |question: &Question| matches!(question, Question::Wish(wish) if wish.asker == asker);
        if let Some(place) = self.questions.iter().position(|(_, question)| wished(question)) {
            let (token, _) = self.questions.swap_remove(place);
            self.unasked.retain(|unasked| *unasked != token);
        } else if let Some(id) = self.traces.iter().find(|trace| trace.asker == asker).map(|trace| trace.id) {
            self.end_trace(id);
        } else {
            let trial = self.trials.iter().find(|(_, trial)| trial.owner == Owner::Live(asker)).map(|(key, _)| *key);
            if let Some(key) = trial {
                self.drop_flights_of(key);
                self.finish(key, now);
            }
        }
        let place = self.reports.iter().position(|(of, _)| *of == asker)?;
        self.reports.remove(place).map(|(_, report)| report)
    }

    /// Somebody may ask for one more thing.
    fn admit(&mut self) -> Result<(), Refusal> {
        if !self.config.enabled {
            return Err(Refusal::Off);
        }
        let wishes = self.questions.iter().filter(|(_, question)| matches!(question, Question::Wish(_))).count();
        let live = self.trials.values().filter(|trial| matches!(trial.owner, Owner::Live(_))).count();
        let ringing = self.rings.iter().filter(|ring| ring.is_under_way() && ring.asker.is_some()).count();
        let all = [wishes, live, ringing, self.traces.len(), self.reports.len()];
        if all.iter().fold(0, |sum: usize, count| sum.saturating_add(*count)) >= limits::PROBE_LIVE {
            self.counts.busy += 1;
            return Err(Refusal::Busy);
        }
        Ok(())
    }

    /// Whether somebody wants a phone to be rung whose address is not known yet.
    pub(super) fn is_ring_wished(&self) -> bool {
        self.questions.iter().any(|(_, question)| matches!(question, Question::Wish(wish) if wish.what == Wanted::Ring))
    }

    fn wish(&mut self, wish: Wish) {
        let token = self.ask(Question::Wish(wish));
        self.unasked.push_back(token);
    }

    /// The address of a phone that somebody wants tested has come.
    pub(super) fn grant(&mut self, wish: Wish, whereabouts: Option<Whereabouts>, now: Instant) {
        let Wish { number, asker, what } = wish;
        match (what, whereabouts) {
            (Wanted::Test(count), Some(Whereabouts { address, .. })) => {
                let pings = if self.mode == IcmpMode::None { 0 } else { count };
                let call = self.rng.next_u64();
                let trial = Trial::new(Owner::Live(asker), &number, address, (pings, count), call);
                self.begin(trial, Urgency::Live, now);
            }
            (Wanted::Test(_), None) => {
                let nothing = (Status::NoDns, Stats::default());
                let report = TestReport { number, address: None, ping: nothing, options: nothing };
                self.reports.push_back((asker, Report::Test(report)));
            }
            // Things may have changed since it was asked for.
            (Wanted::Ring, Some(Whereabouts { address, .. })) if self.may_ring(&number, now).is_ok() => {
                self.start_ring(&number, address, Some(asker), now);
            }
            (Wanted::Ring, found) => {
                let outcome = if found.is_some() { RingOutcome::BrokenOff } else { RingOutcome::Unreachable };
                self.reports.push_back((asker, Report::Ring(RingReport { number, outcome })));
            }
        }
    }

    /// Ends traces whose time is over.
    pub(super) fn handle_traces(&mut self, now: Instant) {
        let over: Vec<u32> = self.traces.iter().filter(|t| t.end() <= now).map(|t| t.id).collect();
        for id in over {
            self.end_trace(id);
        }
    }

    pub(super) fn end_trace(&mut self, id: u32) {
        let Some(place) = self.traces.iter().position(|trace| trace.id == id) else { return };
        let trace = self.traces.swap_remove(place);
        self.drop_flights_of_trace(id);
        self.reports.push_back((trace.asker, Report::Trace(trace.report())));
    }

    /// What follows once a probe of a trace was answered or lost.
    pub(super) fn trace_goes_on(&mut self, id: u32, now: Instant) {
        let Some(trace) = self.traces.iter().find(|trace| trace.id == id) else { return };
        if trace.is_over() {
            self.end_trace(id);
        } else if trace.has_more() {
            self.agenda.add_trace(now, id);
        }
    }
}
