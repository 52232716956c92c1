//! Host files, as arednlink and OLSR write them: lines of address and name, grouped by the node that announced them.
//!
//! Three forms, told apart line by line:
//!
//! * arednlink since 4.26.7: blocks, each after a line `##<mesh address of the node>##`;
//! * arednlink before: one file for each node, named by the node's mesh address, no blocks;
//! * OLSR: `address<TAB>name<TAB># origin`, where origin is the node's address or `myself`.
//!
//! The files are truncated and written in place, so a reader may see the beginning of one. All writers end each line,
//! so a last line without an end is a piece of one and is not used: `10.98.96.74<TAB>4415` could be another phone.

use std::net::Ipv4Addr;

/// One line of a host file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The address; one that a phone or a node can have.
    pub address: Ipv4Addr,
    /// The name as written: labels of letters, digits, hyphen and underscore, the first may be `*`; no final dot.
    pub name: &'a str,
    /// The node that announced it, if the file says so.
    pub node: Option<Ipv4Addr>,
}

/// The usable lines of a host file, and how many others there were.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    block: Option<Ipv4Addr>,
    malformed: usize,
}

impl<'a> Lines<'a> {
    /// Reads `contents`; `file` is the file's name, which in one of the forms is the node's address.
    pub fn new(file: &str, contents: &'a [u8]) -> Self {
        let whole = contents.iter().rposition(|b| *b == b'\n').map_or(0, |end| end.saturating_add(1));
        Self { rest: contents.get(..whole).unwrap_or_default(), block: file.parse().ok(), malformed: 0 }
    }

    /// Lines so far that were neither empty nor comments nor usable.
    pub fn malformed(&self) -> usize {
        self.malformed
    }

    fn line(&mut self, line: &'a [u8]) -> Option<Line<'a>> {
        let line = std::str::from_utf8(line).unwrap_or("?").trim_matches([' ', '\t', '\r']);
        if let Some(node) = line.strip_prefix("##").and_then(|rest| rest.strip_suffix("##")) {
            self.block = node.parse().ok();
            return None;
        }
        let (entry, comment) = line.split_once('#').unwrap_or((line, ""));
        let mut words = entry.split_ascii_whitespace();
        let (address, name) = (words.next()?, words.next());
        let address = address.parse().ok().filter(|address| is_host(*address));
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name)).filter(|name| is_name(name));
        let (Some(address), Some(name)) = (address, name) else {
            self.malformed = self.malformed.saturating_add(1);
            return None;
        };
        let node = comment.trim().parse().ok().or(self.block);
        Some(Line { address, name, node })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|b| *b == b'\n').unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(line) = self.line(line) {
                return Some(line);
            }
        }
        None
    }
}

/// An address that something other than this machine can have.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address == Ipv4Addr::LOCALHOST || address.is_multicast() || address.is_broadcast())
}

/// A host name, or a wildcard below one. `*` alone would catch every name there is.
fn is_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    super::dns::is_name(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, contents: &str) -> (Vec<String>, usize) {
        let mut lines = Lines::new(file, contents.as_bytes());
        let all = lines
            .by_ref()
            .map(|line| {
                let node = line.node.map_or("-".to_owned(), |node| node.to_string());
                format!("{} {} {node}", line.address, line.name)
            })
            .collect();
        (all, lines.malformed())
    }

    #[test]
    fn blocks_belong_to_their_node() {
        let text =
            "##10.0.0.1##\n10.1.0.2\t441530\n\n##10.0.0.2##\n10.2.0.2\tlan.X.local.mesh\n\n##broken##\n10.3.0.2\ty\n";
        let expected = ["10.1.0.2 441530 10.0.0.1", "10.2.0.2 lan.X.local.mesh 10.0.0.2", "10.3.0.2 y -"];
        assert_eq!(read("3", text), (expected.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn a_file_may_belong_to_a_node() {
        assert_eq!(read("10.0.0.1", "10.1.0.2\t441530\n\n"), (vec!["10.1.0.2 441530 10.0.0.1".to_owned()], 0));
    }

    #[test]
    fn a_line_may_say_its_origin() {
        let text = "### this /etc/hosts file is overwritten regularly by olsrd\n10.1.0.2\t441530\t# 10.0.0.1\n\
                    10.1.0.3\t441531\t# myself\n10.1.0.4\tmid1.X\t# mid #1\r\n";
        let expected = ["10.1.0.2 441530 10.0.0.1", "10.1.0.3 441531 -", "10.1.0.4 mid1.X -"];
        assert_eq!(read("hosts_olsr", text), (expected.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn a_piece_of_a_line_is_not_used() {
        let text = "10.0.0.1\ta\n10.98.96.74\t441531\n";
        for end in 0..text.len() {
            let expected = if end > 10 { vec!["10.0.0.1 a -".to_owned()] } else { Vec::new() };
            assert_eq!(read("3", &text[..end]), (expected, 0), "{end}");
        }
        assert_eq!(read("3", text).0.len(), 2);
    }

    #[test]
    fn what_no_phone_can_have_is_left_out_and_counted() {
        for line in [
            "127.0.0.1\tlocalhost",
            "0.0.0.0\tx",
            "224.0.0.1\tx",
            "255.255.255.255\tx",
            "::1\tx",
            "10.0.0.1",
            "10.0.0\tx",
            "10.0.0.1\t*",
            "10.0.0.1\t*.*.x",
            "10.0.0.1\tx/../y",
            "10.0.0.1\tä",
            "10.0.0.1\t..",
            "10.0.0.1\t.",
            "x 10.0.0.1",
        ] {
            assert_eq!(read("3", &format!("{line}\n")), (Vec::new(), 1), "{line}");
        }
        assert_eq!(read("3", "10.0.0.1 *.x.local.mesh.\n"), (vec!["10.0.0.1 *.x.local.mesh -".to_owned()], 0));
        let mut lines = Lines::new("3", b"10.0.0.1\t\xff\n##\xff##\n");
        assert_eq!((lines.next(), lines.malformed()), (None, 2));
    }
}
