//! ICMP echo, and the two errors that answer it on the way (RFC 792), without the IP header in front.
//!
//! Deliberately not here: every other type ([`Message::Other`]), IPv6, the extensions of RFC 4884, which stand behind what is
//! read. An error is only understood if what it quotes is an echo request of IPv4, whole and not a later fragment: nothing else
//! was sent from here. Read RFC 792, RFC 1122 §3.2.2 and RFC 1812 §4.3.2 first.

use std::net::Ipv4Addr;

/// Bytes before the payload of an echo, and before the quote of an error.
pub const HEADER: usize = 8;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
/// The number of ICMP in an IP header.
const ICMP: u8 = 1;

/// An echo, asked or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Whose it is.
    pub identifier: u16,
    /// Which of them.
    pub sequence: u16,
    /// What is to be repeated.
    pub payload: &'a [u8],
}

/// The echo request that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// From whom.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// As in [`Echo`].
    pub identifier: u16,
    /// As in [`Echo`].
    pub sequence: u16,
}

/// A message that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Somebody wants an answer.
    Request(Echo<'a>),
    /// The answer.
    Reply(Echo<'a>),
    /// A router took the last hop off.
    TimeExceeded(Quote),
    /// A router or the host itself says that it does not go on, with the code of RFC 792.
    Unreachable(u8, Quote),
    /// Another type, or another code of a known one.
    Other(u8),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadIcmp {
    /// It ends within its header.
    Short,
    /// The sum over all of it is wrong.
    Checksum,
    /// What it quotes ends too early.
    QuoteShort,
    /// What it quotes is not IPv4, or the length of its header is none.
    QuoteHeader,
    /// What it quotes is no echo request, or a later fragment of one.
    QuoteOther,
}

/// Reads a message as a raw socket gives it, behind the IP header.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, BadIcmp> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(BadIcmp::Short)?;
    if sum(bytes) != 0xffff {
        return Err(BadIcmp::Checksum);
    }
    let [kind, code, _, _, a, b, c, d] = *header;
    let echo = Echo { identifier: u16::from_be_bytes([a, b]), sequence: u16::from_be_bytes([c, d]), payload: rest };
    Ok(match (kind, code) {
        (ECHO_REQUEST, 0) => Message::Request(echo),
        (ECHO_REPLY, 0) => Message::Reply(echo),
        (TIME_EXCEEDED, 0) => Message::TimeExceeded(quote(rest)?),
        (UNREACHABLE, code) => Message::Unreachable(code, quote(rest)?),
        (kind, _) => Message::Other(kind),
    })
}

/// The echo request that an error quotes: its IP header with any options, and the first eight bytes behind it.
fn quote(bytes: &[u8]) -> Result<Quote, BadIcmp> {
    let fixed = bytes.first_chunk::<20>().ok_or(BadIcmp::QuoteShort)?;
    let [first, _, _, _, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    let words = usize::from(first & 0x0f);
    if first >> 4 != 4 || words < 5 {
        return Err(BadIcmp::QuoteHeader);
    }
    let offset = u16::from_be_bytes([f0, f1]) & 0x1fff;
    if protocol != ICMP || offset != 0 {
        return Err(BadIcmp::QuoteOther);
    }
    let inner = bytes.get(words.saturating_mul(4)..).ok_or(BadIcmp::QuoteShort)?;
    let (identifier, sequence) = quoted_echo(inner)?;
    let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    Ok(Quote { source, destination, identifier, sequence })
}

/// Identifier and sequence of the echo request whose first bytes these are. An unprivileged ICMP socket gives its errors
/// so, with the addresses beside them.
pub fn quoted_echo(bytes: &[u8]) -> Result<(u16, u16), BadIcmp> {
    let [kind, code, _, _, a, b, c, d] = *bytes.first_chunk::<HEADER>().ok_or(BadIcmp::QuoteShort)?;
    if (kind, code) != (ECHO_REQUEST, 0) {
        return Err(BadIcmp::QuoteOther);
    }
    Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Writes an echo request and says how long it is; `None`: no room.
pub fn emit_request(echo: &Echo<'_>, out: &mut [u8]) -> Option<usize> {
    emit_echo(ECHO_REQUEST, echo, out)
}

/// Writes the answer to an echo request and says how long it is; `None`: no room.
pub fn emit_reply(echo: &Echo<'_>, out: &mut [u8]) -> Option<usize> {
    emit_echo(ECHO_REPLY, echo, out)
}

/// Writes the error of a router at which the last hop was taken off `quote`, and says how long it is; `None`: no room.
pub fn emit_time_exceeded(quote: &Quote, out: &mut [u8]) -> Option<usize> {
    emit_error(TIME_EXCEEDED, 0, quote, out)
}

/// Writes the error of one who cannot deliver `quote`, with the code of RFC 792, and says how long it is; `None`: no room.
pub fn emit_unreachable(code: u8, quote: &Quote, out: &mut [u8]) -> Option<usize> {
    emit_error(UNREACHABLE, code, quote, out)
}

fn emit_echo(kind: u8, echo: &Echo<'_>, out: &mut [u8]) -> Option<usize> {
    let ([i0, i1], [s0, s1]) = (echo.identifier.to_be_bytes(), echo.sequence.to_be_bytes());
    emit([kind, 0, 0, 0, i0, i1, s0, s1], echo.payload, out)
}

fn emit_error(kind: u8, code: u8, quote: &Quote, out: &mut [u8]) -> Option<usize> {
    let ([i0, i1], [q0, q1]) = (quote.identifier.to_be_bytes(), quote.sequence.to_be_bytes());
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (quote.source.octets(), quote.destination.octets());
    // A header of 20 bytes, 28 in all; its own sum is nothing that anybody looks at in a quote.
    let quoted = [
        0x45,
        0,
        0,
        28,
        0,
        0,
        0,
        0,
        1,
        ICMP,
        0,
        0,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
        ECHO_REQUEST,
        0,
        0,
        0,
        i0,
        i1,
        q0,
        q1,
    ];
    emit([kind, code, 0, 0, 0, 0, 0, 0], &quoted, out)
}

fn emit(header: [u8; HEADER], rest: &[u8], out: &mut [u8]) -> Option<usize> {
    let length = HEADER.checked_add(rest.len())?;
    let out = out.get_mut(..length)?;
    let (head, tail) = out.split_first_chunk_mut::<HEADER>()?;
    *head = header;
    tail.copy_from_slice(rest);
    let [high, low] = (!sum(out)).to_be_bytes();
    if let [_, _, c0, c1, ..] = out {
        (*c0, *c1) = (high, low);
    }
    Some(length)
}

/// The one's complement sum of RFC 1071; 0xffff over a message that carries its checksum.
fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0_u64;
    let mut words = bytes.chunks_exact(2);
    for word in &mut words {
        if let [high, low] = *word {
            total = total.wrapping_add(u64::from(u16::from_be_bytes([high, low])));
        }
    }
    if let [last] = *words.remainder() {
        total = total.wrapping_add(u64::from(u16::from_be_bytes([last, 0])));
    }
    while let high @ 1.. = total >> 16 {
        total = (total & 0xffff).wrapping_add(high);
    }
    u16::try_from(total).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTE: Quote = Quote {
        source: Ipv4Addr::new(10, 0, 0, 1),
        destination: Ipv4Addr::new(10, 33, 14, 154),
        identifier: 0xbeef,
        sequence: 258,
    };

    fn written(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
        let mut out = vec![0xaa; 600];
        let length = write(&mut out).unwrap();
        out.truncate(length);
        out
    }

    #[test]
    fn an_echo_is_written_as_the_system_writes_it() {
        // `ping -c1 -p 61 -s 3`, id 1, sequence 2.
        let bytes = written(|out| emit_request(&Echo { identifier: 1, sequence: 2, payload: b"aaa" }, out));
        assert_eq!(bytes, [8, 0, 0x35, 0x9b, 0, 1, 0, 2, 0x61, 0x61, 0x61]);
    }

    #[test]
    fn what_is_written_reads_back() {
        for payload in [&b""[..], b"a", b"ab", &[0xff; 500]] {
            let echo = Echo { identifier: 0xffff, sequence: 0, payload };
            assert_eq!(parse(&written(|out| emit_request(&echo, out))), Ok(Message::Request(echo)));
            assert_eq!(parse(&written(|out| emit_reply(&echo, out))), Ok(Message::Reply(echo)));
        }
        assert_eq!(parse(&written(|out| emit_time_exceeded(&QUOTE, out))), Ok(Message::TimeExceeded(QUOTE)));
        assert_eq!(parse(&written(|out| emit_unreachable(1, &QUOTE, out))), Ok(Message::Unreachable(1, QUOTE)));
        assert_eq!(emit_request(&Echo { identifier: 1, sequence: 2, payload: b"aaa" }, &mut [0; 10]), None);
        assert_eq!(emit_time_exceeded(&QUOTE, &mut [0; 35]), None);
    }

    /// An error with these bytes behind its header, and the right sum.
    fn error(quoted: &[u8]) -> Vec<u8> {
        written(|out| emit([TIME_EXCEEDED, 0, 0, 0, 0, 0, 0, 0], quoted, out))
    }

    #[test]
    fn a_quote_is_read_strictly() {
        let whole = written(|out| emit_time_exceeded(&QUOTE, out));
        let quoted = &whole[HEADER..];
        let with = |place: usize, value: u8| {
            let mut changed = quoted.to_vec();
            changed[place] = value;
            error(&changed)
        };
        for length in 0..quoted.len() {
            assert_eq!(parse(&error(&quoted[..length])), Err(BadIcmp::QuoteShort), "{length}");
        }
        for (bytes, expected) in [
            (with(0, 0x65), BadIcmp::QuoteHeader),
            (with(0, 0x44), BadIcmp::QuoteHeader),
            (with(0, 0x46), BadIcmp::QuoteShort),
            (with(0, 0x4f), BadIcmp::QuoteShort),
            (with(9, 17), BadIcmp::QuoteOther),
            (with(7, 1), BadIcmp::QuoteOther),
            (with(20, 0), BadIcmp::QuoteOther),
            (with(21, 1), BadIcmp::QuoteOther),
        ] {
            assert_eq!(parse(&bytes), Err(expected), "{bytes:?}");
        }
        // More fragments of the same may follow; other bytes of the header say nothing to us.
        for (place, value) in [(1, 0xb8), (6, 0x20), (8, 0), (10, 7)] {
            assert_eq!(parse(&with(place, value)), Ok(Message::TimeExceeded(QUOTE)));
        }
    }

    #[test]
    fn options_and_what_lies_behind_the_quote_are_passed_over() {
        let whole = written(|out| emit_time_exceeded(&QUOTE, out));
        let quoted = &whole[HEADER..];
        let mut long = quoted[..20].to_vec();
        long[0] = 0x47;
        long.extend([7, 7, 4, 10, 0, 0, 1, 0]);
        long.extend(&quoted[20..]);
        long.extend([0x20; 100]);
        assert_eq!(parse(&error(&long)), Ok(Message::TimeExceeded(QUOTE)));
    }

    #[test]
    fn what_is_damaged_or_of_another_kind_is_told_apart() {
        let echo = Echo { identifier: 1, sequence: 2, payload: b"abc" };
        let whole = written(|out| emit_reply(&echo, out));
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(parse(&damaged), Err(BadIcmp::Checksum), "byte {place}, bit {bit}");
            }
        }
        for length in 0..HEADER {
            assert_eq!(parse(&whole[..length]), Err(BadIcmp::Short));
        }
        for kind in [4, 5, 9, 10, 12, 13, 17, 255] {
            assert_eq!(parse(&written(|out| emit([kind, 0, 0, 0, 1, 2, 3, 4], b"", out))), Ok(Message::Other(kind)));
        }
        // Reassembly that took too long is no hop.
        assert_eq!(parse(&written(|out| emit([TIME_EXCEEDED, 1, 0, 0, 0, 0, 0, 0], b"", out))), Ok(Message::Other(11)));
    }

    #[test]
    fn the_sum_of_the_largest_message_does_not_overflow() {
        assert_eq!(sum(&[0xff; 65_507]), !0xff);
        assert_eq!(sum(&[]), 0);
    }
}
