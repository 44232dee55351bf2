//! The data directory: who holds it, whose it is, how it was left, and which partitions lie in it.

use std::path::{Path, PathBuf};

use highwater_reactor::Reactor;
use uuid::Uuid;

use crate::checkpoint::OffsetCheckpoint;
use crate::error::Fence;

/// Whose a data directory is: the content of `meta.properties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `cluster.id`: 22 characters, or any text a cluster was formatted with.
    pub cluster_id: String,
    /// `node.id`, at least 0.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: Uuid,
}

/// Why a data directory cannot be opened; each a sentence with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("data directory {} is in use by {holder}; stop that process or choose another directory", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// `process 4711`, or that it is not known.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("cannot {operation} {}: {source}; check that the directory exists, has room and is writable by this user", path.display())]
    Unusable {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `meta.properties` cannot be understood.
    #[error("{} {fact}; restore the file or choose an empty directory", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fact: String,
    },
    /// The directory belongs to another node or cluster.
    #[error("{} says {key}={found}, expected {expected}; choose this node's own directory", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// Its value.
        found: String,
        /// The value asked for.
        expected: String,
    },
}

/// A partition's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDir {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where it is.
    pub path: PathBuf,
    /// What `partition.metadata` says; `None` when it is missing or damaged.
    pub topic_id: Option<Uuid>,
}

/// A data directory that this process holds until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Takes the directory, making it when it is missing: locks it, reads or writes `meta.properties`, takes note of the
    /// clean-shutdown marker and removes it, and finishes deletions that were under way.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for the operator.
    pub async fn open(
        reactor: &Reactor,
        path: &Path,
        node_id: i32,
        cluster_id: Option<&str>,
    ) -> Result<DataDir, OpenError> {
        let _ = (reactor, path, node_id, cluster_id);
        todo!()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        todo!()
    }

    /// Whether it was made now: it had no `meta.properties`.
    #[must_use]
    pub fn is_new(&self) -> bool {
        todo!()
    }

    /// Whether the last run closed everything; the marker is gone since [`DataDir::open`].
    #[must_use]
    pub fn was_clean(&self) -> bool {
        todo!()
    }

    /// The fence of the directory, to be handed to every log in it.
    #[must_use]
    pub fn fence(&self) -> Fence {
        todo!()
    }

    /// The directory of one partition.
    #[must_use]
    pub fn partition_path(&self, topic: &str, partition: i32) -> PathBuf {
        self.path.join(crate::names::directory(topic, partition))
    }

    /// The partitions that lie in it, by topic and number. What is no partition's directory is left alone.
    ///
    /// # Errors
    /// [`OpenError::Unusable`].
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, OpenError> {
        todo!()
    }

    /// Reads a checkpoint; `name` is one of [`crate::checkpoint::file`]. A missing one is empty. A damaged one is empty
    /// too, with a warning: recovery then begins at the beginning.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] when it is there and cannot be read.
    pub fn read_checkpoint(&self, name: &str) -> Result<OffsetCheckpoint, OpenError> {
        let _ = name;
        todo!()
    }

    /// Replaces a checkpoint: after a crash it is the old one or the new one.
    ///
    /// # Errors
    /// [`crate::Error::Full`] or [`crate::Error::Failed`], which fences.
    pub async fn write_checkpoint(
        &self,
        name: &str,
        checkpoint: &OffsetCheckpoint,
    ) -> Result<(), crate::Error> {
        let _ = (name, checkpoint);
        todo!()
    }

    /// Writes the clean-shutdown marker, the last thing a run does. Refused when the directory is fenced.
    ///
    /// # Errors
    /// As [`DataDir::write_checkpoint`], and [`crate::Error::Fenced`].
    pub async fn write_clean_shutdown(&self, broker_epoch: i64) -> Result<(), crate::Error> {
        let _ = broker_epoch;
        todo!()
    }

    /// Removes what [`crate::Log::delete`] renamed away.
    ///
    /// # Errors
    /// [`crate::Error::Failed`], which fences, or [`crate::Error::Full`].
    pub fn remove_deleted(&self, path: &Path) -> Result<(), crate::Error> {
        let _ = path;
        todo!()
    }
}
