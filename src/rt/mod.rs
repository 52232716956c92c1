//! The only sockets, files, clock, signals and randomness.

pub mod client;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::files::{Contents, FileError};
use crate::time::UnixTime;

/// How `switchboard run` was called.
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether it was named by the user: then it must exist; else every default holds without it.
    pub config_required: bool,
}

/// Runs the daemon until it is told to stop.
pub fn run(_options: &Options) -> ExitCode {
    ExitCode::FAILURE
}

/// Reads a file of at most `limit` bytes.
#[allow(clippy::disallowed_methods)]
pub fn read_file(path: &Path, limit: usize) -> Result<Contents, FileError> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => FileError::NotFound,
        _ => FileError::Os(error.raw_os_error().unwrap_or(0)),
    })?;
    if bytes.len() > limit {
        return Err(FileError::TooLarge);
    }
    Ok(Contents { bytes, modified: UnixTime::default() })
}
