//! Answers with the brokers' addresses and ids in them replaced by those that a proxy shows. It opens no socket: where a
//! broker is shown is asked of the routes.

use highwater_wire::message::{
    DescribeClusterResponse, FetchResponse, FindCoordinatorResponse, MetadataResponse,
    ProduceResponse, describe_cluster, fetch, find_coordinator, metadata, produce,
};
use highwater_wire::{ApiKey, Array, ErrorCode, Response, decode_response, encode_response};

/// How a proxy shows the brokers behind it.
pub(super) trait Shown {
    /// The host and port under which a broker is shown, `None` when it cannot be.
    fn address(&mut self, node: i32, host: &str, port: i32) -> Option<(String, i32)>;

    /// The id under which it is shown. Ids below zero mean nobody, and stay.
    fn id(&self, node: i32) -> i32;

    /// Whether any broker is shown under another id.
    fn renumbers(&self) -> bool;
}

/// The frame, its length included, with the brokers as they are shown, and every topic of a metadata answer under this
/// code. `None` when the answer names no broker, or does not parse: it can go on as it is.
pub(super) fn rewrite(
    api: ApiKey,
    version: i16,
    frame: &[u8],
    shown: &mut impl Shown,
    refuse: Option<ErrorCode>,
) -> Option<Vec<u8>> {
    if api == ApiKey::Metadata {
        let (correlation, answer) = decode_response(version, frame).ok()?;
        shown_metadata(correlation, version, &answer, shown, refuse)
    } else if api == ApiKey::FindCoordinator {
        let (correlation, answer) = decode_response(version, frame).ok()?;
        shown_coordinators(correlation, version, answer, shown)
    } else if api == ApiKey::DescribeCluster {
        let (correlation, answer) = decode_response(version, frame).ok()?;
        shown_cluster(correlation, version, answer, shown)
    } else if api == ApiKey::Produce && version >= 10 {
        let (correlation, answer) = decode_response(version, frame).ok()?;
        shown_produce(correlation, version, answer, shown)
    } else if api == ApiKey::Fetch && version >= 12 {
        let (correlation, answer) = decode_response(version, frame).ok()?;
        shown_fetch(correlation, version, answer, shown)
    } else {
        None
    }
}

fn encode<R: Response>(correlation: i32, version: i16, answer: &R) -> Option<Vec<u8>> {
    Some(encode_response(correlation, version, answer).ok()?.bytes)
}

/// A broker as it is shown.
struct Broker<'a> {
    id: i32,
    host: String,
    port: i32,
    rack: Option<&'a str>,
}

fn broker<'a>(
    shown: &mut impl Shown,
    (node, host, port, rack): (i32, &str, i32, Option<&'a str>),
) -> Broker<'a> {
    let address = shown.address(node, host, port);
    let (host, port) = address.unwrap_or_else(|| (host.to_owned(), port));
    Broker {
        id: shown.id(node),
        host,
        port,
        rack,
    }
}

fn shown_metadata(
    correlation: i32,
    version: i16,
    answer: &MetadataResponse<'_>,
    shown: &mut impl Shown,
    refuse: Option<ErrorCode>,
) -> Option<Vec<u8>> {
    let brokers: Vec<_> = answer.brokers.iter().collect();
    let brokers: Vec<_> = brokers
        .into_iter()
        .map(|it| broker(shown, (it.node_id, it.host, it.port, it.rack)))
        .collect();
    let brokers = brokers.iter().map(|it| metadata::MetadataResponseBroker {
        node_id: it.id,
        host: &it.host,
        port: it.port,
        rack: it.rack,
    });
    let ids = |nodes: Array<'_, i32>| nodes.iter().map(|node| shown.id(node)).collect();
    let topics = answer.topics.iter().map(|topic| {
        let partitions =
            topic
                .partitions
                .iter()
                .map(|partition| metadata::MetadataResponsePartition {
                    leader_id: shown.id(partition.leader_id),
                    replica_nodes: ids(partition.replica_nodes),
                    isr_nodes: ids(partition.isr_nodes),
                    offline_replicas: ids(partition.offline_replicas),
                    ..partition
                });
        metadata::MetadataResponseTopic {
            error_code: refuse.map_or(topic.error_code, ErrorCode::id),
            partitions: if refuse.is_none() {
                partitions.collect()
            } else {
                Array::empty()
            },
            ..topic
        }
    });
    let answer = MetadataResponse {
        brokers: brokers.collect(),
        controller_id: shown.id(answer.controller_id),
        topics: topics.collect(),
        ..answer.clone()
    };
    encode(correlation, version, &answer)
}

fn shown_coordinators(
    correlation: i32,
    version: i16,
    answer: FindCoordinatorResponse<'_>,
    shown: &mut impl Shown,
) -> Option<Vec<u8>> {
    if version < 4 {
        if answer.node_id < 0 {
            return None;
        }
        let it = broker(shown, (answer.node_id, answer.host, answer.port, None));
        let answer = FindCoordinatorResponse {
            node_id: it.id,
            host: &it.host,
            port: it.port,
            ..answer
        };
        return encode(correlation, version, &answer);
    }
    let found: Vec<_> = answer
        .coordinators
        .iter()
        .map(|it| {
            let at = (it.node_id >= 0).then(|| broker(shown, (it.node_id, it.host, it.port, None)));
            (it, at)
        })
        .collect();
    let coordinators = found.iter().map(|(it, at)| match at {
        None => it.clone(),
        Some(at) => find_coordinator::Coordinator {
            node_id: at.id,
            host: &at.host,
            port: at.port,
            ..it.clone()
        },
    });
    let answer = FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..answer.clone()
    };
    encode(correlation, version, &answer)
}

fn shown_cluster(
    correlation: i32,
    version: i16,
    answer: DescribeClusterResponse<'_>,
    shown: &mut impl Shown,
) -> Option<Vec<u8>> {
    let brokers: Vec<_> = answer
        .brokers
        .iter()
        .map(|it| {
            let at = broker(shown, (it.broker_id, it.host, it.port, it.rack));
            (at, it.is_fenced)
        })
        .collect();
    let brokers = brokers
        .iter()
        .map(|(it, is_fenced)| describe_cluster::DescribeClusterBroker {
            broker_id: it.id,
            host: &it.host,
            port: it.port,
            rack: it.rack,
            is_fenced: *is_fenced,
        });
    let answer = DescribeClusterResponse {
        controller_id: shown.id(answer.controller_id),
        brokers: brokers.collect(),
        ..answer.clone()
    };
    encode(correlation, version, &answer)
}

fn shown_produce(
    correlation: i32,
    version: i16,
    answer: ProduceResponse<'_>,
    shown: &mut impl Shown,
) -> Option<Vec<u8>> {
    if answer.node_endpoints.is_empty() && !shown.renumbers() {
        return None;
    }
    let endpoints: Vec<_> = answer
        .node_endpoints
        .iter()
        .map(|it| broker(shown, (it.node_id, it.host, it.port, it.rack)))
        .collect();
    let endpoints = endpoints.iter().map(|it| produce::NodeEndpoint {
        node_id: it.id,
        host: &it.host,
        port: it.port,
        rack: it.rack,
    });
    let responses = answer.responses.iter().map(|topic| {
        let partitions = topic.partition_responses.iter().map(|partition| {
            let leader_id = shown.id(partition.current_leader.leader_id);
            produce::PartitionProduceResponse {
                current_leader: produce::LeaderIdAndEpoch {
                    leader_id,
                    ..partition.current_leader
                },
                ..partition
            }
        });
        produce::TopicProduceResponse {
            partition_responses: partitions.collect(),
            ..topic
        }
    });
    let answer = ProduceResponse {
        responses: responses.collect(),
        node_endpoints: endpoints.collect(),
        ..answer.clone()
    };
    encode(correlation, version, &answer)
}

fn shown_fetch(
    correlation: i32,
    version: i16,
    answer: FetchResponse<'_>,
    shown: &mut impl Shown,
) -> Option<Vec<u8>> {
    if answer.node_endpoints.is_empty() && !shown.renumbers() {
        return None;
    }
    let endpoints: Vec<_> = answer
        .node_endpoints
        .iter()
        .map(|it| broker(shown, (it.node_id, it.host, it.port, it.rack)))
        .collect();
    let endpoints = endpoints.iter().map(|it| fetch::NodeEndpoint {
        node_id: it.id,
        host: &it.host,
        port: it.port,
        rack: it.rack,
    });
    let responses = answer.responses.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let leader_id = shown.id(partition.current_leader.leader_id);
            fetch::PartitionData {
                current_leader: fetch::LeaderIdAndEpoch {
                    leader_id,
                    ..partition.current_leader
                },
                preferred_read_replica: shown.id(partition.preferred_read_replica),
                ..partition
            }
        });
        fetch::FetchableTopicResponse {
            partitions: partitions.collect(),
            ..topic
        }
    });
    let answer = FetchResponse {
        responses: responses.collect(),
        node_endpoints: endpoints.collect(),
        ..answer.clone()
    };
    encode(correlation, version, &answer)
}

/// Where the last byte of the first batch of a fetch answer is, in the frame; `None` when the answer has no records.
pub(super) fn batch_byte(version: i16, frame: &[u8]) -> Option<usize> {
    let (_, answer) = decode_response::<FetchResponse<'_>>(version, frame).ok()?;
    answer.responses.iter().find_map(|topic| {
        topic
            .partitions
            .iter()
            .find_map(|partition| last_byte(frame, partition.records?.borrowed()?))
    })
}

/// Where the last byte of the first batch of a produce request is, in the frame.
pub(super) fn produced_byte(asked: &super::asked::Asked<'_>, frame: &[u8]) -> Option<usize> {
    let request = asked
        .request::<highwater_wire::message::ProduceRequest<'_>>()
        .ok()?;
    request.topic_data.iter().find_map(|topic| {
        topic
            .partition_data
            .iter()
            .find_map(|partition| last_byte(frame, partition.records?.borrowed()?))
    })
}

/// The frame of a produce request with a bit of its first batch flipped.
pub(super) fn corrupted(asked: &super::asked::Asked<'_>, frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    if let Some(byte) = produced_byte(asked, frame).and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1;
    }
    bytes
}

/// The place in `frame` of the last byte of the first batch in `records`, which lie in it.
fn last_byte(frame: &[u8], records: &[u8]) -> Option<usize> {
    let length = records.get(8..12)?.first_chunk::<4>()?;
    let batch = 12 + usize::try_from(i32::from_be_bytes(*length)).ok()?;
    let start = (records.as_ptr().addr()).checked_sub(frame.as_ptr().addr())?;
    let last = start + batch.min(records.len()).checked_sub(1)?;
    (last < frame.len()).then_some(last)
}
