//! Who says what about a setting: the topic, this broker, all brokers, the file the broker was started with, or nobody.
//! Which layer wins is decided here and nowhere else (`DynamicBrokerConfig`, `ConfigHelper`).
//!
//! ```text
//!   topic override > broker (dynamic) > all brokers (dynamic) > started with > default
//! ```

use std::collections::BTreeMap;

use crate::config::entry::{Entry, Synonym};
use crate::config::kind::parse_boolean;

/// What was set, as it was written.
pub type Overrides = BTreeMap<String, String>;

/// The layers that can say something, the strongest first.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Set on the topic.
    pub topic: Option<&'a Overrides>,
    /// Set on this broker while it runs.
    pub node: Option<&'a Overrides>,
    /// Set on all brokers while they run.
    pub cluster: Option<&'a Overrides>,
    /// What this broker was started with.
    pub statics: Option<&'a Overrides>,
}

/// Where a value comes from, with the number DescribeConfigs uses (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on this broker while it runs.
    DynamicBroker = 2,
    /// Set on all brokers while they run.
    DynamicDefault = 3,
    /// What the broker was started with.
    Static = 4,
    /// The catalog's default.
    Default = 5,
    /// Set on the group.
    Group = 8,
}

impl Source {
    /// The number on the wire.
    pub fn wire_id(self) -> i8 {
        self as i8
    }
}

/// One place that has a value for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The name under which the value was given: the setting's own or a synonym's.
    pub name: &'static str,
    /// The value as it was given, in the unit of that name.
    pub given: String,
    /// The value in the unit of the setting asked for.
    pub value: String,
    /// The layer.
    pub source: Source,
}

impl<'a> Layers<'a> {
    /// Nothing but what the broker was started with.
    pub fn statics(statics: &'a Overrides) -> Layers<'a> {
        Layers {
            topic: None,
            node: None,
            cluster: None,
            statics: Some(statics),
        }
    }

    /// Every place that has a value for `entry`, the one in force first. Values that do not fit the setting's type are
    /// passed over: they were checked when they were set, so such a one comes from a foreign metadata log.
    pub fn all(&self, entry: &'static Entry) -> impl Iterator<Item = InForce> + use<'a> {
        let is_topic = is_topic(entry);
        let own = [Synonym {
            name: entry.name,
            factor: 1,
        }];
        // A topic setting's own name means nothing to the broker's layers unless it is also listed as a synonym.
        let names: Vec<Synonym> = match (is_topic, entry.synonyms) {
            (true, synonyms) => synonyms.to_vec(),
            (false, []) => own.to_vec(),
            (false, synonyms) => synonyms
                .iter()
                .copied()
                .skip_while(|synonym| synonym.name != entry.name)
                .collect(),
        };
        let scale = names
            .iter()
            .find(|synonym| synonym.name == entry.name)
            .map_or(1, |synonym| synonym.factor);
        let topic = self.topic;
        let broker = [
            (self.node, Source::DynamicBroker),
            (self.cluster, Source::DynamicDefault),
            (self.statics, Source::Static),
        ];
        let of_topic = topic
            .and_then(|layer| layer.get(entry.name))
            .map(|text| (own[0], text.clone(), Source::Topic));
        let of_broker = broker.into_iter().flat_map(move |(layer, source)| {
            let names = names.clone();
            names.into_iter().filter_map(move |synonym| {
                let text = layer?.get(synonym.name)?;
                Some((synonym, text.clone(), source))
            })
        });
        // A topic's default is that of the broker setting behind it, and is called by its name, as Kafka does.
        let of_nobody = entry
            .synonyms
            .iter()
            .filter(|_| is_topic)
            .find_map(|synonym| {
                Some((
                    *synonym,
                    crate::config::brokers::find(synonym.name)?.default?,
                ))
            })
            .or_else(|| {
                let own = Synonym {
                    factor: scale,
                    ..own[0]
                };
                Some((own, entry.default?))
            })
            .map(|(synonym, text)| (synonym, text.to_owned(), Source::Default));
        of_topic
            .into_iter()
            .chain(of_broker)
            .chain(of_nobody)
            .filter_map(move |(synonym, given, source)| {
                let value = convert(&given, synonym.factor, scale)?;
                entry.kind.check(&value).is_ok().then_some(InForce {
                    name: synonym.name,
                    value: entry.kind.canonical(&value),
                    given,
                    source,
                })
            })
    }

    /// The value in force; `None` where nobody set one and the default is null.
    pub fn get(&self, entry: &'static Entry) -> Option<InForce> {
        self.all(entry).next()
    }

    /// The value in force as a number. `entry` must have a default.
    pub(super) fn number<T: std::str::FromStr>(&self, entry: Option<&'static Entry>) -> T {
        entry
            .and_then(|entry| self.get(entry))
            .and_then(|found| found.value.parse().ok())
            .expect("every numeric setting read by name has a default that fits its type")
    }

    /// The value in force as a boolean. `entry` must have a default.
    pub(super) fn boolean(&self, entry: Option<&'static Entry>) -> bool {
        entry
            .and_then(|entry| self.get(entry))
            .and_then(|found| parse_boolean(&found.value))
            .expect("every boolean setting read by name has a default that fits its type")
    }

    /// The value in force as text; empty where the default is null.
    pub(super) fn text(&self, entry: Option<&'static Entry>) -> String {
        entry
            .and_then(|entry| self.get(entry))
            .map(|found| found.value)
            .unwrap_or_default()
    }
}

fn is_topic(entry: &'static Entry) -> bool {
    crate::config::topics::find(entry.name).is_some_and(|found| std::ptr::eq(found, entry))
}

/// From units of `factor` into units of `scale`; negative values mean "no limit" in every unit.
fn convert(text: &str, factor: i64, scale: i64) -> Option<String> {
    if factor == scale {
        return Some(text.to_owned());
    }
    let number: i64 = text.trim().parse().ok()?;
    if number < 0 {
        return Some("-1".to_owned());
    }
    Some((number.saturating_mul(factor) / scale).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{brokers, topics};

    fn layer(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn retention() -> &'static Entry {
        topics::find("retention.ms").unwrap()
    }

    #[test]
    fn milliseconds_beat_minutes_and_minutes_beat_hours() {
        let mut statics = layer(&[("log.retention.hours", "2")]);
        let value = |statics: &Overrides| Layers::statics(statics).get(retention()).unwrap().value;
        assert_eq!(value(&statics), "7200000");
        statics.insert("log.retention.minutes".into(), "3".into());
        assert_eq!(value(&statics), "180000");
        statics.insert("log.retention.ms".into(), "5".into());
        assert_eq!(value(&statics), "5");
    }

    #[test]
    fn the_order_of_layers_is_topic_broker_all_brokers_file_default() {
        let topic = layer(&[("retention.ms", "1")]);
        let node = layer(&[("log.retention.ms", "2")]);
        let cluster = layer(&[("log.retention.ms", "3")]);
        let statics = layer(&[("log.retention.hours", "4")]);
        let layers = Layers {
            topic: Some(&topic),
            node: Some(&node),
            cluster: Some(&cluster),
            statics: Some(&statics),
        };
        let all: Vec<_> = layers
            .all(retention())
            .map(|f| (f.name, f.value, f.source))
            .collect();
        assert_eq!(
            all,
            [
                ("retention.ms", "1".to_owned(), Source::Topic),
                ("log.retention.ms", "2".to_owned(), Source::DynamicBroker),
                ("log.retention.ms", "3".to_owned(), Source::DynamicDefault),
                ("log.retention.hours", "14400000".to_owned(), Source::Static),
                (
                    "log.retention.hours",
                    "604800000".to_owned(),
                    Source::Default
                ),
            ]
        );
    }

    #[test]
    fn no_limit_stays_no_limit_in_every_unit() {
        let statics = layer(&[("log.retention.hours", "-1")]);
        assert_eq!(
            Layers::statics(&statics).get(retention()).unwrap().value,
            "-1"
        );
    }

    #[test]
    fn a_topics_name_in_the_brokers_file_means_nothing() {
        let statics = layer(&[("retention.ms", "7")]);
        assert_eq!(
            Layers::statics(&statics).get(retention()).unwrap().source,
            Source::Default
        );
    }

    #[test]
    fn a_broker_setting_shows_weaker_synonyms_behind_it() {
        let statics = layer(&[
            ("log.retention.ms", "60000"),
            ("log.retention.minutes", "9"),
        ]);
        let layers = Layers::statics(&statics);
        let ms: Vec<_> = layers
            .all(brokers::find("log.retention.ms").unwrap())
            .map(|f| f.name)
            .collect();
        assert_eq!(ms, ["log.retention.ms", "log.retention.minutes"]);
        let minutes = layers
            .get(brokers::find("log.retention.minutes").unwrap())
            .unwrap();
        assert_eq!(minutes.value, "9");
        let hours = layers
            .get(brokers::find("log.retention.hours").unwrap())
            .unwrap();
        assert_eq!(hours.value, "168");
    }

    #[test]
    fn a_value_that_does_not_fit_is_passed_over() {
        let topic = layer(&[("retention.ms", "soon")]);
        let layers = Layers {
            topic: Some(&topic),
            node: None,
            cluster: None,
            statics: None,
        };
        assert_eq!(layers.get(retention()).unwrap().source, Source::Default);
    }
}
