//! Settings from environment variables: `KAFKA_BOOTSTRAP_SERVERS` is `bootstrap.servers`.
//!
//! Variables that begin with `HIGHWATER_` are meant for this client, so an unknown one is an error. Those that begin with
//! `KAFKA_` may be meant for others (a broker's scripts, the service links of a container), so an unknown one is passed over
//! with a warning.

use std::ffi::OsString;

use super::keys::{self, IGNORED};
use crate::error::{Error, Result};

const OURS: &str = "HIGHWATER_";
const KAFKAS: &str = "KAFKA_";

/// The settings among `variables`.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) for a variable of ours that is no setting, or is no Unicode.
pub(crate) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(&'static str, String)>> {
    let mut settings = Vec::new();
    for (variable, value) in variables {
        let Some(variable) = variable.to_str() else {
            continue;
        };
        let (is_ours, name) = match (variable.strip_prefix(OURS), variable.strip_prefix(KAFKAS)) {
            (Some(name), _) => (true, name),
            (None, Some(name)) => (false, name),
            (None, None) => continue,
        };
        let Some(setting) = setting(name).or_else(|| setting(variable)) else {
            let nearest = variable_of(keys::nearest(&name.replace('_', ".")));
            if is_ours {
                let why = format!("unknown variable {variable}, nearest is {OURS}{nearest}");
                return Err(Error::config(why));
            }
            tracing::warn!(variable, nearest = %format!("{KAFKAS}{nearest}"), "variable is no setting");
            continue;
        };
        match value.into_string() {
            Ok(value) => settings.push((setting, value)),
            Err(_) => return Err(Error::config(format!("{variable} is no Unicode text"))),
        }
    }
    // The environment has no order; errors should have one.
    settings.sort_unstable();
    Ok(settings)
}

fn setting(variable: &str) -> Option<&'static str> {
    let ignored = IGNORED.iter().map(|(name, _)| *name);
    keys::names()
        .chain(ignored)
        .find(|name| variable_of(name) == variable)
}

fn variable_of(name: &str) -> String {
    name.to_ascii_uppercase().replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(variables: &[(&str, &str)]) -> Result<Vec<(&'static str, String)>> {
        let variables = variables.iter();
        read(variables.map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn a_variable_is_its_setting_with_underscores() {
        let found = read_all(&[
            ("PATH", "/bin"),
            ("KAFKA_BOOTSTRAP_SERVERS", "a:1"),
            ("HIGHWATER_MAX_POLL_INTERVAL_MS", "5"),
            ("HIGHWATER_FETCH_BUFFER_MEMORY", "6"),
            ("KAFKA_METADATA_BROKER_LIST", "a:1"),
        ]);
        let expected = [
            ("bootstrap.servers", "a:1"),
            ("highwater.fetch.buffer.memory", "6"),
            ("max.poll.interval.ms", "5"),
            ("metadata.broker.list", "a:1"),
        ];
        assert_eq!(found.unwrap(), expected.map(|(k, v)| (k, v.to_owned())));
    }

    #[test]
    fn an_unknown_variable_is_an_error_where_it_can_only_be_meant_for_us() {
        assert!(
            read_all(&[("KAFKA_SERVICE_PORT", "9092")])
                .unwrap()
                .is_empty()
        );
        let error = read_all(&[("HIGHWATER_LINGER", "5")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown variable HIGHWATER_LINGER, nearest is HIGHWATER_LINGER_MS"
        );
    }
}
