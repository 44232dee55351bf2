//! Consumer groups as an administrator sees them: which there are, who is in them, and how far they have read.
//!
//! A group is asked of its coordinator, each on its own; only the list is put together from all brokers.

mod describe;
mod members;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use highwater_wire::message::list_groups::ListedGroup;
use highwater_wire::message::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use highwater_wire::message::{
    DeleteGroupsRequest, DeleteGroupsResponse, ListGroupsRequest, ListGroupsResponse,
    OffsetDeleteRequest, OffsetDeleteResponse,
};
use highwater_wire::{Array, ErrorCode};

pub use self::describe::DescribeGroups;
pub use self::members::{MemberName, RemoveGroupMembers};
use super::concurrent::join_all;
use super::errand::{Errand, complete};
use super::{Admin, AllowedOperations, Call, Operation, Results, ask, refused};
use crate::connection::Connection;
use crate::error::{Error, Result, TopicPartition};
use crate::group::{Committed, Coordinator, Retry, commit_offsets, fetch_offsets};

/// One line of a list of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// The group's id.
    pub id: String,
    /// Which protocol its members speak.
    pub kind: GroupKind,
    /// What kind of work it shares: `consumer`, `connect`, ..; empty for a group that only holds offsets.
    pub protocol_type: String,
    /// What it is doing.
    pub state: GroupState,
}

/// Which protocol a group's members speak.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKind {
    /// JoinGroup and SyncGroup: a member makes the assignment.
    Classic,
    /// ConsumerGroupHeartbeat: the coordinator makes the assignment (KIP-848).
    Consumer,
    /// Another one, or one that the broker did not tell.
    Other,
}

/// What a group is doing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupState {
    /// It has no members, but commits.
    Empty,
    /// Its members are joining a new generation.
    PreparingRebalance,
    /// They wait for the leader's assignment.
    CompletingRebalance,
    /// The coordinator is making an assignment.
    Assigning,
    /// Members are letting go and taking over partitions.
    Reconciling,
    /// Every member has what it is to have.
    Stable,
    /// It does not exist, or is about to.
    Dead,
    /// Something else, or the broker did not tell.
    Unknown,
}

const STATES: [(GroupState, &str); 8] = [
    (GroupState::Empty, "Empty"),
    (GroupState::PreparingRebalance, "PreparingRebalance"),
    (GroupState::CompletingRebalance, "CompletingRebalance"),
    (GroupState::Assigning, "Assigning"),
    (GroupState::Reconciling, "Reconciling"),
    (GroupState::Stable, "Stable"),
    (GroupState::Dead, "Dead"),
    (GroupState::Unknown, "Unknown"),
];

impl GroupState {
    fn named(name: &str) -> Self {
        let found = STATES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map_or(Self::Unknown, |(state, _)| *state)
    }

    /// Kafka's name for it.
    fn name(self) -> &'static str {
        let found = STATES.iter().find(|(state, _)| *state == self);
        found.map_or("Unknown", |(_, name)| name)
    }

    /// Whether it has no members.
    pub fn is_inactive(self) -> bool {
        matches!(self, Self::Empty | Self::Dead)
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl GroupKind {
    /// Kafka's name for it.
    fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Other => "other",
        }
    }

    fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "classic" => Self::Classic,
            "consumer" => Self::Consumer,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub id: String,
    /// Which protocol its members speak.
    pub kind: GroupKind,
    /// What kind of work it shares: `consumer`, `connect`, ..; empty for a group that only holds offsets.
    pub protocol_type: String,
    /// What it is doing.
    pub state: GroupState,
    /// The assignor in force; empty when there is none.
    pub assignor: String,
    /// Where its coordinator is, `host:port`.
    pub coordinator: String,
    /// The epoch of a consumer group; `None` of classic ones.
    pub epoch: Option<i32>,
    /// The group's epoch that the assignment was made for, of a consumer group.
    pub assignment_epoch: Option<i32>,
    /// Who is in it.
    pub members: Vec<GroupMember>,
    /// What this client may do with it, where that was asked for.
    pub allowed: Option<AllowedOperations>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<String>,
    /// The client's own name for itself.
    pub client_id: String,
    /// The address it connected from, as the broker writes it.
    pub client_host: String,
    /// What it has.
    pub assignment: BTreeSet<TopicPartition>,
    /// What it is to have, in a consumer group.
    pub target: Option<BTreeSet<TopicPartition>>,
    /// Its epoch, in a consumer group.
    pub epoch: Option<i32>,
    /// Its rack, in a consumer group.
    pub rack: Option<String>,
    /// The topics it reads by name, in a consumer group.
    pub topics: BTreeSet<String>,
    /// The pattern of topics it reads, in a consumer group.
    pub pattern: Option<String>,
    /// Which protocol it speaks, in a consumer group that takes in classic members (KIP-1099).
    pub kind: Option<GroupKind>,
}

/// The first versions of ListGroups that know states and types.
const VERSION_STATES: i16 = 4;
const VERSION_KINDS: i16 = 5;

/// What [`Admin::list_groups`] does.
#[derive(Clone, Debug, Default)]
pub struct ListGroups {
    states: BTreeSet<GroupState>,
    kinds: BTreeSet<GroupKind>,
}

impl Call<ListGroups> {
    /// Only groups in these states (KIP-518); all, of an empty list. Kafka 2.6 and later.
    pub fn states(self, states: impl IntoIterator<Item = GroupState>) -> Self {
        let states = states.into_iter().collect();
        self.set(|it| it.states = states)
    }

    /// Only groups whose members speak these protocols (KIP-848); all, of an empty list. Kafka 3.8
    /// and later.
    pub fn kinds(self, kinds: impl IntoIterator<Item = GroupKind>) -> Self {
        let kinds = kinds.into_iter().collect();
        self.set(|it| it.kinds = kinds)
    }
}

impl Operation for ListGroups {
    type Output = Vec<GroupListing>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let request = ListGroupsRequest {
            states_filter: self.states.iter().map(|it| it.name()).collect(),
            types_filter: self.kinds.iter().map(|it| it.name()).collect(),
        };
        let least = match (self.states.is_empty(), self.kinds.is_empty()) {
            (_, false) => VERSION_KINDS,
            (false, true) => VERSION_STATES,
            (true, true) => 0,
        };
        let request = &request;
        let listed = errand.of_brokers([], |connection: Connection| async move {
            let reply = ask(&connection, request, least).await?;
            let answer: ListGroupsResponse<'_> = reply.decode()?;
            refused(answer.error_code, None)?;
            Ok(answer.groups.iter().map(listing).collect::<Vec<_>>())
        });
        let mut groups = BTreeMap::new();
        for listed in listed.await?.into_values() {
            for group in listed? {
                groups.insert(group.id.clone(), group);
            }
        }
        Ok(groups.into_values().collect())
    }
}

fn listing(group: ListedGroup<'_>) -> GroupListing {
    GroupListing {
        id: group.group_id.to_owned(),
        kind: GroupKind::named(group.group_type),
        protocol_type: group.protocol_type.to_owned(),
        state: GroupState::named(group.group_state),
    }
}

impl Admin {
    /// The groups that all brokers together coordinate, by id.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When a broker does not answer: a list with gaps would be none. Or
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where a broker cannot be asked for what was set.
    pub fn list_groups(&self) -> Call<ListGroups> {
        self.call(ListGroups::default())
    }

    /// Deletes groups without members, with all they have committed.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// Never as a whole: [`NonEmptyGroup`](ErrorCode::NonEmptyGroup), [`GroupIdNotFound`](ErrorCode::GroupIdNotFound) and
    /// whatever else is in the results.
    pub async fn delete_groups<S: AsRef<str>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, ()>> {
        let errand = &self.errand();
        let ids: BTreeSet<String> = ids.into_iter().map(|id| id.as_ref().to_owned()).collect();
        let deleted = ids.into_iter().map(|id| async move {
            let named = &*id;
            let deleted = errand.of_coordinator(named, |connection: Connection| async move {
                let request = DeleteGroupsRequest {
                    groups_names: Array::from([named]),
                };
                let reply = connection.call(&request).await?;
                let answer: DeleteGroupsResponse<'_> = reply.decode()?;
                let result = answer.results.first();
                let result = result.ok_or_else(|| Error::protocol("answer names no group"))?;
                refused(result.error_code, None)
            });
            let deleted = deleted.await;
            (id, deleted)
        });
        Ok(join_all(deleted.collect()).await.into_iter().collect())
    }

    /// How far a group has read: these partitions (`None` in the result where nothing is committed), or with `None` all that it
    /// has committed anything for.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When the coordinator does not answer or refuses; a refusal of one partition is in the results.
    pub async fn group_offsets(
        &self,
        group: &str,
        places: Option<&BTreeSet<TopicPartition>>,
    ) -> Result<Results<TopicPartition, Option<Committed>>> {
        let errand = self.errand();
        let coordinator = Coordinator::new(self.client.clone(), group.into());
        let fetching = fetch_offsets(&coordinator, places, false, errand.deadline);
        let mut fetched = errand.within(fetching).await?;
        complete(&mut fetched, places.into_iter().flatten());
        Ok(fetched)
    }

    /// Commits for a group from outside. Refused while it has members.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When the coordinator does not answer; a refusal of one partition is in the results, as
    /// [`UnknownMemberId`](ErrorCode::UnknownMemberId) where the group has members.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: impl IntoIterator<Item = (TopicPartition, Committed)>,
    ) -> Result<Results<TopicPartition, ()>> {
        let offsets: &BTreeMap<TopicPartition, Committed> = &offsets.into_iter().collect();
        let errand = self.errand();
        let asked = errand.of_coordinator(group, |connection: Connection| async move {
            let codes = commit_offsets(&connection, group, None, None, offsets).await?;
            passing(codes.values().copied())?;
            let mut results = codes.into_iter().map(result).collect();
            complete(&mut results, offsets.keys());
            Ok(results)
        });
        asked.await
    }

    /// Deletes what a group has committed for these partitions.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When the coordinator does not answer or there is no such group; a refusal of one partition is in the results, as
    /// [`GroupSubscribedToTopic`](ErrorCode::GroupSubscribedToTopic) where a member reads it.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        places: &BTreeSet<TopicPartition>,
    ) -> Result<Results<TopicPartition, ()>> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for place in places {
            let partition = OffsetDeleteRequestPartition {
                partition_index: place.partition,
            };
            topics.entry(&place.topic).or_default().push(partition);
        }
        let topic = |(name, partitions)| OffsetDeleteRequestTopic {
            name,
            partitions: Array::from(partitions),
        };
        let request = &OffsetDeleteRequest {
            group_id: group,
            topics: topics.into_iter().map(topic).collect::<Array<'_, _>>(),
        };
        let errand = self.errand();
        let asked = errand.of_coordinator(group, |connection: Connection| async move {
            let reply = connection.call(request).await?;
            let answer: OffsetDeleteResponse<'_> = reply.decode()?;
            refused(answer.error_code, None)?;
            let mut codes = BTreeMap::new();
            for topic in &answer.topics {
                for it in &topic.partitions {
                    let place = TopicPartition::new(topic.name, it.partition_index);
                    codes.insert(place, ErrorCode::from_id(it.error_code));
                }
            }
            passing(codes.values().copied())?;
            let mut results = codes.into_iter().map(result).collect();
            complete(&mut results, places);
            Ok(results)
        });
        asked.await
    }
}

/// A refusal among these that passes is one of the whole request.
fn passing(codes: impl IntoIterator<Item = ErrorCode>) -> Result<()> {
    let errors = codes.into_iter().filter(|code| code.is_error());
    let mut errors = errors.map(|code| Error::broker(code, None));
    errors.find(Retry::helps).map_or(Ok(()), Err)
}

fn result((place, code): (TopicPartition, ErrorCode)) -> (TopicPartition, Result<()>) {
    let result = refused(code.id(), None).map_err(|error| error.at(&place.topic, place.partition));
    (place, result)
}
