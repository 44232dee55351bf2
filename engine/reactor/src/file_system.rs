//! The calls on names that work on a log's files makes away from its shard: each may wait for the device, or for a commit
//! of the file system's journal. It knows no shard and no path of its own.

use std::fs;
use std::io;
use std::path::Path;

use crate::file::{Backing, Entry, File, OpenOptions};
use crate::sim;

/// The file system of a world, from any thread: what [`crate::Reactor`] does with names, for a job of the blocking pool.
#[derive(Clone, Debug)]
pub struct FileSystem {
    world: World,
}

#[derive(Clone, Debug)]
enum World {
    Machine,
    Sim(sim::Disk),
}

impl FileSystem {
    pub(crate) fn of_machine() -> Self {
        Self {
            world: World::Machine,
        }
    }

    pub(crate) fn of_sim(disk: sim::Disk) -> Self {
        Self {
            world: World::Sim(disk),
        }
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        let backing = match &self.world {
            World::Machine => Backing::Machine(
                fs::OpenOptions::new()
                    .read(options.read)
                    .write(options.write)
                    .create(options.create)
                    .create_new(options.create_new)
                    .truncate(options.truncate)
                    .open(path)?,
            ),
            World::Sim(disk) => Backing::Sim(disk.open(path, options)?),
        };
        Ok(File::new(path.to_owned(), backing))
    }

    /// Unlinks a file; whoever has it open keeps it.
    ///
    /// # Errors
    /// The system's; `NotFound` where there is none.
    pub fn remove_file(&self, path: &Path) -> io::Result<()> {
        match &self.world {
            World::Machine => fs::remove_file(path),
            World::Sim(disk) => disk.remove_file(path),
        }
    }

    /// Gives a file or directory another name; a file of that name is replaced. Not durable before
    /// [`crate::Reactor::sync_dir`].
    ///
    /// # Errors
    /// The system's.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match &self.world {
            World::Machine => fs::rename(from, to),
            World::Sim(disk) => disk.rename(from, to),
        }
    }

    /// What is in a directory, sorted by name.
    ///
    /// # Errors
    /// The system's.
    pub fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        match &self.world {
            World::Machine => list(path),
            World::Sim(disk) => disk.list(path),
        }
    }
}

fn list(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let is_dir = metadata.is_dir();
            let len = if is_dir { 0 } else { metadata.len() };
            Ok(Entry {
                name: entry.file_name(),
                is_dir,
                len,
            })
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
