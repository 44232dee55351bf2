//! Which version of each API to speak with one broker: the highest both sides know.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use highwater_wire::ApiKey;

use crate::error::{Error, ErrorKind, Result};

/// What a broker said it speaks, by API number; keys this client does not know are kept out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    apis: BTreeMap<i16, (i16, i16)>,
    /// The features that the whole cluster has turned on, each at its level (KIP-584).
    features: BTreeMap<String, i16>,
}

impl Versions {
    pub(crate) fn new(ranges: impl IntoIterator<Item = (i16, i16, i16)>) -> Self {
        let ranges = ranges.into_iter();
        Self {
            apis: ranges.map(|(api, min, max)| (api, (min, max))).collect(),
            features: BTreeMap::new(),
        }
    }

    /// The same, with features of the cluster.
    pub(crate) fn with_features<'a>(
        mut self,
        features: impl IntoIterator<Item = (&'a str, i16)>,
    ) -> Self {
        let features = features.into_iter();
        self.features = features
            .map(|(name, level)| (name.to_owned(), level))
            .collect();
        self
    }

    /// The level of a feature that the cluster has turned on; 0 when it has not, or does not say.
    pub(crate) fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The version to speak, of those in `ours`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] when there is none.
    pub(crate) fn pick(&self, api: ApiKey, ours: &RangeInclusive<i16>) -> Result<i16> {
        let have = self.apis.get(&api.id()).copied();
        let picked = have.and_then(|(min, max)| {
            let version = max.min(*ours.end());
            (version >= min.max(*ours.start())).then_some(version)
        });
        picked.ok_or_else(|| {
            let need = (*ours.start(), *ours.end());
            let message = match have {
                Some((min, max)) => format!(
                    "broker speaks {api} {min} to {max}, need one of {} to {}",
                    need.0, need.1
                ),
                None => format!("broker does not speak {api}"),
            };
            Error::new(
                ErrorKind::Unsupported {
                    api: api.name(),
                    need,
                    have,
                },
                message,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_both_know_is_spoken() {
        let versions = Versions::new([(0, 3, 11), (1, 4, 16), (3, 8, 9)]);
        assert_eq!(versions.pick(ApiKey::Produce, &(3..=13)).unwrap(), 11);
        assert_eq!(versions.pick(ApiKey::Fetch, &(4..=12)).unwrap(), 12);
        let error = versions.pick(ApiKey::Metadata, &(0..=7)).unwrap_err();
        assert_eq!(
            error.kind(),
            &ErrorKind::Unsupported {
                api: "Metadata",
                need: (0, 7),
                have: Some((8, 9))
            }
        );
        assert!(versions.pick(ApiKey::CreateTopics, &(2..=7)).is_err());
    }
}
