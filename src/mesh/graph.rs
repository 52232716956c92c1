//! Nodes, phones and the links between them, as far as they are known, with their ages. Everything is bounded.
//!
//! Deliberately not here: where the knowledge comes from, and how it is written.
//!
//! A node is named once; everybody else refers to it by its number ([`NodeId`], 2 bytes). On a router of 32 bits a node takes
//! 60 bytes, its name and 3 numbers elsewhere; a link takes 72. So the default limits, 2 000 nodes and 8 000 links, are below a
//! megabyte when they are full, and the map of a mesh of 300 routers and 500 phones takes 150 kB. A test holds that.
//!
//! What is said of a node has a weight ([`Evidence`]). A full table gives a place only to somebody better known than the one who
//! must leave, so that a node which invents neighbours does not push out those that are there.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;
pub use crate::wire::lqm::{Medium, Position};

/// The number of a node while it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u16);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A router of the mesh.
    Router,
    /// A phone behind one.
    Phone,
}

/// How well a node is known, from hearsay up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Another node names it.
    Hearsay,
    /// It answered.
    Answered,
    /// This node's own firmware knows it.
    Local,
}

/// Who says where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody.
    Nobody,
    /// A neighbour.
    Neighbour,
    /// The node itself.
    Itself,
}

/// A node or a phone.
#[derive(Clone, Debug)]
pub struct Node {
    name: Box<str>,
    /// Its main address; unspecified: not known.
    pub address: Ipv4Addr,
    /// Where it is.
    position: Option<Position>,
    placed: Source,
    /// What it is.
    pub kind: Kind,
    /// How well it is known.
    pub evidence: Evidence,
    /// Whether it joins this mesh to others.
    pub supernode: bool,
    /// Whether it was not seen for long.
    pub inactive: bool,
    /// In [`Graph::word`].
    model: u16,
    firmware: u16,
    /// Babel's metric of the way to it; 0: not known.
    pub metric: u16,
    /// When it was last known to be there.
    pub last_seen: Instant,
    /// What the crawl remembers of it.
    pub visit: Visit,
}

/// What the crawl remembers of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// Which of its URLs answered last.
    pub url: KnownUrl,
    /// Rounds in a row in which it did not answer.
    pub failures: u8,
    /// The round in which it was last considered; 0: in none.
    pub round: u32,
    /// It is not asked before this round.
    pub not_before: u32,
}

/// Where a node answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownUrl {
    /// Not known yet.
    #[default]
    Unknown,
    /// `/a/sysinfo`.
    New,
    /// `/cgi-bin/sysinfo.json`.
    Old,
}

/// The last measurements of a link, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    samples: [u32; limits::MESH_SAMPLES],
    count: u8,
    next: u8,
}

/// What a ring holds, in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// How many measurements.
    pub count: u8,
    /// In microseconds.
    pub mean_us: u32,
    /// In microseconds.
    pub least_us: u32,
    /// In microseconds.
    pub most_us: u32,
}

/// What one node says of its link to another.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// How long the way there and back takes.
    pub rtt: Ring,
    /// 0 to 100; above: not known.
    quality: u8,
    /// When it was last said.
    pub last_seen: Instant,
}

/// What a link is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkKey {
    /// Who says it.
    pub from: NodeId,
    /// Of whom.
    pub to: NodeId,
    /// Over what.
    pub via: Via,
}

/// Over what a link goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// As the node that measures it says.
    Medium(Medium),
    /// A phone on the LAN of its router.
    Lan,
    /// Two hops of a traced path that follow each other.
    Path,
}

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Everything that is known.
#[derive(Debug)]
pub struct Graph {
    slots: Vec<Option<Node>>,
    free: Vec<NodeId>,
    /// All nodes in the order of their names.
    by_name: Vec<NodeId>,
    links: SortedMap<LinkKey, Link>,
    addresses: SortedMap<Ipv4Addr, (NodeId, Evidence)>,
    /// Models and firmware versions; the first is empty.
    words: Vec<Box<str>>,
    node_limit: usize,
    link_limit: usize,
    /// Changes with everything that is shown.
    revision: u64,
}

impl Node {
    /// Its one name, as it came from the network: lower case, at most [`super::name::LONGEST`] bytes, any characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, as it says itself or as a neighbour says.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Its main address, if it is known.
    pub fn main_address(&self) -> Option<Ipv4Addr> {
        Some(self.address).filter(|address| !address.is_unspecified())
    }
}

impl Ring {
    /// One more measurement; the oldest gives way.
    pub fn push(&mut self, micros: u32) {
        if let Some(sample) = self.samples.get_mut(usize::from(self.next)) {
            *sample = micros;
        }
        let length = u8::try_from(self.samples.len()).unwrap_or(u8::MAX);
        self.next = self.next.wrapping_add(1).checked_rem(length).unwrap_or(0);
        self.count = self.count.saturating_add(1).min(length);
    }

    /// What it holds; `None`: nothing.
    pub fn rtt(&self) -> Option<Rtt> {
        let samples = self.samples.get(..usize::from(self.count))?;
        let sum: u64 = samples.iter().map(|sample| u64::from(*sample)).sum();
        let mean = sum.checked_div(u64::from(self.count))?;
        Some(Rtt {
            count: self.count,
            mean_us: u32::try_from(mean).unwrap_or(u32::MAX),
            least_us: samples.iter().copied().min()?,
            most_us: samples.iter().copied().max()?,
        })
    }
}

impl Link {
    /// 0 to 100, if the node says so.
    pub fn quality(&self) -> Option<u8> {
        Some(self.quality).filter(|quality| *quality <= 100)
    }
}

impl Graph {
    /// An empty one with these bounds.
    pub fn new(node_limit: usize, link_limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: Vec::new(),
            links: SortedMap::new(),
            addresses: SortedMap::new(),
            words: vec!["".into()],
            node_limit: node_limit.min(usize::from(u16::MAX)),
            link_limit,
            revision: 0,
        }
    }

    /// Changes with everything that is shown.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many nodes, links, mapped addresses and words there are.
    pub fn sizes(&self) -> (usize, usize, usize, usize) {
        (self.by_name.len(), self.links.len(), self.addresses.len(), self.words.len().saturating_sub(1))
    }

    /// How many nodes, links and mapped addresses there may be.
    pub fn bounds(&self) -> (usize, usize, usize) {
        (self.node_limit, self.link_limit, self.node_limit.saturating_mul(ADDRESSES_PER_NODE))
    }

    /// A node by its number.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.slots.get(usize::from(id.0)).and_then(Option::as_ref)
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.slots.get_mut(usize::from(id.0)).and_then(Option::as_mut)
    }

    /// All nodes, in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.by_name.iter().filter_map(|id| self.node(*id).map(|node| (*id, node)))
    }

    /// All links, by the node that says them.
    pub fn links(&self) -> impl Iterator<Item = (LinkKey, &Link)> {
        self.links.iter().map(|(key, link)| (*key, link))
    }

    /// All addresses that are known to belong to a node, its main address included.
    pub fn addresses(&self) -> impl Iterator<Item = (Ipv4Addr, NodeId)> {
        self.addresses.iter().map(|(address, (id, _))| (*address, *id))
    }

    /// A node by its name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.place(name).ok().and_then(|at| self.by_name.get(at).copied())
    }

    /// Whose address this is.
    pub fn at(&self, address: Ipv4Addr) -> Option<NodeId> {
        self.addresses.get(&address).map(|(id, _)| *id)
    }

    /// What device a node is and what it runs; empty: not known.
    pub fn model_and_firmware(&self, node: &Node) -> (&str, &str) {
        (self.word(node.model), self.word(node.firmware))
    }

    fn word(&self, index: u16) -> &str {
        self.words.get(usize::from(index)).map_or("", |word| word)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|id| self.node(*id).map_or("", Node::name).cmp(name))
    }

    /// A node is there; makes it known if it was not. A name that once was a phone's stays one as long as it is known.
    pub fn see(&mut self, name: &str, kind: Kind, evidence: Evidence, now: Instant) -> Result<NodeId, Full> {
        let at = match self.place(name) {
            Ok(at) => {
                let id = self.by_name.get(at).copied().ok_or(Full)?;
                self.seen(id, evidence, now);
                return Ok(id);
            }
            Err(at) => at,
        };
        let at = if self.by_name.len() < self.node_limit {
            at
        } else {
            self.make_room(evidence)?;
            self.place(name).unwrap_or_else(|at| at)
        };
        let node = Node {
            name: name.into(),
            address: Ipv4Addr::UNSPECIFIED,
            position: None,
            placed: Source::Nobody,
            kind,
            evidence,
            supernode: false,
            inactive: false,
            model: 0,
            firmware: 0,
            metric: 0,
            last_seen: now,
            visit: Visit::default(),
        };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
                    *slot = Some(node);
                }
                id
            }
            None => {
                let id = NodeId(u16::try_from(self.slots.len()).map_err(|_| Full)?);
                self.slots.push(Some(node));
                id
            }
        };
        self.by_name.insert(at, id);
        self.revision += 1;
        Ok(id)
    }

    /// The least known of those that are less known than `evidence` leaves.
    fn make_room(&mut self, evidence: Evidence) -> Result<(), Full> {
        let weaker = self.nodes().filter(|(_, node)| node.evidence < evidence);
        let (id, _) = weaker.min_by_key(|(_, node)| (node.evidence, node.last_seen)).ok_or(Full)?;
        self.remove(id);
        Ok(())
    }

    /// A node that is known is there. Times are shown in steps, so that a quiet mesh does not change by the minute.
    pub fn seen(&mut self, id: NodeId, evidence: Evidence, now: Instant) {
        let Some(node) = self.node_mut(id) else { return };
        node.evidence = node.evidence.max(evidence);
        let changed = node.inactive || now.since(node.last_seen) >= limits::MESH_SEEN_STEP;
        if changed {
            node.last_seen = now;
            node.inactive = false;
            self.revision += 1;
        }
    }

    /// What the main address of a node is. What is known with less evidence than before is not believed.
    pub fn set_address(&mut self, id: NodeId, address: Ipv4Addr, evidence: Evidence) {
        self.map_address(address, id, evidence);
        let main = self.node(id).and_then(Node::main_address);
        let before = main.and_then(|main| self.addresses.get(&main)).map(|(_, evidence)| *evidence);
        if self.at(address) == Some(id) && before.is_none_or(|before| before <= evidence) {
            let changed =
                self.node_mut(id).is_some_and(|node| std::mem::replace(&mut node.address, address) != address);
            self.revision += u64::from(changed);
        }
    }

    /// An address belongs to a node, be it that of an interface or of a tunnel. Another node's is not taken away on less
    /// evidence than it had, nor on the word of equals, unless this node's own firmware says so.
    pub fn map_address(&mut self, address: Ipv4Addr, id: NodeId, evidence: Evidence) {
        let (_, _, limit) = self.bounds();
        if self.node(id).is_none() {
            return;
        }
        let known = self.addresses.get(&address).copied();
        let evidence = match known {
            Some((owner, before)) if owner == id => evidence.max(before),
            Some((_, before)) if evidence <= before && evidence != Evidence::Local => return,
            Some(_) => evidence,
            None if self.addresses.len() >= limit => return,
            None => evidence,
        };
        self.addresses.insert(address, (id, evidence));
        if let Some((owner, _)) = known.filter(|(owner, _)| *owner != id) {
            if let Some(owner) = self.node_mut(owner).filter(|owner| owner.address == address) {
                owner.address = Ipv4Addr::UNSPECIFIED;
            }
        }
        self.revision += u64::from(known.is_none_or(|(owner, _)| owner != id));
    }

    /// Forgets which addresses a node had by its own word, before it says anew; its main address stays.
    pub fn forget_addresses(&mut self, id: NodeId) {
        let main = self.node(id).map_or(Ipv4Addr::UNSPECIFIED, |node| node.address);
        let before = self.addresses.len();
        self.addresses
            .retain(|address, (owner, evidence)| *owner != id || *evidence == Evidence::Local || *address == main);
        self.revision += u64::from(self.addresses.len() != before);
    }

    /// Where a node is; what it says itself goes before what a neighbour says.
    pub fn set_position(&mut self, id: NodeId, position: Option<Position>, source: Source) {
        let Some(node) = self.node_mut(id).filter(|node| source >= node.placed) else { return };
        // A neighbour that does not know says nothing; a node that no longer says takes it back.
        if position.is_none() && (source, node.placed) != (Source::Itself, Source::Itself) {
            return;
        }
        let changed = node.position != position;
        (node.position, node.placed) = (position, if position.is_some() { source } else { Source::Nobody });
        self.revision += u64::from(changed);
    }

    /// What device a node is and what it runs; empty: it is not said.
    pub fn set_device(&mut self, id: NodeId, model: &str, firmware: &str) {
        let (model, firmware) = (self.intern(model), self.intern(firmware));
        let Some(node) = self.node_mut(id) else { return };
        let before = (node.model, node.firmware);
        node.model = model.unwrap_or(node.model);
        node.firmware = firmware.unwrap_or(node.firmware);
        self.revision += u64::from(before != (node.model, node.firmware));
    }

    /// The number of a word; `None`: it is empty, or too many are known.
    fn intern(&mut self, word: &str) -> Option<u16> {
        if word.is_empty() {
            return None;
        }
        let index = match self.words.iter().position(|known| **known == *word) {
            Some(index) => index,
            None if self.words.len() <= limits::MESH_WORDS => {
                self.words.push(word.into());
                self.words.len().saturating_sub(1)
            }
            None => return None,
        };
        u16::try_from(index).ok()
    }

    /// Whether a node joins this mesh to others.
    pub fn set_supernode(&mut self, id: NodeId, supernode: bool) {
        let changed =
            self.node_mut(id).is_some_and(|node| std::mem::replace(&mut node.supernode, supernode) != supernode);
        self.revision += u64::from(changed);
    }

    /// Babel's metric of the way to a node; 0: not known.
    pub fn set_metric(&mut self, id: NodeId, metric: u16) {
        let changed = self.node_mut(id).is_some_and(|node| std::mem::replace(&mut node.metric, metric) != metric);
        self.revision += u64::from(changed);
    }

    /// What the crawl remembers of a node.
    pub fn visit(&mut self, id: NodeId) -> Option<&mut Visit> {
        self.node_mut(id).map(|node| &mut node.visit)
    }

    /// A node says that it has a link, maybe with how long the way takes.
    pub fn link(&mut self, key: LinkKey, rtt_us: Option<u32>, quality: Option<u8>, now: Instant) -> Result<(), Full> {
        if key.from == key.to || self.node(key.from).is_none() || self.node(key.to).is_none() {
            return Ok(());
        }
        let mut changed = !self.links.contains_key(&key);
        if changed {
            if self.links.len() >= self.link_limit {
                return Err(Full);
            }
            self.links.insert(key, Link { rtt: Ring::default(), quality: u8::MAX, last_seen: now });
        }
        let Some(link) = self.links.get_mut(&key) else { return Ok(()) };
        if now.since(link.last_seen) >= limits::MESH_SEEN_STEP {
            link.last_seen = now;
            changed = true;
        }
        if let Some(rtt_us) = rtt_us {
            let before = link.rtt;
            link.rtt.push(rtt_us);
            changed |= before.rtt() != link.rtt.rtt();
        }
        let quality = quality.unwrap_or(u8::MAX);
        changed |= std::mem::replace(&mut link.quality, quality) != quality;
        self.revision += u64::from(changed);
        Ok(())
    }

    /// The links that a node says it has.
    pub fn links_of(&self, from: NodeId) -> impl Iterator<Item = (LinkKey, &Link)> {
        let key = |to, via| LinkKey { from, to: NodeId(to), via };
        let all = key(0, Via::Medium(Medium::Rf))..=key(u16::MAX, Via::Path);
        self.links.range(all).map(|(key, link)| (*key, link))
    }

    /// A node has measured anew: of the links that it said before, these stay.
    pub fn keep_links_of(&mut self, from: NodeId, kept: &[LinkKey]) {
        let measured = self.links_of(from).map(|(key, _)| key).filter(|key| matches!(key.via, Via::Medium(_)));
        let gone: Vec<LinkKey> = measured.filter(|key| !kept.contains(key)).collect();
        for key in gone {
            self.links.remove(&key);
            self.revision += 1;
        }
    }

    /// Marks who was not seen for `inactive`, forgets links as old as that, and nodes as old as `delete`.
    pub fn age(&mut self, inactive: Duration, delete: Duration, now: Instant) {
        // What is shown is up to a step old.
        let (inactive, delete) =
            (inactive.saturating_add(limits::MESH_SEEN_STEP), delete.saturating_add(limits::MESH_SEEN_STEP));
        let mut gone = Vec::new();
        let mut changed = false;
        for (index, node) in self.slots.iter_mut().enumerate() {
            let Some(node) = node else { continue };
            let age = now.since(node.last_seen);
            if age > delete {
                gone.extend(u16::try_from(index).map(NodeId));
            } else if age > inactive && !node.inactive {
                node.inactive = true;
                changed = true;
            }
        }
        self.revision += u64::from(changed);
        let before = self.links.len();
        self.links.retain(|_, link| now.since(link.last_seen) <= inactive);
        self.revision += u64::from(self.links.len() != before);
        for id in gone {
            self.remove(id);
        }
    }

    /// Forgets a node and everything that leads to it.
    pub fn remove(&mut self, id: NodeId) {
        let Some(node) = self.slots.get_mut(usize::from(id.0)).and_then(Option::take) else { return };
        drop(node);
        self.by_name.retain(|known| *known != id);
        self.links.retain(|key, _| key.from != id && key.to != id);
        self.addresses.retain(|_, (known, _)| *known != id);
        self.free.push(id);
        self.revision += 1;
    }
}

/// Addresses that are mapped, on the average of all nodes: main, LAN, DtD and a few tunnels.
const ADDRESSES_PER_NODE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(1_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn lan(from: NodeId, to: NodeId) -> LinkKey {
        LinkKey { from, to, via: Via::Lan }
    }

    fn names(graph: &Graph) -> Vec<&str> {
        graph.nodes().map(|(_, node)| node.name()).collect()
    }

    #[test]
    fn what_a_node_and_a_link_take_is_as_stated() {
        // 64 bits; on the routers, pointers are half as long and the sums of the heading hold.
        assert!(size_of::<Node>() <= 64, "{}", size_of::<Node>());
        assert!(size_of::<Link>() <= 56, "{}", size_of::<Link>());
        assert_eq!(size_of::<LinkKey>(), 6);
        assert_eq!(size_of::<NodeId>(), 2);
    }

    #[test]
    fn a_ring_remembers_the_last_ten() {
        let mut ring = Ring::default();
        assert_eq!(ring.rtt(), None);
        for micros in 1..=10 {
            ring.push(micros);
        }
        assert_eq!(ring.rtt(), Some(Rtt { count: 10, mean_us: 5, least_us: 1, most_us: 10 }));
        ring.push(u32::MAX);
        let mean_us = (u32::MAX - 9) / 10 + 6;
        assert_eq!(ring.rtt(), Some(Rtt { count: 10, mean_us, least_us: 2, most_us: u32::MAX }));
    }

    #[test]
    fn a_node_is_known_by_its_name_whatever_the_order() {
        let mut graph = Graph::new(10, 10);
        let ids: Vec<NodeId> =
            ["m", "a", "z", "b"].iter().map(|n| graph.see(n, Kind::Router, Evidence::Local, NOW).unwrap()).collect();
        assert_eq!(names(&graph), ["a", "b", "m", "z"]);
        assert_eq!(graph.find("z"), Some(ids[2]));
        assert_eq!(graph.see("b", Kind::Router, Evidence::Hearsay, NOW), Ok(ids[3]));
        assert_eq!(graph.node(ids[3]).unwrap().evidence, Evidence::Local);
        graph.map_address(Ipv4Addr::new(10, 0, 0, 1), ids[0], Evidence::Hearsay);
        graph.link(lan(ids[0], ids[1]), None, None, NOW).unwrap();
        graph.link(lan(ids[1], ids[0]), None, None, NOW).unwrap();
        graph.remove(ids[0]);
        assert_eq!(
            (names(&graph), graph.sizes().1, graph.at(Ipv4Addr::new(10, 0, 0, 1))),
            (vec!["a", "b", "z"], 0, None)
        );
        assert_eq!(graph.see("c", Kind::Phone, Evidence::Local, NOW), Ok(ids[0]), "its place is taken again");
        assert_eq!(names(&graph), ["a", "b", "c", "z"]);
    }

    #[test]
    fn a_full_table_gives_way_to_the_better_known_only() {
        let mut graph = Graph::new(3, 2);
        let later = NOW + HOUR;
        graph.see("old", Kind::Router, Evidence::Hearsay, NOW).unwrap();
        graph.see("young", Kind::Router, Evidence::Hearsay, later).unwrap();
        graph.see("local", Kind::Router, Evidence::Local, NOW).unwrap();
        assert_eq!(graph.see("invented", Kind::Router, Evidence::Hearsay, later), Err(Full));
        graph.see("answered", Kind::Router, Evidence::Answered, later).unwrap();
        assert_eq!(names(&graph), ["answered", "local", "young"]);
        graph.see("second", Kind::Router, Evidence::Local, later).unwrap();
        graph.see("third", Kind::Router, Evidence::Local, later).unwrap();
        assert_eq!(names(&graph), ["local", "second", "third"]);
        assert_eq!(graph.see("fourth", Kind::Router, Evidence::Local, later), Err(Full));
        let id = |name| graph.find(name).unwrap();
        let (a, b, c) = (id("local"), id("second"), id("third"));
        graph.link(lan(a, b), None, None, NOW).unwrap();
        graph.link(lan(b, a), None, None, NOW).unwrap();
        assert_eq!(graph.link(lan(a, c), None, None, NOW), Err(Full));
        assert_eq!(graph.link(lan(a, b), None, None, NOW), Ok(()), "a known one is no new one");
        assert_eq!(graph.link(lan(a, a), None, None, NOW), Ok(()), "to oneself is no link");
        assert_eq!(graph.sizes().1, 2);
    }

    #[test]
    fn ages() {
        let mut graph = Graph::new(10, 10);
        let a = graph.see("a", Kind::Router, Evidence::Local, NOW).unwrap();
        let b = graph.see("b", Kind::Router, Evidence::Local, NOW).unwrap();
        graph.link(LinkKey { from: a, to: b, via: Via::Path }, Some(7), None, NOW).unwrap();
        let at = |seconds| NOW + limits::MESH_SEEN_STEP + Duration::from_secs(seconds);
        graph.age(HOUR, HOUR * 10, at(3_600));
        assert_eq!((graph.node(a).unwrap().inactive, graph.sizes().1), (false, 1));
        let revision = graph.revision();
        graph.see("b", Kind::Router, Evidence::Local, at(3_601)).unwrap();
        graph.age(HOUR, HOUR * 10, at(3_601));
        assert_eq!((graph.node(a).unwrap().inactive, graph.node(b).unwrap().inactive), (true, false));
        assert_eq!(graph.sizes().1, 0, "nobody said the link again");
        assert!(graph.revision() > revision);
        graph.see("a", Kind::Router, Evidence::Hearsay, at(7_000)).unwrap();
        assert!(!graph.node(a).unwrap().inactive, "it came back");
        graph.age(HOUR, HOUR * 10, at(36_000 + 3_602 + 300));
        assert_eq!(names(&graph), ["a"]);
    }

    #[test]
    fn only_what_is_shown_is_a_change() {
        let mut graph = Graph::new(10, 10);
        let a = graph.see("a", Kind::Router, Evidence::Local, NOW).unwrap();
        let b = graph.see("b", Kind::Router, Evidence::Local, NOW).unwrap();
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let position = Position::new(1, 2);
        let key = LinkKey { from: a, to: b, via: Via::Medium(Medium::Rf) };
        let all = |graph: &mut Graph, now| {
            graph.see("a", Kind::Router, Evidence::Local, now).unwrap();
            graph.set_address(a, address, Evidence::Local);
            graph.set_position(a, position, Source::Itself);
            graph.set_device(a, "model", "");
            graph.set_metric(a, 96);
            graph.set_supernode(a, true);
            graph.link(key, None, Some(90), now).unwrap();
            graph.age(HOUR, HOUR, now);
        };
        all(&mut graph, NOW);
        let revision = graph.revision();
        all(&mut graph, NOW + Duration::from_secs(60));
        assert_eq!(graph.revision(), revision);
        graph.link(key, Some(1_000), Some(90), NOW).unwrap();
        assert_eq!(graph.revision(), revision + 1);
        graph.see("a", Kind::Router, Evidence::Local, NOW + limits::MESH_SEEN_STEP).unwrap();
        assert_eq!(graph.revision(), revision + 2);
    }

    #[test]
    fn measurements_replace_measurements_alone() {
        let mut graph = Graph::new(10, 10);
        let [a, b] = ["a", "b"].map(|name| graph.see(name, Kind::Router, Evidence::Local, NOW).unwrap());
        let key = |via| LinkKey { from: a, to: b, via };
        let measured = [Medium::Rf, Medium::Dtd].map(|medium| key(Via::Medium(medium)));
        for key in measured.into_iter().chain([key(Via::Lan), key(Via::Path)]) {
            graph.link(key, None, None, NOW).unwrap();
        }
        graph.keep_links_of(a, &measured[1..]);
        let vias: Vec<Via> = graph.links_of(a).map(|(key, _)| key.via).collect();
        assert_eq!(vias, [Via::Medium(Medium::Dtd), Via::Lan, Via::Path]);
    }

    #[test]
    fn whatever_is_shown_is_a_change_when_it_changes() {
        let mut graph = Graph::new(10, 10);
        let a = graph.see("a", Kind::Router, Evidence::Local, NOW).unwrap();
        graph.age(HOUR, HOUR * 9, NOW + HOUR * 2);
        let changes: [&dyn Fn(&mut Graph); 4] = [
            &|graph| graph.set_metric(a, 96),
            &|graph| graph.set_device(a, "", "firmware"),
            &|graph| graph.set_position(a, Position::new(1, 1), Source::Neighbour),
            &|graph| graph.seen(a, Evidence::Hearsay, NOW + HOUR * 2),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let before = graph.revision();
            change(&mut graph);
            assert_ne!(graph.revision(), before, "{number}");
            let before = graph.revision();
            change(&mut graph);
            assert_eq!(graph.revision(), before, "{number} again");
        }
    }

    #[test]
    fn a_node_knows_best_where_it_is() {
        let mut graph = Graph::new(10, 10);
        let a = graph.see("a", Kind::Router, Evidence::Local, NOW).unwrap();
        let (here, there) = (Position::new(1, 1), Position::new(2, 2));
        let mut said = |position, source, expected: Option<Position>| {
            graph.set_position(a, position, source);
            assert_eq!(graph.node(a).unwrap().position(), expected);
        };
        said(there, Source::Neighbour, there);
        said(None, Source::Neighbour, there);
        said(here, Source::Itself, here);
        said(there, Source::Neighbour, here);
        said(None, Source::Itself, None);
        said(there, Source::Neighbour, there);
    }

    #[test]
    fn nobody_takes_the_address_of_another_by_his_own_word() {
        let mut graph = Graph::new(10, 10);
        let [a, b] = ["a", "b"].map(|name| graph.see(name, Kind::Router, Evidence::Answered, NOW).unwrap());
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let mut said = |id, evidence, owner: NodeId| {
            graph.set_address(id, address, evidence);
            assert_eq!(graph.at(address), Some(owner));
            assert_eq!(graph.node(owner).unwrap().main_address(), Some(address));
            let other = if owner == a { b } else { a };
            assert_eq!(graph.node(other).unwrap().main_address(), None);
        };
        said(a, Evidence::Hearsay, a);
        said(b, Evidence::Hearsay, a);
        said(b, Evidence::Answered, b);
        said(a, Evidence::Answered, b);
        said(a, Evidence::Local, a);
        said(b, Evidence::Answered, a);
        said(b, Evidence::Local, b);
        let other = Ipv4Addr::new(172, 31, 0, 1);
        graph.map_address(other, b, Evidence::Answered);
        let revision = graph.revision();
        graph.forget_addresses(b);
        assert_eq!((graph.at(address), graph.at(other)), (Some(b), None));
        assert_ne!(graph.revision(), revision, "what is shown is another map");
        // By its own word it has a main address and another one; this node's firmware knows a third.
        let [main, second, third] = [1, 2, 3].map(|last| Ipv4Addr::new(10, 9, 9, last));
        graph.set_address(a, main, Evidence::Answered);
        graph.map_address(second, a, Evidence::Answered);
        graph.map_address(third, a, Evidence::Local);
        graph.set_address(a, second, Evidence::Hearsay);
        assert_eq!(graph.node(a).unwrap().main_address(), Some(main), "nobody else knows it better");
        graph.forget_addresses(a);
        assert_eq!([main, second, third].map(|address| graph.at(address)), [Some(a), None, Some(a)]);
    }

    #[test]
    fn words_and_addresses_are_bounded() {
        let mut graph = Graph::new(2, 2);
        let a = graph.see("a", Kind::Router, Evidence::Local, NOW).unwrap();
        for n in 0..9_999_u32 {
            graph.set_device(a, &format!("m{n}"), &format!("f{n}"));
            graph.map_address(Ipv4Addr::from(n), a, Evidence::Local);
        }
        let (_, _, addresses, words) = graph.sizes();
        assert_eq!((addresses, words), (2 * ADDRESSES_PER_NODE, limits::MESH_WORDS));
        assert!(graph.model_and_firmware(graph.node(a).unwrap()).0.starts_with('m'));
    }
}
