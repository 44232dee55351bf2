//! The command `highwater`: a broker, and what one does with it from a terminal. Knows how to ask, not how anything works:
//! the engine, the SDK and the formats are crates of their own.
#![forbid(unsafe_code)]

mod arguments;
mod connect;
mod consume;
mod format;
mod group;
mod log;
mod output;
mod produce;
mod serve;
mod table;
mod topic;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::arguments::{Arguments, Command};

/// Any error, as a sentence for the user.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Serve(flags) => serve::serve(&flags),
        Command::Topic(command) => client(topic::topic(command)),
        Command::Produce(flags) => client(produce::produce(flags)),
        // A member of a group leaves it when it is interrupted.
        Command::Consume(flags) if flags.group.is_some() => runtime(consume::consume(flags)),
        Command::Consume(flags) => client(consume::consume(flags)),
        Command::Group(command) => client(group::group(command)),
        Command::Log(command) => log::log(&command),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "highwater", &mut std::io::stdout());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads our output has closed it, as `head` does: nothing went wrong.
        Err(error) if output::is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("highwater: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what talks to a broker; an interrupt ends it.
fn client(job: impl Future<Output = Result<()>>) -> Result<()> {
    runtime(async {
        tokio::select! {
            done = job => done,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                std::process::exit(130);
            }
        }
    })
}

fn runtime(job: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(job)
}
