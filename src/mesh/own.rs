//! What this node's own settings say, as far as the map and the findings want to know: where it is, whether phones on its LAN
//! can reach the mesh, and which of them the mesh can reach.
//!
//! Deliberately not here: reading and watching, and what follows from it (`findings.rs`). Facts of AREDN 4.26 and before.

use std::net::Ipv4Addr;

use crate::files::Watched;
use crate::limits;
use crate::wire::lqm::Position;
use crate::wire::services::is_number;
use crate::wire::uci;

/// What is known of this node.
#[derive(Debug, Default)]
pub struct Own {
    /// The file that only AREDN nodes have is there.
    pub aredn: bool,
    /// Where the operator says that the node is.
    pub position: Option<Position>,
    /// Whether it joins this mesh to others, once the settings were seen.
    pub supernode: Option<bool>,
    /// Whether its LAN is hidden behind it (`dmz_mode` 0).
    pub nat: bool,
    /// Whether phones on its LAN are told a default route; `None`: not known.
    pub default_route: Option<bool>,
    /// The same as the settings mean it, where the DHCP server's own file is not seen.
    wanted_route: Option<bool>,
    /// Numbers that are reserved on the LAN but kept from the mesh (`#NOPROPS`).
    pub kept_back: Vec<Box<str>>,
    /// Numbers that are reserved on the LAN.
    reserved: Vec<Box<str>>,
    /// Numbers that have an address but maybe no reservation.
    leased: Vec<Box<str>>,
    /// Whether other nodes' phones may reach the exchange.
    pub firewall_open: bool,
}

impl Own {
    /// The whole content of one file; `None`: it is gone.
    pub fn handle_file(&mut self, watched: Watched, contents: Option<&[u8]>) {
        let bytes = contents.unwrap_or_default();
        match watched {
            Watched::ArednConfig => {
                let (package, _) = uci::tolerant(bytes);
                let degrees = |name| option(&package, "location", name);
                self.position = degrees("lat").zip(degrees("lon")).and_then(|(lat, lon)| Position::parse(lat, lon));
                self.supernode = contents.map(|_| option(&package, "supernode", "enable") == Some("1"));
                let routes = ["lan_dhcp_route", "lan_dhcp_defaultroute", "lan_to_remote_wan"];
                let set = routes.map(|name| option(&package, "wan", name));
                self.wanted_route = set.iter().any(Option::is_some).then(|| set.contains(&Some("1")));
            }
            Watched::NodeSetup => {
                let (package, _) = uci::tolerant(bytes);
                self.aredn = contents.is_some();
                self.nat = option(&package, "globals", "dmz_mode") == Some("0");
            }
            Watched::DhcpConfig => self.default_route = contents.and_then(default_route),
            Watched::LanHosts => {
                (self.reserved, self.kept_back) = reserved(bytes);
            }
            Watched::DhcpLeases => self.leased = leased(bytes),
            Watched::FirewallRule => self.firewall_open = contents.is_some(),
            _ => {}
        }
    }

    /// Whether phones on the LAN are told a default route, as far as it is known.
    pub fn has_default_route(&self) -> Option<bool> {
        self.default_route.or(self.wanted_route)
    }

    /// Numbers that have an address on the LAN but no reservation: their name is not given to the mesh.
    pub fn unreserved(&self) -> impl Iterator<Item = &str> {
        self.leased.iter().filter(|number| !self.reserved.contains(number)).map(|number| &**number)
    }
}

/// The value of an option in the first section of this type or name that has it.
fn option<'a>(package: &'a uci::Package, section: &str, name: &str) -> Option<&'a str> {
    let sections = package.sections.iter().filter(|s| s.kind == section || s.name.as_deref() == Some(section));
    let item = sections.flat_map(|section| &section.items).find(|item| item.name == name)?;
    std::str::from_utf8(&item.values.first()?.bytes).ok().map(str::trim)
}

/// dnsmasq sends the router's own address as the default route unless option 3 is set; set without a value it sends none.
fn default_route(bytes: &[u8]) -> Option<bool> {
    let (package, _) = uci::tolerant(bytes);
    let options = package.sections.iter().flat_map(|section| &section.items);
    let options = options.filter(|item| matches!(item.name.as_str(), "dhcp_option" | "dhcp_option_force"));
    let mut found = None;
    for value in options.flat_map(|item| &item.values) {
        let text = String::from_utf8_lossy(&value.bytes);
        let mut parts = text.split(',').map(str::trim);
        // A tag may stand in front.
        let first = parts.find(|part| !part.contains("tag:")).unwrap_or_default();
        if matches!(first, "3" | "option:router") {
            // What is set for some is no silence for all.
            found = Some(found == Some(true) || parts.next().is_some_and(|value| value.parse::<Ipv4Addr>().is_ok()));
        }
    }
    Some(found.unwrap_or(true))
}

/// Numbers in the node's host file, and which of them are kept back: `10.1.2.3<TAB>441530 #NOPROPS`.
fn reserved(bytes: &[u8]) -> (Vec<Box<str>>, Vec<Box<str>>) {
    let (mut all, mut back) = (Vec::new(), Vec::new());
    for line in lines(bytes) {
        let (entry, mark) = line.split_once('#').unwrap_or((&line, ""));
        let Some(number) = entry.split_ascii_whitespace().nth(1).filter(|name| is_number(name)) else { continue };
        if mark.trim() == "NOPROPS" {
            back.push(number.into());
        }
        all.push(number.into());
    }
    (all, back)
}

/// Numbers among the names that devices gave themselves: `expiry mac address name client-id`.
fn leased(bytes: &[u8]) -> Vec<Box<str>> {
    let number = |line: String| line.split_ascii_whitespace().nth(3).filter(|name| is_number(name)).map(Into::into);
    lines(bytes).filter_map(number).collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.split(|b| *b == b'\n').take(limits::MESH_LAN_LINES).map(|line| String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(files: &[(Watched, &str)]) -> Own {
        let mut own = Own::default();
        for (watched, contents) in files {
            own.handle_file(*watched, Some(contents.as_bytes()));
        }
        own
    }

    #[test]
    fn settings_are_read() {
        let aredn = "config location\n\toption lat '47.473'\n\toption lon '-7.73'\nconfig supernode\n\toption enable '1'\n\
                     config wan\n\toption lan_dhcp_route '0'\n";
        let node = own(&[
            (Watched::ArednConfig, aredn),
            (Watched::NodeSetup, "config globals 'globals'\n\toption dmz_mode '0'\n"),
        ]);
        assert_eq!(node.position, Position::new(474_730_000, -77_300_000));
        assert_eq!(
            (node.supernode, node.nat, node.aredn, node.has_default_route()),
            (Some(true), true, true, Some(false))
        );
        let plain = own(&[
            (Watched::ArednConfig, "config location\n\toption lat ''\nconfig wan\n\toption lan_dhcp_route '1'\n"),
            (Watched::NodeSetup, "config globals 'globals'\n\toption dmz_mode '3'\n"),
        ]);
        assert_eq!((plain.position, plain.nat, plain.has_default_route()), (None, false, Some(true)));
        assert_eq!(own(&[]).has_default_route(), None);
        // What is gone says nothing.
        let mut gone = own(&[(Watched::ArednConfig, aredn), (Watched::NodeSetup, ""), (Watched::FirewallRule, "")]);
        assert_eq!((gone.supernode, gone.aredn, gone.firewall_open), (Some(true), true, true));
        for watched in [Watched::ArednConfig, Watched::NodeSetup, Watched::FirewallRule] {
            gone.handle_file(watched, None);
        }
        assert_eq!((gone.supernode, gone.aredn, gone.firewall_open), (None, false, false));
    }

    #[test]
    fn what_the_server_says_goes_before_what_the_settings_mean() {
        let options = |lines: &str| {
            let lan = format!("config dnsmasq\nconfig dhcp 'lan'\n{lines}");
            let files =
                [(Watched::ArednConfig, "config wan\n\toption lan_dhcp_route '0'\n"), (Watched::DhcpConfig, &lan)];
            own(&files).has_default_route()
        };
        for (lines, expected) in [
            ("\tlist dhcp_option '121,10.0.0.0/8,10.1.1.1'\n\tlist dhcp_option '3'\n", false),
            ("\tlist dhcp_option '121,10.0.0.0/8,10.1.1.1,0.0.0.0/0,10.1.1.1'\n", true),
            ("\tlist dhcp_option '3'\n\tlist dhcp_option_force 'tag:phones,3,10.1.1.1'\n", true),
            ("\tlist dhcp_option_force 'tag:phones,3,10.1.1.1'\n\tlist dhcp_option '3'\n", true),
            ("\tlist dhcp_option '3,10.1.1.1'\n", true),
            ("\tlist dhcp_option 'option:router'\n", false),
            ("\tlist dhcp_option '3,'\n", false),
            ("", true),
        ] {
            assert_eq!(options(lines), Some(expected), "{lines}");
        }
    }

    #[test]
    fn phones_on_the_lan() {
        let hosts = "# comment\n127.0.0.1\tlocalhost\n10.1.1.2\t441530\n10.1.1.3\t441531 #NOPROPS\n10.1.1.4\tcamera #NOPROPS\n\
             10.1.1.6\t441533 # no NOPROPS\n";
        let leases = "1700000000 00:15:65:00:00:01 10.1.1.2 441530 *\n0 00:15:65:00:00:02 10.1.1.5 441532 01:00\n0 x y camera z\nx\n";
        let node = own(&[(Watched::LanHosts, hosts), (Watched::DhcpLeases, leases)]);
        assert_eq!(node.kept_back, ["441531".into()]);
        assert_eq!(node.unreserved().collect::<Vec<_>>(), ["441532"]);
    }
}
