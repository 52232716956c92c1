//! Tests of phones and rings that somebody asks for, at real phones: what they are sent, message by message, and what comes of
//! it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::baresip::{Softphone, baresip, part, talk};
use crate::real::sipp::{Phone, Play, sipp};
use crate::real::{Exchange, Setup};

fn start(name: &str) -> Exchange {
    Exchange::with(name, &Setup { desk: true, ..Setup::default() })
}

/// POST at the API, as the mesh monitor does it; from this machine, so a phone may be rung.
fn post(exchange: &Exchange, target: &str) -> (u16, Value) {
    let answer = exchange.post(target);
    (answer.status, answer.json())
}

/// What SIPp received, in order: the first line and the headers of each.
fn received(exchange: &Exchange, name: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let text = exchange.read(&format!("{name}.messages"));
    let messages = text.split("UDP message received").skip(1).map(|part| {
        let message = part.split_once(":\n\n").unwrap().1;
        let message = message.split("\n-----------").next().unwrap().replace('\r', "");
        let mut lines = message.lines();
        let first = lines.next().unwrap().to_owned();
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
        (first, headers.map(|(name, value)| (name.into(), value.into())).collect())
    });
    messages.collect()
}

#[test]
fn a_phone_is_tested_by_pings_and_options_and_any_answer_is_one() {
    if !sipp() {
        return;
    }
    let exchange = start("desk-options");
    let phone = Phone::registered(&exchange, "441530", 2);
    let side = phone.waits("tested_by_options", Play::default());
    let (status, body) = post(&exchange, "/api/v1/phones/test?number=441530&count=3");
    side.succeeds();
    assert_eq!((status, &body["result"], &body["complete"]), (200, &json!("ONLINE"), &json!(true)), "{body}");
    assert_eq!(body["address"], format!("{}:5060", phone.address()));
    for kind in ["ping", "options"] {
        let of = |field: &str| &body[format!("{kind}_{field}")];
        assert_eq!((of("status"), of("sent"), of("received")), (&json!("ONLINE"), &json!(3), &json!(3)), "{body}");
        assert!(of("rtt_min").as_f64().unwrap() > 0.0 && of("rtt_max").as_f64().unwrap() < 500.0, "{body}");
    }
    let branches: Vec<String> =
        received(&exchange, "tested_by_options-2").into_iter().map(|(_, headers)| headers["Via"].clone()).collect();
    assert_eq!(branches.len(), 3, "nothing was repeated");
    assert!(branches[0] != branches[1] && branches[1] != branches[2], "each is a transaction of its own: {branches:?}");
}

#[test]
fn a_ring_test_is_cancelled_with_the_first_ring() {
    if !sipp() {
        return;
    }
    let exchange = start("desk-rings");
    let phone = Phone::registered(&exchange, "441530", 2);
    let side = phone.waits("tested_rings", Play::default());
    let (status, body) = post(&exchange, "/api/v1/phones/ring?number=441530");
    assert_eq!((status, &body["result"]), (200, &json!("RANG")), "{body}");
    side.succeeds();
    let messages = received(&exchange, "tested_rings-2");
    let [invite, cancel, ack] = &messages[..] else {
        panic!("100 ends the repeats, 180 brings the CANCEL: {messages:#?}")
    };
    for (first, headers) in [cancel, ack] {
        // RFC 3261 §9.1, §17.1.1.3.
        assert_eq!(first.split_once(' ').unwrap().1, invite.0.split_once(' ').unwrap().1, "the Request-URI");
        for name in ["Via", "From", "Call-ID"] {
            assert_eq!(headers[name], invite.1[name], "{name} of {first}");
        }
    }
    assert_eq!(cancel.1["To"], invite.1["To"]);
    assert!(ack.1["To"].starts_with(&format!("{};tag=", invite.1["To"])), "{ack:?}");
    assert_eq!((&*cancel.1["CSeq"], &*ack.1["CSeq"]), ("1 CANCEL", "1 ACK"));
    // Not again, and not the next one at once: that is for the owner.
    let (status, body) = post(&exchange, "/api/v1/phones/ring?number=441530");
    assert_eq!((status, body["error"].as_str().unwrap().contains("a moment ago")), (429, true), "{body}");
}

#[test]
fn a_ring_test_that_is_picked_up_is_hung_up_at_once() {
    if !sipp() {
        return;
    }
    let exchange = start("desk-answers");
    let phone = Phone::registered(&exchange, "441530", 2);
    let side = phone.waits("tested_answers", Play::default());
    let (status, body) = post(&exchange, "/api/v1/phones/ring?number=441530");
    side.succeeds();
    assert_eq!((status, &body["result"]), (200, &json!("ANSWERED")), "{body}");
    let methods: Vec<String> = received(&exchange, "tested_answers-2")
        .iter()
        .map(|(first, _)| first.split(' ').next().unwrap().into())
        .collect();
    assert_eq!(methods, ["INVITE", "ACK", "BYE"]);
}

#[test]
fn a_softphone_is_tested_and_rung_but_not_during_its_call() {
    if !baresip() {
        return;
    }
    let exchange = start("desk-softphone");
    let mut first = Softphone::start(&exchange, "441530", 2);
    let mut second = Softphone::start(&exchange, "196630", 3);
    let (_, body) = post(&exchange, "/api/v1/phones/test?number=441530&count=2");
    assert_eq!((&body["ping_received"], &body["options_received"]), (&json!(2), &json!(2)), "{body}");

    talk(&exchange, &mut first, &mut second);
    for number in ["441530", "196630"] {
        let (status, body) = post(&exchange, &format!("/api/v1/phones/ring?number={number}"));
        assert_eq!((status, &body["error"]), (409, &json!("this phone is in a call")), "{number}");
    }
    part(&mut first, &mut second);

    let (status, body) = post(&exchange, "/api/v1/phones/ring?number=441530");
    assert_eq!((status, &body["result"]), (200, &json!("RANG")), "{body}");
    let incoming = first.hears("CALL_INCOMING");
    assert!(incoming["peeruri"].as_str().unwrap().contains("999900"), "{incoming}");
    first.hears("CALL_CLOSED");
}
