//! The best of several final answers: RFC 3261 §16.7 steps 5 to 7.
//!
//! 2xx are not weighed here: they go to the caller as they come.

use crate::sip::transaction::store::Claim;
use crate::wire::sip::Message;

/// A final answer other than 2xx, kept until all branches have theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// 300 to 699.
    pub status: u16,
    /// As it will go to the caller, without our Via. Empty: there is no such message, the answer is to be made here.
    pub bytes: Box<[u8]>,
}

/// Header fields of a challenge, which are collected from all branches (§16.7 step 7).
const CHALLENGES: [&str; 2] = ["WWW-Authenticate", "Proxy-Authenticate"];

impl Best {
    /// An answer of our own: 408 for silence, 503 for a phone that the network does not reach, 487.
    pub fn made_here(status: u16) -> Self {
        Self { status, bytes: Box::default() }
    }

    /// The better of two, `self` being the earlier one. If both are challenges, the better one carries those of both.
    pub fn or(self, other: Self, other_message: Option<&Message<'_>>) -> Self {
        let other_is_better = rank(other.status) < rank(self.status);
        if is_challenge(self.status) && is_challenge(other.status) && !other_is_better {
            let lines = other_message.map(challenges).unwrap_or_default();
            return Self { status: self.status, bytes: with_lines(&self.bytes, &lines) };
        }
        if other_is_better { other } else { self }
    }

    /// Whether no other answer can be better (§16.7 step 6): a 6xx.
    pub fn is_decisive(&self) -> bool {
        self.status >= 600
    }

    /// Memory that it holds.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What the caller is told. A 503 is about the server that sent it; passed on, it would say that we are overloaded
    /// (§16.7 step 6).
    pub fn status_for_caller(&self) -> u16 {
        if self.status == 503 { 500 } else { self.status }
    }
}

/// How new business is told from what belongs to a call: by a To tag.
pub fn claim(to_tag: Option<&[u8]>) -> Claim {
    if to_tag.is_some() { Claim::Established } else { Claim::New }
}

/// §16.7 step 6: 6xx first, then the lowest class; within 4xx those that tell the caller what to do, then those that
/// say most about the callee. The RFC leaves the rest open.
fn rank(status: u16) -> u16 {
    let class = match status {
        600.. => 0,
        300..=399 => 100,
        400..=499 => 200,
        _ => 300,
    };
    let within = match status {
        401 | 407 => 0,
        415 | 420 | 484 => 1,
        486 => 2,
        480 => 4,
        404 | 410 | 604 => 5,
        408 => 6,
        481 => 7,
        // Only a branch that we gave up says so, or a caller who hung up; then there is nothing else.
        487 => 8,
        503 => 9,
        _ => 3,
    };
    class + within
}

fn is_challenge(status: u16) -> bool {
    matches!(status, 401 | 407)
}

fn challenges(message: &Message<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for name in CHALLENGES {
        for value in message.others(name) {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}

/// The end of the start line, behind its line break.
fn start_line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

fn with_lines(bytes: &[u8], lines: &[u8]) -> Box<[u8]> {
    let (start, rest) = bytes.split_at(start_line_end(bytes));
    if start.is_empty() { bytes.into() } else { [start, lines, rest].concat().into() }
}

/// Appends `bytes` with another status to `out`.
pub fn with_status(bytes: &[u8], status: u16, out: &mut Vec<u8>) {
    let (_, rest) = bytes.split_at(start_line_end(bytes));
    out.extend_from_slice(format!("SIP/2.0 {status} {}\r\n", reason(status)).as_bytes());
    out.extend_from_slice(rest);
}

/// The reason phrases of the answers that are made here (RFC 3261 §21).
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        487 => "Request Terminated",
        489 => "Bad Event",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(statuses: &[u16]) -> u16 {
        let mut all = statuses.iter().map(|status| Best::made_here(*status));
        let first = all.next().unwrap();
        all.fold(first, |best, next| best.or(next, None)).status
    }

    #[test]
    fn the_best_answer_is_that_of_16_7() {
        for (answers, expected) in [
            (&[486, 404][..], 486),
            (&[404, 486], 486),
            (&[408, 404], 404),
            (&[503, 408], 408),
            (&[500, 302, 486], 302),
            (&[486, 603, 302], 603),
            (&[486, 407], 407),
            (&[480, 484], 484),
            (&[487, 408], 408),
            (&[503, 500], 500),
            (&[486], 486),
        ] {
            assert_eq!(best(answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn the_first_of_equals_stays() {
        let first = Best { status: 486, bytes: (*b"first").into() };
        let second = Best { status: 486, bytes: (*b"second").into() };
        assert_eq!(first.clone().or(second, None), first);
    }

    #[test]
    fn a_503_is_told_as_500() {
        assert_eq!(Best::made_here(503).status_for_caller(), 500);
        assert_eq!(Best::made_here(486).status_for_caller(), 486);
        let mut out = Vec::new();
        with_status(b"SIP/2.0 503 Busy here\r\nTo: <sip:1@a>\r\n\r\n", 500, &mut out);
        assert_eq!(out, b"SIP/2.0 500 Server Internal Error\r\nTo: <sip:1@a>\r\n\r\n");
    }

    #[test]
    fn lines_go_below_the_start_line() {
        assert_eq!(
            *with_lines(b"SIP/2.0 401 No\r\nA: b\r\n\r\n", b"C: d\r\n"),
            *b"SIP/2.0 401 No\r\nC: d\r\nA: b\r\n\r\n"
        );
        assert_eq!(*with_lines(b"", b"C: d\r\n"), *b"");
    }
}
