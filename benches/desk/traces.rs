//! The ways to 400 phones behind 300 routers, beside `scamper`, at the same packets a second.
//!
//! Every router is a namespace that forwards; 400 phones stand on the LANs of some of them, as many addresses of one namespace
//! each. Nobody says which router a phone is behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{Daemon, exchange, get, number_before};
use crate::real::ground::{Process, Tree, until};
use crate::real::http::metric;
use crate::real::namespaces::Mesh;
use crate::{Cost, measured, milliseconds, seconds, table};

const ROUTERS: usize = 300;
const PHONES: usize = 400;
/// Neighbours of the node.
const NEAR: usize = 4;
const DEEPEST: usize = 10;
const RATE: u32 = 200;
const EACH: u32 = 5;
const NODE: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);

struct Truth {
    /// `None`: a neighbour of the node.
    parents: Vec<Option<usize>>,
    /// The router of each phone.
    phones: Vec<usize>,
}

/// The same numbers in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn router(index: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(index).unwrap().to_be_bytes();
    Ipv4Addr::new(10, 100, high, low)
}

/// The third number of the LAN of a router, and a device on it.
fn lan(router: usize, host: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(router).unwrap().to_be_bytes();
    Ipv4Addr::new(10, 200 + high, low, u8::try_from(host).unwrap())
}

impl Truth {
    /// Hubs have many links: those who have some get more.
    fn grow() -> Self {
        let mut chance = Chance(11);
        let mut parents: Vec<Option<usize>> = vec![None; NEAR];
        while parents.len() < ROUTERS {
            let mut parent = chance.below(parents.len());
            if chance.below(2) == 0 {
                parent = parents[parent].unwrap_or(parent);
            }
            if way(&parents, parent).len() < DEEPEST {
                parents.push(Some(parent));
            }
        }
        let phones = (0..PHONES).map(|_| chance.below(ROUTERS)).collect();
        Self { parents, phones }
    }

    fn address(&self, phone: usize) -> Ipv4Addr {
        let before = self.phones[..phone].iter().filter(|router| **router == self.phones[phone]).count();
        lan(self.phones[phone], before + 1)
    }

    fn hops(&self, phone: usize) -> Vec<Ipv4Addr> {
        way(&self.parents, self.phones[phone]).into_iter().map(router).collect()
    }

    /// The least number of probes that can find all ways: what stands before each phone, and before each router that is no
    /// neighbour.
    fn bound(&self) -> usize {
        let routers: BTreeSet<Ipv4Addr> = (0..PHONES).flat_map(|phone| self.hops(phone)).collect();
        routers.len() + PHONES - NEAR
    }

    /// How many of all hops are told as they are.
    fn right(&self, told: &BTreeMap<Ipv4Addr, Vec<Option<Ipv4Addr>>>) -> (usize, usize) {
        let (mut right, mut all) = (0, 0);
        for phone in 0..PHONES {
            let told = told.get(&self.address(phone)).map(Vec::as_slice).unwrap_or_default();
            for (place, hop) in self.hops(phone).iter().enumerate() {
                all += 1;
                right += usize::from(told.get(place) == Some(&Some(*hop)));
            }
        }
        (right, all)
    }
}

/// The routers to one of them, the nearest first.
fn way(parents: &[Option<usize>], router: usize) -> Vec<usize> {
    let mut way = vec![router];
    while let Some(parent) = parents[way[way.len() - 1]] {
        way.push(parent);
    }
    way.reverse();
    way
}

/// Has `ip` do many things in one namespace, or in none.
fn batch(tree: &Tree, namespace: Option<&str>, lines: &str) {
    let file = tree.write("batch", lines);
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-n", namespace]);
    }
    let output = command.arg("-batch").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}\n{lines}", String::from_utf8_lossy(&output.stderr));
}

/// All namespaces, joined and with their routes.
fn build(truth: &Truth, tree: &Tree) -> Mesh {
    let mut mesh = Mesh::new("traces");
    mesh.add("node");
    let with_lan: BTreeSet<usize> = truth.phones.iter().copied().collect();
    let mut links = String::new();
    let mut inside: BTreeMap<String, String> = BTreeMap::new();
    inside.insert("node".into(), format!("address add {NODE}/32 dev lo\n"));
    for (index, parent) in truth.parents.iter().enumerate() {
        let me = format!("r{index}");
        mesh.add_router(&me);
        let above = parent.map_or("node".to_owned(), |parent| format!("r{parent}"));
        let gateway = parent.map_or(NODE, router);
        let (at_above, at_me) = (mesh.name(&above), mesh.name(&me));
        writeln!(links, "link add d{index} netns {at_above} type veth peer name out netns {at_me}").unwrap();
        let mine = inside.entry(me.clone()).or_default();
        write!(mine, "address add {}/32 dev out\nlink set out up\n", router(index)).unwrap();
        writeln!(mine, "route add default via {gateway} dev out onlink").unwrap();
        writeln!(inside.get_mut(&above).unwrap(), "link set d{index} up").unwrap();
        if with_lan.contains(&index) {
            let lan_name = format!("l{index}");
            mesh.add(&lan_name);
            let at_lan = mesh.name(&lan_name);
            writeln!(links, "link add lan netns {at_me} type veth peer name out netns {at_lan}").unwrap();
            let net = lan(index, 0);
            let theirs = inside.entry(lan_name).or_default();
            write!(theirs, "route add local {net}/24 dev lo\nlink set out up\n").unwrap();
            writeln!(theirs, "route add default via {} dev out onlink src {}", router(index), lan(index, 1)).unwrap();
            let mine = inside.get_mut(&me).unwrap();
            write!(mine, "link set lan up\nroute add {net}/24 via {} dev lan onlink\n", lan(index, 1)).unwrap();
            // Everybody above leads there.
            let above = way(&truth.parents, index);
            for pair in above.windows(2) {
                let (near, far) = (pair[0], pair[1]);
                let lines = inside.get_mut(&format!("r{near}")).unwrap();
                writeln!(lines, "route add {net}/24 via {} dev d{far} onlink", router(far)).unwrap();
            }
            let first = above[0];
            writeln!(
                inside.get_mut("node").unwrap(),
                "route add {net}/24 via {} dev d{first} onlink src {NODE}",
                router(first)
            )
            .unwrap();
        }
    }
    batch(tree, None, &links);
    // A device must be up before something is led through it.
    for (member, lines) in &inside {
        let (routes, first): (Vec<&str>, Vec<&str>) = lines.lines().partition(|line| line.starts_with("route"));
        batch(tree, Some(&mesh.name(member)), &(first.join("\n") + "\n" + &routes.join("\n") + "\n"));
    }
    mesh
}

pub fn run() {
    let truth = Truth::grow();
    let tree = Tree::new("bench-traces");
    let mesh = build(&truth, &tree);
    let (mut list, mut targets) = (String::new(), String::new());
    for phone in 0..PHONES {
        let namespace = mesh.name(&format!("l{}", truth.phones[phone]));
        writeln!(list, "{namespace} {} {}", truth.address(phone), 440_000 + phone).unwrap();
        writeln!(targets, "{}", truth.address(phone)).unwrap();
    }
    let (list, targets) = (tree.write("phones", list), tree.write("targets", targets));
    let daemon =
        Daemon::start(&mesh, "node", tree, "", &format!("\toption options_count '0'\n\toption rate '{RATE}'\n"));
    get(&mesh, "node", "/metrics");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("responder").arg(&list).arg(exchange(NODE).to_string());
    let responder = Process::start("responder", &mut command, &daemon.tree.path(""));
    until("400 registrations", Duration::from_secs(120), || responder.output().contains("ready").then_some(()));

    let before = daemon.cpu();
    let line = daemon.line("400 phones in ", Duration::from_secs(180));
    let ours = Cost { wall: Duration::from_millis(number_before(&line, " ms")), cpu: daemon.cpu() - before };
    let metrics = get(&mesh, "node", "/metrics");
    let asked = metric(&metrics, "switchboard_probe_hops_asked_total");
    let pings = metric(&metrics, "switchboard_probe_pings_total");
    let (right, all) = truth.right(&from_results(&get(&mesh, "node", "/api/v1/phones/tests")));

    let mut command = mesh.command("node", "scamper");
    command.args(["-c", "trace -P icmp-paris -w 2", "-p", &RATE.to_string(), "-f"]).arg(&targets);
    let (said, theirs) = measured(&mut command);
    let (also_right, _) = truth.right(&from_scamper(&said));

    table(
        &format!("The ways to {PHONES} phones, {RATE} packets a second"),
        &["Switchboard", "scamper"],
        &[
            ("hops found", vec![format!("{right} of {all}"), format!("{also_right} of {all}")]),
            ("probes for them", vec![asked.to_string(), "not told".into()]),
            ("least number of probes", vec![truth.bound().to_string(), String::new()]),
            ("pings besides", vec![pings.to_string(), "0".into()]),
            ("seconds", vec![seconds(ours.wall), seconds(theirs.wall)]),
            ("CPU ms", vec![milliseconds(ours.cpu), milliseconds(theirs.cpu)]),
        ],
    );
}

fn from_results(text: &str) -> BTreeMap<Ipv4Addr, Vec<Option<Ipv4Addr>>> {
    let results: Value = serde_json::from_str(text).unwrap();
    let result = |result: &Value| {
        let address = result["address"].as_str()?.split(':').next()?.parse().ok()?;
        let hop = |hop: &Value| hop["ip"].as_str().and_then(|ip| ip.parse().ok());
        Some((address, result["path"].as_array()?.iter().map(hop).collect()))
    };
    results["results"].as_array().unwrap().iter().filter_map(result).collect()
}

/// `traceroute from 10.89.0.1 to 10.200.0.1`, then a line for each hop: its number, its address or `*`, its time.
fn from_scamper(text: &str) -> BTreeMap<Ipv4Addr, Vec<Option<Ipv4Addr>>> {
    let mut told: BTreeMap<Ipv4Addr, Vec<Option<Ipv4Addr>>> = BTreeMap::new();
    let mut target = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["traceroute", "from", _, "to", address] = words[..] {
            target = address.parse().ok();
        } else if let (Some(target), [_, hop, ..]) = (target, &words[..]) {
            told.entry(target).or_default().push(hop.parse().ok());
        }
    }
    told
}
