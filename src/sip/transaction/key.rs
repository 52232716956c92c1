//! Which transaction a request belongs to: RFC 3261 §17.2.3.
//!
//! A key is a keyed digest of 64 bits: nobody outside can make two requests meet. Beyond what the RFC asks, the CSeq number
//! is part of it, because there are phones that use a branch twice.

use crate::sip::cookie::{Cookies, MAGIC};
use crate::wire::sip::{Essentials, Message, Method, Name};

/// The key of the server transaction of `message`, as if its method were `method`: an ACK and a CANCEL are looked for under
/// that of their INVITE.
pub fn server_key(cookies: &Cookies, message: &Message<'_>, essentials: &Essentials<'_>, method: Method<'_>) -> u64 {
    let via = &essentials.via;
    let number = essentials.cseq.number;
    match via.branch.filter(|branch| branch.len() > MAGIC.len() && branch.starts_with(MAGIC)) {
        Some(branch) => cookies
            .digest("server")
            .field(branch)
            .folded(via.host)
            .number(via.sent_by_port().into())
            .field(method.as_bytes())
            .number(number)
            .finish(),
        // A peer of RFC 2543. The To tag is left out, so that one rule fits an INVITE, its ACK and its CANCEL; another request
        // of the same dialog has another CSeq.
        None => cookies
            .digest("server of RFC 2543")
            .field(message.request_uri().unwrap_or(b""))
            .field(essentials.from_tag.unwrap_or(b""))
            .field(essentials.call_id)
            .field(message.elements(Name::Via).next().unwrap_or(b""))
            .field(method.as_bytes())
            .number(number)
            .finish(),
    }
}
