//! All calls there are, about topics `t`, `u`, groups `g`, `h` and some brokers, whatever comes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use highwater::admin::{AlterConfig, ConfigResource, MemberName, NewTopic, OffsetSpec};
use highwater::{Admin, Committed, TopicPartition};

/// A call's name, and what makes it, given the ids of the brokers to be asked for their configs.
pub(crate) type Call = (
    &'static str,
    fn(Admin, Brokers) -> Pin<Box<dyn Future<Output = ()>>>,
);

pub(crate) type Brokers = std::ops::Range<i32>;

macro_rules! calls {
    (|$brokers:ident| $($name:ident($($argument:expr),*)),* $(,)?) => {
        [$((stringify!($name), |admin: Admin, $brokers: Brokers| Box::pin(async move {
            let _ = $brokers;
            let _ = admin.$name($($argument),*).await;
        }))),*]
    };
}

pub(crate) const CALLS: [Call; 26] = calls![
    |brokers| create_topics(["t", "u", "v"].map(|name| NewTopic::new(name).partitions(2))),
    delete_topics(["v"]),
    delete_topics_by_id([uuid::Uuid::from_u128(5)]),
    list_topics(),
    describe_topics(["t", "u"]),
    describe_topics_by_id([uuid::Uuid::from_u128(5)]),
    describe_topic_partitions(["t", "u"]),
    create_partitions([("t", 3), ("u", 3)]),
    list_offsets(places().map(|place| (place, OffsetSpec::Latest))),
    epoch_ends(places().map(|place| (place, 0))),
    delete_records(places().map(|place| (place, None))),
    describe_producers(places()),
    describe_configs(resources(brokers.clone())),
    incremental_alter_configs(resources(brokers.clone()).map(|it| (it, vec![change()]))),
    alter_configs(resources(brokers.clone()).map(|it| (it, BTreeMap::new()))),
    list_config_resources([]),
    describe_cluster(),
    api_versions([]),
    describe_log_dirs([], None),
    list_groups(),
    describe_groups(["g", "h"]),
    delete_groups(["h", "i"]),
    group_offsets("g", None),
    alter_group_offsets("g", places().map(|place| (place, Committed::from(0)))),
    delete_group_offsets("g", &places().collect::<BTreeSet<_>>()),
    remove_group_members("g", [MemberName::Id("m".to_owned())]),
];

fn places() -> impl Iterator<Item = TopicPartition> {
    let places = [("t", 0), ("t", 1), ("u", 0), ("u", 1)];
    places
        .into_iter()
        .map(|(topic, it)| TopicPartition::new(topic, it))
}

/// Each of another broker, and one of any.
fn resources(brokers: Brokers) -> impl Iterator<Item = ConfigResource> {
    let brokers = brokers.map(ConfigResource::Broker);
    brokers.chain([ConfigResource::Topic("t".to_owned())])
}

fn change() -> AlterConfig {
    AlterConfig::Set("retention.ms".to_owned(), "1000".to_owned())
}
