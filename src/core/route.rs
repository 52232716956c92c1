//! Who gets what: the match arms of this file are the data flow of the daemon.

use super::Core;
use super::event::{Effect, Event, Udp};
use crate::api::live::Caller;
use crate::api::{self, Endpoint};
use crate::dns::{Addresses, Unresolved};
use crate::engine::{Asker, Busy, StreamId};
use crate::files::{Reader, Watched, Writer};
use crate::http::Command;
use crate::limits;
use crate::phonebook;
use crate::sip::{Name, Question, Whereabouts};
use crate::sorted::SortedSet;
use crate::time::{Clock, Instant};
use crate::wire::http::{FetchError, Fetched, Request, Response};

/// Where phones that did not register take SIP (RFC 3261 §19.1.2).
pub(super) const SIP_PORT: u16 = 5060;

impl Core {
    /// From outside to the engine that it concerns.
    pub(super) fn deliver(&mut self, event: Event<'_>, now: Instant) {
        match event {
            Event::Datagram { socket: Udp::Sip, source, local, bytes, .. } => {
                self.sip.handle_datagram(bytes, source, local, now);
            }
            Event::Datagram { socket: Udp::Dns, source, bytes, .. } => {
                self.resolver.handle_datagram(bytes, source, now);
            }
            Event::Unreachable { socket: Udp::Sip, destination, quoted } => {
                self.sip.handle_unreachable(destination, quoted, now);
            }
            Event::Unreachable { socket: Udp::Dns, destination, .. } => {
                self.resolver.handle_unreachable(destination, now)
            }
            Event::Datagram { socket: Udp::Probe, .. }
            | Event::Unreachable { socket: Udp::Probe, .. }
            | Event::IcmpOpened(..)
            | Event::Icmp(_)
            | Event::IcmpFailed(_)
            | Event::Bound(Udp::Probe, _) => self.tell_desk(&event, now),
            Event::Congested(congested) => self.sip.handle_congestion(congested),

            Event::Accepted { stream, peer } => self.server.handle_accepted(stream, peer, now),
            Event::Connected(stream @ (StreamId::Outgoing(_) | StreamId::Incoming(_))) => {
                self.client.handle_connected(stream, now)
            }
            Event::Received { stream: stream @ StreamId::Incoming(_), bytes } => {
                self.server.handle_received(stream, bytes, now);
            }
            Event::Received { stream: stream @ StreamId::Outgoing(_), bytes } => {
                self.client.handle_received(stream, bytes, now);
            }
            Event::Closed { stream: stream @ StreamId::Incoming(_), failed } => {
                self.server.handle_closed(stream, failed, now);
            }
            Event::Closed { stream: stream @ StreamId::Outgoing(_), failed } => {
                self.client.handle_closed(stream, failed, now);
            }

            Event::Connected(StreamId::Babel)
            | Event::Received { stream: StreamId::Babel, .. }
            | Event::Closed { stream: StreamId::Babel, .. } => self.tell_map(&event, now),

            Event::Read { reader: Reader::State, contents } => {
                let boot_id = self.keeper.handle_state();
                if let Ok(saved) = contents {
                    self.sip.restore(&saved.bytes, boot_id, now);
                    if let Some(map) = self.map.get_mut() {
                        map.mesh.restore(&saved.bytes, boot_id, now);
                    }
                    if let Some(desk) = self.desk.get_mut() {
                        desk.probe.restore(&saved.bytes, boot_id, now);
                    }
                }
            }
            Event::Read { reader: Reader::Starts, .. }
            | Event::Crashed(_)
            | Event::Usage(_)
            | Event::SlowTurn { .. } => {
                self.tell_care(&event, now);
            }
            Event::Read { reader, contents } => self.phonebook.handle_read(reader, contents, now),
            Event::Changed { watched: Watched::ResolvConf, contents, .. } => self.resolver.handle_resolv_conf(contents),
            Event::Changed { watched: watched @ (Watched::HostsDir | Watched::HostsOlsr), name, contents } => {
                self.hosts.handle_file(watched, name, contents, now);
                self.tell_map(&event, now);
            }
            Event::Changed { .. } => self.tell_map(&event, now),
            Event::Written {
                writer:
                    writer @ (Writer::State
                    | Writer::ActiveCalls
                    | Writer::BookJson
                    | Writer::PhoneTests
                    | Writer::MonitorSettings
                    | Writer::Badge
                    | Writer::Health),
                result,
            } => {
                self.keeper.handle_written(writer, result, now);
            }
            // Who cannot count restarts reports none.
            Event::Written { writer: Writer::Starts, .. } => {}
            Event::Written { writer: Writer::Topology | Writer::Findings, .. } => self.tell_map(&event, now),
            Event::Written { writer, result } => self.phonebook.handle_written(writer, result, now),

            Event::Identity(ref identity) => {
                self.sip.set_identity(&identity.name, &identity.addresses);
                self.client.set_identity(&identity.addresses);
                self.identity = identity.clone();
                self.tell_map(&event, now);
                self.tell_desk(&event, now);
            }
            Event::WallClock(wall) => {
                self.clock = Clock::new(wall, now);
                self.sip.handle_clock(self.clock);
                self.phonebook.handle_clock(self.clock);
                self.tell_map(&event, now);
            }
            Event::Bound(Udp::Sip, port) => self.sip.set_port(port),
            Event::Bound(Udp::Dns, _) => {}
            Event::Simulated => self.simulated = true,
            Event::FetchPhonebook => self.phonebook.fetch_now(now),
            Event::Dump => self.dump(now),
            Event::Stop => self.farewell(now),
        }
    }

    /// From engine to engine, until none has anything more to say.
    pub fn settle(&mut self, now: Instant) {
        self.route_care(now);
        self.route_sightings(now);
        while self.route_questions(now) || self.route_downloads(now) || self.route_requests(now) {}
        self.route_map(now);
        self.route_desk(now);
        self.route_effects();
        self.keep(now);
        if let Some(flight) = self.flight.get_mut() {
            flight.idle(self.sip.calls().len(), self.sip.registrar().len());
        }
    }

    /// Questions for names, and their answers.
    fn route_questions(&mut self, now: Instant) -> bool {
        let mut any = self.route_desk_questions(now);
        while let Some(question) = self.sip.poll_question() {
            self.look_up_callee(question, now);
            any = true;
        }
        while let Some((request, host)) = self.client.poll_question() {
            any = true;
            match self.hosts.lookup(&host).first() {
                Some(address) => self.client.handle_address(request, Some(*address), now),
                None => {
                    if self.resolver.ask(&host, Asker::HttpClient(request), now) == Err(Busy) {
                        self.client.handle_address(request, None, now);
                    }
                }
            }
        }
        while let Some((asker, answer)) = self.resolver.poll_answer() {
            any = true;
            self.deliver_answer(asker, answer, now);
        }
        any
    }

    /// An answer to whoever asked.
    pub(super) fn deliver_answer(&mut self, asker: Asker, answer: Result<Addresses, Unresolved>, now: Instant) {
        match asker {
            Asker::Sip(token) | Asker::SipListed(token) => {
                let whereabouts = match &answer {
                    Ok(addresses) => Whereabouts::At(addresses),
                    Err(_) if matches!(asker, Asker::SipListed(_)) => Whereabouts::KnownButUnreachable,
                    // Nobody said that there is no such phone.
                    Err(Unresolved::NoAnswer | Unresolved::Failed) => Whereabouts::KnownButUnreachable,
                    Err(Unresolved::NoSuchName | Unresolved::NoServer) => Whereabouts::Unknown,
                };
                self.sip.handle_whereabouts(token, whereabouts, now);
            }
            Asker::Probe(token) => self.answer_desk(token, answer.ok().as_ref(), now),
            Asker::Presence(index) => self.phonebook.handle_presence(index, answer.is_ok(), now),
            Asker::HttpClient(request) => {
                let address = answer.ok().and_then(|addresses| addresses.first().copied());
                self.client.handle_address(request, address, now);
            }
            Asker::Fetch | Asker::Mesh(_) | Asker::Collector => {} // ask for documents, not for names
        }
    }

    /// The node's own host files first, then the name servers.
    fn look_up_callee(&mut self, question: Question, now: Instant) {
        let Question { token, name } = question;
        let (name, listed) = match name {
            Name::Host(host) => (host, false),
            Name::Number(number) => (format!("{number}.{}", self.config.names.domain), self.is_listed(&number)),
        };
        let known = self.hosts.lookup(&name);
        if !known.is_empty() {
            return self.sip.handle_whereabouts(token, Whereabouts::At(&known), now);
        }
        let asker = if listed { Asker::SipListed(token) } else { Asker::Sip(token) };
        if self.resolver.ask(&name, asker, now) == Err(Busy) {
            let whereabouts = if listed { Whereabouts::KnownButUnreachable } else { Whereabouts::Unknown };
            self.sip.handle_whereabouts(token, whereabouts, now);
        }
    }

    /// Whether the book has this number, with or without the country in front.
    fn is_listed(&self, number: &str) -> bool {
        let prefix = self.config.sip.country_prefix.as_str();
        self.phonebook.knows(number)
            || !prefix.is_empty()
                && (self.phonebook.knows(&format!("{prefix}{number}"))
                    || number.strip_prefix(prefix).is_some_and(|local| self.phonebook.knows(local)))
    }

    /// What the phonebook owes others, and others it.
    fn route_downloads(&mut self, now: Instant) -> bool {
        let mut any = self.route_map_requests(now);
        while let Some(request) = self.phonebook.poll_request() {
            any = true;
            match request {
                phonebook::Request::Read { reader, path, limit } => {
                    self.effects.push_back(Effect::Read { reader, path, limit });
                }
                phonebook::Request::Write { writer, steps } => self.effects.push_back(Effect::Write { writer, steps }),
                phonebook::Request::Fetch(download) => {
                    if self.client.fetch(download, Asker::Fetch, now) == Err(Busy) {
                        self.phonebook.handle_fetched(Err(FetchError::NotReached), now);
                    }
                }
                phonebook::Request::Presence { index, look, number } => self.look_for_phone(index, look, &number, now),
            }
        }
        while let Some((asker, outcome)) = self.client.poll_outcome() {
            any = true;
            self.deliver_outcome(asker, outcome, now);
        }
        any
    }

    /// What came of a download, to whoever asked for it.
    pub(super) fn deliver_outcome(&mut self, asker: Asker, outcome: Result<Fetched, FetchError>, now: Instant) {
        match asker {
            Asker::Fetch => self.phonebook.handle_fetched(outcome, now),
            Asker::Mesh(token) => self.answer_map(token, outcome, now),
            Asker::Collector => self.answer_collector(outcome, now),
            // Ask for names, not for documents.
            Asker::Sip(_) | Asker::SipListed(_) | Asker::Probe(_) | Asker::Presence(_) | Asker::HttpClient(_) => {}
        }
    }

    /// Registered here, or named by the node's host files, or known to a name server: the phone is on the mesh.
    fn look_for_phone(&mut self, index: u32, look: phonebook::Look, number: &str, now: Instant) {
        if self.sip.registrar().is_registered(number.as_bytes(), now) || !self.hosts.lookup(number).is_empty() {
            self.phonebook.handle_presence(index, true, now);
            return;
        }
        if look == phonebook::Look::Near {
            self.phonebook.handle_presence(index, false, now);
            return;
        }
        let name = format!("{number}.{}", self.config.names.domain);
        if self.resolver.ask(&name, Asker::Presence(index), now) == Err(Busy) {
            self.phonebook.handle_presence(index, false, now);
        }
    }

    /// A phone that registers is on the mesh; one that leaves may still be known to its node.
    fn route_sightings(&mut self, now: Instant) {
        let revision = Some(self.sip.registrar().presence_revision());
        if revision == self.presence_revision {
            return;
        }
        self.presence_revision = revision;
        let before = std::mem::take(&mut self.registered);
        let registered: SortedSet<String> =
            self.sip.registrar().bindings().map(|binding| binding.user.to_string()).collect();
        for number in registered.iter().filter(|number| !before.contains(number.as_str())) {
            self.sighted(number, true, now);
        }
        for number in before.iter().filter(|number| !registered.contains(number.as_str())) {
            let online = !self.hosts.lookup(number).is_empty();
            self.sighted(number, online, now);
        }
        self.registered = registered;
    }

    /// The registrar knows numbers without the country, the book may have them with it.
    fn sighted(&mut self, number: &str, online: bool, now: Instant) {
        self.phonebook.handle_sighting(number, online, now);
        let prefix = &self.config.sip.country_prefix;
        if !prefix.is_empty() {
            self.phonebook.handle_sighting(&format!("{prefix}{number}"), online, now);
        }
    }

    /// Requests to the API.
    fn route_requests(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((stream, peer, request)) = self.server.poll_request() {
            any = true;
            let caller = Caller::of(&request, peer);
            let response = match api::route(&request, caller) {
                Ok(Endpoint::Live(action, form)) => self.begin_live(stream, (&action, form), caller, &request, now),
                Ok(endpoint) => Some(self.answer(&endpoint, &request, caller, now)),
                Err(refusal) => Some(refusal),
            };
            // Somebody who waits for a test is answered later.
            if let Some(response) = response {
                self.server.respond(stream, response, now);
            }
        }
        any
    }

    fn answer(&mut self, endpoint: &Endpoint, request: &Request, caller: Caller, now: Instant) -> Response {
        match endpoint {
            Endpoint::ReloadPhonebook => {
                self.phonebook.fetch_now(now);
                api::render::accepted("Phonebook reload triggered")
            }
            Endpoint::LoadPhonebook => {
                self.phonebook.fetch_now(now);
                api::render::loading(self.clock.date(now))
            }
            Endpoint::ReloadConfig if caller != Caller::Owner && now < self.reload_rests_until => {
                let seconds = limits::RELOAD_REST.as_secs().to_string();
                api::render::error(429, "that was done a moment ago").with("Retry-After", seconds)
            }
            Endpoint::ReloadConfig => {
                self.reload_rests_until = now + limits::RELOAD_REST;
                self.effects.push_back(Effect::Reload);
                api::render::accepted("Configuration reload triggered")
            }
            endpoint => self.show(endpoint, request, now),
        }
    }

    /// What engines want done outside.
    pub(super) fn route_effects(&mut self) {
        for command in std::iter::from_fn(|| self.client.poll_command().or_else(|| self.server.poll_command())) {
            self.effects.push_back(match command {
                Command::Dial { stream, address } => Effect::Dial { stream, address },
                Command::Finish(stream) => Effect::Finish(stream),
                Command::Abort(stream) => Effect::Abort(stream),
            });
        }
        let watches = || {
            let others = self.hosts.poll_watch().or_else(|| self.resolver.poll_watch());
            others.or_else(|| self.map.get_mut()?.mesh.poll_watch())
        };
        for (watched, path) in std::iter::from_fn(watches) {
            self.effects.push_back(Effect::Watch { watched, path });
        }
    }
}
