//! Two softphones (baresip) that call each other through the exchange, hear each other and hear the other hang up.
//!
//! They are told what to do, and tell what happens, over baresip's `ctrl_tcp`: netstrings of JSON.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::real::daemon::DOMAIN;
use crate::real::{Exchange, PATIENCE, Process, Setup, installed, until};

const MODULES: &str = "/usr/lib/baresip/modules";

/// A running softphone. Fields in the order in which they must go: the line first, then the process.
pub struct Softphone {
    line: TcpStream,
    received: Vec<u8>,
    messages: VecDeque<Value>,
    number: String,
    _process: Process,
}

impl Softphone {
    /// Starts one at address `host`, and waits until it is registered.
    pub fn start(exchange: &Exchange, number: &str, host: u8) -> Self {
        Self::with_account(exchange, number, host, &format!("<sip:{number}@{}>", exchange.address()))
    }

    /// One that knows the exchange as outbound proxy of a domain, as many phones of the field are set up.
    pub fn with_outbound_proxy(exchange: &Exchange, number: &str, host: u8) -> Self {
        let account = format!("<sip:{number}@{DOMAIN}>;outbound=\"sip:{}\"", exchange.address());
        Self::with_account(exchange, number, host, &account)
    }

    fn with_account(exchange: &Exchange, number: &str, host: u8, account: &str) -> Self {
        let address = exchange.net.host(host);
        let tree = &exchange.tree;
        let folder = format!("baresip-{host}");
        let tone = tree.write(&format!("{folder}/tone.wav"), tone());
        let mut config = String::new();
        for line in [
            format!("sip_listen {address}:5060"),
            format!("net_interface {address}"),
            format!("module_path {MODULES}"),
            "module g711.so".into(),
            "module aufile.so".into(),
            "module_tmp account.so".into(),
            "module_app menu.so".into(),
            "module_app ctrl_tcp.so".into(),
            format!("ctrl_tcp_listen {address}:4444"),
            format!("audio_source aufile,{}", tone.display()),
            "ausrc_srate 8000".into(),
            "auplay_srate 8000".into(),
            "audio_channels 1".into(),
            "call_max_calls 4".into(),
        ] {
            writeln!(config, "{line}").unwrap();
        }
        tree.write(&format!("{folder}/config"), config);
        tree.write(&format!("{folder}/accounts"), format!("\"Phone {number}\" {account};regint=600\n"));
        tree.write(&format!("{folder}/contacts"), "");
        let mut command = Command::new("baresip");
        command.arg("-f").arg(tree.path(&folder)).current_dir(tree.path(&folder));
        let mut process = Process::start(&folder, &mut command, &tree.path(""));
        let line = until("the softphone to listen", PATIENCE, || {
            if let Some(status) = process.ended() {
                panic!("the softphone ended at once: {status}");
            }
            TcpStream::connect((address, 4_444)).ok()
        });
        line.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut phone =
            Self { line, received: Vec::new(), messages: VecDeque::new(), number: number.into(), _process: process };
        phone.until_registered();
        phone
    }

    /// Waits until the exchange has accepted its registration.
    pub fn until_registered(&mut self) {
        until("the softphone to be registered", PATIENCE, || self.tell("reginfo", "").contains("OK ").then_some(()));
    }

    /// Gives a command and answers what it printed.
    pub fn tell(&mut self, command: &str, parameters: &str) -> String {
        let text = json!({"command": command, "params": parameters, "token": "t"}).to_string();
        write!(self.line, "{}:{text},", text.len()).unwrap();
        let answer = self.message(command, |message| message.get("response").is_some());
        assert_eq!(answer["ok"], json!(true), "{} does not {command}: {answer}", self.number);
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an event (`CALL_INCOMING`, `CALL_ESTABLISHED`, …).
    pub fn hears(&mut self, event: &str) -> Value {
        self.message(event, |message| message["type"] == event)
    }

    fn message(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.messages.iter().position(&wanted) {
                return self.messages.remove(place).unwrap();
            }
            assert!(Instant::now() < deadline, "{}: no {what}; others: {:?}", self.number, self.messages);
            let mut bytes = [0; 4_096];
            match self.line.read(&mut bytes) {
                Ok(0) => panic!("{} hung up its control line", self.number),
                Ok(length) => self.received.extend_from_slice(&bytes[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{}: {error}", self.number),
            }
            self.unwrap_netstrings();
        }
    }

    fn unwrap_netstrings(&mut self) {
        while let Some(colon) = self.received.iter().position(|byte| *byte == b':') {
            let length: usize = std::str::from_utf8(&self.received[..colon]).unwrap().parse().unwrap();
            let end = colon + 1 + length;
            if self.received.len() <= end {
                break;
            }
            self.messages.push_back(serde_json::from_slice(&self.received[colon + 1..end]).unwrap());
            self.received.drain(..=end);
        }
    }
}

/// Ten seconds of 440 Hz, as a WAV file of 8 kHz: something to hear.
fn tone() -> Vec<u8> {
    let samples: Vec<u8> =
        (0..80_000).flat_map(|place| if place / 9 % 2 == 0 { 4_000_i16 } else { -4_000 }.to_le_bytes()).collect();
    let size = u32::try_from(samples.len()).unwrap();
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(size + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&8_000_u32.to_le_bytes());
    file.extend_from_slice(&16_000_u32.to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&size.to_le_bytes());
    file.extend_from_slice(&samples);
    file
}

/// Whether softphones can be had here.
pub fn baresip() -> bool {
    installed("baresip", "baresip-core")
}

/// Dials, rings, answers; returns when both have the call and hear each other's voice.
pub fn talk(exchange: &Exchange, caller: &mut Softphone, callee: &mut Softphone) {
    let number = callee.number.clone();
    caller.tell("dial", &format!("sip:{number}@{}", exchange.address()));
    caller.hears("CALL_RINGING");
    let incoming = callee.hears("CALL_INCOMING");
    assert!(incoming["peeruri"].as_str().unwrap().contains(&caller.number), "who calls? {incoming}");
    callee.tell("accept", "");
    for phone in [&mut *caller, &mut *callee] {
        phone.hears("CALL_ESTABLISHED");
        phone.hears("CALL_RTPESTAB");
    }
}

/// One hangs up, both hear it.
pub fn part(first: &mut Softphone, second: &mut Softphone) {
    first.tell("hangup", "");
    first.hears("CALL_CLOSED");
    let closed = second.hears("CALL_CLOSED");
    assert_eq!(closed["param"], "Connection reset by peer", "closed, but not by the other side's BYE");
}

#[test]
fn two_softphones_talk_and_hear_either_side_hang_up() {
    if baresip() {
        let exchange = Exchange::start("softphones");
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        talk(&exchange, &mut first, &mut second);
        part(&mut first, &mut second);
        talk(&exchange, &mut first, &mut second);
        part(&mut second, &mut first);
        talk(&exchange, &mut second, &mut first);
        part(&mut first, &mut second);
    }
}

#[test]
fn softphones_with_an_outbound_proxy_talk() {
    if baresip() {
        let exchange = Exchange::start("outbound");
        let mut first = Softphone::with_outbound_proxy(&exchange, "441530", 2);
        let mut second = Softphone::with_outbound_proxy(&exchange, "196630", 3);
        first.tell("dial", &format!("sip:196630@{DOMAIN}"));
        second.hears("CALL_INCOMING");
        second.tell("accept", "");
        first.hears("CALL_ESTABLISHED");
        second.hears("CALL_ESTABLISHED");
        part(&mut second, &mut first);
    }
}

#[test]
fn a_call_is_held_resumed_and_handed_on() {
    if baresip() {
        let exchange = Exchange::start("transfer");
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        let mut third = Softphone::start(&exchange, "441531", 4);
        talk(&exchange, &mut first, &mut second);
        first.tell("hold", "");
        second.hears("CALL_REMOTE_SDP");
        first.tell("resume", "");
        second.hears("CALL_REMOTE_SDP");
        // REFER: the second calls the third, and the first is out of it.
        first.tell("transfer", &format!("sip:441531@{}", exchange.address()));
        third.hears("CALL_INCOMING");
        third.tell("accept", "");
        third.hears("CALL_ESTABLISHED");
        second.hears("CALL_ESTABLISHED");
        part(&mut third, &mut second);
    }
}

#[test]
fn a_softphone_that_declines_is_heard() {
    if baresip() {
        let exchange = Exchange::start("declining");
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        first.tell("dial", &format!("sip:196630@{}", exchange.address()));
        second.hears("CALL_INCOMING");
        second.tell("hangup", "");
        let closed = first.hears("CALL_CLOSED");
        assert!(closed["param"].as_str().unwrap().starts_with("486"), "{closed}");
    }
}

#[test]
fn a_softphone_that_gives_up_stops_the_ringing() {
    if baresip() {
        let exchange = Exchange::start("giving-up");
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        first.tell("dial", &format!("sip:196630@{}", exchange.address()));
        first.hears("CALL_RINGING");
        second.hears("CALL_INCOMING");
        first.tell("hangup", "");
        second.hears("CALL_CLOSED");
    }
}

#[test]
fn a_call_and_registrations_survive_a_restart_of_the_exchange() {
    if baresip() {
        let mut exchange = Exchange::with("restart", &Setup::default());
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        talk(&exchange, &mut first, &mut second);
        exchange.restart();
        part(&mut first, &mut second);
        if exchange.is_stand_in() {
            return; // It forgets registrations.
        }
        talk(&exchange, &mut first, &mut second);
        exchange.restart();
        part(&mut second, &mut first);
    }
}
