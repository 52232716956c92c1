//! Asking the daemon over HTTP, as a browser, a program or the node's web server does.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::ground::{PATIENCE, Tree, skipped};

/// The headers without which a POST is not taken from a page.
pub const OURS: &str = "X-Requested-With: switchboard\r\nContent-Length: 0\r\n";

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Says `request` and hears everything until the other side hangs up.
    pub fn to(request: &str, mut stream: impl Read + Write) -> Self {
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|head| head.get(..3)).unwrap().parse().unwrap();
        Self { status, head: head.into(), body: body.into() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Asks on a stream that is open; `headers` are whole lines.
pub fn ask(stream: impl Read + Write, method: &str, target: &str, headers: &str) -> Answer {
    let host = if headers.contains("Host:") { "" } else { "Host: localhost\r\n" };
    Answer::to(&format!("{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n"), stream)
}

/// A connection over TCP; `None`: nobody listens.
pub fn connect(address: SocketAddrV4) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(stream)
}

/// What a program at `address` says there, which must be JSON; `None`: nobody listens.
pub fn get(address: SocketAddrV4, target: &str) -> Option<Value> {
    Some(ask(connect(address)?, "GET", target, "").json())
}

/// The CGI program under one of its names, as the node's web server runs it; `None`: it is not built, and that is said.
pub fn cgi(tree: &Tree, name: &str) -> Option<Command> {
    // Of the other package, which `cargo test --workspace` builds beside the daemon.
    let program = Path::new(env!("CARGO_BIN_EXE_switchboard")).with_file_name("switchboard-cgi");
    if !program.exists() {
        skipped("switchboard-cgi not built (cargo test --workspace builds it)");
        return None;
    }
    let link = tree.path(name);
    if !link.exists() {
        std::os::unix::fs::symlink(program, &link).unwrap();
    }
    let mut command = Command::new(link);
    command.env_clear().env("GATEWAY_INTERFACE", "CGI/1.1").env("REQUEST_METHOD", "GET");
    command.env("SWITCHBOARD_SOCKET", tree.path("tmp/api.sock"));
    Some(command)
}

/// The value of a metric without labels.
pub fn metric(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no metric {name} in:\n{metrics}")).parse().unwrap()
}
