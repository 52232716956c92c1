//! What a REGISTER would do to the bindings of its number, found out before anything is touched: all of it or nothing.
//!
//! Read first: RFC 3261 §10.3 steps 6 and 7, §19.1.4 (when two URIs are the same).

use std::time::Duration;

use super::Binding;
use super::request::{Refusal, Wanted, Wish};
use crate::time::Instant;
use crate::wire::sip::{Essentials, Uri};

/// What becomes of a binding.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate<'w, 'a> {
    Stays,
    Refreshed(&'w Wanted<'a>, Duration),
    Ends,
}

/// What a REGISTER would do to the bindings of its number.
#[derive(Debug)]
pub(super) struct Plan<'w> {
    /// One for each binding, in their order. An expired one ends without further ado.
    pub(super) fates: Vec<Fate<'w, 'w>>,
    pub(super) added: Vec<(&'w Wanted<'w>, Duration)>,
    /// How many live bindings there are before, and how many of them stay or are refreshed.
    pub(super) live: usize,
    pub(super) kept: usize,
    /// Whether nothing changes at all: a query, a retransmission, a removal of what is not there.
    pub(super) quiet: bool,
}

impl<'w> Plan<'w> {
    /// Steps 6 and 7 of RFC 3261 §10.3, as far as they can fail.
    pub(super) fn new(
        bindings: &[Binding],
        wish: &'w Wish<'w>,
        essentials: &Essentials<'_>,
        now: Instant,
    ) -> Result<Self, Refusal> {
        let same_call = |b: &Binding| *b.call_id == *essentials.call_id;
        let out_of_order = |b: &Binding| same_call(b) && essentials.cseq.number <= b.cseq;
        let live = |b: &Binding| b.is_live(now);
        let mut fates: Vec<Fate<'w, 'w>> =
            bindings.iter().map(|b| if live(b) { Fate::Stays } else { Fate::Ends }).collect();
        let mut added = Vec::new();
        let mut quiet = true;
        match wish {
            Wish::Query => {}
            Wish::RemoveAll => {
                if bindings.iter().any(|b| live(b) && out_of_order(b)) {
                    return Err(Refusal::OutOfOrder);
                }
                quiet = !bindings.iter().any(live);
                fates.fill(Fate::Ends);
            }
            Wish::Contacts(wanted) => {
                let targets = targets(bindings, wanted, now);
                let pairs = || wanted.iter().zip(targets.iter().map(|index| index.and_then(|i| bindings.get(i))));
                // The same request once more: everything is as it left it. It gets the same answer.
                let repeated = pairs().all(|(wanted, binding)| match (wanted.expires, binding) {
                    (Some(_), Some(b)) => {
                        same_call(b) && b.cseq == essentials.cseq.number && *b.contact == *wanted.contact
                    }
                    (Some(_), None) | (None, Some(_)) => false,
                    (None, None) => true,
                });
                if !repeated {
                    if pairs().any(|(_, binding)| binding.is_some_and(out_of_order)) {
                        return Err(Refusal::OutOfOrder);
                    }
                    for (wanted, target) in wanted.iter().zip(&targets) {
                        let fate = target.and_then(|index| fates.get_mut(index));
                        quiet &= fate.is_none() && wanted.expires.is_none();
                        match (fate, wanted.expires) {
                            (Some(fate), Some(expires)) => *fate = Fate::Refreshed(wanted, expires),
                            (Some(fate), None) => *fate = Fate::Ends,
                            (None, Some(expires)) => added.push((wanted, expires)),
                            (None, None) => {}
                        }
                    }
                }
            }
        }
        let kept = fates.iter().filter(|fate| !matches!(fate, Fate::Ends)).count();
        Ok(Self { live: bindings.iter().filter(|b| live(b)).count(), fates, added, kept, quiet })
    }
}

/// Which binding each wanted Contact means. Equality of URIs is not transitive (RFC 3261 §19.1.4), so the same bytes go
/// first, and no binding is meant twice.
fn targets(bindings: &[Binding], wanted: &[Wanted<'_>], now: Instant) -> Vec<Option<usize>> {
    let mut targets = vec![None; wanted.len()];
    let mut find = |same: &dyn Fn(&Binding, &Wanted<'_>) -> bool| {
        for (index, wanted) in wanted.iter().enumerate() {
            if targets.get(index).is_some_and(Option::is_some) {
                continue;
            }
            let found = bindings
                .iter()
                .enumerate()
                .find(|(index, b)| b.is_live(now) && !targets.contains(&Some(*index)) && same(b, wanted))
                .map(|(index, _)| index);
            if let Some(target) = targets.get_mut(index) {
                *target = found;
            }
        }
    };
    find(&|binding, wanted| *binding.contact == *wanted.contact);
    find(&|binding, wanted| Uri::parse(&binding.contact).is_ok_and(|uri| uri.same(&wanted.uri)));
    targets
}
