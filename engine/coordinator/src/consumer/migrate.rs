//! A classic group of consumers becomes a consumer group when the first member of the consumer protocol comes, and a
//! consumer group becomes a classic group when the last one goes, while all others stay and go on consuming (KIP-848).
//! Here is only what the other group is to be like; who decides that it is time writes it down.

use super::change::Change;
use super::draft::Draft;
use super::group::ConsumerGroup;
use super::held::{Held, Slot};
use super::member::{Classic, Holds, Member, Progress, Wants, sorted};
use super::refusal::Refusal;
use crate::classic::{self, CONSUMER, ClassicGroup, Parked, Protocol, State};
use crate::config::Config;
use crate::world::{Topics, World};
use highwater_wire::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use highwater_wire::{Array, ErrorCode};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use uuid::Uuid;

/// A classic group as it is to be from now on.
pub(super) struct Upgrade {
    pub(super) group: ConsumerGroup,
    /// What makes it, after what it was is gone.
    pub(super) changes: Vec<Change>,
    pub(super) waits: Waits,
}

/// Members that wait for what does not come any more.
#[derive(Default)]
pub(super) struct Waits {
    /// For the next generation.
    joining: Vec<(Rc<str>, Parked)>,
    /// For their assignment.
    syncing: Vec<Parked>,
}

impl Waits {
    /// Lets all of them join again.
    pub(super) fn end(self, world: &mut impl World) {
        let code = ErrorCode::RebalanceInProgress;
        for (id, parked) in self.joining {
            classic::refuse_join(world, parked, &id, code);
        }
        for parked in self.syncing {
            classic::refuse_sync(world, parked, code);
        }
    }
}

/// What a classic group is to be when a member of the consumer protocol joins it. Everybody keeps what the last generation
/// gave them, and what they said they hold and nobody else was given: a rebalance may be under way.
pub(super) fn upgrade(
    classic: &ClassicGroup,
    config: &Config,
    topics: &dyn Topics,
) -> Result<Upgrade, Refusal> {
    let refuse = |why| Err(Refusal::Upgrade(classic.id.to_string(), why));
    if !config.consumer_migration_policy.upgrades() {
        return refuse("the migration policy does not let it");
    }
    if !classic.is_of_consumers() {
        return refuse("its members are no consumers");
    }
    if classic.members.len() > config.consumer_group_size_max {
        return refuse("it has more members than a consumer group may have");
    }
    let mut members = Vec::new();
    let mut claims = Vec::new();
    for (id, member) in &classic.members {
        let Some((member, claimed)) = upgraded(classic, member, topics) else {
            return refuse("a subscription or an assignment of its members cannot be read");
        };
        claims.push(claimed);
        members.push((id, member));
    }
    let given = members
        .iter()
        .flat_map(|(_, member)| member.holds.assigned.iter());
    let mut taken: BTreeSet<(Uuid, i32)> = given.map(|slot| (slot.topic, slot.partition)).collect();
    for ((_, member), mut claimed) in members.iter_mut().zip(claims) {
        claimed.retain(|slot| taken.insert((slot.topic, slot.partition)));
        let held = &mut member.holds.assigned;
        *held = held.with(&claimed.into_iter().collect());
    }

    let mut changes = vec![Change::NoClassic];
    changes.extend(
        members
            .iter()
            .map(|(id, member)| Change::Wants((*id).clone(), Some(Box::new(member.wants.clone())))),
    );
    let epoch = classic.generation;
    let hash = {
        let mut group = ConsumerGroup::new(classic.id.clone());
        group.take(&changes);
        Draft {
            group: &group,
            topics,
            member: None,
            replaced: None,
            gone: &[],
            matched: BTreeMap::new(),
        }
        .metadata_hash()
    };
    changes.push(Change::Epoch(Some((epoch, hash))));
    changes.extend(members.iter().map(|(id, member)| {
        let target = member.holds.assigned.iter();
        let target = target.map(|slot| (slot.topic, slot.partition)).collect();
        Change::Target((*id).clone(), Some(target))
    }));
    changes.push(Change::TargetEpoch(Some((epoch, 0))));
    changes.extend(
        members
            .into_iter()
            .map(|(id, member)| Change::Holds(id.clone(), Some(Box::new(member.holds)))),
    );
    let mut group = ConsumerGroup::new(classic.id.clone());
    group.take(&changes);
    let parked = classic.members.iter();
    let waits = Waits {
        joining: parked
            .clone()
            .filter_map(|(id, member)| Some((id.clone(), member.parked_join?)))
            .collect(),
        syncing: parked
            .filter_map(|(_, member)| member.parked_sync)
            .collect(),
    };
    Ok(Upgrade {
        group,
        changes,
        waits,
    })
}

/// A member with what the last generation gave it, and what it said it holds; nothing where that cannot be read.
fn upgraded(
    group: &ClassicGroup,
    member: &classic::Member,
    topics: &dyn Topics,
) -> Option<(Member, Vec<Slot>)> {
    let metadata = match group.protocol.as_deref() {
        Some(protocol) => member.metadata(protocol),
        None => &member.protocols.first()?.metadata,
    };
    let (subscription, _) = ConsumerProtocolSubscription::decode_prefixed(metadata).ok()?;
    let slots = |parts: &Array<'_, TopicPartition<'_>>| {
        let mut slots = Vec::new();
        for topic in parts {
            if let Some(known) = topics.by_name(topic.topic) {
                slots.extend(topic.partitions.iter().map(|partition| Slot {
                    topic: known.id,
                    partition,
                    epoch: group.generation,
                }));
            }
        }
        slots
    };
    let mut assigned = Vec::new();
    if !member.assignment.is_empty() {
        let (given, _) = ConsumerProtocolAssignment::decode_prefixed(&member.assignment).ok()?;
        // What an assignor of the members' own says to its like there is nobody to say to any more.
        if given.user_data.is_some_and(|data| !data.is_empty()) {
            return None;
        }
        assigned = slots(&given.assigned_partitions);
    }
    let member = Member {
        wants: Wants {
            instance: member.instance.clone(),
            rack: rack(&subscription),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: names(&subscription),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            classic: Some(Classic {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member
                    .protocols
                    .iter()
                    .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                    .collect(),
            }),
            ..Wants::default()
        },
        holds: Holds {
            epoch: group.generation,
            previous_epoch: group.generation,
            progress: Progress::Stable,
            assigned: assigned.into_iter().collect(),
            revoking: Held::default(),
        },
    };
    Some((member, slots(&subscription.owned_partitions)))
}

/// The topics of a subscription.
pub(super) fn names(subscription: &ConsumerProtocolSubscription<'_>) -> Rc<[Rc<str>]> {
    let names = sorted(subscription.topics.iter());
    names.into_iter().map(Into::into).collect()
}

/// The rack of a subscription.
pub(super) fn rack(subscription: &ConsumerProtocolSubscription<'_>) -> Option<Rc<str>> {
    let rack = subscription.rack_id.filter(|rack| !rack.is_empty());
    rack.map(Into::into)
}

/// A member of the consumer protocol whose place a classic one takes.
pub(super) struct Replacement<'a> {
    pub(super) before: &'a Rc<str>,
    pub(super) member: &'a Rc<str>,
    pub(super) wants: &'a Wants,
}

/// Whether a consumer group is to be classic once these are gone: all others are then, and there are some.
pub(super) fn is_due(group: &ConsumerGroup, config: &Config, gone: &[Rc<str>]) -> bool {
    let mut left = group.members.iter().filter(|(id, _)| !gone.contains(id));
    let count = left.clone().count();
    count > 0
        && left.all(|(_, member)| member.is_classic())
        && config.consumer_migration_policy.downgrades()
        && count <= config.group_size_max
}

/// What a consumer group is to be when only classic members are left: stable, and each has what it holds, which is its
/// target where it has reached that. (Kafka gives it its target, and forgets what it has still to let go of.)
pub(super) fn downgrade(
    group: &ConsumerGroup,
    gone: &[Rc<str>],
    replacement: Option<&Replacement<'_>>,
    topics: &dyn Topics,
    unix_ms: i64,
) -> ClassicGroup {
    let mut classic = ClassicGroup::new(group.id().clone(), unix_ms);
    classic.generation = group.epoch;
    let stays = |id: &Rc<str>| {
        !gone.contains(id) && replacement.is_none_or(|replacement| replacement.before != id)
    };
    let members = group.members.iter().filter(|(id, _)| stays(id));
    let members = members.map(|(id, member)| (id, &member.holds, &member.wants));
    let replacement = replacement.and_then(|new| {
        let before = group.members.get(new.before)?;
        Some((new.member, &before.holds, new.wants))
    });
    for (id, holds, wants) in members.chain(replacement) {
        let Some(known) = &wants.classic else {
            continue;
        };
        let member = classic::Member {
            instance: wants.instance.clone(),
            client_id: wants.client_id.clone(),
            client_host: wants.client_host.clone(),
            rebalance_timeout_ms: wants.rebalance_timeout_ms,
            session_timeout_ms: known.session_timeout_ms,
            protocols: known
                .protocols
                .iter()
                .map(|(name, metadata)| Protocol {
                    name: name.clone(),
                    metadata: metadata.clone(),
                })
                .collect(),
            assignment: assignment(known, &holds.assigned.with(&holds.revoking), topics),
            parked_join: None,
            parked_sync: None,
            is_new: false,
        };
        classic.add(id.clone(), member, CONSUMER);
    }
    classic.protocol = classic.elect_protocol();
    classic.enter(State::Stable, unix_ms);
    classic
}

/// Partitions as a classic member reads them, in the version that it speaks.
pub(super) fn assignment(member: &Classic, held: &Held, topics: &dyn Topics) -> Box<[u8]> {
    let version = member.protocols.first().and_then(|(_, metadata)| {
        let read = ConsumerProtocolSubscription::decode_prefixed(metadata);
        read.ok().map(|(_, version)| version)
    });
    let given = ConsumerProtocolAssignment {
        assigned_partitions: held
            .topics()
            .filter_map(|(topic, slots)| {
                Some(TopicPartition {
                    topic: topics.by_id(&topic)?.name,
                    partitions: slots.iter().map(|slot| slot.partition).collect(),
                })
            })
            .collect(),
        user_data: None,
    };
    // Java reads a version that it does not know as the latest one; there is nothing in any that is not in the first.
    let version = version.unwrap_or_default().clamp(0, 3);
    let bytes = given.encode_prefixed(version);
    bytes
        .expect("names of topics are short enough for any message")
        .into()
}
