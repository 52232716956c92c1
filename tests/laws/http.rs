//! An HTTP client among servers, and an HTTP server among clients, of every kind.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use switchboard::engine::{Asker, Engine, Peer, StreamId};
use switchboard::http::Command;
use switchboard::http::client::Client;
use switchboard::http::server::Server;
use switchboard::rng::Seed;
use switchboard::time::Instant;
use switchboard::wire::http::{Download, Response, Url};

use crate::Chance;

pub struct ClientSubject {
    client: Client,
    questions: Vec<u32>,
    streams: Vec<StreamId>,
    /// What was fetched, and what was brought to the collector: begun and ended.
    fetched: (usize, usize),
    brought: (usize, usize),
}

const URLS: [&str; 4] =
    ["http://book.local.mesh/x.csv", "http://10.0.0.1:81/x", "http://127.0.0.1/", "http://255.255.255.255/"];

const ANSWERS: [&str; 10] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.1 304 Not Modified\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /y\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: http://other/y\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "5\r\n",
];

impl crate::Subject for ClientSubject {
    const NAME: &'static str = "http client";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &[];

    fn new(_seed: &Seed, _now: Instant) -> Self {
        let mut client = Client::new();
        client.set_identity(&[Ipv4Addr::new(10, 0, 0, 1)]);
        Self { client, questions: Vec::new(), streams: Vec::new(), fetched: (0, 0), brought: (0, 0) }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.client
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        let stream = self.streams.get(chance.below(self.streams.len().max(1))).copied();
        match (chance.below(20), stream) {
            (0, _) => {
                let url = Url::parse(chance.of::<&str>(&URLS)).unwrap();
                let begun = self.client.bring(url, b"{}".to_vec(), Duration::from_secs(3), Asker::Collector, now);
                self.brought.0 += usize::from(begun.is_ok());
            }
            (1, _) if chance.one_in(4) => {
                self.client.forget(|asker| asker == Asker::Collector);
                self.brought.0 = self.brought.1;
            }
            (1..=4, _) => {
                let request = Download {
                    url: Url::parse(chance.of::<&str>(&URLS)).unwrap(),
                    etag: Some("\"1\"".into()),
                    last_modified: None,
                    connect_timeout: Duration::from_secs(2),
                    total_timeout: Duration::from_secs(*chance.of(&[1, 5])),
                    max_body: *chance.of(&[0, 4, 1_000]),
                };
                self.fetched.0 += usize::from(self.client.fetch(request, Asker::Fetch, now).is_ok());
            }
            (5..=8, _) if !self.questions.is_empty() => {
                let number = self.questions.remove(chance.below(self.questions.len()));
                let address = *chance.of(&[Some(Ipv4Addr::new(10, 0, 0, 1)), Some(Ipv4Addr::LOCALHOST), None]);
                self.client.handle_address(number, address, now);
            }
            (9..=11, Some(stream)) => {
                self.client.handle_connected(stream, now);
                let mut buffer = [0; 4_096];
                self.client.poll_send(stream, &mut buffer[..chance.below(4_097)]);
            }
            (12..=17, Some(stream)) => {
                let text = chance.of(&ANSWERS).as_bytes().to_vec();
                let bytes = if chance.one_in(4) { chance.damaged(text) } else { text };
                let cut = chance.below(bytes.len() + 1);
                self.client.handle_received(stream, &bytes[..cut], now);
                self.client.handle_received(stream, &bytes[cut..], now);
            }
            (18, Some(stream)) => self.client.handle_closed(stream, chance.one_in(2), now),
            (_, Some(stream)) => self.client.handle_received(stream, &chance.bytes(20_000), now),
            _ => {}
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some((number, host)) = self.client.poll_question() {
            self.questions.push(number);
            log.push(format!("where is {host} ({number})"));
        }
        while let Some(command) = self.client.poll_command() {
            log.push(format!("{command:?}"));
            match command {
                Command::Dial { stream, .. } => self.streams.push(stream),
                Command::Finish(stream) | Command::Abort(stream) => self.streams.retain(|open| *open != stream),
            }
        }
        while let Some(outcome) = self.client.poll_outcome() {
            let ended = if outcome.0 == Asker::Fetch { &mut self.fetched.1 } else { &mut self.brought.1 };
            *ended += 1;
            log.push(format!("{outcome:?}"));
        }
        // Sending is the shell's business; what there is to send must not depend on when it asks.
        for stream in self.streams.clone() {
            let mut buffer = [0; 4_096];
            let length = self.client.poll_send(stream, &mut buffer);
            if length > 0 {
                log.push(format!("send {stream:?} {}", String::from_utf8_lossy(&buffer[..length])));
            }
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        let nobody = *chance.of(&[StreamId::Outgoing(u32::MAX), StreamId::Incoming(1)]);
        match chance.below(4) {
            0 => self.client.handle_address(u32::MAX, Some(Ipv4Addr::new(10, 0, 0, 1)), now),
            1 => self.client.handle_connected(nobody, now),
            2 => self.client.handle_received(nobody, ANSWERS[0].as_bytes(), now),
            _ => self.client.handle_closed(nobody, chance.one_in(2), now),
        }
    }

    fn at_rest(&mut self) {
        assert_eq!(self.fetched.0, self.fetched.1, "every fetch that was accepted ends once");
        assert_eq!(self.brought.0, self.brought.1, "and whatever was brought, unless it was forgotten");
    }
}

pub struct ServerSubject {
    server: Server,
    opened: u32,
    streams: Vec<StreamId>,
    asked: Vec<StreamId>,
    /// How many requests came and answers were begun on each stream.
    taken: BTreeMap<StreamId, usize>,
}

const REQUESTS: [&str; 8] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x?y=z HTTP/1.0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "\r\n\r\nGET /",
];

impl crate::Subject for ServerSubject {
    const NAME: &'static str = "http server";
    const PERIODIC: bool = false;
    const RESTING: &'static [&'static str] = &[];

    fn new(_seed: &Seed, _now: Instant) -> Self {
        let (streams, asked, taken) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { server: Server::new(), opened: 0, streams, asked, taken }
    }

    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.server
    }

    fn happen(&mut self, chance: &mut Chance, now: Instant) {
        let stream = self.streams.get(chance.below(self.streams.len().max(1))).copied();
        match (chance.below(20), stream) {
            (0..=3, _) | (_, None) => {
                for _ in 0..*chance.of(&[1, 1, 1, 1, 30]) {
                    self.opened += 1;
                    let stream = StreamId::Incoming(self.opened);
                    self.streams.push(stream);
                    let peer = if chance.one_in(2) { Peer::Owner } else { Peer::Address(Ipv4Addr::LOCALHOST) };
                    self.server.handle_accepted(stream, peer, now);
                }
            }
            (4..=11, Some(stream)) => {
                let text = chance.of(&REQUESTS).as_bytes().to_vec();
                let bytes = if chance.one_in(4) { chance.damaged(text) } else { text };
                let cut = chance.below(bytes.len() + 1);
                self.server.handle_received(stream, &bytes[..cut], now);
                self.server.handle_received(stream, &bytes[cut..], now);
            }
            (12..=15, _) if !self.asked.is_empty() => {
                let stream = self.asked.remove(chance.below(self.asked.len()));
                if chance.one_in(8) && self.server.is_waiting(stream) {
                    return self.server.give_up(stream);
                }
                let status = *chance.of(&[200, 204, 304, 404, 0, 999]);
                let body = chance.bytes(3_000);
                self.server.respond(stream, Response::new(status, "text/plain", body).with("X", "a\r\nb"), now);
            }
            (16, Some(stream)) => {
                let failed = chance.one_in(2);
                if failed {
                    self.streams.retain(|open| *open != stream);
                }
                self.server.handle_closed(stream, failed, now);
            }
            (17, Some(stream)) => self.server.handle_received(stream, &chance.bytes(20_000), now),
            (_, Some(stream)) => {
                let mut buffer = [0; 4_096];
                let length = self.server.poll_send(stream, &mut buffer[..chance.below(4_097)]);
                *self.taken.entry(stream).or_default() += length;
            }
        }
    }

    fn drain(&mut self, log: &mut Vec<String>) {
        while let Some((stream, peer, request)) = self.server.poll_request() {
            log.push(format!("{stream:?} {peer:?} {request:?}"));
            self.asked.push(stream);
        }
        while let Some(command) = self.server.poll_command() {
            log.push(format!("{command:?}"));
            match command {
                Command::Dial { .. } => panic!("a server does not dial"),
                Command::Finish(stream) | Command::Abort(stream) => self.streams.retain(|open| *open != stream),
            }
        }
        if !self.taken.is_empty() {
            log.push(format!("sent {:?}", std::mem::take(&mut self.taken)));
        }
    }

    fn stray(&mut self, chance: &mut Chance, now: Instant) {
        let nobody = *chance.of(&[StreamId::Incoming(u32::MAX), StreamId::Outgoing(1)]);
        match chance.below(3) {
            0 => self.server.respond(nobody, Response::text(200, "x"), now),
            1 => self.server.handle_received(nobody, REQUESTS[0].as_bytes(), now),
            _ => self.server.handle_closed(nobody, chance.one_in(2), now),
        }
    }
}
