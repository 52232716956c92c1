//! Every option there is: one row each, in the order of the sample file.
//!
//! Defaults do not stand here: they are those of [`Config::default`](super::Config), written by [`Field::text`].

use super::field::{Field, PATH, SOCKET_PATH};
use crate::features::Feature;

/// A type of section.
pub struct SectionRow {
    /// The word behind `config`.
    pub kind: &'static str,
    /// The name it has in the sample; any name does. `None`: there may be several, without names.
    pub name: Option<&'static str>,
    /// What it is about.
    pub doc: &'static str,
    /// Without that, a program has no use for it; it is read all the same.
    pub feature: Option<Feature>,
}

impl SectionRow {
    /// What this program would need for it, if it has not.
    pub fn missing(&self) -> Option<Feature> {
        self.feature.filter(|feature| !feature.is_there())
    }
}

/// One option.
pub struct Row {
    /// The type of its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it may be, and where it goes.
    pub field: Field,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// The row of an option.
pub fn row(section: &str, name: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.section == section && row.name == name)
}

/// All types of sections.
pub static SECTIONS: &[SectionRow] = &[
    SectionRow { kind: "switchboard", name: Some("main"), doc: "The daemon as a whole.", feature: None },
    SectionRow { kind: "sip", name: Some("sip"), doc: "Registrar and proxy.", feature: None },
    SectionRow {
        kind: "names",
        name: Some("names"),
        doc: "Where the names and addresses of phones and servers come from.",
        feature: None,
    },
    SectionRow { kind: "phonebook", name: Some("phonebook"), doc: "The book of the mesh.", feature: None },
    SectionRow {
        kind: "server",
        name: None,
        doc: "A place from which the book can be had; one section for each, tried in the order of the file.",
        feature: None,
    },
    SectionRow {
        kind: "mesh",
        name: Some("mesh"),
        doc: "The map of the mesh, and what is wrong with it.",
        feature: Some(Feature::Mesh),
    },
    SectionRow {
        kind: "probe",
        name: Some("probe"),
        doc: "The tests of the phones and of the ways to them.",
        feature: Some(Feature::Desk),
    },
    SectionRow {
        kind: "health",
        name: Some("health"),
        doc: "The daemon's watch over itself.",
        feature: Some(Feature::Health),
    },
    SectionRow {
        kind: "api",
        name: Some("api"),
        doc: "The HTTP API, its page, and the socket of the client verbs.",
        feature: None,
    },
];

/// All options.
pub static OPTIONS: &[Row] = &[
    Row {
        section: "switchboard",
        name: "enabled",
        field: Field::Switch(|c| &mut c.main.enabled),
        doc: "Whether the service runs. The script that starts it looks at this, 'switchboard run' does not.",
    },
    Row {
        section: "switchboard",
        name: "log_level",
        field: Field::Level(|c| &mut c.main.log_level),
        doc: "The most detailed level that is logged.",
    },
    Row {
        section: "switchboard",
        name: "user",
        field: Field::Text(|c| &mut c.main.user, 31),
        doc: "Who the daemon becomes once it has opened what root must open. If there is no such user, or 'none': it stays \
              root. Takes a restart.",
    },
    Row {
        section: "switchboard",
        name: "log_socket",
        field: Field::Path(|c| &mut c.main.log_socket, SOCKET_PATH),
        doc: "The socket of the system log. Where there is none, the log goes to stderr. Takes a restart.",
    },
    Row {
        section: "switchboard",
        name: "state_file",
        field: Field::Path(|c| &mut c.main.state_file, PATH),
        doc: "Registrations, calls, when phones were last seen and which were rung, kept over a restart of the daemon. Keep it in RAM.",
    },
    Row {
        section: "switchboard",
        name: "active_calls_file",
        field: Field::Path(|c| &mut c.main.active_calls_file, PATH),
        doc: "The list of live calls that dashboards read. Keep it in RAM.",
    },
    Row {
        section: "switchboard",
        name: "crash_file",
        field: Field::OptionalPath(|c| &mut c.main.crash_file),
        doc: "Where the daemon writes down how it crashed; only its owner may read it. The next start keeps it under the \
              same name with .last behind it. Keep it in RAM.",
    },
    Row {
        section: "switchboard",
        name: "crash_report_file",
        field: Field::OptionalPath(|c| &mut c.main.crash_report_file),
        doc: "What dashboards are told of the last crash. Keep it in RAM.",
    },
    Row {
        section: "sip",
        name: "enabled",
        field: Field::Switch(|c| &mut c.sip.enabled),
        doc: "Whether this node is an exchange at all.",
    },
    Row {
        section: "sip",
        name: "listen",
        field: Field::Address(|c| &mut c.sip.listen, 5_060),
        doc: "The UDP address that phones talk to; 0.0.0.0 is every address of the node, port 0 lets the system choose.",
    },
    Row {
        section: "sip",
        name: "domains",
        field: Field::Domains(|c| &mut c.sip.domains, 16),
        doc: "Further domains whose users are ours, besides localnode, the node's names and its addresses.",
    },
    Row {
        section: "sip",
        name: "country_prefix",
        field: Field::Digits(|c| &mut c.sip.country_prefix, 6),
        doc: "Digits that a number of this country may carry in front: with 041, the numbers 041441530 and 441530 are \
              the same phone.",
    },
    Row {
        section: "sip",
        name: "record_route",
        field: Field::Switch(|c| &mut c.sip.record_route),
        doc: "Whether calls stay visible to the exchange after they were answered.",
    },
    Row {
        section: "sip",
        name: "min_expires",
        field: Field::Time(|c| &mut c.sip.min_expires, 1, 86_400),
        doc: "The shortest registration that is granted.",
    },
    Row {
        section: "sip",
        name: "max_expires",
        field: Field::Time(|c| &mut c.sip.max_expires, 1, 604_800),
        doc: "The longest registration that is granted.",
    },
    Row {
        section: "sip",
        name: "default_expires",
        field: Field::Time(|c| &mut c.sip.default_expires, 1, 604_800),
        doc: "The registration of a phone that asks for no particular time.",
    },
    Row {
        section: "sip",
        name: "contacts_per_user",
        field: Field::Count(|c| &mut c.sip.contacts_per_user, 1, 64),
        doc: "Phones that one number may have; they ring together.",
    },
    Row {
        section: "sip",
        name: "max_registrations",
        field: Field::Count(|c| &mut c.sip.max_registrations, 1, 20_000),
        doc: "Registered phones in all.",
    },
    Row {
        section: "sip",
        name: "max_calls",
        field: Field::Count(|c| &mut c.sip.max_calls, 1, 20_000),
        doc: "Calls at once that the table of calls shows.",
    },
    Row {
        section: "sip",
        name: "transaction_memory",
        field: Field::Size(|c| &mut c.sip.transaction_memory, 64 << 10, 512 << 20),
        doc: "Memory that transactions may hold; beyond it new calls are answered with 503.",
    },
    Row {
        section: "sip",
        name: "takeover",
        field: Field::Takeover(|c| &mut c.sip.takeover),
        doc: "What happens when a bound number is registered from another address while its phone may be alive: allow \
              it, allow it and log it, or refuse it.",
    },
    Row {
        section: "sip",
        name: "max_call_duration",
        field: Field::Time(|c| &mut c.sip.max_call_duration, 60, 30 * 86_400),
        doc: "A call that is older is taken for a forgotten one and leaves the table.",
    },
    Row {
        section: "sip",
        name: "timer_c",
        field: Field::Time(|c| &mut c.sip.timer_c, 181, 3_600),
        doc: "How long a call may ring unanswered (RFC 3261 §16.6 demands more than three minutes).",
    },
    Row {
        section: "sip",
        name: "dscp",
        field: Field::Dscp(|c| &mut c.sip.dscp),
        doc: "Differentiated services code point of what the exchange sends; 24 is CS3, signalling.",
    },
    Row {
        section: "names",
        name: "domain",
        field: Field::Domain(|c| &mut c.names.domain),
        doc: "The domain behind the number of a phone: NUMBER.local.mesh.",
    },
    Row {
        section: "names",
        name: "hosts_dir",
        field: Field::Path(|c| &mut c.names.hosts_dir, PATH),
        doc: "The directory of host files that arednlink keeps.",
    },
    Row {
        section: "names",
        name: "hosts_olsr",
        field: Field::Path(|c| &mut c.names.hosts_olsr, PATH),
        doc: "The host file of OLSR firmware (AREDN 3.x).",
    },
    Row {
        section: "names",
        name: "servers",
        field: Field::Addresses(|c| &mut c.names.servers, 53, 4),
        doc: "Name servers to ask instead of those in resolv_conf.",
    },
    Row {
        section: "names",
        name: "resolv_conf",
        field: Field::Path(|c| &mut c.names.resolv_conf, PATH),
        doc: "Where the system's name servers stand.",
    },
    Row {
        section: "names",
        name: "node_config",
        field: Field::Path(|c| &mut c.names.node_config, PATH),
        doc: "The node's own configuration, for its mesh address (globals.wifi_ip).",
    },
    Row {
        section: "names",
        name: "lan_interface",
        field: Field::Text(|c| &mut c.names.lan_interface, 15),
        doc: "The interface of the node's own LAN; who is there may have phones rung. 'none': there is no LAN.",
    },
    Row {
        section: "phonebook",
        name: "enabled",
        field: Field::Switch(|c| &mut c.phonebook.enabled),
        doc: "Whether this node keeps a book.",
    },
    Row {
        section: "phonebook",
        name: "interval",
        field: Field::Time(|c| &mut c.phonebook.interval, 60, 30 * 86_400),
        doc: "Between two downloads.",
    },
    Row {
        section: "phonebook",
        name: "presence_interval",
        field: Field::Time(|c| &mut c.phonebook.presence_interval, 60, 86_400),
        doc: "Between two looks at which phones are online.",
    },
    Row {
        section: "phonebook",
        name: "connect_timeout",
        field: Field::Time(|c| &mut c.phonebook.connect_timeout, 1, 300),
        doc: "How long a server may take to accept a connection.",
    },
    Row {
        section: "phonebook",
        name: "total_timeout",
        field: Field::Time(|c| &mut c.phonebook.total_timeout, 1, 1_800),
        doc: "How long a whole download may take.",
    },
    Row {
        section: "phonebook",
        name: "max_size",
        field: Field::Size(|c| &mut c.phonebook.max_size, 1 << 10, 16 << 20),
        doc: "The largest book that is taken.",
    },
    Row {
        section: "phonebook",
        name: "book_file",
        field: Field::Path(|c| &mut c.phonebook.book_file, PATH),
        doc: "The stored book, on flash, for the next start; its digest (.hash) and the book before (.bak) stand beside it.",
    },
    Row {
        section: "phonebook",
        name: "publish_dir",
        field: Field::Path(|c| &mut c.phonebook.publish_dir, PATH),
        doc: "Where the published files are written. Keep it in RAM.",
    },
    Row {
        section: "phonebook",
        name: "phonebook_json_file",
        field: Field::OptionalPath(|c| &mut c.phonebook.phonebook_json_file),
        doc: "The book as JSON, which the CGI program shows. Keep it in RAM. 'none': it is not written.",
    },
    Row {
        section: "phonebook",
        name: "link_dir",
        field: Field::OptionalPath(|c| &mut c.phonebook.link_dir),
        doc: "Where phones look for the published files; links to publish_dir are kept here. 'none': no links.",
    },
    Row {
        section: "phonebook",
        name: "formats",
        field: Field::Formats(|c| &mut c.phonebook.formats),
        doc: "Which makers' phones the book is published for. 'none': for none.",
    },
    Row {
        section: "phonebook",
        name: "online_marker",
        field: Field::Text(|c| &mut c.phonebook.online_marker, 16),
        doc: "Stands before the name of a phone that is online. 'none': nothing is marked.",
    },
    Row {
        section: "phonebook",
        name: "badge_file",
        field: Field::OptionalPath(|c| &mut c.phonebook.badge_file),
        doc: "How many phones of the book are online; AREDN's own pages show it on our icon. Keep it in RAM. 'none': nowhere.",
    },
    Row {
        section: "server",
        name: "url",
        field: Field::Server(|c| &mut c.servers, 16),
        doc: "Where this server has the book.",
    },
    Row {
        section: "mesh",
        name: "enabled",
        field: Field::Switch(|c| &mut c.mesh.enabled),
        doc: "Whether this node draws a map of the mesh. From the files of its own firmware that costs the mesh nothing.",
    },
    Row {
        section: "mesh",
        name: "services_dir",
        field: Field::Path(|c| &mut c.mesh.services_dir, PATH),
        doc: "The directory of services files that arednlink keeps.",
    },
    Row {
        section: "mesh",
        name: "services_olsr",
        field: Field::Path(|c| &mut c.mesh.services_olsr, PATH),
        doc: "The services file of OLSR firmware (AREDN 3.x).",
    },
    Row {
        section: "mesh",
        name: "lqm_file",
        field: Field::Path(|c| &mut c.mesh.lqm_file, PATH),
        doc: "What the firmware measures of the node's neighbours.",
    },
    Row {
        section: "mesh",
        name: "babel_socket",
        field: Field::OptionalPath(|c| &mut c.mesh.babel_socket),
        doc: "The control socket of babeld, for the routes to other nodes; after a restart of babeld it takes a reload. 'none': it is not asked.",
    },
    Row {
        section: "mesh",
        name: "aredn_config",
        field: Field::Path(|c| &mut c.mesh.aredn_config, PATH),
        doc: "The node's settings, for its position and what it does.",
    },
    Row {
        section: "mesh",
        name: "dhcp_config",
        field: Field::Path(|c| &mut c.mesh.dhcp_config, PATH),
        doc: "What the node's DHCP server tells phones on its LAN.",
    },
    Row {
        section: "mesh",
        name: "lan_hosts",
        field: Field::Path(|c| &mut c.mesh.lan_hosts, PATH),
        doc: "Where the reserved names of devices on the LAN stand.",
    },
    Row {
        section: "mesh",
        name: "dhcp_leases",
        field: Field::Path(|c| &mut c.mesh.dhcp_leases, PATH),
        doc: "Which devices on the LAN have an address now.",
    },
    Row {
        section: "mesh",
        name: "firewall_file",
        field: Field::Path(|c| &mut c.mesh.firewall_file, PATH),
        doc: "The firewall rule that lets phones of other nodes reach the exchange; its absence is reported.",
    },
    Row {
        section: "mesh",
        name: "topology_file",
        field: Field::Path(|c| &mut c.mesh.topology_file, PATH),
        doc: "Where the map is written. Keep it in RAM.",
    },
    Row {
        section: "mesh",
        name: "topology_link",
        field: Field::OptionalPath(|c| &mut c.mesh.topology_link),
        doc: "A link to it, under the name that older pages know. 'none': no link.",
    },
    Row {
        section: "mesh",
        name: "findings_file",
        field: Field::OptionalPath(|c| &mut c.mesh.findings_file),
        doc: "Where it is written what is wrong. Keep it in RAM. 'none': nowhere.",
    },
    Row {
        section: "mesh",
        name: "inactive_timeout",
        field: Field::Time(|c| &mut c.mesh.inactive_timeout, 60, 604_800),
        doc: "A node unseen for so long is shown as inactive, a link is taken off the map.",
    },
    Row {
        section: "mesh",
        name: "delete_timeout",
        field: Field::Time(|c| &mut c.mesh.delete_timeout, 3_600, 31_536_000),
        doc: "A node unseen for so long is taken off the map.",
    },
    Row {
        section: "mesh",
        name: "unseen_after",
        field: Field::Time(|c| &mut c.mesh.unseen_after, 3_600, 31_536_000),
        doc: "A number of the book whose phone was not seen for so long is reported.",
    },
    Row {
        section: "mesh",
        name: "node_limit",
        field: Field::Count(|c| &mut c.mesh.node_limit, 10, 20_000),
        doc: "Nodes and phones on the map, about 200 bytes each.",
    },
    Row {
        section: "mesh",
        name: "link_limit",
        field: Field::Count(|c| &mut c.mesh.link_limit, 10, 80_000),
        doc: "Links on the map, about 100 bytes each.",
    },
    Row {
        section: "mesh",
        name: "crawl",
        field: Field::Switch(|c| &mut c.mesh.crawl),
        doc: "Whether other nodes are asked where they are and how well they hear their neighbours. That is traffic on the mesh: one node of a mesh that does it is enough.",
    },
    Row {
        section: "mesh",
        name: "crawl_interval",
        field: Field::Time(|c| &mut c.mesh.crawl_interval, 60, 86_400),
        doc: "Between two rounds of questions.",
    },
    Row {
        section: "mesh",
        name: "crawl_timeout",
        field: Field::Time(|c| &mut c.mesh.crawl_timeout, 1, 60),
        doc: "How long a node may take to answer.",
    },
    Row {
        section: "mesh",
        name: "crawl_in_flight",
        field: Field::Count(|c| &mut c.mesh.crawl_in_flight, 1, 32),
        doc: "Nodes that are asked at once.",
    },
    Row {
        section: "mesh",
        name: "crawl_rate",
        field: Field::Count(|c| &mut c.mesh.crawl_rate, 1, 100),
        doc: "Nodes that are asked within a second, at most.",
    },
    Row {
        section: "mesh",
        name: "crawl_max_size",
        field: Field::Size(|c| &mut c.mesh.crawl_max_size, 16 << 10, 1 << 20),
        doc: "The largest answer that is taken.",
    },
    Row {
        section: "mesh",
        name: "boundary",
        field: Field::Patterns(|c| &mut c.mesh.boundary, 16),
        doc: "Which nodes are asked, by name: HB* for the Swiss ones. 'none': every node of this mesh.",
    },
    Row {
        section: "probe",
        name: "enabled",
        field: Field::Switch(|c| &mut c.probe.enabled),
        doc: "Whether phones are tested at all: those of the book that are on the mesh, and the registered.",
    },
    Row {
        section: "probe",
        name: "interval",
        field: Field::Time(|c| &mut c.probe.interval, 60, 86_400),
        doc: "Between the beginnings of two rounds of tests.",
    },
    Row {
        section: "probe",
        name: "ping_count",
        field: Field::Count(|c| &mut c.probe.ping_count, 0, 20),
        doc: "Pings for each phone and round; 0 is none.",
    },
    Row {
        section: "probe",
        name: "options_count",
        field: Field::Count(|c| &mut c.probe.options_count, 0, 20),
        doc: "SIP OPTIONS for each phone and round, which no phone rings for; 0 is none.",
    },
    Row {
        section: "probe",
        name: "spacing_ms",
        field: Field::Count(|c| &mut c.probe.spacing_ms, 10, 10_000),
        doc: "Milliseconds between two probes of one phone.",
    },
    Row {
        section: "probe",
        name: "timeout",
        field: Field::Time(|c| &mut c.probe.timeout, 1, 30),
        doc: "How long an answer is waited for.",
    },
    Row {
        section: "probe",
        name: "rate",
        field: Field::Count(|c| &mut c.probe.rate, 1, 5_000),
        doc: "Packets a second that all tests together send at most.",
    },
    Row {
        section: "probe",
        name: "in_flight",
        field: Field::Count(|c| &mut c.probe.in_flight, 1, crate::limits::PROBE_IN_FLIGHT),
        doc: "Probes that wait for an answer at once, of all tests together.",
    },
    Row {
        section: "probe",
        name: "call_test",
        field: Field::Switch(|c| &mut c.probe.call_test),
        doc: "Whether a phone that answered neither ping nor OPTIONS is rung, and the call ended with the first sign of life. It disturbs people.",
    },
    Row {
        section: "probe",
        name: "call_test_pause",
        field: Field::Time(|c| &mut c.probe.call_test_pause, 60, 30 * 86_400),
        doc: "The same phone is not rung again before.",
    },
    Row {
        section: "probe",
        name: "traceroute",
        field: Field::Switch(|c| &mut c.probe.traceroute),
        doc: "Whether the ways to the phones are looked for, with few packets: every router is asked once in a round.",
    },
    Row {
        section: "probe",
        name: "max_hops",
        field: Field::Count(|c| &mut c.probe.max_hops, 1, 30),
        doc: "The longest way that is looked for, in hops.",
    },
    Row {
        section: "probe",
        name: "listen",
        field: Field::Address(|c| &mut c.probe.listen, 5_070),
        doc: "The UDP address that SIP tests come from; port 0 lets the system choose.",
    },
    Row {
        section: "probe",
        name: "caller_id",
        field: Field::Digits(|c| &mut c.probe.caller_id, 20),
        doc: "The number that SIP tests come from.",
    },
    Row {
        section: "probe",
        name: "results_file",
        field: Field::OptionalPath(|c| &mut c.probe.results_file),
        doc: "The results as JSON, which dashboards read. Keep it in RAM. 'none': they are not written.",
    },
    Row {
        section: "health",
        name: "enabled",
        field: Field::Switch(|c| &mut c.health.enabled),
        doc: "Whether the daemon measures itself, and reports it.",
    },
    Row {
        section: "health",
        name: "interval",
        field: Field::Time(|c| &mut c.health.interval, 1, 3_600),
        doc: "Between two measurements; each renews the file.",
    },
    Row {
        section: "health",
        name: "file",
        field: Field::OptionalPath(|c| &mut c.health.file),
        doc: "The report that dashboards read. Keep it in RAM. 'none': it is not written.",
    },
    Row {
        section: "health",
        name: "starts_file",
        field: Field::Path(|c| &mut c.health.starts_file, PATH),
        doc: "When the daemon was started, so that restarts can be counted. Keep it in RAM.",
    },
    Row {
        section: "health",
        name: "passive_safety",
        field: Field::Switch(|c| &mut c.health.passive_safety),
        doc: "Whether a part of the daemon that does not do its work any more is restarted, and in the last resort the daemon.",
    },
    Row {
        section: "health",
        name: "collector",
        field: Field::Switch(|c| &mut c.health.collector),
        doc: "Whether reports are sent to a collector: every few hours, and when something happens.",
    },
    Row {
        section: "health",
        name: "collector_url",
        field: Field::Url(|c| &mut c.health.collector_url),
        doc: "Where the collector takes reports.",
    },
    Row {
        section: "health",
        name: "collector_timeout",
        field: Field::Time(|c| &mut c.health.collector_timeout, 1, 60),
        doc: "How long the collector may take to answer. A report that failed is sent once more, then dropped.",
    },
    Row {
        section: "health",
        name: "collector_interval",
        field: Field::Time(|c| &mut c.health.collector_interval, 3_600, 604_800),
        doc: "Between two reports when nothing happens.",
    },
    Row {
        section: "health",
        name: "cpu_threshold",
        field: Field::Count(|c| &mut c.health.cpu_threshold, 1, 100),
        doc: "A change of the processor's share that is reported at once, in per cent.",
    },
    Row {
        section: "health",
        name: "memory_threshold",
        field: Field::Count(|c| &mut c.health.memory_threshold, 1, 100),
        doc: "A growth of memory that is reported at once, in MB.",
    },
    Row {
        section: "health",
        name: "score_threshold",
        field: Field::Count(|c| &mut c.health.score_threshold, 1, 100),
        doc: "A fall of the health score that is reported at once.",
    },
    Row {
        section: "api",
        name: "enabled",
        field: Field::Switch(|c| &mut c.api.enabled),
        doc: "Whether there is an API; without it the client verbs and the CGI program find nobody. Where it was off at the start, they do after a restart.",
    },
    Row {
        section: "api",
        name: "listen",
        field: Field::Addresses(|c| &mut c.api.listen, 8_088, 4),
        doc: "TCP addresses of the API and its page; port 0 lets the system choose. 'none': only the socket.",
    },
    Row {
        section: "api",
        name: "socket",
        field: Field::Path(|c| &mut c.api.socket, SOCKET_PATH),
        doc: "The unix socket that the client verbs and the CGI program use.",
    },
    Row {
        section: "api",
        name: "tiles",
        field: Field::Text(|c| &mut c.api.tiles, 200),
        doc: "A tile server on the mesh for the map of the mesh monitor: http://HOST/{z}/{x}/{y}.png. Browsers ask it directly. \
              'none': the map has the outline of land alone.",
    },
    Row {
        section: "api",
        name: "tiles_credit",
        field: Field::Text(|c| &mut c.api.tiles_credit, 100),
        doc: "Whom the tiles are by; shown on the map.",
    },
    Row {
        section: "api",
        name: "settings_file",
        field: Field::OptionalPath(|c| &mut c.api.settings_file),
        doc: "Where the mesh monitor finds these settings as JSON. Keep it in RAM. 'none': nowhere.",
    },
    Row {
        section: "api",
        name: "token",
        field: Field::Text(|c| &mut c.api.token, 100),
        doc: "Whoever shows it may have a phone rung for a test from outside the node's own LAN. Take 20 random characters or more. \
              'none': nobody may.",
    },
];
