//! Datagrams that wait to be sent: one arena of bytes, written in place and read out in order.
//!
//! The shell empties it after every turn, so it holds a handful of messages. When it is full, what comes next is lost,
//! like on any busy link: the timers of the transactions are there for that.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::engine::Table;
use crate::limits;

/// A datagram to be sent; its bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// From this address of ours; `None` leaves it to the system.
    pub source: Option<Ipv4Addr>,
    /// To there.
    pub destination: SocketAddrV4,
    /// How many bytes of the buffer.
    pub len: usize,
}

/// From where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// See [`Sent::source`].
    pub source: Option<Ipv4Addr>,
    /// See [`Sent::destination`].
    pub destination: SocketAddrV4,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    queue: VecDeque<Record>,
    sent: u64,
    lost: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    path: Path,
    start: usize,
    end: usize,
}

impl Outbox {
    /// Lets `compose` append one datagram and queues it. Says which bytes it is, empty if there was no room or `compose`
    /// wrote nothing.
    pub fn push(&mut self, path: Path, compose: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        if self.arena.len() >= limits::SIP_OUTBOX || path.destination.port() == 0 {
            self.lost += 1;
            return &[];
        }
        let start = self.arena.len();
        compose(&mut self.arena);
        let end = self.arena.len();
        if end.saturating_sub(start) > limits::DATAGRAM {
            self.arena.truncate(start);
            self.lost += 1;
            return &[];
        }
        if end > start {
            self.queue.push_back(Record { path, start, end });
        }
        self.arena.get(start..end).unwrap_or(&[])
    }

    /// Queues a copy of `bytes`.
    pub fn push_bytes(&mut self, path: Path, bytes: &[u8]) {
        self.push(path, |out| out.extend_from_slice(bytes));
    }

    /// The next datagram, copied into `buffer`; one that does not fit is lost.
    pub fn poll(&mut self, buffer: &mut [u8]) -> Option<Sent> {
        while let Some(Record { path, start, end }) = self.queue.pop_front() {
            let bytes = self.arena.get(start..end).unwrap_or(&[]);
            let copied = buffer.get_mut(..bytes.len()).map(|to| to.copy_from_slice(bytes)).is_some();
            let len = bytes.len();
            if self.queue.is_empty() {
                self.arena.clear();
                self.arena.shrink_to(limits::SIP_OUTBOX_KEPT);
            }
            if copied {
                self.sent += 1;
                return Some(Sent { source: path.source, destination: path.destination, len });
            }
            self.lost += 1;
        }
        None
    }

    /// Datagrams handed out, and those lost for want of room.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent, self.lost)
    }

    /// Bytes that wait.
    pub fn table(&self) -> Table {
        // The last datagram may reach over the mark; see `push`.
        let used = self.arena.len().min(limits::SIP_OUTBOX);
        Table { name: "sip_outbox_bytes", used, limit: limits::SIP_OUTBOX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> Path {
        Path { source: None, destination: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port) }
    }

    #[test]
    fn datagrams_come_out_in_order_and_whole() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(to(1), |out| out.extend_from_slice(b"one")), b"one");
        assert_eq!(outbox.push(to(2), |out| out.extend_from_slice(b"three")), b"three");
        let mut buffer = [0; 8];
        let first = outbox.poll(&mut buffer).unwrap();
        assert_eq!((first.destination.port(), &buffer[..first.len]), (1, &b"one"[..]));
        let second = outbox.poll(&mut buffer).unwrap();
        assert_eq!((second.destination.port(), &buffer[..second.len]), (2, &b"three"[..]));
        assert_eq!(outbox.poll(&mut buffer), None);
        assert_eq!(outbox.table().used, 0);
    }

    #[test]
    fn it_does_not_grow_beyond_its_bound() {
        let mut outbox = Outbox::default();
        for _ in 0..10_000 {
            outbox.push_bytes(to(1), &[b'x'; 1_000]);
        }
        assert!(outbox.arena.len() < limits::SIP_OUTBOX + 1_000);
        assert!(outbox.counts().1 > 0);
        let mut buffer = [0; 2_000];
        while outbox.poll(&mut buffer).is_some() {}
        assert!(outbox.arena.capacity() <= limits::SIP_OUTBOX_KEPT, "the memory of a burst is given back");
        assert_eq!(outbox.push(to(1), |out| out.push(b'x')), b"x");
    }

    #[test]
    fn what_does_not_fit_the_buffer_or_has_no_port_is_lost() {
        let mut outbox = Outbox::default();
        outbox.push_bytes(to(1), &[b'x'; 100]);
        outbox.push_bytes(to(0), b"nowhere");
        outbox.push_bytes(to(2), b"y");
        assert_eq!(outbox.poll(&mut [0; 10]).unwrap().destination.port(), 2);
        assert_eq!(outbox.counts(), (1, 2));
    }
}
