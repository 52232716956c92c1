//! Registrar and stateful proxy (RFC 3261).

pub mod transaction;
