//! Stand-ins for tests: engines that do not do their work.

use crate::engine::{Counter, Engine, Table};
use crate::time::Instant;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was due at that instant is never done.
    Overdue(Instant),
    /// A question is under way of which nothing is heard.
    Silent,
}

/// It stands in for an engine until that is made anew, or for good if the fault is in the program.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    pub fault: Fault,
    pub for_good: bool,
}

impl Engine for Planted {
    fn handle_timeout(&mut self, _now: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        match self.fault {
            Fault::Overdue(at) => Some(at),
            Fault::Silent => None,
        }
    }

    fn tables(&self) -> Vec<Table> {
        vec![Table { name: "mesh_questions", used: usize::from(self.fault == Fault::Silent), limit: 8 }]
    }

    fn counters(&self) -> Vec<Counter> {
        vec![Counter { name: "x", count: 7 }]
    }
}
