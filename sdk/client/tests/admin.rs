//! The administrator's calls against our own engine, in this process; or, with
//! `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

#[path = "support/host.rs"]
mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::admin::{
    AclOperation, Admin, AlterConfig, ConfigEntry, ConfigKind, ConfigResource, ConfigSource,
    GroupKind, GroupState, MemberName, NewPartitions, NewTopic, OffsetSpec, ResourceKind,
};
use highwater::{Client, Consumer, ErrorCode, ErrorKind, Isolation, Record, TopicPartition};

use host::{Host, unique};

const LONG: Duration = Duration::from_secs(30);

/// A cluster for one test.
struct Peer {
    client: Client,
    admin: Admin,
    host: Host,
}

impl Peer {
    async fn start() -> Self {
        let host = Host::start(&[]);
        let client = Client::builder(host.bootstrap()).connect().await.unwrap();
        Self {
            admin: client.admin(),
            client,
            host,
        }
    }

    async fn topic(&self, partitions: i32) -> String {
        let name = name();
        let wanted = NewTopic::new(&name).partitions(partitions);
        let created = self.admin.create_topics([wanted]).await.unwrap();
        assert_eq!(created[&name].as_ref().unwrap().partitions, partitions);
        name
    }

    async fn broker(&self) -> i32 {
        self.admin.describe_cluster().await.unwrap().brokers[0].id
    }

    /// Kafka's brokers hear of a change a little after its answer.
    async fn until(
        &self,
        resource: &ConfigResource,
        holds: impl Fn(&BTreeMap<String, ConfigEntry>) -> bool,
    ) -> BTreeMap<String, ConfigEntry> {
        for _ in 0..1000 {
            let described = self.admin.describe_configs([resource.clone()]);
            let mut described = described.synonyms(true).await.unwrap();
            let entries = described.remove(resource).unwrap().unwrap();
            let entries = entries.into_iter().map(|it| (it.name.clone(), it));
            let entries: BTreeMap<String, ConfigEntry> = entries.collect();
            if holds(&entries) {
                return entries;
            }
        }
        panic!("it never came about");
    }
}

fn name() -> String {
    unique("admin")
}

fn code<T: std::fmt::Debug>(result: &highwater::Result<T>) -> Option<ErrorCode> {
    result.as_ref().unwrap_err().code()
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn every_call_can_be_made_from_a_task_of_its_own() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let (admin, place) = (peer.admin.clone(), TopicPartition::new(topic.as_str(), 0));
    let all = is_send(async move {
        admin.api_versions([]).await?;
        admin.list_topics().await?;
        admin.describe_topics([&topic]).await?;
        admin.describe_topic_partitions([&topic]).await?;
        admin.list_groups().await?;
        admin
            .list_offsets([(place.clone(), OffsetSpec::Latest)])
            .await?;
        admin.epoch_ends([(place.clone(), 0)]).await?;
        admin.describe_producers([place.clone()]).await?;
        admin.delete_records([(place.clone(), None)]).await?;
        admin.group_offsets("nobody", None).await?;
        admin.delete_groups(["nobody"]).await?;
        admin.describe_groups(["nobody"]).await?;
        admin.describe_log_dirs([], Some(&[place].into())).await?;
        admin.delete_topics([&topic]).await
    });
    let deleted = tokio::spawn(all).await.unwrap().unwrap();
    assert!(deleted.values().all(Result::is_ok));
}

#[tokio::test]
async fn what_is_only_validated_does_not_happen() {
    let peer = Peer::start().await;
    let new = name();
    let checked = peer
        .admin
        .create_topics([NewTopic::new(&new).partitions(3)])
        .validate_only(true)
        .await
        .unwrap();
    assert_eq!(checked[&new].as_ref().unwrap().partitions, 3);
    let described = peer.admin.describe_topics([&new]).await.unwrap();
    assert_eq!(
        code(&described[&new]),
        Some(ErrorCode::UnknownTopicOrPartition)
    );

    let topic = peer.topic(2).await;
    let grown = peer.admin.create_partitions([(&topic, 4)]);
    assert!(grown.validate_only(true).await.unwrap()[&topic].is_ok());
    let shrunk = peer.admin.create_partitions([(&topic, 1)]);
    let shrunk = shrunk.validate_only(true).await.unwrap();
    assert_eq!(code(&shrunk[&topic]), Some(ErrorCode::InvalidPartitions));
    let described = peer.admin.describe_topics([&topic]).await.unwrap();
    assert_eq!(described[&topic].as_ref().unwrap().partitions.len(), 2);

    let resource = ConfigResource::Topic(topic);
    let set = AlterConfig::Set("retention.ms".to_owned(), "777".to_owned());
    let changed = peer
        .admin
        .incremental_alter_configs([(resource.clone(), vec![set])])
        .validate_only(true)
        .await
        .unwrap();
    assert!(changed[&resource].is_ok());
    let entries = peer.until(&resource, |_| true).await;
    assert_eq!(entries["retention.ms"].source, ConfigSource::Default);
}

#[tokio::test]
async fn partitions_go_to_the_brokers_that_were_named() {
    let peer = Peer::start().await;
    let broker = peer.broker().await;
    let name = name();
    let wanted = NewTopic::new(&name).assign([[broker], [broker]]);
    let created = peer.admin.create_topics([wanted]).await.unwrap();
    assert_eq!(created[&name].as_ref().unwrap().partitions, 2);
    let grown = [(&name, NewPartitions::to(3).assign([[broker]]))];
    let grown = peer.admin.create_partitions(grown).await.unwrap();
    assert!(grown[&name].is_ok());
    let described = peer.admin.describe_topics([&name]).await.unwrap();
    let described = described[&name].as_ref().unwrap();
    let replicas = described.partitions.iter().map(|it| it.replicas.clone());
    assert_eq!(replicas.collect::<Vec<_>>(), vec![vec![broker]; 3]);
    let nowhere = NewTopic::new(self::name()).assign([[broker + 1000]]);
    let refused = peer.admin.create_topics([nowhere]).await.unwrap();
    let refused = refused.values().next().unwrap();
    assert_eq!(code(refused), Some(ErrorCode::InvalidReplicaAssignment));
}

#[tokio::test]
async fn a_topic_is_found_and_deleted_by_its_id() {
    let peer = Peer::start().await;
    let name = peer.topic(1).await;
    let described = peer.admin.describe_topics([&name]).await.unwrap();
    let id = described[&name].as_ref().unwrap().id;
    let by_id = peer.admin.describe_topics_by_id([id]).await.unwrap();
    assert_eq!(by_id[&id].as_ref().unwrap().name, name);
    let deleted = peer.admin.delete_topics_by_id([id]).await.unwrap();
    assert!(deleted[&id].is_ok());
    let again = peer.admin.delete_topics_by_id([id]).await.unwrap();
    assert_eq!(code(&again[&id]), Some(ErrorCode::UnknownTopicId));
}

#[tokio::test]
async fn topics_are_described_page_by_page_as_all_at_once() {
    let peer = Peer::start().await;
    let (wide, narrow) = (peer.topic(60).await, peer.topic(1).await);
    let missing = name();
    let asked = [&wide, &narrow, &missing];
    let paged = peer.admin.describe_topic_partitions(asked).await.unwrap();
    let whole = peer.admin.describe_topics(asked).await.unwrap();
    for name in [&wide, &narrow] {
        let (paged, whole) = (paged[name].as_ref().unwrap(), whole[name].as_ref().unwrap());
        assert_eq!(paged.id, whole.id);
        let of = |it: &highwater::admin::PartitionDescription| (it.partition, it.leader);
        let paged: Vec<_> = paged.partitions.iter().map(of).collect();
        let whole: Vec<_> = whole.partitions.iter().map(of).collect();
        assert_eq!(paged, whole);
    }
    assert_eq!(
        code(&paged[&missing]),
        Some(ErrorCode::UnknownTopicOrPartition)
    );
    peer.admin.delete_topics([&wide, &narrow]).await.unwrap();
}

#[tokio::test]
async fn a_client_is_told_what_it_may_do_where_it_asks() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let cluster = peer.admin.describe_cluster().await.unwrap();
    assert_eq!(cluster.allowed, None);
    let asked = peer.admin.describe_cluster().allowed_operations(true);
    let allowed = asked.await.unwrap().allowed.unwrap();
    assert!(allowed.contains(AclOperation::Create));
    assert!(!allowed.contains(AclOperation::Read));
    let asked = peer.admin.describe_topics([&topic]);
    let described = asked.allowed_operations(true).await.unwrap();
    let allowed = described[&topic].as_ref().unwrap().allowed.unwrap();
    assert!(allowed.contains(AclOperation::Read));
    assert!(!allowed.contains(AclOperation::ClusterAction));
}

#[tokio::test]
async fn brokers_tell_what_they_speak() {
    let peer = Peer::start().await;
    let broker = peer.broker().await;
    let spoken = peer.admin.api_versions([]).await.unwrap();
    let spoken = spoken[&broker].as_ref().unwrap();
    let metadata = spoken.apis.iter().find(|it| it.name == Some("Metadata"));
    assert!(metadata.unwrap().versions.contains(&12));
    let version = spoken.features.iter().find(|it| it.name == "group.version");
    assert!(version.unwrap().supported.as_ref().unwrap().contains(&1));
    let nobody = peer.admin.clone().timeout(Duration::from_millis(300));
    let nobody = nobody.api_versions([broker + 1000]).await.unwrap();
    let error = nobody[&(broker + 1000)].as_ref().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Network);
}

#[tokio::test]
async fn configs_are_described_by_name_and_with_their_origin() {
    let peer = Peer::start().await;
    let resource = ConfigResource::Topic(peer.topic(1).await);
    let asked = peer.admin.describe_configs([resource.clone()]);
    let described = asked
        .only(["max.message.bytes"])
        .synonyms(true)
        .await
        .unwrap();
    let entries = described[&resource].as_ref().unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(
        (entry.name.as_str(), entry.kind),
        ("max.message.bytes", Some(ConfigKind::Int))
    );
    assert_eq!(
        entry.synonyms.last().unwrap().source,
        ConfigSource::Default,
        "{entry:?}"
    );
    let plain = peer.admin.describe_configs([resource.clone()]);
    let plain = plain.documentation(false).await.unwrap();
    let plain = plain[&resource].as_ref().unwrap();
    assert!(plain.len() > 1);
    let is_bare = |it: &ConfigEntry| it.documentation.is_none() && it.synonyms.is_empty();
    assert!(plain.iter().all(is_bare));
}

#[tokio::test]
async fn replacing_configs_undoes_what_is_not_named() {
    let peer = Peer::start().await;
    let name = name();
    let wanted = NewTopic::new(&name).config("retention.ms", "12345");
    peer.admin.create_topics([wanted]).await.unwrap();
    let resource = ConfigResource::Topic(name);
    let only = BTreeMap::from([("max.message.bytes".to_owned(), "54321".to_owned())]);
    let altered = peer.admin.alter_configs([(resource.clone(), only)]);
    assert!(altered.await.unwrap()[&resource].is_ok());
    let entries = peer
        .until(&resource, |it| {
            it["max.message.bytes"].source == ConfigSource::Topic
        })
        .await;
    assert_eq!(entries["max.message.bytes"].value.as_deref(), Some("54321"));
    assert_eq!(entries["retention.ms"].source, ConfigSource::Default);
}

#[tokio::test]
async fn resources_with_configs_are_listed_by_kind() {
    let peer = Peer::start().await;
    let topic = ConfigResource::Topic(peer.topic(1).await);
    let broker = ConfigResource::Broker(peer.broker().await);
    let topics = peer.admin.list_config_resources([ResourceKind::Topic]);
    let topics = topics.await.unwrap();
    assert!(topics.contains(&topic) && !topics.contains(&broker));
    let all = peer.admin.list_config_resources([]).await.unwrap();
    assert!(all.contains(&topic) && all.contains(&broker));
}

#[tokio::test]
async fn a_partition_knows_its_idempotent_producer_and_what_lies_on_the_disk() {
    let peer = Peer::start().await;
    let topic = peer.topic(2).await;
    let producer = peer.client.producer().build().await.unwrap();
    for _ in 0..3 {
        let record = Record::to(&topic).partition(0).value("v");
        producer.send(record).await.unwrap();
    }
    let places = [0, 1].map(|it| TopicPartition::new(topic.as_str(), it));
    let nowhere = TopicPartition::new(topic.as_str(), 7);
    let asked = places.iter().cloned().chain([nowhere.clone()]);
    let known = peer.admin.describe_producers(asked).await.unwrap();
    let known_at = |at: usize| known[&places[at]].as_ref().unwrap();
    assert_eq!(known_at(0).len(), 1);
    assert_eq!(
        (
            known_at(0)[0].last_sequence,
            known_at(0)[0].transaction_start
        ),
        (Some(2), None)
    );
    assert!(known_at(1).is_empty());
    assert_eq!(
        code(&known[&nowhere]),
        Some(ErrorCode::UnknownTopicOrPartition)
    );

    let broker = peer.broker().await;
    let wanted: BTreeSet<TopicPartition> = places.iter().cloned().collect();
    let dirs = peer.admin.describe_log_dirs([broker], Some(&wanted));
    let dirs = dirs.await.unwrap();
    let dirs = dirs[&broker].as_ref().unwrap();
    let logs: BTreeMap<_, _> = dirs.iter().flat_map(|it| it.logs.clone()).collect();
    assert_eq!(logs.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    assert!(logs[&places[0]].bytes > 0);
    assert_eq!(logs[&places[1]].bytes, 0);
    assert!(dirs.iter().all(|it| it.error.is_none()));
    let all = peer.admin.describe_log_dirs([], None).await.unwrap();
    let all = all[&broker].as_ref().unwrap();
    assert!(all.iter().any(|it| it.logs.contains_key(&places[1])));
}

#[tokio::test]
async fn an_epoch_ends_where_the_log_does_while_its_leader_leads() {
    let peer = Peer::start().await;
    let topic = peer.topic(1).await;
    let producer = peer.client.producer().build().await.unwrap();
    for _ in 0..4 {
        producer.send(Record::to(&topic).value("v")).await.unwrap();
    }
    let place = TopicPartition::new(topic.as_str(), 0);
    let latest = peer
        .admin
        .list_offsets([(place.clone(), OffsetSpec::Latest)])
        .isolation(Isolation::ReadCommitted)
        .await
        .unwrap();
    let latest = *latest[&place].as_ref().unwrap();
    assert_eq!(latest.offset, Some(4));
    let epoch = latest.leader_epoch.max(0);
    let ends = peer.admin.epoch_ends([(place.clone(), epoch)]);
    let end = ends.await.unwrap()[&place].as_ref().unwrap().unwrap();
    assert_eq!((end.leader_epoch, end.end_offset), (epoch, 4));
    let local = peer
        .admin
        .list_offsets([(place.clone(), OffsetSpec::EarliestLocal)])
        .await
        .unwrap();
    assert_eq!(local[&place].as_ref().unwrap().offset, Some(0));
    let tiered = peer
        .admin
        .list_offsets([(place.clone(), OffsetSpec::LatestTiered)])
        .await
        .unwrap();
    assert_eq!(tiered[&place].as_ref().unwrap().offset, None);
}

async fn joined(peer: &Peer, topic: &str, group: &str, instance: Option<&str>) -> Consumer {
    let builder = peer.client.consumer().group(group).subscribe([topic]);
    let builder = builder.configure(|config| {
        config.group.heartbeat_interval = Duration::from_millis(50);
        config.group.session_timeout = Duration::from_secs(6);
        config.group.instance_id = instance.map(str::to_owned);
    });
    let mut consumer = builder.build().await.unwrap();
    while consumer.assignment().is_empty() {
        let within = Duration::from_millis(50);
        let _ = tokio::time::timeout(within, consumer.next_batch()).await;
    }
    consumer
}

#[tokio::test]
async fn groups_are_listed_by_state_and_kind() {
    let peer = Peer::start().await;
    let (topic, group) = (peer.topic(1).await, name());
    let consumer = joined(&peer, &topic, &group, None).await;
    let described = peer.admin.describe_groups([&group]);
    let described = described.allowed_operations(true).await.unwrap();
    let described = described[&group].as_ref().unwrap();
    assert!(described.allowed.unwrap().contains(AclOperation::Delete));
    assert_eq!(described.kind, GroupKind::Classic);
    let listed = async |state: GroupState, kind: GroupKind| {
        let call = peer.admin.list_groups().states([state]).kinds([kind]);
        call.await.unwrap().iter().any(|it| it.id == group)
    };
    assert!(listed(GroupState::Stable, described.kind).await);
    assert!(!listed(GroupState::Empty, described.kind).await);
    assert!(!listed(GroupState::Stable, GroupKind::Consumer).await);
    consumer.shutdown(LONG).await.unwrap();
}

#[tokio::test]
async fn members_are_taken_out_of_their_group_by_either_name() {
    let peer = Peer::start().await;
    let (topic, group) = (peer.topic(1).await, name());
    // Of a static member nothing is told to the coordinator when it goes.
    let consumer = joined(&peer, &topic, &group, Some("one")).await;
    drop(consumer);
    let described = peer.admin.describe_groups([&group]).await.unwrap();
    let members = &described[&group].as_ref().unwrap().members;
    assert_eq!(members[0].instance_id.as_deref(), Some("one"));
    let one = MemberName::Instance("one".to_owned());
    let nobody = MemberName::Id("nobody".to_owned());
    let removed = peer
        .admin
        .remove_group_members(&group, [one.clone(), nobody.clone()])
        .reason("its machine burnt down")
        .await
        .unwrap();
    assert!(removed[&one].is_ok());
    assert_eq!(code(&removed[&nobody]), Some(ErrorCode::UnknownMemberId));
    let described = peer.admin.describe_groups([&group]).await.unwrap();
    assert!(described[&group].as_ref().unwrap().members.is_empty());
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_over() {
    let mut peer = Peer::start().await;
    let topic = peer.topic(1).await;
    // Another's cluster goes on.
    if !peer.host.stop() {
        return;
    }
    let call = peer.admin.describe_topics([&topic]);
    let error = call.timeout(Duration::from_millis(200)).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    let place = TopicPartition::new(topic.as_str(), 0);
    let short = peer.admin.clone().timeout(Duration::from_millis(200));
    let error = short.describe_producers([place]).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
}
