//! What a program can be built without: the features of `Cargo.toml`, as values that code can ask for.
//!
//! Every source is compiled in every build; what can only be reached where a feature is there, the compiler leaves out where
//! it is not (`core/slot.rs`). So there is no `#[cfg]` beside these lines, except for `dashboard`, whose files would be in the
//! program, for `demo`, and for tests of the whole.

/// A part of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The mesh monitor's files.
    Dashboard,
    /// The simulated mesh.
    Demo,
    /// The test desk.
    Desk,
    /// The watch over the daemon itself.
    Health,
    /// The map of the mesh.
    Mesh,
}

impl Feature {
    /// All that there are.
    pub const ALL: [Self; 5] = [Self::Dashboard, Self::Demo, Self::Desk, Self::Health, Self::Mesh];

    /// As it stands in `Cargo.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Demo => "demo",
            Self::Desk => "desk",
            Self::Health => "health",
            Self::Mesh => "mesh",
        }
    }

    /// Whether this program has it.
    pub const fn is_there(self) -> bool {
        match self {
            Self::Dashboard => cfg!(feature = "dashboard"),
            Self::Demo => cfg!(feature = "demo"),
            Self::Desk => cfg!(feature = "desk"),
            Self::Health => cfg!(feature = "health"),
            Self::Mesh => cfg!(feature = "mesh"),
        }
    }

    /// Those that this program has, by name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|feature| feature.is_there()).map(Self::name)
    }

    /// The end of a sentence about something that this program has not.
    pub fn is_missing(self) -> String {
        format!("needs the feature '{}', which this program was built without", self.name())
    }
}
