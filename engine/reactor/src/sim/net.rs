//! In-memory sockets.
use crate::file::File;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;

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
    pub(crate) fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }
    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn set_buffers(&self, send: Option<u32>, receive: Option<u32>) -> io::Result<()> {
        unimplemented!()
    }
}
