//! What lets a record prove who it is: the stream it belongs to, its place in that stream, when it was meant to be sent,
//! and a checksum over all of it. Knows nothing of how records travel.
//!
//! A generated record carries its identity in its own first 83 bytes, each number in hexadecimal at a fixed place, so that
//! the record stays one JSON object of the asked size. A line of the user's own file must stay as it is: its identity
//! travels in a record header.

use highwater_record::crc::crc32c;

/// The name of the record header that carries an identity beside a line of the user's own.
pub(crate) const HEADER: &str = "highwater-bench";

/// The smallest generated record: the identity and an empty message, in bytes.
pub(crate) const RECORD_BYTES_MIN: usize = PROLOGUE.len() + EPILOGUE.len();

/// Where each number stands in it.
const PROLOGUE: &[u8] =
    br#"{"s":"00000000","n":"000000000000","t":"0000000000000000","x":"00000000","m":""#;
pub(crate) const EPILOGUE: &[u8] = br#""}"#;
const STREAM: std::ops::Range<usize> = 6..14;
const SEQUENCE: std::ops::Range<usize> = 21..33;
const TIME: std::ops::Range<usize> = 40..56;
const CHECKSUM: std::ops::Range<usize> = 63..71;
const HEADER_VALUE_BYTES: usize = 24;

/// One record's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The stream: one producer's records to one partition.
    pub(crate) stream: u32,
    /// The place in the stream, from 0 without gaps. Invariant: below 2^48.
    pub(crate) sequence: u64,
    /// When the record was meant to be sent, nanoseconds since the run began.
    pub(crate) intended_ns: u64,
}

/// An empty generated record of `bytes` bytes, to be filled by [`Identity::write_into`].
pub(crate) fn blank(bytes: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    assert!(
        bytes >= RECORD_BYTES_MIN,
        "a record holds at least its identity"
    );
    let mut record = PROLOGUE.to_vec();
    record.resize(bytes - EPILOGUE.len(), b' ');
    fill(&mut record[PROLOGUE.len()..]);
    record.extend_from_slice(EPILOGUE);
    record
}

impl Identity {
    /// Writes this identity over the prologue of a generated record.
    pub(crate) fn write_into(self, record: &mut [u8]) {
        hex(u64::from(self.stream), &mut record[STREAM]);
        hex(self.sequence, &mut record[SEQUENCE]);
        hex(self.intended_ns, &mut record[TIME]);
        let checksum = checksum(record);
        hex(u64::from(checksum), &mut record[CHECKSUM]);
    }

    /// Reads the identity of a generated record; `None` when a byte of it is not what was written.
    pub(crate) fn read(record: &[u8]) -> Option<Identity> {
        if record.len() < RECORD_BYTES_MIN {
            return None;
        }
        let stored = unhex(&record[CHECKSUM])?;
        if stored != u64::from(checksum(record)) {
            return None;
        }
        Some(Identity {
            stream: u32::try_from(unhex(&record[STREAM])?).ok()?,
            sequence: unhex(&record[SEQUENCE])?,
            intended_ns: unhex(&record[TIME])?,
        })
    }

    /// The header value that carries this identity beside `line`.
    pub(crate) fn beside(self, line: &[u8]) -> [u8; HEADER_VALUE_BYTES] {
        let mut value = [0; HEADER_VALUE_BYTES];
        value[0..4].copy_from_slice(&self.stream.to_be_bytes());
        value[4..12].copy_from_slice(&self.sequence.to_be_bytes());
        value[12..20].copy_from_slice(&self.intended_ns.to_be_bytes());
        let checksum = crc32c(&value[..20]) ^ crc32c(line);
        value[20..24].copy_from_slice(&checksum.to_be_bytes());
        value
    }

    /// Reads an identity from its header; `None` when it, or the line beside it, is not what was sent.
    pub(crate) fn read_beside(value: &[u8], line: &[u8]) -> Option<Identity> {
        let value: &[u8; HEADER_VALUE_BYTES] = value.try_into().ok()?;
        let (fields, checksum) = value.split_at(20);
        let checksum = u32::from_be_bytes(checksum.try_into().ok()?);
        if checksum != crc32c(fields) ^ crc32c(line) {
            return None;
        }
        Some(Identity {
            stream: u32::from_be_bytes(fields[0..4].try_into().ok()?),
            sequence: u64::from_be_bytes(fields[4..12].try_into().ok()?),
            intended_ns: u64::from_be_bytes(fields[12..20].try_into().ok()?),
        })
    }
}

/// Over the whole record but the eight bytes that hold it.
fn checksum(record: &[u8]) -> u32 {
    crc32c(&record[..CHECKSUM.start]).rotate_left(1) ^ crc32c(&record[CHECKSUM.end..])
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn hex(mut number: u64, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = DIGITS[(number & 15) as usize];
        number >>= 4;
    }
}

fn unhex(place: &[u8]) -> Option<u64> {
    let mut number = 0;
    for &digit in place {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Identity = Identity {
        stream: 0xbeef,
        sequence: 123_456_789,
        intended_ns: 42,
    };

    #[test]
    fn a_generated_record_gives_its_identity_back_at_every_size() {
        for bytes in [RECORD_BYTES_MIN, 100, 1024] {
            let mut record = blank(bytes, |message| message.fill(b'y'));
            SAMPLE.write_into(&mut record);
            assert_eq!(record.len(), bytes);
            assert_eq!(Identity::read(&record), Some(SAMPLE));
            let json: serde_json::Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(json["n"], "0000075bcd15");
        }
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let mut record = blank(100, |message| message.fill(b'y'));
        SAMPLE.write_into(&mut record);
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 1;
            assert_eq!(Identity::read(&changed), None, "byte {place}");
        }
        assert_eq!(Identity::read(&record[..99]), None);
    }

    #[test]
    fn an_identity_beside_a_line_vouches_for_the_line() {
        let value = SAMPLE.beside(b"a line");
        assert_eq!(Identity::read_beside(&value, b"a line"), Some(SAMPLE));
        assert_eq!(Identity::read_beside(&value, b"a lime"), None);
        for place in 0..value.len() {
            let mut changed = value;
            changed[place] ^= 1;
            assert_eq!(
                Identity::read_beside(&changed, b"a line"),
                None,
                "byte {place}"
            );
        }
    }
}
