//! The production world: a glommio executor per shard.
#![allow(
    dead_code,
    unused_variables,
    clippy::unused_async,
    clippy::unimplemented
)]
use crate::file::{Entry, File, OpenOptions};
use crate::shard::ShardId;
use crate::socket::{ListenerWorld, SocketWorld};
use crate::task::{Sleep, Task};
use crate::time::Instant;
use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

#[derive(Debug)]
pub(crate) struct Shard;

impl Shard {
    pub(crate) fn id(&self) -> ShardId {
        unimplemented!()
    }
    pub(crate) fn shards(&self) -> u16 {
        unimplemented!()
    }
    pub(crate) fn now(&self) -> Instant {
        unimplemented!()
    }
    pub(crate) fn unix_ms(&self) -> i64 {
        unimplemented!()
    }
    pub(crate) fn fill_random(&self, bytes: &mut [u8]) {
        unimplemented!()
    }
    pub(crate) fn sleep_until(&self, when: Instant) -> Sleep {
        unimplemented!()
    }
    pub(crate) fn spawn<F: Future + 'static>(self: &Rc<Self>, future: F) -> Task<F::Output>
    where
        F::Output: 'static,
    {
        unimplemented!()
    }
    pub(crate) async fn yield_now(&self) {
        unimplemented!()
    }
    pub(crate) async fn unblock<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> T {
        unimplemented!()
    }
    pub(crate) fn open(&self, path: &Path, options: OpenOptions) -> io::Result<File> {
        unimplemented!()
    }
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        unimplemented!()
    }
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        unimplemented!()
    }
    pub(crate) async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn sync_data(&self, file: &File) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn prefetch(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<ListenerWorld> {
        unimplemented!()
    }
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<SocketWorld> {
        unimplemented!()
    }
    pub(crate) fn adopt(&self, socket: crate::DetachedSocket) -> io::Result<SocketWorld> {
        unimplemented!()
    }
}

#[derive(Debug)]
pub(crate) struct Listener;
impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(DetachedSocket, SocketAddr)> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }
}
#[derive(Debug)]
pub(crate) struct DetachedSocket;
#[derive(Debug)]
pub(crate) struct Socket;
impl Socket {
    pub(crate) async fn recv(&self, into: &mut BytesMut, len_max: usize) -> io::Result<usize> {
        unimplemented!()
    }
    pub(crate) async fn send_all(&self, parts: &[&[u8]]) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn send_file(&self, file: &File, position: u64, len: u64) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn shutdown(&self) {
        unimplemented!()
    }
    pub(crate) fn peer_addr(&self) -> SocketAddr {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        unimplemented!()
    }
    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn set_buffers(&self, send: Option<u32>, receive: Option<u32>) -> io::Result<()> {
        unimplemented!()
    }
}
