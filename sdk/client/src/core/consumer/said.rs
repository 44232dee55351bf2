//! The offset that an application names itself, beside the records that it marks, and which of the two counts.
//!
//! ```text
//!   mark_offset(7)     7 counts until marks lead past it
//!   reset_offset(3)    3 counts until marks lead past where they led when it was said
//! ```
//!
//! Knows neither the partition nor who commits.

use crate::core::consumer::progress::Place;
use crate::group::Committed;

/// What was said last of a partition, if anything.
#[derive(Debug, Default)]
pub(crate) struct Said(Option<Word>);

#[derive(Debug)]
struct Word {
    committed: Committed,
    /// Marks that lead past this offset are the newer word. Invariant: `committed.offset <= until`.
    until: i64,
}

impl Said {
    /// What the group knows already: it says more than an offset. What was said meanwhile stands.
    pub(crate) fn begin(&mut self, committed: Committed) {
        let until = committed.offset;
        self.0.get_or_insert(Word { committed, until });
    }

    /// Takes note of an offset to go on from, if it is at least what counted so far, or `in_any_case`.
    pub(crate) fn say(&mut self, committed: Committed, marks: Option<Place>, in_any_case: bool) {
        let counted = self.over(marks).map(|counted| counted.offset);
        if in_any_case || counted.is_none_or(|counted| counted <= committed.offset) {
            let until = marks.map_or(committed.offset, |marks| marks.offset.max(committed.offset));
            self.0 = Some(Word { committed, until });
        }
    }

    /// What counts where marks lead to `marks`.
    pub(crate) fn over(&self, marks: Option<Place>) -> Option<Committed> {
        match (&self.0, marks) {
            (Some(word), marks) if marks.is_none_or(|marks| marks.offset <= word.until) => {
                Some(word.committed.clone())
            }
            (_, marks) => marks.map(Committed::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(offset: i64) -> Option<Place> {
        Some(Place {
            offset,
            leader_epoch: 4,
        })
    }

    fn word(offset: i64, note: &str) -> Committed {
        Committed {
            metadata: note.to_owned(),
            ..Committed::from(offset)
        }
    }

    fn counts(said: &Said, at: Option<Place>) -> Option<(i64, String)> {
        said.over(at).map(|it| (it.offset, it.metadata))
    }

    fn told(offset: i64, note: &str) -> Option<(i64, String)> {
        Some((offset, note.to_owned()))
    }

    #[test]
    fn an_offset_counts_until_marks_lead_past_it() {
        let mut said = Said::default();
        assert_eq!(said.over(None), None);
        said.say(word(7, "seven"), None, false);
        assert_eq!(counts(&said, None), told(7, "seven"));
        assert_eq!(counts(&said, marks(7)), told(7, "seven"));
        let place = Committed::from(marks(8).unwrap());
        assert_eq!(said.over(marks(8)), Some(place));
        said.say(word(6, "less"), marks(2), false);
        assert_eq!(counts(&said, marks(2)), told(7, "seven"));
        said.say(word(7, "again"), marks(2), false);
        assert_eq!(counts(&said, marks(2)), told(7, "again"));
        said.say(word(8, "less than marks"), marks(9), false);
        assert_eq!(counts(&said, marks(9)), told(9, ""));
    }

    #[test]
    fn a_way_back_counts_until_marks_lead_on() {
        let mut said = Said::default();
        said.say(word(3, "back"), marks(6), true);
        assert_eq!(counts(&said, marks(6)), told(3, "back"));
        said.say(word(4, "on"), marks(6), false);
        assert_eq!(counts(&said, marks(6)), told(4, "on"));
        assert_eq!(counts(&said, marks(7)), told(7, ""));
    }

    #[test]
    fn what_the_group_knows_keeps_its_note_and_epoch() {
        let known = Committed {
            leader_epoch: 2,
            ..word(5, "five")
        };
        let said = {
            let mut said = Said::default();
            said.begin(known.clone());
            said
        };
        assert_eq!(said.over(marks(5)), Some(known));
        assert_eq!(counts(&said, marks(6)), told(6, ""));
    }
}
