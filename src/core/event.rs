//! What the shell tells the core, and what the core asks of the shell.
//!
//! Datagrams and stream bytes are not effects: the shell pulls them into its own buffers
//! ([`super::Core::poll_datagram`], [`super::Core::poll_stream`]).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use crate::engine::{Peer, StreamId};
use crate::files::{Contents, FileError, Reader, Step, Watched, Writer};
use crate::time::{Instant, UnixTime};

pub use crate::health::Usage;
pub use crate::wire::crash::Report;

pub use crate::probe::{IcmpError, IcmpIn, IcmpMode, IcmpOut};

/// A UDP socket of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Udp {
    /// Port 5060.
    Sip,
    /// Questions to name servers.
    Dns,
    /// Tests of phones.
    Probe,
}

/// Something happened outside.
#[derive(Debug)]
pub enum Event<'a> {
    /// A datagram arrived.
    Datagram {
        /// On this socket.
        socket: Udp,
        /// From there.
        source: SocketAddrV4,
        /// Sent to this address of ours (`IP_PKTINFO`).
        local: SocketAddrV4,
        /// The TTL that it arrived with, where the socket was asked to tell.
        ttl: Option<u8>,
        /// When the kernel received it, where the socket was asked to tell.
        at: Option<Instant>,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// The network says that `destination` cannot be reached (ICMP).
    Unreachable {
        /// For what was sent on this socket.
        socket: Udp,
        /// To there.
        destination: SocketAddrV4,
        /// The beginning of what was sent, as the ICMP quotes it; `None`: our own system says so.
        quoted: Option<&'a [u8]>,
    },
    /// Which ICMP socket could be opened, and the identifier of its echoes.
    IcmpOpened(IcmpMode, u16),
    /// An ICMP message arrived.
    Icmp(IcmpIn<'a>),
    /// An ICMP error came back for a probe of the unprivileged socket.
    IcmpFailed(IcmpError<'a>),
    /// More datagrams wait than a turn of the loop may take: fair shares are due.
    Congested(bool),
    /// A stream that an engine dialled is open.
    Connected(StreamId),
    /// A client connected.
    Accepted {
        /// The new stream.
        stream: StreamId,
        /// Who it is.
        peer: Peer,
    },
    /// Bytes arrived on a stream.
    Received {
        /// The stream.
        stream: StreamId,
        /// What came.
        bytes: &'a [u8],
    },
    /// The other side will send no more, or the stream failed or could not be opened.
    Closed {
        /// The stream; it does not exist any more if `failed`.
        stream: StreamId,
        /// True for an error, false for an orderly end.
        failed: bool,
    },
    /// A file that was asked for.
    Read {
        /// Who asked.
        reader: Reader,
        /// What it holds.
        contents: Result<Contents, FileError>,
    },
    /// A watched file appeared, changed (`Some`) or went away (`None`).
    Changed {
        /// What is watched.
        watched: Watched,
        /// Its name in the directory.
        name: &'a str,
        /// All of it.
        contents: Option<&'a [u8]>,
    },
    /// All steps of a write were done, or one failed.
    Written {
        /// Who wrote.
        writer: Writer,
        /// How it ended.
        result: Result<(), FileError>,
    },
    /// The node's own name and addresses, at the start and whenever they change.
    Identity(Identity),
    /// A socket is open, on this port: the configuration may leave the choice to the system.
    Bound(Udp, u16),
    /// The mesh around this node is made up: every page is to say so.
    Simulated,
    /// The date.
    WallClock(UnixTime),
    /// A process before this one crashed within the last day: told once, at the start, with the most recent crash.
    Crashed(&'a Report),
    /// What the process uses, as [`Effect::Measure`] asked.
    Usage(Usage),
    /// A turn of the loop took longer than [`crate::limits::SLOW_TURN`].
    SlowTurn {
        /// All of it.
        took: Duration,
        /// What took most of it.
        cause: &'static str,
        /// How much that took.
        share: Duration,
        /// How much of all of it, at most, the processor was at work for us; else others had it, or a disk was waited for.
        cpu: Duration,
    },
    /// Somebody wants the book fetched now (USR1).
    FetchPhonebook,
    /// Somebody wants to see everything in the log (USR2).
    Dump,
    /// The daemon is to stop: save what must survive.
    Stop,
}

/// Who this node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The host name.
    pub name: String,
    /// All IPv4 addresses of its interfaces, the mesh address first if it is known.
    pub addresses: Vec<Ipv4Addr>,
    /// Its addresses on its own LAN, each with the mask of its network.
    pub lan: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open a TCP stream.
    Dial {
        /// By this name.
        stream: StreamId,
        /// To there.
        address: SocketAddrV4,
    },
    /// Open a stream to a socket on this machine.
    DialUnix {
        /// By this name.
        stream: StreamId,
        /// The file of the socket.
        path: PathBuf,
    },
    /// Close a stream once what is to be sent is sent.
    Finish(StreamId),
    /// Close a stream now.
    Abort(StreamId),
    /// Read a file of at most `limit` bytes.
    Read {
        /// Who asks.
        reader: Reader,
        /// Which file.
        path: PathBuf,
        /// The most it may hold.
        limit: usize,
    },
    /// Deliver a file, or the files of a directory, now and at every change; replaces an earlier watch of the same kind.
    Watch {
        /// What for.
        watched: Watched,
        /// Which.
        path: PathBuf,
    },
    /// Do these steps in order.
    Write {
        /// Who writes.
        writer: Writer,
        /// What to do.
        steps: Vec<Step>,
    },
    /// Find out what the process uses.
    Measure,
    /// Read the configuration file again.
    Reload,
    /// Everything that had to be saved is saved.
    Exit,
}

/// A datagram to be sent; its bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// By this socket.
    pub socket: Udp,
    /// From this address of ours, if it matters.
    pub source: Option<Ipv4Addr>,
    /// To there.
    pub destination: SocketAddrV4,
    /// How many bytes of the buffer.
    pub len: usize,
}
