//! The conversation with the node's babeld: which routers can be reached, and how good the way is. It costs the mesh nothing.
//!
//! ```text
//!   Resting ──every minute──▶ Dialling ──open──▶ Talking ──closed, or too long──▶ Resting
//! ```

use std::net::Ipv4Addr;

use crate::limits;
use crate::time::Instant;
use crate::wire::babel::{self, Route, UNREACHABLE};

/// The conversation.
#[derive(Debug, Default)]
pub struct Babel {
    state: State,
    /// The last line, as far as it came.
    line: Vec<u8>,
    taken: usize,
    routes: Vec<(Ipv4Addr, u16)>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Resting,
    Dialling {
        until: Instant,
    },
    Talking {
        until: Instant,
        sent: usize,
    },
}

impl Babel {
    /// Whether a conversation is going on.
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Resting)
    }

    /// The socket is being dialled.
    pub fn begin(&mut self, now: Instant) {
        *self = Self { state: State::Dialling { until: now + limits::BABEL_TIMEOUT }, ..Self::default() };
    }

    /// It is open. False: nobody dialled.
    pub fn connected(&mut self) -> bool {
        let State::Dialling { until } = self.state else { return false };
        self.state = State::Talking { until, sent: 0 };
        true
    }

    /// The next bytes to be sent.
    pub fn poll_send(&mut self, buffer: &mut [u8]) -> usize {
        let State::Talking { sent, .. } = &mut self.state else { return 0 };
        let rest = babel::QUESTION.get(*sent..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        *sent = sent.saturating_add(count);
        count
    }

    /// Bytes came. False: nobody asked, or it is too much.
    pub fn received(&mut self, bytes: &[u8]) -> bool {
        self.taken = self.taken.saturating_add(bytes.len());
        if !matches!(self.state, State::Talking { .. }) || self.taken > limits::BABEL_ANSWER {
            return false;
        }
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            // The rest of a line that is too long is left out with its beginning.
            if self.line.len() <= limits::BABEL_LINE {
                self.line.extend_from_slice(part.get(..part.len().min(limits::BABEL_LINE + 1)).unwrap_or_default());
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if let Some(Route { prefix, length: 32, metric }) =
                    Some(&line).filter(|line| line.len() <= limits::BABEL_LINE).and_then(|line| babel::route(line))
                {
                    self.routes.push((prefix, metric));
                }
            }
        }
        true
    }

    /// The conversation is over, well or not; what it said of routers.
    pub fn end(&mut self) -> Vec<(Ipv4Addr, u16)> {
        let Self { routes, .. } = std::mem::take(self);
        routes
    }

    /// When it must be over.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Resting => None,
            State::Dialling { until } | State::Talking { until, .. } => Some(until),
        }
    }
}

/// Whether a router with this metric is there.
pub const fn is_reachable(metric: u16) -> bool {
    metric != UNREACHABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "BABEL 1.0\nok\nadd interface br-dtdlink up true ipv6 fe80::1 ipv4 10.1.1.1\n\
        add route 1 prefix 10.67.12.9/32 from 0.0.0.0/0 installed yes id a metric 96 refmetric 0 via b if wlan0\n\
        add route 2 prefix 10.0.0.0/8 from 0.0.0.0/0 installed yes id a metric 1344 refmetric 1 via b if wgs1\n\
        add route 3 prefix 10.67.12.8/32 from 0.0.0.0/0 installed yes id a metric 65535 refmetric 0 via b if wlan0\nok\n";

    #[test]
    fn routes_come_in_pieces_of_any_size() {
        for size in [1, 7, 50, 9_999] {
            let mut babel = Babel::default();
            assert!(!babel.connected() && !babel.received(b"x"));
            babel.begin(Instant::default());
            assert!(babel.connected() && !babel.connected());
            assert!(babel.deadline().is_some(), "it may not talk for ever");
            let mut sent = Vec::new();
            let mut buffer = [0; 4];
            while let count @ 1.. = babel.poll_send(&mut buffer) {
                sent.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(sent, babel::QUESTION);
            for piece in DUMP.as_bytes().chunks(size) {
                assert!(babel.received(piece));
            }
            let routes = babel.end();
            assert_eq!(routes, [(Ipv4Addr::new(10, 67, 12, 9), 96), (Ipv4Addr::new(10, 67, 12, 8), UNREACHABLE)]);
            assert!(!babel.is_busy());
        }
    }

    #[test]
    fn an_endless_line_and_an_endless_answer_end() {
        let mut babel = Babel::default();
        babel.begin(Instant::default());
        babel.connected();
        assert!(babel.received(&vec![b'x'; 90_000]) && babel.line.len() <= limits::BABEL_LINE + 2);
        assert!(babel.received(b"\nadd route 1 prefix 10.67.12.9/32 installed yes metric 96\n"));
        assert!(!babel.received(&vec![b'\n'; limits::BABEL_ANSWER]));
        assert_eq!(babel.end().len(), 1);
    }
}
