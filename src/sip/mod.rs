//! Registrar and stateful proxy (RFC 3261).

pub mod cookie;
pub mod fairness;
pub mod outbox;
pub mod transaction;
