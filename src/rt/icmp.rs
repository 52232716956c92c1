//! The ICMP socket: raw where the process may, else the unprivileged one of ping(8), whose errors come beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn,
    getsockname, recvmsg, sendmsg, setsockopt, socket, sockopt,
};
use nix::time::{ClockId, clock_gettime};

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

/// A message behind its IP header.
pub struct Received {
    /// Who sent it.
    pub from: Ipv4Addr,
    /// The TTL that it arrived with.
    pub ttl: Option<u8>,
    /// When the kernel received it.
    pub at: Instant,
    /// Where it stands in the buffer.
    pub bytes: std::ops::Range<usize>,
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
            let _ = setsockopt(&fd, sockopt::ReceiveTimestampns, &true);
            let _ = setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER);
            if mode == IcmpMode::Datagram {
                let _ = setsockopt(&fd, sockopt::Ipv4RecvErr, &true);
                let _ = setsockopt(&fd, sockopt::Ipv4RecvTtl, &true);
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

    /// Sends one message.
    pub fn send(&self, bytes: &[u8], destination: Ipv4Addr, ttl: Option<u8>) -> io::Result<()> {
        let [a, b, c, d] = destination.octets();
        let address = SockaddrIn::new(a, b, c, d, 0);
        let hops = ttl.map(libc::c_int::from);
        let control: Vec<ControlMessage<'_>> = hops.iter().map(ControlMessage::Ipv4Ttl).collect();
        let send =
            || sendmsg(self.fd.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::MSG_DONTWAIT, Some(&address));
        // What routers said of an earlier probe is handed to whoever sends next, and that one not sent.
        send().or_else(|_| send())?;
        Ok(())
    }

    /// The next message; `None` when there is none. What is no IPv4 packet is left out.
    pub fn receive(&self, buffer: &mut [u8; MESSAGE], now: Instant) -> Option<Received> {
        loop {
            let mut control = nix::cmsg_space!(libc::timespec, libc::c_int);
            let message = {
                let mut vectors = [IoSliceMut::new(buffer)];
                let flags = MsgFlags::MSG_DONTWAIT;
                match recvmsg::<SockaddrIn>(self.fd.as_raw_fd(), &mut vectors, Some(&mut control), flags) {
                    Ok(message) => {
                        let (mut ttl, mut at) = (None, now);
                        for item in message.cmsgs().into_iter().flatten() {
                            match item {
                                ControlMessageOwned::Ipv4Ttl(hops) => ttl = u8::try_from(hops).ok(),
                                ControlMessageOwned::ScmTimestampns(stamp) => at = monotonic(stamp, now),
                                _ => {}
                            }
                        }
                        (message.address, message.bytes, ttl, at)
                    }
                    Err(Errno::EAGAIN) => return None,
                    // An error of an earlier probe; it stands in the error queue as well.
                    Err(_) if self.mode == IcmpMode::Datagram => continue,
                    Err(_) => return None,
                }
            };
            let (Some(address), length, ttl, at) = message else { continue };
            let from = address.ip();
            if self.mode == IcmpMode::Datagram {
                return Some(Received { from, ttl, at, bytes: 0..length });
            }
            // A raw socket gives the IP header too (RFC 791 §3.1): its length in words, the TTL at 8.
            let [first, .., _] = buffer;
            let start = usize::from(*first & 0x0f) * 4;
            if *first >> 4 == 4 && start >= 20 && start <= length {
                return Some(Received { from, ttl: buffer.get(8).copied(), at, bytes: start..length });
            }
        }
    }

    /// The next error of the unprivileged socket.
    pub fn failed(&self, buffer: &mut [u8; MESSAGE], now: Instant) -> Option<Failed> {
        loop {
            let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in, libc::timespec, libc::c_int);
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
                    ControlMessageOwned::ScmTimestampns(stamp) => at = monotonic(stamp, now),
                    _ => {}
                }
            }
            if let (Some(destination), Some((from, kind))) = (message.address, error) {
                return Some(Failed { from, destination: destination.ip(), kind, at, length: message.bytes });
            }
        }
    }
}

/// The kernel stamps with the wall clock: what it shows now less the stamp is how long ago that was. A stamp from the
/// future or from long ago means that somebody has set the clock.
fn monotonic(stamp: nix::sys::time::TimeSpec, now: Instant) -> Instant {
    let Ok(wall) = clock_gettime(ClockId::CLOCK_REALTIME) else { return now };
    let micros = |time: nix::sys::time::TimeSpec| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000;
    let ago = u64::try_from(micros(wall) - micros(stamp)).unwrap_or_default();
    if ago > Duration::from_secs(1).as_micros() as u64 {
        return now;
    }
    // `now` was taken when the loop woke up: what came since then is later than it.
    let current = super::clock::now().as_micros();
    Instant::from_micros(current.saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let before = crate::rt::clock::now();
        icmp.send(&echo(7), Ipv4Addr::LOCALHOST, Some(3)).unwrap();
        let now = crate::rt::clock::now();
        let mut buffer = [0; MESSAGE];
        let reply = std::iter::from_fn(|| {
            let received = icmp.receive(&mut buffer, now)?;
            Some((received.from, buffer[received.bytes.clone()].to_vec(), received.at))
        })
        .find(|(_, bytes, _)| bytes[0] == 0 && bytes[7] == 7);
        let (from, bytes, at) = reply.expect("loopback answers within the call");
        assert_eq!(from, Ipv4Addr::LOCALHOST);
        assert_eq!(bytes[8..], [1, 2, 3, 4]);
        assert!(at.since(before) < Duration::from_secs(1) && before.since(at) < Duration::from_millis(1), "{at:?}");
        assert!(icmp.failed(&mut buffer, now).is_none());
    }
}
