//! What is printed of a record: a text with tokens, parsed once. Knows nothing of consumers.

use std::io::{self, Write};

/// A record as it is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printed<'a, H> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: H,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Headers,
    KeyLength,
    ValueLength,
}

/// A parsed `--format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

impl Format {
    /// Parses kcat's tokens and escapes. The error names the token that is unknown.
    pub(crate) fn parse(text: &str) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let piece = match character {
                '%' => match characters.next() {
                    Some('t') => Piece::Topic,
                    Some('p') => Piece::Partition,
                    Some('o') => Piece::Offset,
                    Some('T') => Piece::Timestamp,
                    Some('k') => Piece::Key,
                    Some('s') => Piece::Value,
                    Some('h') => Piece::Headers,
                    Some('K') => Piece::KeyLength,
                    Some('S') => Piece::ValueLength,
                    Some('%') => {
                        literal.push(b'%');
                        continue;
                    }
                    Some(other) => return Err(format!("unknown token %{other} in --format")),
                    None => return Err("--format ends in the middle of a token".to_owned()),
                },
                '\\' => {
                    let escaped = match characters.next() {
                        Some('n') => b'\n',
                        Some('r') => b'\r',
                        Some('t') => b'\t',
                        Some('0') => 0,
                        Some('\\') => b'\\',
                        Some(other) => return Err(format!("unknown escape \\{other} in --format")),
                        None => return Err("--format ends in the middle of an escape".to_owned()),
                    };
                    literal.push(escaped);
                    continue;
                }
                other => {
                    literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Format(pieces))
    }

    /// Prints one record.
    pub(crate) fn print<'a, H>(
        &self,
        out: &mut impl Write,
        record: &Printed<'a, H>,
    ) -> io::Result<()>
    where
        H: Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
    {
        let length =
            |bytes: Option<&[u8]>| bytes.map_or("-1".to_owned(), |it| it.len().to_string());
        for piece in &self.0 {
            match piece {
                Piece::Literal(bytes) => out.write_all(bytes)?,
                Piece::Topic => out.write_all(record.topic.as_bytes())?,
                Piece::Partition => write!(out, "{}", record.partition)?,
                Piece::Offset => write!(out, "{}", record.offset)?,
                Piece::Timestamp => write!(out, "{}", record.timestamp_ms)?,
                Piece::Key => out.write_all(record.key.unwrap_or_default())?,
                Piece::Value => out.write_all(record.value.unwrap_or_default())?,
                Piece::KeyLength => out.write_all(length(record.key).as_bytes())?,
                Piece::ValueLength => out.write_all(length(record.value).as_bytes())?,
                Piece::Headers => {
                    for (number, (name, value)) in record.headers.clone().enumerate() {
                        let comma: &[u8] = if number == 0 { b"" } else { b"," };
                        out.write_all(comma)?;
                        out.write_all(name)?;
                        out.write_all(b"=")?;
                        out.write_all(value.unwrap_or(b"NULL"))?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(format: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let headers = [(&b"a"[..], Some(&b"1"[..])), (b"b", None)];
        let record = Printed {
            topic: "t",
            partition: 3,
            offset: 42,
            timestamp_ms: 7,
            key,
            value,
            headers: headers.into_iter(),
        };
        let mut out = Vec::new();
        Format::parse(format)
            .unwrap()
            .print(&mut out, &record)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_token_is_printed() {
        let printed = print(
            "%t/%p@%o %T %k=%s %K %S %h 100%%\\n",
            Some(b"key"),
            Some(b"value"),
        );
        assert_eq!(printed, "t/3@42 7 key=value 3 5 a=1,b=NULL 100%\n");
    }

    #[test]
    fn what_is_not_there_has_length_minus_one() {
        assert_eq!(print("%k %K %s %S", None, Some(b"")), " -1  0");
    }

    #[test]
    fn an_unknown_token_is_named() {
        assert_eq!(
            Format::parse("%z"),
            Err("unknown token %z in --format".to_owned())
        );
        assert!(Format::parse("abc\\").is_err());
        assert!(Format::parse("abc%").is_err());
    }
}
