//! Any bytes as a services file: what is read while it is being written is never wrong, only less.

use switchboard::wire::dns;
use switchboard::wire::services::{Phone, Phones, is_number};

pub fn check(data: &[u8]) {
    let whole: Vec<Phone<'_>> = Phones::new("10.0.0.1", data).collect();
    for phone in &whole {
        assert!(is_number(phone.number) && dns::is_name(phone.host));
    }
    for end in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
        let part: Vec<Phone<'_>> = Phones::new("10.0.0.1", &data[..end]).collect();
        assert!(whole.starts_with(&part), "cut at {end}");
    }
}
