//! Questions for IPv4 addresses and their answers (RFC 1035), as far as a stub resolver needs them.
//!
//! Deliberately not here: other types than A and CNAME, EDNS, TCP. An answer that does not fit a datagram is a failure;
//! eight addresses of one name do fit. Read RFC 1035 §4 first, RFC 2181 §5 and §8, RFC 5452 §9 for what makes an answer
//! ours.

use std::net::Ipv4Addr;

/// The addresses of one name, in the order in which the server gave them.
pub type Addresses = heapless::Vec<Ipv4Addr, 8>;

/// Records of one answer that are looked at.
const RECORDS: u16 = 64;
/// Pointers in one name; each of the up to 127 labels could have one, but nobody writes that.
const POINTERS: u8 = 32;
/// Steps of a chain of aliases.
const ALIASES: usize = 8;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const CLASS_IN: u16 = 1;
/// The largest question: header, name, type and class.
pub const QUESTION: usize = 12 + 255 + 4;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// At least one address, and how many seconds that holds.
    Addresses(Addresses, u32),
    /// There is no such name, or it has no IPv4 address.
    NoSuchName,
    /// The server could not say: its response code, or an answer too large for a datagram.
    Failed,
}

/// How a server repeated the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Letter by letter.
    Exact,
    /// With other letter case.
    Folded,
}

/// Why a datagram is no answer to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadReply {
    /// It ends within something.
    Short,
    /// It is a question, or of another operation.
    NotAReply,
    /// It answers another question.
    OtherQuestion,
    /// A name has a label of a reserved kind, points forward, or is too long.
    Name,
    /// A record is not as long as its type wants.
    Record,
}

/// Whether a text is a host name: labels of 1 to 63 letters, digits, hyphens and underscores, 253 characters in all.
pub fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Writes the question for the addresses of `name` and says how long it is; `None`: no name, or no room.
pub fn emit_question(id: u16, name: &str, out: &mut [u8]) -> Option<usize> {
    if !is_name(name) {
        return None;
    }
    let mut bytes: heapless::Vec<u8, QUESTION> = heapless::Vec::new();
    bytes.extend_from_slice(&id.to_be_bytes()).ok()?;
    // Recursion desired; one question.
    bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).ok()?).ok()?;
        bytes.extend_from_slice(label.as_bytes()).ok()?;
    }
    bytes.push(0).ok()?;
    bytes.extend_from_slice(&TYPE_A.to_be_bytes()).ok()?;
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes()).ok()?;
    out.get_mut(..bytes.len())?.copy_from_slice(&bytes);
    Some(bytes.len())
}

/// The number by which an answer names its question.
pub fn reply_id(datagram: &[u8]) -> Option<u16> {
    u16_at(datagram, 0).ok()
}

/// Reads the answer to the question for `name`, as that was sent.
pub fn parse_reply(datagram: &[u8], name: &str) -> Result<(Reply, Echo), BadReply> {
    let flags = u16_at(datagram, 2)?;
    // QR set, OPCODE 0.
    if flags & 0xf800 != 0x8000 {
        return Err(BadReply::NotAReply);
    }
    let (questions, answers) = (u16_at(datagram, 4)?, u16_at(datagram, 6)?);
    let (question, at) = name_at(datagram, 12)?;
    let asked = wire_name(name).ok_or(BadReply::OtherQuestion)?;
    let about = (u16_at(datagram, at)?, u16_at(datagram, at.saturating_add(2))?);
    if questions != 1 || about != (TYPE_A, CLASS_IN) || !question.eq_ignore_ascii_case(&asked) {
        return Err(BadReply::OtherQuestion);
    }
    let echo = if question == asked { Echo::Exact } else { Echo::Folded };
    let truncated = flags & 0x0200 != 0;
    let reply = match flags & 0x000f {
        _ if truncated => Reply::Failed,
        0 => follow(datagram, at.saturating_add(4), answers.min(RECORDS), asked)?,
        3 => Reply::NoSuchName,
        _ => Reply::Failed,
    };
    Ok((reply, echo))
}

/// A name as it stands on the wire, aliases and pointers resolved, without the final zero.
type Name = heapless::Vec<u8, 254>;

/// Follows the aliases of `name` through the answer section to its addresses (RFC 1034 §3.6.2).
fn follow(datagram: &[u8], answers: usize, count: u16, name: Name) -> Result<Reply, BadReply> {
    let (mut name, mut ttl) = (name, u32::MAX);
    for _ in 0..=ALIASES {
        let (mut addresses, mut alias) = (Addresses::new(), None);
        let mut at = answers;
        for _ in 0..count {
            let record = record_at(datagram, at)?;
            at = record.end;
            if record.class != CLASS_IN || !record.owner.eq_ignore_ascii_case(&name) {
                continue;
            }
            match record.kind {
                TYPE_A => {
                    let octets = datagram.get(record.data..record.end).and_then(|data| <[u8; 4]>::try_from(data).ok());
                    let address = Ipv4Addr::from(octets.ok_or(BadReply::Record)?);
                    let usable = !(address.is_unspecified() || address.is_multicast() || address.is_broadcast());
                    if usable && !addresses.contains(&address) {
                        // Nobody needs a ninth.
                        let _ = addresses.push(address);
                    }
                    ttl = ttl.min(record.ttl);
                }
                TYPE_CNAME => {
                    let (target, end) = name_at(datagram, record.data)?;
                    if end != record.end {
                        return Err(BadReply::Record);
                    }
                    ttl = ttl.min(record.ttl);
                    alias = Some(target);
                }
                _ => {}
            }
        }
        match alias {
            _ if !addresses.is_empty() => return Ok(Reply::Addresses(addresses, ttl)),
            Some(target) => name = target,
            None => return Ok(Reply::NoSuchName),
        }
    }
    // A chain that is longer than any real one, or a circle.
    Ok(Reply::Failed)
}

struct Record {
    owner: Name,
    kind: u16,
    class: u16,
    ttl: u32,
    /// Where its data begins, and where it ends.
    data: usize,
    end: usize,
}

fn record_at(datagram: &[u8], at: usize) -> Result<Record, BadReply> {
    let (owner, at) = name_at(datagram, at)?;
    let field = |offset: usize| u16_at(datagram, at.saturating_add(offset));
    let (kind, class) = (field(0)?, field(2)?);
    let ttl = (u32::from(field(4)?) << 16) | u32::from(field(6)?);
    // RFC 2181 §8: the topmost bit set is zero.
    let ttl = if ttl >> 31 == 0 { ttl } else { 0 };
    let data = at.saturating_add(10);
    let end = data.saturating_add(usize::from(field(8)?));
    if end > datagram.len() {
        return Err(BadReply::Short);
    }
    Ok(Record { owner, kind, class, ttl, data, end })
}

/// The name that begins at `start`, and where what follows it begins (RFC 1035 §4.1.4).
fn name_at(datagram: &[u8], start: usize) -> Result<(Name, usize), BadReply> {
    let mut name = Name::new();
    let (mut at, mut after) = (start, None);
    // Every pointer must lead to before the place where the name, or the part of it that had pointed, began: so there is
    // no circle. Their number is bounded because a datagram has room for a chain of 30 000.
    let (mut floor, mut pointers) = (start, 0_u8);
    loop {
        let length = *datagram.get(at).ok_or(BadReply::Short)?;
        let next = at.saturating_add(1);
        match length {
            0 => return Ok((name, after.unwrap_or(next))),
            1..=63 => {
                let end = next.saturating_add(usize::from(length));
                let label = datagram.get(at..end).ok_or(BadReply::Short)?;
                name.extend_from_slice(label).map_err(|()| BadReply::Name)?;
                at = end;
            }
            0xc0.. => {
                let target = usize::from(u16_at(datagram, at)? & 0x3fff);
                pointers = pointers.saturating_add(1);
                if target >= floor || pointers > POINTERS {
                    return Err(BadReply::Name);
                }
                after = after.or(Some(next.saturating_add(1)));
                (at, floor) = (target, target);
            }
            _ => return Err(BadReply::Name),
        }
    }
}

/// A host name as [`name_at`] gives it.
fn wire_name(name: &str) -> Option<Name> {
    let mut wire = Name::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).ok()?).ok()?;
        wire.extend_from_slice(label.as_bytes()).ok()?;
    }
    Some(wire)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, BadReply> {
    let pair = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(BadReply::Short)?;
    Ok(u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "441530.Local.mesh";

    /// An answer to the question for [`NAME`] with these flags and this answer section.
    fn reply(flags: u16, count: u16, records: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        let length = emit_question(7, NAME, &mut bytes).unwrap();
        bytes.truncate(length);
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(records);
        bytes
    }

    fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = owner.to_vec();
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        bytes.extend_from_slice(&ttl.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    /// A pointer to the name in the question.
    const ASKED: &[u8] = &[0xc0, 12];
    /// A pointer to `local.mesh` in it, behind a label.
    const OTHER: &[u8] = b"\x05other\xc0\x13";

    fn addresses(list: &[[u8; 4]], ttl: u32) -> Result<Reply, BadReply> {
        Ok(Reply::Addresses(list.iter().map(|octets| Ipv4Addr::from(*octets)).collect(), ttl))
    }

    #[test]
    fn names_are_checked_before_they_are_asked_for() {
        let label = "x".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
        for name in ["a", "441530.local.mesh", "HB9-x_1.local.mesh", &longest] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", ".", "a.", ".a", "a..b", "a b", "ä", "a/b", "*.a", "a\0", &format!("{label}x"), &format!("{longest}x")]
        {
            assert!(!is_name(name), "{name}");
            assert_eq!(emit_question(1, name, &mut [0; 512]), None);
        }
        assert_eq!(emit_question(1, &longest, &mut [0; QUESTION]), Some(QUESTION));
        assert_eq!(emit_question(1, &longest, &mut [0; QUESTION - 1]), None);
    }

    #[test]
    fn a_question_stands_as_rfc_1035_draws_it() {
        let mut bytes = [0; 64];
        let length = emit_question(0x1234, "ab.c", &mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02ab\x01c\0\0\x01\0\x01");
    }

    #[test]
    fn answers_are_read() {
        let cname = |owner: &[u8], target: &[u8], ttl| record(owner, TYPE_CNAME, ttl, target);
        let a = |owner: &[u8], ttl, last| record(owner, TYPE_A, ttl, &[10, 0, 0, last]);
        let own: &[u8] = b"\x06441530\x05lOcAl\x04mesh\0";
        for (text, records, expected) in [
            ("one", vec![a(ASKED, 60, 1)], addresses(&[[10, 0, 0, 1]], 60)),
            ("written out, other case", vec![a(own, 60, 1)], addresses(&[[10, 0, 0, 1]], 60)),
            (
                "two, one twice",
                vec![a(ASKED, 60, 1), a(ASKED, 9, 2), a(ASKED, 60, 1)],
                addresses(&[[10, 0, 0, 1], [10, 0, 0, 2]], 9),
            ),
            ("alias", vec![cname(ASKED, OTHER, 5), a(OTHER, 60, 1)], addresses(&[[10, 0, 0, 1]], 5)),
            (
                "alias after its address",
                vec![a(OTHER, 60, 1), cname(ASKED, OTHER, 80)],
                addresses(&[[10, 0, 0, 1]], 60),
            ),
            ("somebody else's", vec![a(OTHER, 60, 1)], Ok(Reply::NoSuchName)),
            ("no records", vec![], Ok(Reply::NoSuchName)),
            ("circle", vec![cname(ASKED, OTHER, 5), cname(OTHER, own, 5)], Ok(Reply::Failed)),
            ("other type", vec![record(ASKED, 28, 60, &[0; 16]), a(ASKED, 60, 1)], addresses(&[[10, 0, 0, 1]], 60)),
            ("nobody's address", vec![record(ASKED, TYPE_A, 60, &[0; 4])], Ok(Reply::NoSuchName)),
            ("huge ttl", vec![a(ASKED, 1 << 31, 1)], addresses(&[[10, 0, 0, 1]], 0)),
            ("short address", vec![record(ASKED, TYPE_A, 60, &[10, 0, 0])], Err(BadReply::Record)),
            ("alias with more", vec![cname(ASKED, b"\xc0\x0c!", 60)], Err(BadReply::Record)),
            ("pointer to itself", vec![a(&[0xc0, 35], 60, 1)], Err(BadReply::Name)),
            ("pointer forward", vec![a(&[0xc0, 99], 60, 1)], Err(BadReply::Name)),
            ("reserved label", vec![a(&[0x40, 0], 60, 1)], Err(BadReply::Name)),
            ("cut", vec![a(ASKED, 60, 1)[..10].to_vec()], Err(BadReply::Short)),
        ] {
            let bytes = reply(0x8180, u16::try_from(records.len()).unwrap(), &records.concat());
            assert_eq!(parse_reply(&bytes, NAME).map(|(reply, _)| reply), expected, "{text}");
        }
    }

    #[test]
    fn only_an_answer_to_our_question_counts() {
        let good = record(ASKED, TYPE_A, 60, &[10, 0, 0, 1]);
        let bytes = reply(0x8180, 1, &good);
        assert_eq!(reply_id(&bytes), Some(7));
        assert_eq!(parse_reply(&bytes, NAME).unwrap().1, Echo::Exact);
        assert_eq!(parse_reply(&bytes, "441530.lOcal.mesh").unwrap().1, Echo::Folded);
        for other in ["441531.local.mesh", "441530.local.mes", "441530.local.mesh.x", "441530", ""] {
            assert_eq!(parse_reply(&bytes, other), Err(BadReply::OtherQuestion), "{other}");
        }
        let mut two = bytes.clone();
        two[5] = 2;
        assert_eq!(parse_reply(&two, NAME), Err(BadReply::OtherQuestion));
        for (flags, expected) in [
            (0x0100, Err(BadReply::NotAReply)),
            (0x8980, Err(BadReply::NotAReply)),
            (0x8380, Ok(Reply::Failed)),
            (0x8182, Ok(Reply::Failed)),
            (0x8185, Ok(Reply::Failed)),
            (0x8183, Ok(Reply::NoSuchName)),
        ] {
            let got = parse_reply(&reply(flags, 1, &good), NAME).map(|(reply, _)| reply);
            assert_eq!(got, expected, "{flags:04x}");
        }
        for end in 0..bytes.len() {
            assert!(parse_reply(&bytes[..end], NAME).is_err(), "{end}");
        }
    }

    #[test]
    fn a_name_made_of_pointers_ends() {
        for (count, expected) in [(32, Ok(())), (33, Err(BadReply::Name))] {
            // Each points to the one before.
            let mut bytes = reply(0x8180, 1, &[]);
            let first = bytes.len();
            for step in 0..count {
                let target = if step == 0 { 12 } else { first + 2 * (step - 1) };
                bytes.extend_from_slice(&(0xc000 | u16::try_from(target).unwrap()).to_be_bytes());
            }
            let expected = expected.map(|()| (wire_name(NAME).unwrap(), bytes.len()));
            assert_eq!(name_at(&bytes, bytes.len() - 2), expected);
        }
        // A label that repeats itself by pointers to before it grows until it is too long for a name.
        let long: Vec<u8> = (0..20).flat_map(|_| [&[63_u8][..], &[b'x'; 63]].concat()).collect();
        assert_eq!(name_at(&long, 0), Err(BadReply::Name));
    }
}
