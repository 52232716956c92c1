//! Registrar and stateful proxy (RFC 3261).
