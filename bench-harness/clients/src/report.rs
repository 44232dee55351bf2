//! The result as a table for people and as JSON for machines. Knows nothing of how it was measured.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::Result;
use crate::arguments::{Client, Run, Settings, Side};
use crate::run::Sample;

/// All that is to be said of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The version of this layout.
    format: u32,
    environment: Environment,
    results: Vec<Row>,
    verdicts: Vec<Verdict>,
}

/// Where and how it ran.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    command: String,
    kernel: String,
    cpu: String,
    cores: usize,
    versions: BTreeMap<&'static str, String>,
    settings: Settings,
}

/// One client on one side, over all rounds.
#[derive(Debug, Serialize)]
struct Row {
    side: Side,
    client: Client,
    /// Of the rounds' nanoseconds of CPU per record.
    cpu_ns_median: f64,
    cpu_ns_min: f64,
    cpu_ns_max: f64,
    /// Of the rounds' records per second.
    records_per_s_median: f64,
    samples: Vec<Sample>,
}

/// The best of ours against the best of the others.
#[derive(Debug, Serialize)]
struct Verdict {
    side: Side,
    ours: Client,
    best_other: Client,
    /// How many times as much CPU the best of the others takes.
    ratio: f64,
    /// The same, of the round in which it was smallest and largest.
    ratio_min: f64,
    ratio_max: f64,
}

impl Environment {
    pub(crate) fn here(flags: &Run) -> Result<Self> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let cpu = cpu.map_or("unknown", |it| it.trim_start_matches([' ', '\t', ':']));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        Ok(Self {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            kernel: kernel.trim().to_owned(),
            cpu: cpu.to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            versions: BTreeMap::from([
                ("librdkafka", librdkafka),
                ("rdkafka", locked("rdkafka")),
                ("krafka", locked("krafka")),
                ("confluent-kafka", locked("confluent-kafka")),
                ("highwater", locked("highwater")),
            ]),
            settings: flags.settings.clone(),
        })
    }
}

/// The version of a crate that this program was built with.
fn locked(name: &str) -> String {
    let wanted = format!("name = \"{name}\"");
    let mut lines = include_str!("../Cargo.lock").lines();
    let version = lines
        .find(|line| *line == wanted)
        .and_then(|_| lines.next())
        .and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}

impl Report {
    pub(crate) fn new(
        environment: Environment,
        samples: BTreeMap<(Side, Client), Vec<Sample>>,
    ) -> Self {
        let results: Vec<Row> = samples
            .into_iter()
            .map(|((side, client), samples)| Row::new(side, client, samples))
            .collect();
        let verdicts = [Side::Produce, Side::Consume]
            .into_iter()
            .filter_map(|side| Verdict::of(side, &results))
            .collect();
        Self {
            format: 1,
            environment,
            results,
            verdicts,
        }
    }
}

impl Sample {
    fn cpu_ns(&self) -> f64 {
        self.cpu_ns as f64 / self.records as f64
    }
}

impl Row {
    fn new(side: Side, client: Client, samples: Vec<Sample>) -> Self {
        let cpu = sorted(samples.iter().map(Sample::cpu_ns));
        let rate = |it: &Sample| it.records as f64 / (it.wall_ns as f64 / 1e9);
        Self {
            side,
            client,
            cpu_ns_median: median(&cpu),
            cpu_ns_min: cpu.first().copied().unwrap_or(f64::NAN),
            cpu_ns_max: cpu.last().copied().unwrap_or(f64::NAN),
            records_per_s_median: median(&sorted(samples.iter().map(rate))),
            samples,
        }
    }
}

impl Verdict {
    fn of(side: Side, rows: &[Row]) -> Option<Self> {
        let best = |ours: bool| {
            let rows = rows.iter().filter(|it| it.side == side);
            let rows = rows.filter(|it| it.client.is_ours() == ours);
            rows.min_by(|a, b| a.cpu_ns_median.total_cmp(&b.cpu_ns_median))
        };
        let (ours, other) = (best(true)?, best(false)?);
        let rounds = ours.samples.iter().zip(&other.samples);
        let ratios = sorted(rounds.map(|(ours, other)| other.cpu_ns() / ours.cpu_ns()));
        Some(Self {
            side,
            ours: ours.client,
            best_other: other.client,
            ratio: other.cpu_ns_median / ours.cpu_ns_median,
            ratio_min: *ratios.first()?,
            ratio_max: *ratios.last()?,
        })
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(upper), 0) => (sorted[middle - 1] + upper) / 2.0,
        (Some(value), _) => *value,
        (None, _) => f64::NAN,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Environment { settings, .. } = &self.environment;
        writeln!(
            f,
            "{} · {} · {} records of {} B, keys of {} B · {} partitions · batches of {} KiB · linger {} ms · codec {} · acks=all, \
             idempotence {}",
            self.environment.cpu,
            self.environment.kernel,
            settings.records,
            settings.record_bytes,
            settings.key_bytes,
            settings.partitions,
            settings.batch_bytes / 1024,
            settings.linger_ms,
            settings.codec,
            if settings.idempotence { "on" } else { "off" },
        )?;
        for side in [Side::Produce, Side::Consume] {
            let rows: Vec<&Row> = self.results.iter().filter(|it| it.side == side).collect();
            let Some(ours) = rows
                .iter()
                .find(|it| it.client == Client::Highwater)
                .or(rows.first())
            else {
                continue;
            };
            writeln!(
                f,
                "\n{side:<18}{:>12}{:>18}{:>16}{:>10}",
                "CPU ns/record", "min .. max", "records/s", "times"
            )?;
            for row in &rows {
                let range = format!("{:.0} .. {:.0}", row.cpu_ns_min, row.cpu_ns_max);
                writeln!(
                    f,
                    "  {:<16}{:>13.1}{range:>18}{:>16.0}{:>10.1}",
                    row.client,
                    row.cpu_ns_median,
                    row.records_per_s_median,
                    row.cpu_ns_median / ours.cpu_ns_median
                )?;
            }
        }
        for it in &self.verdicts {
            writeln!(
                f,
                "\n{}: {} takes {:.1} times the CPU of {} ({:.1} .. {:.1} by round)",
                it.side, it.best_other, it.ratio, it.ours, it.ratio_min, it.ratio_max
            )?;
        }
        Ok(())
    }
}
