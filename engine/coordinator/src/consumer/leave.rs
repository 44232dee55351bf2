//! Members that leave, for good or for a while, and members that are put out because nothing was heard of them.

use super::change::Change;
use super::draft::Draft;
use super::group::ConsumerGroup;
use super::held::Held;
use super::member::{AWAY_EPOCH, Holds};
use super::refusal::Refusal;
use crate::world::Topics;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a member's leave comes to.
pub(super) enum Leave {
    /// It goes, and gives up what it holds.
    Gone(Rc<str>),
    /// It goes for a while, and what it holds is kept for whoever comes with its instance id.
    Away(Rc<str>, Holds),
}

/// Decides on a heartbeat that leaves.
pub(super) fn decide(
    group: &ConsumerGroup,
    id: &str,
    instance: Option<&str>,
    epoch: i32,
) -> Result<Leave, Refusal> {
    let Some(instance) = instance else {
        return Ok(Leave::Gone(group.dynamic_member(id)?.0.clone()));
    };
    let (id, member) = group.static_member(instance, id)?;
    if epoch != AWAY_EPOCH {
        return Ok(Leave::Gone(id.clone()));
    }
    let holds = Holds {
        epoch: AWAY_EPOCH,
        revoking: Held::default(),
        ..member.holds.clone()
    };
    Ok(Leave::Away(id.clone(), holds))
}

/// What is to be written down when these members go.
pub(super) fn without(
    group: &ConsumerGroup,
    topics: &dyn Topics,
    members: &[Rc<str>],
) -> Vec<Change> {
    let mut changes: Vec<Change> = members.iter().flat_map(gone).collect();
    let left: BTreeSet<&str> = group
        .members
        .iter()
        .filter(|(id, _)| !members.contains(id))
        .map(|(_, member)| &*member.wants.pattern)
        .collect();
    let unwanted = group
        .patterns
        .keys()
        .filter(|pattern| !left.contains(&***pattern));
    changes.extend(unwanted.map(|pattern| Change::Pattern(pattern.clone(), None)));
    let draft = Draft {
        group,
        topics,
        member: None,
        replaced: None,
        gone: members,
        matched: BTreeMap::new(),
    };
    let epoch = group.epoch.saturating_add(1);
    changes.push(Change::Epoch(Some((epoch, draft.metadata_hash()))));
    changes
}

/// The tombstones of a member.
pub(super) fn gone(id: &Rc<str>) -> [Change; 3] {
    [
        Change::Holds(id.clone(), None),
        Change::Target(id.clone(), None),
        Change::Wants(id.clone(), None),
    ]
}
