//! The place of what a program can be built without.
//!
//! It is an array of one, or of none. The compiler knows which, so what is done with something that is not there is left out of
//! the program, without a word about it where it is done.

use crate::features::Feature;

/// How many there are in a program with or without the feature.
pub const fn one_of(feature: Feature) -> usize {
    feature.is_there() as usize
}

/// The place.
pub struct Slot<T, const N: usize>([T; N]);

impl<T, const N: usize> Slot<T, N> {
    /// Filled, if there is to be anything in it.
    pub fn new(mut make: impl FnMut() -> T) -> Self {
        Self(std::array::from_fn(|_| make()))
    }

    /// What is in it.
    pub fn get(&self) -> Option<&T> {
        self.0.first()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.first_mut()
    }
}
