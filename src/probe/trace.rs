//! A trace that somebody waits for: forwards, all distances at once.
//!
//! ```text
//!   First ── a probe all the way; its reply says how far that is ──▶ All ── one probe for each distance ──▶ told
//!     1 s without a reply: as far as is allowed                       │ what is missing goes once more, after 1 s
//! ```
//!
//! Deliberately not here: packets, and what is known from earlier ways (`ways.rs`): somebody who asks wants to see what is true
//! now.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::trial::guess;
use super::ways::HOPS;
use crate::time::Instant;

/// How long each probe is waited for. A tired router has an answer again after a second, counted in its own ticks of up to 10 ms:
/// asked at the very second, it may say nothing again.
pub const PATIENCE: Duration = Duration::from_millis(1_050);
/// When it is told, complete or not: a web server does not wait for long.
const TOTAL: Duration = Duration::from_secs(5);
/// How often a distance is asked.
const TRIES: u8 = 2;

/// One distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceHop {
    /// `None`: nobody answered.
    pub address: Option<Ipv4Addr>,
    /// Microseconds.
    pub rtt_us: Option<u32>,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceReport {
    /// Whom it was for.
    pub target: Ipv4Addr,
    /// By distance, beginning with 1; the last one is the target if it was reached.
    pub hops: Vec<TraceHop>,
    /// Whether the target answered.
    pub reached: bool,
}

/// One trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its number.
    pub id: u32,
    /// Who waits.
    pub asker: u32,
    /// Whom it is for.
    pub target: Ipv4Addr,
    hops: heapless::Vec<Asked, { HOPS as usize }>,
    /// How far it goes; 0: the first reply will say.
    range: u8,
    most: u8,
    /// At this distance the target itself answered; 0: nowhere yet.
    reached: u8,
    /// Its reply to the probe that went all the way.
    direct: Option<TraceHop>,
    under_way: u8,
    first_sent: bool,
    /// Every distance was asked once, and answered or not: what is missing is asked again.
    repeating: bool,
    end: Instant,
}

/// One distance, and what was done to know it.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    hop: TraceHop,
    tries: u8,
    under_way: bool,
}

impl Trace {
    /// A trace of at most `most` hops.
    pub fn new(id: u32, asker: u32, target: Ipv4Addr, most: u8, now: Instant) -> Self {
        Self {
            id,
            asker,
            target,
            hops: heapless::Vec::new(),
            range: 0,
            most: most.clamp(1, HOPS),
            reached: 0,
            direct: None,
            under_way: 0,
            first_sent: false,
            repeating: false,
            end: now + TOTAL,
        }
    }

    /// When it is told whatever happens.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// The distance of the next probe, 0 for one that goes all the way; `None`: nothing to send now.
    pub fn send(&mut self) -> Option<u8> {
        let ttl = self.upcoming()?;
        self.under_way = self.under_way.saturating_add(1);
        if ttl == 0 {
            self.first_sent = true;
            return Some(0);
        }
        let place = usize::from(ttl.saturating_sub(1));
        if self.hops.len() <= place {
            let _ = self.hops.resize_default(place.saturating_add(1));
        }
        if let Some(asked) = self.hops.get_mut(place) {
            asked.tries = asked.tries.saturating_add(1);
            asked.under_way = true;
        }
        Some(ttl)
    }

    /// Whether there is something to send now.
    pub fn has_more(&self) -> bool {
        self.upcoming().is_some()
    }

    /// Whether it can be told.
    pub fn is_over(&self) -> bool {
        self.first_sent && self.under_way == 0 && !self.has_more()
    }

    /// A router answered.
    pub fn handle_router(&mut self, ttl: u8, address: Ipv4Addr, rtt_us: u32) {
        self.note(ttl, address, rtt_us);
        // The way there is longer than the way back.
        if ttl == self.range && self.reached == 0 && ttl > 0 {
            self.range = self.range.saturating_add(1).min(self.most);
        }
        self.landed(ttl);
    }

    /// The target answered; `reply_ttl` is that of its packet, if it is known.
    pub fn handle_target(&mut self, ttl: u8, reply_ttl: u8, rtt_us: u32) {
        if ttl > 0 {
            self.note(ttl, self.target, rtt_us);
            self.reached = if self.reached == 0 { ttl } else { self.reached.min(ttl) };
        } else {
            self.direct = Some(TraceHop { address: Some(self.target), rtt_us: Some(rtt_us) });
            self.range = match guess(reply_ttl) {
                0 => self.most,
                distance => distance.min(self.most),
            };
        }
        self.landed(ttl);
    }

    /// Nothing answered, or only that the target cannot be reached.
    pub fn handle_silence(&mut self, ttl: u8) {
        if ttl == 0 && self.range == 0 {
            self.range = self.most;
        }
        self.landed(ttl);
    }

    /// What is known now.
    pub fn report(&self) -> TraceReport {
        let mut hops: Vec<TraceHop> = self.hops.iter().map(|asked| asked.hop).collect();
        match (self.reached, self.direct) {
            // As far as the target; nothing lies behind it.
            (reached @ 1.., _) => hops.truncate(usize::from(reached)),
            (0, Some(direct)) => {
                // It answered the first probe, and from there; those that went just as far were lost.
                let lost = hops.last().is_some_and(|hop| hop.address.is_none());
                hops.truncate(hops.len().saturating_sub(usize::from(lost)));
                hops.push(direct);
            }
            (0, None) => {
                let answered = hops.iter().rposition(|hop| hop.address.is_some());
                hops.truncate(answered.map_or(0, |place| place.saturating_add(1)));
            }
        }
        TraceReport { target: self.target, hops, reached: self.reached > 0 || self.direct.is_some() }
    }

    fn upcoming(&self) -> Option<u8> {
        if !self.first_sent {
            return Some(0);
        }
        let end = match self.reached {
            0 => self.range,
            reached => self.range.min(reached.saturating_sub(1)),
        };
        (1..=end).find(|ttl| match self.hops.get(usize::from(ttl.saturating_sub(1))) {
            None => true,
            Some(asked) if asked.under_way || asked.hop.address.is_some() => false,
            Some(asked) => asked.tries == 0 || (self.repeating && asked.tries < TRIES),
        })
    }

    /// A probe is not under way any more.
    fn landed(&mut self, ttl: u8) {
        self.under_way = self.under_way.saturating_sub(1);
        if let Some(asked) = usize::from(ttl).checked_sub(1).and_then(|place| self.hops.get_mut(place)) {
            asked.under_way = false;
        }
        if ttl > 0 && self.under_way == 0 && !self.has_more() {
            self.repeating = true;
        }
    }

    fn note(&mut self, ttl: u8, address: Ipv4Addr, rtt_us: u32) {
        if let Some(asked) = self.hops.get_mut(usize::from(ttl.saturating_sub(1))) {
            asked.hop = TraceHop { address: Some(address), rtt_us: Some(rtt_us) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);

    fn trace() -> Trace {
        Trace::new(1, 7, TARGET, 20, Instant::default())
    }

    fn router(ttl: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, ttl)
    }

    fn sent(trace: &mut Trace) -> Vec<u8> {
        std::iter::from_fn(|| trace.send()).collect()
    }

    #[test]
    fn the_first_reply_says_how_far_it_is_and_then_all_go_at_once() {
        let mut trace = trace();
        assert_eq!((sent(&mut trace), trace.is_over()), (vec![0], false));
        trace.handle_target(0, 61, 900);
        assert_eq!(sent(&mut trace), [1, 2, 3, 4]);
        trace.handle_target(4, 61, 800);
        for ttl in [3, 1] {
            trace.handle_router(ttl, router(ttl), 100);
        }
        trace.handle_silence(2);
        assert_eq!((sent(&mut trace), trace.is_over()), (vec![2], false));
        trace.handle_router(2, router(2), 200);
        assert!(trace.is_over());
        let report = trace.report();
        let addresses: Vec<_> = report.hops.iter().map(|hop| hop.address.unwrap()).collect();
        assert_eq!(addresses, [router(1), router(2), router(3), TARGET]);
        assert!(report.reached);
    }

    #[test]
    fn a_silent_router_is_asked_twice_and_stays_a_gap() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_target(0, 62, 900);
        assert_eq!(sent(&mut trace), [1, 2, 3]);
        trace.handle_silence(1);
        assert_eq!(sent(&mut trace), [] as [u8; 0], "others are still under way");
        trace.handle_router(2, router(2), 1);
        trace.handle_target(3, 62, 1);
        assert_eq!(sent(&mut trace), [1]);
        trace.handle_silence(1);
        assert!(trace.is_over());
        assert_eq!(trace.report().hops[0], TraceHop::default());
    }

    #[test]
    fn a_target_that_answered_only_the_first_probe_stands_where_it_seemed_to_be() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_target(0, 62, 900);
        for turn in [vec![1, 2, 3], vec![3]] {
            assert_eq!(sent(&mut trace), turn);
            for ttl in turn {
                if ttl == 3 { trace.handle_silence(3) } else { trace.handle_router(ttl, router(ttl), 1) }
            }
        }
        let report = trace.report();
        assert!(trace.is_over() && report.reached);
        let addresses: Vec<_> = report.hops.iter().map(|hop| hop.address.unwrap()).collect();
        assert_eq!(addresses, [router(1), router(2), TARGET]);
    }

    #[test]
    fn nobody_at_the_end_leaves_what_answered_before() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_silence(0);
        let all: Vec<u8> = (1..=20).collect();
        assert_eq!(sent(&mut trace), all);
        trace.handle_router(1, router(1), 1);
        trace.handle_router(3, router(3), 1);
        for ttl in all.iter().filter(|ttl| ![1, 3].contains(*ttl)) {
            trace.handle_silence(*ttl);
        }
        assert_eq!(sent(&mut trace).len(), 18);
        let report = trace.report();
        assert_eq!((report.hops.len(), report.reached), (3, false));
        assert_eq!(report.hops[1], TraceHop::default());
    }

    #[test]
    fn a_way_there_that_is_longer_than_the_way_back_is_followed() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_target(0, 63, 9);
        assert_eq!(sent(&mut trace), [1, 2]);
        trace.handle_router(2, router(2), 1);
        assert_eq!(sent(&mut trace), [3]);
        trace.handle_router(1, router(1), 1);
        trace.handle_target(3, 63, 1);
        assert!(trace.is_over());
        assert_eq!((trace.report().hops.len(), trace.report().hops[2].address), (3, Some(TARGET)));
    }

    #[test]
    fn a_shorter_one_ends_where_the_target_answered_first() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_target(0, 60, 9);
        assert_eq!(sent(&mut trace), [1, 2, 3, 4, 5]);
        for ttl in [5, 3, 4] {
            trace.handle_target(ttl, 60, 1);
        }
        trace.handle_silence(2);
        trace.handle_router(1, router(1), 1);
        assert_eq!(sent(&mut trace), [2]);
        trace.handle_router(2, router(2), 1);
        assert_eq!((trace.is_over(), trace.report().hops.len()), (true, 3));
    }

    #[test]
    fn nothing_goes_farther_than_it_may_nor_beyond_the_target() {
        let mut trace = trace();
        sent(&mut trace);
        trace.handle_target(0, 1, 9);
        let all: Vec<u8> = (1..=20).collect();
        assert_eq!(sent(&mut trace), all, "it looks as if it were 64 hops away");
        trace.handle_router(20, router(20), 1);
        assert_eq!(sent(&mut trace), [] as [u8; 0], "no question at 21");
        trace.handle_target(3, 64, 1);
        for ttl in all.iter().filter(|ttl| ![3, 20].contains(*ttl)) {
            trace.handle_silence(*ttl);
        }
        assert_eq!(sent(&mut trace), [1, 2], "nobody asks again behind the target");
    }
}
