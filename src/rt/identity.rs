//! Who this node is: its name and addresses, from the system and the node's own configuration, never by a guess from
//! the routing table.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrStorage, bind, recv,
    socket,
};

use super::files;
use crate::core::event::Identity;
use crate::{limits, wire};

/// The groups of rtnetlink(7) that tell of IPv4 addresses: `RTMGRP_IPV4_IFADDR`.
const IPV4_ADDRESSES: u32 = 0x10;

/// Reads it. `node_config` is AREDN's `/etc/config.mesh/setup`; without one the order of the interfaces stands.
pub fn read(node_config: &Path, lan_interface: &str) -> Identity {
    let mut addresses: Vec<Ipv4Addr> = Vec::new();
    let mut lan = Vec::new();
    for interface in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let ipv4 = |address: &SockaddrStorage| address.as_sockaddr_in().map(SockaddrIn::ip);
        let address = interface.address.as_ref().and_then(ipv4);
        let network = address.zip(interface.netmask.as_ref().and_then(ipv4));
        // A mask that leaves nothing to compare would make the whole world near.
        lan.extend(
            network.filter(|(_, mask)| interface.interface_name == lan_interface && mask.octets().starts_with(&[255])),
        );
        if let Some(address) = address.filter(|address| !addresses.contains(address)) {
            addresses.push(address);
        }
    }
    addresses.truncate(limits::OWN_ADDRESSES);
    let mesh = mesh_address(node_config);
    addresses.sort_by_key(|address| (Some(*address) != mesh, address.is_loopback()));
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    lan.truncate(limits::OWN_ADDRESSES);
    Identity { name, addresses, lan }
}

/// `globals.wifi_ip` of the node's configuration.
fn mesh_address(node_config: &Path) -> Option<Ipv4Addr> {
    let contents = files::read(node_config, limits::FILE).ok()?;
    let (package, _) = wire::uci::tolerant(&contents.bytes);
    let globals = package.sections.iter().find(|section| section.name.as_deref() == Some("globals"))?;
    let option = globals.items.iter().find(|item| item.name == "wifi_ip")?;
    std::str::from_utf8(&option.values.first()?.bytes).ok()?.parse().ok()
}

/// A socket that becomes readable when an address of the node appears or goes away.
pub fn watch() -> std::io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, IPV4_ADDRESSES))?;
    Ok(fd)
}

/// Takes the news off the socket; that there was some is all we need.
pub fn drain(socket: &OwnedFd) -> bool {
    let mut buffer = [0_u8; 4096];
    let mut any = false;
    while recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok_and(|length| length > 0) {
        any = true;
    }
    any
}
