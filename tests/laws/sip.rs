//! An exchange and phones that register, call, answer, hang up, repeat themselves and talk nonsense.

use std::net::{Ipv4Addr, SocketAddrV4};

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::rng::Seed;
use switchboard::sip::{Sip, Whereabouts};
use switchboard::time::Instant;

use crate::Chance;

pub struct Subject {
    sip: Sip,
    /// The latest requests that went to phones, and where to.
    asked: Vec<(SocketAddrV4, String)>,
    /// The latest requests of phones, and from where.
    said: Vec<(SocketAddrV4, Vec<u8>)>,
    questions: Vec<u32>,
    serial: usize,
}

const US: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 100), 5060);

fn phone(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 5060)
}

impl Subject {
    /// A request of a phone for a number.
    fn request(&mut self, chance: &mut Chance, method: &str, source: SocketAddrV4) -> String {
        self.serial += 1;
        let (serial, call) = (self.serial, chance.below(8));
        let number = *chance.of(&[1, 2, 3, 4, 9]);
        let uri = match method {
            "REGISTER" => "sip:local.mesh".to_owned(),
            _ => format!(
                "sip:44153{number}@{}",
                chance.of(&["10.0.0.100", "localnode.local.mesh", "elsewhere.x", "10.0.0.3"])
            ),
        };
        let from = format!("<sip:44153{}@local.mesh>;tag=f{call}", source.ip().octets()[3]);
        let to = match method {
            "REGISTER" => format!("<sip:44153{}@local.mesh>", source.ip().octets()[3]),
            "INVITE" | "OPTIONS" | "CANCEL" => format!("<sip:44153{number}@local.mesh>"),
            _ => format!("<sip:44153{number}@local.mesh>;tag=t"),
        };
        // A CANCEL and an ACK belong to a branch that was used before.
        let branch = if matches!(method, "CANCEL" | "ACK") { call } else { serial };
        let expires = chance.of(&["", "Expires: 0\r\n", "Expires: 90\r\n", "Expires: 99999\r\n"]);
        let route = chance.of(&["", "", "Route: <sip:10.0.0.100;lr>\r\n", "Max-Forwards: 0\r\n"]);
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{branch};rport\r\nFrom: {from}\r\nTo: {to}\r\n\
             Call-ID: c{call}\r\nCSeq: {serial} {method}\r\nContact: <sip:{source}>\r\n{expires}{route}Content-Length: 0\r\n\r\n"
        )
    }
}

/// A phone's answer to a request that we sent it.
fn answer(chance: &mut Chance, request: &str) -> String {
    let status = chance.of(&[
        "100 Trying",
        "180 Ringing",
        "200 OK",
        "200 OK",
        "302 Moved",
        "486 Busy",
        "487 Terminated",
        "503 No",
        "603 Decline",
    ]);
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.split("\r\n").skip(1) {
        let name = line.split(':').next().unwrap_or_default();
        if ["Via", "From", "Call-ID", "CSeq", "Record-Route"].contains(&name) {
            text += &format!("{line}\r\n");
        } else if name == "To" {
            text += &format!("{line}{}\r\n", if line.contains("tag=") { "" } else { ";tag=t" });
        }
    }
    text + "Contact: <sip:10.0.0.2>\r\nContent-Length: 0\r\n\r\n"
}

impl crate::Subject for Subject {
    const NAME: &'static str = "sip";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &[];

    fn new(seed: &Seed, now: Instant) -> Self {
        let mut sip = Sip::new(&config::Sip::default(), "local.mesh", seed, now);
        sip.set_identity("HB9BLA-1", &[*US.ip()]);
        Self { sip, asked: Vec::new(), said: Vec::new(), questions: Vec::new(), serial: 0 }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.sip
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        let source = phone(*chance.of(&[1, 2, 3, 4]));
        match chance.below(32) {
            0..=13 => {
                let methods = [
                    "REGISTER", "REGISTER", "INVITE", "INVITE", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "MESSAGE",
                ];
                let method = *chance.of(&methods);
                let bytes = self.request(chance, method, source).into_bytes();
                let bytes = if chance.one_in(8) { chance.damaged(bytes) } else { bytes };
                if self.said.len() >= 16 {
                    self.said.remove(0);
                }
                self.said.push((source, bytes.clone()));
                self.sip.handle_datagram(&bytes, source, US, now);
            }
            14..=16 if !self.said.is_empty() => {
                let (source, bytes) = chance.of(&self.said).clone();
                self.sip.handle_datagram(&bytes, source, US, now);
            }
            17..=24 if !self.asked.is_empty() => {
                let (source, request) = chance.of(&self.asked).clone();
                let bytes = answer(chance, &request).into_bytes();
                let bytes = if chance.one_in(8) { chance.damaged(bytes) } else { bytes };
                self.sip.handle_datagram(&bytes, source, US, now);
            }
            25..=27 if !self.questions.is_empty() => {
                let token = self.questions.remove(chance.below(self.questions.len()));
                let places = [*phone(2).ip(), *phone(3).ip(), *phone(2).ip()];
                let whereabouts = *chance.of(&[
                    Whereabouts::At(&places),
                    Whereabouts::At(&places[..1]),
                    Whereabouts::At(&[]),
                    Whereabouts::Unknown,
                    Whereabouts::KnownButUnreachable,
                ]);
                self.sip.handle_whereabouts(token, whereabouts, now);
            }
            28 => self.sip.handle_unreachable(source, None, now),
            29 => self.sip.handle_congestion(chance.one_in(2)),
            30 => {
                let saved = chance.damaged(self.sip.save("boot"));
                self.sip.restore(&saved, "boot", now);
            }
            _ => self.sip.handle_datagram(&chance.bytes(2_000), source, US, now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        let mut buffer = vec![0; 65_535];
        loop {
            while let Some(question) = self.sip.poll_question() {
                log.push(format!("{question:?}"));
                self.questions.push(question.token);
            }
            let Some(sent) = self.sip.poll_transmit(&mut buffer) else { break };
            let text = String::from_utf8_lossy(&buffer[..sent.len]).into_owned();
            log.push(format!("{sent:?} {text}"));
            if !text.starts_with("SIP/2.0 ") {
                if self.asked.len() >= 16 {
                    self.asked.remove(0);
                }
                self.asked.push((sent.destination, text));
            }
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(3) {
            0 => self.sip.handle_whereabouts(u32::MAX, Whereabouts::Unknown, now),
            1 => {
                let request = self.request(chance, "INVITE", US);
                let bytes = answer(chance, &request);
                self.sip.handle_datagram(bytes.as_bytes(), phone(1), US, now);
            }
            _ => self.sip.handle_datagram(b"\x00\x01\x00\x00!\x12\xa4B", phone(1), US, now),
        }
    }
}
