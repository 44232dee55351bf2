//! Why an engine does not start, or did not end well: each one sentence with what to do about it.

use std::io;
use std::net::SocketAddr;

use highwater_broker::metadata;
use highwater_log::data_dir::OpenError;
use highwater_reactor::Panicked;

/// Why an engine does not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener's host has no address.
    #[error("the host of listener {host} has no address ({source}): check `listeners`")]
    Host {
        /// As it was set.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process listens there.
    #[error("port {} of {} is taken by another process: stop it, or set `listeners` (or --listen) to another port", address.port(), address.ip())]
    PortTaken {
        /// The address.
        address: SocketAddr,
    },
    /// It cannot be listened there.
    #[error("cannot listen on {address}: {source}; check `listeners` and what this user may bind")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] OpenError),
    /// The metadata log.
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
    /// A partition's directory that belongs to no topic cannot be moved aside.
    #[error("cannot move {path} aside: {source}")]
    Stray {
        /// The directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The shards.
    #[error(transparent)]
    Shards(#[from] highwater_reactor::StartError),
    /// A shard ended.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// Why an engine did not end well. What was acknowledged is on the device all the same, as far as its durability promised.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Something could not be closed: the next start looks at the logs.
    #[error(
        "the data directory could not be closed in order ({0}): the next start will recover it"
    )]
    Unclean(String),
    /// A shard ended.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}
