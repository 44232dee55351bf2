//! Every future of a producer, dropped at each of its awaits in turn: nothing hangs, no memory is
//! lost, and what was enqueued arrives once.

use std::time::Duration;

use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{Client, Producer, Record};

use super::drop_after::drop_after;
use super::{client, cluster, narrow, producer_with};

const BUFFER: usize = 8192;

/// The producer is as good as new: all memory is there, and a record goes through.
async fn is_well(cluster: &FakeBroker, producer: &Producer) {
    producer.flush().await;
    drop(producer.reserve(BUFFER).await.unwrap());
    let before = cluster.values("t", 0).len();
    let ack = producer
        .enqueue(Record::to("t").partition(0).value("after"))
        .await
        .unwrap();
    producer.flush().await;
    let offset = ack.await.unwrap().offset.unwrap();
    let values = cluster.values("t", 0);
    assert_eq!(usize::try_from(offset).unwrap(), before);
    assert_eq!(values.len(), before + 1, "once");
}

/// Makes a world, drops the future of `call` in it after 0, 1, 2... polls until one completes, and
/// looks each time whether the producer is well and the first records of the call are in the log, once and in
/// order: `first` is what the first of them is made of, and each that follows is made of the next byte. Returns
/// how many they were at most.
async fn at_each_await<T>(first: u8, call: impl AsyncFn(&Producer) -> T) -> usize {
    at_each_await_lingering(Duration::from_secs(60), first, call).await
}

/// The same, where batches go out so much later.
async fn at_each_await_lingering<T>(
    linger: Duration,
    first_byte: u8,
    call: impl AsyncFn(&Producer) -> T,
) -> usize {
    let mut most = 0;
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let producer = producer_with(&cluster, |builder| {
            let builder = builder.batch_bytes(BUFFER / 2).linger(linger);
            builder.request_bytes_max(BUFFER / 2).buffer_bytes(BUFFER)
        })
        .await;
        // Something is on its way that holds memory, and its first answer is lost.
        cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
        let first = producer.enqueue(Record::to("t").value(&[1; 3000])).await;
        let first = first.unwrap();
        let done = drop_after(polls, call(&producer)).await.is_some();
        is_well(&cluster, &producer).await;
        assert_eq!(first.await.unwrap().offset, Some(0));
        let values = cluster.values("t", 0);
        let left: Vec<u8> = values[1..values.len() - 1].iter().map(|it| it[0]).collect();
        let expected: Vec<u8> = (first_byte..).take(left.len()).collect();
        assert_eq!(left, expected, "the first of them, once, in order");
        most = most.max(left.len());
        if done {
            return most;
        }
    }
    panic!("it is still not done");
}

/// Records of which three are more than memory has room for.
fn values(count: u8) -> Vec<Vec<u8>> {
    (10..10 + count).map(|byte| vec![byte; 3000]).collect()
}

#[tokio::test]
async fn a_dropped_enqueue_or_send_leaves_one_record_or_none() {
    let value = vec![2; 3000];
    let enqueued = at_each_await(2, async |producer: &Producer| {
        producer.enqueue(Record::to("t").value(&value)).await
    });
    assert_eq!(enqueued.await, 1);
    let sent = at_each_await(2, async |producer: &Producer| {
        let topic = producer.topic("t").await.unwrap();
        tokio::join!(topic.send(Record::new().value(&value)), producer.flush())
    });
    assert_eq!(sent.await, 1);
}

#[tokio::test]
async fn a_dropped_batch_leaves_the_first_of_its_records() {
    let values = values(6);
    let records = || values.iter().map(|value| Record::to("t").value(value));
    let enqueued = at_each_await(10, async |producer: &Producer| {
        producer.enqueue_batch(records()).await.len()
    });
    assert_eq!(enqueued.await, 6);
    let sent = at_each_await(10, async |producer: &Producer| {
        let ack = producer.enqueue_batch(records()).await;
        producer.flush().await;
        ack.await.unwrap().len()
    });
    assert_eq!(sent.await, 6);
}

#[tokio::test]
async fn a_dropped_reservation_gives_everything_back() {
    let value = vec![3; 3000];
    let sent = at_each_await(3, async |producer: &Producer| {
        let mut permit = producer.reserve(6500).await.unwrap();
        let first = permit.send(Record::to("t").value(&value));
        drop(permit);
        producer.flush().await;
        first.await.unwrap();
    });
    assert_eq!(sent.await, 1);
}

#[tokio::test]
async fn a_dropped_flush_has_hurried_and_harmed_nothing() {
    assert_eq!(
        at_each_await(0, async |producer: &Producer| producer.flush().await).await,
        0
    );
}

#[tokio::test]
async fn a_dropped_resolution_may_be_asked_for_again() {
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let client = client(&cluster).await;
        let builder = client.producer().linger(Duration::ZERO);
        let Some(producer) = drop_after(polls.max(1), builder.build()).await else {
            continue;
        };
        let producer = producer.unwrap();
        let done = drop_after(polls, producer.topic("t")).await.is_some();
        assert_eq!(
            producer.topic("t").await.unwrap().partition_count(),
            1,
            "{polls} polls"
        );
        let sent = producer.send(Record::to("t").value("v")).await.unwrap();
        assert_eq!(sent.offset, Some(0));
        if done {
            return;
        }
    }
    panic!("it is still not done");
}

#[tokio::test]
async fn a_dropped_shutdown_leaves_the_producer_closed_and_its_records_on_their_way() {
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let producer = producer_with(&cluster, |builder| builder).await;
        cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
        let ack = producer.enqueue(Record::to("t").value("v")).await.unwrap();
        let shutdown = producer.shutdown(Duration::from_secs(60));
        let done = drop_after(polls, shutdown).await.is_some();
        assert_eq!(ack.await.unwrap().offset, Some(0));
        let again = producer.enqueue(Record::to("t").value("v")).await;
        // Never polled, it never began.
        assert_eq!(again.is_ok(), polls == 0);
        if polls == 0 {
            again.unwrap().await.unwrap();
        }
        if done {
            return;
        }
    }
    panic!("it is still not done");
}

#[tokio::test]
async fn a_dropped_call_of_a_topics_handle_leaves_what_the_producers_own_would() {
    let values = values(4);
    let records = || values.iter().map(|value| Record::new().value(value));
    let enqueued = at_each_await(10, async |producer: &Producer| {
        let topic = producer.topic("t").await.unwrap();
        topic.enqueue(Record::new().value(&values[0])).await
    });
    assert_eq!(enqueued.await, 1);
    let batch = at_each_await(10, async |producer: &Producer| {
        let topic = producer.topic("t").await.unwrap();
        topic.enqueue_batch(records()).await.len()
    });
    assert_eq!(batch.await, 4);
    let reserved = at_each_await(10, async |producer: &Producer| {
        let topic = producer.topic("t").await.unwrap();
        let mut permit = topic.reserve(3500).await.unwrap();
        drop(permit.send(Record::new().value(&values[0])));
    });
    assert_eq!(reserved.await, 1);
}

#[tokio::test]
async fn a_dropped_send_of_many_goes_on_for_those_that_were_enqueued() {
    let values = values(6);
    let sent = at_each_await_lingering(Duration::ZERO, 10, async |producer: &Producer| {
        let records = values.iter().map(|value| Record::to("t").value(value));
        producer.send_batch(records).await
    });
    assert_eq!(sent.await, 6);
    let sent = at_each_await_lingering(Duration::ZERO, 10, async |producer: &Producer| {
        let topic = producer.topic("t").await.unwrap();
        let records = values.iter().map(|value| Record::new().value(value));
        topic.send_batch(records).await
    });
    assert_eq!(sent.await, 6);
}

#[tokio::test]
async fn a_dropped_wait_for_an_acknowledgement_leaves_it_to_whoever_waits_next() {
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let producer = narrow(&cluster, BUFFER).await;
        cluster.fail(ApiKey::Produce, Fault::DisconnectAfter);
        let mut one = producer.enqueue(Record::to("t").value("a")).await.unwrap();
        let records = ["b", "c"].map(|value| Record::to("t").value(value));
        let mut many = producer.enqueue_batch(records).await;
        let both = async { tokio::join!(&mut one, &mut many, producer.flush()) };
        let done = drop_after(polls, both).await.is_some();
        producer.flush().await;
        if !done {
            assert_eq!(one.await.unwrap().offset, Some(0));
            let placed = many.await.unwrap();
            let offsets: Vec<_> = placed.iter().map(|placed| placed.offset).collect();
            assert_eq!(offsets, [Some(1), Some(2)]);
        }
        is_well(&cluster, &producer).await;
        if done {
            return;
        }
    }
    panic!("it is still not done");
}

#[tokio::test]
async fn a_dropped_wait_for_a_partition_that_was_just_added_leaves_no_record() {
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let producer = narrow(&cluster, BUFFER).await;
        let topic = producer.topic("t").await.unwrap();
        cluster.grow("t", 2);
        let record = || Record::new().partition(1).value("v");
        let ack = drop_after(polls, topic.enqueue(record())).await;
        producer.flush().await;
        let done = ack.is_some();
        if let Some(ack) = ack {
            assert_eq!(ack.unwrap().await.unwrap().partition, 1);
        }
        assert_eq!(cluster.values("t", 1).len(), usize::from(done));
        is_well(&cluster, &producer).await;
        if done {
            return;
        }
    }
    panic!("it is still not done");
}

#[tokio::test]
async fn a_dropped_connection_of_a_client_may_be_tried_again() {
    for polls in 0..1000 {
        let cluster = cluster(1).await;
        let builder = Client::builder(cluster.bootstrap());
        let done = drop_after(polls, builder.clone().connect()).await.is_some();
        let client = builder.connect().await.unwrap();
        assert_eq!(client.partition_count("t").await.unwrap(), 1);
        if done {
            return;
        }
    }
    panic!("it is still not done");
}

#[tokio::test]
async fn a_dropped_question_for_metadata_may_be_asked_again_and_keeps_nobody_waiting() {
    for polls in 0..1000 {
        let cluster = cluster(3).await;
        let client = client(&cluster).await;
        cluster.fail(ApiKey::Metadata, Fault::DisconnectAfter);
        let first = drop_after(polls, client.partition_count("t")).await;
        let done = first.is_some_and(|count| count.unwrap() == 3);
        let both = tokio::join!(client.partition_count("t"), client.partition_count("t"));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (3, 3), "{polls} polls");
        if done {
            return;
        }
    }
    panic!("it is still not done");
}
