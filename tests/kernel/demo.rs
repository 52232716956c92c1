//! The simulated mesh of `run --demo` on a real kernel: while it is tested, mapped and called, not one packet leaves.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::real::namespaces::{Mesh, may_be_made};
use crate::real::{Process, Tree, http, until};

/// The first tests begin 10 to 20 seconds after the start, the first round over the mesh about 30.
const PATIENCE: Duration = Duration::from_secs(120);

fn ask(mesh: &Mesh, path: &'static str) -> Option<Value> {
    mesh.inside("node", move || http::get(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8_088), path))
}

#[test]
fn no_packet_of_the_simulated_mesh_leaves() {
    if !may_be_made() {
        return;
    }
    let (mut mesh, tree) = (Mesh::new("demo"), Tree::new("kernel-demo"));
    mesh.add("node");
    mesh.add("out");
    let (near, far) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    mesh.join(("node", near), ("out", far));
    mesh.ip("node", &format!("route add default via {far}"));
    // At every address of the node, which is more than `make run` does.
    let config = include_str!("../../demo/switchboard")
        .replace("@OUT@", &tree.path("").display().to_string())
        .replace("@SIP@", "0.0.0.0:5060")
        .replace("127.0.0.1:0", "0.0.0.0:0")
        .replace("@API@", "127.0.0.1:8088");
    let mut command = mesh.command("node", env!("CARGO_BIN_EXE_switchboard"));
    command.args(["run", "--demo", "--config"]).arg(tree.write("switchboard", config));
    let daemon = Process::start("daemon", &mut command, &tree.path(""));
    let all_at_work = until("tests, calls, a book and a round over the mesh", PATIENCE, || {
        let tests = ask(&mesh, "/cgi-bin/phone_ping_json")?;
        let online =
            |key: &str| tests["results"].as_array().map(|all| all.iter().filter(|p| p[key] == "ONLINE").count());
        let (pinged, asked) = (online("ping_status")?, online("options_status")?);
        let mapped = ask(&mesh, "/api/v1/mesh")?["crawl"]["answered"].as_u64()?;
        let status = ask(&mesh, "/api/v1/status")?;
        let (calls, book) = (status["calls"].as_u64()?, status["phonebook"]["entries"].as_u64()?);
        (pinged > 20 && asked > 20 && mapped > 20 && calls > 0 && book > 40).then_some(true)
    });
    assert!(all_at_work);
    assert_eq!(mesh.packets_received("out"), 0, "{}", daemon.output());
    // Whatever is sent there does arrive, and is counted.
    mesh.inside("node", || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "10.219.1.1:5060").unwrap());
    until("the packet that was sent on purpose", PATIENCE, || (mesh.packets_received("out") > 0).then_some(()));
}
