//! The names that the node already knows: host files of arednlink and OLSR, looked up without asking anybody.
//!
//! Deliberately not here: reading or watching (the shell does it), services, and any doubt about what the files say: the
//! firmware drops a name two and a half hours after its own node last saw it.
//!
//! A file replaces all that it said before. The writer truncates and writes in place, so what is read may be its beginning;
//! the end of the writing is told by another event, and until then:
//!
//! * a last line without an end is not used (see [`crate::wire::hosts`]);
//! * an empty file changes nothing, because its writer removes a file that has become empty.
//!
//! Names are kept without the domain and in lower case, all names of a file in one string. An entry takes 16 bytes and its
//! name, so the largest table, 10 000 names, takes half a megabyte; a mesh of 300 nodes takes 50 KB.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::config;
use crate::engine::{Counter, Engine, Table};
use crate::files::Watched;
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::Instant;
use crate::wire::hosts::Lines;

/// The engine.
#[derive(Debug)]
pub struct Hosts {
    domain: String,
    hosts_dir: PathBuf,
    hosts_olsr: PathBuf,
    watches: VecDeque<(Watched, PathBuf)>,
    files: SortedMap<(Watched, String), File>,
    /// Names and bytes of names in all files.
    names: usize,
    bytes: usize,
    /// Whether it was said that there are too many names.
    complained: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    read: u64,
    malformed: u64,
    too_many: u64,
    stray: u64,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its address.
    pub address: Ipv4Addr,
    /// The mesh address of the node that announced it, if the file says so.
    pub node: Option<Ipv4Addr>,
}

/// What one file says: entries by name, then as they stand in the file.
#[derive(Debug, Default)]
struct File {
    text: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u8,
    address: Ipv4Addr,
    /// Unspecified: not said.
    node: Ipv4Addr,
}

impl Hosts {
    /// Knows nothing until files come.
    pub fn new(config: &config::Names) -> Self {
        let mut hosts = Self {
            domain: String::new(),
            hosts_dir: PathBuf::new(),
            hosts_olsr: PathBuf::new(),
            watches: VecDeque::new(),
            files: SortedMap::new(),
            names: 0,
            bytes: 0,
            complained: false,
            counts: Counts::default(),
        };
        hosts.set_config(config);
        hosts
    }

    /// Takes over a changed configuration. What is to be read anew is asked for by [`Hosts::poll_watch`].
    pub fn set_config(&mut self, config: &config::Names) {
        let domain = config.domain.to_ascii_lowercase();
        let renamed = self.domain != domain;
        self.domain = domain;
        if renamed || self.hosts_dir != config.hosts_dir {
            self.hosts_dir.clone_from(&config.hosts_dir);
            self.watch(Watched::HostsDir, config.hosts_dir.clone());
        }
        if renamed || self.hosts_olsr != config.hosts_olsr {
            self.hosts_olsr.clone_from(&config.hosts_olsr);
            self.watch(Watched::HostsOlsr, config.hosts_olsr.clone());
        }
    }

    /// The whole content of one file; `None`: it is gone.
    pub fn handle_file(&mut self, watched: Watched, name: &str, contents: Option<&[u8]>, _now: Instant) {
        if !matches!(watched, Watched::HostsDir | Watched::HostsOlsr) {
            self.counts.stray += 1;
            return;
        }
        let key = (watched, name.to_owned());
        let contents = match contents {
            Some([]) => return,
            Some(contents) => contents,
            None => return self.remove(&key),
        };
        self.remove(&key);
        if self.files.len() >= limits::HOST_FILES {
            self.counts.too_many += 1;
            return self.complain();
        }
        let room = (limits::HOST_NAMES.saturating_sub(self.names), limits::HOST_NAME_BYTES.saturating_sub(self.bytes));
        let mut lines = Lines::new(name, contents);
        let (file, left_out) = File::read(&mut lines, &self.domain, room);
        self.counts.read += 1;
        self.counts.malformed += u64::try_from(lines.malformed()).unwrap_or(u64::MAX);
        self.names = self.names.saturating_add(file.entries.len());
        self.bytes = self.bytes.saturating_add(file.text.len());
        log::trace!("hosts: {name}: {} names", file.entries.len());
        self.files.insert(key, file);
        if left_out > 0 {
            self.counts.too_many += u64::try_from(left_out).unwrap_or(u64::MAX);
            self.complain();
        }
    }

    /// Every address of a name, each once; case does not matter, nor whether the domain is said.
    pub fn lookup(&self, name: &str) -> Vec<Ipv4Addr> {
        self.hosts(name).into_iter().map(|host| host.address).collect()
    }

    /// The same with the nodes that announced them.
    pub fn hosts(&self, name: &str) -> Vec<Host> {
        let name = bare(name, &self.domain);
        if name.contains('*') {
            return Vec::new();
        }
        let mut found = self.exactly(&name);
        let mut rest = name.as_str();
        // What is said of a name itself goes before what is said of all names below another. Every step looks into every file.
        for _ in 0..limits::HOST_LEVELS {
            let (true, Some((_, parent))) = (found.is_empty(), rest.split_once('.')) else { break };
            found = self.exactly(&format!("*.{parent}"));
            rest = parent;
        }
        found
    }

    /// The shortest name of an address: those of a node's interfaces have the node's behind them.
    pub fn name_of(&self, address: Ipv4Addr) -> Option<&str> {
        let of = |file| File::names_of(file, address);
        self.files.values().flat_map(of).filter(|name| !name.contains('*')).min_by_key(|name| name.len())
    }

    /// Files that are to be watched.
    pub fn poll_watch(&mut self) -> Option<(Watched, PathBuf)> {
        self.watches.pop_front()
    }

    fn exactly(&self, name: &str) -> Vec<Host> {
        let mut found: Vec<Host> = Vec::new();
        for host in self.files.values().flat_map(|file| file.find(name)) {
            if !found.iter().any(|known| known.address == host.address) {
                found.push(host);
            }
        }
        found
    }

    fn watch(&mut self, watched: Watched, path: PathBuf) {
        let old: Vec<_> = self.files.keys().filter(|(of, _)| *of == watched).cloned().collect();
        for key in old {
            self.remove(&key);
        }
        self.watches.retain(|(of, _)| *of != watched);
        self.watches.push_back((watched, path));
    }

    fn remove(&mut self, key: &(Watched, String)) {
        if let Some(file) = self.files.remove(key) {
            self.names = self.names.saturating_sub(file.entries.len());
            self.bytes = self.bytes.saturating_sub(file.text.len());
        }
    }

    fn complain(&mut self) {
        if !self.complained {
            log::warn!("hosts: more than {} names are announced; calls to the rest need DNS", limits::HOST_NAMES);
            self.complained = true;
        }
    }
}

/// The name in lower case without the domain and without a final dot.
fn bare(name: &str, domain: &str) -> String {
    let mut name = name.to_ascii_lowercase();
    if name.ends_with('.') {
        name.pop();
    }
    if let Some(host) = name.strip_suffix(domain).and_then(|host| host.strip_suffix('.')) {
        name.truncate(host.len());
    }
    name
}

impl File {
    /// Reads as many names, and bytes of names, as there is room for; says how many it left out.
    fn read(lines: &mut Lines<'_>, domain: &str, room: (usize, usize)) -> (Self, usize) {
        let mut file = Self::default();
        let mut left_out: usize = 0;
        for line in lines {
            let name = bare(line.name, domain);
            let (Ok(start), Ok(length)) = (u32::try_from(file.text.len()), u8::try_from(name.len())) else { continue };
            // `*.<domain>` would be the address of every phone on the mesh.
            if name.is_empty() || name == "*" {
                continue;
            }
            if file.entries.len() >= room.0 || file.text.len().saturating_add(name.len()) > room.1 {
                // Counting the rest of four megabytes would take a router seconds at every change.
                left_out = left_out.saturating_add(1);
                if left_out >= limits::HOST_LEFT_OUT {
                    break;
                }
                continue;
            }
            let node = line.node.unwrap_or(Ipv4Addr::UNSPECIFIED);
            file.text.push_str(&name);
            file.entries.push(Entry { start, length, address: line.address, node });
        }
        let Self { text, mut entries } = file;
        entries.sort_by_key(|entry| entry.name(&text));
        (Self { text: text.into_boxed_str().into_string(), entries: entries.into_boxed_slice().into_vec() }, left_out)
    }

    fn names_of(&self, address: Ipv4Addr) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.address == address).map(|entry| entry.name(&self.text))
    }

    fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Host> + 'a {
        let first = self.entries.partition_point(|entry| entry.name(&self.text) < name);
        let same = self.entries.iter().skip(first).take_while(move |entry| entry.name(&self.text) == name);
        same.map(|entry| Host { address: entry.address, node: Some(entry.node).filter(|node| !node.is_unspecified()) })
    }
}

impl Entry {
    fn name<'a>(&self, text: &'a str) -> &'a str {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        text.get(start..start.saturating_add(usize::from(self.length))).unwrap_or_default()
    }
}

impl Engine for Hosts {
    fn handle_timeout(&mut self, _now: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            Table { name: "host_files", used: self.files.len(), limit: limits::HOST_FILES },
            Table { name: "host_names", used: self.names, limit: limits::HOST_NAMES },
            Table { name: "host_name_bytes", used: self.bytes, limit: limits::HOST_NAME_BYTES },
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts { read, malformed, too_many, stray } = self.counts;
        [("files_read", read), ("lines_malformed", malformed), ("names_left_out", too_many), ("stray_files", stray)]
            .map(|(name, count)| Counter { name, count })
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(0);

    fn hosts(files: &[(&str, &str)]) -> Hosts {
        let mut hosts = Hosts::new(&config::Names::default());
        for (name, contents) in files {
            let watched = if *name == "hosts_olsr" { Watched::HostsOlsr } else { Watched::HostsDir };
            hosts.handle_file(watched, name, Some(contents.as_bytes()), NOW);
        }
        hosts
    }

    fn found(hosts: &Hosts, name: &str) -> Vec<String> {
        hosts.lookup(name).iter().map(Ipv4Addr::to_string).collect()
    }

    #[test]
    fn the_files_of_each_firmware_say_the_same() {
        let sharded = hosts(&[
            ("3", include_str!("../../tests/data/hosts/arednlink-4.26.7/3")),
            ("4", include_str!("../../tests/data/hosts/arednlink-4.26.7/4")),
        ]);
        let single = hosts(&[
            ("10.36.200.4", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.36.200.4")),
            ("10.51.55.233", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.51.55.233")),
            ("10.67.12.9", include_str!("../../tests/data/hosts/arednlink-4.26.1/10.67.12.9")),
        ]);
        for hosts in [&sharded, &single] {
            for (name, address, node) in [
                ("441530", "10.33.14.154", "10.51.55.233"),
                ("441531.local.mesh", "10.98.96.74", "10.67.12.9"),
                ("196630.LOCAL.mesh.", "10.129.6.34", "10.36.200.4"),
                ("hb9bla-HAP-2", "10.67.12.9", "10.67.12.9"),
                ("lan.HB9HFM-QTH.local.mesh", "10.129.6.33", "10.36.200.4"),
            ] {
                let expected = Host { address: address.parse().unwrap(), node: Some(node.parse().unwrap()) };
                assert_eq!(hosts.hosts(name), [expected], "{name}");
            }
            assert_eq!(hosts.tables()[1].used, 14);
            for name in ["44153", "4415300", "441530.local", "441530.local.mesh.x", "x.441530", "", ".", "local.mesh"] {
                assert_eq!(hosts.lookup(name), [] as [Ipv4Addr; 0], "{name}");
            }
        }
        let olsr = hosts(&[("hosts_olsr", include_str!("../../tests/data/hosts/olsr/hosts_olsr"))]);
        assert_eq!(found(&olsr, "441531.local.mesh"), ["10.98.96.74"]);
        assert_eq!(found(&olsr, "mid1.HB9BLA-hap-2"), ["10.167.12.9"]);
        assert_eq!(olsr.lookup("localhost"), [] as [Ipv4Addr; 0]);
    }

    #[test]
    fn a_number_that_is_announced_twice_has_both_addresses_once() {
        let hosts = hosts(&[
            ("1", "##10.0.0.1##\n10.1.0.1\t441530\n10.1.0.1\t441530\n\n##10.0.0.2##\n10.2.0.1\t441530\n"),
            ("2", "10.3.0.1\t441530\n10.1.0.1\t441530.local.mesh\n"),
        ]);
        assert_eq!(found(&hosts, "441530"), ["10.1.0.1", "10.2.0.1", "10.3.0.1"]);
    }

    #[test]
    fn wildcards_stand_for_what_nobody_says_himself() {
        let hosts =
            hosts(&[("1", "10.0.0.1\t*.x.local.mesh\n10.0.0.2\ta.x\n10.0.0.3\t*.b.x\n10.0.0.4\t*.local.mesh\n")]);
        for (name, expected) in [
            ("a.x.local.mesh", Some("10.0.0.2")),
            ("c.x", Some("10.0.0.1")),
            ("d.c.x", Some("10.0.0.1")),
            ("c.b.x", Some("10.0.0.3")),
            ("x", None),
            ("441530", None),
            ("441530.local.mesh", None),
            ("*.x", None),
            ("*", None),
        ] {
            assert_eq!(found(&hosts, name), expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn an_address_is_called_by_its_shortest_name() {
        let hosts = hosts(&[("1", "10.0.0.1\tlan.node\n10.0.0.1\t*.n\n10.0.0.1\tnode\n10.0.0.2\tx\n")]);
        assert_eq!(hosts.name_of(Ipv4Addr::new(10, 0, 0, 1)), Some("node"));
        assert_eq!(hosts.name_of(Ipv4Addr::new(10, 0, 0, 3)), None);
    }

    #[test]
    fn wildcards_are_looked_for_a_few_levels_up_only() {
        let hosts = hosts(&[("3", "10.0.0.1\t*.node\n")]);
        assert_eq!(found(&hosts, "a.b.c.d.node"), ["10.0.0.1"]);
        assert_eq!(found(&hosts, "a.b.c.d.e.node"), [""; 0], "every level costs a look into every file");
    }

    #[test]
    fn a_file_replaces_what_it_said_and_an_empty_one_is_still_being_written() {
        let mut hosts = hosts(&[("1", "10.0.0.1\ta\n10.0.0.2\tb\n"), ("2", "10.0.0.3\tc\n")]);
        hosts.handle_file(Watched::HostsDir, "1", Some(b""), NOW);
        assert_eq!(found(&hosts, "a"), ["10.0.0.1"]);
        hosts.handle_file(Watched::HostsDir, "1", Some(b"10.0.0.9\tb\n10.0.0.1\ta"), NOW);
        assert_eq!((found(&hosts, "a"), found(&hosts, "b")), (vec![], vec!["10.0.0.9".to_owned()]));
        hosts.handle_file(Watched::HostsDir, "1", None, NOW);
        hosts.handle_file(Watched::HostsDir, "unknown", None, NOW);
        assert_eq!((found(&hosts, "b"), found(&hosts, "c")), (vec![], vec!["10.0.0.3".to_owned()]));
        hosts.handle_file(Watched::HostsDir, "2", None, NOW);
        assert!(hosts.tables().iter().all(|table| table.used == 0));
        hosts.handle_file(Watched::ResolvConf, "x", Some(b"10.0.0.1\ta\n"), NOW);
        assert_eq!((found(&hosts, "a"), hosts.counters()[3].count), (vec![], 1));
    }

    #[test]
    fn other_paths_are_other_files() {
        let mut config = config::Names::default();
        let mut hosts = Hosts::new(&config);
        let watched = [(Watched::HostsDir, config.hosts_dir.clone()), (Watched::HostsOlsr, config.hosts_olsr.clone())];
        assert_eq!([hosts.poll_watch().unwrap(), hosts.poll_watch().unwrap()], watched);
        hosts.handle_file(Watched::HostsDir, "1", Some(b"10.0.0.1\ta.local.mesh\n"), NOW);
        hosts.handle_file(Watched::HostsOlsr, "hosts_olsr", Some(b"10.0.0.2\ta\n"), NOW);
        hosts.set_config(&config);
        assert_eq!((hosts.poll_watch(), found(&hosts, "a").len()), (None, 2));
        config.hosts_dir = "/elsewhere".into();
        hosts.set_config(&config);
        assert_eq!(hosts.poll_watch(), Some((Watched::HostsDir, "/elsewhere".into())));
        assert_eq!((hosts.poll_watch(), found(&hosts, "a")), (None, vec!["10.0.0.2".to_owned()]));
        config.domain = "other.mesh".into();
        hosts.set_config(&config);
        assert!(hosts.poll_watch().is_some() && hosts.poll_watch().is_some() && found(&hosts, "a").is_empty());
    }

    #[test]
    fn names_are_bounded_in_number_and_in_bytes() {
        let many: String = (0..6_000).map(|n| format!("10.0.0.1\tn{n}\n")).collect();
        let mut hosts = hosts(&[("1", &many), ("2", &many)]);
        assert_eq!((hosts.tables()[1].used, hosts.counters()[2].count), (limits::HOST_NAMES, 2_000));
        hosts.handle_file(Watched::HostsDir, "1", None, NOW);
        hosts.handle_file(Watched::HostsDir, "2", Some(many.as_bytes()), NOW);
        assert_eq!(hosts.tables()[1].used, 6_000, "room that became free is used");
        let label = "x".repeat(60);
        let long: String = (0..2_000).map(|n| format!("10.0.0.1\tn{n}.{label}.{label}.{label}\n")).collect();
        hosts.handle_file(Watched::HostsDir, "3", Some(long.as_bytes()), NOW);
        for file in 0..limits::HOST_FILES + 9 {
            hosts.handle_file(Watched::HostsDir, &format!("f{file}"), Some(b"10.0.0.1\ta\n"), NOW);
        }
        assert!(hosts.tables().iter().all(|table| table.used <= table.limit), "{:?}", hosts.tables());
        assert_eq!(hosts.tables()[0].used, limits::HOST_FILES);
    }
}
