//! An error of a delivery says where the record was to go and which one it was.

use std::time::Duration;

use highwater::testing::{ApiKey, Fault};
use highwater::{Codec, Compression, Error, ErrorCode, ErrorKind, Record, Written};

use super::{cluster, lingering, numbers, producer_with};

/// The record that an error is about, as key, value, and how many headers there are.
fn content(error: &Error) -> (Option<&[u8]>, Option<&[u8]>, usize) {
    let record = error.record().unwrap();
    (record.key(), record.value(), record.headers().count())
}

#[tokio::test]
async fn a_refused_record_comes_back_with_its_error() {
    for codec in [Codec::None, Codec::Lz4] {
        let cluster = cluster(3).await;
        let linger = Duration::from_secs(60);
        let producer = producer_with(&cluster, |builder| {
            builder.linger(linger).compression(Compression::of(codec))
        })
        .await;
        let code = ErrorCode::TopicAuthorizationFailed;
        cluster.fail(ApiKey::Produce, Fault::Refuse(code));
        let values = numbers(100);
        let records = values.iter().map(|value| {
            let record = Record::to("t").partition(2).timestamp_ms(77);
            record.key("k").value(value).header("trace", "ab12")
        });
        let ack = producer.enqueue_batch(records).await;
        producer.flush().await;
        for (value, outcome) in values.iter().zip(ack.outcomes()) {
            let error = outcome.unwrap().unwrap_err();
            assert_eq!(error.code(), Some(code));
            assert_eq!(error.topic_partition().unwrap().to_string(), "t-2");
            assert_eq!(content(&error), (Some(&b"k"[..]), Some(&value[..]), 1));
        }
        let error = ack.await.unwrap_err();
        let record = error.record().unwrap();
        assert_eq!((record.topic(), record.partition()), ("t", 2));
        assert_eq!(record.timestamp_ms(), 77);
        let header = record.headers().next().unwrap();
        assert_eq!(header.key_str(), Some("trace"));
        assert_eq!(header.value, Some(&b"ab12"[..]));
        let again = producer.enqueue(record.to_record()).await.unwrap();
        producer.flush().await;
        assert_eq!(again.await.unwrap().offset, Some(0));
        assert_eq!(cluster.values("t", 2), numbers(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_expires_in_flight_comes_back_with_its_error() {
    let cluster = cluster(1).await;
    let timeout = Duration::from_secs(5);
    let producer = producer_with(&cluster, |builder| builder.delivery_timeout(timeout)).await;
    cluster.fail(ApiKey::Produce, Fault::Drop);
    let record = Record::to("t").maybe_key(None).value("v");
    let error = producer.send(record).await.unwrap_err();
    assert_eq!(error.possibly_written(), Written::Maybe);
    assert_eq!(error.topic_partition().unwrap().to_string(), "t-0");
    assert_eq!(content(&error), (None, Some(&b"v"[..]), 0));
}

#[tokio::test]
async fn a_record_that_was_never_sent_comes_back_with_its_error() {
    let cluster = cluster(1).await;
    let producer = lingering(&cluster).await;
    for _ in 0..100 {
        cluster.fail(ApiKey::Produce, Fault::DisconnectBefore);
    }
    let records = ["a", "b"].map(|key| Record::to("t").key(key));
    let ack = producer.enqueue_batch(records).await;
    let report = producer.shutdown(Duration::ZERO).await;
    assert_eq!((report.acked, report.abandoned), (0, 2));
    let errors: Vec<_> = ack.outcomes().map(|o| o.unwrap().unwrap_err()).collect();
    let keys: Vec<_> = errors.iter().map(content).collect();
    assert_eq!(
        keys,
        [(Some(&b"a"[..]), None, 0), (Some(&b"b"[..]), None, 0)]
    );
    assert_eq!(errors[0].kind(), &ErrorKind::Closed);
}

#[tokio::test]
async fn what_the_caller_still_has_does_not_come_back() {
    let cluster = cluster(1).await;
    let producer = producer_with(&cluster, |builder| builder.request_bytes_max(2000)).await;
    let big = vec![0; 3000];
    let error = producer
        .send(Record::to("t").value(&big))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::RecordTooLarge);
    assert_eq!(error.topic_partition().unwrap().to_string(), "t-0");
    assert!(error.record().is_none());
}
