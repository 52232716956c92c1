//! CANCEL and ACK, the two requests that belong to another one: RFC 3261 §9, §16.10, §17.1.1.3.

use log::debug;

use super::{Asked, Proxy};
use crate::limits;
use crate::sip::response::{Best, reason};
use crate::sip::transaction::context::{Cancel, Client, Server};
use crate::sip::transaction::key::server_key;
use crate::sip::transaction::store::Handle;
use crate::sip::transaction::{AckIs, ClientOther, LINGER};
use crate::time::Instant;
use crate::wire::sip::{HeaderTable, Message, Method, cancel};

impl Proxy {
    /// CANCEL works on the transaction that it names by branch, sent-by and CSeq, and only from the address that the INVITE
    /// came from: whoever knows a Call-ID, or has seen one packet pass somewhere, cannot end the call with it.
    pub(super) fn handle_cancel(&mut self, asked: &Asked<'_>, now: Instant) {
        let key = server_key(&self.cookies, &asked.message, &asked.essentials, Method::Invite);
        let found = self.store.find(key).and_then(|handle| Some((handle, self.store.get_mut(handle)?)));
        let Some((handle, context)) = found.filter(|(_, context)| context.peer.source.ip() == asked.peer.source.ip())
        else {
            self.counts.strange_cancels += 1;
            return self.reply(asked, 481, reason(481), &[]);
        };
        // RFC 3326: why, for the phones.
        let why = asked.message.others("Reason").next().filter(|why| why.len() <= limits::SIP_REASON).unwrap_or(b"");
        let open = context.server.is_open();
        let first = open && context.cancelled.is_none();
        if first {
            context.cancelled = Some(why.into());
            context.waiting = Vec::new();
        }
        // §9.2: 200 at once, and again for every repeat.
        self.reply(asked, 200, reason(200), &[]);
        if !first {
            return;
        }
        self.calls.observe_request(&asked.message, &asked.essentials, asked.peer.source, now);
        // Nobody was called yet: nothing is sent, and the caller has his 487 (§16.10).
        self.forget_lookup(handle);
        self.cancel_branches(handle, why, now);
        if let Some(context) = self.store.get_mut(handle) {
            if !context.is_pending() && context.best.is_none() {
                context.best = Some(Best::made_here(487));
            }
        }
        self.conclude(handle, now);
        self.store.settle(handle, now);
    }

    /// ACK is never answered. That for a 300-699 ends here, that for a 2xx is a request of its own.
    pub(super) fn handle_ack(&mut self, asked: &Asked<'_>, now: Instant) {
        let key = server_key(&self.cookies, &asked.message, &asked.essentials, Method::Invite);
        if let Some(handle) = self.store.find(key) {
            if let Some(Server::Invite(machine)) = self.store.get_mut(handle).map(|context| &mut context.server) {
                if machine.handle_ack(now) == AckIs::Absorbed {
                    self.store.settle(handle, now);
                    return;
                }
            }
        }
        let essentials = &asked.essentials;
        let ours = self.cookies.to_tag(essentials.call_id, essentials.from_tag);
        if essentials.to_tag == Some(ours.as_bytes()) {
            return; // for an answer of ours that left no state behind
        }
        self.pass_ack(asked, now);
    }

    /// Cancels every branch of an INVITE that is still pending.
    pub(super) fn cancel_branches(&mut self, handle: Handle, why: &[u8], now: Instant) {
        let branches = self.store.get(handle).map_or(0, |context| context.branches.len());
        for index in 0..branches {
            self.cancel_branch(handle, index, why, now);
        }
    }

    /// Cancels one branch, at once or when something is heard of it (§9.1).
    pub(super) fn cancel_branch(&mut self, handle: Handle, index: usize, why: &[u8], now: Instant) {
        let Some(branch) = self.store.get_mut(handle).and_then(|context| context.branches.get_mut(index)) else {
            return;
        };
        if !matches!(branch.client, Client::Invite(machine) if machine.is_pending()) || branch.cancel != Cancel::No {
            return;
        }
        branch.cancel = Cancel::Wanted(why.into());
        self.release_cancel(handle, index, now);
    }

    /// Sends the CANCEL that is wanted, if the branch has been heard of.
    pub(super) fn release_cancel(&mut self, handle: Handle, index: usize, now: Instant) {
        let Some(branch) = self.store.get_mut(handle).and_then(|context| context.branches.get_mut(index)) else {
            return;
        };
        let Cancel::Wanted(why) = &branch.cancel else { return };
        if !matches!(branch.client, Client::Invite(machine) if machine.is_proceeding()) {
            return;
        }
        let mut table = HeaderTable::default();
        let Ok(sent) = Message::parse(&branch.sent, &mut table) else { return };
        let why = (!why.is_empty()).then_some(&why[..]);
        let bytes: Box<[u8]> = self.outbox.push(branch.path, |out| cancel(&sent, why, out)).into();
        debug!("cancelled a branch to {}", branch.path.destination);
        branch.timer_c = None;
        branch.cancel = Cancel::Sent { machine: ClientOther::new(now), bytes, gives_up: now + LINGER };
    }
}
