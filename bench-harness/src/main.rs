//! `highwater-bench`: drives a broker that speaks the Kafka protocol and checks what it acknowledged. Knows the engine only
//! to start the embedded default.
#![forbid(unsafe_code)]
// A load generator is a shell around clocks, and its figures are floating point.
#![allow(
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]

mod arguments;
mod churn;
mod crash;
mod embedded;
mod engine;
mod identity;
mod idle;
mod latency;
mod ledger;
mod load;
mod null;
mod payload;
mod probe;
mod process;
mod progress;
mod report;
mod run;
mod sdk;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use crate::arguments::{Arguments, Command};
use crate::run::Result;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Engine(flags)) => engine::serve(flags).map(|()| true),
        Some(Command::Crash(flags)) => load(async {
            let outcome = crash::crash(flags).await?;
            write_json(flags.json.as_deref(), &outcome)?;
            println!(
                "{} kills in {:.0} s, {} of them with something new acknowledged since the one before; acks=all, {}; slowest restart {} ms",
                outcome.kills,
                outcome.seconds,
                outcome.kills_under_load,
                outcome.durability,
                outcome.restart_ms_max
            );
            print!(
                "beside the load: {}read anew:       {}",
                outcome.live, outcome.verdict
            );
            Ok(outcome.is_clean())
        }),
        Some(Command::Churn(flags)) => load(async {
            let outcome = churn::churn(flags).await?;
            write_json(flags.json.as_deref(), &outcome)?;
            print!("{outcome}");
            Ok(outcome.is_clean())
        }),
        Some(Command::Idle(flags)) => load(async {
            let outcome = idle::idle(flags).await?;
            write_json(flags.json.as_deref(), &outcome)?;
            print!("{outcome}");
            Ok(true)
        }),
        Some(Command::Sdk(flags)) => sdk::sdk(flags).and_then(|outcome| {
            write_json(flags.json.as_deref(), &outcome)?;
            print!("{outcome}");
            Ok(outcome.is_clean())
        }),
        Some(Command::Null(flags)) => sdk::serve(flags).map(|()| true),
        None => load(async {
            let report = run::run(&arguments.run).await?;
            write_json(arguments.run.json.as_deref(), &report)?;
            print!("{report}");
            Ok(report.verdict.is_clean())
        }),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("highwater-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one side of the load on tokio; an interrupt drops it, and with it the engine and the temporary directory.
fn load(job: impl Future<Output = Result<bool>>) -> Result<bool> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            tokio::select! {
                done = job => done,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    Err("interrupted".into())
                }
            }
        })
}

fn write_json(path: Option<&Path>, result: &impl Serialize) -> Result<()> {
    if let Some(path) = path {
        let text = serde_json::to_string_pretty(result)?;
        std::fs::write(path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
