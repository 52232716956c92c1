//! The codec of an offer or answer, for the list of calls (RFC 8866 §5.14, §6.6; RFC 3551 §6). Nothing else of a body is
//! ever looked at.

/// Encoding name of the first payload type of the first m=audio line, by its rtpmap or the static table ("PCMA", "opus").
/// `None` if there is no audio, or the number has no name.
pub fn codec(body: &[u8]) -> Option<heapless::String<16>> {
    let mut lines = body.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let media = lines.by_ref().find(|line| line.starts_with(b"m=audio "))?;
    // m=audio port proto fmt …
    let format = media.split(|b| *b == b' ').filter(|word| !word.is_empty()).nth(3)?;
    for line in lines {
        if line.starts_with(b"m=") {
            break;
        }
        let Some(map) = line.strip_prefix(b"a=rtpmap:") else { continue };
        let mut words = map.split(|b| *b == b' ').filter(|word| !word.is_empty());
        if words.next() == Some(format) {
            let name = words.next()?.split(|b| *b == b'/').next()?;
            return named(name);
        }
    }
    named(match format {
        b"0" => b"PCMU",
        b"3" => b"GSM",
        b"4" => b"G723",
        b"5" | b"6" | b"16" | b"17" => b"DVI4",
        b"7" => b"LPC",
        b"8" => b"PCMA",
        b"9" => b"G722",
        b"10" | b"11" => b"L16",
        b"12" => b"QCELP",
        b"13" => b"CN",
        b"14" => b"MPA",
        b"15" => b"G728",
        b"18" => b"G729",
        _ => return None,
    })
}

/// Names come from the network and end up in JSON: letters, digits and a few signs only, at most 16.
fn named(name: &[u8]) -> Option<heapless::String<16>> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+');
    if name.is_empty() || !name.iter().all(plain) {
        return None;
    }
    heapless::String::try_from(std::str::from_utf8(name).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_codec_of_the_first_audio() {
        for (body, expected) in [
            ("v=0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n", Some("PCMA")),
            ("m=audio 4000 RTP/AVP 0\n", Some("PCMU")),
            ("m=audio 4000 RTP/AVP 96 8\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\n", Some("opus")),
            ("m=audio 4000 RTP/AVP 9\r\na=rtpmap:9 G722/8000", Some("G722")),
            ("m=video 1 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\nm=audio 2 RTP/AVP 18\r\n", Some("G729")),
            ("m=audio 1 RTP/AVP 97\r\nm=video 2 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n", None),
            ("m=audio 1 RTP/AVP 96\r\na=rtpmap:96 <script>/8000\r\n", None),
            ("m=audio 1 RTP/AVP 96\r\na=rtpmap:96 much-too-long-to-be-a-name/8000\r\n", None),
            ("m=audio 1 RTP/AVP", None),
            ("m=audiobook 1 RTP/AVP 0\r\n", None),
            ("", None),
        ] {
            assert_eq!(codec(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
