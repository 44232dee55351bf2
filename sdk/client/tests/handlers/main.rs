//! Handlers against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

mod claims;
mod failures;
mod for_each;
#[path = "../support/host.rs"]
mod host;
mod log;
mod numbers;
mod peer;
mod retries;
mod run;

use std::time::Duration;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
