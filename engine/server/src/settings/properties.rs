//! A Java properties file as key, value and line: comments, continuations, escapes (`java.util.Properties`). It knows no
//! setting by name.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Settings as text, each with the place it was given at. Later ones replace earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    pairs: BTreeMap<String, Given>,
}

/// A value and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The text, escapes resolved.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file; lines count from 1.
    File {
        /// The file as it was named.
        path: Arc<PathBuf>,
        /// The line its key stands on.
        line: usize,
    },
    /// By the caller: a flag, or code.
    Caller,
}

/// Why a file or a pair cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is longer than any settings file is.
    #[error("{} is longer than {limit} bytes: this is no settings file", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most bytes read.
        limit: u64,
    },
    /// `\u` without four hexadecimal digits.
    #[error("{origin}: \\u must be followed by four hexadecimal digits")]
    Escape {
        /// Where.
        origin: Origin,
    },
    /// A pair without `=`.
    #[error("`{0}` is no key=value")]
    Pair(String),
}

/// The most bytes a settings file may have.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Properties {
    /// Nothing set.
    pub fn new() -> Properties {
        Properties::default()
    }

    /// A file's settings.
    pub fn read(path: &Path) -> Result<Properties, Error> {
        let failed = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .map_err(failed)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::TooLong {
                path: path.to_owned(),
                limit: FILE_BYTES_MAX,
            });
        }
        // Java reads such files as Latin-1; whoever writes UTF-8 today means UTF-8.
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
        };
        let path = Arc::new(path.to_owned());
        Properties::parse(&text, |line| Origin::File {
            path: Arc::clone(&path),
            line,
        })
    }

    /// A text's settings; `origin` says where line n is.
    pub fn parse(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Properties, Error> {
        let mut properties = Properties::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, first)) = lines.next() {
            let origin = origin(number + 1);
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
            let read = |text| {
                unescape(text).ok_or_else(|| Error::Escape {
                    origin: origin.clone(),
                })
            };
            let (key, value) = (read(key)?, read(value)?);
            properties.pairs.insert(key, Given { value, origin });
        }
        Ok(properties)
    }

    /// Sets one.
    pub fn set(&mut self, key: &str, value: &str) {
        let given = Given {
            value: value.to_owned(),
            origin: Origin::Caller,
        };
        self.pairs.insert(key.to_owned(), given);
    }

    /// Sets one from `key=value`, as a flag has it.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), Error> {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                self.set(key.trim(), value.trim());
                Ok(())
            }
            Some(_) | None => Err(Error::Pair(pair.to_owned())),
        }
    }

    /// Forgets one.
    pub fn remove(&mut self, key: &str) {
        self.pairs.remove(key);
    }

    /// One by its key.
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.pairs.get(key)
    }

    /// All, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.pairs.iter().map(|(key, given)| (key.as_str(), given))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{} line {line}", path.display()),
            Origin::Caller => f.write_str("given setting"),
        }
    }
}

const BLANK: [char; 3] = [' ', '\t', '\u{c}'];

/// An odd number of backslashes at the end.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Key and value, both still escaped: the key ends at the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (BLANK.contains(c) || matches!(c, '=' | ':'));
            escaped = !escaped && *c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(BLANK);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANK))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    // Java text is UTF-16: a character outside the first plane takes two escapes.
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    let flush = |units: &mut Vec<u16>, out: &mut String| {
        out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or('\u{fffd}')));
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let mut unit = 0_u16;
                for _ in 0..4 {
                    let digit = u16::try_from(chars.next()?.to_digit(16)?).ok()?;
                    unit = unit << 4 | digit;
                }
                units.push(unit);
            }
            Some(other) => {
                flush(&mut units, &mut out);
                out.push(match other {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    other => other,
                });
            }
            None => {}
        }
    }
    flush(&mut units, &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        Properties::parse(text, |_| Origin::Caller)
            .unwrap()
            .iter()
            .map(|(k, given)| (k.to_owned(), given.value.clone()))
            .collect()
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
        assert!(Properties::parse(r"a=\u12", |_| Origin::Caller).is_err());
    }

    #[test]
    fn a_later_line_replaces_an_earlier_one() {
        assert_eq!(parsed("a=1\na=2"), pair("a", "2"));
    }

    #[test]
    fn a_setting_knows_its_line() {
        let file = Arc::new(PathBuf::from("server.properties"));
        let origin = |line| Origin::File {
            path: Arc::clone(&file),
            line,
        };
        let properties = Properties::parse("\na=\\\n1\nb=2", origin).unwrap();
        assert_eq!(
            properties.get("b").unwrap().origin.to_string(),
            "server.properties line 4"
        );
    }
}
