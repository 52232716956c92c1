//! One round of questions to 300 routers, beside `xargs -P32 curl`, both with 32 at once.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{Daemon, get};
use crate::real::ground::{PATIENCE, Process, Tree, until};
use crate::real::namespaces::Mesh;
use crate::{Cost, measured, milliseconds, seconds, table};

const ROUTERS: u32 = 300;
/// This one accepts and never answers.
const SLOW: u32 = 150;
const TIMEOUT: u64 = 5;
const RATE: u32 = 100;

fn router(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a5b_0000 + index + 1)
}

pub fn run() {
    let mut mesh = Mesh::new("crawl");
    mesh.add("node");
    mesh.add("routers");
    mesh.join(("node", Ipv4Addr::new(10, 89, 0, 1)), ("routers", Ipv4Addr::new(10, 89, 0, 2)));
    mesh.ip("node", "route add 10.91.0.0/16 via 10.89.0.2");
    mesh.ip("routers", "route add local 10.91.0.0/16 dev lo");
    let tree = Tree::new("bench-crawl");
    let (mut names, mut urls, mut hosts) = (String::new(), String::new(), String::new());
    for index in 0..ROUTERS {
        let (address, name) = (router(index), format!("hb9aaa-{index}"));
        writeln!(names, "{address} {}", if index == SLOW { "slow" } else { &name }).unwrap();
        writeln!(urls, "http://{address}/a/sysinfo?lqm=1").unwrap();
        writeln!(hosts, "##{address}##\n{address}\t{}\n", name.to_uppercase()).unwrap();
    }
    let (names, urls) = (tree.write("names", names), tree.write("urls", urls));
    tree.write("hosts/1", hosts);
    let mut command = mesh.command("routers", std::env::current_exe().unwrap().to_str().unwrap());
    command.arg("responder").arg("pages").arg(&names);
    let responder = Process::start("responder", &mut command, &tree.path(""));
    until("the pages", PATIENCE, || responder.output().contains("ready").then_some(()));

    let mut command = mesh.command("node", "xargs");
    command.arg("-a").arg(&urls).args(["-P32", "-n1", "curl", "-s", "-o", "/dev/null", "-m", &TIMEOUT.to_string()]);
    let (_, theirs) = measured(&mut command);

    let map = format!(
        "\toption crawl '1'\n\toption crawl_in_flight '32'\n\toption crawl_rate '{RATE}'\n\toption crawl_timeout '{TIMEOUT}s'\n"
    );
    let daemon = Daemon::start(&mesh, "node", tree, &map, "\toption enabled '0'\n");
    get(&mesh, "node", "/metrics");
    let before = daemon.cpu();
    daemon.line("mesh: ", Duration::from_secs(120));
    let spent = daemon.cpu() - before;
    let view: Value = serde_json::from_str(&get(&mesh, "node", "/api/v1/mesh")).unwrap();
    let crawl = &view["crawl"];
    let ours = Cost { wall: Duration::from_millis(crawl["took_ms"].as_u64().unwrap()), cpu: spent };
    table(
        &format!("{ROUTERS} routers asked, one of them slow ({TIMEOUT} s)"),
        &["Switchboard", "xargs -P32 curl"],
        &[
            ("routers that answered", vec![crawl["answered"].to_string(), (ROUTERS - 1).to_string()]),
            ("requests", vec![crawl["requests"].to_string(), ROUTERS.to_string()]),
            ("seconds", vec![seconds(ours.wall), seconds(theirs.wall)]),
            ("CPU ms", vec![milliseconds(ours.cpu), milliseconds(theirs.cpu)]),
        ],
    );
}
