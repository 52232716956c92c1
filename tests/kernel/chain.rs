//! Two rounds through a chain of routers of which one says nothing, with phones of which only a name server knows where they are;
//! then the name server dies, the silent router speaks and another one falls silent.
//!
//! ```text
//!   node ── c1 ── c2 ── c3 ── c4 ── c5 ── c6 ── far     eight phones that DNS knows, one that a host file knows
//!                  └─ near                             one that a host file knows
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::real::http::metric;
use crate::real::namespaces::{Mesh, may_be_made};
use crate::real::{PATIENCE, Process, Tree, until};
use crate::{CYCLE, answer_options, get, write_rest};

const LENGTH: u8 = 6;
const NEAR: &str = "990001";
const FAR: &str = "990002";
/// Milliseconds between two errors: before the test is over there is no first one.
const SILENT: &str = "100000000";
const SPEAKS: &str = "1000";

/// The end of the cable to a router, or its own end; and those of the LANs.
fn address(net: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 81, net, host)
}

fn router(which: u8) -> Ipv4Addr {
    address(which, 2)
}

/// The phones that only a name server knows.
fn named() -> BTreeMap<String, Ipv4Addr> {
    (0..8).map(|phone| (format!("99010{phone}"), address(50, 11 + phone))).collect()
}

fn mesh() -> Mesh {
    let mut mesh = Mesh::new("chain");
    mesh.add("node");
    let name = |which: u8| if which == 0 { "node".to_owned() } else { format!("c{which}") };
    for which in 1..=LENGTH {
        mesh.add_router(&name(which));
        mesh.join((&name(which - 1), address(which, 1)), (&name(which), router(which)));
        mesh.ip(&name(which), &format!("route add default via {}", address(which, 1)));
        mesh.set(&name(which), "icmp_ratelimit", SPEAKS);
        mesh.set(&name(which), "icmp_ratemask", "6168");
    }
    for (lan, net, behind) in [("near", 60, 2), ("far", 50, LENGTH)] {
        mesh.add(lan);
        mesh.join((&name(behind), address(net, 1)), (lan, address(net, 11)));
        mesh.ip(lan, &format!("route add default via {}", address(net, 1)));
        for which in 1..behind {
            mesh.ip(&name(which), &format!("route add 10.81.{net}.0/24 via {}", router(which + 1)));
        }
    }
    mesh.ip("node", &format!("route add default via {}", router(1)));
    for more in 12..=19 {
        mesh.ip("far", &format!("address add {}/24 dev c6", address(50, more)));
    }
    mesh
}

/// A name server (RFC 1035 §4.1.1) inside the node, until `alive` is no longer true; then it hears and says nothing.
fn name_server(mesh: &Mesh, alive: Arc<AtomicBool>) {
    let socket = mesh.inside("node", || UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap());
    std::thread::spawn(move || {
        let names = named();
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if !alive.load(Ordering::Relaxed) {
                continue;
            }
            // The first label is the number.
            let number = String::from_utf8_lossy(&question[13..13 + usize::from(question[12])]).into_owned();
            let found = names.get(&number);
            let mut answer = question[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x84, if found.is_some() { 0x80 } else { 0x83 }]);
            answer[6..12].copy_from_slice(&[0, u8::from(found.is_some()), 0, 0, 0, 0]);
            if let Some(address) = found {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend_from_slice(&address.octets());
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
}

fn write_tree(tree: &Tree) {
    let mut book = String::from("Firstname,Name,Callsign,Telephone,Privat\n");
    for number in named().keys().map(String::as_str).chain([NEAR, FAR]) {
        writeln!(book, "Phone,{number},HB9AAA,{number},").unwrap();
    }
    tree.write("sheet.csv", book);
    for (number, phone, node) in [(NEAR, address(60, 11), router(2)), (FAR, address(50, 19), router(LENGTH))] {
        tree.write(&format!("hosts/{node}"), format!("{phone}\t{number}\n{node}\tHB9AAA-{number}\n"));
    }
    tree.write("resolv.conf", "nameserver 127.0.0.1\n");
    write_rest(tree);
}

/// Waits for the end of a round; what it found, by number.
fn round(mesh: &Mesh, daemon: &mut Process, which: u64) -> BTreeMap<String, Value> {
    until("a whole round of tests", CYCLE, || {
        assert!(daemon.ended().is_none(), "the daemon ended");
        let metrics = get(mesh, "/metrics")?;
        (metric(&metrics, "switchboard_probe_cycles_total") == which).then_some(())
    });
    let tests: Value = serde_json::from_str(&get(mesh, "/api/v1/phones/tests").unwrap()).unwrap();
    let result = |result: &Value| (result["phone_number"].as_str().unwrap().to_owned(), result.clone());
    tests["results"].as_array().unwrap().iter().map(result).collect()
}

/// It answered everything, and the way to it leads through these routers; 0 is one that says nothing.
fn is_online_behind(result: &Value, routers: &[u8]) {
    for status in ["status", "ping_status", "options_status"] {
        assert_eq!(result[status], "ONLINE", "{result:#}");
    }
    let told: Vec<Option<Ipv4Addr>> =
        result["path"].as_array().unwrap().iter().map(|hop| hop["ip"].as_str().unwrap().parse().ok()).collect();
    let (phone, told) = told.split_last().unwrap();
    assert_eq!(format!("{}:5060", phone.unwrap()), result["address"], "{result:#}");
    let routers: Vec<Option<Ipv4Addr>> = routers.iter().map(|which| (*which > 0).then(|| router(*which))).collect();
    assert_eq!(told, routers, "{result:#}");
}

#[test]
fn silent_routers_a_name_server_that_dies_and_a_second_round() {
    if !may_be_made() {
        return;
    }
    let (mesh, tree) = (mesh(), Tree::new("kernel-chain"));
    for last in 11..=19 {
        answer_options(&mesh, "far", address(50, last));
    }
    answer_options(&mesh, "near", address(60, 11));
    let alive = Arc::new(AtomicBool::new(true));
    name_server(&mesh, alive.clone());
    mesh.set("c3", "icmp_ratelimit", SILENT);
    write_tree(&tree);
    let mut command = mesh.command("node", env!("CARGO_BIN_EXE_switchboard"));
    command.arg("run").arg("--config").arg(tree.path("switchboard"));
    let mut daemon = Process::start("daemon", &mut command, &tree.path(""));

    let first = round(&mesh, &mut daemon, 1);
    assert_eq!(first.len(), named().len() + 2, "{:?}", first.keys());
    is_online_behind(&first[NEAR], &[1, 2]);
    for number in named().keys().map(String::as_str).chain([FAR]) {
        is_online_behind(&first[number], &[1, 2, 0, 4, 5, 6]);
    }
    let held_back = |which: u8| mesh.icmp_counter(&format!("c{which}"), "OutRateLimitHost").unwrap_or(0);
    assert_eq!([1, 2, 4, 5, 6].map(held_back), [0; 5], "answers that routers were asked for and had none left");
    let metrics = get(&mesh, "/metrics").unwrap();
    let vain =
        ["hops_asked", "hops_answered"].map(|event| metric(&metrics, &format!("switchboard_probe_{event}_total")));
    // The silent one is asked twice, once for each router whose way leads through it, of which there is one.
    assert!(vain[0] - vain[1] <= 2, "{vain:?}");

    alive.store(false, Ordering::Relaxed);
    mesh.set("c3", "icmp_ratelimit", SPEAKS);
    mesh.set("c5", "icmp_ratelimit", SILENT);
    let config = std::fs::read_to_string(tree.path("switchboard")).unwrap();
    // Off and on again: the next round begins at once, and what was known is known.
    tree.write("switchboard", config.replace("config probe 'probe'\n", "config probe 'probe'\n\toption enabled '0'\n"));
    daemon.signal(Signal::SIGHUP);
    until("no more rounds", PATIENCE, || {
        let tests: Value = serde_json::from_str(&get(&mesh, "/api/v1/phones/tests")?).unwrap();
        tests["progress"]["next_s"].is_null().then_some(())
    });
    tree.write("switchboard", config);
    daemon.signal(Signal::SIGHUP);

    let second = round(&mesh, &mut daemon, 2);
    is_online_behind(&second[NEAR], &[1, 2]);
    is_online_behind(&second[FAR], &[1, 2, 3, 4, 0, 6]);
    for number in named().keys() {
        let result = &second[number];
        assert_eq!((&result["status"], &result["address"]), (&"NO_DNS".into(), &Value::Null), "{result:#}");
        assert_eq!(result["path"], serde_json::json!([]), "the old way is not told again");
    }
}
