//! The whole broker in a simulated machine: several shards, one clock, a disk that forgets, sockets in memory. Peers speak
//! the wire, so that what is shown here is what clients see.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod compaction;
mod connections;
mod faults;
mod fetch;
mod groups;
mod harness;
mod living_groups;
mod lookups;
mod produce;
mod settings;
