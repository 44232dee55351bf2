//! Java properties files as keys, values and lines: comments, continuations, escapes (`java.util.Properties`, whose format
//! Kafka's `server.properties` and client files have).
//!
//! Knows no setting by name, and not what to do with a key that comes twice.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes a file may have: more than a hundred times what the longest file of settings has.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A key and its value, escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What stands before the first `=`, `:` or blank.
    pub key: String,
    /// What stands after it; empty where there is nothing.
    pub value: String,
    /// The line its key stands on, from 1.
    pub line: usize,
}

/// Why a file is no properties file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is longer than [`FILE_BYTES_MAX`].
    #[error("longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// A line has something that stands for nothing.
    #[error(transparent)]
    Escape(#[from] BrokenEscape),
}

/// `\u` without four hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u must be followed by four hexadecimal digits")]
pub struct BrokenEscape {
    /// The line its key stands on, from 1.
    pub line: usize,
}

/// The pairs of the file at `path`, in their order. What is not UTF-8 is read as Latin-1, as Java does.
///
/// # Errors
///
/// See [`Error`]; none of them names the file.
pub fn read(path: &Path) -> Result<Vec<Pair>, Error> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::TooLong);
    }
    // Java reads such files as Latin-1; whoever writes UTF-8 today means UTF-8.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    Ok(parse(&text)?)
}

/// The pairs of a text, in their order.
///
/// # Errors
///
/// The first line with a broken escape.
pub fn parse(text: &str) -> Result<Vec<Pair>, BrokenEscape> {
    let mut pairs = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        let first = first.trim_start_matches(BLANK);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(BLANK)),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        let read = |text| unescape(text).ok_or(BrokenEscape { line });
        pairs.push(Pair {
            key: read(key)?,
            value: read(value)?,
            line,
        });
    }
    Ok(pairs)
}

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// An odd number of backslashes at the end.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Key and value, both still escaped: the key ends at the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (BLANK.contains(&c) || matches!(c, '=' | ':'));
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANK);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANK))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    // Java text is UTF-16: a character outside the first plane takes two escapes.
    let mut units: Vec<u16> = Vec::new();
    let flush = |units: &mut Vec<u16>, out: &mut String| {
        out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or('\u{fffd}')));
    };
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' {
            match chars.next() {
                Some('u') => {
                    let mut unit = 0_u16;
                    for _ in 0..4 {
                        let digit = u16::try_from(chars.next()?.to_digit(16)?).ok()?;
                        unit = unit << 4 | digit;
                    }
                    units.push(unit);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => continue,
            }
        } else {
            c
        };
        flush(&mut units, &mut out);
        out.push(plain);
    }
    flush(&mut units, &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text).unwrap().into_iter();
        pairs.map(|pair| (pair.key, pair.value)).collect()
    }

    fn pair(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn equals_colon_and_blank_separate_alike() {
        for text in ["a=b", "a:b", "a b", "  a = b", "a\t:b", "a =b"] {
            assert_eq!(parsed(text), pair("a", "b"), "{text}");
        }
        assert_eq!(parsed("a"), pair("a", ""));
        assert_eq!(parsed("a==b"), pair("a", "=b"));
    }

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        assert_eq!(
            parsed("# a=b\n\n  ! c=d\r\ne=f # no comment"),
            pair("e", "f # no comment")
        );
    }

    #[test]
    fn a_backslash_at_the_end_goes_on_in_the_next_line() {
        assert_eq!(parsed("a=b,\\\n   c"), pair("a", "b,c"));
        assert_eq!(parsed("a=b\\\\\nc=d").len(), 2);
        assert_eq!(parsed("a=b\\"), pair("a", "b"));
    }

    #[test]
    fn escapes_stand_for_what_they_stand_for_in_java() {
        assert_eq!(parsed(r"a\ b\=c=x\ty\u0041\\"), pair("a b=c", "x\tyA\\"));
        assert_eq!(parsed(r"a=\ud83d\ude00"), pair("a", "\u{1f600}"));
        assert_eq!(parse("a=b\nc=\\u12"), Err(BrokenEscape { line: 2 }));
    }

    #[test]
    fn a_pair_knows_the_line_of_its_key() {
        let lines: Vec<usize> = parse("\na=\\\n1\nb=2")
            .unwrap()
            .iter()
            .map(|pair| pair.line)
            .collect();
        assert_eq!(lines, [2, 4]);
    }
}
