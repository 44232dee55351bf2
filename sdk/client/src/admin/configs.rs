//! Configs of topics, brokers and groups.

use std::collections::BTreeMap;

use highwater_wire::message::describe_configs::DescribeConfigsResource;
use highwater_wire::message::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use highwater_wire::message::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::{Admin, AlterConfig, ConfigEntry, ConfigResource, ConfigSource, Results, refused};
use crate::connection::Reply;
use crate::error::Result;
use highwater_wire::Request;

// Kafka's numbers for what a config belongs to (`ConfigResource.java`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

impl ConfigResource {
    fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (TOPIC, name.clone()),
            Self::Broker(id) => (BROKER, id.to_string()),
            Self::BrokerDefault => (BROKER, String::new()),
            Self::Group(id) => (GROUP, id.clone()),
        }
    }

    fn read(kind: i8, name: &str) -> Option<Self> {
        match kind {
            TOPIC => Some(Self::Topic(name.to_owned())),
            BROKER if name.is_empty() => Some(Self::BrokerDefault),
            BROKER => Some(Self::Broker(name.parse().ok()?)),
            GROUP => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }

    /// Who has to be asked: a broker itself for its own configs, else anybody.
    fn broker(&self) -> Option<i32> {
        match self {
            Self::Broker(id) => Some(*id),
            Self::Topic(_) | Self::BrokerDefault | Self::Group(_) => None,
        }
    }
}

impl ConfigSource {
    fn read(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::DynamicBroker,
            3 => Self::DynamicBrokerDefault,
            4 => Self::StaticBroker,
            5 => Self::Default,
            8 => Self::Group,
            other => Self::Other(other),
        }
    }
}

impl AlterConfig {
    fn wire(&self) -> AlterableConfig<'_> {
        let (name, config_operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value.as_str())),
            Self::Delete(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value.as_str())),
            Self::Subtract(name, value) => (name, 3, Some(value.as_str())),
        };
        AlterableConfig {
            name,
            config_operation,
            value,
        }
    }
}

impl Admin {
    /// All configs of these resources, with their documentation where the broker has it.
    ///
    /// # Errors
    ///
    /// When a broker does not answer; a refusal of one resource is in the results.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Result<Results<ConfigResource, Vec<ConfigEntry>>> {
        let mut results = Results::new();
        for (broker, resources) in by_broker(resources, |resource| resource) {
            let named: Vec<(i8, String)> = resources.iter().map(ConfigResource::wire).collect();
            let wanted = named.iter().map(|(kind, name)| DescribeConfigsResource {
                resource_type: *kind,
                resource_name: name,
                configuration_keys: None,
            });
            let request = DescribeConfigsRequest {
                resources: wanted.collect(),
                include_synonyms: false,
                include_documentation: true,
            };
            let found = self
                .retry(async || {
                    let reply = self.call_for(broker, &request).await?;
                    let answer: DescribeConfigsResponse<'_> = reply.decode()?;
                    let mut found = Results::new();
                    for result in &answer.results {
                        let kind = result.resource_type;
                        let Some(resource) = ConfigResource::read(kind, result.resource_name)
                        else {
                            continue;
                        };
                        let entries = result.configs.iter().map(|config| ConfigEntry {
                            name: config.name.to_owned(),
                            value: config.value.map(str::to_owned),
                            source: ConfigSource::read(config.config_source),
                            is_read_only: config.read_only,
                            is_sensitive: config.is_sensitive,
                            documentation: config
                                .documentation
                                .filter(|text| !text.is_empty())
                                .map(str::to_owned),
                        });
                        let entries = refused(result.error_code, result.error_message)
                            .map(|()| entries.collect());
                        found.insert(resource, entries);
                    }
                    Ok(found)
                })
                .await?;
            results.extend(found);
        }
        Ok(results)
    }

    /// Changes single configs, leaving the others as they are (KIP-339).
    ///
    /// # Errors
    ///
    /// When a broker does not answer; a refusal of one resource is in the results.
    pub async fn incremental_alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<AlterConfig>)>,
    ) -> Result<Results<ConfigResource, ()>> {
        let mut results = Results::new();
        for (broker, changes) in by_broker(changes, |(resource, _)| resource) {
            let named: Vec<((i8, String), &[AlterConfig])> = changes
                .iter()
                .map(|(resource, changes)| (resource.wire(), &changes[..]))
                .collect();
            let wanted = named
                .iter()
                .map(|((kind, name), changes)| AlterConfigsResource {
                    resource_type: *kind,
                    resource_name: name,
                    configs: changes.iter().map(AlterConfig::wire).collect(),
                });
            let request = IncrementalAlterConfigsRequest {
                resources: wanted.collect(),
                validate_only: false,
            };
            let done = self
                .retry(async || {
                    let reply = self.call_for(broker, &request).await?;
                    let answer: IncrementalAlterConfigsResponse<'_> = reply.decode()?;
                    let mut done = Results::new();
                    for result in &answer.responses {
                        let kind = result.resource_type;
                        if let Some(resource) = ConfigResource::read(kind, result.resource_name) {
                            done.insert(resource, refused(result.error_code, result.error_message));
                        }
                    }
                    Ok(done)
                })
                .await?;
            results.extend(done);
        }
        Ok(results)
    }

    async fn call_for<R: Request>(&self, broker: Option<i32>, request: &R) -> Result<Reply> {
        match broker {
            Some(broker) => self.client.shared.call(broker, request).await,
            None => self.call_controller(request).await,
        }
    }
}

fn by_broker<T>(
    items: impl IntoIterator<Item = T>,
    resource: impl Fn(&T) -> &ConfigResource,
) -> BTreeMap<Option<i32>, Vec<T>> {
    let mut by_broker: BTreeMap<Option<i32>, Vec<T>> = BTreeMap::new();
    for item in items {
        by_broker
            .entry(resource(&item).broker())
            .or_default()
            .push(item);
    }
    by_broker
}
