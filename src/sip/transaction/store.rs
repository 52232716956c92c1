//! Where requests on their way are kept: a slab with generations, an index of server transactions, timers, and an account
//! of the memory that all of it holds.
//!
//! Timers are a heap with lazy cancellation: an entry that its context no longer waits for is skipped when it comes up. What
//! only lingers for repeats stands in plain queues instead, for everything in them waits equally long; under memory
//! pressure the oldest of those go first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::LINGER;
use super::context::{Context, Server};
use crate::engine::Table;
use crate::limits;
use crate::time::{Instant, sooner};

/// A context, if it is still there: its place, and how often that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The place.
    pub slot: u32,
    /// Its use.
    pub generation: u32,
}

/// Who may use the last part of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A new call or other new business.
    New,
    /// Something that belongs to a call that exists, BYE above all: may use the reserve.
    Established,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    context: Option<Box<Context>>,
    /// The soonest entry in the heap that counts.
    armed: Option<Instant>,
    lingers: bool,
    size: usize,
}

/// All contexts.
#[derive(Debug, Default)]
pub struct Store {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: BTreeMap<u64, Handle>,
    timers: BinaryHeap<Reverse<(Instant, Handle)>>,
    /// Lingering contexts by age: INVITEs, whose late 2xx would be missed most, and all others.
    invites: VecDeque<(Instant, Handle)>,
    others: VecDeque<(Instant, Handle)>,
    live: usize,
    bytes: usize,
    limit: usize,
    evicted: u64,
}

impl Store {
    /// An empty store that may hold `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Changes the bound; what is held already stays.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Makes room for `bytes` more, forgetting the oldest of what only lingers. False: there is none to be had.
    pub fn make_room(&mut self, bytes: usize, claim: Claim) -> bool {
        let limit = match claim {
            Claim::New => self.limit,
            // Enough for a BYE of every twentieth call.
            Claim::Established => self.limit.saturating_add(self.limit / 16),
        };
        loop {
            if self.bytes.saturating_add(bytes) <= limit && self.live < limits::SIP_CONTEXTS {
                return true;
            }
            let oldest = self.others.pop_front().or_else(|| self.invites.pop_front());
            let Some((_, handle)) = oldest else { return false };
            if self.get(handle).is_some() {
                self.evicted += 1;
                self.free(handle);
            }
        }
    }

    /// Takes in a context. Ask [`Store::make_room`] first.
    pub fn insert(&mut self, context: Context) -> Option<Handle> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot::default());
                slot
            }
        };
        let entry = self.slots.get_mut(usize::try_from(slot).ok()?)?;
        let handle = Handle { slot, generation: entry.generation };
        entry.size = context.size();
        self.bytes += entry.size;
        self.live += 1;
        if let Some(key) = context.key {
            self.index.insert(key, handle);
        }
        entry.context = Some(Box::new(context));
        Some(handle)
    }

    /// The server transaction with this key.
    pub fn find(&self, key: u64) -> Option<Handle> {
        self.index.get(&key).copied()
    }

    fn slot(&self, handle: Handle) -> Option<&Slot> {
        self.slots.get(usize::try_from(handle.slot).ok()?).filter(|slot| slot.generation == handle.generation)
    }

    fn slot_mut(&mut self, handle: Handle) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(handle.slot).ok()?).filter(|slot| slot.generation == handle.generation)
    }

    /// The context, if it is still there.
    pub fn get(&self, handle: Handle) -> Option<&Context> {
        self.slot(handle)?.context.as_deref()
    }

    /// The context, if it is still there. Call [`Store::settle`] after changing it.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Context> {
        self.slot_mut(handle)?.context.as_deref_mut()
    }

    /// Takes a changed context's place in timers and account; forgets it if it is over.
    pub fn settle(&mut self, handle: Handle, now: Instant) {
        let Some(slot) = self.slot_mut(handle) else { return };
        let Some(context) = slot.context.as_deref_mut() else { return };
        if context.is_over() {
            self.free(handle);
            return;
        }
        let was_lingering = slot.lingers;
        slot.lingers = context.is_quiet();
        let begins = slot.lingers && !was_lingering;
        if slot.lingers {
            context.slim();
        }
        let invite = matches!(context.server, Server::Invite(_));
        let size = context.size();
        let before = std::mem::replace(&mut slot.size, size);
        let deadline = if slot.lingers { None } else { context.deadline() };
        let arm = deadline.filter(|deadline| slot.armed.is_none_or(|armed| *deadline < armed));
        if let Some(deadline) = arm {
            slot.armed = Some(deadline);
        }
        if slot.lingers {
            slot.armed = None; // whatever stands in the heap for it counts no longer
        }
        self.bytes = self.bytes.saturating_sub(before).saturating_add(size);
        if begins {
            let queue = if invite { &mut self.invites } else { &mut self.others };
            queue.push_back((now + LINGER, handle));
        }
        if let Some(deadline) = arm {
            self.timers.push(Reverse((deadline, handle)));
            self.compact();
        }
    }

    /// Keeps entries of contexts that ended early (timer C waits minutes) from piling up in the heap.
    fn compact(&mut self) {
        if self.timers.len() <= self.live.saturating_mul(2).saturating_add(64) {
            return;
        }
        let mut entries = std::mem::take(&mut self.timers).into_vec();
        entries.retain(|Reverse((at, handle))| self.slot(*handle).is_some_and(|slot| slot.armed == Some(*at)));
        self.timers = entries.into();
    }

    /// Forgets a context.
    pub fn free(&mut self, handle: Handle) {
        let Some(slot) = self.slot_mut(handle) else { return };
        let Some(context) = slot.context.take() else { return };
        let size = std::mem::take(&mut slot.size);
        slot.armed = None;
        slot.lingers = false;
        slot.generation = slot.generation.wrapping_add(1);
        self.bytes = self.bytes.saturating_sub(size);
        self.live = self.live.saturating_sub(1);
        self.free.push(handle.slot);
        if let Some(key) = context.key {
            if self.index.get(&key) == Some(&handle) {
                self.index.remove(&key);
            }
        }
    }

    /// The next context that waits for `now`; those that lingered long enough are forgotten on the way. Settle it
    /// afterwards, or it waits for ever.
    pub fn poll_due(&mut self, now: Instant) -> Option<Handle> {
        // Timers D, I, J, K, L and M, whichever is last: all are over by now.
        while let Some((_, handle)) = pop_due(&mut self.invites, now).or_else(|| pop_due(&mut self.others, now)) {
            self.free(handle);
        }
        while let Some(Reverse((at, handle))) = self.timers.peek().copied() {
            if at > now {
                return None;
            }
            self.timers.pop();
            if let Some(slot) = self.slot_mut(handle) {
                if slot.armed == Some(at) {
                    slot.armed = None;
                    return Some(handle);
                }
            }
        }
        None
    }

    /// When [`Store::poll_due`] has something.
    pub fn next_deadline(&self) -> Option<Instant> {
        let queues = sooner(self.invites.front().map(|(at, _)| *at), self.others.front().map(|(at, _)| *at));
        sooner(queues, self.timers.peek().map(|Reverse((at, _))| *at))
    }

    /// The contexts that still wait for something, for a rare look at all of them.
    pub fn pending(&self) -> impl Iterator<Item = (Handle, &Context)> {
        self.slots.iter().zip(0_u32..).filter(|(slot, _)| !slot.lingers).filter_map(|(slot, place)| {
            let handle = Handle { slot: place, generation: slot.generation };
            slot.context.as_deref().map(|context| (handle, context))
        })
    }

    /// Lingering contexts that had to go early.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Contexts, and the memory they hold.
    pub fn tables(&self) -> [Table; 2] {
        let limit = self.limit.saturating_add(self.limit / 16);
        [
            Table { name: "sip_transactions", used: self.live, limit: limits::SIP_CONTEXTS },
            Table { name: "sip_transaction_bytes", used: self.bytes, limit },
        ]
    }
}

/// The front of a queue, if its time has come.
fn pop_due(queue: &mut VecDeque<(Instant, Handle)>, now: Instant) -> Option<(Instant, Handle)> {
    if queue.front().is_some_and(|(ends, _)| *ends <= now) { queue.pop_front() } else { None }
}
