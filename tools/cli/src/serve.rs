//! `highwater serve`: the broker in the foreground. Knows settings, signals and the line that says where it listens.

use std::io::{IsTerminal, Write};

use highwater_engine::settings::{Address, Properties};
use highwater_engine::{Engine, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::Result;
use crate::arguments::Serve;

/// Serves until a signal or until the engine ends by itself, which is an error.
pub(crate) fn serve(flags: &Serve) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let engine = Engine::start(settings(flags)?)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "highwater ready at {}", engine.local_addr())?;
    stdout.flush()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopped = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminated.recv() => std::io::Result::Ok("SIGTERM"),
            _ = interrupted.recv() => Ok("SIGINT"),
        }
    })?;
    tracing::info!("{stopped}: stopping");
    engine.shutdown()?;
    Ok(())
}

/// The file, then the flags of their own, then `--set`.
fn settings(flags: &Serve) -> Result<Settings> {
    let mut properties = match &flags.config {
        Some(path) => Properties::read(path)?,
        None => Properties::new(),
    };
    if let Some(directory) = &flags.data_dir {
        properties.set_data_dir(directory);
    }
    if let Some(listen) = &flags.listen {
        properties.set_listener(&Address::parse(listen)?);
    }
    if let Some(shards) = flags.shards {
        properties.set("highwater.shards", &shards.to_string());
    }
    for pair in &flags.set {
        properties.set_pair(pair)?;
    }
    Ok(Settings::parse(&properties)?)
}
