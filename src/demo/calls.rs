//! The owners of the simulated phones: they register, call each other, answer, let it ring, and hang up.
//!
//! Deliberately not here: repeats. Between these phones and the exchange SIP does not get lost; who is switched off hears nothing
//! at all. Read RFC 3261 §12 (dialogs), §13.2.2.4 (ACK of a 2xx), §9.1 (CANCEL) and §15 (BYE) first.

use std::time::Duration;

use super::places::{Manner, Phone};
use crate::core::event::Udp;
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::sip::{self, Answer, HeaderTable, Message, Method, Name, NameAddr};

/// Ends of calls at once; a phone that is called beyond it is busy.
const LEGS: usize = 64;
/// Calls that the phones begin at once.
const CALLS: usize = 4;
/// How long somebody waits for an answer before giving up.
const PATIENCE: Duration = Duration::from_secs(24);
/// No speech: nothing is sent to an address that does not exist (RFC 3264 §5.1).
const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 0\r\na=inactive\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Dialled, nobody answered yet.
    Calling,
    /// Taken back.
    Cancelled,
    /// It rings here.
    Ringing,
    /// Answered, the ACK is still to come.
    Answered,
    /// Somebody is talking.
    Talking,
}

/// One end of a call.
#[derive(Debug)]
struct Leg {
    phone: usize,
    /// Dialled here; the other end answers.
    is_caller: bool,
    /// Where the exchange, or the test desk, talks to it.
    socket: Udp,
    call_id: String,
    stage: Stage,
    /// When its owner loses patience, picks up or hangs up.
    due: Option<Instant>,
    /// As it was sent or came.
    invite: Vec<u8>,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
}

/// A datagram of a phone.
#[derive(Debug)]
pub struct Said {
    /// Who says it.
    pub phone: usize,
    /// To which socket of the daemon.
    pub socket: Udp,
    /// What.
    pub bytes: Vec<u8>,
}

/// All of them.
#[derive(Debug)]
pub struct Calls {
    legs: Vec<Leg>,
    next_call: Instant,
    /// When each phone registers again.
    registers: Vec<Option<Instant>>,
    serial: u32,
    said: Vec<Said>,
}

impl Calls {
    /// Nobody has called anybody yet.
    pub fn new(phones: &[Phone], now: Instant) -> Self {
        let first = |(n, phone): (usize, &Phone)| {
            phone.registers.then(|| now + Duration::from_millis(u64::try_from(n).unwrap_or(0) * 170))
        };
        let registers = phones.iter().enumerate().map(first).collect();
        Self { legs: Vec::new(), next_call: now + Duration::from_secs(8), registers, serial: 0, said: Vec::new() }
    }

    /// What the phones say, in order.
    pub fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// When somebody does something of his own accord.
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = self.legs.iter().filter_map(|leg| leg.due).chain(self.registers.iter().flatten().copied());
        own.chain([self.next_call]).min()
    }

    /// Everybody does what is due. `is_on`: whether a phone is switched on and to be reached.
    pub fn handle_timeout(&mut self, phones: &[Phone], is_on: &[bool], rng: &mut Rng, now: Instant) {
        for (index, phone) in phones.iter().enumerate() {
            let due = self.registers.get_mut(index).filter(|at| at.is_some_and(|at| at <= now));
            let Some(at) = due else { continue };
            *at = Some(now + Duration::from_secs(100 + rng.below(40)));
            if is_on.get(index) == Some(&true) {
                self.register(index, phone);
            }
        }
        while let Some(place) = self.legs.iter().position(|leg| leg.due.is_some_and(|due| due <= now)) {
            self.act(place, phones, rng, now);
        }
        if self.next_call <= now {
            self.next_call = now + Duration::from_secs(7 + rng.below(18));
            self.somebody_calls(phones, is_on, rng, now);
        }
    }

    fn register(&mut self, index: usize, phone: &Phone) {
        self.serial += 1;
        let (number, at, serial) = (&phone.number, phone.address, self.serial);
        let makes = ["Yealink SIP-T31P", "snom320", "Cisco SPA525G2", "Grandstream GXP1625"];
        let make = makes.get(index % 4).copied().unwrap_or_default();
        let text = format!(
            "REGISTER sip:localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {at}:5060;branch=z9hG4bKr{serial}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{number}@localnode.local.mesh>;tag=r{serial}\r\n\
             To: <sip:{number}@localnode.local.mesh>\r\nCall-ID: register-{number}\r\nCSeq: {serial} REGISTER\r\n\
             Contact: <sip:{number}@{at}:5060>\r\nExpires: 300\r\nUser-Agent: {make} (simulated)\r\n\
             Content-Length: 0\r\n\r\n"
        );
        self.said.push(Said { phone: index, socket: Udp::Sip, bytes: text.into_bytes() });
    }

    /// A registered phone dials somebody.
    fn somebody_calls(&mut self, phones: &[Phone], is_on: &[bool], rng: &mut Rng, now: Instant) {
        let idle = |index: &usize| is_on.get(*index) == Some(&true) && !self.legs.iter().any(|leg| leg.phone == *index);
        let callers: Vec<usize> =
            (0..phones.len()).filter(idle).filter(|n| self.registers.get(*n).is_some_and(Option::is_some)).collect();
        let callees: Vec<usize> = (0..phones.len()).filter(idle).collect();
        let mut draw = |from: &[usize]| from.get(usize::try_from(rng.below(from.len() as u64)).unwrap_or(0)).copied();
        let (Some(caller), Some(callee)) = (draw(&callers), draw(&callees)) else { return };
        let (Some(from), Some(to)) = (phones.get(caller), phones.get(callee).map(|phone| &phone.number)) else {
            return;
        };
        if caller == callee || self.legs.iter().filter(|leg| leg.is_caller).count() >= CALLS {
            return;
        }
        self.serial += 1;
        let (own, at, serial) = (&from.number, from.address, self.serial);
        let call_id = format!("{own}-{serial}@{at}");
        let local = format!("<sip:{own}@localnode.local.mesh>;tag=c{serial}");
        let remote = format!("<sip:{to}@localnode.local.mesh>");
        let text = format!(
            "INVITE sip:{to}@localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {at}:5060;branch=z9hG4bKi{serial}\r\n\
             Max-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{own}@{at}:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        );
        self.legs.push(Leg {
            phone: caller,
            is_caller: true,
            socket: Udp::Sip,
            call_id,
            stage: Stage::Calling,
            due: Some(now + PATIENCE),
            invite: text.clone().into_bytes(),
            local,
            remote,
            target: String::new(),
            routes: Vec::new(),
        });
        self.said.push(Said { phone: caller, socket: Udp::Sip, bytes: text.into_bytes() });
    }

    /// The owner of this end does what is due.
    fn act(&mut self, place: usize, phones: &[Phone], rng: &mut Rng, now: Instant) {
        let Some(leg) = self.legs.get_mut(place) else { return };
        leg.due = None;
        let Some(phone) = phones.get(leg.phone) else { return };
        let mut table = HeaderTable::default();
        let mut bytes = Vec::new();
        let (from, socket) = (leg.phone, leg.socket);
        match leg.stage {
            Stage::Calling => {
                leg.stage = Stage::Cancelled;
                leg.due = Some(now + PATIENCE + PATIENCE);
                if let Ok(invite) = Message::parse(&leg.invite, &mut table) {
                    sip::cancel(&invite, None, &mut bytes);
                }
            }
            Stage::Ringing => {
                leg.stage = Stage::Answered;
                // If no ACK comes, it is over.
                leg.due = Some(now + Duration::from_secs(30));
                if let Ok(invite) = Message::parse(&leg.invite, &mut table) {
                    let contact = format!("<sip:{}@{}:5060>", phone.number, phone.address);
                    let tag = tag_of(&leg.local);
                    let extra: [(&str, &[u8]); 1] = [("Contact", contact.as_bytes())];
                    let body = Some(("application/sdp", SDP.as_bytes()));
                    let answer = Answer {
                        status: 200,
                        reason: "OK",
                        to_tag: Some(tag),
                        extra: &extra,
                        body,
                        ..Answer::default()
                    };
                    sip::respond(&invite, &answer, &mut bytes);
                }
            }
            Stage::Talking => {
                bytes = leg.request("BYE", 2, phone, rng);
                self.legs.remove(place);
            }
            Stage::Answered | Stage::Cancelled => drop(self.legs.remove(place)),
        }
        if !bytes.is_empty() {
            self.said.push(Said { phone: from, socket, bytes });
        }
    }

    /// A datagram reached a phone that is on.
    pub fn handle_datagram(
        &mut self,
        index: usize,
        phone: &Phone,
        socket: Udp,
        bytes: &[u8],
        rng: &mut Rng,
        now: Instant,
    ) {
        let mut table = HeaderTable::default();
        let Ok(message) = Message::parse(bytes, &mut table) else { return };
        let Some(call_id) = text(&message, Name::CallId) else { return };
        let place = self.legs.iter().position(|leg| leg.phone == index && leg.call_id == call_id);
        let Some(method) = message.method() else {
            if let Some(place) = place {
                self.handle_answer(place, phone, &message, rng, now);
            }
            return;
        };
        let mut say = |status, reason: &str, tag: &[u8]| {
            let mut bytes = Vec::new();
            sip::respond(&message, &Answer { status, reason, to_tag: Some(tag), ..Answer::default() }, &mut bytes);
            self.said.push(Said { phone: index, socket, bytes });
        };
        match (method, place) {
            // A repeat, or a change in a call; the first answer holds.
            (Method::Invite, Some(_)) => {}
            (Method::Invite, None) if phone.manner == Manner::IsBusy || self.legs.len() >= LEGS => {
                say(486, "Busy Here", b"busy");
            }
            (Method::Invite, None) => {
                let tag = format!("t{:08x}", rng.below(1 << 32));
                say(180, "Ringing", tag.as_bytes());
                let answers = phone.manner == Manner::Answers;
                let (Some(from), Some(to)) = (text(&message, Name::From), text(&message, Name::To)) else { return };
                self.legs.push(Leg {
                    phone: index,
                    is_caller: false,
                    socket,
                    call_id,
                    stage: Stage::Ringing,
                    due: answers.then(|| now + Duration::from_millis(2_000 + rng.below(5_000))),
                    invite: bytes.to_vec(),
                    local: format!("{to};tag={tag}"),
                    remote: from,
                    target: contact(&message),
                    routes: routes(&message),
                });
            }
            (Method::Ack, Some(place)) => {
                if let Some(leg) = self.legs.get_mut(place).filter(|leg| leg.stage == Stage::Answered) {
                    leg.stage = Stage::Talking;
                    leg.due = Some(now + Duration::from_secs(90 + rng.below(60)));
                }
            }
            (Method::Ack, None) => {}
            (Method::Cancel, Some(place)) => {
                say(200, "OK", b"cancel");
                let leg = self.legs.remove(place);
                let mut table = HeaderTable::default();
                if let (Stage::Ringing, Ok(invite)) = (leg.stage, Message::parse(&leg.invite, &mut table)) {
                    let (mut bytes, to_tag) = (Vec::new(), Some(tag_of(&leg.local)));
                    let answer = Answer { status: 487, reason: "Request Terminated", to_tag, ..Answer::default() };
                    sip::respond(&invite, &answer, &mut bytes);
                    self.said.push(Said { phone: index, socket, bytes });
                }
            }
            (Method::Bye, Some(place)) => {
                say(200, "OK", b"bye");
                self.legs.remove(place);
            }
            (Method::Cancel | Method::Bye, None) => say(481, "Call/Transaction Does Not Exist", b"gone"),
            _ => say(200, "OK", b"options"),
        }
    }

    /// An answer to the INVITE of a caller; the others need no thought.
    fn handle_answer(&mut self, place: usize, phone: &Phone, message: &Message<'_>, rng: &mut Rng, now: Instant) {
        let to_invite = message.header(Name::CSeq).is_some_and(|cseq| cseq.ends_with(b"INVITE"));
        let Some(leg) = self.legs.get_mut(place).filter(|leg| to_invite && leg.is_caller) else { return };
        let (from, socket) = (leg.phone, leg.socket);
        let bytes = match message.status().unwrap_or(0) {
            0..=199 => return,
            200..=299 => {
                leg.remote = text(message, Name::To).unwrap_or_default();
                leg.target = contact(message);
                leg.routes = routes(message);
                leg.routes.reverse();
                // Whoever wanted to take the call back hangs up at once.
                let talk = if leg.stage == Stage::Cancelled { 0 } else { 12 + rng.below(60) };
                leg.stage = Stage::Talking;
                leg.due = Some(now + Duration::from_secs(talk));
                leg.request("ACK", 1, phone, rng)
            }
            _ => {
                let (mut bytes, mut table) = (Vec::new(), HeaderTable::default());
                if let Ok(invite) = Message::parse(&leg.invite, &mut table) {
                    sip::ack(&invite, message, &mut bytes);
                }
                self.legs.remove(place);
                bytes
            }
        };
        self.said.push(Said { phone: from, socket, bytes });
    }
}

impl Leg {
    /// A request inside the dialog (RFC 3261 §12.2.1.1).
    fn request(&self, method: &str, cseq: u32, phone: &Phone, rng: &mut Rng) -> Vec<u8> {
        let Self { target, local, remote, call_id, .. } = self;
        let (branch, at) = (rng.next_u64(), phone.address);
        let routes: String = self.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {at}:5060;branch=z9hG4bKd{branch:x}\r\nMax-Forwards: 70\r\n{routes}\
             From: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }
}

/// The value of a header as text.
fn text(message: &Message<'_>, name: Name) -> Option<String> {
    String::from_utf8(message.header(name)?.to_vec()).ok()
}

/// Where requests of the dialog are to go.
fn contact(message: &Message<'_>) -> String {
    let contact = message.elements(Name::Contact).next().and_then(|contact| NameAddr::parse(contact).ok());
    contact.map(|contact| String::from_utf8_lossy(contact.uri).into_owned()).unwrap_or_default()
}

fn routes(message: &Message<'_>) -> Vec<String> {
    message.elements(Name::RecordRoute).map(|route| String::from_utf8_lossy(route).into_owned()).collect()
}

/// Our own tag, at the end of From or To.
fn tag_of(local: &str) -> &[u8] {
    local.rsplit_once(";tag=").map_or("", |(_, tag)| tag).as_bytes()
}
