//! 500 phones with five pings and five OPTIONS each, beside `fping` with five pings and with ten, at the same packets a second.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::daemon::{Daemon, exchange, get, number_before};
use crate::real::ground::{PATIENCE, Process, Tree, until};
use crate::real::http::metric;
use crate::real::namespaces::Mesh;
use crate::{Cost, measured, milliseconds, seconds, table};

const PHONES: u32 = 500;
/// Of them, so many have gone away since they registered.
const DEAD: u32 = 25;
const EACH: u32 = 5;
const NODE: Ipv4Addr = Ipv4Addr::new(10, 89, 0, 1);

fn phone(index: u32) -> Ipv4Addr {
    // The dead ones stand together, so that one route swallows all of them.
    if index < DEAD { Ipv4Addr::from(0x0a5a_ff00 + index + 1) } else { Ipv4Addr::from(0x0a5a_0000 + index + 1) }
}

pub fn run() {
    for rate in [200, 1_000] {
        side_by_side(rate);
    }
}

fn side_by_side(rate: u32) {
    let mut mesh = Mesh::new("pings");
    mesh.add("node");
    mesh.add("phones");
    mesh.join(("node", NODE), ("phones", Ipv4Addr::new(10, 89, 0, 2)));
    mesh.ip("node", "route add 10.90.0.0/16 via 10.89.0.2");
    mesh.ip("phones", "route add local 10.90.0.0/16 dev lo");

    let tree = Tree::new("bench-pings");
    let (mut list, mut addresses) = (String::new(), String::new());
    for index in 0..PHONES {
        writeln!(list, "{} {} {}", mesh.name("phones"), phone(index), 440_000 + index).unwrap();
        writeln!(addresses, "{}", phone(index)).unwrap();
    }
    let (list, addresses) = (tree.write("phones", list), tree.write("addresses", addresses));
    let daemon = Daemon::start(&mesh, "node", tree, "", &format!("\toption traceroute '0'\n\toption rate '{rate}'\n"));
    get(&mesh, "node", "/metrics");
    let mut command = mesh.command("phones", std::env::current_exe().unwrap().to_str().unwrap());
    command.arg("responder").arg(&list).arg(exchange(NODE).to_string());
    let responder = Process::start("responder", &mut command, &daemon.tree.path(""));
    until("500 registrations", PATIENCE, || responder.output().contains("ready").then_some(()));
    mesh.ip("phones", "route add blackhole 10.90.255.0/24 table local");

    let before = daemon.cpu();
    let line = daemon.line("500 phones in ", Duration::from_secs(180));
    let ours = Cost { wall: Duration::from_millis(number_before(&line, " ms")), cpu: daemon.cpu() - before };
    let metrics = get(&mesh, "node", "/metrics");
    let count = |event: &str| metric(&metrics, &format!("switchboard_probe_{event}_total"));
    let repeats = u32::try_from(count("options_repeated")).unwrap();
    assert_eq!((count("pings"), count("options")), (u64::from(PHONES * EACH), u64::from(PHONES * EACH)));
    let answered = count("pings_answered") + count("options_answered");

    let fping = |each: u32| {
        let mut command = mesh.command("node", "fping");
        command.args(["-q", "-C", &each.to_string(), "-p", "200", "-t", "2000", "-i"]);
        command.arg((1_000 / rate).to_string()).arg("-f").arg(&addresses);
        let (said, cost) = measured(&mut command);
        let heard = said.lines().flat_map(|line| line.split(" : ").nth(1)).flat_map(|times| times.split(' '));
        (heard.filter(|time| time.parse::<f64>().is_ok()).count(), cost)
    };
    let [(heard, theirs), (heard_twice, twice)] = [EACH, 2 * EACH].map(fping);

    // All packets at the rate, if the last one is answered at once.
    let bound = sending(PHONES * EACH * 2 + repeats, rate);
    table(
        &format!("{PHONES} phones, {DEAD} of them gone, {rate} packets a second"),
        &["Switchboard, five pings, five OPTIONS", "fping, five pings", "fping, ten pings"],
        &[
            ("seconds", [ours, theirs, twice].map(|cost| seconds(cost.wall)).into()),
            (
                "seconds that the rate allows",
                [bound, sending(PHONES * EACH, rate), sending(PHONES * EACH * 2, rate)].map(seconds).into(),
            ),
            ("CPU ms", [ours, theirs, twice].map(|cost| milliseconds(cost.cpu)).into()),
            ("answers", vec![answered.to_string(), heard.to_string(), heard_twice.to_string()]),
        ],
    );
}

fn sending(packets: u32, rate: u32) -> Duration {
    Duration::from_secs_f64(f64::from(packets) / f64::from(rate))
}
