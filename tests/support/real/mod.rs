//! Real programs: the daemon and those it meets, each started by the test itself, waited for by events, and gone with the test.

#![allow(dead_code, unused_imports, missing_docs, reason = "each test and benchmark uses a part of it")]

pub mod daemon;
pub mod ground;
pub mod handset;
pub mod http;
pub mod line;
pub mod namespaces;
pub mod page;
pub mod sipp;

pub use daemon::{Exchange, Kind, Setup};
pub use ground::{PATIENCE, Process, Tree, installed, until};
pub use handset::Handset;
