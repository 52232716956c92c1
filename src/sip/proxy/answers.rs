//! What comes back: from the branch to the best answer to the caller (RFC 3261 §16.7, RFC 6026 §8).

use log::debug;

use super::{Asked, Proxy};
use crate::sip::response::{Best, reason, with_status};
use crate::sip::target;
use crate::sip::transaction::Heard;
use crate::sip::transaction::context::{Cancel, Client, Context, Server};
use crate::sip::transaction::store::{Claim, Handle};
use crate::time::Instant;
use crate::wire::sip::{Essentials, HeaderTable, Message, Method, ack, forward_response};

/// RFC 3326: why the other phones stop ringing. A phone that reads it does not list a missed call.
const ELSEWHERE: &[u8] = b"SIP;cause=200;text=\"Call completed elsewhere\"";

impl Proxy {
    /// A response arrived. One that is not the answer to something that we sent goes no further (RFC 3261 §18.1.2, RFC 6026 §7.3).
    pub fn handle_response(&mut self, message: &Message<'_>, now: Instant) {
        let (Ok(essentials), Some(status)) = (Essentials::of(message), message.status()) else {
            self.counts.malformed_responses += 1;
            return;
        };
        let branch = essentials.via.branch.unwrap_or(b"");
        let Some(id) = self.cookies.open(branch, essentials.call_id, essentials.cseq.number) else {
            self.counts.stray_responses += 1;
            debug!("a response {status} to something that we never sent");
            return;
        };
        let handle = Handle { slot: id.slot, generation: id.generation };
        let index = usize::from(id.branch);
        let Some(branch) = self.store.get_mut(handle).and_then(|context| context.branches.get_mut(index)) else {
            self.counts.late_responses += 1;
            return;
        };
        let invite = matches!(branch.client, Client::Invite(_));
        match (essentials.cseq.method, &mut branch.cancel) {
            // The CANCEL's own transaction; what it was for is answered by the INVITE's (§9.1).
            (Method::Cancel, Cancel::Sent { machine, .. }) => {
                machine.handle_response(status, now);
            }
            (method, _) if invite == (method == Method::Invite) && method != Method::Cancel => {
                match branch.client.handle_response(status, now) {
                    Heard::News if invite => self.invite_news(handle, index, message, &essentials, status, now),
                    Heard::News => self.other_news(handle, message, &essentials, status, now),
                    Heard::AckAgain => self.outbox.push_bytes(branch.path, &branch.ack),
                    Heard::Absorb => {}
                }
            }
            _ => self.counts.stray_responses += 1,
        }
        self.store.settle(handle, now);
    }

    fn invite_news(
        &mut self,
        handle: Handle,
        index: usize,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        status: u16,
        now: Instant,
    ) {
        let timer_c = now + self.timer_c;
        let Some(context) = self.store.get_mut(handle) else { return };
        let Some(branch) = context.branches.get_mut(index) else { return };
        match status {
            // §16.7 step 5: not passed on, ours went out long ago.
            100 => self.release_cancel(handle, index, now),
            101..=199 => {
                // §16.7 step 2; but not once its CANCEL is out.
                branch.timer_c = branch.timer_c.map(|_| timer_c);
                self.pass_back(handle, message, essentials, status, now);
                self.release_cancel(handle, index, now);
            }
            200..=299 => {
                branch.timer_c = None;
                branch.sent = Box::default();
                context.waiting = Vec::new();
                context.best = None;
                self.pass_back(handle, message, essentials, status, now);
                // §16.7 step 10. Those that answer 2xx all the same are passed on all the same.
                self.cancel_branches(handle, ELSEWHERE, now);
            }
            _ => {
                branch.timer_c = None;
                let path = branch.path;
                let sent = std::mem::take(&mut branch.sent);
                let mut table = HeaderTable::default();
                if let Ok(invite) = Message::parse(&sent, &mut table) {
                    // §17.1.1.3: on the branch, at once, whatever the caller does.
                    let bytes: Box<[u8]> = self.outbox.push(path, |out| ack(&invite, message, out)).into();
                    let bytes = self.keepable(bytes);
                    if let Some(branch) = self.store.get_mut(handle).and_then(|c| c.branches.get_mut(index)) {
                        branch.ack = bytes;
                    }
                }
                self.weigh(handle, refusal(message, status), Some(message), now);
            }
        }
    }

    fn other_news(
        &mut self,
        handle: Handle,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        status: u16,
        now: Instant,
    ) {
        match status {
            // RFC 4320 §4.1: provisional answers to anything but INVITE go no further.
            ..200 => {}
            200..=299 => {
                if let Some(context) = self.store.get_mut(handle) {
                    context.waiting = Vec::new();
                    context.best = None;
                }
                self.pass_back(handle, message, essentials, status, now);
            }
            _ => self.weigh(handle, refusal(message, status), Some(message), now),
        }
    }

    /// One branch has its final answer, and it is no 2xx.
    pub(super) fn weigh(&mut self, handle: Handle, mut refusal: Best, message: Option<&Message<'_>>, now: Instant) {
        refusal.bytes = self.keepable(refusal.bytes);
        let Some(context) = self.store.get_mut(handle) else { return };
        let decisive = refusal.is_decisive();
        let status = refusal.status;
        context.best = Some(match context.best.take() {
            Some(best) => best.or(refusal, message),
            None => refusal,
        });
        if decisive {
            // §16.7 step 5: the callee said no for all his phones.
            context.waiting = Vec::new();
            self.cancel_branches(handle, format!("SIP;cause={status}").as_bytes(), now);
        }
        self.conclude(handle, now);
    }

    /// Answers the caller once nobody can answer better (§16.7 step 6); before that, the less preferred targets have their turn.
    pub(super) fn conclude(&mut self, handle: Handle, now: Instant) {
        let waiting = |proxy: &Self| {
            let context = proxy.store.get(handle)?;
            let due = context.server.is_open() && !context.is_pending() && !context.waiting.is_empty();
            due.then_some(context.waiting.len())
        };
        while let Some(before) = waiting(self) {
            self.with_request(handle, |proxy, asked| {
                if let Ok(plan) = target::plan(&asked.message, &proxy.ours) {
                    proxy.next_group(handle, asked, &plan, now);
                }
            });
            // Every round takes at least one away; if it cannot, there is nothing to wait for.
            if let Some(context) = self.store.get_mut(handle).filter(|context| context.waiting.len() >= before) {
                context.waiting = Vec::new();
            }
        }
        let Some(context) = self.store.get_mut(handle) else { return };
        if !context.server.is_open() || context.is_pending() {
            return;
        }
        // Nothing at all: phones that never answered a request other than INVITE (RFC 4320 §4.2).
        let Some(best) = context.best.take() else { return };
        let status = best.status_for_caller();
        if best.bytes.is_empty() {
            return self.with_request(handle, |proxy, asked| proxy.answer(handle, asked, status, now));
        }
        if !context.server.handle_answer(status, now) {
            return;
        }
        let path = context.peer.path();
        let bytes: Box<[u8]> = if status == best.status {
            best.bytes
        } else {
            let mut bytes = Vec::new();
            with_status(&best.bytes, status, &mut bytes);
            bytes.into()
        };
        self.outbox.push_bytes(path, &bytes);
        self.observe_answer(&bytes, now);
        self.keep_answer(handle, bytes);
    }

    /// A final answer of our own to a request that has a context.
    pub(super) fn answer(&mut self, handle: Handle, asked: &Asked<'_>, status: u16, now: Instant) {
        let Some(context) = self.store.get_mut(handle) else { return };
        if !context.server.handle_answer(status, now) {
            return;
        }
        let bytes: Box<[u8]> = self.send_answer(asked, status, reason(status), &[]).into();
        self.observe_answer(&bytes, now);
        self.keep_answer(handle, bytes);
    }

    /// Passes a response on to the caller (§16.7 steps 3, 5, 9).
    fn pass_back(
        &mut self,
        handle: Handle,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        status: u16,
        now: Instant,
    ) {
        let Some(context) = self.store.get_mut(handle) else { return };
        if !context.server.handle_answer(status, now) {
            return;
        }
        let path = context.peer.path();
        let repeats = status < 200 || matches!(context.server, Server::Other(_));
        let sent = self.outbox.push(path, |out| forward_response(message, out));
        let kept: Box<[u8]> = if repeats { sent.into() } else { Box::default() };
        self.calls.observe_response(message, essentials, now);
        self.keep_answer(handle, kept);
    }

    /// Keeps the last answer for repeats of the request, if there is room for it.
    fn keep_answer(&mut self, handle: Handle, bytes: Box<[u8]>) {
        let bytes = self.keepable(bytes);
        if let Some(context) = self.store.get_mut(handle) {
            context.answer = bytes;
        }
    }

    /// What a phone has sent is kept only if there is room for it: an answer of any size may come to a request of any size.
    fn keepable(&mut self, bytes: Box<[u8]>) -> Box<[u8]> {
        if self.store.make_room(bytes.len(), Claim::Established) { bytes } else { Box::default() }
    }
}

/// A refusal as the caller will see it.
fn refusal(message: &Message<'_>, status: u16) -> Best {
    let mut bytes = Vec::new();
    forward_response(message, &mut bytes);
    Best { status, bytes: bytes.into() }
}

impl Context {
    /// What a branch counts as that never gave a final answer: a caller who hung up is told that, not that it took too long.
    pub(super) fn silence(&self) -> Best {
        Best::made_here(if self.cancelled.is_some() { 487 } else { 408 })
    }
}
