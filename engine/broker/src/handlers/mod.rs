//! One file per API: what it answers, to whom, and with which of Kafka's error codes.

pub(crate) mod api_versions;
pub(crate) mod fetch_session;
