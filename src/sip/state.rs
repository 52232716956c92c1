//! Registrations and calls, kept over a restart of the daemon as one JSON file in RAM.
//!
//! Instants in it are microseconds since the machine started, so they mean something until the machine starts anew: the boot
//! id says whether it has. What cannot be read is left out and counted; a phone system without its past still works.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize, Serializer};

use super::calls::{Calls, SavedCall};
use super::registrar::{Registrar, SavedBinding};
use crate::limits;
use crate::time::Instant;

/// What came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Bindings that live on.
    pub registrations: usize,
    /// Calls that go on.
    pub calls: usize,
    /// Entries, or whole files, that made no sense.
    pub ignored: usize,
}

/// The file: written with iterators, so that the table is not in memory twice.
#[derive(Serialize)]
struct Saving<'a> {
    boot_id: &'a str,
    #[serde(serialize_with = "bindings")]
    registrations: &'a Registrar,
    #[serde(serialize_with = "calls")]
    calls: &'a Calls,
}

fn bindings<S: Serializer>(registrar: &Registrar, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(registrar.saved())
}

fn calls<S: Serializer>(calls: &Calls, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(calls.saved())
}

/// The file as it is read.
#[derive(Deserialize)]
struct Saved {
    boot_id: String,
    #[serde(default)]
    registrations: Vec<Lenient<SavedBinding>>,
    #[serde(default)]
    calls: Vec<Lenient<SavedCall>>,
}

/// One bad entry does not spoil the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Good(T),
    Bad(IgnoredAny),
}

/// The whole file. `boot_id` names this start of the machine (the kernel has a name for it).
pub fn save(boot_id: &str, registrar: &Registrar, calls: &Calls) -> Vec<u8> {
    // Nothing in it can fail to become JSON: no maps, no foreign types.
    serde_json::to_vec(&Saving { boot_id, registrations: registrar, calls }).unwrap_or_default()
}

/// Takes back what [`save`] wrote since the machine started; what has expired since then is dropped.
pub fn restore(file: &[u8], boot_id: &str, registrar: &mut Registrar, calls: &mut Calls, now: Instant) -> Restored {
    let unreadable = Restored { ignored: 1, ..Restored::default() };
    if file.len() > limits::STATE_FILE {
        return unreadable;
    }
    let Ok(saved) = serde_json::from_slice::<Saved>(file) else { return unreadable };
    if saved.boot_id != boot_id {
        return Restored::default();
    }
    let (bindings_before, calls_before) = (registrar.len(), calls.len());
    let mut ignored = 0;
    for binding in &saved.registrations {
        ignored += usize::from(!matches!(binding, Lenient::Good(binding) if registrar.restore(binding, now)));
    }
    for call in &saved.calls {
        ignored += usize::from(!matches!(call, Lenient::Good(call) if calls.restore(call, now)));
    }
    Restored { registrations: registrar.len() - bindings_before, calls: calls.len() - calls_before, ignored }
}
