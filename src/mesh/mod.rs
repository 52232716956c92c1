//! The map of the mesh: routers, phones, links and how good they are, and what is wrong with it.
//!
//! First what this node knows for nothing: the host and services files that every node has, what its firmware measures of its
//! neighbours, babel's routes. Then, only if the configuration says so, one question to each router ([`crawl`]).
//!
//! Deliberately not here: connections, files and sockets (asked for by [`Request`] and [`Mesh::poll_watch`]), tests of phones,
//! and pages. A name that comes from the network is data: it is compared, weighed, and escaped by whoever writes it.
//!
//! ```text
//!   files, babel ──▶ local, own, babel ─┐                       ┌─▶ topology ──▶ file
//!   answers      ──▶ crawl ──▶ learn ───┼──▶ graph (bounded) ───┼─▶ findings ──▶ file, API
//!   paths        ──────────────────────┘                        └─▶ position
//! ```

pub mod babel;
pub mod book;
pub mod crawl;
pub mod findings;
pub mod graph;
pub mod learn;
pub mod local;
pub mod name;
pub mod own;
pub mod position;
pub mod topology;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::Hasher;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::config::{self, Config};
use crate::engine::{Counter, Engine, Table};
use crate::files::{self, FileError, Step, Watched, Writer};
use crate::limits;
use crate::rng::{Rng, Seed};
use crate::sorted::{SortedMap, SortedSet};
use crate::time::{Clock, Instant, sooner};
use crate::wire::http::{Download, FetchError, Fetched};
use crate::wire::lqm::Lqm;
use crate::wire::sysinfo::Sysinfo;
use babel::Babel;
use book::Book;
use crawl::{Crawl, Progress};
use findings::{Finding, Knowledge};
use graph::{Evidence, Graph, Kind, KnownUrl, LinkKey, NodeId, Source, Via};
use learn::{Outcome, Rules};
use local::Local;
use own::Own;

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Ask a router: a name below the domain, a fixed path. Answered by [`Mesh::handle_fetched`] or [`Mesh::handle_busy`].
    Fetch {
        /// To be said again with the answer.
        token: u32,
        /// The question.
        download: Download,
    },
    /// Dial babeld's socket; answered by [`Mesh::handle_connected`] or [`Mesh::handle_closed`].
    Dial(PathBuf),
    /// Close that stream.
    Hangup,
    /// Write a file; answered by [`Mesh::handle_written`].
    Write {
        /// Which of them.
        writer: Writer,
        /// What is to be done.
        steps: Vec<Step>,
    },
}

/// A hop of a traced path that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Who answered.
    pub address: Ipv4Addr,
    /// There and back, from this node, in microseconds.
    pub rtt_us: u32,
}

/// A phone that is known to be on the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneSeen<'a> {
    /// Its number.
    pub number: &'a str,
    /// The host that carries it.
    pub host: &'a str,
    /// Its address, if a host file says it.
    pub address: Option<Ipv4Addr>,
    /// The router behind which it is.
    pub router: Option<&'a str>,
}

/// A file that is written when its content changed.
#[derive(Debug)]
struct Output {
    /// Of the content that stands in the file.
    digest: Option<u64>,
    /// The revision that was looked at last.
    revision: Option<u64>,
    /// Not before this.
    earliest: Instant,
}

impl Output {
    const fn new(now: Instant) -> Self {
        Self { digest: None, revision: None, earliest: now }
    }

    /// Whether this content is not in the file yet; from now on it is taken to be.
    fn is_news(&mut self, content: &[u8]) -> bool {
        let mut hasher = SipHasher13::new();
        hasher.write(content);
        self.digest.replace(hasher.finish()) != self.digest
    }
}

#[derive(Debug, Default)]
struct Counts {
    lqm_files: u64,
    lqm_bad: u64,
    babel: u64,
    babel_failed: u64,
    answers: u64,
    answers_bad: u64,
    answers_foreign: u64,
    unanswered: u64,
    beyond: u64,
    full: u64,
    stray: u64,
}

/// The engine.
#[derive(Debug)]
pub struct Mesh {
    config: config::Mesh,
    names: config::Names,
    clock: Clock,
    /// The node's own name, in one word as [`name::canonical`] has it.
    own_name: String,
    addresses: Vec<Ipv4Addr>,
    graph: Graph,
    local: Local,
    own: Own,
    book: Book,
    babel: Babel,
    crawl: Crawl,
    watches: VecDeque<(Watched, PathBuf)>,
    requests: VecDeque<Request>,
    /// The next look at everything that is known without asking; `None`: the map is off.
    look_at: Option<Instant>,
    topology: Output,
    findings_file: Output,
    found: (Vec<Finding>, usize),
    complained: bool,
    counts: Counts,
}

impl Mesh {
    /// Knows nothing until files come.
    pub fn new(config: &Config, seed: &Seed, now: Instant) -> Self {
        let mesh = &config.mesh;
        let mut engine = Self {
            config: mesh.clone(),
            names: config.names.clone(),
            clock: Clock::default(),
            own_name: String::new(),
            addresses: Vec::new(),
            graph: Graph::new(mesh.node_limit, mesh.link_limit),
            local: Local::new(&config.names.domain),
            own: Own::default(),
            book: Book::default(),
            babel: Babel::default(),
            crawl: Crawl::new(mesh, Rng::new(seed, "mesh"), now),
            watches: VecDeque::new(),
            requests: VecDeque::new(),
            look_at: None,
            // The first map is to hold what the files and babeld say.
            topology: Output::new(now + limits::MESH_FIRST_WRITE),
            findings_file: Output::new(now),
            found: (Vec::new(), 0),
            complained: false,
            counts: Counts::default(),
        };
        engine.book.set_prefix(&config.sip.country_prefix);
        if mesh.enabled {
            engine.switch_on(now);
            // The host files are watched anyway, and given to everybody who reads them.
            engine.watches.retain(|(watched, _)| !matches!(watched, Watched::HostsDir | Watched::HostsOlsr));
        }
        engine
    }

    /// Takes over a changed configuration. Whatever decides what is on the map makes it begin anew.
    pub fn handle_config(&mut self, config: &Config, now: Instant) {
        self.book.set_prefix(&config.sip.country_prefix);
        let (old, old_names) = (
            std::mem::replace(&mut self.config, config.mesh.clone()),
            std::mem::replace(&mut self.names, config.names.clone()),
        );
        let new = &self.config;
        let anew = |of: &config::Mesh| config::Mesh {
            // What does not decide what is on the map.
            topology_file: PathBuf::new(),
            topology_link: PathBuf::new(),
            findings_file: PathBuf::new(),
            inactive_timeout: Duration::ZERO,
            delete_timeout: Duration::ZERO,
            unseen_after: Duration::ZERO,
            crawl: false,
            crawl_interval: Duration::ZERO,
            crawl_timeout: Duration::ZERO,
            crawl_in_flight: 0,
            crawl_rate: 0,
            crawl_max_size: 0,
            ..of.clone()
        };
        if anew(&old) != anew(new) || old_names != self.names {
            self.graph = Graph::new(new.node_limit, new.link_limit);
            self.local = Local::new(&self.names.domain);
            self.own = Own::default();
            self.found = (Vec::new(), 0);
            self.watches.clear();
            self.look_at = None;
            // Nobody in a queue is known any more.
            let off = config::Mesh { enabled: false, ..self.config.clone() };
            self.crawl.handle_config(&off, now);
            if self.config.enabled {
                self.switch_on(now);
            }
            let addresses = std::mem::take(&mut self.addresses);
            let name = std::mem::take(&mut self.own_name);
            self.set_identity(&name, &addresses, now);
        }
        self.crawl.handle_config(&self.config, now);
        self.topology = Output::new(now);
        self.findings_file = Output::new(now);
    }

    fn switch_on(&mut self, now: Instant) {
        let (mesh, names) = (&self.config, &self.names);
        for (watched, path) in [
            (Watched::HostsDir, &names.hosts_dir),
            (Watched::HostsOlsr, &names.hosts_olsr),
            (Watched::ServicesDir, &mesh.services_dir),
            (Watched::ServicesOlsr, &mesh.services_olsr),
            (Watched::Lqm, &mesh.lqm_file),
            (Watched::ArednConfig, &mesh.aredn_config),
            (Watched::NodeSetup, &names.node_config),
            (Watched::DhcpConfig, &mesh.dhcp_config),
            (Watched::LanHosts, &mesh.lan_hosts),
            (Watched::DhcpLeases, &mesh.dhcp_leases),
            (Watched::FirewallRule, &mesh.firewall_file),
        ] {
            self.watches.push_back((watched, path.clone()));
        }
        self.look_at = Some(now + limits::MESH_SETTLE);
    }

    /// The node's own name and addresses, the mesh address first.
    pub fn set_identity(&mut self, name: &str, addresses: &[Ipv4Addr], now: Instant) {
        self.own_name = name::canonical(name, &self.names.domain).unwrap_or_default();
        self.addresses = addresses.to_vec();
        self.see_own(now);
    }

    fn own_id(&self) -> Option<NodeId> {
        self.graph.find(&self.own_name)
    }

    /// This node is there, and where it says.
    fn see_own(&mut self, now: Instant) {
        if self.own_name.is_empty() || !self.config.enabled {
            return;
        }
        let Ok(id) = self.graph.see(&self.own_name, Kind::Router, Evidence::Local, now) else { return };
        let mut meshed = self.addresses.iter().filter(|address| learn::is_of_the_mesh(**address));
        if let Some(main) =
            meshed.next().filter(|_| self.graph.node(id).is_some_and(|node| node.main_address().is_none()))
        {
            self.graph.set_address(id, *main, Evidence::Local);
        }
        for address in meshed {
            self.graph.map_address(*address, id, Evidence::Local);
        }
        self.graph.set_position(id, self.own.position, Source::Itself);
        if let Some(supernode) = self.own.supernode {
            self.graph.set_supernode(id, supernode);
        }
    }

    /// The date is known.
    pub fn handle_clock(&mut self, clock: Clock) {
        // What is written holds dates.
        self.topology.revision = self.topology.revision.filter(|_| self.clock == clock);
        self.clock = clock;
    }

    /// The whole content of a watched file; `None`: it is gone.
    pub fn handle_file(&mut self, watched: Watched, name: &str, contents: Option<&[u8]>, now: Instant) {
        if watched == Watched::ResolvConf {
            self.counts.stray += 1;
            return;
        }
        if !self.config.enabled {
            return;
        }
        match watched {
            Watched::HostsDir | Watched::HostsOlsr | Watched::ServicesDir | Watched::ServicesOlsr => {
                self.local.handle_file(watched, name, contents);
            }
            Watched::Lqm => return self.handle_lqm(contents, now),
            _ => self.own.handle_file(watched, contents),
        }
        let soon = now + limits::MESH_SETTLE;
        self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
    }

    fn handle_lqm(&mut self, contents: Option<&[u8]>, now: Instant) {
        // It is truncated and written in place.
        let Some(contents) = contents.filter(|contents| !contents.is_empty()) else { return };
        self.counts.lqm_files += 1;
        let Ok(lqm) = Lqm::parse(contents) else {
            self.counts.lqm_bad += 1;
            return;
        };
        self.see_own(now);
        if let Some(own) = self.own_id() {
            // Here the border is shown: these are this node's own links.
            let rules = Rules { domain: &self.names.domain, boundary: &[] };
            let outcome = learn::neighbours(&mut self.graph, own, &lqm, false, rules, now);
            self.count(outcome);
        }
        self.step(now);
    }

    fn count(&mut self, outcome: Outcome) {
        self.counts.beyond += outcome.beyond;
        self.counts.full += outcome.full;
        if outcome.full > 0 && !self.complained {
            self.complained = true;
            let (nodes, links, _) = self.graph.bounds();
            log::warn!(
                "mesh: more than {nodes} nodes or {links} links; the rest is not on the map (mesh.node_limit, mesh.link_limit)"
            );
        }
    }

    /// Babeld's socket is open.
    pub fn handle_connected(&mut self, _now: Instant) {
        if !self.babel.connected() {
            self.counts.stray += 1;
        }
    }

    /// Babeld says something.
    pub fn handle_received(&mut self, bytes: &[u8], now: Instant) {
        if self.babel.received(bytes) {
            return;
        }
        self.counts.stray += 1;
        self.end_babel(false, now);
    }

    /// Babeld's socket was closed, or could not be opened.
    pub fn handle_closed(&mut self, failed: bool, now: Instant) {
        if self.babel.is_busy() {
            self.end_babel(!failed, now);
        } else {
            self.counts.stray += 1;
        }
    }

    /// The next bytes for babeld; 0: nothing now.
    pub fn poll_send(&mut self, buffer: &mut [u8]) -> usize {
        self.babel.poll_send(buffer)
    }

    fn end_babel(&mut self, well: bool, now: Instant) {
        if !self.babel.is_busy() {
            return;
        }
        self.requests.push_back(Request::Hangup);
        let routes = self.babel.end();
        if !well {
            self.counts.babel_failed += 1;
            return;
        }
        self.counts.babel += 1;
        let known: SortedMap<NodeId, u16> =
            routes.into_iter().filter_map(|(address, metric)| Some((self.graph.at(address)?, metric))).collect();
        let ids: Vec<NodeId> = self.graph.nodes().map(|(id, _)| id).collect();
        for id in ids {
            let metric = known.get(&id).copied();
            self.graph.set_metric(id, metric.unwrap_or(0));
            if metric.is_some_and(babel::is_reachable) {
                self.graph.seen(id, Evidence::Local, now);
            }
        }
    }

    /// How a download ended.
    pub fn handle_fetched(&mut self, token: u32, outcome: Result<Fetched, FetchError>, now: Instant) {
        let Some(asked) = self.crawl.landed(token, &self.graph) else {
            self.counts.stray += 1;
            return;
        };
        let said = match outcome {
            Ok(Fetched { status: 200, body, .. }) => Sysinfo::parse(&body).ok().flatten(),
            Ok(_) => None,
            Err(_) => {
                // Silence and strange answers alike: a second question would be met by the same.
                self.counts.unanswered += 1;
                self.crawl.failed(&mut self.graph, asked.id);
                return self.step(now);
            }
        };
        let rules = Rules { domain: &self.names.domain, boundary: &self.config.boundary };
        match said {
            Some(said) => {
                let name = name::canonical(&said.node, rules.domain);
                if self.graph.node(asked.id).map(graph::Node::name) != name.as_deref() {
                    // Somebody else answers at this name.
                    self.counts.answers_foreign += 1;
                    self.crawl.failed(&mut self.graph, asked.id);
                    return self.step(now);
                }
                self.counts.answers += 1;
                // New firmware answers at the old URL by a redirect, which costs a second connection.
                let url = if said.api_version.starts_with('1') { asked.url } else { KnownUrl::New };
                let outcome = learn::answer(&mut self.graph, asked.id, &said, rules, now);
                self.crawl.answered(&mut self.graph, asked.id, url);
                let neighbours: Vec<NodeId> = self.graph.links_of(asked.id).map(|(key, _)| key.to).collect();
                let border = self.graph.node(asked.id).is_some_and(|node| node.supernode);
                for id in neighbours.into_iter().filter(|_| !border) {
                    self.crawl.join(&mut self.graph, id, rules);
                }
                self.count(outcome);
            }
            None if self.crawl.try_other_url(asked) => {}
            None => {
                self.counts.answers_bad += 1;
                self.crawl.failed(&mut self.graph, asked.id);
            }
        }
        self.step(now);
    }

    /// There was no place for a download; it is asked for again.
    pub fn handle_busy(&mut self, token: u32, now: Instant) {
        self.crawl.handle_busy(token, now);
    }

    /// The ways to phones that were traced from this node; a hop that did not answer is `None`. Ways share their first hops:
    /// each pair of routers counts once.
    pub fn handle_paths(&mut self, paths: impl Iterator<Item = Vec<Option<Hop>>>, now: Instant) {
        if !self.config.enabled {
            return;
        }
        let mut said = SortedSet::new();
        for path in paths {
            let mut before = self.own_id().map(|id| (id, 0));
            for hop in path {
                let here = hop.and_then(|hop| Some((self.graph.at(hop.address)?, hop.rtt_us)));
                if let (Some((from, near)), Some((to, far))) = (before, here) {
                    let key = LinkKey { from, to, via: Via::Path };
                    if said.insert(key) {
                        let outcome = self.graph.link(key, Some(far.saturating_sub(near)), None, now);
                        self.counts.full += u64::from(outcome.is_err());
                    }
                }
                before = here;
            }
        }
        self.step(now);
    }

    /// The whole book, and which phones are online.
    pub fn handle_book<'a>(&mut self, entries: impl Iterator<Item = (&'a str, bool)>, now: Instant) {
        self.book.replace(entries, now);
    }

    /// When the phones of the book were last seen, for the process after this one and from the one before.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The file of the daemon's state was read.
    pub fn restore(&mut self, file: &[u8], boot_id: &str, now: Instant) {
        self.book.restore(file, boot_id, now);
    }

    /// A phone answered, or registered.
    pub fn handle_sighting(&mut self, number: &str, now: Instant) {
        self.book.sighted(number, now);
    }

    /// How a write ended.
    pub fn handle_written(&mut self, writer: Writer, result: Result<(), FileError>, now: Instant) {
        let output = match writer {
            Writer::Topology => &mut self.topology,
            Writer::Findings => &mut self.findings_file,
            _ => {
                self.counts.stray += 1;
                return;
            }
        };
        if result.is_err() {
            *output = Output { earliest: now + limits::WRITE_RETRY, ..Output::new(now) };
        }
    }

    /// Files that are to be watched.
    pub fn poll_watch(&mut self) -> Option<(Watched, PathBuf)> {
        self.watches.pop_front()
    }

    /// What is to be done outside.
    pub fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Everything that is known.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How far the crawl has come.
    pub fn progress(&self) -> Progress {
        self.crawl.progress()
    }

    /// What is wrong, the worst first, and how much there is beyond what is listed.
    pub fn findings(&self) -> (&[Finding], usize) {
        let (found, count) = &self.found;
        (found, count.saturating_sub(found.len()))
    }

    /// The phones that are on the mesh, each once, by number.
    pub fn phones(&self) -> Vec<PhoneSeen<'_>> {
        let mut phones: Vec<PhoneSeen<'_>> = self
            .local
            .phones()
            .map(|phone| {
                let router = match phone.node {
                    Some(address) => self.graph.at(address),
                    None => self.own_id(),
                };
                PhoneSeen {
                    number: &phone.number,
                    host: &phone.host,
                    address: phone.address,
                    router: router.and_then(|id| self.graph.node(id)).map(graph::Node::name),
                }
            })
            .collect();
        phones.sort_by_key(|phone| (phone.number, phone.address.is_none(), phone.address));
        phones.dedup_by_key(|phone| phone.number);
        phones
    }

    /// The map as it is written.
    pub fn topology_json(&self, now: Instant) -> Vec<u8> {
        topology::file(&topology::body(&self.graph, &self.own_name, self.clock), now, self.clock)
    }

    /// The findings as they are written.
    pub fn findings_json(&self, now: Instant) -> Vec<u8> {
        topology::file(&findings::body(&self.found.0, self.found.1), now, self.clock)
    }

    /// Looks at everything that is known without asking.
    fn look(&mut self, now: Instant) {
        self.look_at = Some(now + limits::MESH_LOOK);
        self.see_own(now);
        let own = self.own_id();
        let full = self.local.apply(&mut self.graph, own, now);
        self.count(Outcome { beyond: 0, full });
        for phone in self.local.phones() {
            self.book.sighted(&phone.number, now);
        }
        // What only a crawl sees must outlive a round that it missed.
        let rounds = if self.config.crawl { self.config.crawl_interval.saturating_mul(3) } else { Duration::ZERO };
        self.graph.age(self.config.inactive_timeout.max(rounds), self.config.delete_timeout.max(rounds), now);
        let known = Knowledge {
            graph: &self.graph,
            local: &self.local,
            own: &self.own,
            own_id: own,
            book: &self.book,
            unseen_after: self.config.unseen_after,
        };
        self.found = findings::find(known, now);
        self.write_findings(now);
        if !self.config.babel_socket.as_os_str().is_empty() && !self.babel.is_busy() {
            self.babel.begin(now);
            self.requests.push_back(Request::Dial(self.config.babel_socket.clone()));
        }
    }

    fn write_findings(&mut self, now: Instant) {
        if self.config.findings_file.as_os_str().is_empty() || self.findings_file.earliest > now {
            return;
        }
        let body = findings::body(&self.found.0, self.found.1);
        if self.findings_file.is_news(&body) {
            let bytes = topology::file(&body, now, self.clock);
            let steps = files::replace(&self.config.findings_file, bytes);
            self.requests.push_back(Request::Write { writer: Writer::Findings, steps });
        }
    }

    fn write_topology(&mut self, now: Instant) {
        if !self.is_map_due() || self.topology.earliest > now {
            return;
        }
        self.topology.revision = Some(self.graph.revision());
        self.topology.earliest = now + limits::MESH_WRITE;
        let body = topology::body(&self.graph, &self.own_name, self.clock);
        if !self.topology.is_news(&body) {
            return;
        }
        let mut steps = files::replace(&self.config.topology_file, topology::file(&body, now, self.clock));
        if !self.config.topology_link.as_os_str().is_empty() {
            let (at, target) = (self.config.topology_link.clone(), self.config.topology_file.clone());
            steps.push(Step::Link { at, target });
        }
        self.requests.push_back(Request::Write { writer: Writer::Topology, steps });
    }

    fn is_map_due(&self) -> bool {
        self.look_at.is_some() && self.topology.revision != Some(self.graph.revision())
    }

    /// Everything that may be done now.
    fn step(&mut self, now: Instant) {
        let rules = Rules { domain: &self.names.domain, boundary: &self.config.boundary };
        let own = self.graph.find(&self.own_name);
        self.crawl.begin_if_due(&mut self.graph, own, rules, now);
        while let Some((token, url)) = self.crawl.ask(&self.graph, &self.config, &self.names.domain, now) {
            let timeout = self.config.crawl_timeout;
            let download = Download {
                url,
                etag: None,
                last_modified: None,
                connect_timeout: timeout,
                total_timeout: timeout,
                max_body: self.config.crawl_max_size,
            };
            self.requests.push_back(Request::Fetch { token, download });
        }
        if self.crawl.end_if_done(self.config.crawl_interval, now) {
            let Progress { answered, failed, took, .. } = self.crawl.progress();
            log::debug!("mesh: {answered} nodes answered, {failed} did not, in {} s", took.as_secs());
        }
        self.write_topology(now);
    }
}

impl Engine for Mesh {
    fn handle_timeout(&mut self, now: Instant) {
        if self.babel.deadline().is_some_and(|until| until <= now) {
            self.end_babel(false, now);
        }
        self.crawl.give_up(&mut self.graph, now);
        if self.look_at.is_some_and(|at| at <= now) {
            self.look(now);
        }
        self.step(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let write = self.is_map_due().then_some(self.topology.earliest);
        let crawl = self.crawl.next_deadline(self.config.crawl_in_flight);
        [self.look_at, self.babel.deadline(), crawl, write].into_iter().fold(None, sooner)
    }

    fn tables(&self) -> Vec<Table> {
        let (nodes, links, addresses, words) = self.graph.sizes();
        let (node_limit, link_limit, address_limit) = self.graph.bounds();
        let (files, entries) = self.local.sizes();
        let (queue, flights) = self.crawl.sizes();
        vec![
            Table { name: "mesh_nodes", used: nodes, limit: node_limit },
            Table { name: "mesh_links", used: links, limit: link_limit },
            Table { name: "mesh_addresses", used: addresses, limit: address_limit },
            Table { name: "mesh_words", used: words, limit: limits::MESH_WORDS },
            Table { name: "mesh_files", used: files, limit: limits::MESH_FILES },
            Table { name: "mesh_entries", used: entries, limit: limits::HOST_NAMES },
            Table { name: "mesh_book", used: self.book.len(), limit: limits::BOOK_ENTRIES },
            Table { name: "mesh_queue", used: queue, limit: node_limit },
            Table { name: "mesh_questions", used: flights, limit: self.config.crawl_in_flight },
        ]
    }

    fn counters(&self) -> Vec<Counter> {
        let Counts {
            lqm_files,
            lqm_bad,
            babel,
            babel_failed,
            answers,
            answers_bad,
            answers_foreign,
            unanswered,
            beyond,
            full,
            stray,
        } = self.counts;
        [
            ("lqm_files", lqm_files),
            ("lqm_unreadable", lqm_bad),
            ("babel_answers", babel),
            ("babel_failed", babel_failed),
            ("answers", answers),
            ("answers_unreadable", answers_bad),
            ("answers_foreign", answers_foreign),
            ("unanswered", unanswered),
            ("beyond_border", beyond),
            ("no_room", full.saturating_add(self.local.left_out)),
            ("stray", stray),
        ]
        .map(|(name, count)| Counter { name, count })
        .to_vec()
    }
}
