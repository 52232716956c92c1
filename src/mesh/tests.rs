//! The engine as a whole, on a virtual clock: each source by itself. The whole mesh is in `tests/mesh_sim.rs`.

use super::*;
use crate::time::UnixTime;
use serde_json::Value;

const NOW: Instant = Instant::from_micros(1_000_000);
const HOSTS: &[u8] = b"##10.0.0.1##\n10.0.0.1\tA\n10.1.0.1\t441530\n\n##10.0.0.2##\n10.0.0.2\tB\n10.1.0.2\t441531\n\n\
                       ##10.0.0.3##\n10.0.0.3\tC\n10.1.0.3\t441531\n\n";

struct Desk {
    mesh: Mesh,
    config: Config,
    now: Instant,
    asked: Vec<(u32, Download)>,
    written: Vec<(Writer, Value)>,
    dialled: usize,
    hung_up: usize,
}

impl Desk {
    fn new(change: impl Fn(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let mut mesh = Mesh::new(&config, &[7; 32], NOW);
        mesh.handle_clock(Clock::new(UnixTime(1_784_800_800), NOW));
        mesh.set_identity("A", &[Ipv4Addr::new(10, 0, 0, 1)], NOW);
        let mut desk = Self { mesh, config, now: NOW, asked: Vec::new(), written: Vec::new(), dialled: 0, hung_up: 0 };
        desk.file(Watched::HostsDir, HOSTS);
        desk
    }

    fn file(&mut self, watched: Watched, contents: &[u8]) {
        self.mesh.handle_file(watched, "1", Some(contents), self.now);
    }

    /// Lets time pass in steps of a second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            self.mesh.handle_timeout(self.now);
            while let Some(request) = self.mesh.poll_request() {
                match request {
                    Request::Fetch { token, download } => self.asked.push((token, download)),
                    Request::Dial(path) => {
                        assert_eq!(path, self.config.mesh.babel_socket);
                        self.dialled += 1;
                    }
                    Request::Hangup => self.hung_up += 1,
                    Request::Write { writer, steps } => {
                        let text = steps.iter().find_map(|step| match step {
                            Step::Write(_, bytes) => Some(serde_json::from_slice(bytes).unwrap()),
                            _ => None,
                        });
                        self.written.push((writer, text.unwrap()));
                    }
                }
            }
        }
    }

    fn node(&self, name: &str) -> &graph::Node {
        self.mesh.graph.node(self.mesh.graph.find(name).unwrap()).unwrap()
    }

    fn answer(&mut self, token: u32, body: &str) {
        let fetched = Fetched { status: 200, etag: None, last_modified: None, body: body.as_bytes().to_vec() };
        self.mesh.handle_fetched(token, Ok(fetched), self.now);
    }

    fn kinds(&self) -> Vec<(&'static str, &str)> {
        self.mesh.findings().0.iter().map(|finding| (finding.kind.as_str(), finding.subject.as_str())).collect()
    }
}

#[test]
fn every_source_is_watched_once() {
    let mut desk = Desk::new(|_| {});
    let watched: Vec<Watched> = std::iter::from_fn(|| desk.mesh.poll_watch()).map(|(watched, _)| watched).collect();
    assert_eq!(watched.len(), 9);
    assert!(!watched.contains(&Watched::HostsDir), "the host files are watched for everybody");
    desk.mesh.handle_config(&desk.config.clone(), NOW);
    assert_eq!(desk.mesh.poll_watch(), None);
    desk.config.mesh.enabled = false;
    desk.mesh.handle_config(&desk.config.clone(), NOW);
    assert_eq!((desk.mesh.poll_watch(), desk.mesh.next_deadline(), desk.mesh.graph.sizes().0), (None, None, 0));
    desk.file(Watched::HostsDir, HOSTS);
    desk.mesh.handle_paths([vec![Some(Hop { address: Ipv4Addr::new(10, 0, 0, 2), rtt_us: 1 })]].into_iter(), NOW);
    assert_eq!((desk.mesh.local.sizes(), desk.mesh.next_deadline()), ((0, 0), None), "nobody wants to know");
    desk.config.mesh.enabled = true;
    desk.mesh.handle_config(&desk.config.clone(), NOW);
    assert_eq!(std::iter::from_fn(|| desk.mesh.poll_watch()).count(), 11, "and the host files once more");
}

#[test]
fn babel_says_who_can_be_reached() {
    let mut desk = Desk::new(|_| {});
    desk.pass(3);
    assert_eq!(desk.dialled, 1);
    desk.mesh.handle_connected(desk.now);
    let mut buffer = [0; 99];
    let sent = desk.mesh.poll_send(&mut buffer);
    assert_eq!(&buffer[..sent], crate::wire::babel::QUESTION);
    let dump = b"add route 1 prefix 10.0.0.2/32 installed yes metric 96\nadd route 1 prefix 10.0.0.3/32 installed yes metric 65535\n";
    desk.mesh.handle_received(dump, desk.now);
    assert_eq!(desk.node("b").metric, 0, "not before it is over");
    desk.mesh.handle_closed(false, desk.now);
    assert_eq!((desk.node("b").metric, desk.node("c").metric), (96, 65_535));
    desk.pass(66);
    assert_eq!((desk.dialled, desk.hung_up), (2, 2), "the second one took too long");
    assert_eq!(desk.node("b").metric, 96, "what is not known anew stays");
    desk.pass(70);
    desk.mesh.handle_closed(true, desk.now);
    assert_eq!(desk.mesh.counters().iter().find(|c| c.name == "babel_failed").unwrap().count, 2);
    let none = Desk::new(|config| config.mesh.babel_socket = PathBuf::new());
    assert!(none.mesh.babel.deadline().is_none());
}

/// What only others know of nodes: when they were seen.
#[test]
fn babel_sees_who_can_be_reached_and_knows_no_longer_who_is_gone() {
    let mut desk = Desk::new(|_| {});
    let said = |desk: &mut Desk, dump: &[u8]| {
        desk.mesh.babel.begin(desk.now);
        desk.mesh.handle_connected(desk.now);
        desk.mesh.handle_received(dump, desk.now);
        desk.mesh.handle_closed(false, desk.now);
    };
    for (name, last) in [("d", 4), ("e", 5)] {
        let id = desk.mesh.graph.see(name, Kind::Router, Evidence::Hearsay, NOW).unwrap();
        desk.mesh.graph.map_address(Ipv4Addr::new(10, 0, 0, last), id, Evidence::Hearsay);
    }
    desk.now = desk.now + limits::MESH_SEEN_STEP;
    let dump = b"add route 1 prefix 10.0.0.4/32 installed yes metric 96\nadd route 1 prefix 10.0.0.5/32 installed yes metric 65535\n";
    said(&mut desk, dump);
    assert_eq!((desk.node("d").last_seen, desk.node("e").last_seen), (desk.now, NOW), "no way leads to e");
    said(&mut desk, b"ok\n");
    assert_eq!((desk.node("d").metric, desk.node("e").metric), (0, 0));
    // One that talks without end is hung up on.
    desk.mesh.babel.begin(desk.now);
    desk.mesh.handle_connected(desk.now);
    desk.mesh.handle_received(&vec![b'\n'; limits::BABEL_ANSWER + 1], desk.now);
    assert_eq!((desk.mesh.babel.deadline(), desk.mesh.counts.babel_failed), (None, 1));
}

#[test]
fn a_map_that_changes_all_the_time_is_looked_at_and_written_now_and_then() {
    let mut desk = Desk::new(|_| {});
    for second in 0..60 {
        // One of its files changes every second.
        desk.file(Watched::HostsDir, format!("##10.0.0.2##\n10.0.0.2\tB{second}\n\n").as_bytes());
        desk.pass(1);
    }
    let maps = desk.written.iter().filter(|(writer, _)| *writer == Writer::Topology).count();
    assert!((3..=5).contains(&maps), "{maps}");
}

#[test]
fn what_is_written_is_written_anew_when_the_date_is_known() {
    let mut desk = Desk::new(|_| {});
    desk.pass(100);
    desk.written.clear();
    desk.pass(16);
    assert!(desk.written.is_empty());
    let date = UnixTime(1_900_000_000);
    desk.mesh.handle_clock(Clock::new(date, desk.now));
    desk.pass(1);
    let (writer, map) = desk.written.first().expect("a map with other dates");
    assert_eq!(*writer, Writer::Topology);
    assert!(map["generated_at"].as_str().unwrap().starts_with("2030-03-17"), "{map}");
}

#[test]
fn who_is_known_by_the_crawl_alone_does_not_fade_between_its_rounds() {
    for (crawl, inactive) in [(true, false), (false, true)] {
        let mut desk = Desk::new(|config| {
            (config.mesh.crawl, config.mesh.crawl_interval) = (crawl, Duration::from_secs(86_400));
            (config.mesh.inactive_timeout, config.mesh.delete_timeout) =
                (Duration::from_secs(600), Duration::from_secs(99_999));
        });
        desk.mesh.graph.see("d", Kind::Router, Evidence::Answered, NOW).unwrap();
        desk.now = desk.now + Duration::from_secs(7_200);
        desk.mesh.look(desk.now);
        assert_eq!(desk.node("d").inactive, inactive, "{crawl}");
    }
}

#[test]
fn a_changed_configuration_is_taken_over() {
    let mut desk = Desk::new(|_| {});
    desk.file(Watched::NodeSetup, b"config globals 'globals'\n\toption dmz_mode '0'\n");
    desk.pass(30);
    assert!(desk.kinds().contains(&("nat_mode", "")));
    // Another place for the files alone.
    desk.written.clear();
    desk.config.mesh.topology_file = "/elsewhere".into();
    desk.mesh.handle_config(&desk.config.clone(), desk.now);
    desk.pass(61);
    assert!([Writer::Topology, Writer::Findings].iter().all(|of| desk.written.iter().any(|(writer, _)| writer == of)));
    // Another domain: it begins anew, and knows who it is.
    desk.config.names.domain = "other.mesh".into();
    desk.mesh.handle_config(&desk.config.clone(), desk.now);
    assert_eq!((desk.mesh.graph.sizes().0, desk.kinds()), (1, vec![]), "nothing is said of what is not known any more");
    assert_eq!(desk.node("a").main_address(), Some(Ipv4Addr::new(10, 0, 0, 1)));
    desk.pass(3);
    assert!(!desk.kinds().contains(&("nat_mode", "")), "its settings were not read again yet");
    desk.mesh.handle_file(
        Watched::HostsDir,
        "1",
        Some(b"##10.0.0.2##\n10.0.0.2\tdtdlink.B.other.mesh\n10.0.0.2\tB\n\n"),
        desk.now,
    );
    desk.pass(3);
    assert_eq!(desk.node("b").main_address(), Some(Ipv4Addr::new(10, 0, 0, 2)));
    // Switched off, it says nothing of what it knew.
    desk.file(Watched::NodeSetup, b"config globals 'globals'\n\toption dmz_mode '0'\n");
    desk.pass(3);
    assert!(!desk.kinds().is_empty());
    desk.config.mesh.enabled = false;
    desk.mesh.handle_config(&desk.config.clone(), desk.now);
    assert_eq!(desk.kinds(), []);
}

#[test]
fn this_node_is_known_by_its_address_on_the_mesh_and_carries_what_it_announces() {
    let mut desk = Desk::new(|config| config.mesh.boundary = vec!["zz*".into()]);
    let addresses = [[192, 168, 1, 5], [10, 9, 9, 9], [10, 0, 0, 1]].map(Ipv4Addr::from);
    desk.mesh.set_identity("N", &addresses, desk.now);
    assert_eq!(desk.node("n").main_address(), Some(addresses[1]), "not that of its uplink");
    assert_eq!(desk.mesh.graph.at(addresses[0]), None);
    desk.mesh.set_identity("N", &addresses[2..], desk.now);
    assert_eq!(desk.node("n").main_address(), Some(addresses[1]), "it keeps the one that it had");
    desk.file(Watched::ServicesDir, b"http://441540:0/|tcp|x441540 [phone]\n");
    // These are its own links, whatever the boundary of the crawl.
    desk.file(Watched::Lqm, include_bytes!("../../tests/data/mesh/lqm.info"));
    desk.pass(3);
    assert_eq!(desk.mesh.graph.links().filter(|(key, _)| matches!(key.via, Via::Medium(_))).count(), 3);
    let phones = desk.mesh.phones();
    let own = phones.iter().find(|phone| phone.number == "441540").unwrap();
    assert_eq!((own.router, own.address), (Some("n"), None));
}

#[test]
fn what_the_firmware_measures() {
    let mut desk = Desk::new(|_| {});
    desk.pass(3);
    desk.file(Watched::Lqm, include_bytes!("../../tests/data/mesh/lqm.info"));
    desk.pass(20);
    let (_, map) = desk.written.iter().rfind(|(writer, _)| *writer == Writer::Topology).unwrap();
    let links: Vec<&Value> =
        map["connections"].as_array().unwrap().iter().filter(|link| link["link_type"] != "LAN").collect();
    let hill: Vec<_> = links
        .iter()
        .filter(|link| link["target"] == "hb9bbb-hill")
        .map(|link| (&link["link_type"], &link["rtt_avg_ms"]))
        .collect();
    assert_eq!(hill, [(&Value::from("RF"), &Value::from(1.85)), (&Value::from("DTD"), &Value::from(0.6))]);
    assert_eq!(map["ip_mappings"]["172.31.40.9"], "hb9eee-hub");
    assert!(links.iter().all(|link| link["source"] == "a" && link["target"] != "hb9ddd-gone"));
    // Half of a file, then one without the tunnel.
    desk.file(Watched::Lqm, b"{\"now\":20600,\"trackers\":{\"a\":");
    assert_eq!(desk.mesh.graph.links().filter(|(key, _)| matches!(key.via, Via::Medium(_))).count(), 3);
    desk.file(
        Watched::Lqm,
        b"{\"trackers\":{\"a\":{\"hostname\":\"hb9bbb-hill\",\"type\":\"RF\",\"ping_success_time\":0.005}}}",
    );
    let rest: Vec<_> = desk.mesh.graph.links().filter(|(key, _)| matches!(key.via, Via::Medium(_))).collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].1.rtt.rtt().map(|rtt| (rtt.count, rtt.mean_us)), Some((2, 3_425)));
}

#[test]
fn findings_come_and_go() {
    let mut desk = Desk::new(|config| config.sip.country_prefix = "041".into());
    desk.file(Watched::NodeSetup, b"config globals 'globals'\n\toption dmz_mode '0'\n");
    desk.file(Watched::DhcpConfig, b"config dhcp 'lan'\n\tlist dhcp_option '3'\n");
    desk.file(
        Watched::ArednConfig,
        b"config supernode\n\toption enable '1'\nconfig location\n\toption lat '47.1'\n\toption lon '8'\n",
    );
    desk.file(Watched::LanHosts, b"10.1.0.9\t441539 #NOPROPS\n");
    desk.file(Watched::DhcpLeases, b"0 00:00:00:00:00:01 10.1.0.8 441538 *\n");
    desk.mesh.handle_book([("041441530", false), ("7777", false)].into_iter(), desk.now);
    desk.pass(3);
    let all = [
        ("no_default_route", ""),
        ("nat_mode", ""),
        ("not_propagated", "441539"),
        ("duplicate_number", "441531"),
        ("port_closed", ""),
        ("supernode", ""),
        ("not_reserved", "441538"),
        ("not_listed", "441531"),
    ];
    assert_eq!(desk.kinds(), all);
    let duplicate = desk.mesh.findings().0.iter().find(|finding| finding.subject == "441531").unwrap();
    assert_eq!(duplicate.sentence, "Number 441531 is announced by b and c: which phone rings is a matter of luck.");
    let (writer, file) = desk.written.iter().rfind(|(writer, _)| *writer == Writer::Findings).unwrap();
    assert_eq!(
        (*writer, &file["total"], file["findings"].as_array().unwrap().len()),
        (Writer::Findings, &Value::from(8), 8)
    );
    assert_eq!(desk.node("a").position(), graph::Position::new(471_000_000, 80_000_000));

    desk.file(Watched::NodeSetup, b"config globals 'globals'\n\toption dmz_mode '3'\n");
    desk.file(Watched::FirewallRule, b"#!/bin/sh\n");
    desk.file(Watched::DhcpConfig, b"config dhcp 'lan'\n");
    desk.file(Watched::ArednConfig, b"config supernode\n\toption enable '0'\n");
    desk.file(Watched::LanHosts, b"10.1.0.9\t441539\n10.1.0.8\t441538\n");
    desk.file(Watched::HostsDir, b"##10.0.0.1##\n10.0.0.1\tA\n10.1.0.1\t441530\n\n");
    desk.pass(3);
    assert_eq!(desk.kinds(), []);
    desk.now = desk.now + desk.config.mesh.unseen_after;
    desk.pass(1);
    assert_eq!(desk.kinds(), [("unseen", "7777")], "441530 is announced all the time");
    assert!(desk.mesh.findings().0[0].sentence.ends_with("for 30 days."), "{:?}", desk.mesh.findings());
    desk.mesh.handle_sighting("7777", desk.now);
    desk.pass(60);
    assert_eq!(desk.kinds(), []);
}

#[test]
fn a_number_at_two_names_of_one_node_is_one_phone_and_without_a_book_nobody_is_missing_in_it() {
    let mut desk = Desk::new(|_| {});
    let lines = "##10.0.0.1##\n10.0.0.1\tA\n10.1.0.1\t441530\n\n";
    desk.file(Watched::HostsDir, lines.as_bytes());
    let services = "##10.0.0.1##\nhttp://441530:0/|tcp|x441530 [phone]\nhttp://yealink:0/|tcp|x441530 [phone]\n\n";
    desk.file(Watched::ServicesDir, services.as_bytes());
    desk.pass(3);
    assert_eq!(desk.kinds(), []);
}

#[test]
fn the_map_says_who_is_away_and_escapes_what_others_say() {
    let mut graph = Graph::new(9, 9);
    let [a, b] = ["a", "b"].map(|name| graph.see(name, Kind::Router, Evidence::Answered, NOW).unwrap());
    let [main, other] = [1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last));
    graph.set_address(a, main, Evidence::Answered);
    graph.map_address(other, a, Evidence::Answered);
    graph.set_device(a, "<b>\"", "");
    let later = NOW + Duration::from_secs(7_200);
    graph.seen(b, Evidence::Answered, later);
    graph.age(Duration::from_secs(3_600), Duration::from_secs(99_999), later);
    graph.link(LinkKey { from: a, to: b, via: Via::Path }, Some(5), None, later).unwrap();
    let file = topology::file(&topology::body(&graph, "a", Clock::default()), later, Clock::default());
    let map: Value = serde_json::from_slice(&file).unwrap();
    let status: Vec<&Value> = map["nodes"].as_array().unwrap().iter().map(|node| &node["status"]).collect();
    assert_eq!(status, ["INACTIVE", "ONLINE"]);
    assert!(String::from_utf8(file).unwrap().contains("\"model\":\"\\u003cb\\u003e\\\"\""));
    assert_eq!(map["ip_mappings"], serde_json::json!({"10.0.0.2": "a"}), "the main one stands with the node");
    assert_eq!(map["connections"][0]["rtt_avg_ms"], 0.005);
}

#[test]
fn nodes_that_got_their_power_back_together_do_not_ask_together() {
    let mut config = Config::default();
    config.mesh.crawl = true;
    let first = |seed| Mesh::new(&config, &[seed; 32], NOW).progress().next.unwrap();
    let starts: SortedSet<Instant> = (0..9).map(first).collect();
    assert_eq!(starts.len(), 9);
}

#[test]
fn findings_are_bounded_and_escaped() {
    let mut desk = Desk::new(|_| {});
    let lines: String = (0..400).map(|n| format!("10.1.0.1\t{}\n", 441_000 + n)).collect();
    desk.file(Watched::HostsDir, lines.as_bytes());
    desk.mesh.handle_book([("1", false)].into_iter(), desk.now);
    desk.pass(3);
    let (listed, more) = desk.mesh.findings();
    assert_eq!((listed.len(), more), (limits::MESH_FINDINGS, 200));
    let mut out = Vec::new();
    topology::string(&mut out, "<&>\"\\\u{7f}\u{202e}\u{2028}\n\u{fc}");
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "\"\\u003c\\u0026\\u003e\\\"\\\\\\u007f\\u202e\\u2028\\u000a\u{fc}\"");
    assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "<&>\"\\\u{7f}\u{202e}\u{2028}\n\u{fc}");
}

#[test]
fn a_question_is_asked_again_when_there_was_no_place_and_nobody_answers_for_another() {
    let mut desk = Desk::new(|config| config.mesh.crawl = true);
    desk.pass(40);
    assert_eq!(
        desk.asked.iter().map(|(_, asked)| asked.url.to_string()).collect::<Vec<_>>(),
        ["http://b.local.mesh/a/sysinfo?lqm=1", "http://c.local.mesh/a/sysinfo?lqm=1"]
    );
    let (first, second) = (desk.asked[0].0, desk.asked[1].0);
    desk.mesh.handle_busy(first, desk.now);
    desk.pass(2);
    assert_eq!((desk.asked.len(), &desk.asked[2].1), (3, &desk.asked[0].1));
    desk.answer(first, "{\"node\":\"b\"}");
    assert_eq!(desk.node("b").evidence, Evidence::Local);
    desk.answer(desk.asked[2].0, "{\"node\":\"C\",\"lat\":1,\"lon\":1}");
    assert_eq!((desk.node("c").position(), desk.mesh.counts.answers_foreign), (None, 1));
    desk.answer(second, "{\"node\":\"C\",\"api_version\":\"2.0\",\"lat\":1,\"lon\":1}");
    desk.pass(1);
    let progress = desk.mesh.progress();
    assert_eq!((progress.running, progress.answered, progress.failed, progress.questions), (false, 1, 1, 2));
    assert_eq!(desk.node("c").position(), graph::Position::new(10_000_000, 10_000_000));
    desk.answer(second, "{\"node\":\"C\"}");
    assert_eq!(desk.mesh.counts.stray, 2, "said twice");
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    let mut desk = Desk::new(|config| config.mesh.crawl = true);
    desk.pass(40);
    assert_eq!(desk.asked.len(), 2);
    desk.pass(20);
    assert!(!desk.mesh.progress().running);
    assert_eq!(desk.mesh.progress().failed, 2);
}

#[test]
fn traced_ways_are_links_between_routers_and_count_once() {
    let mut desk = Desk::new(|_| {});
    desk.pass(3);
    let hop = |last, rtt_us| Some(Hop { address: Ipv4Addr::new(10, 0, 0, last), rtt_us });
    let ways = [
        vec![hop(2, 1_000), hop(3, 5_000)],
        vec![hop(2, 1_000), None, hop(3, 9_000)],
        vec![hop(2, 1_000), hop(99, 2_000)],
    ];
    desk.mesh.handle_paths(ways.into_iter(), desk.now);
    let name = |id| desk.mesh.graph.node(id).unwrap().name();
    let links: Vec<_> = desk
        .mesh
        .graph
        .links()
        .filter(|(key, _)| key.via == Via::Path)
        .map(|(key, link)| (name(key.from), name(key.to), link.rtt.rtt().map(|rtt| (rtt.count, rtt.mean_us))))
        .collect();
    assert_eq!(links, [("a", "b", Some((1, 1_000))), ("b", "c", Some((1, 4_000)))]);
}

#[test]
fn a_write_that_failed_is_tried_again() {
    let mut desk = Desk::new(|_| {});
    desk.pass(3);
    let maps = |desk: &Desk| desk.written.iter().filter(|(writer, _)| *writer == Writer::Topology).count();
    let before = maps(&desk);
    desk.mesh.handle_written(Writer::Topology, Err(FileError::Os(28)), desk.now);
    desk.pass(30);
    assert_eq!(maps(&desk), before);
    desk.pass(61);
    assert_eq!(maps(&desk), before + 1);
    let findings = |desk: &Desk| desk.written.iter().filter(|(writer, _)| *writer == Writer::Findings).count();
    let before = findings(&desk);
    desk.pass(120);
    assert_eq!(findings(&desk), before);
    desk.mesh.handle_written(Writer::Findings, Err(FileError::Os(28)), desk.now);
    desk.pass(59);
    assert_eq!(findings(&desk), before, "not before a minute");
    desk.pass(62);
    assert_eq!(findings(&desk), before + 1);
}

#[test]
fn phones_are_listed_once() {
    let mut desk = Desk::new(|_| {});
    desk.file(Watched::ServicesDir, b"##10.0.0.1##\nhttp://441530:0/|tcp|x441530 [phone]\n\n");
    desk.pass(3);
    let phones: Vec<_> = desk
        .mesh
        .phones()
        .iter()
        .map(|phone| (phone.number.to_owned(), phone.address.is_some(), phone.router.map(str::to_owned)))
        .collect();
    assert_eq!(
        phones,
        [("441530".to_owned(), true, Some("a".to_owned())), ("441531".to_owned(), true, Some("b".to_owned()))]
    );
}
