//! A network that loses, delays, doubles and reorders, all from one seed.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use switchboard::rng::Rng;
use switchboard::time::Instant;

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of a hundred datagrams, how many are lost.
    pub loss: u64,
    /// How many arrive twice.
    pub double: u64,
    /// The slowest way; each datagram takes anything between 1 ms and this, so they overtake each other.
    pub delay: Duration,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    pub bytes: Vec<u8>,
}

pub struct Net {
    rng: Rng,
    weather: Weather,
    on_the_way: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
    /// `SIM_TRACE=1`: every datagram is printed.
    trace: bool,
}

impl Net {
    pub fn new(rng: Rng, weather: Weather) -> Self {
        Self { rng, weather, on_the_way: BTreeMap::new(), sent: 0, trace: std::env::var_os("SIM_TRACE").is_some() }
    }

    pub fn send(&mut self, packet: Packet, now: Instant) {
        if self.trace {
            let text = String::from_utf8_lossy(&packet.bytes);
            let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n", "\n    ");
            println!("{:>10} ms  {} -> {}\n    {head}", now.as_micros() / 1_000, packet.from, packet.to);
        }
        if self.rng.below(100) < self.weather.loss {
            return;
        }
        let copies = if self.rng.below(100) < self.weather.double { 2 } else { 1 };
        for _ in 0..copies {
            let most = u64::try_from(self.weather.delay.as_micros()).unwrap();
            let delay = Duration::from_micros(1_000 + self.rng.below(most));
            self.sent += 1;
            self.on_the_way.insert((now + delay, self.sent), packet.clone());
        }
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.keys().next().map(|(at, _)| *at)
    }

    pub fn arrive(&mut self, now: Instant) -> Option<Packet> {
        let (key, _) = self.on_the_way.first_key_value()?;
        let key = (key.0 <= now).then_some(*key)?;
        self.on_the_way.remove(&key)
    }
}
