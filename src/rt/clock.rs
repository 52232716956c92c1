//! The only clocks, and the only chance.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::rng::Seed;
use crate::time::{Instant, UnixTime};

/// Now, on the monotonic clock of the machine: it survives a restart of the daemon, not of the machine.
pub fn now() -> Instant {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Instant::default() };
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_nsec() / 1_000).unwrap_or_default();
    Instant::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

/// Makes instants of the stamps that the kernel gives to what it receives, which are of the wall clock.
pub struct Stamps {
    /// When the loop woke up.
    woken: Instant,
    /// A moment on the monotonic clock, and the same on the wall clock, in microseconds.
    current: Instant,
    wall: Option<i64>,
}

impl Stamps {
    /// Compares the clocks.
    pub fn read(woken: Instant) -> Self {
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).ok();
        Self { woken, current: now(), wall: wall.map(micros) }
    }

    /// What the wall clock shows now less the stamp is how long ago that was. A stamp from the future or from long ago means that
    /// somebody has set the clock.
    pub fn instant(&self, stamp: TimeSpec) -> Instant {
        const LONG_AGO: u64 = 1_000_000;
        let Some(wall) = self.wall else { return self.woken };
        match u64::try_from(wall.saturating_sub(micros(stamp))).unwrap_or_default() {
            LONG_AGO.. => self.woken,
            // What came since the loop woke up is later than that.
            ago => Instant::from_micros(self.current.as_micros().saturating_sub(ago)),
        }
    }
}

#[allow(clippy::useless_conversion, reason = "both have 32 bits on some routers")]
fn micros(time: TimeSpec) -> i64 {
    let seconds = i64::from(time.tv_sec());
    seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.tv_nsec()) / 1_000)
}

/// The date.
#[allow(clippy::disallowed_methods)]
pub fn wall() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// 32 bytes from the kernel's generator.
#[allow(clippy::disallowed_types)]
pub fn seed() -> std::io::Result<Seed> {
    let mut seed = Seed::default();
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// A name for this run of the machine: what was saved before a reboot has other instants.
#[allow(clippy::disallowed_methods)]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// A number that other programs on this machine are unlikely to use in their pings.
pub fn identifier() -> u16 {
    seed().map_or(0x5357, |seed| u16::from_be_bytes([seed[0], seed[1]]))
}
