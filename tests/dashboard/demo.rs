//! `make run` as a newcomer sees it: the real daemon on its simulated mesh, its pages in a browser, and a softphone beside it.

use std::net::SocketAddrV4;
use std::process::Command;

use serde_json::Value;

use crate::real::ground::Subnet;
use crate::real::page::chromium;
use crate::real::{Handset, PATIENCE, Process, Tree, http, until};
use crate::{A_LOOK, open};

struct Demo {
    process: Process,
    api: SocketAddrV4,
    net: Subnet,
    _tree: Tree,
}

impl Demo {
    /// With the configuration of `make run`, SIP on a port of the system's choice.
    fn start() -> Self {
        let (net, tree) = (Subnet::claim(), Tree::new("demo"));
        let api = SocketAddrV4::new(net.host(1), 8_088);
        let config = include_str!("../../demo/switchboard")
            .replace("@OUT@", &tree.path("").display().to_string())
            .replace("@SIP@", &format!("{}:0", net.host(1)))
            .replace("127.0.0.1", &net.host(1).to_string())
            .replace("@API@", &api.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(["run", "--demo", "--config"]).arg(tree.write("switchboard", config));
        let process = Process::start("daemon", &mut command, &tree.path(""));
        Self { process, api, net, _tree: tree }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        http::get(self.api, path)
    }
}

#[test]
fn a_newcomer_sees_a_mesh_at_work_and_can_call_it() {
    if !chromium() {
        return;
    }
    let demo = Demo::start();
    let server = until("the status", PATIENCE, || Some(demo.ask("/api/v1/status")?["sip_server"].as_str()?.to_owned()));
    let port: u16 = server.rsplit(':').next().unwrap().parse().expect("the port that the system chose");
    assert_ne!(port, 0);

    let phone = Handset::between((demo.net.host(2), 0), SocketAddrV4::new(demo.net.host(1), port));
    phone.register("990101", "");
    until("the book, which says where the phones are", PATIENCE, || {
        demo.ask("/api/v1/status")?["phonebook"]["online"].as_u64().filter(|online| *online > 10)
    });
    let rest = format!("From: <sip:990101@{server}>;tag=1\r\nContact: <sip:990101@{}>\r\n", phone.own);
    phone.send(&phone.request("INVITE", &format!("sip:990103@{server}"), "call", &rest));
    phone.hears("SIP/2.0 180");
    phone.hears("SIP/2.0 200");

    until("some tests", PATIENCE * 2, || {
        let tests = demo.ask("/cgi-bin/phone_ping_json")?;
        let good = tests["results"].as_array()?.iter().filter(|phone| phone["options_status"] == "ONLINE");
        (good.count() > 4).then_some(())
    });
    until("somebody who talks", PATIENCE * 2, || {
        demo.ask("/cgi-bin/active_calls_json")?["total_active_calls"].as_u64().filter(|calls| *calls > 0)
    });
    let page = open(demo.api.into(), "", A_LOOK, "");
    assert!(page.text("simulated").starts_with("Simulated mesh."), "{}", page.text("simulated"));
    assert!(!page.html.contains("id=\"simulated\" hidden"), "and it is seen");
    assert!(page.rows().len() > 20 && page.rows().iter().any(|row| row[2] == "online"));
    assert!(page.text("calls").contains("calls") && !page.text("findings").is_empty());
    assert_eq!(page.text("notice"), "");
    until("where the nodes are", PATIENCE * 2, || {
        let map = demo.ask("/cgi-bin/topology_json")?;
        let placed = map["nodes"].as_array()?.iter().filter(|node| node["type"] == "router" && node["lat"] != "");
        (placed.count() > 27).then_some(())
    });
    let page = open(demo.api.into(), "#tab=map", A_LOOK, "");
    let placed: u32 = page.text("map-note").split(' ').next().unwrap().parse().unwrap();
    assert!(placed > 27, "{}", page.text("map-note"));
    let page = open(demo.api.into(), "../", A_LOOK, "");
    assert!(!page.html.contains("id=\"simulated\" hidden") && page.text("simulated").starts_with("Simulated mesh."));
    assert!(page.text("phones").contains("(simulated)") && page.text("entries").contains("Ada Albis"));
    let log = demo.process.output();
    assert!(!log.contains("warn") && !log.contains("error"), "{log}");
}
