//! One member's next step towards its target. Nothing is given to it before whoever held it has let go, and it gets nothing
//! new while it has not let go itself (`CurrentAssignmentBuilder.java`).
//!
//! ```text
//!                         something to let go of
//!   Stable ────────────────────────────────────────> Unrevoked     the epoch stays; the assignment shrinks
//!     ^  ^                                               │
//!     │  │   the member no longer says that it holds it  │
//!     │  └──────────────────────────────────┬────────────┘         the epoch is the target's
//!     │        all of the target is free    │ not all of it
//!     └────────────────────────────── Unreleased <─┐
//!                                           └──────┘               it gets what became free
//! ```

use super::held::{Held, Slot};
use super::member::{Holds, Progress};
use super::refusal::Refusal;
use crate::assignor::Assignment;
use highwater_wire::Array;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;
use uuid::Uuid;

/// What a member says that it holds; nothing for: as before.
pub(super) type Said<'s, 'a> = Option<&'s Array<'a, TopicPartitions<'a>>>;

/// What the step depends on.
pub(super) struct Step<'s, 'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'s Assignment,
    pub(super) said: Said<'s, 'a>,
    /// Whether the member wants something else than before: what it no longer wants goes at once.
    pub(super) has_changed_its_mind: bool,
    /// Whether the member wants the topic, and there is one.
    pub(super) wants: &'s dyn Fn(Uuid) -> bool,
    /// Whether another member holds the partition.
    pub(super) is_taken: &'s dyn Fn(Uuid, i32) -> bool,
}

/// Whether the member says that it holds any of these. A member that says nothing may hold all of them.
fn says_any(said: Said<'_, '_>, held: &Held) -> bool {
    let Some(said) = said else {
        return true;
    };
    said.iter().any(|topic| {
        let mut partitions = topic.partitions.iter();
        partitions.any(|partition| held.contains(topic.topic_id, partition))
    })
}

/// Whether the member says what it holds, and nothing that is not among these.
pub(super) fn says_only(said: Said<'_, '_>, held: &Held) -> bool {
    said.is_some_and(|said| {
        said.iter().all(|topic| {
            let mut partitions = topic.partitions.iter();
            partitions.all(|partition| held.contains(topic.topic_id, partition))
        })
    })
}

impl Step<'_, '_> {
    /// What the member holds next; nothing where it is as before.
    ///
    /// # Errors
    /// [`Refusal::FencedEpoch`] when what the member is doing is not known here, and it does not begin anew.
    pub(super) fn take(&self, holds: &Holds) -> Result<Option<Holds>, Refusal> {
        let next = match holds.progress {
            Progress::Stable if holds.epoch != self.target_epoch => {
                self.reconciled(holds, holds.epoch)
            }
            Progress::Stable => self.shrunk(holds),
            Progress::Unrevoked if says_any(self.said, &holds.revoking) => self.shrunk(holds),
            Progress::Unrevoked | Progress::Unreleased => self.reconciled(holds, holds.epoch),
            Progress::Unknown => {
                if self.said.is_none_or(|said| !said.is_empty()) {
                    return Err(Refusal::FencedEpoch {
                        received: holds.epoch,
                        known: self.target_epoch,
                    });
                }
                self.reconciled(holds, self.target_epoch)
            }
        };
        Ok(Some(next).filter(|next| next != holds))
    }

    /// Without what the member no longer wants, on the epoch that it is on.
    fn shrunk(&self, holds: &Holds) -> Holds {
        if !self.has_changed_its_mind {
            return holds.clone();
        }
        let (assigned, unwanted): (Vec<Slot>, Vec<Slot>) = holds
            .assigned
            .iter()
            .partition(|slot| (self.wants)(slot.topic));
        if unwanted.is_empty() {
            return holds.clone();
        }
        let assigned = assigned.into_iter().collect();
        let revoking = holds.revoking.with(&unwanted.into_iter().collect());
        if says_any(self.said, &revoking) {
            return advanced(holds, holds.epoch, Progress::Unrevoked, assigned, revoking);
        }
        let (progress, revoking) = (holds.progress, holds.revoking.clone());
        advanced(holds, holds.epoch, progress, assigned, revoking)
    }

    /// As near to the target as may be.
    fn reconciled(&self, holds: &Holds, epoch: i32) -> Holds {
        let is_target =
            |topic, partition| self.target.contains(topic, partition) && (self.wants)(topic);
        let (kept, lost): (Vec<Slot>, Vec<Slot>) = holds
            .assigned
            .iter()
            .partition(|slot| is_target(slot.topic, slot.partition));
        let revoking: Held = lost.into_iter().collect();
        if !revoking.is_empty() && says_any(self.said, &revoking) {
            let kept = kept.into_iter().collect();
            return advanced(holds, epoch, Progress::Unrevoked, kept, revoking);
        }

        let mut assigned = kept;
        let mut is_waiting = false;
        for (topic, partitions) in self.target.topics() {
            if !(self.wants)(topic) {
                continue;
            }
            for &partition in partitions {
                if holds.assigned.contains(topic, partition) {
                    continue;
                }
                if (self.is_taken)(topic, partition) {
                    is_waiting = true;
                } else {
                    assigned.push(Slot {
                        topic,
                        partition,
                        epoch: self.target_epoch,
                    });
                }
            }
        }
        let progress = if is_waiting {
            Progress::Unreleased
        } else {
            Progress::Stable
        };
        let assigned = assigned.into_iter().collect();
        advanced(
            holds,
            self.target_epoch,
            progress,
            assigned,
            Held::default(),
        )
    }
}

fn advanced(
    holds: &Holds,
    epoch: i32,
    progress: Progress,
    assigned: Held,
    revoking: Held,
) -> Holds {
    let previous_epoch = holds.epoch;
    Holds {
        epoch,
        previous_epoch,
        progress,
        assigned,
        revoking,
    }
}
