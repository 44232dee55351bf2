//! Commits that have outlived their use: of groups that nobody is in, of topics that nobody is subscribed to any more or that
//! are gone. A group without members and commits goes with them.

use super::Commit;
use crate::classic::State;
use crate::consumer::ConsumerGroup;
use crate::coordinator::{Coordinator, Group};
use crate::timers::Timeout;
use crate::world::World;
use highwater_wire::ErrorCode;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;
use uuid::Uuid;

/// The most tombstones in one batch.
pub(super) const BATCH_MAX: usize = 1000;

/// The most commits and groups that are looked at in one go: some milliseconds, then others have their turn.
const STEP_MAX: usize = 10_000;

/// The topic that groups live in.
const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// How far the search for expired commits has come.
#[derive(Debug, Default)]
pub(crate) struct Expiry {
    /// The last group that was looked at; none between two searches.
    last: Option<Rc<str>>,
}

/// Looks for expired commits, a step at a time; sets the time-out for the next step, or the next search.
///
/// # Errors
/// When a tombstone has no place in the log: the step comes again.
pub(crate) fn expire<W: World>(
    coordinator: &mut Coordinator,
    world: &mut W,
) -> Result<(), ErrorCode> {
    let mut looked_at = 0;
    while looked_at < STEP_MAX {
        let from = match coordinator.expiry.last.take() {
            Some(last) => Bound::Excluded(last),
            None => Bound::Unbounded,
        };
        let next = coordinator.groups.range((from, Bound::Unbounded)).next();
        let Some((group, _)) = next else {
            let pause_ms = coordinator.config.offsets_retention_check_interval_ms;
            let due_ms = world.now_ms().saturating_add(pause_ms.max(1));
            coordinator.timers.set(Timeout::OffsetExpiry, due_ms);
            return Ok(());
        };
        let group = group.clone();
        looked_at += 1 + coordinator.expire_group(world, &group)?;
        coordinator.expiry.last = Some(group);
    }
    coordinator
        .timers
        .set(Timeout::OffsetExpiry, world.now_ms().saturating_add(1));
    Ok(())
}

/// From when the age of a group's commits counts.
enum Age {
    /// From the commit.
    Commit,
    /// From when the group became empty, in milliseconds since 1970.
    Empty(i64),
}

impl Age {
    fn is_over(&self, commit: &Commit, unix_ms: i64, retention_ms: i64) -> bool {
        if commit.expires_unix_ms != -1 {
            return unix_ms >= commit.expires_unix_ms;
        }
        let since = match self {
            Age::Commit => commit.committed_unix_ms,
            Age::Empty(since) => *since,
        };
        unix_ms.saturating_sub(since) >= retention_ms
    }
}

/// Who still wants to go on with a topic: its commits do not age.
enum Subscribed<'a> {
    /// There are no members, or nothing is known of what they read.
    Nobody,
    /// Members of a classic group of consumers, to these topics.
    Topics(BTreeSet<&'a str>),
    /// Members of a consumer group.
    Consumers(&'a ConsumerGroup),
}

impl Subscribed<'_> {
    fn includes(&self, topic: &str) -> bool {
        match self {
            Subscribed::Nobody => false,
            Subscribed::Topics(topics) => topics.contains(topic),
            Subscribed::Consumers(group) => group.is_subscribed_to(topic),
        }
    }
}

impl Coordinator {
    /// Removes what is expired of one group, and the group when nothing is left of it. Gives how many commits it looked at.
    fn expire_group<W: World>(
        &mut self,
        world: &mut W,
        group: &Rc<str>,
    ) -> Result<usize, ErrorCode> {
        let Some((age, subscribed)) = self.expiry_rule(group) else {
            return Ok(0);
        };
        let (unix_ms, retention_ms) = (world.unix_ms(), self.config.offsets_retention_ms);
        let mut looked_at = 0;
        let mut expired = Vec::new();
        for (topic, commits) in self.offsets.of(group) {
            looked_at += commits.len();
            if subscribed.includes(topic) {
                continue;
            }
            let over = commits
                .iter()
                .filter(|commit| age.is_over(commit, unix_ms, retention_ms));
            expired.extend(over.map(|commit| (topic.clone(), commit.partition)));
        }
        let is_all = expired.len() == looked_at;
        if !expired.is_empty() {
            tracing::info!(%group, commits = expired.len(), "commits expire");
            self.write_tombstones(world, group, &expired)?;
        }
        if is_all && self.is_vacant(group) {
            tracing::info!(%group, "group without members and commits is deleted");
            self.write_group_tombstones(world, group)?;
        }
        Ok(looked_at)
    }

    /// From when commits of the group age, and which topics' do not; none where none does
    /// (`ClassicGroup.offsetExpirationCondition`).
    fn expiry_rule(&self, group: &str) -> Option<(Age, Subscribed<'_>)> {
        Some(match self.groups.get(group)? {
            Group::Consumer(group) => (Age::Commit, Subscribed::Consumers(group)),
            Group::Classic(group) if group.protocol_type.is_none() => {
                (Age::Commit, Subscribed::Nobody)
            }
            Group::Classic(group) => match group.state {
                State::Empty if group.since_unix_ms == -1 => (Age::Commit, Subscribed::Nobody),
                State::Empty => (Age::Empty(group.since_unix_ms), Subscribed::Nobody),
                State::Stable => (Age::Commit, Subscribed::Topics(group.subscribed_topics()?)),
                State::PreparingRebalance | State::CompletingRebalance => return None,
            },
        })
    }

    /// Whether nobody is in the group.
    fn is_vacant(&self, group: &str) -> bool {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => group.is_vacant(),
            Some(Group::Consumer(group)) => group.members() == 0,
            None => false,
        }
    }
}

/// Commits of topics that are gone, or that were made again under the same name, go.
pub(crate) fn topics_changed<W: World>(coordinator: &mut Coordinator, world: &mut W) {
    let topics = world.topics();
    // An image that lacks the very topic the groups live in says nothing about the others.
    if topics.by_name(OFFSETS_TOPIC).is_none() {
        return;
    }
    // Topics that are not what they were, with what they are now; nil for nothing.
    let known = coordinator.offsets.topics.iter();
    let changed: Vec<(&Rc<str>, Uuid)> = known
        .filter_map(|(name, known)| match topics.by_name(name) {
            None => Some((name, Uuid::nil())),
            Some(topic) if !known.id.is_nil() && known.id != topic.id => Some((name, topic.id)),
            Some(_) => None,
        })
        .collect();
    if changed.is_empty() {
        return;
    }
    let mut doomed = Vec::new();
    for (group, of_group) in &coordinator.offsets.groups {
        let mut commits = Vec::new();
        for (topic, id) in &changed {
            let of_topic = of_group.get(*topic).into_iter().flatten();
            let gone = of_topic.filter(|commit| id.is_nil() || commit.is_of_another(*id));
            commits.extend(gone.map(|commit| ((*topic).clone(), commit.partition)));
        }
        if !commits.is_empty() {
            doomed.push((group.clone(), commits));
        }
    }
    for (group, commits) in doomed {
        if let Err(code) = coordinator.write_tombstones(world, &group, &commits) {
            // They are not asked for any more, and expire in the end.
            tracing::warn!(%group, %code, "commits of deleted topics could not be deleted");
        }
    }
}
