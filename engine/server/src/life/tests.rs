//! Whole engines in the simulated world: what was answered survives a crash at any step of a change, and a failing disk
//! is told to the client.

use std::net::SocketAddr;
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use bytes::BytesMut;
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_reactor::{Outside, Socket};
use highwater_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use highwater_wire::message::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use highwater_wire::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ReplicaState,
};
use highwater_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use highwater_wire::message::metadata::{MetadataRequest, MetadataResponse};
use highwater_wire::{Array, ErrorCode, Request, decode_response, encode_request};

use super::*;
use crate::settings::Properties;

const SHARDS: u16 = 2;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

struct Booted {
    address: SocketAddr,
    stop: Outside<Command>,
    ended: mpsc::Receiver<Result<(), StopError>>,
}

/// An engine in `world`, whose disk may have seen others before.
fn boot(world: &World) -> Result<Booted, StartError> {
    let mut properties = Properties::embedded("/data".as_ref());
    properties.set("log.initial.task.delay.ms", "1000");
    let settings = Settings::parse(&properties).unwrap();
    let (ready, readies) = mpsc::channel();
    let (ended, ends) = mpsc::channel();
    let lifecycle = Exchange::new(SHARDS, 16);
    let stop = lifecycle.outside();
    let life = Life {
        settings: Arc::new(settings),
        listeners: Arc::new([Resolved {
            bound: "127.0.0.1:0".parse().unwrap(),
            told: "127.0.0.1".into(),
        }]),
        mailbox: Mailbox::new(SHARDS),
        lifecycle,
        shared: Shared::new(SHARDS),
        ready,
        ended,
    };
    for number in 0..SHARDS {
        let reactor = world.shard(number);
        let life = life.clone().live(reactor.clone());
        reactor.spawn(life).detach();
    }
    drop(life);
    let ready = wait(world, &readies).expect("an engine says whether it has started");
    Ok(Booted {
        address: ready?.addresses[0],
        stop,
        ended: ends,
    })
}

fn wait<T>(world: &World, receiver: &mpsc::Receiver<T>) -> Option<T> {
    let reactor = world.shard(0);
    world.run(async {
        loop {
            match receiver.try_recv() {
                Ok(value) => return Some(value),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => reactor.sleep(Duration::from_millis(1)).await,
            }
        }
    })
}

fn shutdown(world: &World, booted: &Booted) -> Result<(), StopError> {
    booted.stop.post(ShardId::ZERO, Command::Stop).unwrap();
    wait(world, &booted.ended).unwrap()
}

/// The answer's frame, or nothing where the engine is gone or silent for ten seconds.
fn call<R: Request>(world: &World, booted: &Booted, version: i16, request: &R) -> Option<Vec<u8>> {
    let reactor = world.shard(0);
    let patient = reactor.timeout(
        Duration::from_secs(10),
        converse(&reactor, booted.address, version, request),
    );
    world.run(patient).flatten()
}

async fn converse<R: Request>(
    reactor: &Reactor,
    address: SocketAddr,
    version: i16,
    request: &R,
) -> Option<Vec<u8>> {
    let bytes = encode_request(1, None, version, request).unwrap().bytes;
    let socket: Socket = reactor.connect(address).await.ok()?;
    socket.send_all(&[&bytes]).await.ok()?;
    let mut buffer = BytesMut::new();
    loop {
        if let Some(length) = buffer.first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*length)).unwrap();
            if buffer.len() >= 4 + length {
                return Some(buffer[4..4 + length].to_vec());
            }
        }
        if socket.recv(&mut buffer, 1 << 16).await.ok()? == 0 {
            return None;
        }
    }
}

fn create(world: &World, booted: &Booted, name: &str, partitions: i32) -> Option<i16> {
    let request = CreateTopicsRequest {
        topics: Array::from([CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: 1,
            assignments: Array::empty(),
            configs: Array::empty(),
        }]),
        timeout_ms: 1_000,
        validate_only: false,
    };
    let frame = call(world, booted, 7, &request)?;
    let (_, response) = decode_response::<CreateTopicsResponse<'_>>(7, &frame).unwrap();
    Some(response.topics.first().unwrap().error_code)
}

fn delete(world: &World, booted: &Booted, name: &str) -> Option<i16> {
    let request = DeleteTopicsRequest {
        topics: Array::empty(),
        topic_names: Array::from([name]),
        timeout_ms: 1_000,
    };
    let frame = call(world, booted, 5, &request)?;
    let (_, response) = decode_response::<DeleteTopicsResponse<'_>>(5, &frame).unwrap();
    Some(response.responses.first().unwrap().error_code)
}

/// Every topic with its count of partitions.
fn topics(world: &World, booted: &Booted) -> Vec<(String, usize)> {
    let request = MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: false,
    };
    let frame = call(world, booted, 12, &request).unwrap();
    let (_, response) = decode_response::<MetadataResponse<'_>>(12, &frame).unwrap();
    response
        .topics
        .iter()
        .map(|topic| (topic.name.unwrap().to_owned(), topic.partitions.len()))
        .collect()
}

/// The codes with which the partitions of a topic answer a question that only an open partition can answer.
fn partition_codes(world: &World, booted: &Booted, name: &str, partitions: i32) -> Vec<i16> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: Array::from([ListOffsetsTopic {
            name,
            partitions: (0..partitions)
                .map(|partition_index| ListOffsetsPartition {
                    partition_index,
                    current_leader_epoch: -1,
                    timestamp: -1,
                })
                .collect(),
        }]),
        timeout_ms: 1_000,
    };
    let frame = call(world, booted, 7, &request).unwrap();
    let (_, response) = decode_response::<ListOffsetsResponse<'_>>(7, &frame).unwrap();
    let topic = response.topics.first().unwrap();
    topic.partitions.iter().map(|p| p.error_code).collect()
}

fn crashes() -> [Crash; 4] {
    [
        Crash::KeepAll,
        Crash::LoseUnsynced,
        Crash::KeepPrefix,
        Crash::KeepRandom,
    ]
}

#[test]
fn what_was_answered_survives_a_power_cut() {
    for (seed, crash) in (0..).zip(crashes()) {
        let world = World::with_shards(seed, SHARDS);
        let booted = boot(&world).unwrap();
        assert_eq!(create(&world, &booted, "a", 3), Some(0));
        assert_eq!(create(&world, &booted, "b", 1), Some(0));
        assert_eq!(delete(&world, &booted, "b"), Some(0));
        world.crash(crash);
        let booted = boot(&world).unwrap();
        assert_eq!(topics(&world, &booted), [("a".to_owned(), 3)], "{crash:?}");
        assert_eq!(
            partition_codes(&world, &booted, "a", 3),
            [0, 0, 0],
            "{crash:?}"
        );
        shutdown(&world, &booted).unwrap();
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_creation_leaves_all_of_it_or_nothing() {
    let steps = [
        Operation::Write,
        Operation::Sync,
        Operation::SyncDir,
        Operation::Create,
        Operation::Rename,
    ];
    let mut reached = 0;
    for operation in steps {
        for nth in 1..12 {
            for (seed, crash) in (nth..).zip(crashes()) {
                let world = World::with_shards(seed, SHARDS);
                let booted = boot(&world).unwrap();
                assert_eq!(create(&world, &booted, "before", 2), Some(0));
                let before = world.disk().count(operation);
                world.disk().die_at(operation, nth);
                let answer = create(&world, &booted, "t", 2);
                reached += usize::from(world.disk().count(operation) - before >= nth);
                world.crash(crash);

                let case = format!("{operation:?} {nth} {crash:?} answered {answer:?}");
                let booted = boot(&world).unwrap_or_else(|error| panic!("{case}: {error}"));
                let mut expected = vec![("before".to_owned(), 2)];
                let found = topics(&world, &booted);
                if answer == Some(0) || found.len() == 2 {
                    expected.push(("t".to_owned(), 2));
                }
                assert_eq!(found, expected, "{case}");
                for (name, partitions) in found {
                    let codes = partition_codes(&world, &booted, &name, 2);
                    assert_eq!(codes, vec![0; partitions], "{case} {name}");
                }
                // Whatever is left of it is in nobody's way.
                let code = if expected.len() == 2 {
                    ErrorCode::TopicAlreadyExists
                } else {
                    ErrorCode::None
                };
                assert_eq!(create(&world, &booted, "t", 2), Some(code.id()), "{case}");
                shutdown(&world, &booted).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
        }
    }
    assert!(
        reached > 50,
        "only {reached} of the power cuts hit the creation"
    );
}

#[test]
fn a_power_cut_at_any_step_of_a_deletion_leaves_the_topic_or_nothing_of_it() {
    for operation in [
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDir,
    ] {
        for nth in 1..6 {
            for (seed, crash) in (nth..).zip(crashes()) {
                let world = World::with_shards(seed, SHARDS);
                let booted = boot(&world).unwrap();
                assert_eq!(create(&world, &booted, "t", 2), Some(0));
                world.disk().die_at(operation, nth);
                let answer = delete(&world, &booted, "t");
                world.crash(crash);

                let case = format!("{operation:?} {nth} {crash:?} answered {answer:?}");
                let booted = boot(&world).unwrap_or_else(|error| panic!("{case}: {error}"));
                let found = topics(&world, &booted);
                if answer == Some(0) {
                    assert!(found.is_empty(), "{case}");
                }
                if found.is_empty() {
                    assert_eq!(create(&world, &booted, "t", 2), Some(0), "{case}");
                }
                assert_eq!(partition_codes(&world, &booted, "t", 2), [0, 0], "{case}");
                shutdown(&world, &booted).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
        }
    }
}

#[test]
fn a_change_that_could_not_be_synced_is_refused_and_not_seen() {
    let world = World::with_shards(1, SHARDS);
    let booted = boot(&world).unwrap();
    world.disk().fail(Operation::Sync, 1, EIO);
    let storage = ErrorCode::KafkaStorageError.id();
    assert_eq!(create(&world, &booted, "t", 1), Some(storage));
    assert!(topics(&world, &booted).is_empty());
    // After a failed sync nothing is written any more.
    assert_eq!(create(&world, &booted, "u", 1), Some(storage));
    assert!(shutdown(&world, &booted).is_err());
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let world = World::with_shards(1, SHARDS);
    let booted = boot(&world).unwrap();
    world.disk().fail_from(Operation::Write, 1, ENOSPC);
    let storage = ErrorCode::KafkaStorageError.id();
    assert_eq!(create(&world, &booted, "t", 1), Some(storage));
    assert!(topics(&world, &booted).is_empty());
    world.disk().heal();
    assert_eq!(create(&world, &booted, "t", 1), Some(0));
    assert_eq!(partition_codes(&world, &booted, "t", 1), [0]);
    shutdown(&world, &booted).unwrap();
}

#[test]
fn a_change_that_no_batch_can_hold_is_refused_and_nothing_of_it_is_written() {
    let world = World::with_shards(2, SHARDS);
    let booted = boot(&world).unwrap();
    let value = "x".repeat(32_000);
    let names: Vec<String> = (0..120).map(|n| format!("t{n}")).collect();
    let request = CreateTopicsRequest {
        topics: names
            .iter()
            .map(|name| CreatableTopic {
                name,
                num_partitions: if name == "t0" { 9_000 } else { 1 },
                replication_factor: 1,
                assignments: Array::empty(),
                configs: Array::from([CreatableTopicConfig {
                    name: "leader.replication.throttled.replicas",
                    value: Some(&value),
                }]),
            })
            .collect(),
        timeout_ms: 1_000,
        validate_only: false,
    };
    let frame = call(&world, &booted, 7, &request).unwrap();
    let (_, response) = decode_response::<CreateTopicsResponse<'_>>(7, &frame).unwrap();
    for topic in &response.topics {
        assert_eq!(topic.error_code, ErrorCode::PolicyViolation.id());
    }
    assert_eq!(create(&world, &booted, "small", 1), Some(0));
    world.restart();
    let booted = boot(&world).unwrap();
    assert_eq!(topics(&world, &booted), [("small".to_owned(), 1)]);
}

#[test]
fn a_log_whose_beginning_is_a_snapshot_is_read_from_that() {
    let world = World::with_shards(9, SHARDS);
    let booted = boot(&world).unwrap();
    assert_eq!(create(&world, &booted, "a", 2), Some(0));
    assert_eq!(create(&world, &booted, "b", 1), Some(0));
    assert_eq!(delete(&world, &booted, "a"), Some(0));
    assert_eq!(create(&world, &booted, "c", 1), Some(0));
    shutdown(&world, &booted).unwrap();

    // As Kafka leaves a directory: what lies before some batch is in a snapshot, the log begins a little earlier.
    let dir = std::path::Path::new("/data/__cluster_metadata-0");
    let reactor = world.shard(0);
    let log = dir.join("00000000000000000000.log");
    let bytes = reactor.read_all(&log, 1 << 20).unwrap();
    let starts: Vec<(usize, i64)> = highwater_record::batches(&bytes)
        .scan(0, |position, batch| {
            let batch = batch.unwrap();
            let start = *position;
            *position += batch.len();
            Some((start, batch.header().base_offset().get()))
        })
        .collect();
    let (log_from, log_start) = starts[2];
    let (snapshot_to, snapshot_end) = starts[4];
    let put = |path: std::path::PathBuf, bytes: &[u8]| {
        let file = reactor.open(&path, highwater_reactor::OpenOptions::CREATE_NEW);
        file.unwrap().append_at(0, &[bytes]).unwrap();
    };
    for name in reactor.list(dir).unwrap() {
        if name.name.to_string_lossy().starts_with("000") {
            reactor.remove_file(&dir.join(name.name)).unwrap();
        }
    }
    put(dir.join(format!("{log_start:020}.log")), &bytes[log_from..]);
    let missing = boot(&world).err().unwrap().to_string();
    assert!(missing.contains("begins at offset"), "{missing}");
    world.restart();
    put(
        dir.join(format!("{snapshot_end:020}-0000000000.checkpoint")),
        &bytes[..snapshot_to],
    );
    let booted = boot(&world).unwrap();
    assert_eq!(
        topics(&world, &booted),
        [("b".to_owned(), 1), ("c".to_owned(), 1)]
    );
    assert_eq!(create(&world, &booted, "d", 1), Some(0));
    world.restart();
    let booted = boot(&world).unwrap();
    assert_eq!(topics(&world, &booted).len(), 3);
}

#[test]
fn the_same_seed_is_the_same_life() {
    let life = |seed| {
        let world = World::with_shards(seed, SHARDS);
        let booted = boot(&world).unwrap();
        create(&world, &booted, "t", 3);
        shutdown(&world, &booted).unwrap();
        world.trace()
    };
    assert_eq!(life(7), life(7));
    assert_ne!(life(7), life(8));
}

/// A fetch that waits for a record that never comes, for longer than anybody lives.
fn endless_fetch() -> FetchRequest<'static> {
    FetchRequest {
        cluster_id: None,
        replica_id: -1,
        replica_state: ReplicaState {
            replica_id: -1,
            replica_epoch: -1,
        },
        max_wait_ms: i32::MAX,
        min_bytes: 1,
        max_bytes: i32::MAX,
        isolation_level: 0,
        session_id: 0,
        session_epoch: -1,
        topics: Array::from([FetchTopic {
            topic: "t",
            topic_id: Uuid::nil(),
            partitions: (0..2)
                .map(|partition| FetchPartition {
                    partition,
                    current_leader_epoch: -1,
                    fetch_offset: 0,
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    partition_max_bytes: 1 << 20,
                    replica_directory_id: Uuid::nil(),
                    high_watermark: i64::MAX,
                })
                .collect(),
        }]),
        forgotten_topics_data: Array::empty(),
        rack_id: "",
    }
}

#[test]
fn what_is_under_way_is_answered_before_the_end() {
    for seed in 0..8 {
        let world = World::with_shards(seed, SHARDS);
        let booted = boot(&world).unwrap();
        assert_eq!(create(&world, &booted, "t", 2), Some(0));
        let reactor = world.shard(0);
        let address = booted.address;
        let waiting = reactor.spawn({
            let reactor = reactor.clone();
            async move { converse(&reactor, address, 11, &endless_fetch()).await }
        });
        // A connection that asks nothing does not keep the engine.
        let silent = world.run(reactor.connect(address)).unwrap();
        world.run(reactor.sleep(Duration::from_secs(60)));
        let asked = reactor.now();
        shutdown(&world, &booted).unwrap();
        let took = reactor.now().duration_since(asked);
        assert!(took < Duration::from_secs(1), "stopping took {took:?}");
        let frame = world
            .run(waiting)
            .expect("the fetch is answered, not cut off");
        let (_, response) = decode_response::<FetchResponse<'_>>(11, &frame).unwrap();
        for partition in &response.responses.first().unwrap().partitions {
            assert_eq!(partition.error_code, 0);
        }
        drop(silent);
    }
}

#[test]
fn a_peer_that_does_not_read_holds_the_end_up_for_seconds_only() {
    let world = World::with_shards(3, SHARDS);
    let booted = boot(&world).unwrap();
    let reactor = world.shard(0);
    let stuck = world.run(async {
        let socket = reactor.connect(booted.address).await.unwrap();
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        };
        let bytes = encode_request(1, None, 12, &request).unwrap().bytes;
        // Requests until the answers fill what lies between: nobody reads them.
        while reactor
            .timeout(Duration::from_secs(1), socket.send_all(&[&bytes]))
            .await
            .is_some()
        {}
        socket
    });
    let asked = reactor.now();
    shutdown(&world, &booted).unwrap();
    let took = reactor.now().duration_since(asked);
    assert!(took < Duration::from_secs(10), "stopping took {took:?}");
    drop(stuck);
}
