//! Messages of transcripts: short ones are completed, received ones compared with patterns.
//!
//! On purpose a reader and writer of its own, with nothing of the exchange's in it: what is wrong there shows here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Words that a transcript has learnt: `{name}` in a pattern takes the text, everywhere else it stands for it.
pub struct Names(BTreeMap<String, String>);

impl Names {
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Replaces `{name}` by what it stands for.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or("a { without its }")?;
            out.push_str(before);
            out.push_str(self.0.get(name).ok_or_else(|| format!("{{{name}}} stands for nothing yet"))?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Compares `text` with `pattern`: `*` is anything, a known `{name}` itself, an unknown one anything up to
    /// white space, `;`, `,` or `>`, and known from then on.
    fn fits(&mut self, pattern: &str, text: &str) -> bool {
        let mut known = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else { return false };
            known.push_str(before);
            if let Some(value) = self.0.get(name) {
                known.push_str(value);
            } else {
                let Some(found) = find(&format!("{known}\u{1}"), text) else { return false };
                self.0.insert(name.to_owned(), found.clone());
                known.push_str(&found);
            }
            rest = behind;
        }
        known.push_str(rest);
        matches_pattern(&known, text)
    }
}

/// What stands in `text` where `pattern` (which ends there) has \u{1}.
fn find(pattern: &str, text: &str) -> Option<String> {
    let before = pattern.trim_end_matches('\u{1}');
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|at| {
        let (head, tail) = text.split_at(at);
        matches_pattern(before, head).then(|| {
            let end = tail.find([' ', ';', ',', '>']).unwrap_or(tail.len());
            tail[..end].to_owned()
        })
    })
}

/// `*` is anything, everything else itself.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches_pattern(after, &rest[at..]))
        }),
    }
}

/// A datagram that the exchange sent.
pub struct Heard {
    pub to: SocketAddrV4,
    pub from: Option<Ipv4Addr>,
    pub bytes: Vec<u8>,
}

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn start_line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// Compares it with the lines of a transcript: the start line, then what must, or must not, be in it.
    pub fn check(&self, block: &[&str], words: &mut Names) -> Result<(), String> {
        let text = self.text();
        let (start, headers, body) = take_apart(&text);
        let mut block = block.iter();
        let first = block.next().ok_or("what is expected?")?;
        if !words.fits(first, &start) {
            return Err(format!("the start line is not {first}"));
        }
        // Several patterns for one header field are for its elements in order.
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let values = |name: &str| -> Vec<String> {
            headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).collect()
        };
        for line in block {
            let parts: Vec<&str> = line.split_whitespace().collect();
            if let Some(name) = line.strip_prefix('!') {
                if !values(name).is_empty() {
                    return Err(format!("there is a {name}"));
                }
            } else if let ["count", name, number] = parts.as_slice() {
                if values(name).len().to_string() != *number {
                    return Err(format!("{} times {name}", values(name).len()));
                }
            } else if let ["from", address] = parts.as_slice() {
                if self.from.map(|ip| ip.to_string()).as_deref() != Some(*address) {
                    return Err(format!("sent from {:?}", self.from));
                }
            } else if let Some(pattern) = line.strip_prefix("| ") {
                if !body.lines().any(|line| words.fits(pattern, line)) {
                    return Err(format!("no line of the body is {pattern}"));
                }
            } else if let Some((name, pattern)) = line.split_once(':') {
                let at = used.entry(name.to_ascii_lowercase()).or_default();
                let found = values(name).get(*at).cloned().ok_or_else(|| format!("no (further) {name}"))?;
                *at += 1;
                if !words.fits(pattern.trim(), &found) {
                    return Err(format!("{name} is {found}"));
                }
            } else {
                return Err(format!("what does {line} mean?"));
            }
        }
        Ok(())
    }
}

/// Start line, header fields (one entry for each element of a list of Via, Route and Record-Route), body.
fn take_apart(text: &str) -> (String, Vec<(String, String)>, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                let more = format!("{value} {}", line.trim());
                more.trim().clone_into(value);
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let name = long_name(name.trim());
        if ["Via", "Route", "Record-Route"].iter().any(|list| name.eq_ignore_ascii_case(list)) {
            headers.extend(value.split(',').map(|element| (name.clone(), element.trim().to_owned())));
        } else {
            headers.push((name, value.trim().to_owned()));
        }
    }
    (start, headers, body.to_owned())
}

fn long_name(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "k" => "Supported",
        _ => name,
    }
    .to_owned()
}

/// A request with what every request has; lines of the transcript take the place of these defaults:
/// Via with a branch that INVITE, its ACK and its CANCEL share, From 100, To the Request-URI, Call-ID call, CSeq 1, Contact.
pub fn compose_request(from: SocketAddrV4, lines: &[String]) -> Result<String, String> {
    let mut words = lines[0].split_whitespace();
    let (method, uri) = (words.next().ok_or("no method")?, words.next().ok_or("no Request-URI")?);
    let version = words.next().unwrap_or("SIP/2.0");
    let given = Given::of(&lines[1..])?;
    let cseq = given.value("CSeq").unwrap_or_else(|| format!("1 {method}"));
    let number = cseq.split_whitespace().next().unwrap_or("1").to_owned();
    let kind = if matches!(method, "ACK" | "CANCEL") { "INVITE" } else { method };
    let branch = given.branch.clone().unwrap_or_else(|| format!("z9hG4bK-{kind}-{number}"));
    let mut defaults = vec![
        ("Via", format!("SIP/2.0/UDP {from};branch={branch}")),
        ("From", format!("<sip:100@{}>;tag=caller", from.ip())),
        ("To", format!("<{uri}>")),
        ("Call-ID", "call".to_owned()),
        ("CSeq", cseq),
        ("Max-Forwards", "70".to_owned()),
    ];
    if !matches!(method, "ACK" | "CANCEL" | "BYE") {
        defaults.push(("Contact", format!("<sip:100@{from}>")));
    }
    Ok(given.compose(&format!("{method} {uri} {version}"), &defaults))
}

/// The response to `request`: Via, From, To with a tag for each phone, Call-ID, CSeq, and Record-Route as it stands there.
pub fn compose_response(from: SocketAddrV4, request: &[u8], lines: &[String]) -> Result<String, String> {
    let text = String::from_utf8_lossy(request);
    let (start, headers, _) = take_apart(&text);
    let given = Given::of(&lines[1..])?;
    let mut defaults: Vec<(&str, String)> = Vec::new();
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for (_, value) in headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)) {
            let tagless = name == "To" && !value.contains(";tag=") && !lines[0].starts_with("SIP/2.0 100");
            let tag = if tagless { format!(";tag=phone-{}", from.ip().octets()[3]) } else { String::new() };
            defaults.push((name, format!("{value}{tag}")));
        }
    }
    if start.starts_with("INVITE ") {
        defaults.push(("Contact", format!("<sip:phone@{from}>")));
    }
    Ok(given.compose(&lines[0], &defaults))
}

/// The lines that a transcript gives for a message.
struct Given {
    headers: Vec<(String, String)>,
    without: Vec<String>,
    branch: Option<String>,
    body: String,
}

impl Given {
    fn of(lines: &[String]) -> Result<Self, String> {
        let mut given = Self { headers: Vec::new(), without: Vec::new(), branch: None, body: String::new() };
        for line in lines {
            if let Some(text) = line.strip_prefix('|') {
                given.body.push_str(text.strip_prefix(' ').unwrap_or(text));
                given.body.push_str("\r\n");
            } else if let Some(name) = line.strip_prefix('!') {
                given.without.push(name.to_owned());
            } else if let Some(branch) = line.strip_prefix("branch ") {
                given.branch = Some(format!("z9hG4bK-{branch}"));
            } else {
                let (name, value) = line.split_once(':').ok_or_else(|| format!("{line}: no header field"))?;
                given.headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Ok(given)
    }

    fn value(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }

    fn compose(&self, start: &str, defaults: &[(&str, String)]) -> String {
        let mut text = format!("{start}\r\n");
        for (name, value) in defaults {
            let replaced = self.headers.iter().any(|(known, _)| long_name(known).eq_ignore_ascii_case(name));
            let dropped = self.without.iter().any(|known| known.eq_ignore_ascii_case(name));
            if !replaced && !dropped {
                text += &format!("{name}: {value}\r\n");
            }
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if self.value("Content-Length").is_none() {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text + "\r\n" + &self.body
    }
}
