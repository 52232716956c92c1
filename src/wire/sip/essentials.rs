//! What a proxy must understand before it does anything with a message (RFC 3261 §16.3 step 1). (First landing.)
use super::message::Message;
use super::value::{CSeq, NameAddr, Via};

/// The validated values that routing, matching and answering need.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Essentials<'a> {
    /// The topmost Via.
    pub via: Via<'a>,
    pub from: NameAddr<'a>,
    pub from_tag: Option<&'a [u8]>,
    pub to: NameAddr<'a>,
    pub to_tag: Option<&'a [u8]>,
    pub call_id: &'a [u8],
    pub cseq: CSeq<'a>,
    /// `None`: the field is missing (16.6 step 3: then 70). Larger than 255 counts as 255.
    pub max_forwards: Option<u8>,
}

impl Essentials<'_> {
    /// Checks requests and responses alike; a response with a fault is dropped.
    pub fn of<'a>(message: &Message<'a>) -> Result<Essentials<'a>, Fault> {
        let _ = message;
        todo!()
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fault {
    MissingVia,
    MalformedVia,
    RequestLine,
    RequestUri,
    Version,
    HeaderSection,
    MissingFrom,
    MalformedFrom,
    RepeatedFrom,
    MissingTo,
    MalformedTo,
    RepeatedTo,
    MissingCallId,
    MalformedCallId,
    RepeatedCallId,
    MissingCSeq,
    MalformedCSeq,
    RepeatedCSeq,
    CSeqNumber,
    CSeqMethod,
    MalformedMaxForwards,
    RepeatedMaxForwards,
    MalformedContentLength,
    RepeatedContentLength,
    BodyTooShort,
}

impl Fault {
    /// 400, or 505 for another version.
    pub fn status(self) -> u16 {
        todo!()
    }

    /// The reason phrase that says what is wrong.
    pub fn reason(self) -> &'static str {
        todo!()
    }

    /// Whether the top Via is good enough to send an answer to.
    pub fn answerable(self) -> bool {
        todo!()
    }
}
