//! What the clock and the network say: timers of all machines, timer C (RFC 3261 §16.8), ICMP (§16.9).

use std::net::SocketAddrV4;
use std::time::Duration;

use log::debug;

use super::Proxy;
use crate::sip::response::{Best, reason};
use crate::sip::transaction::Due;
use crate::sip::transaction::context::{Cancel, Client, Server};
use crate::sip::transaction::store::Handle;
use crate::time::Instant;

/// Every ICMP costs a look at all transactions, so no more than this many are looked at in [`ICMP_PER`]. One that is missed is
/// no loss: every repeat of the request brings another.
const ICMP: u32 = 16;
/// See [`ICMP`].
const ICMP_PER: Duration = Duration::from_millis(100);

/// What a branch has to do.
enum BranchDue {
    Nothing,
    Silent,
    Ringing,
    NotCancelled,
}

impl Proxy {
    /// Does everything that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(handle) = self.store.poll_due(now) {
            self.wake(handle, now);
            self.store.settle(handle, now);
        }
    }

    fn wake(&mut self, handle: Handle, now: Instant) {
        let Some(context) = self.store.get_mut(handle) else { return };
        let branches = context.branches.len();
        match context.server.handle_timeout(now) {
            Due::Repeat if !context.answer.is_empty() => {
                self.outbox.push_bytes(context.peer.path(), &context.answer);
            }
            Due::Trying => self.with_request(handle, |proxy, asked| {
                let bytes: Box<[u8]> = proxy.send_answer(asked, 100, reason(100), &[]).into();
                if let Some(context) = proxy.store.get_mut(handle) {
                    context.answer = bytes;
                }
            }),
            Due::GaveUp if matches!(context.server, Server::Invite(_)) => {
                debug!("{} never acknowledged its answer", context.peer.source);
                self.counts.timer_h += 1;
            }
            Due::Repeat | Due::GaveUp | Due::Ended | Due::Nothing => {}
        }
        if self.store.get(handle).and_then(|context| context.lookup).is_some_and(|lookup| lookup.gives_up <= now) {
            self.forget_lookup(handle);
            self.give_up(handle, 480);
            self.conclude(handle, now);
        }
        for index in 0..branches {
            match self.wake_branch(handle, index, now) {
                BranchDue::Nothing => {}
                BranchDue::Silent => self.no_answer(handle, index, now),
                BranchDue::Ringing => {
                    self.counts.timer_c += 1;
                    self.cancel_branch(handle, index, b"", now);
                }
                BranchDue::NotCancelled => {
                    self.counts.uncancelled += 1;
                    self.fail(handle, index, None, now);
                }
            }
        }
    }

    fn wake_branch(&mut self, handle: Handle, index: usize, now: Instant) -> BranchDue {
        let Some(branch) = self.store.get_mut(handle).and_then(|context| context.branches.get_mut(index)) else {
            return BranchDue::Nothing;
        };
        if !branch.client.is_pending() {
            return BranchDue::Nothing;
        }
        if let Cancel::Sent { machine, bytes, gives_up } = &mut branch.cancel {
            if *gives_up <= now {
                return BranchDue::NotCancelled;
            }
            if machine.handle_timeout(now) == Due::Repeat {
                self.outbox.push_bytes(branch.path, bytes);
            }
        }
        match branch.client.handle_timeout(now) {
            Due::Repeat => self.outbox.push_bytes(branch.path, &branch.sent),
            Due::GaveUp => return BranchDue::Silent,
            Due::Nothing | Due::Ended | Due::Trying => {}
        }
        if branch.timer_c.is_some_and(|at| at <= now) {
            branch.timer_c = None;
            return BranchDue::Ringing;
        }
        BranchDue::Nothing
    }

    /// Timers B and F.
    fn no_answer(&mut self, handle: Handle, index: usize, now: Instant) {
        let Some(context) = self.store.get_mut(handle) else { return };
        let Some(branch) = context.branches.get_mut(index) else { return };
        debug!("no answer from {}", branch.path.destination);
        let invite = matches!(branch.client, Client::Invite(_));
        branch.sent = Box::default();
        branch.timer_c = None;
        self.phone_gone(handle, now);
        if invite {
            self.counts.timer_b += 1;
            self.fail(handle, index, None, now);
        } else {
            // RFC 4320 §4.2: no 408; the caller has given up at the same moment.
            self.counts.timer_f += 1;
            self.conclude(handle, now);
        }
    }

    /// The list of calls hears of a request within a call that nobody answered.
    fn phone_gone(&mut self, handle: Handle, now: Instant) {
        self.with_request(handle, |proxy, asked| {
            if asked.essentials.to_tag.is_some() {
                proxy.calls.observe_no_answer(&asked.essentials, now);
            }
        });
    }

    /// A branch ends without an answer of its phone: by `status`, or by what silence means.
    fn fail(&mut self, handle: Handle, index: usize, status: Option<u16>, now: Instant) {
        let Some(context) = self.store.get_mut(handle) else { return };
        let refusal = status.map_or_else(|| context.silence(), Best::made_here);
        if let Some(branch) = context.branches.get_mut(index) {
            branch.client.handle_failure();
            branch.sent = Box::default();
            branch.timer_c = None;
        }
        self.weigh(handle, refusal, None, now);
    }

    /// ICMP: nobody listens at `destination`. Branches that wait for a first sign from there end as if it had answered 503
    /// (§16.9); one that rings already was reached after all. One of them must be what the ICMP quotes, if it came from outside.
    pub fn handle_unreachable(&mut self, destination: SocketAddrV4, quoted: Option<&[u8]>, now: Instant) {
        let (left, until) = &mut self.icmp;
        if *until <= now {
            (*left, *until) = (ICMP, now + ICMP_PER);
        }
        let Some(rest) = left.checked_sub(1) else { return };
        *left = rest;
        let mut hit: heapless::Vec<(Handle, usize), 64> = heapless::Vec::new();
        let mut proven = quoted.is_none();
        for (handle, context) in self.store.pending() {
            for (index, branch) in context.branches.iter().enumerate() {
                let waits = match &branch.client {
                    Client::Invite(machine) => {
                        machine.is_pending()
                            && (!machine.is_proceeding() || matches!(branch.cancel, Cancel::Sent { .. }))
                    }
                    Client::Other(machine) => machine.is_pending(),
                };
                if !waits || branch.path.destination != destination {
                    continue;
                }
                proven |= quoted.is_some_and(|quoted| match &branch.cancel {
                    Cancel::Sent { bytes, .. } => is_quote(quoted, bytes),
                    Cancel::No | Cancel::Wanted(_) => is_quote(quoted, &branch.sent),
                });
                // More than fit hear of it by the next ICMP: every repeat brings one.
                let _ = hit.push((handle, index));
            }
        }
        if !proven {
            self.counts.strange_icmp += 1;
            return;
        }
        for (handle, index) in hit {
            self.counts.unreachable += 1;
            self.phone_gone(handle, now);
            self.fail(handle, index, Some(503), now);
            self.store.settle(handle, now);
        }
    }
}

/// Whether `quoted` is the beginning of what was sent, and goes at least as far as the branch in its Via, which nobody can guess.
fn is_quote(quoted: &[u8], sent: &[u8]) -> bool {
    let via_end = sent.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).map(|(at, _)| at);
    via_end.is_some_and(|end| quoted.len() >= end) && sent.starts_with(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icmp_proves_itself_by_what_it_quotes() {
        let sent = b"INVITE sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nTo: c\r\n\r\n";
        let via_end = sent.len() - b"\nTo: c\r\n\r\n".len();
        for length in 0..=sent.len() {
            assert_eq!(is_quote(&sent[..length], sent), length >= via_end, "{length} bytes");
        }
        let mut other = *sent;
        other[via_end - 2] ^= 1;
        assert!(!is_quote(&other, sent), "another branch");
        assert!(!is_quote(b"", b""), "an answered branch has nothing to quote");
    }
}
