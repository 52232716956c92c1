//! Runs one transcript: reads its lines, moves the clock, sends, and compares what comes back.

mod message;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switchboard::config;
use switchboard::engine::Engine;
use switchboard::sip::{Name, Sip, Whereabouts};
use switchboard::time::Instant;

use message::{Heard, Names, compose_request, compose_response};

/// Where the exchange listens in every transcript.
const OURS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5060);
/// Its other address.
const OURS_TOO: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// What is answered to a question.
#[derive(Clone)]
enum Known {
    At(Vec<Ipv4Addr>),
    Unknown,
    Unreachable,
    Silent,
}

struct Stage {
    sip: Sip,
    config: config::Sip,
    now: Instant,
    names: BTreeMap<String, Known>,
    /// Questions that wait: name, token.
    asked: Vec<(String, u32)>,
    /// What was sent and not yet looked at.
    queue: VecDeque<(Instant, Heard)>,
    /// The last datagram that each phone sent, and the last one it received.
    sent: BTreeMap<SocketAddrV4, (SocketAddrV4, Vec<u8>)>,
    received: BTreeMap<SocketAddrV4, Vec<u8>>,
    /// The last request that each phone received, and those with a name.
    requests: BTreeMap<SocketAddrV4, Vec<u8>>,
    named: BTreeMap<String, Vec<u8>>,
    words: Names,
}

/// Runs it. The error says which line, and what is wrong.
pub fn run(text: &str) -> Result<(), String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut stage = Stage::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let number = at + 1;
        at += 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut block = Vec::new();
        while let Some(line) = lines.get(at).and_then(|line| line.strip_prefix("  ")) {
            block.push(line);
            at += 1;
        }
        stage.step(line, &block).map_err(|what| format!("{number}: {line}\n{what}"))?;
    }
    stage.nothing_waits().map_err(|what| format!("{}: at the end\n{what}", lines.len()))?;
    stage.drain()
}

impl Stage {
    fn new() -> Self {
        let config = config::Sip::default();
        let now = Instant::from_micros(1_000_000_000);
        let mut sip = Sip::new(&config, "local.mesh", &[42; 32], now);
        sip.set_identity("hb9xyz-hap", &[*OURS.ip(), OURS_TOO]);
        Self {
            sip,
            config,
            now,
            names: BTreeMap::new(),
            asked: Vec::new(),
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            requests: BTreeMap::new(),
            named: BTreeMap::new(),
            words: Names::new(),
        }
    }

    fn step(&mut self, line: &str, block: &[&str]) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["at", time] => self.move_to(Instant::from_micros(1_000_000_000) + duration(time)?),
            ["quiet", "for", time] => {
                self.nothing_waits()?;
                self.move_to(self.now + duration(time)?)?;
                self.nothing_waits()
            }
            ["option", key, value] => self.option(key, value),
            ["lookup", name, "->", known @ ..] => {
                self.names.insert((*name).to_owned(), known_at(known)?);
                self.answer_questions();
                Ok(())
            }
            ["register", user, "at", address, rest @ ..] => self.register(user, address, rest),
            ["send", "raw", rest @ ..] => {
                let (from, to, _) = ends(rest)?;
                let mut text = block.join("\r\n");
                text.push_str("\r\n\r\n");
                let text = self.words.fill(&text)?;
                self.deliver(from, to, text.into_bytes());
                Ok(())
            }
            ["send", "bytes", rest @ ..] => {
                let (from, to, _) = ends(rest)?;
                self.deliver(from, to, unescape(&block.join("")));
                Ok(())
            }
            ["send", rest @ ..] => self.send(rest, block),
            ["again", "from", from] => {
                let (to, bytes) = self.sent.get(&address(from)?).cloned().ok_or("nothing was sent from there")?;
                self.deliver(address(from)?, to, bytes);
                Ok(())
            }
            ["recv", "again", "to", to] => {
                let to = address(to)?;
                let before = self.received.get(&to).cloned().ok_or("nothing was received there")?;
                let heard = self.next_for(to)?;
                if heard.bytes == before { Ok(()) } else { Err(format!("not the same again:\n{}", heard.text())) }
            }
            ["recv", "to", rest @ ..] => self.receive(rest, block),
            ["unreachable", to] => {
                self.sip.handle_unreachable(address(to)?, None, self.now);
                self.collect();
                Ok(())
            }
            ["congested", state] => {
                self.sip.handle_congestion(*state == "yes");
                Ok(())
            }
            ["counter", name, expected] => {
                let counters = self.sip.counters();
                let found = counters.iter().find(|c| c.name == *name).ok_or("no such counter")?.count.to_string();
                if found == *expected { Ok(()) } else { Err(format!("it is {found}")) }
            }
            ["calls", expected @ ..] => {
                let mut states: Vec<_> = self.sip.calls().calls().map(|call| format!("{:?}", call.state)).collect();
                states.sort();
                if states.join(" ") == expected.join(" ") { Ok(()) } else { Err(format!("calls: {states:?}")) }
            }
            ["transactions", expected] => {
                let used = self.transactions().to_string();
                if used == *expected { Ok(()) } else { Err(format!("it is {used}")) }
            }
            _ => Err("what does this mean?".into()),
        }
    }

    fn option(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "record_route" => self.config.record_route = value == "1",
            "timer_c" => self.config.timer_c = duration(value)?,
            "transaction_memory" => self.config.transaction_memory = value.parse().map_err(|_| "a number")?,
            "country_prefix" => self.config.country_prefix = value.into(),
            _ => return Err("no such option".into()),
        }
        self.sip.set_config(&self.config, "local.mesh", self.now);
        Ok(())
    }

    fn register(&mut self, user: &str, at: &str, rest: &[&str]) -> Result<(), String> {
        let source = address(at)?;
        let (mut contact, mut params) = (format!("sip:{user}@{source}"), String::new());
        for pair in rest.chunks(2) {
            match pair {
                ["contact", uri] => contact = (*uri).into(),
                ["q", q] => params = format!(";q={q}"),
                _ => return Err("contact or q?".into()),
            }
        }
        let text = format!(
            "REGISTER sip:localnode.local.mesh SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bKreg{user}\r\n\
             From: <sip:{user}@localnode.local.mesh>;tag=r\r\nTo: <sip:{user}@localnode.local.mesh>\r\n\
             Call-ID: register-{user}-{source}\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\
             Contact: <{contact}>{params}\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
        );
        self.deliver(source, OURS, text.into_bytes());
        let answer = self.next_for(source)?;
        if answer.start_line().starts_with("SIP/2.0 200 ") { Ok(()) } else { Err(answer.text()) }
    }

    fn send(&mut self, rest: &[&str], block: &[&str]) -> Result<(), String> {
        let (from, to, rest) = ends(rest)?;
        let lines: Vec<String> = block.iter().map(|line| self.words.fill(line)).collect::<Result<_, _>>()?;
        let first = lines.first().ok_or("nothing to send")?;
        let text = if first.starts_with("SIP/2.0 ") {
            let request = match rest {
                ["answering", name] => self.named.get(*name).ok_or("no such request")?,
                [] => self.requests.get(&from).ok_or("no request to answer")?,
                _ => return Err("answering what?".into()),
            };
            compose_response(from, request, &lines)?
        } else {
            compose_request(from, &lines)?
        };
        self.deliver(from, to, text.into_bytes());
        Ok(())
    }

    fn receive(&mut self, rest: &[&str], block: &[&str]) -> Result<(), String> {
        let (to, name) = match rest {
            [to] => (address(to)?, None),
            [to, "as", name] => (address(to)?, Some((*name).to_owned())),
            _ => return Err("recv to ADDRESS [as NAME]".into()),
        };
        let heard = self.next_for(to)?;
        heard.check(block, &mut self.words).map_err(|what| format!("{what}\nin\n{}", heard.text()))?;
        if let Some(name) = name {
            self.named.insert(name, heard.bytes);
        }
        Ok(())
    }

    fn deliver(&mut self, from: SocketAddrV4, to: SocketAddrV4, bytes: Vec<u8>) {
        self.sip.handle_datagram(&bytes, from, to, self.now);
        self.sent.insert(from, (to, bytes));
        self.collect();
    }

    /// Takes out everything that is to be sent or asked. What goes to the exchange itself arrives at once.
    fn collect(&mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            while let Some(question) = self.sip.poll_question() {
                let name = match question.name {
                    Name::Number(name) | Name::Host(name) => name,
                };
                self.asked.push((name, question.token));
            }
            if self.answer_next_question() {
                continue;
            }
            let Some(sent) = self.sip.poll_transmit(&mut buffer) else { break };
            let bytes = buffer[..sent.len].to_vec();
            if sent.destination == OURS {
                self.sip.handle_datagram(&bytes, OURS, OURS, self.now);
                continue;
            }
            let heard = Heard { to: sent.destination, from: sent.source, bytes };
            self.queue.push_back((self.now, heard));
        }
        self.check_tables();
    }

    fn answer_questions(&mut self) {
        while self.answer_next_question() {}
        self.collect();
    }

    fn answer_next_question(&mut self) -> bool {
        let known = |name: &str| self.names.get(name).cloned().unwrap_or(Known::Unknown);
        let Some(at) = self.asked.iter().position(|(name, _)| !matches!(known(name), Known::Silent)) else {
            return false;
        };
        let (name, token) = self.asked.remove(at);
        match self.names.get(&name).cloned().unwrap_or(Known::Unknown) {
            Known::At(addresses) => self.sip.handle_whereabouts(token, Whereabouts::At(&addresses), self.now),
            Known::Unknown => self.sip.handle_whereabouts(token, Whereabouts::Unknown, self.now),
            Known::Unreachable => self.sip.handle_whereabouts(token, Whereabouts::KnownButUnreachable, self.now),
            Known::Silent => {}
        }
        true
    }

    /// Moves the clock from deadline to deadline. Nothing may be sent on the way, only at its end.
    fn move_to(&mut self, then: Instant) -> Result<(), String> {
        if then < self.now {
            return Err("time runs forward".into());
        }
        while let Some(deadline) = self.sip.next_deadline().filter(|deadline| *deadline <= then) {
            if deadline > self.now {
                self.nothing_waits()?;
                self.now = deadline;
            }
            self.sip.handle_timeout(self.now);
            assert!(self.sip.next_deadline().is_none_or(|next| next > self.now), "deadlines strictly advance");
            self.collect();
        }
        if then > self.now {
            self.nothing_waits()?;
            self.now = then;
        }
        Ok(())
    }

    fn nothing_waits(&self) -> Result<(), String> {
        match self.queue.front() {
            None => Ok(()),
            Some((when, heard)) => Err(format!(
                "nobody expects what was sent to {} at {} ms:\n{}",
                heard.to,
                when.since(Instant::from_micros(1_000_000_000)).as_millis(),
                heard.text()
            )),
        }
    }

    /// The next datagram for somebody; those for others may wait.
    fn next_for(&mut self, to: SocketAddrV4) -> Result<Heard, String> {
        let Some(at) = self.queue.iter().position(|(_, heard)| heard.to == to) else {
            self.nothing_waits()?;
            return Err("nothing was sent".into());
        };
        let (_, heard) = self.queue.remove(at).unwrap();
        self.received.insert(to, heard.bytes.clone());
        let start = heard.start_line();
        if !start.starts_with("SIP/2.0 ") && !start.starts_with("ACK ") {
            self.requests.insert(to, heard.bytes.clone());
        }
        Ok(heard)
    }

    fn transactions(&self) -> usize {
        let tables = self.sip.tables();
        tables.iter().find(|table| table.name == "sip_transactions").unwrap().used
    }

    fn check_tables(&self) {
        for table in self.sip.tables() {
            assert!(table.used <= table.limit, "{table:?}");
        }
    }

    /// After everything: whatever happened, some minutes later nothing is left of it.
    fn drain(mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let end = self.now + Duration::from_secs(600);
            let Some(deadline) = self.sip.next_deadline().filter(|deadline| *deadline <= end) else { break };
            if self.transactions() == 0 {
                break;
            }
            self.now = deadline;
            self.sip.handle_timeout(self.now);
            self.collect();
            self.queue.clear();
        }
        match self.transactions() {
            0 => Ok(()),
            left => Err(format!(" at the end {left} transactions never end")),
        }
    }
}

/// `from ADDRESS [to ADDRESS] …`
fn ends<'a, 'b>(words: &'a [&'b str]) -> Result<(SocketAddrV4, SocketAddrV4, &'a [&'b str]), String> {
    match words {
        ["from", from, "to", to, rest @ ..] => Ok((address(from)?, address(to)?, rest)),
        ["from", from, rest @ ..] => Ok((address(from)?, OURS, rest)),
        _ => Err("from where?".into()),
    }
}

fn address(text: &str) -> Result<SocketAddrV4, String> {
    text.parse().map_err(|_| format!("{text}: not ADDRESS:PORT"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| format!("{text}: not a time"));
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => Ok(Duration::from_millis(number(digits)?)),
        (None, Some(digits)) => Ok(Duration::from_secs(number(digits)?)),
        _ => Err(format!("{text}: not a time")),
    }
}

fn known_at(words: &[&str]) -> Result<Known, String> {
    match words {
        ["unknown"] => Ok(Known::Unknown),
        ["unreachable"] => Ok(Known::Unreachable),
        ["silent"] => Ok(Known::Silent),
        addresses => addresses
            .iter()
            .map(|text| text.parse().map_err(|_| format!("{text}: not an address")))
            .collect::<Result<_, _>>()
            .map(Known::At),
    }
}

/// `\r`, `\n`, `\0` and `\xNN`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('0') => bytes.push(0),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => panic!("\\{other:?}"),
            },
            (c, _) => bytes.extend(c.to_string().as_bytes()),
        }
    }
    bytes
}
