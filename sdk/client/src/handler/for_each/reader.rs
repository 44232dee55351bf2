//! Reads claims, and gives their records to the workers.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::ticket::{Job, Ticket};
use crate::consumer::ConsumerRecord;
use crate::core::handler::course::{Course, wait};
use crate::core::handler::dispatch::{Dispatch, Keyless};
use crate::error::{Error, ErrorKind, TopicPartition};
use crate::handler::{Claim, GroupHandler, Session, letter};

pub(super) struct Reader {
    pub(super) queues: Vec<mpsc::Sender<Job>>,
    pub(super) keyless: Keyless,
    pub(super) course: Arc<Course>,
}

/// Gives the claim's records up when its task is dropped.
struct Custody(Arc<Ticket>);

impl Drop for Custody {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl GroupHandler for Reader {
    type Error = Error;

    async fn consume_claim(&self, _: &Session, mut claim: Claim) -> Result<(), Error> {
        let ticket = Ticket::new(&claim);
        let _custody = Custody(Arc::clone(&ticket));
        let first = usize::try_from(claim.partition()).unwrap_or(0);
        let mut dispatch = Dispatch::new(self.queues.len(), self.keyless, first);
        let delay = self.course.delay(claim.topic());
        loop {
            let next = tokio::select! {
                biased;
                error = ticket.failed() => return Err(error),
                next = claim.next() => next?,
            };
            let Some(record) = next else { break };
            if let Some(delay) = delay {
                let _waiting = claim.pulse().waiting();
                tokio::select! {
                    () = due(&record, delay) => {}
                    () = ticket.ended() => break,
                    error = ticket.failed() => return Err(error),
                }
            }
            let worker = dispatch.worker(record.topic(), record.partition(), record.key());
            // The worker is busy with something that is watched itself.
            let _waiting = claim.pulse().waiting();
            tokio::select! {
                permit = self.queues[worker].reserve() => match permit {
                    Ok(permit) => permit.send(ticket.job(record)),
                    Err(_) => return Err(gone(claim.place())),
                },
                () = ticket.ended() => break,
                error = ticket.failed() => return Err(error),
            }
        }
        let _waiting = claim.pulse().waiting();
        tokio::select! {
            biased;
            error = ticket.failed() => Err(error),
            () = ticket.drained() => Ok(()),
        }
    }
}

/// The worker is gone, with the run or by a fault of its own.
fn gone(place: &TopicPartition) -> Error {
    let message = format!("worker for a record of {place} is gone");
    Error::new(ErrorKind::Handler, message).at(&place.topic, place.partition)
}

/// Waits until a record of a retry topic is due.
async fn due(record: &ConsumerRecord, delay: Duration) {
    let wait = wait(letter::due_ms(record), unix_ms(), delay);
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

/// The wall clock, in milliseconds since 1970.
#[allow(clippy::disallowed_methods)] // This is the shell, and the other members go by the wall clock, too.
pub(super) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
