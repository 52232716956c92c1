//! Fair shares while the daemon is busy: a source that asks for more than its share loses new requests, so that one
//! broken phone cannot starve the rest. On an idle daemon nothing is counted and nobody is cut.
//!
//! New requests are counted in windows of a fixed number. Inside a window, a source may have as many as would be
//! its share if all sources that were seen in this window or the one before got the same. The only one that asks is never
//! cut: a loaded PBX, or a load test, from one address.
//!
//! Sources are counted in a table of fixed size by a keyed hash of the address, so that a flood from made-up addresses
//! costs no memory; two sources that fall on the same place share it until the next restart. Known transactions,
//! responses, ACK, CANCEL and requests inside a dialog are not asked about at all (`mod.rs`).

use std::net::Ipv4Addr;

use super::cookie::Cookies;
use crate::limits;

/// New requests in one window. Large enough that a phone with a handful of new requests in it is never cut, small enough that a
/// flood is noticed within milliseconds.
const WINDOW: u16 = 512;

/// What every source may have in a window whatever the others do.
const FLOOR: u16 = 8;

/// The counters.
#[derive(Debug)]
pub struct Fairness {
    busy: bool,
    places: Vec<Place>,
    /// Places used in this window or the one before.
    active: u16,
    /// New requests in this window.
    seen: u16,
    window: u32,
    cut: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The window in which `count` was counted, from 2; 0 is never.
    window: u32,
    count: u16,
}

impl Fairness {
    /// Nobody is busy yet.
    pub fn new() -> Self {
        Self { busy: false, places: Vec::new(), active: 0, seen: 0, window: 2, cut: 0 }
    }

    /// More datagrams wait than a turn may take, or not any more.
    pub fn handle_congestion(&mut self, busy: bool) {
        if busy && !self.busy {
            // 4 KB that a quiet router never spends.
            self.places.resize(limits::SIP_SOURCES, Place::default());
            // Two ahead: what was counted in an earlier spell of congestion is not "the window before".
            self.begin(2);
        }
        if !busy && self.busy {
            self.places = Vec::new();
        }
        self.busy = busy;
    }

    fn begin(&mut self, ahead: u32) {
        self.window = self.window.wrapping_add(ahead).max(2);
        let before = self.window.wrapping_sub(1);
        let active = self.places.iter().filter(|place| place.window == before).count();
        self.active = u16::try_from(active).unwrap_or(u16::MAX);
        self.seen = 0;
    }

    /// Whether a new request from `source` may be served.
    pub fn admit(&mut self, source: Ipv4Addr, cookies: &Cookies) -> bool {
        if !self.busy {
            return true;
        }
        if self.seen >= WINDOW {
            self.begin(1);
        }
        self.seen = self.seen.saturating_add(1);
        let digest = cookies.digest("source").field(&source.octets()).finish();
        let at = usize::try_from(digest % limits::SIP_SOURCES as u64).unwrap_or(0);
        let (window, before) = (self.window, self.window.wrapping_sub(1));
        let Some(place) = self.places.get_mut(at) else { return true };
        if place.window != window {
            if place.window != before {
                self.active = self.active.saturating_add(1);
            }
            *place = Place { window, count: 0 };
        }
        place.count = place.count.saturating_add(1);
        let share = WINDOW.checked_div(self.active).unwrap_or(WINDOW).max(FLOOR);
        let admitted = self.active <= 1 || place.count <= share;
        self.cut += u64::from(!admitted);
        admitted
    }

    /// New requests that were dropped.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

impl Default for Fairness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, n)
    }

    /// Offers `rounds` rounds of (source, requests) and counts what each got.
    fn offer(fairness: &mut Fairness, rounds: usize, mix: &[(u8, usize)]) -> Vec<usize> {
        let cookies = Cookies::new(&[1; 32]);
        let mut served = vec![0; mix.len()];
        for _ in 0..rounds {
            for (at, (source, requests)) in mix.iter().enumerate() {
                for _ in 0..*requests {
                    served[at] += usize::from(fairness.admit(phone(*source), &cookies));
                }
            }
        }
        served
    }

    #[test]
    fn an_idle_daemon_serves_everything() {
        let mut fairness = Fairness::new();
        assert_eq!(offer(&mut fairness, 100, &[(1, 100), (2, 1)]), [10_000, 100]);
        assert!(fairness.places.is_empty());
    }

    #[test]
    fn the_only_source_is_never_cut() {
        let mut fairness = Fairness::new();
        fairness.handle_congestion(true);
        assert_eq!(offer(&mut fairness, 1, &[(1, 100_000)]), [100_000]);
        assert_eq!(fairness.cut(), 0);
    }

    #[test]
    fn a_flood_is_cut_and_its_neighbours_are_not() {
        let mut fairness = Fairness::new();
        fairness.handle_congestion(true);
        let served = offer(&mut fairness, 100, &[(1, 1_000), (2, 10), (3, 5)]);
        assert_eq!(served[1..], [1_000, 500], "the modest get everything");
        assert!(served[0] < 50_000 && served[0] > 20_000, "the flood gets about a third: {}", served[0]);
        assert_eq!(fairness.cut(), 100_000 - served[0] as u64);
    }

    #[test]
    fn the_end_of_congestion_frees_everybody() {
        let mut fairness = Fairness::new();
        fairness.handle_congestion(true);
        offer(&mut fairness, 10, &[(1, 1_000), (2, 10)]);
        fairness.handle_congestion(false);
        assert_eq!(offer(&mut fairness, 1, &[(1, 1_000), (2, 10)]), [1_000, 10]);
        fairness.handle_congestion(true);
        assert_eq!(offer(&mut fairness, 1, &[(1, 5_000)]), [5_000], "yesterday's neighbours do not count");
    }

    #[test]
    fn a_thousand_made_up_sources_leave_a_real_phone_its_few_requests() {
        let mut fairness = Fairness::new();
        let cookies = Cookies::new(&[1; 32]);
        fairness.handle_congestion(true);
        let mut served = 0;
        for n in 0..100_000_u32 {
            fairness.admit(Ipv4Addr::from(0x0b00_0000 + n), &cookies);
            if n % 200 == 0 {
                served += usize::from(fairness.admit(phone(1), &cookies));
            }
        }
        assert_eq!(served, 500);
    }
}
