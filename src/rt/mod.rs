//! The only sockets, files, clock, signals and randomness: the shell around [`Core`].
//!
//! One thread, one `mio` loop. A turn: wait for an event or the next deadline; hand what happened to the core; let it do
//! what is due; send and write what it has to say. mio is edge-triggered: a socket is drained until it would block or
//! its budget for the turn is used up, and who was cut short is remembered.

mod aftermath;
pub mod client;
mod clock;
mod crash;
mod files;
mod frames;
mod icmp;
mod identity;
mod log;
mod meter;
mod mmsg;
mod privileges;
mod shell;
mod signals;
mod stall;
mod streams;
#[cfg(test)]
mod tree;
mod udp;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

pub use aftermath::last_crash;
pub use files::read as read_file;

use crate::config::{self, Config};
use crate::limits;

/// How `switchboard run` was called.
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Whether it was named by the user: then it must exist; else every default holds without it.
    pub config_required: bool,
    /// Whether the mesh around it is to be a simulated one.
    pub demo: bool,
}

/// Runs the daemon until it is told to stop.
pub fn run(options: &Options) -> ExitCode {
    // Whatever the parent had: what is published can be read, and nothing can be written by others.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    log::start(&log_socket(options));
    match shell::Shell::new(options).and_then(|mut shell| shell.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ::log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the log goes is known before anything is logged, also the problems of the configuration that says it.
fn log_socket(options: &Options) -> PathBuf {
    let contents = read_file(&options.config, limits::CONFIG_FILE);
    contents.map_or_else(|_| Config::default(), |contents| config::parse(&contents.bytes, "").0).main.log_socket
}
