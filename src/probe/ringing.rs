//! Who may be rung, and when: one phone at a time, none again within the pause, none in a call.

use super::phone::{Phone, Status};
use super::ring::{Ring, RingOutcome};
use super::{Probe, Refusal, Report, RingReport};
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;

impl Probe {
    /// Who was rung when: what the engine that follows this one must know.
    pub fn take_rung(&mut self) -> SortedMap<String, Instant> {
        std::mem::take(&mut self.rung)
    }

    /// Who was rung when, as the engine before knew it.
    pub fn set_rung(&mut self, rung: SortedMap<String, Instant>) {
        self.rung = rung;
    }

    /// Whether that number may be rung now.
    pub(super) fn may_ring(&mut self, number: &str, now: Instant) -> Result<(), Refusal> {
        if self.rings.iter().any(Ring::is_under_way) {
            self.counts.busy += 1;
            return Err(Refusal::Busy);
        }
        if self.in_calls.contains(number) {
            return Err(Refusal::InCall);
        }
        let pause = self.config.call_test_pause;
        self.rung.retain(|_, at| *at + pause > now);
        if let Some(at) = self.rung.get(number) {
            return Err(Refusal::TooSoon((*at + pause).since(now)));
        }
        if self.rung.len() >= limits::PROBE_RUNG {
            self.counts.busy += 1;
            return Err(Refusal::Busy);
        }
        Ok(())
    }

    /// Whether the next phone that answered nothing could be rung.
    pub(super) fn has_phone_to_ring(&self) -> bool {
        !self.to_ring.is_empty() && !self.rings.iter().any(Ring::is_under_way)
    }

    /// Rings the next phone that answered nothing, unless it is to be left alone.
    pub(super) fn ring_next(&mut self, now: Instant) {
        let Some(number) = self.to_ring.pop_front() else { return };
        let address = self.find(&number).and_then(Phone::address);
        if let Some(address) = address.filter(|_| self.may_ring(&number, now).is_ok()) {
            self.start_ring(&number, address, None, now);
        }
    }

    pub(super) fn handle_rings(&mut self, now: Instant) {
        for index in 0..self.rings.len() {
            let Some(ring) = self.rings.get_mut(index).filter(|ring| ring.next_deadline() <= now) else { continue };
            let (to, bytes) = (ring.to, ring.handle_timeout(now));
            self.send_sip(to, bytes);
        }
        // What came of one is told before it is forgotten.
        self.tell_of_rings();
        self.rings.retain(|ring| !ring.is_gone(now));
    }

    /// Takes over what came of ring tests.
    pub(super) fn tell_of_rings(&mut self) {
        for index in 0..self.rings.len() {
            let Some(ring) = self.rings.get_mut(index) else { continue };
            let Some(outcome) = ring.poll_outcome() else { continue };
            let number = ring.number.to_string();
            if let Some(asker) = ring.asker {
                self.reports.push_back((asker, Report::Ring(RingReport { number, outcome })));
                continue;
            }
            let place = self.phones.binary_search_by(|phone| phone.number().cmp(number.as_str()));
            if let Some(phone) = place.ok().and_then(|place| self.phones.get_mut(place)) {
                phone.call = match outcome {
                    RingOutcome::Rang | RingOutcome::Answered | RingOutcome::Refused(_) => Status::Online,
                    RingOutcome::Silent | RingOutcome::Unreachable => Status::Offline,
                    RingOutcome::BrokenOff => Status::Unknown,
                };
                self.revision = self.revision.wrapping_add(1);
            }
        }
    }
}
