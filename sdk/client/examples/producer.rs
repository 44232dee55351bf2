//! Produces a day's orders: enqueued as fast as memory allows, each answer looked at, nothing left behind at the end.
//!
//! ```text
//! cargo run -p highwater --example producer -- 127.0.0.1:9092
//! ```

use std::time::Duration;

use highwater::{Client, Codec, Record, Result, Written};

/// What became of the orders.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Acknowledged by the leader and everybody in sync.
    pub placed: usize,
    /// Certainly not in the log: they can be sent again.
    pub not_written: usize,
    /// Nobody can tell; who sends them again may write them twice.
    pub unknown: usize,
}

/// Sends so many orders of a hundred customers to the topic `orders`.
pub async fn run(bootstrap: &str, orders: u32) -> Result<Outcome> {
    let client = Client::builder(bootstrap)
        .client_id("shop")
        .connect()
        .await?;
    let producer = client.producer().compression(Codec::Lz4).build().await?;
    let mut acks = Vec::new();
    for number in 0..orders {
        let customer = format!("customer-{}", number % 100);
        let order = format!(r#"{{"order":{number},"customer":"{customer}","cents":4200}}"#);
        let record = Record::to("orders")
            .key(&customer)
            .value(&order)
            .header("content-type", "application/json");
        // Waits only while `buffer.memory` is full: the broker sets the pace.
        acks.push(producer.enqueue(record).await?);
    }
    let mut outcome = Outcome::default();
    for ack in acks {
        match ack.await {
            Ok(_) => outcome.placed += 1,
            Err(error) => {
                eprintln!("an order is not placed: {error}");
                match error.possibly_written() {
                    Written::No => outcome.not_written += 1,
                    Written::Maybe | Written::Yes => outcome.unknown += 1,
                }
            }
        }
    }
    let report = producer.shutdown(Duration::from_secs(10)).await;
    assert_eq!(report.abandoned, 0, "every answer was waited for");
    Ok(outcome)
}

#[tokio::main]
async fn main() -> Result<()> {
    let bootstrap = std::env::args().nth(1);
    let bootstrap = bootstrap.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    println!("{:?}", run(&bootstrap, 10_000).await?);
    Ok(())
}
