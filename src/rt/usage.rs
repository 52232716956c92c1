//! What this process uses, from the kernel: processor time and memory.

use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::files;
use crate::core::event::Usage;
use crate::wire::process;

/// Where the kernel describes the process that reads it (proc_pid_status(5)); about 1.5 kB.
const STATUS: &str = "/proc/self/status";

/// The most of it that is read: it has a line for each of up to 64 processors.
const MOST: usize = 16 << 10;

/// Where there is no `/proc`, memory is unknown and said to be none.
pub fn read() -> Usage {
    let status = files::read(Path::new(STATUS), MOST).map(|contents| contents.bytes).unwrap_or_default();
    let (resident_kb, anonymous_kb) = process::memory(&status);
    Usage { cpu: cpu(), resident_kb, anonymous_kb }
}

/// Processor time that it has used.
pub fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec()).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_this_process_uses() {
        let before = read();
        assert!(before.resident_kb > 500 && before.anonymous_kb > 0, "{before:?}");
        assert!(before.anonymous_kb <= before.resident_kb);
        let mut sum = 0_u64;
        let after = std::iter::repeat_with(read).find(|usage| {
            sum = (0..10_000).fold(sum, |sum, number| sum ^ number);
            usage.cpu > before.cpu + Duration::from_millis(2)
        });
        assert!(after.is_some());
    }
}
