//! Any bytes as what comes out of an ICMP socket.

use switchboard::wire::icmp::{self, Message};

pub fn check(data: &[u8]) {
    read(data);
    // The same bytes with a sum that is right, so that what lies behind it is reached.
    if data.len() >= icmp::HEADER {
        let mut whole = data.to_vec();
        set_sum(&mut whole);
        assert_ne!(icmp::parse(&whole), Err(icmp::BadIcmp::Checksum));
        read(&whole);
    }
    // The same bytes as what an error quotes.
    let mut error = vec![11, 0, 0, 0, 0, 0, 0, 0];
    error.extend(data);
    set_sum(&mut error);
    read(&error);
    let _ = icmp::quoted_echo(data);
}

/// RFC 1071, in another way than the parser.
fn set_sum(bytes: &mut [u8]) {
    (bytes[2], bytes[3]) = (0, 0);
    let sum = bytes.chunks(2).map(|w| (u64::from(w[0]) << 8) | u64::from(*w.get(1).unwrap_or(&0))).sum::<u64>();
    let sum = (0..3).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    [bytes[2], bytes[3]] = (!u16::try_from(sum).unwrap()).to_be_bytes();
}

/// What is understood can be written again and reads back as the same.
fn read(bytes: &[u8]) {
    let Ok(message) = icmp::parse(bytes) else { return };
    let mut out = vec![0; bytes.len() + 64];
    let length = match &message {
        Message::Request(echo) => icmp::emit_request(echo, &mut out),
        Message::Reply(echo) => icmp::emit_reply(echo, &mut out),
        Message::TimeExceeded(quote) => icmp::emit_time_exceeded(quote, &mut out),
        Message::Unreachable(code, quote) => icmp::emit_unreachable(*code, quote, &mut out),
        Message::Other(_) => return,
    };
    assert_eq!(icmp::parse(&out[..length.unwrap()]), Ok(message));
}
