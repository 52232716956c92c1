//! The map of the mesh: files of every kind, a babeld that says anything, routers that answer, lie or are silent.

use std::net::Ipv4Addr;
use std::time::Duration;

use switchboard::config::Config;
use switchboard::engine::Engine;
use switchboard::files::{FileError, Watched, Writer};
use switchboard::mesh::{Hop, Mesh, Request};
use switchboard::rng::Seed;
use switchboard::time::{Clock, Instant, UnixTime};
use switchboard::wire::http::{FetchError, Fetched};

use crate::Chance;

pub struct Subject {
    mesh: Mesh,
    config: Config,
    questions: Vec<(u32, String)>,
    writes: Vec<Writer>,
    babel: bool,
}

const HOSTS: [&str; 9] = [
    "##10.0.0.1##",
    "##10.0.0.2##",
    "10.0.0.1\ta",
    "10.0.0.2\tb",
    "10.1.0.2\tdtdlink.b.local.mesh",
    "10.2.0.1\t441530",
    "10.2.0.2\t441530",
    "10.0.0.2\tsupernode.b.local.mesh",
    "10.0.0.9\tx';reboot;'",
];

const SERVICES: [&str; 4] = [
    "##10.0.0.1##",
    "http://441530:0/|tcp|x441530 [phone]",
    "http://441531:0/|tcp|441531 X [phone]\t#10.0.0.2",
    "http://x/|tcp|<script> [phone]",
];

const NAMES: [&str; 8] = ["a", "b", "c", "D.local.mesh", "mid1.e", "441530", "", "<b>&\\u0000\\\"';"];

fn answer(chance: &mut Chance, name: &str) -> Vec<u8> {
    let mut trackers = String::new();
    for number in 0..chance.below(4) {
        let of = *chance.of(&NAMES);
        let (quality, time) = (chance.below(101), *chance.of(&["0.01", "null", "0", "\"0.2\"", "{}"]));
        let address = format!("172.31.0.{}", chance.below(4));
        trackers += &format!(
            "\"{number}\":{{\"hostname\":\"{of}\",\"type\":\"RF\",\"quality\":{quality},\"ping_success_time\":{time},\"ip\":\"{address}\"}},"
        );
    }
    let supernode = chance.one_in(4);
    let text = format!(
        "{{\"node\":\"{name}\",\"api_version\":\"2.0\",\"lat\":{},\"lon\":\"7.5\",\"node_details\":{{\"mesh_supernode\":{supernode}}},\
         \"interfaces\":[{{\"ip\":\"10.0.0.{}\"}}],\"lqm\":{{\"info\":{{\"trackers\":{{{trackers}\"x\":{{}}}}}}}}}}",
        chance.below(99),
        chance.below(4)
    );
    if chance.one_in(4) { chance.damaged(text.into_bytes()) } else { text.into_bytes() }
}

fn lines(chance: &mut Chance, choices: &[&str]) -> Vec<u8> {
    let text: String = (0..chance.below(12)).map(|_| format!("{}\n", chance.of(choices))).collect();
    if chance.one_in(3) { chance.damaged(text.into_bytes()) } else { text.into_bytes() }
}

impl crate::Subject for Subject {
    const NAME: &'static str = "mesh";
    const PERIODIC: bool = true;
    const RESTING: &'static [&'static str] = &[];

    fn new(seed: &Seed, now: Instant) -> Self {
        let mut config = Config::default();
        config.mesh.crawl = true;
        config.mesh.crawl_interval = Duration::from_secs(60);
        (config.mesh.node_limit, config.mesh.link_limit) = (10, 10);
        let mut mesh = Mesh::new(&config, seed, now);
        mesh.set_identity("A", &[Ipv4Addr::new(10, 0, 0, 1)], now);
        Self { mesh, config, questions: Vec::new(), writes: Vec::new(), babel: false }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.mesh
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        let file = *chance.of(&["1", "2", "10.0.0.1", "../x"]);
        match chance.below(20) {
            0..=3 => {
                let watched = *chance.of(&[Watched::HostsDir, Watched::HostsOlsr]);
                let bytes = lines(chance, &HOSTS);
                self.mesh.handle_file(watched, file, Some(&bytes), now);
            }
            4 => {
                let watched = *chance.of(&[Watched::ServicesDir, Watched::ServicesOlsr]);
                let bytes = lines(chance, &SERVICES);
                self.mesh.handle_file(watched, file, Some(&bytes), now);
            }
            5 => self.mesh.handle_file(Watched::HostsDir, file, None, now),
            6 => {
                let text = String::from_utf8_lossy(&answer(chance, "a")).into_owned();
                let lqm = text.split_once("\"info\":").map_or("{}", |(_, rest)| rest);
                self.mesh.handle_file(Watched::Lqm, "lqm.info", Some(lqm.as_bytes()), now);
            }
            7 => {
                let watched = *chance.of(&[
                    Watched::ArednConfig,
                    Watched::NodeSetup,
                    Watched::DhcpConfig,
                    Watched::LanHosts,
                    Watched::DhcpLeases,
                    Watched::FirewallRule,
                ]);
                let bytes = chance.bytes(200);
                self.mesh.handle_file(
                    watched,
                    file,
                    Some(&bytes).filter(|_| !bytes.is_empty()).map(Vec::as_slice),
                    now,
                );
            }
            8..=12 if !self.questions.is_empty() => {
                let (token, name) = self.questions.swap_remove(chance.below(self.questions.len()));
                let name = if chance.one_in(6) { "somebody" } else { &name };
                let outcome = match chance.below(8) {
                    0 => Err(FetchError::TotalTimeout),
                    1 => Ok(404),
                    _ => Ok(200),
                };
                let body = answer(chance, name);
                let outcome = outcome.map(|status| Fetched { status, etag: None, last_modified: None, body });
                self.mesh.handle_fetched(token, outcome, now);
            }
            13 if !self.questions.is_empty() => self.mesh.handle_busy(self.questions.swap_remove(0).0, now),
            14 | 15 if self.babel => match chance.below(4) {
                0 => self.mesh.handle_connected(now),
                1 => {
                    let line = format!("add route 1 prefix 10.0.0.{}/32 installed yes metric 96\n", chance.below(4));
                    let bytes = chance.damaged(line.repeat(2).into_bytes());
                    self.mesh.handle_received(&bytes, now);
                }
                _ => {
                    self.babel = false;
                    self.mesh.handle_closed(chance.one_in(2), now);
                }
            },
            16 => {
                let hop = |last| Hop { address: Ipv4Addr::new(10, 0, 0, last), rtt_us: u32::from(last) * 1_000 };
                self.mesh.handle_paths([vec![Some(hop(2)), None, Some(hop(1)), Some(hop(3))]].into_iter(), now);
            }
            17 => {
                if let Some(writer) = self.writes.pop() {
                    let result = if chance.one_in(2) { Ok(()) } else { Err(FileError::Os(28)) };
                    self.mesh.handle_written(writer, result, now);
                }
            }
            18 => {
                self.mesh.handle_book([("441530", chance.one_in(2)), ("7777", false)].into_iter(), now);
                self.mesh.handle_sighting("7777", now);
                self.mesh.handle_clock(Clock::new(UnixTime(1_784_800_800), now));
            }
            19 if chance.one_in(4) => {
                self.config.mesh.boundary = if chance.one_in(2) { vec!["?".into()] } else { Vec::new() };
                self.config.mesh.enabled = !chance.one_in(8);
                self.mesh.handle_config(&self.config.clone(), now);
                self.questions.clear();
            }
            _ => self.mesh.set_identity(NAMES[chance.below(NAMES.len())], &[Ipv4Addr::new(10, 0, 0, 1)], now),
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some(watch) = self.mesh.poll_watch() {
            log.push(format!("{watch:?}"));
        }
        while let Some(request) = self.mesh.poll_request() {
            log.push(format!("{request:?}"));
            match request {
                Request::Fetch { token, download } => {
                    let name = download.url.host.strip_suffix(".local.mesh").expect("below the domain").to_owned();
                    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'), "{name}");
                    self.questions.push((token, name));
                }
                Request::Dial(_) => self.babel = true,
                Request::Hangup => self.babel = false,
                Request::Write { writer, .. } => self.writes.push(writer),
            }
        }
        let mut buffer = [0; 100];
        while let count @ 1.. = self.mesh.poll_send(&mut buffer) {
            log.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        match chance.below(3) {
            0 => self.mesh.handle_fetched(u32::MAX, Err(FetchError::NotReached), now),
            1 => self.mesh.handle_written(Writer::Book, Ok(()), now),
            _ => self.mesh.handle_file(Watched::ResolvConf, "resolv.conf", Some(b"x"), now),
        }
    }
}
