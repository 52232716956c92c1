//! Services lines, as arednlink and OLSR write them, as far as they are about phones.
//!
//! Three forms, told apart line by line as in [`super::hosts`]: blocks after `##<mesh address>##`, one file for each node, and
//! OLSR's lines that end in `#<mesh address>` or `# my own service`. A line is `url|protocol|name`; the firmware's menu makes a
//! phone `http://HOST:0/|tcp|xNUMBER [phone]`, where HOST is the phone's name on the mesh.

use std::net::Ipv4Addr;

/// A phone that a node announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phone<'a> {
    /// Its number, digits only.
    pub number: &'a str,
    /// The host that carries it, as the line has it.
    pub host: &'a str,
    /// The node that announced it, if the file says so; if not, it is this node.
    pub node: Option<Ipv4Addr>,
}

/// Digits of a number: from the shortest that anybody dials on a mesh to the longest of E.164 with a prefix.
const DIGITS: std::ops::RangeInclusive<usize> = 2..=20;

/// The phones of a services file.
#[derive(Clone, Debug)]
pub struct Phones<'a> {
    rest: &'a [u8],
    block: Option<Ipv4Addr>,
}

impl<'a> Phones<'a> {
    /// Reads `contents`; `file` is the file's name, which in one of the forms is the node's address. A last line without an end
    /// is a piece of one and is not used.
    pub fn new(file: &str, contents: &'a [u8]) -> Self {
        let whole = contents.iter().rposition(|b| *b == b'\n').map_or(0, |end| end.saturating_add(1));
        Self { rest: contents.get(..whole).unwrap_or_default(), block: file.parse().ok() }
    }

    fn line(&mut self, line: &'a [u8]) -> Option<Phone<'a>> {
        let line = std::str::from_utf8(line).ok()?.trim();
        if let Some(node) = line.strip_prefix("##").and_then(|rest| rest.strip_suffix("##")) {
            self.block = node.parse().ok();
            return None;
        }
        let (url, rest) = line.split_once('|')?;
        let (_, rest) = rest.split_once('|')?;
        // OLSR puts the origin behind a tab; a name may hold a '#' of its own.
        let (name, origin) = rest.rsplit_once('\t').map_or((rest, ""), |(name, origin)| (name, origin.trim()));
        let name = name.trim_end().strip_suffix("[phone]")?;
        let (_, authority) = url.split_once("://")?;
        let host = authority.split(['/', ':']).next().filter(|host| super::dns::is_name(host))?;
        let number = name.split_ascii_whitespace().find_map(number).or_else(|| number(host))?;
        let node = origin.strip_prefix('#').and_then(|origin| origin.trim().parse().ok()).or(self.block);
        Some(Phone { number, host, node })
    }
}

impl<'a> Iterator for Phones<'a> {
    type Item = Phone<'a>;

    fn next(&mut self) -> Option<Phone<'a>> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|b| *b == b'\n').unwrap_or(self.rest.len());
            let (line, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(phone) = self.line(line) {
                return Some(phone);
            }
        }
        None
    }
}

/// `441530`, or `x441530` as the menu proposes it.
fn number(word: &str) -> Option<&str> {
    let digits = word.strip_prefix(['x', 'X']).unwrap_or(word);
    is_number(digits).then_some(digits)
}

/// Whether a name is the number of a phone.
pub fn is_number(name: &str) -> bool {
    DIGITS.contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, contents: &str) -> Vec<String> {
        let show = |phone: Phone<'_>| {
            let node = phone.node.map_or("-".to_owned(), |node| node.to_string());
            format!("{} {} {node}", phone.number, phone.host)
        };
        Phones::new(file, contents.as_bytes()).map(show).collect()
    }

    #[test]
    fn the_forms_of_each_firmware_say_the_same() {
        let sharded = "##10.51.55.233##\nhttp://HB9BLA-VM-1:80/cgi-bin/arednmon|tcp|AREDNmon [map]\n\
                       http://441530:0/|tcp|x441530 [phone]\n\n##10.36.200.4##\nhttp://HB9HFM-Yealink:0/|tcp|x196630 [phone]\n\n";
        let expected = ["441530 441530 10.51.55.233", "196630 HB9HFM-Yealink 10.36.200.4"];
        assert_eq!(read("3", sharded), expected);
        assert_eq!(read("10.36.200.4", "http://HB9HFM-Yealink:0/|tcp|x196630 [phone]\n"), expected[1..]);
        let olsr = "### this file is overwritten regularly by olsrd\n\
                    http://HB9BLA-hap-2:80/|tcp|Camera\t\t#10.67.12.9\n\
                    http://441530:0/|tcp|441530 HB9XYZ [phone]\t#10.51.55.233\n\
                    http://441531:0/|tcp|x441531 [phone]\t\t# my own service\n";
        assert_eq!(read("services_olsr", olsr), ["441530 441530 10.51.55.233", "441531 441531 -"]);
    }

    #[test]
    fn what_is_no_phone_is_left_out() {
        for line in [
            "",
            "|||",
            "http://441530:0/|tcp|x441530",
            "http://441530:0/|tcp|[phone] x441530",
            "http://a b:0/|tcp|x441530 [phone]",
            "http://a';reboot;':0/|tcp|x441530 [phone]",
            "441530|tcp|x441530 [phone]",
            "http://:0/|tcp|x441530 [phone]",
            "http://pbx:0/|tcp|Operator [phone]",
            "http://pbx:0/|tcp|x123456789012345678901 [phone]",
            "http://pbx:0/|tcp|x1 [phone]",
            "http://pbx:0/|tcp|44153٠ [phone]",
        ] {
            assert_eq!(read("3", &format!("{line}\n")), [] as [String; 0], "{line}");
        }
        assert_eq!(read("3", "http://441530:0/|tcp|Hans [phone]\n"), ["441530 441530 -"], "the host is the number");
        assert_eq!(read("3", "http://441530:0/|tcp|x441530 [phone]"), [] as [String; 0], "a piece of a line");
        assert_eq!(Phones::new("3", b"http://441530:0/|tcp|\xff [phone]\n").count(), 0);
    }
}
