//! The daemon's JSON as text for people: aligned columns, nothing that a terminal obeys.
//!
//! Names and numbers come from other people's phones, so every string is escaped here. It deliberately does not know the
//! Rust types behind the JSON: a newer daemon may say more, an older one less.

use serde_json::Value;

use super::args::What;
use crate::config::{escaped, is_obeyed};

/// What is printed for an answer.
pub fn show(what: &What, answer: &Value) -> String {
    match what {
        What::Status => status(answer),
        What::Phonebook(_) => table(
            answer.get("entries"),
            "no entries",
            &[
                Column("NUMBER", |row| text(row, "telephone")),
                Column("ONLINE", online),
                Column("NAME", |row| text(row, "name")),
            ],
        ),
        What::Problems => table(
            answer.get("problems"),
            "no problems",
            &[
                Column("LINE", |row| text(row, "line")),
                Column("NUMBER", |row| text(row, "telephone")),
                Column("PROBLEM", |row| text(row, "problem")),
            ],
        ),
        What::Registrations => table(
            answer.get("registrations"),
            "no phones are registered",
            &[
                Column("NUMBER", |row| text(row, "number")),
                Column("NAME", |row| text(row, "display_name")),
                Column("SOURCE", |row| text(row, "source")),
                Column("CONTACT", |row| text(row, "contact")),
                Column("EXPIRES", |row| time(row, "expires_in_s")),
                Column("PHONE", |row| text(row, "user_agent")),
            ],
        ),
        What::Calls => table(
            answer.get("calls"),
            "no calls",
            &[
                Column("FROM", |row| party(row, "caller_user_id", "caller_display_name")),
                Column("TO", |row| party(row, "callee_user_id", "callee_display_name")),
                Column("STATE", |row| text(row, "state")),
                Column("TALKING", |row| time(row, "duration_s")),
                Column("DIALLED", |row| behind(time(row, "age_s"), " ago")),
                Column("CODEC", |row| text(row, "codec")),
                Column("AT", |row| text(row, "callee_hostname")),
            ],
        ),
        What::Reload(_) | What::Ring(_) => text(answer, "message") + "\n",
        What::Trace(_) => trace(answer),
        What::Test(_) => test(answer),
    }
}

fn trace(answer: &Value) -> String {
    let mut out = table(
        answer.get("hops"),
        "nothing answered",
        &[
            Column("HOP", |row| text(row, "hop")),
            Column("ADDRESS", |row| text(row, "ip")),
            Column("RTT", |row| milliseconds(row, "rtt_ms")),
            Column("NAME", |row| text(row, "hostname")),
        ],
    );
    if answer.get("reached").and_then(Value::as_bool) == Some(false) {
        out.push_str(&format!("{} did not answer\n", text(answer, "target_ip")));
    }
    out
}

/// JSON for a terminal: what it obeys can only stand in strings, where `\u` says the same.
pub(super) fn json(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    for c in body.trim_end().chars() {
        match c {
            '\n' => out.push(c),
            _ if is_obeyed(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

fn status(answer: &Value) -> String {
    let book = answer.get("phonebook").unwrap_or(&Value::Null);
    let mut lines = vec![
        ("node", text(answer, "node")),
        ("version", text(answer, "version")),
        ("features", list(answer, "features")),
        ("date", text(answer, "date")),
        ("running for", time(answer, "uptime_s")),
        ("SIP server", text(answer, "sip_server")),
        ("domain", text(answer, "domain")),
        ("registrations", text(answer, "registrations")),
        ("calls", text(answer, "calls")),
        ("phonebook", text(book, "state")),
        ("  entries", text(book, "entries")),
        ("  online", text(book, "online")),
        ("  problems", text(book, "problems")),
        ("  changed", text(book, "last_updated")),
        ("  confirmed", behind(time(book, "age_s"), " ago")),
        ("  next fetch", ahead("in ", time(book, "next_fetch_in_s"))),
        ("  source", text(book, "source")),
        ("  error", text(book, "error")),
    ];
    lines.retain(|(_, value)| value != "-");
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn test(answer: &Value) -> String {
    let result = text(answer, "result");
    let why = if result == "NO_DNS" { ": nobody knows its address" } else { "" };
    let mut out = format!("{result}{why}\n");
    for (name, phase) in [("ping", "ping"), ("SIP", "options")] {
        let of = |field: &str| format!("{phase}_{field}");
        let (sent, received) = (text(answer, &of("sent")), text(answer, &of("received")));
        if sent == "0" {
            continue;
        }
        out.push_str(&format!("{name:4}  {received} of {sent} answered"));
        if received != "0" && received != "-" {
            let [mean, most] = [of("rtt"), of("rtt_max")].map(|field| milliseconds(answer, &field));
            out.push_str(&format!(", mean {mean}, most {most}"));
        }
        out.push('\n');
    }
    out
}

/// `1.234` as `1.2 ms`; the digits are the daemon's.
fn milliseconds(row: &Value, name: &str) -> String {
    let text = text(row, name);
    match text.split_once('.') {
        Some((whole, part)) => format!("{whole}.{} ms", part.get(..1).unwrap_or("0")),
        None if text == "-" => text,
        None => format!("{text} ms"),
    }
}

fn behind(text: String, word: &str) -> String {
    if text == "-" { text } else { text + word }
}

fn ahead(word: &str, text: String) -> String {
    if text == "-" { text } else { format!("{word}{text}") }
}

/// A member as text; `-` if it is not there or says nothing.
fn text(row: &Value, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.trim().is_empty() => "-".into(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    }
}

/// Words with commas; `-` if there are none.
fn list(row: &Value, name: &str) -> String {
    let words = row.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let words: Vec<String> = words.iter().filter_map(Value::as_str).map(escaped).collect();
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

fn online(row: &Value) -> String {
    match row.get("online").and_then(Value::as_bool) {
        Some(true) => "yes".into(),
        Some(false) => "no".into(),
        None => "-".into(),
    }
}

fn party(row: &Value, number: &str, name: &str) -> String {
    match (text(row, number), text(row, name)) {
        (number, name) if name == "-" => number,
        (number, name) => format!("{number} {name}"),
    }
}

/// Seconds as `2d 3h`, `3h 4m`, `4m 5s` or `5s`.
fn time(row: &Value, name: &str) -> String {
    let Some(seconds) = row.get(name).and_then(Value::as_u64) else { return "-".into() };
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m {s}s"),
        (0, _, _) => format!("{h}h {m}m"),
        _ => format!("{d}d {h}h"),
    }
}

/// A column: its title, and its cell in a row.
struct Column(&'static str, fn(&Value) -> String);

fn table(rows: Option<&Value>, none: &str, columns: &[Column]) -> String {
    let rows = rows.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|Column(title, _)| (*title).into()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|Column(_, cell)| cell(row)).collect()));
    let mut widths = vec![0; columns.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_aligned_and_harmless() {
        let answer = json!({"entries": [
            {"name": "Hans Müller (HB9AAA)", "telephone": "441530", "online": true},
            {"name": "\u{1b}[31mred\u{202e}", "telephone": "1", "online": null},
            {"telephone": "123456789012"},
        ]});
        let expected = "\
NUMBER        ONLINE  NAME
441530        yes     Hans Müller (HB9AAA)
1             -       \\u{1b}[31mred\\u{202e}
123456789012  -       -
";
        assert_eq!(show(&What::Phonebook(None), &answer), expected);
        assert_eq!(show(&What::Phonebook(None), &json!({"entries": []})), "no entries\n");
        assert_eq!(show(&What::Calls, &json!({"calls": []})), "no calls\n");
        assert_eq!(show(&What::Registrations, &json!(null)), "no phones are registered\n");
    }

    #[test]
    fn calls_show_who_talks_with_whom() {
        let answer = json!({"calls": [{
            "caller_user_id": "441530", "caller_display_name": "Hans", "callee_user_id": "196630",
            "callee_display_name": "", "codec": "PCMU", "callee_hostname": "10.1.2.3", "state": "ESTABLISHED",
            "age_s": 3_725, "duration_s": 65}], "total_active_calls": 1});
        let expected = "\
FROM         TO      STATE        TALKING  DIALLED    CODEC  AT
441530 Hans  196630  ESTABLISHED  1m 5s    1h 2m ago  PCMU   10.1.2.3
";
        assert_eq!(show(&What::Calls, &answer), expected);
    }

    #[test]
    fn tests_and_traces_are_short() {
        let answer = json!({"hops": [
            {"hop": 0, "ip": "127.0.0.1", "hostname": "HB9AAA-hap", "rtt_ms": 0.0, "timeout": false},
            {"hop": 1, "ip": "*", "hostname": "", "rtt_ms": null, "timeout": true},
            {"hop": 2, "ip": "10.1.2.3", "hostname": "a\u{1b}[2J", "rtt_ms": 12.345, "timeout": false}]});
        let expected = "\
HOP  ADDRESS    RTT      NAME
0    127.0.0.1  0.0 ms   HB9AAA-hap
1    *          -        -
2    10.1.2.3   12.3 ms  a\\u{1b}[2J
";
        assert_eq!(show(&What::Trace(String::new()), &answer), expected);
        let silent = json!({"target_ip": "10.1.2.4", "reached": false, "hops": []});
        assert_eq!(show(&What::Trace(String::new()), &silent), "nothing answered\n10.1.2.4 did not answer\n");
        let unknown =
            json!({"result": "NO_DNS", "ping_sent": 0, "ping_received": 0, "options_sent": 0, "options_received": 0});
        assert_eq!(show(&What::Test(String::new()), &unknown), "NO_DNS: nobody knows its address\n");
        let answer = json!({"result": "ONLINE", "ping_sent": 5, "ping_received": 4, "ping_rtt": 3.456, "ping_rtt_max": 9.5,
            "options_sent": 5, "options_received": 0, "options_rtt": 0.0, "options_rtt_max": null});
        let expected = "ONLINE\nping  4 of 5 answered, mean 3.4 ms, most 9.5 ms\nSIP   0 of 5 answered\n";
        assert_eq!(show(&What::Test(String::new()), &answer), expected);
        assert_eq!(show(&What::Ring(String::new()), &json!({"message": "It rang."})), "It rang.\n");
    }

    #[test]
    fn a_status_leaves_out_what_is_not_known() {
        let answer = json!({"version": "0.1.0", "features": ["desk", "mesh"], "node": "hb9abc", "uptime_s": 90_000, "registrations": 3, "calls": 0,
            "date": null, "phonebook": {"state": "SUCCESS", "entries": 224, "age_s": 59, "next_fetch_in_s": 3_600}});
        let expected = "\
node           hb9abc
version        0.1.0
features       desk, mesh
running for    1d 1h
registrations  3
calls          0
phonebook      SUCCESS
  entries      224
  confirmed    59s ago
  next fetch   in 1h 0m
";
        assert_eq!(show(&What::Status, &answer), expected);
    }

    #[test]
    fn json_stays_the_same_json() {
        let body = "{\"a\":\"x\u{9b}31m\u{202e}\",\n\"b\":1}\n";
        let printed = json(body);
        assert_eq!(printed, "{\"a\":\"x\\u009b31m\\u202e\",\n\"b\":1}\n");
        let (before, after): (Value, Value) =
            (serde_json::from_str(body).unwrap(), serde_json::from_str(&printed).unwrap());
        assert_eq!(before, after);
    }
}
