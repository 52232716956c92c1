//! A mesh of 300 routers and 500 phones, with firmware of every generation, routers that are silent, redirect, lie, or answer with
//! anything but what was asked; and the map that one node makes of it, compared with the truth.
//!
//! `SIM_SEED=7 cargo test --test mesh_sim` repeats one mesh, `SIM_SEEDS=200` takes so many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

#[path = "support/mesh_truth.rs"]
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use switchboard::config::Config;
use switchboard::engine::Engine;
use switchboard::files::{Step, Watched, Writer};
use switchboard::mesh::{Mesh, Request};
use switchboard::rng::{Rng, Seed};
use switchboard::time::{Clock, Instant, UnixTime};
use switchboard::wire::http::{Download, FetchError, Fetched};

use truth::{Manner, Truth};

const START: Instant = Instant::from_micros(90_000_000);
const NOON: UnixTime = UnixTime(1_784_800_800);

/// A question on its way, and when what comes of it arrives.
struct OnTheWay {
    arrives: Instant,
    token: u32,
    outcome: Result<Fetched, FetchError>,
}

/// One node and the mesh around it, on a virtual clock.
struct World {
    now: Instant,
    mesh: Mesh,
    truth: Truth,
    on_the_way: Vec<OnTheWay>,
    /// How often each router was asked at the new and at the old URL.
    asked: BTreeMap<String, [usize; 2]>,
    most_at_once: usize,
    written: Vec<(Writer, Vec<u8>)>,
    started: Vec<Instant>,
    rng: Rng,
}

impl World {
    fn new(number: u64, change: impl Fn(&mut Config)) -> Self {
        let mut seed = Seed::default();
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let mut config = Config::default();
        config.mesh.crawl = true;
        config.mesh.crawl_in_flight = 32;
        config.mesh.crawl_rate = 100;
        change(&mut config);
        let truth = Truth::new(&mut Rng::new(&seed, "truth"), 300, 500);
        let mut world = Self {
            now: START,
            mesh: Mesh::new(&config, &seed, START),
            truth,
            on_the_way: Vec::new(),
            asked: BTreeMap::new(),
            most_at_once: 0,
            written: Vec::new(),
            started: Vec::new(),
            rng: Rng::new(&seed, "world"),
        };
        world.mesh.handle_clock(Clock::new(NOON, START));
        world.mesh.set_identity(&world.truth.routers[0].name, &[world.truth.routers[0].address], START);
        world.tell_files();
        world
    }

    fn tell_files(&mut self) {
        for (watched, name, contents) in self.truth.files() {
            self.mesh.handle_file(watched, &name, Some(contents.as_bytes()), self.now);
        }
        self.mesh.handle_file(Watched::Lqm, "lqm.info", Some(self.truth.lqm(0).as_bytes()), self.now);
    }

    /// Lets time pass, with everything that is due in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.turn_out();
            let arrival = self.on_the_way.iter().map(|question| question.arrives).min();
            let due = self.mesh.next_deadline().into_iter().chain(arrival).min().filter(|due| *due <= end);
            let Some(due) = due else { break };
            self.now = self.now.max(due);
            while let Some(at) = self.on_the_way.iter().position(|question| question.arrives <= self.now) {
                let OnTheWay { token, outcome, .. } = self.on_the_way.swap_remove(at);
                self.mesh.handle_fetched(token, outcome, self.now);
            }
            if self.mesh.next_deadline().is_some_and(|deadline| deadline <= self.now) {
                self.mesh.handle_timeout(self.now);
            }
            for table in self.mesh.tables() {
                assert!(table.used <= table.limit, "{table:?}");
            }
        }
        self.now = end;
    }

    fn turn_out(&mut self) {
        while let Some(request) = self.mesh.poll_request() {
            match request {
                Request::Fetch { token, download } => self.ask(token, download),
                Request::Dial(_) => self.mesh.handle_closed(true, self.now),
                Request::Hangup => {}
                Request::Write { writer, steps } => {
                    let bytes = steps.iter().find_map(|step| match step {
                        Step::Write(_, bytes) => Some(bytes.clone()),
                        _ => None,
                    });
                    self.written.push((writer, bytes.unwrap()));
                    self.mesh.handle_written(writer, Ok(()), self.now);
                }
            }
        }
    }

    fn ask(&mut self, token: u32, download: Download) {
        let Download { url, total_timeout: timeout, max_body, .. } = download;
        assert_eq!(url.port, 80);
        let name = url.host.strip_suffix(".local.mesh").expect("below the domain").to_owned();
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{name:?} was fetched"
        );
        let old = match url.path.as_str() {
            "/a/sysinfo?lqm=1" => false,
            "/cgi-bin/sysinfo.json?lqm=1&link_info=1" => true,
            other => panic!("{other}"),
        };
        self.asked.entry(name.clone()).or_default()[usize::from(old)] += 1;
        self.started.push(self.now);
        let (outcome, takes) = self.truth.answer(&name, old, timeout, &mut self.rng);
        let outcome = match outcome {
            Ok(fetched) if fetched.body.len() > max_body => Err(FetchError::TooLarge),
            outcome => outcome,
        };
        self.on_the_way.push(OnTheWay { arrives: self.now + takes, token, outcome });
        self.most_at_once = self.most_at_once.max(self.on_the_way.len());
    }

    /// Until the round that is going on, or the next one, is over.
    fn finish_round(&mut self) {
        let begun = self.mesh.progress().rounds;
        for _ in 0..10_000 {
            let until = self.mesh.progress().next.map_or(Duration::ZERO, |next| next.since(self.now));
            self.pass(until.max(Duration::from_millis(100)));
            let progress = self.mesh.progress();
            if progress.rounds != begun && !progress.running {
                return;
            }
        }
        panic!("the round never ends");
    }

    /// The file that a page would read now.
    fn map(&self) -> Value {
        serde_json::from_slice(&self.mesh.topology_json(self.now)).expect("the map is JSON")
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    number("SIM_SEED").map_or(0..number("SIM_SEEDS").unwrap_or(4), |seed| seed..seed + 1)
}

/// Says which mesh it was when a test fails in it.
struct Witness(u64);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SIM_SEED={}", self.0);
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn names(map: &Value, kind: &str) -> BTreeSet<String> {
    let nodes = map["nodes"].as_array().unwrap();
    nodes.iter().filter(|node| text(node, "type") == kind).map(|node| text(node, "name").to_owned()).collect()
}

/// `source target type` of every link between routers.
fn links(map: &Value) -> BTreeSet<String> {
    let connections = map["connections"].as_array().unwrap();
    let links = connections.iter().filter(|link| text(link, "link_type") != "LAN");
    links.map(|link| format!("{} {} {}", text(link, "source"), text(link, "target"), text(link, "link_type"))).collect()
}

#[test]
fn the_map_is_the_truth() {
    for number in seeds() {
        let _witness = Witness(number);
        let mut world = World::new(number, |_| {});
        world.finish_round();
        let took = world.mesh.progress().took;
        let map = world.map();

        assert_eq!(names(&map, "router"), world.truth.known_routers(), "every router, and none that is invented");
        assert_eq!(names(&map, "phone"), world.truth.phones.iter().map(|phone| phone.number.clone()).collect());
        let wanted = world.truth.known_links();
        assert_eq!(links(&map), wanted);
        assert!(wanted.len() > 900, "the truth is worth comparing: {}", wanted.len());

        for node in map["nodes"].as_array().unwrap() {
            let name = text(node, "name");
            assert_eq!(text(node, "status"), "ONLINE");
            let expected = world.truth.position(name);
            let degrees = |key: &str| text(node, key).parse::<f64>().ok();
            match (expected, degrees("lat").zip(degrees("lon"))) {
                (Some((latitude, longitude)), Some((lat, lon))) => {
                    let most = if text(node, "type") == "phone" { 0.001_000_1 } else { 0.000_000_1 };
                    assert!((lat - latitude).abs() <= most && (lon - longitude).abs() <= most, "{node}");
                }
                (None, None) => {}
                other => panic!("{node}: {other:?}"),
            }
        }
        for link in map["connections"].as_array().unwrap().iter().filter(|link| text(link, "link_type") != "LAN") {
            let (source, target, kind) = (text(link, "source"), text(link, "target"), text(link, "link_type"));
            match world.truth.rtt_us(source, target, kind) {
                Some(rtt_us) => {
                    assert_eq!(link["sample_count"], 1, "{link}");
                    assert_eq!((link["rtt_avg_ms"].as_f64().unwrap() * 1_000.0).round(), f64::from(rtt_us), "{link}");
                }
                None => assert!(link["rtt_avg_ms"].is_null() && link["sample_count"] == 0, "{link}"),
            }
        }
        for phone in &world.truth.phones {
            let router = &world.truth.routers[phone.router].name;
            let carried = map["connections"].as_array().unwrap().iter().any(|link| {
                text(link, "link_type") == "LAN"
                    && text(link, "source") == router
                    && text(link, "target") == phone.number
            });
            assert!(carried, "{} behind {router}", phone.number);
        }
        for (address, name) in world.truth.aliases() {
            assert_eq!(text(&map["ip_mappings"], &address.to_string()), name, "{address}");
        }

        // One question to each, two where the firmware is old or the answer no answer; the slowest router sets the end.
        let known = world.truth.known_routers();
        for router in world.truth.routers[1..].iter().filter(|router| known.contains(&router.name)) {
            let expected: &[[usize; 2]] = match router.manner {
                Manner::Good if router.generation.is_new() => &[[1, 0]],
                Manner::Silent | Manner::Slow => &[[1, 0]],
                Manner::Good | Manner::Garbage | Manner::Gone => &[[1, 1]],
                Manner::Impostor | Manner::Endless => &[[1, 0], [1, 1]],
            };
            let asked = world.asked.get(&router.name).copied().unwrap_or_default();
            assert!(expected.contains(&asked), "{} ({:?}) was asked {asked:?}", router.name, router.manner);
        }
        let plain = known.len() - world.truth.hostile_names().len();
        assert_eq!(world.asked.len(), plain - 1, "nobody else, and not oneself");
        assert!(world.most_at_once <= 32, "{}", world.most_at_once);
        assert!(took <= Duration::from_secs(15), "{took:?}");
        for pair in world.started.windows(101) {
            assert!(pair[100].since(pair[0]) >= Duration::from_secs(1), "a hundred questions a second, not more");
        }
    }
}

#[test]
fn the_second_round_costs_one_question_each() {
    let mut world = World::new(1, |_| {});
    world.finish_round();
    world.asked.clear();
    world.finish_round();
    for router in world.truth.routers[1..].iter().filter(|router| router.manner == Manner::Good) {
        let expected = if router.generation.is_new() { [1, 0] } else { [0, 1] };
        assert_eq!(world.asked[&router.name], expected, "{}: it is remembered which URL answered", router.name);
    }
    for _ in 0..5 {
        world.asked.clear();
        world.finish_round();
    }
    let silent: Vec<&String> =
        world.truth.routers.iter().filter(|r| r.manner == Manner::Silent).map(|r| &r.name).collect();
    assert!(!silent.is_empty());
    let asked = silent.iter().filter(|name| world.asked.contains_key(**name)).count();
    assert_eq!(asked, 0, "in most rounds, who never answers is left alone");
}

#[test]
fn without_a_crawl_the_map_costs_nothing() {
    let mut world = World::new(2, |config| config.mesh.crawl = false);
    world.pass(Duration::from_secs(2 * 3_600));
    assert_eq!(world.asked.len(), 0);
    let map = world.map();
    assert_eq!(names(&map, "router"), world.truth.announced_routers());
    assert_eq!(names(&map, "phone").len(), world.truth.phones.len());
    let own = &world.truth.routers[0].name;
    assert!(links(&map).is_empty(), "what the firmware measured two hours ago is no link any more");
    world.mesh.handle_file(Watched::Lqm, "lqm.info", Some(world.truth.lqm(0).as_bytes()), world.now);
    assert!(links(&world.map()).iter().all(|link| link.starts_with(&format!("{own} "))));
    assert!(!links(&world.map()).is_empty());
}

#[test]
fn a_quiet_mesh_is_written_when_it_changes_and_not_otherwise() {
    let mut world = World::new(3, |config| config.mesh.crawl = false);
    world.pass(Duration::from_secs(4 * 60));
    let maps = |world: &World| world.written.iter().filter(|(writer, _)| *writer == Writer::Topology).count();
    assert_eq!(maps(&world), 1, "with all files at once");
    world.pass(Duration::from_secs(3_600));
    let later = maps(&world);
    assert!(later <= 1 + 12, "seen again, in steps of five minutes: {later}");
    let bodies: Vec<&[u8]> =
        world.written.iter().filter(|(writer, _)| *writer == Writer::Topology).map(|(_, bytes)| &bytes[60..]).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] != pair[1]), "never the same again");
    let findings = world.written.iter().filter(|(writer, _)| *writer == Writer::Findings).count();
    assert!(findings <= 2, "{findings}");
}

#[test]
fn the_boundary_holds() {
    let mut world = World::new(4, |config| config.mesh.boundary = vec!["hb*".into()]);
    world.finish_round();
    assert!(!world.asked.is_empty() && world.asked.keys().all(|name| name.starts_with("hb")));
    let foreign = world.truth.routers.iter().filter(|router| !router.name.starts_with("hb")).count();
    assert!(foreign > 10);
    let shown = names(&world.map(), "router");
    assert!(shown.iter().any(|name| !name.starts_with("hb")), "what the node knows for nothing is shown all the same");
}

#[test]
fn supernodes_are_the_end_of_the_mesh() {
    let mut world = World::new(5, |_| {});
    world.finish_round();
    let map = world.map();
    let shown = names(&map, "router");
    assert!(world.truth.foreigners.iter().all(|name| !shown.contains(name) && !world.asked.contains_key(name)));
    let supernodes: Vec<&Value> =
        map["nodes"].as_array().unwrap().iter().filter(|node| node["supernode"] == true).collect();
    assert_eq!(supernodes.len(), world.truth.routers.iter().filter(|router| router.supernode).count());
}

#[test]
fn no_hostile_name_leaves_as_it_came() {
    let mut world = World::new(6, |_| {});
    world.finish_round();
    let bytes = world.mesh.topology_json(world.now);
    let file = String::from_utf8(bytes).unwrap();
    for bad in ["<", ">", "&", "\u{202e}", "\u{2028}", "\n\"", "\\x"] {
        assert!(!file.trim_end().contains(bad), "{bad:?}");
    }
    let shown = names(&world.map(), "router");
    for name in world.truth.hostile_names() {
        assert!(shown.contains(&name.to_lowercase()), "{name:?} is data, and shown");
        assert!(!world.asked.contains_key(&name.to_lowercase()), "and never asked");
    }
}

#[test]
fn a_mesh_of_two_thousand_fits_and_one_of_three_thousand_does_not_hurt() {
    let mut config = Config::default();
    config.mesh.crawl = false;
    let mut mesh = Mesh::new(&config, &Seed::default(), START);
    mesh.set_identity("me", &[Ipv4Addr::new(10, 0, 0, 1)], START);
    for shard in 0..16_u32 {
        let lines: String = (0..3_000_u32)
            .filter(|n| n % 16 == shard)
            .map(|n| {
                let address = Ipv4Addr::from(0x0a01_0000 + n);
                format!(
                    "##{address}##\n{address}\tnode-{n}\n{}\tdtdlink.node-{n}.local.mesh\n\n",
                    Ipv4Addr::from(0x0a81_0000 + n)
                )
            })
            .collect();
        mesh.handle_file(Watched::HostsDir, &shard.to_string(), Some(lines.as_bytes()), START);
    }
    mesh.handle_timeout(START + Duration::from_secs(60));
    for table in mesh.tables() {
        assert!(table.used <= table.limit, "{table:?}");
    }
    assert_eq!(mesh.graph().sizes().0, 2_000);
    let map: Value = serde_json::from_slice(&mesh.topology_json(START)).unwrap();
    assert_eq!(map["statistics"]["total_nodes"], 2_000);
}
