//! Kafka's configuration names, their types, defaults and documentation, for topics and for the broker.
