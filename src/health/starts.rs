//! When the daemon was started: a file in RAM that outlives the process, so that restarts of the last day can be counted.
//!
//! It holds instants of the machine's clock, not dates, which jump from 1970 to today some minutes after power-on; and the name
//! of the machine's run, without which they mean nothing.

use std::time::Duration;

use crate::limits;
use crate::time::Instant;

/// How long a restart counts.
const DAY: Duration = Duration::from_secs(86_400);

/// The starts of this run of the machine, ours last.
#[derive(Debug)]
pub struct Starts {
    boot_id: String,
    instants: heapless::Deque<Instant, { limits::HEALTH_STARTS }>,
    ours: Instant,
}

impl Starts {
    /// The process started at `now`.
    pub fn new(boot_id: String, now: Instant) -> Self {
        Self { boot_id, instants: heapless::Deque::new(), ours: now }
    }

    /// What the processes before left; says what is to be left now.
    pub fn handle_read(&mut self, bytes: Option<&[u8]>) -> Vec<u8> {
        let text = std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        let mut lines = text.lines();
        self.instants.clear();
        if lines.next() == Some(self.boot_id.as_str()) {
            let instants = lines.filter_map(|line| line.parse().ok().map(Instant::from_micros));
            for instant in instants.filter(|instant| *instant <= self.ours) {
                if self.instants.is_full() {
                    self.instants.pop_front();
                }
                let _ = self.instants.push_back(instant); // there is room now
            }
        }
        let mut out = format!("{}\n", self.boot_id);
        for instant in self.instants.iter().chain([&self.ours]) {
            out.push_str(&format!("{}\n", instant.as_micros()));
        }
        out.into_bytes()
    }

    /// Starts of the last 24 hours, without the first since the machine was switched on.
    pub fn restarts(&self, now: Instant) -> u32 {
        let all = self.instants.iter().chain([&self.ours]);
        let recent = all.skip(1).filter(|start| now.since(**start) < DAY).count();
        u32::try_from(recent).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// One process after the other, each at an instant; the file that they leave.
    fn processes(boot_id: &str, starts: &[u64]) -> Vec<u8> {
        let mut file = None;
        for start in starts {
            file = Some(Starts::new(boot_id.into(), at(*start)).handle_read(file.as_deref()));
        }
        file.unwrap()
    }

    #[test]
    fn restarts_of_a_day_are_counted() {
        let mut starts = Starts::new("a".into(), at(100));
        assert_eq!((starts.handle_read(None), starts.restarts(at(200))), (b"a\n100000000\n".to_vec(), 0));
        let file = processes("a", &[10, 500, 90_000]);
        let mut starts = Starts::new("a".into(), at(90_010));
        starts.handle_read(Some(&file));
        assert_eq!(starts.restarts(at(90_020)), 2, "90 000 and 90 010; 500 is more than a day ago");
        starts.handle_read(Some(&file));
        assert_eq!(starts.restarts(at(90_020)), 2, "a file that is read again");
        assert_eq!(starts.restarts(at(90_000 + 86_399)), 2);
        assert_eq!(starts.restarts(at(90_000 + 86_400)), 1);
        assert_eq!(starts.restarts(at(90_010 + 86_400)), 0);
    }

    #[test]
    fn another_run_of_the_machine_and_nonsense_are_not_believed() {
        for file in
            [&processes("a", &[10, 20])[..], b"", b"b", b"b\n", b"b\nx\n-1\n99999999999999999999\n", b"\xff\n1\n"]
        {
            let mut starts = Starts::new("b".into(), at(50));
            assert_eq!(starts.handle_read(Some(file)), b"b\n50000000\n", "{file:?}");
            assert_eq!(starts.restarts(at(60)), 0);
        }
        // From the future: the file was made by hand.
        let mut starts = Starts::new("b".into(), at(50));
        starts.handle_read(Some(b"b\n60000000\n"));
        assert_eq!(starts.restarts(at(60)), 0);
    }

    #[test]
    fn a_crash_loop_fills_no_memory() {
        let many: Vec<u64> = (0..1_000).collect();
        let file = processes("a", &many);
        assert!(file.len() < 20 * (limits::HEALTH_STARTS + 2));
        let mut starts = Starts::new("a".into(), at(1_000));
        starts.handle_read(Some(&file));
        assert_eq!(usize::try_from(starts.restarts(at(1_001))).unwrap(), limits::HEALTH_STARTS);
    }
}
