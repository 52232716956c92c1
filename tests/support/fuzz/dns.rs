//! Any bytes as what a name server sends.

use switchboard::wire::dns::{self, Echo, Reply};

const NAME: &str = "441530.Local.mesh";

pub fn check(data: &[u8]) {
    read(data);
    // The same bytes as the records of an answer to our question.
    let mut datagram = vec![0; dns::QUESTION];
    let length = dns::emit_question(7, NAME, &mut datagram).unwrap();
    datagram.truncate(length);
    datagram[2] = 0x81;
    datagram[7] = 20;
    datagram.extend_from_slice(data);
    read(&datagram);
    // The same bytes as a name.
    let Ok(name) = std::str::from_utf8(data) else { return };
    let mut question = vec![0; dns::QUESTION];
    match dns::emit_question(7, name, &mut question) {
        None => assert!(!dns::is_name(name)),
        Some(length) => {
            assert!(dns::is_name(name));
            question.truncate(length);
            question[2] |= 0x80;
            assert_eq!(dns::reply_id(&question), Some(7));
            assert_eq!(dns::parse_reply(&question, name), Ok((Reply::NoSuchName, Echo::Exact)));
        }
    }
}

fn read(datagram: &[u8]) {
    let first = dns::parse_reply(datagram, NAME);
    if let Ok((Reply::Addresses(addresses, _), _)) = &first {
        assert!(!addresses.is_empty());
        let unique: std::collections::BTreeSet<_> = addresses.iter().collect();
        assert_eq!(unique.len(), addresses.len());
    }
    if let Ok((reply, echo)) = first {
        // Letter case of the question is all that can differ.
        let lower = dns::parse_reply(datagram, &NAME.to_ascii_lowercase()).unwrap();
        assert_eq!(lower.0, reply);
        assert!(echo == Echo::Folded || lower.1 == Echo::Folded);
    }
}
