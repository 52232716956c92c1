//! A made-up mesh: 300 routers, 700 links between them, 500 phones, and people who choose terrible names. The same each time.

use serde_json::{Value, json};

pub const ROUTERS: usize = 300;
pub const LINKS: usize = 700;
pub const PHONES: usize = 500;

/// What a stranger might call a node, a phone or himself.
pub const HOSTILE: [&str; 5] = [
    "<script>document.title='pwned'</script>",
    "\"><img src=x onerror=\"document.title='pwned'\">",
    "__proto__",
    "a\u{202e}b\u{7}'; DROP TABLE nodes; --",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

/// What the CGI names answer.
#[derive(Clone)]
pub struct Scene {
    pub phone_ping_json: Value,
    pub topology_json: Value,
    pub findings_json: Value,
    pub health_status: Value,
    pub showphonebook: Value,
    pub active_calls_json: Value,
    pub dashboard_settings: Value,
    /// `None`: 404, as from a node that does no live traces.
    pub traceroute_json: Option<Value>,
    pub uac_ping: Option<Value>,
    pub uac_test: Option<Value>,
    /// Appended to the page's main script.
    pub hand: &'static str,
}

impl Scene {
    pub fn answer(&self, name: &str) -> Option<&Value> {
        let answer = match name {
            "phone_ping_json" => &self.phone_ping_json,
            "topology_json" => &self.topology_json,
            "findings_json" => &self.findings_json,
            "health_status" => &self.health_status,
            "showphonebook" => &self.showphonebook,
            "active_calls_json" => &self.active_calls_json,
            "dashboard_settings" => &self.dashboard_settings,
            "traceroute_json" => return self.traceroute_json.as_ref(),
            "uac_ping" => return self.uac_ping.as_ref(),
            "uac_test" => return self.uac_test.as_ref(),
            _ => return None,
        };
        Some(answer).filter(|answer| !answer.is_null())
    }
}

/// Numbers that look random and are not.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (self.0 >> 8) % below
    }

    /// From `from` to `from + width`, in thousandths.
    fn thousandths(&mut self, from: u32, width: u32) -> f64 {
        f64::from(from * 1_000 + self.roll(width * 1_000)) / 1_000.0
    }
}

pub fn router(index: usize) -> String {
    if let Some(name) = HOSTILE.get(index) {
        return (*name).into();
    }
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    let device = ["hap", "lhg", "vm", "rb", "nano"][index % 5];
    format!("hb9{}{}{}-{device}-{index}", letter(index), letter(index / 26), letter(index * 7))
}

pub fn number(phone: usize) -> String {
    (440_000 + phone * 7).to_string()
}

/// How phone `index` is: of its ping and of its OPTIONS.
pub fn status(index: usize) -> (&'static str, &'static str) {
    match index {
        _ if index % 11 == 10 => ("NO_DNS", "NO_DNS"),
        _ if index % 13 == 12 => ("OFFLINE", "OFFLINE"),
        _ if index % 19 == 18 => ("ONLINE", "OFFLINE"),
        _ => ("ONLINE", "ONLINE"),
    }
}

/// The router of phone `index`.
pub fn home(index: usize) -> usize {
    index * 13 % ROUTERS
}

/// Everything, as it is at `now` (seconds since 1970).
pub fn scene(now: u64) -> Scene {
    let mut dice = Dice(7);
    let date = |ago: u64| switchboard::time::UnixTime(now - ago).rfc3339();
    const CENTRES: [(f64, f64); 5] = [(47.4, 8.5), (46.9, 7.4), (47.5, 7.6), (46.5, 6.6), (46.2, 9.0)];
    let mut places = Vec::new();
    let mut nodes = Vec::new();
    for index in 0..ROUTERS {
        let (lat, lon) = CENTRES[index % 5];
        let mut around = |width: f64| (dice.thousandths(0, 1) + dice.thousandths(0, 1) - 1.0) * width;
        let place = (lat + around(0.45), lon + around(0.7));
        let known = index % 12 != 11;
        let text = |degrees: f64| if known { format!("{degrees:.5}") } else { String::new() };
        let inactive = index % 17 == 16;
        nodes.push(json!({
            "name": router(index), "type": "router", "lat": text(place.0), "lon": text(place.1),
            "status": if inactive { "INACTIVE" } else { "ONLINE" }, "last_seen": date(if inactive { 90_000 } else { 60 }),
            "ip": format!("10.{}.{}.1", index / 250, index % 250), "model": "MikroTik hAP ac lite", "firmware": "4.26.7.0",
            "supernode": index == 20,
        }));
        places.push(known.then_some(place));
    }
    let far = |a: usize, b: usize| match (places[a], places[b]) {
        (Some(a), Some(b)) => (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2) / 2.0,
        _ => 1e3,
    };
    let mut links = Vec::new();
    let mut link = |dice: &mut Dice, source: String, target: String| {
        let rtt = match dice.roll(20) {
            0 => None,
            1 | 2 => Some(dice.thousandths(105, 80)),
            3 => Some(dice.thousandths(210, 300)),
            _ => Some(dice.thousandths(2, 90)),
        };
        let kind = ["RF", "DTD", "TUN"][dice.roll(3) as usize];
        links.push(json!({
            "source": source, "target": target, "rtt_avg_ms": rtt, "rtt_min_ms": rtt.map(|rtt| rtt * 0.6),
            "rtt_max_ms": rtt.map(|rtt| rtt * 2.2), "sample_count": if rtt.is_some() { 10 } else { 0 },
            "last_updated": date(60), "link_type": kind, "quality": 60 + dice.roll(40),
        }));
    };
    // Everybody is joined to the nearest of those before, but the last five to nobody.
    for index in 1..ROUTERS - 5 {
        let next = (0..index).min_by(|a, b| far(index, *a).total_cmp(&far(index, *b))).unwrap();
        link(&mut dice, router(index), router(next));
    }
    let mut count = ROUTERS - 6;
    while count < LINKS {
        let (a, b) = (dice.roll(ROUTERS as u32 - 5) as usize, dice.roll(ROUTERS as u32 - 5) as usize);
        if a != b && far(a, b) < 0.1 {
            link(&mut dice, router(a), router(b));
            count += 1;
        }
    }

    let (mut results, mut entries) = (Vec::new(), Vec::new());
    for index in 0..PHONES {
        let (ping, options) = status(index);
        let base = dice.thousandths(2, 40) * if index % 7 == 6 { 8.0 } else { 1.0 };
        let measured = |status: &str, value: f64| if status == "ONLINE" { (value * 1e3).round() / 1e3 } else { 0.0 };
        let answers = |status: &str| if status == "ONLINE" { 5 } else { 0 };
        let loss = |status: &str| if status == "ONLINE" { 0.0 } else { 100.0 };
        let address = format!("10.{}.{}.{}", home(index) / 250, home(index) % 250, 20 + index % 50);
        let history: Vec<Value> = (0..index % 17)
            .map(|_| match (ping, dice.roll(12)) {
                ("ONLINE", 1..) => json!({"ping_rtt": measured(ping, base * dice.thousandths(0, 1) + base), "options_rtt": base, "loss": if dice.roll(8) == 0 { 20 } else { 0 }}),
                _ => json!({"ping_rtt": null, "options_rtt": null, "loss": 100}),
            })
            .collect();
        let path = if index % 5 == 0 && ping == "ONLINE" {
            json!([
                {"hop": 1, "ip": "10.0.7.1", "rtt_ms": 1.2, "timeout": false}, {"hop": 2, "ip": "*", "rtt_ms": null, "timeout": true},
                {"hop": 3, "ip": address, "rtt_ms": measured(ping, base), "timeout": false}
            ])
        } else {
            json!([])
        };
        results.push(json!({
            "phone_number": number(index), "status": ping, "address": (ping != "NO_DNS").then(|| format!("{address}:5060")),
            "ping_status": ping, "ping_rtt": measured(ping, base), "ping_jitter": measured(ping, base / 10.0),
            "ping_sent": 5, "ping_received": answers(ping), "ping_loss": loss(ping), "ping_rtt_min": measured(ping, base * 0.8),
            "ping_rtt_median": measured(ping, base), "ping_rtt_max": measured(ping, base * 1.7),
            "options_status": options, "options_rtt": measured(options, base * 1.2 + 5.0),
            "options_jitter": measured(options, base / 5.0), "options_sent": 5, "options_received": answers(options),
            "options_loss": loss(options), "call_status": "UNKNOWN", "timestamp": now - 60 - index as u64 % 400,
            "history": history, "path": path,
        }));
        if index % 6 != 5 {
            let name = router(home(index));
            nodes.push(json!({
                "name": number(index), "type": "phone", "lat": "", "lon": "", "status": "ONLINE", "last_seen": date(60),
                "ip": address, "router": name,
            }));
            link(&mut dice, name, number(index));
        }
        if index % 10 != 9 {
            let first = ["Hans", "Urs", "Élodie", "Claudia", "Reto", "Müller-Lüdenscheidt, Ferdinand"][index % 6];
            let last = ["Meier", "O'Neil", "Söhne", "Zwicky", "Favre"][index % 5];
            let marker = if ping == "ONLINE" { "* " } else { "" };
            let name = match index {
                1..=5 => HOSTILE[index - 1].to_owned(),
                _ => format!("{marker}{first} {last} (HB9{:03})", index % 1_000),
            };
            entries.push(json!({"name": name, "telephone": number(index)}));
        }
    }

    let mut findings = vec![
        json!({"kind": "no_default_route", "severity": "error", "subject": "",
            "sentence": "Phones on this node's LAN are told no default route, so most of them cannot answer a phone behind another node.",
            "remedy": "Switch on 'LAN default route' in the node's network settings, save, and restart the phones."}),
        json!({"kind": "duplicate_number", "severity": "warning", "subject": number(1),
            "sentence": format!("Number {} is announced by {} and {}.", number(1), HOSTILE[0], router(9)),
            "remedy": "Give each phone its own number."}),
    ];
    findings.extend((0..7).map(|index| {
        json!({"kind": "unseen", "severity": "notice", "subject": number(index),
            "sentence": format!("Nobody has seen the phone {} of the book for 30 days.", number(index)),
            "remedy": "Ask its owner, or take it out of the book."})
    }));
    let call = |id: &str, from: usize, name: &str, to: usize, state: &str| {
        json!({"caller_user_id": number(from), "caller_display_name": name, "callee_user_id": number(to),
            "callee_display_name": "", "codec": "PCMA", "callee_hostname": format!("{}.local.mesh", number(to)),
            "state": state, "call_id": id})
    };
    Scene {
        phone_ping_json: json!({
            "version": 2, "num_results": PHONES, "num_testable_phones": PHONES, "last_update": now - 60, "test_interval": 600,
            "icmp": "raw", "progress": {"running": true, "done": 123, "total": PHONES, "remaining_s": 40, "next_s": null},
            "load": {"in_flight": 17, "in_flight_limit": 256, "rate": 198, "rate_limit": 200},
            "results": results,
        }),
        topology_json: json!({
            "version": "2.0", "generated_at": date(30), "source_node": {"name": router(7), "type": "server"},
            "statistics": {"total_nodes": nodes.len(), "total_connections": links.len(), "total_ip_mappings": 0},
            "nodes": nodes, "connections": links, "ip_mappings": {"10.0.7.1": router(7)},
        }),
        findings_json: json!({"version": "2.0", "generated_at": date(30), "total": findings.len(), "findings": findings}),
        health_status: json!({
            "schema": "meshmon.v2", "type": "agent_health", "node": "HB9AAA-HAP", "timestamp": now, "cpu_pct": 0.5, "mem_mb": 1.9,
            "uptime_seconds": 93_784, "restart_count": 1, "health_score": 85,
            "threads": {"all_responsive": false, "uac_bulk_tester": {"responsive": false}},
            "sip_service": {"registered_users": 12, "directory_entries": 226, "active_calls": 2},
            "checks": {"memory_stable": true, "no_recent_crashes": false, "sip_service_ok": true, "phonebook_current": true,
                "cpu_normal": true},
            "last_crash": {"crash_count_24h": 2, "crash_time": date(4_000), "description": "Segmentation fault"},
        }),
        showphonebook: json!({"status": "success", "entry_count": entries.len(), "entries": entries}),
        active_calls_json: json!({
            "calls": [call("1@a", 7, "", 8, "ESTABLISHED"), call("2@b", 14, HOSTILE[1], 0, "RINGING")], "total_active_calls": 2
        }),
        dashboard_settings: json!({"tiles": "", "attribution": ""}),
        traceroute_json: None,
        uac_ping: None,
        uac_test: None,
        hand: "",
    }
}

/// A node that knows nothing yet: what the CGI program says without files.
pub fn nothing() -> Scene {
    Scene {
        phone_ping_json: json!({"version": 2, "error": "No test results available yet", "num_results": 0,
            "num_testable_phones": 0, "last_update": 0, "test_interval": 0, "results": []}),
        topology_json: json!({"version": "2.0", "generated_at": "", "error": "No topology data available yet",
            "source_node": {"ip": "0.0.0.0", "name": "unknown", "type": "server"}, "nodes": [], "connections": [],
            "statistics": {"total_nodes": 0, "total_connections": 0}}),
        findings_json: json!({"error": "No findings available yet", "total": 0, "findings": []}),
        health_status: json!({"error": "No health data available"}),
        showphonebook: json!({"status": "error", "message": "Phonebook not available"}),
        active_calls_json: json!({"error": "No call data available", "calls": [], "total_active_calls": 0}),
        dashboard_settings: json!({"tiles": "", "attribution": ""}),
        traceroute_json: None,
        uac_ping: None,
        uac_test: None,
        hand: "",
    }
}
