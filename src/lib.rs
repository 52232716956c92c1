//! Switchboard: the telephone exchange of a mesh router.
//!
//! The folders are the architecture, from the wire up:
//!
//! * [`time`], [`rng`], [`sorted`], [`limits`], [`engine`], [`features`], [`files`], [`config`]: the ground every part stands on.
//! * [`wire`]: bytes to values and back; no state, no time, no logging.
//! * One folder for each job, each a state machine without I/O: [`sip`] (registrar, proxy, calls), [`phonebook`]
//!   (fetch, read, compare, publish), [`probe`] (the tests of the phones), [`hosts`] (names the node already knows), [`dns`], [`http`],
//!   [`health`] (the watch over itself) and [`api`].
//! * [`core`]: all engines together, still without I/O. `core/route.rs` is the data flow.
//! * [`demo`]: a simulated mesh around the core, for people who want to see it at work; not on routers.
//! * [`rt`]: the only sockets, files, clock, signals and randomness.
//!
//! Arrows point down only: `main → cli → rt → demo → core → engines → {wire, config, features, files, time, rng, sorted, limits, engine}`. Engines never
//! import each other. `tests/layering.rs` walks the sources and fails on an arrow that goes up.

pub mod config;
pub mod engine;
pub mod features;
pub mod files;
pub mod limits;
pub mod rng;
pub mod sorted;
pub mod time;
pub mod wire;

pub mod api;
pub mod dns;
pub mod health;
pub mod hosts;
pub mod http;
pub mod mesh;
pub mod phonebook;
pub mod probe;
pub mod sip;

pub mod core;

#[cfg(feature = "demo")]
pub mod demo;
#[cfg(not(feature = "demo"))]
#[path = "demo/none.rs"]
pub mod demo;

pub mod cli;
pub mod rt;
