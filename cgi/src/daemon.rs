//! Asks the daemon over its socket, and gives up after a while.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 4 << 20;

/// Why there is no answer.
#[derive(Clone, Copy)]
pub enum Failure {
    /// Nobody listens at the socket.
    NotRunning,
    /// Nothing came in time, or no HTTP.
    Silent,
}

impl Failure {
    /// For people; needs no escapes in JSON.
    pub fn said(self) -> &'static str {
        match self {
            Self::NotRunning => "Switchboard is not running",
            Self::Silent => "Switchboard does not answer",
        }
    }
}

/// The lines of a request that nobody else makes.
pub const FROM_HERE: &str = "Host: localhost\r\n";

/// Sends `METHOD PATH` with these header lines and takes the answer: its status code and its body. When time is up the program
/// ends; the daemon sees that and forgets us.
pub fn ask(socket: &Path, request: &str, lines: &str, patience: Duration) -> Result<(u16, Vec<u8>), Failure> {
    let head = format!("{request} HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n");
    exchange(socket, &head, patience).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::NotRunning,
        _ => Failure::Silent,
    })
}

fn exchange(path: &Path, head: &str, patience: Duration) -> io::Result<(u16, Vec<u8>)> {
    let end = Instant::now() + patience;
    let mut stream = connected(path, patience)?;
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < LARGEST_ANSWER {
        // Of no time at all the standard library makes an error.
        stream.set_read_timeout(Some(end.saturating_duration_since(Instant::now())))?;
        let length = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..length).unwrap_or_default());
        if length == 0 {
            break;
        }
    }
    // "HTTP/1.1 202 Accepted", lines, an empty one, the body.
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
    match (status, body) {
        (Some(status), Some(end)) => Ok((status, answer.split_off(end + 4))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Connecting blocks when the daemon is stopped and others wait already. What limits writing limits that as well, but it must
/// be set before.
fn connected(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let seconds = patience.as_secs().try_into().unwrap_or(1);
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::new(seconds, 0))?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd.into())
}
