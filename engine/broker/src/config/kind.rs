//! The types a setting's text can have, and whether a text fits one (Kafka's `ConfigDef`). It knows no setting by name.

/// A type and its bounds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean,
    /// 16 bits.
    Short(i16, i16),
    /// 32 bits.
    Int(i32, i32),
    /// 64 bits.
    Long(i64, i64),
    /// A decimal fraction.
    Double(f64, f64),
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One of these words, in any case.
    AnyCase(&'static [&'static str]),
    /// -1 for the codec's own default, or a level between the bounds.
    LevelOrDefault(i32, i32),
    /// Words separated by commas, each one of these; any when there are none.
    List(&'static [&'static str]),
    /// A secret: never shown.
    Password,
    /// A Java class name. There is no class to load, so only an empty one is harmless.
    Class,
}

/// Why a text does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is no value of the type at all.
    #[error("`{value}` is not {expected}")]
    Type {
        /// What was given.
        value: String,
        /// The type in words.
        expected: &'static str,
    },
    /// It is outside the bounds.
    #[error("{value} is outside {low}..={high}")]
    Range {
        /// What was given.
        value: String,
        /// The least allowed.
        low: String,
        /// The greatest allowed.
        high: String,
    },
    /// It is none of the allowed words.
    #[error("`{value}` is none of {allowed}")]
    Word {
        /// What was given.
        value: String,
        /// The allowed words, joined by commas.
        allowed: String,
    },
}

/// No bounds for an [`Kind::Int`].
pub(super) const INT: Kind = Kind::Int(i32::MIN, i32::MAX);
/// No bounds for a [`Kind::Long`].
pub(super) const LONG: Kind = Kind::Long(i64::MIN, i64::MAX);

/// At least `low`.
pub(super) const fn int(low: i32) -> Kind {
    Kind::Int(low, i32::MAX)
}

/// At least `low`.
pub(super) const fn long(low: i64) -> Kind {
    Kind::Long(low, i64::MAX)
}

impl Kind {
    /// Whether `text` fits, with blanks around it ignored as Kafka does.
    pub fn check(&self, text: &str) -> Result<(), Misfit> {
        let text = text.trim();
        match *self {
            Kind::Boolean => match parse_boolean(text) {
                Some(_) => Ok(()),
                None => Err(misfit(text, "true or false")),
            },
            Kind::Short(low, high) => number(text, low, high, "a whole number of 16 bits"),
            Kind::Int(low, high) => number(text, low, high, "a whole number of 32 bits"),
            Kind::Long(low, high) => number(text, low, high, "a whole number of 64 bits"),
            Kind::Double(low, high) => number(text, low, high, "a number"),
            Kind::LevelOrDefault(low, high) if text != "-1" => {
                number(text, low, high, "a whole number")
            }
            Kind::LevelOrDefault(..) | Kind::Text | Kind::Password | Kind::Class => Ok(()),
            Kind::Choice(words) => word(text, words),
            Kind::AnyCase(words) => word(&text.to_ascii_lowercase(), words),
            Kind::List([]) => Ok(()),
            Kind::List(words) => list(text).try_for_each(|item| word(item, words)),
        }
    }

    /// The text as Kafka would print the parsed value: without blanks, booleans in small letters.
    pub fn canonical(&self, text: &str) -> String {
        let text = text.trim();
        match self {
            Kind::Boolean => text.to_ascii_lowercase(),
            Kind::List(_) => list(text).collect::<Vec<_>>().join(","),
            Kind::Short(..)
            | Kind::Int(..)
            | Kind::Long(..)
            | Kind::Double(..)
            | Kind::Text
            | Kind::Choice(_)
            | Kind::AnyCase(_)
            | Kind::LevelOrDefault(..)
            | Kind::Password
            | Kind::Class => text.to_owned(),
        }
    }

    /// Whether values of this type are never shown.
    pub fn is_sensitive(&self) -> bool {
        matches!(self, Kind::Password)
    }

    /// Whether values can be appended to and subtracted from.
    pub fn is_list(&self) -> bool {
        matches!(self, Kind::List(_))
    }

    /// The number DescribeConfigs uses for this type (`DescribeConfigsResponse.ConfigType`).
    pub fn wire_id(&self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text | Kind::Choice(_) | Kind::AnyCase(_) => 2,
            Kind::Int(..) | Kind::LevelOrDefault(..) => 3,
            Kind::Short(..) => 4,
            Kind::Long(..) => 5,
            Kind::Double(..) => 6,
            Kind::List(_) => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// The type and its bounds in words, for the reference page.
    pub fn describe(&self) -> String {
        fn bounds<T: PartialEq + std::fmt::Display>(
            kind: &str,
            (low, high): (T, T),
            (min, max): (T, T),
        ) -> String {
            match (low == min, high == max) {
                (true, true) => kind.to_owned(),
                (false, true) => format!("{kind} >= {low}"),
                (true, false) => format!("{kind} <= {high}"),
                (false, false) => format!("{kind} {low} to {high}"),
            }
        }
        match *self {
            Kind::Boolean => "boolean".to_owned(),
            Kind::Short(low, high) => bounds("short", (low, high), (i16::MIN, i16::MAX)),
            Kind::Int(low, high) => bounds("int", (low, high), (i32::MIN, i32::MAX)),
            Kind::Long(low, high) => bounds("long", (low, high), (i64::MIN, i64::MAX)),
            Kind::Double(low, high) => bounds("double", (low, high), (f64::MIN, f64::MAX)),
            Kind::Text => "text".to_owned(),
            Kind::Choice(words) | Kind::AnyCase(words) => words.join(" or "),
            Kind::LevelOrDefault(low, high) => format!("int {low} to {high}, or -1"),
            Kind::List([]) => "list".to_owned(),
            Kind::List(words) => format!("list of {}", words.join(", ")),
            Kind::Password => "secret".to_owned(),
            Kind::Class => "class name".to_owned(),
        }
    }
}

/// The words of a list, without blanks and empty ones.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

pub(super) fn parse_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn number<T>(text: &str, low: T, high: T, expected: &'static str) -> Result<(), Misfit>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value: T = text.parse().map_err(|_| misfit(text, expected))?;
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(Misfit::Range {
            value: text.to_owned(),
            low: low.to_string(),
            high: high.to_string(),
        })
    }
}

fn word(text: &str, words: &[&str]) -> Result<(), Misfit> {
    if words.contains(&text) {
        Ok(())
    } else {
        Err(Misfit::Word {
            value: text.to_owned(),
            allowed: words.join(", "),
        })
    }
}

fn misfit(text: &str, expected: &'static str) -> Misfit {
    Misfit::Type {
        value: text.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_both_ends() {
        let kind = Kind::Int(1, 9);
        assert!(kind.check("1").is_ok());
        assert!(kind.check(" 9 ").is_ok());
        assert!(matches!(kind.check("10"), Err(Misfit::Range { .. })));
        assert!(matches!(kind.check("x"), Err(Misfit::Type { .. })));
        assert!(matches!(
            kind.check("99999999999"),
            Err(Misfit::Type { .. })
        ));
    }

    #[test]
    fn a_fraction_that_is_no_number_is_outside_every_bound() {
        assert!(Kind::Double(0.0, 1.0).check("NaN").is_err());
        assert!(Kind::Double(0.0, 1.0).check("0.5").is_ok());
    }

    #[test]
    fn lists_ignore_blanks_and_check_each_word() {
        let kind = Kind::List(&["compact", "delete"]);
        assert!(kind.check(" compact , delete").is_ok());
        assert!(kind.check("compact,shred").is_err());
        assert_eq!(kind.canonical(" compact , delete"), "compact,delete");
    }

    #[test]
    fn minus_one_stands_for_the_codecs_own_level() {
        let kind = Kind::LevelOrDefault(1, 9);
        assert!(kind.check("-1").is_ok());
        assert!(kind.check("0").is_err());
    }
}
