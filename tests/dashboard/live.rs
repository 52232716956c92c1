//! What a click has the node do: a test, a trace, a ring; and what the page says of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::real::page::chromium;
use crate::scene::{HOSTILE, Scene, router, scene};
use crate::{Site, look, now, open};

/// The report of a test.
pub fn tested() -> Value {
    json!({"status": "success", "message": "UAC ping/options test of 440000 with 5 requests is done", "target": "440000",
        "count": 5, "complete": true, "result": "ONLINE", "address": "10.0.0.20:5060",
        "ping_status": "ONLINE", "ping_sent": 5, "ping_received": 4, "ping_loss": 20.0, "ping_rtt": 12.5, "ping_jitter": 0.5,
        "ping_rtt_min": 11.0, "ping_rtt_median": 12.0, "ping_rtt_max": 14.0,
        "options_status": "OFFLINE", "options_sent": 5, "options_received": 0, "options_loss": 100.0, "options_rtt": 0.0,
        "options_jitter": 0.0, "options_rtt_min": null, "options_rtt_median": null, "options_rtt_max": null})
}

/// Presses the button with this title in the opened row or the picked node.
pub const PRESS: &str = "
    const press = (title) => {
        const button = [...document.querySelectorAll('.more .buttons button, #chosen .buttons button')].find((b) => b.textContent === title);
        button.focus({ preventScroll: true });
        button.click();
    };
    const live = () => document.querySelector('.live').textContent;
    const tell = (key) => { document.body.dataset[key] = live(); };";

#[test]
fn a_node_that_does_no_live_traces_is_told_in_a_sentence() {
    let hand = "
        setTimeout(() => { $('node-name').value = '440070'; $('find').requestSubmit(); }, 3000);";
    if !chromium() {
        return;
    }
    let site = Site::open(Scene { hand, ..scene(now()) });
    let page = open(site.address, "#tab=map", Duration::from_secs(5), "404 (Not Found)");
    assert!(page.text("chosen").contains("This node does not do that."), "{}", page.text("chosen"));
}

#[test]
fn a_phone_is_tested_and_traced_and_rung_by_a_click_and_refusals_are_sentences() {
    const HAND: &str = "
        setTimeout(() => { document.querySelector('#phones button').click(); press('Test now'); tell('doing');
            document.body.dataset.busy = document.querySelector('.live').getAttribute('aria-busy'); }, 2000);
        setTimeout(() => { tell('refused'); press('Test now'); }, 3000);
        setTimeout(() => { tell('tested'); press('Ring'); tell('unsure'); press('Ring it now?'); }, 4000);
        setTimeout(() => { tell('token');
            document.querySelector('.live input').value = 'secret';
            document.querySelector('.live form').requestSubmit(); }, 5000);
        setTimeout(() => { tell('rang'); document.body.dataset.idle = document.querySelector('.live').hasAttribute('aria-busy'); press('Trace now'); }, 6000);
        setTimeout(() => { tell('traced'); document.body.dataset.focus = document.activeElement.textContent; }, 7000);
        setTimeout(() => { document.body.dataset.result = [live() === document.body.dataset.traced, document.activeElement.textContent].join(' '); }, 38000);";
    let hand = Box::leak(format!("{PRESS}{HAND}").into_boxed_str());
    let busy = "others are testing or tracing right now; try again in a few seconds";
    let near = "a phone is rung for people on this node's own LAN, or with the token";
    let scene = Scene {
        hand,
        uac_ping: Some(json!([{"status": "error", "message": busy, "code": 503}, tested()])),
        uac_test: Some(json!([{"status": "error", "message": near, "code": 401},
            {"status": "success", "message": "It rang, and was let go.", "target": "440000", "result": "RANG", "sip_status": null}])),
        traceroute_json: Some(json!({"target_ip": "10.0.0.20", "reached": false, "hops": [
            {"hop": 0, "ip": "127.0.0.1", "hostname": "HB9AAA-hap", "rtt_ms": 0.0, "timeout": false},
            {"hop": 1, "ip": "10.0.7.1", "hostname": HOSTILE[0], "rtt_ms": 1.25, "timeout": false}]})),
        ..scene(now())
    };
    let Some((page, site)) = look(scene, "", Duration::from_secs(40)) else { return };
    assert_eq!(page.said("doing"), "Testing 440000 with 5 pings and 5 OPTIONS; it does not ring …");
    assert_eq!((page.said("busy").as_str(), page.said("idle").as_str()), ("true", "false"));
    assert_eq!(page.said("refused"), "Others are testing or tracing right now; try again in a few seconds.");
    let said = page.said("tested");
    assert!(
        said.starts_with("Test nowIt answers.Pinganswered4 of 5") && said.contains("SIP OPTIONSanswered0 of 5"),
        "{said}"
    );
    assert_eq!(page.said("unsure"), said, "a ring takes a second click");
    assert_eq!(
        page.said("token"),
        "A phone is rung for people on this node's own LAN, or with the token.Ring with the token"
    );
    assert_eq!(page.said("rang"), "RingIt rang, and was let go.");
    let said = page.said("traced");
    assert_eq!(said, format!("Live trace{} 10.0.7.1 1.3 msThe target itself did not answer.", HOSTILE[0]));
    // What came of it and the focus outlast the refresh.
    assert_eq!((page.said("focus").as_str(), page.result().as_str()), ("Trace now", "true Trace now"));
    let asked = site.asked.lock().unwrap();
    let posted: Vec<&String> = asked.iter().filter(|asked| asked.starts_with("POST ")).collect();
    let target = |path: &str| format!("POST /cgi-bin/{path} HTTP/1.1");
    let (test, ring) = (target("uac_ping?target=440000&count=5"), target("uac_test?target=440000"));
    assert_eq!(posted, [&test, &test, &ring, &ring, &target("traceroute_json?ip=10.0.0.20")]);
}

#[test]
fn a_click_on_a_node_traces_it_and_the_hops_are_on_the_map() {
    const HAND: &str = "
        const accent = () => {
            const canvas = document.querySelector('#plan canvas'), data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let i = 0; i < data.length; i += 4) count += data[i] === 0x15 && data[i + 1] === 0x5e && data[i + 2] === 0x63;
            return count;
        };
        const find = (name) => { $('node-name').value = name; $('find').requestSubmit(); };
        // The second before the first has its answer, which is given up; for the node it may run for a moment longer.
        setTimeout(() => { find('440070'); find('440140'); document.body.dataset.before = accent(); tell('first'); }, 2500);
        // The browser draws when it finds the time.
        setTimeout(() => {
            tell('second');
            const drawing = setInterval(() => {
                document.body.dataset.after = accent();
                if (accent() <= Number(document.body.dataset.before) + 50) return;
                clearInterval(drawing);
                press('Trace now');
            }, 200);
        }, 5000);
        setTimeout(() => { document.body.dataset.result = live(); }, 11000);";
    let hand = Box::leak(format!("{PRESS}{HAND}").into_boxed_str());
    let mine = "a test or trace of yours is still running; wait for it";
    let refused = json!({"error": mine, "code": 429, "target_ip": "", "hops": []});
    let hop = |hop: usize, name: &str, ip: &str| json!({"hop": hop, "ip": ip, "hostname": name, "rtt_ms": 3.0, "timeout": false});
    let far = [100, 200, 260, 30].map(router);
    let hops: Vec<Value> = far.iter().enumerate().map(|(at, name)| hop(at + 1, name, "10.9.9.9")).collect();
    let traced = json!({"target_ip": "10.0.1.1", "reached": true, "hops": hops});
    let scene = Scene { hand, traceroute_json: Some(json!([refused, refused, refused, traced])), ..scene(now()) };
    if !chromium() {
        return;
    }
    // The browser remarks that a canvas is read twice, which is what this test does.
    let site = Site::open(scene);
    let page = open(site.address, "#tab=plan", Duration::from_secs(12), "willReadFrequently");
    assert_eq!(page.said("first"), "Tracing the way to 10.1.10.40 …");
    let said = page.said("second");
    assert!(far.iter().all(|name| said.contains(name.as_str())), "{said}");
    assert_eq!(page.result(), said);
    let (before, after): (u32, u32) = (page.said("before").parse().unwrap(), page.said("after").parse().unwrap());
    assert!(after > before + 50, "lines between hops without a known link: {before} and {after} pixels");
    assert!(site.asked.lock().unwrap().iter().filter(|asked| asked.starts_with("POST ")).count() >= 4);
}
