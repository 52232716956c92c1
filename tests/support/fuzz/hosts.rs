//! Any bytes as a host file: what is read while it is being written is never wrong, only less.

use switchboard::wire::dns;
use switchboard::wire::hosts::{Line, Lines};

pub fn check(data: &[u8]) {
    let whole: Vec<Line<'_>> = Lines::new("10.0.0.1", data).collect();
    for line in &whole {
        assert!(dns::is_name(line.name.strip_prefix("*.").unwrap_or(line.name)));
        assert!(!line.address.is_unspecified() && !line.address.is_multicast());
    }
    for end in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
        let part: Vec<Line<'_>> = Lines::new("10.0.0.1", &data[..end]).collect();
        assert!(whole.starts_with(&part), "cut at {end}");
    }
}
