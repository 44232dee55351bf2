//! Topic and broker settings by Kafka's names: one table of what exists, what each layer says, and what is in force. It
//! knows no requests, no files and nothing of what the settings do.

mod broker_config;
pub mod brokers;
mod coordination;
mod entry;
pub mod groups;
mod kind;
mod layers;
pub mod reference;
mod topic_config;
pub mod topics;
mod validation;

pub use broker_config::{BrokerConfig, CleanerConfig};
pub use coordination::{OffsetsTopic, of_group};
pub use entry::{Effect, Entry, Feature, Synonym, Update};
pub use kind::{Kind, Misfit};
pub use layers::{InForce, Layers, Overrides, Source};
pub use topic_config::{CleanupPolicy, CompressionType, Durability, TimestampType, TopicConfig};
pub use validation::{Invalid, check_broker, check_topic, warnings};
