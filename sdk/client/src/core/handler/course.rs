//! The course of a record that fails: once more in place, into a retry topic, among the dead letters, or no further.
//!
//! ```text
//!  topic ---- handler fails --> again, after a pause, up to `times`
//!    |            still fails --> retry topic 0 --- due after its delay --> handler, again, ...
//!    |                              still fails --> retry topic 1 --> ...
//!    |                                              still fails --> dead letters, or the run ends
//! ```
//!
//! Knows neither the handler nor the topics' contents.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::core::backoff::Backoff;

/// A topic in which records wait for a while before they are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetryTopic {
    pub(crate) name: String,
    pub(crate) delay: Duration,
}

/// What is done when a handler fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// Once more in place: with which pauses, and how often.
    pub(crate) again: Option<(Backoff, u32)>,
    pub(crate) topics: Vec<RetryTopic>,
    pub(crate) dead_letter: Option<String>,
    /// Whether a record that got to the end of it is left out, instead of ending the run.
    pub(crate) skips: bool,
}

/// What becomes of a record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// It is tried again where it is, after a pause.
    Again(Duration),
    /// It goes into this topic.
    Retry(&'a RetryTopic),
    /// It goes into this topic, and nobody tries it again.
    Dead(&'a str),
    /// It is left out.
    Skip,
    /// It cannot be dealt with, and nothing after it may be.
    Stop,
}

/// Why a course would never come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("retry topic {0:?} is named twice, need each once: records would go round in it")]
    Twice(String),
    #[error("retry topic {0:?} is one of those subscribed to, need a topic of its own")]
    RetryIsRead(String),
    #[error("dead letters go to {0:?}, which is read by the same run: records would go round")]
    DeadIsRead(String),
}

impl Course {
    /// Holds it against the topics that are `read` anyway: a record has to go on to a topic in which it was not yet.
    ///
    /// # Errors
    ///
    /// The topic that would be met again.
    pub(crate) fn check(&self, read: &BTreeSet<Arc<str>>) -> Result<(), Error> {
        let mut retries = BTreeSet::new();
        for RetryTopic { name, .. } in &self.topics {
            if read.contains(name.as_str()) {
                return Err(Error::RetryIsRead(name.clone()));
            }
            if !retries.insert(name.as_str()) {
                return Err(Error::Twice(name.clone()));
            }
        }
        match &self.dead_letter {
            Some(dead) if read.contains(dead.as_str()) || retries.contains(dead.as_str()) => {
                Err(Error::DeadIsRead(dead.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What becomes of a record of `topic` after `failures` failures in place, at least 1, the last of which is of a kind that
    /// may pass or not. `random` spreads the pauses.
    pub(crate) fn next(&self, topic: &str, failures: u32, may_pass: bool, random: u64) -> Next<'_> {
        if may_pass {
            if let Some((backoff, times)) = &self.again
                && failures <= *times
            {
                return Next::Again(backoff.pause(failures, random));
            }
            if let Some(retry) = self.topics.get(self.passed(topic)) {
                return Next::Retry(retry);
            }
        }
        match &self.dead_letter {
            Some(dead) => Next::Dead(dead),
            None if self.skips => Next::Skip,
            None => Next::Stop,
        }
    }

    /// How many retry topics a record of `topic` has been through.
    fn passed(&self, topic: &str) -> usize {
        let at = self.topics.iter().position(|retry| retry.name == topic);
        at.map_or(0, |at| at + 1)
    }

    /// How long records of `topic` wait at most until they are due; `None` where they do not.
    pub(crate) fn delay(&self, topic: &str) -> Option<Duration> {
        let mut topics = self.topics.iter();
        topics.find(|retry| retry.name == topic).map(|it| it.delay)
    }
}

/// How long a record waits that is due at `due_ms` by a clock that shows `now_ms`: never longer than its topic's delay, because
/// the clocks of two machines are not one.
pub(crate) fn wait(due_ms: Option<i64>, now_ms: i64, delay: Duration) -> Duration {
    let wait = due_ms.map_or(0, |due| due.saturating_sub(now_ms));
    Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn course() -> Course {
        let topic = |name: &str, delay| RetryTopic {
            name: name.to_owned(),
            delay,
        };
        Course {
            again: Some((
                Backoff::exponential(Duration::from_millis(100)..Duration::from_millis(300)),
                3,
            )),
            topics: vec![topic("retry-1m", MINUTE), topic("retry-5m", 5 * MINUTE)],
            dead_letter: Some("dead".to_owned()),
            skips: false,
        }
    }

    #[test]
    fn a_record_is_tried_in_place_then_in_each_retry_topic_then_it_is_dead() {
        let course = course();
        let steps = |topic| -> Vec<Next<'_>> {
            (1..=4)
                .map(|failures| course.next(topic, failures, true, 200))
                .collect()
        };
        let again = |ms| Next::Again(Duration::from_millis(ms));
        let last = |next| vec![again(100), again(200), again(300), next];
        assert_eq!(steps("orders"), last(Next::Retry(&course.topics[0])));
        assert_eq!(steps("retry-1m"), last(Next::Retry(&course.topics[1])));
        assert_eq!(steps("retry-5m"), last(Next::Dead("dead")));
        assert_eq!(
            (course.delay("orders"), course.delay("retry-1m")),
            (None, Some(MINUTE))
        );
    }

    #[test]
    fn what_will_not_pass_is_dead_at_once() {
        assert_eq!(course().next("orders", 1, false, 0), Next::Dead("dead"));
    }

    #[test]
    fn without_dead_letters_the_run_ends_or_the_record_is_left_out() {
        let mut course = Course::default();
        assert_eq!(course.next("orders", 1, true, 0), Next::Stop);
        course.skips = true;
        assert_eq!(course.next("orders", 1, true, 0), Next::Skip);
    }

    #[test]
    fn a_course_that_leads_back_is_refused_with_the_topic() {
        let read = |topic: &str| BTreeSet::from([Arc::from(topic)]);
        let mut course = course();
        assert_eq!(course.check(&read("orders")), Ok(()));
        let refused = |course: &Course, topic| course.check(&read(topic)).unwrap_err();
        let retry = Error::RetryIsRead("retry-5m".to_owned());
        assert_eq!(refused(&course, "retry-5m"), retry);
        let dead = Error::DeadIsRead("dead".to_owned());
        assert_eq!(refused(&course, "dead"), dead);
        course.dead_letter = Some("retry-1m".to_owned());
        let dead = Error::DeadIsRead("retry-1m".to_owned());
        assert_eq!(refused(&course, "orders"), dead);
        course.topics[1].name = "retry-1m".to_owned();
        let twice = Error::Twice("retry-1m".to_owned());
        assert_eq!(refused(&course, "orders"), twice);
        assert!(twice.to_string().contains("\"retry-1m\""));
    }

    #[test]
    fn a_record_waits_until_it_is_due_but_never_longer_than_its_topic_says() {
        let ms = Duration::from_millis;
        assert_eq!(wait(Some(10_500), 10_000, MINUTE), ms(500));
        assert_eq!(wait(Some(10_000), 10_000, MINUTE), Duration::ZERO);
        assert_eq!(wait(Some(9_000), 10_000, MINUTE), Duration::ZERO);
        assert_eq!(wait(None, 10_000, MINUTE), Duration::ZERO);
        // Our clock was set back, or somebody's header is nonsense.
        assert_eq!(wait(Some(i64::MAX), -5, MINUTE), MINUTE);
        assert_eq!(wait(Some(i64::MIN), i64::MAX, MINUTE), Duration::ZERO);
    }
}
