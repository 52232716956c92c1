//! Lines of babeld's control socket: what it is asked, and which answers are of use.
//!
//! The node's babeld answers `dump-installed-routes` with a line for each route and then `ok`. Everything else (its greeting,
//! interfaces, neighbours) is of no use here and is skipped.

use std::net::Ipv4Addr;

/// What is sent: the routes that are in the kernel's tables, and then the end of the conversation.
pub const QUESTION: &[u8] = b"dump-installed-routes\nquit\n";

/// The metric of a route to a place that cannot be reached.
pub const UNREACHABLE: u16 = 65_535;

/// A route over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The first address of where it leads.
    pub prefix: Ipv4Addr,
    /// How many bits of it count: 32 is one node.
    pub length: u8,
    /// The sum of the costs of the links; [`UNREACHABLE`] at most.
    pub metric: u16,
}

/// Reads `add route ID prefix 10.67.12.9/32 from … metric 96 …`; `None`: any other line.
pub fn route(line: &[u8]) -> Option<Route> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    if (words.next()?, words.next()?) != ("add", "route") {
        return None;
    }
    let _id = words.next()?;
    let (mut destination, mut metric, mut installed) = (None, None, false);
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        match key {
            "prefix" => destination = value.split_once('/'),
            "metric" => metric = value.parse().ok(),
            "installed" => installed = value == "yes",
            _ => {}
        }
    }
    let (prefix, length) = destination.filter(|_| installed)?;
    let (prefix, length) = (prefix.parse().ok()?, length.parse().ok().filter(|length| *length <= 32)?);
    Some(Route { prefix, length, metric: metric? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_and_everything_else_is_skipped() {
        let route_to = |prefix: &str, length, metric| Some(Route { prefix: prefix.parse().unwrap(), length, metric });
        for (line, expected) in [
            (
                "add route 7ff812d8b010 prefix 10.67.12.9/32 from 0.0.0.0/0 installed yes id aa:bb:cc:ff:fe:dd:ee:ff metric \
                 96 refmetric 0 via fe80::2ec8:1bff:fe00:1 nexthop 10.67.12.9 table 20 if wlan0",
                route_to("10.67.12.9", 32, 96),
            ),
            (
                "add route 1 prefix 10.0.0.0/8 from 0.0.0.0/0 installed yes id a metric 1344 refmetric 1000 via b if wgs1\r",
                route_to("10.0.0.0", 8, 1_344),
            ),
            ("add route 1 prefix 10.0.0.1/32 installed yes metric 65535", route_to("10.0.0.1", 32, UNREACHABLE)),
            ("add route 1 prefix 10.0.0.1/32 installed no metric 96", None),
            ("add route 1 prefix 10.0.0.1/33 installed yes metric 96", None),
            ("add route 1 prefix 10.0.0.1 installed yes metric 96", None),
            ("add route 1 prefix 10.0.0.1/32 installed yes metric 65536", None),
            ("add route 1 prefix 10.0.0.1/32 installed yes", None),
            ("add route 1 prefix fe80::/64 from ::/0 installed yes metric 96", None),
            ("add interface br-dtdlink up true ipv6 fe80::1 ipv4 10.156.103.63", None),
            ("BABEL 1.0", None),
            ("ok", None),
            ("add route", None),
            ("", None),
        ] {
            assert_eq!(route(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(route(b"add route \xff"), None);
    }
}
