//! What must hold for any bytes, one function for each parser. `fuzz/fuzz_targets/*.rs` call these under cargo-fuzz, and
//! `tests/fuzz_corpus.rs` calls them with every file of `fuzz/corpus/`, so that plain `cargo test` covers what was found.
//!
//! A new target: a file here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets/`, a `[[bin]]` in `fuzz/Cargo.toml` and a
//! folder with a few small files in `fuzz/corpus/`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, dead_code)]

pub mod babel;
pub mod core;
pub mod crash;
pub mod csv;
pub mod dns;
pub mod hosts;
pub mod http_request;
pub mod http_response;
pub mod icmp;
pub mod lqm;
pub mod services;
pub mod sip_message;
pub mod sysinfo;
pub mod uci;
pub mod uri;

/// A function that takes any bytes and panics if something does not hold.
pub type Target = fn(&[u8]);

/// By the name of the folder in `fuzz/corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("babel", babel::check),
    ("core", core::check),
    ("crash", crash::check),
    ("csv", csv::check),
    ("dns", dns::check),
    ("hosts", hosts::check),
    ("http_request", http_request::check),
    ("http_response", http_response::check),
    ("icmp", icmp::check),
    ("lqm", lqm::check),
    ("services", services::check),
    ("sip_message", sip_message::check),
    ("sysinfo", sysinfo::check),
    ("uci", uci::check),
    ("uri", uri::check),
];
