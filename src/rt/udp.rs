//! The daemon's UDP sockets: bound, marked, and asked for ICMP errors.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, getsockname, recvmsg, setsockopt,
    socket, sockopt,
};

/// Kernel buffer for incoming signalling: a burst of 500 ordinary messages fits. The kernel may grant less.
const RECEIVE_BUFFER: usize = 512 << 10;

/// A socket on `address` whose datagrams carry `dscp` and whose incoming ones say which address they were sent to.
pub fn bind(address: SocketAddrV4, dscp: u8) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
    // Both are wishes: signalling works without them.
    let _ = setsockopt(&fd, sockopt::Ipv4Tos, &(i32::from(dscp) << 2));
    let _ = setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER);
    nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(fd)
}

/// From now on datagrams say with which TTL they arrived, and when. Wishes: without the one, phones that answer no ping have no way;
/// without the other, round trips are coarser.
pub fn tell_arrival(socket: BorrowedFd<'_>) {
    let _ = setsockopt(&socket, sockopt::Ipv4RecvTtl, &true);
    let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
}

/// The port that the socket got.
pub fn port(socket: BorrowedFd<'_>) -> io::Result<u16> {
    Ok(getsockname::<SockaddrIn>(socket.as_raw_fd())?.port())
}

/// Takes the destinations that ICMP called unreachable off the socket's error queue, a bounded number at a time, each with the
/// beginning of the datagram that did not reach it (RFC 1812 §4.3.2.3: up to 576 bytes of it all).
pub fn unreachable(socket: BorrowedFd<'_>, mut report: impl FnMut(SocketAddrV4, &[u8])) {
    const MOST: usize = 64;
    let mut payload = [0_u8; 576];
    let mut control = error_report();
    for _ in 0..MOST {
        let mut vectors = [IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let Ok(message) = recvmsg::<SockaddrIn>(socket.as_fd().as_raw_fd(), &mut vectors, Some(&mut control), flags)
        else {
            return;
        };
        let is_icmp = message.cmsgs().is_ok_and(|mut messages| {
            messages.any(|message| match message {
                ControlMessageOwned::Ipv4RecvErr(error, _) => error.ee_origin == libc::SO_EE_ORIGIN_ICMP,
                _ => false,
            })
        });
        let (address, length) = (message.address, message.bytes);
        if let Some(destination) = address.filter(|_| is_icmp) {
            let quoted = payload.get(..length).unwrap_or_default();
            report(SocketAddrV4::new(destination.ip(), destination.port()), quoted);
        }
    }
}

/// Room for all that the kernel says about an error: what, and who reported it; the datagram's address, TTL and moment. Where seconds
/// have outgrown the processor's word, musl adds the moment in a second form; without room for that, all of it counts as cut off.
pub fn error_report() -> Vec<u8> {
    nix::cmsg_space!(
        libc::sock_extended_err,
        libc::sockaddr_in,
        libc::in_pktinfo,
        libc::c_int,
        libc::timespec,
        [i64; 2]
    )
}

/// Any port on any address, for questions to name servers.
pub const ANY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::mmsg::{Incoming, Outgoing};

    #[test]
    fn a_closed_port_is_reported_with_its_address() {
        let closed = {
            let socket = bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), 0).unwrap();
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, port(socket.as_fd()).unwrap())
        };
        let socket = bind(ANY, 24).unwrap();
        tell_arrival(socket.as_fd()); // which comes with errors as well
        let mut outgoing = Outgoing::new();
        outgoing.space().unwrap()[0] = b'x';
        outgoing.push(1, None, closed);
        outgoing.send(socket.as_fd(), |_, _| {});
        let mut reported = Vec::new();
        unreachable(socket.as_fd(), |address, quoted| reported.push((address, quoted.to_vec()))); // loopback answers within the call
        assert_eq!(reported, [(closed, b"x".to_vec())]);
        assert_eq!(Incoming::new().receive(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
