//! Where a request goes next: RFC 3261 §16.4 (what is ours comes off), §16.5 (targets), §16.6 steps 2, 6 and 7.
//!
//! A function of the message and of what is ours, without state: it is asked again when the answer of a lookup arrives.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::ours::{Number, Ours};
use crate::wire::sip::{Message, Name, NameAddr, Scheme, Uri};

/// The port of SIP without another one (RFC 3261 §19.1.2).
pub const PORT: u16 = 5060;

/// The next hop, and how the request is edited for it.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Where it goes.
    pub next: NextHop<'a>,
    /// The Request-URI in force, taken apart.
    pub uri: Uri<'a>,
    /// The Request-URI to be written, where it is another than the one received.
    pub request_uri: Option<&'a [u8]>,
    /// So many Route elements come off the front.
    pub drop_routes: usize,
    /// The last Route element comes off: it has become the Request-URI (§16.4).
    pub drop_last_route: bool,
    /// This becomes the last Route element: the next hop is a strict router (§16.6 step 6).
    pub push_route: Option<&'a [u8]>,
}

/// Who is asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextHop<'a> {
    /// This server itself.
    Ourselves,
    /// One of our users.
    User(Number),
    /// A known place.
    Address(SocketAddrV4),
    /// A place whose address is to be found.
    Host(&'a [u8], u16),
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlan {
    /// The Request-URI cannot be read.
    RequestUri,
    /// A Route cannot be read.
    Route,
    /// Neither sip nor tel: 416.
    Scheme,
}

/// One target of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its Request-URI; empty leaves it as the plan says.
    pub uri: Box<[u8]>,
    /// Where it is sent.
    pub destination: SocketAddrV4,
    /// The address of ours that this target knows.
    pub local: Option<Ipv4Addr>,
    /// Preference in thousandths.
    pub q: u16,
}

impl Target {
    /// A place, with the Request-URI as it is.
    pub fn at(destination: SocketAddrV4) -> Self {
        Self { uri: Box::default(), destination, local: None, q: 1_000 }
    }

    /// Memory that it holds.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.uri.len()
    }
}

/// Plans the next hop of a request.
pub fn plan<'a>(message: &Message<'a>, ours: &Ours) -> Result<Plan<'a>, NoPlan> {
    let routes = || message.elements(Name::Route);
    let mut routes = Routes { elements: routes(), left: routes().count() };
    let mut request_uri = None;
    let mut uri = read(message.request_uri().unwrap_or(b""))?;
    // §16.4: a strict router in front of us has put our Record-Route into the Request-URI, and the target at the end.
    let mut drop_last_route = false;
    if uri.user.is_none() && uri.is_loose() && routes.left > 0 && ours.is_ours(uri.host, uri.port) {
        if let Some(last) = message.elements(Name::Route).last().and_then(|last| NameAddr::parse(last).ok()) {
            uri = read(last.uri)?;
            request_uri = Some(last.uri);
            routes.left -= 1;
            drop_last_route = true;
        }
    }
    // §16.4: our own name at the front comes off; twice, if the phone preloads it and the dialog has recorded it too.
    let mut drop_routes = 0;
    let mut next_route = routes.next()?;
    while let Some(route) = &next_route {
        if !ours.is_ours(route.uri.host, route.uri.port) {
            break;
        }
        drop_routes += 1;
        next_route = routes.next()?;
    }
    let mut plan = Plan { next: NextHop::Ourselves, uri, request_uri, drop_routes, drop_last_route, push_route: None };
    if let Some(route) = next_route {
        plan.next = next_hop(&route.uri);
        if !route.uri.is_loose() {
            // §16.6 step 6: what a strict router wants.
            plan.push_route = Some(request_uri.unwrap_or(message.request_uri().unwrap_or(b"")));
            plan.request_uri = Some(route.text);
            plan.drop_routes += 1;
        }
    } else {
        plan.next = match uri.scheme {
            Scheme::Tel => user(&uri, ours),
            _ if ours.serves(&uri) => user(&uri, ours),
            _ => next_hop(&uri),
        };
    }
    Ok(plan)
}

fn user<'a>(uri: &Uri<'a>, ours: &Ours) -> NextHop<'a> {
    match uri.user_unescaped() {
        Some(user) if !user.is_empty() => NextHop::User(ours.number(&user)),
        _ if uri.user.is_none() => NextHop::Ourselves,
        // A user part that is too long to be anybody's.
        _ => NextHop::User(ours.number(b"")),
    }
}

fn read(bytes: &[u8]) -> Result<Uri<'_>, NoPlan> {
    let uri = Uri::parse(bytes).map_err(|_| NoPlan::RequestUri)?;
    match uri.scheme {
        Scheme::Sip | Scheme::Tel => Ok(uri),
        // sips needs TLS on every hop (§26.2.2), and there is none here.
        Scheme::Sips | Scheme::Other(_) => Err(NoPlan::Scheme),
    }
}

fn next_hop<'a>(uri: &Uri<'a>) -> NextHop<'a> {
    let port = uri.port.unwrap_or(PORT);
    match uri.host_v4() {
        Some(address) => NextHop::Address(SocketAddrV4::new(address, port)),
        None => NextHop::Host(uri.host, port),
    }
}

struct RouteSet<'a> {
    text: &'a [u8],
    uri: Uri<'a>,
}

/// The Route elements, from the front; the last one may be taken off first. Each is looked at once: a datagram holds thousands.
struct Routes<I> {
    elements: I,
    left: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Routes<I> {
    fn next(&mut self) -> Result<Option<RouteSet<'a>>, NoPlan> {
        if self.left == 0 {
            return Ok(None);
        }
        let element = self.elements.next().ok_or(NoPlan::Route)?;
        self.left -= 1;
        let text = NameAddr::parse(element).map_err(|_| NoPlan::Route)?.uri;
        let uri = Uri::parse(text).map_err(|_| NoPlan::Route)?;
        Ok(Some(RouteSet { text, uri }))
    }
}

/// The Request-URI for a phone that was found by its number at `address`: the number as the phone knows it, and
/// `user=phone` if the caller said so.
pub fn uri_at(number: &str, address: Ipv4Addr, asked: &Uri<'_>) -> Box<[u8]> {
    let is_phone = matches!(asked.scheme, Scheme::Tel)
        || matches!(asked.params.find("user"), Some(Some(user)) if user.eq_ignore_ascii_case(b"phone"));
    let suffix = if is_phone { ";user=phone" } else { "" };
    format!("sip:{number}@{address}{suffix}").into_bytes().into()
}

/// The number as it can stand in front of a domain name: letters, digits, "-", "_", nothing else, at most 63 of them.
pub fn label(number: &Number) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = !number.is_empty() && number.len() <= 63 && number.iter().all(plain);
    std::str::from_utf8(number).ok().filter(|_| fits)
}

/// The host as it can be asked for.
pub fn host(host: &[u8]) -> Option<&str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = !host.is_empty() && host.len() <= 253 && host.iter().all(plain);
    std::str::from_utf8(host).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::wire::sip::HeaderTable;

    fn ours() -> Ours {
        let mut ours = Ours::new(&config::Sip::default(), "local.mesh");
        ours.set_identity("node", &[Ipv4Addr::new(10, 0, 0, 1)]);
        ours
    }

    /// Next hop, Request-URI to be written, Routes off the front, the last one off, Route to be added.
    fn planned(uri: &str, routes: &str) -> Result<String, NoPlan> {
        let text = format!("BYE {uri} SIP/2.0\r\n{routes}\r\n");
        let mut table = HeaderTable::default();
        let message = Message::parse(text.as_bytes(), &mut table).unwrap();
        let plan = plan(&message, &ours())?;
        let next = match plan.next {
            NextHop::Ourselves => "ourselves".to_owned(),
            NextHop::User(number) => format!("user {number}"),
            NextHop::Address(address) => address.to_string(),
            NextHop::Host(host, port) => format!("{}:{port}", host.escape_ascii()),
        };
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |bytes| bytes.escape_ascii().to_string());
        let last = if plan.drop_last_route { "+1" } else { "" };
        Ok(format!("{next} {} {}{last} {}", text(plan.request_uri), plan.drop_routes, text(plan.push_route)))
    }

    #[test]
    fn the_next_hop_is_that_of_16_4_to_16_6() {
        for (uri, routes, expected) in [
            ("sip:localnode", "", "ourselves - 0 -"),
            ("sip:5@localnode", "", "user 5 - 0 -"),
            ("tel:5", "", "user 5 - 0 -"),
            ("sip:5@10.0.0.9", "", "10.0.0.9:5060 - 0 -"),
            ("sip:5@10.0.0.9:5070", "", "10.0.0.9:5070 - 0 -"),
            ("sip:5@10.0.0.1:5070", "", "10.0.0.1:5070 - 0 -"),
            ("sip:5@there.mesh", "", "there.mesh:5060 - 0 -"),
            ("sip:5@10.0.0.9", "Route: <sip:localnode;lr>\r\n", "10.0.0.9:5060 - 1 -"),
            ("sip:5@localnode", "Route: <sip:10.0.0.1;lr>, <sip:node:5060;lr>\r\n", "user 5 - 2 -"),
            ("sip:5@localnode", "Route: <sip:10.0.0.7;lr>\r\n", "10.0.0.7:5060 - 0 -"),
            ("sip:5@localnode", "Route: <sip:10.0.0.1>\r\nRoute: <sip:p.mesh;lr>\r\n", "p.mesh:5060 - 1 -"),
            ("sip:5@localnode", "Route: <sip:10.0.0.7>\r\n", "10.0.0.7:5060 sip:10.0.0.7 1 sip:5@localnode"),
            ("sip:10.0.0.1;lr", "Route: <sip:5@10.0.0.9>\r\n", "10.0.0.9:5060 sip:5@10.0.0.9 0+1 -"),
            ("sip:10.0.0.1;lr", "Route: <sip:x.mesh;lr>,<sip:5@10.0.0.9>\r\n", "x.mesh:5060 sip:5@10.0.0.9 0+1 -"),
            ("sip:10.0.0.1;lr", "", "ourselves - 0 -"),
        ] {
            assert_eq!(planned(uri, routes).as_deref(), Ok(expected), "{uri} {routes}");
        }
        for (uri, routes, expected) in [
            ("sips:5@localnode", "", NoPlan::Scheme),
            ("http://localnode", "", NoPlan::Scheme),
            ("sip:5@localnode", "Route: <sip:\r\n", NoPlan::Route),
        ] {
            assert_eq!(planned(uri, routes), Err(expected), "{uri} {routes}");
        }
    }

    #[test]
    fn only_what_can_be_a_name_is_asked_for() {
        let number = |text: &str| label(&ours().number(text.as_bytes())).map(str::to_owned);
        assert_eq!(number("441530").as_deref(), Some("441530"));
        assert_eq!(number("hb9xyz-2_a").as_deref(), Some("hb9xyz-2_a"));
        for bad in ["", "a.b", "../x", "a b", "*97", "a\r\nb", &"1".repeat(64)] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(host(b"phone.local.mesh"), Some("phone.local.mesh"));
        for bad in [&b""[..], b"[::1]", b"a/b", b"a b", &[b'a'; 254]] {
            assert_eq!(host(bad), None);
        }
    }
}
