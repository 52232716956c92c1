//! The test desk on a real kernel: the daemon in a network namespace, behind it a small tree of routers that forward,
//! count hops and ration their errors as Linux does, and phones at its ends.
//!
//! ```text
//!   node ── r1 ── r2 ── r3 ── r4 ─┬─ lan    eight phones, of which no host file says whose they are
//!                 │               └─ mute   a phone that answers SIP and no ping
//!                 └──── r5 ── side          a phone; one without SIP; one whose packets r5 throws away
//! ```
//!
//! Needs root and `ip`. Where namespaces may not be made the tests are skipped, and say so; with `SWITCHBOARD_REQUIRE_PEERS=1`,
//! as in `.ci/run`, that is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod chain;
#[cfg(feature = "demo")]
mod demo;
#[path = "../support/real/mod.rs"]
mod real;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::time::Duration;

use real::namespaces::{Mesh, may_be_made};
use real::{PATIENCE, Process, Tree, http, until};
use serde_json::Value;

/// The first cycle begins 10 to 20 seconds after the start; what never answers takes it some seconds more.
const CYCLE: Duration = Duration::from_secs(90);
/// Phones on the LAN of r4: more than the errors that Linux sends at once.
const CROWD: u8 = 8;
const ROUTERS: [&str; 5] = ["r1", "r2", "r3", "r4", "r5"];
/// The phones of the side branch and the mute one.
const SIDE: &str = "990021";
const NO_SIP: &str = "990022";
const DROPPED: &str = "990023";
const MUTE: &str = "990031";

fn address(net: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 80, net, host)
}

/// Where a router is seen from the node: its error messages leave by the way that leads back.
fn router(which: u8) -> Ipv4Addr {
    address(which, 2)
}

/// The tree of routers, with everything that has an address.
fn mesh(name: &str) -> Mesh {
    let mut mesh = Mesh::new(name);
    mesh.add("node");
    for member in ROUTERS {
        mesh.add_router(member);
    }
    for member in ["lan", "mute", "side"] {
        mesh.add(member);
    }
    // r5 hangs on r2 and has net 5 before it, r4 has nets 7 and 8 behind it, r5 net 6.
    mesh.join(("node", address(1, 1)), ("r1", router(1)));
    mesh.join(("r1", address(2, 1)), ("r2", router(2)));
    mesh.join(("r2", address(3, 1)), ("r3", router(3)));
    mesh.join(("r3", address(4, 1)), ("r4", router(4)));
    mesh.join(("r2", address(5, 1)), ("r5", router(5)));
    mesh.join(("r5", address(6, 1)), ("side", address(6, 21)));
    mesh.join(("r4", address(7, 1)), ("lan", address(7, 11)));
    mesh.join(("r4", address(8, 1)), ("mute", address(8, 31)));
    for (member, via) in [("r1", address(1, 1)), ("r2", address(2, 1)), ("r3", address(3, 1)), ("r4", address(4, 1))] {
        mesh.ip(member, &format!("route add default via {via}"));
    }
    mesh.ip("r5", &format!("route add default via {}", address(5, 1)));
    mesh.ip("node", &format!("route add default via {}", router(1)));
    mesh.ip("r1", &format!("route add 10.80.0.0/16 via {}", router(2)));
    mesh.ip("r2", &format!("route add 10.80.6.0/24 via {}", router(5)));
    for net in [4, 7, 8] {
        mesh.ip("r2", &format!("route add 10.80.{net}.0/24 via {}", router(3)));
    }
    for net in [7, 8] {
        mesh.ip("r3", &format!("route add 10.80.{net}.0/24 via {}", router(4)));
    }
    for (member, net) in [("side", 6), ("lan", 7), ("mute", 8)] {
        mesh.ip(member, &format!("route add default via {}", address(net, 1)));
    }
    for phone in 1..CROWD {
        mesh.ip("lan", &format!("address add {}/24 dev r4", address(7, 11 + phone)));
    }
    mesh.ip("side", &format!("address add {}/24 dev r5", address(6, 22)));
    mesh.ip("r5", &format!("route add blackhole {}/32", address(6, 23)));
    mesh.set("mute", "icmp_echo_ignore_all", "1");
    for member in ROUTERS {
        // As on every router; the bit of time exceeded is in the mask.
        mesh.set(member, "icmp_ratelimit", "1000");
        mesh.set(member, "icmp_ratemask", "6168");
    }
    mesh
}

/// All phones: number, address, and the node that announces it, if a host file is to say so.
fn phones() -> Vec<(String, Ipv4Addr, Option<Ipv4Addr>)> {
    let crowd = (0..CROWD).map(|phone| (format!("9900{}", 40 + phone), address(7, 11 + phone), None));
    let side = [(SIDE, 21), (NO_SIP, 22), (DROPPED, 23)];
    let side = side.map(|(number, host)| (number.into(), address(6, host), Some(router(5))));
    let mut phones: Vec<_> = crowd.chain(side).chain([(MUTE.into(), address(8, 31), Some(router(4)))]).collect();
    phones.sort();
    phones
}

/// A phone that answers every OPTIONS, and is busy, until its socket's name is no more; the thread ends with the test's process.
fn answer_options(mesh: &Mesh, member: &str, address: Ipv4Addr) {
    let socket = mesh.inside(member, move || UdpSocket::bind((address, 5_060)).unwrap());
    std::thread::spawn(move || real::handset::answers_options(&socket));
}

fn write_tree(tree: &Tree) {
    let mut book = String::from("Firstname,Name,Callsign,Telephone,Privat\n");
    let mut crowd = String::new();
    for (number, address, node) in phones() {
        writeln!(book, "Phone,{number},HB9AAA,{number},").unwrap();
        if node.is_none() {
            writeln!(crowd, "{address}\t{number}").unwrap();
        }
    }
    tree.write("sheet.csv", book);
    // No block and no address for a name: nobody says whose these are.
    tree.write("hosts/others", crowd);
    for which in 1..=5 {
        let mut text = String::new();
        for (number, address, _) in phones().iter().filter(|(_, _, node)| *node == Some(router(which))) {
            writeln!(text, "{address}\t{number}").unwrap();
        }
        writeln!(text, "{}\tHB9AAA-{which}", router(which)).unwrap();
        tree.write(&format!("hosts/{}", router(which)), text);
    }
    tree.write("resolv.conf", "");
    write_rest(tree);
}

/// What every daemon here finds besides names: files with nothing in them, and its configuration.
fn write_rest(tree: &Tree) {
    for empty in ["hosts_olsr", "setup", "services_olsr", "lan_hosts", "leases", "dhcp", "aredn"] {
        tree.write(empty, "");
    }
    for directory in ["www", "tmp", "services"] {
        std::fs::create_dir_all(tree.path(directory)).unwrap();
    }
    let config =
        include_str!("switchboard").replace("@ROOT@", tree.path("").display().to_string().trim_end_matches('/'));
    tree.write("switchboard", config);
}

/// What the daemon's API says inside its namespace; `None`: it does not listen yet.
fn get(mesh: &Mesh, path: &'static str) -> Option<String> {
    mesh.inside("node", move || {
        let stream = http::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_088))?;
        let answer = http::ask(stream, "GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        Some(answer.body)
    })
}

/// Where the path of a result leads through; its last place is the phone itself.
fn routers_of(result: &Value) -> Vec<Ipv4Addr> {
    let path = result["path"].as_array().unwrap();
    let hops: Vec<Ipv4Addr> = path.iter().map(|hop| hop["ip"].as_str().unwrap().parse().unwrap()).collect();
    for (place, hop) in path.iter().enumerate() {
        assert_eq!(hop["hop"], place + 1, "{path:?}");
        // Of a phone that answers no ping the last round trip is not known.
        let measured = place + 1 < path.len() || result["ping_status"] == "ONLINE";
        assert_eq!(hop["rtt_ms"].as_f64().is_some_and(|rtt| rtt > 0.0), measured, "{path:?}");
    }
    let phone = hops.last().map(|phone| format!("{phone}:5060"));
    assert_eq!(phone.as_deref(), result["address"].as_str());
    hops[..hops.len() - 1].to_vec()
}

/// What the file of results says of every phone is what the mesh was made to be.
fn results_are_right(results: &Value) {
    let all = phones();
    let results = results["results"].as_array().unwrap();
    assert_eq!(results.len(), all.len());
    for (result, (number, address, _)) in results.iter().zip(&all) {
        let say = |what: &str| format!("{number} {what}: {result:#}");
        assert_eq!(result["phone_number"], *number);
        assert_eq!(result["address"], format!("{address}:5060"));
        let (status, ping, options) = match number.as_str() {
            DROPPED => ("OFFLINE", "OFFLINE", "OFFLINE"),
            NO_SIP => ("ONLINE", "ONLINE", "OFFLINE"),
            MUTE => ("ONLINE", "OFFLINE", "ONLINE"),
            _ => ("ONLINE", "ONLINE", "ONLINE"),
        };
        assert_eq!(result["status"], status, "{}", say("status"));
        assert_eq!(result["ping_status"], ping, "{}", say("pings"));
        assert_eq!(result["options_status"], options, "{}", say("OPTIONS"));
        for (phase, status) in [("ping", ping), ("options", options)] {
            let of = |field: &str| &result[format!("{phase}_{field}").as_str()];
            assert_eq!(*of("received"), if status == "ONLINE" { 3 } else { 0 }, "{}", say(phase));
            assert_eq!(*of("loss"), if status == "ONLINE" { 0.0 } else { 100.0 }, "{}", say(phase));
            assert_eq!(of("rtt").as_f64().unwrap() > 0.0, status == "ONLINE", "{}", say(phase));
        }
        match number.as_str() {
            // Nothing tells how far away this one is.
            DROPPED => assert_eq!(result["path"], serde_json::json!([]), "{}", say("path")),
            SIDE | NO_SIP => assert_eq!(routers_of(result), [1, 2, 5].map(router), "{}", say("path")),
            _ => assert_eq!(routers_of(result), [1, 2, 3, 4].map(router), "{}", say("path")),
        }
    }
}

/// One cycle of the daemon that `command` starts; it has ICMP sockets of the `kind` that the kernel lists under this name.
fn a_cycle_is_right(kind: &'static str, command: fn(&Mesh) -> Command) {
    let (mesh, tree) = (mesh(kind), Tree::new(&format!("kernel-{kind}")));
    for phone in 0..CROWD {
        answer_options(&mesh, "lan", address(7, 11 + phone));
    }
    answer_options(&mesh, "mute", address(8, 31));
    answer_options(&mesh, "side", address(6, 21));
    write_tree(&tree);
    let mut command = command(&mesh);
    command.arg("run").arg("--config").arg(tree.path("switchboard"));
    let mut daemon = Process::start("daemon", &mut command, &tree.path(""));

    // The map learns the ways when the cycle has ended.
    let map: Value = until("a whole cycle of tests", CYCLE, || {
        assert!(daemon.ended().is_none(), "the daemon ended");
        let map: Value = serde_json::from_str(&get(&mesh, "/api/v1/mesh/topology")?).unwrap();
        let traced = map["connections"].as_array().unwrap().iter().any(|link| link["link_type"] == "PATH");
        traced.then_some(map)
    });

    let results = until("the results of the cycle", PATIENCE, || {
        let text = std::fs::read_to_string(tree.path("tmp/results")).ok()?;
        let results: Value = serde_json::from_str(&text).expect("whole at any time");
        (results["progress"]["running"] == false && results["last_update"] != 0).then_some(results)
    });
    assert_eq!(results["icmp"], if kind == "raw" { "raw" } else { "datagram" });
    results_are_right(&results);

    for listed in ["raw", "icmp"] {
        let list =
            mesh.inside("node", move || std::fs::read_to_string(format!("/proc/thread-self/net/{listed}")).unwrap());
        assert_eq!(list.lines().count() > 1, listed == kind, "sockets of kind {listed}:\n{list}");
    }

    // Three pings and three OPTIONS for each phone; two have pings unanswered, two OPTIONS.
    let metrics = get(&mesh, "/metrics").unwrap();
    let count = |event: &str| http::metric(&metrics, &format!("switchboard_probe_{event}_total"));
    let tested = u64::try_from(phones().len()).unwrap();
    assert_eq!((count("cycles"), count("pings"), count("options")), (1, 3 * tested, 3 * tested));
    assert_eq!((count("pings_answered"), count("options_answered")), (3 * (tested - 2), 3 * (tested - 2)));
    // What was waited for in vain was for the phone whose packets are thrown away, and the pings of the mute one, with the
    // one that went exactly as far as it is. That there is no SIP is said by the kernel of the third at once.
    assert_eq!((count("lost"), count("unreachable")), (10, 3));
    for trouble in ["malformed", "late_answers", "busy", "dropped"] {
        assert_eq!(count(trouble), 0, "{trouble}");
    }

    // The crowd asks r4 more often than Linux answers at once, and loses nothing: no question to a router was asked in vain,
    // because none was more than the kernels had answers for.
    let (asked, answered) = (count("hops_asked"), count("hops_answered"));
    assert!(asked >= u64::from(CROWD) + 4, "{asked} questions");
    assert_eq!(asked, answered + 1, "questions, and answers: the mute one gives none");
    let exceeded = |member| mesh.icmp_counter(member, "OutTimeExcds").unwrap();
    assert!(exceeded("r4") > 6, "r4 was asked {} times", exceeded("r4"));
    assert_eq!(ROUTERS.map(exceeded).iter().sum::<u64>(), answered, "errors sent, and answers");
    for member in ROUTERS {
        let held_back = mesh.icmp_counter(member, "OutRateLimitHost").unwrap_or(0);
        assert_eq!(held_back, 0, "{member} held answers back");
    }

    // The ways are on the map, whose nodes have their names from the host files.
    let ways: Vec<(&str, &str)> = map["connections"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|link| link["link_type"] == "PATH")
        .map(|link| (link["source"].as_str().unwrap(), link["target"].as_str().unwrap()))
        .collect();
    let ways: BTreeSet<_> = ways.into_iter().collect();
    let own = map["source_node"]["name"].as_str().unwrap();
    let [r1, r2, r3, r4, r5] = ["hb9aaa-1", "hb9aaa-2", "hb9aaa-3", "hb9aaa-4", "hb9aaa-5"];
    assert_eq!(ways, BTreeSet::from([(own, r1), (r1, r2), (r2, r3), (r3, r4), (r2, r5)]));
    a_click_is_right(&mesh, &tree);
}

/// What the real CGI program prints when the node's web server runs it for this client.
fn cgi(tree: &Tree, name: &str, query: &str, client: Ipv4Addr) -> Value {
    let mut command = http::cgi(tree, name).expect("cargo test --workspace builds it");
    command.env("QUERY_STRING", query).env("REMOTE_ADDR", client.to_string());
    command.env("HTTP_HOST", "localnode.local.mesh");
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Cache-Control: no-cache, no-store"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Traces, tests and rings that people ask for, by the real CGI program and over real TCP connections from near and far.
fn a_click_is_right(mesh: &Mesh, tree: &Tree) {
    let stranger = address(3, 2);
    let hops_of = |body: &Value| {
        let hops: Vec<_> = body["hops"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        hops.iter()
            .map(|hop| (hop["hop"].as_u64().unwrap(), text(&hop["ip"]), text(&hop["hostname"])))
            .collect::<Vec<_>>()
    };
    let traced = cgi(tree, "traceroute_json", "ip=10.80.7.11", stranger);
    assert_eq!((&traced["target_ip"], &traced["reached"]), (&"10.80.7.11".into(), &true.into()), "{traced}");
    let mut expected: Vec<_> = (1..=4).map(|n| (u64::from(n), router(n).to_string(), format!("hb9aaa-{n}"))).collect();
    expected.push((5, "10.80.7.11".into(), "990040".into()));
    let hops = hops_of(&traced);
    assert_eq!((hops[0].0, hops[0].1.as_str()), (0, "127.0.0.1"));
    assert_eq!(hops[1..], expected, "{traced}");
    for hop in &traced["hops"].as_array().unwrap()[1..] {
        assert!(hop["rtt_ms"].as_f64().unwrap() > 0.0 && hop["timeout"] == false, "{traced}");
    }
    // One whose packets r5 throws away: as far as the way goes, in time.
    let begin = std::time::Instant::now();
    let traced = cgi(tree, "traceroute_json", "ip=10.80.6.23", stranger);
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert_eq!((&traced["reached"], hops_of(&traced).len()), (&false.into(), 3), "this node, r1 and r2: {traced}");
    // And this node itself.
    let traced = cgi(tree, "traceroute_json", "ip=127.0.0.1", stranger);
    assert_eq!((&traced["reached"], hops_of(&traced).len()), (&true.into(), 2), "{traced}");

    let tested = cgi(tree, "uac_ping", &format!("target={MUTE}&count=2"), stranger);
    assert_eq!(
        (&tested["result"], &tested["ping_received"], &tested["options_received"]),
        (&"ONLINE".into(), &0.into(), &2.into())
    );

    // Near is who is in the network of the interface r1.
    let ring = format!("target={SIDE}");
    let near = "a phone is rung for people on this node's own LAN only";
    assert_eq!(cgi(tree, "uac_test", &ring, stranger)["message"], near);
    let (from_far, code) = (post(mesh, "r2", "/api/v1/phones/ring?number=990021"), 403);
    assert_eq!((from_far.0, &from_far.1["error"]), (code, &near.into()));
    let rung = post(mesh, "r1", "/api/v1/phones/ring?number=990021");
    assert_eq!((rung.0, &rung.1["result"], &rung.1["sip_status"]), (200, &"REFUSED".into(), &486.into()), "{}", rung.1);
    let again = cgi(tree, "uac_test", &ring, router(1));
    assert!(again["message"].as_str().unwrap().starts_with("a phone was rung a moment ago"), "{again}");
}

/// POST at the daemon's API from inside a namespace, as a program would.
fn post(mesh: &Mesh, member: &str, path: &'static str) -> (u16, Value) {
    mesh.inside(member, move || {
        let stream = http::connect(SocketAddrV4::new(address(1, 1), 8_088)).unwrap();
        let answer = http::ask(stream, "POST", path, http::OURS);
        (answer.status, answer.json())
    })
}

#[test]
fn a_cycle_through_five_real_routers_is_right_with_a_raw_socket() {
    if may_be_made() {
        a_cycle_is_right("raw", |mesh| mesh.command("node", env!("CARGO_BIN_EXE_switchboard")));
    }
}

#[test]
fn a_cycle_through_five_real_routers_is_right_with_the_unprivileged_socket() {
    if !may_be_made() {
        return;
    }
    let without_raw = |mesh: &Mesh| {
        mesh.set("node", "ping_group_range", "0 2147483647");
        let mut command = mesh.command("node", "setpriv");
        command.arg("--bounding-set=-net_raw").arg(env!("CARGO_BIN_EXE_switchboard"));
        command
    };
    a_cycle_is_right("icmp", without_raw);
}
