//! A fixed table of words, looked up by a hash that is laid out at compile time: one probe and one comparison
//! per look-up, whatever the number of words.

/// Several times the longest table, so that probes stay short.
const SLOTS: usize = 1024;
const EMPTY: u16 = u16::MAX;

pub(crate) struct WordTable<T: 'static, const N: usize> {
    entries: [(&'static str, T); N],
    slots: [u16; SLOTS],
}

impl<T: Copy, const N: usize> WordTable<T, N> {
    /// Fails to compile when a word stands twice or the table is too full.
    pub(crate) const fn new(entries: [(&'static str, T); N]) -> Self {
        assert!(N <= SLOTS / 2, "too many words for the table");
        let mut slots = [EMPTY; SLOTS];
        let mut index = 0;
        while index < N {
            let mut slot = slot_of(entries[index].0.as_bytes());
            while slots[slot] != EMPTY {
                assert!(
                    !same(entries[slots[slot] as usize].0.as_bytes(), entries[index].0.as_bytes()),
                    "a word stands twice in the table"
                );
                slot = (slot + 1) % SLOTS;
            }
            slots[slot] = index as u16;
            index += 1;
        }
        Self { entries, slots }
    }

    /// The words and what they stand for, in their places.
    pub(crate) fn entries(&self) -> &[(&'static str, T); N] {
        &self.entries
    }

    /// Place of the word in the table, and what it stands for.
    pub(crate) fn find(&self, word: &str) -> Option<(usize, T)> {
        let mut slot = slot_of(word.as_bytes());
        loop {
            let index = self.slots[slot];
            if index == EMPTY {
                return None;
            }
            let (candidate, value) = self.entries[usize::from(index)];
            if candidate == word {
                return Some((usize::from(index), value));
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Four characters and the length tell the field's words apart well enough.
const fn slot_of(word: &[u8]) -> usize {
    let length = word.len();
    if length == 0 {
        return 0;
    }
    let characters =
        u32::from_le_bytes([word[0], word[length - 1], word[length / 2], word[(length / 3 + length) / 2]]);
    let mixed = characters.wrapping_add((length as u32).wrapping_mul(0x85eb_ca6b)).wrapping_mul(0x9e37_79b1);
    (mixed >> 22) as usize % SLOTS
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}
