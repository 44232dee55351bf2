//! Every call of an administrator, one by one: dropped wherever it may be dropped, with nobody to answer it, and with somebody who answers only in part.
#![allow(clippy::unwrap_used)]

mod calls;
mod cancel;
mod deadlines;
#[path = "../support/drop_after.rs"]
mod drop_after;
mod partial;
