//! Asks the daemon over its socket, and gives up after a while.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// The largest answer that is read.
const LARGEST_ANSWER: u64 = 4 << 20;

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

/// Sends `METHOD PATH` with these header lines and takes the answer: its status code and its body.
///
/// A second thread does it: connecting to a unix socket has no time limit of its own, and blocks when the daemon is stopped
/// and others wait already. When time is up the program ends and the thread with it; the daemon sees that and forgets us.
pub fn ask(socket: &Path, request: &str, lines: &str, patience: Duration) -> Result<(u16, Vec<u8>), Failure> {
    let (sender, receiver) = mpsc::channel();
    let head = format!("{request} HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n");
    let socket: PathBuf = socket.into();
    let asking = std::thread::Builder::new().stack_size(64 << 10).spawn(move || sender.send(exchange(&socket, &head)));
    match asking.map(|_| receiver.recv_timeout(patience)) {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Err(Failure::NotRunning)
        }
        _ => Err(Failure::Silent),
    }
}

fn exchange(socket: &Path, head: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    // "HTTP/1.1 202 Accepted", lines, an empty one, the body.
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
    match (status, body) {
        (Some(status), Some(end)) => Ok((status, answer.split_off(end + 4))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
