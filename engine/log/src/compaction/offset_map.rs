//! Where each key was written last: key hash to offset, in a table of bounded memory.
//!
//! It keeps 128 bits of a key, not the key. The hash is SipHash under a random secret, so that nobody can choose keys that
//! meet in one entry; of a billion keys two do by chance once in 10^20 runs. It knows no batches. (`SkimpyOffsetMap.java`)

use std::hash::Hasher as _;

use highwater_record::Offset;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Bytes of an entry.
const ENTRY_BYTES: usize = size_of::<Entry>();
/// Entries a table begins with.
const ENTRIES_MIN: usize = 1024;

/// One key. Zeros are a free place, so that a large table costs what of it is touched.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    hash: [u64; 2],
    /// The offset plus one; 0 is free.
    after: u64,
}

/// How large a table may get and how full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapLimits {
    /// Bytes of the table, counted while it grows: the old and the new one together
    /// (`log.cleaner.dedupe.buffer.size`, of one cleaner).
    pub bytes_max: usize,
    /// How full it may get, of a hundred (`log.cleaner.io.buffer.load.factor`); 1 to 95.
    pub load_percent: u8,
}

impl Default for MapLimits {
    /// 128 MiB and nine tenths, as Kafka: some five million keys.
    fn default() -> MapLimits {
        MapLimits {
            bytes_max: 128 << 20,
            load_percent: 90,
        }
    }
}

/// The last offset of each key.
///
/// Invariant: `len <= room`, and at least one entry is free.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    limits: MapLimits,
    secret: (u64, u64),
    entries: Vec<Entry>,
    len: usize,
    /// Keys it takes at its present size.
    room: usize,
}

impl OffsetMap {
    /// An empty one.
    pub(crate) fn new(limits: MapLimits, secret: (u64, u64)) -> OffsetMap {
        let mut map = OffsetMap {
            limits,
            secret,
            entries: Vec::new(),
            len: 0,
            room: 0,
        };
        map.resize(ENTRIES_MIN);
        map
    }

    /// One that takes no key, and hardly any memory.
    pub(crate) fn closed() -> OffsetMap {
        OffsetMap {
            limits: MapLimits {
                bytes_max: 0,
                load_percent: 1,
            },
            secret: (0, 0),
            entries: vec![Entry::default(); 1],
            len: 0,
            room: 0,
        }
    }

    /// Keys in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// Notes that `key` was written at `offset`, which is not below any noted before; `false` when it is a new key and
    /// there is no room for it.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let after = offset.get().cast_unsigned().wrapping_add(1);
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.entries[at].after != 0 {
            self.entries[at].after = after;
            return true;
        }
        if self.len >= self.room && !self.grow() {
            return false;
        }
        let at = self.find(hash);
        self.entries[at] = Entry { hash, after };
        self.len += 1;
        true
    }

    /// The last offset at which `key` was noted.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let after = self.entries[self.find(self.hash(key))].after;
        (after != 0).then(|| Offset::new(after.wrapping_sub(1).cast_signed()))
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }

    /// The entry of a hash, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut at = self.home(hash);
        loop {
            let entry = &self.entries[at];
            if entry.after == 0 || entry.hash == hash {
                return at;
            }
            at += 1;
            if at == self.entries.len() {
                at = 0;
            }
        }
    }

    /// The place a hash is looked for first: its share of the table.
    fn home(&self, hash: [u64; 2]) -> usize {
        let share = (u128::from(hash[0]) * self.entries.len() as u128) >> 64;
        usize::try_from(share).expect("less than the number of entries")
    }

    /// Takes up to twice the memory; `false` when there is none to speak of.
    fn grow(&mut self) -> bool {
        let now = self.entries.len();
        let affordable = self.limits.bytes_max / ENTRY_BYTES;
        let entries = (now * 2).min(affordable.saturating_sub(now));
        if entries <= now + now / 4 {
            return false;
        }
        self.resize(entries);
        true
    }

    fn resize(&mut self, entries: usize) {
        let before = std::mem::replace(&mut self.entries, vec![Entry::default(); entries]);
        for entry in before.into_iter().filter(|entry| entry.after != 0) {
            let at = self.find(entry.hash);
            self.entries[at] = entry;
        }
        let percent = usize::from(self.limits.load_percent.clamp(1, 95));
        self.room = (entries * percent / 100).clamp(1, entries - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn map(bytes_max: usize) -> OffsetMap {
        let limits = MapLimits {
            bytes_max,
            load_percent: 90,
        };
        OffsetMap::new(limits, (1, 2))
    }

    #[test]
    fn a_full_map_takes_no_new_key_and_still_moves_the_old() {
        let mut map = map(0);
        let mut taken = 0;
        while map.put(format!("key {taken}").as_bytes(), Offset::new(taken)) {
            taken += 1;
        }
        assert_eq!(taken, 921, "nine tenths of the smallest table");
        assert!(map.put(b"key 7", Offset::new(5_000)));
        assert_eq!(map.get(b"key 7"), Some(Offset::new(5_000)));
        assert_eq!(map.get(b"key 921"), None);
        assert_eq!(map.len(), 921);
    }

    #[test]
    fn it_grows_with_its_keys_and_not_beyond_its_bytes() {
        let mut map = map(1 << 20);
        let mut taken = 0;
        while map.put(&i64::to_be_bytes(taken), Offset::new(taken)) {
            taken += 1;
        }
        assert!(map.bytes() <= 1 << 20, "{} bytes", map.bytes());
        assert!(taken > 20_000, "{taken} keys in a mebibyte");
        for key in 0..taken {
            assert_eq!(map.get(&i64::to_be_bytes(key)), Some(Offset::new(key)));
        }
    }

    proptest! {
        #[test]
        fn it_knows_the_last_offset_of_every_key(keys in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 0..3000)) {
            let (mut map, mut model) = (map(1 << 20), BTreeMap::new());
            for (offset, key) in (0i64..).zip(&keys) {
                prop_assert!(map.put(key, Offset::new(offset)));
                model.insert(key, Offset::new(offset));
            }
            prop_assert_eq!(map.len(), model.len());
            for (key, offset) in model {
                prop_assert_eq!(map.get(key), Some(offset));
            }
            prop_assert_eq!(map.get(b"another"), None);
        }
    }
}
