//! What the page shows: phones, calls, findings, health; hostile names as text; what it keeps over a refresh.

use std::time::Duration;

use serde_json::{Value, json};

use crate::real::page::chromium;
use crate::real::{Exchange, PATIENCE, Setup, until};
use crate::scene::{HOSTILE, PHONES, Scene, nothing, number, scene, status};
use crate::{A_LOOK, Site, look, now, open, open_in};

#[test]
fn every_phone_call_and_finding_is_shown() {
    let Some((page, site)) = look(scene(now()), "", A_LOOK) else { return };
    let rows = page.rows();
    assert_eq!(rows.len(), PHONES);
    for (index, row) in rows.iter().enumerate() {
        let word = match status(index) {
            ("NO_DNS", _) => "not on the mesh",
            ("OFFLINE", _) => "offline",
            (_, "OFFLINE") => "no answer to SIP",
            _ => "online",
        };
        assert_eq!((&row[0], row[2].as_str()), (&number(index), word), "{row:?}");
        let named = index % 10 != 9;
        assert_eq!(!row[1].is_empty(), named, "{row:?}");
        assert_eq!(row[3].contains("ms"), status(index).0 == "ONLINE", "{row:?}");
    }
    assert_eq!(rows[6][1], "Hans O'Neil HB9006");
    assert!(!rows[6][1].starts_with('*'), "the marker of the published book is no part of a name");
    let mut grades = [0; 3];
    for cell in rows.iter().flat_map(|row| [&row[3], &row[4]]).filter(|cell| cell.contains("ms")) {
        let rtt: f64 = cell.split(' ').next().unwrap().parse().unwrap();
        let grade = usize::from(rtt > 100.0) + usize::from(rtt > 200.0);
        grades[grade] += 1;
        // At the edge the number is rounded and the word is not.
        let words = ["ms ±", "fair", "poor"][grade];
        assert!(cell.contains(words) || [100.0, 200.0].contains(&rtt), "colour has a word: {cell}");
    }
    assert!(grades.iter().all(|count| *count > 10), "{grades:?}");
    assert_eq!(page.html.matches("class=\"curve\"").count(), (0..PHONES).filter(|index| index % 17 > 0).count());
    assert!(page.html.contains("aria-label=\"16 tests, "), "a curve has words");

    let count = |wanted: (&str, &str)| (0..PHONES).filter(|index| status(*index) == wanted).count();
    let (online, silent) = (count(("ONLINE", "ONLINE")), count(("ONLINE", "OFFLINE")));
    let (offline, away) = (count(("OFFLINE", "OFFLINE")), count(("NO_DNS", "NO_DNS")));
    assert_eq!(
        page.text("kinds"),
        format!(
            "all {PHONES} online {online} no answer to SIP {silent} offline {offline} not on the mesh {away} not tested 0"
        )
    );
    assert_eq!(
        page.text("facts"),
        format!("phones answer {} of {PHONES} nodes 300 calls 2 findings 9 health 85", online + silent)
    );
    assert_eq!(page.text("progress"), "Testing: 123 of 500, about 40 s left, 198 of 200 packets/s, 17 of 256 waiting");

    let findings = page.text("findings");
    assert!(findings.starts_with("✖ Phones on this node's LAN are told no default route"), "{findings}");
    assert!(page.html.contains("aria-label=\"calls fail\""), "a sign has a word");
    assert_eq!(page.text("more-findings"), "Show 3 more");
    let calls = page.text("calls");
    assert!(calls.starts_with("Urs Söhne (HB9007) 440049 calls"), "names come from the book: {calls}");
    assert!(calls.contains("talking PCMA · 440056.local.mesh") && calls.contains("ringing"), "{calls}");
    assert_eq!(
        page.text("crash"),
        "⚠ Switchboard crashed 2 times in the last 24 hours (last 1 h 6 min ago, Segmentation fault). On the node, “switchboard crash” says more."
    );
    assert!(page.text("checks").contains("✗ uac bulk tester does not respond"), "{}", page.text("checks"));
    assert!(page.text("checks").contains("✓ memory"));
    assert_eq!(page.text("health-note"), "score 85 of 100");

    let asked = site.asked.lock().unwrap();
    assert!(
        !asked.iter().any(|path| path.contains("leaflet.js") || path.contains("land.txt")),
        "only for the map: {asked:?}"
    );
}

#[test]
fn hostile_names_are_shown_as_text() {
    let hand = "
        setTimeout(() => { $('more-findings').click(); document.querySelector('#phones button').click(); }, 1500);
        setTimeout(() => { $('node-name').value = '<SCRIPT'; $('node-name').dispatchEvent(new Event('change')); }, 3500);";
    let Some((page, _)) = look(Scene { hand, ..scene(now()) }, "#tab=map", Duration::from_secs(6)) else { return };
    assert!(page.html.contains("<title>HB9AAA-HAP · Mesh monitor</title>"), "a script ran");
    let rows = page.rows();
    // Row 1 is what stands below the opened row 0.
    for (index, name) in HOSTILE.iter().enumerate() {
        let clean: String = name.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(rows[index + 2][1], clean, "a name of the book");
    }
    assert!(page.text("findings").contains(HOSTILE[0]) && page.text("calls").contains(HOSTILE[1]));
    assert!(page.text("chosen").contains(HOSTILE[0]), "a node: {}", page.text("chosen"));
    assert_eq!(page.html.matches("<script").count(), 1, "only our own");
    assert_eq!(page.html.matches("<img").count(), 1, "only our own");
}

#[test]
fn search_sort_and_place_outlast_a_refresh() {
    let hand = "
        const numbers = () => [...document.querySelectorAll('#phones tr:not(.more)')].map((row) => row.dataset.key);
        const said = {};
        setTimeout(() => {
            dispatchEvent(new KeyboardEvent('keydown', { key: '/' }));
            said.focus = document.activeElement.id;
            $('q').value = 'zwicky';
            $('q').dispatchEvent(new Event('input'));
            said.found = numbers().length;
            document.querySelector('.c-ping button').click();
            document.querySelector('.c-ping button').click();
            said.aria = document.querySelector('th.c-ping').getAttribute('aria-sort');
            said.first = document.querySelector('#phones .c-ping').textContent;
            document.querySelector('[data-kind=online]').click();
            said.order = numbers().join();
            document.querySelectorAll('#phones tr')[2].querySelector('button').click();
            said.expanded = document.querySelectorAll('[aria-expanded=true]').length;
            document.documentElement.scrollTop = 120;
            said.row = document.querySelectorAll('#phones tr')[1];
        }, 2500);
        setTimeout(() => {
            const same = said.row === document.querySelectorAll('#phones tr')[1] && said.order === numbers().join();
            document.body.dataset.result = [said.focus, said.found, said.aria, /ms/.test(said.first), said.expanded,
                document.querySelectorAll('#phones .more').length, same, $('q').value, document.documentElement.scrollTop, location.hash].join(' ');
        }, 40000);";
    let Some((page, site)) = look(Scene { hand, ..scene(now()) }, "", Duration::from_secs(42)) else { return };
    let zwicky = (0..PHONES).filter(|index| index % 5 == 3 && index % 10 != 9 && !(1..=5).contains(index)).count();
    assert_eq!(
        page.result(),
        format!("q {zwicky} descending true 1 1 true zwicky 120 #q=zwicky&kind=online&sort=-ping")
    );
    let calls = site.times("/cgi-bin/active_calls_json");
    let tests = site.times("/cgi-bin/phone_ping_json");
    assert!((7..=10).contains(&calls), "calls every 5 s: {calls}");
    assert!((4..=6).contains(&tests), "the tests every 10 s during a cycle: {tests}");
    assert_eq!(site.times("/cgi-bin/showphonebook"), 1);
}

#[test]
fn a_view_can_be_linked() {
    let Some((page, site)) = look(scene(now()), "#q=44010&sort=-number", A_LOOK) else { return };
    let rows = page.rows();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(numbers, ["440105"], "{numbers:?}");
    drop(site);
    let Some((page, _)) = look(scene(now()), "#kind=offline", A_LOOK) else { return };
    assert!(page.rows().iter().all(|row| row[2] == "offline"));
    assert_eq!(page.rows().len(), (0..PHONES).filter(|index| status(*index).0 == "OFFLINE").count());
}

#[test]
fn a_new_node_says_what_will_be_here() {
    let Some((page, _)) = look(nothing(), "", A_LOOK) else { return };
    assert_eq!(
        page.text("phones-empty"),
        "No phone was tested yet. Phones of the book and registered phones appear here with the first round of tests."
    );
    assert_eq!(page.text("calls-empty"), "Calls cannot be seen. No call data available.");
    assert!(page.text("findings-empty").starts_with("Not known yet."));
    assert_eq!(page.text("health-empty"), "No report of this node’s health. No health data available.");
    assert_eq!((page.text("crash").as_str(), page.rows().len()), ("", 0));
    assert!(page.text("notice").starts_with("Switchboard has told nothing here yet:"), "{}", page.text("notice"));
    let Some((page, _)) = look(nothing(), "#tab=map", A_LOOK) else { return };
    assert!(page.text("map-empty").contains("Nothing is known of the mesh yet."), "{}", page.text("map-empty"));
}

#[test]
fn fields_that_are_missing_or_odd_are_not_known() {
    let odd = Scene {
        phone_ping_json: json!({"results": [
            {"phone_number": "1"}, {"phone_number": 2, "ping_status": 7, "ping_rtt": "x", "history": {}, "path": [null, 3]},
            null, 5, {"ping_status": "ONLINE"}, {"phone_number": "__proto__", "ping_status": "ONLINE", "ping_rtt": "12.5"}]}),
        topology_json: json!({"nodes": [{"name": "a", "lat": "x", "lon": []}, null, {"name": ""}, {"name": "constructor"}],
            "connections": [{"source": "a", "target": "b"}, null, {"source": "a", "target": "a"}, {"source": "a", "target": "constructor"}]}),
        findings_json: json!({"findings": [{}, null, {"sentence": 5, "severity": "toString"}]}),
        health_status: json!({"checks": [], "threads": 5, "uptime_seconds": "x", "cpu_pct": "0.5"}),
        active_calls_json: json!({"calls": [{}, null, {"state": "toString"}]}),
        showphonebook: json!({"entries": "none"}),
        dashboard_settings: json!([]),
        ..nothing()
    };
    let Some((page, _)) = look(odd.clone(), "", A_LOOK) else { return };
    let numbers: Vec<String> = page.rows().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, ["1", "2", "__proto__"]);
    assert_eq!(page.text("notice"), "");
    let Some((page, _)) = look(odd, "#tab=plan", A_LOOK) else { return };
    assert_eq!(page.text("map-note"), "2 nodes in rings by their hops from this one, 2 without a known link below");
}

/// As narrow as a phone, too, with long names and round trips; a number at the top leads to what it counts.
#[test]
fn nothing_is_wider_than_the_window() {
    if !chromium() {
        return;
    }
    // A window has 500 pixels at least, a phone 360.
    let hand = "
        setTimeout(() => { document.querySelectorAll('#phones button')[5].click(); }, 1000);
        setTimeout(() => {
          const box = innerWidth > 600 ? document.documentElement : document.body;
          if (box === document.body) box.style.width = '360px';
          [...document.querySelectorAll('#facts button')].find((button) => button.ariaLabel.endsWith('findings')).click();
          document.body.dataset.result = [box.scrollWidth <= box.clientWidth, document.querySelector('#phones tr').offsetHeight, document.activeElement.id];
        }, 3000);";
    let mut seen = Scene { hand, ..scene(now()) };
    seen.phone_ping_json["results"][0]["ping_rtt"] = json!(12_345.6);
    seen.phone_ping_json["results"][0]["ping_loss"] = json!(40);
    let name = "Notfunkstelle Katastrophenschutzverantwortliche (HB9AAA)";
    seen.showphonebook = json!({"entries": [{"name": name, "telephone": number(0)}]});
    let site = Site::open(seen);
    for size in ["1300,900", "500,900"] {
        let said = open_in(size, site.address, "", A_LOOK, "").result();
        let said: Vec<&str> = said.split(',').collect();
        assert_eq!((said[0], said[2]), ("true", "findings-title"), "{size}");
        assert!((30..150).contains(&said[1].parse::<u32>().unwrap()), "the height of a row: {said:?}");
    }
}

/// The files of a daemon that does not run stay in RAM: its silence is told, by the clock of the node and not by ours. A node that
/// has none of the programs, and one that is out of reach from the beginning, have panels that say so.
#[test]
fn a_daemon_that_does_not_run_is_told() {
    let hour = 3_600;
    let silent = |clock: u64| {
        let mut seen = scene(now());
        seen.health_status["interval_seconds"] = json!(60);
        seen.health_status["sent_at"] = json!(now() - hour);
        seen.showphonebook["timestamp"] = json!(clock);
        look(seen, "", A_LOOK).map(|(page, _)| page.text("notice"))
    };
    let Some(said) = silent(now()) else { return };
    assert!(said.starts_with("Switchboard told something last 1 h 0 min ago: it does not seem to run."), "{said}");
    assert_eq!(silent(now() - hour + 30).as_deref(), Some(""), "the node's clock is an hour late");

    let none = Scene {
        phone_ping_json: Value::Null,
        topology_json: Value::Null,
        findings_json: Value::Null,
        health_status: Value::Null,
        active_calls_json: Value::Null,
        showphonebook: Value::Null,
        dashboard_settings: Value::Null,
        ..nothing()
    };
    let site = Site::open(none);
    let page = open(site.address, "", A_LOOK, "404");
    assert!(page.text("notice").starts_with("No answer from this node since "), "{}", page.text("notice"));
    assert_eq!(page.text("phones-empty"), "Nothing is known of the phones.");
    assert_eq!(page.text("calls-empty"), "Calls cannot be seen.");
}

#[test]
fn the_daemon_itself_shows_it() {
    if !chromium() {
        return;
    }
    let book = "Firstname,Name,Callsign,Telephone,Privat\r\nHans,Müller,HB9AAA,441530,\r\n";
    let setup = Setup { book: Some(book.into()), ..Setup::default() };
    let exchange = Exchange::with("dashboard-daemon", &setup);
    let page = open(exchange.api().into(), "", A_LOOK, "");
    assert_eq!((page.text("notice").as_str(), page.rows().len()), ("", 0));
    assert!(page.text("phones-empty").starts_with("No phone was tested yet."));
    assert!(page.text("calls-empty").starts_with("Nobody is talking right now."));
    let page = open(exchange.api().into(), "#tab=plan", A_LOOK, "");
    assert_eq!(page.text("notice"), "");
    assert!(page.html.contains("leaflet-container"));
}

#[test]
fn the_daemon_shows_how_it_is() {
    if !chromium() {
        return;
    }
    let exchange = Exchange::start("dashboard-health");
    until("the first report", PATIENCE, || exchange.path("tmp/software_health.json").exists().then_some(()));
    let page = open(exchange.api().into(), "", A_LOOK, "");
    assert_eq!((page.text("health-note").as_str(), page.text("crash").as_str()), ("score 100 of 100", ""));
    let (health, checks) = (page.text("health"), page.text("checks"));
    for word in ["CPU", "memory", "up", "restarts"] {
        assert!(health.contains(word), "{word} in {health:?}");
    }
    for word in ["✓ memory", "✓ no crashes", "✓ SIP", "✓ phonebook", "✓ CPU", "✓ responsive"] {
        assert!(checks.contains(word), "{word} in {checks:?}");
    }
}
