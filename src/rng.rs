//! Chance, from a seed that `src/rt` draws at start: the same seed gives the same daemon, so a simulation can be replayed.
//!
//! [`Rng`] is for jitter and identifiers. Nothing secret is derived from it; cookies that others must not be able to
//! guess come from a keyed hash (`sip/cookie.rs`) whose key is part of the same seed.

use std::time::Duration;

use crate::time::micros;

/// What the daemon is seeded with, once per start.
pub type Seed = [u8; 32];

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, good enough for jitter and names.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator of its own for each `purpose`, all from one seed.
    pub fn new(seed: &Seed, purpose: &str) -> Self {
        let mut state = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
        for byte in seed.iter().chain(purpose.as_bytes()) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(state)
    }

    /// 64 evenly distributed bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// `period`, lengthened or shortened by up to a tenth, so that nodes that started together do not ask together.
    pub fn jitter(&mut self, period: Duration) -> Duration {
        let whole = micros(period);
        let tenth = whole / 10;
        Duration::from_micros(whole.saturating_sub(tenth).saturating_add(self.below(tenth.saturating_mul(2))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_differ_and_repeat() {
        let draw = |purpose| Rng::new(&[7; 32], purpose).next_u64();
        assert_eq!(draw("dns"), draw("dns"));
        assert_ne!(draw("dns"), draw("sip"));
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut rng = Rng::new(&[1; 32], "test");
        for _ in 0..1_000 {
            let drawn = rng.jitter(Duration::from_secs(100));
            assert!((90..=110).contains(&drawn.as_secs()), "{drawn:?}");
        }
    }
}
