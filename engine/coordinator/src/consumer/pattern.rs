//! Patterns in the syntax of RE2, held against the names of topics. They come from clients: they are compiled by an engine
//! whose time is linear in what it reads, and within bounds.
//!
//! What is written in RE2 and in the engine's own syntax means the same but for a few places, which [`translate`] knows.
//! Names of topics are ASCII, so that the engine's Unicode classes are RE2's ASCII classes.

use super::change::Change;
use super::draft::Draft;
use super::group::{ConsumerGroup, list_bytes};
use crate::world::Topics;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::rc::Rc;
use std::str::Chars;

/// The longest pattern: the key of its record holds no longer one.
pub(super) const PATTERN_BYTES_MAX: usize = i16::MAX as usize;
/// Memory that a compiled pattern may take. It is given back when the topics are gone through.
const COMPILED_BYTES_MAX: usize = 4 << 20;
/// The most that a counted repetition may count (RE2).
const REPEATS_MAX: u32 = 1000;
/// Classes of characters by name.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The topics that match a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matched {
    /// Invariant: names ascend.
    pub(crate) topics: Rc<[Rc<str>]>,
    /// Version of the metadata that it was held against.
    pub(crate) version: i64,
    /// When it was held against them, in milliseconds since 1970.
    pub(crate) unix_ms: i64,
}

impl Matched {
    pub(crate) fn new<'n>(
        names: impl Iterator<Item = &'n str>,
        version: i64,
        unix_ms: i64,
    ) -> Self {
        let names = super::member::sorted(names);
        Self {
            topics: names.into_iter().map(Into::into).collect(),
            version,
            unix_ms,
        }
    }

    /// How much memory the names take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        list_bytes(&self.topics)
    }

    /// Whether the topic matches.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        self.topics
            .binary_search_by(|name| (**name).cmp(topic))
            .is_ok()
    }

    /// Holds the pattern against the topics as they stand. What is no pattern matches nothing.
    pub(crate) fn resolve(pattern: &str, topics: &dyn Topics, unix_ms: i64) -> Self {
        let mut names: Vec<Rc<str>> = Vec::new();
        match compile(pattern) {
            Ok(regex) => topics.each(&mut |topic| {
                if regex.is_match(topic.name) {
                    names.push(topic.name.into());
                }
            }),
            Err(error) => tracing::warn!(pattern, error, "pattern of a group cannot be read"),
        }
        names.sort_unstable();
        Self {
            topics: names.into(),
            version: i64::try_from(topics.version()).unwrap_or(i64::MAX),
            unix_ms,
        }
    }
}

/// Makes the pattern ready to be held against whole names.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!(
            "{} bytes exceed the {PATTERN_BYTES_MAX} allowed",
            pattern.len()
        ));
    }
    let translated = translate(pattern)?;
    RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
        .octal(true)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| {
            if matches!(error, regex::Error::CompiledTooBig(_)) {
                format!("compiled it takes more than the {COMPILED_BYTES_MAX} bytes allowed")
            } else {
                error.to_string()
            }
        })
}

/// Says in the engine's syntax what the pattern says in RE2's.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars().peekable();
    let mut depth = 0_usize;
    // Whether a repetition ended here: RE2 allows no second one upon it.
    let mut repeated = false;
    let mut names = Vec::new();
    while let Some(char) = rest.next() {
        let was_repeated = std::mem::take(&mut repeated);
        let count = (char == '{').then(|| repeat_count(&rest)).flatten();
        match char {
            '*' | '+' | '?' | '{' if char != '{' || count.is_some() => {
                if was_repeated {
                    return Err(format!("{char} repeats a repetition"));
                }
                out.push(char);
                if let Some(length) = count.transpose()? {
                    out.extend(rest.by_ref().take(length));
                }
                out.extend(rest.next_if_eq(&'?'));
                repeated = true;
            }
            // Where it counts nothing it is a brace.
            '{' => out.push_str(r"\{"),
            '\\' => escape(&mut rest, &mut out)?,
            '[' => class(&mut rest, &mut out)?,
            '(' => {
                depth += 1;
                out.push('(');
                if let Some(name) = group_name(&mut rest)? {
                    if names.contains(&name) {
                        return Err(format!("two groups are named {name}"));
                    }
                    names.push(name);
                } else {
                    flags(&rest)?;
                    out.extend(rest.next_if_eq(&'?'));
                }
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or(") closes nothing")?;
                out.push(')');
            }
            _ => out.push(char),
        }
    }
    Ok(out)
}

/// How many characters of a counted repetition follow its brace; nothing where it is no repetition.
fn repeat_count(rest: &Peekable<Chars<'_>>) -> Option<Result<usize, String>> {
    let text: String = rest.clone().take_while(|char| *char != '}').collect();
    if rest.clone().nth(text.len()) != Some('}') {
        return None;
    }
    let is_number = |text: &str| {
        let has_zero = text.len() > 1 && text.starts_with('0');
        !text.is_empty() && !has_zero && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (min, max) = match text.split_once(',') {
        Some((min, max)) => (min, Some(max).filter(|max| !max.is_empty())),
        None => (&*text, Some(&*text)),
    };
    if !is_number(min) || !max.is_none_or(is_number) {
        return None;
    }
    let number = |text: &str| text.parse().unwrap_or(u32::MAX);
    let (min, max) = (number(min), max.map_or(number(min), number));
    if min > max || max > REPEATS_MAX {
        return Some(Err(format!(
            "{{{text}}} counts downwards or beyond {REPEATS_MAX}"
        )));
    }
    Some(Ok(text.len() + 1))
}

/// The name of a group, if it has one, of which the parenthesis is read. The engine need not know it.
fn group_name(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, String> {
    let mut ahead = rest.clone();
    if ahead.next() != Some('?') {
        return Ok(None);
    }
    ahead.next_if_eq(&'P');
    if ahead.next() != Some('<') {
        return Ok(None);
    }
    let name: String = ahead
        .by_ref()
        .take_while(|char| char.is_ascii_alphanumeric() || *char == '_')
        .collect();
    // The character that ended the name is read: only the one that closes it may have.
    let read = rest.clone().count() - ahead.clone().count();
    let ended_by = rest.clone().nth(read.saturating_sub(1));
    if name.is_empty() || ended_by != Some('>') {
        return Err("name of a group is not a word".to_owned());
    }
    *rest = ahead;
    Ok(Some(name))
}

/// Flags that only the engine has are refused.
fn flags(rest: &Peekable<Chars<'_>>) -> Result<(), String> {
    let mut ahead = rest.clone();
    if ahead.next() != Some('?') {
        return Ok(());
    }
    let flags = ahead.take_while(|char| !matches!(char, ':' | ')'));
    for flag in flags {
        if !matches!(flag, 'i' | 'm' | 's' | 'U' | '-') {
            return Err(format!("{flag} is no flag"));
        }
    }
    Ok(())
}

/// What follows a backslash outside of brackets.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    if rest.next_if_eq(&'Q').is_some() {
        loop {
            match rest.next() {
                None => return Ok(()),
                Some('\\') if rest.next_if_eq(&'E').is_some() => return Ok(()),
                Some(char) => literal(char, out),
            }
        }
    }
    escaped(rest, out)
}

/// What follows a backslash anywhere.
fn escaped(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let Some(char) = rest.next() else {
        return Err(r"\ ends the pattern".to_owned());
    };
    match char {
        '1'..='7' if !rest.peek().is_some_and(|next| ('0'..='7').contains(next)) => {
            Err(format!(r"\{char} refers back"))
        }
        'u' | 'U' | '8' | '9' => Err(format!(r"\{char} is no escape")),
        'p' | 'P' | 'x' if rest.next_if_eq(&'{').is_some() => {
            let is_negated = char != 'x' && rest.next_if_eq(&'^').is_some();
            out.push('\\');
            out.push(match char {
                'p' if is_negated => 'P',
                'P' if is_negated => 'p',
                char => char,
            });
            out.push('{');
            for char in rest.by_ref() {
                out.push(char);
                if char == '}' {
                    break;
                }
            }
            Ok(())
        }
        // The engine has word boundaries by these.
        '<' | '>' => {
            out.push(char);
            Ok(())
        }
        _ => {
            out.push('\\');
            out.push(char);
            Ok(())
        }
    }
}

/// A character that means itself.
fn literal(char: char, out: &mut String) {
    if char.is_ascii_punctuation() && !matches!(char, '<' | '>') {
        out.push('\\');
    }
    out.push(char);
}

/// What follows an opening bracket, up to the one that closes it. Classes have neither classes in them nor operators
/// between them, as the engine's have.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    out.extend(rest.next_if_eq(&'^'));
    let mut is_first = true;
    // Whether a class ended here: no range begins with one.
    let mut was_class = false;
    loop {
        let Some(char) = rest.next() else {
            return Err("[ is not closed".to_owned());
        };
        let mut is_class = char == '[';
        match char {
            ']' if !is_first => {
                out.push(']');
                return Ok(());
            }
            '[' if rest.peek() == Some(&':') => named_class(rest, out)?,
            '\\' => {
                let class = |next: &char| "dDsSwWpP".contains(*next);
                is_class = rest.peek().is_some_and(class);
                escaped(rest, out)?;
            }
            // A hyphen between two characters makes a range of them.
            '-' if !is_first && !was_class && rest.peek() != Some(&']') => {
                out.push('-');
                match rest.next() {
                    Some('\\') => escaped(rest, out)?,
                    Some(end) => literal(end, out),
                    None => {}
                }
            }
            _ => literal(char, out),
        }
        is_first = false;
        was_class = is_class;
    }
}

/// `[:name:]`, of which the opening bracket is read.
fn named_class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let mut ahead = rest.clone();
    ahead.next();
    let name: String = ahead.by_ref().take_while(|char| *char != ':').collect();
    if ahead.next() != Some(']') {
        out.push_str(r"\[");
        return Ok(());
    }
    if !NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
        return Err(format!("[:{name}:] is no class"));
    }
    out.push_str("[:");
    out.push_str(&name);
    out.push_str(":]");
    *rest = ahead;
    Ok(())
}

/// What changes in a group when its patterns are held against the topics as they stand.
pub(super) fn again(group: &ConsumerGroup, topics: &dyn Topics, unix_ms: i64) -> Vec<Change> {
    let mut matched = BTreeMap::new();
    for (pattern, before) in &group.patterns {
        let now = Matched::resolve(pattern, topics, unix_ms);
        if now.topics != before.topics {
            matched.insert(pattern.clone(), now);
        }
    }
    let mut changes: Vec<Change> = matched
        .iter()
        .map(|(pattern, matched)| Change::Pattern(pattern.clone(), Some(matched.clone())))
        .collect();
    if !changes.is_empty() {
        let draft = Draft {
            group,
            topics,
            member: None,
            replaced: None,
            gone: &[],
            matched,
        };
        let epoch = group.epoch.saturating_add(1);
        changes.push(Change::Epoch(Some((epoch, draft.metadata_hash()))));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by RE2/J 1.8, which Kafka 4.1 uses: `tests/golden/README.md`.
    #[test]
    fn a_pattern_matches_what_it_matches_for_kafka() {
        let golden = include_str!("../../tests/golden/patterns.txt");
        let mut lines = golden.lines();
        let names: Vec<&str> = lines.next().unwrap().split(' ').collect();
        let mut patterns = 0;
        for line in lines {
            let (verdict, pattern) = line.split_once('\t').unwrap();
            let found = match compile(pattern) {
                Err(_) => "invalid".to_owned(),
                Ok(regex) => names
                    .iter()
                    .map(|name| if regex.is_match(name) { '1' } else { '0' })
                    .collect(),
            };
            assert_eq!(found, verdict, "{pattern}");
            patterns += 1;
        }
        assert!(patterns > 100, "{patterns}");
    }

    #[test]
    fn a_pattern_that_would_take_too_much_is_refused() {
        assert!(compile(r"(\pL{1000}){1000}").is_err());
        assert!(compile(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        assert!(compile(&"(".repeat(5000)).is_err());
        assert!(compile(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    }
}
