//! Any bytes as a URI.

use switchboard::wire::sip::{Essentials, Fault, HeaderTable, Message, NameAddr, Scheme, Uri};

pub fn check(data: &[u8]) {
    let Ok(uri) = Uri::parse(data) else { return };
    assert!(uri.same(&uri));
    let _ = (uri.user_unescaped(), uri.host_v4(), uri.is_loose(), uri.transport());
    assert!(!data.iter().any(|b| *b <= b' ' || matches!(b, b'<' | b'>' | b'"')));

    // It can stand where URIs stand.
    let mut address = b"x <".to_vec();
    address.extend_from_slice(data);
    address.extend_from_slice(b">;tag=y");
    let read = NameAddr::parse(&address).unwrap();
    assert_eq!((read.uri, read.params.find("tag")), (data, Some(Some(&b"y"[..]))));

    if data.len() < 60_000 {
        let mut datagram = b"BYE ".to_vec();
        datagram.extend_from_slice(data);
        datagram.extend_from_slice(b" SIP/2.0\r\nv:SIP/2.0/UDP a\r\nf:<");
        datagram.extend_from_slice(b"sip:a>\r\nt:<sip:b>\r\ni:c\r\nCSeq:1 BYE\r\n\r\n");
        let mut table = HeaderTable::default();
        let message = Message::parse(&datagram, &mut table).unwrap();
        assert_eq!(message.request_uri(), Some(data));
        let headers = uri.headers.is_some() && matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
        assert_eq!(Essentials::of(&message).err(), headers.then_some(Fault::RequestUriHeaders));
    }

    // Case of the host and of the scheme does not count.
    if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        let mut shouted = data.to_vec();
        let scheme = if uri.scheme == Scheme::Sips { "sips:".len() } else { "sip:".len() };
        let user = uri.user.map_or(0, |user| user.len() + 1) + uri.password.map_or(0, |password| password.len() + 1);
        let host = scheme + user;
        shouted[host..host + uri.host.len()].make_ascii_uppercase();
        shouted[..3].make_ascii_uppercase();
        assert!(Uri::parse(&shouted).unwrap().same(&uri));
    }
}
