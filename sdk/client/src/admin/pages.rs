//! Topics described page by page, with what metadata does not tell (KIP-966): who may lead though out of sync.

use highwater_wire::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, TopicRequest,
};
use highwater_wire::message::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::errand::{all_failed, complete};
use super::{
    Admin, AllowedOperations, PartitionDescription, Results, TopicDescription, ask, refused,
};
use crate::error::{Error, Result};

/// Partitions asked for at once; brokers cap it at `max.request.partition.size.limit` (2000).
const PAGE_PARTITIONS: i32 = 2000;

impl Admin {
    /// Topics with their partitions, leaders and replicas, in pages: for topics so large that one
    /// answer would be too long, and for [`eligible`](PartitionDescription::eligible) replicas.
    /// Kafka 3.9 and later; [`describe_topics`](Self::describe_topics) asks any.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; an unknown topic is in the results, and so is the failure of those whose pages were not all
    /// told.
    pub async fn describe_topic_partitions<S: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Results<String, TopicDescription>> {
        let mut names: Vec<String> = names.into_iter().map(|it| it.as_ref().to_owned()).collect();
        names.sort();
        names.dedup();
        let errand = self.errand();
        let mut results = Results::new();
        let mut cursor: Option<(String, i32)> = None;
        loop {
            // What lies before the cursor has been told.
            let left = names
                .iter()
                .filter(|name| cursor.as_ref().is_none_or(|(first, _)| *name >= first));
            let topics = left.map(|name| TopicRequest { name });
            let request = DescribeTopicPartitionsRequest {
                topics: topics.collect(),
                response_partition_limit: PAGE_PARTITIONS,
                cursor: cursor.as_ref().map(|(topic_name, partition_index)| Cursor {
                    topic_name,
                    partition_index: *partition_index,
                }),
            };
            let page = errand.retry(|| async {
                let connection = errand.shared().any().await?;
                let reply = ask(&connection, &request, 0).await?;
                read(&reply.decode()?)
            });
            let (page, next) = match (page.await, &cursor) {
                (Ok(page), _) => page,
                // What lies before the cursor is complete.
                (Err(error), Some((first, _))) => {
                    let left = names.iter().filter(|name| *name >= first);
                    results.extend(all_failed(left, &error));
                    return Ok(results);
                }
                (Err(error), None) => return Err(error),
            };
            for (name, topic) in page {
                match (results.get_mut(&name), topic) {
                    (Some(Ok(TopicDescription { partitions, .. })), Ok(more)) => {
                        partitions.extend(more.partitions);
                    }
                    (_, topic) => {
                        results.insert(name, topic);
                    }
                }
            }
            match next {
                None => {
                    complete(&mut results, &names);
                    return Ok(results);
                }
                // A page that does not lead on would be asked for without end.
                Some(next) if cursor.as_ref().is_some_and(|last| next <= *last) => {
                    let (topic, partition) = next;
                    let why = format!("page goes on at {topic}-{partition}, where it began");
                    return Err(Error::protocol(why));
                }
                Some(next) => cursor = Some(next),
            }
        }
    }
}

type Page = (
    Vec<(String, Result<TopicDescription>)>,
    Option<(String, i32)>,
);

fn read(answer: &DescribeTopicPartitionsResponse<'_>) -> Result<Page> {
    let topics = answer.topics.iter().map(|topic| {
        let name = topic.name.unwrap_or_default().to_owned();
        let described = refused(topic.error_code, None).map(|()| TopicDescription {
            name: name.clone(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions: topic.partitions.iter().map(partition).collect(),
            allowed: AllowedOperations::read(topic.topic_authorized_operations),
        });
        (name, described)
    });
    let next = answer.next_cursor.as_ref();
    let next = next.map(|it| (it.topic_name.to_owned(), it.partition_index));
    Ok((topics.collect(), next))
}

fn partition(it: DescribeTopicPartitionsResponsePartition<'_>) -> PartitionDescription {
    PartitionDescription {
        partition: it.partition_index,
        leader: (it.leader_id >= 0).then_some(it.leader_id),
        leader_epoch: it.leader_epoch,
        replicas: it.replica_nodes.to_vec(),
        in_sync: it.isr_nodes.to_vec(),
        offline: it.offline_replicas.to_vec(),
        eligible: it.eligible_leader_replicas.map(|ids| ids.to_vec()),
        last_eligible: it.last_known_elr.map(|ids| ids.to_vec()),
    }
}
