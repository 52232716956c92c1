//! The package for mips_24kc on an emulated router of that kind (`machine.rs`), big-endian: `make router`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod archive;
mod crash;
mod exchange;
mod library;
mod machine;
mod memory;
#[path = "../support/real/mod.rs"]
mod real;
mod service;
