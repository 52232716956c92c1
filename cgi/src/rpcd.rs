//! The program as a plug-in of rpcd, OpenWrt's bridge to ubus: `/usr/libexec/rpcd/switchboard` is one more link to it, and
//! `ubus call switchboard status` asks the daemon over its socket. LuCI reads the same methods.
//!
//! rpcd's side of the contract: `list` prints the methods with their arguments (ours take none); `call METHOD` gets an
//! object on standard input and prints one. It waits 120 seconds and takes 256 KB; the book and the tests of all phones may
//! be larger, so they have no method.

use super::{PATIENCE, daemon, put, socket};

/// Name of a method, and what the daemon is asked.
const METHODS: [(&str, &str); 6] = [
    ("calls", "GET /api/v1/calls"),
    ("fetch", "POST /api/v1/phonebook/reload"),
    ("findings", "GET /api/v1/mesh/findings"),
    ("registrations", "GET /api/v1/registrations"),
    ("reload", "POST /api/v1/reload"),
    ("status", "GET /api/v1/status"),
];

/// The name of the link, and of the object on ubus.
pub const NAME: &str = "switchboard";

/// Does what rpcd asks for. `false`: this is no question of rpcd's.
pub fn main(mut words: impl Iterator<Item = String>) -> bool {
    match (words.next().as_deref(), words.next().as_deref()) {
        (Some("list"), None) => {
            let methods: Vec<String> = METHODS.iter().map(|(name, _)| format!("\"{name}\":{{}}")).collect();
            put(format!("{{{}}}\n", methods.join(",")).as_bytes());
        }
        (Some("call"), Some(method)) => {
            // Standard input is left unread: nothing in it matters.
            let request = METHODS.iter().find(|(name, _)| *name == method).map(|(_, request)| *request);
            put(&request.map_or_else(|| error("there is no such method"), ask));
        }
        _ => return false,
    }
    true
}

fn ask(request: &'static str) -> Vec<u8> {
    match daemon::ask(&socket(), request, daemon::FROM_HERE, PATIENCE) {
        Ok((_, body)) => body,
        Err(failure) => error(failure.said()),
    }
}

fn error(said: &str) -> Vec<u8> {
    format!("{{\"error\": \"{said}\"}}\n").into_bytes()
}
