//! Bytes to values and back. No state, no time, no logging; errors are small `Copy` enums that say what and where.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::cast_sign_loss))]

pub mod babel;
pub mod crash;
pub mod dns;
pub mod hosts;
pub mod http;
pub mod icmp;
mod json;
pub mod lqm;
pub mod moments;
pub mod process;
pub mod services;
pub mod sip;
pub mod sysinfo;
pub mod uci;

pub use json::BadJson;
