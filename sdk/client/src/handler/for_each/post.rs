//! Puts records aside: into retry topics, and among the dead letters.

use std::sync::Arc;
use std::time::Duration;

use super::reader::unix_ms;
use crate::client::Client;
use crate::consumer::ConsumerRecord;
use crate::core::handler::course::{Course, RetryTopic};
use crate::error::Result;
use crate::handler::letter::{self, Failure, Letter};
use crate::producer::Producer;

#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) course: Arc<Course>,
    group: Arc<str>,
    /// None where nothing is ever put aside.
    producer: Option<Producer>,
}

impl Post {
    /// Begins with a look at the topics: one that is not there would be noticed when it is needed.
    pub(super) async fn open(client: &Client, group: &str, course: Arc<Course>) -> Result<Self> {
        let topics = course.topics.iter().map(|topic| &topic.name);
        let mut producer = None;
        for topic in topics.chain(&course.dead_letter) {
            let producer = match &mut producer {
                Some(producer) => producer,
                none => none.insert(client.producer().build().await?),
            };
            producer.topic(topic).await?;
        }
        Ok(Self {
            course,
            group: group.into(),
            producer,
        })
    }

    /// A record for a retry topic.
    pub(super) fn retry<'r>(
        &self,
        record: &'r ConsumerRecord,
        topic: &RetryTopic,
        failure: &Failure<'_>,
    ) -> Letter<'r> {
        let delay_ms = i64::try_from(topic.delay.as_millis()).unwrap_or(i64::MAX);
        let due_ms = unix_ms().saturating_add(delay_ms);
        let attempt = letter::attempt(record).saturating_add(1);
        Letter::retry(record, failure, attempt, due_ms)
    }

    /// Puts a record into a topic, and waits until it is acknowledged there.
    pub(super) async fn send(&self, letter: Letter<'_>, topic: &str) -> Result<()> {
        let producer = self.producer.as_ref();
        let producer = producer.expect("it is there where there is a topic");
        producer.send(letter.to(topic)).await.map(drop)
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    /// Nothing more is put aside.
    pub(super) async fn close(self, within: Duration) {
        if let Some(producer) = self.producer {
            producer.shutdown(within).await;
        }
    }
}
