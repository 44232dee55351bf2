//! Whether settings may be set: on a topic, on a broker while it runs. What a broker may be started with is `settings` of
//! the engine; here is what it has in common with those.

use crate::config::entry::{Effect, Entry, Update};
use crate::config::kind::Misfit;
use crate::config::layers::Overrides;
use crate::config::{brokers, topics};

/// Why settings may not be set. The message names the setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is no such setting.
    #[error("Unknown topic config name: {name}")]
    UnknownTopic {
        /// What was given.
        name: String,
    },
    /// There is no such setting.
    #[error("Unknown broker config name: {name}")]
    UnknownBroker {
        /// What was given.
        name: String,
    },
    /// There is no such setting.
    #[error("Unknown group config name: {name}")]
    UnknownGroup {
        /// What was given.
        name: String,
    },
    /// The value does not go with another setting, in words.
    #[error("{0}")]
    Bound(String),
    /// The value does not fit.
    #[error("Invalid value {value} for configuration {name}: {misfit}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given; hidden for secrets.
        value: String,
        /// Why not.
        misfit: Misfit,
    },
    /// The setting can only be given at the start.
    #[error("Cannot update these configs dynamically: {name}")]
    ReadOnly {
        /// The setting.
        name: String,
    },
    /// The setting would have to be ignored, and that is not safe.
    #[error("Configuration {name} cannot be set: {reason}")]
    Refused {
        /// The setting.
        name: String,
        /// What is missing.
        reason: &'static str,
    },
}

/// Whether these may be the overrides of a topic, as a whole.
pub fn check_topic(overrides: &Overrides) -> Result<(), Invalid> {
    for (name, value) in overrides {
        let entry =
            topics::find(name).ok_or_else(|| Invalid::UnknownTopic { name: name.clone() })?;
        check_value(entry, value)?;
    }
    Ok(())
}

/// Whether these may be the dynamic settings of one broker or of all.
pub fn check_broker(overrides: &Overrides) -> Result<(), Invalid> {
    for (name, value) in overrides {
        if brokers::is_protecting(name) {
            return Err(Invalid::Refused {
                name: name.clone(),
                reason: "security is not built yet, and ignoring the setting would leave open what it should close",
            });
        }
        let entry =
            brokers::find(name).ok_or_else(|| Invalid::UnknownBroker { name: name.clone() })?;
        match entry.update {
            Update::ReadOnly => return Err(Invalid::ReadOnly { name: name.clone() }),
            Update::Dynamic => check_value(entry, value)?,
        }
    }
    Ok(())
}

pub(super) fn check_value(entry: &'static Entry, value: &str) -> Result<(), Invalid> {
    if let Err(misfit) = entry.kind.check(value) {
        let value = if entry.kind.is_sensitive() {
            "[hidden]".to_owned()
        } else {
            value.to_owned()
        };
        return Err(Invalid::Value {
            name: entry.name,
            value,
            misfit,
        });
    }
    match entry.effect {
        Effect::Refused(reason) if Some(value.trim()) != entry.default => Err(Invalid::Refused {
            name: entry.name.to_owned(),
            reason,
        }),
        Effect::Refused(_) | Effect::Obeyed | Effect::Waits(_) | Effect::Idle(_) => Ok(()),
    }
}

/// What a log line should say about settings that are taken and do nothing yet.
pub fn warnings(overrides: &Overrides) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in overrides {
        let Some(entry) = topics::find(name) else {
            continue;
        };
        if let Effect::Waits(feature) = entry.effect {
            lines.push(format!(
                "{name}={value} has no effect until {} is there",
                feature.name()
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Overrides {
        Overrides::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn an_error_names_the_setting() {
        let error = check_topic(&one("retention.ms", "soon")).unwrap_err();
        assert!(error.to_string().contains("retention.ms"), "{error}");
        let error = check_topic(&one("retention.mss", "1")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Unknown topic config name: retention.mss"
        );
    }

    #[test]
    fn a_read_only_setting_cannot_be_changed_while_the_broker_runs() {
        assert!(matches!(
            check_broker(&one("listeners", "PLAINTEXT://:1")),
            Err(Invalid::ReadOnly { .. })
        ));
        assert_eq!(check_broker(&one("log.retention.ms", "5")), Ok(()));
    }

    #[test]
    fn tiered_storage_is_refused_and_its_default_is_not() {
        assert!(matches!(
            check_topic(&one("remote.storage.enable", "true")),
            Err(Invalid::Refused { .. })
        ));
        assert_eq!(check_topic(&one("remote.storage.enable", "false")), Ok(()));
    }

    #[test]
    fn a_setting_that_waits_for_its_feature_is_taken_with_a_warning() {
        let waiting = one("remote.log.copy.disable", "true");
        assert_eq!(check_topic(&waiting), Ok(()));
        assert_eq!(warnings(&waiting).len(), 1);
        assert!(warnings(&one("cleanup.policy", "compact")).is_empty());
        assert!(warnings(&one("retention.ms", "1")).is_empty());
    }
}
