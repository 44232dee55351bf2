//! All files and directories of a disk, by number, and the way from a path to them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::time::Duration;

use super::content::Content;
use super::directory::Directory;
use super::faults::Faults;
use super::{Crash, errno};
use crate::sim::chance::Chance;

#[derive(Debug)]
pub(super) struct State {
    pub(super) chance: Chance,
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) next_node: u64,
    /// Counts changes of all files, so that the last one can be found.
    pub(super) clock: u64,
    /// Files opened before a crash are of an earlier life and can no longer be used.
    pub(super) life: u64,
    pub(super) capacity: Option<u64>,
    pub(super) faults: Faults,
    pub(super) sync_time: (Duration, Duration),
}

#[derive(Debug)]
pub(super) enum Node {
    File(Content),
    Directory(Directory),
}

pub(super) const ROOT: u64 = 0;

impl State {
    pub(super) fn add(&mut self, node: Node) -> u64 {
        let number = self.next_node;
        self.next_node += 1;
        self.nodes.insert(number, node);
        number
    }

    pub(super) fn change_time(&mut self) {
        self.clock += 1;
    }

    pub(super) fn check_life(&self, life: u64) -> io::Result<()> {
        if life == self.life {
            Ok(())
        } else {
            Err(errno(libc::EBADF))
        }
    }

    pub(super) fn walk(
        &self,
        path: &Path,
        entries: fn(&Directory) -> &BTreeMap<OsString, u64>,
    ) -> io::Result<u64> {
        let mut node = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => match self.nodes.get(&node) {
                    Some(Node::Directory(directory)) => {
                        node = *entries(directory)
                            .get(name)
                            .ok_or_else(|| errno(libc::ENOENT))?;
                    }
                    Some(Node::File(_)) | None => return Err(errno(libc::ENOTDIR)),
                },
                Component::ParentDir | Component::Prefix(_) => return Err(errno(libc::EINVAL)),
            }
        }
        Ok(node)
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        self.walk(path, Directory::entries)
    }

    /// The directory that holds `path`'s last name, and that name.
    pub(super) fn parent_of<'a>(&self, path: &'a Path) -> io::Result<(u64, &'a OsStr)> {
        let name = path.file_name().ok_or_else(|| errno(libc::EINVAL))?;
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        match self.nodes.get(&parent) {
            Some(Node::Directory(_)) => Ok((parent, name)),
            Some(Node::File(_)) | None => Err(errno(libc::ENOTDIR)),
        }
    }

    /// Removes what a directory holds, name by name: a crash may come in between.
    pub(super) fn empty(&mut self, node: u64) {
        let Ok(directory) = self.directory_mut(node) else {
            return;
        };
        for (name, child) in directory.entries().clone() {
            self.empty(child);
            if let Ok(directory) = self.directory_mut(node) {
                directory.unset(&name);
            }
        }
    }

    pub(super) fn content_mut(&mut self, node: u64) -> io::Result<&mut Content> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(content)) => Ok(content),
            Some(Node::Directory(_)) => Err(errno(libc::EISDIR)),
            None => Err(errno(libc::ENOENT)),
        }
    }

    pub(super) fn directory_mut(&mut self, node: u64) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(errno(libc::ENOTDIR)),
            None => Err(errno(libc::ENOENT)),
        }
    }

    /// The nodes that can be reached by `entries` from the root, the root included.
    pub(super) fn reachable(
        &self,
        entries: fn(&Directory) -> &BTreeMap<OsString, u64>,
    ) -> Vec<u64> {
        let mut found = vec![ROOT];
        let mut looked = 0;
        while let Some(node) = found.get(looked) {
            if let Some(Node::Directory(directory)) = self.nodes.get(node) {
                found.extend(entries(directory).values());
            }
            looked += 1;
        }
        found
    }

    pub(super) fn used(&self) -> u64 {
        let mut counted = self.reachable(Directory::entries);
        counted.extend(self.nodes.iter().filter_map(|(number, node)| match node {
            Node::File(content) if content.handles > 0 => Some(*number),
            Node::File(_) | Node::Directory(_) => None,
        }));
        counted.sort_unstable();
        counted.dedup();
        let bytes = counted.iter().map(|node| match self.nodes.get(node) {
            Some(Node::File(content)) => content.bytes_taken(),
            Some(Node::Directory(_)) | None => 0,
        });
        bytes.sum()
    }

    /// How many bytes more may be taken.
    pub(super) fn room(&self) -> u64 {
        self.capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        self.life += 1;
        self.faults.heal();
        let last = self.nodes.values().filter_map(|node| match node {
            Node::File(content) => content.last_write(),
            Node::Directory(_) => None,
        });
        let last = last.max();
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => {
                    content.handles = 0;
                    content.crash(crash, last, &mut self.chance);
                }
                Node::Directory(directory) => directory.crash(crash, &mut self.chance),
            }
        }
    }
}
