//! Ordered tables as sorted vectors: what `BTreeMap` and `BTreeSet` do, in a tenth of the code.
//!
//! A tree is compiled anew for every type that it holds, about 7 KB on mips each, and this daemon has forty of them; here a
//! type costs a binary search and a move of memory. Looking up is as fast as in a tree, memory is less, and putting
//! something into the middle moves what stands behind it. So this is for tables of some thousand entries; what may hold a
//! million (`sip/transaction/store.rs`) is a tree.

use std::borrow::Borrow;
use std::ops::RangeInclusive;

/// A table below this many entries keeps its memory.
const KEPT: usize = 16;

/// Values by keys, in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

/// Values in their order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedSet<T> {
    map: SortedMap<T, ()>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SortedMap<K, V> {
    /// Empty, and holds no memory.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries = Vec::new();
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All, in order, to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> + ExactSizeIterator {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Keeps those of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where the key stands, or would stand.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries.binary_search_by(|(other, _)| other.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Whether the key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Sets the value of a key; says what it was before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.entries.get_mut(at).map(|(_, before)| std::mem::replace(before, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which is put there first if there is none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.entries.insert(at, (key, V::default()));
            at
        });
        #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
        &mut self.entries[at].1
    }

    /// Takes a key away; says what its value was.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.find(key).ok()?;
        let (_, value) = self.entries.remove(at);
        // What a flood made large does not stay so.
        if self.entries.capacity() > KEPT && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.capacity() / 2);
        }
        Some(value)
    }

    /// Those from one key to another, both included.
    pub fn range(&self, keys: RangeInclusive<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let start = self.entries.partition_point(|(key, _)| key < keys.start());
        let behind = self.entries.get(start..).unwrap_or_default();
        let length = behind.partition_point(|(key, _)| key <= keys.end());
        behind.get(..length).unwrap_or_default().iter().map(|(key, value)| (key, value))
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Of equal keys the last one counts. Sorted once: thousands that come unsorted would move each other thousands of times.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.reverse();
        entries.dedup_by(|(a, _), (b, _)| a == b);
        entries.reverse();
        Self { entries }
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> SortedSet<T> {
    /// Empty, and holds no memory.
    pub const fn new() -> Self {
        Self { map: SortedMap::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// All, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator + Clone {
        self.map.keys()
    }

    /// The least.
    pub fn first(&self) -> Option<&T> {
        self.map.entries.first().map(|(value, ())| value)
    }

    /// Keeps those of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.map.retain(|value, ()| keep(value));
    }
}

impl<T: Ord> SortedSet<T> {
    /// Whether it is there.
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.contains_key(value)
    }

    /// Puts it in; false: it was there already.
    pub fn insert(&mut self, value: T) -> bool {
        self.map.insert(value, ()).is_none()
    }

    /// Takes it out; false: it was not there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.remove(value).is_some()
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self { map: values.into_iter().map(|value| (value, ())).collect() }
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.map.into_iter().map(|(value, ())| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Numbers without a pattern; the same in every run.
    fn chance() -> impl FnMut(u64) -> u64 {
        let mut state = 1_u64;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        }
    }

    #[test]
    fn does_what_a_tree_does() {
        let mut chance = chance();
        let (mut ours, mut tree) = (SortedMap::new(), BTreeMap::new());
        for step in 0..20_000 {
            // Grows, shrinks to nothing, grows again.
            let more = step / 2_000 % 2 == 0;
            let key = chance(500).to_string();
            match chance(if more { 4 } else { 2 }) {
                0 => assert_eq!(ours.remove(key.as_str()), tree.remove(key.as_str())),
                1 if !more => assert_eq!(ours.remove(key.as_str()), tree.remove(key.as_str())),
                1 => {
                    *ours.or_default(key.clone()) += 1;
                    *tree.entry(key.clone()).or_default() += 1;
                }
                _ => assert_eq!(ours.insert(key.clone(), step), tree.insert(key.clone(), step)),
            }
            assert_eq!((ours.len(), ours.is_empty()), (tree.len(), tree.is_empty()));
            assert_eq!((ours.get(&key), ours.contains_key(&key)), (tree.get(&key), tree.contains_key(&key)));
            if step % 100 == 0 {
                let (from, to) = (chance(500).to_string(), chance(500).to_string());
                let (from, to) = (from.clone().min(to.clone()), from.max(to));
                assert!(ours.range(from.clone()..=to.clone()).eq(tree.range(from..=to)));
                ours.retain(|_, value| *value % 7 != 0);
                tree.retain(|_, value| *value % 7 != 0);
                assert!(ours.iter().eq(tree.iter()));
            }
        }
        ours.values_mut().for_each(|value| *value += 1);
        tree.values_mut().for_each(|value| *value += 1);
        assert!(ours.iter().rev().eq(tree.iter().rev()) && ours.into_iter().eq(tree));
    }

    #[test]
    fn of_equal_keys_the_last_counts_and_of_equal_values_the_first() {
        let map: SortedMap<_, _> = [(2, 'a'), (1, 'b'), (2, 'c')].into_iter().collect();
        assert!(map.into_iter().eq([(1, 'b'), (2, 'c')]));
        let values = ["b", "c", "a", "b"];
        let set: SortedSet<_> = values.into_iter().collect();
        assert_eq!((set.first(), set.contains("c"), set.contains("d")), (Some(&"a"), true, false));
        assert!(set.into_iter().eq(BTreeSet::from(values)));
    }

    #[test]
    fn a_range_that_runs_backwards_is_empty() {
        let map: SortedMap<_, _> = (0..9).map(|key| (key, ())).collect();
        let (more, less) = (6, 3);
        assert_eq!(map.range(more..=less).count(), 0);
    }

    #[test]
    fn what_a_flood_made_large_does_not_stay_so() {
        let mut set: SortedSet<_> = (0..10_000).collect();
        for value in 0..9_990 {
            assert!(set.remove(&value) && !set.remove(&value));
        }
        assert!(set.map.entries.capacity() <= 64, "{}", set.map.entries.capacity());
        assert!(set.iter().copied().eq(9_990..10_000));
    }
}
