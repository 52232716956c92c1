//! A page in headless Chromium: what it made of what it was served, read from the document at the end.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ground::{Process, Tree, installed};

/// Whether Chromium can be had here.
pub fn chromium() -> bool {
    installed("chromium", "chromium")
}

/// The browser, with a profile of its own in `tree` and nothing that talks to anybody by itself.
pub fn browser(tree: &Tree) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-extensions"])
        .args(["--disable-domain-reliability", "--disable-client-side-phishing-detection", "--disable-default-apps"])
        .args(["--no-proxy-server", "--lang=en", "--hide-scrollbars", "--enable-logging=stderr", "--log-level=0"])
        .arg(format!("--user-data-dir={}", tree.path("profile").display()));
    command
}

/// A web server of the test's own, and what it was asked.
pub struct Site<A> {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<A>>>,
}

impl<A: Send + 'static> Site<A> {
    /// Every connection is given to `serve`, on a thread of its own.
    pub fn serving(serve: impl Fn(TcpStream, &Mutex<Vec<A>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, serve) = (Arc::clone(&asked), Arc::new(serve));
        // The threads end with the test's process; each serves one connection.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, log) = (Arc::clone(&serve), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &log));
            }
        });
        Self { address, asked }
    }
}

/// What the browser has in the end.
pub struct Document {
    pub html: String,
}

impl Document {
    /// Opens `target` of a site and lets `time` pass in the page, which takes much less of ours. Any word of the page on the console
    /// is a failure, unless it is `expected`.
    pub fn open(address: SocketAddr, target: &str, time: Duration, expected: &str) -> Self {
        Self::open_in("1300,900", address, target, time, expected)
    }

    /// In a window of another size.
    pub fn open_in(size: &str, address: SocketAddr, target: &str, time: Duration, expected: &str) -> Self {
        let tree = Tree::new("page");
        let mut command = browser(&tree);
        command
            .arg(format!("--window-size={size}"))
            .arg(format!("--virtual-time-budget={}", time.as_millis()))
            .arg("--dump-dom")
            .arg(format!("http://{address}/{target}"));
        let mut browser = Process::start("chromium", &mut command, &tree.path(""));
        browser.wait(Duration::from_secs(90));
        // The log and the document share one file.
        let output = browser.output();
        let at = output.find("<!DOCTYPE html>").unwrap_or_else(|| panic!("no document: {output}"));
        let end = output[at..].find("</html>").expect("the end of the document");
        let log = format!("{}{}", &output[..at], &output[at + end..]);
        for line in log.lines().filter(|line| line.contains("CONSOLE")) {
            assert!(!expected.is_empty() && line.contains(expected), "on the console: {line}");
        }
        Self { html: output[at..at + end].to_owned() }
    }

    /// The start tag of the element with this id, and where it ends.
    fn start(&self, id: &str) -> (&str, usize) {
        let at = self.html.find(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("nothing has the id {id}"));
        let from = self.html[..at].rfind('<').unwrap();
        let end = at + self.html[at..].find('>').unwrap() + 1;
        (&self.html[from..end], end)
    }

    pub fn is_hidden(&self, id: &str) -> bool {
        self.start(id).0.contains(" hidden")
    }

    /// What is inside the element with this id.
    pub fn inside(&self, id: &str) -> &str {
        let (tag, from) = self.start(id);
        let name = tag.trim_start_matches('<').split([' ', '>']).next().unwrap();
        let (start, end) = (format!("<{name}"), format!("</{name}>"));
        let (mut to, mut depth) = (from, 1);
        while depth > 0 {
            let next = to + self.html[to..].find(&end).unwrap();
            depth += self.html[to..next].matches(&start).count();
            depth -= 1;
            to = next + end.len();
        }
        &self.html[from..to - end.len()]
    }

    /// The same without its markup.
    pub fn text(&self, id: &str) -> String {
        text(self.inside(id))
    }

    /// What a script of the test's left behind under this name.
    pub fn said(&self, key: &str) -> String {
        let found = self.html.split_once(&format!(" data-{key}=\"")).unwrap_or_else(|| panic!("no {key}")).1;
        unescaped(found.split('"').next().unwrap())
    }

    pub fn result(&self) -> String {
        self.said("result")
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&nbsp;", " ").replace("&amp;", "&")
}

/// Markup without its tags, with single spaces.
pub fn text(markup: &str) -> String {
    let mut text = String::new();
    let mut rest = markup;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    text.push_str(rest);
    unescaped(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}
