use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use super::planted::{Fault, Planted};
use super::*;
use crate::config::Config;
use crate::core::event::{Event, Identity, Udp};
use crate::files::{Contents, FileError, Step, Watched};
use crate::health::watch::{DRAINING, PASSING};
use crate::time::UnixTime;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5_060);
const PHONE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 5_060);
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 53), 53);
const BOOK: &str = "Firstname,Name,Callsign,Telephone,Privat\nHans,Meier,HB9AAA,441530,\n";

/// A core whose files are there at once, and what it did.
struct World {
    core: Core,
    now: Instant,
    effects: Vec<Effect>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// How many turns the loop made.
    turns: usize,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        config.names.servers = vec![DNS];
        config.servers = vec![crate::config::Server { url: "http://book.local.mesh/book.csv".into() }];
        let now = Instant::from_micros(1_000_000);
        let core = Core::new(config, &[3; 32], "boot".into(), now);
        let files = BTreeMap::from([("/www/arednstack/phonebook.csv".into(), BOOK.as_bytes().to_vec())]);
        let mut world = Self { core, now, effects: Vec::new(), files, turns: 0 };
        let identity = Identity { name: "HB9XX-NODE".into(), addresses: vec![*SERVER.ip()], ..Identity::default() };
        world.tell(Event::Identity(identity));
        world.tell(Event::WallClock(UnixTime(1_784_800_800)));
        world.tell(Event::IcmpOpened(crate::core::event::IcmpMode::Raw, 77));
        world
    }

    fn tell(&mut self, event: Event<'_>) {
        self.core.handle_event(event, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            match &effect {
                Effect::Read { reader, path, .. } => {
                    let bytes = self.files.get(path).cloned();
                    let contents = bytes.map(|bytes| Contents { bytes, modified: UnixTime(1) });
                    let contents = contents.ok_or(FileError::NotFound);
                    self.core.handle_event(Event::Read { reader: *reader, contents }, self.now);
                }
                Effect::Write { writer, steps } => {
                    for step in steps {
                        match step {
                            Step::Write(path, bytes) => drop(self.files.insert(path.clone(), bytes.clone())),
                            Step::Rename { from, to } => {
                                let bytes = self.files.remove(from).unwrap();
                                self.files.insert(to.clone(), bytes);
                            }
                            _ => {}
                        }
                    }
                    self.core.handle_event(Event::Written { writer: *writer, result: Ok(()) }, self.now);
                }
                Effect::Measure => self.core.handle_event(Event::Usage(Usage::default()), self.now),
                Effect::Watch { watched: watched @ Watched::HostsDir, .. } => {
                    let contents = Some(b"10.0.0.9\t441531\n".as_slice());
                    self.core.handle_event(Event::Changed { watched: *watched, name: "1", contents }, self.now);
                }
                _ => {}
            }
            self.effects.push(effect);
        }
    }

    /// Lets time pass as the shell does.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        let mut spins = 0;
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.core.handle_timeout(self.now);
            self.settle();
            self.turns += 1;
            // Downloads and questions go nowhere.
            let mut buffer = [0; 2_048];
            for socket in [Udp::Sip, Udp::Dns, Udp::Probe] {
                while self.core.poll_datagram(socket, &mut buffer).is_some() {}
            }
            while self.core.poll_icmp(&mut buffer, self.now).is_some() {}
            // What was made anew may be due at once.
            let due = self.core.next_deadline().is_some_and(|next| next <= self.now);
            spins = if due { spins + 1 } else { 0 };
            assert!(spins < 3, "the loop would spin");
        }
        self.now = end;
    }

    fn plant(&mut self, part: Part, fault: Fault, for_good: bool) {
        self.core.planted.push((part, Planted { fault, for_good }));
    }

    fn restarts(&self, part: Part) -> u32 {
        self.core.care.get().unwrap().health.watch.restarts(part)
    }

    fn sip(&mut self, text: &str) -> Vec<String> {
        self.tell(Event::Datagram {
            socket: Udp::Sip,
            source: PHONE,
            local: SERVER,
            ttl: None,
            at: None,
            bytes: text.as_bytes(),
        });
        self.sent()
    }

    fn sent(&mut self) -> Vec<String> {
        let mut buffer = [0; 4_096];
        let mut sent = Vec::new();
        while let Some(transmit) = self.core.poll_datagram(Udp::Sip, &mut buffer) {
            sent.push(String::from_utf8_lossy(&buffer[..transmit.len]).into_owned());
        }
        sent
    }

    fn register(&mut self) {
        let answer = self.sip(
            "REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:441599@10.0.0.1>;tag=a\r\nTo: <sip:441599@10.0.0.1>\r\nCall-ID: r@10.0.0.7\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:441599@10.0.0.7>\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(answer[0].starts_with("SIP/2.0 200"), "{answer:?}");
    }

    fn invite(&mut self, branch: &str, number: &str) -> Vec<String> {
        self.sip(&format!(
            "INVITE sip:{number}@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:441598@10.0.0.1>;tag=a\r\nTo: <sip:{number}@10.0.0.1>\r\nCall-ID: {branch}@10.0.0.7\r\n\
             CSeq: 1 INVITE\r\nContact: <sip:441598@10.0.0.7>\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    /// What is answered to a request over the daemon's own socket; empty: nothing yet.
    fn ask(&mut self, number: u32, request: &str) -> String {
        let stream = crate::engine::StreamId::Incoming(number);
        self.tell(Event::Accepted { stream, peer: crate::engine::Peer::Owner });
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        self.tell(Event::Received { stream, bytes: head.as_bytes() });
        let mut buffer = [0; 2_000];
        let length = self.core.poll_stream(stream, &mut buffer);
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn counter(&self, part: Part, name: &str) -> u64 {
        let counters = self.core.engine(part).unwrap().counters();
        counters.iter().find(|counter| counter.name == name).unwrap().count
    }

    fn health(&self) -> serde_json::Value {
        serde_json::from_slice(&self.core.health_json(Reason::Scheduled, self.now).unwrap()).unwrap()
    }
}

#[test]
fn every_engine_that_leaves_things_undone_is_made_anew_alone_and_nobody_else() {
    for part in Part::ALL {
        let mut world = World::new();
        world.pass(100);
        world.plant(part, Fault::Overdue(world.now), false);
        world.turns = 0;
        world.pass(4);
        assert!(world.turns < 80, "{part:?}: the loop does not spin: {} turns", world.turns);
        // Everybody else goes on.
        world.register();
        assert_eq!(world.restarts(part), 0, "{part:?}");
        world.pass(3);
        for other in Part::ALL {
            assert_eq!(world.restarts(other), u32::from(other == part), "{part:?} was stuck, {other:?} is asked");
        }
        assert!(world.core.planted.is_empty());
        assert_eq!(world.core.sip.registrar().len(), 1, "{part:?}: registrations live on");
        let health = world.health();
        assert_eq!(health["checks"]["all_threads_responsive"], true, "{part:?}: {health:#}");
        // And it stays well.
        world.pass(1_800);
        assert_eq!(world.core.care.get().unwrap().health.watch.all_restarts(), 1, "{part:?}");
        assert_eq!(world.effects.iter().filter(|effect| **effect == Effect::Exit).count(), 0);
    }
}

#[test]
fn an_engine_that_cannot_be_helped_costs_nothing_and_ends_nobody() {
    let mut world = World::new();
    world.pass(100);
    world.plant(Part::Mesh, Fault::Overdue(world.now), true);
    world.turns = 0;
    world.pass(600);
    let health = world.health();
    assert_eq!(health["threads"]["topology_crawler"]["responsive"], false, "{health:#}");
    assert_eq!(health["threads"]["phonebook_fetcher"]["responsive"], true, "{health:#}");
    assert!(health["threads"]["topology_crawler"]["heartbeat_age_seconds"].as_u64().unwrap() > 100, "{health:#}");
    assert!(health["threads"]["phonebook_fetcher"]["heartbeat_age_seconds"].as_u64().unwrap() < 5, "{health:#}");
    assert_eq!(health["checks"]["all_threads_responsive"], false);
    assert_eq!(health["health_score"], 60, "30 for the map, 10 for the book's server, which is not there");
    world.register();
    world.pass(3_600);
    assert!(world.turns < 11 * 4_200, "ten turns a second at most: {}", world.turns);
    assert_eq!(world.restarts(Part::Mesh), 7, "after 5 s and then after 1, 2, 4, 8, 16, 32 minutes");
    assert!(!world.effects.contains(&Effect::Exit));
}

#[test]
fn the_process_ends_when_a_new_exchange_is_no_better() {
    let mut world = World::new();
    world.register();
    world.pass(10);
    world.plant(Part::Sip, Fault::Overdue(world.now), true);
    world.pass(300);
    assert_eq!(world.restarts(Part::Sip), 3);
    assert!(!world.effects.contains(&Effect::Exit));
    world.effects.clear();
    world.pass(300);
    assert_eq!(world.effects.iter().filter(|effect| **effect == Effect::Exit).count(), 1, "once");
    // What must survive was saved for the next process.
    let saved = world.effects.iter().find_map(|effect| match effect {
        Effect::Write { writer: Writer::State, steps } => steps.iter().find_map(|step| match step {
            Step::Write(_, bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }),
        _ => None,
    });
    assert!(saved.is_some_and(|saved| saved.contains("441599")));
}

#[test]
fn work_of_which_nothing_is_heard_is_begun_anew() {
    let mut world = World::new();
    world.pass(100);
    world.plant(Part::Mesh, Fault::Silent, false);
    world.pass(1_700);
    assert_eq!(world.restarts(Part::Mesh), 0);
    world.pass(300);
    assert_eq!((world.restarts(Part::Mesh), world.core.care.get().unwrap().health.watch.all_restarts()), (1, 1));
}

#[test]
fn who_waits_for_an_engine_that_is_made_anew_is_told() {
    // A caller waits for an address.
    let mut world = World::new();
    assert!(world.invite("c1", "441577").iter().all(|answer| answer.starts_with("SIP/2.0 100")));
    world.core.renew(Part::Dns, world.now);
    world.core.settle(world.now);
    let answers = world.sent();
    assert!(answers.iter().any(|answer| answer.starts_with("SIP/2.0 480")), "{answers:?}");

    // A download waits for its server, and the collector's report for the collector.
    let mut world = World::new();
    world.core.config.health.collector = true;
    world.core.care.get_mut().unwrap().health.handle_config(&world.core.config.health, world.now);
    while !world.effects.iter().any(|effect| matches!(effect, Effect::Measure)) {
        world.pass(1);
    }
    world.core.renew(Part::HttpClient, world.now);
    world.core.settle(world.now);
    assert_eq!(world.core.engine(Part::HttpClient).unwrap().tables()[0].used, 0);
    let failed = world
        .core
        .engine(Part::Health)
        .unwrap()
        .counters()
        .iter()
        .find(|counter| counter.name == "reports_failed")
        .unwrap()
        .count;
    assert_eq!(failed, 1);
    assert!(world.core.phonebook.status().error.is_some(), "the server counts as not reached");
}

#[test]
fn a_new_exchange_knows_the_registered_and_forwards_at_once() {
    let mut world = World::new();
    world.register();
    world.core.renew(Part::Sip, world.now);
    world.core.settle(world.now);
    assert!(world.core.registered.iter().eq(["441599"]), "{:?}", world.core.registered);
    let sent = world.invite("c1", "441599");
    assert!(sent.iter().any(|message| message.starts_with("INVITE sip:441599@10.0.0.7 SIP/2.0")), "{sent:?}");
    let targets: Vec<&str> = world.core.desk.get().unwrap().probe.phones().map(crate::probe::Phone::number).collect();
    assert!(targets.contains(&"441599"), "the test desk still has it: {targets:?}");
}

#[test]
fn a_new_book_is_the_stored_one_and_a_new_map_sees_the_files() {
    let mut world = World::new();
    world.register();
    world.pass(5);
    world.effects.clear();
    for part in [Part::Phonebook, Part::Mesh, Part::Hosts, Part::Probe] {
        world.core.renew(part, world.now);
        world.core.settle(world.now);
        world.settle();
        world.pass(5);
        assert_eq!(world.core.phonebook.entries().len(), 1, "{part:?}");
        assert_eq!(world.core.hosts.lookup("441531"), [Ipv4Addr::new(10, 0, 0, 9)], "{part:?}");
        assert!(world.core.desk.get().unwrap().probe.icmp_mode() == crate::core::event::IcmpMode::Raw, "{part:?}");
        let numbers: BTreeSet<&str> =
            world.core.desk.get().unwrap().probe.phones().map(crate::probe::Phone::number).collect();
        assert!(numbers.contains("441599"), "{part:?}: {numbers:?}");
    }
    let flash =
        world.effects.iter().filter(|effect| matches!(effect, Effect::Write { writer: Writer::Book, .. })).count();
    assert_eq!(flash, 0, "flash is not written for it");
}

#[test]
fn a_new_desk_knows_who_was_rung_and_where_answers_come() {
    let mut world = World::new();
    world.tell(Event::Bound(Udp::Probe, 5_099));
    world.tell(Event::Changed { watched: Watched::HostsDir, name: "1", contents: Some(b"10.0.0.9\t441531\n") });
    let ring = "POST /api/v1/phones/ring?number=441531";
    assert_eq!(world.ask(1, ring), "", "it rings");
    world.pass(100);
    world.core.renew(Part::Probe, world.now);
    world.core.settle(world.now);
    assert!(world.ask(2, ring).starts_with("HTTP/1.1 429"));
    assert_eq!(world.ask(3, "GET /cgi-bin/uac_ping?target=441531&count=1"), "");
    // No ping is answered: two seconds later it is asked by SIP.
    world.now = world.now + Duration::from_secs(2);
    world.core.handle_timeout(world.now);
    let mut buffer = [0; 2_000];
    while world.core.poll_icmp(&mut buffer, world.now).is_some() {}
    world.now = world.now + Duration::from_secs(3);
    let mut sent = None;
    for _ in 0..9 {
        world.core.handle_timeout(world.now);
        sent = sent.or(world.core.poll_datagram(Udp::Probe, &mut buffer));
    }
    let text = String::from_utf8_lossy(&buffer[..sent.unwrap().len]).into_owned();
    assert!(text.starts_with("OPTIONS sip:441531@10.0.0.9 "), "{text}");
    assert!(text.contains("\r\nVia: SIP/2.0/UDP 10.0.0.1:5099;"), "{text}");
}

#[test]
fn a_new_map_knows_who_was_seen_when_and_which_node_this_is() {
    let mut world = World::new();
    world.pass(5);
    let seen = |world: &World| {
        let state: serde_json::Value = serde_json::from_slice(&world.core.state(world.now)).unwrap();
        state["seen"].clone()
    };
    let before = seen(&world);
    assert!(before["441530"].is_u64(), "{before}");
    world.pass(7_200);
    world.effects.clear();
    world.core.renew(Part::Mesh, world.now);
    world.core.settle(world.now);
    assert_eq!(seen(&world), before);
    world.settle();
    let dropped = Effect::Abort(crate::engine::StreamId::Babel);
    assert!(world.effects.contains(&dropped), "the conversation of the old one");
    world.pass(5);
    assert_eq!(seen(&world), before);
    let mesh = &world.core.map.get().unwrap().mesh;
    let known: Vec<&str> = mesh.graph().nodes().map(|(_, node)| node.name()).collect();
    assert_eq!(known, ["441531", "hb9xx-node"], "from the host files, and itself");
    let map: serde_json::Value = serde_json::from_slice(&mesh.topology_json(world.now)).unwrap();
    assert!(map["generated_at"].as_str().unwrap().starts_with("2026-07-23"), "{map}");
}

#[test]
fn a_phone_whose_name_cannot_be_asked_for_now_is_not_waited_for() {
    let mut world = World::new();
    for number in 0..limits::DNS_QUESTIONS {
        world.invite(&format!("c{number}"), &format!("44{number:04}"));
    }
    let answer = world.ask(1, "GET /cgi-bin/uac_ping?target=449999");
    assert!(answer.contains("\"NO_DNS\""), "{answer}");
}

#[test]
fn a_collector_to_whom_no_way_leads_is_tried_again() {
    let mut world = World::with(|config| {
        (config.health.collector, config.health.collector_url) = (true, "nowhere".into());
    });
    world.pass(17);
    assert_eq!(world.counter(Part::Health, "reports_failed"), 2, "after five seconds, and ten later");
}

#[test]
fn an_engine_that_was_restarted_is_in_a_report_at_once() {
    let mut world = World::new();
    world.pass(100);
    world.plant(Part::Mesh, Fault::Overdue(world.now), false);
    world.effects.clear();
    world.pass(10);
    assert_eq!(world.effects.iter().filter(|effect| **effect == Effect::Measure).count(), 1);
    assert_eq!(world.core.care.get().unwrap().health.report().unwrap().cures, 1);
}

#[test]
fn a_crash_is_told_for_a_day() {
    let mut world = World::new();
    let record = crate::wire::crash::Record { signal: 11, at_us: 500_000, boot_id: "boot", ..Default::default() };
    world.tell(Event::Crashed(&record.report(false, world.now.as_micros())));
    world.pass(86_000);
    assert_eq!(world.health()["last_crash"]["signal"], 11);
    world.pass(500);
    assert_eq!(world.health()["last_crash"], serde_json::Value::Null);
}

#[test]
fn a_phone_may_ring_as_long_as_the_configuration_says() {
    let patient = |config: &mut Config| config.sip.timer_c = Duration::from_secs(3_600);
    let mut later = World::new();
    let mut config = later.core.config.clone();
    patient(&mut config);
    later.core.handle_config(config, later.now);
    for mut world in [later, World::with(patient)] {
        world.plant(Part::Mesh, Fault::Silent, false);
        world.pass(7_000);
        assert_eq!(world.restarts(Part::Mesh), 0);
        world.pass(400);
        assert_eq!(world.restarts(Part::Mesh), 1, "twice as long, and then it is enough");
    }
}

#[test]
fn tables_that_are_watched_exist() {
    let world = World::new();
    let tables: BTreeSet<&str> = world.core.tables().iter().map(|table| table.name).collect();
    for name in DRAINING.iter().chain(PASSING) {
        assert!(tables.contains(name), "{name} is watched, but no engine has it");
    }
}

#[test]
fn whoever_waits_for_a_test_is_answered_when_the_engine_is_made_anew() {
    let mut world = World::new();
    let stream = crate::engine::StreamId::Incoming(1);
    world.tell(Event::Accepted { stream, peer: crate::engine::Peer::Owner });
    let request = b"POST /api/v1/mesh/trace?address=10.1.2.3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    world.tell(Event::Received { stream, bytes: request });
    let mut buffer = [0; 1_000];
    assert_eq!(world.core.poll_stream(stream, &mut buffer), 0, "it is traced");
    world.core.renew(Part::Probe, world.now);
    world.core.settle(world.now);
    let length = world.core.poll_stream(stream, &mut buffer);
    assert!(buffer[..length].starts_with(b"HTTP/1.1 504"), "{}", buffer[..length].escape_ascii());
}

/// Who answers for the server of the book could have phones rung: by way of us, from an address of the node's own LAN.
#[test]
fn a_server_of_the_book_sends_us_to_others_but_not_to_ourselves() {
    for (to, followed) in [("10.0.0.8", true), ("10.0.0.1", false)] {
        let mut world = World::new();
        let mut config = Config::default();
        config.servers = vec![crate::config::Server { url: "http://10.0.0.9/book.csv".into() }];
        world.core.handle_config(config, world.now);
        let dialled = |world: &mut World| {
            world.settle();
            world.effects.drain(..).find_map(|effect| match effect {
                Effect::Dial { stream, address } => Some((stream, address.ip().to_string())),
                _ => None,
            })
        };
        let stream = loop {
            world.now = world.core.next_deadline().unwrap();
            world.core.handle_timeout(world.now);
            if let Some((stream, address)) = dialled(&mut world) {
                break (address == "10.0.0.9").then_some(stream).unwrap();
            }
        };
        world.tell(Event::Connected(stream));
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{to}/cgi-bin/uac_test?target=441530\r\n\r\n");
        world.tell(Event::Received { stream, bytes: answer.as_bytes() });
        assert_eq!(dialled(&mut world).map(|(_, address)| address), followed.then(|| to.to_owned()));
    }
}
