//! Who may be rung, and when: one phone at a time, none again within the pause, none in a call.

use super::phone::{Phone, Status};
use super::ring::{Ring, RingOutcome};
use super::{Probe, Refusal, Report, RingReport};
use crate::limits;
use crate::time::Instant;
use crate::wire::moments;

impl Probe {
    /// Appends to the state file `out` who was rung when: neither another engine nor another process is to do it again so soon.
    pub fn save(&self, out: &mut Vec<u8>) {
        moments::append(out, "rung", self.rung.iter().map(|(number, at)| (number.as_str(), at.as_micros())));
    }

    /// Takes back what [`Probe::save`] wrote since the machine started, `boot_id` being its name for that.
    pub fn restore(&mut self, file: &[u8], boot_id: &str, now: Instant) {
        for (number, micros) in moments::read(file, boot_id, "rung").into_iter().take(limits::PROBE_RUNG) {
            if number.len() <= limits::SIP_USER {
                self.rung.insert(number, Instant::from_micros(micros).min(now));
            }
        }
    }

    /// Changes when [`Probe::save`] has something new to say.
    pub fn rung_revision(&self) -> u64 {
        self.counts.rings
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
