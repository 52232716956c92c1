//! From the choice of targets to the datagrams that go to them: RFC 3261 §16.5, §16.6.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use log::debug;

use super::{Asked, Proxy};
use crate::limits;
use crate::sip::cookie::BranchId;
use crate::sip::outbox::Path;
use crate::sip::response::Best;
use crate::sip::target::{self, NextHop, PORT, Plan, Target};
use crate::sip::transaction::context::{Branch, Cancel, Client, Context, Lookup, Server};
use crate::sip::transaction::store::{Claim, Handle};
use crate::sip::transaction::{ClientInvite, ClientOther};
use crate::sip::{self, Question, Whereabouts};
use crate::time::Instant;
use crate::wire::sip::{Forward, Method, forward_request};

/// How long the core may look for an address. Its resolver has given up by then; this is for the day it forgets.
const LOOKUP: Duration = Duration::from_secs(10);

/// The place that no context ever has: branches of ACKs, which leave no state behind.
const NOWHERE: u32 = u32::MAX;

/// What is known about where to send a request.
enum Whither {
    Targets(Vec<Target>),
    Ask(sip::Name),
    Nobody(u16),
}

impl Proxy {
    /// Sends a request on, or asks where to. Conclude afterwards: it may be that there is nobody to send it to.
    pub(super) fn route(&mut self, handle: Handle, asked: &Asked<'_>, plan: &Plan<'_>, now: Instant) {
        match self.whither(plan, asked.peer.local, now) {
            Whither::Targets(targets) => self.start(handle, asked, plan, targets, now),
            Whither::Ask(name) => self.ask(handle, name, now),
            Whither::Nobody(status) => self.give_up(handle, status),
        }
    }

    fn whither(&self, plan: &Plan<'_>, local: SocketAddrV4, now: Instant) -> Whither {
        match &plan.next {
            NextHop::User(number) => {
                let mut targets: Vec<_> =
                    self.registrar.lookup(number, now).into_iter().map(|b| self.bound(b, local)).collect();
                // A number stands for one other number at most: with several, a handful of numbers that stand for each other would
                // make thousands of requests out of one (RFC 5393 §3).
                let ourselves = self.own_address(local);
                let mut others = 0;
                targets.retain(|target| target.destination != ourselves || std::mem::replace(&mut others, 1) == 0);
                if !targets.is_empty() {
                    return Whither::Targets(targets);
                }
                match target::label(number) {
                    Some(label) => Whither::Ask(sip::Name::Number(label.to_owned())),
                    None => Whither::Nobody(404),
                }
            }
            NextHop::Address(address) => Whither::Targets(vec![Target::at(*address)]),
            NextHop::Host(host, _) => match target::host(host) {
                Some(host) => Whither::Ask(sip::Name::Host(host.to_owned())),
                None => Whither::Nobody(404),
            },
            NextHop::Ourselves => Whither::Nobody(404),
        }
    }

    /// A registered phone: its Contact in the Request-URI, sent to where its REGISTER came from. A Contact that names us is a
    /// number that stands for another one; that goes round through ourselves, where loops are noticed.
    fn bound(&self, binding: &sip::registrar::Binding, local: SocketAddrV4) -> Target {
        let names_us = crate::wire::sip::Uri::parse(&binding.contact)
            .is_ok_and(|contact| self.ours.serves(&contact) && contact.user.is_some());
        let destination = if names_us { self.own_address(local) } else { binding.source };
        let local = (!names_us).then_some(binding.local).filter(|local| !local.is_unspecified());
        Target { uri: binding.contact.clone(), destination, local, q: binding.q }
    }

    pub(super) fn own_address(&self, local: SocketAddrV4) -> SocketAddrV4 {
        let ip = if local.ip().is_unspecified() { Ipv4Addr::LOCALHOST } else { *local.ip() };
        SocketAddrV4::new(ip, local.port())
    }

    /// Asks the core for an address.
    fn ask(&mut self, handle: Handle, name: sip::Name, now: Instant) {
        if self.questions.len() >= limits::SIP_QUESTIONS {
            return self.give_up(handle, 480);
        }
        let Some(context) = self.store.get_mut(handle) else { return };
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        context.lookup = Some(Lookup { token, gives_up: now + LOOKUP });
        self.lookups.insert(token, handle);
        self.questions.push_back(Question { token, name });
    }

    /// Stops waiting for an address.
    pub(super) fn forget_lookup(&mut self, handle: Handle) {
        if let Some(lookup) = self.store.get_mut(handle).and_then(|context| context.lookup.take()) {
            self.lookups.remove(&lookup.token);
        }
    }

    /// The core has answered.
    pub(super) fn located(&mut self, handle: Handle, asked: &Asked<'_>, whereabouts: Whereabouts<'_>, now: Instant) {
        let Ok(plan) = target::plan(&asked.message, &self.ours) else { return };
        let addresses = match whereabouts {
            Whereabouts::At(addresses) if !addresses.is_empty() => addresses,
            Whereabouts::At(_) | Whereabouts::Unknown => return self.give_up(handle, 404),
            Whereabouts::KnownButUnreachable => return self.give_up(handle, 480),
        };
        let targets = match &plan.next {
            // A phone may have registered here while the question was out.
            NextHop::User(number) if self.registrar.lookup(number, now).is_empty() => {
                let label = target::label(number).unwrap_or("");
                if asked.method == Method::Invite {
                    let host = format!("{label}.{}", self.domain);
                    self.calls.observe_target(asked.essentials.call_id, &host);
                }
                let mut places: Vec<Target> = Vec::new();
                for address in addresses {
                    let destination = SocketAddrV4::new(*address, PORT);
                    let known = places.iter().any(|place| place.destination == destination);
                    // A name of our own is nobody else: the request would come back to us (RFC 3261 §16.3 step 4).
                    if !known && !self.ours.is_ours(address.to_string().as_bytes(), Some(PORT)) {
                        let uri = target::uri_at(label, *address, &plan.uri);
                        places.push(Target { uri, ..Target::at(destination) });
                    }
                }
                if places.is_empty() {
                    self.counts.loops += 1;
                    return self.give_up(handle, 482);
                }
                places
            }
            NextHop::User(_) => return self.route(handle, asked, &plan, now),
            // One address is enough for a next hop that was chosen by somebody else.
            NextHop::Host(_, port) => {
                addresses.iter().take(1).map(|address| Target::at(SocketAddrV4::new(*address, *port))).collect()
            }
            NextHop::Address(_) | NextHop::Ourselves => return self.route(handle, asked, &plan, now),
        };
        self.start(handle, asked, &plan, targets, now);
    }

    /// There is nobody to send it to.
    pub(super) fn give_up(&mut self, handle: Handle, status: u16) {
        if status == 404 {
            self.counts.not_found += 1;
        }
        let Some(context) = self.store.get_mut(handle) else { return };
        if context.server == Server::Nobody {
            self.counts.stray_acks += 1;
            return;
        }
        context.best = Some(Best::made_here(status));
    }

    /// Sends a request to the targets that are preferred most; the others wait.
    fn start(&mut self, handle: Handle, asked: &Asked<'_>, plan: &Plan<'_>, mut targets: Vec<Target>, now: Instant) {
        targets.retain(|target| self.may_reach(asked, target.destination));
        if targets.is_empty() {
            return self.give_up(handle, 404);
        }
        targets.truncate(limits::SIP_BRANCHES);
        targets.sort_by_key(|target| target.q);
        if asked.method == Method::Ack {
            // No fork: an ACK belongs to one dialog.
            if let Some(target) = targets.pop() {
                let lap = self.lap(asked, plan);
                self.send_ack(asked, plan, &target, lap);
            }
            return;
        }
        let Some(context) = self.store.get_mut(handle) else { return };
        if context.came_round {
            targets.drain(..targets.len().saturating_sub(1));
        }
        context.waiting = targets;
        self.next_group(handle, asked, plan, now);
    }

    /// Whether a request may go there: to an address that one host can have and, from outside, not to what listens on loopback
    /// only, unless that is a phone that has registered or talks already.
    fn may_reach(&self, asked: &Asked<'_>, destination: SocketAddrV4) -> bool {
        let ip = destination.ip();
        let one_host = !matches!(ip.octets(), [0 | 224.., ..]);
        let stays = !ip.is_loopback() || asked.peer.source.ip().is_loopback();
        one_host
            && (stays
                || self.registrar.bindings().any(|binding| binding.source == destination)
                || self.calls.holds(&asked.essentials)
                || destination == self.own_address(asked.peer.local))
    }

    /// RFC 3261 §16.6: in parallel among equals, one group after the other.
    pub(super) fn next_group(&mut self, handle: Handle, asked: &Asked<'_>, plan: &Plan<'_>, now: Instant) {
        let mut group = None;
        while let Some(context) = self.store.get_mut(handle) {
            let next = context.waiting.last().map(|target| target.q);
            if next.is_none() || group.is_some() && group != next {
                break;
            }
            group = next;
            if let Some(target) = context.waiting.pop() {
                self.send_branch(handle, asked, plan, &target, now);
            }
        }
    }

    fn send_branch(&mut self, handle: Handle, asked: &Asked<'_>, plan: &Plan<'_>, target: &Target, now: Instant) {
        let bytes = asked.message.bytes().len().saturating_add(512);
        let claim = if asked.essentials.to_tag.is_some() { Claim::Established } else { Claim::New };
        let room = self.store.make_room(bytes, claim);
        let Some(context) = self.store.get_mut(handle) else { return };
        let index = u8::try_from(context.branches.len()).unwrap_or(u8::MAX);
        if !room {
            context.best.get_or_insert(Best::made_here(503));
            return;
        }
        let id = BranchId { slot: handle.slot, generation: handle.generation, branch: index, lap: context.lap };
        let (path, sent) = self.compose(asked, plan, target, id);
        let invite = asked.method == Method::Invite;
        let branch = Branch {
            client: if invite { Client::Invite(ClientInvite::new(now)) } else { Client::Other(ClientOther::new(now)) },
            path,
            sent,
            ack: Box::default(),
            timer_c: invite.then(|| now + self.timer_c),
            cancel: Cancel::No,
        };
        if let Some(context) = self.store.get_mut(handle) {
            context.branches.reserve_exact(1);
            context.branches.push(branch);
        }
        // Phones that were found by name are listed by that name already.
        if invite && (target.uri.is_empty() || target.local.is_some()) {
            let host = target.destination.ip().to_string();
            self.calls.observe_target(asked.essentials.call_id, &host);
        }
    }

    /// RFC 3261 §16.6 steps 1 to 8. Says what was sent.
    fn compose(&mut self, asked: &Asked<'_>, plan: &Plan<'_>, target: &Target, id: BranchId) -> (Path, Box<[u8]>) {
        let essentials = &asked.essentials;
        let local = *asked.peer.local.ip();
        let (named, source) = self.local_for(target, target.local.unwrap_or(local));
        // The dialog comes back to the address that the caller knows, if the callee can reach it too.
        let (recorded, _) = self.local_for(target, local);
        let port = asked.peer.local.port();
        let branch = self.cookies.branch(id, essentials.call_id, essentials.cseq.number);
        // 12 + 21 + 8 + 49 characters, and 31 for the route: both always fit.
        let mut via: heapless::String<128> = heapless::String::new();
        let _ = write!(via, "SIP/2.0/UDP {named}:{port};branch={branch}");
        let mut route: heapless::String<48> = heapless::String::new();
        let _ = write!(route, "<sip:{recorded}:{port};lr>");
        // §16.6 step 4: what makes a dialog. RFC 3428 §6: not MESSAGE.
        let records = self.record_route && matches!(asked.method, Method::Invite | Method::Subscribe | Method::Refer);
        let strict = plan.push_route.map(|uri| [b"<", uri, b">"].concat());
        let edit = Forward {
            request_uri: if target.uri.is_empty() { plan.request_uri } else { Some(&target.uri) },
            via: via.as_bytes(),
            received: Some(*asked.peer.source.ip()),
            rport: Some(asked.peer.source.port()),
            // §16.6 step 3; 0 was refused.
            max_forwards: essentials.max_forwards.map_or(70, |hops| hops.saturating_sub(1)),
            record_route: records.then_some(route.as_bytes()),
            drop_routes: plan.drop_routes,
            drop_last_route: plan.drop_last_route,
            push_route: strict.as_deref(),
        };
        let path = Path { source, destination: target.destination };
        let sent = self.outbox.push(path, |out| forward_request(&asked.message, &edit, out));
        if !sent.is_empty() {
            return (path, sent.into());
        }
        // Lost at once for want of room: the first repeat will do.
        let mut bytes = Vec::new();
        forward_request(&asked.message, &edit, &mut bytes);
        (path, bytes.into())
    }

    /// The address of ours to name to a target, and the one to send from: `known`, unless it is loopback, which is of no use to
    /// anybody outside.
    fn local_for(&self, target: &Target, known: Ipv4Addr) -> (Ipv4Addr, Option<Ipv4Addr>) {
        let usable =
            |ip: &Ipv4Addr| !ip.is_unspecified() && (!ip.is_loopback() || target.destination.ip().is_loopback());
        if usable(&known) {
            return (known, Some(known));
        }
        match self.addresses.iter().copied().find(|ip| !ip.is_loopback() && usable(ip)) {
            Some(own) => (own, Some(own)),
            None if target.destination.ip().is_loopback() => (Ipv4Addr::LOCALHOST, None),
            None => (known, None),
        }
    }

    /// An ACK for a 2xx goes its own way, without a transaction (RFC 3261 §13.2.2.4, §16.6 at its end).
    pub(super) fn pass_ack(&mut self, asked: &Asked<'_>, now: Instant) {
        let Ok(plan) = target::plan(&asked.message, &self.ours) else {
            self.counts.stray_acks += 1;
            return;
        };
        let lap = self.lap(asked, &plan);
        if asked.essentials.max_forwards == Some(0) || self.passed(asked, lap).is_loop() {
            self.counts.stray_acks += 1;
            return;
        }
        match self.whither(&plan, asked.peer.local, now) {
            Whither::Targets(targets) => match targets.first() {
                Some(target) if self.may_reach(asked, target.destination) => {
                    self.send_ack(asked, &plan, target, lap);
                }
                _ => self.counts.stray_acks += 1,
            },
            Whither::Ask(name) => {
                let bytes = asked.message.bytes();
                let mut context = Context::new(None, Server::Nobody, asked.peer, bytes, lap);
                context.place = self.place(asked);
                if !self.has_share(asked) || !self.store.make_room(context.size(), Claim::Established) {
                    self.counts.stray_acks += 1;
                    return;
                }
                if let Some(handle) = self.store.insert(context) {
                    self.ask(handle, name, now);
                    self.store.settle(handle, now);
                }
            }
            Whither::Nobody(_) => {
                debug!("ACK of {} for nobody", asked.peer.source);
                self.counts.stray_acks += 1;
            }
        }
        self.calls.observe_request(&asked.message, &asked.essentials, asked.peer.source, now);
    }

    fn send_ack(&mut self, asked: &Asked<'_>, plan: &Plan<'_>, target: &Target, lap: u32) {
        // §16.11: the branch of what is forwarded without state depends on the branch that it came with, so that a repeated
        // ACK stays the same.
        let branch = asked.essentials.via.branch.unwrap_or(b"");
        let digest = self.cookies.digest("ack").field(branch).finish();
        let id = BranchId { slot: NOWHERE, generation: u32::try_from(digest >> 32).unwrap_or(0), branch: 0, lap };
        self.compose(asked, plan, target, id);
        self.counts.acks += 1;
    }
}
