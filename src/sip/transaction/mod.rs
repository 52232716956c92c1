//! The four transaction machines of RFC 3261 §17 (with RFC 6026 and RFC 4320) as small values: something happens, the
//! machine changes and says what is to be done.
//!
//! No machine owns bytes, addresses, timers or its own end: the context of a proxied request keeps those
//! (`context.rs`), asks [`deadline`](ServerInvite::deadline) and calls `handle_timeout(now)`. Calling it too early does no
//! harm. Everything here is for UDP; the shortcuts of reliable transports are left out.
//!
//! Read first: RFC 3261 §17, RFC 6026 §7 and §8, RFC 4320 §4.

mod client_invite;
mod client_other;
pub mod context;
pub mod key;
mod server_invite;
mod server_other;
pub mod store;

use std::time::Duration;

pub use client_invite::ClientInvite;
pub use client_other::ClientOther;
pub use server_invite::{AckIs, ServerInvite};
pub use server_other::ServerOther;

use crate::time::Instant;

/// RFC 3261 §17.1.1.1: the estimate of a round trip, and the first interval between repeats.
pub const T1: Duration = Duration::from_millis(500);

/// RFC 3261 §17.1.2.2: the longest interval between repeats of anything but an INVITE.
pub const T2: Duration = Duration::from_secs(4);

/// RFC 3261 §17.1.2.2: how long the network may keep a message.
pub const T4: Duration = Duration::from_secs(5);

/// 64*T1: timers B, D, F, H, J, L and M. Nobody repeats anything for longer.
pub const LINGER: Duration = Duration::from_secs(32);

/// What is due after [`handle_timeout`](ServerInvite::handle_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send the same bytes once more: the last answer (server), the request (client).
    Repeat,
    /// Send `100 Trying` (RFC 4320 §4.1).
    Trying,
    /// The other side never answered, or never acknowledged. The machine has ended.
    GaveUp,
    /// The transaction is over; forget it.
    Ended,
}

/// What a retransmitted request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Nothing: the answer is not ready, or it is no longer this machine's job to repeat it.
    Absorb,
    /// The last answer once more.
    RepeatAnswer,
}

/// What a response is to a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// News for the proxy: a provisional answer, the final one, or one more 2xx.
    News,
    /// The final answer repeated: acknowledge it again, tell nobody.
    AckAgain,
    /// Nothing new.
    Absorb,
}

/// A repeat that doubles its interval up to a cap (timers A, E and G).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Repeat {
    at: Instant,
    interval: Duration,
}

impl Repeat {
    fn start(now: Instant) -> Self {
        Self { at: now + T1, interval: T1 }
    }

    /// The next one; counted from when it was due, so that a late turn of the loop does not stretch the schedule,
    /// but never in the past, so that a long pause is not made up for by a burst.
    fn next(self, cap: Duration, now: Instant) -> Self {
        let interval = self.interval.saturating_mul(2).min(cap);
        let planned = self.at + interval;
        Self { at: if planned > now { planned } else { now + interval }, interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instant `ms` milliseconds after the start.
    pub(super) fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    /// Moves the clock from deadline to deadline until there is none, and says what was due when (ms).
    pub(super) fn run<M>(
        machine: &mut M,
        deadline: fn(&M) -> Option<Instant>,
        handle_timeout: fn(&mut M, Instant) -> Due,
    ) -> Vec<(u64, Due)> {
        let mut log = Vec::new();
        while let Some(now) = deadline(machine) {
            log.push((now.as_micros() / 1_000, handle_timeout(machine, now)));
            assert!(deadline(machine).is_none_or(|next| next > now), "deadlines strictly advance");
            assert!(log.len() < 100, "it ends");
        }
        log
    }
}
