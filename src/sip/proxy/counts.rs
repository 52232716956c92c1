//! What happened since the start, by reason.

use crate::engine::Counter;

macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// One counter for every way in which a message can end, and for what an operator wants to see.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Counts { $($(#[$doc])* pub $field: u64,)* }

        impl Counts {
            /// All of them, with their names.
            pub fn list(&self) -> Vec<Counter> {
                vec![$(Counter { name: $name, count: self.$field },)*]
            }
        }
    };
}

counts! {
    /// Requests that got a context of their own.
    requests => "requests",
    /// Requests that were known already.
    repeated => "requests_repeated",
    /// Requests to the server itself.
    served => "requests_served",
    /// ACKs that were passed on.
    acks => "acks_passed",
    /// Refused by the proxy itself, with an answer.
    refused => "requests_refused",
    /// Could not be read.
    malformed => "dropped_malformed",
    /// CRLF and the like.
    keep_alives => "dropped_keep_alive",
    /// STUN.
    stun => "dropped_stun",
    /// No SIP at all.
    junk => "dropped_junk",
    /// More header lines than the table holds.
    too_many_headers => "dropped_too_many_headers",
    /// New requests of sources above their share.
    over_share => "dropped_over_share",
    /// Responses that are not answers to anything that we sent.
    stray_responses => "dropped_stray_response",
    /// Responses to something that is over.
    late_responses => "dropped_late_response",
    /// Responses that could not be read.
    malformed_responses => "dropped_malformed_response",
    /// ACKs that belong to nothing, or that nobody can be found for.
    stray_acks => "dropped_ack",
    /// Answers of the core to questions that nobody waits for any more.
    stray_whereabouts => "dropped_stray_whereabouts",
    /// Loops that were cut.
    loops => "loops",
    /// 503 for want of memory.
    overloaded => "refused_overload",
    /// CANCEL for nothing, or from somebody else than the caller.
    strange_cancels => "refused_cancel",
    /// Callees that were found nowhere.
    not_found => "callees_not_found",
    /// INVITEs that a phone never answered (timer B).
    timer_b => "timeouts_invite",
    /// Other requests that a phone never answered (timer F).
    timer_f => "timeouts_other",
    /// Phones that rang longer than timer C.
    timer_c => "timeouts_ringing",
    /// Callers that never acknowledged a final answer (timer H).
    timer_h => "timeouts_ack",
    /// Branches that did not end after their CANCEL.
    uncancelled => "timeouts_cancel",
    /// Branches that the network does not reach (ICMP).
    unreachable => "unreachable",
    /// ICMP that quotes nothing that is under way.
    strange_icmp => "dropped_icmp",
}
