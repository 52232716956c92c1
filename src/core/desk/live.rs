//! People who wait for the test desk: a request to the API is kept until its report comes, its time is over, or its client is
//! gone.
//!
//! ```text
//!   request ─▶ refused at once?       no ─▶ waiting (bounded) ─▶ report ──────▶ answer
//!              yours still runs · too many · tests are off          │  20 s ─────▶ what is known
//!              a ring: from the LAN or with the token only          └─ hung up ──▶ forgotten, and the test with it
//! ```
//!
//! Deliberately not here: the form of requests and answers (`api/live.rs`), and what a phone may be asked when (the engine).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Desk;
use super::view::phase_view;
use crate::api::live::{self, Action, Caller, Form, NamedHop, TestView};
use crate::api::view::HopView;
use crate::core::Core;
use crate::engine::StreamId;
use crate::features::Feature;
use crate::limits;
use crate::probe::{Refusal, Report, RingOutcome, RingReport, Status, TestReport, TraceReport};
use crate::time::{Instant, sooner};
use crate::wire::http::{Request, Response};

/// Somebody who waits.
#[derive(Clone, Debug)]
struct Waiting {
    /// By which the engine knows him.
    asker: u32,
    stream: StreamId,
    caller: Caller,
    form: Form,
    /// How many probes of each kind a test was to have.
    count: u8,
    until: Instant,
}

/// All of them.
#[derive(Debug)]
pub struct Live {
    waiting: Vec<Waiting>,
    next: u32,
    /// Until then nobody has a phone rung, whichever it is.
    ring_rests_until: Instant,
}

impl Live {
    /// Nobody waits.
    pub fn new(now: Instant) -> Self {
        Self { waiting: Vec::new(), next: 0, ring_rests_until: now }
    }

    /// When somebody has waited long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| Some(waiting.until)).fold(None, sooner)
    }

    /// The engine is another one and knows nobody of them: they wait no longer.
    pub fn end_all(&mut self, now: Instant) {
        for waiting in &mut self.waiting {
            waiting.until = now;
        }
    }

    /// Whether one more may wait: each has one thing under way; strangers leave room to whoever controls the daemon, and those
    /// who come by the node's web server leave it a program to run.
    fn admit(&self, caller: Caller) -> Result<(), (u16, String)> {
        let cgi = |caller: Caller| matches!(caller, Caller::Cgi(_));
        let strangers = self.waiting.iter().filter(|waiting| waiting.caller != Caller::Owner);
        if caller == Caller::Owner {
            return Ok(());
        }
        if strangers.clone().any(|waiting| address(waiting.caller) == address(caller)) {
            return Err((429, "a test or trace of yours is still running; wait for it".into()));
        }
        let by_cgi = strangers.clone().filter(|waiting| cgi(waiting.caller)).count();
        if strangers.count() >= limits::LIVE_STRANGERS || (cgi(caller) && by_cgi >= limits::LIVE_CGI) {
            return Err((503, BUSY.into()));
        }
        Ok(())
    }
}

const BUSY: &str = "others are testing or tracing right now; try again in a few seconds";

/// Under which somebody counts as one.
fn address(caller: Caller) -> Option<Ipv4Addr> {
    match caller {
        Caller::Owner | Caller::Cgi(None) => None,
        Caller::Client(address) | Caller::Cgi(Some(address)) => Some(address),
    }
}

impl Core {
    /// Starts what somebody asks for; an answer at once is a refusal.
    pub(in crate::core) fn begin_live(
        &mut self,
        stream: StreamId,
        (action, form): (&Action, Form),
        caller: Caller,
        request: &Request,
        now: Instant,
    ) -> Option<Response> {
        let count = if let Action::Test(_, count) = action { *count } else { 0 };
        let until = now + limits::LIVE_WAIT;
        match self.start_live(action, caller, request, now) {
            Ok((live, asker)) => {
                live.next = asker.wrapping_add(1);
                live.waiting.push(Waiting { asker, stream, caller, form, count, until });
                None
            }
            Err((status, sentence)) => Some(live::refusal(form, status, &sentence)),
        }
    }

    fn start_live(
        &mut self,
        action: &Action,
        caller: Caller,
        request: &Request,
        now: Instant,
    ) -> Result<(&mut Live, u32), (u16, String)> {
        let number = match action {
            Action::Trace(_) => String::new(),
            Action::Test(number, _) | Action::Ring(number) => self.local_number(number),
        };
        if let Action::Ring(_) = action {
            self.may_have_rung(caller, request, now)?;
            // Nobody in a call is rung, and the engine is told of calls only while that matters.
            self.tell_calls(now);
        }
        let Some(Desk { probe, live, .. }) = self.desk.get_mut() else {
            return Err((501, format!("this {}", Feature::Desk.is_missing())));
        };
        live.admit(caller)?;
        let asker = live.next;
        let started = match action {
            Action::Trace(target) => probe.trace(*target, asker, now),
            Action::Test(_, count) => probe.ping(&number, *count, asker, now),
            Action::Ring(_) => probe.ring(&number, asker, now),
        };
        if let (Action::Ring(_), Ok(()), false) = (action, &started, caller == Caller::Owner) {
            live.ring_rests_until = now + limits::RING_REST;
        }
        started.map(|()| (live, asker)).map_err(|refusal| match (refusal, action) {
            (Refusal::Off, _) => (503, "tests are switched off on this node (probe.enabled)".into()),
            (Refusal::NoIcmp, _) => (503, "this node may not open an ICMP socket, so it cannot trace".into()),
            (Refusal::Busy, Action::Ring(_)) => (503, "another phone is being rung; try again in a moment".into()),
            (Refusal::Busy, _) => (503, BUSY.into()),
            (Refusal::TooSoon(left), _) => (429, format!("this phone was rung not long ago; again in {}", words(left))),
            (Refusal::InCall, _) => (409, "this phone is in a call".into()),
        })
    }

    /// A ring disturbs people. It is for those who are near and can be asked about it, and for those who were given the token.
    fn may_have_rung(&self, caller: Caller, request: &Request, now: Instant) -> Result<(), (u16, String)> {
        let near = match caller {
            Caller::Owner => return Ok(()),
            Caller::Client(address) | Caller::Cgi(Some(address)) => self.is_near(address),
            Caller::Cgi(None) => false,
        };
        if !near {
            match live::token(request) {
                None if self.config.api.token.is_empty() => {
                    return Err((403, "a phone is rung for people on this node's own LAN only".into()));
                }
                None => {
                    return Err((401, "a phone is rung for people on this node's own LAN, or with the token".into()));
                }
                Some(token) if !live::is_token(token, &self.config.api.token) => {
                    let code = if self.config.api.token.is_empty() { 403 } else { 401 };
                    return Err((code, "this is not the token of this node".into()));
                }
                Some(_) => {}
            }
        }
        match self.desk.get().map(|desk| desk.live.ring_rests_until).filter(|rests| now < *rests) {
            Some(rests) => Err((429, format!("a phone was rung a moment ago; again in {}", words(rests.since(now))))),
            None => Ok(()),
        }
    }

    /// This machine itself, and whoever has an address of the node's own LAN: who only claims it gets no answer over TCP.
    fn is_near(&self, who: Ipv4Addr) -> bool {
        let within = |(address, mask): &(Ipv4Addr, Ipv4Addr)| {
            u32::from(who) & u32::from(*mask) == u32::from(*address) & u32::from(*mask)
        };
        who.is_loopback() || self.identity.lan.iter().any(within)
    }

    /// A number as phones of this country have it.
    pub(super) fn local_number(&self, number: &str) -> String {
        let local = number.strip_prefix(self.config.sip.country_prefix.as_str()).filter(|rest| !rest.is_empty());
        local.unwrap_or(number).to_owned()
    }

    /// Answers those whose reports came or whose time is over, and forgets those who are gone.
    pub(super) fn route_live(&mut self, now: Instant) {
        while let Some((waiting, report, cut)) = self.poll_waiting(now) {
            if cut && !self.server.is_waiting(waiting.stream) {
                self.server.give_up(waiting.stream);
                continue;
            }
            let response = match report {
                Some(report) => self.told(&waiting, report, cut),
                None => live::refusal(waiting.form, 504, "nothing could be said in time"),
            };
            self.server.respond(waiting.stream, response, now);
        }
    }

    /// The next one who waits no longer, what there is to say, and whether more was to come.
    fn poll_waiting(&mut self, now: Instant) -> Option<(Waiting, Option<Report>, bool)> {
        let Desk { probe, live: Live { waiting, .. }, .. } = self.desk.get_mut()?;
        while let Some((asker, report)) = probe.poll_report() {
            if let Some(place) = waiting.iter().position(|waiting| waiting.asker == asker) {
                return Some((waiting.swap_remove(place), Some(report), false));
            } // else whoever asked is gone
        }
        let place = waiting.iter().position(|who| who.until <= now || !self.server.is_waiting(who.stream))?;
        let who = waiting.swap_remove(place);
        let report = probe.forget(who.asker, now);
        Some((who, report, true))
    }

    fn told(&self, waiting: &Waiting, report: Report, cut: bool) -> Response {
        match report {
            Report::Trace(report) => self.traced(&report),
            Report::Test(TestReport { number, address, ping, options }) => {
                let result = match (ping.0, options.0) {
                    (Status::Online, _) | (_, Status::Online) => Status::Online,
                    (Status::Disabled, other) | (other, _) => other,
                };
                live::tested(&TestView {
                    number: &number,
                    count: waiting.count,
                    cut,
                    result: result.as_str(),
                    address,
                    ping: phase_view(ping),
                    options: phase_view(options),
                })
            }
            Report::Ring(RingReport { number, outcome }) => rang(&number, outcome),
        }
    }

    fn traced(&self, TraceReport { target, hops, reached }: &TraceReport) -> Response {
        let own = HopView { hop: 0, ip: Some(Ipv4Addr::LOCALHOST), rtt_us: Some(0) };
        let places =
            (1..=u8::MAX).zip(hops).map(|(hop, found)| HopView { hop, ip: found.address, rtt_us: found.rtt_us });
        let named = places.map(|hop| NamedHop { name: hop.ip.map(|ip| self.name_of(ip)).unwrap_or_default(), hop });
        let all: Vec<NamedHop> =
            [NamedHop { hop: own, name: self.identity.name.clone() }].into_iter().chain(named).collect();
        live::trace(*target, *reached, &all)
    }

    /// What the map or the node's host files call an address; empty: nothing.
    fn name_of(&self, address: Ipv4Addr) -> String {
        let graph = self.map.get().map(|map| map.mesh.graph());
        let known = graph.and_then(|graph| graph.node(graph.at(address)?)).map(|node| node.name());
        known.or_else(|| self.hosts.name_of(address)).unwrap_or_default().to_owned()
    }
}

fn rang(number: &str, outcome: RingOutcome) -> Response {
    let (result, sentence) = match outcome {
        RingOutcome::Rang => ("RANG", "It rang, and was let go.".to_owned()),
        RingOutcome::Answered => ("ANSWERED", "Somebody answered; the call was ended at once.".to_owned()),
        RingOutcome::Refused(100) => ("REFUSED", "It is alive, but did not ring within 8 s.".to_owned()),
        RingOutcome::Refused(status) => ("REFUSED", format!("It is alive, and does not want to ring (SIP {status}).")),
        RingOutcome::Silent => ("SILENT", "It said nothing for 8 s.".to_owned()),
        RingOutcome::Unreachable => ("UNREACHABLE", "Nobody knows where it is, or nothing gets there.".to_owned()),
        RingOutcome::BrokenOff => ("BROKEN_OFF", "Broken off: the phone is wanted for a call.".to_owned()),
    };
    let status = if let RingOutcome::Refused(status) = outcome { Some(status) } else { None };
    live::rang(number, result, &sentence, status)
}

/// At least a second, rounded up.
fn words(left: Duration) -> String {
    match left.as_secs().saturating_add(1) {
        seconds @ ..=99 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
