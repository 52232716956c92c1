//! What is known about one phone between its tests.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::statistics::Stats;
use super::ways::Link;
use crate::time::Instant;

/// Cycles that are remembered for the small curve beside a phone.
pub const REMEMBERED: usize = 16;

/// How a phase ended, in the words that dashboards know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It was not tested yet.
    #[default]
    Unknown,
    /// It answered.
    Online,
    /// It has an address and did not answer.
    Offline,
    /// Nobody knows its address.
    NoDns,
    /// This test is switched off.
    Disabled,
}

impl Status {
    /// `ONLINE`, `OFFLINE`, `NO_DNS`, `DISABLED`, `UNKNOWN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Online => "ONLINE",
            Self::Offline => "OFFLINE",
            Self::NoDns => "NO_DNS",
            Self::Disabled => "DISABLED",
        }
    }

    /// What a phase that was meant to send `planned` probes says.
    pub(super) fn of(planned: u8, stats: &Stats) -> Self {
        match (planned, stats.received) {
            (0, _) => Self::Disabled,
            // It was ended before.
            _ if stats.sent == 0 => Self::Unknown,
            (_, 0) => Self::Offline,
            _ => Self::Online,
        }
    }
}

/// One cycle of a phone, for a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Mean round trip of the pings, in microseconds; 0: none was answered.
    pub ping_us: u32,
    /// The same of the OPTIONS.
    pub options_us: u32,
    /// Lost pings, or OPTIONS where no pings are sent, in percent.
    pub loss_percent: u8,
}

/// A phone that is tested.
#[derive(Clone, Debug)]
pub struct Phone {
    pub(super) number: Box<str>,
    pub(super) address: Option<SocketAddrV4>,
    /// The router that announced it.
    pub(super) node: Option<Ipv4Addr>,
    pub(super) ping: (Status, Stats),
    pub(super) options: (Status, Stats),
    pub(super) call: Status,
    pub(super) tested: Option<Instant>,
    /// The TTL that its echo replies arrive with, or its SIP if it answers no ping, and how far away it turned out to be.
    pub(super) reply_ttl: u8,
    pub(super) distance: u8,
    /// The last router that is known before it; `None` if its last test found no way.
    pub(super) link: Option<Link>,
    samples: heapless::Deque<Sample, REMEMBERED>,
}

impl Phone {
    pub(super) fn new(number: &str) -> Self {
        Self {
            number: number.into(),
            address: None,
            node: None,
            ping: Default::default(),
            options: Default::default(),
            call: Status::Unknown,
            tested: None,
            reply_ttl: 0,
            distance: 0,
            link: None,
            samples: heapless::Deque::new(),
        }
    }

    /// A cycle has ended for it.
    pub(super) fn end_cycle(&mut self, now: Instant) {
        self.tested = Some(now);
        let average = |stats: &Stats| stats.rtt.map_or(0, |rtt| rtt.avg_us);
        let first = if self.ping.1.sent > 0 { &self.ping.1 } else { &self.options.1 };
        let loss = match self.status() {
            Status::NoDns => 1_000,
            _ => first.loss_permille(),
        };
        let sample = Sample {
            ping_us: average(&self.ping.1),
            options_us: average(&self.options.1),
            loss_percent: u8::try_from(loss.div_ceil(10)).unwrap_or(100),
        };
        if self.samples.is_full() {
            self.samples.pop_front();
        }
        // There is room.
        let _ = self.samples.push_back(sample);
    }

    /// Nobody knows where it is.
    pub(super) fn has_no_address(&mut self, planned: (u8, u8), now: Instant) {
        let status = |planned| if planned == 0 { Status::Disabled } else { Status::NoDns };
        self.address = None;
        self.ping = (status(planned.0), Stats::default());
        self.options = (status(planned.1), Stats::default());
        self.call = Status::Unknown;
        self.link = None;
        if planned != (0, 0) {
            self.end_cycle(now);
        }
    }

    /// Its number.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Where it was found for its last test.
    pub fn address(&self) -> Option<SocketAddrV4> {
        self.address
    }

    /// In one word: whatever answered proves that it is there.
    pub fn status(&self) -> Status {
        let all = [self.ping.0, self.options.0, self.call];
        let said = |status: &Status| all.contains(status);
        match [Status::Online, Status::NoDns, Status::Offline].into_iter().find(said) {
            Some(status) => status,
            None if self.ping.0 == Status::Disabled && self.options.0 == Status::Disabled => Status::Disabled,
            None => Status::Unknown,
        }
    }

    /// The last pings.
    pub fn ping(&self) -> (Status, Stats) {
        self.ping
    }

    /// The last OPTIONS.
    pub fn options(&self) -> (Status, Stats) {
        self.options
    }

    /// The last ring test; unknown while it was not needed.
    pub fn call(&self) -> Status {
        self.call
    }

    /// When its last test ended.
    pub fn tested(&self) -> Option<Instant> {
        self.tested
    }

    /// Whether it answered anything in those cycles that [`Phone::samples`] has.
    pub fn has_answered(&self) -> bool {
        self.samples.iter().any(|sample| sample.ping_us > 0 || sample.options_us > 0)
    }

    /// The last cycles, the oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Rtt;
    use super::*;

    fn phase(sent: u8, received: u8) -> (Status, Stats) {
        let rtt = (received > 0).then(|| Rtt { avg_us: 1_500, ..Rtt::default() });
        let stats = Stats { sent, received, rtt };
        (Status::of(sent, &stats), stats)
    }

    /// A phone after one cycle.
    fn tested(ping: (Status, Stats), options: (Status, Stats)) -> Phone {
        let mut phone = Phone::new("441530");
        (phone.ping, phone.options) = (ping, options);
        phone.end_cycle(Instant::default());
        phone
    }

    #[test]
    fn whatever_answered_proves_that_it_is_there() {
        let (answered, silent, off) = (phase(5, 1), phase(5, 0), phase(0, 0));
        for (ping, options, call, expected) in [
            (silent, answered, Status::Unknown, Status::Online),
            (answered, silent, Status::Unknown, Status::Online),
            (silent, silent, Status::Online, Status::Online),
            (silent, silent, Status::Offline, Status::Offline),
            (off, silent, Status::Unknown, Status::Offline),
            (off, off, Status::Unknown, Status::Disabled),
        ] {
            let phone = Phone { call, ..tested(ping, options) };
            assert_eq!(phone.status(), expected, "{ping:?} {options:?} {call:?}");
        }
        assert_eq!(Phone::new("441530").status(), Status::Unknown);
        assert_eq!(Status::of(5, &Stats::default()), Status::Unknown, "it was ended before");
    }

    #[test]
    fn a_curve_has_the_last_cycles_with_what_was_lost() {
        let sample = |phone: &Phone| *phone.samples().last().unwrap();
        let both = tested(phase(6, 5), phase(5, 0));
        assert_eq!(
            sample(&both),
            Sample { ping_us: 1_500, options_us: 0, loss_percent: 17 },
            "rounded up, of the pings"
        );
        let sip = tested(phase(0, 0), phase(4, 3));
        assert_eq!(sample(&sip), Sample { ping_us: 0, options_us: 1_500, loss_percent: 25 });
        assert!(both.has_answered() && sip.has_answered() && !tested(phase(5, 0), phase(5, 0)).has_answered());
        let mut phone = both;
        (phone.ping, phone.options) = (phase(5, 0), phase(5, 0));
        for cycle in 1..=REMEMBERED {
            assert!(phone.has_answered(), "{cycle}");
            phone.end_cycle(Instant::default());
        }
        assert_eq!((phone.has_answered(), phone.samples().count()), (false, REMEMBERED));
    }

    #[test]
    fn of_a_phone_that_has_no_address_any_more_nothing_old_is_said() {
        let mut phone = tested(phase(5, 5), phase(5, 5));
        phone.address = Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5_060));
        (phone.call, phone.link) = (Status::Online, Some(Link::US));
        phone.has_no_address((5, 5), Instant::default());
        assert_eq!((phone.status(), phone.call, phone.link), (Status::NoDns, Status::Unknown, None));
        assert_eq!((phone.address, phone.samples().last().unwrap().loss_percent), (None, 100));
        phone.has_no_address((0, 0), Instant::default());
        assert_eq!((phone.status(), phone.samples().count()), (Status::Disabled, 2), "nothing was tested");
    }
}
