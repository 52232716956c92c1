//! The page in a real browser: headless Chromium loads it from the real HTTP engine and the real answers of the API, and
//! what it made of them is read from the document at the end.
//!
//! Where a hand is needed (typing, a click, time passing), the site appends a few lines to the page's script.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Tests of the whole are the outside world: they start processes, open sockets and look at the clock.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "support/real/mod.rs"]
mod real;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use real::page::{self, Document, chromium};
use real::{Exchange, Setup};
use switchboard::api::live::Caller;
use switchboard::api::search::Search;
use switchboard::api::view::{
    BookState, BookStatusView, CallState, CallView, EntryView, ProblemView, RegistrationView, StatusView,
};
use switchboard::api::{Asset, Endpoint, metrics, render, route};
use switchboard::engine::{Peer, StreamId};
use switchboard::http::Command as Stream;
use switchboard::http::server::Server;
use switchboard::time::{Instant, UnixTime};
use switchboard::wire::http::{Request, Response};

const NOW: UnixTime = UnixTime(1_784_800_800);

/// What the exchange looks like.
#[derive(Clone, Default)]
struct Scene {
    entries: Vec<EntryView<'static>>,
    calls: Vec<CallView<'static>>,
    registrations: Vec<RegistrationView<'static>>,
    error: Option<&'static str>,
    /// From this look at the status on, nothing is answered any more.
    breaks_at: Option<usize>,
    /// Appended to the page's script.
    hand: &'static str,
}

/// A server of the page, and what it was asked.
type Site = page::Site<Result<Endpoint, u16>>;

impl Site {
    fn open(scene: Scene) -> Self {
        Self::serving(move |stream, log| serve(stream, &scene, log))
    }

    /// How often `endpoint` was asked for.
    fn times(&self, endpoint: &Endpoint) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.as_ref() == Ok(endpoint)).count()
    }
}

fn serve(mut stream: TcpStream, scene: &Scene, log: &Mutex<Vec<Result<Endpoint, u16>>>) {
    let begin = std::time::Instant::now();
    let now = || Instant::from_micros(1_000_000 + begin.elapsed().as_micros() as u64);
    let id = StreamId::Incoming(1);
    let mut server = Server::new();
    server.handle_accepted(id, Peer::Address(Ipv4Addr::LOCALHOST), now());
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => server.handle_received(id, &buffer[..length], now()),
        }
        while let Some((id, peer, request)) = server.poll_request() {
            let response = answer(&request, peer, scene, log);
            server.respond(id, response, now());
        }
        loop {
            match server.poll_send(id, &mut buffer) {
                0 => break,
                length => stream.write_all(&buffer[..length]).unwrap_or(()),
            }
        }
        while let Some(command) = server.poll_command() {
            if let Stream::Finish(_) | Stream::Abort(_) = command {
                return;
            }
        }
    }
}

fn answer(request: &Request, peer: Peer, scene: &Scene, log: &Mutex<Vec<Result<Endpoint, u16>>>) -> Response {
    let routed = route(request, Caller::of(request, peer));
    let looks = {
        let mut log = log.lock().unwrap();
        log.push(routed.clone().map_err(|refused| refused.status));
        log.iter().filter(|asked| **asked == Ok(Endpoint::Status)).count()
    };
    let endpoint = match routed {
        Err(refused) => return refused,
        Ok(endpoint) => endpoint,
    };
    if scene.breaks_at.is_some_and(|at| looks >= at) && !matches!(endpoint, Endpoint::Page(_)) {
        return render::error(503, "broken on purpose");
    }
    let book = BookStatusView {
        state: if scene.error.is_some() { BookState::Failed } else { BookState::Success },
        entries: scene.entries.len(),
        online: scene.entries.iter().filter(|entry| entry.online == Some(true)).count(),
        private: 0,
        problems: 1,
        fetching: false,
        last_updated: Some(NOW),
        age_s: Some(245),
        next_fetch_in_s: Some(60),
        source: Some("http://book.local.mesh/phonebook.csv".into()),
        error: scene.error.map(Into::into),
    };
    let status = StatusView {
        version: "0.1.0",
        features: vec!["desk"],
        node: "HB9AAA-hap".into(),
        sip_server: "localnode.local.mesh".into(),
        domain: "local.mesh".into(),
        date: NOW,
        uptime_s: 273_900,
        phonebook: book,
        registrations: scene.registrations.len(),
        calls: scene.calls.len(),
        simulated: false,
    };
    match endpoint {
        Endpoint::Page(asset) => {
            let mut page = render::page(asset, request.if_none_match.as_deref());
            if asset == Asset::Js {
                page.body.extend_from_slice(scene.hand.as_bytes());
            }
            page
        }
        Endpoint::Status => render::status(&status),
        Endpoint::Phonebook(search) => render::phonebook(&status.phonebook, scene.entries.iter().cloned(), &search),
        Endpoint::Problems => {
            render::problems(1, &[ProblemView { line: 17, problem: "line 17: <b>no number</b>".into() }])
        }
        Endpoint::Registrations => render::registrations(&scene.registrations),
        Endpoint::Calls => render::calls(&scene.calls),
        Endpoint::Mesh | Endpoint::MeshPhones => {
            render::error(404, "the page of the exchange does not ask for the mesh")
        }
        Endpoint::Live(..) | Endpoint::LoadPhonebook => {
            render::error(404, "the page of the exchange does not ask for tests")
        }
        Endpoint::ReloadPhonebook | Endpoint::ReloadConfig => render::accepted("the phonebook is being fetched"),
        Endpoint::Monitor(_) | Endpoint::ToMonitor | Endpoint::Shown(_) => render::error(404, "another page"),
        Endpoint::Metrics => metrics::metrics(&status, scene.calls.iter().map(|call| call.state), &[], None),
    }
}

impl Document {
    /// The names in the book that can be seen.
    fn names(&self) -> Vec<&str> {
        let visible = self.inside("entries").split("<tr>").skip(1);
        visible.map(|row| row.split("</td>").next().unwrap().trim_start_matches("<td>")).collect()
    }
}

fn look(scene: Scene, target: &str) -> Option<(Document, Site)> {
    look_for(scene, target, Duration::from_millis(2_500))
}

fn look_for(scene: Scene, target: &str, time: Duration) -> Option<(Document, Site)> {
    if !chromium() {
        return None;
    }
    let site = Site::open(scene);
    Some((Document::open(site.address, target, time, ""), site))
}

fn entry(first: &'static str, last: &'static str, sign: &'static str, number: &'static str) -> EntryView<'static> {
    EntryView {
        name: format!("{first} {last} ({sign})").into(),
        telephone: number.into(),
        first_name: first.into(),
        last_name: last.into(),
        callsign: sign.into(),
        online: Some(false),
    }
}

fn scene() -> Scene {
    let mut entries = vec![
        entry("Hans", "Müller", "HB9AAA", "441530"),
        entry("Urs", "Meier, Jr.", "HB9BBB", "441531"),
        entry("Élodie", "O'Neil & Söhne", "HB9CCC", "196630"),
    ];
    entries[1].online = Some(true);
    entries[2].online = None;
    let call = CallView {
        caller_user_id: "441531".into(),
        caller_display_name: "".into(),
        callee_user_id: "441530".into(),
        callee_display_name: "Shack".into(),
        codec: "PCMA".into(),
        callee_hostname: "441530.local.mesh".into(),
        state: CallState::Established,
        call_id: "1@10.98.96.74".into(),
        since: NOW,
        age_s: 312,
        duration_s: Some(305),
    };
    let ringing = CallView {
        state: CallState::Ringing,
        call_id: "2@10.98.96.74".into(),
        caller_user_id: "312430".into(),
        duration_s: None,
        ..call.clone()
    };
    Scene {
        entries,
        calls: vec![call, ringing],
        registrations: vec![RegistrationView {
            number: "441530".into(),
            display_name: "".into(),
            contact: "sip:441530@10.98.96.71:5060".into(),
            source: "10.98.96.71:5060".parse().unwrap(),
            user_agent: "Yealink SIP-T48S 66.86.0.15".into(),
            q: 1_000,
            since: NOW,
            age_s: 400,
            expires_in_s: 3_200,
        }],
        ..Scene::default()
    }
}

#[test]
fn the_page_shows_book_calls_and_phones() {
    let Some((page, site)) = look(scene(), "") else { return };
    assert_eq!(
        page.text("entries"),
        "Hans Müller HB9AAA 441530 offline Urs Meier, Jr. HB9BBB 441531 online \
         Élodie O'Neil & Söhne HB9CCC 196630 not checked"
    );
    let calls = page.text("calls");
    assert!(
        calls.starts_with("Urs Meier, Jr. (HB9BBB) 441531 calls Shack 441530 talking 5:0"),
        "names come from the book where the phone says none: {calls}"
    );
    assert!(calls.contains("PCMA · 441530.local.mesh 312430 calls Shack 441530 ringing 5:1"), "{calls}");
    let phones = page.text("phones");
    assert_eq!(phones, "Hans Müller (HB9AAA) 441530 10.98.96.71 Yealink SIP-T48S 66.86.0.15 renews within 53 min");
    assert_eq!(page.text("facts"), "in the book 3 online 1 registered 1 calls 2 up 3 d 4 h");
    assert_eq!((page.text("node").as_str(), page.text("version").as_str()), ("HB9AAA-hap", "Switchboard 0.1.0"));
    assert_eq!((page.text("book-note").as_str(), page.text("notice").as_str()), ("confirmed 4 min ago", ""));
    assert!(page.html.contains("<title>HB9AAA-hap · Switchboard</title>"));
    for empty in ["book-empty", "calls-empty", "phones-empty"] {
        assert!(page.is_hidden(empty), "{empty}");
    }
    let asked = site.asked.lock().unwrap();
    assert!(asked.iter().all(Result::is_ok), "the page asks for nothing that is not there: {asked:?}");
}

#[test]
fn a_search_can_be_linked() {
    if !chromium() {
        return;
    }
    let site = Site::open(scene());
    let hans = "Hans Müller<span class=\"sign\">HB9AAA</span>";
    let urs = "Urs Meier, Jr.<span class=\"sign\">HB9BBB</span>";
    for (target, found) in [
        ("#q=mueller", vec![hans]),
        ("#q=MULLER+441", vec![hans]),
        ("?q=hb9b", vec![urs]),
        ("#online=1", vec![urs]),
        ("#q=4415", vec![hans, urs]),
        ("#q=hans&online=1", vec![]),
    ] {
        let page = Document::open(site.address, target, Duration::from_millis(2_500), "");
        assert_eq!(page.names(), found, "{target}");
        let count = if found.is_empty() { "· 0 of 3".into() } else { format!("· {} of 3", found.len()) };
        assert_eq!(page.text("count"), count, "{target}");
        assert_eq!(page.is_hidden("book-empty"), !found.is_empty(), "{target}");
    }
}

#[test]
fn hostile_names_are_shown_as_text() {
    const SCRIPT: &str = "<script>document.title='pwned'</script>";
    const IMAGE: &str = "\"><img src=x onerror=\"document.title='pwned'\">";
    let mut scene = scene();
    scene.entries[0] = EntryView { name: SCRIPT.into(), ..scene.entries[0].clone() };
    scene.entries[1] = EntryView {
        first_name: IMAGE.into(),
        last_name: "".into(),
        name: format!("{IMAGE} (HB9BBB)").into(),
        ..scene.entries[1].clone()
    };
    scene.calls[0].caller_display_name = SCRIPT.into();
    scene.calls[0].callee_display_name = IMAGE.into();
    scene.calls[0].codec = IMAGE.into();
    scene.calls[0].call_id = "\"]'><x>".into();
    scene.registrations[0].user_agent = IMAGE.into();
    scene.registrations[0].contact = IMAGE.into();
    scene.registrations[0].display_name = SCRIPT.into();
    scene.hand = "$('problems').open = true;";
    let Some((page, _)) = look(scene, "#q=%3Cimg%20onerror") else { return };
    assert!(page.html.contains("<title>HB9AAA-hap · Switchboard</title>"), "a script ran");
    assert!(page.text("entries").contains(SCRIPT) && page.text("entries").contains(IMAGE));
    assert_eq!(page.text("calls").matches(IMAGE).count(), 2);
    assert!(page.text("calls").contains(SCRIPT));
    assert!(page.text("phones").contains(SCRIPT) && page.text("phones").contains(IMAGE));
    assert!(page.text("problems").contains("line 17: <b>no number</b>"));
    assert_eq!(page.names().len(), 1, "the search takes it as text too");
    assert_eq!(page.html.matches("<script").count(), 1, "only our own");
    assert_eq!(page.html.matches("<img").count(), 1, "only our own");
}

#[test]
fn a_newcomer_is_told_what_to_do_next() {
    let Some((page, _)) =
        look(Scene { error: Some("http://book.local.mesh/phonebook.csv: no address"), ..Scene::default() }, "")
    else {
        return;
    };
    let phones = page.text("phones-empty");
    assert!(phones.contains("SIP server localnode.local.mesh User name the number of the phone"), "{phones}");
    assert!(page.text("calls-empty").contains("Nobody is talking"));
    assert_eq!(
        page.text("book-empty"),
        "No book yet. http://book.local.mesh/phonebook.csv: no address. It is tried again by itself."
    );
    assert!(page.text("book-note").starts_with("last download failed"));
    for empty in ["book-empty", "calls-empty", "phones-empty"] {
        assert!(!page.is_hidden(empty), "{empty}");
    }
    assert!(page.is_hidden("search"), "there is nothing to search");
}

/// Not in a tooltip, which a finger does not find.
#[test]
fn why_the_book_is_of_yesterday_can_be_read() {
    let error = "http://book.local.mesh/phonebook.csv: the server cannot be reached";
    let Some((page, _)) = look(Scene { error: Some(error), ..scene() }, "") else { return };
    let note = page.text("book-note");
    assert!(note.starts_with(&format!("last download failed: {error}, confirmed ")), "{note}");
}

#[test]
fn typing_searches_and_lasts_over_refreshes() {
    let hand = "
        setTimeout(() => {
            dispatchEvent(new KeyboardEvent('keydown', { key: '/' }));
            const focused = document.activeElement === $('q');
            $('q').value = 'müll';
            $('q').dispatchEvent(new Event('input'));
            const row = $('calls').firstElementChild;
            setTimeout(() => {
                document.body.dataset.result = [focused, $('q').value, location.hash, row === $('calls').firstElementChild];
            }, 9000);
        }, 1000);";
    let entries = [scene().entries, vec![entry("Zoe", "Zwicky", "HB9ZZZ", "999999"); 100]].concat();
    let scene = Scene { entries, hand, ..scene() };
    let Some((page, site)) = look_for(scene, "", Duration::from_secs(12)) else { return };
    assert_eq!(page.result(), "true,müll,#q=m%C3%BCll,true");
    assert_eq!(page.names().len(), 1);
    let all = Endpoint::Phonebook(Search::new("", None));
    assert!(site.times(&Endpoint::Calls) >= 3, "calls are looked at every few seconds");
    assert!(site.times(&all) < site.times(&Endpoint::Calls), "the book only when it may have changed");
}

#[test]
fn the_book_is_fetched_by_a_button() {
    let hand = "
        setTimeout(() => {
            $('fetch').click();
            setTimeout(() => { document.body.dataset.result = $('notice').textContent; }, 1000);
        }, 1000);";
    let Some((page, site)) = look_for(Scene { hand, ..scene() }, "", Duration::from_secs(6)) else { return };
    assert_eq!(page.result(), "Fetching the phonebook…");
    assert_eq!(site.times(&Endpoint::ReloadPhonebook), 1);
    assert_eq!(page.text("notice"), "", "and the notice goes away");
}

#[test]
fn a_lost_exchange_is_named_and_what_was_known_stays() {
    let scene = Scene { breaks_at: Some(2), ..scene() };
    let Some((page, _)) = look_for(scene, "", Duration::from_secs(5)) else { return };
    let notice = page.text("notice");
    assert!(notice.starts_with("No answer from Switchboard since") && notice.contains("HTTP 503"), "{notice}");
    assert_eq!(page.names().len(), 3);
}

#[test]
fn nothing_is_wider_than_the_window() {
    let hand = "setTimeout(() => { document.body.dataset.result = \
                document.documentElement.scrollWidth <= document.documentElement.clientWidth; }, 1500);";
    let mut scene = Scene { hand, ..scene() };
    scene.entries[0].name = "x".repeat(300).into();
    scene.calls[0].callee_hostname = "y".repeat(300).into();
    scene.registrations[0].user_agent = "z".repeat(300).into();
    let Some((page, _)) = look(scene, "") else { return };
    assert_eq!(page.result(), "true");
}

#[test]
fn the_daemon_itself_shows_its_book() {
    if !chromium() {
        return;
    }
    let book = "Firstname,Name,Callsign,Telephone,Privat\r\nHans,Müller,HB9AAA,441530,\r\n\
                <b>Urs</b>,&amp;,HB9BBB,441531,\r\nGeheim,Person,HB9DDD,196639,y\r\n";
    let setup = Setup { book: Some(book.into()), ..Setup::default() };
    let exchange = Exchange::with("browser-daemon", &setup);
    let page = Document::open(exchange.api().into(), "", Duration::from_secs(6), "");
    assert_eq!(page.text("entries"), "Hans Müller HB9AAA 441530 offline <b>Urs</b> &amp; HB9BBB 441531 offline");
    assert_eq!(page.text("book-note"), "kept from before the start");
    let server = format!("SIP server {}", exchange.address());
    assert!(page.text("phones-empty").contains(&server), "{}", page.text("phones-empty"));
    assert_eq!(page.text("notice"), "");
}
