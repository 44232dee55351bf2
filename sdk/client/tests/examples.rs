//! The examples do what they say, against a cluster of their own.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

#[path = "../examples/consumer.rs"]
mod consumer;
#[path = "../examples/producer.rs"]
mod producer;
#[path = "../examples/service.rs"]
mod service;

use std::time::Duration;

use highwater::testing::{ApiKey, Fault, TestCluster};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

async fn orders() -> TestCluster {
    let cluster = TestCluster::builder().topic("orders", 6);
    cluster.start().await.unwrap()
}

/// What the group `name` has committed, over all partitions of the topic.
async fn committed(cluster: &TestCluster, name: &str) -> i64 {
    let admin = cluster.client().admin();
    let offsets = admin.group_offsets(name, None).await.unwrap();
    let offsets = offsets.into_values();
    offsets
        .map(|it| it.unwrap().map_or(0, |it| it.offset))
        .sum()
}

#[tokio::test]
async fn the_producer_places_every_order_though_a_connection_breaks() {
    let cluster = orders().await;
    let fault = cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
    let outcome = timeout(LONG, producer::run(cluster.bootstrap(), 1000)).await;
    let expected = producer::Outcome {
        placed: 1000,
        ..producer::Outcome::default()
    };
    assert_eq!(outcome.unwrap().unwrap(), expected);
    assert_eq!(fault.struck(), 1);
}

#[tokio::test]
async fn the_consumer_counts_every_order_once_and_commits_what_it_counted() {
    let cluster = orders().await;
    producer::run(cluster.bootstrap(), 500).await.unwrap();
    // Each run stops after a while; together they count all orders, none twice.
    let mut counted = 0;
    while counted < 500 {
        let fetches = cluster.requests(ApiKey::Fetch);
        let stop = cluster.requested(ApiKey::Fetch, fetches + 4);
        let run = timeout(LONG, consumer::run(cluster.bootstrap(), stop)).await;
        let orders = run.unwrap().unwrap();
        counted += orders.values().sum::<u64>();
        assert!(orders.keys().all(|it| it.starts_with("customer-")));
    }
    assert_eq!(counted, 500);
    assert_eq!(committed(&cluster, "accounts").await, 500);
}

/// One request over HTTP/1.1: the whole answer.
async fn http(to: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_service_answers_once_an_order_is_in_the_log_and_reads_it_back() {
    let cluster = orders().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stops) = oneshot::channel::<()>();
    let bootstrap = cluster.bootstrap().to_owned();
    let running = tokio::spawn(async move {
        let stop = async {
            let _ = stops.await;
        };
        service::run(&bootstrap, listener, stop).await
    });
    let order =
        "POST /orders/ada HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\ntea";
    for _ in 0..3 {
        let answer = timeout(LONG, http(at, order)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    let asks = async {
        let question = "GET /customers/ada HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        while !http(at, question).await.ends_with("\r\n3\n") {}
    };
    timeout(LONG, asks).await.expect("the orders are read back");
    stop.send(()).unwrap();
    timeout(LONG, running).await.unwrap().unwrap().unwrap();
    assert_eq!(committed(&cluster, "shop").await, 3);
}
