//! Clusters for tests: the real engine in this process, a proxy that makes any cluster misbehave, and a scripted broker.
//!
//! They speak to the client over loopback, as brokers do, and know nothing of what it is about to do: what a test sees is
//! what a service would see. Only with the features `test-broker` ([`FaultProxy`], [`FakeBroker`]) and `test-engine` ([`TestCluster`]).
//!
//! ```text
//!  TestCluster    client ──► proxy ──► the engine, on a temporary directory
//!  FaultProxy     client ──► proxy ──► any cluster
//!  FakeBroker     client ──► brokers of paper, which answer as scripted
//! ```

mod asked;
mod broker;
#[cfg(feature = "test-engine")]
mod cluster;
mod fault;
mod frames;
mod proxy;
mod refusal;
mod relay;
mod rewrite;
mod route;
mod rule;

pub use asked::Asked;
pub use broker::FakeBroker;
#[cfg(feature = "test-engine")]
pub use cluster::{TestCluster, TestClusterBuilder};
pub use fault::Fault;
/// The protocol's messages, for scripts that answer for a broker.
pub use highwater_wire as wire;
pub use highwater_wire::ApiKey;
pub use proxy::FaultProxy;
pub use rule::Rule;
