//! All engines together, still without I/O.

pub mod event;
