//! The configuration of the programs before us to ours: `/etc/phonebook.conf` and `/etc/sipserver.conf` of the C
//! phonebook (KEY=VALUE), and the JSON file of that name of the Go phonebook.
//!
//! Nothing is lost: what has no place with us yet, is unknown or is not allowed stands as a comment in the output and is
//! said on the standard error output. The output always reads without a problem.

use std::fmt;

use serde_json::{Map, Value};

use crate::config::{Config, Field, escaped, row};
use crate::wire::uci;

/// What came out of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The text for `/etc/config/switchboard`.
    pub text: String,
    /// What was not taken over, one line each.
    pub remarks: Vec<String>,
}

/// Why nothing can be taken from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUnderstood {
    /// It begins like JSON and is none.
    BadJson {
        /// Line of the mistake, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// There is no KEY=VALUE in it.
    NoKeys,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadJson { line, column } => {
                write!(f, "it begins like the JSON of the Go phonebook, but line {line}, column {column} is no JSON")
            }
            Self::NoKeys => f.write_str("there is no KEY=VALUE line in it"),
        }
    }
}

/// Keys of the C phonebook, under old and new names, for what this program does not do yet.
const NOT_YET: &[&str] = &["CRASH_BACKTRACE_DEPTH", "CRASH_REPORTING_ENABLED", "SIP_HANDLER_NICE_VALUE"];

/// Keys of the Go phonebook for what this program does not do yet.
const NOT_YET_GO: &[&str] = &[
    "allow_permanent_config_changes",
    "allow_runtime_config_changes",
    "cache",
    "filter_inactive",
    "include_routable",
    "ldap_port",
    "ldap_pwd",
    "ldap_server",
    "ldap_user",
    "port",
    "resolve",
    "sysinfo_url",
    "update_urls",
    "web_pwd",
    "web_server",
    "web_user",
];

/// Turns the content of `file` into a configuration.
pub fn import(bytes: &[u8], file: &str) -> Result<Imported, NotUnderstood> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let mut taker = Taker::default();
    if text.trim_start().starts_with('{') {
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| NotUnderstood::BadJson { line: error.line(), column: error.column() })?;
        taker.json(&object);
    } else {
        taker.lines(text)?;
    }
    Ok(taker.finish(file))
}

#[derive(Default)]
struct Taker {
    package: uci::Package,
    remarks: Vec<String>,
}

impl Taker {
    fn remark(&mut self, kind: &str, what: &str) {
        self.remarks.push(format!("{kind}: {}", escaped(what)));
    }

    fn lines(&mut self, text: &str) -> Result<(), NotUnderstood> {
        let mut keys = 0_usize;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
                self.remark("not understood", line);
                continue;
            };
            keys = keys.saturating_add(1);
            let said = format!("{key}={value}");
            match key {
                "PB_INTERVAL_SECONDS" => self.option("phonebook", "interval", value, &said),
                "STATUS_UPDATE_INTERVAL_SECONDS" => self.option("phonebook", "presence_interval", value, &said),
                "PHONEBOOK_SERVER" => match server_url(value) {
                    Some(url) => self.server(&url, &said),
                    None => self.remark("not taken", &format!("{said} (allowed is HOST,PORT,PATH)")),
                },
                "PHONE_TEST_INTERVAL_SECONDS" | "UAC_TEST_INTERVAL_SECONDS" if value == "0" => {
                    self.option("probe", "enabled", "0", &said);
                }
                "PHONE_TEST_INTERVAL_SECONDS" | "UAC_TEST_INTERVAL_SECONDS" => {
                    self.option("probe", "interval", value, &said);
                }
                "PHONE_PING_COUNT" | "UAC_PING_COUNT" => self.option("probe", "ping_count", value, &said),
                "PHONE_OPTIONS_COUNT" | "UAC_OPTIONS_COUNT" => self.option("probe", "options_count", value, &said),
                "PHONE_CALL_TEST_ENABLED" | "UAC_CALL_TEST_ENABLED" => self.option("probe", "call_test", value, &said),
                "NETWORK_TRACEROUTE_ENABLED" | "UAC_TRACEROUTE_ENABLED" => {
                    self.option("probe", "traceroute", value, &said);
                }
                "NETWORK_TRACEROUTE_MAX_HOPS" | "UAC_TRACEROUTE_MAX_HOPS" => {
                    self.option("probe", "max_hops", value, &said);
                }
                "TOPOLOGY_CRAWLER_ENABLED" => self.option("mesh", "crawl", value, &said),
                "TOPOLOGY_CRAWLER_INTERVAL_SECONDS" => self.option("mesh", "crawl_interval", value, &said),
                "TOPOLOGY_NODE_INACTIVE_TIMEOUT_SECONDS" => self.option("mesh", "inactive_timeout", value, &said),
                "TOPOLOGY_NODE_DELETE_TIMEOUT_SECONDS" | "TOPOLOGY_NODE_TIMEOUT_SECONDS" => {
                    self.option("mesh", "delete_timeout", value, &said);
                }
                "HEALTH_LOCAL_REPORTING" if value == "0" => self.option("health", "file", "none", &said),
                "HEALTH_LOCAL_REPORTING" => self.remark("needs no option", &said),
                "HEALTH_LOCAL_UPDATE_SECONDS" => self.option("health", "interval", value, &said),
                "COLLECTOR_ENABLED" => self.option("health", "collector", value, &said),
                "COLLECTOR_URL" => self.option("health", "collector_url", value, &said),
                "COLLECTOR_TIMEOUT_SECONDS" => self.option("health", "collector_timeout", value, &said),
                "HEALTH_REPORT_BASELINE_HOURS" => {
                    self.option("health", "collector_interval", &format!("{value}h"), &said);
                }
                "HEALTH_CPU_THRESHOLD_PCT" => self.option("health", "cpu_threshold", whole(value), &said),
                "HEALTH_MEMORY_THRESHOLD_MB" => self.option("health", "memory_threshold", whole(value), &said),
                "HEALTH_SCORE_THRESHOLD" => self.option("health", "score_threshold", whole(value), &said),
                // A router says where it is with everything else.
                "TOPOLOGY_FETCH_LOCATIONS" => self.remark("needs no option", &said),
                _ if NOT_YET.contains(&key) => self.remark("not yet used", &said),
                _ => self.remark("unknown", &said),
            }
        }
        if keys == 0 { Err(NotUnderstood::NoKeys) } else { Ok(()) }
    }

    fn json(&mut self, object: &Map<String, Value>) {
        for (key, value) in object {
            let said = match (key.ends_with("_pwd"), value) {
                // A password is nothing for a file that everybody may read.
                (true, _) => format!("{key}=(not shown)"),
                (false, Value::String(text)) => format!("{key}={text}"),
                (false, other) => format!("{key}={other}"),
            };
            let words = words(value);
            match (key.as_str(), words.as_slice()) {
                ("sources", [_, ..]) => {
                    for source in &words {
                        let url = if source.starts_with('/') { format!("file://{source}") } else { source.clone() };
                        self.server(&url, &format!("sources={source}"));
                    }
                }
                ("country_prefix", [prefix]) => self.option("sip", "country_prefix", prefix, &said),
                ("reload_seconds", [seconds]) => self.option("phonebook", "interval", seconds, &said),
                ("path", [path]) => self.option("phonebook", "link_dir", path, &said),
                ("sip_port", [port]) => self.option("sip", "listen", &format!("0.0.0.0:{port}"), &said),
                ("sip_server", [switch]) => self.option("sip", "enabled", switch, &said),
                ("targets", [_, ..]) => self.targets(&words),
                ("formats", [_, ..]) => {
                    for format in &words {
                        match format.as_str() {
                            "direct" | "pbx" => self.remark("needs no option", &format!("formats={format}")),
                            "combined" => self.remark("not yet used", &format!("formats={format}")),
                            _ => self.remark("unknown", &format!("formats={format}")),
                        }
                    }
                }
                ("indicate_active", [switch]) if switch == "false" => {
                    self.option("phonebook", "online_marker", "none", &said);
                }
                ("indicate_active", [switch]) if switch == "true" => self.remark("needs no option", &said),
                // The marker counts only where active phones are indicated at all.
                ("active_pfx", [_]) if object.get("indicate_active") == Some(&Value::Bool(false)) => {
                    self.remark("not yet used", &said);
                }
                ("active_pfx", [marker]) => self.option("phonebook", "online_marker", marker, &said),
                // Nothing is said: the default holds there and here.
                ("sources" | "country_prefix" | "path" | "targets" | "formats" | "active_pfx", []) => {}
                (name, _) if NOT_YET_GO.contains(&name) => self.remark("not yet used", &said),
                _ => self.remark("unknown", &said),
            }
        }
    }

    fn targets(&mut self, targets: &[String]) {
        for target in targets {
            // The generic book was for Yealink phones, too: one form and one file name are left of the two.
            let format = if target == "generic" { "yealink" } else { target };
            let said = format!("targets={target}");
            self.value("phonebook", "formats", format, &said, Write::Add);
        }
    }

    fn server(&mut self, url: &str, said: &str) {
        self.value("server", "url", url, said, Write::Set);
    }

    fn option(&mut self, section: &str, name: &str, value: &str, said: &str) {
        self.value(section, name, value, said, Write::Set);
    }

    /// Takes a value over as the configuration itself would write it, if the configuration allows it.
    fn value(&mut self, section: &str, name: &str, value: &str, said: &str, write: Write) {
        let Some(row) = row(section, name) else { return self.remark("not taken", said) };
        let mut config = Config::default();
        let count = self.package.sections.iter().filter(|known| known.kind == section).count();
        let (repeated, full) = match row.field {
            Field::Server(_, most) => (true, count >= most),
            _ => (false, false),
        };
        if full || !row.field.set(&mut config, &[value.as_bytes()]).is_empty() {
            return self.remark("not taken", &format!("{said} (allowed is {})", row.field.allowed()));
        }
        let named = (!repeated).then_some(section);
        let Some(section) = self.package.named(section, named) else { return };
        for text in row.field.text(&config) {
            let known = section.items.iter().flat_map(|item| &item.values).any(|v| v.bytes == text.as_bytes());
            let value = uci::Value { bytes: text.into_bytes(), line: 0 };
            match write {
                Write::Set => section.set(name, value),
                Write::Add if known => {}
                Write::Add => section.add(name, value),
            }
        }
    }

    fn finish(self, file: &str) -> Imported {
        let mut text = format!("# Taken over by 'switchboard import' from {file}.\n");
        text.push_str(&String::from_utf8_lossy(&uci::write(&self.package)));
        if !self.remarks.is_empty() {
            text.push('\n');
        }
        for remark in &self.remarks {
            text.push_str(&format!("# {remark}\n"));
        }
        Imported { text, remarks: self.remarks }
    }
}

/// The number before a decimal point.
fn whole(value: &str) -> &str {
    value.split_once('.').map_or(value, |(whole, _)| whole)
}

#[derive(Clone, Copy)]
enum Write {
    /// The last one holds.
    Set,
    /// One more of a list.
    Add,
}

/// A JSON value as the words of an option: one, or those of an array.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Object(_) => Vec::new(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Array(values) => values.iter().flat_map(words).collect(),
    }
}

/// `HOST,PORT,PATH` as a URL; what a URL cannot contain is percent-encoded (RFC 3986 §2.1).
fn server_url(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, ',').map(str::trim);
    let (host, port, path) = (parts.next()?, parts.next()?, parts.next()?);
    let port = match port.parse::<u16>().ok()? {
        0 => return None,
        80 => String::new(),
        port => format!(":{port}"),
    };
    let mut url = format!("http://{host}{port}{}", if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        match byte {
            b'#' | b'"' | b'<' | b'>' | b'\\' => url.push_str(&format!("%{byte:02X}")),
            _ if byte.is_ascii_graphic() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Every output must read without a problem.
    fn imported(text: &str) -> (Imported, Config) {
        let imported = import(text.as_bytes(), "old.conf").unwrap();
        let (config, problems) = config::parse(imported.text.as_bytes(), "new");
        assert_eq!(problems, [], "{}", imported.text);
        assert!(uci::strict(imported.text.as_bytes()).is_ok());
        for remark in &imported.remarks {
            assert!(imported.text.contains(&format!("\n# {remark}\n")), "{remark}");
        }
        (imported, config)
    }

    #[test]
    fn the_shipped_file_of_the_c_phonebook_is_taken_over() {
        let (imported, config) = imported(
            "# Phonebook\nPB_INTERVAL_SECONDS=1800\r\nSTATUS_UPDATE_INTERVAL_SECONDS = 300\n\
             PHONEBOOK_SERVER=hb9bla-vm-tunnelserver.local.mesh,80,/filerepo/Phonebook/AREDN_Phonebook.csv\n\
             PHONEBOOK_SERVER=hb9edi-vm-gw.local.mesh,8080,filerepo/my book.csv\n\
             SIP_HANDLER_NICE_VALUE=-5\nPB_COLOUR=red\nnonsense\n",
        );
        let expected = "\
# Taken over by 'switchboard import' from old.conf.

config phonebook 'phonebook'
	option interval '30m'
	option presence_interval '5m'

config server
	option url 'http://hb9bla-vm-tunnelserver.local.mesh/filerepo/Phonebook/AREDN_Phonebook.csv'

config server
	option url 'http://hb9edi-vm-gw.local.mesh:8080/filerepo/my%20book.csv'

# not yet used: SIP_HANDLER_NICE_VALUE=-5
# unknown: PB_COLOUR=red
# not understood: nonsense
";
        assert_eq!(imported.text, expected);
        assert_eq!(config.phonebook.interval.as_secs(), 1_800);
        assert_eq!(config.phonebook.presence_interval.as_secs(), 300);
        assert_eq!(config.servers.len(), 2);
    }

    /// All keys of the C phonebook, with the values that were shipped or documented.
    const C_KEYS: &[(&str, &str)] =
        &[("CRASH_REPORTING_ENABLED", "1"), ("SIP_HANDLER_NICE_VALUE", "-5"), ("CRASH_BACKTRACE_DEPTH", "5")];

    #[test]
    fn the_tests_of_phones_are_taken_over_under_old_and_new_names() {
        let seconds = std::time::Duration::from_secs;
        for (phone, network) in [("PHONE", "NETWORK"), ("UAC", "UAC")] {
            let text = format!(
                "{phone}_TEST_INTERVAL_SECONDS=300\n{phone}_PING_COUNT=3\n{phone}_OPTIONS_COUNT=0\n\
                 {phone}_CALL_TEST_ENABLED=1\n{network}_TRACEROUTE_ENABLED=0\n{network}_TRACEROUTE_MAX_HOPS=30\n"
            );
            let (imported, config) = imported(&text);
            assert_eq!(imported.remarks, [] as [String; 0]);
            let mut expected = Config::default();
            (expected.probe.interval, expected.probe.ping_count) = (seconds(300), 3);
            (expected.probe.options_count, expected.probe.call_test) = (0, true);
            (expected.probe.traceroute, expected.probe.max_hops) = (false, 30);
            assert_eq!(config, expected);
        }
        let (_, config) = imported("PHONE_TEST_INTERVAL_SECONDS=0\n");
        assert!(!config.probe.enabled, "0 was off");
    }

    #[test]
    fn the_watch_over_itself_is_taken_over() {
        let (imported, config) = imported(
            "HEALTH_LOCAL_REPORTING=0\nHEALTH_LOCAL_UPDATE_SECONDS=30\nCOLLECTOR_ENABLED=1\n\
             COLLECTOR_URL=http://pi.local.mesh:5001/in\nCOLLECTOR_TIMEOUT_SECONDS=5\nHEALTH_REPORT_BASELINE_HOURS=6\n\
             HEALTH_CPU_THRESHOLD_PCT=30.0\nHEALTH_MEMORY_THRESHOLD_MB=5.5\nHEALTH_SCORE_THRESHOLD=20\n",
        );
        assert_eq!(imported.remarks, [] as [String; 0]);
        let seconds = std::time::Duration::from_secs;
        let mut expected = Config::default();
        expected.health.file = "".into();
        (expected.health.interval, expected.health.collector) = (seconds(30), true);
        expected.health.collector_url = "http://pi.local.mesh:5001/in".into();
        (expected.health.collector_timeout, expected.health.collector_interval) = (seconds(5), seconds(6 * 3_600));
        (expected.health.cpu_threshold, expected.health.memory_threshold) = (30, 5);
        expected.health.score_threshold = 20;
        assert_eq!(config, expected);
        let (imported, config) = super::tests::imported("HEALTH_LOCAL_REPORTING=1\nCOLLECTOR_URL=ftp://pi/\n");
        assert_eq!(imported.remarks[0], "needs no option: HEALTH_LOCAL_REPORTING=1");
        assert!(imported.remarks[1].starts_with("not taken: COLLECTOR_URL=ftp://pi/"), "{:?}", imported.remarks);
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_map_is_taken_over() {
        let text = "TOPOLOGY_CRAWLER_ENABLED=1\nTOPOLOGY_CRAWLER_INTERVAL_SECONDS=600\nTOPOLOGY_FETCH_LOCATIONS=1\n\
                    TOPOLOGY_NODE_INACTIVE_TIMEOUT_SECONDS=7200\nTOPOLOGY_NODE_DELETE_TIMEOUT_SECONDS=86400\n";
        let (imported, config) = imported(text);
        assert_eq!(imported.remarks, ["needs no option: TOPOLOGY_FETCH_LOCATIONS=1"]);
        let seconds = std::time::Duration::from_secs;
        assert_eq!((config.mesh.crawl, config.mesh.crawl_interval), (true, seconds(600)));
        assert_eq!((config.mesh.inactive_timeout, config.mesh.delete_timeout), (seconds(7_200), seconds(86_400)));
        let old = super::import(b"TOPOLOGY_NODE_TIMEOUT_SECONDS=3600\n", "old").unwrap();
        assert!(old.text.contains("delete_timeout"), "{}", old.text);
    }

    #[test]
    fn every_other_key_of_the_c_phonebook_is_known_and_kept() {
        for (key, value) in C_KEYS {
            let (imported, config) = imported(&format!("{key}={value}\n"));
            assert_eq!(imported.remarks, [format!("not yet used: {key}={value}")]);
            assert_eq!(config, Config::default());
        }
        assert_eq!(C_KEYS.len(), NOT_YET.len());
    }

    #[test]
    fn what_is_not_allowed_is_said_and_kept() {
        for (line, remark) in [
            (
                "PB_INTERVAL_SECONDS=10",
                "not taken: PB_INTERVAL_SECONDS=10 (allowed is a time from 1m to 30d, in seconds or with s, m, h or d \
                 behind it)",
            ),
            (
                "PB_INTERVAL_SECONDS=",
                "not taken: PB_INTERVAL_SECONDS= (allowed is a time from 1m to 30d, in seconds or with s, m, h or d behind it)",
            ),
            ("PHONEBOOK_SERVER=host", "not taken: PHONEBOOK_SERVER=host (allowed is HOST,PORT,PATH)"),
            ("PHONEBOOK_SERVER=host,0,/x", "not taken: PHONEBOOK_SERVER=host,0,/x (allowed is HOST,PORT,PATH)"),
            (
                "PHONEBOOK_SERVER=a b,80,/x",
                "not taken: PHONEBOOK_SERVER=a b,80,/x (allowed is http://HOST[:PORT]/PATH or file:///PATH, in at most 16 sections)",
            ),
            ("A=\u{1b}[2J", "unknown: A=\\u{1b}[2J"),
        ] {
            let (imported, config) = imported(line);
            assert_eq!(imported.remarks, [remark]);
            assert_eq!(config, Config::default());
        }
        let many: String = (0..20).map(|n| format!("PHONEBOOK_SERVER=h{n},80,/x\n")).collect();
        let (imported, config) = imported(&many);
        assert_eq!((config.servers.len(), imported.remarks.len()), (16, 4));
        assert_eq!(
            imported.remarks[0],
            "not taken: PHONEBOOK_SERVER=h16,80,/x (allowed is http://HOST[:PORT]/PATH or file:///PATH, in at most 16 sections)"
        );
    }

    #[test]
    fn the_json_of_the_go_phonebook_is_recognised() {
        let (imported, config) = imported(
            r#"{ "sources": ["http://a.local.mesh/book.csv", "/www/book.csv", "https://b/book.csv"], "country_prefix": "041",
               "reload_seconds": 7200, "path": "/www/arednstack", "targets": ["generic", "cisco", "vcard", "nokia"],
               "formats": ["direct", "pbx", "combined"], "active_pfx": "*", "indicate_active": true, "sip_server": true,
               "sip_port": 5061, "ldap_server": true, "ldap_pwd": "aredn", "include_routable": false, "resolve": true,
               "update_urls": ["http://x/y"], "new_thing": {"a": 1} }"#,
        );
        let urls: Vec<&str> = config.servers.iter().map(|server| server.url.as_str()).collect();
        assert_eq!(urls, ["http://a.local.mesh/book.csv", "file:///www/book.csv"]);
        assert_eq!(config.sip.country_prefix, "041");
        assert_eq!(config.sip.listen.to_string(), "0.0.0.0:5061");
        assert_eq!(config.phonebook.interval.as_secs(), 7_200);
        assert_eq!(config.phonebook.online_marker, "*");
        use config::Format::{Cisco, Vcard, Yealink};
        assert_eq!(config.phonebook.formats, [Yealink, Cisco, Vcard]);
        for remark in [
            "not taken: sources=https://b/book.csv (allowed is http://HOST[:PORT]/PATH or file:///PATH, in at most 16 sections)",
            "needs no option: formats=direct",
            "needs no option: formats=pbx",
            "not yet used: formats=combined",
            "needs no option: indicate_active=true",
            "not yet used: ldap_server=true",
            "not yet used: ldap_pwd=(not shown)",
            "not yet used: include_routable=false",
            "not yet used: resolve=true",
            "not yet used: update_urls=[\"http://x/y\"]",
            "unknown: new_thing={\"a\":1}",
        ] {
            assert!(imported.remarks.iter().any(|r| r == remark), "{remark} is missing in {:#?}", imported.remarks);
        }
        assert!(imported.remarks.iter().any(|r| r.starts_with("not taken: targets=nokia (allowed is any of ")));
        assert_eq!(imported.remarks.len(), 12);
        assert!(!imported.text.contains("aredn\""));
    }

    #[test]
    fn phones_that_are_not_to_be_marked_are_not_marked() {
        let (_, config) = imported(r#"{"active_pfx": "*", "indicate_active": false}"#);
        assert_eq!(config.phonebook.online_marker, "");
        let (_, config) = imported(r#"{"active_pfx": "on ", "indicate_active": true}"#);
        assert_eq!(config.phonebook.online_marker, "on ");
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        assert_eq!(import(b"", "x"), Err(NotUnderstood::NoKeys));
        assert_eq!(import(b"# A=1\nhello\n", "x"), Err(NotUnderstood::NoKeys));
        assert_eq!(import(b"{\n\"a\": }", "x"), Err(NotUnderstood::BadJson { line: 2, column: 6 }));
        assert_eq!(
            NotUnderstood::BadJson { line: 2, column: 6 }.to_string(),
            "it begins like the JSON of the Go phonebook, but line 2, column 6 is no JSON"
        );
    }
}
