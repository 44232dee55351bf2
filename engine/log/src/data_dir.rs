//! The data directory: who holds it, whose it is, how it was left, and which partitions lie in it.
//!
//! It does not open logs, and does not know what its checkpoints' offsets are used for.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use highwater_reactor::{File, OpenOptions, Reactor};
use uuid::Uuid;

use crate::checkpoint::OffsetCheckpoint;
use crate::error::{Error, Fence};
use crate::meta_properties::{self, MetaProperties};
use crate::names::{self, DirectoryName, Purpose};
use crate::small_file;
use crate::uuid_text;

pub use crate::meta_properties::Identity;

/// Kafka's lock file.
const LOCK: &str = ".lock";
/// Kafka's marker of a clean stop.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

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
    #[error(
        "cannot {operation} {}: {source}; check that the directory exists, has room and is writable by this user",
        path.display()
    )]
    Unusable {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `meta.properties` cannot be understood.
    #[error("{} {defect}; restore the file or choose an empty directory", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        defect: meta_properties::Defect,
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
///
/// It belongs to one shard; its [`Fence`] is shared by all.
#[derive(Debug)]
pub struct DataDir {
    reactor: Reactor,
    path: PathBuf,
    identity: Identity,
    fence: Fence,
    is_new: bool,
    was_clean: bool,
    /// What deletions left behind that were under way when the last run ended.
    leftovers: RefCell<Vec<PathBuf>>,
    /// Held for its lock.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it when it is missing: locks it, reads or writes `meta.properties`, takes note of the
    /// clean-shutdown marker and removes it for good.
    ///
    /// A new directory gets `cluster_id`, or a random one; one that exists must have it, if one is given.
    ///
    /// # Errors
    /// [`OpenError`], a sentence for the operator.
    pub async fn open(
        reactor: &Reactor,
        path: &Path,
        node_id: i32,
        cluster_id: Option<&str>,
    ) -> Result<DataDir, OpenError> {
        make(reactor, path).await?;
        let lock = lock(reactor, path)?;
        let (identity, is_new) = identify(reactor, path, node_id, cluster_id).await?;
        let marker = path.join(CLEAN_SHUTDOWN);
        let was_clean = match reactor.remove_file(&marker) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => return Err(unusable("remove", &marker, error)),
        };
        let leftovers = find_leftovers(reactor, path)?;
        // A marker that came back after a power cut would vouch for logs it has never seen.
        let synced = reactor.sync_dir(path).await;
        synced.map_err(|error| unusable("sync", path, error))?;
        Ok(DataDir {
            reactor: reactor.clone(),
            path: path.to_owned(),
            identity,
            fence: Fence::new(),
            is_new,
            was_clean,
            leftovers: RefCell::new(leftovers),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it was made now: it had no `meta.properties`.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether the last run closed everything; the marker is gone since [`DataDir::open`].
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// The fence of the directory, to be handed to every log in it.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// The directory of one partition.
    #[must_use]
    pub fn partition_path(&self, topic: &str, partition: i32) -> PathBuf {
        self.path.join(names::directory(topic, partition))
    }

    /// The partitions that lie in it, by topic and number. What is no partition's directory is left alone.
    ///
    /// # Errors
    /// [`OpenError::Unusable`].
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, OpenError> {
        let entries = self.reactor.list(&self.path);
        let entries = entries.map_err(|error| unusable("list", &self.path, error))?;
        let mut partitions = Vec::new();
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let Some(name) = entry.name.to_str().and_then(DirectoryName::parse) else {
                continue;
            };
            if name.purpose != Purpose::Live {
                continue;
            }
            let path = self.path.join(&entry.name);
            let metadata = path.join(small_file::PARTITION_METADATA);
            let bytes = small_file::read(&self.reactor, &metadata).ok().flatten();
            let topic_id =
                bytes.and_then(|bytes| small_file::parse_partition_metadata(&bytes).ok());
            let DirectoryName {
                topic, partition, ..
            } = name;
            partitions.push(PartitionDir {
                topic,
                partition,
                path,
                topic_id,
            });
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(partitions)
    }

    /// Reads a checkpoint; `name` is one of [`crate::checkpoint::file`]. A missing one is empty. A damaged one is empty
    /// too, with a warning: recovery then begins at the beginning.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] when it is there and cannot be read.
    pub fn read_checkpoint(&self, name: &str) -> Result<OffsetCheckpoint, OpenError> {
        let path = self.path.join(name);
        let bytes = match self.reactor.read_all(&path, small_file::BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable("read", &path, error)),
        };
        Ok(OffsetCheckpoint::parse(&bytes).unwrap_or_else(|defect| {
            tracing::warn!(path = %path.display(), %defect, "a checkpoint is damaged and not used");
            OffsetCheckpoint::default()
        }))
    }

    /// Replaces a checkpoint: after a crash it is the old one or the new one. One at a time per name.
    ///
    /// # Errors
    /// [`Error::Full`]; [`Error::Failed`], which fences; [`Error::Fenced`].
    pub async fn write_checkpoint(
        &self,
        name: &str,
        checkpoint: &OffsetCheckpoint,
    ) -> Result<(), Error> {
        self.write(name, checkpoint.to_text().as_bytes()).await
    }

    /// Writes the clean-shutdown marker, the last thing a run does: after every log is closed, synced, and checkpointed with
    /// its end as recovery point. Refused when the directory is fenced.
    ///
    /// # Errors
    /// As [`DataDir::write_checkpoint`].
    pub async fn write_clean_shutdown(&self, broker_epoch: i64) -> Result<(), Error> {
        let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        self.write(CLEAN_SHUTDOWN, text.as_bytes()).await
    }

    /// One more directory for [`DataDir::remove_leftovers`]: renamed as [`crate::Log::delete`] does.
    pub fn add_leftover(&self, path: PathBuf) {
        self.leftovers.borrow_mut().push(path);
    }

    /// Finishes the deletions that were under way when the last run ended: directories that nobody can read any more go,
    /// one after the other, with room for other work between. What cannot be removed is left to the next start.
    pub async fn remove_leftovers(&self) {
        for path in self.leftovers.take() {
            if let Err(error) = self.remove_deleted(&path).await {
                tracing::warn!(path = %path.display(), %error, "a deleted topic's directory remains");
            }
            self.reactor.yield_now().await;
        }
    }

    /// Removes what [`crate::Log::delete`] renamed away. What a crash leaves of it goes with the next start.
    async fn remove_deleted(&self, path: &Path) -> Result<(), Error> {
        self.fence.check()?;
        match self.reactor.remove_large_dir(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::write(&self.fence, "remove", path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.fence.check()?;
        let path = self.path.join(name);
        let written = self.reactor.write_atomic(&path, bytes).await;
        written.map_err(|error| Error::write(&self.fence, "write", &path, error))
    }
}

/// Makes the directory and those above it that are missing, and makes their names durable: all that will be synced
/// inside would else be gone with the name after a power cut.
async fn make(reactor: &Reactor, path: &Path) -> Result<(), OpenError> {
    let failed = |error| unusable("create", path, error);
    let mut parents = Vec::new();
    for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
        if reactor.exists(dir).map_err(failed)? {
            break;
        }
        parents.extend(dir.parent());
    }
    reactor.create_dir_all(path).map_err(failed)?;
    for parent in parents {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        reactor.sync_dir(parent).await.map_err(failed)?;
    }
    Ok(())
}

/// Takes the lock and leaves this process's number in it.
fn lock(reactor: &Reactor, dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let failed = |error| unusable("lock", &path, error);
    let file = reactor.open(&path, OpenOptions::CREATE).map_err(failed)?;
    if !file.try_lock().map_err(failed)? {
        let mut text = [0; 32];
        let read = file.read_at(0, &mut text).unwrap_or(0);
        let number = std::str::from_utf8(&text[..read]).ok().map(str::trim);
        let number = number.filter(|text| text.parse::<u32>().is_ok());
        let holder = match number {
            Some(number) => format!("process {number}"),
            None => "another process, which left no number".to_owned(),
        };
        return Err(OpenError::Locked {
            path: dir.to_owned(),
            holder,
        });
    }
    let number = format!("{}\n", std::process::id());
    file.set_len(0).map_err(failed)?;
    file.append_at(0, &[number.as_bytes()]).map_err(failed)?;
    Ok(file)
}

/// Reads `meta.properties` and holds it against what is expected, or writes it.
async fn identify(
    reactor: &Reactor,
    dir: &Path,
    node_id: i32,
    cluster_id: Option<&str>,
) -> Result<(Identity, bool), OpenError> {
    let path = dir.join(meta_properties::FILE_NAME);
    let found = match reactor.read_all(&path, small_file::BYTES_MAX) {
        // An empty file is what a power cut leaves of a first start.
        Ok(bytes) if bytes.is_empty() => None,
        Ok(bytes) => Some(
            MetaProperties::parse(&bytes).map_err(|defect| OpenError::Meta {
                path: path.clone(),
                defect,
            })?,
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable("read", &path, error)),
    };
    let is_new = found.is_none();
    let found = found.unwrap_or_default();
    if let Some(found) = found.node_id.filter(|found| *found != node_id) {
        let (key, found, expected) = ("node.id", found.to_string(), node_id.to_string());
        return Err(OpenError::Mismatch {
            path,
            key,
            found,
            expected,
        });
    }
    if let (Some(found), Some(expected)) = (&found.cluster_id, cluster_id)
        && found != expected
    {
        let (found, expected) = (found.clone(), expected.to_owned());
        return Err(OpenError::Mismatch {
            path,
            key: "cluster.id",
            found,
            expected,
        });
    }
    let is_complete =
        found.cluster_id.is_some() && found.node_id.is_some() && found.directory_id.is_some();
    let random = || uuid_text::random(|bytes| reactor.fill_random(bytes));
    let identity = Identity {
        cluster_id: found
            .cluster_id
            .or(cluster_id.map(str::to_owned))
            .unwrap_or_else(|| uuid_text::encode(&random())),
        node_id,
        directory_id: found.directory_id.unwrap_or_else(random),
    };
    if !is_complete {
        let written = reactor
            .write_atomic(&path, identity.to_text().as_bytes())
            .await;
        written.map_err(|error| unusable("write", &path, error))?;
    }
    Ok((identity, is_new))
}

/// Finds the directories of deleted topics, and removes the temporary files of interrupted writes.
fn find_leftovers(reactor: &Reactor, dir: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut leftovers = Vec::new();
    let entries = reactor
        .list(dir)
        .map_err(|error| unusable("list", dir, error))?;
    for entry in entries {
        let Some(name) = entry.name.to_str() else {
            continue;
        };
        let path = dir.join(name);
        if entry.is_dir {
            match DirectoryName::parse(name).map(|name| name.purpose) {
                Some(Purpose::Delete) => leftovers.push(path),
                Some(Purpose::Live | Purpose::Future | Purpose::Stray) | None => {}
            }
        } else if name.ends_with(".tmp") {
            let removed = reactor.remove_file(&path);
            removed.map_err(|error| unusable("remove", &path, error))?;
        }
    }
    Ok(leftovers)
}

fn unusable(operation: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Unusable {
        operation,
        path: path.to_owned(),
        source,
    }
}
