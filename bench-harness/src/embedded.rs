//! The embedded engine in a process of its own, so that its CPU time and memory are read apart from the load's, and so that
//! it can be killed. The process is this same binary with the hidden command `engine`. Knows nothing of the load.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::arguments::Durability;

/// What the engine's process prints when it is ready, before the address.
pub(crate) const READY: &str = "ready ";

/// A running engine. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Embedded {
    child: Child,
    address: SocketAddr,
}

/// How it is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch<'a> {
    /// The data directory.
    pub(crate) directory: &'a Path,
    /// Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    pub(crate) shards: Option<u16>,
    pub(crate) durability: Durability,
}

impl Embedded {
    /// Starts the process and waits until it says that it is ready. Errors carry what the process said on its way out.
    pub(crate) fn start(launch: &Launch<'_>) -> io::Result<Embedded> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("engine")
            .arg("--data-dir")
            .arg(launch.directory);
        command.arg("--listen").arg(launch.listen.to_string());
        command
            .arg("--set")
            .arg(format!("highwater.durability={}", launch.durability.name()));
        if let Some(shards) = launch.shards {
            command.arg("--shards").arg(shards.to_string());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .trim_end()
            .strip_prefix(READY)
            .and_then(|text| text.parse().ok());
        match address {
            Some(address) => Ok(Embedded { child, address }),
            None => {
                let status = child.wait()?;
                Err(io::Error::other(format!(
                    "the embedded engine did not start ({status})"
                )))
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a crash does it, and waits for the end.
    pub(crate) fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
