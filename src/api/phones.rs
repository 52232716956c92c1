//! The tests of the phones as JSON, in the form of `phone_ping_json` with a few fields more.
//!
//! Written by hand: hundreds of phones with thirty numbers each, on processors that compute no floats. What comes from the
//! network (numbers of phones) is escaped here, once.

use std::fmt::{self, Arguments, Write};

use super::view::{HopView, PhaseView, PhoneTestView, PhoneTestsView, RttView, SampleView};
use crate::time::UnixTime;

/// The whole file. `phones` in the order in which they are listed.
pub fn phone_ping_json<'a>(view: &PhoneTestsView, phones: impl Iterator<Item = PhoneTestView<'a>>) -> Vec<u8> {
    let mut results = Vec::new();
    let mut count = 0_usize;
    for phone in phones {
        if count > 0 {
            results.push(b',');
        }
        result(&mut results, &phone);
        count += 1;
    }
    let mut out = Vec::with_capacity(results.len() + 512);
    put(&mut out, format_args!("{{\"version\":2,\"num_results\":{count},\"num_testable_phones\":{}", view.total));
    put(&mut out, format_args!(",\"last_update\":{}", seconds(view.last_update)));
    put(&mut out, format_args!(",\"test_interval\":{},\"icmp\":\"{}\"", view.interval_s, view.icmp));
    put(&mut out, format_args!(",\"progress\":{{\"running\":{},\"done\":{}", view.running, view.done));
    put(&mut out, format_args!(",\"total\":{}", view.total));
    maybe(&mut out, "remaining_s", view.remaining_s);
    maybe(&mut out, "next_s", view.next_s);
    put(
        &mut out,
        format_args!("}},\"load\":{{\"in_flight\":{},\"in_flight_limit\":{}", view.in_flight.0, view.in_flight.1),
    );
    put(&mut out, format_args!(",\"rate\":{},\"rate_limit\":{}", view.rate.0, view.rate.1));
    out.extend_from_slice(b"},\"results\":[");
    out.append(&mut results);
    out.extend_from_slice(b"]}\n");
    out
}

fn result(out: &mut Vec<u8>, phone: &PhoneTestView<'_>) {
    out.extend_from_slice(b"{\"phone_number\":");
    // A plain string cannot fail to be written.
    let _ = serde_json::to_writer(&mut *out, phone.number);
    put(out, format_args!(",\"status\":\"{}\",\"address\":", phone.status));
    match phone.address {
        Some(address) => put(out, format_args!("\"{address}\"")),
        None => out.extend_from_slice(b"null"),
    }
    phase(out, "ping", &phone.ping);
    phase(out, "options", &phone.options);
    put(out, format_args!(",\"call_status\":\"{}\",\"timestamp\":{}", phone.call, seconds(phone.tested)));
    out.extend_from_slice(b",\"history\":[");
    for (index, SampleView { ping_us, options_us, loss_percent }) in phone.history.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        out.extend_from_slice(b"\"ping_rtt\":");
        rtt(out, *ping_us);
        out.extend_from_slice(b",\"options_rtt\":");
        rtt(out, *options_us);
        put(out, format_args!(",\"loss\":{loss_percent}}}"));
    }
    out.extend_from_slice(b"],\"path\":[");
    for (index, HopView { hop, ip, rtt_us }) in phone.path.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        put(out, format_args!("\"hop\":{hop},\"ip\":"));
        match ip {
            Some(ip) => put(out, format_args!("\"{ip}\"")),
            None => out.extend_from_slice(b"\"*\""),
        }
        out.extend_from_slice(b",\"rtt_ms\":");
        rtt(out, *rtt_us);
        put(out, format_args!(",\"timeout\":{}}}", ip.is_none()));
    }
    out.extend_from_slice(b"]}");
}

/// The fields of one phase, behind its name. Dashboards want numbers for the mean and the jitter whatever the status is.
pub(super) fn phase(out: &mut Vec<u8>, name: &str, phase: &PhaseView) {
    key(out, name, "status");
    put(out, format_args!("\"{}\"", phase.status));
    let RttView { min_us, avg_us, max_us, median_us, jitter_us } = phase.rtt.unwrap_or_default();
    for (of, micros) in [("rtt", avg_us), ("jitter", jitter_us)] {
        key(out, name, of);
        thousandths(out, micros);
    }
    for (of, micros) in [("rtt_min", min_us), ("rtt_median", median_us), ("rtt_max", max_us)] {
        key(out, name, of);
        rtt(out, phase.rtt.map(|_| micros));
    }
    let (sent, received) = (u32::from(phase.sent), u32::from(phase.received));
    for (of, packets) in [("sent", sent), ("received", received)] {
        key(out, name, of);
        number(out, packets);
    }
    let lost = sent.saturating_sub(received).saturating_mul(1_000).checked_div(sent).unwrap_or(0);
    key(out, name, "loss");
    put(out, format_args!("{}.{}", lost / 10, lost % 10));
}

fn key(out: &mut Vec<u8>, name: &str, of: &str) {
    [",\"", name, "_", of, "\":"].iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// Microseconds as milliseconds, or `null`.
pub(super) fn rtt(out: &mut Vec<u8>, micros: Option<u32>) {
    match micros {
        Some(micros) => thousandths(out, micros),
        None => out.extend_from_slice(b"null"),
    }
}

/// 1234 as 1.234. Dozens of them for each of hundreds of phones, every few seconds: not by the formatter.
fn thousandths(out: &mut Vec<u8>, value: u32) {
    number(out, value / 1_000);
    out.push(b'.');
    out.extend([100, 10, 1].map(|unit| digit(value / unit)));
}

fn number(out: &mut Vec<u8>, value: u32) {
    if value > 9 {
        number(out, value / 10);
    }
    out.push(digit(value));
}

/// The last one.
fn digit(value: u32) -> u8 {
    b"0123456789".get((value % 10) as usize).copied().unwrap_or(b'0')
}

fn maybe(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    match value {
        Some(value) => put(out, format_args!(",\"{name}\":{value}")),
        None => put(out, format_args!(",\"{name}\":null")),
    }
}

/// 0 for what has not happened yet, and while the node does not know the date.
fn seconds(at: Option<UnixTime>) -> u64 {
    at.filter(|at| super::view::known(*at).is_some()).map_or(0, |at| at.0)
}

/// Appends; writing into memory cannot fail.
pub(super) fn put(out: &mut Vec<u8>, arguments: Arguments<'_>) {
    struct Appending<'a>(&'a mut Vec<u8>);
    impl Write for Appending<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let _ = Appending(out).write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view() -> PhoneTestsView {
        PhoneTestsView {
            icmp: "raw",
            interval_s: 600,
            last_update: Some(UnixTime(1_784_800_800)),
            running: true,
            done: 1,
            total: 2,
            remaining_s: Some(12),
            next_s: None,
            in_flight: (12, 256),
            rate: (180, 200),
        }
    }

    #[test]
    fn a_phone_that_answers_and_one_that_nobody_knows() {
        let measured = RttView { min_us: 12_000, avg_us: 12_345, max_us: 13_000, median_us: 12_300, jitter_us: 7 };
        let good = PhaseView { status: "ONLINE", sent: 3, received: 2, rtt: Some(measured) };
        let none = PhaseView { status: "NO_DNS", sent: 0, received: 0, rtt: None };
        let phones = [
            PhoneTestView {
                number: "441530",
                address: Some("10.1.2.3:5060".parse().expect("address")),
                status: "ONLINE",
                ping: good,
                options: PhaseView { status: "OFFLINE", sent: 5, received: 0, rtt: None },
                call: "UNKNOWN",
                tested: Some(UnixTime(1_784_800_700)),
                history: vec![
                    SampleView { ping_us: Some(1_002), options_us: None, loss_percent: 20 },
                    SampleView { ping_us: None, options_us: None, loss_percent: 100 },
                ],
                path: vec![
                    HopView { hop: 1, ip: Some("10.0.0.1".parse().expect("address")), rtt_us: Some(900) },
                    HopView { hop: 2, ip: None, rtt_us: None },
                ],
            },
            PhoneTestView {
                number: "\"</script>",
                address: None,
                status: "NO_DNS",
                ping: none,
                options: none,
                call: "UNKNOWN",
                tested: Some(UnixTime(90)),
                history: Vec::new(),
                path: Vec::new(),
            },
        ];
        let text = String::from_utf8(phone_ping_json(&view(), phones.into_iter())).expect("UTF-8");
        let expected = [
            r#"{"version":2,"num_results":2,"num_testable_phones":2,"last_update":1784800800,"test_interval":600,"#,
            r#""icmp":"raw","progress":{"running":true,"done":1,"total":2,"remaining_s":12,"next_s":null},"#,
            r#""load":{"in_flight":12,"in_flight_limit":256,"rate":180,"rate_limit":200},"results":["#,
            r#"{"phone_number":"441530","status":"ONLINE","address":"10.1.2.3:5060","#,
            r#""ping_status":"ONLINE","ping_rtt":12.345,"ping_jitter":0.007,"ping_rtt_min":12.000,"ping_rtt_median":12.300,"#,
            r#""ping_rtt_max":13.000,"ping_sent":3,"ping_received":2,"ping_loss":33.3,"#,
            r#""options_status":"OFFLINE","options_rtt":0.000,"options_jitter":0.000,"options_rtt_min":null,"#,
            r#""options_rtt_median":null,"options_rtt_max":null,"options_sent":5,"options_received":0,"options_loss":100.0,"#,
            r#""call_status":"UNKNOWN","timestamp":1784800700,"#,
            r#""history":[{"ping_rtt":1.002,"options_rtt":null,"loss":20},{"ping_rtt":null,"options_rtt":null,"loss":100}],"#,
            r#""path":[{"hop":1,"ip":"10.0.0.1","rtt_ms":0.900,"timeout":false},"#,
            r#"{"hop":2,"ip":"*","rtt_ms":null,"timeout":true}]},"#,
            r#"{"phone_number":"\"</script>","status":"NO_DNS","address":null,"ping_status":"NO_DNS""#,
        ];
        let expected = expected.concat();
        assert_eq!(text.get(..expected.len()), Some(expected.as_str()), "{text}");
        let shown: Value = serde_json::from_str(&text).expect("JSON");
        let [_, second] = &shown["results"].as_array().expect("results")[..] else { panic!("two phones") };
        assert_eq!((&second["timestamp"], &second["ping_loss"], &second["path"]), (&json!(0), &json!(0.0), &json!([])));
    }

    #[test]
    fn before_the_first_cycle_there_is_the_form_alone() {
        let view = PhoneTestsView { last_update: None, running: false, done: 0, total: 0, ..view() };
        let shown: Value = serde_json::from_slice(&phone_ping_json(&view, std::iter::empty())).expect("JSON");
        assert_eq!(
            (&shown["num_results"], &shown["last_update"], &shown["results"]),
            (&json!(0), &json!(0), &json!([]))
        );
    }
}
