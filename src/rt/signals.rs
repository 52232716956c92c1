//! Signals as events: blocked for the process, read from a descriptor in the loop.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What the operator asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// HUP: read the configuration again.
    Reload,
    /// USR1: fetch the phonebook now.
    Fetch,
    /// USR2: write the state to the log.
    Dump,
    /// TERM or INT: stop.
    Stop,
}

/// The signals that are requests.
const REQUESTS: [(Signal, Request); 5] = [
    (Signal::SIGHUP, Request::Reload),
    (Signal::SIGUSR1, Request::Fetch),
    (Signal::SIGUSR2, Request::Dump),
    (Signal::SIGTERM, Request::Stop),
    (Signal::SIGINT, Request::Stop),
];

/// The descriptor that becomes readable when a request comes.
pub fn watch() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    for (signal, _) in REQUESTS {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// The next request.
pub fn next(signals: &SignalFd) -> Option<Request> {
    let number = signals.read_signal().ok()??.ssi_signo;
    REQUESTS.iter().find(|(signal, _)| u32::try_from(*signal as i32) == Ok(number)).map(|(_, request)| *request)
}
