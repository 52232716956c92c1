//! What the exchange shows of phones that really talk: by its verbs, in the file for dashboards, on its page.

use std::time::Duration;

use serde_json::Value;

use crate::baresip::{Softphone, baresip, part, talk};
use crate::real::page::{Document, chromium};
use crate::real::sipp::{Phone, sipp};
use crate::real::{Exchange, PATIENCE, Setup, until};

/// `switchboard <verb> --json`, as an operator of the node would ask.
fn ask(exchange: &Exchange, verb: &str) -> Value {
    let output = exchange.verb(&[verb, "--json"]);
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn registrations_are_shown_and_remembered() {
    if sipp() {
        let mut exchange = Exchange::start("shown");
        if exchange.is_stand_in() {
            return;
        }
        let phone = Phone::registered(&exchange, "441530", 2).address();
        let shown = |exchange: &Exchange| {
            let answer = ask(exchange, "registrations");
            assert_eq!(answer["registration_count"], 1, "{answer}");
            let registration = &answer["registrations"][0];
            assert_eq!(registration["number"], "441530");
            assert_eq!(registration["source"], format!("{phone}:5060"));
            assert_eq!(registration["contact"], format!("sip:441530@{phone}:5060"));
            assert_eq!(registration["user_agent"], "SIPp");
            let expires = registration["expires_in_s"].as_u64().unwrap();
            assert!((500..=600).contains(&expires), "{expires}");
        };
        shown(&exchange);
        exchange.restart();
        shown(&exchange);
        // Killed without a warning, it still knows what it had written before.
        exchange.process().signal(nix::sys::signal::Signal::SIGKILL);
        exchange.process().wait(PATIENCE);
        exchange.launch();
        shown(&exchange);
    }
}

#[test]
fn a_call_is_shown_from_the_first_ring_to_the_end() {
    if baresip() {
        let exchange = Exchange::start("watched");
        if exchange.is_stand_in() {
            return;
        }
        let mut first = Softphone::start(&exchange, "441530", 2);
        let mut second = Softphone::start(&exchange, "196630", 3);
        let states = |exchange: &Exchange| -> Vec<Value> {
            let answer = ask(exchange, "calls");
            answer["calls"].as_array().unwrap().iter().map(|call| call["state"].clone()).collect()
        };
        assert!(states(&exchange).is_empty());

        first.tell("dial", &format!("sip:196630@{}", exchange.address()));
        first.hears("CALL_RINGING");
        second.hears("CALL_INCOMING");
        assert_eq!(states(&exchange), ["RINGING"]);
        first.tell("hangup", "");
        first.hears("CALL_CLOSED");
        second.hears("CALL_CLOSED");
        until("the end of the call", PATIENCE, || states(&exchange).is_empty().then_some(()));

        talk(&exchange, &mut first, &mut second);
        until("the call to be established", PATIENCE, || (states(&exchange) == ["ESTABLISHED"]).then_some(()));
        let call = ask(&exchange, "calls")["calls"][0].clone();
        assert_eq!(call["caller_user_id"], "441530", "{call}");
        assert_eq!(call["caller_display_name"], "Phone 441530", "{call}");
        assert_eq!(call["callee_user_id"], "196630", "{call}");
        assert_eq!(call["codec"], "PCMU", "{call}");
        let file = until("the file for dashboards", PATIENCE, || {
            let file: Value = serde_json::from_str(&exchange.read("tmp/active_calls.json")).ok()?;
            (file["total_active_calls"] == 1).then_some(file)
        });
        assert_eq!(file["calls"][0]["state"], "ESTABLISHED", "{file}");
        assert_eq!(file["calls"][0]["call_id"], call["call_id"]);

        part(&mut second, &mut first);
        until("the end of the call", PATIENCE, || states(&exchange).is_empty().then_some(()));
        until("the end in the file", PATIENCE, || {
            let file: Value = serde_json::from_str(&exchange.read("tmp/active_calls.json")).ok()?;
            (file["total_active_calls"] == 0).then_some(())
        });
    }
}

#[test]
fn the_page_of_the_running_daemon_shows_book_and_phones() {
    if sipp() && chromium() {
        let book = "First name,Last name,Callsign,Number\nBob,Fricker,HB9BLA,441530\nEva,Muster,HB9XYZ,196630\n";
        let exchange = Exchange::with("page", &Setup { book: Some(book.into()), ..Setup::default() });
        if exchange.is_stand_in() {
            return;
        }
        let _phone = Phone::registered(&exchange, "441530", 2);
        let page = Document::open(exchange.api().into(), "", Duration::from_secs(5), "").html;
        for wanted in ["Fricker", "HB9XYZ", "196630", &exchange.net.host(2).to_string()] {
            assert!(page.contains(wanted), "{wanted} is not on the page:\n{page}");
        }
    }
}
