//! The settings of groups (Kafka's `GroupConfig.java`): what each group may say for itself, within the bounds that the
//! broker's settings draw. It knows no group.

use crate::config::entry::{Entry, Feature, same};
use crate::config::kind::{Kind, int};
use crate::config::layers::{InForce, Layers, Overrides, Source};
use crate::config::validation::Invalid;
use crate::config::{brokers, validation};

const AT_ONCE: &str = "an assignment is computed when something changes";

/// Every group setting, sorted by name. The default of each is the broker setting behind it.
pub static GROUPS: &[Entry] = &[
    group("consumer.assignment.interval.ms", int(0), "The least time between two assignments.")
        .default("1000").from(&[same("group.consumer.assignment.interval.ms")]).idle(AT_ONCE),
    group("consumer.heartbeat.interval.ms", int(1), "The heartbeat interval given to members of the consumer protocol.")
        .default("5000").from(&[same("group.consumer.heartbeat.interval.ms")]),
    group("consumer.session.timeout.ms", int(1), "How long a member of the consumer protocol may be silent.")
        .default("45000").from(&[same("group.consumer.session.timeout.ms")]),
    group("share.assignment.interval.ms", int(0), "The least time between two assignments.")
        .default("1000").from(&[same("group.share.assignment.interval.ms")]).waits(Feature::ShareGroups),
    group("share.auto.offset.reset", Kind::Text, "Where a share group begins: `latest`, `earliest` or `by_duration:` and an ISO 8601 duration.")
        .default("latest").waits(Feature::ShareGroups),
    group("share.heartbeat.interval.ms", int(1), "The heartbeat interval given to members of a share group.")
        .default("5000").from(&[same("group.share.heartbeat.interval.ms")]).waits(Feature::ShareGroups),
    group("share.isolation.level", Kind::Choice(&["read_committed", "read_uncommitted"]), "Whether records of transactions are offered before they are committed.")
        .default("read_uncommitted").waits(Feature::ShareGroups),
    group("share.record.lock.duration.ms", int(1000), "How long a record stays locked.")
        .default("30000").from(&[same("group.share.record.lock.duration.ms")]).waits(Feature::ShareGroups),
    group("share.session.timeout.ms", int(1), "How long a member of a share group may be silent.")
        .default("45000").from(&[same("group.share.session.timeout.ms")]).waits(Feature::ShareGroups),
    group("streams.heartbeat.interval.ms", int(1), "The heartbeat interval given to members of a streams group.")
        .default("5000").from(&[same("group.streams.heartbeat.interval.ms")]).waits(Feature::StreamsGroups),
    group("streams.initial.rebalance.delay.ms", int(0), "How long the first rebalance of an empty group waits for more members.")
        .default("3000").from(&[same("group.streams.initial.rebalance.delay.ms")]).waits(Feature::StreamsGroups),
    group("streams.num.standby.replicas", int(0), "How many standby replicas each task has.")
        .default("0").from(&[same("group.streams.num.standby.replicas")]).waits(Feature::StreamsGroups),
    group("streams.session.timeout.ms", int(1), "How long a member of a streams group may be silent.")
        .default("45000").from(&[same("group.streams.session.timeout.ms")]).waits(Feature::StreamsGroups),
];

const fn group(name: &'static str, kind: Kind, doc: &'static str) -> Entry {
    Entry::new(name, kind, doc).dynamic()
}

/// What bounds a setting: the broker settings with the least and the greatest value.
struct Bound {
    name: &'static str,
    least: Option<&'static str>,
    greatest: Option<&'static str>,
}

const BOUNDS: &[Bound] = &[
    between(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    between(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    between(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    between(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    between(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    between(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    between(
        "share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    between(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    Bound {
        name: "streams.num.standby.replicas",
        least: None,
        greatest: Some("group.streams.max.standby.replicas"),
    },
    between(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
];

const fn between(name: &'static str, least: &'static str, greatest: &'static str) -> Bound {
    Bound {
        name,
        least: Some(least),
        greatest: Some(greatest),
    }
}

/// The first must be greater than the second.
const LONGER: &[(&str, &str)] = &[
    (
        "consumer.session.timeout.ms",
        "consumer.heartbeat.interval.ms",
    ),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    (
        "streams.session.timeout.ms",
        "streams.heartbeat.interval.ms",
    ),
];

/// A group setting by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    GROUPS
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .and_then(|index| GROUPS.get(index))
}

/// The value in force of `entry` for a group that has set `own`, in a broker with `layers`.
pub fn in_force(entry: &'static Entry, own: Option<&Overrides>, layers: &Layers<'_>) -> InForce {
    let set = own.and_then(|own| own.get(entry.name));
    let (value, source) = match set {
        Some(text) if entry.kind.check(text).is_ok() => (entry.kind.canonical(text), Source::Group),
        _ => {
            let behind = entry.synonyms.first();
            let brokers = behind
                .and_then(|synonym| layers.get(brokers::find(synonym.name)?))
                .map(|found| found.value);
            let default = brokers.unwrap_or_else(|| entry.default.unwrap_or_default().to_owned());
            (default, Source::Default)
        }
    };
    InForce {
        name: entry.name,
        given: value.clone(),
        value,
        source,
    }
}

/// Whether these may be the settings of a group, as a whole, in a broker with `layers`.
pub fn check(own: &Overrides, layers: &Layers<'_>) -> Result<(), Invalid> {
    for (name, value) in own {
        let entry = find(name).ok_or_else(|| Invalid::UnknownGroup { name: name.clone() })?;
        validation::check_value(entry, value)?;
        if entry.name == "share.auto.offset.reset" && !is_beginning(value.trim()) {
            return Err(Invalid::Bound(
                "share.auto.offset.reset must be earliest, latest or by_duration: and a duration"
                    .to_owned(),
            ));
        }
    }
    let number = |name| number(in_force_of(name, own, layers));
    let limit = |name| number_of_broker(name, layers);
    for bound in BOUNDS {
        let value = number(bound.name);
        if let Some(least) = bound.least
            && value < limit(least)
        {
            return Err(Invalid::Bound(format!(
                "{} must be greater than or equal to {least}",
                bound.name
            )));
        }
        if let Some(greatest) = bound.greatest
            && value > limit(greatest)
        {
            return Err(Invalid::Bound(format!(
                "{} must be less than or equal to {greatest}",
                bound.name
            )));
        }
    }
    for (longer, shorter) in LONGER {
        if number(longer) <= number(shorter) {
            return Err(Invalid::Bound(format!(
                "{longer} must be greater than {shorter}"
            )));
        }
    }
    Ok(())
}

/// What contradicts itself among the broker's settings of groups, in words; empty when nothing does
/// (`GroupCoordinatorConfig`).
pub fn contradictions(layers: &Layers<'_>) -> Vec<(&'static str, String)> {
    let limit = |name| number_of_broker(name, layers);
    let mut found = Vec::new();
    for bound in BOUNDS {
        let name = find(bound.name)
            .and_then(|entry| entry.synonyms.first())
            .map_or(bound.name, |synonym| synonym.name);
        match (bound.least, bound.greatest) {
            (Some(least), Some(greatest)) if limit(least) > limit(greatest) => found.push((
                greatest,
                format!("{greatest} must be greater than or equal to {least}"),
            )),
            (Some(least), _) if limit(name) < limit(least) => found.push((
                name,
                format!("{name} must be greater than or equal to {least}"),
            )),
            (_, Some(greatest)) if limit(name) > limit(greatest) => found.push((
                name,
                format!("{name} must be less than or equal to {greatest}"),
            )),
            _ => {}
        }
    }
    for (longer, shorter) in LONGER {
        let of_broker = |name| find(name).and_then(|entry| Some(entry.synonyms.first()?.name));
        if let (Some(longer), Some(shorter)) = (of_broker(longer), of_broker(shorter))
            && limit(longer) <= limit(shorter)
        {
            found.push((shorter, format!("{shorter} must be less than {longer}")));
        }
    }
    let (least, greatest) = (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    );
    if limit(least) > limit(greatest) {
        found.push((
            greatest,
            format!("{greatest} must be greater than or equal to {least}"),
        ));
    }
    found
}

fn is_beginning(text: &str) -> bool {
    matches!(text, "earliest" | "latest")
        || text
            .strip_prefix("by_duration:")
            .is_some_and(|duration| duration.starts_with('P') && duration.len() <= 64)
}

fn in_force_of(name: &str, own: &Overrides, layers: &Layers<'_>) -> Option<InForce> {
    find(name).map(|entry| in_force(entry, Some(own), layers))
}

fn number_of_broker(name: &str, layers: &Layers<'_>) -> i64 {
    number(brokers::find(name).and_then(|entry| layers.get(entry)))
}

fn number(found: Option<InForce>) -> i64 {
    found
        .and_then(|found| found.value.parse().ok())
        .expect("every bounded setting has a default that is a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Overrides {
        Overrides::from([(name.to_owned(), value.to_owned())])
    }

    fn verdict(name: &str, value: &str) -> String {
        let statics = Overrides::new();
        match check(&one(name, value), &Layers::statics(&statics)) {
            Ok(()) => "ok".to_owned(),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn the_table_is_sorted_and_every_default_fits_and_is_the_brokers() {
        for pair in GROUPS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for entry in GROUPS {
            let default = entry.default.unwrap();
            assert_eq!(entry.kind.check(default), Ok(()), "{}", entry.name);
            for synonym in entry.synonyms {
                let broker =
                    brokers::find(synonym.name).unwrap_or_else(|| panic!("{}", synonym.name));
                assert_eq!(broker.default, entry.default, "{}", synonym.name);
            }
        }
        for bound in BOUNDS {
            assert!(find(bound.name).is_some());
            for name in bound.least.iter().chain(&bound.greatest) {
                assert!(brokers::find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_group_stays_within_the_bounds_of_the_broker() {
        assert_eq!(verdict("consumer.session.timeout.ms", "50000"), "ok");
        assert_eq!(
            verdict("consumer.session.timeout.ms", "5000"),
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"
        );
        assert_eq!(
            verdict("consumer.heartbeat.interval.ms", "16000"),
            "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms"
        );
        assert_eq!(verdict("foo", "1"), "Unknown group config name: foo");
        assert!(
            verdict("consumer.session.timeout.ms", "x").contains("consumer.session.timeout.ms")
        );
        assert_ne!(verdict("share.auto.offset.reset", "sometime"), "ok");
        assert_eq!(verdict("share.auto.offset.reset", "by_duration:PT1S"), "ok");
    }

    #[test]
    fn a_session_is_longer_than_a_heartbeat() {
        let statics = Overrides::from([(
            "group.consumer.min.session.timeout.ms".to_owned(),
            "1000".to_owned(),
        )]);
        let layers = Layers::statics(&statics);
        let error = check(&one("consumer.session.timeout.ms", "5000"), &layers).unwrap_err();
        assert_eq!(
            error.to_string(),
            "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms"
        );
    }

    #[test]
    fn what_a_group_does_not_say_is_the_brokers_setting() {
        let statics = one("group.consumer.session.timeout.ms", "46000");
        let layers = Layers::statics(&statics);
        let entry = find("consumer.session.timeout.ms").unwrap();
        let found = in_force(entry, None, &layers);
        assert_eq!(
            (found.value.as_str(), found.source),
            ("46000", Source::Default)
        );
        let own = one("consumer.session.timeout.ms", "47000");
        let found = in_force(entry, Some(&own), &layers);
        assert_eq!(
            (found.value.as_str(), found.source),
            ("47000", Source::Group)
        );
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let statics = Overrides::from([
            (
                "group.consumer.max.session.timeout.ms".to_owned(),
                "30000".to_owned(),
            ),
            (
                "group.min.session.timeout.ms".to_owned(),
                "9999999".to_owned(),
            ),
        ]);
        let found = contradictions(&Layers::statics(&statics));
        let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "group.consumer.max.session.timeout.ms",
                "group.max.session.timeout.ms"
            ]
        );
        assert!(contradictions(&Layers::statics(&Overrides::new())).is_empty());
    }
}
