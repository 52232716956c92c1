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

/// Places in which sources are counted, by a keyed digest of their address.
const PLACES: usize = 256;

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
#[derive(Debug)]
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
    /// Those of them that belong to lingering contexts, which make room when it is wanted.
    idle_bytes: usize,
    /// Contexts that do not linger, and how many of them each source has.
    pending: u32,
    held: [u32; PLACES],
    limit: usize,
    evicted: u64,
}

impl Store {
    /// An empty store that may hold `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: BTreeMap::new(),
            timers: BinaryHeap::new(),
            invites: VecDeque::new(),
            others: VecDeque::new(),
            live: 0,
            bytes: 0,
            idle_bytes: 0,
            pending: 0,
            held: [0; PLACES],
            limit,
            evicted: 0,
        }
    }

    /// Whether one source may begin something new. While a quarter of the memory is free everybody may. The last quarter is for those
    /// who hold little: less than an eighth of what is still free. So neither one source nor a few together can keep everybody
    /// else from calling.
    pub fn has_share(&self, place: u8) -> bool {
        let in_use = self.bytes.saturating_sub(self.idle_bytes);
        let free = self.limit.saturating_sub(in_use);
        let held = self.held.get(usize::from(place)).copied().unwrap_or(0);
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        // What a context takes on average stands for what those of this source take.
        let theirs = u64::from(held).saturating_mul(wide(in_use));
        free >= self.limit / 4 || theirs <= u64::from(self.pending).saturating_mul(wide(free / 8))
    }

    fn count(&mut self, place: u8, more: bool) {
        let Some(held) = self.held.get_mut(usize::from(place)) else { return };
        if more {
            *held = held.saturating_add(1);
            self.pending = self.pending.saturating_add(1);
        } else {
            *held = held.saturating_sub(1);
            self.pending = self.pending.saturating_sub(1);
        }
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
        self.count(context.place, true);
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
        let place = context.place;
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
        let lingers = slot.lingers;
        self.bytes = self.bytes.saturating_sub(before).saturating_add(size);
        if lingers {
            let idle_before = if begins { 0 } else { before };
            self.idle_bytes = self.idle_bytes.saturating_sub(idle_before).saturating_add(size);
        }
        if begins {
            self.count(place, false);
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
        let lingered = std::mem::replace(&mut slot.lingers, false);
        slot.generation = slot.generation.wrapping_add(1);
        self.bytes = self.bytes.saturating_sub(size);
        if lingered {
            self.idle_bytes = self.idle_bytes.saturating_sub(size);
        } else {
            self.count(context.place, false);
        }
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::super::tests::at;
    use super::super::{ServerInvite, ServerOther};
    use super::*;
    use crate::sip::transaction::context::Peer;

    const PHONE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 5060);

    fn context(key: u64, server: Server) -> Context {
        let peer = Peer { source: PHONE, reply: PHONE, local: PHONE };
        Context::new(Some(key), server, peer, &[b'x'; 1_000], 0)
    }

    fn answered(store: &mut Store, key: u64, server: Server, now: Instant) -> Handle {
        let handle = store.insert(context(key, server)).unwrap();
        store.get_mut(handle).unwrap().server.handle_answer(200, now);
        store.settle(handle, now);
        handle
    }

    fn invite() -> Server {
        Server::Invite(ServerInvite::new())
    }

    fn other() -> Server {
        Server::Other(ServerOther::new(at(0)))
    }

    #[test]
    fn a_context_is_found_by_key_and_handle_until_it_is_freed() {
        let mut store = Store::new(1 << 20);
        let handle = store.insert(context(7, other())).unwrap();
        assert_eq!(store.find(7), Some(handle));
        store.free(handle);
        assert!(store.find(7).is_none() && store.get(handle).is_none());
        let next = store.insert(context(8, other())).unwrap();
        assert_eq!(next.slot, handle.slot, "the place is used again");
        assert!(store.get(handle).is_none(), "but not under the old name");
        store.free(handle);
        assert!(store.get(next).is_some(), "nor can it be freed by that");
    }

    #[test]
    fn what_lingers_is_slim_and_goes_after_64_t1() {
        let mut store = Store::new(1 << 20);
        let handle = answered(&mut store, 1, invite(), at(0));
        let held = store.tables()[1].used;
        assert!(held < 700, "{held} bytes");
        assert_eq!(store.next_deadline(), Some(at(32_000)));
        assert_eq!(store.poll_due(at(31_999)), None);
        assert!(store.get(handle).is_some());
        assert_eq!(store.poll_due(at(32_000)), None);
        assert!(store.get(handle).is_none());
        assert_eq!((store.bytes, store.idle_bytes, store.pending, store.live), (0, 0, 0, 0));
        assert_eq!(store.next_deadline(), None);
    }

    #[test]
    fn under_pressure_the_oldest_of_the_least_needed_goes_first() {
        let mut store = Store::new(16 << 10);
        let call = answered(&mut store, 1, invite(), at(0));
        let old = answered(&mut store, 2, other(), at(10));
        let new = answered(&mut store, 3, other(), at(20));
        let ringing = store.insert(context(4, invite())).unwrap();
        let there = |store: &Store| [call, old, new, ringing].map(|handle| store.get(handle).is_some());
        let free = |store: &Store| store.limit - store.bytes;
        let room = free(&store);
        assert!(store.make_room(room + 1, Claim::New));
        assert_eq!(there(&store), [true, false, true, true]);
        let room = free(&store);
        assert!(store.make_room(room + 1, Claim::New));
        assert_eq!(there(&store), [true, false, false, true]);
        let room = free(&store);
        assert!(store.make_room(room + 1, Claim::New));
        assert_eq!(there(&store), [false, false, false, true]);
        let room = free(&store);
        assert!(!store.make_room(room + 1, Claim::New), "what is under way stays");
        assert!(store.make_room(room + 1, Claim::Established), "the reserve is for calls that exist");
        assert_eq!(store.evicted(), 3);
    }

    #[test]
    fn entries_of_calls_that_ended_early_do_not_pile_up_in_the_heap() {
        let mut store = Store::new(1 << 20);
        for n in 0..10_000 {
            let handle = store.insert(context(n, other())).unwrap();
            store.settle(handle, at(n));
            store.free(handle);
        }
        assert!(store.timers.len() <= 65, "{}", store.timers.len());
    }

    #[test]
    fn a_deadline_that_moved_later_is_looked_at_once_and_then_waits() {
        let mut store = Store::new(1 << 20);
        let handle = store.insert(context(1, other())).unwrap();
        store.settle(handle, at(0));
        assert_eq!(store.next_deadline(), Some(at(3_500)));
        assert_eq!(store.poll_due(at(3_500)), Some(handle));
        store.get_mut(handle).unwrap().server.handle_timeout(at(3_500));
        store.settle(handle, at(3_500));
        assert_eq!(store.next_deadline(), Some(at(32_000)));
        assert_eq!(store.poll_due(at(31_999)), None);
        assert_eq!(store.poll_due(at(32_000)), Some(handle));
    }

    #[test]
    fn the_last_of_the_memory_is_for_those_who_hold_little() {
        let mut store = Store::new(1 << 20);
        for n in 0..6 {
            let mut context = context(n, invite());
            context.place = u8::from(n > 3);
            store.insert(context).unwrap();
        }
        store.set_limit(store.bytes * 5 / 4);
        assert!(!store.has_share(0), "four of six");
        assert!(!store.has_share(1), "two of six, with little left");
        assert!(store.has_share(2));
        store.set_limit(store.bytes * 2);
        assert!(store.has_share(0), "there is room enough");
    }

    #[test]
    fn a_few_sources_together_leave_room_for_others() {
        for sources in [1_u8, 2, 3, 8, 30] {
            let mut store = Store::new(8 << 20);
            let mut key = 0;
            // One after the other, each takes what it gets.
            for place in 1..=sources {
                for _ in 0..20_000 {
                    let mut context = context(key, invite());
                    context.place = place;
                    if !store.has_share(place) || !store.make_room(context.size(), Claim::New) {
                        break;
                    }
                    key += 1;
                    store.insert(context).unwrap();
                }
            }
            let free = store.limit - store.bytes;
            assert!(store.has_share(0) && free > 10 * 1_000, "{sources} sources leave {free} bytes");
            assert!(!store.has_share(1), "and the first has no share any more");
        }
    }
}
