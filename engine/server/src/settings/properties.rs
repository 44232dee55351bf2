//! Settings as text, each with the place it was given at: a properties file, a flag, or code. It knows no setting by name.

use std::collections::BTreeMap;
use std::fmt;
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

impl Properties {
    /// Nothing set.
    pub fn new() -> Properties {
        Properties::default()
    }

    /// A file's settings.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::TooLong`], [`Error::Escape`].
    pub fn read(path: &Path) -> Result<Properties, Error> {
        let file = Arc::new(path.to_owned());
        let origin = |line| Origin::File {
            path: Arc::clone(&file),
            line,
        };
        let pairs = highwater_properties::read(path).map_err(|error| match error {
            highwater_properties::Error::Io(source) => Error::Io {
                path: path.to_owned(),
                source,
            },
            highwater_properties::Error::TooLong => Error::TooLong {
                path: path.to_owned(),
                limit: highwater_properties::FILE_BYTES_MAX,
            },
            highwater_properties::Error::Escape(escape) => Error::Escape {
                origin: origin(escape.line),
            },
        })?;
        Ok(Properties::of(pairs, origin))
    }

    /// A text's settings; `origin` says where line n is.
    ///
    /// # Errors
    /// [`Error::Escape`].
    pub fn parse(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Properties, Error> {
        let pairs = highwater_properties::parse(text).map_err(|escape| Error::Escape {
            origin: origin(escape.line),
        })?;
        Ok(Properties::of(pairs, origin))
    }

    fn of(pairs: Vec<highwater_properties::Pair>, origin: impl Fn(usize) -> Origin) -> Properties {
        let given = pairs.into_iter().map(|pair| {
            let given = Given {
                value: pair.value,
                origin: origin(pair.line),
            };
            (pair.key, given)
        });
        Properties {
            pairs: given.collect(),
        }
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

    #[test]
    fn a_later_line_replaces_an_earlier_one() {
        assert_eq!(parsed("a=1\na=2"), [("a".to_owned(), "2".to_owned())]);
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
        let error = Properties::parse("a=\\u12", origin).unwrap_err();
        assert!(error.to_string().starts_with("server.properties line 1:"));
    }
}
