//! Counts and times by the `metrics` facade, where the feature of that name is on. Without it these calls are nothing.
//!
//! Each function is one happening, named by its place in the code; what it is called outside is in the table below, which
//! `docs/sdk/telemetry.md` explains.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;

macro_rules! names {
    ($($constant:ident = $name:literal;)*) => {
        $(#[cfg(any(test, feature = "metrics"))] const $constant: &str = $name;)*

        /// Every name, for the test that holds the page.
        #[cfg(test)]
        const ALL: &[&str] = &[$($constant,)*];
    };
}

// Kafka's names of the same things, with what Prometheus expects of a name.
names! {
    CONNECTIONS_MADE = "kafka_client_connection_creation_total";
    CONNECTIONS_REFUSED = "kafka_client_connection_failure_total";
    CONNECTIONS_CLOSED = "kafka_client_connection_close_total";
    AUTHENTICATIONS_FAILED = "kafka_client_failed_authentication_total";
    REQUESTS = "kafka_client_request_total";
    REQUEST_LATENCY = "kafka_client_request_latency_seconds";
    RECORDS_SENT = "kafka_producer_record_send_total";
    RECORDS_FAILED = "kafka_producer_record_error_total";
    BATCH_BYTES = "kafka_producer_batch_size_bytes";
    BUFFER_AVAILABLE = "kafka_producer_buffer_available_bytes";
    RECORDS_CONSUMED = "kafka_consumer_records_consumed_total";
    BYTES_CONSUMED = "kafka_consumer_bytes_consumed_total";
    LAG = "kafka_consumer_records_lag";
    REBALANCES = "kafka_consumer_rebalance_total";
    COMMITS = "kafka_consumer_commit_total";
    COMMITS_FAILED = "kafka_consumer_commit_failure_total";
}

/// Does nothing with what it is given, where nothing is measured.
macro_rules! measured {
    ($($used:ident),* => $what:expr) => {{
        #[cfg(feature = "metrics")]
        $what;
        #[cfg(not(feature = "metrics"))]
        let _ = ($($used,)*);
    }};
}

pub(crate) fn connected() {
    measured!( => metrics::counter!(CONNECTIONS_MADE).increment(1));
}

pub(crate) fn not_connected(error: &Error) {
    measured!(error => {
        metrics::counter!(CONNECTIONS_REFUSED).increment(1);
        if error.kind() == &crate::ErrorKind::Auth {
            metrics::counter!(AUTHENTICATIONS_FAILED).increment(1);
        }
    });
}

pub(crate) fn disconnected() {
    measured!( => metrics::counter!(CONNECTIONS_CLOSED).increment(1));
}

/// A request was answered after this long.
pub(crate) fn answered(api: &'static str, after: Duration) {
    measured!(api, after => {
        metrics::counter!(REQUESTS, "api" => api).increment(1);
        metrics::histogram!(REQUEST_LATENCY, "api" => api).record(after.as_secs_f64());
    });
}

/// So many records of a batch were placed, or were not.
pub(crate) fn settled(count: u32, placed: bool) {
    measured!(count, placed => {
        let name = if placed { RECORDS_SENT } else { RECORDS_FAILED };
        metrics::counter!(name).increment(u64::from(count));
    });
}

/// A batch went out with so many bytes.
pub(crate) fn batch_sent(bytes: usize) {
    measured!(bytes => {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        metrics::histogram!(BATCH_BYTES).record(f64::from(bytes));
    });
}

/// So much of a producer's memory is free, now that a batch is settled.
pub(crate) fn buffer_available(client_id: &str, bytes: usize) {
    measured!(client_id, bytes => {
        metrics::gauge!(BUFFER_AVAILABLE, "client_id" => client_id.to_owned()).set(magnitude(bytes as u64));
    });
}

/// A batch was handed to the application.
pub(crate) fn consumed(records: usize, bytes: usize) {
    measured!(records, bytes => {
        metrics::counter!(RECORDS_CONSUMED).increment(records as u64);
        metrics::counter!(BYTES_CONSUMED).increment(bytes as u64);
    });
}

/// So many offsets lie between a batch that was handed out and the high watermark that came with it.
pub(crate) fn lag(topic: &Arc<str>, partition: i32, offsets: i64) {
    measured!(topic, partition, offsets => {
        let labels = vec![
            metrics::Label::new("topic", Arc::clone(topic)),
            metrics::Label::new("partition", partition.to_string()),
        ];
        let offsets = u64::try_from(offsets).unwrap_or(0);
        metrics::gauge!(LAG, labels).set(magnitude(offsets));
    });
}

/// As gauges have it: exact below 2^53.
#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "so says the comment")]
fn magnitude(count: u64) -> f64 {
    count as f64
}

/// A member's partitions changed.
pub(crate) fn rebalanced() {
    measured!( => metrics::counter!(REBALANCES).increment(1));
}

/// A commit was answered.
pub(crate) fn committed(done: bool) {
    measured!(done => {
        let name = if done { COMMITS } else { COMMITS_FAILED };
        metrics::counter!(name).increment(1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_explained_in_the_page_and_no_other() {
        let page = include_str!("../../../../docs/sdk/telemetry.md");
        for name in ALL {
            assert!(page.contains(&format!("| `{name}`")), "{name}");
        }
        assert_eq!(page.matches("| `kafka_").count(), ALL.len());
    }
}
