//! The exchange under load: what a call costs in memory, that a full table lets go of the oldest instead of growing, and that no
//! stream of broken messages breaks a bound. What single behaviours look like is in `tests/transcripts.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::rng::Rng;
use switchboard::sip::{Sip, Whereabouts};
use switchboard::time::Instant;

const OURS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5060);
const CALLER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 5060);
const CALLEE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 5060);

/// A description as a usual desk phone sends it.
const SDP: &str = "v=0\r\no=- 20056 20056 IN IP4 10.0.0.2\r\ns=SDP data\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n\
    m=audio 11782 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
    a=ptime:20\r\na=sendrecv\r\n";

struct Bench {
    sip: Sip,
    now: Instant,
    buffer: Vec<u8>,
    sent: Vec<(SocketAddrV4, Vec<u8>)>,
}

impl Bench {
    fn new(config: &config::Sip) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut sip = Sip::new(config, "local.mesh", &[9; 32], now);
        sip.set_identity("node", &[*OURS.ip()]);
        Self { sip, now, buffer: vec![0; 65_536], sent: Vec::new() }
    }

    fn deliver(&mut self, from: SocketAddrV4, bytes: &[u8]) {
        self.sip.handle_datagram(bytes, from, OURS, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        self.sent.clear();
        loop {
            while let Some(question) = self.sip.poll_question() {
                self.sip.handle_whereabouts(question.token, Whereabouts::At(&[*CALLEE.ip()]), self.now);
            }
            let Some(sent) = self.sip.poll_transmit(&mut self.buffer) else { break };
            self.sent.push((sent.destination, self.buffer[..sent.len].to_vec()));
        }
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(next) = self.sip.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.sip.handle_timeout(self.now);
            assert!(self.sip.next_deadline().is_none_or(|next| next > self.now));
            self.drain();
        }
        self.now = end;
    }

    /// What was sent to somebody by the last datagram.
    fn to(&self, to: SocketAddrV4) -> Vec<u8> {
        let found = self.sent.iter().rev().find(|(destination, _)| *destination == to);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    fn table(&self, name: &str) -> usize {
        self.sip.tables().iter().find(|table| table.name == name).unwrap().used
    }

    fn counter(&self, name: &str) -> u64 {
        self.sip.counters().iter().find(|counter| counter.name == name).unwrap().count
    }

    fn check(&self) {
        for table in self.sip.tables() {
            assert!(table.used <= table.limit, "{table:?}");
        }
    }

    /// The INVITE of call `n`, and its answer by the callee; says what the callee received.
    fn ring(&mut self, n: usize) -> Vec<u8> {
        self.deliver(CALLER, &invite(n));
        let received = self.to(CALLEE);
        if !received.is_empty() {
            self.deliver(CALLEE, &answer(&received, "180 Ringing"));
        }
        received
    }

    fn answer_and_hang_up(&mut self, n: usize, received: &[u8]) {
        self.deliver(CALLEE, &answer(received, "200 OK"));
        assert!(self.to(CALLER).starts_with(b"SIP/2.0 200"), "call {n}");
        self.deliver(CALLER, &within(n, "ACK", 1));
        assert!(self.to(CALLEE).starts_with(b"ACK"), "call {n}");
        self.deliver(CALLER, &within(n, "BYE", 2));
        let bye = self.to(CALLEE);
        assert!(bye.starts_with(b"BYE"), "call {n}");
        self.deliver(CALLEE, &answer(&bye, "200 OK"));
        assert!(self.to(CALLER).starts_with(b"SIP/2.0 200"), "call {n}");
    }
}

fn invite(n: usize) -> Vec<u8> {
    format!(
        "INVITE sip:441530@localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{n};rport\r\n\
         From: \"Anna\" <sip:441531@localnode.local.mesh>;tag=from{n}\r\nTo: <sip:441530@localnode.local.mesh>\r\n\
         Call-ID: {n}-call@10.0.0.2\r\nCSeq: 1 INVITE\r\nContact: <sip:441531@{CALLER}>\r\nMax-Forwards: 70\r\n\
         User-Agent: Yealink SIP-T46G 28.83.0.50\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REFER, UPDATE\r\n\
         Supported: replaces\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
    .into_bytes()
}

fn within(n: usize, method: &str, cseq: u32) -> Vec<u8> {
    format!(
        "{method} sip:441530@{CALLEE} SIP/2.0\r\nVia: SIP/2.0/UDP {CALLER};branch=z9hG4bK{n}{method};rport\r\n\
         Route: <sip:{OURS};lr>\r\nFrom: \"Anna\" <sip:441531@localnode.local.mesh>;tag=from{n}\r\n\
         To: <sip:441530@localnode.local.mesh>;tag=to\r\nCall-ID: {n}-call@10.0.0.2\r\nCSeq: {cseq} {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// A response with the fields of the request that it must have.
fn answer(request: &[u8], status: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut out = format!("SIP/2.0 {status}\r\n");
    for line in text.lines().take_while(|line| !line.is_empty()) {
        if ["Via:", "Record-Route:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            out += &format!("{line}\r\n");
        } else if line.starts_with("To:") {
            out += &format!("{line}{}\r\n", if line.contains(";tag=") { "" } else { ";tag=to" });
        }
    }
    out += &format!("Contact: <sip:441530@{CALLEE}>\r\nContent-Length: 0\r\n\r\n");
    out.into_bytes()
}

#[test]
fn two_thousand_calls_ring_in_less_than_3_kb_each_and_keep_nothing_once_they_talk() {
    let mut bench = Bench::new(&config::Sip::default());
    let ringing: Vec<_> = (0..2_000).map(|n| bench.ring(n)).collect();
    let bytes = bench.table("sip_transaction_bytes");
    assert!(bytes < 2_000 * 3_000, "{} bytes for a call that rings", bytes / 2_000);
    for (n, received) in ringing.iter().enumerate() {
        bench.deliver(CALLEE, &answer(received, "200 OK"));
        assert!(bench.to(CALLER).starts_with(b"SIP/2.0 200"), "call {n}");
        bench.deliver(CALLER, &within(n, "ACK", 1));
    }
    let bytes = bench.table("sip_transaction_bytes");
    assert!(bytes < 2_000 * 900, "{} bytes for a call that was just answered", bytes / 2_000);
    assert_eq!(bench.sip.calls().len(), 2_000);
    bench.advance(Duration::from_secs(33));
    assert_eq!(bench.table("sip_transactions"), 0, "a call that talks needs no transaction");
    assert_eq!(bench.table("sip_transaction_bytes"), 0);
}

#[test]
fn a_full_table_forgets_the_oldest_and_refuses_nothing() {
    let config = config::Sip { transaction_memory: 64 << 10, ..config::Sip::default() };
    let mut bench = Bench::new(&config);
    // At once: what lingers for 32 s would take sixty times the memory that there is.
    for n in 0..3_000 {
        let received = bench.ring(n);
        bench.answer_and_hang_up(n, &received);
        bench.check();
    }
    assert_eq!(bench.counter("refused_overload"), 0);
    assert!(bench.counter("transactions_evicted") > 4_000);
    assert_eq!(bench.sip.calls().len(), 0);
    bench.advance(Duration::from_secs(33));
    assert_eq!(bench.table("sip_transactions"), 0);
}

#[test]
fn calls_that_ring_are_not_forgotten_for_new_ones() {
    let config = config::Sip { transaction_memory: 64 << 10, ..config::Sip::default() };
    let mut bench = Bench::new(&config);
    let ringing: Vec<_> = (0..1_000).map(|n| bench.ring(n)).filter(|received| !received.is_empty()).collect();
    let refused = bench.counter("refused_overload");
    assert!((10..100).contains(&ringing.len()) && refused == 1_000 - ringing.len() as u64, "{}", ringing.len());
    bench.check();
    for (n, received) in ringing.iter().enumerate() {
        bench.answer_and_hang_up(n, received);
        bench.check();
    }
    // There is room again, without waiting for anything.
    assert!(!bench.ring(5_000).is_empty());
}

/// One source sends INVITEs that nobody answers, as fast as it can. Everybody else still gets through.
#[test]
fn one_source_alone_cannot_fill_the_table() {
    let config = config::Sip { transaction_memory: 1 << 20, ..config::Sip::default() };
    let mut bench = Bench::new(&config);
    for n in 0..2_000 {
        bench.deliver(CALLER, &invite(n));
    }
    assert!(bench.counter("refused_overload") > 1_500);
    let neighbour = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 3), 5060);
    for n in 2_000..2_010 {
        bench.deliver(neighbour, &invite(n));
        assert!(bench.to(CALLEE).starts_with(b"INVITE"), "call {n}");
        bench.deliver(CALLER, &invite(2_000 + n));
        assert!(bench.to(CALLEE).is_empty(), "call {n}");
    }
}

#[test]
fn answered_calls_leave_no_timers_behind() {
    let mut bench = Bench::new(&config::Sip::default());
    let bytes = |bench: &Bench| bench.table("sip_transaction_bytes");
    for n in 0..3_000 {
        let received = bench.ring(n);
        bench.answer_and_hang_up(n, &received);
        bench.advance(Duration::from_millis(20));
        bench.check();
    }
    // 32 s of calls, not 60 s.
    let settled = bytes(&bench);
    for n in 3_000..5_000 {
        let received = bench.ring(n);
        bench.answer_and_hang_up(n, &received);
        bench.advance(Duration::from_millis(20));
    }
    assert!(bytes(&bench).abs_diff(settled) < settled / 20, "steady: {settled}, {}", bytes(&bench));
}

#[test]
fn large_messages_pass_whole() {
    for size in [3_500, 8_000, 60_000] {
        let mut bench = Bench::new(&config::Sip::default());
        let body: String = "a=candidate:1 1 UDP 2130706431 10.0.0.2 50000 typ host\r\n".repeat(size / 57);
        let mut request = String::from_utf8(within(1, "MESSAGE", 3)).unwrap();
        request =
            request.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        bench.deliver(CALLER, request.as_bytes());
        let received = String::from_utf8(bench.to(CALLEE)).unwrap();
        assert!(received.ends_with(&format!("\r\n\r\n{body}")), "{size}");
        let mut response = String::from_utf8(answer(received.as_bytes(), "200 OK")).unwrap();
        response =
            response.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        bench.deliver(CALLEE, response.as_bytes());
        assert!(String::from_utf8(bench.to(CALLER)).unwrap().ends_with(&body), "{size}");
        bench.check();
    }
}

/// Real messages with random damage, from few addresses, with a clock that jumps: nothing panics, no table grows over its
/// bound, nothing is amplified beyond a few datagrams, and in the end nothing is left.
#[test]
fn broken_messages_break_nothing() {
    for seed in 0..8_u8 {
        let config = config::Sip { transaction_memory: 128 << 10, ..config::Sip::default() };
        let mut bench = Bench::new(&config);
        let mut rng = Rng::new(&[seed; 32], "damage");
        let mut heard: Vec<Vec<u8>> = vec![invite(1), within(1, "BYE", 2), within(1, "CANCEL", 1), within(1, "ACK", 1)];
        for method in ["REGISTER", "SUBSCRIBE", "OPTIONS", "NOTIFY", "REFER", "CANCEL"] {
            let text = String::from_utf8(invite(2)).unwrap();
            heard.push(
                text.replace("INVITE sip:441530@", &format!("{method} sip:"))
                    .replace("1 INVITE", &format!("1 {method}"))
                    .into(),
            );
        }
        for round in 0..2_000 {
            let pick = usize::try_from(rng.below(heard.len() as u64)).unwrap();
            let mut bytes = heard[pick].clone();
            if bytes.starts_with(b"SIP/2.0") || rng.below(3) == 0 {
                for _ in 0..rng.below(4) {
                    let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                    bytes[at] = u8::try_from(rng.below(256)).unwrap();
                }
            } else if rng.below(2) == 0 && !bytes.starts_with(b"ACK") {
                let status = ["100 Trying", "180 Ringing", "200 OK", "302 Moved", "486 Busy", "503 No", "603 Decline"];
                bytes = answer(&bytes, status[usize::try_from(rng.below(7)).unwrap()]);
            }
            let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, u8::try_from(rng.below(12)).unwrap()), 5060);
            bench.deliver(from, &bytes);
            assert!(bench.sent.len() < 20, "seed {seed}, round {round}: {} for one", bench.sent.len());
            for (_, bytes) in bench.sent.iter().take(3) {
                if heard.len() < 200 {
                    heard.push(bytes.clone());
                } else {
                    heard[usize::try_from(rng.below(190)).unwrap() + 10] = bytes.clone();
                }
            }
            match rng.below(10) {
                0 => bench.advance(Duration::from_millis(rng.below(3_000))),
                1 if rng.below(20) == 0 => bench.advance(Duration::from_secs(rng.below(300))),
                2 => bench.sip.handle_unreachable(from, None, bench.now),
                _ => {}
            }
            bench.drain();
            bench.check();
        }
        bench.advance(Duration::from_secs(1_000));
        assert_eq!(bench.table("sip_transactions"), 0, "seed {seed}");
        assert_eq!(bench.table("sip_transaction_bytes"), 0, "seed {seed}");
    }
}
