//! The hidden command `engine`: the embedded engine, alone in its process. Says one line when it is ready.

use std::io::Write;

use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings};

use crate::arguments;
use crate::embedded::READY;
use crate::run::Result;

/// Serves until the process is killed.
pub(crate) fn serve(flags: &arguments::Engine) -> Result<()> {
    let mut properties = Properties::embedded(&flags.data_dir);
    properties.set("listeners", &format!("PLAINTEXT://{}", flags.listen));
    if let Some(shards) = flags.shards {
        properties.set("highwater.shards", &shards.to_string());
    }
    for pair in &flags.set {
        properties.set_pair(pair)?;
    }
    let settings = Settings::parse(&properties)?;
    let engine = Engine::start(settings)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{READY}{}", engine.local_addr())?;
    stdout.flush()?;
    engine.wait()?;
    Ok(())
}
