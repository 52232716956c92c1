//! The real daemon draws the map, from real files and a babeld behind a real unix socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use real::{PATIENCE, Process, Tree, http, until};
use serde_json::Value;

const DUMP: &str = "BABEL 1.0\nok\n\
    add route 7f01 prefix 10.11.12.13/32 from 0.0.0.0/0 installed yes id a metric 96 refmetric 0 via b nexthop 10.11.12.13 table 20 if wlan0\n\
    ok\n";

/// Answers everybody who asks for the routes.
fn babeld(listener: UnixListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: UnixStream = stream.unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 64];
            while !asked.ends_with(b"quit\n") {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "it hung up before it had asked: {asked:?}");
                asked.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(asked, b"dump-installed-routes\nquit\n");
            // In two pieces, the first ends in the middle of a line.
            let (first, second) = DUMP.split_at(60);
            stream.write_all(first.as_bytes()).unwrap();
            stream.write_all(second.as_bytes()).unwrap();
        }
    });
}

#[test]
fn files_and_babeld_make_a_map() {
    let tree = Tree::new("mesh-daemon");
    let path = |name: &str| tree.path(name).display().to_string();
    tree.write(
        "hosts/3",
        "##10.1.2.3##\n10.1.2.3\tHB9AAA-home\n10.2.0.5\t441530\n\n##10.11.12.13##\n10.11.12.13\tHB9BBB-hill\n\n",
    );
    tree.write("services/3", "##10.11.12.13##\nhttp://yealink:0/|tcp|x441531 [phone]\n\n");
    tree.write("lqm.info", include_bytes!("data/mesh/lqm.info"));
    tree.write("aredn", "config location\n\toption lat '47.1'\n\toption lon '8.5'\n");
    tree.write("setup", "config globals 'globals'\n\toption dmz_mode '3'\n");
    for empty in ["hosts_olsr", "services_olsr", "dhcp", "lan_hosts", "leases", "resolv.conf"] {
        tree.write(empty, "");
    }
    babeld(UnixListener::bind(tree.path("babel.sock")).unwrap());
    let mut text = String::from("config sip\n\toption enabled 0\nconfig probe\n\toption enabled 0\n");
    text += &format!(
        "config switchboard\n\toption state_file {}\n\toption active_calls_file {}\n\toption log_socket {}\n\toption crash_file none\n",
        path("tmp/state"),
        path("tmp/calls"),
        path("no-log")
    );
    text += &format!(
        "config names\n\toption hosts_dir {}\n\toption hosts_olsr {}\n\toption resolv_conf {}\n\toption node_config {}\n",
        path("hosts"),
        path("hosts_olsr"),
        path("resolv.conf"),
        path("setup")
    );
    text += &format!(
        "config phonebook\n\toption enabled 0\nconfig api\n\toption listen none\n\toption socket {}\n",
        path("api.sock")
    );
    text += &format!("config health\n\toption file {}\n\toption starts_file {}\n", path("health"), path("starts"));
    text += "config mesh\n";
    for (option, name) in [
        ("services_dir", "services"),
        ("services_olsr", "services_olsr"),
        ("lqm_file", "lqm.info"),
        ("babel_socket", "babel.sock"),
        ("aredn_config", "aredn"),
        ("dhcp_config", "dhcp"),
        ("lan_hosts", "lan_hosts"),
        ("dhcp_leases", "leases"),
        ("firewall_file", "no-rule"),
        ("topology_file", "tmp/arednmon/map.json"),
        ("topology_link", "tmp/topology.json"),
        ("findings_file", "tmp/arednmon/findings.json"),
    ] {
        text += &format!("\toption {option} {}\n", path(name));
    }
    let config = tree.write("switchboard", text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["run", "--config"]).arg(&config);
    let daemon = Process::start("daemon", &mut command, &tree.path(""));

    let map = until("a map with all sources", PATIENCE, || {
        let map: Value = serde_json::from_slice(&std::fs::read(tree.path("tmp/topology.json")).ok()?).ok()?;
        let node = |name: &str| map["nodes"].as_array()?.iter().find(|node| node["name"] == name).cloned();
        (node("hb9bbb-hill")?["metric"] == 96 && node("441531").is_some()).then_some(map)
    });
    assert_eq!(map["version"], "2.0", "{}", daemon.output());
    let hill = map["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "hb9bbb-hill").unwrap();
    assert_eq!(
        (&hill["lat"], &hill["ip"], &hill["status"]),
        (&"47.48".into(), &"10.11.12.13".into(), &"ONLINE".into())
    );
    let rtt = map["connections"].as_array().unwrap().iter().find(|link| link["link_type"] == "DTD").unwrap();
    assert_eq!((&rtt["target"], &rtt["rtt_avg_ms"]), (&"hb9bbb-hill".into(), &0.6.into()));
    assert!(std::fs::symlink_metadata(tree.path("tmp/topology.json")).unwrap().is_symlink());

    let ask = |target| http::ask(UnixStream::connect(tree.path("api.sock")).unwrap(), "GET", target, "").json();
    assert_eq!(ask("/api/v1/mesh")["phones"], 2);
    assert_eq!(ask("/api/v1/mesh/phones")["phones"][1]["router"], "hb9bbb-hill");
    assert_eq!(ask("/api/v1/mesh/topology")["nodes"], map["nodes"]);
    let findings = ask("/api/v1/mesh/findings");
    assert_eq!((&findings["total"], &findings["findings"][0]["kind"]), (&1.into(), &"port_closed".into()));
    let written: Value =
        serde_json::from_slice(&std::fs::read(tree.path("tmp/arednmon/findings.json")).unwrap()).unwrap();
    assert_eq!(written["findings"], findings["findings"]);
}
