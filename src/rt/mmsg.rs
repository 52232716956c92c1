//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)`, with the local address of each (`IP_PKTINFO`) and, if the
//! socket was asked for them, its TTL (`IP_RECVTTL`) and the moment when it came (`SO_TIMESTAMPNS`).
//!
//! System calls are most of what a message costs, so both directions are batched. This file holds the only pointers of
//! the program; they point into the structure itself and are set anew before every call.

#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::clock;
use crate::limits;
use crate::time::Instant;

/// Datagrams in one system call.
const BATCH: usize = limits::DATAGRAM_BATCH;

/// Room for one datagram on its way in: the largest, rounded up to whole pages. Otherwise nearly every buffer would begin just before
/// the end of a page, and every ordinary message would touch two.
const ROOM: usize = limits::DATAGRAM.next_multiple_of(4_096);

/// Room for one `IP_PKTINFO`, one `IP_TTL` and one `SCM_TIMESTAMPNS` message, which a C library may tell in two forms; aligned
/// as the kernel wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

/// The headers of a batch, without the buffers.
struct Headers {
    names: [libc::sockaddr_in; BATCH],
    vectors: [libc::iovec; BATCH],
    controls: [Control; BATCH],
    messages: [libc::mmsghdr; BATCH],
}

impl Headers {
    fn new() -> Box<Self> {
        // SAFETY: every field is plain data for which all zeroes is a valid value.
        Box::new(unsafe { zeroed() })
    }
}

/// A datagram as it was received.
pub struct Received<'a> {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// The address of ours that it was sent to, where the socket was asked to tell.
    pub local: Option<Ipv4Addr>,
    /// The TTL that it arrived with, where the socket was asked to tell.
    pub ttl: Option<u8>,
    /// When the kernel received it, where the socket was asked to tell.
    pub at: Option<Instant>,
    /// Its payload.
    pub bytes: &'a [u8],
}

/// Buffers for one batch of incoming datagrams. Memory that no datagram has touched is not resident.
pub struct Incoming {
    headers: Box<Headers>,
    buffers: Vec<u8>,
    count: usize,
}

impl Incoming {
    /// Room for a whole batch of the largest datagrams.
    pub fn new() -> Self {
        Self { headers: Headers::new(), buffers: vec![0; BATCH * ROOM], count: 0 }
    }

    /// Receives what is there, at most a batch; the number received is below [`Self::capacity`] when nothing is left.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        let headers = &mut *self.headers;
        for (index, buffer) in self.buffers.chunks_exact_mut(ROOM).enumerate().take(BATCH) {
            let (Some(vector), Some(message)) = (headers.vectors.get_mut(index), headers.messages.get_mut(index))
            else {
                break;
            };
            let (Some(name), Some(control)) = (headers.names.get_mut(index), headers.controls.get_mut(index)) else {
                break;
            };
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = buffer.len();
            message.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            message.msg_hdr.msg_namelen = socklen(size_of::<libc::sockaddr_in>());
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = control.0.len() as _;
            message.msg_hdr.msg_flags = 0;
        }
        // SAFETY: each of the BATCH headers points to a name, a vector, a buffer and a control block that live in
        // `self` and are not touched otherwise during the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        self.count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        Ok(self.count)
    }

    /// The most that one call receives.
    pub const fn capacity() -> usize {
        BATCH
    }

    /// The datagrams of the last call, which was `now`. One whose sender cannot be read is left out.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = Received<'_>> {
        let stamps = clock::Stamps::read(now);
        let buffers = self.buffers.chunks_exact(ROOM);
        self.headers.messages.iter().zip(&self.headers.names).zip(buffers).take(self.count).filter_map(
            move |((message, name), buffer)| {
                let length = usize::try_from(message.msg_len).ok()?;
                if i32::from(name.sin_family) != libc::AF_INET {
                    return None;
                }
                let source = SocketAddrV4::new(address(name.sin_addr), u16::from_be(name.sin_port));
                let Told { local, ttl, stamp } = told(&message.msg_hdr);
                let at = stamp.map(|stamp| stamps.instant(stamp.into()));
                Some(Received { source, local, ttl, at, bytes: buffer.get(..length)? })
            },
        )
    }
}

/// What the kernel says about a received datagram.
#[derive(Default)]
struct Told {
    local: Option<Ipv4Addr>,
    ttl: Option<u8>,
    stamp: Option<libc::timespec>,
}

fn told(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: the kernel filled `msg_control` and `msg_controllen` in the call before; CMSG_* stay within them, and the
    // payload of an IP_PKTINFO message is an in_pktinfo, that of an IP_TTL message an int, that of a SCM_TIMESTAMPNS message a
    // timespec, read without assuming their alignment.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = control.as_ref() {
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = libc::CMSG_DATA(control).cast::<libc::in_pktinfo>().read_unaligned();
                    told.local = Some(address(info.ipi_addr));
                }
                (libc::IPPROTO_IP, libc::IP_TTL) => {
                    let hops: libc::c_int = libc::CMSG_DATA(control).cast::<libc::c_int>().read_unaligned();
                    told.ttl = u8::try_from(hops).ok();
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    told.stamp = Some(libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned());
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    told
}

/// One datagram to be sent: a part of the arena.
struct Queued {
    start: usize,
    len: usize,
    source: Option<Ipv4Addr>,
    ttl: Option<u8>,
    destination: SocketAddrV4,
}

/// Datagrams on their way out, one batch at a time.
pub struct Outgoing {
    headers: Box<Headers>,
    arena: Vec<u8>,
    used: usize,
    queued: Vec<Queued>,
}

impl Outgoing {
    /// Room for two of the largest datagrams, or a batch of ordinary ones.
    pub fn new() -> Self {
        let arena = vec![0; 2 * limits::DATAGRAM];
        Self { headers: Headers::new(), arena, used: 0, queued: Vec::with_capacity(BATCH) }
    }

    /// Where the next datagram may be written; `None` when the batch must be sent first.
    pub fn space(&mut self) -> Option<&mut [u8]> {
        if self.queued.len() >= BATCH {
            return None;
        }
        self.arena.get_mut(self.used..).filter(|space| space.len() >= limits::DATAGRAM)
    }

    /// Takes the first `len` bytes of [`Self::space`] for a datagram.
    pub fn push(&mut self, len: usize, source: Option<Ipv4Addr>, destination: SocketAddrV4) {
        self.queued.push(Queued { start: self.used, len, source, ttl: None, destination });
        self.used = self.used.saturating_add(len);
    }

    /// The same for one that may go only so many hops.
    pub fn push_short_lived(&mut self, len: usize, ttl: Option<u8>, destination: SocketAddrV4) {
        self.queued.push(Queued { start: self.used, len, source: None, ttl, destination });
        self.used = self.used.saturating_add(len);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    /// Forgets the batch.
    pub fn clear(&mut self) {
        self.queued.clear();
        self.used = 0;
    }

    /// Sends the batch. A datagram that cannot be sent now is a lost packet (the protocols repeat); `failed` is told
    /// where it should have gone and why. Returns whether ICMP had said something of earlier ones: it is in the queue of errors.
    pub fn send(&mut self, socket: BorrowedFd<'_>, mut failed: impl FnMut(SocketAddrV4, io::Error)) -> bool {
        let headers = &mut *self.headers;
        for (index, datagram) in self.queued.iter().enumerate() {
            let Some(bytes) = self.arena.get_mut(datagram.start..datagram.start.saturating_add(datagram.len)) else {
                continue;
            };
            let (Some(vector), Some(message)) = (headers.vectors.get_mut(index), headers.messages.get_mut(index))
            else {
                break;
            };
            let (Some(name), Some(control)) = (headers.names.get_mut(index), headers.controls.get_mut(index)) else {
                break;
            };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = datagram.destination.port().to_be();
            name.sin_addr.s_addr = u32::from(*datagram.destination.ip()).to_be();
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            let header = &mut message.msg_hdr;
            header.msg_name = std::ptr::from_mut(name).cast();
            header.msg_namelen = socklen(size_of::<libc::sockaddr_in>());
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            put_wishes(header, control, datagram);
        }
        let (mut sent, mut tried, mut said) = (0, false, false);
        while sent < self.queued.len() {
            let rest = self.queued.len() - sent;
            // SAFETY: `sent` is below the number of headers filled above; each points into `self`, which outlives the
            // call.
            let result = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers.messages.as_mut_ptr().add(sent),
                    rest as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            // Linux hands what ICMP said of an earlier datagram to whoever sends next, and does not send that one: an error is
            // this datagram's own if it comes a second time. The queue of errors says whose the first was.
            match usize::try_from(result) {
                Ok(count) => (sent, tried) = (sent + count, false),
                Err(_) if !tried => (tried, said) = (true, true),
                Err(_) => {
                    if let Some(datagram) = self.queued.get(sent) {
                        failed(datagram.destination, io::Error::last_os_error());
                    }
                    (sent, tried) = (sent + 1, false);
                }
            }
        }
        self.clear();
        said
    }
}

/// Asks the kernel to send from a certain address, or not farther than so many hops: no socket of ours wants both.
fn put_wishes(header: &mut libc::msghdr, control: &mut Control, datagram: &Queued) {
    let source = datagram.source.filter(|source| !source.is_unspecified());
    header.msg_control = control.0.as_mut_ptr().cast();
    match (source, datagram.ttl) {
        (Some(source), _) => {
            // SAFETY: in_pktinfo is plain data for which all zeroes is a valid value.
            let mut info: libc::in_pktinfo = unsafe { zeroed() };
            info.ipi_spec_dst.s_addr = u32::from(source).to_be();
            put(header, libc::IP_PKTINFO, info);
        }
        (None, Some(ttl)) => put(header, libc::IP_TTL, libc::c_int::from(ttl)),
        (None, None) => {
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
        }
    }
}

/// Writes one message of the IP level into the control block that `header` points to.
fn put<T>(header: &mut libc::msghdr, kind: libc::c_int, payload: T) {
    // SAFETY: the control block is larger than CMSG_SPACE of an in_pktinfo or an int, and aligned for a cmsghdr.
    unsafe {
        let size = size_of::<T>() as libc::c_uint;
        header.msg_controllen = libc::CMSG_SPACE(size) as _;
        let first = libc::CMSG_FIRSTHDR(header);
        if let Some(message) = first.as_mut() {
            message.cmsg_level = libc::IPPROTO_IP;
            message.cmsg_type = kind;
            message.cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(first).cast::<T>().write_unaligned(payload);
        }
    }
}

fn address(address: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}

fn socklen(length: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(length).unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_became_of_one_datagram_is_no_matter_of_the_next() {
        let bind = || crate::rt::udp::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), 0).unwrap();
        let at = |socket: &std::os::fd::OwnedFd| {
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, crate::rt::udp::port(socket.as_fd()).unwrap())
        };
        let (sender, listener, closed) = (bind(), bind(), at(&bind()));
        let mut outgoing = Outgoing::new();
        for destination in [closed, at(&listener), closed, at(&listener)] {
            outgoing.space().unwrap()[0] = b'x';
            outgoing.push(1, None, destination);
            // Loopback says that the port is closed before the next one is sent.
            let said = outgoing.send(sender.as_fd(), |to, error| panic!("{to}: {error}"));
            assert_eq!(said, destination != closed, "what was said of the one before");
        }
        assert_eq!(Incoming::new().receive(listener.as_fd()).unwrap(), 2);
        let mut reported = Vec::new();
        crate::rt::udp::unreachable(sender.as_fd(), |address, _| reported.push(address));
        assert_eq!(reported, [closed, closed]);
    }

    #[test]
    fn an_ordinary_datagram_touches_one_page() {
        let socket = crate::rt::udp::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), 0).unwrap();
        let mut incoming = Incoming::new();
        assert!(incoming.receive(socket.as_fd()).is_err(), "nothing waits");
        let starts = incoming.headers.vectors.map(|vector| vector.iov_base as usize);
        // A large allocation begins at the beginning of a page, behind a few words of the allocator's.
        assert!(starts.iter().all(|start| (start - starts[0]) % 4_096 == 0), "{starts:x?}");
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= limits::DATAGRAM), "{starts:x?}");
    }

    #[test]
    fn a_batch_keeps_order_addresses_and_bytes() {
        let listener = crate::rt::udp::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 0).unwrap();
        let port = crate::rt::udp::port(listener.as_fd()).unwrap();
        crate::rt::udp::tell_arrival(listener.as_fd());
        let sender = crate::rt::udp::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 0).unwrap();
        let mut outgoing = Outgoing::new();
        for number in 0..5_u8 {
            let space = outgoing.space().unwrap();
            space[..2].copy_from_slice(&[number, 7]);
            outgoing.push(
                2,
                Some(Ipv4Addr::new(127, 0, 9, number + 1)),
                SocketAddrV4::new(Ipv4Addr::new(127, 0, 8, 1), port),
            );
        }
        outgoing.send(sender.as_fd(), |to, error| panic!("{to}: {error}"));
        assert!(outgoing.is_empty());
        let mut incoming = Incoming::new();
        assert_eq!(incoming.receive(listener.as_fd()).unwrap(), 5);
        for (number, datagram) in incoming.iter(clock::now()).enumerate() {
            let number = u8::try_from(number).unwrap();
            assert_eq!(datagram.bytes, [number, 7]);
            assert_eq!(*datagram.source.ip(), Ipv4Addr::new(127, 0, 9, number + 1));
            assert_eq!(datagram.local, Some(Ipv4Addr::new(127, 0, 8, 1)));
            assert_eq!(datagram.ttl, Some(64), "as Linux sends, and no hop on loopback");
        }
    }
}
