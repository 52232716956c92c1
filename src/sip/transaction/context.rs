//! A request on its way: the server transaction on the caller's side, a branch with a client transaction for each
//! target, and the bytes that they need (RFC 3261 §16.2 calls it the response context).
//!
//! Passive: `sip/proxy` moves it, `store.rs` keeps it. It knows when something is due and when it may be forgotten.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{ClientInvite, ClientOther, Due, Heard, ServerInvite, ServerOther};
use crate::sip::outbox::Path;
use crate::sip::response::Best;
use crate::sip::target::Target;
use crate::time::{Instant, sooner};
use crate::wire::sip::Via;

/// The caller's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// An INVITE.
    Invite(ServerInvite),
    /// Any other request that is answered.
    Other(ServerOther),
    /// Nobody waits for an answer: an ACK on its way, or a request of our own.
    Nobody,
}

impl Server {
    /// Whether a final answer is still owed.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_open(),
            Self::Other(machine) => machine.is_open(),
            Self::Nobody => false,
        }
    }

    /// An answer wants to go out; true if it may.
    pub fn handle_answer(&mut self, status: u16, now: Instant) -> bool {
        match self {
            Self::Invite(machine) => machine.handle_answer(status, now),
            Self::Other(machine) => machine.handle_answer(status, now),
            Self::Nobody => false,
        }
    }

    /// What is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self {
            Self::Invite(machine) => machine.handle_timeout(now),
            Self::Other(machine) => machine.handle_timeout(now),
            Self::Nobody => Due::Nothing,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
            Self::Nobody => None,
        }
    }

    /// Whether nothing will happen here any more but repeats that are absorbed or answered alike.
    fn is_quiet(&self) -> bool {
        match self {
            Self::Invite(machine) => !machine.may_repeat(),
            Self::Other(machine) => !machine.is_open(),
            Self::Nobody => true,
        }
    }
}

/// Who asked, where the answer goes, and which of our addresses was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where the request came from.
    pub source: SocketAddrV4,
    /// Where answers go.
    pub reply: SocketAddrV4,
    /// Where it arrived.
    pub local: SocketAddrV4,
}

impl Peer {
    /// RFC 3261 §18.2.2 and RFC 3581 §4: to the source port if the caller asked for it by rport, else to the port of sent-by; in
    /// both cases to the address that the request came from, for `received` is always set.
    pub fn new(via: &Via<'_>, source: SocketAddrV4, local: SocketAddrV4) -> Self {
        let port = if via.rport.is_some() { source.port() } else { via.sent_by_port() };
        Self { source, reply: SocketAddrV4::new(*source.ip(), port), local }
    }

    /// The way of an answer: from the address that was asked.
    pub fn path(&self) -> Path {
        Path { source: asked(*self.local.ip()), destination: self.reply }
    }
}

/// The address to send from, where the shell knows it.
pub fn asked(local: Ipv4Addr) -> Option<Ipv4Addr> {
    (!local.is_unspecified()).then_some(local)
}

/// The machine on the callee's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An INVITE.
    Invite(ClientInvite),
    /// Anything else.
    Other(ClientOther),
}

impl Client {
    /// Whether no final answer came yet.
    pub fn is_pending(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_pending(),
            Self::Other(machine) => machine.is_pending(),
        }
    }

    /// A response arrived.
    pub fn handle_response(&mut self, status: u16, now: Instant) -> Heard {
        match self {
            Self::Invite(machine) => machine.handle_response(status, now),
            Self::Other(machine) => machine.handle_response(status, now),
        }
    }

    /// What is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Due {
        match self {
            Self::Invite(machine) => machine.handle_timeout(now),
            Self::Other(machine) => machine.handle_timeout(now),
        }
    }

    /// Nobody is there.
    pub fn handle_failure(&mut self) {
        match self {
            Self::Invite(machine) => machine.handle_failure(),
            Self::Other(machine) => machine.handle_failure(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::Other(machine) => machine.deadline(),
        }
    }
}

/// How far the CANCEL of a branch is (RFC 3261 §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Nobody wants it.
    No,
    /// Wanted, but nothing was heard of the branch yet; with the Reason to give, perhaps empty.
    Wanted(Box<[u8]>),
    /// Sent. The branch counts as silent at `gives_up`.
    Sent {
        /// The CANCEL's own client transaction.
        machine: ClientOther,
        /// For its repeats.
        bytes: Box<[u8]>,
        /// 64*T1 after it was sent.
        gives_up: Instant,
    },
}

/// One target that the request was sent to.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its client transaction.
    pub client: Client,
    /// From where to where.
    pub path: Path,
    /// The request as it was sent, until the final answer.
    pub sent: Box<[u8]>,
    /// The ACK, after a final answer other than 2xx.
    pub ack: Box<[u8]>,
    /// RFC 3261 §16.6 step 11; INVITE only.
    pub timer_c: Option<Instant>,
    /// Its CANCEL.
    pub cancel: Cancel,
}

impl Branch {
    fn deadline(&self) -> Option<Instant> {
        if !self.client.is_pending() {
            return None; // Timers D, K and M are covered by the time that a quiet context lingers.
        }
        let cancel = match &self.cancel {
            Cancel::Sent { machine, gives_up, .. } => sooner(machine.deadline(), Some(*gives_up)),
            Cancel::No | Cancel::Wanted(_) => None,
        };
        sooner(self.client.deadline(), sooner(self.timer_c, cancel))
    }
}

/// A question that was asked on behalf of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Its token.
    pub token: u32,
    /// When we stop waiting.
    pub gives_up: Instant,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its server transaction's key, if it has one.
    pub key: Option<u64>,
    /// The caller's side.
    pub server: Server,
    /// The caller.
    pub peer: Peer,
    /// The request as received, until the final answer went out.
    pub request: Box<[u8]>,
    /// The last answer that went out, while it may have to be repeated. Empty in an INVITE's Proceeding means 100.
    pub answer: Box<[u8]>,
    /// Where it went.
    pub branches: Vec<Branch>,
    /// Where it will go next if all branches refuse: less preferred targets, best last.
    pub waiting: Vec<Target>,
    /// The best final answer other than 2xx so far.
    pub best: Option<Best>,
    /// A question that is out.
    pub lookup: Option<Lookup>,
    /// The caller sent CANCEL; this is the Reason to pass on, perhaps empty.
    pub cancelled: Option<Box<[u8]>>,
    /// The loop mark.
    pub lap: u32,
    /// It has come round through somebody else: one target is enough.
    pub came_round: bool,
    /// Where its source is counted; see `store.rs`.
    pub place: u8,
    /// Repeats that were answered.
    pub repeats: u8,
}

impl Context {
    /// A request that just arrived, or that we make ourselves.
    pub fn new(key: Option<u64>, server: Server, peer: Peer, request: &[u8], lap: u32) -> Self {
        Self {
            key,
            server,
            peer,
            request: request.into(),
            answer: Box::default(),
            branches: Vec::new(),
            waiting: Vec::new(),
            best: None,
            lookup: None,
            cancelled: None,
            lap,
            came_round: false,
            place: 0,
            repeats: 0,
        }
    }

    /// Whether any branch has no final answer yet.
    pub fn is_pending(&self) -> bool {
        self.lookup.is_some() || self.branches.iter().any(|branch| branch.client.is_pending())
    }

    /// Whether only repeats can still come: nothing is owed to anybody, no timer but the last one runs.
    pub fn is_quiet(&self) -> bool {
        self.server.is_quiet() && !self.is_pending()
    }

    /// Whether it can be forgotten at once.
    pub fn is_over(&self) -> bool {
        if self.is_pending() {
            return false;
        }
        match self.server {
            Server::Nobody => true,
            // Nothing is under way that could ever answer it. That is not meant to happen, and must not stay for ever if it does.
            Server::Invite(machine) if machine.is_open() => true,
            // Timer H: the caller never acknowledged, and the branches ended before that.
            Server::Invite(machine) => self.server.is_quiet() && machine.deadline().is_none(),
            Server::Other(machine) => machine.deadline().is_none(),
        }
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let branches = self.branches.iter().fold(None, |soonest, branch| sooner(soonest, branch.deadline()));
        sooner(sooner(self.server.deadline(), self.lookup.map(|lookup| lookup.gives_up)), branches)
    }

    /// Lets go of everything that repeats do not need.
    pub fn slim(&mut self) {
        self.request = Box::default();
        self.waiting = Vec::new();
        self.best = None;
        self.cancelled = None;
        if matches!(self.server, Server::Invite(machine) if !machine.may_repeat()) {
            self.answer = Box::default();
        }
        for branch in &mut self.branches {
            branch.sent = Box::default();
            branch.cancel = Cancel::No;
        }
    }

    /// Memory that it holds, in bytes: itself, what it owns, and what the tables spend on it.
    pub fn size(&self) -> usize {
        // A place in the slab, one in the index, one or two in the timers, and what the allocator adds to each block.
        const OVERHEAD: usize = 96;
        let branches = self.branches.iter().fold(0_usize, |sum, branch| {
            let cancel = match &branch.cancel {
                Cancel::Sent { bytes, .. } => bytes.len(),
                Cancel::Wanted(reason) => reason.len(),
                Cancel::No => 0,
            };
            sum.saturating_add(branch.sent.len() + branch.ack.len() + cancel)
        });
        size_of::<Self>()
            + OVERHEAD
            + self.request.len()
            + self.answer.len()
            + branches
            + self.branches.capacity() * size_of::<Branch>()
            + self.waiting.iter().map(Target::size).sum::<usize>()
            + self.best.as_ref().map_or(0, Best::size)
            + self.cancelled.as_ref().map_or(0, |reason| reason.len())
    }
}
