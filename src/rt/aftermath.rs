//! What the process before this one left when it crashed: read, counted, kept for a day, and told in `last_crash.json`.
//!
//! The record moves to a name beside it (`.last`), so that the next crash has its place; it stays there for people who look for
//! the fault. Records are believed only if they belong to us or to root, are plain files and of this run of the machine.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::files;
use crate::files::replace;
use crate::limits;
use crate::time::{Clock, Instant, UnixTime};
use crate::wire::crash::{CRASHES, Record, Report};

/// The last crash, while it is not older than a day.
pub struct Aftermath {
    /// What people are told.
    pub report: Report,
    file: PathBuf,
}

/// Where a record stays once it was read.
pub fn kept(record: &Path) -> PathBuf {
    let mut name = record.as_os_str().to_owned();
    name.push(".last");
    PathBuf::from(name)
}

/// Whose records are believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Ours or root's: what the daemon tells others.
    Us,
    /// Whoever's, for root: what root looks at by hand, written by the daemon's user.
    Anybody,
}

/// Reads a record that only its owner may read.
pub fn read(path: &Path, owner: Owner) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    let us = nix::unistd::geteuid();
    let believed = [0, us.as_raw()].contains(&metadata.uid()) || owner == Owner::Anybody && us.is_root();
    if !metadata.is_file() || !believed {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let mut bytes = Vec::new();
    file.take(limits::CRASH_RECORD as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Looks for a new record at `record`, and for an older one; `report` is the file in which people read of it.
pub fn look(record: &Path, report: &Path, boot_id: &str, now: Instant) -> Option<Aftermath> {
    if record.as_os_str().is_empty() {
        return None;
    }
    let now_us = now.as_micros();
    let (fresh_bytes, old_bytes) =
        (read(record, Owner::Us).unwrap_or_default(), read(&kept(record), Owner::Us).unwrap_or_default());
    let of_this_run = |bytes| Record::parse(bytes).ok().filter(|record| record.boot_id == boot_id);
    let old = of_this_run(&old_bytes);
    let Some(mut fresh) = of_this_run(&fresh_bytes) else {
        let _ = fs::remove_file(record);
        let report_of_old = old.map(|old| old.report(false, now_us)).filter(|report| report.crash_count_24h > 0);
        return report_of_old.map(|told| Aftermath { report: told, file: report.to_owned() });
    };
    if let Some(old) = old {
        let times: Vec<u64> = old.earlier.iter().copied().chain([old.at_us]).collect();
        let latest = times.get(times.len().saturating_sub(CRASHES)..).unwrap_or_default();
        fresh.earlier = latest.iter().copied().collect();
    }
    if let Err(error) = keep(&mut fresh, &kept(record)) {
        log::warn!("cannot keep the crash record {}: {error}", record.display());
    }
    // Only now: a process that dies before this finds it again.
    let _ = fs::remove_file(record);
    Some(Aftermath { report: fresh.report(true, now_us), file: report.to_owned() })
}

fn keep(record: &mut Record<'_>, path: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    record.emit(&mut |piece| bytes.extend_from_slice(piece));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    files::create(&temporary, 0o600)?.write_all(&bytes)?;
    fs::rename(temporary, path)
}

/// The last crash for a verb, and what it needs to date it.
pub struct LastCrash {
    /// The record, told by a start already or not.
    pub bytes: Vec<u8>,
    /// This run of the machine.
    pub boot_id: String,
    /// The node's name.
    pub node: String,
    /// Now.
    pub now: Instant,
    /// The date of it.
    pub wall: UnixTime,
}

/// The record of the last crash, if there is one.
pub fn last_crash(record: &Path) -> io::Result<Option<LastCrash>> {
    for path in [record, &kept(record)] {
        match read(path, Owner::Anybody) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(bytes) => {
                let node = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
                let (now, wall) = (super::clock::now(), super::clock::wall());
                return Ok(Some(LastCrash { bytes, boot_id: super::clock::boot_id(), node, now, wall }));
            }
        }
    }
    Ok(None)
}

impl Aftermath {
    /// Writes the file that people read, dated by what the clock says now.
    pub fn write(&self, node: &str, wall: UnixTime, now: Instant) {
        if !self.file.as_os_str().is_empty() {
            let crashed = Clock::new(wall, now).date(Instant::from_micros(self.report.at_us));
            let json = self.report.json(node, &wall.rfc3339(), &crashed.rfc3339());
            // What cannot be written is in the log already.
            let _ = files::perform(&replace(&self.file, json.into_bytes()), log::Level::Warn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::tree::Tree;

    const HOUR: u64 = 3_600_000_000;

    impl Tree {
        fn record(&self) -> PathBuf {
            self.0.join("crash.bin")
        }

        fn crash(&self, at_us: u64, boot_id: &'static str) {
            let mut bytes = Vec::new();
            let mut record = Record { signal: 11, at_us, boot_id, ..Record::default() };
            record.emit(&mut |piece| bytes.extend_from_slice(piece));
            fs::write(self.record(), bytes).unwrap();
        }

        fn look(&self, now_us: u64) -> Option<Aftermath> {
            look(&self.record(), &self.0.join("last.json"), "boot", Instant::from_micros(now_us))
        }
    }

    #[test]
    fn crashes_are_counted_over_a_day_and_told_until_then() {
        let tree = Tree::new("aftermath");
        assert!(tree.look(HOUR).is_none());
        tree.crash(HOUR, "boot");
        let first = tree.look(HOUR + 1).unwrap().report;
        assert!(first.fresh && first.crash_count_24h == 1);
        assert!(!tree.record().exists());
        let again = tree.look(2 * HOUR).unwrap().report;
        assert!(!again.fresh && again.crash_count_24h == 1, "an orderly restart forgets nothing and counts nothing");
        tree.crash(20 * HOUR, "boot");
        assert_eq!(tree.look(20 * HOUR + 1).unwrap().report.crash_count_24h, 2);
        assert_eq!(tree.look(30 * HOUR).unwrap().report.crash_count_24h, 1);
        assert!(tree.look(44 * HOUR).is_none(), "a day is over");
    }

    #[test]
    fn many_crashes_are_many_and_the_record_stays_small() {
        let tree = Tree::new("loop");
        for turn in 0..200 {
            tree.crash(HOUR + turn * 5_000_000, "boot");
            let report = tree.look(HOUR + turn * 5_000_000 + 1).unwrap().report;
            assert_eq!(report.crash_count_24h as usize, (turn as usize + 1).min(CRASHES + 1));
        }
        assert!(fs::metadata(kept(&tree.record())).unwrap().len() < 2_000);
    }

    #[test]
    fn what_is_not_of_this_run_or_not_a_plain_file_is_no_record() {
        let tree = Tree::new("foreign");
        tree.crash(HOUR, "another");
        assert!(tree.look(HOUR).is_none());
        assert!(!tree.record().exists(), "it would be in the way");
        if nix::unistd::geteuid().is_root() {
            tree.crash(HOUR, "boot");
            std::os::unix::fs::chown(tree.record(), Some(54_321), None).unwrap();
            assert!(tree.look(HOUR).is_none(), "it is somebody else's");
        }
        tree.crash(HOUR, "boot");
        fs::rename(tree.record(), tree.0.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(tree.0.join("elsewhere"), tree.record()).unwrap();
        assert!(tree.look(HOUR).is_none());
        assert!(tree.0.join("elsewhere").exists() && !tree.record().is_symlink());
        nix::unistd::mkfifo(&tree.record(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(tree.look(HOUR).is_none(), "and nobody waits for a writer");
        fs::write(tree.record(), vec![0x55; 200_000]).unwrap();
        assert!(tree.look(HOUR).is_none());
    }
}
