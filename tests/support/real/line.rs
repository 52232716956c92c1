//! A bad line between a phone and the exchange: datagrams get lost and doubled on it.
//!
//! It has the phone's address towards the exchange; the phone itself is behind it. (SIPp can lose datagrams by itself,
//! but then forgets what it would have to send again.)

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// One of a hundred chances, each time.
#[derive(Clone, Copy)]
pub struct Quality {
    /// Per cent that never arrive.
    pub lost: u32,
    /// Per cent that arrive twice.
    pub doubled: u32,
}

/// A relay at work until it is dropped.
pub struct Line {
    /// Its address, which the exchange takes for the phone's.
    pub address: Ipv4Addr,
    lost: Arc<AtomicU32>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Lays a line at `address` between `phone` and `exchange`, all on port 5060.
    pub fn lay(address: Ipv4Addr, phone: Ipv4Addr, exchange: Ipv4Addr, quality: Quality) -> Self {
        let socket = UdpSocket::bind((address, 5_060)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (lost, end) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (lost, end) = (Arc::clone(&lost), Arc::clone(&end));
            move || relay(&socket, phone, exchange, quality, &lost, &end)
        });
        Self { address, lost, end, thread: Some(thread) }
    }

    /// How many datagrams it has lost.
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

fn relay(
    socket: &UdpSocket,
    phone: Ipv4Addr,
    exchange: Ipv4Addr,
    quality: Quality,
    lost: &AtomicU32,
    end: &AtomicBool,
) {
    let mut bytes = vec![0; 65_536];
    let mut dice = u32::from(phone) | 1;
    while !end.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
        let to = if from.ip() == exchange { phone } else { exchange };
        // Marsaglia's xorshift: chance that is the same each time.
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        let throw = dice % 100;
        if throw < quality.lost {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let copies = if throw < quality.lost + quality.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let _ = socket.send_to(&bytes[..length], SocketAddrV4::new(to, 5_060));
        }
    }
}
