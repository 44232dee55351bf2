//! The cluster and its brokers: who they are, and what they speak.

use std::ops::RangeInclusive;

use highwater_wire::message::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
    MetadataRequest, MetadataResponse,
};
use highwater_wire::{ApiKey, Array};

use super::errand::Errand;
use super::{Admin, AllowedOperations, Call, Operation, Results, ask, refused};
use crate::connection::Connection;
use crate::error::{ErrorKind, Result};

/// The first version that knows fenced brokers.
const VERSION_FENCED: i16 = 2;

/// The cluster and its brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The controller's broker id, as brokers tell clients.
    pub controller: Option<i32>,
    /// The brokers.
    pub brokers: Vec<BrokerDescription>,
    /// What this client may do with the cluster, where that was asked for.
    pub allowed: Option<AllowedOperations>,
}

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDescription {
    /// Its id.
    pub id: i32,
    /// Where clients reach it.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it is registered but takes no part (KIP-1073).
    pub is_fenced: bool,
}

/// What one broker speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerVersions {
    /// Its APIs, by Kafka's number for them.
    pub apis: Vec<ApiRange>,
    /// The features it knows (KIP-584), by name.
    pub features: Vec<Feature>,
}

/// The versions of one API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// Kafka's number of the API.
    pub id: i16,
    /// Its name; `None` for one that this crate does not know.
    pub name: Option<&'static str>,
    /// The versions the broker speaks.
    pub versions: RangeInclusive<i16>,
}

/// A feature of a cluster, such as `metadata.version` or `group.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// The levels the broker can work with; `None` when it only heard of the feature.
    pub supported: Option<RangeInclusive<i16>>,
    /// The level in force in the cluster; `None` when it is not in force.
    pub finalized: Option<i16>,
}

/// What [`Admin::describe_cluster`] does.
#[derive(Clone, Debug, Default)]
pub struct DescribeCluster {
    allowed: bool,
    fenced: bool,
}

impl Call<DescribeCluster> {
    /// Asks what this client may do with the cluster.
    pub fn allowed_operations(self, wanted: bool) -> Self {
        self.set(|it| it.allowed = wanted)
    }

    /// Lists brokers that are registered but fenced, too. Kafka 4.0 and later.
    pub fn fenced_brokers(self, wanted: bool) -> Self {
        self.set(|it| it.fenced = wanted)
    }
}

impl Operation for DescribeCluster {
    type Output = ClusterDescription;

    async fn run(self, errand: Errand) -> Result<ClusterDescription> {
        errand
            .retry(|| async {
                let connection = errand.shared().any().await?;
                match self.described(&connection).await {
                    Err(error) if self.is_in_metadata(error.kind()) => listed(&connection).await,
                    described => described,
                }
            })
            .await
    }
}

impl DescribeCluster {
    async fn described(&self, connection: &Connection) -> Result<ClusterDescription> {
        let request = DescribeClusterRequest {
            include_cluster_authorized_operations: self.allowed,
            include_fenced_brokers: self.fenced,
            ..DescribeClusterRequest::default()
        };
        let least = if self.fenced { VERSION_FENCED } else { 0 };
        let reply = ask(connection, &request, least).await?;
        let answer: DescribeClusterResponse<'_> = reply.decode()?;
        refused(answer.error_code, answer.error_message)?;
        let brokers = answer.brokers.iter().map(|broker| BrokerDescription {
            id: broker.broker_id,
            host: broker.host.to_owned(),
            port: u16::try_from(broker.port).unwrap_or(0),
            rack: broker.rack.map(str::to_owned),
            is_fenced: broker.is_fenced,
        });
        Ok(ClusterDescription {
            cluster_id: answer.cluster_id.to_owned(),
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            brokers: brokers.collect(),
            allowed: AllowedOperations::read(answer.cluster_authorized_operations),
        })
    }

    /// Whether what is asked for is in the metadata, too, of brokers without DescribeCluster (before
    /// Kafka 2.8).
    fn is_in_metadata(&self, failure: &ErrorKind) -> bool {
        matches!(failure, ErrorKind::Unsupported { have: None, .. })
            && !self.allowed
            && !self.fenced
    }
}

async fn listed(connection: &Connection) -> Result<ClusterDescription> {
    let request = MetadataRequest {
        topics: Some(Array::empty()),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    let reply = connection.call(&request).await?;
    let answer: MetadataResponse<'_> = reply.decode()?;
    let brokers = answer.brokers.iter().map(|broker| BrokerDescription {
        id: broker.node_id,
        host: broker.host.to_owned(),
        port: u16::try_from(broker.port).unwrap_or(0),
        rack: broker.rack.map(str::to_owned),
        is_fenced: false,
    });
    Ok(ClusterDescription {
        cluster_id: answer.cluster_id.unwrap_or_default().to_owned(),
        controller: (answer.controller_id >= 0).then_some(answer.controller_id),
        brokers: brokers.collect(),
        allowed: None,
    })
}

impl Admin {
    /// The cluster and its brokers.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers, or [`Unsupported`](ErrorKind::Unsupported) where what was set cannot
    /// be asked of these brokers.
    pub fn describe_cluster(&self) -> Call<DescribeCluster> {
        self.call(DescribeCluster::default())
    }

    /// What these brokers speak, or, of an empty list, all: APIs with their versions, and the levels
    /// of features. Asked anew; a connection has its own answer from its beginning.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker tells which there are; one that does not answer has that as its result.
    pub async fn api_versions(
        &self,
        brokers: impl IntoIterator<Item = i32>,
    ) -> Result<Results<i32, BrokerVersions>> {
        let request = &ApiVersionsRequest {
            client_software_name: "highwater",
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let errand = self.errand();
        let asked = errand.of_brokers(brokers, |connection: Connection| async move {
            let reply = connection.call(request).await?;
            let answer: ApiVersionsResponse<'_> = reply.decode()?;
            refused(answer.error_code, None)?;
            Ok(spoken(&answer))
        });
        asked.await
    }
}

fn spoken(answer: &ApiVersionsResponse<'_>) -> BrokerVersions {
    let mut apis: Vec<ApiRange> = answer
        .api_keys
        .iter()
        .map(|api| ApiRange {
            id: api.api_key,
            name: ApiKey::from_id(api.api_key).map(ApiKey::name),
            versions: api.min_version..=api.max_version,
        })
        .collect();
    apis.sort_by_key(|api| api.id);
    let mut features: Vec<Feature> = answer
        .supported_features
        .iter()
        .map(|feature| Feature {
            name: feature.name.to_owned(),
            supported: Some(feature.min_version..=feature.max_version),
            finalized: None,
        })
        .collect();
    for finalized in &answer.finalized_features {
        let level = Some(finalized.max_version_level);
        match features.iter_mut().find(|it| it.name == finalized.name) {
            Some(feature) => feature.finalized = level,
            None => features.push(Feature {
                name: finalized.name.to_owned(),
                supported: None,
                finalized: level,
            }),
        }
    }
    features.sort_by(|a, b| a.name.cmp(&b.name));
    BrokerVersions { apis, features }
}
