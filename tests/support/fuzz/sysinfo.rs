//! Any bytes as the answer of a router: read, taken into a map, and the map is JSON again.

use std::net::Ipv4Addr;

use switchboard::limits;
use switchboard::mesh::graph::{Evidence, Graph, Kind};
use switchboard::mesh::learn::{self, Rules};
use switchboard::mesh::{name, topology};
use switchboard::time::{Clock, Instant};
use switchboard::wire::sysinfo::Sysinfo;

pub fn check(data: &[u8]) {
    let Ok(Some(said)) = Sysinfo::parse(data) else { return };
    assert!(!said.node.is_empty());
    assert!(said.interfaces.len() <= limits::MESH_INTERFACES && said.links.len() <= limits::MESH_NEIGHBOURS);
    let now = Instant::from_micros(1);
    let mut graph = Graph::new(20, 20);
    let known = graph.see("known", Kind::Router, Evidence::Local, now).unwrap();
    let address = Ipv4Addr::new(10, 0, 0, 1);
    graph.set_address(known, address, Evidence::Local);
    let Some(of) = name::canonical(&said.node, "local.mesh").filter(|name| name != "known") else { return };
    let id = graph.see(&of, Kind::Router, Evidence::Hearsay, now).unwrap();
    for _ in 0..2 {
        learn::answer(&mut graph, id, &said, Rules { domain: "local.mesh", boundary: &[] }, now);
    }
    assert_eq!(graph.at(address), Some(known), "what the node's own firmware says stays");
    let (nodes, links, ..) = graph.sizes();
    assert!(nodes <= 20 && links <= 20);
    let body = topology::body(&graph, "me", Clock::default());
    let map: serde_json::Value = serde_json::from_slice(&topology::file(&body, now, Clock::default())).unwrap();
    assert_eq!(map["nodes"].as_array().unwrap().len(), nodes);
    assert_eq!(map["connections"].as_array().unwrap().len(), links);
    assert!(!body.iter().any(|b| matches!(b, b'<' | b'>' | b'&' | 0..=9 | 11..=31)));
    let names = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    assert!(
        map["nodes"].as_array().unwrap().iter().map(names).eq(graph.nodes().map(|(_, node)| node.name().to_owned()))
    );
}
