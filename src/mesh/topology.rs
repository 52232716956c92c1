//! The map as a file: JSON of version 2.0, as the pages of the C phonebook read it, with a few fields more.
//!
//! Names come from the network. They are escaped here, once, so that no string holds anything that a page or a script could
//! take for something else: what JSON demands, and `<`, `>` and `&` besides.

use std::io::Write;

use super::graph::{Graph, Kind, Node, NodeId};
use super::{learn, position};
use crate::time::{Clock, Instant};

/// Writes the map without the time at which it was made: two that are equal show the same.
pub fn body(graph: &Graph, own: &str, clock: Clock) -> Vec<u8> {
    let (nodes, links, ..) = graph.sizes();
    let mut out = Vec::with_capacity(nodes.saturating_mul(180) + links.saturating_mul(190));
    out.extend_from_slice(b"\"source_node\":{\"name\":");
    string(&mut out, own);
    out.extend_from_slice(b",\"type\":\"server\"},\"nodes\":[");
    let routers = position::routers(graph);
    let router_of = |phone| {
        let at = routers.binary_search_by_key(&phone, |(phone, _)| *phone).ok()?;
        routers.get(at).and_then(|(_, router)| graph.node(*router))
    };
    let mut first = true;
    for (id, node) in graph.nodes() {
        separate(&mut out, &mut first);
        self::node(&mut out, graph, node, router_of(id), clock);
    }
    out.extend_from_slice(b"],\"connections\":[");
    let name = |id: NodeId| graph.node(id).map_or("", Node::name);
    let mut first = true;
    for (key, link) in graph.links() {
        separate(&mut out, &mut first);
        out.extend_from_slice(b"{\"source\":");
        string(&mut out, name(key.from));
        out.extend_from_slice(b",\"target\":");
        string(&mut out, name(key.to));
        let rtt = link.rtt.rtt();
        number(&mut out, "rtt_avg_ms", rtt.map(|rtt| millis(rtt.mean_us)));
        number(&mut out, "rtt_min_ms", rtt.map(|rtt| millis(rtt.least_us)));
        number(&mut out, "rtt_max_ms", rtt.map(|rtt| millis(rtt.most_us)));
        number(&mut out, "sample_count", Some(rtt.map_or(0, |rtt| rtt.count)));
        date(&mut out, "last_updated", link.last_seen, clock);
        text(&mut out, "link_type", learn::medium(key.via));
        number(&mut out, "quality", link.quality());
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"ip_mappings\":{");
    let mut mapped = 0_usize;
    let mut first = true;
    for (address, id) in graph.addresses() {
        // Its main address stands with the node itself.
        let Some(node) = graph.node(id).filter(|node| node.main_address() != Some(address)) else { continue };
        separate(&mut out, &mut first);
        put(&mut out, format_args!("\"{address}\":"));
        string(&mut out, node.name());
        mapped += 1;
    }
    out.extend_from_slice(b"},\"statistics\":{");
    put(
        &mut out,
        format_args!("\"total_nodes\":{nodes},\"total_connections\":{links},\"total_ip_mappings\":{mapped}}}}}\n"),
    );
    out
}

/// The whole file.
pub fn file(body: &[u8], now: Instant, clock: Clock) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 80);
    put(&mut out, format_args!("{{\"version\":\"2.0\",\"generated_at\":\"{}\",", clock.date(now).rfc3339()));
    out.extend_from_slice(body);
    out
}

fn node(out: &mut Vec<u8>, graph: &Graph, node: &Node, router: Option<&Node>, clock: Clock) {
    out.extend_from_slice(b"{\"name\":");
    string(out, node.name());
    text(out, "type", if node.kind == Kind::Phone { "phone" } else { "router" });
    let place = position::of(node, router.and_then(Node::position));
    text(out, "lat", &place.map_or_else(String::new, |place| position::degrees(place.latitude)));
    text(out, "lon", &place.map_or_else(String::new, |place| position::degrees(place.longitude)));
    text(out, "status", if node.inactive { "INACTIVE" } else { "ONLINE" });
    date(out, "last_seen", node.last_seen, clock);
    if let Some(address) = node.main_address() {
        put(out, format_args!(",\"ip\":\"{address}\""));
    }
    let (model, firmware) = graph.model_and_firmware(node);
    for (key, value) in [("model", model), ("firmware", firmware)].into_iter().filter(|(_, value)| !value.is_empty()) {
        text(out, key, value);
    }
    if let Some(router) = router.filter(|_| node.kind == Kind::Phone) {
        text(out, "router", router.name());
    }
    if node.supernode {
        out.extend_from_slice(b",\"supernode\":true");
    }
    if node.metric > 0 {
        number(out, "metric", Some(node.metric));
    }
    out.push(b'}');
}

/// Microseconds as milliseconds with three decimals.
fn millis(micros: u32) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

fn put(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = out.write_fmt(arguments);
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    put(out, format_args!(",\"{key}\":"));
    string(out, value);
}

/// A number, or `null`.
fn number(out: &mut Vec<u8>, key: &str, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => put(out, format_args!(",\"{key}\":{value}")),
        None => put(out, format_args!(",\"{key}\":null")),
    }
}

fn date(out: &mut Vec<u8>, key: &str, at: Instant, clock: Clock) {
    put(out, format_args!(",\"{key}\":\"{}\"", clock.date(at).rfc3339()));
}

/// A string with its quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c if crate::config::is_obeyed(c) => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => {
                let mut bytes = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
            }
        }
    }
    out.push(b'"');
}
