//! Charges orders with sixteen workers, in order for each customer. What fails is tried again, then waits in a retry topic, and
//! becomes a dead letter in the end; a second group, the support desk, looks at those partition by partition.
//!
//! ```text
//! highwater topic create orders --partitions 6
//! highwater topic create orders-retry --partitions 6
//! highwater topic create orders.DLT --partitions 1
//! cargo run -p highwater --example group_handler -- 127.0.0.1:9092
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater::handler::{Claim, Cleanup, Session};
use highwater::{
    Backoff, Client, Commit, ConsumerBuilder, ConsumerRecord, Error, GroupHandler, OffsetReset,
    Result,
};
use serde::Deserialize;
use tokio::sync::watch;

/// What came of the orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Cents by customer.
    pub charged: BTreeMap<String, u64>,
    /// Why the support desk has orders on its table.
    pub letters: Vec<String>,
}

#[derive(Deserialize)]
struct Order {
    customer: String,
    cents: u64,
    /// How often the bank is busy before it takes this one.
    #[serde(default)]
    busy: u32,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("not an order: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the bank is busy")]
    Busy,
}

/// Charges customers; a real one would ask a bank, with the order's place as the key that makes asking twice harmless.
#[derive(Clone, Default)]
struct Till {
    books: Arc<Mutex<Books>>,
    asked: Arc<Mutex<BTreeMap<Vec<u8>, u32>>>,
}

impl Till {
    async fn charge(self, record: ConsumerRecord) -> Result<(), Trouble> {
        let value = record.value().unwrap_or_default();
        let order: Order = serde_json::from_slice(value)?;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(value.to_vec()).or_default();
        *times += 1;
        if *times <= order.busy {
            return Err(Trouble::Busy);
        }
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        *books.charged.entry(order.customer).or_default() += order.cents;
        Ok(())
    }
}

/// Puts dead letters on the table.
struct Desk(Arc<Mutex<Books>>);

impl GroupHandler for Desk {
    type Error = Error;

    async fn setup(&self, session: &Session) -> Result<()> {
        println!("{} looks at {:?}", session.member_id(), session.claims());
        Ok(())
    }

    async fn consume_claim(&self, session: &Session, mut claim: Claim) -> Result<()> {
        while let Some(letter) = claim.next().await? {
            let why = letter
                .headers()
                .filter(|header| header.key_str() == Some("kafka_dlt-exception-message"))
                .find_map(|header| Some(String::from_utf8_lossy(header.value?).into_owned()));
            let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            books.letters.push(why.unwrap_or_default());
            session.mark(&letter);
        }
        Ok(())
    }

    async fn cleanup(&self, session: &Session, why: Cleanup) -> Result<()> {
        println!("{:?} went: {why:?}", session.claims());
        Ok(())
    }
}

/// Charges what is in the topic `orders` until `stop` comes.
pub async fn run(bootstrap: &str, stop: impl Future<Output = ()>) -> Result<Books> {
    let client = Client::builder(bootstrap)
        .client_id("till")
        .connect()
        .await?;
    let from_the_beginning = |consumer: ConsumerBuilder| {
        let every = Duration::from_secs(1);
        consumer
            .offset_reset(OffsetReset::Earliest)
            .commit(Commit::Watermark { every })
    };
    let (ms, till) = (Duration::from_millis(1), Till::default());
    let charges = till.clone();
    let stopping = watch::Sender::new(false);
    let stopped = || {
        let mut stopping = stopping.subscribe();
        async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        }
    };

    let billing = client
        .group("billing")
        .topics(["orders"])
        .consumer(from_the_beginning)
        .for_each(16, move |record| charges.clone().charge(record))
        .retry(Backoff::exponential(10 * ms..100 * ms), 2)
        .retry_topics([("orders-retry", 1000 * ms)])
        .retry_if(|trouble| matches!(trouble, Trouble::Busy))
        .dead_letter("orders.DLT")
        .run_until(stopped());
    let support = client
        .group("support")
        .topics(["orders.DLT"])
        .consumer(from_the_beginning)
        .run_until(Desk(Arc::clone(&till.books)), stopped());
    let stops = async {
        stop.await;
        stopping.send_replace(true);
        Ok(())
    };
    // Where one of the groups fails, the other is dropped: it leaves in the background.
    tokio::try_join!(billing, support, stops)?;
    let books = till.books.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(books.clone())
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
    println!("{:#?}", run(&bootstrap, stop).await?);
    Ok(())
}
