//! The test desk with a phone or two, on a moved clock.

use crate::sorted::SortedSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::*;
use crate::wire::icmp::{self, Echo, Quote};
use crate::wire::sip::{Answer, Message, Name, respond};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PHONE: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const ID: u16 = 4_242;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sip_at(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, 5060)
}

fn names(numbers: &[&str]) -> SortedSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

/// An echo that was sent.
#[derive(Clone, Debug)]
struct Ping {
    to: Ipv4Addr,
    ttl: Option<u8>,
    bytes: Vec<u8>,
}

impl Ping {
    fn echo(&self) -> Echo<'_> {
        match icmp::parse(&self.bytes) {
            Ok(icmp::Message::Request(echo)) => echo,
            other => panic!("{other:?}"),
        }
    }
}

/// The engine, and what it sent since it was last looked at.
struct Desk {
    probe: Probe,
    now: Instant,
    pings: Vec<Ping>,
    messages: Vec<(SocketAddrV4, Vec<u8>)>,
    /// Where phones are; `None`: nowhere.
    found: Option<Ipv4Addr>,
}

impl Desk {
    fn new(config: config::Probe, numbers: &[&str]) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut probe = Probe::new(&config, &[3; 32], now);
        probe.set_identity(&[Ipv4Addr::LOCALHOST, US]);
        probe.handle_icmp_mode(IcmpMode::Raw, ID, now);
        probe.handle_targets(&names(numbers), now);
        Self { probe, now, pings: Vec::new(), messages: Vec::new(), found: Some(PHONE) }
    }

    fn drain(&mut self) {
        while let Some((token, number)) = self.probe.poll_question() {
            // The last digits of a number are those of its address.
            let last = number.bytes().last().map_or(0, |digit| digit - b'0');
            let whereabouts = self.found.map(|address| {
                let [a, b, c, d] = address.octets();
                Whereabouts { address: sip_at(Ipv4Addr::new(a, b, c, d + last)), node: None }
            });
            self.probe.handle_address(token, whereabouts, self.now);
        }
        let mut buffer = [0; 2_000];
        while let Some(out) = self.probe.poll_icmp(&mut buffer, self.now) {
            self.pings.push(Ping { to: out.destination, ttl: out.ttl, bytes: buffer[..out.len].to_vec() });
        }
        while let Some((to, length)) = self.probe.poll_transmit(&mut buffer) {
            self.messages.push((to, buffer[..length].to_vec()));
        }
    }

    /// Time passes, and everything is done in its time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        while let Some(at) = self.probe.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.probe.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Until the next cycle has begun and its first packets are out.
    fn begin(&mut self) {
        self.drain();
        let start = self.probe.progress(self.now).next.unwrap();
        self.pass(start.since(self.now) + ms(20));
    }

    fn icmp(&mut self, from: Ipv4Addr, ttl: u8, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut bytes = [0; 200];
        let length = write(&mut bytes).unwrap();
        let message = IcmpIn { from, ttl: Some(ttl), bytes: &bytes[..length], at: self.now };
        self.probe.handle_icmp(&message, self.now);
        self.drain();
    }

    fn reply(&mut self, ping: &Ping, ttl: u8) {
        self.icmp(ping.to, ttl, |out| icmp::emit_reply(&ping.echo(), out));
    }

    fn expire(&mut self, ping: &Ping, router: Ipv4Addr) {
        let (Echo { identifier, sequence, .. }, destination) = (ping.echo(), ping.to);
        let quote = Quote { source: US, destination, identifier, sequence };
        self.icmp(router, 60, |out| icmp::emit_time_exceeded(&quote, out));
    }

    /// Answers a request that was sent, from `source`.
    fn answer_from(&mut self, source: SocketAddrV4, request: &[u8], status: u16) {
        let mut table = HeaderTable::default();
        let message = Message::parse(request, &mut table).unwrap();
        let mut out = Vec::new();
        let tag = (status > 100).then_some(&b"phone"[..]);
        let extra: &[(&str, &[u8])] = &[("Contact", b"<sip:line1@10.1.2.3:5062>")];
        respond(&message, &Answer { status, reason: "X", to_tag: tag, extra, ..Answer::default() }, &mut out);
        self.probe.handle_datagram(&out, source, Some(62), self.now);
        self.drain();
    }

    fn answer(&mut self, request: &(SocketAddrV4, Vec<u8>), status: u16) {
        self.answer_from(request.0, &request.1, status);
    }

    fn take_pings(&mut self) -> Vec<Ping> {
        std::mem::take(&mut self.pings)
    }

    fn take_messages(&mut self) -> Vec<(SocketAddrV4, Vec<u8>)> {
        std::mem::take(&mut self.messages)
    }

    /// The methods of what was sent, and forgets it.
    fn methods(&mut self) -> Vec<String> {
        self.take_messages().iter().map(|(_, bytes)| method(bytes)).collect()
    }

    fn count(&self, name: &str) -> u64 {
        self.probe.counters().iter().find(|counter| counter.name == name).unwrap().count
    }

    fn status(&self, number: &str) -> (Status, Status, Status) {
        let phone = self.probe.find(number).unwrap();
        (phone.ping().0, phone.options().0, phone.status())
    }
}

fn method(bytes: &[u8]) -> String {
    String::from_utf8(bytes.split(|b| *b == b' ').next().unwrap().to_vec()).unwrap()
}

fn header(bytes: &[u8], name: Name) -> String {
    let mut table = HeaderTable::default();
    let message = Message::parse(bytes, &mut table).unwrap();
    String::from_utf8(message.header(name).unwrap().to_vec()).unwrap()
}

fn pings_only(count: usize) -> config::Probe {
    config::Probe { ping_count: count, options_count: 0, traceroute: false, ..config::Probe::default() }
}

fn options_only(count: usize) -> config::Probe {
    config::Probe { ping_count: 0, options_count: count, ..config::Probe::default() }
}

fn ringing() -> config::Probe {
    config::Probe {
        ping_count: 0,
        options_count: 1,
        call_test: true,
        interval: Duration::from_secs(120),
        timeout: Duration::from_secs(1),
        ..config::Probe::default()
    }
}

/// A phone that is rung: its INVITE.
fn rung(desk: &mut Desk) -> (SocketAddrV4, Vec<u8>) {
    desk.begin();
    desk.pass(ms(1_000));
    let messages = desk.take_messages();
    let is_invite = |message: &&(SocketAddrV4, Vec<u8>)| method(&message.1) == "INVITE";
    assert_eq!(messages.iter().filter(is_invite).count(), 1);
    messages.last().filter(is_invite).unwrap().clone()
}

#[test]
fn nobody_to_test_is_nothing_to_do() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert_eq!(desk.probe.next_deadline(), None);
    desk.probe.handle_targets(&names(&["441530"]), desk.now);
    assert!(desk.probe.next_deadline().is_some());
    desk.probe.handle_targets(&names(&[]), desk.now);
    assert_eq!(desk.probe.next_deadline(), None);
    desk.pass(Duration::from_secs(10_000));
    assert!(desk.pings.is_empty() && desk.messages.is_empty());
}

#[test]
fn a_phone_takes_less_than_400_bytes() {
    assert!(size_of::<Phone>() + "4415301234".len() < 400, "{}", size_of::<Phone>());
}

#[test]
fn an_answer_counts_by_identifier_sequence_and_target_in_time_and_once() {
    let mut desk = Desk::new(pings_only(2), &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    assert_eq!((ping.to, ping.ttl, ping.echo().identifier), (PHONE, None, ID));
    desk.pass(ms(30));
    let echo = ping.echo();
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { identifier: ID + 1, ..echo }, out));
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { sequence: echo.sequence + 1, ..echo }, out));
    desk.icmp(PHONE, 60, |out| icmp::emit_reply(&Echo { payload: b"abc", ..echo }, out));
    desk.icmp(ROUTER, 60, |out| icmp::emit_reply(&echo, out));
    assert_eq!((desk.count("foreign_answers"), desk.count("pings_answered")), (4, 0));
    desk.reply(&ping, 60);
    assert_eq!(desk.count("pings_answered"), 1);
    desk.reply(&ping, 60);
    assert_eq!((desk.count("pings_answered"), desk.count("late_answers")), (1, 1));
    // The second comes too late.
    desk.pass(ms(300));
    let second = desk.take_pings().remove(0);
    desk.pass(ms(2_500));
    desk.reply(&second, 60);
    assert_eq!((desk.count("late_answers"), desk.count("lost")), (2, 1));
    let (status, stats) = desk.probe.find("441530").unwrap().ping();
    assert_eq!((status, stats.sent, stats.received), (Status::Online, 2, 1));
    assert_eq!(stats.rtt.unwrap().avg_us, 50_000, "20 ms since the beginning, and 30");
}

#[test]
fn the_kernels_time_counts_and_not_ours() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    let sent = Instant::from_micros(desk.now.as_micros() - 20_000);
    let mut bytes = [0; 64];
    let length = icmp::emit_reply(&ping.echo(), &mut bytes).unwrap();
    desk.pass(ms(900));
    let message = IcmpIn { from: PHONE, ttl: None, bytes: &bytes[..length], at: sent + Duration::from_micros(1_234) };
    desk.probe.handle_icmp(&message, desk.now);
    assert_eq!(desk.probe.find("441530").unwrap().ping().1.rtt.unwrap().avg_us, 1_234);
}

#[test]
fn a_busy_node_does_not_make_phones_slow() {
    let mut desk = Desk::new(pings_only(1), &["441530"]);
    desk.drain();
    desk.now = desk.probe.progress(desk.now).next.unwrap();
    for _ in 0..2 {
        desk.probe.handle_timeout(desk.now);
        while let Some((token, _)) = desk.probe.poll_question() {
            let whereabouts = Whereabouts { address: sip_at(PHONE), node: None };
            desk.probe.handle_address(token, Some(whereabouts), desk.now);
        }
    }
    // Calls keep the node busy for 40 ms before it gets round to sending.
    desk.now = desk.now + ms(40);
    desk.drain();
    let ping = desk.take_pings().remove(0);
    desk.now = desk.now + ms(3);
    desk.reply(&ping, 64);
    assert_eq!(desk.probe.find("441530").unwrap().ping().1.rtt.unwrap().avg_us, 3_000);
}

#[test]
fn without_icmp_the_ping_is_disabled_and_options_go_on() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.probe.handle_icmp_mode(IcmpMode::None, 0, desk.now);
    assert_eq!(desk.probe.trace(PHONE, 1, desk.now), Err(Refusal::NoIcmp));
    desk.begin();
    assert!(desk.pings.is_empty());
    for _ in 0..5 {
        let request = desk.take_messages().remove(0);
        desk.answer(&request, 200);
        desk.pass(ms(200));
    }
    assert_eq!(desk.status("441530"), (Status::Disabled, Status::Online, Status::Online));
}

#[test]
fn any_final_answer_is_a_sign_of_life() {
    for status in [200, 302, 404, 405, 486, 501, 603] {
        let mut desk = Desk::new(options_only(1), &["441530"]);
        desk.begin();
        let request = desk.take_messages().remove(0);
        desk.answer(&request, status);
        assert_eq!(desk.status("441530"), (Status::Disabled, Status::Online, Status::Online), "{status}");
    }
}

#[test]
fn every_options_is_a_transaction_of_its_own() {
    let mut desk = Desk::new(options_only(3), &["441530"]);
    desk.begin();
    desk.pass(ms(450));
    let requests = desk.take_messages();
    assert_eq!(requests.len(), 3);
    let vias: SortedSet<String> = requests.iter().map(|(_, bytes)| header(bytes, Name::Via)).collect();
    let numbers: Vec<String> = requests.iter().map(|(_, bytes)| header(bytes, Name::CSeq)).collect();
    assert_eq!((vias.len(), numbers), (3, vec!["1 OPTIONS".into(), "2 OPTIONS".into(), "3 OPTIONS".into()]));
    assert_eq!(header(&requests[0].1, Name::CallId), header(&requests[2].1, Name::CallId));
    assert!(header(&requests[0].1, Name::From).contains("sip:999900@10.0.0.1:5070"));
}

#[test]
fn an_options_is_repeated_and_then_not_averaged() {
    let mut desk = Desk::new(options_only(2), &["441530"]);
    desk.begin();
    let first = desk.take_messages().remove(0);
    desk.pass(ms(250));
    let second = desk.take_messages().remove(0);
    desk.answer(&second, 200);
    desk.pass(ms(300));
    let again = desk.take_messages();
    assert_eq!(again, std::slice::from_ref(&first), "byte for byte, after half a second");
    desk.answer(&again[0], 200);
    let stats = desk.probe.find("441530").unwrap().options().1;
    assert_eq!((stats.sent, stats.received, desk.count("options_repeated")), (2, 2, 1));
    assert_eq!(stats.rtt.unwrap().avg_us, 70_000, "that of the second alone: sent at 200 ms, answered at 270");
    // The answer to the first sending comes as well.
    desk.answer(&first, 200);
    assert_eq!(desk.count("late_answers"), 1);
}

#[test]
fn repeats_come_after_half_a_second_and_then_a_second() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let mut sent = Vec::new();
    for _ in 0..300 {
        desk.pass(ms(10));
        sent.push(desk.take_messages().len());
    }
    let at: Vec<usize> =
        sent.iter().enumerate().filter(|(_, count)| **count > 0).map(|(place, _)| place / 10).collect();
    assert_eq!((at, sent.iter().sum::<usize>()), (vec![0, 4, 14], 3));
    assert_eq!(desk.status("441530").1, Status::Offline);
}

#[test]
fn a_provisional_answer_ends_the_repeats_and_proves_nothing() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let request = desk.take_messages().remove(0);
    desk.answer(&request, 100);
    desk.pass(ms(3_000));
    assert_eq!((desk.messages.len(), desk.status("441530").1), (0, Status::Offline));
}

#[test]
fn an_answer_from_elsewhere_or_to_something_else_is_foreign() {
    let mut desk = Desk::new(options_only(1), &["441530"]);
    desk.begin();
    let (to, bytes) = desk.take_messages().remove(0);
    desk.answer_from(sip_at(ROUTER), &bytes, 200);
    let text = String::from_utf8(bytes.clone()).unwrap();
    desk.answer_from(to, text.replace("CSeq: 1", "CSeq: 2").as_bytes(), 200);
    desk.answer_from(to, text.replace("OPTIONS", "INVITE").as_bytes(), 200);
    desk.probe.handle_datagram(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n\r\n", to, None, desk.now);
    assert_eq!((desk.count("foreign_answers"), desk.count("options_answered")), (4, 0));
    // From another port of the same phone it is right.
    desk.answer_from(SocketAddrV4::new(*to.ip(), 1_024), &bytes, 200);
    assert_eq!(desk.count("options_answered"), 1);
}

#[test]
fn a_closed_port_is_not_waited_for() {
    let mut desk = Desk::new(config::Probe { options_count: 1, ..ringing() }, &["441530"]);
    desk.begin();
    desk.probe.handle_unreachable(sip_at(PHONE), desk.now);
    desk.pass(ms(20));
    assert_eq!(desk.status("441530").1, Status::Offline);
    assert_eq!(desk.methods(), ["OPTIONS", "INVITE"]);
    desk.probe.handle_unreachable(sip_at(PHONE), desk.now);
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Offline);
}

#[test]
fn the_way_is_asked_for_from_the_far_end() {
    let config = config::Probe { ping_count: 2, options_count: 0, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 62);
    desk.pass(ms(200));
    // Three hops by the reply; the last ping proves it.
    let ping = desk.take_pings().remove(0);
    assert_eq!(ping.ttl, Some(3));
    // It was one more: the same ping goes again.
    desk.expire(&ping, Ipv4Addr::new(10, 5, 0, 3));
    desk.pass(ms(10));
    let ping = desk.take_pings().remove(0);
    assert_eq!(ping.ttl, Some(4));
    desk.reply(&ping, 62);
    for hop in [3, 2, 1] {
        desk.pass(ms(10));
        let ask = desk.take_pings();
        assert_eq!((ask.len(), ask[0].ttl), (1, Some(hop)), "one at a time, from the far end");
        desk.expire(&ask[0], Ipv4Addr::new(10, 5, 0, hop));
    }
    let stats = desk.probe.find("441530").unwrap().ping().1;
    assert_eq!((stats.sent, stats.received), (2, 2), "a ping that went again counts once");
    let path = desk.probe.paths().next().unwrap();
    let hops: Vec<_> = path.hops.iter().map(|hop| (hop.distance, hop.address.unwrap())).collect();
    assert_eq!(hops, [1, 2, 3].map(|hop| (hop, Ipv4Addr::new(10, 5, 0, hop))));
    // The next cycle remembers how far it was.
    desk.begin();
    let ping = desk.take_pings().remove(0);
    desk.reply(&ping, 62);
    desk.pass(ms(200));
    assert_eq!(desk.take_pings()[0].ttl, Some(4));
}

#[test]
fn a_phone_that_answers_sip_alone_has_a_way_while_it_answers() {
    let config = config::Probe { ping_count: 1, options_count: 1, ..config::Probe::default() };
    let mut desk = Desk::new(config, &["441530"]);
    let lives = |desk: &mut Desk| {
        desk.begin();
        assert_eq!(desk.take_pings().len(), 1);
        desk.pass(Duration::from_secs(3));
        let options = desk.take_messages().remove(0);
        assert_eq!(desk.take_pings().len(), 0, "nobody knows yet how far to ask");
        options
    };
    let options = lives(&mut desk);
    // Three hops by the TTL of its answer: a router there would be one more on the way.
    desk.answer(&options, 200);
    desk.pass(ms(10));
    assert_eq!(desk.take_pings()[0].ttl, Some(3));
    desk.pass(ms(1_010));
    for hop in [2, 1] {
        let ask = desk.take_pings();
        assert_eq!((ask.len(), ask[0].ttl), (1, Some(hop)));
        desk.expire(&ask[0], Ipv4Addr::new(10, 5, 0, hop));
        desk.pass(ms(10));
    }
    let path = desk.probe.paths().next().unwrap();
    let hops: Vec<_> = path.hops.iter().map(|hop| (hop.distance, hop.address.unwrap())).collect();
    assert_eq!((path.rtt_us, hops), (None, [1, 2].map(|hop| (hop, Ipv4Addr::new(10, 5, 0, hop))).to_vec()));
    // When it answers nothing any more, that way is old.
    lives(&mut desk);
    desk.pass(Duration::from_secs(3));
    assert_eq!((desk.status("441530").1, desk.probe.paths().count()), (Status::Offline, 0));
}

#[test]
fn an_unprivileged_socket_tells_hops_beside() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.probe.handle_icmp_mode(IcmpMode::Datagram, 99, desk.now);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    assert_eq!((first.ttl, first.echo().identifier), (None, 99));
    desk.reply(&first, 63);
    desk.pass(ms(10));
    let asks = desk.take_pings();
    assert_eq!(asks.iter().map(|ask| ask.ttl.unwrap()).collect::<Vec<_>>(), [1, 2]);
    let said = |desk: &mut Desk, destination, quoted: &[u8], kind| {
        let error = IcmpError { from: ROUTER, destination, kind, quoted, at: desk.now };
        desk.probe.handle_icmp_error(&error, desk.now);
    };
    said(&mut desk, ROUTER, &asks[0].bytes, (11, 0));
    said(&mut desk, PHONE, &asks[0].bytes[..7], (11, 0));
    assert_eq!((desk.count("foreign_answers"), desk.count("malformed")), (1, 1));
    said(&mut desk, PHONE, &asks[0].bytes, (11, 0));
    desk.reply(&asks[1], 63);
    let (asker, report) = desk.probe.poll_report().unwrap();
    let Report::Trace(report) = report else { panic!("{report:?}") };
    let addresses: Vec<_> = report.hops.iter().filter_map(|hop| hop.address).collect();
    assert_eq!((asker, addresses, report.reached), (7, vec![ROUTER, PHONE], true));
}

#[test]
fn a_trace_of_nobody_is_told_in_time() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.trace(PHONE, 7, desk.now).unwrap();
    desk.pass(ms(5_000));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert_eq!(report, Report::Trace(TraceReport { target: PHONE, hops: vec![], reached: false }));
    desk.pass(Duration::from_secs(10));
    assert_eq!((desk.probe.next_deadline(), desk.pings.len()), (None, 1 + 20 + 20));
}

#[test]
fn what_nobody_waits_for_any_more_ends_and_tells_what_it_knows() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    // A trace that knows its target and no router.
    desk.probe.trace(PHONE, 1, desk.now).unwrap();
    desk.pass(ms(10));
    let first = desk.take_pings().remove(0);
    desk.reply(&first, 62);
    let Some(Report::Trace(report)) = desk.probe.forget(1, desk.now) else { panic!("a trace") };
    assert_eq!((report.reached, report.hops.last().unwrap().address), (true, Some(PHONE)));
    // A test whose pings go on.
    desk.probe.ping("441530", 5, 2, desk.now).unwrap();
    desk.pass(ms(250));
    for ping in desk.take_pings().iter().filter(|ping| ping.ttl.is_none()) {
        desk.reply(ping, 64);
    }
    let Some(Report::Test(report)) = desk.probe.forget(2, desk.now) else { panic!("a test") };
    assert_eq!((report.ping.0, report.ping.1.received, report.ping.1.sent), (Status::Online, 2, 2));
    assert_eq!((report.options.0, report.options.1.sent), (Status::Unknown, 0), "it had not come to that");
    // One whose address nobody has said yet, asked for or not.
    desk.probe.ping("441531", 5, 3, desk.now).unwrap();
    assert_eq!(desk.probe.forget(3, desk.now), None);
    desk.probe.ping("441531", 5, 4, desk.now).unwrap();
    let (token, _) = desk.probe.poll_question().unwrap();
    assert_eq!((desk.probe.forget(4, desk.now), desk.probe.poll_question()), (None, None));
    desk.probe.handle_address(token, None, desk.now);
    assert_eq!((desk.count("foreign_answers"), desk.probe.poll_report()), (1, None));
    assert_eq!(desk.probe.forget(9, desk.now), None, "nobody");
    // Nothing is left that would send.
    desk.take_pings();
    desk.pass(Duration::from_secs(60));
    assert_eq!((desk.pings.len(), desk.messages.len(), desk.probe.next_deadline()), (0, 0, None));
}

#[test]
fn a_phone_that_is_called_while_its_address_is_looked_up_is_not_rung() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert!(!desk.probe.minds_calls());
    desk.probe.ring("441530", 4, desk.now).unwrap();
    assert!(desk.probe.minds_calls());
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.pass(ms(10));
    let Some((4, Report::Ring(report))) = desk.probe.poll_report() else { panic!("a report") };
    assert_eq!((report.outcome, desk.take_messages().len()), (RingOutcome::BrokenOff, 0));
}

#[test]
fn only_so_many_people_may_wait() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    for asker in 0..8 {
        let asked = match asker % 2 {
            0 => desk.probe.trace(PHONE, asker, desk.now),
            _ => desk.probe.ping("441530", 3, asker, desk.now),
        };
        assert_eq!(asked, Ok(()));
    }
    assert_eq!(desk.probe.trace(PHONE, 9, desk.now), Err(Refusal::Busy));
    assert_eq!(desk.probe.ring("441530", 9, desk.now), Err(Refusal::Busy));
    desk.pass(Duration::from_secs(20));
    let told: SortedSet<u32> = std::iter::from_fn(|| desk.probe.poll_report()).map(|(asker, _)| asker).collect();
    assert_eq!(told, (0..8).collect());
    assert_eq!(desk.probe.trace(PHONE, 9, desk.now), Ok(()));
}

#[test]
fn somebodys_test_of_a_phone_is_told_and_changes_no_table() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    desk.probe.ping("441530", 2, 5, desk.now).unwrap();
    desk.pass(ms(250));
    for ping in desk.take_pings() {
        assert_eq!(ping.ttl, None);
        desk.reply(&ping, 64);
    }
    desk.pass(ms(250));
    for request in desk.take_messages() {
        desk.answer(&request, 200);
    }
    let (asker, report) = desk.probe.poll_report().unwrap();
    let Report::Test(report) = report else { panic!("{report:?}") };
    assert_eq!(
        (asker, report.address, report.ping.0, report.options.0),
        (5, Some(sip_at(PHONE)), Status::Online, Status::Online)
    );
    assert_eq!((report.ping.1.received, report.options.1.received, desk.probe.phones().count()), (2, 2, 0));
    desk.found = None;
    desk.probe.ping("441530", 2, 6, desk.now).unwrap();
    desk.pass(ms(10));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert!(matches!(report, Report::Test(TestReport { address: None, ping: (Status::NoDns, _), .. })));
}

#[test]
fn nobody_is_rung_unless_it_is_wanted_and_nothing_else_answered() {
    let mut desk = Desk::new(config::Probe { call_test: false, ..ringing() }, &["441530"]);
    desk.begin();
    desk.pass(Duration::from_secs(60));
    assert!(desk.methods().iter().all(|method| method == "OPTIONS"));
    let mut desk = Desk::new(ringing(), &["441530"]);
    desk.begin();
    let request = desk.take_messages().remove(0);
    desk.answer(&request, 486);
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.methods(), [] as [String; 0]);
}

#[test]
fn a_phone_that_rings_is_cancelled_at_once() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    assert!(String::from_utf8_lossy(&invite.1).contains("m=audio"));
    desk.answer(&invite, 100);
    desk.pass(ms(2_000));
    assert_eq!(desk.methods(), [] as [String; 0], "100 ends the repeats, and is not yet ringing");
    desk.answer(&invite, 180);
    let cancel = desk.take_messages().remove(0);
    assert_eq!((method(&cancel.1), header(&cancel.1, Name::CSeq)), ("CANCEL".into(), "1 CANCEL".into()));
    assert_eq!(header(&cancel.1, Name::Via), header(&invite.1, Name::Via));
    desk.answer(&cancel, 200);
    desk.answer(&invite, 487);
    let ack = desk.take_messages().remove(0);
    assert_eq!((method(&ack.1), header(&ack.1, Name::To)), ("ACK".into(), "<sip:441530@10.1.2.3>;tag=phone".into()));
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Online);
    assert_eq!(desk.status("441530"), (Status::Disabled, Status::Offline, Status::Online));
    // The 487 comes again: it is acknowledged again, and nothing else happens.
    desk.answer(&invite, 487);
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(33_000));
    assert_eq!((desk.methods().len(), desk.probe.rings.len()), (0, 0));
}

#[test]
fn a_phone_that_is_answered_is_hung_up_on() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 200);
    let sent = desk.take_messages();
    let [ack, bye] = sent.as_slice() else { panic!("{sent:?}") };
    assert!(ack.1.starts_with(b"ACK sip:line1@10.1.2.3:5062 SIP/2.0\r\n"));
    assert!(bye.1.starts_with(b"BYE sip:line1@10.1.2.3:5062 SIP/2.0\r\n"));
    assert_eq!((header(&ack.1, Name::CSeq), header(&bye.1, Name::CSeq)), ("1 ACK".into(), "2 BYE".into()));
    assert_eq!(header(&bye.1, Name::To), "<sip:441530@10.1.2.3>;tag=phone");
    assert_ne!(header(&ack.1, Name::Via), header(&invite.1, Name::Via), "the ACK of a 2xx is a transaction of its own");
    // The 200 was repeated before it heard the ACK; the BYE is repeated until it is answered.
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(500));
    assert_eq!(desk.methods(), ["BYE"]);
    desk.answer(bye, 200);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK"]);
    desk.pass(ms(33_000));
    assert_eq!((desk.methods().len(), desk.probe.rings.len()), (0, 0));
}

#[test]
fn an_answer_that_crosses_the_cancel_is_hung_up_on() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 183);
    assert_eq!(desk.methods(), ["CANCEL"]);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK", "BYE"]);
}

#[test]
fn nothing_is_cancelled_that_was_not_heard_of_and_silence_is_offline() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.pass(ms(9_000));
    assert_eq!(desk.methods(), ["INVITE", "INVITE", "INVITE", "INVITE"], "at 0.5, 1.5, 3.5 and 7.5 s");
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Offline);
    // It wakes up after all.
    desk.answer(&invite, 180);
    assert_eq!(desk.methods(), ["CANCEL"]);
    desk.answer(&invite, 200);
    assert_eq!(desk.methods(), ["ACK", "BYE"]);
}

#[test]
fn a_cancel_is_given_up_64_t1_later() {
    let mut desk = Desk::new(ringing(), &["441530", "441531"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 180);
    desk.take_messages();
    desk.pass(ms(31_900));
    let sent = desk.methods();
    assert!(sent.iter().all(|method| method == "CANCEL") && sent.len() == 10, "nobody else is rung: {sent:?}");
    desk.pass(ms(200));
    assert_eq!(desk.methods(), ["INVITE"], "now the other one");
}

#[test]
fn no_two_phones_ring_and_none_twice_within_the_pause() {
    let mut desk = Desk::new(ringing(), &["441530", "441531", "441532"]);
    desk.begin();
    let (mut invites, mut open) = (Vec::new(), 0);
    for _ in 0..8_000 {
        desk.pass(ms(100));
        for message in desk.take_messages() {
            if method(&message.1) != "INVITE" {
                continue;
            }
            open += 1;
            assert_eq!(open, 1, "the one before is over");
            invites.push(message.0);
            desk.answer(&message, 180);
            desk.pass(ms(700));
            desk.answer(&message, 487);
            open -= 1;
        }
    }
    invites.sort();
    assert_eq!(invites, [0, 1, 2].map(|last| sip_at(Ipv4Addr::new(10, 1, 2, 3 + last))), "once each in 13 minutes");
    desk.pass(Duration::from_secs(3_600));
    assert!(desk.methods().contains(&"INVITE".to_owned()), "after the pause again");
}

#[test]
fn a_phone_in_a_call_is_left_alone() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.begin();
    desk.pass(Duration::from_secs(60));
    assert!(!desk.methods().contains(&"INVITE".to_owned()));
    assert_eq!(desk.probe.ring("441530", 1, desk.now), Err(Refusal::InCall));
    // One that gets a call while it is rung is let go.
    desk.probe.handle_calls(&names(&[]), desk.now);
    let invite = rung(&mut desk);
    desk.answer(&invite, 100);
    desk.probe.handle_calls(&names(&["441530"]), desk.now);
    desk.drain();
    assert_eq!(desk.methods(), ["CANCEL"]);
    assert_eq!(desk.probe.find("441530").unwrap().call(), Status::Unknown);
}

#[test]
fn somebody_may_ring_a_phone_once() {
    let mut desk = Desk::new(config::Probe::default(), &[]);
    assert_eq!(desk.probe.ring("441530", 4, desk.now), Ok(()));
    assert_eq!(desk.probe.ring("441531", 5, desk.now), Err(Refusal::Busy), "one at a time");
    desk.pass(ms(10));
    let invite = desk.take_messages().remove(0);
    assert_eq!(desk.probe.ring("441531", 5, desk.now), Err(Refusal::Busy));
    desk.answer(&invite, 486);
    let (asker, report) = desk.probe.poll_report().unwrap();
    let expected = RingReport { number: "441530".into(), outcome: RingOutcome::Refused(486) };
    assert_eq!((asker, report), (4, Report::Ring(expected)));
    assert_eq!(desk.methods(), ["ACK"]);
    let refused = desk.probe.ring("441530", 4, desk.now);
    assert!(matches!(refused, Err(Refusal::TooSoon(left)) if left > Duration::from_secs(3_500)), "{refused:?}");
    desk.found = None;
    assert_eq!(desk.probe.ring("441531", 6, desk.now), Ok(()));
    desk.pass(ms(10));
    let (_, report) = desk.probe.poll_report().unwrap();
    assert!(matches!(report, Report::Ring(RingReport { outcome: RingOutcome::Unreachable, .. })));
}

#[test]
fn requests_to_the_test_port_are_answered_and_start_nothing() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    let call = header(&invite.1, Name::CallId);
    let request = |method: &str, call: &str| {
        format!(
            "{method} sip:999900@10.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.2.3;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    };
    for (method, call, expected) in [
        ("OPTIONS", "x", "200"),
        ("BYE", call.as_str(), "200"),
        ("BYE", "x", "481"),
        ("CANCEL", "x", "481"),
        ("INVITE", "x", "480"),
        ("REGISTER", "x", "405"),
        ("ACK", "x", ""),
    ] {
        desk.probe.handle_datagram(request(method, call).as_bytes(), sip_at(PHONE), None, desk.now);
        desk.drain();
        let answers = desk.take_messages();
        let status = answers.first().map_or(String::new(), |(_, bytes)| String::from_utf8_lossy(&bytes[8..11]).into());
        assert_eq!((status.as_str(), answers.len()), (expected, usize::from(!expected.is_empty())), "{method}");
    }
}

#[test]
fn targets_change_between_cycles_and_keep_what_is_known() {
    let mut desk = Desk::new(pings_only(1), &["441530", "441531"]);
    desk.begin();
    for ping in desk.take_pings() {
        desk.reply(&ping, 64);
    }
    desk.probe.handle_targets(&names(&["441529", "441531", "441532"]), desk.now);
    desk.pass(ms(3_000));
    let numbers: Vec<_> = desk.probe.phones().map(Phone::number).collect();
    assert_eq!(numbers, ["441529", "441531", "441532"]);
    assert_eq!((desk.status("441531").0, desk.status("441529").0), (Status::Online, Status::Unknown));
    assert_eq!(desk.probe.find("441531").unwrap().samples().count(), 1);
}

#[test]
fn a_phone_without_an_address_is_no_dns() {
    let mut desk = Desk::new(config::Probe::default(), &["441530"]);
    desk.found = None;
    desk.begin();
    assert_eq!(desk.status("441530"), (Status::NoDns, Status::NoDns, Status::NoDns));
    assert_eq!((desk.count("cycles"), desk.pings.len()), (1, 0));
}

#[test]
fn switched_off_it_stops_and_switched_on_it_begins_again() {
    let mut desk = Desk::new(ringing(), &["441530"]);
    let invite = rung(&mut desk);
    desk.answer(&invite, 100);
    desk.probe.handle_config(&config::Probe { enabled: false, ..ringing() }, desk.now);
    desk.drain();
    assert_eq!(desk.methods(), ["CANCEL"], "nobody goes on ringing");
    desk.answer(&invite, 487);
    desk.pass(Duration::from_secs(100));
    assert_eq!((desk.probe.next_deadline(), desk.methods()), (None, vec!["ACK".to_owned()]));
    assert_eq!(desk.probe.ping("441530", 1, 1, desk.now), Err(Refusal::Off));
    desk.probe.handle_config(&pings_only(1), desk.now);
    desk.begin();
    assert_eq!(desk.pings.len(), 1);
}

#[test]
fn switched_off_in_the_middle_nothing_is_left_behind() {
    let mut desk = Desk::new(config::Probe::default(), &["441530", "441531", "441532"]);
    desk.begin();
    desk.pass(ms(300));
    desk.probe.handle_config(&config::Probe { enabled: false, ..config::Probe::default() }, desk.now);
    desk.pass(ms(10));
    let used = |name| desk.probe.tables().iter().find(|table| table.name == name).unwrap().used;
    assert_eq!((used("probe_in_flight"), used("probe_tests"), used("probe_way_questions")), (0, 0, 0));
    assert_eq!(desk.probe.next_deadline(), None);
}

#[test]
fn progress_says_how_far_it_is_and_when_it_ends() {
    let mut desk = Desk::new(pings_only(5), &["441530", "441531", "441532"]);
    let before = desk.probe.progress(desk.now);
    assert_eq!((before.started, before.done, before.total), (None, 0, 3));
    desk.begin();
    let under_way = desk.probe.progress(desk.now);
    assert!(under_way.started.is_some() && under_way.estimated_end.unwrap() > desk.now);
    let revision = desk.probe.revision();
    desk.pass(ms(5_000));
    let after = desk.probe.progress(desk.now);
    assert_eq!((after.started, after.done, after.estimated_end), (None, 3, None));
    let interval = after.next.unwrap().since(under_way.started.unwrap());
    assert_eq!((interval, desk.probe.revision() != revision), (Duration::from_secs(600), true));
}
