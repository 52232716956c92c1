//! The log: to the system's socket (`/dev/log`) with true priorities (RFC 3164) when there is one, else to stderr.
//!
//! The router's log holds 64 KiB for everybody, so there is a bound on what this program may write into it.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::{Level, LevelFilter};

use crate::limits;
use crate::time::Instant;

/// LOG_DAEMON of syslog(3).
const FACILITY: u8 = 3;

/// Starts logging to the socket at `path`; later calls of [`set_level`] decide how much. `RUST_LOG` overrides the configuration.
pub fn start(path: &Path) {
    let syslog = UnixDatagram::unbound().ok().filter(|socket| socket.connect(path).is_ok());
    let to_syslog = syslog.is_some();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Trace).parse_default_env();
    builder.format(move |line, record| {
        let target = record.target().trim_start_matches("switchboard::");
        let text = one_line(record.args().to_string());
        if to_syslog {
            let priority = FACILITY.saturating_mul(8).saturating_add(severity(record.level()));
            write!(line, "<{priority}>switchboard[{}]: {target}: {text}", std::process::id())
        } else {
            writeln!(line, "{:<5} {target}: {text}", record.level().as_str().to_ascii_lowercase())
        }
    });
    builder.target(env_logger::Target::Pipe(Box::new(Sink {
        syslog,
        path: path.to_owned(),
        budget: Budget::default(),
    })));
    let _ = builder.try_init();
}

/// From now on, `level` is the most detailed that is logged.
pub fn set_level(level: LevelFilter) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(level);
    }
}

/// Whoever writes a line escapes what comes from outside; this is for what was forgotten, such as a file name with a line break.
fn one_line(text: String) -> String {
    if text.contains(char::is_control) {
        return text.chars().map(|character| if character.is_control() { '?' } else { character }).collect();
    }
    text
}

/// RFC 3164 §4.1.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Where lines end up; each call of `write` is one line.
struct Sink {
    syslog: Option<UnixDatagram>,
    path: PathBuf,
    budget: Budget,
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        #[cfg(debug_assertions)]
        super::crash::planted(line);
        // A level chosen by hand for finding a fault is not held back.
        if log::max_level() <= LevelFilter::Info && !self.budget.take(is_news(line), super::clock::now()) {
            return Ok(line.len());
        }
        let _ = match &self.syslog {
            // A log daemon that was restarted has a new socket behind the same name.
            Some(socket) => socket.send(line).or_else(|_| socket.connect(&self.path).and_then(|()| socket.send(line))),
            None => io::stderr().write(line),
        };
        Ok(line.len()) // a log that cannot be written must not stop the exchange
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a formatted line is not a warning or an error, but only worth knowing.
fn is_news(line: &[u8]) -> bool {
    let priority = format!("<{}>", FACILITY.saturating_mul(8).saturating_add(severity(Level::Info)));
    line.starts_with(b"info") || line.starts_with(priority.as_bytes())
}

/// How many lines may be written now.
struct Budget {
    lines: u32,
    since: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self { lines: limits::LOG_LINES_PER_MINUTE, since: Instant::default() }
    }
}

impl Budget {
    fn take(&mut self, news: bool, now: Instant) -> bool {
        if now.since(self.since).as_secs() >= 60 {
            *self = Self { since: now, ..Self::default() };
        }
        let kept = if news { limits::LOG_LINES_FOR_WARNINGS } else { 0 };
        let granted = self.lines > kept;
        self.lines = self.lines.saturating_sub(u32::from(granted));
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_so_many_lines() {
        let mut budget = Budget::default();
        let start = Instant::from_micros(1);
        let mut granted = |news| (0..1_000).filter(|_| budget.take(news, start)).count();
        let (all, kept) = (limits::LOG_LINES_PER_MINUTE as usize, limits::LOG_LINES_FOR_WARNINGS as usize);
        assert_eq!(granted(true), all - kept, "news leave room for warnings");
        assert_eq!(granted(false), kept);
        assert_eq!(granted(true), 0);
        assert!(budget.take(true, Instant::from_micros(60_000_001)));
    }

    #[test]
    fn nobody_writes_a_line_of_his_own() {
        assert_eq!(one_line("a\ninfo  forged\x1b[2J\u{85}".into()), "a?info  forged?[2J?");
        assert_eq!(one_line("Müller".into()), "Müller");
    }

    #[test]
    fn news_are_told_from_warnings() {
        for (line, expected) in
            [("info  rt: x", true), ("<30>switchboard[1]: x", true), ("warn  rt: info", false), ("<28>switch", false)]
        {
            assert_eq!(is_news(line.as_bytes()), expected, "{line}");
        }
    }
}
