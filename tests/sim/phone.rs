//! A phone: registers, calls, answers, holds on, hangs up, and repeats itself as RFC 3261 §17 and §13 want.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switchboard::rng::Rng;
use switchboard::time::{Instant, sooner};

use super::message::Message;
use super::net::Packet;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(32);

/// What its owner does with a call that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Answers,
    IsBusy,
    LetsItRing,
}

/// What a phone has to tell the shadow model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Registered {
        expires: u32,
    },
    /// A final answer to an INVITE of ours, retransmissions left out; the answering tag tells forks apart.
    Final {
        call: String,
        status: u16,
        tag: String,
    },
    /// Our INVITE was never answered at all.
    NoAnswer {
        call: String,
    },
    /// A call came in (new INVITE).
    Rang {
        call: String,
    },
    /// The caller took its call back.
    Cancelled {
        call: String,
    },
    /// The other side hung up.
    HungUp {
        call: String,
    },
    /// Our BYE was answered.
    ByeAnswered {
        call: String,
        status: u16,
    },
    /// Our BYE was never answered.
    ByeUnanswered {
        call: String,
    },
}

/// Something that is repeated until it is answered.
struct Repeat {
    bytes: Vec<u8>,
    to: SocketAddrV4,
    next: Instant,
    interval: Duration,
    /// Whether the interval stops growing at T2.
    capped: bool,
    until: Instant,
    purpose: Purpose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Register,
    Invite(String),
    Cancel,
    Bye(String),
    /// An answer of ours, until the ACK.
    Final(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Caller,
    Callee,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Calling,
    Ringing,
    Talking,
    Over,
}

struct Call {
    side: Side,
    stage: Stage,
    invite: Message,
    own_tag: String,
    other_tag: String,
    routes: Vec<String>,
    target: String,
    cseq: u32,
    answer_at: Option<Instant>,
    provisional: bool,
    cancel_wanted: bool,
    cancelled: bool,
    acks: BTreeMap<String, String>,
    finals: BTreeMap<String, u16>,
    last_answer: Option<String>,
    hung_up: bool,
}

pub struct Phone {
    pub number: String,
    pub address: SocketAddrV4,
    server: SocketAddrV4,
    pub manner: Manner,
    /// Switched off: hears and says nothing.
    pub gone: bool,
    pub news: Vec<News>,
    rng: Rng,
    calls: BTreeMap<String, Call>,
    repeats: Vec<Repeat>,
    out: Vec<Packet>,
    registers: u32,
    serial: u32,
    /// Answers to non-INVITE requests, for repeats: branch → answer.
    answered: BTreeMap<String, String>,
}

impl Phone {
    pub fn new(number: &str, address: SocketAddrV4, server: SocketAddrV4, rng: Rng, manner: Manner) -> Self {
        Self {
            number: number.into(),
            address,
            server,
            manner,
            gone: false,
            news: Vec::new(),
            rng,
            calls: BTreeMap::new(),
            repeats: Vec::new(),
            out: Vec::new(),
            registers: 0,
            serial: 0,
            answered: BTreeMap::new(),
        }
    }

    pub fn register(&mut self, expires: u32, now: Instant) {
        self.registers += 1;
        let (number, address) = (&self.number, self.address);
        let text = format!(
            "REGISTER sip:localnode.local.mesh SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bKr{number}x{serial};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{number}@localnode.local.mesh>;tag=r{number}\r\n\
             To: <sip:{number}@localnode.local.mesh>\r\nCall-ID: register-{number}@{host}\r\n\
             CSeq: {serial} REGISTER\r\nContact: <sip:{number}@{address}>\r\nExpires: {expires}\r\n\
             Content-Length: 0\r\n\r\n",
            serial = self.registers,
            host = address.ip(),
        );
        self.repeat(text, self.server, true, Purpose::Register, now);
    }

    /// Dials; the name of the call is its Call-ID.
    pub fn dial(&mut self, number: &str, now: Instant) -> String {
        self.serial += 1;
        let (own, address) = (self.number.clone(), self.address);
        let call = format!("{own}-{}@{}", self.serial, address.ip());
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\n",
            host = address.ip()
        );
        let text = format!(
            "INVITE sip:{number}@localnode.local.mesh SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bKi{own}x{serial};rport\r\nMax-Forwards: 70\r\n\
             From: \"{own}\" <sip:{own}@localnode.local.mesh>;tag=f{serial}\r\n\
             To: <sip:{number}@localnode.local.mesh>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{own}@{address}>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}",
            serial = self.serial,
            length = body.len(),
        );
        let invite = Message::parse(text.as_bytes());
        let tag = format!("f{}", self.serial);
        self.calls.insert(call.clone(), Call::new(Side::Caller, invite, tag));
        self.repeat(text, self.server, false, Purpose::Invite(call.clone()), now);
        call
    }

    /// Takes a call back that was not answered yet.
    pub fn cancel(&mut self, call: &str, now: Instant) {
        if let Some(state) = self.calls.get_mut(call) {
            state.cancel_wanted |= state.side == Side::Caller && state.stage == Stage::Calling;
        }
        self.cancel_if_possible(call, now);
    }

    /// Hangs up if the call is answered; whoever answered it waits for the ACK first (RFC 3261 §15).
    pub fn hang_up(&mut self, call: &str, now: Instant) -> bool {
        if self.repeats.iter().any(|repeat| repeat.purpose == Purpose::Final(call.into())) {
            return false;
        }
        let Some(state) = self.calls.get_mut(call).filter(|state| state.stage == Stage::Talking) else { return false };
        state.stage = Stage::Over;
        state.hung_up = true;
        let request = state.request("BYE", &self.number, self.address, self.rng.next_u64());
        let to = self.server_or(&request);
        self.repeat(request, to, true, Purpose::Bye(call.into()), now);
        true
    }

    /// Whether this side ended the call with a BYE of its own.
    pub fn has_hung_up(&self, call: &str) -> bool {
        self.calls.get(call).is_some_and(|call| call.hung_up)
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        if self.gone {
            return None;
        }
        let repeats = self.repeats.iter().map(|repeat| repeat.next.min(repeat.until)).min();
        sooner(repeats, self.calls.values().filter_map(|call| call.answer_at).min())
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for index in (0..self.repeats.len()).rev() {
            let repeat = &mut self.repeats[index];
            if repeat.until <= now {
                let repeat = self.repeats.remove(index);
                match repeat.purpose {
                    Purpose::Invite(call) => self.news.push(News::NoAnswer { call }),
                    Purpose::Bye(call) => self.news.push(News::ByeUnanswered { call }),
                    _ => {}
                }
            } else if repeat.next <= now {
                repeat.interval *= 2;
                if repeat.capped {
                    repeat.interval = repeat.interval.min(T2);
                }
                repeat.next = now + repeat.interval;
                self.out.push(Packet { from: self.address, to: repeat.to, bytes: repeat.bytes.clone() });
            }
        }
        let due: Vec<String> = self
            .calls
            .iter()
            .filter(|(_, call)| call.answer_at.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for call in due {
            self.pick_up(&call, now);
        }
    }

    pub fn poll_packet(&mut self) -> Option<Packet> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    pub fn handle_packet(&mut self, packet: &Packet, now: Instant) {
        let message = Message::parse(&packet.bytes);
        match message.status() {
            Some(status) => self.handle_answer(&message, status, now),
            None => self.handle_request(&message, packet.from, now),
        }
    }

    fn handle_answer(&mut self, message: &Message, status: u16, now: Instant) {
        let top = message.all("via").next().unwrap();
        assert!(
            top.contains(&self.address.to_string()),
            "{}: an answer whose top Via is not ours: {message:?}",
            self.number
        );
        assert_eq!(message.all("via").count(), 1, "an answer with somebody else's Via: {message:?}");
        let (_, method) = message.cseq();
        let call = message.one("call-id").to_owned();
        let branch = message.branch();
        match method {
            "INVITE" => self.handle_invite_answer(&call, message, status, now),
            "REGISTER" | "BYE" | "CANCEL" if status >= 200 => {
                let ours = |repeat: &Repeat| {
                    Message::parse(&repeat.bytes).branch() == branch && repeat.bytes.starts_with(method.as_bytes())
                };
                let Some(at) = self.repeats.iter().position(ours) else { return };
                match self.repeats.remove(at).purpose {
                    Purpose::Register => {
                        assert_eq!(status, 200, "{message:?}");
                        let expires =
                            message.all("contact").find(|contact| contact.contains(&self.address.to_string()));
                        let expires = expires
                            .and_then(|contact| contact.split_once("expires="))
                            .map_or(0, |(_, e)| e.split(';').next().unwrap().parse().unwrap());
                        self.news.push(News::Registered { expires });
                    }
                    Purpose::Bye(call) => self.news.push(News::ByeAnswered { call, status }),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn handle_invite_answer(&mut self, id: &str, message: &Message, status: u16, now: Instant) {
        let invite_done = status >= 200;
        let had = self.repeats.iter().position(|repeat| repeat.purpose == Purpose::Invite(id.into()));
        if let Some(at) = had {
            if invite_done {
                self.repeats.remove(at);
            } else {
                self.repeats[at].next = self.repeats[at].until; // §17.1.1.2: no more repeats after a provisional
                self.repeats[at].until = now + Duration::from_secs(400);
                self.repeats[at].next = self.repeats[at].until;
            }
        }
        let number = self.number.clone();
        let address = self.address;
        let random = self.rng.next_u64();
        let Some(call) = self.calls.get_mut(id) else { return };
        if !invite_done {
            call.provisional = true;
            self.cancel_if_possible(id, now);
            return;
        }
        let tag = message.tag("to").expect("a final answer has a To tag");
        if let Some(first) = call.finals.get(&tag) {
            assert_eq!(*first, status, "two different final answers with one tag");
            let ack = call.acks.get(&tag).cloned().unwrap();
            let to = self.server;
            self.out.push(Packet { from: address, to, bytes: ack.into_bytes() });
            return;
        }
        call.finals.insert(tag.clone(), status);
        let ack = if status < 300 {
            call.other_tag = tag.clone();
            call.routes = message.routes().into_iter().rev().collect();
            call.target = message.contact().expect("a 2xx has a Contact");
            call.stage = Stage::Talking;
            call.request("ACK", &number, address, random)
        } else {
            call.stage = Stage::Over;
            let invite = &call.invite;
            format!(
                "ACK {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
                invite.first.split(' ').nth(1).unwrap(),
                invite.one("via"),
                invite.one("from"),
                message.one("to"),
            )
        };
        call.acks.insert(tag.clone(), ack.clone());
        let cancelled = call.cancelled || call.cancel_wanted;
        self.news.push(News::Final { call: id.into(), status, tag });
        self.out.push(Packet { from: address, to: self.server, bytes: ack.into_bytes() });
        if status < 300 && cancelled {
            self.hang_up(id, now); // the answer crossed our CANCEL
        }
    }

    fn handle_request(&mut self, message: &Message, from: SocketAddrV4, now: Instant) {
        let id = message.one("call-id").to_owned();
        match message.method() {
            "INVITE" => self.handle_invite(&id, message, from, now),
            "ACK" => self.repeats.retain(|repeat| repeat.purpose != Purpose::Final(id.clone())),
            "CANCEL" => {
                let known = self
                    .calls
                    .get_mut(&id)
                    .filter(|call| call.side == Side::Callee && call.invite.branch() == message.branch());
                let status = if known.is_some() { 200 } else { 481 };
                let ringing = known.is_some_and(|call| call.stage == Stage::Ringing);
                self.say(message.answer(status, "Whatever", "c", &[], ""), from);
                if ringing {
                    self.news.push(News::Cancelled { call: id.clone() });
                    self.reject(&id, 487, "Request Terminated", now);
                }
            }
            "BYE" => {
                let branch = message.branch();
                if let Some(answer) = self.answered.get(&branch) {
                    return self.say(answer.clone(), from);
                }
                let (from_tag, to_tag) = (message.tag("from"), message.tag("to"));
                let call = self.calls.get_mut(&id).filter(|call| {
                    to_tag.as_deref() == Some(&call.own_tag) && from_tag.as_deref() == Some(&call.other_tag)
                });
                let status = match call {
                    Some(call) => {
                        if call.stage == Stage::Talking {
                            call.stage = Stage::Over;
                            self.repeats.retain(|repeat| repeat.purpose != Purpose::Final(id.clone()));
                            self.news.push(News::HungUp { call: id.clone() });
                        }
                        200
                    }
                    None => 481,
                };
                let answer = message.answer(status, "Whatever", "b", &[], "");
                self.answered.insert(branch, answer.clone());
                self.say(answer, from);
            }
            _ => self.say(message.answer(200, "OK", "o", &[], ""), from),
        }
    }

    fn handle_invite(&mut self, id: &str, message: &Message, from: SocketAddrV4, now: Instant) {
        if let Some(call) = self.calls.get(id) {
            if let Some(answer) = call.last_answer.clone().filter(|_| call.invite.branch() == message.branch()) {
                self.say(answer, from);
            }
            return;
        }
        let uri = message.first.split(' ').nth(1).unwrap();
        assert!(uri.contains(&self.number), "{} was called as {uri}", self.number);
        self.serial += 1;
        let mut call = Call::new(Side::Callee, message.clone(), format!("t{}{}", self.number, self.serial));
        call.other_tag = message.tag("from").unwrap();
        call.routes = message.routes();
        call.target = message.contact().unwrap();
        call.stage = Stage::Ringing;
        self.calls.insert(id.into(), call);
        self.news.push(News::Rang { call: id.into() });
        match self.manner {
            Manner::IsBusy => self.reject(id, 486, "Busy Here", now),
            Manner::Answers | Manner::LetsItRing => {
                let call = self.calls.get_mut(id).unwrap();
                let ringing = message.answer(180, "Ringing", &call.own_tag, &[], "");
                call.last_answer = Some(ringing.clone());
                if self.manner == Manner::Answers {
                    call.answer_at = Some(now + Duration::from_millis(200 + self.rng.below(6_000)));
                }
                self.say(ringing, from);
            }
        }
    }

    fn pick_up(&mut self, id: &str, now: Instant) {
        let contact = format!("<sip:{}@{}>", self.number, self.address);
        let Some(call) = self.calls.get_mut(id) else { return };
        call.answer_at = None;
        if call.stage != Stage::Ringing {
            return;
        }
        call.stage = Stage::Talking;
        let body = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
        let extra = [("Contact", contact), ("Content-Type", "application/sdp".into())];
        let answer = call.invite.answer(200, "OK", &call.own_tag, &extra, body);
        call.last_answer = Some(answer.clone());
        self.repeat(answer, self.server, true, Purpose::Final(id.into()), now);
    }

    fn reject(&mut self, id: &str, status: u16, reason: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.stage = Stage::Over;
        call.answer_at = None;
        let answer = call.invite.answer(status, reason, &call.own_tag, &[], "");
        call.last_answer = Some(answer.clone());
        self.repeat(answer, self.server, true, Purpose::Final(id.into()), now);
    }

    fn cancel_if_possible(&mut self, id: &str, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if !(call.cancel_wanted && call.provisional && !call.cancelled && call.stage == Stage::Calling) {
            return; // §9.1: not before a provisional answer
        }
        call.cancelled = true;
        let invite = &call.invite;
        let text = format!(
            "CANCEL {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
            invite.first.split(' ').nth(1).unwrap(),
            invite.one("via"),
            invite.one("from"),
            invite.one("to"),
        );
        self.repeat(text, self.server, true, Purpose::Cancel, now);
    }

    fn server_or(&self, request: &str) -> SocketAddrV4 {
        if request.contains("\r\nRoute:") {
            return self.server;
        }
        let uri = request.split(' ').nth(1).unwrap();
        let host = uri.rsplit('@').next().unwrap();
        host.parse().unwrap_or_else(|_| SocketAddrV4::new(host.parse::<Ipv4Addr>().unwrap(), 5060))
    }

    fn say(&mut self, text: String, to: SocketAddrV4) {
        self.out.push(Packet { from: self.address, to, bytes: text.into_bytes() });
    }

    fn repeat(&mut self, text: String, to: SocketAddrV4, capped: bool, purpose: Purpose, now: Instant) {
        let bytes = text.into_bytes();
        self.out.push(Packet { from: self.address, to, bytes: bytes.clone() });
        let repeat = Repeat { bytes, to, next: now + T1, interval: T1, capped, until: now + GIVE_UP, purpose };
        self.repeats.push(repeat);
    }
}

impl Call {
    fn new(side: Side, invite: Message, own_tag: String) -> Self {
        Self {
            side,
            stage: Stage::Calling,
            invite,
            own_tag,
            other_tag: String::new(),
            routes: Vec::new(),
            target: String::new(),
            cseq: 1,
            answer_at: None,
            provisional: false,
            cancel_wanted: false,
            cancelled: false,
            acks: BTreeMap::new(),
            finals: BTreeMap::new(),
            last_answer: None,
            hung_up: false,
        }
    }

    /// A request inside the dialog (RFC 3261 §12.2.1.1); an ACK carries the number of the INVITE.
    fn request(&mut self, method: &str, number: &str, address: SocketAddrV4, random: u64) -> String {
        if method != "ACK" {
            self.cseq += 1;
        }
        let (local, remote) = match self.side {
            Side::Caller => {
                (self.invite.one("from").to_owned(), format!("{};tag={}", self.invite.one("to"), self.other_tag))
            }
            Side::Callee => {
                (format!("{};tag={}", self.invite.one("to"), self.own_tag), self.invite.one("from").to_owned())
            }
        };
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{random:x}\r\nMax-Forwards: 70\r\n",
            self.target
        );
        for route in &self.routes {
            text += &format!("Route: {route}\r\n");
        }
        let id = self.invite.one("call-id");
        let cseq = if method == "ACK" { 1 } else { self.cseq };
        text + &format!(
            "From: {local}\r\nTo: {remote}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{number}@{address}>\r\nContent-Length: 0\r\n\r\n"
        )
    }
}
