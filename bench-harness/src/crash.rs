//! The proof by murder: the engine is killed with SIGKILL again and again under load and started anew on the same
//! directory, while an idempotent producer and a consumer go on; at the end every record that was ever acknowledged must
//! be there, once and in order. Knows nothing of the engine but its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use highwater::Start;
use serde::Serialize;

use crate::arguments::Crash;
use crate::embedded::{Embedded, Launch};
use crate::ledger::Verdict;
use crate::load::{self, Load, Pace, Shared};
use crate::payload::{Payload, Seeded};
use crate::run::{Result, create_topic, drain, temporary};

/// How long the producer may try to get a record acknowledged: many restarts long.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// An engine lives at least this long after it is ready, and up to eight times as long.
const LIFE_MS_MIN: u64 = 40;

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) kills: u32,
    pub(crate) durability: &'static str,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// The slowest start, from the start of the process to the line that says it is ready.
    pub(crate) restart_ms_max: u64,
    /// Kills after which something new had been acknowledged: the others came too early to prove anything.
    pub(crate) kills_under_load: u32,
    /// As the consumer beside the load saw it.
    pub(crate) live: Verdict,
    /// As it stands in the log at the end, read anew from the beginning.
    pub(crate) verdict: Verdict,
}

impl Outcome {
    /// Whether every promise was kept, to both readers.
    pub(crate) fn is_clean(&self) -> bool {
        self.live.is_clean() && self.verdict.is_clean()
    }
}

/// Kills and checks as `arguments` says.
pub(crate) async fn crash(arguments: &Crash) -> Result<Outcome> {
    let directory = temporary(arguments.directory.as_deref())?;
    let mut launch = Launch {
        directory: directory.path(),
        listen: ([127, 0, 0, 1], 0).into(),
        // Requests cross from one to the other, whatever the machine.
        shards: Some(2),
        durability: arguments.durability,
    };
    let mut engine = Embedded::start(&launch)?;
    // Clients find it again only at the same port.
    launch.listen = engine.address();
    let bootstrap = engine.address().to_string();
    let client = load::client(&bootstrap).await?;
    let topic = "crash";
    create_topic(&client, topic, arguments.partitions, arguments.durability).await?;
    let payload = Payload::generated(arguments.seed, arguments.record_bytes as usize);
    let shared = Arc::new(Shared::new(
        topic.to_owned(),
        arguments.partitions,
        1,
        payload,
        16,
    ));
    let producer = client
        .producer()
        .delivery_timeout(DELIVERY_TIMEOUT)
        .build()
        .await?;
    let load = Load::new(0, shared.clone(), producer).await?;
    let mut consumer = load::client(&bootstrap)
        .await?
        .consumer()
        .assign_topic(topic, Start::Earliest)
        .build()
        .await?;

    let stop = Arc::new(AtomicBool::new(false));
    let pace = Pace::Scheduled {
        records_per_s: arguments.rate as f64,
    };
    let producing = tokio::spawn(load.run(pace, stop.clone()));
    let consuming = {
        let (shared, stop) = (shared.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                tokio::select! {
                    consumed = load::consume(&shared, &mut consumer) => consumed?,
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                }
            }
            highwater::Result::<highwater::Consumer>::Ok(consumer)
        })
    };

    let began = Instant::now();
    let mut seeded = Seeded::new(arguments.seed);
    let (mut restart_max, mut under_load) = (Duration::ZERO, 0);
    let mut acknowledged = 0;
    for kill in 1..=arguments.kills {
        let life = Duration::from_millis(LIFE_MS_MIN + seeded.below(LIFE_MS_MIN * 7));
        tokio::time::sleep(life).await;
        engine.kill()?;
        let now = shared.ledger().acknowledged_count();
        under_load += u32::from(now > acknowledged);
        acknowledged = now;
        let starting = Instant::now();
        engine = Embedded::start(&launch)?;
        restart_max = restart_max.max(starting.elapsed());
        if kill % 10 == 0 {
            let received = shared.ledger().received_count();
            eprintln!("{kill} kills: {acknowledged} records acknowledged, {received} received");
        }
    }
    // The load ends when the last engine has answered for everything.
    stop.store(true, Ordering::Relaxed);
    producing.await?;
    let mut consumer = consuming.await??;
    drain(&client, &shared, &mut consumer, |_| {}).await?;
    if let Some(failure) = shared.failure() {
        eprintln!("highwater-bench: the first record that could not be sent: {failure}");
    }
    let live = shared.ledger().verdict();
    // The consumer beside the load may have seen what a kill took away again: read all of it once more.
    shared.ledger().read_again();
    let mut again = client
        .consumer()
        .assign_topic(topic, Start::Earliest)
        .build()
        .await?;
    drain(&client, &shared, &mut again, |_| {}).await?;
    for (stream, sequence) in shared.ledger().lost_samples(5) {
        eprintln!("highwater-bench: lost: record {sequence} of partition {stream}");
    }
    let verdict = shared.ledger().verdict();
    Ok(Outcome {
        kills: arguments.kills,
        durability: arguments.durability.name(),
        seed: arguments.seed,
        seconds: began.elapsed().as_secs_f64(),
        restart_ms_max: u64::try_from(restart_max.as_millis())?,
        kills_under_load: under_load,
        live,
        verdict,
    })
}
