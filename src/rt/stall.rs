//! The last resort against an engine that never returns: then nothing in this process runs, and the kernel has to end it, so that
//! the system starts another.
//!
//! It is measured in processor time (setitimer(2), ITIMER_PROF): a loop that waits uses none, one that is caught in an engine
//! nothing else. A process that hangs in the kernel, on a medium that does not answer, no signal would end either.

#![allow(unsafe_code)]

use std::time::Duration;

use crate::limits;
use crate::time::Instant;

/// Winds the timer up, turn by turn.
#[derive(Debug)]
pub struct Stall {
    most: Duration,
    wound: Option<Instant>,
}

impl Stall {
    /// The process ends when it has used that much without a turn.
    pub const fn new(most: Duration) -> Self {
        Self { most, wound: None }
    }

    /// A turn of the loop is over.
    pub fn turned(&mut self, now: Instant) {
        if self.wound.is_some_and(|at| now.since(at) < limits::STALL_WIND) {
            return;
        }
        self.wound = Some(now);
        let none = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let seconds = self.most.as_secs().try_into().unwrap_or(30);
        let timer = libc::itimerval { it_interval: none, it_value: libc::timeval { tv_sec: seconds, tv_usec: 0 } };
        // SAFETY: the structure lives for the whole call, and the old value is not asked for.
        let result = unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) };
        if result != 0 {
            log::debug!("nobody watches the loop: {}", std::io::Error::last_os_error());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// How much processor time is left.
    fn left() -> u64 {
        // SAFETY: an itimerval is plain data, and getitimer(2) fills it.
        let timer = unsafe {
            let mut timer: libc::itimerval = std::mem::zeroed();
            libc::getitimer(libc::ITIMER_PROF, &raw mut timer);
            timer
        };
        u64::try_from(timer.it_value.tv_sec).unwrap()
    }

    #[test]
    fn a_loop_that_turns_has_all_the_time_again_and_again() {
        let (mut stall, start) = (Stall::new(Duration::from_secs(9_000)), Instant::from_micros(1));
        stall.turned(start);
        assert!(left() > 8_000);
        // What a busy day has used of it.
        Stall::new(Duration::from_secs(4_000)).turned(start);
        stall.turned(start + limits::STALL_WIND / 2);
        assert!(left() <= 4_000, "not with every turn: it is a system call");
        stall.turned(start + limits::STALL_WIND);
        assert!(left() > 8_000);
        // SAFETY: as in `turned`; all zeros stop the timer.
        unsafe { libc::setitimer(libc::ITIMER_PROF, &std::mem::zeroed(), std::ptr::null_mut()) };
    }

    #[test]
    fn a_loop_that_never_turns_again_is_ended() {
        const CHILD: &str = "SWITCHBOARD_TEST_STALL";
        if std::env::var_os(CHILD).is_some() {
            let mut stall = Stall::new(Duration::from_secs(1));
            stall.turned(Instant::from_micros(1));
            let mut number = 0_u64;
            loop {
                number = std::hint::black_box(number.wrapping_add(1));
            }
        }
        // This test once more, in a process of its own.
        #[allow(clippy::disallowed_methods)]
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rt::stall::tests::a_loop_that_never_turns_again_is_ended"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(libc::SIGPROF), "{status}");
    }
}
