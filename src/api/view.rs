//! What people and programs get to see of the exchange, as plain data that `core/view.rs` fills from the engines.
//!
//! Nothing here asks or decides anything. Field names are the JSON's: the words of the field, units in the name (`_s` is
//! seconds), dates as RFC 3339 in UTC, `null` for what is not known. Calls keep the names of `active_calls.json`, so that
//! a dashboard reads both alike.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Serialize, Serializer};

use crate::engine::{Counter, Table};
use crate::time::UnixTime;

/// Dates before 2020 come from a router that does not know the date yet; they are shown as `null`.
const CLOCK_IS_SET: UnixTime = UnixTime(1_577_836_800);

/// The node in one look: `GET /api/v1/status`.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView<'a> {
    /// The daemon's version, `0.1.0`.
    pub version: &'a str,
    /// What the program was built with.
    pub features: Vec<&'static str>,
    /// The node's name, empty when the system has none.
    pub node: Cow<'a, str>,
    /// What a phone is to be given as its SIP server: a name or an address, with the port where it is not 5060.
    pub sip_server: Cow<'a, str>,
    /// The domain behind a number: `local.mesh`.
    pub domain: Cow<'a, str>,
    /// Now.
    #[serde(serialize_with = "date")]
    pub date: UnixTime,
    /// Since the daemon was started, in seconds.
    pub uptime_s: u64,
    /// The book.
    pub phonebook: BookStatusView<'a>,
    /// Contacts that are registered now.
    pub registrations: usize,
    /// Calls that are going on now.
    pub calls: usize,
    /// Whether the mesh around the node is made up (`run --demo`).
    pub simulated: bool,
}

/// How the book is: part of the status, and the head of the book itself.
#[derive(Clone, Debug, Serialize)]
pub struct BookStatusView<'a> {
    /// Whether there is a book, and how the last download ended.
    pub state: BookState,
    /// Published entries.
    pub entries: usize,
    /// Entries whose phone is on the mesh now.
    pub online: usize,
    /// Rows that the book holds back, and that nobody gets to see.
    pub private: usize,
    /// Rows that were left out or are doubtful.
    pub problems: usize,
    /// Whether a download is going on.
    pub fetching: bool,
    /// When the content changed last.
    #[serde(serialize_with = "maybe_date")]
    pub last_updated: Option<UnixTime>,
    /// Since a server last confirmed the book, in seconds; `None`: not since the start.
    pub age_s: Option<u64>,
    /// Until the next download, in seconds; `None` while one is going on or none is planned.
    pub next_fetch_in_s: Option<u64>,
    /// Where the book came from, or would come from: the URL.
    pub source: Option<Cow<'a, str>>,
    /// Why the last download failed, in words.
    pub error: Option<Cow<'a, str>>,
}

/// The state of the book, in the words that dashboards know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum BookState {
    /// No download has ended since the start; the stored book serves.
    Boot,
    /// The last download succeeded.
    Success,
    /// The last download failed; the book before it serves.
    Failed,
    /// No download has succeeded for so long that the book may be out of date.
    Stale,
    /// This node keeps no book.
    Off,
}

/// One entry of the book.
#[derive(Clone, Debug, Serialize)]
pub struct EntryView<'a> {
    /// As phones show it, without the online marker: `Hans Müller (HB9AAA)`.
    pub name: Cow<'a, str>,
    /// The number.
    pub telephone: Cow<'a, str>,
    /// Given name.
    pub first_name: Cow<'a, str>,
    /// Family name.
    pub last_name: Cow<'a, str>,
    /// Amateur radio call sign.
    pub callsign: Cow<'a, str>,
    /// Whether the phone is on the mesh; `None`: nobody has looked yet.
    pub online: Option<bool>,
}

/// A row of the book that was left out, or is published but doubtful.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemView<'a> {
    /// Line in the file as it was downloaded, counted from 1.
    pub line: u32,
    /// What is wrong, in words, with the line: `line 17: no number for "Hans"`.
    pub problem: Cow<'a, str>,
}

/// A phone that is registered.
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationView<'a> {
    /// The number it answers for.
    pub number: Cow<'a, str>,
    /// As the phone calls itself, or as the book does; may be empty.
    pub display_name: Cow<'a, str>,
    /// The URI that is called.
    pub contact: Cow<'a, str>,
    /// Where the REGISTER came from, and where calls are sent.
    pub source: SocketAddrV4,
    /// Make and firmware, as the phone says; may be empty.
    pub user_agent: Cow<'a, str>,
    /// Preference among several contacts of a number, in thousandths; shown as 0 to 1.
    #[serde(serialize_with = "thousandths")]
    pub q: u16,
    /// When the phone first came, with this contact.
    #[serde(serialize_with = "date")]
    pub since: UnixTime,
    /// The same, in seconds.
    pub age_s: u64,
    /// Until the registration ends unless the phone renews it, in seconds.
    pub expires_in_s: u64,
}

/// A call that is going on.
#[derive(Clone, Debug, Serialize)]
pub struct CallView<'a> {
    /// The caller's number.
    pub caller_user_id: Cow<'a, str>,
    /// As the caller's phone calls itself; may be empty.
    pub caller_display_name: Cow<'a, str>,
    /// The number that was dialled.
    pub callee_user_id: Cow<'a, str>,
    /// As the book or the caller's phone calls the callee; may be empty.
    pub callee_display_name: Cow<'a, str>,
    /// What the caller wants to speak with: `PCMU`. Empty when there was no offer.
    pub codec: Cow<'a, str>,
    /// Name or address of the callee's phone.
    pub callee_hostname: Cow<'a, str>,
    /// How far it is.
    pub state: CallState,
    /// The dialog's Call-ID.
    pub call_id: Cow<'a, str>,
    /// When it was dialled.
    #[serde(serialize_with = "date")]
    pub since: UnixTime,
    /// The same, in seconds.
    pub age_s: u64,
    /// Since the callee answered, in seconds; `None` before.
    pub duration_s: Option<u64>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CallState {
    /// Dialled; nothing was heard of the callee's phone yet.
    InviteSent,
    /// The callee's phone rings.
    Ringing,
    /// They talk.
    Established,
    /// BYE or CANCEL is on its way.
    Terminating,
}

/// What `/metrics` shows beside the status: the tables and counters of each engine.
#[derive(Clone, Debug)]
pub struct EngineView {
    /// Short name, `sip`: stands in front of its tables and counters.
    pub engine: &'static str,
    /// As [`crate::engine::Engine::tables`] gives them.
    pub tables: Vec<Table>,
    /// As [`crate::engine::Engine::counters`] gives them.
    pub counters: Vec<Counter>,
}

/// The date for people and programs, `None` while the router does not know it.
pub(super) fn known(time: UnixTime) -> Option<String> {
    (time >= CLOCK_IS_SET).then(|| time.rfc3339())
}

pub(super) fn date<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    known(*time).serialize(serializer)
}

pub(super) fn maybe_date<S: Serializer>(time: &Option<UnixTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(known).serialize(serializer)
}

fn thousandths<S: Serializer>(q: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*q) / 1000.0)
}

/// How the daemon is, for `/metrics`.
#[derive(Clone, Debug)]
pub struct HealthMetrics {
    /// 0 to 100.
    pub score: u8,
    /// Processor time since the start, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory, in kB.
    pub resident_kb: u32,
    /// In the last 24 hours.
    pub restarts: u32,
    /// In the last 24 hours.
    pub crashes: u32,
    /// Whether memory does not grow without end.
    pub memory_stable: bool,
    /// Every engine.
    pub tasks: Vec<TaskMetrics>,
    /// The longest, in milliseconds.
    pub longest_turn_ms: u64,
}

/// An engine.
#[derive(Clone, Copy, Debug)]
pub struct TaskMetrics {
    /// What it is called.
    pub name: &'static str,
    /// Whether it does what it has to.
    pub responsive: bool,
    /// How often it was started anew.
    pub restarts: u32,
}

/// The tests of all phones.
#[derive(Clone, Debug)]
pub struct PhoneTestsView {
    /// How pings are sent: `raw`, `datagram` or `none`.
    pub icmp: &'static str,
    /// Between two cycles, in seconds.
    pub interval_s: u64,
    /// When a test ended last.
    pub last_update: Option<UnixTime>,
    /// Whether a cycle is under way.
    pub running: bool,
    /// Phones that are through.
    pub done: usize,
    /// Phones in all.
    pub total: usize,
    /// Until the cycle will probably end, in seconds.
    pub remaining_s: Option<u64>,
    /// Until the next cycle, in seconds.
    pub next_s: Option<u64>,
    /// Probes that wait for an answer, and how many may.
    pub in_flight: (usize, usize),
    /// Packets that went out in the last second, and how many may.
    pub rate: (usize, usize),
}

/// The tests of one phone.
#[derive(Clone, Debug)]
pub struct PhoneTestView<'a> {
    /// Its number.
    pub number: &'a str,
    /// Where it was found.
    pub address: Option<SocketAddrV4>,
    /// In one word, which are those of [`PhaseView::status`].
    pub status: &'static str,
    /// The pings.
    pub ping: PhaseView,
    /// The OPTIONS.
    pub options: PhaseView,
    /// The ring test.
    pub call: &'static str,
    /// When its last test ended.
    pub tested: Option<UnixTime>,
    /// The last cycles, the oldest first.
    pub history: Vec<SampleView>,
    /// The routers on the way to it and the phone itself, the nearest first; empty if it is not known.
    pub path: Vec<HopView>,
}

/// The last cycle of one kind of test.
#[derive(Clone, Copy, Debug)]
pub struct PhaseView {
    /// `ONLINE`, `OFFLINE`, `NO_DNS`, `DISABLED` or `UNKNOWN`.
    pub status: &'static str,
    /// Probes sent.
    pub sent: u8,
    /// Probes answered.
    pub received: u8,
    /// `None`: none was measured.
    pub rtt: Option<RttView>,
}

/// Round trips, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RttView {
    /// The shortest.
    pub min_us: u32,
    /// The mean.
    pub avg_us: u32,
    /// The longest.
    pub max_us: u32,
    /// The one in the middle.
    pub median_us: u32,
    /// The mean of how much each differs from the one before.
    pub jitter_us: u32,
}

/// A cycle of the past.
#[derive(Clone, Copy, Debug)]
pub struct SampleView {
    /// Mean round trip of the pings, in microseconds; `None`: none was answered.
    pub ping_us: Option<u32>,
    /// The same of the OPTIONS.
    pub options_us: Option<u32>,
    /// Lost probes, in percent.
    pub loss_percent: u8,
}

/// A place on the way to a phone.
#[derive(Clone, Copy, Debug)]
pub struct HopView {
    /// From here, beginning with 1.
    pub hop: u8,
    /// `None`: it does not answer.
    pub ip: Option<Ipv4Addr>,
    /// The last round trip, in microseconds.
    pub rtt_us: Option<u32>,
}
