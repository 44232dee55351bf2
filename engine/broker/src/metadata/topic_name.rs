//! Which names a topic can have (`Topic.java`). It does not know which topics there are.

/// The longest name.
pub(crate) const LENGTH_MAX: usize = 249;

/// Why a name cannot be a topic's. The texts are those Kafka's users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// No characters.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// The names of directories that every directory has.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    /// Longer than 249 characters.
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {LENGTH_MAX}"
    )]
    Long(String),
    /// Other characters than those allowed.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// Whether `name` can be a topic's.
pub(crate) fn check(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::Empty);
    }
    if matches!(name, "." | "..") {
        return Err(Invalid::Dots(name.to_owned()));
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    {
        return Err(Invalid::Characters(shortened(name)));
    }
    if name.len() > LENGTH_MAX {
        return Err(Invalid::Long(shortened(name)));
    }
    Ok(())
}

/// Whether two names are one in a metric, where `.` becomes `_`.
pub(crate) fn collides(a: &str, b: &str) -> bool {
    a != b && a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| unify(a) == unify(b))
}

fn unify(byte: u8) -> u8 {
    if byte == b'.' { b'_' } else { byte }
}

/// A hostile name can be long; its beginning says enough.
fn shortened(name: &str) -> String {
    name.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in [
            "a",
            "A.b_c-9",
            "...",
            "__consumer_offsets",
            &"x".repeat(249),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(250)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dot_and_an_underscore_collide() {
        assert!(collides("a.b", "a_b"));
        assert!(!collides("a.b", "a.b"));
        assert!(!collides("a-b", "a_b"));
        assert!(!collides("a.b", "a_bc"));
    }
}
