//! A phone by hand: a socket, and what it says and hears, message by message.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use super::daemon::Exchange;
use super::ground::PATIENCE;

/// A phone that answers every OPTIONS, and is busy, until its socket is no more.
pub fn answers_options(socket: &UdpSocket) {
    let mut buffer = [0; 2_048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let request = String::from_utf8_lossy(&buffer[..length]);
        let mut answer = match request.split(' ').next() {
            Some("OPTIONS") => String::from("SIP/2.0 200 OK\r\n"),
            Some("INVITE") => String::from("SIP/2.0 486 Busy Here\r\n"),
            _ => continue,
        };
        for line in request.lines().take_while(|line| !line.is_empty()) {
            match line.split(':').next() {
                Some("Via" | "From" | "Call-ID" | "CSeq") => answer += &format!("{line}\r\n"),
                Some("To") => answer += &format!("{line};tag=phone\r\n"),
                _ => {}
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        socket.send_to(answer.as_bytes(), from).unwrap();
    }
}

/// One end of a conversation.
pub struct Handset {
    pub socket: UdpSocket,
    /// Where it is, which is also its name.
    pub own: SocketAddrV4,
    /// Where the exchange is.
    pub to: SocketAddrV4,
    registrations: Cell<u32>,
}

impl Handset {
    /// One at address `host` of the exchange's piece of loopback; port 0: any.
    pub fn new(exchange: &Exchange, host: u8, port: u16) -> Self {
        Self::between((exchange.net.host(host), port), SocketAddrV4::new(exchange.address(), exchange.port()))
    }

    pub fn between(own: (Ipv4Addr, u16), to: SocketAddrV4) -> Self {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let own = SocketAddrV4::new(own.0, socket.local_addr().unwrap().port());
        Self { socket, own, to, registrations: Cell::new(0) }
    }

    /// A request; `branch` also makes its Call-ID. `rest` are header lines and what follows them; From, To, CSeq and the end of the
    /// head are added where they are missing.
    pub fn request(&self, method: &str, uri: &str, branch: &str, rest: &str) -> String {
        let own = self.own;
        let missing = |name: &str, line: String| {
            let has = rest.starts_with(name) || rest.contains(&format!("\n{name}"));
            if has { String::new() } else { format!("{name} {line}\r\n") }
        };
        let from = missing("From:", format!("<sip:100@{own}>;tag=t"));
        let to = missing("To:", format!("<{uri}>"));
        let end = if rest.contains("\r\n\r\n") { "" } else { "Content-Length: 0\r\n\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             {from}{to}Call-ID: {branch}@{own}\r\nCSeq: 1 {method}\r\n{rest}{end}"
        )
    }

    pub fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.to).unwrap();
    }

    /// A REGISTER of `number` here; `rest` are further header lines.
    pub fn registration(&self, number: &str, rest: &str) -> String {
        let (own, ip) = (self.own, self.to.ip());
        let contact =
            if rest.contains("Contact:") { String::new() } else { format!("Contact: <sip:{number}@{own}>\r\n") };
        let rest = format!("From: <sip:{number}@{ip}>;tag=r\r\nTo: <sip:{number}@{ip}>\r\n{contact}{rest}");
        let turn = self.registrations.replace(self.registrations.get() + 1);
        self.request("REGISTER", &format!("sip:{ip}"), &format!("r{turn}{number}"), &rest)
    }

    /// Registers `number`; fails unless it is told that it is.
    pub fn register(&self, number: &str, rest: &str) {
        self.send(&self.registration(number, rest));
        self.hears("SIP/2.0 200");
    }

    /// The next message that begins so; others (repeats, provisional answers) are passed over.
    pub fn hears(&self, beginning: &str) -> String {
        let mut buffer = [0; 4_096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {beginning}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(beginning) {
                return text;
            }
        }
    }

    /// Everything that comes until nothing has come for a moment.
    pub fn received(&self) -> Vec<String> {
        self.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while let Ok(length) = self.socket.recv(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        all
    }

    /// Answers a request with a status; `rest` as in [`Handset::request`].
    pub fn answer(&self, request: &str, status: &str, rest: &str) {
        let copied = ["Via:", "From:", "Call-ID:", "CSeq:", "Record-Route:"];
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.lines().take_while(|line| !line.is_empty()) {
            if copied.iter().any(|name| line.starts_with(name)) {
                text += &format!("{line}\r\n");
            } else if line.starts_with("To:") {
                text += &format!("{line};tag=phone\r\n");
            }
        }
        self.send(&(text + rest + if rest.contains("\r\n\r\n") { "" } else { "Content-Length: 0\r\n\r\n" }));
    }
}
