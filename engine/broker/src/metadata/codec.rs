//! A record as it lies in the metadata log, in Kafka's own format (KIP-631), and back. Versions are those that
//! `metadata.version` 4.0-IV3 calls for.

use highwater_record::LeaderEpoch;
use highwater_wire::records as wire;
use highwater_wire::records::MetadataRecord;
use highwater_wire::{Array, DecodeError, EncodeError};
use uuid::Uuid;

use crate::metadata::record::{Record, Registration, Resource};

/// The `metadata.version` that a new cluster is given: 4.0-IV3. What later levels add (eligible leader replicas by
/// default, share and streams groups) does not exist here.
pub(crate) const METADATA_VERSION: i16 = 25;

/// The `group.version` that a cluster is given: KIP-848.
pub(crate) const GROUP_VERSION: i16 = 1;

/// `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
/// `PartitionChangeRecord`: the leader stays.
const LEADER_UNCHANGED: i32 = -2;

/// Why a value is no record that can be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no record.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is one that protects something, or changes what there is in a way that is not built yet: to pass it over would
    /// be to serve something else than what the log says.
    #[error("a {0} cannot be obeyed by this version")]
    Unsupported(&'static str),
}

/// The value of a log record.
pub(crate) fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    match record {
        Record::Feature { name, level } => MetadataRecord::from(wire::FeatureLevelRecord {
            name,
            feature_level: *level,
        })
        .encode(0),
        Record::RegisterBroker(registration) => register(registration),
        Record::FenceBroker { id, epoch } => {
            MetadataRecord::from(wire::BrokerRegistrationChangeRecord {
                broker_id: *id,
                broker_epoch: *epoch,
                fenced: 1,
                in_controlled_shutdown: 1,
                log_dirs: Array::empty(),
                cordoned_log_dirs: None,
            })
            .encode(1)
        }
        Record::Topic { name, id } => MetadataRecord::from(wire::TopicRecord {
            name,
            topic_id: *id,
        })
        .encode(0),
        Record::Partition {
            topic_id,
            index,
            leader,
            leader_epoch,
            partition_epoch,
            directory,
        } => MetadataRecord::from(wire::PartitionRecord {
            partition_id: *index,
            topic_id: *topic_id,
            replicas: Array::from([*leader]),
            isr: Array::from([*leader]),
            removing_replicas: Array::empty(),
            adding_replicas: Array::empty(),
            leader: *leader,
            leader_recovery_state: 0,
            leader_epoch: leader_epoch.get(),
            partition_epoch: *partition_epoch,
            directories: Array::from([*directory]),
            eligible_leader_replicas: None,
            last_known_elr: None,
        })
        .encode(2),
        Record::PartitionChange {
            topic_id,
            index,
            leader_changed,
        } => MetadataRecord::from(wire::PartitionChangeRecord {
            partition_id: *index,
            topic_id: *topic_id,
            isr: None,
            leader: if *leader_changed {
                -1
            } else {
                LEADER_UNCHANGED
            },
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        })
        .encode(2),
        Record::RemoveTopic { id } => {
            MetadataRecord::from(wire::RemoveTopicRecord { topic_id: *id }).encode(0)
        }
        Record::Config {
            resource,
            name,
            value,
        } => {
            let id;
            let (resource_type, resource_name) = match resource {
                Resource::Topic(topic) => (TOPIC, topic.as_str()),
                Resource::Cluster => (BROKER, ""),
                Resource::Broker(broker) => {
                    id = broker.to_string();
                    (BROKER, id.as_str())
                }
                Resource::Group(group) => (GROUP, group.as_str()),
            };
            MetadataRecord::from(wire::ConfigRecord {
                resource_type,
                resource_name,
                name,
                value: value.as_deref(),
            })
            .encode(0)
        }
        Record::ProducerIds {
            broker_id,
            broker_epoch,
            next,
        } => MetadataRecord::from(wire::ProducerIdsRecord {
            broker_id: *broker_id,
            broker_epoch: *broker_epoch,
            next_producer_id: *next,
        })
        .encode(0),
        Record::NoOp => MetadataRecord::from(wire::NoOpRecord {}).encode(0),
    }
}

fn register(registration: &Registration) -> Result<Vec<u8>, EncodeError> {
    MetadataRecord::from(wire::RegisterBrokerRecord {
        broker_id: registration.id,
        is_migrating_zk_broker: false,
        incarnation_id: registration.incarnation,
        broker_epoch: registration.epoch,
        end_points: registration
            .endpoints
            .iter()
            .map(|(name, host, port)| wire::BrokerEndpoint {
                name,
                host,
                port: *port,
                security_protocol: 0,
            })
            .collect(),
        features: Array::from([
            wire::BrokerFeature {
                name: "metadata.version",
                min_supported_version: METADATA_VERSION,
                max_supported_version: METADATA_VERSION,
            },
            wire::BrokerFeature {
                name: "group.version",
                min_supported_version: 0,
                max_supported_version: GROUP_VERSION,
            },
        ]),
        rack: registration.rack.as_deref(),
        fenced: false,
        in_controlled_shutdown: false,
        log_dirs: Array::from([registration.directory]),
        cordoned_log_dirs: None,
    })
    .encode(3)
}

/// The record that `value` is.
pub(crate) fn decode(value: &[u8]) -> Result<Record, Error> {
    let (record, _) = MetadataRecord::decode(value)?;
    let kind = record.name();
    Ok(match record {
        MetadataRecord::FeatureLevel(r) => Record::Feature {
            name: r.name.to_owned(),
            level: r.feature_level,
        },
        MetadataRecord::RegisterBroker(r) => registered(&r),
        MetadataRecord::BrokerRegistrationChange(r) if r.fenced == 1 => Record::FenceBroker {
            id: r.broker_id,
            epoch: r.broker_epoch,
        },
        MetadataRecord::BrokerRegistrationChange(_) => Record::NoOp,
        MetadataRecord::Topic(r) => Record::Topic {
            name: r.name.to_owned(),
            id: r.topic_id,
        },
        // One that is replicated cannot be kept here as it should be.
        MetadataRecord::Partition(r) if r.replicas.len() > 1 => {
            return Err(Error::Unsupported("PartitionRecord with several replicas"));
        }
        MetadataRecord::Partition(r) => Record::Partition {
            topic_id: r.topic_id,
            index: r.partition_id,
            leader: r.replicas.first().unwrap_or(r.leader),
            leader_epoch: LeaderEpoch::new(r.leader_epoch),
            partition_epoch: r.partition_epoch,
            directory: r.directories.first().unwrap_or_else(Uuid::nil),
        },
        MetadataRecord::PartitionChange(r) => Record::PartitionChange {
            topic_id: r.topic_id,
            index: r.partition_id,
            leader_changed: r.leader != LEADER_UNCHANGED,
        },
        MetadataRecord::RemoveTopic(r) => Record::RemoveTopic { id: r.topic_id },
        MetadataRecord::Config(r) => configured(&r),
        MetadataRecord::ProducerIds(r) => Record::ProducerIds {
            broker_id: r.broker_id,
            broker_epoch: r.broker_epoch,
            next: r.next_producer_id,
        },
        MetadataRecord::NoOp(_)
        | MetadataRecord::UnregisterBroker(_)
        | MetadataRecord::FenceBroker(_)
        | MetadataRecord::UnfenceBroker(_)
        | MetadataRecord::ZkMigrationState(_)
        | MetadataRecord::BeginTransaction(_)
        | MetadataRecord::EndTransaction(_)
        | MetadataRecord::RegisterController(_)
        | MetadataRecord::ClearElr(_) => Record::NoOp,
        MetadataRecord::AccessControlEntry(_)
        | MetadataRecord::RemoveAccessControlEntry(_)
        | MetadataRecord::UserScramCredential(_)
        | MetadataRecord::RemoveUserScramCredential(_)
        | MetadataRecord::DelegationToken(_)
        | MetadataRecord::RemoveDelegationToken(_)
        | MetadataRecord::ClientQuota(_)
        | MetadataRecord::AbortTransaction(_) => return Err(Error::Unsupported(kind)),
    })
}

fn registered(record: &wire::RegisterBrokerRecord<'_>) -> Record {
    Record::RegisterBroker(Registration {
        id: record.broker_id,
        incarnation: record.incarnation_id,
        epoch: record.broker_epoch,
        endpoints: record
            .end_points
            .iter()
            .map(|e| (e.name.to_owned(), e.host.to_owned(), e.port))
            .collect(),
        rack: record.rack.map(str::to_owned),
        directory: record.log_dirs.first().unwrap_or_else(Uuid::nil),
    })
}

fn configured(record: &wire::ConfigRecord<'_>) -> Record {
    let resource = match record.resource_type {
        TOPIC => Resource::Topic(record.resource_name.to_owned()),
        BROKER if record.resource_name.is_empty() => Resource::Cluster,
        BROKER => match record.resource_name.parse() {
            Ok(id) => Resource::Broker(id),
            Err(_) => return Record::NoOp,
        },
        GROUP => Resource::Group(record.resource_name.to_owned()),
        // Settings of client metrics: nothing here reads them yet.
        _ => return Record::NoOp,
    };
    Record::Config {
        resource,
        name: record.name.to_owned(),
        value: record.value.map(str::to_owned),
    }
}

/// The value of the control record that begins an epoch (`LeaderChangeMessage` version 0): who leads, and who voted. It
/// is written by hand because no other control record is ever needed here.
pub(crate) fn leader_change(leader: i32) -> Vec<u8> {
    let mut value = vec![0, 0];
    value.extend(leader.to_be_bytes());
    // Voters, then those who granted their votes: compact arrays of one voter each, no tagged fields.
    for _ in 0..2 {
        value.push(2);
        value.extend(leader.to_be_bytes());
        value.push(0);
    }
    value.push(0);
    value
}

/// The key of that control record: version 0, type 2.
pub(crate) const LEADER_CHANGE_KEY: [u8; 4] = [0, 0, 0, 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_that_is_written_is_read_back() {
        let id = Uuid::from_u128(7);
        let records = [
            Record::Feature {
                name: "metadata.version".into(),
                level: 25,
            },
            Record::RegisterBroker(Registration {
                id: 1,
                incarnation: Uuid::from_u128(3),
                epoch: 9,
                endpoints: vec![
                    ("PLAINTEXT".into(), "h".into(), 9092),
                    ("OTHER".into(), "o".into(), 1),
                ],
                rack: Some("r".into()),
                directory: Uuid::from_u128(5),
            }),
            Record::FenceBroker { id: 1, epoch: 9 },
            Record::Topic {
                name: "t".into(),
                id,
            },
            Record::Partition {
                topic_id: id,
                index: 3,
                leader: 1,
                leader_epoch: LeaderEpoch::new(2),
                partition_epoch: 1,
                directory: Uuid::from_u128(5),
            },
            Record::PartitionChange {
                topic_id: id,
                index: 3,
                leader_changed: true,
            },
            Record::PartitionChange {
                topic_id: id,
                index: 3,
                leader_changed: false,
            },
            Record::RemoveTopic { id },
            Record::Config {
                resource: Resource::Broker(4),
                name: "n".into(),
                value: None,
            },
            Record::Config {
                resource: Resource::Cluster,
                name: "n".into(),
                value: Some(String::new()),
            },
            Record::Config {
                resource: Resource::Group("g".into()),
                name: "consumer.session.timeout.ms".into(),
                value: Some("50000".into()),
            },
            Record::ProducerIds {
                broker_id: 1,
                broker_epoch: 2,
                next: 1000,
            },
            Record::NoOp,
        ];
        for record in records {
            let bytes = encode(&record).unwrap();
            assert_eq!(decode(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn a_record_that_protects_something_is_not_passed_over() {
        let entry = MetadataRecord::from(wire::RemoveAccessControlEntryRecord { id: Uuid::nil() });
        let bytes = entry.encode(0).unwrap();
        assert!(matches!(decode(&bytes), Err(Error::Unsupported(_))));
        assert!(matches!(decode(&[1, 99, 0]), Err(Error::Decode(_))));
    }
}
