//! The test desk among the other engines: what it gets to know, and who gets to know what it found.

mod live;
mod view;

use std::net::SocketAddrV4;

use super::Core;
use super::event::{Event, IcmpMode, IcmpOut, Transmit, Udp};
use super::route::SIP_PORT;
use crate::config::Config;
use crate::dns::Addresses;
use crate::engine::{Asker, Busy};
use crate::files::Writer;
use crate::mesh;
use crate::probe::{self, Probe, SipIn};
use crate::rng::Seed;
use crate::sorted::SortedSet;
use crate::time::Instant;

/// The desk, and what was told to it.
pub struct Desk {
    pub(super) probe: Probe,
    /// Those who wait for it.
    live: live::Live,
    /// The revisions of book and registrar when it was told whom to test, and the cycles that had ended; the revision of the calls
    /// when it was told who talks.
    tested: Option<(u64, u64, u64)>,
    talking: Option<u64>,
    /// Whether a cycle of tests was going on when somebody looked last.
    testing: bool,
    /// Which ICMP socket there is, and the identifier of its echoes.
    icmp: (IcmpMode, u16),
}

impl Desk {
    /// It has not been told anything yet.
    pub fn new(config: &Config, seed: &Seed, now: Instant) -> Self {
        Self {
            probe: Probe::new(&config.probe, seed, now),
            live: live::Live::new(now),
            tested: None,
            talking: None,
            testing: false,
            icmp: (IcmpMode::None, 0),
        }
    }

    /// When somebody has waited long enough for it.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.live.next_deadline()
    }

    /// The next SIP message of a test.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let (destination, len) = self.probe.poll_transmit(buffer)?;
        Some(Transmit { socket: Udp::Probe, source: None, destination, len })
    }

    /// The next echo request.
    pub fn poll_icmp(&mut self, buffer: &mut [u8], now: Instant) -> Option<IcmpOut> {
        self.probe.poll_icmp(buffer, now)
    }

    /// The book, or the list of those who are registered, is another one now.
    pub fn forget_targets(&mut self) {
        self.tested = None;
    }

    /// The calls are counted anew.
    pub fn forget_calls(&mut self) {
        self.talking = None;
    }
}

impl Core {
    /// From outside to the desk.
    pub(super) fn tell_desk(&mut self, event: &Event<'_>, now: Instant) {
        let Some(desk) = self.desk.get_mut() else { return };
        let probe = &mut desk.probe;
        match event {
            Event::Datagram { source, ttl, at, bytes, .. } => {
                probe.handle_datagram(&SipIn { from: *source, ttl: *ttl, bytes, at: at.unwrap_or(now) }, now);
            }
            Event::Unreachable { destination, .. } => probe.handle_unreachable(*destination, now),
            Event::IcmpOpened(mode, identifier) => {
                desk.icmp = (*mode, *identifier);
                probe.handle_icmp_mode(*mode, *identifier, now);
            }
            Event::Icmp(message) => probe.handle_icmp(message, now),
            Event::IcmpFailed(error) => probe.handle_icmp_error(error, now),
            Event::Bound(_, port) => probe.set_port(*port),
            Event::Identity(identity) => probe.set_identity(&identity.addresses),
            _ => {}
        }
    }

    /// Where are the phones that it wants to test?
    pub(super) fn route_desk_questions(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((token, number)) = self.desk.get_mut().and_then(|desk| desk.probe.poll_question()) {
            any = true;
            self.look_for_tested(token, &number, now);
        }
        any
    }

    /// Where a phone is tested: where it registered, else where its node says that it is, else where its name leads.
    fn look_for_tested(&mut self, token: u32, number: &str, now: Instant) {
        // The book may have the country in front; registrar, host files and name servers do not.
        let number = self.local_number(number);
        let announced = self.hosts.hosts(&number).into_iter().next();
        let bound = self.sip.registrar().lookup(number.as_bytes(), now).first().map(|binding| binding.source);
        let address = bound.or_else(|| Some(SocketAddrV4::new(announced.as_ref()?.address, SIP_PORT)));
        if let Some(address) = address {
            let node = announced.filter(|host| host.address == *address.ip()).and_then(|host| host.node);
            return self.tell_address(token, Some(probe::Whereabouts { address, node }), now);
        }
        let name = format!("{number}.{}", self.config.names.domain);
        if self.resolver.ask(&name, Asker::Probe(token), now) == Err(Busy) {
            self.tell_address(token, None, now);
        }
    }

    /// What a name server said of a phone.
    pub(super) fn answer_desk(&mut self, token: u32, addresses: Option<&Addresses>, now: Instant) {
        let address = addresses.and_then(|addresses| addresses.first()).copied();
        let found = address.map(|ip| probe::Whereabouts { address: SocketAddrV4::new(ip, SIP_PORT), node: None });
        self.tell_address(token, found, now);
    }

    fn tell_address(&mut self, token: u32, found: Option<probe::Whereabouts>, now: Instant) {
        if let Some(desk) = self.desk.get_mut() {
            desk.probe.handle_address(token, found, now);
        }
    }

    /// What it is to know now, and what others are to know of it.
    pub(super) fn route_desk(&mut self, now: Instant) {
        self.route_ways(now);
        self.route_tests(now);
        self.route_live(now);
    }

    /// After a cycle of tests the map learns the ways that were found and the phones that answered.
    fn route_ways(&mut self, now: Instant) {
        let Some(desk) = self.desk.get_mut() else { return };
        let testing = desk.probe.progress(now).started.is_some();
        if !std::mem::replace(&mut desk.testing, testing) || testing {
            return;
        }
        let Some(map) = self.map.get_mut() else { return };
        let hop = |hop: &probe::Hop| Some(mesh::Hop { address: hop.address?, rtt_us: hop.rtt_us? });
        map.mesh.handle_paths(desk.probe.paths().map(|path| path.hops.iter().map(hop).collect()), now);
        for phone in desk.probe.phones().filter(|phone| phone.status() == probe::Status::Online) {
            map.mesh.handle_sighting(phone.number(), now);
        }
    }

    /// Tested are the registered phones and those of the book that are on the mesh. One that is neither any more is tested until its
    /// curve has no answer in it: a phone that fails is to be seen, not missed. Who is in a call is not rung.
    fn route_tests(&mut self, now: Instant) {
        let Some(desk) = self.desk.get_mut() else { return };
        let revision = (self.phonebook.revision(), self.sip.registrar().presence_revision(), desk.probe.cycles());
        if desk.tested != Some(revision) {
            desk.tested = Some(revision);
            let listed = self.phonebook.entries().iter().filter(|entry| entry.online);
            let mut numbers: SortedSet<String> = listed.map(|entry| entry.number.clone()).collect();
            // A phone is tested under one number, that of the book.
            let prefix = &self.config.sip.country_prefix;
            let unlisted = |number: &&String| prefix.is_empty() || !numbers.contains(&format!("{prefix}{number}"));
            let unlisted: Vec<String> = self.registered.iter().filter(unlisted).cloned().collect();
            for number in unlisted {
                numbers.insert(number);
            }
            let known = |number: &str| {
                let local = number.strip_prefix(prefix.as_str());
                numbers.contains(number)
                    || numbers.contains(&format!("{prefix}{number}"))
                    || local.is_some_and(|local| numbers.contains(local))
            };
            let gone = desk.probe.phones().filter(|phone| phone.has_answered() && !known(phone.number()));
            let gone: Vec<String> = gone.map(|phone| phone.number().to_owned()).collect();
            for number in gone {
                numbers.insert(number);
            }
            desk.probe.handle_targets(&numbers, now);
        }
        let calls = self.sip.calls().shown_revision();
        if desk.probe.minds_calls() && desk.talking != Some(calls) {
            self.tell_calls(now);
        }
    }

    /// So that nobody in a call is rung.
    fn tell_calls(&mut self, now: Instant) {
        let Some(desk) = self.desk.get_mut() else { return };
        desk.talking = Some(self.sip.calls().shown_revision());
        let calls = self.sip.calls().calls();
        let prefix = &self.config.sip.country_prefix;
        let forms = |number: &str| [number.to_owned(), format!("{prefix}{number}")];
        let numbers = calls.flat_map(|call| [forms(call.caller()), forms(call.callee())]).flatten().collect();
        desk.probe.handle_calls(&numbers, now);
    }

    /// Makes the engine anew.
    pub(super) fn renew_desk(&mut self, seed: &Seed, now: Instant) {
        self.forget(|asker| matches!(asker, Asker::Probe(_)));
        self.keeper.forget(Writer::PhoneTests);
        self.keeper.forget(Writer::State);
        let saved = self.state(now);
        let Some(desk) = self.desk.get_mut() else { return };
        let port = desk.probe.port();
        desk.probe = Probe::new(&self.config.probe, seed, now);
        desk.probe.restore(&saved, self.keeper.boot_id(), now);
        desk.probe.set_port(port);
        desk.probe.set_identity(&self.identity.addresses);
        desk.probe.handle_icmp_mode(desk.icmp.0, desk.icmp.1, now);
        (desk.tested, desk.talking, desk.testing) = (None, None, false);
        desk.live.end_all(now);
    }
}
