//! Calls the application's function, one record after the other, and sees a record that fails through its course.

use std::any::type_name;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::MayPass;
use super::post::Post;
use super::ticket::Job;
use crate::client::Client;
use crate::consumer::ConsumerRecord;
use crate::core::handler::course::Next;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::handler::letter::{Failure, Letter};
use crate::handler::unwind::{Panicked, caught};

pub(super) struct Worker<F, E> {
    pub(super) handler: Arc<F>,
    pub(super) may_pass: MayPass<E>,
    pub(super) client: Client,
    pub(super) post: Post,
}

/// A failure of the application's function.
struct Fault {
    error: BoxError,
    class: &'static str,
    may_pass: bool,
}

impl<F, R, E> Worker<F, E>
where
    F: Fn(ConsumerRecord) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(mut job) = jobs.recv().await {
            if !job.begin() {
                continue;
            }
            let (ticket, record) = (Arc::clone(&job.ticket), job.record.clone());
            tokio::select! {
                biased;
                () = ticket.given_up() => {}
                seen = caught(self.see_through(job)) => if let Err(panicked) = seen {
                    // Of the application, too: an error that cannot be written, for one. The worker has others to serve.
                    ticket.fail(stopped(&record, panicked.into()));
                }
            }
        }
    }

    async fn see_through(&self, job: Job) {
        let mut failures = 0;
        loop {
            let Err(fault) = self.call(&job.record).await else {
                return job.done();
            };
            failures += 1;
            job.ticket.touch();
            let record = &job.record;
            let error = &fault.error;
            tracing::debug!(
                topic = record.topic(),
                partition = record.partition(),
                offset = record.offset(),
                failures,
                %error,
                "a record's handler failed"
            );
            let course = &self.post.course;
            let random = self.client.shared.random();
            let put_aside = match course.next(record.topic(), failures, fault.may_pass, random) {
                Next::Again(pause) => {
                    tokio::select! {
                        biased;
                        () = job.ticket.ended() => return job.leave(),
                        () = sleep(pause) => continue,
                    }
                }
                Next::Retry(topic) => {
                    let letter = self.post.retry(record, topic, &self.failure(&fault));
                    self.post.send(letter, &topic.name).await
                }
                Next::Dead(topic) => {
                    let letter = Letter::dead(record, &self.failure(&fault));
                    self.post.send(letter, topic).await
                }
                Next::Skip => {
                    tracing::warn!(
                        topic = record.topic(),
                        partition = record.partition(),
                        offset = record.offset(),
                        %error,
                        "a record is left out that failed for good"
                    );
                    Ok(())
                }
                Next::Stop => {
                    let error = stopped(record, fault.error);
                    return job.fail(error);
                }
            };
            return match put_aside {
                Ok(()) => job.done(),
                Err(error) => job.fail(error),
            };
        }
    }

    async fn call(&self, record: &ConsumerRecord) -> Result<(), Fault> {
        // What the application does to sort its errors may panic as well as what it does to its records.
        let called = async {
            let error = (self.handler)(record.clone()).await.err()?;
            Some(Fault {
                may_pass: (self.may_pass)(&error),
                class: type_name::<E>(),
                error: error.into(),
            })
        };
        match caught(called).await {
            Ok(None) => Ok(()),
            Ok(Some(fault)) => Err(fault),
            Err(panicked) => Err(Fault {
                may_pass: true,
                class: type_name::<Panicked>(),
                error: panicked.into(),
            }),
        }
    }

    fn failure<'a>(&'a self, fault: &'a Fault) -> Failure<'a> {
        Failure {
            group: Some(self.post.group()),
            stage: "TASK_PUT",
            class: fault.class,
            error: &*fault.error,
        }
    }
}

fn stopped(record: &ConsumerRecord, error: BoxError) -> Error {
    let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
    let message = format!("handler of {topic}-{partition} at {offset} failed: {error}");
    Error::new(ErrorKind::Handler, message)
        .at(&topic.into(), partition)
        .at_offset(offset)
        .with_source(error)
}
