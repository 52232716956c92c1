//! What people see of the demo, on a virtual clock: the real core on the simulated mesh, and what it says compared with what is
//! true there.

#![cfg(feature = "demo")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/clock.rs"]
mod clock;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use clock::{Files, NOON, World as _, said};
use serde_json::Value;
use switchboard::config::{self, Config};
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, IcmpMode, Identity, Udp};
use switchboard::demo::World;
use switchboard::demo::places::{Kind, Manner, PLACES, Phone, SILENT, address, is_simulated};
use switchboard::engine::{Peer, StreamId};
use switchboard::time::Instant;

const START: Instant = Instant::from_micros(3_000_000);
const SIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060);

/// The configuration of `make run`.
fn config() -> Config {
    let text = include_str!("../demo/switchboard").replace("@OUT@", "/run").replace("@SIP@", "127.0.0.1:5060");
    let (config, problems) = config::parse(text.replace("@API@", "127.0.0.1:8088").as_bytes(), "demo");
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [] as [String; 0]);
    config
}

struct Demo {
    core: Core,
    world: World,
    now: Instant,
    files: Files,
    streams: u32,
    /// What was to leave the process: nothing but what a real phone sent for.
    outside: Vec<(SocketAddrV4, Vec<u8>)>,
    calls: BTreeSet<String>,
    was_testing: bool,
}

impl Demo {
    fn new(mode: IcmpMode) -> Self {
        let seed = [7; 32];
        let mut world = World::new(&seed, SIP, START);
        world.set_icmp_mode(mode);
        let core = Core::new(config(), &seed, "boot".into(), START);
        let (files, outside) = (Files::default(), Vec::new());
        let (calls, was_testing) = (BTreeSet::new(), false);
        let mut demo = Self { core, world, now: START, files, streams: 0, outside, calls, was_testing };
        let real = vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 168, 1, 5)];
        let identity = demo.world.identity(Identity { name: "laptop".into(), addresses: real, lan: Vec::new() });
        assert_eq!(identity.addresses, [Ipv4Addr::LOCALHOST], "no address that a phone on loopback cannot send to");
        for event in [
            Event::Simulated,
            Event::Identity(identity),
            Event::WallClock(NOON),
            Event::IcmpOpened(mode, 0x5eed),
            Event::Bound(Udp::Probe, 5071),
        ] {
            demo.core.handle_event(event, START);
        }
        demo.settle();
        demo
    }

    /// Until that many seconds after the start.
    fn run_to(&mut self, seconds: u64) {
        self.run((START + Duration::from_secs(seconds)).since(self.now));
        for table in self.core.tables() {
            assert!(table.used <= table.limit, "{table:?}");
        }
    }

    /// What a browser gets.
    fn ask(&mut self, path: &str) -> Value {
        self.streams += 1;
        let stream = StreamId::Incoming(self.streams);
        self.core.handle_event(Event::Accepted { stream, peer: Peer::Owner }, self.now);
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        self.core.handle_event(Event::Received { stream, bytes: request.as_bytes() }, self.now);
        let text = String::from_utf8(said(&mut self.core, stream)).unwrap();
        self.settle();
        let (_, body) = text.split_once("\r\n\r\n").expect("a whole answer");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Looks as the monitor does, every five seconds.
    fn watch_to(&mut self, seconds: u64) {
        let mut at = self.now.since(START).as_secs();
        while at < seconds {
            at += 5;
            self.run_to(at);
            let calls = self.ask("/cgi-bin/active_calls_json");
            self.calls
                .extend(calls["calls"].as_array().unwrap().iter().map(|call| call["state"].as_str().unwrap().into()));
            let progress = &self.ask("/cgi-bin/phone_ping_json")["progress"];
            self.was_testing |= progress["running"] == true && progress["done"].as_u64() < progress["total"].as_u64();
        }
    }

    fn kinds_of_findings(&mut self) -> BTreeSet<String> {
        let findings = self.ask("/cgi-bin/findings_json");
        findings["findings"].as_array().unwrap().iter().map(|f| f["kind"].as_str().unwrap().to_owned()).collect()
    }

    fn status_of_node(&mut self, name: &str) -> String {
        let map = self.ask("/cgi-bin/topology_json");
        let node = map["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned();
        node.map_or_else(String::new, |node| node["status"].as_str().unwrap().to_owned())
    }
}

impl clock::World for Demo {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn now(&mut self) -> &mut Instant {
        &mut self.now
    }

    fn next(&self) -> Option<Instant> {
        self.world.next_deadline()
    }

    fn happen(&mut self) {
        self.world.handle_timeout(&mut self.core, self.now);
        self.settle();
        assert!(self.world.next_deadline().is_none_or(|at| at > self.now), "the world stands still");
    }

    fn settle(&mut self) {
        let mut buffer = vec![0; switchboard::limits::DATAGRAM];
        loop {
            for socket in [Udp::Sip, Udp::Dns, Udp::Probe] {
                while let Some(transmit) = self.core.poll_datagram(socket, &mut buffer) {
                    let bytes = &buffer[..transmit.len];
                    if !self.world.take_datagram(&transmit, bytes, self.now) {
                        self.outside.push((transmit.destination, bytes.to_vec()));
                    }
                }
            }
            while let Some(out) = self.core.poll_icmp(&mut buffer, self.now) {
                let taken = self.world.take_icmp(&out, &buffer[..out.len], self.now);
                assert!(taken || out.destination.is_loopback(), "a ping of {}", out.destination);
            }
            self.world.hear(&mut self.core, self.now);
            let Some(effect) = self.core.poll_effect() else { break };
            let Some(effect) = self.world.take_effect(effect, self.now) else { continue };
            match self.files.perform(effect, &mut self.core, self.now) {
                Some(Effect::Dial { address, .. }) => panic!("{address} is dialled on the real network"),
                Some(Effect::DialUnix { path, .. }) => panic!("{} is dialled on this machine", path.display()),
                Some(Effect::Watch { path, .. }) => panic!("{} of this machine is watched", path.display()),
                _ => {}
            }
        }
    }
}

/// Neither its owner nor its node goes away.
fn is_steady(phone: &Phone) -> bool {
    phone.kind != Kind::Sometimes && ![23, 31].contains(&phone.node)
}

#[test]
fn after_some_minutes_every_panel_shows_what_is_true() {
    for mode in [IcmpMode::Raw, IcmpMode::Datagram] {
        let mut demo = Demo::new(mode);
        demo.watch_to(235);

        let tests = demo.ask("/cgi-bin/phone_ping_json");
        let results = tests["results"].as_array().unwrap();
        let phones = demo.world.phones().to_vec();
        let steady: Vec<&Phone> = phones.iter().filter(|phone| is_steady(phone)).collect();
        assert!(steady.len() > 30 && results.len() >= steady.len(), "{} of {}", steady.len(), results.len());
        let (mut paths, mut hops_told, mut kinds) = (0, [0, 0], BTreeSet::new());
        for phone in steady.iter().filter(|phone| phone.number != "990150") {
            let told = results.iter().find(|result| result["phone_number"] == phone.number.as_str());
            let told = told.unwrap_or_else(|| panic!("{phone:?} is not tested"));
            let (ping, sip) = match phone.kind {
                Kind::Alive | Kind::Sometimes => ("ONLINE", "ONLINE"),
                Kind::Off => ("OFFLINE", "OFFLINE"),
                Kind::NoPing => ("OFFLINE", "ONLINE"),
                Kind::NoSip => ("ONLINE", "OFFLINE"),
            };
            assert_eq!((&told["ping_status"], &told["options_status"]), (&ping.into(), &sip.into()), "{phone:?}");
            assert!(told["history"].as_array().unwrap().len() >= 3, "{phone:?}: a curve of some cycles");
            kinds.insert(format!("{:?}", phone.kind));
            let (way, _) = demo.world.net().reach(phone.node, demo.now).unwrap();
            let hops = told["path"].as_array().unwrap();
            if ping == "ONLINE" && !hops.is_empty() {
                paths += 1;
                let truth = way.iter().map(|router| match *router {
                    SILENT => "*".to_owned(),
                    router => address(router).to_string(),
                });
                let truth: Vec<String> = truth.chain([phone.address.to_string()]).collect();
                let told: Vec<&str> = hops.iter().map(|hop| hop["ip"].as_str().unwrap_or("*")).collect();
                assert_eq!(told.len(), truth.len(), "the way to {phone:?}");
                for (told, truth) in told.into_iter().zip(truth) {
                    // A hop may be lost in bad weather, but nobody else is taken for it.
                    assert!(told == "*" || told == truth, "the way to {phone:?}");
                    hops_told[usize::from(told == truth)] += 1;
                }
            }
        }
        assert!(kinds.len() == 4 && paths > 25, "{kinds:?}, {paths} ways");
        assert!(hops_told[0] * 10 < hops_told[1], "{hops_told:?} hops are missing and told");
        assert!(demo.was_testing, "the progress of a cycle is seen");
        let rtt = |result: &Value| result["ping_rtt"].as_f64().unwrap();
        assert!(results.iter().any(|result| rtt(result) > 100.0), "some phones are far");
        assert!(
            results.iter().any(|result| result["ping_loss"].as_f64().is_some_and(|loss| loss > 0.0 && loss < 100.0))
        );

        let map = demo.ask("/cgi-bin/topology_json");
        let nodes = map["nodes"].as_array().unwrap();
        for (index, place) in PLACES.iter().enumerate() {
            let node = nodes.iter().find(|node| node["name"] == place.name.to_lowercase().as_str()).expect(place.name);
            assert_eq!(node["status"], "ONLINE", "{index} {}", place.name);
            let lat = node["lat"].as_str().unwrap().parse::<f64>().ok();
            assert_eq!(lat.map(|lat| (lat * 1e4).round()), place.position.map(|at| f64::from(at.0)), "{}", place.name);
        }
        let links = map["connections"].as_array().unwrap();
        for link in &demo.world.net().links {
            if [link.a, link.b].iter().any(|node| !demo.world.net().is_up(*node, demo.now)) {
                continue;
            }
            let [a, b] = [link.a, link.b].map(|node| PLACES[node].name.to_lowercase());
            let told = links.iter().find(|told| told["source"] == a.as_str() && told["target"] == b.as_str());
            let told = told.unwrap_or_else(|| panic!("no link from {a} to {b}"));
            assert!(told["sample_count"].as_u64().unwrap() > 0 && !told["rtt_avg_ms"].is_null(), "{told}");
        }

        for state in ["RINGING", "ESTABLISHED"] {
            assert!(demo.calls.contains(state), "{:?}", demo.calls);
        }
        let registrations = demo.ask("/api/v1/registrations");
        let registered: BTreeSet<&str> =
            registrations["registrations"].as_array().unwrap().iter().map(|r| r["number"].as_str().unwrap()).collect();
        let truth = phones.iter().filter(|phone| phone.registers && is_steady(phone));
        assert!(truth.clone().count() > 8 && truth.clone().all(|phone| registered.contains(&*phone.number)));

        let status = demo.ask("/api/v1/status");
        assert_eq!((&status["simulated"], &status["node"]), (&true.into(), &PLACES[0].name.into()));
        assert!(status["phonebook"]["online"].as_u64().unwrap() > 30);
        assert_eq!(demo.ask("/cgi-bin/dashboard_settings")["simulated"], true);
        assert_eq!(demo.outside, [], "nothing left the process");
    }
}

#[test]
fn things_come_and_go() {
    let mut demo = Demo::new(IcmpMode::Raw);
    let gone = PLACES[23].name.to_lowercase();
    demo.run_to(55);
    assert_eq!(demo.status_of_node(&gone), "ONLINE");
    let mut findings: Vec<BTreeSet<String>> = Vec::new();
    for minute in 1..11 {
        demo.run_to(minute * 60 + 50);
        findings.push(demo.kinds_of_findings());
    }
    assert_eq!(demo.status_of_node(&gone), "INACTIVE", "it has had no power for ten minutes");
    let behind = demo.world.phones().iter().find(|phone| phone.node == 23).unwrap().number.clone();
    let book = demo.ask(&format!("/api/v1/phonebook?q={behind}"));
    assert_eq!(book["entries"][0]["online"], false, "and its phones went with it");
    demo.run_to(14 * 60);
    assert_eq!(demo.status_of_node(&gone), "ONLINE");
    for kind in ["no_default_route", "duplicate_number"] {
        let seen = findings.iter().filter(|found| found.contains(kind)).count();
        assert!(seen > 0 && seen < findings.len(), "{kind} comes and goes: {findings:?}");
    }
    for kind in ["not_propagated", "not_reserved", "not_listed"] {
        assert!(findings.iter().all(|found| found.contains(kind)), "{kind}: {findings:?}");
    }
    assert_eq!(demo.outside, []);
}

/// A softphone on loopback, in as few lines as will do: it says these and hears what comes back.
fn line(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn a_real_phone_registers_calls_a_simulated_one_and_is_answered() {
    let mut demo = Demo::new(IcmpMode::Raw);
    demo.run_to(60);
    let here = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5099);
    let called = demo.world.phones().iter().find(|p| p.manner == Manner::Answers && is_steady(p)).unwrap().clone();
    let head = |method: &str, uri: &str, cseq: u32| {
        format!(
            "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK{method}{cseq}\nMax-Forwards: 70\n\
             From: <sip:990101@127.0.0.1>;tag=me\nCall-ID: real@phone\nCSeq: {cseq} {method}\nContact: <sip:990101@{here}>\n"
        )
    };
    let say = |demo: &mut Demo, text: String| {
        let event =
            Event::Datagram { socket: Udp::Sip, source: here, local: SIP, ttl: None, at: None, bytes: &line(&text) };
        demo.core.handle_event(event, demo.now);
        demo.settle();
    };
    let heard = |demo: &Demo| -> Vec<String> {
        let to_us = demo.outside.iter().inspect(|(to, _)| assert_eq!(*to, here, "nobody else is told anything"));
        to_us.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    };
    say(&mut demo, head("REGISTER", "sip:127.0.0.1", 1) + "To: <sip:990101@127.0.0.1>\nContent-Length: 0\n\n");
    assert!(heard(&demo)[0].starts_with("SIP/2.0 200"));
    let uri = format!("sip:{}@127.0.0.1", called.number);
    say(&mut demo, head("INVITE", &uri, 2) + &format!("To: <{uri}>\nContent-Length: 0\n\n"));
    demo.run_to(70);
    let answer = heard(&demo).into_iter().find(|text| text.starts_with("SIP/2.0 200") && text.contains("2 INVITE"));
    let answer = answer.expect("somebody answers");
    assert!(heard(&demo).iter().any(|text| text.starts_with("SIP/2.0 180")), "it rang first");
    let value = |name: &str| {
        let lines = answer.lines().filter_map(|line| line.split_once(": "));
        lines.clone().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).expect(name)
    };
    assert_eq!(
        value("Record-Route"),
        "<sip:127.0.0.1:5060;lr>",
        "what follows comes to us, and not to an address of the mesh"
    );
    let media: Vec<&str> = answer.lines().filter(|line| line.starts_with("c=") || line.starts_with("o=")).collect();
    assert!(media.iter().all(|line| line.ends_with("127.0.0.1")) && answer.contains("a=inactive"), "{answer}");
    let contact = value("Contact").trim_matches(['<', '>']).to_owned();
    let rest = format!("Route: {}\nTo: {}\nContent-Length: 0\n\n", value("Record-Route"), value("To"));
    say(&mut demo, head("ACK", &contact, 2) + &rest);
    demo.run_to(75);
    let calls = demo.ask("/api/v1/calls");
    let ours = calls["calls"].as_array().unwrap().iter().find(|call| call["call_id"] == "real@phone").unwrap();
    assert_eq!(ours["state"], "ESTABLISHED");
    say(&mut demo, head("BYE", &contact, 3) + &rest);
    demo.run_to(80);
    assert!(heard(&demo).iter().any(|text| text.starts_with("SIP/2.0 200") && text.contains("3 BYE")));
    assert!(demo.ask("/api/v1/calls")["calls"].as_array().unwrap().iter().all(|call| call["call_id"] != "real@phone"));
}

#[test]
fn only_the_simulated_addresses_are_taken() {
    assert!(is_simulated(Ipv4Addr::new(10, 219, 3, 4)));
    for real in [[10, 218, 255, 255], [10, 220, 0, 1], [127, 0, 0, 1], [192, 168, 219, 1]] {
        assert!(!is_simulated(Ipv4Addr::from(real)));
    }
}
