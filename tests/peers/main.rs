//! The daemon among real peers: SIPp, baresip and a browser, each started by the test itself on a piece of loopback of
//! its own. A peer that is not installed is named and its tests are skipped; with `SWITCHBOARD_REQUIRE_PEERS=1`, as in
//! `.ci/run`, that is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod addresses;
mod baresip;
mod calls;
mod desk;
mod look;
#[path = "../support/real/mod.rs"]
mod real;
mod signals;
