use highwater_wire::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use highwater_wire::message::fetch::FetchRequest;
use highwater_wire::message::metadata::MetadataRequest;
use highwater_wire::{ApiKey, ErrorCode};

use crate::harness::{
    Broker, Peer, batch, decoded, fetch_request, fetched, produce_request, seconds,
};

fn hello() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: "test",
        client_software_version: "1.0",
    }
}

#[test]
fn what_is_advertised_is_what_is_served() {
    let broker = Broker::start(30, 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for version in 0..=4 {
            let frame = peer.ask(version, &hello()).await;
            let response = decoded::<ApiVersionsResponse<'_>>(version, &frame);
            let find = |api: ApiKey| {
                let row = response.api_keys.iter().find(|row| row.api_key == api.id());
                row.map(|row| (row.min_version, row.max_version))
            };
            assert_eq!(
                find(ApiKey::Produce),
                Some((0, 13)),
                "from 0, for librdkafka"
            );
            assert_eq!(find(ApiKey::Fetch), Some((4, 18)));
            assert_eq!(find(ApiKey::ApiVersions), Some((0, 4)));
            assert_eq!(find(ApiKey::JoinGroup), Some((0, 9)));
            assert_eq!(find(ApiKey::TxnOffsetCommit), None);
            if version >= 3 {
                let finalized = response.finalized_features.iter();
                let names: Vec<&str> = finalized.map(|feature| feature.name).collect();
                assert_eq!(names, ["group.version", "metadata.version"]);
                assert!(response.finalized_features_epoch >= 0);
                // Clients before version 4 cannot read a lowest level of 0.
                let supported = response.supported_features.iter();
                let of_groups = supported.filter(|feature| feature.name == "group.version");
                assert_eq!(of_groups.count(), usize::from(version >= 4));
            }
        }
    });
}

#[test]
fn a_client_of_the_future_learns_which_versions_there_are() {
    let broker = Broker::start(31, 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let frame = b"\0\0\0\x0e\0\x12\0\x63\0\0\0\x09\0\x02me\0\0";
        peer.socket.send_all(&[&frame[..]]).await.unwrap();
        let answer = peer.frame().await.unwrap();
        assert_eq!(answer[..4], [0, 0, 0, 9]);
        let response = decoded::<ApiVersionsResponse<'_>>(0, &answer);
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.id());
        // The connection is good for another try.
        peer.ask(3, &hello()).await;
        let nameless = ApiVersionsRequest {
            client_software_name: "-",
            ..hello()
        };
        let answer = peer.ask(3, &nameless).await;
        let response = decoded::<ApiVersionsResponse<'_>>(3, &answer);
        assert_eq!(response.error_code, ErrorCode::InvalidRequest.id());
    });
}

#[test]
fn hostile_bytes_end_their_connection_and_no_other() {
    let broker = Broker::start(32, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut good = broker.peer();
    let hostile: &[&[u8]] = &[
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\x01\0",
        b"GET / HTTP/1.1\r\n\r\n",
        // Metadata v1 with 2^31 - 1 topics, Produce v2, FindCoordinator, an API nobody has, a body that is cut.
        b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\x7f\xff\xff\xff",
        b"\0\0\0\x0a\0\0\0\x02\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\0\x0a\0\x00\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\x7f\xff\0\x00\0\0\0\x01\xff\xff",
        b"\0\0\0\x0b\0\0\0\x03\0\0\0\x01\xff\xff\0",
    ];
    for bytes in hostile {
        let mut peer = broker.peer();
        broker.world.run(async {
            peer.socket.send_all(&[bytes]).await.unwrap();
            assert_eq!(peer.frame().await, None, "{bytes:?}");
            good.produce("orders", 1, &batch(&["still here"]))
                .await
                .placed();
        });
    }
    assert_eq!(broker.stats().violations, hostile.len() as u64);
}

#[test]
fn a_length_alone_takes_no_memory() {
    // 64 peers claim 100 MiB each and send a few bytes of it.
    let broker = Broker::start(33, 1, &[]);
    let peers: Vec<Peer> = (0..64).map(|_| broker.peer()).collect();
    broker.world.run(async {
        for peer in &peers {
            peer.socket
                .send_all(&[b"\x06\x40\0\0\0\0\0\x03"])
                .await
                .unwrap();
        }
        peers[0].reactor.sleep(seconds(1)).await;
    });
    assert_eq!(broker.stats().connections, 64);
    assert_eq!(broker.stats().requests, 0);
}

#[test]
fn a_request_that_names_more_than_anybody_has_ends_its_connection() {
    let broker = Broker::start(40, 2, &[]);
    broker.topic("orders", 2, &[]);
    let rows = |count| (0..count).map(|row| (row, 0)).collect::<Vec<(i32, i64)>>();
    let empty: Vec<(i32, &[u8])> = (0..2000).map(|row| (row, &b""[..])).collect();
    let (mut wide, mut wider, mut hollow) = (broker.peer(), broker.peer(), broker.peer());
    broker.world.run(async {
        // 100,000 partitions are answered, and a wait of theirs is short: others stand behind it.
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            ..fetch_request("orders", &rows(100_000))
        };
        let began = wide.reactor.now();
        let frame = wide.ask(12, &request).await;
        assert_eq!(fetched(12, &frame).len(), 100_000);
        assert!(wide.reactor.now().duration_since(began) < seconds(2));
        wider
            .send(12, &fetch_request("orders", &rows(200_000)))
            .await;
        assert_eq!(wider.frame().await, None);
        hollow.send(9, &produce_request(-1, "orders", &empty)).await;
        assert_eq!(hollow.frame().await, None);
        wide.produce("orders", 0, &batch(&["x"])).await.placed();
    });
    assert_eq!(broker.stats().violations, 2);
}

#[test]
fn large_frames_take_turns_and_small_ones_go_on() {
    // Four peers begin frames of 90 MiB: two have a share, two wait; who has one and stops sending is idle in the end.
    let broker = Broker::start(39, 1, &[("connections.max.idle.ms", "60000")]);
    broker.topic("orders", 1, &[]);
    let peers: Vec<Peer> = (0..4).map(|_| broker.peer()).collect();
    let mut small = broker.peer();
    broker.world.run(async {
        let reactor = small.reactor.clone();
        let began = |peer: &Peer| {
            let socket = peer.socket.clone();
            reactor.spawn(async move {
                let length = (90_i32 << 20).to_be_bytes();
                let _ = socket.send_all(&[&length, &vec![0; 5 << 20]]).await;
            })
        };
        let sending: Vec<_> = peers.iter().map(began).collect();
        for _ in 0..5 {
            reactor.sleep(seconds(8)).await;
            small
                .produce("orders", 0, &batch(&["small"]))
                .await
                .placed();
        }
        let first = broker.stats().bytes_in;
        assert!(
            (10 << 20..11 << 20).contains(&first),
            "{first} bytes of two frames"
        );
        for _ in 0..12 {
            reactor.sleep(seconds(10)).await;
            small
                .produce("orders", 0, &batch(&["small"]))
                .await
                .placed();
        }
        drop(sending);
    });
    assert_eq!(broker.stats().connections, 1, "the silent are gone");
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let broker = Broker::start(34, 2, &[("connections.max.idle.ms", "60000")]);
    let (mut idle, mut busy) = (broker.peer(), broker.peer());
    broker.world.run(async {
        idle.ask(3, &hello()).await;
        for _ in 0..10 {
            busy.ask(3, &hello()).await;
            busy.reactor.sleep(seconds(20)).await;
        }
        assert_eq!(idle.frame().await, None);
        busy.ask(3, &hello()).await;
    });
    assert_eq!(broker.stats().connections, 1);
}

#[test]
fn a_peer_that_does_not_read_is_not_read_either_and_goes_in_the_end() {
    let broker = Broker::start(35, 1, &[("connections.max.idle.ms", "60000")]);
    broker.topic("orders", 1, &[]);
    let (mut writer, mut deaf) = (broker.peer(), broker.peer());
    broker.world.run(async {
        let big = batch(&[&"z".repeat(200_000)]);
        for _ in 0..20 {
            writer.produce("orders", 0, &big).await.placed();
        }
        for _ in 0..200 {
            deaf.send(12, &fetch_request("orders", &[(0, 0)])).await;
        }
        let reactor = deaf.reactor.clone();
        reactor.sleep(seconds(50)).await;
        writer.produce("orders", 0, &big).await.placed();
        reactor.sleep(seconds(50)).await;
    });
    assert_eq!(broker.stats().connections, 1, "the writer's is left");
    assert!(
        broker.stats().requests < 100,
        "{} were begun",
        broker.stats().requests
    );
}

#[test]
fn there_are_no_more_connections_than_allowed_and_the_next_comes_in_when_one_goes() {
    let broker = Broker::start(36, 2, &[("max.connections", "2")]);
    let (mut first, mut second) = (broker.peer(), broker.peer());
    broker.world.run(async {
        first.ask(3, &hello()).await;
        second.ask(3, &hello()).await;
        let reactor = first.reactor.clone();
        let mut third = Peer::connect(reactor.clone()).await;
        assert_eq!(third.frame().await, None);
        first.socket.shutdown();
        reactor.sleep(seconds(1)).await;
        let mut fourth = Peer::connect(reactor).await;
        fourth.ask(3, &hello()).await;
    });
}

#[test]
fn accepting_goes_on_after_the_process_ran_out_of_descriptors() {
    const EMFILE: i32 = 24;
    let broker = Broker::start(37, 1, &[]);
    for nth in 1..=3 {
        broker.world.net().fail_accept(nth, EMFILE);
    }
    let mut peer = broker.peer();
    broker.world.run(async {
        peer.ask(3, &hello()).await;
    });
}

#[test]
fn pipelined_requests_of_all_kinds_are_answered_in_order() {
    let broker = Broker::start(38, 3, &[]);
    broker.topic("orders", 3, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let one = batch(&["one"]);
        let mut sent = Vec::new();
        for n in 0..60 {
            sent.push(match n % 4 {
                0 => {
                    peer.send(9, &produce_request(-1, "orders", &[(n % 3, &one)]))
                        .await
                }
                1 => peer.send(12, &fetch_request("orders", &[(n % 3, 0)])).await,
                2 => peer.send(12, &MetadataRequest::default()).await,
                _ => peer.send(3, &hello()).await,
            });
        }
        for sent in sent {
            assert_eq!(peer.frame().await.unwrap()[..4], sent.to_be_bytes());
        }
    });
}

#[test]
fn equal_seeds_make_equal_histories() {
    let run = |seed| {
        let broker = Broker::start(seed, 3, &[]);
        broker.topic("orders", 3, &[]);
        let mut peer = broker.peer();
        broker.world.run(async {
            for n in 0..10 {
                peer.produce("orders", n % 3, &batch(&["x"])).await.placed();
                peer.fetch("orders", n % 3, 0).await;
            }
        });
        broker.world.trace()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
