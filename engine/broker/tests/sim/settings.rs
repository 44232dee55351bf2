//! Settings are obeyed: those a topic was made with, those that change while it is in use, and the broker's defaults of
//! topics that have none of their own.

use highwater_reactor::sim::Operation;
use highwater_record::{Codec, Header, TimestampType};
use highwater_wire::ErrorCode;
use highwater_wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use crate::harness::{Broker, Peer, batch, decoded, seconds};

pub(crate) const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Sets (or with `None` resets) one setting.
pub(crate) async fn alter(peer: &mut Peer, kind: i8, name: &str, key: &str, value: Option<&str>) {
    let request = IncrementalAlterConfigsRequest {
        resources: [AlterConfigsResource {
            resource_type: kind,
            resource_name: name,
            configs: [AlterableConfig {
                name: key,
                config_operation: i8::from(value.is_none()),
                value,
            }]
            .into(),
        }]
        .into(),
        validate_only: false,
    };
    let frame = peer.ask(1, &request).await;
    let response = decoded::<IncrementalAlterConfigsResponse<'_>>(1, &frame);
    let outcome = response.responses.first().unwrap();
    assert_eq!(outcome.error_code, 0, "{:?}", outcome.error_message);
}

/// The header of the batch at `offset` as it was stored.
async fn stored(peer: &mut Peer, topic: &str, offset: i64) -> Header {
    let records = peer.fetch(topic, 0, offset).await.records.unwrap();
    *Header::peek(&records).unwrap()
}

#[test]
fn a_changed_setting_is_obeyed_by_the_next_batch() {
    let broker = Broker::start(1, 2, &[]);
    broker.topic("t", 1, &[("max.message.bytes", "200")]);
    let mut peer = broker.peer();
    broker.world.run(async move {
        let large = batch(&["x".repeat(300).as_str()]);
        let too_large = ErrorCode::MessageTooLarge.id();
        assert_eq!(peer.produce("t", 0, &large).await.error, too_large);
        alter(&mut peer, TOPIC, "t", "max.message.bytes", Some("1000")).await;
        assert_eq!(peer.produce("t", 0, &large).await.placed(), 0);
        alter(&mut peer, TOPIC, "t", "max.message.bytes", Some("100")).await;
        assert_eq!(peer.produce("t", 0, &large).await.error, too_large);
        // Reset, it is the broker's again.
        alter(&mut peer, TOPIC, "t", "max.message.bytes", None).await;
        assert_eq!(peer.produce("t", 0, &large).await.placed(), 1);
    });
}

#[test]
fn a_brokers_default_reaches_the_topics_without_their_own() {
    let broker = Broker::start(2, 2, &[("message.max.bytes", "150")]);
    broker.topic("plain", 1, &[]);
    broker.topic("own", 1, &[("max.message.bytes", "10000")]);
    let mut peer = broker.peer();
    broker.world.run(async move {
        let large = batch(&["x".repeat(300).as_str()]);
        let too_large = ErrorCode::MessageTooLarge.id();
        assert_eq!(peer.produce("plain", 0, &large).await.error, too_large);
        assert_eq!(peer.produce("own", 0, &large).await.placed(), 0);
        // For all brokers, then for this one, which is stronger.
        alter(&mut peer, BROKER, "", "message.max.bytes", Some("1000")).await;
        assert_eq!(peer.produce("plain", 0, &large).await.placed(), 0);
        alter(&mut peer, BROKER, "1", "message.max.bytes", Some("160")).await;
        assert_eq!(peer.produce("plain", 0, &large).await.error, too_large);
        assert_eq!(peer.produce("own", 0, &large).await.placed(), 1);
    });
}

#[test]
fn timestamps_and_codecs_are_those_of_the_topic() {
    let broker = Broker::start(3, 2, &[]);
    broker.topic("t", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async move {
        let one = batch(&["a", "b"]);
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 0);
        alter(&mut peer, TOPIC, "t", "compression.type", Some("zstd")).await;
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 2);
        let log_append = Some("LogAppendTime");
        alter(&mut peer, TOPIC, "t", "message.timestamp.type", log_append).await;
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 4);
        let mut found = Vec::new();
        for offset in [0, 2, 4] {
            let attributes = stored(&mut peer, "t", offset).await.attributes();
            found.push((attributes.codec().unwrap(), attributes.timestamp_type()));
        }
        assert_eq!(
            found,
            [
                (Codec::None, TimestampType::Create),
                (Codec::Zstd, TimestampType::Create),
                (Codec::Zstd, TimestampType::LogAppend),
            ]
        );
    });
}

#[test]
fn what_acks_all_waits_for_is_the_topics_durability() {
    let broker = Broker::start(4, 2, &[("highwater.durability", "written")]);
    broker.topic("t", 1, &[]);
    let disk = broker.world.disk();
    let mut peer = broker.peer();
    broker.world.run(async move {
        let one = batch(&["a"]);
        disk.set_sync_time(seconds(3600), seconds(3600));
        let before = peer.reactor.now();
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 0);
        let took = peer.reactor.now().duration_since(before);
        assert!(
            took < seconds(1),
            "written waits for no sync, it took {took:?}"
        );
        disk.set_sync_time(seconds(1), seconds(1));
        alter(
            &mut peer,
            TOPIC,
            "t",
            "highwater.durability",
            Some("flushed"),
        )
        .await;
        let (before, syncs) = (peer.reactor.now(), disk.count(Operation::Sync));
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 1);
        assert!(peer.reactor.now().duration_since(before) >= seconds(1));
        assert!(disk.count(Operation::Sync) > syncs);
    });
}

#[test]
fn one_replica_is_not_two() {
    let broker = Broker::start(5, 2, &[]);
    broker.topic("t", 1, &[("min.insync.replicas", "2")]);
    let mut peer = broker.peer();
    broker.world.run(async move {
        let one = batch(&["a"]);
        let refused = peer.produce("t", 0, &one).await;
        assert_eq!(refused.error, ErrorCode::NotEnoughReplicas.id());
        // Only who wants all is refused.
        assert_eq!(peer.produce_all(1, "t", &[(0, &one)]).await[0].placed(), 0);
        alter(&mut peer, TOPIC, "t", "min.insync.replicas", Some("1")).await;
        assert_eq!(peer.produce("t", 0, &one).await.placed(), 1);
    });
}

#[test]
fn clients_do_not_write_to_internal_topics() {
    let broker = Broker::start(6, 2, &[]);
    broker.topic("__consumer_offsets", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async move {
        let refused = peer.produce("__consumer_offsets", 0, &batch(&["a"])).await;
        assert_eq!(refused.error, ErrorCode::InvalidTopicException.id());
    });
}

#[test]
fn retention_follows_a_change_without_a_restart() {
    let broker = Broker::start(7, 2, &[("log.retention.check.interval.ms", "10000")]);
    broker.topic(
        "t",
        1,
        &[("segment.bytes", "1048576"), ("retention.ms", "-1")],
    );
    let mut peer = broker.peer();
    broker.world.run(async move {
        let half = batch(&["x".repeat(600_000).as_str()]);
        for n in 0..6 {
            assert_eq!(peer.produce("t", 0, &half).await.placed(), n);
        }
        peer.reactor.sleep(seconds(120)).await;
        assert_eq!(peer.fetch("t", 0, 0).await.log_start, 0);
        // What remains must not be less than this: two segments and the one in use.
        alter(&mut peer, TOPIC, "t", "retention.bytes", Some("1400000")).await;
        peer.reactor.sleep(seconds(30)).await;
        assert_eq!(peer.fetch("t", 0, 5).await.log_start, 3);
        let gone = peer.fetch("t", 0, 0).await.error;
        assert_eq!(gone, ErrorCode::OffsetOutOfRange.id());
    });
}
