//! The handlers' example does what it says, against a cluster of its own.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

#[path = "../examples/group_handler.rs"]
mod group_handler;

use std::time::Duration;

use highwater::Record;
use highwater::testing::TestCluster;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// What the group `name` has committed, over all partitions.
async fn committed(cluster: &TestCluster, name: &str) -> i64 {
    let admin = cluster.client().admin();
    let offsets = admin.group_offsets(name, None).await.unwrap();
    let offsets = offsets.into_values();
    offsets
        .map(|it| it.unwrap().map_or(0, |it| it.offset))
        .sum()
}

#[tokio::test]
async fn orders_are_charged_once_the_bank_takes_them_and_the_others_are_dead_letters() {
    let cluster = TestCluster::builder().topic("orders", 6);
    let cluster = cluster.topic("orders-retry", 6).topic("orders.DLT", 1);
    let cluster = cluster.start().await.unwrap();
    let producer = cluster.client().producer().build().await.unwrap();
    for number in 0..30 {
        let customer = format!("customer-{}", number % 5);
        let order = match number {
            7 | 21 => "no order at all".to_owned(),
            // Three times in place, and once more from the retry topic.
            11 => format!(r#"{{"customer":"{customer}","cents":{number},"busy":4}}"#),
            // Three times in both places.
            12 => format!(r#"{{"customer":"{customer}","cents":{number},"busy":6}}"#),
            _ => format!(r#"{{"customer":"{customer}","cents":{number}}}"#),
        };
        let record = Record::to("orders").key(&customer).value(&order);
        producer.send(record).await.unwrap();
    }
    let (stop, stops) = oneshot::channel::<()>();
    let bootstrap = cluster.bootstrap().to_owned();
    let running = tokio::spawn(async move {
        let stop = async {
            let _ = stops.await;
        };
        group_handler::run(&bootstrap, stop).await
    });
    // All orders, the two that went through the retry topic, and the three letters.
    let all = async {
        while committed(&cluster, "billing").await < 32 || committed(&cluster, "support").await < 3
        {
        }
    };
    timeout(LONG, all).await.expect("everything is committed");
    stop.send(()).unwrap();
    let books = timeout(LONG, running).await.unwrap().unwrap().unwrap();
    let cents = |customer: u64| (0..30).filter(move |number| number % 5 == customer);
    for customer in 0..5 {
        let gone = |number: &u64| matches!(number, 7 | 12 | 21);
        let expected: u64 = cents(customer).filter(|number| !gone(number)).sum();
        assert_eq!(books.charged[&format!("customer-{customer}")], expected);
    }
    assert_eq!(books.letters.len(), 3);
    let busy = books
        .letters
        .iter()
        .filter(|why| *why == "the bank is busy");
    assert_eq!(busy.count(), 1);
}
