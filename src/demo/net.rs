//! Routers as probes see them: a way from here to each, links that are good at times and bad at others, and an error rationed as
//! Linux does it when a packet's hops are used up.
//!
//! Deliberately not here: what travels. Everything is a function of the time since the start, so the truth can be asked for.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::places::{MORE_LINKS, PLACES, SILENT, address};
use crate::time::Instant;

/// What Linux keeps for each destination: six errors at once, then one a second (`icmp_ratelimit`).
const TOKENS: Duration = Duration::from_secs(6);
const TOKEN: Duration = Duration::from_secs(1);

/// A router on the way.
#[derive(Clone, Debug)]
pub struct Router {
    /// From which it speaks.
    pub address: Ipv4Addr,
    /// The router before it; `None`: it is a neighbour.
    pub parent: Option<usize>,
    /// It never says that a packet ended with it.
    pub silent: bool,
    tokens: Duration,
    counted: Instant,
    /// Errors that it sent.
    pub said: u64,
    /// Errors that it held back.
    pub held_back: u64,
}

impl Router {
    /// A router that has not said anything for a while.
    pub fn new(address: Ipv4Addr, parent: Option<usize>, silent: bool, now: Instant) -> Self {
        Self { address, parent, silent, tokens: TOKENS, counted: now, said: 0, held_back: 0 }
    }

    /// A packet ended here: whether it says so.
    pub fn speaks(&mut self, now: Instant) -> bool {
        if self.silent {
            return false;
        }
        self.tokens = (self.tokens + now.since(self.counted)).min(TOKENS);
        self.counted = now;
        match self.tokens.checked_sub(TOKEN) {
            Some(left) => {
                self.tokens = left;
                self.said += 1;
                true
            }
            None => {
                self.held_back += 1;
                false
            }
        }
    }
}

/// The routers to one of them, the nearest first, itself included.
pub fn way(last: usize, parent: impl Fn(usize) -> Option<usize>) -> Vec<usize> {
    let mut way: Vec<usize> = std::iter::successors(Some(last), |at| parent(*at)).collect();
    way.reverse();
    way
}

/// A link between two nodes.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// One end.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// What it is made of, as the firmware calls it.
    pub medium: &'static str,
    good_us: u32,
}

/// How a link or a way is just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// There and back, in microseconds.
    pub rtt_us: u64,
    /// Of a thousand packets, how many are lost one way.
    pub loss: u64,
}

/// All of it.
#[derive(Debug)]
pub struct Net {
    started: Instant,
    /// As in [`PLACES`]; the first is this node, which is no hop of its own.
    pub routers: Vec<Router>,
    /// The first ones lead from the second node on to each node's parent.
    pub links: Vec<Link>,
}

impl Net {
    /// The mesh of the demo.
    pub fn new(now: Instant) -> Self {
        let parents = PLACES.iter().enumerate().map(|(n, place)| (n, Some(place.parent).filter(|parent| *parent > 0)));
        let trees = PLACES.iter().enumerate().skip(1);
        let tree = trees.map(|(a, p)| Link { a, b: p.parent, medium: p.medium, good_us: p.rtt_us });
        let more = MORE_LINKS.iter().map(|(a, b, medium, good_us)| Link { a: *a, b: *b, medium, good_us: *good_us });
        Self {
            started: now,
            routers: parents.map(|(n, parent)| Router::new(address(n), parent, n == SILENT, now)).collect(),
            links: tree.chain(more).collect(),
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self, now: Instant) -> u64 {
        now.since(self.started).as_secs()
    }

    /// Whether a node has power: two of them come and go, one for long enough to be called inactive, and no router is behind them.
    pub fn is_up(&self, node: usize, now: Instant) -> bool {
        let minute = self.seconds(now) / 60;
        match node {
            23 => !(1..12).contains(&(minute % 16)),
            31 => !(7..9).contains(&(minute % 10)),
            _ => true,
        }
    }

    /// A quarter of the links have bad times, each in a rhythm of its own.
    pub fn weather(&self, link: usize, now: Instant) -> Weather {
        let Some(Link { good_us, .. }) = self.links.get(link) else { return Weather::default() };
        let number = u64::try_from(link).unwrap_or(0);
        let (period, bad) = (180 + 40 * (number % 5), 80);
        let at = (self.seconds(now) + 61 * number) % period;
        let trouble = if number % 4 == 1 && at < bad { at.min(bad - at) * 2 } else { 0 };
        // Up to 80: a tenth of a second more, and every sixteenth packet is lost.
        Weather { rtt_us: u64::from(*good_us) + trouble * trouble * 16, loss: trouble * 5 / 8 }
    }

    /// The way to a node, and how it is; `None`: it is not to be reached.
    pub fn reach(&self, node: usize, now: Instant) -> Option<(Vec<usize>, Weather)> {
        if node == 0 {
            return Some((Vec::new(), Weather { rtt_us: 400, loss: 0 }));
        }
        let way = way(node, |router| self.routers.get(router)?.parent);
        if way.iter().any(|router| !self.is_up(*router, now)) {
            return None;
        }
        let each = way.iter().map(|router| self.weather(router.saturating_sub(1), now));
        Some((
            way.clone(),
            each.fold(Weather { rtt_us: 400, loss: 0 }, |sum, link| Weather {
                rtt_us: sum.rtt_us + link.rtt_us,
                loss: sum.loss + link.loss,
            }),
        ))
    }

    /// The links of a node that work, each with its other end and how it is.
    pub fn neighbours(&self, node: usize, now: Instant) -> Vec<(usize, Link, Weather)> {
        let mut found = Vec::new();
        for (index, link) in self.links.iter().enumerate().filter(|(_, link)| link.a == node || link.b == node) {
            let other = if link.a == node { link.b } else { link.a };
            if self.is_up(node, now) && self.is_up(other, now) {
                found.push((other, *link, self.weather(index, now)));
            }
        }
        found
    }
}
