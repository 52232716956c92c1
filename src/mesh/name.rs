//! What a node is called: one name for all its interfaces, and what may be done with a name that came from the network.
//!
//! A name is data. It is compared, shown by writers that escape it, and fetched from only if [`may_be_fetched`] says so.

/// The longest name that is remembered (RFC 1035 §2.3.4: a label).
pub const LONGEST: usize = 63;

/// The one name of a node, from a name of any of its interfaces: lower case, without the domain, without `dtdlink.`, `mid1.`,
/// `xlink0.`, `lan.` or `supernode.` in front. `None`: nothing that could be a name.
pub fn canonical(name: &str, domain: &str) -> Option<String> {
    split(name, domain).map(|(_, name)| name)
}

/// The same with what stood in front, empty if nothing did.
pub fn split(name: &str, domain: &str) -> Option<(String, String)> {
    // Some nodes pass on what nslookup printed, several lines of it, or a name that has lost what stood before the dot.
    let word = name.trim_start().split(|c: char| c.is_ascii_whitespace() || c.is_ascii_control()).next()?;
    let mut name = word.trim_matches('.').to_ascii_lowercase();
    if let Some(host) = name.strip_suffix(domain).and_then(|host| host.strip_suffix('.')) {
        name.truncate(host.len());
    }
    let (prefix, bare) = name.split_once('.').filter(|(prefix, _)| is_interface(prefix)).unwrap_or(("", &name));
    ((1..=LONGEST).contains(&bare.len())).then(|| (prefix.to_owned(), bare.to_owned()))
}

/// Whether a node calls one of its interfaces by this prefix.
fn is_interface(prefix: &str) -> bool {
    let numbered = |word: &str| {
        prefix.strip_prefix(word).is_some_and(|number| number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(prefix, "dtdlink" | "lan" | "supernode") || numbered("mid") || numbered("xlink")
}

/// Whether a name is the start of a host name below the domain: labels of letters, digits and hyphens, and nothing else that a
/// URL, a shell or a page could take for something of its own.
pub fn may_be_fetched(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= LONGEST && name.split('.').all(label)
}

/// Whether `name` is as `pattern` says; `*` is any text, `?` any character. Both in lower case.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on if what follows the last star does not fit: one character further.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    (p, n) = (at + 1, from + 1);
                    star = Some((at, n));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_name() {
        for (name, expected) in [
            ("HB9BLA-VM-1", Some("hb9bla-vm-1")),
            ("dtdlink.HB9BLA-VM-1.local.mesh", Some("hb9bla-vm-1")),
            ("HB9BLA-VM-1.LOCAL.MESH.", Some("hb9bla-vm-1")),
            ("mid12.HB9BLA-VM-1", Some("hb9bla-vm-1")),
            ("xlink0.a.local.mesh", Some("a")),
            ("supernode.a", Some("a")),
            ("lan.lan.a", Some("lan.a")),
            ("midway.a", Some("midway.a")),
            ("middle", Some("middle")),
            ("mid1", Some("mid1")),
            (" a \n", Some("a")),
            ("", None),
            (".", None),
            ("local.mesh", Some("local.mesh")),
            (".local.mesh", Some("local.mesh")),
            ("HB9X\n143.78.27.10.in-addr.arpa\tname = HB9X", Some("hb9x")),
            (".HB9X-TUN", Some("hb9x-tun")),
            ("\u{0}", None),
            ("hb';reboot;'", Some("hb';reboot;'")),
        ] {
            assert_eq!(canonical(name, "local.mesh").as_deref(), expected, "{name:?}");
        }
        assert_eq!(canonical(&"a".repeat(63), "local.mesh").map(|name| name.len()), Some(63));
        assert_eq!(canonical(&"a".repeat(64), "local.mesh"), None);
    }

    #[test]
    fn only_plain_names_are_fetched() {
        for name in ["hb9bla-vm-1", "a.b", "7"] {
            assert!(may_be_fetched(name), "{name}");
        }
        for name in [
            "", ".", "a..b", "a.", "-a", "a_b", "a/b", "a b", "a%20b", "a:80", "a@b", "a?b", "a#b", "ä", "a'b", "a;b",
            "a\r\nb",
        ] {
            assert!(!may_be_fetched(name), "{name:?}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("hb*", "hb9bla", true),
            ("hb*", "dl1abc", false),
            ("hb*", "hb", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("h?9*-vm-?", "hb9bla-vm-1", true),
            ("*-supernode", "a-supernode-supernode", true),
            ("*a*b", "aab", true),
            ("*a*b", "aabc", false),
            ("a*", "ba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(30), &"a".repeat(29)), "and it ends");
    }
}
