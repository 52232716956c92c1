//! The registrar: which phone answers for which number, for how long (RFC 3261 §10.3).
//!
//! An address of record is the user part of To, its country prefix folded; its host is not looked at, because every domain of
//! the mesh that reaches this node means the same numbers. A number may have several Contacts. A REGISTER is done as a whole
//! or not at all. Where it came from is kept beside each Contact: there is no NAT on the mesh, and that address has just
//! been proven to work.
//!
//! Deliberately absent: authentication (the mesh has none to offer), Path, GRUU and outbound (they serve phones behind NAT;
//! `Require` of them gets 420), third-party rules: who may register for whom is everybody for anybody, within what follows.
//!
//! # Somebody else registers a bound number
//!
//! Without authentication the registrar cannot tell a second phone of a household from a thief. What it can see is whether a
//! REGISTER comes from a *holder* of the number: from the IP address of a live binding, or with its Call-ID, which only the
//! phone itself and who can read its packets know. The port is not looked at, for phones change it when they reboot. So
//!
//! * a phone that refreshes, reboots, or gets a new address but keeps its Call-ID is a holder;
//! * a second phone that shares the number is a stranger once, when it first comes, and a holder after that;
//! * a phone that rebooted *and* got a new address is a stranger until its old binding expires;
//! * a query (REGISTER without Contact) changes nothing and is always answered.
//!
//! A stranger who would change anything, by adding a Contact (he would then hear the phone's calls ring) or by removing
//! one (the phone would hear none), is a *takeover*. `Takeover::Allow` does what he asks. `Takeover::Log`, the default, does
//! it and leaves a line in the log, once for each new phone and not at each refresh. `Takeover::Refuse` answers 403
//! until the number is free; phones that share a number then need one IP address between them, and a phone with a new
//! address waits for up to `max_expires`. UDP sources can be forged: this keeps out accidents and idle hands, not an
//! attacker on the path.
//!
//! # Answers
//!
//! | status | when |
//! |---|---|
//! | 200 | done; lists the Contacts of the number, each with what is left of its time (those of others up to 1200 bytes) |
//! | 400 | a Contact or To that cannot be read, or is no `sip:` URI; `*` with company, or without `Expires: 0`; something too long |
//! | 403 | a takeover that is refused, or more Contacts than a number may have: asking again would not help |
//! | 404 | no user in To |
//! | 420 | `Require` of anything, listed in Unsupported |
//! | 423 | a time below `min_expires` (and above 0); Min-Expires says what would do |
//! | 500 | same Call-ID but CSeq not higher (§10.3 steps 6, 7), unless it is the same request once more |
//! | 503 | the table is full, and no address holds so much of it that it could give way; Retry-After says when the next binding ends |

#[cfg(test)]
mod model;
mod plan;
mod request;
mod saved;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use log::{info, warn};

use self::plan::{Fate, Plan};
use self::request::{Refusal, Wanted};
pub use self::saved::SavedBinding;
use super::ours::{Folding, Number};
use super::text::shown;
use crate::config::{self, Takeover};
use crate::engine::{Counter, Engine, Table};
use crate::limits;
use crate::sorted::SortedMap;
use crate::time::{Clock, Instant, UnixTime, sooner};
use crate::wire::sip::{Essentials, Message, Name, NameAddr};

/// RFC 3261 §10.3 step 7: only a time below one hour may be refused as too brief.
const HOUR: Duration = Duration::from_secs(3_600);

/// A router that does not know the date believes in one before this (January 2020); phones would set their clocks by it.
const CLOCK_IS_SET: UnixTime = UnixTime(1_577_836_800);

/// One Contact of one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The number, folded.
    pub user: Number,
    /// The URI that is called, as the phone wrote it: UTF-8 without white space.
    pub contact: Box<[u8]>,
    /// Where the REGISTER came from, and where calls are sent.
    pub source: SocketAddrV4,
    /// The address of ours that it came to, from which calls to it leave.
    pub local: Ipv4Addr,
    /// Preference in thousandths; 1000 if the phone says nothing.
    pub q: u16,
    /// It does not exist any more from then on.
    pub expires_at: Instant,
    /// When this Contact first came.
    pub since: Instant,
    /// Of the last REGISTER that changed it.
    pub call_id: Box<[u8]>,
    /// Likewise.
    pub cseq: u32,
    /// As the phone calls itself; may be empty.
    pub display: Box<str>,
    /// What the phone says it is; may be empty.
    pub user_agent: Box<str>,
}

impl Binding {
    fn is_live(&self, now: Instant) -> bool {
        self.expires_at > now
    }
}

/// What is answered to a REGISTER; Via, From, To, Call-ID and CSeq follow from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterAnswer {
    /// Status code.
    pub status: u16,
    /// Says what is wrong.
    pub reason: &'static str,
    /// Further header lines: name, value.
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    refused: u64,
    takeovers: u64,
    displaced: u64,
    expired: u64,
}

/// All bindings.
#[derive(Debug)]
pub struct Registrar {
    /// No entry is empty.
    users: SortedMap<Number, Vec<Binding>>,
    total: usize,
    /// Not later than the end of any binding; refreshes leave it behind, and the next look at the table corrects it.
    next_end: Option<Instant>,
    folding: Folding,
    min_expires: Duration,
    max_expires: Duration,
    default_expires: Duration,
    per_user: usize,
    max_total: usize,
    takeover: Takeover,
    clock: Option<Clock>,
    revision: u64,
    presence_revision: u64,
    /// The table is full and nobody is to be displaced: known until then.
    crowded_until: Instant,
    lines: Lines,
    /// Apart, so that nobody can hide a takeover behind fifty numbers that he registers first.
    takeover_lines: Lines,
    counts: Counts,
}

impl Registrar {
    /// An empty table.
    pub fn new(config: &config::Sip) -> Self {
        let mut registrar = Self {
            users: SortedMap::new(),
            total: 0,
            next_end: None,
            folding: Folding::default(),
            min_expires: Duration::ZERO,
            max_expires: Duration::ZERO,
            default_expires: Duration::ZERO,
            per_user: 0,
            max_total: 0,
            takeover: Takeover::Log,
            clock: None,
            revision: 0,
            presence_revision: 0,
            crowded_until: Instant::default(),
            lines: Lines::default(),
            takeover_lines: Lines::default(),
            counts: Counts::default(),
        };
        registrar.set_config(config);
        registrar
    }

    /// Takes over a changed configuration. Bindings stay, even above a lower bound, until they expire. With another country
    /// prefix they move to their new keys.
    pub fn set_config(&mut self, config: &config::Sip) {
        self.max_expires = config.max_expires.max(Duration::from_secs(1));
        self.min_expires = config.min_expires.min(self.max_expires).min(HOUR);
        self.default_expires = config.default_expires.clamp(self.min_expires, self.max_expires);
        self.per_user = config.contacts_per_user.min(limits::SIP_CONTACTS);
        self.max_total = config.max_registrations;
        self.takeover = config.takeover;
        let folding = Folding::new(&config.country_prefix);
        if folding != self.folding {
            self.folding = folding;
            for mut binding in std::mem::take(&mut self.users).into_iter().flat_map(|(_, bindings)| bindings) {
                binding.user = self.folding.number(&binding.user);
                self.users.or_default(binding.user.clone()).push(binding);
            }
            self.revision = self.revision.wrapping_add(1);
            self.presence_revision = self.presence_revision.wrapping_add(1);
        }
    }

    /// The date is known, for the Date header of answers (RFC 3261 §10.3 step 8).
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// Answers a REGISTER that is addressed to us (RFC 3261 §10.3), and does what it asks.
    ///
    /// `source` is where it came from, `local` the address of ours that it came to. Checks that are not the registrar's
    /// (Request-URI, Max-Forwards, Proxy-Require) have been made.
    pub fn handle_register(
        &mut self,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        source: SocketAddrV4,
        local: Ipv4Addr,
        now: Instant,
    ) -> RegisterAnswer {
        self.counts.requests += 1;
        match self.register(message, essentials, source, local, now) {
            Ok(number) => {
                let mut headers: Vec<_> =
                    self.listing(message, &number, now).into_iter().map(|line| ("Contact", line)).collect();
                if let Some(date) = self.clock.map(|clock| clock.date(now)).filter(|date| *date >= CLOCK_IS_SET) {
                    headers.push(("Date", date.http_date().into_bytes()));
                }
                RegisterAnswer { status: 200, reason: "OK", headers }
            }
            Err(refusal) => {
                self.counts.refused += 1;
                refusal.answer()
            }
        }
    }

    /// The Contacts of the answer: all that the REGISTER named itself, and as many others as an answer may hold that goes to
    /// a source that can be forged (`limits::SIP_LISTED_CONTACTS`).
    fn listing(&self, message: &Message<'_>, number: &Number, now: Instant) -> Vec<Vec<u8>> {
        let named: Vec<&[u8]> = message
            .elements(Name::Contact)
            .take(limits::SIP_CONTACTS)
            .filter_map(|element| NameAddr::parse(element).ok().map(|contact| contact.uri))
            .collect();
        let mut room = limits::SIP_LISTED_CONTACTS;
        let mut lines = Vec::new();
        for binding in self.lookup(number, now) {
            let line = listed(binding, now);
            if named.contains(&&*binding.contact) {
                lines.push(line);
            } else if let Some(rest) = room.checked_sub(line.len()) {
                room = rest;
                lines.push(line);
            }
        }
        lines
    }

    /// The live bindings of a number, preferred ones first, and among equals the one that was refreshed last. `number` is a
    /// key as `Ours::number` makes it.
    pub fn lookup(&self, number: &[u8], now: Instant) -> Vec<&Binding> {
        let mut live: Vec<&Binding> = self.users.get(number).into_iter().flatten().filter(|b| b.is_live(now)).collect();
        live.sort_by(|a, b| b.q.cmp(&a.q).then(b.expires_at.cmp(&a.expires_at)));
        live
    }

    /// Whether a phone is registered for `user`, spelled with or without country prefix.
    pub fn is_registered(&self, user: &[u8], now: Instant) -> bool {
        let number = self.folding.number(user);
        self.users.get(&*number).into_iter().flatten().any(|binding| binding.is_live(now))
    }

    /// All bindings, by number. One that expired less than a second ago may still be among them.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.users.values().flatten()
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Another number whenever a binding came, went or was refreshed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Another number whenever a number got its first binding or lost its last: phones that came or went.
    pub fn presence_revision(&self) -> u64 {
        self.presence_revision
    }

    fn register(
        &mut self,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        source: SocketAddrV4,
        local: Ipv4Addr,
        now: Instant,
    ) -> Result<Number, Refusal> {
        request::extensions(message)?;
        let number = self.folding.number(&request::address_of_record(essentials)?);
        if essentials.call_id.len() > limits::SIP_CALL_ID {
            return Err(Refusal::CallIdTooLong);
        }
        let times = request::Times { min: self.min_expires, max: self.max_expires, default: self.default_expires };
        let wish = request::wish(message, &times)?;
        // What has expired takes nobody's place.
        if self.total.saturating_add(wish.len()) > self.max_total {
            self.reap(now);
        }
        let bindings = self.users.get(&*number).map(Vec::as_slice).unwrap_or_default();
        let plan = Plan::new(bindings, &wish, essentials, now)?;
        if plan.quiet {
            return Ok(number);
        }
        if bindings.iter().any(|b| b.is_live(now))
            && !bindings.iter().any(|b| b.is_live(now) && is_holder(b, essentials, source))
        {
            self.taken_over(&number, source, now)?;
        }
        self.check_room(&number, &plan, source, now)?;
        self.commit(&number, plan, message, essentials, (source, local), now);
        Ok(number)
    }

    fn check_room(
        &mut self,
        number: &Number,
        plan: &Plan<'_>,
        source: SocketAddrV4,
        now: Instant,
    ) -> Result<(), Refusal> {
        let after = plan.kept + plan.added.len();
        // One who replaces Contacts by as many others is welcome even above the bounds.
        if after <= plan.live {
            return Ok(());
        }
        if after > self.per_user {
            return Err(Refusal::TooManyContacts);
        }
        let missing = (self.total - plan.fates.len() + after).saturating_sub(self.max_total);
        if missing == 0 || self.displace(number, *source.ip(), missing, now) {
            return Ok(());
        }
        let wait = self.next_end.map_or(HOUR, |end| end.since(now));
        Err(Refusal::Full { retry_after: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).clamp(30, 3_600) })
    }

    /// The table is full: the address that holds by far the most of it makes room for one that holds little, so that one
    /// broken phone or a load test does not shut out the others for an hour. Its bindings that end soonest go.
    fn displace(&mut self, number: &Number, newcomer: Ipv4Addr, missing: usize, now: Instant) -> bool {
        if now < self.crowded_until {
            return false;
        }
        let mut holders: SortedMap<Ipv4Addr, usize> = SortedMap::new();
        for binding in self.bindings() {
            *holders.or_default(*binding.source.ip()) += 1;
        }
        let own = holders.get(&newcomer).copied().unwrap_or(0).saturating_add(missing);
        let most = holders.into_iter().max_by_key(|(_, held)| *held);
        let greedy = most.filter(|(_, held)| *held >= limits::SIP_SPARED_CONTACTS && *held > own.saturating_mul(2));
        if self.lines.allow(now) {
            let (holder, held) = most.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
            warn!("no room for more than {} registrations; {holder} alone holds {held}", self.max_total);
        }
        let Some((greedy, _)) = greedy else {
            // Everybody holds little. Going through the table again would find the same.
            self.crowded_until = now + Duration::from_secs(1);
            return false;
        };
        let mut theirs: Vec<(Instant, Number, Box<[u8]>)> = self
            .bindings()
            .filter(|b| *b.source.ip() == greedy && b.user != *number)
            .map(|b| (b.expires_at, b.user.clone(), b.contact.clone()))
            .collect();
        if theirs.len() < missing {
            return false;
        }
        theirs.sort_unstable();
        for (_, user, contact) in theirs.into_iter().take(missing) {
            if let Some(bindings) = self.users.get_mut(&*user) {
                let before = bindings.len();
                bindings.retain(|binding| binding.contact != contact);
                let gone = before - bindings.len();
                self.total -= gone;
                self.counts.displaced += u64::try_from(gone).unwrap_or(u64::MAX);
                if bindings.is_empty() {
                    self.users.remove(&*user);
                    self.presence_revision = self.presence_revision.wrapping_add(1);
                }
            }
            self.revision = self.revision.wrapping_add(1);
        }
        true
    }

    /// RFC 3261 §10.3 step 7: all of it, now that nothing can fail any more.
    fn commit(
        &mut self,
        number: &Number,
        plan: Plan<'_>,
        message: &Message<'_>,
        essentials: &Essentials<'_>,
        (source, local): (SocketAddrV4, Ipv4Addr),
        now: Instant,
    ) {
        // A phone says its name in From; To is the same except when somebody registers for somebody else.
        let display = [essentials.to.display, essentials.from.display]
            .map(|display| shown(display, limits::SIP_SHOWN_NAME))
            .into_iter()
            .find(|display| !display.is_empty())
            .unwrap_or_default();
        let user_agent =
            message.header(Name::UserAgent).map(|value| shown(value, limits::SIP_SHOWN_NAME)).unwrap_or_default();
        let binding = |wanted: &Wanted<'_>, expires: Duration, since: Instant| Binding {
            user: number.clone(),
            contact: wanted.contact.into(),
            source,
            local,
            q: wanted.q,
            expires_at: now + expires,
            since,
            call_id: essentials.call_id.into(),
            cseq: essentials.cseq.number,
            display: display.as_str().into(),
            user_agent: user_agent.as_str().into(),
        };
        let before = self.users.remove(&**number).unwrap_or_default();
        let (was_total, was_live) = (before.len(), before.iter().any(|b| b.is_live(now)));
        let mut after: Vec<Binding> = Vec::with_capacity(plan.kept + plan.added.len());
        for (old, fate) in before.into_iter().zip(&plan.fates) {
            match fate {
                Fate::Stays => after.push(old),
                Fate::Refreshed(wanted, expires) => after.push(binding(wanted, *expires, old.since)),
                Fate::Ends => {}
            }
        }
        after.extend(plan.added.iter().map(|(wanted, expires)| binding(wanted, *expires, now)));
        self.next_end = after.iter().map(|b| Some(b.expires_at)).fold(self.next_end, sooner);
        self.total = self.total - was_total + after.len();
        let is_live = !after.is_empty();
        if is_live {
            self.users.insert(number.clone(), after);
        }
        self.revision = self.revision.wrapping_add(1);
        if is_live != was_live {
            self.presence_revision = self.presence_revision.wrapping_add(1);
            if self.lines.allow(now) {
                info!("{number} {} from {}", if is_live { "registered" } else { "unregistered" }, source.ip());
            }
        }
    }

    fn taken_over(&mut self, number: &Number, source: SocketAddrV4, now: Instant) -> Result<(), Refusal> {
        self.counts.takeovers += 1;
        let refuse = self.takeover == Takeover::Refuse;
        if self.takeover != Takeover::Allow && self.takeover_lines.allow(now) {
            let holder = self.lookup(number, now).first().map(|binding| *binding.source.ip());
            let holder = holder.unwrap_or(Ipv4Addr::UNSPECIFIED);
            let done = if refuse { "refused" } else { "allowed" };
            warn!("{number} is registered from {holder}, and now from {} as well: {done}", source.ip());
        }
        if refuse { Err(Refusal::Taken) } else { Ok(()) }
    }

    /// Removes what has expired.
    fn reap(&mut self, now: Instant) {
        if self.next_end.is_none_or(|end| end > now) {
            return;
        }
        let mut next = None;
        let (mut ended, mut gone) = (0, 0);
        let lines = &mut self.lines;
        self.users.retain(|number, bindings| {
            let before = bindings.len();
            bindings.retain(|b| b.is_live(now));
            ended += before - bindings.len();
            next = bindings.iter().map(|b| Some(b.expires_at)).fold(next, sooner);
            if bindings.is_empty() {
                gone += 1;
                if lines.allow(now) {
                    info!("{number} is not registered any more: it was not renewed in time");
                }
            }
            !bindings.is_empty()
        });
        self.next_end = next;
        self.total -= ended;
        self.counts.expired += u64::try_from(ended).unwrap_or(u64::MAX);
        self.revision = self.revision.wrapping_add(u64::from(ended > 0));
        self.presence_revision = self.presence_revision.wrapping_add(u64::from(gone > 0));
    }
}

impl Engine for Registrar {
    fn handle_timeout(&mut self, now: Instant) {
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.reap(now);
        }
    }

    /// Nobody waits for the end of a binding, since [`Registrar::lookup`] looks at the time itself; so the table is gone
    /// through once a second at most.
    fn next_deadline(&self) -> Option<Instant> {
        const SECOND: u64 = 1_000_000;
        let end = self.next_end?.as_micros();
        Some(Instant::from_micros(end.div_ceil(SECOND).saturating_mul(SECOND)))
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table { name: "registrations", used: self.total, limit: self.max_total }]
    }

    fn counters(&self) -> Vec<Counter> {
        [
            ("register_requests", self.counts.requests),
            ("register_refused", self.counts.refused),
            ("register_takeovers", self.counts.takeovers),
            ("registrations_displaced", self.counts.displaced),
            ("registrations_expired", self.counts.expired),
        ]
        .into_iter()
        .map(|(name, count)| Counter { name, count })
        .collect()
    }
}

fn is_holder(binding: &Binding, essentials: &Essentials<'_>, source: SocketAddrV4) -> bool {
    binding.source.ip() == source.ip() || *binding.call_id == *essentials.call_id
}

/// A Contact of the answer, with the seconds that are left, rounded up: a live binding never says 0.
fn listed(binding: &Binding, now: Instant) -> Vec<u8> {
    let left = binding.expires_at.since(now).as_micros().div_ceil(1_000_000);
    let mut line = Vec::with_capacity(binding.contact.len() + 32);
    line.push(b'<');
    line.extend_from_slice(&binding.contact);
    line.extend_from_slice(format!(">;expires={left}").as_bytes());
    if binding.q < 1_000 {
        line.extend_from_slice(format!(";q=0.{:03}", binding.q).as_bytes());
    }
    line
}

/// The log of a router is small and everybody's: a burst when the power comes back, then a line a minute.
#[derive(Clone, Copy, Debug)]
struct Lines {
    left: u32,
    filled: Instant,
}

impl Default for Lines {
    fn default() -> Self {
        Self { left: Self::BURST, filled: Instant::default() }
    }
}

impl Lines {
    const BURST: u32 = 50;
    const REFILL: Duration = Duration::from_secs(60);

    fn allow(&mut self, now: Instant) -> bool {
        if now >= self.filled + Self::REFILL * Self::BURST {
            self.left = Self::BURST;
        } else if self.left == 0 && now >= self.filled + Self::REFILL {
            self.left = 1;
        }
        let allowed = self.left > 0;
        if allowed {
            self.left -= 1;
            self.filled = now;
        }
        allowed
    }
}
