//! `switchboard`: see `switchboard help`.

fn main() {}
