//! The mesh monitor in headless Chromium, with a made-up mesh of 300 routers and 500 phones whose names are hostile: what it
//! shows, what it keeps over a refresh, what it asks for, and that it asks nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(feature = "demo")]
mod demo;
mod files;
mod live;
mod map;
mod pictures;
#[path = "../support/real/mod.rs"]
mod real;
mod scene;
mod shown;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use real::page::{self, Document, chromium, text};
use scene::Scene;
use serde_json::Value;

/// Names that have the node do something.
const LIVE: [&str; 3] = ["traceroute_json", "uac_ping", "uac_test"];

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/files/www/arednmon");

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A node's web server, and what it was asked.
type Site = page::Site<String>;

impl Site {
    fn open(scene: Scene) -> Self {
        Self::serving(move |stream, log| serve(stream, &scene, log))
    }

    /// How often a path was asked for, whatever stands behind its question mark.
    fn times(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.split('?').next() == Some(path)).count()
    }
}

impl Document {
    /// The cells of each row of the table of phones.
    fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.inside("phones").split("<tr").skip(1);
        rows.map(|row| row.split("<td").skip(1).map(|cell| text(&format!("<td{cell}"))).collect()).collect()
    }
}

fn serve(mut stream: TcpStream, scene: &Scene, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let headers: Vec<String> = lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(if first.starts_with("GET /") { target.clone() } else { first.clone() });
    let path = target.split('?').next().unwrap_or_default();
    let (kind, body) = if let Some(name) = path.strip_prefix("/cgi-bin/") {
        ("application/json", answer(scene, log, name, &first, header).map(|value| value.to_string().into_bytes()))
    } else if let Some(name) = path.strip_prefix("/arednmon/") {
        let name = if name.is_empty() { "index.html" } else { name };
        let mut body = std::fs::read(Path::new(FILES).join(name)).ok();
        if name == "desk.js" {
            body.as_mut().unwrap().extend_from_slice(scene.hand.as_bytes());
        }
        let kind = match name.rsplit('.').next() {
            Some("js") => "text/javascript",
            Some("css") => "text/css",
            Some("html") => "text/html",
            _ => "text/plain",
        };
        (kind, body)
    } else if path.ends_with(".png") {
        ("image/png", Some(Vec::new()))
    } else {
        ("text/plain", None)
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// What makes traffic is asked for so that the node can see whose page it is.
fn answer<'a>(
    scene: &'a Scene,
    log: &Mutex<Vec<String>>,
    name: &str,
    first: &str,
    header: impl Fn(&str) -> Option<&'a str>,
) -> Option<&'a Value> {
    if !LIVE.contains(&name) {
        assert!(first.starts_with("GET "), "{first}");
        return scene.answer(name);
    }
    let origin = header("Origin").and_then(|origin| origin.strip_prefix("http://"));
    assert!(first.starts_with("POST ") && origin.is_some() && origin == header("Host"), "{first}");
    assert_eq!(header("X-Requested-With"), Some("switchboard"));
    let path = format!("POST /cgi-bin/{name}?");
    let turn = log.lock().unwrap().iter().filter(|asked| asked.starts_with(&path)).count();
    // One after the other; the last one again and again. One may be for those alone who show a token.
    let Value::Array(all) = scene.answer(name)? else { return scene.answer(name) };
    let (last, token) = (&all[all.len() - 1], header("Authorization"));
    Some(if token == Some("Bearer secret") { last } else { &all[turn.min(all.len()) - 1] })
}

/// Opens the monitor's page of a site; see [`Document::open`].
fn open(address: SocketAddr, target: &str, time: Duration, expected: &str) -> Document {
    open_in("1300,900", address, target, time, expected)
}

/// In a window of another size.
fn open_in(size: &str, address: SocketAddr, target: &str, time: Duration, expected: &str) -> Document {
    Document::open_in(size, address, &format!("arednmon/{target}"), time, expected)
}

const A_LOOK: Duration = Duration::from_millis(4_000);

fn look(scene: Scene, target: &str, time: Duration) -> Option<(Document, Site)> {
    if !chromium() {
        return None;
    }
    let site = Site::open(scene);
    let document = open(site.address, target, time, "");
    Some((document, site))
}
