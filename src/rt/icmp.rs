//! The ICMP socket: raw where the process may, else the unprivileged one of ping(8), whose errors come beside it.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, getsockname, recvmsg,
    setsockopt, socket, sockopt,
};

use super::{clock, udp};
use crate::core::event::IcmpMode;
use crate::time::Instant;

/// Longer than any probe or quotation: 20 + 8 + 60 + 8 bytes and a payload.
pub const MESSAGE: usize = 1_500;

/// Room for the kernel buffer: 500 phones may answer in one breath.
const RECEIVE_BUFFER: usize = 256 << 10;

/// The socket.
pub struct Icmp {
    fd: OwnedFd,
    mode: IcmpMode,
}

/// An error that the kernel matched to a probe of the unprivileged socket.
pub struct Failed {
    /// Who reports it.
    pub from: Ipv4Addr,
    /// Whom the probe was for.
    pub destination: Ipv4Addr,
    /// Type and code (RFC 792).
    pub kind: (u8, u8),
    /// When the kernel received it.
    pub at: Instant,
    /// How much of the probe stands in the buffer.
    pub length: usize,
}

impl Icmp {
    /// Opens what may be opened; `None`: the process may neither.
    pub fn open() -> Option<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let open = |kind, mode| {
            let fd = socket(AddressFamily::Inet, kind, flags, SockProtocol::Icmp).ok()?;
            // Wishes: without them there are no traces, or coarser times.
            super::udp::tell_arrival(fd.as_fd());
            let _ = setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER);
            if mode == IcmpMode::Datagram {
                let _ = setsockopt(&fd, sockopt::Ipv4RecvErr, &true);
                // Without an address of its own it has no identifier before the first probe.
                nix::sys::socket::bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 0)).ok()?;
            }
            Some(Self { fd, mode })
        };
        open(SockType::Raw, IcmpMode::Raw).or_else(|| open(SockType::Datagram, IcmpMode::Datagram))
    }

    /// Which of the two it is.
    pub fn mode(&self) -> IcmpMode {
        self.mode
    }

    /// The identifier that the kernel puts into echoes of the unprivileged socket.
    pub fn identifier(&self) -> Option<u16> {
        let address = getsockname::<SockaddrIn>(self.fd.as_raw_fd()).ok()?;
        (self.mode == IcmpMode::Datagram).then(|| address.port())
    }

    /// For the event loop.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What a datagram of this socket holds behind its IP header; `None`: it is no IPv4 packet.
    pub fn message<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        if self.mode == IcmpMode::Datagram {
            return Some(datagram);
        }
        // A raw socket gives the IP header too (RFC 791 §3.1): its length in words.
        let first = datagram.first()?;
        let header = usize::from(first & 0x0f) * 4;
        datagram.get(header..).filter(|_| first >> 4 == 4 && header >= 20)
    }

    /// The next error of the unprivileged socket.
    pub fn failed(&self, buffer: &mut [u8; MESSAGE], now: Instant) -> Option<Failed> {
        let stamps = clock::Stamps::read(now);
        loop {
            let mut control = udp::error_report();
            let mut vectors = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<SockaddrIn>(self.fd.as_raw_fd(), &mut vectors, Some(&mut control), flags).ok()?;
            let (mut error, mut at) = (None, now);
            for item in message.cmsgs().into_iter().flatten() {
                match item {
                    ControlMessageOwned::Ipv4RecvErr(what, Some(from)) if what.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
                        let from = Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr));
                        error = Some((from, (what.ee_type, what.ee_code)));
                    }
                    ControlMessageOwned::ScmTimestampns(stamp) => at = stamps.instant(stamp),
                    _ => {}
                }
            }
            if let (Some(destination), Some((from, kind))) = (message.address, error) {
                return Some(Failed { from, destination: destination.ip(), kind, at, length: message.bytes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;
    use std::time::Duration;

    use super::*;
    use crate::rt::mmsg::{Incoming, Outgoing};

    /// An echo request (RFC 792), its checksum in place.
    fn echo(sequence: u8) -> [u8; 12] {
        let mut bytes = [8, 0, 0, 0, 0x12, 0x34, 0, sequence, 1, 2, 3, 4];
        let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
        let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        bytes[2..4].copy_from_slice(&(!folded).to_be_bytes());
        bytes
    }

    #[test]
    fn loopback_answers_an_echo_within_its_round_trip() {
        let Some(icmp) = Icmp::open() else {
            return; // neither socket is allowed here: the daemon says so in its status
        };
        let before = clock::now();
        let mut outgoing = Outgoing::new();
        outgoing.space().unwrap()[..12].copy_from_slice(&echo(7));
        outgoing.push_short_lived(12, Some(3), SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
        outgoing.send(icmp.fd(), |to, error| panic!("{to}: {error}"));
        let now = clock::now();
        let mut incoming = Incoming::new();
        incoming.receive(icmp.fd()).unwrap();
        let reply = incoming.iter(now).find_map(|datagram| {
            let bytes = icmp.message(datagram.bytes)?.to_vec();
            (bytes[0] == 0 && bytes[7] == 7).then_some((*datagram.source.ip(), bytes, datagram.at, datagram.ttl))
        });
        let (from, bytes, stamp, ttl) = reply.expect("loopback answers within the call");
        let at = stamp.unwrap_or(now);
        assert_eq!(from, Ipv4Addr::LOCALHOST);
        assert_eq!(bytes[8..], [1, 2, 3, 4]);
        assert!(at.since(before) < Duration::from_secs(1) && before.since(at) < Duration::from_millis(1), "{at:?}");
        // A process under qemu for armv7 has neither: it hands on no more of a message than it knows. On mips this is run by a kernel
        // alone (`make router`).
        let told =
            cfg!(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64", target_arch = "mips"));
        assert_eq!((ttl.is_some(), stamp.is_some()), (told || ttl.is_some(), told || stamp.is_some()));
        assert!(ttl.is_none_or(|ttl| ttl == 64), "as Linux answers: {ttl:?}");
        assert!(icmp.failed(&mut [0; MESSAGE], now).is_none());
    }
}
