//! The configuration as the engines see it: typed, complete, within bounds.
//!
//! Raw UCI text becomes sections and options with line numbers (`wire/uci.rs`), then these values, with every error
//! reported at once. What is not said has its default, and the defaults make a working exchange without any file.
//!
//! Every option is one row of `table.rs`; reading, checking, `switchboard help options`, the sample file and
//! `docs/CONFIG.md` all go by that table.

mod field;
mod parse;
mod places;
mod sample;
mod table;

pub(crate) use field::is_obeyed;
pub use field::{Field, escaped, shown};
pub(crate) use parse::nearest;
pub use parse::{Problem, missing, parse};
pub use places::Places;
pub use sample::sample;
pub use table::{OPTIONS, Row, SECTIONS, SectionRow, row};

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// Section `switchboard 'main'`.
    pub main: Main,
    /// Section `sip 'sip'`.
    pub sip: Sip,
    /// Section `names 'names'`: where names and addresses of the mesh come from.
    pub names: Names,
    /// Section `phonebook 'phonebook'`.
    pub phonebook: Phonebook,
    /// Sections `server`, in the order in which they are tried.
    pub servers: Vec<Server>,
    /// Section `mesh 'mesh'`.
    pub mesh: Mesh,
    /// Section `api 'api'`.
    pub api: Api,
    /// Section `probe 'probe'`: the tests of the phones and of the ways to them.
    pub probe: Probe,
    /// Section `health 'health'`: the daemon's watch over itself.
    pub health: Health,
}

/// The daemon as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Main {
    /// Whether the service is started. Its script reads this; the program runs whoever starts it.
    pub enabled: bool,
    /// The most detailed level that is logged.
    pub log_level: log::LevelFilter,
    /// Who the daemon is once everything is open; empty: it stays who it is.
    pub user: String,
    /// Registrations, calls, when phones were last seen and which were rung, kept over a restart of the daemon; belongs into RAM.
    pub state_file: PathBuf,
    /// What the dashboards call `active_calls`; belongs into RAM.
    pub active_calls_file: PathBuf,
    /// The socket of the system log; without one the log goes to stderr.
    pub log_socket: PathBuf,
    /// What the process writes down when it crashes; `.last` stands beside it. Belongs into RAM. Empty: nothing.
    pub crash_file: PathBuf,
    /// What people are told of the last crash; belongs into RAM. Empty: nothing.
    pub crash_report_file: PathBuf,
}

impl Default for Main {
    fn default() -> Self {
        Self {
            enabled: true,
            log_level: log::LevelFilter::Info,
            user: "switchboard".into(),
            state_file: "/tmp/switchboard/state.json".into(),
            active_calls_file: "/tmp/active_calls.json".into(),
            log_socket: "/dev/log".into(),
            crash_file: "/tmp/meshmon_crash.bin".into(),
            crash_report_file: "/tmp/last_crash.json".into(),
        }
    }
}

/// Registrar and proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// Whether this node is an exchange at all.
    pub enabled: bool,
    /// The UDP address that is listened on; 0.0.0.0 is every address of the node.
    pub listen: SocketAddrV4,
    /// Further domains whose users are ours.
    pub domains: Vec<String>,
    /// Digits that a number of this country may carry in front (`041`): 041441530 and 441530 are then the same phone.
    pub country_prefix: String,
    /// Whether calls stay visible to the proxy after they were answered.
    pub record_route: bool,
    /// The shortest and the longest registration that is granted, and the one for phones that ask for none.
    pub min_expires: Duration,
    /// See [`Sip::min_expires`].
    pub max_expires: Duration,
    /// See [`Sip::min_expires`].
    pub default_expires: Duration,
    /// Contacts that one number may register.
    pub contacts_per_user: usize,
    /// Contacts in all.
    pub max_registrations: usize,
    /// Calls at once.
    pub max_calls: usize,
    /// Memory that transactions may hold, in bytes.
    pub transaction_memory: usize,
    /// What happens when a bound number is registered from another address while its phone may be alive.
    pub takeover: Takeover,
    /// A call longer than this is taken for a forgotten one.
    pub max_call_duration: Duration,
    /// How long an unanswered INVITE may ring (RFC 3261 §16.6 step 11: more than three minutes).
    pub timer_c: Duration,
    /// Differentiated services code point of what we send; CS3 is signalling (RFC 4594 §4.2).
    pub dscp: u8,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5060),
            domains: Vec::new(),
            country_prefix: String::new(),
            record_route: true,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3_600),
            default_expires: Duration::from_secs(3_600),
            contacts_per_user: 10,
            max_registrations: 512,
            max_calls: 2_000,
            transaction_memory: 8 << 20,
            takeover: Takeover::Log,
            max_call_duration: Duration::from_secs(12 * 3_600),
            timer_c: Duration::from_secs(185),
            dscp: 24,
        }
    }
}

/// What to do when somebody else registers a number that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Allow it silently: the mesh trusts its users.
    Allow,
    /// Allow it and write a line to the log.
    Log,
    /// Answer 403 until the binding expires or its own phone removes it.
    Refuse,
}

/// Where the names of phones and servers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The domain behind the number of a phone: `<number>.local.mesh`.
    pub domain: String,
    /// Directory of host files that arednlink keeps (one for each node, or sharded).
    pub hosts_dir: PathBuf,
    /// Host file of OLSR firmware.
    pub hosts_olsr: PathBuf,
    /// Name servers to ask instead of those in `resolv_conf`.
    pub servers: Vec<SocketAddrV4>,
    /// Where the system's name servers stand.
    pub resolv_conf: PathBuf,
    /// The node's own configuration, for its mesh address (`globals.wifi_ip`).
    pub node_config: PathBuf,
    /// The interface behind which the node's own LAN is.
    pub lan_interface: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            domain: "local.mesh".into(),
            hosts_dir: "/var/run/arednlink/hosts".into(),
            hosts_olsr: "/var/run/hosts_olsr".into(),
            servers: Vec::new(),
            resolv_conf: "/etc/resolv.conf".into(),
            node_config: "/etc/config.mesh/setup".into(),
            lan_interface: "br-lan".into(),
        }
    }
}

/// The book of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phonebook {
    /// Whether this node keeps a book.
    pub enabled: bool,
    /// Between two downloads.
    pub interval: Duration,
    /// Between two looks at which phones are online.
    pub presence_interval: Duration,
    /// To reach a server, and for a whole download.
    pub connect_timeout: Duration,
    /// See [`Phonebook::connect_timeout`].
    pub total_timeout: Duration,
    /// The largest book that is taken, in bytes.
    pub max_size: usize,
    /// The stored book, on flash; `.hash` and `.bak` stand beside it.
    pub book_file: PathBuf,
    /// Where the published files are written, in RAM.
    pub publish_dir: PathBuf,
    /// Where phones look for them; links to `publish_dir` are kept here. Empty: no links.
    pub link_dir: PathBuf,
    /// Which files are published.
    pub formats: Vec<Format>,
    /// The book as JSON, for `showphonebook`; belongs into RAM. Empty: none.
    pub phonebook_json_file: PathBuf,
    /// Stands before the name of a phone that is online; empty: nothing is marked.
    pub online_marker: String,
    /// How many phones are online, for AREDN's own pages; belongs into RAM. Empty: nowhere.
    pub badge_file: PathBuf,
}

impl Default for Phonebook {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(3_600),
            presence_interval: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(60),
            max_size: 1 << 20,
            book_file: "/www/arednstack/phonebook.csv".into(),
            publish_dir: "/tmp/switchboard/www".into(),
            link_dir: "/www/arednstack".into(),
            formats: vec![Format::Yealink],
            phonebook_json_file: "/tmp/phonebook.json".into(),
            online_marker: "* ".into(),
            badge_file: "/tmp/apps/switchboard/badge".into(),
        }
    }
}

/// A phone maker's form of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `phonebook_generic_direct.xml` and `phonebook_generic_pbx.xml`.
    Yealink,
    /// `phonebook_cisco_<format>.xml`, in pages of 32.
    Cisco,
    /// `phonebook_snom.xml`.
    Snom,
    /// `phonebook_grandstream.xml`.
    Grandstream,
    /// `phonebook_fanvil.xml`.
    Fanvil,
    /// `phonebook_polycom.xml`.
    Polycom,
    /// `phonebook.vcf`.
    Vcard,
    /// `phonebook_acrobits.json`.
    Acrobits,
}

/// A place from which the book can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `http://host[:port]/path` or `file:///path`.
    pub url: String,
}

/// The map of the mesh, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// Whether this node draws a map at all; from its own files this costs the mesh nothing.
    pub enabled: bool,
    /// Directory of services files that arednlink keeps.
    pub services_dir: PathBuf,
    /// Services file of OLSR firmware.
    pub services_olsr: PathBuf,
    /// What the firmware measures of its neighbours.
    pub lqm_file: PathBuf,
    /// The control socket of babeld; empty: it is not asked.
    pub babel_socket: PathBuf,
    /// The node's settings, for its position and what it does.
    pub aredn_config: PathBuf,
    /// What the node's DHCP server tells devices on its LAN.
    pub dhcp_config: PathBuf,
    /// Reserved names of devices on the LAN.
    pub lan_hosts: PathBuf,
    /// Devices on the LAN that have an address now.
    pub dhcp_leases: PathBuf,
    /// The firewall rule that lets phones of other nodes reach the exchange.
    pub firewall_file: PathBuf,
    /// Where the map is written, in RAM.
    pub topology_file: PathBuf,
    /// A link to it, under the name that older pages know. Empty: none.
    pub topology_link: PathBuf,
    /// Where the findings are written, in RAM. Empty: nowhere.
    pub findings_file: PathBuf,
    /// A node unseen for so long is inactive, a link is gone.
    pub inactive_timeout: Duration,
    /// A node unseen for so long is forgotten.
    pub delete_timeout: Duration,
    /// A number of the book whose phone was not seen for so long is worth a word.
    pub unseen_after: Duration,
    /// Nodes and phones that are remembered, and links between them.
    pub node_limit: usize,
    /// See [`Mesh::node_limit`].
    pub link_limit: usize,
    /// Whether other nodes are asked about themselves and their neighbours.
    pub crawl: bool,
    /// Between two rounds.
    pub crawl_interval: Duration,
    /// How long a node may take to answer.
    pub crawl_timeout: Duration,
    /// Nodes asked at once.
    pub crawl_in_flight: usize,
    /// Nodes asked within a second, at most.
    pub crawl_rate: usize,
    /// The largest answer that is taken, in bytes.
    pub crawl_max_size: usize,
    /// Patterns of the names of nodes that are asked; empty: all.
    pub boundary: Vec<String>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            enabled: true,
            services_dir: "/var/run/arednlink/services".into(),
            services_olsr: "/var/run/services_olsr".into(),
            lqm_file: "/tmp/lqm.info".into(),
            babel_socket: "/var/run/babel.sock".into(),
            aredn_config: "/etc/config.mesh/aredn".into(),
            dhcp_config: "/etc/config/dhcp".into(),
            lan_hosts: "/etc/hosts".into(),
            dhcp_leases: "/tmp/dhcp.leases".into(),
            firewall_file: "/etc/local/mesh-firewall/57-switchboard".into(),
            topology_file: "/tmp/arednmon/network_topology.json".into(),
            topology_link: "/tmp/topology.json".into(),
            findings_file: "/tmp/arednmon/findings.json".into(),
            inactive_timeout: Duration::from_secs(3_600),
            delete_timeout: Duration::from_secs(30 * 86_400),
            unseen_after: Duration::from_secs(30 * 86_400),
            node_limit: 2_000,
            link_limit: 8_000,
            crawl: false,
            crawl_interval: Duration::from_secs(3_600),
            crawl_timeout: Duration::from_secs(5),
            crawl_in_flight: 8,
            crawl_rate: 10,
            crawl_max_size: 256 << 10,
            boundary: Vec::new(),
        }
    }
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Whether there is one.
    pub enabled: bool,
    /// TCP addresses that are listened on.
    pub listen: Vec<SocketAddrV4>,
    /// The unix socket that the client verbs and the CGI program use.
    pub socket: PathBuf,
    /// Tile server of the mesh monitor's map, `http://…/{z}/{x}/{y}.png`; empty: none.
    pub tiles: String,
    /// Whom the tiles are by, shown on the map; empty: nobody.
    pub tiles_credit: String,
    /// What of this the mesh monitor is to know, as JSON; belongs into RAM. Empty: none.
    pub settings_file: PathBuf,
    /// Whoever shows it may have a phone rung, wherever he is; empty: nobody.
    pub token: String,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8088)],
            socket: "/var/run/switchboard.sock".into(),
            tiles: String::new(),
            tiles_credit: String::new(),
            settings_file: "/tmp/arednmon/settings.json".into(),
            token: String::new(),
        }
    }
}

/// The tests of the phones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether phones are tested at all.
    pub enabled: bool,
    /// Between the beginnings of two cycles.
    pub interval: Duration,
    /// Pings for each phone and cycle; 0 is none.
    pub ping_count: usize,
    /// OPTIONS for each phone and cycle; 0 is none.
    pub options_count: usize,
    /// Between two probes of one phone, in milliseconds.
    pub spacing_ms: usize,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// Packets a second in all.
    pub rate: usize,
    /// Probes that wait for an answer at once.
    pub in_flight: usize,
    /// Whether a phone that answered nothing is rung.
    pub call_test: bool,
    /// The same phone is not rung again before.
    pub call_test_pause: Duration,
    /// Whether the ways to the phones are looked for.
    pub traceroute: bool,
    /// The longest way that is looked for.
    pub max_hops: usize,
    /// The UDP address that SIP tests come from.
    pub listen: SocketAddrV4,
    /// The number that SIP tests come from.
    pub caller_id: String,
    /// Where the results are written, in RAM. Empty: nowhere.
    pub results_file: PathBuf,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(600),
            ping_count: 5,
            options_count: 5,
            spacing_ms: 200,
            timeout: Duration::from_secs(2),
            rate: 200,
            in_flight: 256,
            call_test: false,
            call_test_pause: Duration::from_secs(3_600),
            traceroute: true,
            max_hops: 20,
            listen: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 5070),
            caller_id: "999900".into(),
            results_file: "/tmp/uac_bulk_results.txt".into(),
        }
    }
}

/// The daemon's watch over itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the daemon measures itself and reports.
    pub enabled: bool,
    /// Between two measurements, each of which renews the file.
    pub interval: Duration,
    /// The report that dashboards read; belongs into RAM. Empty: none.
    pub file: PathBuf,
    /// When the daemon was started, to count restarts; belongs into RAM.
    pub starts_file: PathBuf,
    /// Whether a part of the daemon that does not do its work is restarted.
    pub passive_safety: bool,
    /// Whether reports are sent to [`Health::collector_url`].
    pub collector: bool,
    /// Where a collector takes reports.
    pub collector_url: String,
    /// How long it may take to answer.
    pub collector_timeout: Duration,
    /// Between two reports when nothing happens.
    pub collector_interval: Duration,
    /// A change of the processor's share, in per cent, that is reported at once.
    pub cpu_threshold: usize,
    /// A growth of memory, in MB, that is reported at once.
    pub memory_threshold: usize,
    /// A fall of the score that is reported at once.
    pub score_threshold: usize,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(60),
            file: "/tmp/software_health.json".into(),
            starts_file: "/tmp/switchboard/starts".into(),
            passive_safety: true,
            collector: false,
            collector_url: "http://pi-collector.local.mesh:5000/ingest".into(),
            collector_timeout: Duration::from_secs(10),
            collector_interval: Duration::from_secs(4 * 3_600),
            cpu_threshold: 20,
            memory_threshold: 10,
            score_threshold: 15,
        }
    }
}
