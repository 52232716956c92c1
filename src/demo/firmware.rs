//! What the firmware of the simulated nodes writes and says: the files of this node, `sysinfo` of the others, babeld's routes.

use std::fmt::Write as _;

use super::net::Net;
use super::places::{PLACES, Phone, SERVER, address, host};
use crate::files::Watched;
use crate::time::Instant;

/// The firmware measures so often.
const MEASURES_S: u64 = 30;

/// A watched file or directory as it is now: name and content of each file. Findings come and go with some of them.
pub fn files(watched: Watched, net: &Net, phones: &[Phone], now: Instant) -> Vec<(String, String)> {
    let minute = net.seconds(now) / 60;
    let text = match watched {
        Watched::HostsDir | Watched::ServicesDir => return shards(watched, net, phones, now),
        Watched::Lqm => lqm(0, net, now),
        Watched::ResolvConf => format!("nameserver {}\n", host(SERVER, 53)),
        Watched::ArednConfig => match PLACES.first().and_then(|place| place.position) {
            Some((lat, lon)) => {
                format!("config location\n\toption lat '{}'\n\toption lon '{}'\n", degrees(lat), degrees(lon))
            }
            None => return Vec::new(),
        },
        Watched::NodeSetup => "config globals 'globals'\n\toption dmz_mode '3'\n".to_owned(),
        // Somebody switches the default route off and on again.
        Watched::DhcpConfig if (3..6).contains(&(minute % 8)) => {
            "config dhcp 'lan'\n\tlist dhcp_option '3'\n".to_owned()
        }
        Watched::DhcpConfig => "config dhcp 'lan'\n".to_owned(),
        Watched::LanHosts => format!("{}\t990151 #NOPROPS\n", host(0, 61)),
        Watched::DhcpLeases => format!("1 02:00:5e:00:53:01 {} 990152 *\n", host(0, 62)),
        Watched::FirewallRule => "# open\n".to_owned(),
        Watched::HostsOlsr | Watched::ServicesOlsr => return Vec::new(),
    };
    vec![("file".to_owned(), text)]
}

/// The directories of arednlink: a block for each node that is up, in sixteen files.
fn shards(watched: Watched, net: &Net, phones: &[Phone], now: Instant) -> Vec<(String, String)> {
    let mut files = vec![String::new(); 16];
    // A number that is set up twice for a while.
    let twice = (2..5).contains(&(net.seconds(now) / 60 % 7));
    for (node, place) in PLACES.iter().enumerate().filter(|(node, _)| net.is_up(*node, now)) {
        let Some(file) = files.get_mut(node % 16) else { continue };
        let own = phones.iter().filter(|phone| phone.node == node);
        let copied = phones.iter().filter(|phone| twice && node == 7 && phone.number == "990112");
        let numbers = own.map(|phone| (phone.address, &phone.number));
        let numbers = numbers.chain(copied.map(|phone| (host(node, 77), &phone.number)));
        // Writing to a String cannot fail.
        let _ = writeln!(file, "##{}##", address(node));
        for (ip, number) in numbers {
            let _ = match watched {
                Watched::HostsDir => writeln!(file, "{ip}\t{number}"),
                _ => writeln!(file, "http://{number}:0/|tcp|x{number} [phone]"),
            };
        }
        if watched == Watched::HostsDir {
            if node == SERVER {
                let _ = writeln!(file, "{}\tsupernode.{}.local.mesh", address(node), place.name);
            }
            let _ = writeln!(file, "{}\tdtdlink.{}.local.mesh", host(node, 2), place.name);
            let _ = writeln!(file, "{}\t{}", address(node), place.name);
        }
        file.push('\n');
    }
    files.into_iter().enumerate().map(|(n, text)| (n.to_string(), text)).collect()
}

/// `lqm.info` of a node.
fn lqm(node: usize, net: &Net, now: Instant) -> String {
    let at = net.seconds(now) / MEASURES_S * MEASURES_S;
    let tracker = |(other, link, weather): (usize, super::net::Link, super::net::Weather)| {
        let name = PLACES.get(other).map_or("", |place| place.name);
        let (rtt, quality) = (weather.rtt_us, 100 - weather.loss.min(100));
        format!(
            "\"02:00:5e:00:53:{other:02x}{kind}\":{{\"hostname\":\"{name}\",\"type\":\"{medium}\",\"lastseen\":{at},\
             \"quality\":{quality},\"ping_success_time\":{}.{:06},\"canonical_ip\":\"{}\"{}}}",
            rtt / 1_000_000,
            rtt % 1_000_000,
            address(other),
            position(other),
            kind = link.medium.len(),
            medium = link.medium,
        )
    };
    let trackers: Vec<String> = net.neighbours(node, now).into_iter().map(tracker).collect();
    format!("{{\"start\":1,\"now\":{at},\"trackers\":{{{}}},\"hidden_nodes\":[]}}", trackers.join(","))
}

/// What a node answers to `/a/sysinfo?lqm=1`.
pub fn sysinfo(node: usize, net: &Net, now: Instant) -> String {
    let name = PLACES.get(node).map_or("", |place| place.name);
    let model = ["MikroTik hAP ac lite", "MikroTik LHG 5nD", "Ubiquiti NanoStation M5", "QEMU Standard PC"];
    let model = model.get(if node == SERVER { 3 } else { node % 3 }).copied().unwrap_or_default();
    format!(
        "{{\"api_version\":\"2.0\",\"node\":\"{name}\",\"ip\":\"{ip}\",\"node_details\":{{\"model\":\"{model}\",\
         \"firmware_version\":\"4.26.7.0\",\"mesh_supernode\":{}}}{},\"interfaces\":[{{\"name\":\"br-lan\",\"ip\":\"{ip}\"}}],\
         \"lqm\":{{\"info\":{}}}}}",
        node == SERVER,
        position(node),
        lqm(node, net, now),
        ip = address(node),
    )
}

/// What babeld answers to the question for its routes.
pub fn routes(net: &Net, now: Instant) -> String {
    let mut text = String::from("BABEL 1.0\nok\n");
    for node in 1..PLACES.len() {
        let Some((way, weather)) = net.reach(node, now) else { continue };
        let metric = 96 * way.len() + usize::try_from(weather.loss * 10).unwrap_or(0);
        let (to, via) = (address(node), way.first().map_or(to_self(), |first| address(*first)));
        let _ = writeln!(
            text,
            "add route {node} prefix {to}/32 from 0.0.0.0/0 installed yes id a metric {metric} refmetric 0 via b nexthop {via} if wlan0"
        );
    }
    text + "ok\n"
}

fn to_self() -> std::net::Ipv4Addr {
    address(0)
}

fn position(node: usize) -> String {
    PLACES
        .get(node)
        .and_then(|place| place.position)
        .map_or_else(String::new, |(lat, lon)| format!(",\"lat\":{},\"lon\":{}", degrees(lat), degrees(lon)))
}

fn degrees(value: i32) -> String {
    format!("{}.{:04}", value / 10_000, value % 10_000)
}
