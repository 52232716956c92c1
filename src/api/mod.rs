//! The HTTP API: which path is answered with what.
