//! What the test desk gets to know, and who gets to know what it found: the part of `route.rs` that is about tests of phones.

use std::net::SocketAddrV4;

use super::Core;
use super::route::SIP_PORT;
use crate::engine::{Asker, Busy};
use crate::mesh;
use crate::probe;
use crate::sorted::SortedSet;
use crate::time::Instant;

impl Core {
    /// After a cycle of tests the map learns the ways that were found and the phones that answered.
    pub(super) fn route_ways(&mut self, now: Instant) {
        let testing = self.probe.progress(now).started.is_some();
        if std::mem::replace(&mut self.testing, testing) && !testing {
            let hop = |hop: &probe::Hop| Some(mesh::Hop { address: hop.address?, rtt_us: hop.rtt_us? });
            self.mesh.handle_paths(self.probe.paths().map(|path| path.hops.iter().map(hop).collect()), now);
            for phone in self.probe.phones().filter(|phone| phone.status() == probe::Status::Online) {
                self.mesh.handle_sighting(phone.number(), now);
            }
        }
    }

    /// Where a phone is tested: where it registered, else where its node says that it is, else where its name leads.
    pub(super) fn look_for_tested(&mut self, token: u32, number: &str, now: Instant) {
        // The book may have the country in front; registrar, host files and name servers do not.
        let number = self.local_number(number);
        let announced = self.hosts.hosts(&number).into_iter().next();
        let bound = self.sip.registrar().lookup(number.as_bytes(), now).first().map(|binding| binding.source);
        let address = bound.or_else(|| Some(SocketAddrV4::new(announced.as_ref()?.address, SIP_PORT)));
        if let Some(address) = address {
            let node = announced.filter(|host| host.address == *address.ip()).and_then(|host| host.node);
            return self.probe.handle_address(token, Some(probe::Whereabouts { address, node }), now);
        }
        let name = format!("{number}.{}", self.config.names.domain);
        if self.resolver.ask(&name, Asker::Probe(token), now) == Err(Busy) {
            self.probe.handle_address(token, None, now);
        }
    }

    /// Tested are the registered phones and those of the book that are on the mesh; who is in a call is not rung.
    pub(super) fn route_tests(&mut self, now: Instant) {
        let revision = (self.phonebook.revision(), self.sip.registrar().presence_revision());
        if self.tested != Some(revision) {
            self.tested = Some(revision);
            let listed = self.phonebook.entries().iter().filter(|entry| entry.online);
            let mut numbers: SortedSet<String> = listed.map(|entry| entry.number.clone()).collect();
            // A phone is tested under one number, that of the book.
            let prefix = &self.config.sip.country_prefix;
            let unlisted = |number: &&String| prefix.is_empty() || !numbers.contains(&format!("{prefix}{number}"));
            let unlisted: Vec<String> = self.registered.iter().filter(unlisted).cloned().collect();
            for number in unlisted {
                numbers.insert(number);
            }
            self.probe.handle_targets(&numbers, now);
        }
        let calls = self.sip.calls().shown_revision();
        if self.probe.minds_calls() && self.talking != Some(calls) {
            self.tell_calls(now);
        }
    }

    /// So that nobody in a call is rung.
    pub(super) fn tell_calls(&mut self, now: Instant) {
        self.talking = Some(self.sip.calls().shown_revision());
        let calls = self.sip.calls().calls();
        let prefix = &self.config.sip.country_prefix;
        let forms = |number: &str| [number.to_owned(), format!("{prefix}{number}")];
        let numbers = calls.flat_map(|call| [forms(call.caller()), forms(call.callee())]).flatten().collect();
        self.probe.handle_calls(&numbers, now);
    }
}
