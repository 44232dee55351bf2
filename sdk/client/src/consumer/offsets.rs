//! Where a consumer's partitions begin and end, and where its group is: questions to the cluster, not to what was fetched.

use std::collections::BTreeMap;

use super::Consumer;
use crate::admin::{ListedOffset, OffsetSpec};
use crate::error::{Result, TopicPartition};
use crate::group::Committed;

impl Consumer {
    /// The first record with this or a later timestamp, in milliseconds since 1970, for each partition; `None` where there is
    /// none. The partitions need not be assigned.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The first partition's that was refused, or a time-out.
    pub async fn offsets_for_times(
        &self,
        times: impl IntoIterator<Item = (TopicPartition, i64)>,
    ) -> Result<BTreeMap<TopicPartition, Option<ListedOffset>>> {
        let times = times.into_iter();
        let specs = times.map(|(place, at)| (place, OffsetSpec::Timestamp(at)));
        let listed = self.listed(specs.collect()).await?.into_iter();
        Ok(listed
            .map(|(place, listed)| (place, listed.offset.is_some().then_some(listed)))
            .collect())
    }

    /// The first offset that is there, for each partition. The partitions need not be assigned.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The first partition's that was refused, or a time-out.
    pub async fn beginning_offsets(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        self.ends(places, OffsetSpec::Earliest).await
    }

    /// The offset after the last record that this consumer may see, for each partition: the high watermark, or the last stable
    /// offset where it reads only what is committed. The partitions need not be assigned.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The first partition's that was refused, or a time-out.
    pub async fn end_offsets(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        self.ends(places, OffsetSpec::Latest).await
    }

    /// What the group has committed for these partitions; `None` where it has not committed anything.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The coordinator's code, a time-out, or that there is no group.
    pub async fn committed(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<Committed>>> {
        let places = places.into_iter().collect();
        self.membership()?.group.committed(&places).await
    }

    async fn ends(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        let places = places.into_iter().map(|place| (place, spec));
        let listed = self.listed(places.collect()).await?.into_iter();
        Ok(listed
            .filter_map(|(place, listed)| Some((place, listed.offset?)))
            .collect())
    }

    async fn listed(
        &self,
        specs: BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>> {
        let isolation = self.shared.config.isolation;
        let admin = self.shared.client.admin();
        let listed = admin.list_offsets(specs).isolation(isolation).await?;
        listed
            .into_iter()
            .map(|(place, listed)| Ok((place, listed?)))
            .collect()
    }
}
