//! Idle partitions: what a consumer costs that has thousands of partitions assigned to which nothing comes, and that it
//! notices when something does. Reads its own process only; the engine's is another.

use std::fmt;
use std::time::{Duration, Instant};

use highwater::{Client, Record, Start};
use serde::Serialize;
use tokio::time::timeout;

use crate::arguments::{Durability, Idle};
use crate::embedded::{Embedded, Launch};
use crate::process::{self, Usage};
use crate::run::{Result, create_topic, temporary};

/// As many partitions as one topic of these may have.
const PARTITIONS_PER_TOPIC: u32 = 5_000;
/// How long a record may take at the end.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) partitions: u32,
    pub(crate) seconds: f64,
    /// Of the process before the consumer was built, connected.
    pub(crate) resident_bytes_before: u64,
    /// With everything assigned, at the end.
    pub(crate) resident_bytes: u64,
    /// CPU seconds of the process while nothing came.
    pub(crate) cpu_s: f64,
    /// Context switches meanwhile.
    pub(crate) switches: u64,
    /// How long a record took that was produced to the last partition then.
    pub(crate) arrival_ms: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grown = self
            .resident_bytes
            .saturating_sub(self.resident_bytes_before);
        writeln!(
            f,
            "{} partitions assigned, nothing comes for {:.0} s",
            self.partitions, self.seconds
        )?;
        writeln!(
            f,
            "memory   {:.1} MB resident, {:.1} MB more than before ({} B per partition)",
            self.resident_bytes as f64 / 1e6,
            grown as f64 / 1e6,
            grown / u64::from(self.partitions.max(1))
        )?;
        writeln!(
            f,
            "CPU      {:.4} s, {:.4} % of a core; {:.0} context switches per second",
            self.cpu_s,
            self.cpu_s / self.seconds * 100.0,
            self.switches as f64 / self.seconds
        )?;
        writeln!(
            f,
            "then a record in the last of them arrived after {:.1} ms",
            self.arrival_ms
        )
    }
}

/// Assigns, waits, and lets one record come.
pub(crate) async fn idle(flags: &Idle) -> Result<Outcome> {
    let directory = temporary(flags.directory.as_deref())?;
    let embedded = match &flags.bootstrap {
        Some(_) => None,
        None => Some(Embedded::start(&Launch {
            directory: directory.path(),
            listen: "127.0.0.1:0".parse()?,
            shards: None,
            durability: Durability::Written,
        })?),
    };
    let bootstrap = match (&flags.bootstrap, &embedded) {
        (Some(bootstrap), _) => bootstrap.clone(),
        (None, Some(embedded)) => embedded.address().to_string(),
        (None, None) => return Err("there is no broker".into()),
    };
    let client = Client::builder(&bootstrap).connect().await?;
    let mut topics = Vec::new();
    let mut left = flags.partitions;
    while left > 0 {
        let count = left.min(PARTITIONS_PER_TOPIC);
        let name = format!(
            "highwater-bench-idle-{}-{}",
            std::process::id(),
            topics.len()
        );
        create_topic(&client, &name, count, Durability::Written).await?;
        topics.push((name, i32::try_from(count)?));
        left -= count;
    }
    let own = || process::usage(std::process::id());
    let before = own()?;
    let mut builder = client.consumer();
    for (name, count) in &topics {
        for partition in 0..*count {
            builder = builder.assign(name, partition, Start::Earliest);
        }
    }
    let mut consumer = builder.build().await?;
    // Until all of them have been asked for once and lie in fetch sessions.
    let came = timeout(flags.warm_up, consumer.next()).await;
    if came.is_ok() {
        return Err("a record came to a topic that is new".into());
    }
    let (began, at_first): (Instant, Usage) = (Instant::now(), own()?);
    let cpu_at_first = process::cpu_time();
    if timeout(flags.duration, consumer.next()).await.is_ok() {
        return Err("a record came to a topic that is new".into());
    }
    let cpu_s = (process::cpu_time() - cpu_at_first).as_secs_f64();
    let (seconds, at_last) = (began.elapsed().as_secs_f64(), own()?);
    let producer = client.producer().linger(Duration::ZERO).build().await?;
    let (name, count) = topics.last().ok_or("there is no partition")?;
    let sent = Instant::now();
    let record = Record::to(name).partition(count - 1).value("at last");
    producer.send(record).await?;
    let Ok(arrived) = timeout(ARRIVAL_MAX, consumer.next()).await else {
        return Err("the record did not arrive".into());
    };
    arrived?.ok_or("the consumer has ended")?;
    let arrival_ms = sent.elapsed().as_secs_f64() * 1e3;
    if flags.bootstrap.is_some() {
        let names = topics.iter().map(|(name, _)| name.as_str());
        client.admin().delete_topics(names).await?;
    }
    Ok(Outcome {
        partitions: flags.partitions,
        seconds,
        resident_bytes_before: before.resident_bytes,
        resident_bytes: at_last.resident_bytes,
        cpu_s,
        switches: at_last.switches.saturating_sub(at_first.switches),
        arrival_ms,
    })
}
