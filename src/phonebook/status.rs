//! How the book is doing, for people and programs that look; and in which words.

use std::fmt;

use super::book::Digest;
use super::reader::Unusable;
use crate::files::FileError;
use crate::time::{Instant, UnixTime};
use crate::wire::http::{BadUrl, FetchError};

/// How the book is doing, in the words of the C program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No round of the servers has ended yet; the stored book is served, if there is one.
    #[default]
    Boot,
    /// The last round found the book, changed or not.
    Success,
    /// The last round did not.
    Failed,
    /// No round did for three intervals (since the start, if none ever did).
    Stale,
}

impl State {
    /// `BOOT`, `SUCCESS`, `FAILED` or `STALE`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Boot => "BOOT",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Stale => "STALE",
        }
    }
}

/// Where the served book came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// There is none.
    #[default]
    Nowhere,
    /// The book on flash.
    Stored,
    /// The book before it, because the stored one was missing or damaged.
    Backup,
    /// A server, since the start.
    Server,
}

/// Why a server's book was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The configuration names no place.
    BadUrl(BadUrl),
    /// The download failed.
    Fetch(FetchError),
    /// The server answered, but not with the file.
    Status(u16),
    /// The file could not be read.
    File(FileError),
    /// What came is not a book.
    Unusable(Unusable),
    /// The book has become suspiciously small. It is taken if a later round finds it so again.
    Shrunk {
        /// Entries of the served book.
        from: usize,
        /// Entries of the one that came.
        to: usize,
    },
    /// No answer came at all.
    NoAnswer,
}

impl Why {
    /// Whether the server is there and gave something that is no good.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Unusable(_) | Self::Shrunk { .. })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(bad) => write!(out, "{bad}"),
            Self::Fetch(error) => write!(out, "{error}"),
            Self::Status(status) => write!(out, "the server answered with status {status}"),
            Self::File(FileError::NotFound) => out.write_str("there is no such file"),
            Self::File(FileError::TooLarge) => out.write_str("the file is larger than allowed"),
            Self::File(FileError::Os(number)) => write!(out, "the file cannot be read (error {number})"),
            Self::Unusable(unusable) => write!(out, "{unusable}"),
            Self::Shrunk { from, to } => {
                write!(out, "only {to} entries instead of {from}; taken if it is the same in the next round")
            }
            Self::NoAnswer => out.write_str("no answer"),
        }
    }
}

/// A server whose book was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// As it is configured.
    pub url: String,
    /// What was wrong.
    pub why: Why,
}

/// For people and programs that look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How the book is doing.
    pub state: State,
    /// Where it came from.
    pub origin: Origin,
    /// The server that had it, or said that it is unchanged, last.
    pub url: Option<String>,
    /// Public entries.
    pub entries: usize,
    /// Rows that the sheet holds back; known since the last full download.
    pub private: usize,
    /// Problems of the sheet in all; [`Phonebook::problems`] has the first of them.
    pub problems: usize,
    /// SHA-256 of the canonical book.
    pub digest: Option<Digest>,
    /// The last server that had no good book; gone with the next success.
    pub error: Option<Failure>,
    /// When the last round began.
    pub last_attempt: Option<Instant>,
    /// When a server last had the book, changed or not.
    pub last_success: Option<Instant>,
    /// When the content last changed, or was read from flash.
    pub last_change: Option<Instant>,
    /// When the file on flash was last changed, by its own date; only while the book comes from there.
    pub stored_date: Option<UnixTime>,
    /// When the next round is due; `None` while one is running, and without servers.
    pub next_fetch: Option<Instant>,
    /// Whether a round is running.
    pub fetching: bool,
}
