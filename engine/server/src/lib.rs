//! The process as a value: settings in, a running engine out. Programs, tests and the command line embed it; what an API
//! means is the broker's business.
//!
//! ```no_run
//! use highwater_engine::{Engine, Settings};
//!
//! let engine = Engine::start(Settings::embedded("/var/lib/highwater"))?;
//! println!("bootstrap.servers={}", engine.local_addr());
//! engine.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod engine;
mod error;
mod life;
pub mod settings;
mod strays;

pub use engine::{Engine, Stopper};
pub use error::{StartError, StopError};
pub use highwater_broker::Stats;
pub use settings::Settings;
