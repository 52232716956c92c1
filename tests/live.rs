//! The core as a whole, on a virtual clock, with people who ask for tests, traces and rings over its API: who gets what, when,
//! and who is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/clock.rs"]
mod clock;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use clock::{Files, World as _, said};
use serde_json::{Value, json};
use switchboard::config::Config;
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, IcmpIn, IcmpMode, Identity, Udp};
use switchboard::engine::{Peer, StreamId};
use switchboard::files::Watched;
use switchboard::time::Instant;
use switchboard::wire::icmp::{self, Quote};
use switchboard::wire::sip::{Answer, HeaderTable, Message, respond};

/// What the node has stored: a number with its country.
const BOOK: &str = "Firstname,Name,Callsign,Telephone\nHans,Muster,HB9AAA,041441530\n";
const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const PHONE: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 248);
const ON_LAN: Peer = Peer::Address(Ipv4Addr::new(10, 20, 30, 46));
const STRANGER: Peer = Peer::Address(Ipv4Addr::new(10, 20, 30, 48));
const IDENTIFIER: u16 = 77;

/// A node with one phone two hops away and its clients.
struct Node {
    core: Core,
    config: Config,
    now: Instant,
    files: Files,
    streams: u32,
    /// What went out and was not looked at yet.
    pings: Vec<(Option<u8>, Vec<u8>)>,
    messages: Vec<Vec<u8>>,
    /// Streams that the core has closed.
    closed: Vec<StreamId>,
}

impl Node {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let now = Instant::from_micros(1_000_000);
        let mut files = Files::default();
        files.put(&config.phonebook.book_file, BOOK);
        let core = Core::new(config.clone(), &[7; 32], "boot".into(), now);
        let mut node =
            Self { core, config, now, files, streams: 0, pings: Vec::new(), messages: Vec::new(), closed: Vec::new() };
        node.introduce();
        node
    }

    /// Another process takes over.
    fn restart(&mut self) {
        self.core = Core::new(self.config.clone(), &[8; 32], "boot".into(), self.now);
        self.introduce();
    }

    /// What the shell tells at the start.
    fn introduce(&mut self) {
        let lan = vec![(Ipv4Addr::new(10, 20, 30, 41), MASK)];
        self.tell(Event::Identity(Identity { name: "HB9AAA-hap".into(), addresses: vec![US], lan }));
        self.tell(Event::IcmpOpened(IcmpMode::Raw, IDENTIFIER));
        let hosts = format!("{PHONE}\t441530\n10.1.2.4\t441531\n{ROUTER}\tHB9BBB-lhg\n{ROUTER}\tmid1.HB9BBB-lhg\n");
        let watched = Watched::HostsDir;
        self.tell(Event::Changed { watched, name: "10.5.0.1", contents: Some(hosts.as_bytes()) });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.core.handle_event(event, self.now);
        self.settle();
    }

    /// A phone registers for so many seconds.
    fn registers(&mut self, number: &str, phone: SocketAddrV4, seconds: u32) {
        let register = format!(
            "REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {phone};branch=z9hG4bKr\r\nMax-Forwards: 70\r\n\
             From: <sip:{number}@10.0.0.1>;tag=a\r\nTo: <sip:{number}@10.0.0.1>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:{number}@{phone}>\r\nExpires: {seconds}\r\nContent-Length: 0\r\n\r\n"
        );
        let (local, bytes) = (SocketAddrV4::new(US, 5_060), register.as_bytes());
        self.tell(Event::Datagram { socket: Udp::Sip, source: phone, local, ttl: None, at: None, bytes });
    }

    /// Sends a request on a new stream.
    fn ask(&mut self, peer: Peer, method: &str, target: &str, headers: &str) -> StreamId {
        self.streams += 1;
        let stream = StreamId::Incoming(self.streams);
        self.tell(Event::Accepted { stream, peer });
        let request = format!("{method} {target} HTTP/1.1\r\nHost: localnode.local.mesh\r\n{headers}\r\n");
        self.tell(Event::Received { stream, bytes: request.as_bytes() });
        stream
    }

    /// The same by the node's web server.
    fn cgi(&mut self, target: &str, remote: &str) -> StreamId {
        self.ask(Peer::Owner, "GET", target, &format!("X-Remote-Addr: {remote}\r\n"))
    }

    /// By a program over TCP.
    fn get(&mut self, peer: Peer, target: &str) -> StreamId {
        self.ask(peer, "GET", target, "")
    }

    /// What was answered; `None`: nothing yet.
    fn answered(&mut self, stream: StreamId) -> Option<(u16, Value)> {
        let text = String::from_utf8(said(&mut self.core, stream)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        assert!(head.contains("\r\nCache-Control: no-store"), "{head}");
        Some((head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap()))
    }

    /// The sentence of a refusal at once.
    fn refused(&mut self, stream: StreamId) -> String {
        let (_, body) = self.answered(stream).expect("an answer at once");
        [&body["error"], &body["message"]].into_iter().find_map(Value::as_str).expect("a sentence").to_owned()
    }

    fn icmp(&mut self, from: Ipv4Addr, ttl: u8, bytes: &[u8]) {
        let message = IcmpIn { from, ttl: Some(ttl), bytes, at: self.now };
        self.tell(Event::Icmp(message));
    }

    /// The phone replies to every ping that gets so far; the router between answers the others, unless it is `silent`.
    fn network(&mut self, silent: bool) {
        for (ttl, bytes) in std::mem::take(&mut self.pings) {
            let Ok(icmp::Message::Request(echo)) = icmp::parse(&bytes) else { panic!("an echo") };
            let mut out = [0; 200];
            if ttl == Some(1) {
                let quote = Quote { source: US, destination: PHONE, identifier: IDENTIFIER, sequence: echo.sequence };
                let length = icmp::emit_time_exceeded(&quote, &mut out).unwrap();
                if !silent {
                    self.icmp(ROUTER, 64, &out[..length]);
                }
            } else {
                let length = icmp::emit_reply(&echo, &mut out).unwrap();
                self.icmp(PHONE, 63, &out[..length]);
            }
        }
    }

    /// The phone answers everything with this status.
    fn phone(&mut self, status: u16) {
        for request in std::mem::take(&mut self.messages) {
            self.answer(&request, status);
        }
    }

    fn answer(&mut self, request: &[u8], status: u16) {
        let mut table = HeaderTable::default();
        let message = Message::parse(request, &mut table).unwrap();
        let mut answer = Vec::new();
        let to_tag = (status > 100).then_some(b"phone".as_slice());
        respond(&message, &Answer { status, reason: "x", to_tag, ..Answer::default() }, &mut answer);
        let (source, local) = (SocketAddrV4::new(PHONE, 5_060), SocketAddrV4::new(US, 5_070));
        self.tell(Event::Datagram { socket: Udp::Probe, source, local, ttl: None, at: None, bytes: &answer });
    }

    fn methods(&mut self) -> Vec<String> {
        let messages = std::mem::take(&mut self.messages);
        messages.iter().map(|m| String::from_utf8_lossy(m).split(' ').next().unwrap().to_owned()).collect()
    }

    /// Time with a network in it.
    fn live(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.run(Duration::from_millis(10));
            self.network(false);
            self.phone(200);
        }
    }
}

impl clock::World for Node {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn next(&self) -> Option<Instant> {
        None
    }

    fn happen(&mut self) {}

    fn settle(&mut self) {
        let mut buffer = vec![0; switchboard::limits::DATAGRAM];
        while let Some(out) = self.core.poll_icmp(&mut buffer, self.now) {
            self.pings.push((out.ttl, buffer[..out.len].to_vec()));
        }
        while let Some(out) = self.core.poll_datagram(Udp::Probe, &mut buffer) {
            assert!(out.destination.ip().octets().starts_with(&[10, 1, 2]));
            self.messages.push(buffer[..out.len].to_vec());
        }
        while self.core.poll_datagram(Udp::Sip, &mut buffer).is_some() {}
        while self.core.poll_datagram(Udp::Dns, &mut buffer).is_some() {}
        while let Some(effect) = self.core.poll_effect() {
            if let Some(Effect::Finish(stream) | Effect::Abort(stream)) =
                self.files.perform(effect, &mut self.core, self.now)
            {
                self.closed.push(stream);
            }
        }
    }
}

const TRACE: &str = "/cgi-bin/traceroute_json?ip=10.1.2.3";

#[test]
fn a_trace_is_answered_when_it_is_done_with_names_from_this_node() {
    let mut node = Node::new(|_| {});
    let stream = node.get(STRANGER, TRACE);
    assert_eq!(node.answered(stream), None);
    node.live(Duration::from_millis(100));
    let (status, body) = node.answered(stream).expect("an answer");
    assert_eq!((status, &body["target_ip"], &body["reached"]), (200, &json!("10.1.2.3"), &json!(true)));
    let hops = body["hops"].as_array().unwrap();
    let hops: Vec<_> = hops.iter().map(|hop| json!([hop["hop"], hop["ip"], hop["hostname"], hop["timeout"]])).collect();
    assert_eq!(
        hops,
        [
            json!([0, "127.0.0.1", "HB9AAA-hap", false]),
            json!([1, "10.5.0.1", "hb9bbb-lhg", false]),
            json!([2, "10.1.2.3", "441530", false]),
        ]
    );
    // The same as the API has it, where it is a POST.
    let headers = "X-Requested-With: switchboard\r\nContent-Length: 0\r\n";
    let stream = node.ask(STRANGER, "POST", "/api/v1/mesh/trace?address=10.1.2.3", headers);
    node.live(Duration::from_millis(100));
    assert_eq!(node.answered(stream).unwrap().1["hops"].as_array().unwrap().len(), 3);
}

#[test]
fn a_trace_answers_early_with_what_it_has() {
    let mut node = Node::new(|_| {});
    let stream = node.cgi(TRACE, "10.7.7.7");
    let begin = node.now;
    let body = loop {
        node.run(Duration::from_millis(10));
        node.network(true);
        if let Some((_, body)) = node.answered(stream) {
            break body;
        }
        assert!(node.now.since(begin) < Duration::from_secs(6), "no answer");
    };
    assert_eq!(body["hops"][1], json!({"hop": 1, "ip": "*", "hostname": "", "rtt_ms": null, "timeout": true}));
    assert_eq!((&body["hops"][2]["ip"], &body["reached"]), (&json!("10.1.2.3"), &json!(true)));
    // A target that nobody has heard of.
    let stream = node.cgi("/cgi-bin/traceroute_json?ip=10.66.66.66", "10.7.7.7");
    node.run(Duration::from_millis(5_001));
    let (_, body) = node.answered(stream).expect("within five seconds");
    assert_eq!((&body["reached"], body["hops"].as_array().unwrap().len()), (&json!(false), 1));
}

#[test]
fn a_test_of_a_phone_says_what_both_kinds_of_probes_brought() {
    let mut node = Node::new(|_| {});
    let stream = node.get(STRANGER, "/cgi-bin/uac_ping?target=441530&count=3");
    node.live(Duration::from_secs(2));
    let (status, body) = node.answered(stream).expect("an answer");
    assert_eq!(
        (status, &body["status"], &body["result"], &body["complete"]),
        (200, &json!("success"), &json!("ONLINE"), &json!(true))
    );
    assert_eq!((&body["address"], &body["count"]), (&json!("10.1.2.3:5060"), &json!(3)));
    for kind in ["ping", "options"] {
        let (sent, received) = (&body[format!("{kind}_sent")], &body[format!("{kind}_received")]);
        assert_eq!((sent, received), (&json!(3), &json!(3)), "{kind}");
    }
    // Nobody knows the address: no host file, and no name server.
    let stream = node.get(STRANGER, "/cgi-bin/phone_ping?target=999999");
    let (_, body) = node.answered(stream).expect("at once");
    assert_eq!((&body["result"], &body["address"]), (&json!("NO_DNS"), &Value::Null));
}

#[test]
fn a_phone_whose_port_is_closed_is_not_waited_for() {
    let mut node = Node::new(|_| {});
    let stream = node.get(STRANGER, "/cgi-bin/uac_ping?target=441530&count=1");
    node.run(Duration::from_millis(50));
    node.network(false);
    node.run(Duration::from_millis(50));
    let request = String::from_utf8(node.messages.remove(0)).unwrap();
    assert!(request.contains("\r\nVia: SIP/2.0/UDP 10.0.0.1:5070;"), "{request}");
    let destination = SocketAddrV4::new(PHONE, 5_060);
    node.tell(Event::Unreachable { socket: Udp::Probe, destination, quoted: None });
    let (_, body) = node.answered(stream).expect("at once");
    assert_eq!((&body["result"], &body["options_status"]), (&json!("ONLINE"), &json!("OFFLINE")));
}

#[test]
fn a_phone_is_tested_where_it_registered_and_one_that_is_nowhere_is_not() {
    let mut node = Node::new(|_| {});
    node.registers("441530", SocketAddrV4::new(Ipv4Addr::new(10, 1, 2, 9), 5_066), 3_600);
    node.live(Duration::from_secs(120));
    let stream = node.get(ON_LAN, "/cgi-bin/phone_ping_json");
    let (_, tests) = node.answered(stream).unwrap();
    let seen: Vec<_> =
        tests["results"].as_array().unwrap().iter().map(|r| (&r["phone_number"], &r["address"])).collect();
    // Its router announces 10.1.2.3; the number of the book has the country in front and is found nowhere.
    assert_eq!(seen, [(&json!("441530"), &json!("10.1.2.9:5066"))], "{tests}");
}

#[test]
fn a_test_that_takes_too_long_says_what_it_has() {
    let mut node = Node::new(|config| config.probe.spacing_ms = 3_000);
    let stream = node.get(STRANGER, "/cgi-bin/uac_ping?target=441530&count=20");
    node.live(Duration::from_millis(19_900));
    assert_eq!(node.answered(stream), None);
    node.live(Duration::from_millis(200));
    let (_, body) = node.answered(stream).expect("after twenty seconds");
    assert_eq!((&body["complete"], &body["result"], &body["ping_sent"]), (&json!(false), &json!("ONLINE"), &json!(7)));
    assert_eq!((&body["options_status"], &body["options_sent"]), (&json!("UNKNOWN"), &json!(0)));
    node.live(Duration::from_secs(60));
    assert!(node.pings.is_empty() && node.messages.is_empty());
}

#[test]
fn each_has_one_thing_under_way_and_there_is_room_for_the_owner() {
    let mut node = Node::new(|_| {});
    let mine = "a test or trace of yours is still running; wait for it";
    let busy = "others are testing or tracing right now; try again in a few seconds";
    let silent = "/cgi-bin/traceroute_json?ip=10.66.66.66";
    let first = node.get(STRANGER, silent);
    let second = node.get(STRANGER, "/cgi-bin/uac_ping?target=441530");
    assert_eq!(node.refused(second), mine);
    // Whichever way he comes.
    let by_web = node.cgi(silent, "10.20.30.48");
    assert_eq!(node.refused(by_web), mine);
    let (status, _) = {
        let headers = "X-Requested-With: switchboard\r\nContent-Length: 0\r\n";
        let stream = node.ask(STRANGER, "POST", "/api/v1/mesh/trace?address=10.66.66.66", headers);
        node.answered(stream).unwrap()
    };
    assert_eq!(status, 429);
    // The web server runs three programs: two may wait.
    let web = [node.cgi(silent, "10.1.1.1"), node.cgi(silent, "10.1.1.2")];
    let third = node.cgi(silent, "10.1.1.3");
    assert_eq!(node.refused(third), busy);
    let others: Vec<_> = (1..=3).map(|n| node.get(Peer::Address(Ipv4Addr::new(10, 3, 3, n)), silent)).collect();
    let seventh = node.get(Peer::Address(Ipv4Addr::new(10, 3, 3, 9)), silent);
    assert_eq!(node.refused(seventh), busy);
    let owner = node.ask(Peer::Owner, "POST", "/api/v1/mesh/trace?address=10.66.66.66", "Content-Length: 0\r\n");
    node.run(Duration::from_millis(5_100));
    for stream in [first, owner].into_iter().chain(web).chain(others) {
        assert_eq!(node.answered(stream).expect("its turn").0, 200);
    }
    let again = node.get(STRANGER, silent);
    assert_eq!(node.answered(again), None, "it runs");
}

#[test]
fn who_hangs_up_frees_his_place_and_nothing_more_is_sent_for_him() {
    for failed in [true, false] {
        let mut node = Node::new(|_| {});
        let target = "/cgi-bin/uac_ping?target=441530&count=20";
        let stream = node.cgi(target, "10.7.7.7");
        node.live(Duration::from_millis(500));
        node.tell(Event::Closed { stream, failed });
        assert_eq!(node.closed.contains(&stream), !failed, "our side is closed too");
        node.pings.clear();
        node.live(Duration::from_secs(30));
        assert!(node.pings.is_empty() && node.messages.is_empty());
        let again = node.cgi(target, "10.7.7.7");
        assert_eq!(node.answered(again), None, "it runs");
        node.live(Duration::from_secs(10));
        assert_eq!(node.answered(again).unwrap().1["ping_received"], 20);
    }
}

#[test]
fn a_phone_rings_for_those_who_are_near_and_stops_at_once() {
    let mut node = Node::new(|_| {});
    let stream = node.get(ON_LAN, "/cgi-bin/uac_test?target=441530");
    node.run(Duration::from_millis(10));
    let invite = node.messages.pop().expect("an INVITE");
    node.answer(&invite, 180);
    assert_eq!(node.methods(), ["CANCEL"]);
    let (_, body) = node.answered(stream).expect("it rang");
    assert_eq!(
        body,
        json!({"status": "success", "message": "It rang, and was let go.", "target": "441530", "result": "RANG", "sip_status": null})
    );
    node.answer(&invite, 487);
    // Not the next phone at once, nor this one within the hour; the owner may ring another.
    let next = node.get(ON_LAN, "/cgi-bin/phone_test?target=441531");
    assert_eq!(node.refused(next), "a phone was rung a moment ago; again in 30 s");
    node.run(Duration::from_secs(31));
    let same = node.get(ON_LAN, "/cgi-bin/uac_test?target=441530");
    assert_eq!(node.refused(same), "this phone was rung not long ago; again in 60 min");
    let other = node.ask(Peer::Owner, "POST", "/api/v1/phones/ring?number=441531", "Content-Length: 0\r\n");
    node.run(Duration::from_secs(9));
    let (status, body) = node.answered(other).expect("silence");
    assert_eq!((status, &body["result"]), (200, &json!("SILENT")));
}

#[test]
fn a_phone_is_left_alone_after_a_restart_too() {
    let mut node = Node::new(|_| {});
    node.get(ON_LAN, "/cgi-bin/uac_test?target=441530");
    node.run(Duration::from_secs(10));
    assert!(!node.messages.is_empty(), "it was rung");
    node.restart();
    node.run(Duration::from_secs(50 * 60));
    let same = node.get(ON_LAN, "/cgi-bin/uac_test?target=441530");
    assert_eq!(node.refused(same), "this phone was rung not long ago; again in 10 min");
    node.messages.clear();
    node.run(Duration::from_secs(10 * 60));
    node.get(ON_LAN, "/cgi-bin/uac_test?target=441530");
    node.run(Duration::from_millis(10));
    assert_eq!(node.methods().iter().filter(|method| *method == "INVITE").count(), 1);
}

#[test]
fn a_phone_does_not_ring_for_strangers_without_the_token() {
    let near = "a phone is rung for people on this node's own LAN only";
    let mut node = Node::new(|_| {});
    let ring = "/cgi-bin/uac_test?target=441530";
    for stream in
        [node.get(STRANGER, ring), node.cgi(ring, "10.20.30.48"), node.cgi(ring, "fe80::1"), node.cgi(ring, "?")]
    {
        assert_eq!(node.refused(stream), near);
    }
    // Without a token in the configuration there is no right one.
    for (token, sentence) in
        [("Bearer none", "this is not the token of this node"), ("Bearer", near), ("Basic bm9uZQ==", near)]
    {
        let stream = node.ask(STRANGER, "GET", ring, &format!("Authorization: {token}\r\n"));
        assert_eq!(node.refused(stream), sentence, "{token}");
    }
    let headers = "X-Requested-With: switchboard\r\nContent-Length: 0\r\n";
    let posted = node.ask(STRANGER, "POST", "/api/v1/phones/ring?number=441530", headers);
    assert_eq!(node.answered(posted), Some((403, json!({"error": near}))));
    // His claim to be somebody else is not heard over TCP.
    let claims = node.ask(STRANGER, "GET", ring, "X-Remote-Addr: 127.0.0.1\r\n");
    assert_eq!(node.refused(claims), near);
    assert!(node.messages.is_empty());

    let mut node = Node::new(|config| config.api.token = "0123456789abcdef".into());
    let bare = node.get(STRANGER, ring);
    assert_eq!(node.refused(bare), "a phone is rung for people on this node's own LAN, or with the token");
    let wrong = node.ask(STRANGER, "GET", ring, "Authorization: Bearer 0123456789abcdeF\r\n");
    assert_eq!(node.refused(wrong), "this is not the token of this node");
    assert!(node.messages.is_empty());
    let posted = node.ask(STRANGER, "POST", "/api/v1/phones/ring?number=441530", headers);
    assert_eq!(node.answered(posted).unwrap().0, 401);
    let right = node.ask(STRANGER, "GET", ring, "Authorization: Bearer 0123456789abcdef\r\n");
    assert_eq!(node.answered(right), None);
    assert_eq!(node.methods(), ["INVITE"]);
}

#[test]
fn this_machine_and_its_lan_are_near_and_their_neighbours_are_not() {
    for (address, near) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("10.20.30.40", true),
        ("10.20.30.47", true),
        ("::ffff:10.20.30.47", true),
        ("10.20.30.39", false),
        ("10.20.30.48", false),
        ("10.0.0.1", false),
        ("::1", false),
        ("0.0.0.0", false),
    ] {
        let mut node = Node::new(|_| {});
        let stream = node.cgi("/cgi-bin/uac_test?target=441530", address);
        assert_eq!(node.answered(stream).is_none(), near, "{address}");
        assert_eq!(node.methods().len(), usize::from(near), "{address}");
    }
}

#[test]
fn a_phone_in_a_call_is_not_rung_whichever_way_its_number_is_written() {
    let mut node = Node::new(|config| config.sip.country_prefix = "041".into());
    let (caller, local) = (SocketAddrV4::new(Ipv4Addr::new(10, 20, 30, 42), 5_060), SocketAddrV4::new(US, 5_060));
    let invite = "INVITE sip:441530@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.30.42;branch=z9hG4bKc\r\nMax-Forwards: 70\r\n\
                  From: <sip:441531@10.0.0.1>;tag=a\r\nTo: <sip:441530@10.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
                  Contact: <sip:441531@10.20.30.42>\r\nContent-Length: 0\r\n\r\n";
    node.tell(Event::Datagram {
        socket: Udp::Sip,
        source: caller,
        local,
        ttl: None,
        at: None,
        bytes: invite.as_bytes(),
    });
    assert_eq!(node.core.active_calls(), 1);
    for target in ["441530", "041441530", "441531"] {
        let stream = node.get(ON_LAN, &format!("/cgi-bin/uac_test?target={target}"));
        assert_eq!(node.refused(stream), "this phone is in a call", "{target}");
    }
    let headers = "X-Requested-With: switchboard\r\nContent-Length: 0\r\n";
    let stream = node.ask(ON_LAN, "POST", "/api/v1/phones/ring?number=441530", headers);
    assert_eq!(node.answered(stream).unwrap().0, 409);
    assert!(node.messages.is_empty());
}

#[test]
fn a_phone_of_the_book_is_tested_under_one_number_where_it_is() {
    let mut node = Node::new(|config| config.sip.country_prefix = "041".into());
    node.registers("441530", SocketAddrV4::new(PHONE, 5_060), 3_600);
    node.live(Duration::from_secs(120));
    let stream = node.get(ON_LAN, "/cgi-bin/phone_ping_json");
    let (_, tests) = node.answered(stream).unwrap();
    let seen: Vec<_> =
        tests["results"].as_array().unwrap().iter().map(|r| (&r["phone_number"], &r["status"])).collect();
    assert_eq!(seen, [(&json!("041441530"), &json!("ONLINE"))], "{tests}");
    let path = tests["results"][0]["path"].as_array().unwrap();
    let path: Vec<_> = path.iter().map(|hop| json!([hop["hop"], hop["ip"]])).collect();
    assert_eq!(path, [json!([1, "10.5.0.1"]), json!([2, "10.1.2.3"])]);
}

#[test]
fn a_phone_that_goes_away_is_seen_to_be_away_for_sixteen_cycles() {
    let mut node = Node::new(|config| config.probe.interval = Duration::from_secs(60));
    // No host file has it, and no book.
    node.registers("441777", SocketAddrV4::new(PHONE, 5_060), 120);
    let mut status = |minutes: u64| {
        node.live(Duration::from_secs(60 * minutes));
        let stream = node.get(ON_LAN, "/cgi-bin/phone_ping_json");
        let (_, tests) = node.answered(stream).unwrap();
        let all = tests["results"].as_array().unwrap().iter();
        all.filter(|r| r["phone_number"] == "441777")
            .map(|r| r["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(status(1), ["ONLINE"]);
    assert_eq!(status(4), ["NO_DNS"], "its registration has ended");
    assert_eq!(status(20), [""; 0], "in the end it is forgotten");
}

#[test]
fn what_is_switched_off_or_cannot_be_is_said() {
    let mut node = Node::new(|config| config.probe.enabled = false);
    for target in [TRACE, "/cgi-bin/uac_ping?target=441530", "/cgi-bin/uac_test?target=441530"] {
        let stream = node.get(ON_LAN, target);
        assert_eq!(node.refused(stream), "tests are switched off on this node (probe.enabled)");
    }
    let mut node = Node::new(|_| {});
    node.tell(Event::IcmpOpened(IcmpMode::None, 0));
    let stream = node.get(STRANGER, TRACE);
    assert_eq!(node.refused(stream), "this node may not open an ICMP socket, so it cannot trace");
    let stream = node.get(STRANGER, "/cgi-bin/uac_ping?target=441530&count=1");
    node.live(Duration::from_millis(200));
    let (_, body) = node.answered(stream).expect("OPTIONS alone");
    assert_eq!((&body["ping_status"], &body["result"]), (&json!("DISABLED"), &json!("ONLINE")));
}
