//! An engine as its users meet it: started, asked, stopped, killed and started again.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod peer;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use highwater_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use highwater_wire::message::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use highwater_wire::message::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic,
};
use highwater_wire::{Array, ErrorCode, decode_response};
use peer::{Peer, start};
use uuid::Uuid;

/// Name, partitions and settings of a topic to create.
fn create(peer: &mut Peer, name: &str, partitions: i32, configs: &[(&str, &str)]) -> (i16, Uuid) {
    let request = CreateTopicsRequest {
        topics: Array::from([CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: -1,
            assignments: Array::empty(),
            configs: configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name,
                    value: Some(value),
                })
                .collect(),
        }]),
        timeout_ms: 10_000,
        validate_only: false,
    };
    let frame = peer.call(7, &request);
    let (_, response) = decode_response::<CreateTopicsResponse<'_>>(7, &frame).unwrap();
    let topic = response.topics.first().unwrap();
    (topic.error_code, topic.topic_id)
}

fn delete(peer: &mut Peer, name: &str) -> i16 {
    let request = DeleteTopicsRequest {
        topics: Array::empty(),
        topic_names: Array::from([name]),
        timeout_ms: 10_000,
    };
    let frame = peer.call(5, &request);
    let (_, response) = decode_response::<DeleteTopicsResponse<'_>>(5, &frame).unwrap();
    response.responses.first().unwrap().error_code
}

/// Looks a topic up, creating it where `create`.
fn look<T>(
    peer: &mut Peer,
    name: &str,
    create: bool,
    read: impl FnOnce(MetadataResponseTopic<'_>) -> T,
) -> T {
    let request = MetadataRequest {
        topics: Some(Array::from([MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some(name),
        }])),
        allow_auto_topic_creation: create,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: false,
    };
    let frame = peer.call(12, &request);
    let (_, response) = decode_response::<MetadataResponse<'_>>(12, &frame).unwrap();
    read(response.topics.first().unwrap())
}

fn epoch(peer: &mut Peer, name: &str) -> i32 {
    look(peer, name, false, |topic| {
        topic.partitions.first().unwrap().leader_epoch
    })
}

#[test]
fn an_engine_tells_clients_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[("node.id", "7"), ("broker.rack", "r1")]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    let request = MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: false,
    };
    let frame = peer.call(13, &request);
    let (_, response) = decode_response::<MetadataResponse<'_>>(13, &frame).unwrap();
    let broker = response.brokers.first().unwrap();
    assert_eq!(
        (broker.node_id, broker.host, broker.rack),
        (7, "127.0.0.1", Some("r1"))
    );
    assert_eq!(broker.port, i32::from(engine.local_addr().port()));
    assert_eq!(response.cluster_id, Some(engine.cluster_id()));
    assert_eq!(engine.cluster_id().len(), 22);
    engine.shutdown().unwrap();
}

#[test]
fn a_client_is_told_the_listener_it_came_in_by() {
    let dir = tempfile::tempdir().unwrap();
    let settings = [
        ("listeners", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        ("advertised.listeners", "INSIDE://inside:1234"),
        (
            "listener.security.protocol.map",
            "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        ),
    ];
    let engine = start(dir.path(), &settings).unwrap();
    let outside = engine.local_addrs()[1];
    for (address, host, port) in [
        (engine.local_addrs()[0], "inside", 1234),
        (outside, "127.0.0.1", outside.port()),
    ] {
        let mut peer = Peer::connect(address);
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        };
        let frame = peer.call(13, &request);
        let (_, response) = decode_response::<MetadataResponse<'_>>(13, &frame).unwrap();
        let broker = response.brokers.first().unwrap();
        assert_eq!((broker.host, broker.port), (host, i32::from(port)));
    }
    engine.shutdown().unwrap();
}

#[test]
fn topics_settings_and_ids_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let cluster = engine.cluster_id().to_owned();
    let mut peer = Peer::connect(engine.local_addr());
    let (code, id) = create(&mut peer, "orders", 5, &[("retention.ms", "1234")]);
    assert_eq!(code, 0);
    engine.shutdown().unwrap();
    for index in 0..5 {
        assert!(dir.path().join(format!("orders-{index}")).is_dir());
    }

    let engine = start(dir.path(), &[]).unwrap();
    assert_eq!(engine.cluster_id(), cluster);
    let mut peer = Peer::connect(engine.local_addr());
    look(&mut peer, "orders", false, |topic| {
        assert_eq!(
            (topic.error_code, topic.topic_id, topic.partitions.len()),
            (0, id, 5)
        );
    });
    assert_eq!(
        create(&mut peer, "orders", 1, &[]).0,
        ErrorCode::TopicAlreadyExists.id()
    );
    engine.shutdown().unwrap();
}

#[test]
fn a_topic_made_again_is_another_topic_with_a_higher_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    let (_, first) = create(&mut peer, "t", 1, &[]);
    assert_eq!(epoch(&mut peer, "t"), 0);
    assert_eq!(delete(&mut peer, "t"), 0);
    assert_eq!(
        look(&mut peer, "t", false, |t| t.error_code),
        ErrorCode::UnknownTopicOrPartition.id()
    );
    engine.shutdown().unwrap();

    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    let (code, second) = create(&mut peer, "t", 1, &[]);
    assert_eq!(code, 0);
    assert_ne!(second, first);
    assert_eq!(epoch(&mut peer, "t"), 1);
    engine.shutdown().unwrap();
}

#[test]
fn a_missing_topic_is_created_only_where_both_sides_agree() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[("num.partitions", "3")]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    let unknown = ErrorCode::UnknownTopicOrPartition.id();
    assert_eq!(look(&mut peer, "a", false, |t| t.error_code), unknown);
    assert_eq!(
        look(&mut peer, "a", true, |t| (t.error_code, t.partitions.len())),
        (0, 3)
    );
    let invalid = ErrorCode::InvalidTopicException.id();
    assert_eq!(look(&mut peer, "no/slash", true, |t| t.error_code), invalid);
    engine.shutdown().unwrap();

    let engine = start(dir.path(), &[("auto.create.topics.enable", "false")]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    assert_eq!(look(&mut peer, "b", true, |t| t.error_code), unknown);
    assert_eq!(look(&mut peer, "a", true, |t| t.error_code), 0);
    engine.shutdown().unwrap();
}

#[test]
fn the_second_engine_on_a_directory_says_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let error = start(dir.path(), &[]).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    engine.shutdown().unwrap();
    start(dir.path(), &[]).unwrap().shutdown().unwrap();
}

#[test]
fn a_taken_port_is_named() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = start(one.path(), &[]).unwrap();
    let port = engine.local_addr().port().to_string();
    let listener = format!("PLAINTEXT://127.0.0.1:{port}");
    let error = start(two.path(), &[("listeners", &listener)])
        .unwrap_err()
        .to_string();
    assert!(error.contains(&port) && error.contains("taken"), "{error}");
    // What could not start has let go of its directory.
    start(two.path(), &[]).unwrap().shutdown().unwrap();
    engine.shutdown().unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = start(&file.join("data"), &[]).unwrap_err().to_string();
    assert!(error.contains("file/data"), "{error}");
}

#[test]
fn a_host_without_an_address_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = start(
        dir.path(),
        &[("listeners", "PLAINTEXT://no-such-host.invalid:1")],
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("no-such-host.invalid"),
        "{error}"
    );
}

#[test]
fn another_nodes_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), &[("node.id", "1")])
        .unwrap()
        .shutdown()
        .unwrap();
    let error = start(dir.path(), &[("node.id", "2")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("node.id"), "{error}");
}

#[test]
fn several_engines_live_in_one_process() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let engines: Vec<_> = dirs
        .iter()
        .map(|dir| start(dir.path(), &[]).unwrap())
        .collect();
    for (index, engine) in engines.iter().enumerate() {
        let mut peer = Peer::connect(engine.local_addr());
        assert_eq!(create(&mut peer, &format!("t{index}"), 2, &[]).0, 0);
    }
    for (index, engine) in engines.iter().enumerate() {
        let mut peer = Peer::connect(engine.local_addr());
        for other in 0..3 {
            let code = look(&mut peer, &format!("t{other}"), false, |t| t.error_code);
            assert_eq!(code == 0, other == index);
        }
    }
    for engine in engines {
        engine.shutdown().unwrap();
    }
}

#[test]
fn an_orderly_end_leaves_the_marker_and_a_start_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join(".kafka_cleanshutdown");
    let engine = start(dir.path(), &[]).unwrap();
    assert!(!marker.exists());
    engine.shutdown().unwrap();
    assert!(marker.exists());
    let engine = start(dir.path(), &[]).unwrap();
    assert!(!marker.exists());
    // Dropped is shut down as well.
    drop(engine);
    assert!(marker.exists());
}

#[test]
fn a_directory_without_a_topic_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), &[]).unwrap().shutdown().unwrap();
    let stray = dir.path().join("stray-0");
    std::fs::create_dir(&stray).unwrap();
    std::fs::write(stray.join("00000000000000000000.log"), "precious").unwrap();
    start(dir.path(), &[]).unwrap().shutdown().unwrap();
    assert!(!stray.exists());
    let kept: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("-stray"))
        .collect();
    assert_eq!(kept.len(), 1);
    let content = std::fs::read(kept[0].path().join("00000000000000000000.log")).unwrap();
    assert_eq!(content, b"precious");
}

/// The other process of the test below: an engine that runs until it is killed. Does nothing in an ordinary test run.
#[test]
fn an_engine_to_be_killed() {
    let Some(dir) = std::env::var_os("HIGHWATER_TEST_KILLED") else {
        return;
    };
    let engine = start(Path::new(&dir), &[]).unwrap();
    println!("\nlistening {}", engine.local_addr());
    engine.wait().unwrap();
}

fn spawn(dir: &Path) -> (std::process::Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_engine_to_be_killed", "--nocapture"])
        .env("HIGHWATER_TEST_KILLED", dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .find_map(|line| {
            line.unwrap()
                .strip_prefix("listening ")
                .map(|a| a.parse().unwrap())
        })
        .unwrap();
    (child, address)
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids: Vec<(String, Uuid)> = Vec::new();
    for round in 0..5 {
        let (mut child, address) = spawn(dir.path());
        let mut peer = Peer::connect(address);
        for (name, id) in &ids {
            let found = look(&mut peer, name, false, |topic| {
                (topic.topic_id, topic.partitions.len())
            });
            assert_eq!(found, (*id, 2), "{name} in round {round}");
        }
        for n in 0..5 {
            let name = format!("t{round}-{n}");
            let (code, id) = create(&mut peer, &name, 2, &[]);
            assert_eq!(code, 0);
            ids.push((name, id));
        }
        let (gone, _) = ids.remove(0);
        assert_eq!(delete(&mut peer, &gone), 0);
        child.kill().unwrap();
        child.wait().unwrap();
        let error = std::fs::metadata(dir.path().join(".kafka_cleanshutdown"));
        assert!(error.is_err(), "a killed engine leaves no marker");
    }
}

#[test]
fn a_damaged_metadata_log_stops_the_start_and_a_torn_end_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address) = spawn(dir.path());
    let mut peer = Peer::connect(address);
    let (_, kept) = create(&mut peer, "kept", 1, &[]);
    let log = dir
        .path()
        .join("__cluster_metadata-0/00000000000000000000.log");
    let whole = std::fs::read(&log).unwrap();
    create(&mut peer, "torn", 1, &[]);
    child.kill().unwrap();
    child.wait().unwrap();

    // A change that was being written when the process died: half of its batch.
    let mut torn = std::fs::read(&log).unwrap();
    torn.truncate(whole.len() + 40);
    std::fs::write(&log, &torn).unwrap();
    let engine = start(dir.path(), &[]).unwrap();
    let mut peer = Peer::connect(engine.local_addr());
    assert_eq!(look(&mut peer, "kept", false, |t| t.topic_id), kept);
    assert_ne!(look(&mut peer, "torn", false, |t| t.error_code), 0);
    engine.shutdown().unwrap();

    // A change in the middle that had been durable.
    let mut damaged = std::fs::read(&log).unwrap();
    damaged[whole.len() - 5] ^= 1;
    std::fs::write(&log, &damaged).unwrap();
    let error = start(dir.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("metadata log is damaged"), "{error}");
    assert_eq!(std::fs::read(&log).unwrap(), damaged, "nothing was cut");
}
