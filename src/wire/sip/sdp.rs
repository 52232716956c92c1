//! The codec of an offer or answer, for the list of calls. (First landing.)

/// First payload type of the first m=audio line, by its rtpmap or the static table of RFC 3551 §6.
pub fn codec(body: &[u8]) -> Option<heapless::String<16>> {
    let _ = body;
    todo!()
}
