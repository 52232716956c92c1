//! The map of the mesh among the other engines.

use super::Core;
use super::event::{Effect, Event};
use crate::api::render;
use crate::api::view_mesh::{CrawlView, MeshPhoneView, MeshView};
use crate::config::Config;
use crate::engine::{Asker, Busy, StreamId};
use crate::features::Feature;
use crate::files::{Step, Watched, Writer};
use crate::mesh::graph::{Kind, Node};
use crate::mesh::{self, Mesh};
use crate::rng::Seed;
use crate::time::{Instant, millis};
use crate::wire::http::{FetchError, Fetched, Response};

/// The map, and what was told to it.
pub struct Map {
    pub(super) mesh: Mesh,
    /// The revision of the book that it knows.
    book: Option<u64>,
}

impl Map {
    /// It has not been told anything yet.
    pub fn new(config: &Config, seed: &Seed, now: Instant) -> Self {
        Self { mesh: Mesh::new(config, seed, now), book: None }
    }

    /// The book is another one now.
    pub fn forget_book(&mut self) {
        self.book = None;
    }
}

impl Core {
    /// What a program with a map has left is of no use where nobody renews it.
    pub(super) fn clear_map(&mut self) {
        if self.map.get().is_none() {
            let mesh = &self.config.mesh;
            let files = [&mesh.topology_file, &mesh.topology_link, &mesh.findings_file];
            let named = files.into_iter().filter(|path| !path.as_os_str().is_empty());
            let steps = named.map(|path| Step::Remove(path.clone())).collect();
            self.effects.push_back(Effect::Write { writer: Writer::Topology, steps });
        }
    }

    /// From outside to the map.
    pub(super) fn tell_map(&mut self, event: &Event<'_>, now: Instant) {
        let Some(Map { mesh, .. }) = self.map.get_mut() else { return };
        match event {
            Event::Connected(_) => mesh.handle_connected(now),
            Event::Received { bytes, .. } => mesh.handle_received(bytes, now),
            Event::Closed { failed, .. } => mesh.handle_closed(*failed, now),
            Event::Changed { watched, name, contents } => mesh.handle_file(*watched, name, *contents, now),
            Event::Written { writer, result } => mesh.handle_written(*writer, *result, now),
            Event::Identity(identity) => mesh.set_identity(&identity.name, &identity.addresses, now),
            Event::WallClock(_) => mesh.handle_clock(self.clock),
            _ => {}
        }
    }

    /// What it asks of others.
    pub(super) fn route_map_requests(&mut self, now: Instant) -> bool {
        let Some(Map { mesh, .. }) = self.map.get_mut() else { return false };
        let mut any = false;
        while let Some(request) = mesh.poll_request() {
            any = true;
            match request {
                mesh::Request::Fetch { token, download } => {
                    if self.client.fetch(download, Asker::Mesh(token), now) == Err(Busy) {
                        mesh.handle_busy(token, now);
                    }
                }
                mesh::Request::Dial(path) => {
                    self.effects.push_back(Effect::DialUnix { stream: StreamId::Babel, path });
                }
                mesh::Request::Hangup => self.effects.push_back(Effect::Abort(StreamId::Babel)),
                mesh::Request::Write { writer, steps } => self.effects.push_back(Effect::Write { writer, steps }),
            }
        }
        any
    }

    /// A router's answer.
    pub(super) fn answer_map(&mut self, token: u32, outcome: Result<Fetched, FetchError>, now: Instant) {
        if let Some(map) = self.map.get_mut() {
            map.mesh.handle_fetched(token, outcome, now);
        }
    }

    /// It compares the phones that it sees with the book.
    pub(super) fn route_map(&mut self, now: Instant) {
        let Some(map) = self.map.get_mut() else { return };
        let revision = Some(self.phonebook.revision());
        if map.book != revision {
            map.book = revision;
            let entries = self.phonebook.entries().iter().map(|entry| (entry.number.as_str(), entry.online));
            map.mesh.handle_book(entries, now);
        }
    }

    /// Makes the engine anew. Who was seen when is kept, as over a restart of the daemon.
    pub(super) fn renew_map(&mut self, seed: &Seed, now: Instant) {
        self.forget(|asker| matches!(asker, Asker::Mesh(_)));
        self.effects.push_back(Effect::Abort(StreamId::Babel));
        self.keeper.forget(Writer::State);
        let saved = self.state(now);
        let Some(map) = self.map.get_mut() else { return };
        *map = Map::new(&self.config, seed, now);
        map.mesh.restore(&saved, self.keeper.boot_id(), now);
        map.mesh.handle_clock(self.clock);
        map.mesh.set_identity(&self.identity.name, &self.identity.addresses, now);
        // Host files are watched for the hosts, and the map has them from there.
        let names = &self.config.names;
        let files = [(Watched::HostsDir, &names.hosts_dir), (Watched::HostsOlsr, &names.hosts_olsr)];
        self.effects.extend(files.map(|(watched, path)| Effect::Watch { watched, path: path.clone() }));
    }

    /// `GET /api/v1/mesh`.
    pub(super) fn show_map(&self, now: Instant) -> Response {
        let Some(Map { mesh, .. }) = self.map.get() else { return render::missing(Feature::Mesh) };
        let graph = mesh.graph();
        let count = |wanted: &dyn Fn(&Node) -> bool| graph.nodes().filter(|(_, node)| wanted(node)).count();
        let progress = mesh.progress();
        let (listed, more) = mesh.findings();
        render::mesh(&MeshView {
            enabled: self.config.mesh.enabled,
            routers: count(&|node| node.kind == Kind::Router),
            phones: count(&|node| node.kind == Kind::Phone),
            inactive: count(&|node| node.inactive),
            links: graph.sizes().1,
            findings: listed.len().saturating_add(more),
            crawl: (self.config.mesh.enabled && self.config.mesh.crawl).then(|| CrawlView {
                rounds: progress.rounds,
                running: progress.running,
                asked: progress.nodes,
                answered: progress.answered,
                failed: progress.failed,
                requests: progress.questions,
                took_ms: millis(progress.took),
                next_in_s: progress.next.map(|at| at.since(now).as_secs()),
            }),
        })
    }

    /// `GET /api/v1/mesh/phones`.
    pub(super) fn show_announced(&self) -> Response {
        let Some(Map { mesh, .. }) = self.map.get() else { return render::missing(Feature::Mesh) };
        let view = |phone: mesh::PhoneSeen<'_>| MeshPhoneView {
            name: self.phonebook.find(phone.number).map(crate::phonebook::Entry::display_name),
            address: phone.address.or_else(|| self.hosts.lookup(phone.host).first().copied()),
            number: phone.number.to_owned().into(),
            host: phone.host.to_owned().into(),
            router: phone.router.map(|name| name.to_owned().into()),
        };
        let views: Vec<_> = mesh.phones().into_iter().map(view).collect();
        render::mesh_phones(&views)
    }
}
