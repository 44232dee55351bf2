//! Adds up what each customer spends, as one of a group: what another member dies over, this one goes on with.
//!
//! ```text
//! cargo run -p highwater --example consumer -- 127.0.0.1:9092
//! ```

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use highwater::{Client, OffsetReset, Result};

/// Orders of each customer, read from the topic `orders` until `stop` comes.
pub async fn run(bootstrap: &str, stop: impl Future<Output = ()>) -> Result<BTreeMap<String, u64>> {
    let client = Client::builder(bootstrap)
        .client_id("accounts")
        .connect()
        .await?;
    let mut consumer = client
        .consumer()
        .group("accounts")
        .subscribe(["orders"])
        .offset_reset(OffsetReset::Earliest)
        .build()
        .await?;
    let mut orders: BTreeMap<String, u64> = BTreeMap::new();
    let mut stop = pin!(stop);
    loop {
        let batch = tokio::select! {
            batch = consumer.next_batch() => batch,
            () = &mut stop => break,
        };
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            // A batch that does not hold together, a coordinator out of reach: told, and gone on behind.
            Err(error) if !error.is_fatal() => {
                eprintln!("{error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        for record in &batch {
            let customer = String::from_utf8_lossy(record.key().unwrap_or_default());
            *orders.entry(customer.into_owned()).or_default() += 1;
        }
        // What is done is committed every five seconds, before partitions go to another member, and at the end.
        batch.done();
    }
    consumer.shutdown(Duration::from_secs(10)).await?;
    Ok(orders)
}

#[tokio::main]
async fn main() -> Result<()> {
    let bootstrap = std::env::args().nth(1);
    let bootstrap = bootstrap.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let stop = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("no way to hear of ctrl-c: {error}");
            std::future::pending::<()>().await;
        }
    };
    for (customer, orders) in run(&bootstrap, stop).await? {
        println!("{customer}: {orders}");
    }
    Ok(())
}
