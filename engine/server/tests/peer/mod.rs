//! A client made of one blocking socket: frames out, frames in. It checks that every answer is the answer to its question.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings, StartError};
use highwater_wire::{Request, encode_request};

pub(crate) struct Peer {
    socket: TcpStream,
    correlation_id: i32,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Peer {
        let socket = TcpStream::connect(address).unwrap();
        // A hang is a failure, not a wait without end.
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        socket.set_nodelay(true).unwrap();
        Peer {
            socket,
            correlation_id: 0,
        }
    }

    /// The answer's frame without its length, to be read with `decode_response`.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> Vec<u8> {
        self.correlation_id += 1;
        let encoded = encode_request(self.correlation_id, Some("peer"), version, request).unwrap();
        self.socket.write_all(&encoded.bytes).unwrap();
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.socket.read_exact(&mut frame).unwrap();
        let correlation_id = i32::from_be_bytes(frame[..4].try_into().unwrap());
        assert_eq!(correlation_id, self.correlation_id);
        frame
    }
}

/// An engine on `dir` and any free port, with settings on top.
pub(crate) fn start(dir: &Path, pairs: &[(&str, &str)]) -> Result<Engine, StartError> {
    let mut properties = Properties::embedded(dir);
    properties.set("highwater.shards", "2");
    for (key, value) in pairs {
        properties.set(key, value);
    }
    Engine::start(Settings::parse(&properties).unwrap())
}
