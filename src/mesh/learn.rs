//! What a node says of itself and of its neighbours, taken into the graph. All of it is somebody's word: it is weighed, bounded,
//! and what lies beyond a border is not recorded.

use super::graph::{Evidence, Graph, Kind, LinkKey, NodeId, Source, Via};
use super::name;
use crate::time::Instant;
use crate::wire::lqm::{Lqm, Medium, Tracker};
use crate::wire::services::is_number;
use crate::wire::sysinfo::Sysinfo;

/// What holds for every answer.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Behind every name.
    pub domain: &'a str,
    /// Patterns of the names that belong to the map; empty: all.
    pub boundary: &'a [String],
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Neighbours beyond the border.
    pub beyond: u64,
    /// Neighbours and links for which there was no room.
    pub full: u64,
}

impl Rules<'_> {
    /// Whether a node of this name belongs to the map.
    pub fn is_inside(&self, name: &str) -> bool {
        self.boundary.is_empty() || self.boundary.iter().any(|pattern| name::matches(pattern, name))
    }
}

/// A node answered for itself.
pub fn answer(graph: &mut Graph, id: NodeId, said: &Sysinfo, rules: Rules<'_>, now: Instant) -> Outcome {
    let Some(node) = graph.node(id) else { return Outcome::default() };
    let supernode = said.supernode.unwrap_or(node.supernode);
    graph.seen(id, Evidence::Answered, now);
    graph.set_position(id, said.position, Source::Itself);
    graph.set_device(id, &said.model, &said.firmware);
    graph.set_supernode(id, supernode);
    graph.forget_addresses(id);
    if let Some(address) = said.address {
        graph.set_address(id, address, Evidence::Answered);
    }
    for address in said.interfaces.iter().filter(|address| is_of_the_mesh(**address)) {
        graph.map_address(*address, id, Evidence::Answered);
    }
    if !said.lqm.trackers.is_empty() {
        return neighbours(graph, id, &said.lqm, supernode, rules, now);
    }
    // Firmware before 3.22 measures nothing, but knows its neighbours.
    let trackers = said.links.iter().map(Tracker::from).collect();
    neighbours(graph, id, &Lqm { now: None, trackers }, supernode, rules, now)
}

/// What a node measures; links that it no longer has are gone. `at_border`: it joins meshes, and whom nobody else knows is not
/// of this one.
pub fn neighbours(
    graph: &mut Graph,
    id: NodeId,
    lqm: &Lqm,
    at_border: bool,
    rules: Rules<'_>,
    now: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut kept = Vec::new();
    for tracker in lqm.trackers.iter().filter(|tracker| lqm.is_up(tracker)) {
        kept.extend(neighbour_of(graph, id, tracker, at_border, rules, &mut outcome, now));
    }
    graph.keep_links_of(id, &kept);
    outcome
}

fn neighbour_of(
    graph: &mut Graph,
    id: NodeId,
    tracker: &Tracker,
    at_border: bool,
    rules: Rules<'_>,
    outcome: &mut Outcome,
    now: Instant,
) -> Option<LinkKey> {
    let name = name::canonical(&tracker.hostname, rules.domain);
    let neighbour = match name {
        Some(name) if is_number(&name) => return None,
        Some(name) => match graph.find(&name) {
            Some(known) => known,
            None if at_border || !rules.is_inside(&name) => {
                outcome.beyond += 1;
                return None;
            }
            None => match graph.see(&name, Kind::Router, Evidence::Hearsay, now) {
                Ok(id) => id,
                Err(_) => {
                    outcome.full += 1;
                    return None;
                }
            },
        },
        // A station that was just heard has an address at most.
        None => tracker.canonical.or(tracker.address).and_then(|address| graph.at(address))?,
    };
    if graph.node(neighbour).is_none_or(|node| node.kind != Kind::Router) {
        return None;
    }
    graph.seen(neighbour, Evidence::Hearsay, now);
    graph.set_position(neighbour, tracker.position, Source::Neighbour);
    if graph.node(neighbour).is_some_and(|node| graph.model_and_firmware(node).0.is_empty()) {
        graph.set_device(neighbour, &tracker.model, &tracker.firmware);
    }
    if let Some(address) = tracker.canonical.filter(|address| is_of_the_mesh(*address)) {
        graph.set_address(neighbour, address, Evidence::Hearsay);
    }
    if let Some(address) = tracker.address.filter(|address| is_of_the_mesh(*address)) {
        graph.map_address(address, neighbour, Evidence::Hearsay);
    }
    let key = LinkKey { from: id, to: neighbour, via: Via::Medium(tracker.medium) };
    match graph.link(key, tracker.rtt_us, tracker.quality, now) {
        Ok(()) => Some(key),
        Err(_) => {
            outcome.full += 1;
            None
        }
    }
}

/// Addresses of nodes (10.0.0.0/8) and of tunnels (172.16.0.0/12); an uplink's are not of the mesh.
pub fn is_of_the_mesh(address: std::net::Ipv4Addr) -> bool {
    matches!(address.octets(), [10, ..] | [172, 16..=31, ..])
}

/// What a medium is called in the map.
pub const fn medium(via: Via) -> &'static str {
    match via {
        Via::Medium(Medium::Rf) => "RF",
        Via::Medium(Medium::RemoteRf) => "RRF",
        Via::Medium(Medium::Dtd) => "DTD",
        Via::Medium(Medium::Xlink) => "XLINK",
        Via::Medium(Medium::Tunnel) => "TUN",
        Via::Medium(Medium::Unknown) => "",
        Via::Lan => "LAN",
        Via::Path => "PATH",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Instant = Instant::from_micros(0);
    const RULES: Rules<'_> = Rules { domain: "local.mesh", boundary: &[] };
    const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
    const NEAR: Ipv4Addr = Ipv4Addr::new(172, 32, 0, 1);

    fn mesh(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    fn neighbour(hostname: &str, address: Ipv4Addr) -> Tracker {
        Tracker {
            hostname: hostname.into(),
            address: Some(address),
            canonical: Some(address),
            medium: Medium::Rf,
            rtt_us: None,
            quality: None,
            position: None,
            model: "hearsay".into(),
            firmware: String::new(),
            last_seen: None,
        }
    }

    fn said(interfaces: &[Ipv4Addr], trackers: Vec<Tracker>) -> Sysinfo {
        let lqm = Lqm { now: None, trackers };
        Sysinfo { node: "a".into(), model: "own".into(), interfaces: interfaces.to_vec(), lqm, ..Sysinfo::default() }
    }

    #[test]
    fn a_node_is_believed_of_itself_and_of_the_mesh_alone() {
        let mut graph = Graph::new(10, 10);
        let [a, b] = ["a", "b"].map(|name| graph.see(name, Kind::Router, Evidence::Hearsay, NOW).unwrap());
        let phone = graph.see("phone", Kind::Phone, Evidence::Local, NOW).unwrap();
        answer(&mut graph, b, &said(&[mesh(2)], Vec::new()), RULES, NOW);
        let trackers = vec![neighbour("B", UPLINK), neighbour("phone", mesh(7)), neighbour("441530", mesh(8))];
        let told = Sysinfo { supernode: Some(true), ..said(&[mesh(1), UPLINK, NEAR], trackers) };
        answer(&mut graph, a, &told, RULES, NOW);
        assert_eq!([mesh(1), mesh(2)].map(|address| graph.at(address)), [Some(a), Some(b)]);
        assert_eq!([UPLINK, NEAR, mesh(7), mesh(8)].map(|address| graph.at(address)), [None; 4]);
        let of = |graph: &Graph, id| graph.model_and_firmware(graph.node(id).unwrap()).0.to_owned();
        assert_eq!((of(&graph, a), of(&graph, b), of(&graph, phone)), ("own".into(), "own".into(), String::new()));
        let links: Vec<NodeId> = graph.links().map(|(key, _)| key.to).collect();
        assert_eq!((links, graph.find("441530")), (vec![b], None), "a number is no router");
        assert_eq!(graph.node(a).unwrap().evidence, Evidence::Answered);

        // What it does not say any more is gone; old firmware does not say whether it is a supernode.
        answer(&mut graph, a, &said(&[mesh(3)], Vec::new()), RULES, NOW);
        assert_eq!([mesh(1), mesh(3)].map(|address| graph.at(address)), [None, Some(a)]);
        assert!(graph.node(a).unwrap().supernode);
    }
}
