//! Who of a consumer group may commit and ask for offsets.

use super::group::ConsumerGroup;
use super::member::Member;
use highwater_wire::ErrorCode;
use std::cmp::Ordering;
use uuid::Uuid;

/// Members of the consumer protocol commit in this version or a later one.
const EPOCHS: i16 = 9;

impl Member {
    /// What it hears when its epoch is not the one it is known by.
    const fn stale(&self) -> ErrorCode {
        if self.is_classic() {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::StaleMemberEpoch
        }
    }

    /// Whether it has held the partition since this epoch, or for longer.
    fn has_held(&self, topic: Uuid, partition: i32, epoch: i32) -> bool {
        let slot = self.holds.assigned.get(topic, partition);
        slot.or_else(|| self.holds.revoking.get(topic, partition))
            .is_some_and(|slot| slot.epoch <= epoch)
    }
}

impl ConsumerGroup {
    /// Whether this member may commit for these partitions. Without members anybody may who claims no epoch. A member that
    /// is behind may for what it held already in the epoch that it knows (KIP-1251).
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, `STALE_MEMBER_EPOCH`, `ILLEGAL_GENERATION` for a classic member, `UNSUPPORTED_VERSION` for a
    /// member of the consumer protocol that commits as a classic one.
    pub(crate) fn validate_commit(
        &self,
        member: &str,
        epoch: i32,
        version: i16,
        mut partitions: impl Iterator<Item = (Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(member).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.is_classic() && version < EPOCHS {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let may = match epoch.cmp(&member.holds.epoch) {
            Ordering::Equal => true,
            Ordering::Greater => false,
            Ordering::Less => partitions.all(|(topic, p)| member.has_held(topic, p, epoch)),
        };
        if may { Ok(()) } else { Err(member.stale()) }
    }

    /// Whether this member may ask for offsets. Who names neither itself nor an epoch may.
    ///
    /// # Errors
    /// `UNKNOWN_MEMBER_ID`, `STALE_MEMBER_EPOCH`, `ILLEGAL_GENERATION` for a classic member.
    pub(crate) fn validate_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member.and_then(|member| self.members.get(member));
        let member = member.ok_or(ErrorCode::UnknownMemberId)?;
        if member.holds.epoch == epoch {
            Ok(())
        } else {
            Err(member.stale())
        }
    }
}
