//! One line of the catalog: a setting's name, type, default and what becomes of it here. The lines themselves are in
//! `topics` and `brokers`.

use crate::config::kind::Kind;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Kafka's name, or ours under `highwater.`.
    pub name: &'static str,
    /// Type and bounds.
    pub kind: Kind,
    /// The value when nobody sets it; `None` where Kafka's is null.
    pub default: Option<&'static str>,
    /// Whether it can be changed while the broker runs, and how wide. Topic settings always can.
    pub update: Update,
    /// What setting it does.
    pub effect: Effect,
    /// The broker settings that give a topic setting its default, most specific first. Empty for broker settings, but for
    /// those that Kafka lists as each other's synonyms.
    pub synonyms: &'static [Synonym],
    /// What it means, in a sentence or two.
    pub doc: &'static str,
}

/// Another name that supplies a value, and what one of its units is worth in units of the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker setting's name.
    pub name: &'static str,
    /// 1, or 60,000 for minutes in milliseconds and so on.
    pub factor: i64,
}

/// When a setting can change (`DynamicBrokerConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// At any time, for one broker or for all.
    Dynamic,
}

/// What setting an entry does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What its documentation says.
    Obeyed,
    /// It is kept and shown, and does nothing until the feature it belongs to is there.
    Waits(Feature),
    /// It is kept and shown, and has nothing to act on: the reason says why.
    Idle(&'static str),
    /// Any value but the default stops the start: to ignore it silently would be unsafe.
    Refused(&'static str),
}

/// Features that have settings in Kafka and are not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// More than one node.
    Replication,
    /// Transactions.
    Transactions,
    /// Share groups.
    ShareGroups,
    /// Streams groups.
    StreamsGroups,
    /// Tiered storage.
    TieredStorage,
    /// Client quotas.
    Quotas,
    /// Snapshots of the metadata log.
    MetadataSnapshots,
    /// Metrics export.
    Metrics,
}

impl Feature {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Feature::Replication => "replication",
            Feature::Transactions => "transactions",
            Feature::ShareGroups => "share groups",
            Feature::StreamsGroups => "streams groups",
            Feature::TieredStorage => "tiered storage",
            Feature::Quotas => "quotas",
            Feature::MetadataSnapshots => "metadata snapshots",
            Feature::Metrics => "metrics export",
        }
    }
}

impl Entry {
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Entry {
        Entry {
            name,
            kind,
            default: None,
            update: Update::ReadOnly,
            effect: Effect::Obeyed,
            synonyms: &[],
            doc,
        }
    }

    pub(super) const fn default(mut self, text: &'static str) -> Entry {
        self.default = Some(text);
        self
    }

    pub(super) const fn dynamic(mut self) -> Entry {
        self.update = Update::Dynamic;
        self
    }

    pub(super) const fn waits(mut self, feature: Feature) -> Entry {
        self.effect = Effect::Waits(feature);
        self
    }

    pub(super) const fn idle(mut self, reason: &'static str) -> Entry {
        self.effect = Effect::Idle(reason);
        self
    }

    pub(super) const fn refused(mut self, reason: &'static str) -> Entry {
        self.effect = Effect::Refused(reason);
        self
    }

    pub(super) const fn from(mut self, synonyms: &'static [Synonym]) -> Entry {
        self.synonyms = synonyms;
        self
    }
}

/// A synonym in the same unit.
pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// A synonym in minutes.
pub(super) const fn minutes(name: &'static str) -> Synonym {
    Synonym {
        name,
        factor: 60_000,
    }
}

/// A synonym in hours.
pub(super) const fn hours(name: &'static str) -> Synonym {
    Synonym {
        name,
        factor: 3_600_000,
    }
}
