//! An exchange with several addresses behind one socket, as every node has: an answer comes from the address that was
//! asked, and what is written into messages is an address at which it can be reached.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use crate::daemon::{Exchange, Setup};
use crate::ground::PATIENCE;

/// A phone that only hears the address of the exchange which it talks to.
struct Line {
    socket: UdpSocket,
    own: SocketAddrV4,
    to: SocketAddrV4,
}

impl Line {
    fn new(own: Ipv4Addr, to: SocketAddrV4) -> Self {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(to).unwrap();
        let own = SocketAddrV4::new(own, socket.local_addr().unwrap().port());
        Self { socket, own, to }
    }

    fn asks(&self, method: &str, user: &str, further: &str) {
        let Self { own, to, .. } = self;
        let target = if method == "INVITE" { format!("{user}@{to}") } else { to.to_string() };
        let text = format!(
            "{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:me@{own}>;tag=1\r\nTo: <sip:{user}@{to}>\r\nCall-ID: {method}@{own}\r\nCSeq: 1 {method}\r\n\
             {further}Content-Length: 0\r\n\r\n"
        );
        self.socket.send(text.as_bytes()).unwrap();
    }

    /// The next message, which must begin like this.
    fn hears(&self, beginning: &str) -> String {
        let mut bytes = [0; 4_096];
        let length = self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {beginning}: {error}"));
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(text.starts_with(beginning), "not {beginning}: {text}");
        text
    }
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let exchange = Exchange::with("addresses", &Setup { everywhere: true, ..Setup::default() });
    if exchange.is_stand_in() {
        return;
    }
    let at = |host| SocketAddrV4::new(exchange.net.host(host), exchange.port());
    for host in [1, 77, 99] {
        let line = Line::new(exchange.net.host(2), at(host));
        line.asks("OPTIONS", "", "");
        line.hears("SIP/2.0 200");
    }
}

#[test]
fn each_phone_knows_the_exchange_by_the_address_that_it_uses() {
    let exchange = Exchange::with("both-sides", &Setup { everywhere: true, ..Setup::default() });
    if exchange.is_stand_in() {
        return;
    }
    let at = |host| SocketAddrV4::new(exchange.net.host(host), exchange.port());
    let (near, far) = (at(1), at(77));
    let caller = Line::new(exchange.net.host(2), near);
    let callee = Line::new(exchange.net.host(3), far);
    callee.asks("REGISTER", "196630", &format!("Contact: <sip:196630@{}>\r\n", callee.own));
    callee.hears("SIP/2.0 200");
    caller.asks("INVITE", "196630", &format!("Contact: <sip:441530@{}>\r\n", caller.own));
    caller.hears("SIP/2.0 100");
    let invite = callee.hears("INVITE ");
    let via = invite.lines().find(|line| line.starts_with("Via:")).unwrap();
    assert!(via.contains(&far.to_string()), "{via}");
    let route = invite.lines().find(|line| line.starts_with("Record-Route:")).unwrap();
    assert!(route.contains(&near.to_string()) || route.contains(&far.to_string()), "{route}");
    assert!(route.contains(";lr"), "{route}");
    let mut answer = "SIP/2.0 486 Busy Here\r\n".to_owned();
    for line in invite.lines() {
        if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            answer.push_str(&format!("{line}\r\n"));
        } else if line.starts_with("To:") {
            answer.push_str(&format!("{line};tag=2\r\n"));
        }
    }
    callee.socket.send(format!("{answer}Content-Length: 0\r\n\r\n").as_bytes()).unwrap();
    callee.hears("ACK ");
    caller.hears("SIP/2.0 486");
}
