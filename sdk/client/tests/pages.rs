//! The code in the pages of docs/sdk stands here, too, line for line: so it compiles, and what can be is run.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unused_variables)]

use std::path::Path;
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::handler::{Claim, Session};
use highwater::testing::wire::message::{HeartbeatRequest, HeartbeatResponse};
use highwater::testing::{ApiKey, FakeBroker, Fault, FaultProxy, TestCluster};
use highwater::{
    Ack, Client, GroupHandler, Producer, Record, Rule, Sasl, Security, Start, TraceContext,
};

mod admin {
    use super::*;

    async fn topics(client: Client) -> highwater::Result<()> {
        let admin = client.admin();
        let created = admin
            .create_topics([NewTopic::new("orders")
                .partitions(12)
                .config("retention.ms", "86400000")])
            .validate_only(true)
            .timeout(Duration::from_secs(5))
            .await?;
        assert!(created["orders"].is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn a_topic_is_only_validated() {
        let cluster = TestCluster::start().await.unwrap();
        topics(cluster.client()).await.unwrap();
        let topics = cluster.client().admin().list_topics().await.unwrap();
        assert!(topics.iter().all(|topic| topic.is_internal));
    }
}

mod configuration {
    use super::*;

    async fn client() -> highwater::Result<()> {
        // Java's format
        let client = Client::from_properties_file("client.properties")?;
        // KAFKA_BOOTSTRAP_SERVERS=..
        let client = Client::from_env()?;
        let client = Client::from_properties([("metadata.broker.list", "k1:9092")])?;
        let client = client.connect().await?;
        Ok(())
    }
}

mod producer {
    use super::*;

    async fn dead(producer: Producer, ack: Ack) -> highwater::Result<()> {
        if let Err(error) = ack.await
            && let Some(record) = error.record()
        {
            let dead = Record::to("orders.failed")
                .maybe_key(record.key())
                .maybe_value(record.value());
            producer.send(dead).await?;
        }
        Ok(())
    }

    async fn batch(producer: Producer, records: Vec<Record<'_>>) {
        let ack = producer.enqueue_batch(records).await;
        if ack.clone().await.is_err() {
            for (index, outcome) in ack.outcomes().enumerate() {
                // Some(Ok(placed)) or Some(Err(error)) by now
                println!("{index}: {outcome:?}");
            }
        }
    }
}

mod security {
    use super::*;

    async fn client(password: &str) -> highwater::Result<()> {
        let client = Client::builder("k1:9093,k2:9093")
            .security(Security::sasl_ssl(Sasl::scram_sha512("billing", password)))
            .connect()
            .await?;
        Ok(())
    }
}

mod telemetry {
    use super::*;

    async fn context(
        producer: Producer,
        mut consumer: highwater::Consumer,
        (trace_id, span_id): (u128, u64),
        body: &[u8],
    ) -> Result<(), highwater::BoxError> {
        // The ids are those of the service's own tracing.
        let context = TraceContext::new(trace_id, span_id, true)?;
        let record = Record::to("orders").value(body).trace_context(&context);
        producer.send(record).await?;

        // On the other side it is the parent of the span that handles the record.
        if let Some(record) = consumer.next().await?
            && let Some(context) = record.trace_context()
        {
            tracing::info!(trace = %context, "handling");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_context_goes_with_its_record() {
        let cluster = TestCluster::builder().topic("orders", 1);
        let cluster = cluster.start().await.unwrap();
        let producer = cluster.client().producer().build().await.unwrap();
        let consumer = cluster.client().consumer();
        let consumer = consumer.assign("orders", 0, Start::Earliest);
        let consumer = consumer.build().await.unwrap();

        context(producer, consumer, (7, 9), b"paid").await.unwrap();
    }
}

mod testing {
    use super::*;

    #[tokio::test]
    async fn what_is_ordered_is_billed() {
        let cluster = TestCluster::builder()
            .topic("orders", 6)
            .start()
            .await
            .unwrap();
        let client = cluster.client(); // or Client::builder(cluster.bootstrap()), with settings of your own
        // start the service on cluster.bootstrap(), send orders, read bills
    }

    #[tokio::test]
    async fn faults() {
        let cluster = TestCluster::builder().topic("orders", 6);
        let cluster = cluster.start().await.unwrap();
        let rule = cluster
            .fail(ApiKey::Produce, Fault::DisconnectAfter)
            .after(2)
            .times(3);
        let producer = cluster.client().producer().build().await.unwrap();
        for _ in 0..6 {
            producer
                .send(Record::to("orders").value("v"))
                .await
                .unwrap();
        }
        assert_eq!(rule.struck(), 3);
    }

    async fn proxy() -> highwater::Result<()> {
        let proxy = FaultProxy::start("kafka-1:9092,kafka-2:9092").await?;
        let client = Client::builder(proxy.bootstrap()).connect().await?;
        Ok(())
    }

    async fn broker() -> highwater::Result<()> {
        let broker = FakeBroker::start(3).await?;
        broker.topic("orders", 6);
        broker.move_leader("orders", 0, 2);
        broker.script::<HeartbeatRequest<'_>>(|asked| asked.answer(&HeartbeatResponse::default()));
        Ok(())
    }

    #[tokio::test]
    async fn a_broker_of_paper_starts() {
        broker().await.unwrap();
    }
}

mod rdkafka {
    use super::*;

    async fn producer() -> highwater::Result<()> {
        // highwater
        let client = Client::from_properties([
            ("bootstrap.servers", "k1:9092"),
            ("message.timeout.ms", "30000"),
            ("partitioner", "consistent_random"), // where librdkafka puts keys
        ])?
        .connect()
        .await?;
        let producer = client.producer().build().await?;
        match producer
            .send(Record::to("orders").key("42").value("paid"))
            .await
        {
            Ok(placed) => println!("{} {:?}", placed.partition, placed.offset),
            Err(error) => eprintln!("{error}, in the log: {:?}", error.possibly_written()),
        }
        Ok(())
    }

    async fn consumer(client: Client) -> highwater::Result<()> {
        // highwater
        let mut consumer = client
            .consumer()
            .group("billing")
            .subscribe(["orders"])
            .build()
            .await?;
        while let Some(record) = consumer.next().await? {
            handle(record.value()).await;
            record.done();
        }
        Ok(())
    }
}

mod sarama {
    use super::*;

    fn settings() -> highwater::Result<()> {
        let client = Client::from_properties([
            ("bootstrap.servers", "k1:9092"),
            ("Producer.RequiredAcks", "WaitForAll"),
            ("Producer.Partitioner", "NewHashPartitioner"),
            ("Net.ReadTimeout", "10s"),
        ])?;
        Ok(())
    }

    #[test]
    fn the_settings_are_known() {
        settings().unwrap();
    }

    async fn producer() -> highwater::Result<()> {
        // highwater
        let client = Client::builder("k1:9092").connect().await?;
        let producer = client
            .producer()
            .partitioner(Rule::SaramaHash)
            .build()
            .await?;
        let placed = producer
            .send(Record::to("orders").key("42").value("paid"))
            .await?;
        println!("{} {:?}", placed.partition, placed.offset);
        Ok(())
    }

    struct Handler;

    // highwater
    impl GroupHandler for Handler {
        type Error = highwater::Error;

        async fn consume_claim(
            &self,
            session: &Session,
            mut claim: Claim,
        ) -> Result<(), Self::Error> {
            while let Some(record) = claim.next().await? {
                handle(record.value()).await;
                session.mark(&record);
            }
            Ok(())
        }
    }

    async fn run(client: Client) -> highwater::Result<()> {
        client
            .group("billing")
            .topics(["orders"])
            .run(Handler)
            .await?;
        Ok(())
    }
}

async fn handle(_value: Option<&[u8]>) {}

/// Lines that say something, without their indentation.
fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).collect()
}

/// The blocks of code in a page: what stands behind the fence, and the code.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            is_open = !is_open;
            if is_open {
                blocks.push((kind, String::new()));
            }
        } else if is_open && let Some((_, code)) = blocks.last_mut() {
            code.push_str(line);
            code.push('\n');
        }
    }
    blocks
}

#[test]
fn every_block_of_rust_in_the_pages_is_compiled_here() {
    let here = lines(include_str!("pages.rs"));
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sdk");
    let mut compared = 0;
    for page in std::fs::read_dir(pages).unwrap() {
        let path = page.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        for (kind, code) in blocks(&page)
            .iter()
            .filter(|(kind, _)| kind.starts_with("rust"))
        {
            let wanted = lines(code);
            if *kind == "rust,ignore" {
                // Another client's code, which is not ours to compile.
                assert_eq!(wanted[0], "// rdkafka", "{}:\n{code}", path.display());
                continue;
            }
            let is_here = here.windows(wanted.len()).any(|lines| lines == wanted);
            assert!(
                is_here,
                "{}, not in tests/pages.rs:\n{code}",
                path.display()
            );
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared} compared");
}
