//! What a node says about itself: the answer of `/a/sysinfo` and of `/cgi-bin/sysinfo.json` before it, API 1.0 to 2.0.
//!
//! Deliberately not here: host names, services, radios, load. What a node says about names is in the files that every node
//! has; the rest nobody here asks for. Lenient in types as [`super::lqm`] is.

use std::net::Ipv4Addr;

use super::json::{self, BadJson, Each, Fields, Place, Scalar};
use super::lqm::{Lqm, Medium, Position, Tracker, Wrapped};
use crate::limits;

/// A node, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysinfo {
    /// Its name, in the case it gives itself.
    pub node: String,
    /// `1.0` to `2.0`.
    pub api_version: String,
    /// Its main address, where it says so.
    pub address: Option<Ipv4Addr>,
    /// Where it is.
    pub position: Option<Position>,
    /// What device it is.
    pub model: String,
    /// What it runs.
    pub firmware: String,
    /// Whether it joins this mesh to others; not said before 2.0.
    pub supernode: Option<bool>,
    /// The addresses of its interfaces, at most [`limits::MESH_INTERFACES`].
    pub interfaces: Vec<Ipv4Addr>,
    /// Its neighbours without measurements (`link_info`), at most [`limits::MESH_NEIGHBOURS`].
    pub links: Vec<LinkInfo>,
    /// What it measures of its neighbours.
    pub lqm: Lqm,
}

/// A neighbour as the routing protocol sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its address: the main one before 2.0, that of the link since.
    pub address: Option<Ipv4Addr>,
    /// Its name; may carry the domain, may be empty.
    pub hostname: String,
    /// What joins them.
    pub medium: Medium,
}

impl Sysinfo {
    /// Reads an answer. An object that names no node is no answer of a node, and `None`.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, BadJson> {
        let raw = json::read::<Raw>(bytes)?;
        let details = raw.details;
        let either = |new: Scalar, old: Scalar| if new.text().is_empty() { old } else { new }.text().to_owned();
        let node = Self {
            node: raw.node.text().to_owned(),
            api_version: raw.api_version.text().to_owned(),
            address: raw.ip.address(),
            position: Position::read(&raw.lat, &raw.lon),
            // Before 1.5 they stood at the top.
            model: either(details.model, raw.model),
            firmware: either(details.firmware_version, raw.firmware_version),
            supernode: Some(details.mesh_supernode).filter(|said| !said.text().is_empty()).map(|said| said.is_true()),
            interfaces: raw.interfaces.0.iter().filter_map(|(_, interface)| interface.ip.address()).collect(),
            links: raw.link_info.0.into_iter().map(LinkInfo::from).collect(),
            lqm: raw.lqm.info.into(),
        };
        Ok((!node.node.is_empty()).then_some(node))
    }
}

#[derive(Default)]
struct Raw {
    node: Scalar,
    api_version: Scalar,
    ip: Scalar,
    lat: Scalar,
    lon: Scalar,
    model: Scalar,
    firmware_version: Scalar,
    details: Details,
    interfaces: Each<Interface, { limits::MESH_INTERFACES }>,
    link_info: Each<RawLink, { limits::MESH_NEIGHBOURS }>,
    lqm: Wrapped,
}

#[derive(Default)]
struct Details {
    model: Scalar,
    firmware_version: Scalar,
    mesh_supernode: Scalar,
}

#[derive(Default)]
struct Interface {
    ip: Scalar,
}

#[derive(Default)]
struct RawLink {
    hostname: Scalar,
    kind: Scalar,
}

impl Fields for Raw {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        Some(match key {
            "node" => &mut self.node,
            "api_version" => &mut self.api_version,
            "ip" => &mut self.ip,
            "lat" => &mut self.lat,
            "lon" => &mut self.lon,
            "model" => &mut self.model,
            "firmware_version" => &mut self.firmware_version,
            "node_details" => &mut self.details,
            "interfaces" => &mut self.interfaces,
            "link_info" => &mut self.link_info,
            "lqm" => &mut self.lqm,
            _ => return None,
        })
    }
}

impl Fields for Details {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        match key {
            "model" => Some(&mut self.model),
            "firmware_version" => Some(&mut self.firmware_version),
            "mesh_supernode" => Some(&mut self.mesh_supernode),
            _ => None,
        }
    }
}

impl Fields for Interface {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        match key {
            "ip" => Some(&mut self.ip),
            _ => None,
        }
    }
}

impl Fields for RawLink {
    fn field(&mut self, key: &str) -> Option<&mut dyn Place> {
        match key {
            "hostname" => Some(&mut self.hostname),
            "linkType" => Some(&mut self.kind),
            _ => None,
        }
    }
}

impl From<(String, RawLink)> for LinkInfo {
    fn from((address, link): (String, RawLink)) -> Self {
        let (hostname, medium) = (link.hostname.text().to_owned(), Medium::read(link.kind.text()));
        Self { address: Scalar(address).address(), hostname, medium }
    }
}

impl From<&LinkInfo> for Tracker {
    /// A neighbour of whom nothing was measured.
    fn from(link: &LinkInfo) -> Self {
        Self {
            hostname: link.hostname.clone(),
            address: link.address,
            canonical: None,
            medium: link.medium,
            rtt_us: None,
            quality: None,
            position: None,
            model: String::new(),
            firmware: String::new(),
            last_seen: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Sysinfo {
        Sysinfo::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn every_generation_is_read() {
        let old = read(include_str!("../../tests/data/mesh/sysinfo-1.0.json"));
        assert_eq!((old.node.as_str(), old.api_version.as_str()), ("HB9OLD-Roof", "1.0"));
        assert_eq!((old.model.as_str(), old.firmware.as_str()), ("Ubiquiti Rocket M", "3.16.1.0"));
        assert_eq!(old.position, Position::new(-380_533_940, 61_931_140));
        assert_eq!(old.interfaces, ["10.49.1.2", "10.68.1.2"].map(|ip| ip.parse::<Ipv4Addr>().unwrap()), "not 'none'");

        let olsr = read(include_str!("../../tests/data/mesh/sysinfo-1.7.json"));
        assert_eq!((olsr.firmware.as_str(), olsr.position), ("3.20.3.0", None));
        let links: Vec<_> = olsr.links.iter().map(|link| (link.hostname.as_str(), link.medium)).collect();
        assert_eq!(links, [("HB9BBB-Hill.local.mesh", Medium::Dtd), ("HB9CCC-Lake", Medium::Tunnel), ("", Medium::Rf)],);
        assert_eq!(olsr.links[0].address, Some(Ipv4Addr::new(10, 11, 12, 13)));

        let lua = read(include_str!("../../tests/data/mesh/sysinfo-1.14.json"));
        assert_eq!((lua.links.len(), lua.lqm.trackers.len()), (0, 1), "an empty table is [] in Lua");
        assert_eq!(lua.lqm.trackers[0].medium, Medium::Tunnel);

        let new = read(include_str!("../../tests/data/mesh/sysinfo-2.0.json"));
        assert_eq!((new.address, new.supernode), (Some(Ipv4Addr::new(10, 20, 30, 40)), Some(true)));
        assert_eq!(olsr.supernode, None);
        assert_eq!(new.position, Position::new(469_480_000, 74_474_000), "numbers");
        assert_eq!((new.lqm.now, new.lqm.trackers[0].rtt_us), (Some(9_000), Some(43_200)));

        let go = read(include_str!("../../tests/data/mesh/sysinfo-go.json"));
        assert_eq!((go.node.as_str(), go.lqm.trackers[0].rtt_us), ("HB9GGG-GO", None));
        assert_eq!(go.supernode, Some(false));
        assert!(go.lqm.is_up(&go.lqm.trackers[0]), "dates instead of seconds say nothing");
    }

    #[test]
    fn what_is_no_node_is_none_and_what_is_no_json_an_error() {
        for text in ["{}", "[]", "7", "{\"node\":null}", "{\"node\":\" \"}", "{\"nodes\":[]}"] {
            assert_eq!(Sysinfo::parse(text.as_bytes()), Ok(None), "{text}");
        }
        for text in ["", "<html>", "{\"node\":\"x\""] {
            assert!(Sysinfo::parse(text.as_bytes()).is_err(), "{text}");
        }
        let odd = read(
            "{\"node\":7,\"lat\":[],\"lon\":{},\"node_details\":null,\"interfaces\":{\"x\":{\"ip\":\"10.1.1.1\"}},\
                        \"link_info\":\"\",\"lqm\":{\"info\":{}}}",
        );
        assert_eq!((odd.node.as_str(), odd.position, odd.interfaces.len()), ("7", None, 1));
    }

    #[test]
    fn hostile_lists_are_bounded() {
        let interfaces = "{\"ip\":\"10.1.1.1\"},".repeat(5_000);
        let links: String = (0..5_000).map(|n| format!("\"{n}\":{{}},")).collect();
        let read = read(&format!(
            "{{\"interfaces\":[{interfaces}1],\"link_info\":{{{links}\"x\":1}},\"node\":\"{}\"}}",
            "n".repeat(9_999)
        ));
        assert_eq!((read.interfaces.len(), read.links.len()), (limits::MESH_INTERFACES, limits::MESH_NEIGHBOURS));
        assert!(read.node.len() < 200);
    }
}
