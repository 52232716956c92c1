//! Which Request-URIs mean this exchange, and which spellings of a number are the same phone.
//!
//! It never asks a name server: what is ours is known from the configuration and from the node's own name and addresses. A
//! host that is not in this list belongs to somebody else, however much it looks like ours.
//!
//! Read first: RFC 3261 §16.5 (target set), §19.1.4 (hosts compare without case), RFC 3966 §3 (tel URI).

use std::borrow::Borrow;
use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Deref;

use crate::config;
use crate::wire::sip::{Scheme, Uri};

/// The one spelling of a phone's number under which it is registered and looked up. Bytes, because the user part of a URI
/// may hold any after unescaping; case matters (RFC 3261 §19.1.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Box<[u8]>);

impl Number {
    /// A key that was a [`Number`] before (a saved one); nothing is folded.
    pub(crate) fn from_key(key: &[u8]) -> Self {
        Self(key.into())
    }
}

impl Deref for Number {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Number {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Number {
    /// Printable ASCII as it is, everything else escaped: fit for a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The country prefix, in the two forms in which a number can carry it.
///
/// The numbering plan of the mesh writes a country as three digits with zeros in front (`041`, `001`, `423`) before the
/// local number. `+41441530` says the same as `041441530`. Nothing else is ever folded: no `00`, no separators, no second prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folding {
    national: Box<[u8]>,
    international: Box<[u8]>,
}

impl Folding {
    /// Folds numbers that begin with `prefix`; an empty one, or one that is not digits alone, folds nothing.
    pub fn new(prefix: &str) -> Self {
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Self::default();
        }
        let code = prefix.trim_start_matches('0');
        let international = if code.is_empty() { String::new() } else { format!("+{code}") };
        Self { national: prefix.as_bytes().into(), international: international.into_bytes().into() }
    }

    /// The key of `user` (a user part without escapes). The prefix goes only if digits alone remain, and at least one.
    pub fn number(&self, user: &[u8]) -> Number {
        let stripped = [&self.national, &self.international]
            .into_iter()
            .filter(|prefix| !prefix.is_empty())
            .find_map(|prefix| user.strip_prefix(prefix.as_ref()))
            .filter(|rest| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit));
        Number(stripped.unwrap_or(user).into())
    }
}

/// The names and addresses of this exchange.
#[derive(Clone, Debug)]
pub struct Ours {
    /// `local.mesh`, without a trailing dot.
    domain: String,
    /// Further domains from the configuration.
    domains: Vec<String>,
    node: String,
    addresses: Vec<Ipv4Addr>,
    listen: Ipv4Addr,
    port: u16,
    folding: Folding,
}

impl Ours {
    /// Knows what the configuration says; the node's name and addresses follow by [`Ours::set_identity`].
    pub fn new(config: &config::Sip, domain: &str) -> Self {
        let mut ours = Self {
            domain: String::new(),
            domains: Vec::new(),
            node: String::new(),
            addresses: Vec::new(),
            listen: Ipv4Addr::UNSPECIFIED,
            port: 0,
            folding: Folding::default(),
        };
        ours.set_config(config, domain);
        ours
    }

    /// Takes over a changed configuration; the identity stays.
    pub fn set_config(&mut self, config: &config::Sip, domain: &str) {
        self.domain = undotted(domain).to_owned();
        self.domains = config.domains.iter().map(|d| undotted(d).to_owned()).filter(|d| !d.is_empty()).collect();
        self.listen = *config.listen.ip();
        // Port 0 is any: which one it became is said once the socket is open.
        if config.listen.port() != 0 {
            self.port = config.listen.port();
        }
        self.folding = Folding::new(&config.country_prefix);
    }

    /// The port that is really listened on, where the configuration says 0 (any).
    pub fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The port that is listened on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The node's host name (with or without the domain) and its own addresses.
    pub fn set_identity(&mut self, name: &str, addresses: &[Ipv4Addr]) {
        let name = undotted(name);
        self.node = self.without_domain(name).unwrap_or(name).to_owned();
        self.addresses = addresses.to_vec();
    }

    /// Whether a request to this host and port is a request to us. No port, or our own; another port is another program.
    ///
    /// Ours are `localnode`, the node's name and the names that the firmware derives from it (`lan.`, `dtdlink.`), each with
    /// and without the domain; the domain itself and the configured ones; our addresses.
    pub fn is_ours(&self, host: &[u8], port: Option<u16>) -> bool {
        if port.is_some_and(|port| port != self.port) {
            return false;
        }
        let Ok(host) = std::str::from_utf8(host) else { return false };
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return self.is_our_address(address);
        }
        let host = undotted(host);
        if host.is_empty() {
            return false;
        }
        if same(host, &self.domain) || self.domains.iter().any(|domain| same(host, domain)) {
            return true;
        }
        let name = self.without_domain(host).unwrap_or(host);
        let base = ["lan.", "dtdlink."].into_iter().find_map(|prefix| without_prefix(name, prefix)).unwrap_or(name);
        same(name, "localnode") || (!self.node.is_empty() && same(base, &self.node))
    }

    /// Whether this is an address of this node.
    pub fn is_our_address(&self, address: Ipv4Addr) -> bool {
        // On loopback nobody but this machine can be meant; the port has told already whether it is this program. All of
        // 127.0.0.0/8 is ours only if we listen there: otherwise others may live on the rest of it.
        address == Ipv4Addr::LOCALHOST
            || self.listen.is_unspecified() && address.is_loopback()
            || address == self.listen && !address.is_unspecified()
            || self.addresses.contains(&address)
    }

    /// Whether the target of a request with this URI is to be looked up here (RFC 3261 §16.5): the host is ours, or it is the
    /// phone's own name `<number>.<domain>` with the same number before the `@`, or it is a telephone number without any host.
    pub fn serves(&self, uri: &Uri) -> bool {
        match uri.scheme {
            Scheme::Sip | Scheme::Sips => self.is_ours(uri.host, uri.port) || self.names_its_user(uri),
            Scheme::Tel => true,
            Scheme::Other(_) => false,
        }
    }

    /// The key under which a phone is registered and looked up. `user` is without escapes.
    pub fn number(&self, user: &[u8]) -> Number {
        self.folding.number(user)
    }

    fn names_its_user(&self, uri: &Uri) -> bool {
        if uri.port.is_some_and(|port| port != self.port) {
            return false;
        }
        let Some(user) = uri.user_unescaped() else { return false };
        let Ok(host) = std::str::from_utf8(uri.host) else { return false };
        let host = undotted(host);
        let label = self.without_domain(host).unwrap_or(host);
        !label.is_empty() && self.number(label.as_bytes()) == self.number(&user)
    }

    /// `name` of `name.<domain>`.
    fn without_domain<'a>(&self, host: &'a str) -> Option<&'a str> {
        let cut = host.len().checked_sub(self.domain.len())?;
        let (name, domain) = host.split_at_checked(cut)?;
        if self.domain.is_empty() || !same(domain, &self.domain) {
            return None;
        }
        name.strip_suffix('.').filter(|name| !name.is_empty())
    }
}

/// A name may end in the dot of the root; it is the same name.
fn undotted(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Names compare without case (RFC 4343).
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn without_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    same(head, prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Ours {
        let config = config::Sip {
            domains: vec!["pbx.example.".into()],
            country_prefix: "041".into(),
            ..config::Sip::default()
        };
        let mut ours = Ours::new(&config, "local.mesh");
        ours.set_identity("HB9XYZ-hap", &[Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(172, 27, 0, 1)]);
        ours
    }

    #[test]
    fn hosts_that_mean_us() {
        let ours = ours();
        for host in [
            "localnode",
            "LOCALNODE.local.mesh",
            "localnode.local.mesh.",
            "hb9xyz-hap",
            "HB9XYZ-HAP.LOCAL.MESH",
            "lan.hb9xyz-hap.local.mesh",
            "dtdlink.hb9xyz-hap.local.mesh",
            "local.mesh",
            "PBX.example",
            "pbx.example.",
            "10.1.2.3",
            "172.27.0.1",
            "127.0.0.1",
            "127.9.9.9",
        ] {
            assert!(ours.is_ours(host.as_bytes(), None), "{host}");
            assert!(ours.is_ours(host.as_bytes(), Some(5060)), "{host}");
            assert!(!ours.is_ours(host.as_bytes(), Some(5062)), "{host}: another port is another program");
        }
        for host in [
            "",
            ".",
            "localnode.example",
            "notlocalnode",
            "localnode.evil.local.mesh",
            "hb9xyz-hap2",
            "lan.",
            "lan.local.mesh",
            "lan.localnode.local.mesh",
            "xhb9xyz-hap.local.mesh",
            "10.1.2.4",
            "0.0.0.0",
            ".local.mesh",
            "sub.pbx.example",
            "441530.local.mesh",
        ] {
            assert!(!ours.is_ours(host.as_bytes(), None), "{host}");
        }
        assert!(!ours.is_ours(b"\xff\xfe", None));
    }

    #[test]
    fn without_an_identity_nothing_is_named_after_nobody() {
        let ours = Ours::new(&config::Sip::default(), "");
        assert!(ours.is_ours(b"localnode", None));
        assert!(!ours.is_ours(b"", None));
        assert!(!ours.is_ours(b"lan.", None));
        assert!(!ours.is_ours(b"anything", None));
    }

    #[test]
    fn a_listen_address_and_a_found_port_are_ours() {
        let config = config::Sip { listen: "10.9.9.9:0".parse().unwrap(), ..config::Sip::default() };
        let mut ours = Ours::new(&config, "local.mesh");
        ours.set_port(40_123);
        assert!(ours.is_ours(b"10.9.9.9", Some(40_123)));
        assert!(!ours.is_ours(b"10.9.9.9", Some(5060)));
        assert!(ours.is_ours(b"127.0.0.1", None), "loopback itself is always ours");
        assert!(!ours.is_ours(b"127.9.9.9", None), "who listens at one address leaves the rest of loopback to others");
    }

    #[test]
    fn the_name_of_a_phone_means_us_only_for_that_phone() {
        let ours = ours();
        for (uri, served) in [
            ("sip:441530@441530.local.mesh", true),
            ("sip:441530@441530.LOCAL.mesh.:5060", true),
            ("sip:441530@441530", true),
            ("sip:041441530@441530.local.mesh", true),
            ("sip:441530@041441530.local.mesh", true),
            ("sip:441530@441531.local.mesh", false),
            ("sip:441530@441530.local.mesh:5070", false),
            ("sip:441530@441530.other.mesh", false),
            ("sip:441530.local.mesh", false),
            ("sip:441530@10.1.2.3", true),
            ("sip:441530@10.1.2.9", false),
            ("sip:localnode", true),
            ("tel:+41441530", true),
            ("mailto:a@localnode", false),
        ] {
            let parsed = Uri::parse(uri.as_bytes()).unwrap();
            assert_eq!(ours.serves(&parsed), served, "{uri}");
        }
    }

    #[test]
    fn a_country_is_folded_and_nothing_else() {
        let key = |prefix: &str, user: &str| Folding::new(prefix).number(user.as_bytes()).to_string();
        for (prefix, user, expected) in [
            ("041", "041441530", "441530"),
            ("041", "+41441530", "441530"),
            ("041", "441530", "441530"),
            ("041", "041041441530", "041441530"), // once
            ("041", "041", "041"),                // nothing would remain
            ("041", "+41", "+41"),
            ("041", "+041441530", "+041441530"),
            ("041", "0041441530", "0041441530"),
            ("041", "41441530", "41441530"),
            ("041", "041*97", "041*97"),
            ("041", "041anna", "041anna"),
            ("041", "001441530", "001441530"),
            ("423", "423555", "555"),
            ("423", "+423555", "555"),
            ("001", "+1555", "555"),
            ("000", "+555", "+555"),
            ("000", "000555", "555"),
            ("", "041441530", "041441530"),
            ("", "+41441530", "+41441530"),
            ("04a", "04a441530", "04a441530"),
            ("041", "", ""),
            ("041", "Anna", "Anna"),
        ] {
            assert_eq!(key(prefix, user), expected, "{prefix} {user}");
        }
    }
}
