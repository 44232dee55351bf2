//! What the machine itself can do, measured in the same run with the simplest code there is, so that a figure can be read as
//! a share of its limit. Knows nothing of Kafka. Every probe is bounded by bytes, not by time.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

/// The size of one write, in bytes: what a commit of a busy partition carries.
const WRITE_BYTES: usize = 1 << 20;
const FLUSHED_BYTES: usize = 96 << 20;
const STREAM_BYTES: usize = 768 << 20;
const MEMORY_BYTES: usize = 64 << 20;

/// Bytes per second of each.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Limits {
    /// Appends of 1 MiB to one file, each followed by `fdatasync`.
    pub(crate) flushed_write_bytes_per_s: f64,
    /// One TCP stream over loopback, 256 KiB a call.
    pub(crate) loopback_bytes_per_s: f64,
    /// CRC-32C over 64 MiB.
    pub(crate) crc32c_bytes_per_s: f64,
    /// A copy of 64 MiB.
    pub(crate) memory_copy_bytes_per_s: f64,
}

/// Runs all probes; files are made in `directory` and removed.
pub(crate) fn measure(directory: &Path) -> io::Result<Limits> {
    Ok(Limits {
        flushed_write_bytes_per_s: flushed_write(directory)?,
        loopback_bytes_per_s: loopback()?,
        crc32c_bytes_per_s: crc32c(),
        memory_copy_bytes_per_s: memory_copy(),
    })
}

fn rate(bytes: usize, began: Instant) -> f64 {
    bytes as f64 / began.elapsed().as_secs_f64()
}

fn flushed_write(directory: &Path) -> io::Result<f64> {
    let path = directory.join("highwater-bench.probe");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    let block = vec![0x5a; WRITE_BYTES];
    let began = Instant::now();
    let written = (0..FLUSHED_BYTES / WRITE_BYTES).try_for_each(|number| {
        file.write_all_at(&block, (number * WRITE_BYTES) as u64)?;
        file.sync_data()
    });
    let rate = rate(FLUSHED_BYTES, began);
    std::fs::remove_file(&path)?;
    written.map(|()| rate)
}

fn loopback() -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || -> io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let block = vec![0x5a; 256 << 10];
        (0..STREAM_BYTES / block.len()).try_for_each(|_| stream.write_all(&block))
    });
    let (mut stream, _) = listener.accept()?;
    let mut block = vec![0; 256 << 10];
    let (mut received, began) = (0, Instant::now());
    while received < STREAM_BYTES {
        match stream.read(&mut block)? {
            0 => break,
            bytes => received += bytes,
        }
    }
    let rate = rate(received, began);
    sender
        .join()
        .map_err(|_| io::Error::other("the sender of the loopback probe panicked"))??;
    Ok(rate)
}

fn crc32c() -> f64 {
    let block = vec![0x5a; MEMORY_BYTES];
    let began = Instant::now();
    black_box(highwater_record::crc::crc32c(black_box(&block)));
    rate(MEMORY_BYTES, began)
}

fn memory_copy() -> f64 {
    let (from, mut to) = (vec![0x5a_u8; MEMORY_BYTES], vec![0x5b_u8; MEMORY_BYTES]);
    let began = Instant::now();
    to.copy_from_slice(black_box(&from));
    black_box(&to);
    rate(MEMORY_BYTES, began)
}
