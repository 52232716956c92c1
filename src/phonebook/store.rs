//! Keeps the book on flash: when to write, and in which steps, so that power may fail at any instant.
//!
//! Three files: the book (canonical, public rows only), `.bak` (the book before it) and `.hash` (SHA-256 of the book
//! in hexadecimal, for people and programs). Content is the authority: the digest is computed anew whenever a book is
//! read, and a `.hash` that disagrees is corrected. Flash is written only when the content of the book changed, and then left alone
//! for a while: a server that has another book every time does not wear it out.
//!
//! The order of the steps is the proof; `tests/power_loss.rs` stops it everywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::book::Digest;
use crate::files::{FileError, Step};
use crate::limits::BOOK_REST;
use crate::time::Instant;

/// The first wait after a write that failed, and the longest.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_LONGEST: Duration = Duration::from_secs(3_600);

/// The name of a file that stands beside the book.
pub fn beside(book: &Path, suffix: &str) -> PathBuf {
    let mut name = book.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What becomes of the book that stands on flash now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Previous {
    /// It is one of ours and becomes the backup.
    Kept,
    /// There is none, or it is damaged, or it is a raw sheet with private rows: it must not stay. The backup is then a
    /// second name of the new book.
    Dropped,
    /// No backup is made: the last attempt with one failed, maybe because the file system knows no second names.
    NoBackup,
}

/// The steps that replace the book.
///
/// The new files are complete on the medium (`Sync`) before any name points to them. The backup gets its name before
/// the book loses it. Until `SyncDir` the renames may reach the medium in any order or not at all: whichever of them
/// are lost, the name of the book leads to the old or to the new one, complete.
fn book_steps(book: &Path, csv: Vec<u8>, digest: Digest, previous: Previous) -> Vec<Step> {
    let (fresh, hash) = (beside(book, ".new"), beside(book, ".hash"));
    let fresh_hash = beside(book, ".hash.new");
    let keep = || Step::Keep { file: book.into(), copy: beside(book, ".bak") };
    let directory = book.parent().unwrap_or(Path::new("/"));
    let mut steps = vec![
        Step::MakeDir(directory.into()),
        Step::Write(fresh.clone(), csv),
        Step::Sync(fresh.clone()),
        Step::Write(fresh_hash.clone(), hash_line(digest)),
        Step::Sync(fresh_hash.clone()),
    ];
    if previous == Previous::Kept {
        steps.push(keep());
    }
    steps.push(Step::Rename { from: fresh, to: book.into() });
    if previous == Previous::Dropped {
        steps.push(keep());
    }
    steps.push(Step::Rename { from: fresh_hash, to: hash });
    steps.push(Step::SyncDir(directory.into()));
    steps
}

/// The steps that correct the digest beside a book that is right.
fn hash_steps(book: &Path, digest: Digest) -> Vec<Step> {
    let fresh = beside(book, ".hash.new");
    vec![
        Step::Write(fresh.clone(), hash_line(digest)),
        Step::Sync(fresh.clone()),
        Step::Rename { from: fresh, to: beside(book, ".hash") },
        Step::SyncDir(book.parent().unwrap_or(Path::new("/")).into()),
    ]
}

fn hash_line(digest: Digest) -> Vec<u8> {
    format!("{}\n", digest.hex()).into_bytes()
}

/// What is on flash, as far as is known.
#[derive(Debug)]
pub struct Store {
    book: PathBuf,
    /// The canonical book that stands there; `None`: nothing, or nothing that may stay.
    kept: Option<Digest>,
    /// What is being written now.
    writing: Option<Digest>,
    failures: u32,
    not_before: Option<Instant>,
    /// Writes of the book that ended well.
    pub written: u64,
}

impl Store {
    /// A store about which nothing is known.
    pub fn new(book: PathBuf) -> Self {
        Self { book, kept: None, writing: None, failures: 0, not_before: None, written: 0 }
    }

    /// The stored book was read and is canonical.
    pub fn found(&mut self, digest: Digest) {
        self.kept = Some(digest);
    }

    /// What the digest beside the book says: steps to correct it, if that is needed and no write does it anyway.
    pub fn hash_read(&mut self, hash: &[u8]) -> Option<Vec<Step>> {
        let kept = self.kept.filter(|_| self.writing.is_none())?;
        if hash.trim_ascii() == kept.hex().as_bytes() {
            return None;
        }
        self.writing = Some(kept);
        Some(hash_steps(&self.book, kept))
    }

    /// The steps by which this book gets onto flash, if it is not there and it is time to try.
    pub fn poll(&mut self, digest: Digest, csv: impl FnOnce() -> Vec<u8>, now: Instant) -> Option<Vec<Step>> {
        if self.kept == Some(digest) || self.writing.is_some() || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        let csv = csv();
        if csv.is_empty() {
            return None; // never: a book has at least one entry
        }
        let previous = match self.kept {
            _ if self.failures % 2 == 1 => Previous::NoBackup,
            Some(_) => Previous::Kept,
            None => Previous::Dropped,
        };
        self.writing = Some(digest);
        self.not_before = None;
        Some(book_steps(&self.book, csv, digest, previous))
    }

    /// A write ended. Says whether a warning is due: at the first failure of a row.
    pub fn handle_written(&mut self, result: Result<(), FileError>, now: Instant) -> bool {
        let Some(digest) = self.writing.take() else { return false };
        match result {
            Ok(()) => {
                if self.kept != Some(digest) {
                    self.written = self.written.saturating_add(1);
                    self.not_before = Some(now + BOOK_REST);
                }
                self.kept = Some(digest);
                self.failures = 0;
                false
            }
            Err(_) if self.kept == Some(digest) => false, // only the hash; corrected at the next start
            Err(_) => {
                self.failures = self.failures.saturating_add(1);
                let wait = RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(6));
                self.not_before = Some(now + wait.min(RETRY_LONGEST));
                self.failures == 1
            }
        }
    }

    /// When a write may be tried again.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.not_before
    }

    /// The time to write again has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.not_before.is_some_and(|at| at <= now) {
            self.not_before = None;
        }
    }
}
