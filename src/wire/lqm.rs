//! What a node measures of its neighbours: `/tmp/lqm.info`, and the same as `lqm.info` in the answer of sysinfo.
//!
//! Deliberately not here: what a neighbour is called on the mesh, and whether a measurement is believed. Units and types as
//! seen from AREDN 3.22 to 4.26 and in mesh-manager; any field may be missing, `null` or of another type.

use std::net::Ipv4Addr;

use super::json::{self, BadJson, Each, Fields, Place, Scalar};
use crate::limits;

/// A place on earth, in ten-millionths of a degree (about a centimetre).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// North is positive; less than 90 degrees.
    pub latitude: i32,
    /// East is positive; less than 180 degrees.
    pub longitude: i32,
}

impl Position {
    /// Parts of a degree.
    pub const DEGREE: i32 = 10_000_000;

    /// A position that exists. Where the equator meets the meridian of Greenwich is what an unset position looks like.
    pub fn new(latitude: i64, longitude: i64) -> Option<Self> {
        let degree = i64::from(Self::DEGREE);
        let within = |value: i64, degrees: i64| value.checked_div(degree).is_some_and(|d| d.abs() < degrees);
        let (latitude, longitude) =
            (Some(latitude).filter(|v| within(*v, 90))?, Some(longitude).filter(|v| within(*v, 180))?);
        let position = Self { latitude: i32::try_from(latitude).ok()?, longitude: i32::try_from(longitude).ok()? };
        (position != Self { latitude: 0, longitude: 0 }).then_some(position)
    }

    /// The same from decimal degrees as text.
    pub fn parse(latitude: &str, longitude: &str) -> Option<Self> {
        Self::read(&Scalar(latitude.to_owned()), &Scalar(longitude.to_owned()))
    }

    pub(super) fn read(latitude: &Scalar, longitude: &Scalar) -> Option<Self> {
        Self::new(latitude.decimal(7)?, longitude.decimal(7)?)
    }
}

/// What joins two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    /// Radio.
    Rf,
    /// A radio that is reached through another device of the same site (`RRF`, `LRF`).
    RemoteRf,
    /// A cable between devices.
    Dtd,
    /// A link of another kind that the operator declared.
    Xlink,
    /// A tunnel over the Internet (Wireguard, or the vtun of old firmware).
    Tunnel,
    /// Not said.
    Unknown,
}

impl Medium {
    /// As trackers (`DtD`, `Wireguard`) and link_info (`DTD`, `TUN`) call it.
    pub(super) fn read(text: &str) -> Self {
        let kinds = [
            ("rf", Self::Rf),
            ("rrf", Self::RemoteRf),
            ("lrf", Self::RemoteRf),
            ("dtd", Self::Dtd),
            ("xlink", Self::Xlink),
            ("bb2bb", Self::Xlink),
            ("tunnel", Self::Tunnel),
            ("tun", Self::Tunnel),
            ("wireguard", Self::Tunnel),
        ];
        kinds.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map_or(Self::Unknown, |(_, kind)| *kind)
    }
}

/// One neighbour on one medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// As the measuring node calls it; empty while it does not know.
    pub hostname: String,
    /// The neighbour's address on this link.
    pub address: Option<Ipv4Addr>,
    /// The neighbour's main address.
    pub canonical: Option<Ipv4Addr>,
    /// What joins them.
    pub medium: Medium,
    /// There and back, in microseconds, as measured last.
    pub rtt_us: Option<u32>,
    /// 0 to 100.
    pub quality: Option<u8>,
    /// Where the neighbour is.
    pub position: Option<Position>,
    /// What device the neighbour is.
    pub model: String,
    /// What it runs.
    pub firmware: String,
    /// When it was last heard, on the measuring node's own clock (see [`Lqm::now`]).
    pub last_seen: Option<u64>,
}

/// Everything a node measures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lqm {
    /// The measuring node's own clock, in seconds since whenever.
    pub now: Option<u64>,
    /// At most [`limits::MESH_NEIGHBOURS`].
    pub trackers: Vec<Tracker>,
}

/// Seconds after which a neighbour that is not heard is gone. The firmware itself lists it for a day.
const SILENT: u64 = 600;

impl Lqm {
    /// Reads `/tmp/lqm.info`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadJson> {
        json::read::<Fieldset>(bytes).map(Self::from)
    }

    /// Whether the link to the neighbour works.
    pub fn is_up(&self, tracker: &Tracker) -> bool {
        let silent = match (self.now, tracker.last_seen) {
            (Some(now), Some(seen)) => now.saturating_sub(seen) > SILENT,
            _ => false,
        };
        !silent && tracker.quality != Some(0)
    }
}

/// `{now, trackers}`.
#[derive(Default)]
pub(super) struct Fieldset {
    now: Scalar,
    trackers: Each<RawTracker, { limits::MESH_NEIGHBOURS }>,
}

#[derive(Default)]
struct RawTracker {
    hostname: Scalar,
    ip: Scalar,
    canonical_ip: Scalar,
    kind: Scalar,
    ping_success_time: Scalar,
    rtt: Scalar,
    quality: Scalar,
    lat: Scalar,
    lon: Scalar,
    model: Scalar,
    firmware_version: Scalar,
    lastseen: Scalar,
}

impl Fields for Fieldset {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        match key {
            "now" => Some(&mut self.now),
            "trackers" => Some(&mut self.trackers),
            _ => None,
        }
    }
}

impl Fields for RawTracker {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        Some(match key {
            "hostname" => &mut self.hostname,
            "ip" => &mut self.ip,
            "canonical_ip" => &mut self.canonical_ip,
            "type" => &mut self.kind,
            "ping_success_time" => &mut self.ping_success_time,
            "rtt" => &mut self.rtt,
            "quality" => &mut self.quality,
            "lat" => &mut self.lat,
            "lon" => &mut self.lon,
            "model" => &mut self.model,
            "firmware_version" => &mut self.firmware_version,
            "lastseen" => &mut self.lastseen,
            _ => return None,
        })
    }
}

impl From<Fieldset> for Lqm {
    fn from(raw: Fieldset) -> Self {
        let now = raw.now.decimal(0).and_then(|now| u64::try_from(now).ok());
        Self { now, trackers: raw.trackers.0.into_iter().map(|(_, tracker)| tracker.into()).collect() }
    }
}

impl From<RawTracker> for Tracker {
    fn from(raw: RawTracker) -> Self {
        // The mean of the last pings, in seconds; a tunnel also has babel's own measurement, in whole milliseconds. 0 is what
        // mesh-manager writes for unknown.
        let micros = |value: Option<i64>| value.and_then(|us| u32::try_from(us).ok()).filter(|us| *us > 0);
        let rtt_us = micros(raw.ping_success_time.decimal(6)).or_else(|| micros(raw.rtt.decimal(3)));
        Self {
            hostname: raw.hostname.text().to_owned(),
            address: raw.ip.address(),
            canonical: raw.canonical_ip.address(),
            medium: Medium::read(raw.kind.text()),
            rtt_us,
            quality: raw.quality.decimal(0).and_then(|quality| u8::try_from(quality.clamp(0, 100)).ok()),
            position: Position::read(&raw.lat, &raw.lon),
            model: raw.model.text().to_owned(),
            firmware: raw.firmware_version.text().to_owned(),
            last_seen: raw.lastseen.decimal(0).and_then(|seen| u64::try_from(seen).ok()),
        }
    }
}

/// `lqm: {info: {…}}` as it stands in the answer of sysinfo.
#[derive(Default)]
pub(super) struct Wrapped {
    pub info: Fieldset,
}

impl Fields for Wrapped {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        match key {
            "info" => Some(&mut self.info),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../tests/data/mesh/lqm.info");

    #[test]
    fn a_file_of_today_is_read() {
        let lqm = Lqm::parse(FILE.as_bytes()).unwrap();
        assert_eq!(lqm.now, Some(20_500));
        let tunnel = &lqm.trackers[0];
        assert_eq!((tunnel.hostname.as_str(), tunnel.medium), ("hb9eee-hub", Medium::Tunnel));
        assert_eq!(tunnel.address, Some(Ipv4Addr::new(172, 31, 40, 9)));
        assert_eq!(tunnel.canonical, Some(Ipv4Addr::new(10, 20, 30, 40)));
        assert_eq!((tunnel.rtt_us, tunnel.quality), (Some(41_700), Some(100)));
        assert_eq!(tunnel.position, Some(Position { latitude: 469_480_000, longitude: 74_474_000 }));
        let up: Vec<_> = lqm.trackers.iter().map(|tracker| (tracker.hostname.as_str(), lqm.is_up(tracker))).collect();
        let expected =
            [("hb9eee-hub", true), ("hb9bbb-hill", true), ("hb9bbb-hill", true), ("", true), ("hb9ddd-gone", false)];
        assert_eq!(up, expected);
        assert_eq!(lqm.trackers[3].rtt_us, None, "0.0 is not known");
    }

    #[test]
    fn every_generation_means_the_same() {
        let read = |tracker: &str| {
            Lqm::parse(format!("{{\"trackers\":{{\"AA\":{{{tracker}}}}}}}").as_bytes()).unwrap().trackers.remove(0)
        };
        for (text, medium) in [
            ("RF", Medium::Rf),
            ("DtD", Medium::Dtd),
            ("DTD", Medium::Dtd),
            ("Tunnel", Medium::Tunnel),
            ("WIREGUARD", Medium::Tunnel),
            ("LRF", Medium::RemoteRf),
            ("BB2BB", Medium::Xlink),
            ("", Medium::Unknown),
        ] {
            assert_eq!(read(&format!("\"type\":\"{text}\"")).medium, medium, "{text}");
        }
        assert_eq!(read("\"rtt\":46").rtt_us, Some(46_000));
        assert_eq!(read("\"rtt\":46,\"ping_success_time\":null").rtt_us, Some(46_000));
        assert_eq!(read("\"rtt\":46,\"ping_success_time\":\"0.0021\"").rtt_us, Some(2_100));
        assert_eq!(read("\"ping_success_time\":-1").rtt_us, None);
        assert_eq!(read("\"ping_success_time\":1e9").rtt_us, None);
        assert_eq!(read("\"quality\":\"99.93\"").quality, Some(99));
        assert_eq!(read("\"quality\":1e11").quality, Some(100));
        assert_eq!(read("\"lastseen\":\"2025-10-01T10:00:00Z\"").last_seen, None, "mesh-manager");
        assert_eq!(read("\"ip\":\"none\",\"canonical_ip\":\"127.0.0.1\"").canonical, None);
        for empty in ["{}", "{\"trackers\":[]}", "{\"trackers\":null}", "[]", "null", "{\"now\":{}}"] {
            assert_eq!(Lqm::parse(empty.as_bytes()), Ok(Lqm::default()), "{empty}");
        }
        let many: String = (0..9_000).map(|n| format!("\"{n}\":{{}},")).collect();
        let many = Lqm::parse(format!("{{\"trackers\":{{{many}\"x\":1}},\"now\":7}}").as_bytes()).unwrap();
        assert_eq!((many.trackers.len(), many.now), (limits::MESH_NEIGHBOURS, Some(7)));
    }

    #[test]
    fn a_position_exists() {
        for (latitude, longitude, good) in [
            (0, 0, false),
            (0, 1, true),
            (900_000_000, 1, false),
            (899_999_999, 1_799_999_999, true),
            (-899_999_999, -1_799_999_999, true),
            (1, 1_800_000_000, false),
            (i64::MAX, 1, false),
            (i64::MIN, i64::MIN, false),
        ] {
            assert_eq!(Position::new(latitude, longitude).is_some(), good, "{latitude} {longitude}");
        }
    }

    #[test]
    fn a_piece_of_a_file_is_an_error() {
        for end in 0..FILE.trim_end().len() {
            assert!(Lqm::parse(&FILE.as_bytes()[..end]).is_err(), "{end}");
        }
    }
}
