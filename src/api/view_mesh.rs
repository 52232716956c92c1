//! What people and programs get to see of the map of the mesh, besides the map itself, which is a file of its own form.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use serde::Serialize;

/// The map in one look: `GET /api/v1/mesh`.
#[derive(Clone, Debug, Serialize)]
pub struct MeshView {
    /// Whether this node draws a map at all.
    pub enabled: bool,
    /// Routers on the map.
    pub routers: usize,
    /// Phones on the map.
    pub phones: usize,
    /// Routers and phones that were not seen for long.
    pub inactive: usize,
    /// Links on the map.
    pub links: usize,
    /// How much is wrong: `GET /api/v1/mesh/findings` lists it.
    pub findings: usize,
    /// How the other nodes are asked; `None`: they are not.
    pub crawl: Option<CrawlView>,
}

/// A round of questions to the routers, the one that goes on or the last one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CrawlView {
    /// Rounds since the start.
    pub rounds: u64,
    /// Whether one is going on.
    pub running: bool,
    /// Routers to be asked, as far as is known.
    pub asked: u32,
    /// Those that answered.
    pub answered: u32,
    /// Those that did not, or not with what was asked for.
    pub failed: u32,
    /// Requests that were sent; old firmware needs a second one in its first round.
    pub requests: u32,
    /// How long the last whole round took, in milliseconds.
    pub took_ms: u64,
    /// Until the next round, in seconds.
    pub next_in_s: Option<u64>,
}

/// A phone that a node announces: `GET /api/v1/mesh/phones`.
#[derive(Clone, Debug, Serialize)]
pub struct MeshPhoneView<'a> {
    /// Its number.
    pub number: Cow<'a, str>,
    /// The name of its host.
    pub host: Cow<'a, str>,
    /// Its address, if a host file says it.
    pub address: Option<Ipv4Addr>,
    /// The router behind which it is, if that is known.
    pub router: Option<Cow<'a, str>>,
    /// The name in the book, if it is listed.
    pub name: Option<String>,
}
