//! Kafka clients side by side: how much CPU a record costs the process that produces or consumes it.
//!
//! Every measurement is a process of its own on one core, against a broker on another core that does nothing but answer. What a
//! client needs to start is not counted: it is warm when the clock starts. Knows no client but through `produce` and `consume`.
#![forbid(unsafe_code)]

mod arguments;
mod consume;
mod cpu;
#[path = "../../src/null.rs"]
mod null;
mod produce;
mod report;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Null(flags)) => run::serve(flags),
        Some(Command::One(flags)) => run::one(flags),
        None => run::all(&arguments.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("highwater-bench-clients: {error}");
            ExitCode::FAILURE
        }
    }
}
