//! The keys of one shard, with their values and the times at which they end.
//!
//! Entries lie in a slab, and a table finds them by their keys: so an entry keeps its place while the table grows, and whoever goes
//! through all of them, a step at a time, misses none that was there all the while. A snapshot needs no more than that.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashTable;
use slab::Slab;

use crate::record::Record;

/// The end of a key that has none. Times are milliseconds since 1970.
pub(crate) const NEVER: u64 = u64::MAX;

/// What time it is, looked at when somebody asks, and then the same for all that comes at once.
#[derive(Default)]
pub(crate) struct Clock(Cell<Option<u64>>);

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        if let Some(now) = self.0.get() {
            return now;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.unwrap_or_default().as_millis() as u64;
        self.0.set(Some(now));
        now
    }

    /// Time goes on.
    pub(crate) fn go_on(&self) {
        self.0.set(None);
    }

    /// Always so late.
    pub(crate) fn at(now: u64) -> Self {
        Clock(Cell::new(Some(now)))
    }
}

pub(crate) struct Entry {
    key: Box<[u8]>,
    value: Vec<u8>,
    /// When it ends.
    deadline: u64,
}

impl Entry {
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }
}

#[derive(Default)]
pub(crate) struct Store {
    entries: Slab<Entry>,
    table: HashTable<usize>,
    /// Its key is a secret of the process, so that nobody can choose keys that all fall into one place.
    hasher: RandomState,
    /// When which entry ends, the soonest first. What has another end by now, or is gone, is known by that.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    /// How many entries have an end.
    mortal: usize,
    /// What has changed and was not taken yet; `None` if nobody wants to know.
    journal: Option<Vec<u8>>,
}

impl Store {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn mortal(&self) -> usize {
        self.mortal
    }

    pub(crate) fn keep_journal(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// What has changed since it was taken last, as records.
    pub(crate) fn journal(&mut self) -> Option<&mut Vec<u8>> {
        self.journal.as_mut()
    }

    fn note(&mut self, record: Record<'_>) {
        if let Some(journal) = &mut self.journal {
            record.encode(journal);
        }
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<usize> {
        let same = |&at: &usize| *self.entries[at].key == *key;
        self.table.find(hash, same).copied()
    }

    /// The entry of a key. One that has ended is dropped here, and is not there.
    fn live(&mut self, key: &[u8], clock: &Clock) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let at = self.find(key, hash)?;
        let deadline = self.entries[at].deadline;
        if deadline == NEVER || deadline > clock.now() {
            return Some(at);
        }
        self.drop_entry(at, hash);
        None
    }

    pub(crate) fn get(&mut self, key: &[u8], clock: &Clock) -> Option<&Entry> {
        let at = self.live(key, clock)?;
        Some(&self.entries[at])
    }

    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], deadline: u64) {
        self.note(Record::Set {
            key,
            value,
            deadline,
        });
        let hash = self.hasher.hash_one(key);
        let at = match self.find(key, hash) {
            Some(at) => {
                let kept = &mut self.entries[at].value;
                if kept.capacity() > 64 && kept.capacity() / 2 > value.len() {
                    *kept = Vec::new();
                }
                kept.clear();
                kept.reserve_exact(value.len());
                kept.extend_from_slice(value);
                at
            }
            None => {
                let at = self.entries.insert(Entry {
                    key: key.into(),
                    value: value.to_vec(),
                    deadline: NEVER,
                });
                let (entries, hasher) = (&self.entries, &self.hasher);
                let rehash = |&at: &usize| hasher.hash_one(&*entries[at].key);
                self.table.insert_unique(hash, at, rehash);
                at
            }
        };
        self.set_deadline(at, deadline);
    }

    /// Gives a key another end; says if it is there.
    pub(crate) fn expire(&mut self, key: &[u8], deadline: u64, clock: &Clock) -> bool {
        let Some(at) = self.live(key, clock) else {
            return false;
        };
        self.note(Record::Expire { key, deadline });
        self.set_deadline(at, deadline);
        true
    }

    fn set_deadline(&mut self, at: usize, deadline: u64) {
        let old = std::mem::replace(&mut self.entries[at].deadline, deadline);
        if old == deadline {
            return;
        }
        self.mortal -= usize::from(old != NEVER);
        if deadline != NEVER {
            self.mortal += 1;
            self.ends.push(Reverse((deadline, at)));
        }
        if self.ends.len() > 2 * self.mortal + 64 {
            let (mut ends, entries) = (std::mem::take(&mut self.ends), &self.entries);
            ends.retain(|Reverse((end, at))| {
                entries.get(*at).is_some_and(|entry| entry.deadline == *end)
            });
            self.ends = ends;
        }
    }

    /// Says if the key was there.
    pub(crate) fn remove(&mut self, key: &[u8], clock: &Clock) -> bool {
        if self.live(key, clock).is_none() {
            return false;
        }
        self.note(Record::Remove { key });
        let hash = self.hasher.hash_one(key);
        if let Some(at) = self.find(key, hash) {
            self.drop_entry(at, hash);
        }
        true
    }

    fn drop_entry(&mut self, at: usize, hash: u64) {
        self.set_deadline(at, NEVER);
        if let Ok(found) = self.table.find_entry(hash, |&other| other == at) {
            found.remove();
        }
        self.entries.remove(at);
    }

    pub(crate) fn clear(&mut self) {
        self.note(Record::Clear);
        self.entries = Slab::new();
        self.table = HashTable::new();
        self.ends = BinaryHeap::new();
        self.mortal = 0;
    }

    /// Drops keys that have ended, at most `most`; says if there may be more. The log need not hear of it: it has their ends.
    pub(crate) fn purge(&mut self, now: u64, most: usize) -> bool {
        for _ in 0..most {
            match self.ends.peek() {
                Some(&Reverse((end, at))) if end <= now => {
                    self.ends.pop();
                    let entry = self.entries.get(at).filter(|entry| entry.deadline == end);
                    if let Some(entry) = entry {
                        let hash = self.hasher.hash_one(&*entry.key);
                        self.drop_entry(at, hash);
                    }
                }
                _ => return false,
            }
        }
        true
    }

    pub(crate) fn keys(&self, now: u64) -> impl Iterator<Item = &[u8]> {
        let live = self
            .entries
            .iter()
            .filter(move |(_, entry)| entry.deadline > now);
        live.map(|(_, entry)| &*entry.key)
    }

    /// Does what a record says.
    pub(crate) fn apply(&mut self, record: Record<'_>) {
        match record {
            Record::Set {
                key,
                value,
                deadline,
            } => self.set(key, value, deadline),
            // All of it was done while the key was there, so no time counts.
            Record::Remove { key } => drop(self.remove(key, &Clock::at(0))),
            Record::Expire { key, deadline } => drop(self.expire(key, deadline, &Clock::at(0))),
            Record::Clear => self.clear(),
        }
    }

    /// All places in which there is an entry now. Those that are made later may lie beyond.
    pub(crate) fn places(&self) -> Range<usize> {
        0..self.entries.capacity()
    }

    /// Takes so many places from `places` that the entries in them are about `enough` bytes, and appends those as records.
    pub(crate) fn snapshot(&self, places: &mut Range<usize>, enough: usize, out: &mut Vec<u8>) {
        while out.len() < enough {
            let Some(at) = places.next() else {
                return;
            };
            if let Some(entry) = self.entries.get(at) {
                let record = Record::Set {
                    key: &entry.key,
                    value: &entry.value,
                    deadline: entry.deadline,
                };
                record.encode(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::HEAD;

    fn value<'a>(store: &'a mut Store, key: &str, now: u64) -> Option<&'a [u8]> {
        Some(store.get(key.as_bytes(), &Clock::at(now))?.value())
    }

    #[test]
    fn keys_end_when_they_are_asked_for() {
        let mut store = Store::default();
        store.set(b"a", b"1", 10);
        store.set(b"b", b"2", NEVER);
        assert_eq!(value(&mut store, "a", 9), Some(&b"1"[..]));
        assert_eq!((store.len(), store.mortal()), (2, 1));
        assert_eq!(value(&mut store, "a", 10), None);
        assert_eq!((store.len(), store.mortal()), (1, 0));
        assert!(!store.remove(b"a", &Clock::at(10)) && !store.expire(b"a", 20, &Clock::at(10)));
        assert_eq!(value(&mut store, "b", u64::MAX - 1), Some(&b"2"[..]));
    }

    #[test]
    fn keys_end_when_nobody_asks() {
        let mut store = Store::default();
        for key in 0..100_u64 {
            store.set(&key.to_le_bytes(), b"", 100 + key);
        }
        store.expire(&0_u64.to_le_bytes(), NEVER, &Clock::at(0));
        store.expire(&1_u64.to_le_bytes(), 500, &Clock::at(0));
        store.remove(&2_u64.to_le_bytes(), &Clock::at(0));
        store.set(b"in its place", b"", NEVER);
        while store.purge(149, 7) {}
        assert_eq!((store.len(), store.mortal()), (53, 51));
        assert_eq!(store.keys(149).count(), 53);
        while store.purge(1_000, 7) {}
        assert_eq!((store.len(), store.mortal()), (2, 0));
    }

    #[test]
    fn ends_that_have_changed_take_no_memory() {
        let mut store = Store::default();
        for end in 1..10_000 {
            store.set(b"again and again", b"", end);
        }
        assert!(store.ends.len() <= 66, "{}", store.ends.len());
    }

    #[test]
    fn a_snapshot_in_steps_has_all_that_stayed() {
        let mut store = Store::default();
        for key in 0..1_000_u64 {
            store.set(&key.to_le_bytes(), &[7; 20], NEVER);
        }
        let (mut places, mut records, mut new) = (store.places(), Vec::new(), 5_000_u64);
        while !places.is_empty() {
            let mut step = Vec::new();
            store.snapshot(&mut places, 500, &mut step);
            records.extend_from_slice(step.get(HEAD..).unwrap_or_default());
            for _ in 0..40 {
                // The table grows meanwhile, and the places of those that go are taken again.
                store.remove(&(new % 500).to_le_bytes(), &Clock::at(0));
                store.set(&new.to_le_bytes(), b"new", NEVER);
                new += 1;
            }
        }
        let (mut copy, mut rest) = (Store::default(), &records[..]);
        while let Some((record, after)) = Record::decode(rest) {
            copy.apply(record);
            rest = after;
        }
        assert!(rest.is_empty());
        for key in 500..1_000_u64 {
            assert!(
                copy.get(&key.to_le_bytes(), &Clock::at(0)).is_some(),
                "{key}"
            );
        }
    }
}
