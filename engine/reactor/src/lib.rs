//! The seam between the engine and the machine: executors, files, sockets, timers, mailboxes; glommio and a seeded simulation.
#![allow(unsafe_code)]
