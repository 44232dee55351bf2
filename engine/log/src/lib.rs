//! A partition's bytes on a device, in Kafka's own layout.
#![forbid(unsafe_code)]
