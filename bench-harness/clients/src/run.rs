//! The order of measurements, each in a process of its own, and the check that what was produced arrived.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum;
use highwater::TopicPartition;
use highwater::admin::OffsetSpec;
use highwater_record::{Codec, Compression};
use serde::{Deserialize, Serialize};

use crate::arguments::{Client, Null, One, Run, Settings, Side};
use crate::null::{self, NullBroker, SINK, Shape};
use crate::report::{Environment, Report};
use crate::{Result, consume, cpu, produce};

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Records that were counted.
    pub(crate) records: u64,
    /// CPU of the process for them, user and system.
    pub(crate) cpu_ns: u64,
    /// How long they took.
    pub(crate) wall_ns: u64,
}

impl Sample {
    pub(crate) fn new(records: u64, cpu: Duration, wall: Duration) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            records,
            cpu_ns: nanoseconds(cpu),
            wall_ns: nanoseconds(wall),
        }
    }
}

/// The hidden command `null`.
pub(crate) fn serve(flags: &Null) -> Result<()> {
    cpu::pin(flags.core)?;
    let codec = flags.settings.codec.to_string().parse::<Codec>()?;
    null::serve(&Shape {
        partitions: flags.settings.partitions,
        record_bytes: flags.settings.record_bytes,
        batch_bytes: flags.settings.batch_bytes,
        compression: Compression::of(codec),
    })?;
    Ok(())
}

/// The hidden command `one`: measures, and says the sample as a line of JSON.
pub(crate) fn one(flags: &One) -> Result<()> {
    cpu::pin(flags.core)?;
    let measured = runtime()?.block_on(async {
        match flags.side {
            Side::Produce => produce::measure(flags.client, flags.bootstrap, &flags.settings).await,
            Side::Consume => consume::measure(flags.client, flags.bootstrap, &flags.settings).await,
        }
    });
    println!("{}", serde_json::to_string(&measured?)?);
    // Clients that wait for somebody when they are dropped are not waited for.
    std::process::exit(0);
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// All clients, round by round, and the report.
pub(crate) fn all(flags: &Run) -> Result<()> {
    let broker = NullBroker::start({
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("null")
            .arg(format!("--core={}", flags.broker_core));
        command.args(flags.settings.flags());
        command
    })?;
    let mut wanted = Vec::new();
    for side in [Side::Produce, Side::Consume] {
        for client in Client::value_variants() {
            let is_wanted = (flags.sides.is_empty() || flags.sides.contains(&side))
                && (flags.clients.is_empty() || flags.clients.contains(client));
            if is_wanted {
                wanted.push((side, *client));
            }
        }
    }
    let mut samples: BTreeMap<(Side, Client), Vec<Sample>> = BTreeMap::new();
    for round in 0..flags.rounds {
        // There and back: what drifts over the run, drifts for all.
        for (side, client) in wanted.iter().copied() {
            let sample = measure(flags, broker.address(), side, client)?;
            eprintln!(
                "round {} of {}: {side} {client}: {:.1} ns",
                round + 1,
                flags.rounds,
                sample.cpu_ns as f64 / sample.records as f64
            );
            samples.entry((side, client)).or_default().push(sample);
        }
        wanted.reverse();
    }
    let report = Report::new(Environment::here(flags)?, samples);
    if let Some(path) = &flags.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    print!("{report}");
    Ok(())
}

fn measure(flags: &Run, address: SocketAddr, side: Side, client: Client) -> Result<Sample> {
    let before = acknowledged(address, &flags.settings)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("one")
        .arg(format!("--client={client}"))
        .arg(format!("--side={side}"))
        .arg(format!("--core={}", flags.client_core))
        .arg(format!("--bootstrap={address}"))
        .args(flags.settings.flags())
        .stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{side} with {client} failed ({})", output.status).into());
    }
    let sample = serde_json::from_slice(&output.stdout)?;
    let arrived = acknowledged(address, &flags.settings)? - before;
    let expected = match side {
        Side::Produce => i64::try_from(flags.settings.warm_up + flags.settings.records)?,
        Side::Consume => 0,
    };
    if arrived != expected {
        return Err(format!("{client}: {arrived} records arrived, expected {expected}").into());
    }
    Ok(sample)
}

/// What the broker has acknowledged so far.
fn acknowledged(address: SocketAddr, settings: &Settings) -> Result<i64> {
    runtime()?.block_on(async {
        let client = highwater::Client::builder(address.to_string())
            .connect()
            .await?;
        let asked = (0..settings.partitions)
            .map(|partition| (TopicPartition::new(SINK, partition), OffsetSpec::Latest));
        let mut sum = 0;
        for end in client.admin().list_offsets(asked).await?.into_values() {
            sum += end?.offset.unwrap_or(0);
        }
        Ok(sum)
    })
}
