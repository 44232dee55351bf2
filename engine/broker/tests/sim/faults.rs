use std::time::Duration;

use highwater_reactor::sim::{Crash, Operation};
use highwater_wire::ErrorCode;
use highwater_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::harness::{Broker, Peer, batch, decoded, produce_request, produced, seconds};

const EIO: i32 = 5;

#[test]
fn what_was_acknowledged_survives_the_loss_of_everything_unsynced() {
    for seed in 0..12 {
        let mut broker = Broker::start(100 + seed, 3, &[]);
        broker.topic("orders", 4, &[]);
        let mut acknowledged = vec![Vec::new(); 4];
        for life in 0..3 {
            let mut peer = broker.peer();
            broker
                .world
                .disk()
                .set_sync_time(Duration::from_millis(1), Duration::from_millis(9));
            broker.world.run(async {
                // A pipeline, cut somewhere in the middle by the crash.
                for n in 0..40 {
                    let value = format!("{life}-{n}");
                    let one = batch(&[&value]);
                    peer.send(9, &produce_request(-1, "orders", &[(n % 4, &one)]))
                        .await;
                }
                for n in 0..(seed * 3 + 4) {
                    let frame = peer.frame().await.unwrap();
                    let placed = produced(&frame)[0].placed();
                    let partition = usize::try_from(n % 4).unwrap();
                    acknowledged[partition].push((placed, format!("{life}-{n}")));
                }
            });
            let crash = match seed % 3 {
                0 => Crash::LoseUnsynced,
                1 => Crash::KeepPrefix,
                _ => Crash::KeepRandom,
            };
            broker.crash(crash);
            broker.begin();
            check(&broker, &acknowledged);
        }
        broker.stop();
        broker.begin();
        check(&broker, &acknowledged);
    }
}

/// Every acknowledged record is at its place, and there is no gap.
fn check(broker: &Broker, acknowledged: &[Vec<(i64, String)>]) {
    let mut peer = broker.peer();
    broker.world.run(async {
        for (partition, acknowledged) in acknowledged.iter().enumerate() {
            let fetched = peer
                .fetch("orders", i32::try_from(partition).unwrap(), 0)
                .await;
            let values = fetched.values();
            assert_eq!(fetched.high_watermark, i64::try_from(values.len()).unwrap());
            for (offset, value) in acknowledged {
                assert_eq!(values.get(usize::try_from(*offset).unwrap()), Some(value));
            }
        }
    });
}

#[test]
fn a_full_disk_is_told_reads_go_on_and_writing_resumes_when_there_is_room() {
    let broker = Broker::start(40, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let big = batch(&[&"f".repeat(50_000)]);
        peer.produce("orders", 0, &big).await.placed();
        let used = broker.world.disk().used();
        broker.world.disk().set_capacity(Some(used + 10_000));
        for partition in 0..2 {
            let refused = peer.produce("orders", partition, &big).await;
            assert_eq!(refused.error, ErrorCode::KafkaStorageError.id());
        }
        assert_eq!(peer.fetch("orders", 0, 0).await.values().len(), 1);
        broker.world.disk().set_capacity(None);
        assert_eq!(peer.produce("orders", 0, &big).await.placed(), 1);
        assert_eq!(peer.produce("orders", 1, &big).await.placed(), 0);
        assert_eq!(peer.fetch("orders", 0, 1).await.values().len(), 1);
    });
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more_and_reads_go_on() {
    let mut broker = Broker::start(41, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        peer.produce("orders", 0, &batch(&["kept"])).await.placed();
        broker.world.disk().fail(Operation::Sync, 1, EIO);
        for partition in [0, 0, 1, 1] {
            let refused = peer.produce("orders", partition, &batch(&["lost"])).await;
            assert_eq!(refused.error, ErrorCode::KafkaStorageError.id());
        }
        let fetched = peer.fetch("orders", 0, 0).await;
        assert_eq!(fetched.values(), ["kept"]);
    });
    broker.crash(Crash::LoseUnsynced);
    broker.begin();
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.fetch("orders", 0, 0).await.values(), ["kept"]);
        assert_eq!(
            peer.produce("orders", 0, &batch(&["again"])).await.placed(),
            1
        );
    });
}

#[test]
fn a_partition_that_could_not_be_made_is_made_when_there_is_room() {
    let broker = Broker::start(42, 2, &[]);
    let mut peer = broker.peer();
    broker.topic("before", 1, &[]);
    broker.world.disk().fail(Operation::Create, 2, 28);
    broker.topic("orders", 2, &[]);
    broker.world.run(async {
        let mut offline = 0;
        for partition in 0..2 {
            let produced = peer.produce("orders", partition, &batch(&["x"])).await;
            match ErrorCode::from_id(produced.error) {
                ErrorCode::None => {}
                ErrorCode::KafkaStorageError => offline += 1,
                other => panic!("{other}"),
            }
        }
        assert!(offline <= 2);
        peer.reactor.sleep(seconds(5)).await;
        for partition in 0..2 {
            peer.produce("orders", partition, &batch(&["y"]))
                .await
                .placed();
        }
    });
}

#[test]
fn a_producer_id_is_given_once_in_all_lives_of_the_broker() {
    let mut broker = Broker::start(43, 3, &[]);
    let mut given = Vec::new();
    for _ in 0..3 {
        for _ in 0..4 {
            let mut peer = broker.peer();
            broker.world.run(async {
                for _ in 0..3 {
                    given.push(init(&mut peer).await);
                }
            });
        }
        broker.crash(Crash::LoseUnsynced);
        broker.begin();
    }
    let count = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
}

async fn init(peer: &mut Peer) -> i64 {
    let request = InitProducerIdRequest {
        transactional_id: None,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let frame = peer.ask(4, &request).await;
    let response = decoded::<InitProducerIdResponse>(4, &frame);
    assert_eq!((response.error_code, response.producer_epoch), (0, 0));
    response.producer_id
}
