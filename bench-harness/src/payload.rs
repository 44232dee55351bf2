//! What is sent: JSON-like log records made from a seed, or the lines of the user's own file. Knows nothing of identities
//! beyond leaving room for them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::identity;

/// How many different records are made before they repeat: more than a batch holds, so that no codec sees one twice in it.
const TEMPLATES: usize = 2048;

/// Files are held in memory while they are sent; a larger one is cut here, and the run says so.
const INPUT_BYTES_MAX: u64 = 1 << 30;

/// A small generator with a good mix (splitmix64): the same seed gives the same records on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// Starts from `seed`.
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[(self.next() % words.len() as u64) as usize]
    }
}

/// The records of a run, before they get their identity.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Made from a seed, all of one size, with room for an identity inside.
    Generated(Vec<Vec<u8>>),
    /// The user's lines, as they are.
    Lines { bytes: Vec<u8>, ends: Vec<usize> },
}

impl Payload {
    /// Records of `bytes` bytes each.
    pub(crate) fn generated(seed: u64, bytes: usize) -> Payload {
        let mut seeded = Seeded::new(seed);
        let record = || identity::blank(bytes, |message| fill(&mut seeded, message));
        Payload::Generated(std::iter::repeat_with(record).take(TEMPLATES).collect())
    }

    /// The lines of a file, without their line ends. Errors when it cannot be read or holds no line.
    pub(crate) fn lines(path: &Path) -> io::Result<Payload> {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        while (bytes.len() as u64) < INPUT_BYTES_MAX && reader.read_until(b'\n', &mut bytes)? > 0 {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            ends.push(bytes.len());
        }
        if ends.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file holds no line",
            ));
        }
        Ok(Payload::Lines { bytes, ends })
    }

    /// How many records there are before they repeat.
    pub(crate) fn len(&self) -> usize {
        match self {
            Payload::Generated(records) => records.len(),
            Payload::Lines { ends, .. } => ends.len(),
        }
    }

    /// The record at `place`, counted round and round.
    pub(crate) fn get(&self, place: usize) -> &[u8] {
        match self {
            Payload::Generated(records) => &records[place % records.len()],
            Payload::Lines { bytes, ends } => {
                let place = place % ends.len();
                let start = if place == 0 { 0 } else { ends[place - 1] };
                &bytes[start..ends[place]]
            }
        }
    }

    /// The mean size of a record in bytes.
    pub(crate) fn mean_bytes(&self) -> f64 {
        let total: usize = match self {
            Payload::Generated(records) => records.iter().map(Vec::len).sum(),
            Payload::Lines { bytes, .. } => bytes.len(),
        };
        total as f64 / self.len() as f64
    }

    /// A checksum over all of it, so that two runs can say that they sent the same.
    pub(crate) fn fingerprint(&self) -> u32 {
        (0..self.len()).fold(0, |sum: u32, place| {
            sum.rotate_left(1) ^ highwater_record::crc::crc32c(self.get(place))
        })
    }
}

/// Fills `message` with what a service would log: fields that repeat, numbers that do not.
fn fill(seeded: &mut Seeded, message: &mut [u8]) {
    const LEVELS: &[&str] = &["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
    const SERVICES: &[&str] = &[
        "checkout",
        "search",
        "payments",
        "catalogue",
        "gateway",
        "ledger",
    ];
    const VERBS: &[&str] = &["GET", "GET", "POST", "PUT", "DELETE"];
    const PATHS: &[&str] = &[
        "/cart", "/items", "/users", "/orders", "/session", "/prices",
    ];
    const WORDS: &[&str] = &[
        "request",
        "completed",
        "cache",
        "miss",
        "retry",
        "upstream",
        "timeout",
        "connection",
        "accepted",
        "index",
        "rebuilt",
        "lookup",
        "tenant",
        "quota",
        "exceeded",
        "shard",
    ];
    let mut text = String::with_capacity(message.len() + 64);
    while text.len() < message.len() {
        let line = format!(
            "level={} service={} method={} path={}/{} status={} took_us={} trace={:016x} ",
            seeded.pick(LEVELS),
            seeded.pick(SERVICES),
            seeded.pick(VERBS),
            seeded.pick(PATHS),
            seeded.below(1_000_000),
            [200, 200, 200, 201, 204, 304, 404, 500][seeded.below(8) as usize],
            seeded.below(250_000),
            seeded.next(),
        );
        text.push_str(&line);
        for _ in 0..6 {
            text.push_str(seeded.pick(WORDS));
            text.push(' ');
        }
    }
    message.copy_from_slice(&text.as_bytes()[..message.len()]);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_records_and_another_seed_others() {
        let fingerprint = |seed| Payload::generated(seed, 1024).fingerprint();
        assert_eq!(fingerprint(1), fingerprint(1));
        assert_ne!(fingerprint(1), fingerprint(2));
    }

    #[test]
    fn generated_records_are_json_of_the_asked_size() {
        let payload = Payload::generated(7, 300);
        for place in 0..payload.len() {
            assert_eq!(payload.get(place).len(), 300);
            serde_json::from_slice::<serde_json::Value>(payload.get(place)).unwrap();
        }
    }

    #[test]
    fn lines_are_given_as_they_stand_and_then_again() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"one\n\nthree \r\nlast").unwrap();
        let payload = Payload::lines(file.path()).unwrap();
        let lines: Vec<&[u8]> = (0..5).map(|place| payload.get(place)).collect();
        assert_eq!(lines, [&b"one"[..], b"", b"three \r", b"last", b"one"]);
    }

    #[test]
    fn a_file_without_a_line_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Payload::lines(file.path()).is_err());
    }
}
