//! Requests to the server itself: REGISTER, OPTIONS, the message-summary subscription that every phone tries, keep-alives.
//! Everything else is refused in a way that stops phones from asking again.
//!
//! Read first: RFC 3261 §8.2, §10.3, §11.2; RFC 6665 §4.1.2, §4.2; RFC 3842.

use std::fmt::Write as _;

use super::{Asked, Proxy, options};
use crate::sip::cookie::BranchId;
use crate::sip::outbox::Path;
use crate::sip::response::reason;
use crate::sip::target::{NextHop, Plan};
use crate::sip::transaction::context::{Branch, Cancel, Client, Context, Server, asked as asked_address};
use crate::sip::transaction::store::Claim;
use crate::sip::transaction::{ClientOther, ServerOther};
use crate::time::Instant;
use crate::wire::sip::{Method, Name, NameAddr, Uri, expires};

/// What the server itself takes (RFC 3261 §20.5).
const ALLOW: (&str, &[u8]) = ("Allow", b"ACK, CANCEL, NOTIFY, OPTIONS, REGISTER, SUBSCRIBE");

/// The one event that phones may ask the server for (RFC 6665 §8.2.2).
const ALLOW_EVENTS: (&str, &[u8]) = ("Allow-Events", b"message-summary");

impl Proxy {
    /// Whether a request to a number is meant for the server all the same: a REGISTER with a user in its Request-URI, and what a
    /// phone asks about its own number. Passed on, that would come back to the phone that sent it.
    pub(super) fn is_for_server(&self, asked: &Asked<'_>, plan: &Plan<'_>) -> bool {
        let NextHop::User(number) = &plan.next else { return false };
        match asked.method {
            Method::Register => true,
            Method::Subscribe | Method::Publish | Method::Notify => {
                let from = Uri::parse(asked.essentials.from.uri).ok().and_then(|uri| uri.user_unescaped());
                from.is_some_and(|from| self.ours.number(&from) == *number)
            }
            _ => false,
        }
    }

    /// Answers a request to the server itself.
    pub(super) fn serve(&mut self, asked: &Asked<'_>, key: u64, now: Instant) {
        self.counts.served += 1;
        let in_dialog = asked.essentials.to_tag.is_some();
        if asked.method != Method::Register {
            // §8.2.2.3. The registrar answers for itself.
            if let Some(unsupported) = options(asked, Name::Require) {
                return self.reply(asked, 420, reason(420), &[("Unsupported", &unsupported)]);
            }
        }
        match asked.method {
            Method::Register => self.register(asked, now),
            // §11.2. An empty Supported says that there is nothing that it could list.
            Method::Options => {
                let accept: (&str, &[u8]) = ("Accept", b"application/sdp, application/simple-message-summary");
                self.reply(asked, 200, reason(200), &[ALLOW, accept, ("Supported", b""), ALLOW_EVENTS]);
            }
            Method::Subscribe if event(asked).eq_ignore_ascii_case(b"message-summary") => {
                self.subscribe(asked, key, now);
            }
            Method::Subscribe => self.reply(asked, 489, reason(489), &[ALLOW_EVENTS]),
            // Phones that keep a firewall open this way want a 2xx.
            Method::Notify if event(asked).eq_ignore_ascii_case(b"keep-alive") => {
                self.reply(asked, 200, reason(200), &[]);
            }
            // §12.2.2, §15.1.2: there is no dialog with us.
            Method::Notify | Method::Bye => self.reply(asked, 481, reason(481), &[]),
            _ if in_dialog => self.reply(asked, 481, reason(481), &[]),
            _ => self.reply(asked, 405, reason(405), &[ALLOW]),
        }
    }

    /// The registrar knows a repeated REGISTER by its CSeq, so it needs no transaction.
    fn register(&mut self, asked: &Asked<'_>, now: Instant) {
        let local = *asked.peer.local.ip();
        let answer = self.registrar.handle_register(&asked.message, &asked.essentials, asked.peer.source, local, now);
        let mut extra: Vec<(&str, &[u8])> = Vec::with_capacity(answer.headers.len());
        extra.extend(answer.headers.iter().map(|(name, value)| (*name, value.as_slice())));
        self.reply(asked, answer.status, answer.reason, &extra);
    }

    /// Every phone asks for its voice mail, and some ask again without pause if they are refused. The answer that ends
    /// it is: yes, and here is all there will ever be (RFC 6665 §4.1.3, `noresource`: do not try again).
    fn subscribe(&mut self, asked: &Asked<'_>, key: u64, now: Instant) {
        let seconds = asked.message.header(Name::Expires).and_then(expires).unwrap_or(3_600).min(3_600);
        let mut contact: heapless::String<48> = heapless::String::new();
        let local = self.named(asked);
        let _ = write!(contact, "<sip:{local}>");
        let seconds = seconds.to_string();
        let headers: [(&str, &[u8]); 2] = [("Expires", seconds.as_bytes()), ("Contact", contact.as_bytes())];
        // As a transaction, so that a repeated SUBSCRIBE does not bring a second NOTIFY.
        let context = Context::new(Some(key), Server::Other(ServerOther::new(now)), asked.peer, b"", 0);
        if !self.store.make_room(context.size().saturating_mul(2).saturating_add(2_048), Claim::New) {
            self.counts.overloaded += 1;
            return self.reply(asked, 503, reason(503), &[("Retry-After", b"30")]);
        }
        let bytes: Box<[u8]> = self.send_answer(asked, 200, reason(200), &headers).into();
        if let Some(handle) = self.store.insert(context) {
            if let Some(context) = self.store.get_mut(handle) {
                context.server.handle_answer(200, now);
                context.answer = bytes;
            }
            self.store.settle(handle, now);
        }
        self.notify(asked, &contact, now);
    }

    /// The NOTIFY that ends the subscription. It goes to where the SUBSCRIBE came from, whatever its Contact says, and is repeated
    /// only to an address that has registered: nobody can make us send a series of messages to a third party.
    fn notify(&mut self, asked: &Asked<'_>, contact: &str, now: Instant) {
        let essentials = &asked.essentials;
        let target = asked.message.elements(Name::Contact).next().and_then(|contact| NameAddr::parse(contact).ok());
        let uri = target.map_or(essentials.from.uri, |contact| contact.uri);
        let context = Context::new(None, Server::Nobody, asked.peer, b"", 0);
        let Some(handle) = self.store.insert(context) else { return };
        let id = BranchId { slot: handle.slot, generation: handle.generation, branch: 0, lap: 0 };
        let branch = self.cookies.branch(id, essentials.call_id, essentials.cseq.number);
        let tag = self.cookies.to_tag(essentials.call_id, essentials.from_tag);
        let named = self.named(asked);
        let path = Path { source: asked_address(*asked.peer.local.ip()), destination: asked.peer.reply };
        let message = &asked.message;
        let sent: Box<[u8]> = self
            .outbox
            .push(path, |out| {
                let mut line = |name: &str, parts: &[&[u8]]| {
                    out.extend_from_slice(name.as_bytes());
                    for part in parts {
                        // Folds are white space; nothing from outside ends a line.
                        out.extend(part.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
                    }
                    out.extend_from_slice(b"\r\n");
                };
                line("NOTIFY ", &[uri, b" SIP/2.0"]);
                line("Via: SIP/2.0/UDP ", &[named.as_bytes(), b";branch=", branch.as_bytes()]);
                line("Max-Forwards: 70", &[]);
                // Line by line, not element by element: of 4000 elements in one line none would be larger than its name.
                for routes in message.headers(Name::RecordRoute).filter(|routes| !routes.is_empty()) {
                    line("Route: ", &[routes]);
                }
                let to = message.header(Name::To).unwrap_or(b"");
                let tagged: &[&[u8]] =
                    if essentials.to_tag.is_some() { &[to] } else { &[to, b";tag=", tag.as_bytes()] };
                line("From: ", tagged);
                line("To: ", &[message.header(Name::From).unwrap_or(b"")]);
                line("Call-ID: ", &[essentials.call_id]);
                // Grows with the subscriber's own.
                line("CSeq: ", &[essentials.cseq.number.to_string().as_bytes(), b" NOTIFY"]);
                line("Contact: ", &[contact.as_bytes()]);
                line("Event: ", &[message.header(Name::Event).unwrap_or(b"message-summary")]);
                line("Subscription-State: terminated;reason=noresource", &[]);
                line("Content-Type: application/simple-message-summary", &[]);
                line("Content-Length: 22", &[]);
                line("", &[]);
                line("Messages-Waiting: no", &[]);
            })
            .into();
        let source = asked.peer.source.ip();
        let registered = self.registrar.bindings().any(|binding| binding.source.ip() == source);
        if registered && !sent.is_empty() {
            if let Some(context) = self.store.get_mut(handle) {
                context.branches.push(Branch {
                    client: Client::Other(ClientOther::new(now)),
                    path,
                    sent,
                    ack: Box::default(),
                    timer_c: None,
                    cancel: Cancel::No,
                });
            }
        }
        self.store.settle(handle, now);
    }

    /// Our address and port as the phone knows them.
    fn named(&self, asked: &Asked<'_>) -> heapless::String<24> {
        let local = self.own_address(asked.peer.local);
        let mut text = heapless::String::new();
        let _ = write!(text, "{local}");
        text
    }
}

/// The event package, without its parameters.
fn event<'a>(asked: &Asked<'a>) -> &'a [u8] {
    let value = asked.message.header(Name::Event).unwrap_or(b"");
    value.split(|byte| *byte == b';').next().unwrap_or(b"").trim_ascii()
}
