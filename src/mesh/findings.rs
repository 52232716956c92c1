//! What is wrong, in plain sentences, each with what to do about it.
//!
//! Deliberately not here: anything that needs to ask the mesh. All of it follows from what is known anyway.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::book::Book;
use super::graph::{Graph, Node, NodeId};
use super::local::Local;
use super::own::Own;
use crate::limits;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Instant;

/// Something that an operator may want to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// Whom it is about: a number, or empty for this node.
    pub subject: String,
    /// What is the case. May quote names from the network: it is to be escaped by whoever writes it.
    pub sentence: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Phones on the LAN get no default route.
    NoDefaultRoute,
    /// The LAN is hidden behind the node.
    NatMode,
    /// Other nodes' phones cannot reach the exchange.
    PortClosed,
    /// The node joins meshes.
    Supernode,
    /// A phone has a reserved address, but the mesh is not told.
    NotPropagated,
    /// A phone has an address, but no reservation.
    NotReserved,
    /// Two nodes announce the same number.
    DuplicateNumber,
    /// Nobody saw the phone of a number for long.
    Unseen,
    /// A phone is there whose number is not in the book.
    NotListed,
}

impl Kind {
    /// As programs see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoDefaultRoute => "no_default_route",
            Self::NatMode => "nat_mode",
            Self::PortClosed => "port_closed",
            Self::Supernode => "supernode",
            Self::NotPropagated => "not_propagated",
            Self::NotReserved => "not_reserved",
            Self::DuplicateNumber => "duplicate_number",
            Self::Unseen => "unseen",
            Self::NotListed => "not_listed",
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Calls fail.
    Error,
    /// Some calls may fail.
    Warning,
    /// Good to know.
    Notice,
}

impl Severity {
    /// As programs see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// What findings follow from.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// The map.
    pub graph: &'a Graph,
    /// What the firmware's files say.
    pub local: &'a Local,
    /// This node.
    pub own: &'a Own,
    /// In the graph, once its name is known.
    pub own_id: Option<NodeId>,
    /// The book.
    pub book: &'a Book,
    /// When a number counts as unseen.
    pub unseen_after: Duration,
}

/// Everything that is wrong, the worst first; at most [`limits::MESH_FINDINGS`], and how many there were.
pub fn find(known: Knowledge<'_>, now: Instant) -> (Vec<Finding>, usize) {
    let mut found = Vec::new();
    this_node(known, &mut found);
    phones_of_this_node(known.own, &mut found);
    duplicates(known, &mut found);
    listed(known, &mut found, now);
    found.sort_unstable_by(|a, b| (a.severity, a.kind, &a.subject).cmp(&(b.severity, b.kind, &b.subject)));
    let count = found.len();
    found.truncate(limits::MESH_FINDINGS);
    (found, count)
}

fn this_node(known: Knowledge<'_>, found: &mut Vec<Finding>) {
    let own = known.own;
    let mut say = |kind, severity, sentence: &str, remedy| {
        found.push(Finding { kind, severity, subject: String::new(), sentence: sentence.to_owned(), remedy });
    };
    if own.has_default_route() == Some(false) {
        say(
            Kind::NoDefaultRoute,
            Severity::Error,
            "Phones on this node's LAN are told no default route, so most of them cannot answer a phone behind another node: \
             calls connect one way or not at all.",
            "Switch on 'LAN default route' in the node's network settings (aredn.@wan[0].lan_dhcp_route = 1), save, and \
             restart the phones.",
        );
    }
    if own.nat {
        say(
            Kind::NatMode,
            Severity::Error,
            "This node's LAN is in NAT mode: its phones have no address on the mesh, and nobody can call them.",
            "Choose a LAN mode with addresses of its own, for example 5 hosts direct, in the node's network settings.",
        );
    }
    if own.aredn && !own.firewall_open {
        say(
            Kind::PortClosed,
            Severity::Warning,
            "This node's firewall does not let SIP in from the mesh: what phones of other nodes send to the exchange after a \
             pause, such as hanging up, is lost.",
            "Install the firewall rule of the package again (it opens UDP port 5060) and restart the firewall.",
        );
    }
    if known.own_id.and_then(|id| known.graph.node(id)).is_some_and(|node| node.supernode) {
        say(
            Kind::Supernode,
            Severity::Warning,
            "This node is a supernode: it carries the traffic between whole meshes and should do nothing else.",
            "Run the exchange on another node of the mesh.",
        );
    }
}

fn phones_of_this_node(own: &Own, found: &mut Vec<Finding>) {
    for number in &own.kept_back {
        found.push(Finding {
            kind: Kind::NotPropagated,
            severity: Severity::Error,
            subject: number.to_string(),
            sentence: format!("The address of phone {number} is reserved on this node but kept from the mesh: only phones here can call it."),
            remedy: "Take away 'do not propagate' from its reservation in the node's DHCP settings.",
        });
    }
    for number in own.unreserved() {
        found.push(Finding {
            kind: Kind::NotReserved,
            severity: Severity::Warning,
            subject: number.to_owned(),
            sentence: format!(
                "Phone {number} has an address from this node but no reservation, so the mesh does not know it."
            ),
            remedy: "Reserve the address under the phone's number in the node's DHCP settings.",
        });
    }
}

/// Where a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// `None`: this node.
    node: Option<Ipv4Addr>,
    /// If it is said.
    address: Option<Ipv4Addr>,
}

/// A number belongs to two nodes, or to two addresses of one.
fn duplicates(known: Knowledge<'_>, found: &mut Vec<Finding>) {
    let mut places: SortedMap<&str, SortedSet<Place>> = SortedMap::new();
    for phone in known.local.phones().filter(|phone| phone.host == phone.number) {
        let places = places.or_default(&phone.number);
        // Services lines name a host without its address; that is no other place.
        if phone.address.is_some() {
            places.insert(Place { node: phone.node, address: phone.address });
        }
    }
    // Behind another name the number is announced by services lines only.
    for phone in known.local.phones().filter(|phone| phone.host != phone.number) {
        let places = places.or_default(&phone.number);
        if !places.iter().any(|place| place.node == phone.node) {
            places.insert(Place { node: phone.node, address: None });
        }
    }
    for (number, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
        let name = |node: Option<Ipv4Addr>| match node {
            None => "this node".to_owned(),
            Some(address) => known
                .graph
                .at(address)
                .and_then(|id| known.graph.node(id))
                .map_or_else(|| address.to_string(), |node| Node::name(node).to_owned()),
        };
        let nodes: SortedSet<String> = places.iter().map(|place| name(place.node)).collect();
        let nodes: Vec<String> = nodes.into_iter().take(5).collect();
        let sentence = match nodes.as_slice() {
            [one] => format!(
                "Number {number} has {} addresses on {one}: which phone rings is a matter of luck.",
                places.len()
            ),
            _ => format!(
                "Number {number} is announced by {}: which phone rings is a matter of luck.",
                nodes.join(" and ")
            ),
        };
        found.push(Finding {
            kind: Kind::DuplicateNumber,
            severity: Severity::Error,
            subject: number.to_owned(),
            sentence,
            remedy: "Let the operators agree who has the number, and remove the other reservation or service.",
        });
    }
}

fn listed(known: Knowledge<'_>, found: &mut Vec<Finding>, now: Instant) {
    if known.book.is_empty() {
        return;
    }
    for (number, since) in known.book.unseen(known.unseen_after, now) {
        let days = since.as_secs() / 86_400;
        found.push(Finding {
            kind: Kind::Unseen,
            severity: Severity::Notice,
            subject: number.to_owned(),
            sentence: format!(
                "Number {number} is in the book, but its phone was not seen on the mesh for {days} days."
            ),
            remedy: "Ask its owner whether the phone still exists, and have the book corrected if not.",
        });
    }
    let numbers: SortedSet<&str> = known.local.phones().map(|phone| &*phone.number).collect();
    for number in numbers.into_iter().filter(|number| !known.book.lists(number)) {
        found.push(Finding {
            kind: Kind::NotListed,
            severity: Severity::Notice,
            subject: number.to_owned(),
            sentence: format!("Phone {number} is on the mesh, but its number is not in the book."),
            remedy: "Tell whoever keeps the book, or the owner of the phone.",
        });
    }
}

/// The findings as a file, without the time at which it was made.
pub fn body(found: &[Finding], count: usize) -> Vec<u8> {
    let mut out = format!("\"total\":{count},\"findings\":[").into_bytes();
    for (index, finding) in found.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b"," });
        let fields = [
            ("{\"kind\":", finding.kind.as_str()),
            (",\"severity\":", finding.severity.as_str()),
            (",\"subject\":", &finding.subject),
            (",\"sentence\":", &finding.sentence),
            (",\"remedy\":", finding.remedy),
        ];
        for (key, value) in fields {
            out.extend_from_slice(key.as_bytes());
            super::topology::string(&mut out, value);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}\n");
    out
}
