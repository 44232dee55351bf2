//! The result of a run as a table for people and as JSON for machines. Knows nothing of how it was measured.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::latency::Percentiles;
use crate::ledger::Verdict;
use crate::probe::Limits;

/// All that is to be said of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The version of this layout.
    pub(crate) format: u32,
    pub(crate) environment: Environment,
    /// Producing at full speed, or at the rate that was asked for; consumers beside it unless `apart`.
    pub(crate) stages: Vec<Stage>,
    pub(crate) limits: Limits,
    pub(crate) verdict: Verdict,
}

/// Where and how it ran.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    pub(crate) version: &'static str,
    pub(crate) command: String,
    pub(crate) target: String,
    pub(crate) durability: &'static str,
    pub(crate) codec: String,
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) seed: u64,
    pub(crate) payload_crc32c: u32,
    pub(crate) record_bytes_mean: f64,
    pub(crate) partitions: u32,
    pub(crate) producers: u32,
    pub(crate) batch_bytes: u32,
}

/// One stage of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// Records per second that were asked for; none at full speed.
    pub(crate) rate: Option<u64>,
    pub(crate) seconds: f64,
    /// Acknowledged in this stage.
    pub(crate) produced_records: u64,
    /// Of record values, uncompressed.
    pub(crate) produced_bytes: u64,
    pub(crate) consumed_records: u64,
    pub(crate) consumed_bytes: u64,
    /// From the moment a record was meant to be sent to its acknowledgement.
    pub(crate) publish: Option<Percentiles>,
    /// From that moment until a consumer had it.
    pub(crate) end_to_end: Option<Percentiles>,
    /// None when the broker's process is not known.
    pub(crate) engine: Option<Cost>,
    /// The load: making, sending, receiving and checking records.
    pub(crate) client: Cost,
}

/// What one side of the wire used in a stage.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    pub(crate) cpu_s: f64,
    /// Per GB (10^9 bytes of record values) that passed: produced plus consumed.
    pub(crate) cpu_s_per_gb: f64,
    pub(crate) cpu_s_per_million_records: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) resident_bytes_peak: u64,
    pub(crate) context_switches: u64,
}

impl Stage {
    fn megabytes(bytes: u64) -> f64 {
        bytes as f64 / 1e6
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let environment = &self.environment;
        writeln!(
            f,
            "{} · {} · acks=all, {} · codec {} · {:.0} B records · {} partitions · {} KiB batches",
            environment.target,
            environment.kernel,
            environment.durability,
            environment.codec,
            environment.record_bytes_mean,
            environment.partitions,
            environment.batch_bytes / 1024,
        )?;
        for stage in &self.stages {
            write!(f, "\n{stage}")?;
        }
        writeln!(f, "\nlimits of this machine, in this run")?;
        let limits = [
            (
                "write 1 MiB + fdatasync",
                self.limits.flushed_write_bytes_per_s,
            ),
            ("loopback stream", self.limits.loopback_bytes_per_s),
            ("CRC-32C", self.limits.crc32c_bytes_per_s),
            ("memory copy", self.limits.memory_copy_bytes_per_s),
        ];
        for (name, bytes_per_s) in limits {
            write!(f, "  {name:<24}{:>10.0} MB/s", bytes_per_s / 1e6)?;
            match self.share_of(name, bytes_per_s) {
                Some(share) => writeln!(f, "   the run reached {share:.0} % of it")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "\n{}", self.verdict)
    }
}

impl Report {
    /// What share, in percent, the full-speed stage reached of the two limits that bound it.
    fn share_of(&self, name: &str, bytes_per_s: f64) -> Option<f64> {
        let stage = self.stages.first()?;
        let bytes = match name {
            "write 1 MiB + fdatasync" if self.environment.durability == "flushed" => {
                stage.produced_bytes
            }
            "loopback stream" => stage.produced_bytes + stage.consumed_bytes,
            _ => return None,
        };
        Some(bytes as f64 / stage.seconds / bytes_per_s * 100.0)
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.rate {
            Some(rate) => writeln!(f, "{} ({rate} records/s asked for)", self.name)?,
            None => writeln!(f, "{}", self.name)?,
        }
        for (verb, records, bytes) in [
            ("produced", self.produced_records, self.produced_bytes),
            ("consumed", self.consumed_records, self.consumed_bytes),
        ] {
            if records > 0 {
                writeln!(
                    f,
                    "  {verb:<12}{:>9.1} MB/s {:>11.0} records/s   {:>9.1} MB, {} records in {:.1} s",
                    Self::megabytes(bytes) / self.seconds,
                    records as f64 / self.seconds,
                    Self::megabytes(bytes),
                    records,
                    self.seconds,
                )?;
            }
        }
        for (name, latency) in [("publish", &self.publish), ("end to end", &self.end_to_end)] {
            if let Some(latency) = latency {
                writeln!(
                    f,
                    "  {name:<12}p50 {} · p90 {} · p99 {} · p99.9 {} · max {}",
                    milliseconds(latency.p50_us),
                    milliseconds(latency.p90_us),
                    milliseconds(latency.p99_us),
                    milliseconds(latency.p99_9_us),
                    milliseconds(latency.max_us),
                )?;
            }
        }
        let sides = [
            ("engine", self.engine.as_ref()),
            ("client", Some(&self.client)),
        ];
        for (name, cost) in sides {
            match cost {
                Some(cost) => writeln!(
                    f,
                    "  {name:<12}{:.3} CPU-s/GB · {:.2} CPU-s per million records · {:.0} MB resident (peak {:.0})",
                    cost.cpu_s_per_gb,
                    cost.cpu_s_per_million_records,
                    cost.resident_bytes as f64 / 1e6,
                    cost.resident_bytes_peak as f64 / 1e6,
                )?,
                None => writeln!(f, "  {name:<12}not measured: give --broker-pid")?,
            }
        }
        Ok(())
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "checked: {} acknowledged, {} received; {} lost, {} duplicated, {} reordered, {} corrupt; {} failed to be sent",
            self.acknowledged,
            self.received,
            self.lost,
            self.duplicated,
            self.reordered,
            self.corrupt,
            self.failed,
        )?;
        let verdict = if self.is_clean() {
            "every promise was kept"
        } else {
            "A PROMISE WAS BROKEN"
        };
        writeln!(f, "{verdict}")
    }
}

fn milliseconds(us: u64) -> String {
    format!("{:.2} ms", us as f64 / 1000.0)
}

/// The kernel and the CPU, as they name themselves.
pub(crate) fn machine() -> (String, String) {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    (
        format!("Linux {}", kernel.trim()),
        cpu.unwrap_or("unknown").to_owned(),
    )
}
