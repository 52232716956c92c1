//! A message body on its way in, piece by piece, to its certain end (RFC 9112 §6, §7).
//!
//! Trailers and chunk extensions are skipped, as §7.1 allows.

use crate::wire::http::Framing;

/// Bytes of one chunk extension, and of all trailers together, that are skipped before it is nonsense.
const SKIPPED: u16 = 4_096;

/// A body that is being received.
#[derive(Debug)]
pub struct Body {
    progress: Progress,
    limit: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// So many bytes are missing.
    Length(usize),
    UntilClose,
    Chunks(Chunk),
    Done,
}

/// Where in the chunked coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { digits: u8, value: usize },
    Extension { value: usize, skipped: u16 },
    SizeLf { value: usize },
    Data { missing: usize },
    DataCr,
    DataLf,
    TrailerStart { skipped: u16 },
    TrailerLine { skipped: u16 },
    TrailerLf { skipped: u16 },
    LastLf,
}

/// Why a body is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// It is larger than allowed.
    TooLarge,
    /// A chunk is malformed.
    Chunk,
    /// The stream ended before it.
    Truncated,
}

impl Body {
    /// A body of which nothing has come yet; at most `limit` bytes are taken.
    pub fn new(framing: Framing, limit: usize) -> Result<Self, BadBody> {
        let progress = match framing {
            Framing::Empty | Framing::Length(0) => Progress::Done,
            Framing::Length(length) => {
                Progress::Length(usize::try_from(length).ok().filter(|l| *l <= limit).ok_or(BadBody::TooLarge)?)
            }
            Framing::Chunked => Progress::Chunks(Chunk::Size { digits: 0, value: 0 }),
            Framing::UntilClose => Progress::UntilClose,
        };
        Ok(Self { progress, limit, bytes: Vec::new() })
    }

    /// Takes what belongs to the body and says how many bytes that were.
    pub fn push(&mut self, input: &[u8]) -> Result<usize, BadBody> {
        let mut rest = input;
        loop {
            match self.progress {
                Progress::Done => break,
                Progress::UntilClose => {
                    self.take(&mut rest, usize::MAX)?;
                    break;
                }
                Progress::Length(missing) => {
                    let missing = missing.saturating_sub(self.take(&mut rest, missing)?);
                    self.progress = if missing == 0 { Progress::Done } else { Progress::Length(missing) };
                    if missing > 0 {
                        break;
                    }
                }
                Progress::Chunks(Chunk::Data { missing }) => {
                    let missing = missing.saturating_sub(self.take(&mut rest, missing)?);
                    self.progress =
                        Progress::Chunks(if missing == 0 { Chunk::DataCr } else { Chunk::Data { missing } });
                    if missing > 0 {
                        break;
                    }
                }
                Progress::Chunks(chunk) => {
                    let Some((byte, after)) = rest.split_first() else { break };
                    rest = after;
                    self.progress = self.framing_byte(chunk, *byte)?;
                }
            }
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// The stream ended.
    pub fn end(&mut self) -> Result<(), BadBody> {
        match self.progress {
            Progress::Done | Progress::UntilClose => {
                self.progress = Progress::Done;
                Ok(())
            }
            Progress::Length(_) | Progress::Chunks(_) => Err(BadBody::Truncated),
        }
    }

    /// Whether all of it is here.
    pub fn is_complete(&self) -> bool {
        self.progress == Progress::Done
    }

    /// All of it, decoded.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Moves up to `most` bytes from `rest` into the body.
    fn take(&mut self, rest: &mut &[u8], most: usize) -> Result<usize, BadBody> {
        let (now, later) = rest.split_at_checked(most.min(rest.len())).unwrap_or((rest, &[]));
        if now.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(BadBody::TooLarge);
        }
        self.bytes.extend_from_slice(now);
        *rest = later;
        Ok(now.len())
    }

    /// One byte of the chunked coding that is not data (RFC 9112 §7.1).
    fn framing_byte(&self, chunk: Chunk, byte: u8) -> Result<Progress, BadBody> {
        let skip = |skipped: u16| if skipped < SKIPPED { Ok(skipped.saturating_add(1)) } else { Err(BadBody::Chunk) };
        let next = match (chunk, byte) {
            (Chunk::Size { digits, value }, byte) if byte.is_ascii_hexdigit() => {
                // Seven digits are 256 MB, far above every limit; leading zeros beyond that are nonsense.
                let digit = char::from(byte).to_digit(16).and_then(|d| usize::try_from(d).ok());
                let value = value.checked_mul(16).zip(digit).and_then(|(v, d)| v.checked_add(d));
                match value {
                    Some(value) if digits < 7 => Chunk::Size { digits: digits.saturating_add(1), value },
                    _ => return Err(BadBody::TooLarge),
                }
            }
            (Chunk::Size { digits: 1.., value }, b'\r') => Chunk::SizeLf { value },
            (Chunk::Size { digits: 1.., value }, b';' | b' ' | b'\t') => Chunk::Extension { value, skipped: 0 },
            (Chunk::Extension { value, .. }, b'\r') => Chunk::SizeLf { value },
            (Chunk::Extension { value, skipped }, byte) if byte != b'\n' => {
                Chunk::Extension { value, skipped: skip(skipped)? }
            }
            (Chunk::SizeLf { value: 0 }, b'\n') => Chunk::TrailerStart { skipped: 0 },
            (Chunk::SizeLf { value }, b'\n') if value <= self.limit.saturating_sub(self.bytes.len()) => {
                Chunk::Data { missing: value }
            }
            (Chunk::SizeLf { .. }, b'\n') => return Err(BadBody::TooLarge),
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size { digits: 0, value: 0 },
            (Chunk::TrailerStart { .. }, b'\r') => Chunk::LastLf,
            (Chunk::TrailerLine { skipped }, b'\r') => Chunk::TrailerLf { skipped },
            (Chunk::TrailerStart { skipped } | Chunk::TrailerLine { skipped }, byte) if byte != b'\n' => {
                Chunk::TrailerLine { skipped: skip(skipped)? }
            }
            (Chunk::TrailerLf { skipped }, b'\n') => Chunk::TrailerStart { skipped },
            (Chunk::LastLf, b'\n') => return Ok(Progress::Done),
            _ => return Err(BadBody::Chunk),
        };
        Ok(Progress::Chunks(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `step` bytes; gives the body and what was left over.
    fn decode(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize), BadBody> {
        let mut body = Body::new(framing, 10)?;
        let mut taken = 0;
        for piece in input.chunks(step) {
            let now = body.push(piece)?;
            taken += now;
            if now < piece.len() {
                break;
            }
        }
        body.end()?;
        Ok((body.into_bytes(), input.len() - taken))
    }

    #[test]
    fn the_way_a_body_is_cut_into_pieces_does_not_matter() {
        let chunked = Framing::Chunked;
        for (framing, input, expected) in [
            (Framing::Empty, "rest", Ok(("", 4))),
            (Framing::Length(3), "abcrest", Ok(("abc", 4))),
            (Framing::Length(3), "ab", Err(BadBody::Truncated)),
            (Framing::Length(11), "", Err(BadBody::TooLarge)),
            (Framing::Length(u64::MAX), "", Err(BadBody::TooLarge)),
            (Framing::UntilClose, "abcdefghij", Ok(("abcdefghij", 0))),
            (Framing::UntilClose, "abcdefghijk", Err(BadBody::TooLarge)),
            (chunked, "3\r\nabc\r\n0\r\n\r\nrest", Ok(("abc", 4))),
            (chunked, "003;x=\"y\"\r\nabc\r\n2 \r\nde\r\n0;z\r\nX: y\r\nZ: 1\r\n\r\n", Ok(("abcde", 0))),
            (chunked, "a\r\n0123456789\r\n0\r\n\r\n", Ok(("0123456789", 0))),
            (chunked, "A\r\n0123456789\r\n1\r\n", Err(BadBody::TooLarge)),
            (chunked, "b\r\n", Err(BadBody::TooLarge)),
            (chunked, "fffffffff\r\n", Err(BadBody::TooLarge)),
            (chunked, "00000000", Err(BadBody::TooLarge)),
            (chunked, "", Err(BadBody::Truncated)),
            (chunked, "3\r\nabc\r\n0\r\n", Err(BadBody::Truncated)),
            (chunked, "3\r\nabcd\r\n", Err(BadBody::Chunk)),
            (chunked, "3\nabc\n0\n\n", Err(BadBody::Chunk)),
            (chunked, "\r\n", Err(BadBody::Chunk)),
            (chunked, "-1\r\n", Err(BadBody::Chunk)),
            (chunked, "0x3\r\n", Err(BadBody::Chunk)),
            (chunked, &format!("3;{}", "x".repeat(5_000)), Err(BadBody::Chunk)),
            (chunked, &format!("0\r\n{}", "x: y\r\n".repeat(2_000)), Err(BadBody::Chunk)),
        ] {
            for step in [1, 2, 3, 7, 10_000] {
                let got = decode(framing, input.as_bytes(), step);
                let expected = expected.map(|(body, _): (&str, usize)| body.as_bytes().to_vec());
                assert_eq!(got.map(|(body, _)| body), expected, "{input:.40} in steps of {step}");
            }
            if let (Ok((_, left)), Ok((_, expected))) = (decode(framing, input.as_bytes(), 10_000), expected) {
                assert_eq!(left, expected, "{input}");
            }
        }
    }
}
