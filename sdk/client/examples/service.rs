//! An HTTP service around one client: orders come in by POST and are answered once they are in the log; a task of the same
//! process reads them back, and GET says what it has read.
//!
//! ```text
//! cargo run -p highwater --example service -- 127.0.0.1:9092
//! curl -X POST localhost:8080/orders/ada -d 'two tickets'
//! curl localhost:8080/customers/ada
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use highwater::{Client, Consumer, ErrorKind, OffsetReset, Producer, Record, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What the handlers share. All of it is cheap to clone.
#[derive(Clone)]
struct Shop {
    producer: Producer,
    orders: Orders,
}

/// Orders read so far, by customer.
type Orders = Arc<Mutex<BTreeMap<String, u64>>>;

/// Serves on `listener` until `stop` comes; then what was accepted is sent, and what was read is committed.
pub async fn run(
    bootstrap: &str,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let client = Client::builder(bootstrap)
        .client_id("shop")
        .connect()
        .await?;
    let producer = client.producer().build().await?;
    let consumer = client
        .consumer()
        .group("shop")
        .subscribe(["orders"])
        .offset_reset(OffsetReset::Earliest)
        .build()
        .await?;
    let orders = Orders::default();
    let (end, ends) = oneshot::channel();
    let reading = tokio::spawn(read(consumer, Arc::clone(&orders), ends));
    let shop = Shop {
        producer: producer.clone(),
        orders,
    };
    let routes = Router::new()
        .route("/orders/{customer}", post(order))
        .route("/customers/{customer}", get(customer))
        .with_state(shop);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop);
    if let Err(error) = served.await {
        eprintln!("the listener broke: {error}");
    }
    producer.shutdown(Duration::from_secs(10)).await;
    // An error says that the reader has ended already, and why is in its result.
    let _ = end.send(());
    reading.await.unwrap_or_else(|error| {
        eprintln!("the reader broke: {error}");
        Ok(())
    })
}

/// Answers once the order is where it cannot get lost.
async fn order(
    State(shop): State<Shop>,
    Path(customer): Path<String>,
    body: Bytes,
) -> (StatusCode, String) {
    let record = Record::to("orders").key(&customer).value(&body);
    match shop.producer.send(record).await {
        Ok(placed) => {
            let offset = placed.offset.unwrap_or(-1);
            let said = format!("{}/{offset}\n", placed.partition);
            (StatusCode::CREATED, said)
        }
        Err(error) if *error.kind() == ErrorKind::RecordTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n"))
        }
        Err(error) if error.is_retriable() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// How many orders of a customer were read so far.
async fn customer(State(shop): State<Shop>, Path(customer): Path<String>) -> String {
    let orders = shop.orders.lock().unwrap_or_else(PoisonError::into_inner);
    format!("{}\n", orders.get(&customer).copied().unwrap_or(0))
}

async fn read(
    mut consumer: Consumer,
    orders: Orders,
    mut ends: oneshot::Receiver<()>,
) -> Result<()> {
    loop {
        let batch = tokio::select! {
            batch = consumer.next_batch() => batch,
            _ = &mut ends => break,
        };
        match batch {
            Ok(Some(batch)) => {
                let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
                for record in &batch {
                    let customer = String::from_utf8_lossy(record.key().unwrap_or_default());
                    *orders.entry(customer.into_owned()).or_default() += 1;
                }
                batch.done();
            }
            Ok(None) => break,
            Err(error) if !error.is_fatal() => eprintln!("{error}"),
            Err(error) => return Err(error),
        }
    }
    consumer.shutdown(Duration::from_secs(10)).await
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let bootstrap = std::env::args().nth(1);
    let bootstrap = bootstrap.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}", listener.local_addr()?);
    let stop = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            eprintln!("no way to hear of ctrl-c: {error}");
            std::future::pending::<()>().await;
        }
    };
    run(&bootstrap, listener, stop).await?;
    Ok(())
}
