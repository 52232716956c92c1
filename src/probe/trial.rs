//! The test of one phone: some pings, then some OPTIONS, each a little after the one before.
//!
//! ```text
//!   Ping ──all sent, all answered or lost──▶ Options ──the same──▶ over
//! ```
//!
//! The last ping also proves how far away the phone is: it goes only as far as the replies before it came from. If a router
//! takes it for dead, the way there is longer than the way back, and the ping goes again, one hop farther, without being
//! counted twice.
//!
//! Deliberately not here: packets, clocks, other phones.

use std::net::SocketAddrV4;

use super::sipmsg;
use super::statistics::{Series, Stats};
use crate::time::Instant;

/// How much longer the way there may be than the way back before nobody asks any more.
pub const DETOUR: u8 = 4;

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The cycle, for the phone of that index.
    Cycle(u32),
    /// Somebody who waits.
    Live(u32),
}

/// What is tested now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The network.
    Ping,
    /// The SIP stack.
    Options,
}

/// A test under way.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Who wants it.
    pub owner: Owner,
    /// The phone's number.
    pub number: Box<str>,
    /// Where it is.
    pub to: SocketAddrV4,
    /// Whom its SIP requests are for.
    pub uri: Box<str>,
    /// Names it in its SIP requests.
    pub call: u64,
    /// When it is on the agenda.
    pub due: Option<Instant>,
    /// How many pings and OPTIONS are meant to be sent.
    pub planned: (u8, u8),
    phase: Phase,
    series: Series,
    under_way: u8,
    /// A ping that is to be sent once more, and how far.
    again: Option<(u8, u8)>,
    /// What the replies say about the distance; 0: nothing.
    pub distance: u8,
    /// The TTL of the last reply; 0: there was none, or it is not known.
    pub reply_ttl: u8,
    /// Its way is looked for, or known.
    pub traced: bool,
    ping: Stats,
    longest_us: u32,
}

impl Trial {
    /// A test with so many pings and OPTIONS.
    pub fn new(owner: Owner, number: &str, to: SocketAddrV4, planned: (u8, u8), call: u64) -> Self {
        Self {
            owner,
            number: number.into(),
            to,
            uri: sipmsg::uri(number, to).into(),
            call,
            due: None,
            planned,
            phase: if planned.0 > 0 { Phase::Ping } else { Phase::Options },
            series: Series::default(),
            under_way: 0,
            again: None,
            distance: 0,
            reply_ttl: 0,
            traced: false,
            ping: Stats::default(),
            longest_us: 0,
        }
    }

    /// What is tested now.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the phase has something to send.
    pub fn has_more(&self) -> bool {
        let planned = match self.phase {
            Phase::Ping => self.planned.0,
            Phase::Options => self.planned.1,
        };
        self.again.is_some() || self.series.sent() < planned
    }

    /// One probe goes out: its index, and how many hops far (0: as far as any packet).
    pub fn send(&mut self, prove_distance: bool) -> (u8, u8) {
        self.under_way = self.under_way.saturating_add(1);
        if let Some(again) = self.again.take() {
            return again;
        }
        let index = self.series.sent();
        self.series.add_sent();
        let last = self.phase == Phase::Ping && index.saturating_add(1) == self.planned.0;
        (index, if last && prove_distance { self.distance } else { 0 })
    }

    /// A probe was answered. `None`: its round trip is not known, because it was sent more than once.
    pub fn handle_answer(&mut self, index: u8, rtt_us: Option<u32>) {
        self.under_way = self.under_way.saturating_sub(1);
        self.series.add_received(index, rtt_us);
    }

    /// A probe was lost.
    pub fn handle_loss(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A router says that the ping of limited range `ttl` did not arrive. Whether it goes again.
    pub fn handle_too_short(&mut self, index: u8, ttl: u8) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        if ttl == 0 {
            return false;
        }
        let farther = ttl.saturating_add(1);
        let guessed = guess(self.reply_ttl);
        self.distance = farther;
        let go_on = farther <= guessed.saturating_add(DETOUR);
        self.again = Some((index, if go_on { farther } else { 0 }));
        true
    }

    /// Whether everything of this phase was sent, and answered or lost.
    pub fn is_phase_over(&self) -> bool {
        !self.has_more() && self.under_way == 0
    }

    /// The pings are over: their result. The OPTIONS begin.
    pub fn end_ping(&mut self) -> Stats {
        self.longest_us = self.series.longest_us();
        self.ping = std::mem::take(&mut self.series).stats();
        self.phase = Phase::Options;
        self.ping
    }

    /// Pings and OPTIONS.
    pub fn results(&self) -> (Stats, Stats) {
        match self.phase {
            Phase::Ping => (self.series.stats(), Stats::default()),
            Phase::Options => (self.ping, self.series.stats()),
        }
    }

    /// The longest ping, in microseconds; 0: there was none.
    pub fn longest_us(&self) -> u32 {
        self.longest_us
    }
}

/// How many hops away somebody is whose packets arrive with this TTL: the systems of the world begin with 64, 128 or 255.
/// 0: nobody can say.
pub fn guess(reply_ttl: u8) -> u8 {
    match reply_ttl {
        0 => 0,
        1..=64 => 65_u8.saturating_sub(reply_ttl),
        65..=128 => 129_u8.saturating_sub(reply_ttl),
        129..=255 => 255_u8.saturating_sub(reply_ttl).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(planned: (u8, u8)) -> Trial {
        Trial::new(Owner::Live(1), "441530", "10.1.2.3:5060".parse().unwrap(), planned, 1)
    }

    #[test]
    fn distances_are_guessed_from_the_usual_beginnings() {
        for (ttl, distance) in [(64, 1), (63, 2), (58, 7), (128, 1), (120, 9), (65, 64), (255, 1), (251, 5), (0, 0)] {
            assert_eq!(guess(ttl), distance, "{ttl}");
        }
    }

    #[test]
    fn phases_follow_each_other_when_everything_is_answered_or_lost() {
        let mut trial = trial((2, 1));
        assert_eq!((trial.send(true), trial.send(true)), ((0, 0), (1, 0)));
        assert!(!trial.has_more() && !trial.is_phase_over());
        trial.handle_answer(1, Some(10));
        trial.handle_loss();
        assert!(trial.is_phase_over());
        assert_eq!((trial.end_ping().received, trial.phase()), (1, Phase::Options));
        assert_eq!(trial.send(true), (0, 0));
        trial.handle_answer(0, None);
        let (ping, options) = trial.results();
        assert_eq!((ping.received, options.received, options.rtt, trial.is_phase_over()), (1, 1, None, true));
    }

    #[test]
    fn without_pings_it_begins_with_options() {
        assert_eq!(trial((0, 3)).phase(), Phase::Options);
    }

    #[test]
    fn the_last_ping_proves_the_distance_and_goes_farther_if_it_was_too_short() {
        let mut trial = trial((2, 0));
        trial.send(true);
        trial.handle_answer(0, Some(10));
        (trial.reply_ttl, trial.distance) = (61, guess(61));
        assert_eq!(trial.send(true), (1, 4));
        for farther in 5..=8 {
            assert!(trial.handle_too_short(1, farther - 1));
            assert!(trial.has_more());
            assert_eq!(trial.send(true), (1, farther));
        }
        assert!(trial.handle_too_short(1, 8));
        assert_eq!(trial.send(true), (1, 0), "in the end without a limit");
        assert!(!trial.handle_too_short(1, 0), "then it is lost like any other");
        assert!(trial.is_phase_over());
        assert_eq!((trial.end_ping().sent, trial.results().0.received), (2, 1));
    }
}
