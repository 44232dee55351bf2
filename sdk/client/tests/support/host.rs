//! The cluster of one test: our own engine in this process, or the one that `HIGHWATER_BOOTSTRAP=host:port` names.
#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};

use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings};
use tempfile::TempDir;

/// Goes with the test, and our engine with it.
pub(crate) struct Host {
    bootstrap: String,
    engine: Option<(Engine, TempDir)>,
}

impl Host {
    /// `settings` are those of our engine, which does not wait for more members of a group.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        if let Ok(bootstrap) = std::env::var("HIGHWATER_BOOTSTRAP") {
            let engine = None;
            return Self { bootstrap, engine };
        }
        let dir = TempDir::new().unwrap();
        let mut properties = Properties::embedded(dir.path());
        properties.set("group.initial.rebalance.delay.ms", "0");
        for (key, value) in settings {
            properties.set(key, value);
        }
        let engine = Engine::start(Settings::parse(&properties).unwrap()).unwrap();
        Self {
            bootstrap: engine.local_addr().to_string(),
            engine: Some((engine, dir)),
        }
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Whether it is our engine.
    pub(crate) fn is_own(&self) -> bool {
        self.engine.is_some()
    }

    /// Stops our engine; `false` where it is another's.
    pub(crate) fn stop(&mut self) -> bool {
        let Some((engine, _dir)) = self.engine.take() else {
            return false;
        };
        engine.shutdown().unwrap();
        true
    }
}

/// A name that no other test uses, and no other run against the same cluster.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{count}", std::process::id())
}
