//! What a member wants to read: topics by name, or by a pattern of names. Knows no cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// The longest pattern: a coordinator keeps none longer.
const PATTERN_BYTES_MAX: usize = i16::MAX as usize;
/// Memory that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// What a member is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topics {
    /// These; never none.
    Named(BTreeSet<Arc<str>>),
    /// Those that match, now or one day.
    Matching(Pattern),
}

impl Topics {
    /// Those that are named.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        match self {
            Self::Named(names) => Some(names),
            Self::Matching(_) => None,
        }
        .into_iter()
        .flatten()
    }

    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Named(_) => None,
            Self::Matching(pattern) => Some(pattern),
        }
    }
}

/// A regular expression for whole names of topics.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    source: Arc<str>,
    regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// # Errors
    ///
    /// What is wrong with the expression, or that it is too long.
    pub(crate) fn parse(source: &str) -> Result<Self> {
        if source.is_empty() || source.len() > PATTERN_BYTES_MAX {
            return Err(Error::config(format!(
                "pattern of topics has {} bytes, need 1 to {PATTERN_BYTES_MAX}",
                source.len()
            )));
        }
        // Names of topics are ASCII: this engine's classes and those of RE2, which coordinators use, are the same there.
        let regex = RegexBuilder::new(&format!("^(?:{source})$"))
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| Error::config(format!("pattern of topics {source:?}: {error}")))?;
        Ok(Self {
            source: source.into(),
            regex,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole name matches.
    pub(crate) fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let pattern = Pattern::parse("orders|pay.*").unwrap();
        let matching = ["orders", "pay", "payments"];
        assert!(matching.iter().all(|name| pattern.matches(name)));
        assert!(
            !["orders-2", "my-orders", "repay"]
                .iter()
                .any(|name| pattern.matches(name))
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        let error = Pattern::parse("a(").unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse(&"a".repeat(40_000)).is_err());
        assert!(
            Pattern::parse("(a{1000}){1000}").is_err(),
            "it would take too much memory"
        );
    }
}
