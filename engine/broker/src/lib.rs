//! What each Kafka API means.
#![forbid(unsafe_code)]
