//! What is known of a crash: the record that the dying process leaves, and the report that is made of it.
//!
//! A record is written by a signal handler and read by the next process, which may be of another version. So it is a row of
//! items, each a tag, a length and a value, all big-endian: what a reader does not know it skips, and a file that was cut short
//! still says what stands in it. [`Record::emit`] and [`Flown::emit`] allocate nothing, lock nothing and cannot panic.
//!
//! A record may hold numbers and addresses of people (the datagrams before the crash); a [`Report`] never does, and its texts
//! are plain: they need no escapes in JSON, HTML or a log.

use std::fmt::Write;

/// At the front of every record.
pub const MAGIC: [u8; 8] = *b"SWBcrsh1";

/// Return addresses that are kept.
pub const FRAMES: usize = 10;

/// Bytes of a text that are kept: the first line of a panic and where it was.
pub const TEXT: usize = 256;

/// Crashes of the last day that are counted one by one; more than these are as bad.
pub const CRASHES: usize = 48;

/// A day, in microseconds.
const DAY_US: u64 = 86_400_000_000;

/// What the dying process wrote down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// The signal that ended it; a panic is SIGABRT.
    pub signal: u64,
    /// Why the kernel sent it (`si_code`), as 32 bits.
    pub code: u64,
    /// The address that could not be accessed, for SIGSEGV and SIGBUS.
    pub fault_address: u64,
    /// When, in microseconds since the machine started.
    pub at_us: u64,
    /// When the process started.
    pub started_us: u64,
    /// Resident memory.
    pub memory_kb: u64,
    /// Processor time of the seconds before, in thousandths.
    pub cpu_permille: u64,
    /// Calls that were going on.
    pub calls: u64,
    /// Phones that were registered.
    pub registrations: u64,
    /// What is to be taken off an address before it is looked up in the program's file.
    pub bias: u64,
    /// The stack pointer.
    pub stack: u64,
    /// How many bytes the event had that was being handled.
    pub size: u64,
    /// Where it was, and from where it was called.
    pub frames: Frames,
    /// Earlier crashes that the reader of an earlier record counted, in microseconds since the machine started.
    pub earlier: Crashes,
    /// Which run of the machine it was.
    pub boot_id: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The kind of processor.
    pub machine: &'a str,
    /// Which engine was at work.
    pub engine: &'a str,
    /// What it was doing.
    pub operation: &'a str,
    /// What a panic said.
    pub message: &'a str,
    /// The items of the flight recorder, oldest first, when the record was read; [`Record::flight`] takes them apart.
    pub events: &'a [u8],
}

/// A few addresses.
pub type Frames = heapless::Vec<u64, FRAMES>;
/// A few instants.
pub type Crashes = heapless::Vec<u64, CRASHES>;

/// The bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRecord;

const FRAME: u8 = 0x40;
const EARLIER: u8 = 0x41;
const EVENT: u8 = 0x60;

impl<'a> Record<'a> {
    /// Every number with its tag.
    fn numbers(&mut self) -> [(u8, &mut u64); 12] {
        [
            (1, &mut self.signal),
            (2, &mut self.code),
            (3, &mut self.fault_address),
            (4, &mut self.at_us),
            (5, &mut self.started_us),
            (6, &mut self.memory_kb),
            (7, &mut self.cpu_permille),
            (8, &mut self.calls),
            (9, &mut self.registrations),
            (10, &mut self.bias),
            (11, &mut self.stack),
            (12, &mut self.size),
        ]
    }

    /// Every text with its tag.
    fn texts(&mut self) -> [(u8, &mut &'a str); 6] {
        [
            (0x20, &mut self.boot_id),
            (0x21, &mut self.version),
            (0x22, &mut self.machine),
            (0x23, &mut self.engine),
            (0x24, &mut self.operation),
            (0x25, &mut self.message),
        ]
    }

    /// Writes everything but the flight, a piece at a time.
    pub fn emit(&mut self, out: &mut dyn FnMut(&[u8])) {
        out(&MAGIC);
        for (tag, number) in self.numbers() {
            item(out, tag, &number.to_be_bytes());
        }
        for (tag, text) in self.texts() {
            item(out, tag, cut(text).as_bytes());
        }
        for frame in &self.frames {
            item(out, FRAME, &frame.to_be_bytes());
        }
        for crash in &self.earlier {
            item(out, EARLIER, &crash.to_be_bytes());
        }
        if !self.events.is_empty() {
            out(self.events);
        }
    }

    /// Reads a record, or what there is of one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoRecord> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(NoRecord)?;
        let mut record = Self::default();
        while let Some((tag, value, next)) = split(rest) {
            if tag == EVENT {
                // From here on there are only events.
                record.events = rest;
                break;
            }
            rest = next;
            if let Ok(number) = value.try_into().map(u64::from_be_bytes) {
                match tag {
                    FRAME => drop(record.frames.push(number)),
                    EARLIER => drop(record.earlier.push(number)),
                    _ => {
                        if let Some((_, field)) = record.numbers().into_iter().find(|(known, _)| *known == tag) {
                            *field = number;
                        }
                    }
                }
            }
            if let Some((_, field)) = record.texts().into_iter().find(|(known, _)| *known == tag) {
                *field = cut(text(value));
            }
        }
        Ok(record)
    }

    /// The events before the crash, oldest first.
    pub fn flight(&self) -> impl Iterator<Item = Flown<'a>> + use<'a> {
        let mut rest = self.events;
        let items = std::iter::from_fn(move || {
            let (tag, value, next) = split(rest)?;
            rest = next;
            Some((tag, value))
        });
        items.filter(|(tag, _)| *tag == EVENT).filter_map(|(_, value)| Flown::parse(value))
    }

    /// What people are told, at `now_us` of the same run of the machine.
    pub fn report(&self, fresh: bool, now_us: u64) -> Report {
        let times = self.earlier.iter().chain([&self.at_us]);
        let recent = times.filter(|at| now_us.saturating_sub(**at) < DAY_US).count();
        Report {
            fresh,
            signal: u32::try_from(self.signal).unwrap_or(0),
            at_us: self.at_us,
            uptime_s: self.at_us.saturating_sub(self.started_us).checked_div(1_000_000).unwrap_or(0),
            memory_kb: self.memory_kb,
            cpu_permille: self.cpu_permille,
            calls: self.calls,
            registrations: self.registrations,
            crash_count_24h: u32::try_from(recent).unwrap_or(u32::MAX),
            fault_address: self.fault_address,
            frames: self.frames.iter().map(|frame| frame.wrapping_sub(self.bias)).collect(),
            engine: plain(if self.engine.is_empty() { "main" } else { self.engine }),
            operation: match (self.operation, self.size) {
                ("", _) => "waiting".into(),
                (operation, 0) => plain(operation),
                (operation, size) => format!("{} of {size} bytes", plain(operation)),
            },
            message: plain(self.message),
            version: plain(self.version),
            machine: plain(self.machine),
        }
    }
}

/// A crash, in words for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether it was the process before this one, and nobody has been told yet.
    pub fresh: bool,
    /// The signal that ended it; a panic is SIGABRT.
    pub signal: u32,
    /// When, in microseconds since the machine started.
    pub at_us: u64,
    /// How long the process had run.
    pub uptime_s: u64,
    /// Resident memory.
    pub memory_kb: u64,
    /// Processor time of the seconds before, in thousandths.
    pub cpu_permille: u64,
    /// Calls that were going on.
    pub calls: u64,
    /// Phones that were registered.
    pub registrations: u64,
    /// Crashes within the last 24 hours, this one included; [`CRASHES`] and one more at most.
    pub crash_count_24h: u32,
    /// The address that could not be accessed, for SIGSEGV and SIGBUS.
    pub fault_address: u64,
    /// Where it was, and from where it was called: addresses in the program's file.
    pub frames: Frames,
    /// The engine that was at work, as it is called in `/metrics`; `main` if it was none.
    pub engine: String,
    /// What it was doing; `waiting` if nothing.
    pub operation: String,
    /// What a panic said; empty if it was none.
    pub message: String,
    /// The program's version.
    pub version: String,
    /// The kind of processor.
    pub machine: String,
}

impl Report {
    /// `SIGSEGV`.
    pub fn signal_name(&self) -> &'static str {
        self.words().0
    }

    /// `Segmentation fault`.
    pub fn description(&self) -> &'static str {
        self.words().1
    }

    // The numbers are those of Linux; of these signals only SIGBUS and SIGPROF differ between processors.
    fn words(&self) -> (&'static str, &'static str) {
        match self.signal {
            4 => ("SIGILL", "Illegal instruction"),
            5 => ("SIGTRAP", "Trap"),
            6 if !self.message.is_empty() => ("SIGABRT", "Panic"),
            6 => ("SIGABRT", "Aborted"),
            7 | 10 => ("SIGBUS", "Bus error"),
            8 => ("SIGFPE", "Floating point exception"),
            11 => ("SIGSEGV", "Segmentation fault"),
            27 | 29 => ("SIGPROF", "Hung: a turn of the loop did not end"),
            _ => ("UNKNOWN", "Unknown signal"),
        }
    }

    /// `/tmp/last_crash.json`; dates as RFC 3339 has them.
    pub fn json(&self, node: &str, sent_at: &str, crash_time: &str) -> String {
        let mut out = String::from("{\"schema\":\"meshmon.v2\",\"type\":\"crash_report\"");
        let node = plain(node);
        let texts = [
            ("node", node.as_str()),
            ("sent_at", sent_at),
            ("crash_time", crash_time),
            ("signal_name", self.signal_name()),
            ("description", self.description()),
            ("thread_id", &self.engine),
            ("last_operation", &self.operation),
            ("message", &self.message),
            ("version", &self.version),
            ("machine", &self.machine),
        ];
        for (key, value) in texts {
            let _ = write!(out, ",\"{key}\":\"{value}\"");
        }
        let numbers = [
            ("signal", u64::from(self.signal)),
            ("uptime_at_crash", self.uptime_s),
            ("active_calls", self.calls),
            ("registered_users", self.registrations),
            ("crash_count_24h", u64::from(self.crash_count_24h)),
        ];
        for (key, value) in numbers {
            let _ = write!(out, ",\"{key}\":{value}");
        }
        let (megabytes, tenth) = (self.memory_kb / 1_024, (self.memory_kb % 1_024).saturating_mul(10) / 1_024);
        let (percent, part) = (self.cpu_permille / 10, self.cpu_permille % 10);
        let _ = write!(out, ",\"memory_at_crash_mb\":{megabytes}.{tenth},\"cpu_at_crash_pct\":{percent}.{part}");
        let _ = write!(out, ",\"fault_address\":\"{:#x}\",\"backtrace\":[", self.fault_address);
        for (index, frame) in self.frames.iter().enumerate() {
            let _ = write!(out, "{}\"{frame:#x}\"", if index == 0 { "" } else { "," });
        }
        out.push_str("]}\n");
        out
    }
}

/// Something that the core was told, as the flight recorder keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flown<'a> {
    /// When, in microseconds since the machine started.
    pub at_us: u64,
    /// What it was.
    pub kind: Kind,
    /// The other side's IPv4 address, or the number of a stream.
    pub address: u32,
    /// Our own IPv4 address; of a client of the API, his.
    pub local: u32,
    /// And port.
    pub local_port: u16,
    /// The other side's port.
    pub port: u16,
    /// The TTL that it arrived with; 0: not known.
    pub ttl: u8,
    /// How many bytes came.
    pub size: u32,
    /// Those that were kept: all, or the first ones, or none.
    pub bytes: &'a [u8],
}

/// What the flight recorder knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A datagram on the SIP port.
    Sip = 1,
    /// An answer of a name server.
    Dns = 2,
    /// A datagram on the port of the test desk.
    Probe = 3,
    /// An ICMP message.
    Icmp = 4,
    /// The network cannot reach somebody.
    Unreachable = 5,
    /// A client connected.
    Accepted = 6,
    /// Bytes of a client.
    Request = 7,
    /// Bytes of a server.
    Download = 8,
    /// A stream opened or ended.
    Stream = 9,
    /// A file was read, was written or changed.
    File = 10,
    /// The configuration was read again.
    Config = 11,
    /// The operator wants something.
    Operator = 12,
    /// The node, its date or its sockets changed.
    Node = 13,
}

/// The kinds and what they are called.
const KINDS: [(Kind, &str); 13] = [
    (Kind::Sip, "SIP datagram"),
    (Kind::Dns, "DNS answer"),
    (Kind::Probe, "answer to a test"),
    (Kind::Icmp, "ICMP message"),
    (Kind::Unreachable, "unreachable destination"),
    (Kind::Accepted, "connection"),
    (Kind::Request, "API request"),
    (Kind::Download, "download"),
    (Kind::Stream, "stream"),
    (Kind::File, "file"),
    (Kind::Config, "configuration"),
    (Kind::Operator, "signal"),
    (Kind::Node, "node"),
];

impl Kind {
    /// What it is called.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    fn from_code(code: u8) -> Option<Self> {
        KINDS.iter().map(|(kind, _)| *kind).find(|kind| *kind as u8 == code)
    }
}

/// What stands in front of an event's bytes.
const EVENT_HEAD: usize = 26;

impl<'a> Flown<'a> {
    /// Writes it as one item, in two pieces.
    pub fn emit(&self, out: &mut dyn FnMut(&[u8])) {
        let bytes = self.bytes.get(..usize::from(u16::MAX).saturating_sub(EVENT_HEAD)).unwrap_or(self.bytes);
        let length = u16::try_from(bytes.len().saturating_add(EVENT_HEAD)).unwrap_or(u16::MAX);
        let mut head = [0; EVENT_HEAD + 3];
        let parts: [&[u8]; 10] = [
            &[EVENT],
            &length.to_be_bytes(),
            &[self.kind as u8],
            &self.at_us.to_be_bytes(),
            &self.address.to_be_bytes(),
            &self.local.to_be_bytes(),
            &self.local_port.to_be_bytes(),
            &self.port.to_be_bytes(),
            &[self.ttl],
            &self.size.to_be_bytes(),
        ];
        for (to, from) in head.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        out(&head);
        out(bytes);
    }

    fn parse(value: &'a [u8]) -> Option<Self> {
        let (kind, rest) = value.split_first()?;
        let (at_us, rest) = rest.split_first_chunk()?;
        let (address, rest) = rest.split_first_chunk()?;
        let (local, rest) = rest.split_first_chunk()?;
        let (local_port, rest) = rest.split_first_chunk()?;
        let (port, rest) = rest.split_first_chunk()?;
        let (ttl, rest) = rest.split_first()?;
        let (size, bytes) = rest.split_first_chunk()?;
        Some(Self {
            at_us: u64::from_be_bytes(*at_us),
            kind: Kind::from_code(*kind)?,
            address: u32::from_be_bytes(*address),
            local: u32::from_be_bytes(*local),
            local_port: u16::from_be_bytes(*local_port),
            port: u16::from_be_bytes(*port),
            ttl: *ttl,
            size: u32::from_be_bytes(*size),
            bytes,
        })
    }
}

/// Tag, value and what stands behind it; `None` at the end or where the rest was cut off.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([tag, high, low], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((*tag, value, rest))
}

fn item(out: &mut dyn FnMut(&[u8]), tag: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(0);
    let [high, low] = length.to_be_bytes();
    out(&[tag, high, low]);
    out(value.get(..usize::from(length)).unwrap_or_default());
}

/// At most [`TEXT`] bytes of it, at a character's end.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// The text at the front.
fn text(bytes: &[u8]) -> &str {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |text| text.len());
    bytes.get(..valid).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default()
}

/// Without anything that JSON, HTML or a terminal would take for something else.
fn plain(text: &str) -> String {
    let plain = |c| match c {
        '"' => '\'',
        '\\' => '/',
        '<' | '>' | '&' => '?',
        ' '..='~' => c,
        _ => '?',
    };
    cut(text).chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT_ONE: Flown<'static> = Flown {
        at_us: 1,
        kind: Kind::Sip,
        address: 0x0a00_0001,
        local: 2,
        local_port: 5062,
        port: 5060,
        ttl: 61,
        size: 700,
        bytes: b"OPTIONS",
    };
    const EVENT_TWO: Flown<'static> =
        Flown { at_us: 2, kind: Kind::File, address: 0, local: 0, local_port: 0, port: 0, ttl: 0, size: 9, bytes: b"" };

    fn example() -> Record<'static> {
        Record {
            signal: 11,
            at_us: 90_000_000_000,
            started_us: 86_400_000_000,
            memory_kb: 8_397,
            cpu_permille: 123,
            calls: 2,
            size: 700,
            bias: 0x1000,
            frames: Frames::from_slice(&[0x5000, 0x6000]).unwrap(),
            earlier: Crashes::from_slice(&[1, 89_000_000_000]).unwrap(),
            boot_id: "b00t",
            version: "0.1.0",
            machine: "mips",
            engine: "sip",
            operation: "SIP datagram",
            message: "a \"b\" <c>\n\u{1b}[2Jé",
            ..Record::default()
        }
    }

    fn bytes(mut record: Record<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.emit(&mut |piece| bytes.extend_from_slice(piece));
        for event in [EVENT_ONE, EVENT_TWO] {
            event.emit(&mut |piece| bytes.extend_from_slice(piece));
        }
        bytes
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let written = bytes(example());
        let read = Record::parse(&written).unwrap();
        assert_eq!(Record { events: &[], ..read.clone() }, example());
        assert_eq!(read.flight().collect::<Vec<_>>(), [EVENT_ONE, EVENT_TWO]);
        let mut again = Vec::new();
        read.clone().emit(&mut |piece| again.extend_from_slice(piece));
        assert_eq!(again, written);
    }

    #[test]
    fn a_record_that_was_cut_short_says_what_stands_in_it_and_a_newer_one_what_is_known() {
        let whole = bytes(example());
        for cut in 0..whole.len() {
            match Record::parse(&whole[..cut]) {
                Err(NoRecord) => assert!(cut < MAGIC.len()),
                Ok(record) => {
                    assert!(record.signal == 11 || cut < MAGIC.len() + 11, "{cut}");
                    assert!(record.flight().count() <= 2);
                    record.report(true, record.at_us).json("n", "", "");
                }
            }
        }
        let mut newer = MAGIC.to_vec();
        newer.extend_from_slice(&[0x7f, 0, 2, 1, 2, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 6, 0x40, 0, 1, 9]);
        let record = Record::parse(&newer).unwrap();
        assert_eq!((record.signal, record.frames.len()), (6, 0));
        assert_eq!(Record::parse(b""), Err(NoRecord));
    }

    #[test]
    fn too_much_of_anything_is_cut() {
        let mut many = MAGIC.to_vec();
        for _ in 0..1_000 {
            many.extend_from_slice(&[FRAME, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, EARLIER, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
        }
        many.extend_from_slice(&[0x25, 0x0f, 0xa0]);
        many.extend_from_slice("é".repeat(2_000).as_bytes());
        let record = Record::parse(&many).unwrap();
        assert_eq!((record.frames.len(), record.earlier.len(), record.message.len()), (FRAMES, CRASHES, TEXT));
    }

    #[test]
    fn the_report_is_in_plain_words_and_counts_a_day() {
        let written = bytes(example());
        let report = Record::parse(&written).unwrap().report(true, 90_000_000_000 + 10);
        assert_eq!(report.crash_count_24h, 2, "the one 25 hours ago does not count");
        assert_eq!(report.uptime_s, 3_600);
        assert_eq!((report.signal_name(), report.description()), ("SIGSEGV", "Segmentation fault"));
        assert_eq!(report.message, "a 'b' ?c???[2J?");
        assert_eq!(report.operation, "SIP datagram of 700 bytes");
        assert_eq!(report.frames, [0x4000, 0x5000]);
        let json = report.json("HB9XX\"-NODE", "2026-07-23T10:00:05Z", "2026-07-23T10:00:00Z");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "schema": "meshmon.v2", "type": "crash_report", "node": "HB9XX'-NODE",
                "sent_at": "2026-07-23T10:00:05Z", "crash_time": "2026-07-23T10:00:00Z",
                "signal": 11, "signal_name": "SIGSEGV", "description": "Segmentation fault", "thread_id": "sip",
                "last_operation": "SIP datagram of 700 bytes", "message": "a 'b' ?c???[2J?", "version": "0.1.0",
                "machine": "mips", "uptime_at_crash": 3600, "active_calls": 2, "registered_users": 0,
                "crash_count_24h": 2, "memory_at_crash_mb": 8.2, "cpu_at_crash_pct": 12.3, "fault_address": "0x0",
                "backtrace": ["0x4000", "0x5000"],
            })
        );
    }

    #[test]
    fn a_panic_is_called_so() {
        let mut report = Report { signal: 6, message: "index out of bounds".into(), ..Report::default() };
        assert_eq!(report.description(), "Panic");
        report.message.clear();
        assert_eq!(report.description(), "Aborted");
    }
}
