//! The clusters for tests do what they say: faults come as often and where they were asked for, and go away.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use highwater::admin::OffsetSpec;
use highwater::testing::wire::message::delete_groups::DeletableGroupResult;
use highwater::testing::wire::message::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeClusterRequest, DescribeClusterResponse,
    ProduceRequest,
};
use highwater::testing::{ApiKey, FakeBroker, Fault, FaultProxy, TestCluster};
use highwater::{Client, ErrorCode, ErrorKind, Record, Start, TopicPartition};
use tokio::time::{sleep, timeout};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A client that does not wait long for an answer that was lost.
async fn hasty(bootstrap: &str) -> Client {
    Client::builder(bootstrap)
        .request_timeout(Duration::from_millis(300))
        .api_timeout(Duration::from_secs(10))
        .connect()
        .await
        .unwrap()
}

/// How many records a partition has, as the broker itself says.
async fn end(cluster: &TestCluster, topic: &str) -> i64 {
    let client = Client::builder(cluster.direct()).connect().await.unwrap();
    let place = TopicPartition::new(topic, 0);
    let admin = client.admin();
    let listed = admin.list_offsets([(place.clone(), OffsetSpec::Latest)]);
    listed.await.unwrap()[&place]
        .as_ref()
        .unwrap()
        .offset
        .unwrap()
}

/// One of each, all of which an idempotent producer survives.
const FAULTS: [Fault; 12] = [
    Fault::Refuse(ErrorCode::NotLeaderOrFollower),
    Fault::RefuseAfter(ErrorCode::RequestTimedOut),
    Fault::Delay(Duration::from_millis(1)),
    Fault::Lose,
    Fault::Drop,
    Fault::DisconnectBefore,
    Fault::DisconnectAfter,
    Fault::Duplicate,
    Fault::Cut,
    Fault::WrongCorrelation,
    Fault::Flood,
    Fault::CorruptBatch,
];

#[tokio::test]
async fn every_fault_of_a_produce_is_survived_and_leaves_one_record() {
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let client = hasty(cluster.bootstrap()).await;
    let producer = client.producer().build().await.unwrap();
    for (count, fault) in (0i64..).zip(FAULTS) {
        let rule = cluster.fail(ApiKey::Produce, fault);
        let sent = timeout(LONG, producer.send(Record::to("t").value("v"))).await;
        let placed = sent.expect("it ends").unwrap();
        assert_eq!(rule.struck(), 1, "{fault:?}");
        assert_eq!(placed.offset, Some(count), "{fault:?}");
        assert_eq!(end(&cluster, "t").await, count + 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_of_paper_have_the_same_faults() {
    let broker = FakeBroker::start(2).await.unwrap();
    broker.topic("t", 1);
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    for (count, fault) in (0i64..).zip(FAULTS) {
        let rule = broker.fail(ApiKey::Produce, fault);
        let placed = producer.send(Record::to("t").value("v")).await.unwrap();
        assert_eq!(rule.struck(), 1, "{fault:?}");
        assert_eq!(placed.offset, Some(count), "{fault:?}");
        assert_eq!(broker.end_offset("t", 0), count + 1, "{fault:?}");
    }
    let rule = broker.fail(ApiKey::Fetch, Fault::CorruptBatch);
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let error = consumer.next().await.unwrap_err();
    assert_eq!((error.kind(), rule.struck()), (&ErrorKind::Corrupt, 1));
}

#[tokio::test(start_paused = true)]
async fn a_script_answers_for_a_broker_of_paper() {
    let broker = FakeBroker::start(1).await.unwrap();
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let metadata = broker.requests(ApiKey::Metadata);
    broker.topic("t", 3);
    assert_eq!(client.partition_count("t").await.unwrap(), 3);
    assert!(broker.requests(ApiKey::Metadata) > metadata);
    let asked_for = |asked: &highwater::testing::Asked<'_>| -> Vec<String> {
        let request = asked.request::<DeleteGroupsRequest<'_>>().unwrap();
        request.groups_names.iter().map(str::to_owned).collect()
    };
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    broker.script::<DeleteGroupsRequest<'_>>(move |asked| {
        let names = asked_for(asked);
        let results = names.iter().map(|name| DeletableGroupResult {
            group_id: name,
            error_code: ErrorCode::NonEmptyGroup.id(),
        });
        tell.send(names.clone()).unwrap();
        asked.answer(&DeleteGroupsResponse {
            results: results.collect(),
            ..DeleteGroupsResponse::default()
        })
    });
    let stream = tokio::net::TcpStream::connect(broker.bootstrap()).await;
    let mut stream = stream.unwrap();
    let request = DeleteGroupsRequest {
        groups_names: ["g"].into(),
    };
    let frame = highwater::testing::wire::encode_request(5, None, 2, &request).unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(&frame.bytes).await.unwrap();
    let length = stream.read_i32().await.unwrap();
    let mut answer = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ["g"]);
    assert!(
        answer
            .windows(2)
            .any(|code| code == ErrorCode::NonEmptyGroup.id().to_be_bytes())
    );
    // The last clone's drop ends it.
    drop(broker);
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0);
}

#[tokio::test]
async fn a_script_may_use_the_brokers_that_it_answers_for() {
    let broker = FakeBroker::start(1).await.unwrap();
    let within = broker.clone();
    broker.script::<DescribeClusterRequest>(move |asked| {
        within.topic("made", 2);
        let seen = within.seen().len();
        let cluster_id = &format!("{} of {seen}", within.requests(asked.api));
        asked.answer(&DescribeClusterResponse {
            cluster_id,
            ..DescribeClusterResponse::default()
        })
    });
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let described = client.admin().describe_cluster();
    let described = timeout(LONG, described).await.unwrap().unwrap();
    let seen = broker.seen().len();
    assert_eq!(described.cluster_id, format!("1 of {seen}"));
    assert_eq!(client.partition_count("made").await.unwrap(), 2);
    // It takes the place of the one that keeps a clone.
    broker.script::<DescribeClusterRequest>(|_| None);
}

/// Brokers whose cluster's id counts how often they were asked for it.
async fn counting() -> (FakeBroker, Client) {
    let broker = FakeBroker::start(1).await.unwrap();
    let mut calls = 0;
    broker.script::<DescribeClusterRequest>(move |asked| {
        calls += 1;
        asked.answer(&DescribeClusterResponse {
            cluster_id: &format!("{calls}"),
            ..DescribeClusterResponse::default()
        })
    });
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    (broker, client)
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_an_answer_comes_after_the_deed() {
    let (broker, client) = counting().await;
    let admin = client.admin();
    let next = async || admin.describe_cluster().await.unwrap().cluster_id;
    assert_eq!(next().await, "1");
    let _ = broker.fail(ApiKey::DescribeCluster, Fault::Duplicate);
    assert_eq!(next().await, "2", "the first of two answers");
    assert_eq!(next().await, "4");
    let _ = broker.fail(ApiKey::DescribeCluster, Fault::Flood);
    let flooded = admin.describe_cluster().await.unwrap_err();
    assert_eq!(flooded.kind(), &ErrorKind::Protocol);
    assert_eq!(next().await, "6");
    for (fault, id) in [(Fault::Cut, "8"), (Fault::DisconnectAfter, "10")] {
        let _ = broker.fail(ApiKey::DescribeCluster, fault);
        assert_eq!(next().await, id, "{fault:?}");
    }
    let _ = broker.fail(ApiKey::DescribeCluster, Fault::DisconnectBefore);
    assert_eq!(next().await, "11");
}

#[tokio::test(start_paused = true)]
async fn what_is_corrupt_goes_through_the_script() {
    let broker = FakeBroker::start(1).await.unwrap();
    broker.topic("t", 1);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    broker.script::<ProduceRequest<'_>>(move |asked| {
        let request = asked.request::<ProduceRequest<'_>>().unwrap();
        let topic = request.topic_data.first().unwrap();
        let partition = topic.partition_data.first().unwrap();
        let records = partition.records.unwrap().borrowed().unwrap().to_vec();
        tell.send(records.last().copied().unwrap()).unwrap();
        None
    });
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let rule = broker.fail(ApiKey::Produce, Fault::CorruptBatch);
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    assert_eq!(rule.struck(), 1);
    let (first, second) = (told.recv().await.unwrap(), told.recv().await.unwrap());
    assert_eq!(first, second ^ 1);
    assert_eq!(broker.values("t", 0), [b"v"]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_brokers_of_paper_ends_in_time_though_others_append() {
    let broker = FakeBroker::start(1).await.unwrap();
    broker.topic("t", 2);
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let consumer = consumer.build().await.unwrap();
    let fetches = broker.requests(ApiKey::Fetch);
    let busy = async {
        loop {
            let record = Record::to("t").value("v").partition(1);
            producer.send(record).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = busy => {}
        fetched = timeout(LONG, broker.requested(ApiKey::Fetch, fetches + 3)) => fetched.unwrap(),
    }
    drop(consumer);
}

#[tokio::test]
async fn a_refusal_says_its_code_and_a_refusal_after_the_deed_does_not_undo_it() {
    let cluster = TestCluster::start().await.unwrap();
    let admin = cluster.client().admin();
    let wanted = || [highwater::admin::NewTopic::new("t").partitions(1)];
    let refused = Fault::Refuse(ErrorCode::PolicyViolation);
    let _ = cluster.fail(ApiKey::CreateTopics, refused);
    let created = admin.create_topics(wanted()).await.unwrap();
    let error = created["t"].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::PolicyViolation));
    let refused = Fault::RefuseAfter(ErrorCode::PolicyViolation);
    let _ = cluster.fail(ApiKey::CreateTopics, refused);
    let created = admin.create_topics(wanted()).await.unwrap();
    assert!(created["t"].is_err());
    let created = admin.create_topics(wanted()).await.unwrap();
    let error = created["t"].as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(cluster.requests(ApiKey::CreateTopics), 3);
}

#[tokio::test]
async fn a_corrupt_batch_reaches_the_consumer_with_its_place() {
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let client = cluster.client();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("v")).await.unwrap();
    let rule = cluster.fail(ApiKey::Fetch, Fault::CorruptBatch);
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    let error = timeout(LONG, consumer.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Corrupt);
    let place = TopicPartition::new("t", 0);
    assert_eq!(
        (error.topic_partition(), error.offset()),
        (Some(&place), Some(0))
    );
    assert_eq!(rule.struck(), 1);
}

#[tokio::test]
async fn a_broker_that_is_down_refuses_and_comes_back_where_it_was() {
    let mut cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let client = cluster.client();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("a")).await.unwrap();
    cluster.down().await;
    let hasty = Client::builder(cluster.bootstrap())
        .configure(|config| config.connect_timeout = Duration::from_millis(500));
    let refused = hasty.connect().await;
    assert_eq!(refused.unwrap_err().kind(), &ErrorKind::Network);
    let waits = producer.enqueue(Record::to("t").value("b")).await.unwrap();
    cluster.up().await;
    assert_eq!(timeout(LONG, waits).await.unwrap().unwrap().offset, Some(1));
    cluster.restart().await.unwrap();
    let placed = timeout(LONG, producer.send(Record::to("t").value("c"))).await;
    assert_eq!(placed.unwrap().unwrap().offset, Some(2));
}

#[tokio::test]
async fn a_replaced_broker_is_found_under_its_new_id_and_address() {
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let client = cluster.client();
    let producer = client.producer().build().await.unwrap();
    producer.send(Record::to("t").value("a")).await.unwrap();
    let before = client.admin().describe_cluster().await.unwrap().brokers;
    cluster.replace_broker(before[0].id, 71).await;
    let placed = timeout(LONG, producer.send(Record::to("t").value("b"))).await;
    assert_eq!(placed.unwrap().unwrap().offset, Some(1));
    let after = client.admin().describe_cluster().await.unwrap().brokers;
    assert_eq!(after[0].id, 71);
    assert_ne!(after[0].port, before[0].port);
}

#[tokio::test]
async fn nothing_passes_a_paused_proxy_and_nothing_is_lost_in_it() {
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let producer = cluster.client().producer().build().await.unwrap();
    producer.send(Record::to("t").value("a")).await.unwrap();
    cluster.pause();
    let waits = producer.enqueue(Record::to("t").value("b")).await.unwrap();
    assert_eq!(end(&cluster, "t").await, 1);
    cluster.resume();
    assert_eq!(timeout(LONG, waits).await.unwrap().unwrap().offset, Some(1));
}

#[tokio::test]
async fn a_proxy_stands_before_any_cluster_and_its_brokers() {
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let proxy = FaultProxy::start(cluster.bootstrap()).await.unwrap();
    let client = Client::builder(proxy.bootstrap()).api_timeout(Duration::from_millis(500));
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let through = cluster.requests(ApiKey::Produce);
    let rule = proxy.fail(ApiKey::Produce, Fault::Refuse(ErrorCode::RequestTimedOut));
    producer.send(Record::to("t").value("a")).await.unwrap();
    assert_eq!((rule.struck(), proxy.requests(ApiKey::Produce)), (1, 2));
    assert_eq!(cluster.requests(ApiKey::Produce), through + 1);
    // With the proxy go its connections.
    drop(proxy);
    let admin = client.admin();
    let lost = admin.describe_cluster();
    assert!(timeout(LONG, lost).await.unwrap().is_err());
}

#[tokio::test]
async fn a_setting_nobody_knows_is_an_error_and_nothing_starts() {
    let wrong = TestCluster::builder().setting("retention.msec", "1");
    let error = wrong.start().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Config);
    assert!(error.to_string().contains("retention"), "{error}");
}
