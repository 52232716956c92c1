//! In place of the simulated mesh, in programs without it: a world that cannot exist, so that nothing of it is left in them.

#![allow(missing_docs)]

use std::net::SocketAddrV4;

use crate::core::Core;
use crate::core::event::{Effect, IcmpMode, IcmpOut, Identity, Transmit};
use crate::rng::Seed;
use crate::time::Instant;

/// There is none.
#[derive(Debug)]
pub enum World {}

impl World {
    pub fn identity(&self, _: Identity) -> Identity {
        match *self {}
    }

    pub fn set_icmp_mode(&mut self, _: IcmpMode) {
        match *self {}
    }

    pub fn take_datagram(&mut self, _: &Transmit, _: &[u8], _: Instant) -> bool {
        match *self {}
    }

    pub fn take_icmp(&mut self, _: &IcmpOut, _: &[u8], _: Instant) -> bool {
        match *self {}
    }

    pub fn take_effect(&mut self, _: Effect, _: Instant) -> Option<Effect> {
        match *self {}
    }

    pub fn hear(&mut self, _: &mut Core, _: Instant) {
        match *self {}
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        match *self {}
    }

    pub fn handle_timeout(&mut self, _: &mut Core, _: Instant) {
        match *self {}
    }
}

/// No program without it makes one.
pub fn world(_: &Seed, _: SocketAddrV4, _: Instant) -> Option<World> {
    None
}
