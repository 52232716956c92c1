//! What the files of this node's own firmware say about the mesh: nodes, their other addresses, and phones. It costs nobody
//! anything: arednlink and OLSR flood it to every node anyway.
//!
//! Deliberately not here: reading and watching; looking names up (`hosts/` does that for everybody).
//!
//! As with host files, a file replaces all that it said before, and an empty one is still being written.

use std::net::Ipv4Addr;

use super::graph::{Evidence, Graph, Kind, LinkKey, NodeId, Via};
use super::name;
use crate::files::Watched;
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::hosts::Lines;
use crate::wire::services::{Phones, is_number};

/// A phone, as one line of one file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its number.
    pub number: Box<str>,
    /// The host that carries it, as its node calls it.
    pub host: Box<str>,
    /// Its address, if the line says it.
    pub address: Option<Ipv4Addr>,
    /// The mesh address of the node that says it; `None`: this node.
    pub node: Option<Ipv4Addr>,
}

/// The engine's memory of all files.
#[derive(Debug, Default)]
pub struct Local {
    domain: String,
    files: SortedMap<(Watched, String), File>,
    entries: usize,
    /// Files and entries for which there was no room.
    pub left_out: u64,
}

/// What one file says.
#[derive(Debug, Default)]
struct File {
    /// Nodes with their main addresses.
    nodes: Vec<(Ipv4Addr, Box<str>)>,
    /// Other addresses of nodes.
    aliases: Vec<(Ipv4Addr, Box<str>)>,
    /// Nodes that join this mesh to others.
    supernodes: Vec<Box<str>>,
    phones: Vec<Sighting>,
}

impl File {
    fn len(&self) -> usize {
        self.nodes.len() + self.aliases.len() + self.supernodes.len() + self.phones.len()
    }
}

impl Local {
    /// Knows nothing until files come.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.to_ascii_lowercase(), ..Self::default() }
    }

    /// Files and entries that are remembered.
    pub fn sizes(&self) -> (usize, usize) {
        (self.files.len(), self.entries)
    }

    /// Forgets the files of one kind, because others will come.
    pub fn forget(&mut self, watched: Watched) {
        self.files.retain(|(of, _), _| *of != watched);
        self.entries = self.files.values().map(File::len).sum();
    }

    /// The whole content of one file; `None`: it is gone.
    pub fn handle_file(&mut self, watched: Watched, name: &str, contents: Option<&[u8]>) {
        let key = (watched, name.to_owned());
        if contents == Some(&[]) {
            return;
        }
        if let Some(old) = self.files.remove(&key) {
            self.entries = self.entries.saturating_sub(old.len());
        }
        let Some(contents) = contents else { return };
        if self.files.len() >= limits::MESH_FILES {
            self.left_out += 1;
            return;
        }
        let file = match watched {
            Watched::HostsDir | Watched::HostsOlsr => self.hosts(name, contents),
            _ => self.services(name, contents),
        };
        self.entries = self.entries.saturating_add(file.len());
        self.files.insert(key, file);
    }

    fn hosts(&mut self, file: &str, contents: &[u8]) -> File {
        let mut read = File::default();
        for line in Lines::new(file, contents) {
            if self.entries.saturating_add(read.len()) >= limits::HOST_NAMES {
                self.left_out += 1;
                continue;
            }
            let Some((prefix, name)) = name::split(line.name, &self.domain) else { continue };
            if prefix == "supernode" {
                read.supernodes.push(name.into());
            } else if !prefix.is_empty() {
                read.aliases.push((line.address, name.into()));
            } else if line.node == Some(line.address) && !name.contains('.') && !is_number(&name) {
                // Tactical names stand before the name of the node itself.
                read.nodes.retain(|(address, _)| *address != line.address);
                read.nodes.push((line.address, name.into()));
            } else if is_number(&name) {
                let (number, host) = (name.clone().into(), name.into());
                read.phones.push(Sighting { number, host, address: Some(line.address), node: line.node });
            }
        }
        read
    }

    fn services(&mut self, file: &str, contents: &[u8]) -> File {
        let mut read = File::default();
        for phone in Phones::new(file, contents) {
            if self.entries.saturating_add(read.len()) >= limits::HOST_NAMES {
                self.left_out += 1;
                continue;
            }
            let Some(host) = name::canonical(phone.host, &self.domain) else { continue };
            let (number, host) = (phone.number.into(), host.into());
            read.phones.push(Sighting { number, host, address: None, node: phone.node });
        }
        read
    }

    /// Every phone, as often as it is said.
    pub fn phones(&self) -> impl Iterator<Item = &Sighting> {
        self.files.values().flat_map(|file| &file.phones)
    }

    /// Everything that is said is there now. Answers how often there was no room in the graph.
    pub fn apply(&self, graph: &mut Graph, own: Option<NodeId>, now: Instant) -> u64 {
        let mut full = 0;
        for (address, name) in self.files.values().flat_map(|file| &file.nodes) {
            match graph.see(name, Kind::Router, Evidence::Local, now) {
                Ok(id) => graph.set_address(id, *address, Evidence::Local),
                Err(_) => full += 1,
            }
        }
        for (address, name) in self.files.values().flat_map(|file| &file.aliases) {
            if let Some(id) = graph.find(name) {
                graph.map_address(*address, id, Evidence::Local);
            }
        }
        for id in self
            .files
            .values()
            .flat_map(|file| &file.supernodes)
            .filter_map(|name| graph.find(name))
            .collect::<Vec<_>>()
        {
            graph.set_supernode(id, true);
        }
        for phone in self.phones() {
            let router = match phone.node {
                Some(node) => graph.at(node),
                None => own,
            };
            let Ok(id) = graph.see(&phone.number, Kind::Phone, Evidence::Local, now) else {
                full += 1;
                continue;
            };
            // A number may be one more name of the router itself.
            let router_at =
                |address| graph.at(address).and_then(|id| graph.node(id)).is_some_and(|n| n.kind == Kind::Router);
            if let Some(address) = phone.address.filter(|address| !router_at(*address)) {
                graph.set_address(id, address, Evidence::Local);
            }
            if let Some(from) = router {
                full += u64::from(graph.link(LinkKey { from, to: id, via: Via::Lan }, None, None, now).is_err());
            }
        }
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Watched::{HostsDir, HostsOlsr, ServicesDir, ServicesOlsr};

    const NOW: Instant = Instant::from_micros(0);

    fn map(files: &[(Watched, &str, &str)], own: &str) -> Vec<String> {
        let mut local = Local::new("local.mesh");
        for (watched, name, contents) in files {
            local.handle_file(*watched, name, Some(contents.as_bytes()));
        }
        let mut graph = Graph::new(100, 100);
        let own = graph.see(own, Kind::Router, Evidence::Local, NOW).ok();
        assert_eq!(local.apply(&mut graph, own, NOW), 0);
        let name = |id| graph.node(id).unwrap().name();
        let node = |(_, node): (_, &super::super::graph::Node)| {
            let supernode = if node.supernode { " supernode" } else { "" };
            format!("{} {}{supernode}", node.name(), node.address)
        };
        let nodes = graph.nodes().map(node);
        let links = graph.links().map(|(key, _)| format!("{}>{}", name(key.from), name(key.to)));
        let mut aliases: Vec<String> = graph
            .addresses()
            .filter(|(address, id)| graph.node(*id).unwrap().address != *address)
            .map(|(address, id)| format!("{address}={}", name(id)))
            .collect();
        aliases.sort();
        nodes.chain(links).chain(aliases).collect()
    }

    #[test]
    fn the_files_of_each_firmware_make_the_same_map() {
        let expected = [
            "196630 10.129.6.34",
            "441530 10.33.14.154",
            "441531 10.98.96.74",
            "hb9bla-hap-2 10.67.12.9",
            "hb9bla-vm-1 10.51.55.233",
            "hb9hfm-qth 10.36.200.4",
            "hb9bla-vm-1>441530",
            "hb9hfm-qth>196630",
            "hb9bla-hap-2>441531",
            "10.129.6.33=hb9hfm-qth",
            "10.136.200.4=hb9hfm-qth",
            "10.151.55.233=hb9bla-vm-1",
            "10.167.12.9=hb9bla-hap-2",
            "10.33.14.153=hb9bla-vm-1",
            "10.98.96.73=hb9bla-hap-2",
        ];
        let sharded = [
            (HostsDir, "3", include_str!("../../tests/data/hosts/arednlink-4.26.7/3")),
            (HostsDir, "4", include_str!("../../tests/data/hosts/arednlink-4.26.7/4")),
            (ServicesDir, "3", "##10.51.55.233##\nhttp://441530:0/|tcp|x441530 [phone]\n\n"),
            (ServicesDir, "4", "##10.36.200.4##\nhttp://HB9HFM-Yealink:0/|tcp|x196630 [phone]\n\n"),
        ];
        let mut found = map(&sharded, "hb9bla-vm-1");
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        found.sort();
        assert_eq!(found, sorted(expected.map(str::to_owned).to_vec()));
        let single = [
            (HostsDir, "10.36.200.4", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.36.200.4")),
            (HostsDir, "10.51.55.233", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.51.55.233")),
            (HostsDir, "10.67.12.9", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.67.12.9")),
            (ServicesDir, "10.51.55.233", "http://441530:0/|tcp|x441530 [phone]\n"),
            (ServicesDir, "10.36.200.4", "http://HB9HFM-Yealink:0/|tcp|x196630 [phone]\n"),
        ];
        assert_eq!(sorted(map(&single, "hb9bla-vm-1")), found);
    }

    #[test]
    fn olsr_says_myself_where_others_say_an_address() {
        let files = [
            (HostsOlsr, "hosts_olsr", include_str!("../../tests/data/hosts/olsr/hosts_olsr")),
            (ServicesOlsr, "services_olsr", "http://441532:0/|tcp|441532 HB9AAA [phone]\t\t#10.67.12.9\n"),
        ];
        let expected = [
            "441530 10.33.14.154",
            "441531 10.98.96.74",
            "441532 0.0.0.0",
            "hb9bla-hap-2 10.67.12.9",
            "hb9bla-vm-1 0.0.0.0",
            "hb9bla-vm-1>441530",
            "hb9bla-hap-2>441531",
            "hb9bla-hap-2>441532",
            "10.167.12.9=hb9bla-hap-2",
        ];
        let mut found = map(&files, "hb9bla-vm-1");
        found.sort();
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn tactical_names_devices_and_supernodes() {
        let hosts = "##10.0.0.1##\n10.0.0.1\tTACTICAL\n10.0.0.1\tsupernode.HB9SSS-1.local.mesh\n10.0.0.1\tHB9SSS-1\n\
                     10.1.0.1\tcamera\n10.1.0.2\tpbx.local.mesh\n10.1.0.3\t*.x.local.mesh\n10.0.0.1\t4415\n\n";
        let expected = ["4415 0.0.0.0", "hb9sss-1 10.0.0.1 supernode", "me 0.0.0.0", "hb9sss-1>4415"];
        assert_eq!(map(&[(HostsDir, "1", hosts)], "me"), expected);
    }

    #[test]
    fn a_file_replaces_what_it_said_and_the_table_is_bounded() {
        let mut local = Local::new("local.mesh");
        local.handle_file(HostsDir, "1", Some(b"##10.0.0.1##\n10.0.0.1\ta\n10.1.0.1\t441530\n"));
        local.handle_file(HostsDir, "1", Some(b""));
        assert_eq!(local.sizes(), (1, 2));
        local.handle_file(HostsDir, "1", Some(b"##10.0.0.1##\n10.0.0.1\ta\n"));
        assert_eq!(local.sizes(), (1, 1));
        local.handle_file(HostsDir, "1", None);
        assert_eq!(local.sizes(), (0, 0));
        let many: String = (0..60_000).map(|n| format!("10.0.0.1\t{}\n", 100_000 + n)).collect();
        local.handle_file(HostsDir, "1", Some(many.as_bytes()));
        for file in 0..9_999 {
            local.handle_file(ServicesDir, &file.to_string(), Some(b"http://44:0/|tcp|44 [phone]\n"));
        }
        assert_eq!(local.sizes(), (limits::MESH_FILES, limits::HOST_NAMES));
        assert!(local.left_out > 50_000);
        local.forget(HostsDir);
        assert_eq!(local.sizes().1, 0);
    }
}
