//! A Java properties file as pairs: comments, continuations, escapes (`java.util.Properties`). Knows no setting by name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// The most bytes a properties file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// The pairs of the file at `path`, in their order.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) when it cannot be read, is longer than 1 MiB, or has a broken escape.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let failed = |error: std::io::Error| {
        Error::config(format!("cannot read {}: {error}", path.display())).with_source(error)
    };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::config(format!(
            "{} is longer than {FILE_BYTES_MAX} bytes: this is no properties file",
            path.display()
        )));
    }
    // Java reads such files as Latin-1; whoever writes UTF-8 today means UTF-8.
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    parse(&text).map_err(|line| {
        Error::config(format!(
            "{} line {line}: \\u must be followed by four hexadecimal digits",
            path.display()
        ))
    })
}

/// The pairs of a text, or the line (from 1) with the broken escape.
fn parse(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, first)) = lines.next() {
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
        let read = |text| unescape(text).ok_or(number + 1);
        pairs.push((read(key)?, read(value)?));
    }
    Ok(pairs)
}

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

    fn pair(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn equals_colon_and_blank_separate_alike() {
        for text in ["a=b", "a:b", "a b", "  a = b", "a\t:b", "a =b"] {
            assert_eq!(parse(text).unwrap(), pair("a", "b"), "{text}");
        }
        assert_eq!(parse("a==b").unwrap(), pair("a", "=b"));
        assert_eq!(parse("# a=b\n\n ! c=d\r\ne").unwrap(), pair("e", ""));
    }

    #[test]
    fn a_backslash_at_the_end_goes_on_in_the_next_line() {
        assert_eq!(parse("a=b,\\\n   c").unwrap(), pair("a", "b,c"));
        assert_eq!(parse("a=b\\\\\nc=d").unwrap().len(), 2);
        assert_eq!(parse("a=b\\").unwrap(), pair("a", "b"));
    }

    #[test]
    fn escapes_stand_for_what_they_stand_for_in_java() {
        assert_eq!(
            parse(r"a\ b\=c=x\ty\u0041\\").unwrap(),
            pair("a b=c", "x\tyA\\")
        );
        assert_eq!(parse(r"a=\ud83d\ude00").unwrap(), pair("a", "\u{1f600}"));
        assert_eq!(parse("a=b\nc=\\u12"), Err(2));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("no-such.properties")).unwrap_err();
        assert!(error.to_string().contains("no-such.properties"), "{error}");
    }
}
