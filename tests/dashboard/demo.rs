//! `make run` as a newcomer sees it: the real daemon on its simulated mesh, its pages in a browser, and a softphone beside it.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::process::Command;

use serde_json::Value;

use crate::ground::{PATIENCE, Process, Subnet, Tree, installed, until};
use crate::{A_LOOK, Document};

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
        let mut stream = TcpStream::connect(self.api).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }
}

#[test]
fn a_newcomer_sees_a_mesh_at_work_and_can_call_it() {
    if !installed("chromium", "chromium") {
        return;
    }
    let demo = Demo::start();
    let server = until("the status", PATIENCE, || Some(demo.ask("/api/v1/status")?["sip_server"].as_str()?.to_owned()));
    let port: u16 = server.rsplit(':').next().unwrap().parse().expect("the port that the system chose");
    assert_ne!(port, 0);

    let phone = UdpSocket::bind((demo.net.host(2), 0)).unwrap();
    phone.connect((demo.net.host(1), port)).unwrap();
    phone.set_read_timeout(Some(PATIENCE)).unwrap();
    let say = |method: &str, to: &str| {
        let own = phone.local_addr().unwrap();
        let target = if method == "REGISTER" { server.clone() } else { format!("{to}@{server}") };
        let text = format!(
            "{method} sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:990101@{server}>;tag=1\r\nTo: <sip:{to}@{server}>\r\nCall-ID: {method}@{own}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:990101@{own}>\r\nContent-Length: 0\r\n\r\n"
        );
        phone.send(text.as_bytes()).unwrap();
    };
    let hears = |beginning: &str| {
        let mut bytes = [0; 4_096];
        until(beginning, PATIENCE, || {
            let length = phone.recv(&mut bytes).expect(beginning);
            bytes[..length].starts_with(beginning.as_bytes()).then_some(())
        });
    };
    say("REGISTER", "990101");
    hears("SIP/2.0 200");
    until("the book, which says where the phones are", PATIENCE, || {
        demo.ask("/api/v1/status")?["phonebook"]["online"].as_u64().filter(|online| *online > 10)
    });
    say("INVITE", "990103");
    hears("SIP/2.0 180");
    hears("SIP/2.0 200");

    until("some tests", PATIENCE * 2, || {
        let tests = demo.ask("/cgi-bin/phone_ping_json")?;
        let good = tests["results"].as_array()?.iter().filter(|phone| phone["options_status"] == "ONLINE");
        (good.count() > 4).then_some(())
    });
    until("somebody who talks", PATIENCE * 2, || {
        demo.ask("/cgi-bin/active_calls_json")?["total_active_calls"].as_u64().filter(|calls| *calls > 0)
    });
    let page = Document::open(demo.api.into(), "", A_LOOK, "");
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
    let page = Document::open(demo.api.into(), "#tab=map", A_LOOK, "");
    let placed: u32 = page.text("map-note").split(' ').next().unwrap().parse().unwrap();
    assert!(placed > 27, "{}", page.text("map-note"));
    let page = Document::open(demo.api.into(), "../", A_LOOK, "");
    assert!(!page.html.contains("id=\"simulated\" hidden") && page.text("simulated").starts_with("Simulated mesh."));
    assert!(page.text("phones").contains("(simulated)") && page.text("entries").contains("Ada Albis"));
    let log = demo.process.output();
    assert!(!log.contains("warn") && !log.contains("error"), "{log}");
}
