//! Configs of topics, brokers and groups.

use std::collections::BTreeMap;

use highwater_wire::Array;
use highwater_wire::message::alter_configs::{
    AlterConfigsResource as ReplacedResource, AlterableConfig as ReplacedConfig,
};
use highwater_wire::message::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use highwater_wire::message::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use highwater_wire::message::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse,
};

use super::concurrent::join_all;
use super::errand::{Errand, all_failed, complete};
use super::{
    Admin, AlterConfig, Call, ConfigEntry, ConfigKind, ConfigResource, ConfigSource, ConfigSynonym,
    Operation, Results, ask, refused,
};
use crate::connection::Connection;
use crate::error::Result;

// Kafka's numbers for what a config belongs to (`ConfigResource.java`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// The first version of ListConfigResources that lists more than subscriptions to metrics.
const VERSION_KINDS: i16 = 1;
/// The first version of DescribeConfigs that documents.
const VERSION_DOCUMENTATION: i16 = 3;

/// A kind of thing that configs belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Topics.
    Topic,
    /// Brokers.
    Broker,
    /// The log levels of brokers.
    BrokerLogger,
    /// Subscriptions to clients' metrics.
    ClientMetrics,
    /// Consumer groups.
    Group,
}

impl ResourceKind {
    fn wire(self) -> i8 {
        match self {
            Self::Topic => TOPIC,
            Self::Broker => BROKER,
            Self::BrokerLogger => BROKER_LOGGER,
            Self::ClientMetrics => CLIENT_METRICS,
            Self::Group => GROUP,
        }
    }
}

impl ConfigResource {
    fn wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (TOPIC, name.clone()),
            Self::Broker(id) => (BROKER, id.to_string()),
            Self::BrokerDefault => (BROKER, String::new()),
            Self::BrokerLogger(id) => (BROKER_LOGGER, id.to_string()),
            Self::ClientMetrics(name) => (CLIENT_METRICS, name.clone()),
            Self::Group(id) => (GROUP, id.clone()),
        }
    }

    fn read(kind: i8, name: &str) -> Option<Self> {
        match kind {
            TOPIC => Some(Self::Topic(name.to_owned())),
            BROKER if name.is_empty() => Some(Self::BrokerDefault),
            BROKER => Some(Self::Broker(name.parse().ok()?)),
            BROKER_LOGGER => Some(Self::BrokerLogger(name.parse().ok()?)),
            CLIENT_METRICS => Some(Self::ClientMetrics(name.to_owned())),
            GROUP => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }

    /// Who has to be asked: a broker itself for its own configs, else anybody.
    fn broker(&self) -> Option<i32> {
        match self {
            Self::Broker(id) | Self::BrokerLogger(id) => Some(*id),
            Self::Topic(_) | Self::BrokerDefault | Self::ClientMetrics(_) | Self::Group(_) => None,
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
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            other => Self::Other(other),
        }
    }
}

impl ConfigKind {
    fn read(kind: i8) -> Option<Self> {
        match kind {
            1 => Some(Self::Boolean),
            2 => Some(Self::Text),
            3 => Some(Self::Int),
            4 => Some(Self::Short),
            5 => Some(Self::Long),
            6 => Some(Self::Double),
            7 => Some(Self::List),
            8 => Some(Self::Class),
            9 => Some(Self::Password),
            _ => None,
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

/// What [`Admin::describe_configs`] does.
#[derive(Clone, Debug)]
pub struct DescribeConfigs {
    resources: Vec<ConfigResource>,
    keys: Option<Vec<String>>,
    synonyms: bool,
    documentation: bool,
}

impl Call<DescribeConfigs> {
    /// Asks only for the configs of these names.
    pub fn only<S: Into<String>>(self, keys: impl IntoIterator<Item = S>) -> Self {
        let keys = keys.into_iter().map(Into::into).collect();
        self.set(|it| it.keys = Some(keys))
    }

    /// Asks for every place that a value could come from, too.
    pub fn synonyms(self, wanted: bool) -> Self {
        self.set(|it| it.synonyms = wanted)
    }

    /// Asks for what each config does, too (the default), where the broker has it.
    pub fn documentation(self, wanted: bool) -> Self {
        self.set(|it| it.documentation = wanted)
    }
}

impl Operation for DescribeConfigs {
    type Output = Results<ConfigResource, Vec<ConfigEntry>>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let this = &self;
        let resources = this.resources.iter().map(|it| (it.clone(), ()));
        let asked = errand.by_broker(resources, |connection: Connection, wanted| async move {
            let named: Vec<(i8, String)> = wanted.iter().map(|(it, ())| it.wire()).collect();
            let keys = this.keys.as_ref();
            let wanted = named.iter().map(|(kind, name)| DescribeConfigsResource {
                resource_type: *kind,
                resource_name: name,
                configuration_keys: keys.map(|keys| keys.iter().map(String::as_str).collect()),
            });
            // What a broker does not document, it is not asked to.
            let version = connection.version::<DescribeConfigsRequest<'_>>(i16::MAX)?;
            let request = DescribeConfigsRequest {
                resources: wanted.collect(),
                include_synonyms: this.synonyms,
                include_documentation: this.documentation && version >= VERSION_DOCUMENTATION,
            };
            let reply = ask(&connection, &request, 0).await?;
            described(&reply.decode()?)
        });
        asked.await
    }
}

fn described(
    answer: &DescribeConfigsResponse<'_>,
) -> Result<<DescribeConfigs as Operation>::Output> {
    let mut found = Results::new();
    for result in &answer.results {
        let Some(resource) = ConfigResource::read(result.resource_type, result.resource_name)
        else {
            continue;
        };
        let entries = refused(result.error_code, result.error_message)
            .map(|()| result.configs.iter().map(entry).collect());
        found.insert(resource, entries);
    }
    Ok(found)
}

fn entry(config: DescribeConfigsResourceResult<'_>) -> ConfigEntry {
    let synonyms = config.synonyms.iter().map(|synonym| ConfigSynonym {
        name: synonym.name.to_owned(),
        value: synonym.value.map(str::to_owned),
        source: ConfigSource::read(synonym.source),
    });
    let documentation = config.documentation.filter(|text| !text.is_empty());
    ConfigEntry {
        name: config.name.to_owned(),
        value: config.value.map(str::to_owned),
        source: ConfigSource::read(config.config_source),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        kind: ConfigKind::read(config.config_type),
        synonyms: synonyms.collect(),
        documentation: documentation.map(str::to_owned),
    }
}

/// What [`Admin::incremental_alter_configs`] does.
#[derive(Clone, Debug)]
pub struct IncrementalAlterConfigs {
    changes: Vec<(ConfigResource, Vec<AlterConfig>)>,
    validate_only: bool,
}

impl Call<IncrementalAlterConfigs> {
    /// Only asks whether the changes could be made.
    pub fn validate_only(self, wanted: bool) -> Self {
        self.set(|it| it.validate_only = wanted)
    }
}

impl Operation for IncrementalAlterConfigs {
    type Output = Results<ConfigResource, ()>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let validate_only = self.validate_only;
        let asked = errand.by_broker(self.changes, |connection: Connection, changes| async move {
            let named: Vec<(i8, String)> = changes.iter().map(|(it, _)| it.wire()).collect();
            let wanted = named.iter().zip(&changes);
            let wanted = wanted.map(|((kind, name), (_, changes))| AlterConfigsResource {
                resource_type: *kind,
                resource_name: name,
                configs: changes.iter().map(AlterConfig::wire).collect(),
            });
            let request = IncrementalAlterConfigsRequest {
                resources: wanted.collect(),
                validate_only,
            };
            let reply = ask(&connection, &request, 0).await?;
            let answer: IncrementalAlterConfigsResponse<'_> = reply.decode()?;
            let outcomes = answer.responses.iter();
            let outcomes = outcomes.filter_map(|it| {
                let resource = ConfigResource::read(it.resource_type, it.resource_name)?;
                Some((resource, refused(it.error_code, it.error_message)))
            });
            Ok(outcomes.collect())
        });
        asked.await
    }
}

/// What [`Admin::alter_configs`] does.
#[derive(Clone, Debug)]
pub struct AlterConfigs {
    configs: Vec<(ConfigResource, BTreeMap<String, String>)>,
    validate_only: bool,
}

impl Call<AlterConfigs> {
    /// Only asks whether the configs could be set.
    pub fn validate_only(self, wanted: bool) -> Self {
        self.set(|it| it.validate_only = wanted)
    }
}

impl Operation for AlterConfigs {
    type Output = Results<ConfigResource, ()>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let validate_only = self.validate_only;
        let asked = errand.by_broker(self.configs, |connection: Connection, configs| async move {
            let named: Vec<(i8, String)> = configs.iter().map(|(it, _)| it.wire()).collect();
            let wanted = named.iter().zip(&configs);
            let wanted = wanted.map(|((kind, name), (_, configs))| {
                let configs = configs.iter().map(|(name, value)| ReplacedConfig {
                    name,
                    value: Some(value),
                });
                ReplacedResource {
                    resource_type: *kind,
                    resource_name: name,
                    configs: configs.collect(),
                }
            });
            let request = AlterConfigsRequest {
                resources: wanted.collect(),
                validate_only,
            };
            let reply = ask(&connection, &request, 0).await?;
            let answer: AlterConfigsResponse<'_> = reply.decode()?;
            let outcomes = answer.responses.iter();
            let outcomes = outcomes.filter_map(|it| {
                let resource = ConfigResource::read(it.resource_type, it.resource_name)?;
                Some((resource, refused(it.error_code, it.error_message)))
            });
            Ok(outcomes.collect())
        });
        asked.await
    }
}

impl Admin {
    /// All configs of these resources, with their documentation where the broker has it.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one resource is in the results, and so is one broker's silence where others answer.
    pub fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Call<DescribeConfigs> {
        self.call(DescribeConfigs {
            resources: resources.into_iter().collect(),
            keys: None,
            synonyms: false,
            documentation: true,
        })
    }

    /// Changes single configs, leaving the others as they are (KIP-339).
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one resource is in the results, and so is one broker's silence where others answer.
    pub fn incremental_alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<AlterConfig>)>,
    ) -> Call<IncrementalAlterConfigs> {
        self.call(IncrementalAlterConfigs {
            changes: changes.into_iter().collect(),
            validate_only: false,
        })
    }

    /// Replaces all configs that were set on these resources: what is not given goes back to its
    /// default. For brokers older than Kafka 2.3; the others have
    /// [`incremental_alter_configs`](Self::incremental_alter_configs), which undoes nobody's work.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When no broker answers; a refusal of one resource is in the results, and so is one broker's silence where others answer.
    pub fn alter_configs(
        &self,
        configs: impl IntoIterator<Item = (ConfigResource, BTreeMap<String, String>)>,
    ) -> Call<AlterConfigs> {
        self.call(AlterConfigs {
            configs: configs.into_iter().collect(),
            validate_only: false,
        })
    }

    /// What has configs of its own: of these kinds, or, of an empty list, all (KIP-1142). Kafka 4.1
    /// and later; before that, only [`ClientMetrics`](ResourceKind::ClientMetrics) (KIP-1000).
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker answers, or [`Unsupported`](crate::ErrorKind::Unsupported).
    pub async fn list_config_resources(
        &self,
        kinds: impl IntoIterator<Item = ResourceKind>,
    ) -> Result<Vec<ConfigResource>> {
        let kinds: Vec<ResourceKind> = kinds.into_iter().collect();
        let errand = self.errand();
        let listed = errand.retry(|| async {
            let connection = errand.shared().any().await?;
            let version = connection.version::<ListConfigResourcesRequest<'_>>(i16::MAX)?;
            let is_metrics_alone = kinds == [ResourceKind::ClientMetrics];
            let (wanted, least) = if version < VERSION_KINDS && is_metrics_alone {
                (Vec::new(), 0)
            } else {
                let wanted = kinds.iter().map(|kind| kind.wire());
                (wanted.collect(), VERSION_KINDS)
            };
            let request = ListConfigResourcesRequest {
                resource_types: Array::from(wanted),
            };
            let reply = ask(&connection, &request, least).await?;
            let answer: ListConfigResourcesResponse<'_> = reply.decode()?;
            refused(answer.error_code, None)?;
            let found = answer
                .config_resources
                .iter()
                .filter_map(|it| ConfigResource::read(it.resource_type, it.resource_name));
            let mut found: Vec<ConfigResource> = found.collect();
            found.sort();
            Ok(found)
        });
        listed.await
    }
}

impl Errand {
    /// Asks each broker about its own configs and the controller about all others, until all have answered or the call's
    /// time is over. What one does not answer is the result of what it was asked about.
    ///
    /// # Errors
    ///
    /// When none answers, the first one's failure.
    async fn by_broker<V: Clone, T, F: Future<Output = Result<Results<ConfigResource, T>>>>(
        &self,
        items: impl IntoIterator<Item = (ConfigResource, V)>,
        ask: impl Fn(Connection, Vec<(ConfigResource, V)>) -> F,
    ) -> Result<Results<ConfigResource, T>> {
        let mut by_broker: BTreeMap<Option<i32>, Vec<(ConfigResource, V)>> = BTreeMap::new();
        for item in items {
            by_broker.entry(item.0.broker()).or_default().push(item);
        }
        let ask = &ask;
        let asked = by_broker.into_iter().map(|(broker, items)| async move {
            let answered = self.retry(|| async {
                let connection = match broker {
                    Some(broker) => self.broker(broker).await?,
                    None => self.controller().await?,
                };
                ask(connection, items.clone()).await
            });
            (answered.await, items)
        });
        let answers = join_all(asked.collect()).await;
        let is_answered = answers.iter().any(|(answer, _)| answer.is_ok());
        let mut results = Results::new();
        for (answer, items) in answers {
            let resources = items.iter().map(|(resource, _)| resource);
            match answer {
                Ok(mut found) => {
                    complete(&mut found, resources);
                    results.extend(found);
                }
                Err(error) if is_answered => results.extend(all_failed(resources, &error)),
                Err(error) => return Err(error),
            }
        }
        Ok(results)
    }
}
