//! Any bytes as a life of the whole daemon: each says what happens next, by whom, and how much later. What the daemon sends comes back
//! as answers, so that transactions, tests, questions and downloads get anywhere.
//!
//! What must hold: no table beyond its limit, deadlines that move on, and an end to what one event sets off.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use switchboard::config::{Config, Server};
use switchboard::core::Core;
use switchboard::core::event::{Effect, Event, IcmpIn, IcmpMode, Identity, Udp, Usage};
use switchboard::engine::{Peer, StreamId};
use switchboard::files::{Contents, FileError, Step, Watched, Writer};
use switchboard::limits;
use switchboard::time::{Instant, UnixTime};
use switchboard::wire::icmp::{self, Message};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Happenings of one life; a longer input says nothing new.
const HAPPENINGS: usize = 300;
/// Datagrams that one event may set off: 500 phones are tested at 200 packets a second, and a jump of the clock makes all of them due.
const SET_OFF: usize = 20_000;

struct Life<'a> {
    input: &'a [u8],
    core: Core,
    config: Config,
    now: Instant,
    buffer: Vec<u8>,
    /// The last datagrams that each socket sent, with where to.
    sent: [Vec<(SocketAddrV4, Vec<u8>)>; 3],
    echoes: Vec<(Ipv4Addr, Vec<u8>)>,
    /// Streams that were dialled, and clients.
    dialled: Vec<StreamId>,
    clients: u32,
    state: Option<Vec<u8>>,
    full_disk: bool,
}

pub fn check(data: &[u8]) {
    let mut life = Life::new(data);
    for _ in 0..HAPPENINGS {
        if life.input.is_empty() {
            break;
        }
        life.happen();
        life.settle();
        life.wait(Duration::ZERO);
    }
    life.wait(Duration::from_secs(300));
}

impl<'a> Life<'a> {
    fn new(input: &'a [u8]) -> Self {
        let mut config = Config::default();
        config.names.servers = vec![SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 53), 53)];
        config.servers = vec![Server { url: "http://10.0.0.8/book.csv".into() }];
        (config.mesh.crawl, config.health.collector) = (true, true);
        config.health.collector_url = "http://10.0.0.9:9000/".into();
        (config.sip.max_registrations, config.sip.max_calls) = (20, 20);
        config.sip.transaction_memory = 64 << 10;
        config.sip.country_prefix = "041".into();
        config.probe.call_test = true;
        let now = Instant::from_micros(5_000_000);
        let mut life = Self {
            input,
            core: Core::new(config.clone(), &[7; 32], "boot".into(), now),
            config,
            now,
            buffer: vec![0; limits::DATAGRAM],
            sent: Default::default(),
            echoes: Vec::new(),
            dialled: Vec::new(),
            clients: 0,
            state: None,
            full_disk: false,
        };
        life.introduce();
        life
    }

    fn introduce(&mut self) {
        let lan = vec![(Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(255, 255, 255, 248))];
        self.tell(Event::Identity(Identity { name: "HB9XX".into(), addresses: vec![OWN, Ipv4Addr::LOCALHOST], lan }));
        self.tell(Event::WallClock(UnixTime(1_784_800_800)));
        self.tell(Event::IcmpOpened(IcmpMode::Raw, 77));
        self.settle();
    }

    fn tell(&mut self, event: Event<'_>) {
        self.core.handle_event(event, self.now);
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        *first
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Some of the input as it is.
    fn raw(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) * 4;
        let (raw, rest) = self.input.split_at(length.min(self.input.len()));
        self.input = rest;
        raw
    }

    fn somebody(&mut self) -> SocketAddrV4 {
        let last = self.of(&[7, 8, 9, 53, 1]);
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), self.of(&[5060, 5070, 53, 6000]))
    }

    fn datagram(&mut self, socket: Udp, source: SocketAddrV4, bytes: &[u8]) {
        let local = SocketAddrV4::new(OWN, if socket == Udp::Probe { 5070 } else { 5060 });
        self.tell(Event::Datagram { socket, source, local, ttl: Some(60), at: None, bytes });
    }

    fn happen(&mut self) {
        match self.byte() % 20 {
            0..=3 => {
                let (source, text) = (self.somebody(), self.request());
                self.datagram(Udp::Sip, source, text.as_bytes());
            }
            4 | 5 => self.answer(),
            6 => {
                let (socket, source, raw) = (self.of(&[Udp::Sip, Udp::Dns, Udp::Probe]), self.somebody(), self.raw());
                self.datagram(socket, source, raw);
            }
            7 => self.name_server(),
            8 => {
                let milliseconds = u64::from(self.byte()) * 8;
                self.wait(Duration::from_millis(milliseconds));
            }
            9 => {
                let seconds = self.of(&[1, 5, 31, 64, 200, 700, 4_000, 40_000]);
                self.wait(Duration::from_secs(seconds));
            }
            10 => self.client(),
            11 => self.server(),
            12 => self.echo(),
            13 => {
                let files = [Watched::HostsDir, Watched::ServicesDir, Watched::Lqm, Watched::ResolvConf];
                let others = [Watched::ArednConfig, Watched::DhcpConfig, Watched::LanHosts, Watched::DhcpLeases];
                let (watched, name) = (self.of(&[files, others].concat()), self.of(&["a", "b"]));
                let contents = self.raw();
                let known: &[u8] = match watched {
                    Watched::HostsDir => b"10.0.0.7\t441530\n10.0.0.8 441531 a-b\n10.0.0.9 HB9AA\n",
                    Watched::ServicesDir => b"http://HB9AA:0/|tcp|441530 [phone]\n",
                    _ => b"nameserver 10.0.0.53\n",
                };
                let contents = if contents.is_empty() { known } else { contents };
                let there = self.byte() % 4 > 0;
                self.tell(Event::Changed { watched, name, contents: there.then_some(contents) });
            }
            14 => {
                let socket = self.of(&[Udp::Sip, Udp::Dns, Udp::Probe]);
                let last = self.sent[socket as usize].last().cloned();
                let quotes = self.byte() % 2 == 0;
                if let Some((destination, bytes)) = last {
                    self.tell(Event::Unreachable { socket, destination, quoted: quotes.then_some(&bytes[..]) });
                }
            }
            15 => {
                let flags = self.byte();
                self.config.sip.max_registrations = usize::from(flags % 8) * 3 + 1;
                self.config.probe.enabled = flags & 8 == 0;
                self.config.mesh.enabled = flags & 16 == 0;
                self.config.phonebook.enabled = flags & 32 == 0;
                self.config.sip.record_route = flags & 64 == 0;
                self.config.sip.country_prefix = if flags & 128 == 0 { "041".into() } else { String::new() };
                self.core.handle_config(self.config.clone(), self.now);
            }
            16 => {
                let seconds = u64::from(self.byte()) << (self.byte() % 48);
                self.tell(Event::WallClock(UnixTime(seconds)));
            }
            17 => {
                let congested = self.byte() % 2 == 0;
                self.tell(Event::Congested(congested));
            }
            18 => {
                // Another process with what this one left, or with what somebody put there.
                let raw = self.raw();
                let state = if raw.is_empty() { self.state.clone() } else { Some(raw.to_vec()) };
                self.core = Core::new(self.config.clone(), &[8; 32], "boot".into(), self.now);
                (self.state, self.dialled, self.clients) = (state, Vec::new(), 0);
                self.introduce();
            }
            _ => {
                self.full_disk = self.byte() % 4 == 0;
                self.tell(Event::FetchPhonebook);
            }
        }
    }

    /// A request of one of few phones, so that they have to do with each other.
    fn request(&mut self) -> String {
        let methods = ["INVITE", "REGISTER", "ACK", "CANCEL", "BYE", "OPTIONS", "SUBSCRIBE", "MESSAGE"];
        let (method, about) = (self.of(&methods), self.of(&methods));
        let method_of_cseq = if self.byte() % 8 > 0 { method } else { about };
        let hosts = ["10.0.0.1", "localnode.local.mesh", "10.0.0.7", "10.0.0.9:6000", "441530.local.mesh", "127.0.0.1"];
        let (number, host, other) =
            (self.of(&["441530", "441531", "041441530", "9", ""]), self.of(&hosts), self.of(&hosts));
        let (call, branch, cseq, tag) =
            (self.byte() % 4, self.byte() % 8, self.byte() % 4, self.of(&["", ";tag=b", ";tag=c"]));
        let hops = self.of(&[70, 70, 1, 0, 255]);
        let at = if number.is_empty() { "" } else { "@" };
        let further = match self.byte() % 8 {
            0 => format!("Contact: <sip:{number}@{other}>;q=0.{}\r\n", self.byte() % 10),
            1 => format!("Contact: <sip:441531@{other}>;expires={}\r\n", u32::from(self.byte()) << (self.byte() % 24)),
            2 => "Contact: *\r\nExpires: 0\r\n".into(),
            3 => format!("Route: <sip:{other};lr>\r\nRecord-Route: <sip:10.0.0.1;lr>\r\n"),
            4 => format!("Route: <sip:10.0.0.1;lr>, <sip:{other}>\r\n"),
            5 => "Event: message-summary\r\nContact: <sip:441530@10.0.0.7>\r\n".into(),
            6 => String::from_utf8_lossy(self.raw()).into_owned(),
            _ => format!("Contact: <sip:{number}@10.0.0.7>\r\nContact: <sip:2@10.0.0.9>\r\n"),
        };
        format!(
            "{method} sip:{number}{at}{host} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.{};branch=z9hG4bK{branch}\r\nMax-Forwards: {hops}\r\n\
             From: <sip:441530@x>;tag=a\r\nTo: <sip:{number}{at}{host}>{tag}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method_of_cseq}\r\n\
             {further}Content-Length: 0\r\n\r\n",
            self.byte() % 10
        )
    }

    /// Whoever got the last request of the exchange or of the test desk answers it, sends it on or back.
    fn answer(&mut self) {
        let socket = self.of(&[Udp::Sip, Udp::Sip, Udp::Sip, Udp::Probe]);
        let back = usize::from(self.byte() % 8);
        let known = &self.sent[socket as usize];
        let Some((from, bytes)) = known.len().checked_sub(back + 1).map(|place| known[place].clone()) else { return };
        let how = self.byte();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if how % 16 == 0 || text.starts_with("SIP/2.0") {
            return self.datagram(Udp::Sip, from, &bytes);
        }
        let status =
            [100, 180, 183, 200, 200, 200, 302, 401, 404, 408, 481, 486, 487, 500, 503, 603][usize::from(how % 16)];
        let names = ["via:", "from:", "to:", "call-id:", "cseq:", "record-route:"];
        let tag = if how & 16 == 0 { ";tag=b" } else { ";tag=c" };
        let mut answer = format!("SIP/2.0 {status} X\r\n");
        for line in text.lines().filter(|line| names.iter().any(|name| line.to_ascii_lowercase().starts_with(name))) {
            let needs = line.to_ascii_lowercase().starts_with("to:") && !line.contains("tag=") && status > 100;
            answer += &format!("{line}{}\r\n", if needs { tag } else { "" });
        }
        answer += "Contact: <sip:441531@10.0.0.9>\r\nContent-Length: 0\r\n\r\n";
        self.datagram(socket, from, answer.as_bytes());
    }

    fn name_server(&mut self) {
        let Some((from, mut bytes)) = self.sent[Udp::Dns as usize].pop() else { return };
        let kind = self.byte();
        bytes[2] |= 0x80;
        match kind % 4 {
            0 => bytes[3] = 0x83,
            1 => bytes[3] = 0x82,
            _ => {
                bytes[7] = 1;
                bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, kind, 0, 4, 10, 0, 0, self.of(&[7, 8, 9, 1])]);
            }
        }
        self.datagram(Udp::Dns, from, &bytes);
    }

    /// Somebody at the API.
    fn client(&mut self) {
        let new = self.byte() % 4 > 0 || self.clients == 0;
        let stream = if new { self.clients.wrapping_add(1) } else { u32::from(self.byte()) % self.clients + 1 };
        self.clients = self.clients.max(stream);
        let stream = StreamId::Incoming(stream);
        if new {
            let peer = self.of(&[
                Peer::Owner,
                Peer::Address(Ipv4Addr::new(10, 9, 0, 2)),
                Peer::Address(Ipv4Addr::new(10, 0, 0, 7)),
            ]);
            self.tell(Event::Accepted { stream, peer });
        }
        let paths = [
            "GET /api/v1/status",
            "GET /metrics",
            "POST /api/v1/phones/ring?number=441530",
            "GET /cgi-bin/uac_ping?target=441530&count=3",
            "GET /cgi-bin/traceroute_json?ip=10.0.0.7",
            "POST /api/v1/reload",
            "GET /api/v1/mesh/topology",
            "GET /api/v1/phones/tests",
            "GET /api/v1/registrations",
            "GET /api/v1/calls",
            "POST /api/v1/phonebook/reload",
            "GET /api/v1/phonebook?q=a&online=1",
        ];
        let head = self.of(&paths);
        let text = format!("{head} HTTP/1.1\r\nHost: a\r\nX-Requested-With: switchboard\r\n\r\n");
        match self.byte() % 4 {
            0 => {
                let raw = self.raw();
                self.tell(Event::Received { stream, bytes: raw });
            }
            1 => self.tell(Event::Closed { stream, failed: false }),
            _ => self.tell(Event::Received { stream, bytes: text.as_bytes() }),
        }
    }

    /// Whoever was dialled last.
    fn server(&mut self) {
        let Some(stream) = self.dialled.pop() else { return };
        let bodies = [
            "First,Last,Callsign,Telephone\nA,B,C,441530\nD,E,F,441531\nG,H,I,441532\n",
            r#"{"node":"HB9AA","api_version":"1.14","lat":"47.1","lon":"8.5","interfaces":[{"name":"br0","ip":"10.0.0.9"}],"link_info":{"10.0.0.8":{"hostname":"hb9bb","linkType":"RF"}}}"#,
            "<html>",
        ];
        self.tell(Event::Connected(stream));
        match self.byte() % 6 {
            0 => return self.tell(Event::Closed { stream, failed: true }),
            1 => self
                .tell(Event::Received { stream, bytes: b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.9/a\r\n\r\n" }),
            2 => {
                let raw = self.raw();
                self.tell(Event::Received { stream, bytes: raw });
            }
            _ => {
                let body = self.of(&bodies);
                let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                self.tell(Event::Received { stream, bytes: text.as_bytes() });
            }
        }
        self.tell(Event::Closed { stream, failed: false });
    }

    /// Whoever was pinged answers, or a router on the way does.
    fn echo(&mut self) {
        let Some((to, bytes)) = self.echoes.pop() else { return };
        let Ok(Message::Request(echo)) = icmp::parse(&bytes) else { panic!("what is sent is an echo") };
        let mut out = [0; 200];
        let (from, length) = match self.byte() % 3 {
            0 => (self.somebody().ip().to_owned(), bytes.len()),
            _ => (to, icmp::emit_reply(&echo, &mut out).unwrap()),
        };
        if length == bytes.len() && from != to {
            out[..length].copy_from_slice(&bytes);
        }
        let at = self.now;
        self.core.handle_event(Event::Icmp(IcmpIn { from, ttl: Some(60), bytes: &out[..length], at }), at);
    }

    /// Lets time pass, with everything that becomes due.
    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut turns = 0;
        for _ in 0..2_000 {
            let Some(next) = self.core.next_deadline().filter(|next| *next <= end) else { break };
            // What a stream or a file says makes an engine due at once; but not for ever.
            turns = if next > self.now { 0 } else { turns + 1 };
            assert!(turns < 50, "at {:?} the next deadline is {next:?}", self.now);
            self.now = self.now.max(next);
            self.core.handle_timeout(self.now);
            self.settle();
        }
        self.now = self.now.max(end);
    }

    /// Takes everything that the daemon wants sent and done.
    fn settle(&mut self) {
        let mut count = 0;
        for socket in [Udp::Sip, Udp::Dns, Udp::Probe] {
            while let Some(transmit) = self.core.poll_datagram(socket, &mut self.buffer) {
                count += 1;
                let sent = &mut self.sent[socket as usize];
                sent.push((transmit.destination, self.buffer[..transmit.len].to_vec()));
                if sent.len() > 32 {
                    sent.remove(0);
                }
            }
        }
        while let Some(out) = self.core.poll_icmp(&mut self.buffer, self.now) {
            count += 1;
            self.echoes.push((out.destination, self.buffer[..out.len].to_vec()));
            if self.echoes.len() > 32 {
                self.echoes.remove(0);
            }
        }
        for stream in (1..=self.clients).rev().take(20).map(StreamId::Incoming).chain(self.dialled.clone()) {
            while self.core.poll_stream(stream, &mut self.buffer) > 0 {
                count += 1;
            }
        }
        while let Some(effect) = self.core.poll_effect() {
            count += 1;
            self.perform(effect);
        }
        assert!(count < SET_OFF, "{count} at once");
        for table in self.core.tables() {
            // A lower limit by a new configuration displaces nobody.
            assert!(table.used <= table.limit || table.name == "registrations" && table.used <= 22, "{table:?}");
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Dial { stream, .. } | Effect::DialUnix { stream, .. } => self.dialled.push(stream),
            Effect::Finish(stream) | Effect::Abort(stream) => self.dialled.retain(|known| *known != stream),
            Effect::Read { reader, .. } => {
                let bytes = (reader == switchboard::files::Reader::State).then(|| self.state.clone()).flatten();
                let contents = bytes.map(|bytes| Contents { bytes, modified: UnixTime(1) }).ok_or(FileError::NotFound);
                self.tell(Event::Read { reader, contents });
            }
            Effect::Write { writer, steps } => {
                let result = if self.full_disk { Err(FileError::Os(28)) } else { Ok(()) };
                if let (Writer::State, Ok(())) = (writer, &result) {
                    let written = steps.into_iter().find_map(|step| match step {
                        Step::Write(_, bytes) => Some(bytes),
                        _ => None,
                    });
                    self.state = written.or(self.state.take());
                }
                self.tell(Event::Written { writer, result });
            }
            Effect::Measure => self.tell(Event::Usage(Usage::default())),
            Effect::Watch { .. } | Effect::Reload | Effect::Exit => {}
        }
    }
}
