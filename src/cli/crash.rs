//! `switchboard crash`: the record of the last crash for people. It asks no daemon: there may be none.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::args::Form;
use super::{Answer, CONFIG, End, describe, read_config};
use crate::config::{Config, escaped};
use crate::files::FileError;
use crate::rt;
use crate::time::{Clock, Instant, UnixTime};
use crate::wire::crash::{Flown, Kind, Record};

pub(super) fn crash(named: Option<PathBuf>, form: Form) -> Answer {
    let file = named.clone().unwrap_or_else(|| CONFIG.into());
    let config = match read_config(&file) {
        Ok(config) => config,
        Err(FileError::NotFound) if named.is_none() => Config::default(),
        Err(error) => {
            let text = format!("{}: {}", escaped(&file.to_string_lossy()), describe(error));
            return Answer::failed(End::Bad, &text);
        }
    };
    let crash = match rt::last_crash(&config.main.crash_file) {
        Ok(crash) => crash,
        Err(error) => return Answer::failed(End::Bad, &format!("the record cannot be read: {error}")),
    };
    let record = crash.as_ref().and_then(|crash| Record::parse(&crash.bytes).ok());
    let (Some(crash), Some(record)) = (crash.as_ref(), record.filter(|record| !record.boot_id.is_empty())) else {
        return Answer::good("no crash since the machine started\n".into());
    };
    if record.boot_id != crash.boot_id {
        return Answer::good("no crash since the machine started\n".into());
    }
    Answer::good(match form {
        Form::People => people(&record, crash.now, crash.wall),
        Form::Json => {
            let at = Clock::new(crash.wall, crash.now).date(Instant::from_micros(record.at_us));
            let report = record.report(false, crash.now.as_micros());
            report.json(&crash.node, &crash.wall.rfc3339(), &at.rfc3339())
        }
    })
}

/// All of it, the flight included.
fn people(record: &Record<'_>, now: Instant, wall: UnixTime) -> String {
    let report = record.report(false, now.as_micros());
    let at = Instant::from_micros(record.at_us);
    let mut out = String::new();
    let mut line = |name: &str, text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{name:<9} {text}");
    };
    let (date, ago) = (Clock::new(wall, now).date(at).rfc3339(), now.since(at).as_secs());
    line("crashed", format_args!("{date}, {ago} s ago; {} in the last 24 hours", report.crash_count_24h));
    line("signal", format_args!("{} ({}), {}", report.signal, report.signal_name(), report.description()));
    if !report.message.is_empty() {
        line("panic", format_args!("{}", report.message));
    }
    if record.fault_address != 0 {
        line("access", format_args!("to address {:#x}", record.fault_address));
    }
    line("engine", format_args!("{}, {}", report.engine, report.operation));
    line("process", format_args!("{} on {}, after {} s", report.version, report.machine, report.uptime_s));
    let (cpu, part) = (report.cpu_permille / 10, report.cpu_permille % 10);
    line("load", format_args!("{} KB of memory, {cpu}.{part} % of a processor", report.memory_kb));
    line("calls", format_args!("{}; registered phones: {}", report.calls, report.registrations));
    let mut frames = String::new();
    for frame in &report.frames {
        let _ = write!(frames, " {frame:#x}");
    }
    line("stack", format_args!("{}", if frames.is_empty() { "unknown" } else { frames.trim_start() }));
    if !frames.is_empty() {
        line("", format_args!("addr2line -fipCe PROGRAM{frames}"));
        line("", format_args!("PROGRAM is this version for this processor, built with debug information"));
    }
    out.push_str("\nWhat happened before, in seconds:\n");
    for flown in record.flight() {
        event(&mut out, &flown, record.at_us);
    }
    out
}

fn event(out: &mut String, flown: &Flown<'_>, at_us: u64) {
    let before = at_us.saturating_sub(flown.at_us);
    let _ = write!(out, "{:>7}.{:03}  {}", before / 1_000_000, before / 1_000 % 1_000, flown.kind.name());
    if flown.size > 0 {
        let _ = write!(out, ", {} bytes", flown.size);
    }
    match flown.kind {
        Kind::Sip | Kind::Dns | Kind::Probe | Kind::Icmp | Kind::Unreachable => {
            let _ = write!(out, ", {}:{}", Ipv4Addr::from(flown.address), flown.port);
        }
        Kind::File if !flown.bytes.is_empty() => {
            let _ = write!(out, ", {}", escaped(&String::from_utf8_lossy(flown.bytes)));
        }
        _ => {}
    }
    let first = flown.bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    if matches!(flown.kind, Kind::Sip | Kind::Request) && !first.is_empty() {
        let _ = write!(out, ": {}", escaped(&String::from_utf8_lossy(first)));
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_in_full_and_nothing_that_a_terminal_obeys() {
        let mut bytes = Vec::new();
        let mut record = Record {
            signal: 11,
            fault_address: 8,
            at_us: 60_000_000,
            started_us: 10_000_000,
            memory_kb: 2_000,
            cpu_permille: 25,
            calls: 1,
            registrations: 3,
            boot_id: "b",
            version: "0.1.0",
            machine: "mips",
            engine: "sip",
            operation: "SIP datagram",
            size: 12,
            bias: 0x1000,
            ..Record::default()
        };
        record.frames.extend([0x5000, 0x6000]);
        record.emit(&mut |piece| bytes.extend_from_slice(piece));
        let sip = b"INVITE \x1b[2J\r\nVia";
        for (at_us, kind, bytes_of) in [(58_500_000, Kind::Sip, &sip[..]), (59_999_000, Kind::File, b"lqm.info")] {
            let (address, local, local_port, port) = (0x0a00_0001, 0, 0, 5_060);
            let flown = Flown { at_us, kind, address, local, local_port, port, ttl: 0, size: 12, bytes: bytes_of };
            flown.emit(&mut |piece| bytes.extend_from_slice(piece));
        }
        let record = Record::parse(&bytes).unwrap();
        let shown = people(&record, Instant::from_micros(65_000_000), UnixTime(1_784_800_805));
        assert_eq!(
            shown,
            "crashed   2026-07-23T10:00:00Z, 5 s ago; 1 in the last 24 hours\n\
             signal    11 (SIGSEGV), Segmentation fault\n\
             access    to address 0x8\n\
             engine    sip, SIP datagram of 12 bytes\n\
             process   0.1.0 on mips, after 50 s\n\
             load      2000 KB of memory, 2.5 % of a processor\n\
             calls     1; registered phones: 3\n\
             stack     0x4000 0x5000\n          \
                       addr2line -fipCe PROGRAM 0x4000 0x5000\n          \
                       PROGRAM is this version for this processor, built with debug information\n\n\
             What happened before, in seconds:\n      \
                   1.500  SIP datagram, 12 bytes, 10.0.0.1:5060: INVITE \\u{1b}[2J\n      \
                   0.001  file, 12 bytes, lqm.info\n"
        );
    }
}
