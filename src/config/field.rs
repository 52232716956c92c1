//! The kinds of options: what each allows, how it is read from a file and how it is written into one.
//!
//! A [`Field`] carries the way to its place in [`Config`], so that a row of the table is all there is to say about an
//! option. It deliberately does not know files, lines or problems (`parse.rs`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use super::{Config, Format, Server, Takeover};

/// Stands in a file for a value that is empty, because UCI takes an empty value for none at all.
const NONE: &str = "none";

/// A kind of option, its range and its place.
#[derive(Clone, Copy)]
pub enum Field {
    /// On or off.
    Switch(fn(&mut Config) -> &mut bool),
    /// A duration in whole seconds, from, to.
    Time(fn(&mut Config) -> &mut Duration, u64, u64),
    /// A whole number, from, to.
    Count(fn(&mut Config) -> &mut usize, usize, usize),
    /// A size in bytes, from, to.
    Size(fn(&mut Config) -> &mut usize, usize, usize),
    /// A differentiated services code point.
    Dscp(fn(&mut Config) -> &mut u8),
    /// A path of at most so many bytes.
    Path(fn(&mut Config) -> &mut PathBuf, usize),
    /// A path, or nothing.
    OptionalPath(fn(&mut Config) -> &mut PathBuf),
    /// An IPv4 address with a port; the port may be left out where there is a usual one.
    Address(fn(&mut Config) -> &mut SocketAddrV4, u16),
    /// Several of them, at most so many.
    Addresses(fn(&mut Config) -> &mut Vec<SocketAddrV4>, u16, usize),
    /// A domain name.
    Domain(fn(&mut Config) -> &mut String),
    /// Several of them, at most so many.
    Domains(fn(&mut Config) -> &mut Vec<String>, usize),
    /// Patterns of node names, at most so many.
    Patterns(fn(&mut Config) -> &mut Vec<String>, usize),
    /// A few digits, or nothing.
    Digits(fn(&mut Config) -> &mut String, usize),
    /// Printable text of at most so many characters, or nothing.
    Text(fn(&mut Config) -> &mut String, usize),
    /// A level of the log.
    Level(fn(&mut Config) -> &mut log::LevelFilter),
    /// What happens to a bound number.
    Takeover(fn(&mut Config) -> &mut Takeover),
    /// Forms of the book.
    Formats(fn(&mut Config) -> &mut Vec<Format>),
    /// Where a web server takes something.
    Url(fn(&mut Config) -> &mut String),
    /// One more server of the book, at most so many in all.
    Server(fn(&mut Config) -> &mut Vec<Server>, usize),
}

const LEVELS: &[(&str, log::LevelFilter)] = &[
    ("off", log::LevelFilter::Off),
    ("error", log::LevelFilter::Error),
    ("warn", log::LevelFilter::Warn),
    ("info", log::LevelFilter::Info),
    ("debug", log::LevelFilter::Debug),
    ("trace", log::LevelFilter::Trace),
];

const TAKEOVERS: &[(&str, Takeover)] =
    &[("allow", Takeover::Allow), ("log", Takeover::Log), ("refuse", Takeover::Refuse)];

const FORMATS: &[(&str, Format)] = &[
    ("yealink", Format::Yealink),
    ("cisco", Format::Cisco),
    ("snom", Format::Snom),
    ("grandstream", Format::Grandstream),
    ("fanvil", Format::Fanvil),
    ("polycom", Format::Polycom),
    ("vcard", Format::Vcard),
    ("acrobits", Format::Acrobits),
];

impl Field {
    /// Whether it takes several values.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::Addresses(..) | Self::Domains(..) | Self::Patterns(..) | Self::Formats(_))
    }

    /// What is allowed, as the end of the sentence "allowed is …".
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => "0 or 1 (also off/on, no/yes, false/true, disabled/enabled)".into(),
            Self::Time(_, from, to) => {
                format!("a time from {} to {}, in seconds or with s, m, h or d behind it", seconds(*from), seconds(*to))
            }
            Self::Count(_, from, to) => format!("a whole number from {from} to {to}"),
            Self::Size(_, from, to) => {
                format!("a size from {} to {}, in bytes or with k or M behind it", bytes(*from), bytes(*to))
            }
            Self::Dscp(_) => "a whole number from 0 to 63".into(),
            Self::Path(_, most) => format!("a path of at most {most} bytes"),
            Self::OptionalPath(_) => format!("a path of at most {PATH} bytes, or '{NONE}'"),
            Self::Address(_, port) => format!("an IPv4 address, with :PORT if that is not {port}"),
            Self::Addresses(_, port, most) => {
                format!("up to {most} IPv4 addresses, with :PORT if that is not {port}, or '{NONE}'")
            }
            Self::Domain(_) => "a domain name".into(),
            Self::Domains(_, most) => format!("up to {most} domain names, or '{NONE}'"),
            Self::Patterns(_, most) => {
                format!("up to {most} names of nodes, in which * is any text and ? any character, or '{NONE}'")
            }
            Self::Digits(_, most) => format!("1 to {most} digits, or '{NONE}'"),
            Self::Text(_, most) => format!("1 to {most} printable characters, or '{NONE}'"),
            Self::Level(_) => choices("one of ", LEVELS),
            Self::Takeover(_) => choices("one of ", TAKEOVERS),
            Self::Formats(_) => choices("any of ", FORMATS) + ", or 'none'",
            Self::Url(_) => "http://HOST[:PORT]/PATH".into(),
            Self::Server(_, most) => format!("http://HOST[:PORT]/PATH or file:///PATH, in at most {most} sections"),
        }
    }

    /// The same in few words, for tables and remarks; the document explains the forms.
    pub fn range(&self) -> String {
        match self {
            Self::Switch(_) => "0 or 1".into(),
            Self::Time(_, from, to) => format!("{} to {}", seconds(*from), seconds(*to)),
            Self::Count(_, from, to) => format!("{from} to {to}"),
            Self::Size(_, from, to) => format!("{} to {}", bytes(*from), bytes(*to)),
            Self::Dscp(_) => "0 to 63".into(),
            Self::Path(..) => "path".into(),
            Self::OptionalPath(_) => format!("path or {NONE}"),
            Self::Address(..) => "ADDRESS[:PORT]".into(),
            Self::Addresses(_, _, most) => format!("up to {most} times ADDRESS[:PORT], or {NONE}"),
            Self::Domain(_) => "domain name".into(),
            Self::Domains(_, most) => format!("up to {most} domain names, or {NONE}"),
            Self::Patterns(_, most) => format!("up to {most} names of nodes with * and ?, or {NONE}"),
            Self::Digits(_, most) => format!("1 to {most} digits, or {NONE}"),
            Self::Text(_, most) => format!("1 to {most} characters, or {NONE}"),
            Self::Level(_) => choices("", LEVELS),
            Self::Takeover(_) => choices("", TAKEOVERS),
            Self::Formats(_) => choices("any of ", FORMATS) + ", or " + NONE,
            Self::Url(_) => "http://HOST[:PORT]/PATH".into(),
            Self::Server(..) => "http://HOST[:PORT]/PATH or file:///PATH".into(),
        }
    }

    /// Takes the words of an option over; says which it did not take. What is not taken changes nothing, except that a
    /// list is what remains of it.
    pub(crate) fn set(&self, config: &mut Config, words: &[&[u8]]) -> Vec<usize> {
        let whole = match words {
            [word] => std::str::from_utf8(word).ok(),
            _ => None,
        };
        let word = whole.map(str::trim);
        let taken = match self {
            Self::Switch(at) => put(at(config), word.and_then(switch)),
            Self::Time(at, from, to) => {
                let seconds = word.and_then(time).filter(|s| (*from..=*to).contains(s));
                put(at(config), seconds.map(Duration::from_secs))
            }
            Self::Count(at, from, to) => put(at(config), word.and_then(number).filter(|n| (*from..=*to).contains(n))),
            Self::Size(at, from, to) => put(at(config), word.and_then(size).filter(|n| (*from..=*to).contains(n))),
            Self::Dscp(at) => put(at(config), word.and_then(number).filter(|n| *n <= 63)),
            Self::Path(at, most) => put(at(config), word.and_then(|word| path(word, *most))),
            Self::OptionalPath(at) if word == Some(NONE) => put(at(config), Some(PathBuf::new())),
            Self::OptionalPath(at) => put(at(config), word.and_then(|word| path(word, PATH))),
            Self::Address(at, port) => put(at(config), word.and_then(|word| address(word, *port))),
            Self::Addresses(at, port, most) => return many(at(config), words, *most, &|word| address(word, *port)),
            Self::Domain(at) => put(at(config), word.and_then(domain)),
            Self::Domains(at, most) => return many(at(config), words, *most, &domain),
            Self::Patterns(at, most) => return many(at(config), words, *most, &pattern),
            Self::Digits(at, _) | Self::Text(at, _) if word == Some(NONE) => put(at(config), Some(String::new())),
            Self::Digits(at, most) => {
                let digits =
                    |word: &&str| (1..=*most).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
                put(at(config), word.filter(digits).map(str::to_owned))
            }
            Self::Text(at, most) => {
                let printable =
                    |text: &&str| (1..=*most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
                // Blanks belong to the text: the marker before a name ends in one.
                put(at(config), whole.filter(printable).map(str::to_owned))
            }
            Self::Level(at) => put(at(config), word.and_then(|word| choice(LEVELS, word))),
            Self::Takeover(at) => put(at(config), word.and_then(|word| choice(TAKEOVERS, word))),
            Self::Formats(at) => return many(at(config), words, FORMATS.len(), &|word| choice(FORMATS, word)),
            Self::Url(at) => put(at(config), word.filter(|word| word.starts_with("http://")).and_then(server_url)),
            Self::Server(at, most) => {
                let servers = at(config);
                let url = word.and_then(server_url).filter(|_| servers.len() < *most);
                let taken = url.is_some();
                servers.extend(url.map(|url| Server { url }));
                taken
            }
        };
        if taken { Vec::new() } else { (0..words.len()).collect() }
    }

    /// The values in `config` as they stand in a file: one for an option, any number for a list or for servers.
    pub fn text(&self, config: &Config) -> Vec<String> {
        let mut config = config.clone();
        let config = &mut config;
        match self {
            Self::Switch(at) => vec![if *at(config) { "1" } else { "0" }.into()],
            Self::Time(at, ..) => vec![seconds(at(config).as_secs())],
            Self::Count(at, ..) => vec![at(config).to_string()],
            Self::Size(at, ..) => vec![bytes(*at(config))],
            Self::Dscp(at) => vec![at(config).to_string()],
            Self::Path(at, _) | Self::OptionalPath(at) => vec![or_none(&at(config).to_string_lossy())],
            Self::Address(at, _) => vec![at(config).to_string()],
            Self::Addresses(at, ..) => list(at(config), ToString::to_string),
            Self::Domain(at) | Self::Digits(at, _) | Self::Text(at, _) | Self::Url(at) => vec![or_none(at(config))],
            Self::Domains(at, _) | Self::Patterns(at, _) => list(at(config), Clone::clone),
            Self::Level(at) => vec![name(LEVELS, *at(config))],
            Self::Takeover(at) => vec![name(TAKEOVERS, *at(config))],
            Self::Formats(at) => list(at(config), |format| name(FORMATS, *format)),
            Self::Server(at, _) => at(config).iter().map(|server| server.url.clone()).collect(),
        }
    }
}

/// The longest path that Linux takes, less the final NUL.
pub(super) const PATH: usize = 4_095;

/// The longest path of a unix socket (`sun_path` less the final NUL).
pub(super) const SOCKET_PATH: usize = 107;

/// Puts a value in its place, if there is one.
fn put<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}

fn many<T: PartialEq>(
    place: &mut Vec<T>,
    words: &[&[u8]],
    most: usize,
    read: &dyn Fn(&str) -> Option<T>,
) -> Vec<usize> {
    if matches!(words, [word] if word.trim_ascii() == NONE.as_bytes()) {
        place.clear();
        return Vec::new();
    }
    let mut values = Vec::new();
    let mut refused = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match std::str::from_utf8(word).ok().map(str::trim).and_then(read) {
            Some(value) if values.contains(&value) => {}
            Some(value) if values.len() < most => values.push(value),
            _ => refused.push(index),
        }
    }
    if !values.is_empty() {
        *place = values;
    }
    refused
}

fn list<T>(values: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    if values.is_empty() { vec![NONE.into()] } else { values.iter().map(text).collect() }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { NONE.into() } else { text.into() }
}

fn choices<T>(begin: &str, choices: &[(&str, T)]) -> String {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    format!("{begin}{}", names.join(", "))
}

fn choice<T: Copy>(choices: &[(&str, T)], word: &str) -> Option<T> {
    choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

fn name<T: PartialEq>(choices: &[(&str, T)], value: T) -> String {
    choices.iter().find(|(_, known)| *known == value).map_or_else(String::new, |(name, _)| (*name).into())
}

/// The words that OpenWrt's shell functions take for a boolean (`get_bool`).
fn switch(word: &str) -> Option<bool> {
    match word {
        "1" | "on" | "true" | "yes" | "enabled" => Some(true),
        "0" | "off" | "false" | "no" | "disabled" => Some(false),
        _ => None,
    }
}

/// Decimal, or hexadecimal with `0x`. libuci takes `010` for eight, people take it for ten: it is refused.
fn number<T: TryFrom<u64>>(word: &str) -> Option<T> {
    let value = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if word.len() > 1 && word.starts_with('0') => return None,
        None if word.bytes().all(|b| b.is_ascii_digit()) => word.parse().ok()?,
        None => return None,
    };
    T::try_from(value).ok()
}

fn time(word: &str) -> Option<u64> {
    let (digits, unit) = match word.as_bytes().last()? {
        b's' => (word.strip_suffix('s')?, 1),
        b'm' => (word.strip_suffix('m')?, 60),
        b'h' => (word.strip_suffix('h')?, 3_600),
        b'd' if !word.starts_with("0x") => (word.strip_suffix('d')?, 86_400),
        _ => (word, 1),
    };
    number::<u64>(digits)?.checked_mul(unit)
}

fn seconds(value: u64) -> String {
    match value {
        0 => "0s".into(),
        _ if value % 86_400 == 0 => format!("{}d", value / 86_400),
        _ if value % 3_600 == 0 => format!("{}h", value / 3_600),
        _ if value % 60 == 0 => format!("{}m", value / 60),
        _ => format!("{value}s"),
    }
}

fn size(word: &str) -> Option<usize> {
    let (digits, unit) = match word.as_bytes().last()? {
        b'k' | b'K' => (word.get(..word.len().checked_sub(1)?)?, 1 << 10),
        b'm' | b'M' => (word.get(..word.len().checked_sub(1)?)?, 1 << 20),
        _ => (word, 1),
    };
    number::<usize>(digits)?.checked_mul(unit)
}

fn bytes(value: usize) -> String {
    match value {
        0 => "0".into(),
        _ if value % (1 << 20) == 0 => format!("{}M", value >> 20),
        _ if value % (1 << 10) == 0 => format!("{}k", value >> 10),
        _ => value.to_string(),
    }
}

fn path(word: &str, most: usize) -> Option<PathBuf> {
    let good = !word.is_empty() && word.len() <= most && word != NONE && !word.chars().any(char::is_control);
    good.then(|| word.into())
}

fn address(word: &str, usual_port: u16) -> Option<SocketAddrV4> {
    match word.split_once(':') {
        Some((address, port)) => Some(SocketAddrV4::new(address.parse().ok()?, number(port)?)),
        None => Some(SocketAddrV4::new(word.parse::<Ipv4Addr>().ok()?, usual_port)),
    }
}

/// A host or domain name, folded to lower case: names are compared without case (RFC 4343).
fn domain(word: &str) -> Option<String> {
    let word = word.strip_suffix('.').unwrap_or(word);
    let good = word.len() <= 253
        && word.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    good.then(|| word.to_ascii_lowercase()).filter(|name| name != NONE)
}

/// A node name with wildcards, folded to lower case as names are.
fn pattern(word: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*' | b'?');
    let good = (1..=63).contains(&word.len()) && word.bytes().all(allowed) && word != NONE;
    good.then(|| word.to_ascii_lowercase())
}

fn server_url(word: &str) -> Option<String> {
    let plain = word.len() <= 2_048 && word.bytes().all(|b| b.is_ascii_graphic());
    let good = if let Some(rest) = word.strip_prefix("http://") {
        let host = rest.split(['/', '?']).next()?;
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
        plain && domain(host).is_some() && port.is_none_or(|port| number::<u16>(port).is_some_and(|n| n > 0))
    } else if let Some(file) = word.strip_prefix("file://") {
        // Blanks and umlauts are fine in the name of a file: it never stands in a request.
        file.starts_with('/') && path(file, PATH).is_some()
    } else {
        false
    };
    good.then(|| word.into())
}

/// Bytes from a file or from the mesh as they may be shown to a person: nothing that a terminal obeys, and not too long.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => escaped(text.get(..end).unwrap_or_default()) + "…",
        None => escaped(&text),
    }
}

/// The whole text, with everything that a terminal obeys made visible.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and those that reverse the direction of writing and so hide what stands there.
pub fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
