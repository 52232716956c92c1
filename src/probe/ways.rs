//! The ways to the phones, found with as few packets as there are things to find.
//!
//! A phone's echo reply says how far away it is. From there the way is asked for backwards, one router at a time, and only as
//! far as somebody else's way goes: every router is asked for once in a cycle, every phone asks once, and phones behind one
//! router ask together.
//!
//! ```text
//!   phone at 5 ──ask at 4──▶ R4, new ──ask at 3──▶ R3, new ──ask at 2──▶ R2, known: stop
//!                  │ nobody answers: again, at 1 s and at 2 s; then R4 is silent, and at 3 it goes on
//! ```
//!
//! A phone that answers SIP and no ping is as far away as the TTL of its SIP says, or farther: first its own distance is asked for.
//! A router that answers there is one more on the way; silence is the phone.
//!
//! A Linux router answers only six such probes at once and then one a second. Whose turn it is to answer is not known before
//! it does, so a probe waits until the most tired router at its distance has an answer left: what is dropped would have to be
//! asked again. When the router of an earlier cycle is expected, only that one is waited for.
//!
//! Deliberately not here: packets, sockets, the phones themselves. Routes in balance (several ways at once) are shown as one
//! of them.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::trial::DETOUR;
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::{Instant, micros};

/// What a router says at once, one less than Linux (`icmp_ratelimit`): somebody else may ask it too.
const BURST: u64 = 5;
/// And then, again with a little less than Linux says.
const REFILL: Duration = Duration::from_millis(1_020);
/// The longest way that is ever looked for.
pub const HOPS: u8 = 30;

/// The nearest router that answers, on the way back from something. Between them, if their distances differ by more than
/// one, are those that do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Its distance; 0 is ourselves.
    pub distance: u8,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Link {
    /// Where every way begins.
    pub const US: Self = Self { distance: 0, address: Ipv4Addr::UNSPECIFIED };
}

/// One step of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// From us, beginning with 1.
    pub distance: u8,
    /// `None`: it does not answer.
    pub address: Option<Ipv4Addr>,
    /// The last round trip, in microseconds.
    pub rtt_us: Option<u32>,
}

/// What a way is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A phone, by its index.
    Phone(u32),
    /// A router that was found on the way to another.
    Router(Link),
}

/// A router.
#[derive(Clone, Copy, Debug)]
struct Router {
    /// The way back, once it is known.
    link: Option<Link>,
    /// The cycle in which it last answered.
    seen: u32,
    /// When it could say [`BURST`] things at once again.
    rested: Instant,
    rtt_us: u32,
}

/// Looking one step further back than is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peek {
    /// Not done.
    No,
    /// The next probe goes one step further back, because somebody is silent at this distance: it may be the same one.
    Now,
    /// This is what stands there.
    Found(Link),
    /// Nothing answered there either.
    Failed,
}

/// A question: who stands at this distance on the way to `target`?
#[derive(Clone, Copy, Debug)]
struct Ask {
    subject: Subject,
    target: Ipv4Addr,
    ttl: u8,
    tries: u8,
    peek: Peek,
    /// The farthest distance that was found silent on the way here; 0: none.
    silent_from: u8,
    /// While the distance of a phone that answers no ping is looked for: how many routers more there may be on the way to it, and
    /// the last one that was found.
    farther: u8,
    behind: Option<Link>,
    /// Who will answer at its distance, if nothing has changed since the last cycle.
    expected: Option<Link>,
    /// Not to be sent before.
    not_before: Instant,
    patience: Duration,
    /// How often it is asked.
    most: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// On its way; nobody knows whose answer it will cost.
    Sent,
    /// On its way; it was put down to the expected router.
    Charged(Link),
}

/// What is known of one distance.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// Probes under way of which nobody knows whose answer they will cost.
    under_way: u64,
    /// When its most tired router has rested.
    rested: Instant,
}

/// Phones behind one router.
#[derive(Clone, Debug)]
struct Lan {
    /// Who asks for all.
    first: u32,
    /// How far away it is, and what stands before it.
    found: Option<(u8, Link)>,
    /// Who waits for the answer.
    waiting: Vec<Errand>,
}

/// A phone whose way is to be found.
#[derive(Clone, Copy, Debug)]
pub struct Errand {
    /// Its index.
    pub phone: u32,
    /// Its address.
    pub target: Ipv4Addr,
    /// How far away it is.
    pub distance: u8,
    /// It answered from there; else that is only what its packets look like.
    pub proven: bool,
    /// The router that announced it, if that is known.
    pub node: Option<Ipv4Addr>,
    /// What stood before it in the last cycle.
    pub before: Option<Link>,
    /// How long an answer may take: a second at least, for a router that drops one has no answer left for another before.
    pub patience: Duration,
    /// How often a distance is asked before its router is called silent.
    pub tries: u8,
}

/// A way was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The phone.
    pub phone: u32,
    /// Its distance, which may be less than what was guessed.
    pub distance: u8,
    /// What stands before it.
    pub link: Link,
}

/// All ways.
#[derive(Debug, Default)]
pub struct Ways {
    cycle: u32,
    routers: SortedMap<Link, Router>,
    /// Distances at which somebody was silent, behind whom, and in which cycle.
    silent: SortedMap<Link, u32>,
    asks: SortedMap<u32, Ask>,
    next: u32,
    /// By distance.
    levels: Vec<Level>,
    lans: SortedMap<Ipv4Addr, Lan>,
    found: Vec<Found>,
    /// What is to be sent next, and when; worked out again when something changed.
    plan: Option<Option<(Instant, u32)>>,
    /// Routers that were not remembered for want of room.
    pub refused: u64,
}

impl Ways {
    /// A cycle begins: everything is to be seen again; what was not seen in two cycles is forgotten.
    pub fn begin(&mut self, cycle: u32) {
        self.drop_questions();
        self.cycle = cycle;
        self.routers.retain(|_, router| router.seen.saturating_add(2) >= cycle);
        self.silent.retain(|_, seen| seen.saturating_add(2) >= cycle);
    }

    /// Forgets what was to be asked, and for whom. What is known of routers stays.
    pub fn drop_questions(&mut self) {
        self.asks.clear();
        self.found.clear();
        for level in &mut self.levels {
            level.under_way = 0;
        }
        self.lans.clear();
        self.plan = None;
    }

    /// Whether something is still to be found.
    pub fn is_busy(&self) -> bool {
        !self.asks.is_empty() || !self.found.is_empty()
    }

    /// Questions that are open.
    pub fn questions(&self) -> usize {
        self.asks.len()
    }

    /// Routers that are known.
    pub fn routers(&self) -> usize {
        self.routers.len()
    }

    /// Looks for the way to a phone.
    pub fn look_for(&mut self, errand: Errand, now: Instant) {
        let Errand { phone, distance, proven, node, .. } = errand;
        if distance <= 1 && proven {
            self.found.push(Found { phone, distance: 1, link: Link::US });
            return;
        }
        // Phones of one router have one way, whatever the ways back look like.
        if let Some(node) = node {
            if let Some(lan) = self.lans.get_mut(&node) {
                match lan.found {
                    Some((distance, link)) => self.found.push(Found { phone, distance, link }),
                    None => lan.waiting.push(errand),
                }
                return;
            }
            self.lans.insert(node, Lan { first: phone, found: None, waiting: Vec::new() });
        }
        let distance = if proven { distance.saturating_sub(1) } else { distance };
        self.ask(Subject::Phone(phone), &Errand { distance, ..errand }, now);
    }

    /// A router answered something else of ours: that is one answer less.
    pub fn charge(&mut self, distance: u8, address: Ipv4Addr, now: Instant) {
        let link = Link { distance, address };
        if let Some(router) = self.routers.get_mut(&link) {
            router.rested = router.rested.max(now) + REFILL;
            let rested = router.rested;
            self.tire(distance, rested);
        }
        self.plan = None;
    }

    /// The next question that may be sent, and when.
    pub fn plan(&mut self, now: Instant) -> Option<(Instant, u32)> {
        if let Some(plan) = self.plan {
            return plan;
        }
        // Near ones first: what they find spares the far ones.
        let plan = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.state == State::Waiting)
            .filter_map(|(id, ask)| Some((self.earliest(ask)?.max(now), ask.probe_ttl(), *id)))
            .min()
            .map(|(at, _, id)| (at, id));
        self.plan = Some(plan);
        plan
    }

    /// As [`Ways::plan`], as far as it was worked out.
    pub fn planned(&self) -> Option<Instant> {
        self.plan.flatten().map(|(at, _)| at)
    }

    /// A question goes out: to whom, with which TTL, and how long its answer may take.
    pub fn send(&mut self, id: u32, now: Instant) -> Option<(Ipv4Addr, u8, Duration)> {
        self.plan = None;
        let ask = self.asks.get_mut(&id)?;
        let ttl = ask.probe_ttl();
        let expected = ask.expected.filter(|link| link.distance == ttl);
        match expected.and_then(|link| Some((link, self.routers.get_mut(&link)?))) {
            Some((link, router)) => {
                router.rested = router.rested.max(now) + REFILL;
                ask.state = State::Charged(link);
                let (rested, sent) = (router.rested, (ask.target, ttl, ask.patience));
                self.tire(ttl, rested);
                Some(sent)
            }
            None => {
                ask.state = State::Sent;
                let sent = (ask.target, ttl, ask.patience);
                if let Some(level) = self.level(ttl) {
                    level.under_way = level.under_way.saturating_add(1);
                }
                Some(sent)
            }
        }
    }

    /// A router at the distance that was asked for answered.
    pub fn handle_router(&mut self, id: u32, address: Ipv4Addr, rtt_us: u32, now: Instant) {
        let Some(mut ask) = self.take(id) else { return };
        let link = Link { distance: ask.probe_ttl(), address };
        self.see(link, rtt_us, now);
        if ask.state != State::Charged(link) {
            self.charge(link.distance, address, now);
        }
        ask.state = State::Waiting;
        let below = match ask.peek {
            Peek::Found(below) => Some(below),
            Peek::No | Peek::Now | Peek::Failed => ask.behind,
        };
        self.go_on_from(link, &ask, below, now);
        if ask.farther > 0 && ask.ttl < HOPS {
            // Not the phone: it is farther away.
            let (farther, ttl) = (ask.farther.saturating_sub(1), ask.ttl.saturating_add(1));
            if farther > 0 {
                self.asks.insert(id, Ask { farther, ttl, behind: Some(link), expected: None, not_before: now, ..ask });
                return;
            }
        }
        if ask.peek == Peek::Now {
            if !self.silent.contains_key(&Link { distance: ask.ttl, address }) {
                ask.peek = Peek::Found(link);
                self.asks.insert(id, ask);
                return;
            }
            // The same silent router as somebody else's.
            ask.silent_from = ask.silent_from.max(ask.ttl);
        }
        self.conclude(&ask, link);
    }

    /// The target itself answered: it is not as far away as it seemed.
    pub fn handle_target(&mut self, id: u32, now: Instant) {
        let Some(ask) = self.take(id) else { return };
        let ttl = ask.probe_ttl();
        match ask.subject {
            Subject::Phone(phone) if ttl <= 1 => self.settle(Found { phone, distance: 1, link: Link::US }),
            subject @ Subject::Phone(_) => {
                self.ask(subject, &ask.errand(ttl.saturating_sub(1), None), now);
            }
            // The route changed under way; the next cycle will see.
            Subject::Router(_) => {}
        }
    }

    /// Nothing answered in time.
    pub fn handle_silence(&mut self, id: u32, now: Instant) {
        let Some(mut ask) = self.take(id) else { return };
        if ask.farther > 0 {
            return self.is_there(id, ask, now);
        }
        if ask.peek == Peek::Now {
            ask.peek = Peek::Failed;
        } else {
            ask.tries = ask.tries.saturating_add(1);
            // Who answered there in the last cycle is hardly somebody who never does.
            let expected = ask.expected.is_some_and(|link| link.distance == ask.ttl);
            let us = Link { distance: ask.ttl, address: Link::US.address };
            let known_silent = ask.tries == 1 && !expected && self.is_silent(ask.ttl);
            if known_silent && ask.ttl == 1 && self.silent.contains_key(&us) {
                ask.tries = ask.most;
            } else if known_silent && ask.ttl > 1 && ask.peek == Peek::No {
                ask.peek = Peek::Now;
            }
        }
        (ask.state, ask.not_before) = (State::Waiting, now);
        ask.expected = None;
        if ask.tries < ask.most {
            self.asks.insert(id, ask);
            return;
        }
        // It is silent. What stands before it?
        ask.silent_from = ask.silent_from.max(ask.ttl);
        match ask.peek {
            Peek::Found(below) => self.conclude(&ask, below),
            _ if ask.ttl <= 1 => self.conclude(&ask, Link::US),
            _ => {
                let (tries, peek, ttl) = (0, Peek::No, ask.ttl.saturating_sub(1));
                self.asks.insert(id, Ask { tries, peek, ttl, not_before: now, ..ask });
            }
        }
    }

    /// The target cannot be reached any more: there is nothing to be found.
    pub fn handle_unreachable(&mut self, id: u32, now: Instant) {
        match self.take(id) {
            // It answers SIP: somebody before it lets no pings through.
            Some(ask) if ask.farther > 0 => self.is_there(id, ask, now),
            Some(Ask { subject: Subject::Phone(phone), .. }) => self.hand_over(phone, now),
            _ => {}
        }
    }

    /// No router stands at the distance of a question for a phone that answers no ping: the phone does.
    fn is_there(&mut self, id: u32, ask: Ask, now: Instant) {
        match ask.behind {
            Some(link) => self.conclude(&ask, link),
            None if ask.ttl <= 1 => self.conclude(&ask, Link::US),
            None => {
                let (farther, ttl, state) = (0, ask.ttl.saturating_sub(1), State::Waiting);
                self.asks.insert(id, Ask { farther, ttl, state, not_before: now, ..ask });
            }
        }
    }

    /// A way that was found.
    pub fn poll_found(&mut self) -> Option<Found> {
        self.found.pop()
    }

    /// All steps to a phone that stands behind `link` at `distance`, the nearest first, without the phone itself. `None`: it
    /// has changed so that no whole way is known.
    pub fn way(&self, distance: u8, link: Link) -> Option<Vec<Hop>> {
        let mut hops = Vec::new();
        let (mut distance, mut link) = (distance, link);
        loop {
            let silent = link.distance.saturating_add(1)..distance;
            hops.extend(silent.rev().map(|distance| Hop { distance, address: None, rtt_us: None }));
            if link == Link::US {
                break;
            }
            let router = self.routers.get(&link)?;
            hops.push(Hop { distance: link.distance, address: Some(link.address), rtt_us: Some(router.rtt_us) });
            // Distances only become smaller: this ends.
            let before = router.link.filter(|before| before.distance < link.distance)?;
            (distance, link) = (link.distance, before);
        }
        hops.reverse();
        Some(hops)
    }

    /// Asks who stands at the distance that the errand says.
    fn ask(&mut self, subject: Subject, errand: &Errand, now: Instant) {
        let Errand { target, distance: ttl, before, proven, patience, tries: most, .. } = *errand;
        let ask = Ask {
            subject,
            target,
            ttl,
            tries: 0,
            peek: Peek::No,
            silent_from: 0,
            farther: if proven { 0 } else { DETOUR },
            behind: None,
            expected: before,
            not_before: now,
            patience,
            most,
            state: State::Waiting,
        };
        while self.asks.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        self.asks.insert(self.next, ask);
        self.next = self.next.wrapping_add(1);
        self.plan = None;
    }

    /// When a question may be sent; `None`: not before another is answered.
    fn earliest(&self, ask: &Ask) -> Option<Instant> {
        let ttl = ask.probe_ttl();
        let level = self.levels.get(usize::from(ttl)).copied().unwrap_or_default();
        let expected = ask.expected.filter(|link| link.distance == ttl).and_then(|link| self.routers.get(&link));
        let rested = match expected {
            Some(router) => router.rested,
            None if level.under_way >= BURST => return None,
            None => level.rested,
        };
        // All that is under way may cost the same router.
        let wanted = rested + REFILL.saturating_mul(u32::try_from(level.under_way).unwrap_or(u32::MAX));
        let spare = REFILL.saturating_mul(u32::try_from(BURST.saturating_sub(1)).unwrap_or_default());
        Some(Instant::from_micros(wanted.as_micros().saturating_sub(micros(spare))).max(ask.not_before))
    }

    /// Takes a question that was sent off the list, and off what its distance is charged with.
    fn take(&mut self, id: u32) -> Option<Ask> {
        self.plan = None;
        let ask = self.asks.remove(&id)?;
        if ask.state == State::Sent {
            if let Some(level) = self.level(ask.probe_ttl()) {
                level.under_way = level.under_way.saturating_sub(1);
            }
        }
        Some(ask)
    }

    fn level(&mut self, distance: u8) -> Option<&mut Level> {
        let place = usize::from(distance);
        if self.levels.len() <= place {
            self.levels.resize(place.saturating_add(1), Level::default());
        }
        self.levels.get_mut(place)
    }

    /// A router at this distance has rested only then.
    fn tire(&mut self, distance: u8, rested: Instant) {
        if let Some(level) = self.level(distance) {
            level.rested = level.rested.max(rested);
        }
    }

    fn is_silent(&self, distance: u8) -> bool {
        let from = Link { distance, address: Ipv4Addr::UNSPECIFIED };
        let to = Link { distance, address: Ipv4Addr::BROADCAST };
        self.silent.range(from..=to).next().is_some()
    }

    fn see(&mut self, link: Link, rtt_us: u32, now: Instant) {
        let full = self.routers.len() >= limits::PROBE_ROUTERS;
        match self.routers.get_mut(&link) {
            Some(router) => router.rtt_us = rtt_us,
            None if full => self.refused += 1,
            None => {
                self.routers.insert(link, Router { link: None, seen: 0, rested: now, rtt_us });
            }
        }
    }

    /// A router was found on the way to the target of `ask`: what stands before it, unless it was seen in this cycle.
    fn go_on_from(&mut self, link: Link, ask: &Ask, below: Option<Link>, now: Instant) {
        let cycle = self.cycle;
        let Some(router) = self.routers.get_mut(&link) else { return };
        if router.seen == cycle {
            return;
        }
        router.seen = cycle;
        let before = router.link;
        match below {
            _ if link.distance <= 1 => router.link = Some(Link::US),
            Some(below) => router.link = Some(below),
            None => {
                let ttl = link.distance.saturating_sub(1);
                self.ask(Subject::Router(link), &ask.errand(ttl, before), now);
            }
        }
    }

    /// What stands before the subject of a question is known; what lies between is silent.
    fn conclude(&mut self, ask: &Ask, link: Link) {
        for distance in link.distance.saturating_add(1)..=ask.silent_from {
            // Beyond the bound they are asked again each time.
            if self.silent.len() < limits::PROBE_ROUTERS {
                self.silent.insert(Link { distance, address: link.address }, self.cycle);
            }
        }
        match ask.subject {
            Subject::Router(at) => {
                if let Some(router) = self.routers.get_mut(&at) {
                    router.link = Some(link);
                }
            }
            Subject::Phone(phone) => {
                let distance = ask.silent_from.max(link.distance).saturating_add(1);
                self.settle(Found { phone, distance, link });
            }
        }
    }

    /// The way to a phone was found, and with it that to all behind the same router.
    fn settle(&mut self, found: Found) {
        let Found { distance, link, .. } = found;
        self.found.push(found);
        if let Some(lan) = self.lans.values_mut().find(|lan| lan.first == found.phone) {
            lan.found = Some((distance, link));
            let waiting = std::mem::take(&mut lan.waiting);
            self.found.extend(waiting.iter().map(|errand| Found { phone: errand.phone, distance, link }));
        }
    }

    /// A phone went away before its way was found: another one of its router asks.
    fn hand_over(&mut self, phone: u32, now: Instant) {
        let node = self.lans.iter().find(|(_, lan)| lan.first == phone).map(|(node, _)| *node);
        let lan = node.and_then(|node| self.lans.remove(&node));
        for errand in lan.map(|lan| lan.waiting).unwrap_or_default() {
            self.look_for(errand, now);
        }
    }
}

impl Ask {
    /// The same for what stands at another distance.
    fn errand(&self, distance: u8, before: Option<Link>) -> Errand {
        let (target, patience, tries) = (self.target, self.patience, self.most);
        Errand { phone: 0, target, distance, proven: true, node: None, before, patience, tries }
    }

    /// The distance that the next probe asks for, or the one under way asked for.
    fn probe_ttl(&self) -> u8 {
        if self.peek == Peek::Now { self.ttl.saturating_sub(1) } else { self.ttl }
    }
}

#[cfg(test)]
#[path = "ways_tests.rs"]
mod tests;
