//! DescribeConfigs: settings in force, where each comes from, and what else could be (`ConfigHelper.scala`).

use std::collections::BTreeSet;
use std::rc::Rc;

use highwater_wire::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::config::{Entry, InForce, Layers, Source, Update, brokers, groups, topics};
use crate::dispatch::Context;
use crate::metadata::change::Refused;
use crate::metadata::image::Image;
use crate::metadata::topic_name;
use crate::shard::Shard;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// A setting and every place that has a value for it.
struct Described {
    entry: &'static Entry,
    read_only: bool,
    places: Vec<InForce>,
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DescribeConfigsRequest<'_>,
) -> Answer {
    let image = shard.image();
    let resources = request.resources.to_vec();
    let found: Vec<Result<Vec<Described>, Refused>> = resources
        .iter()
        .map(|resource| describe(&image, resource))
        .collect();
    let results: Vec<DescribeConfigsResult<'_>> = resources
        .iter()
        .zip(&found)
        .map(|(resource, found)| DescribeConfigsResult {
            error_code: found
                .as_ref()
                .map_or_else(|refused| refused.code, |_| ErrorCode::None)
                .id(),
            error_message: found.as_ref().err().map(|refused| refused.text()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs: found
                .iter()
                .flatten()
                .map(|described| result(described, &request))
                .collect(),
        })
        .collect();
    context.answer(&DescribeConfigsResponse {
        throttle_time_ms: 0,
        results: Array::from(results),
    })
}

fn describe(
    image: &Image,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<Described>, Refused> {
    let name = resource.resource_name;
    let keys: Option<BTreeSet<&str>> = resource
        .configuration_keys
        .as_ref()
        .map(|keys| keys.iter().collect())
        .filter(|keys: &BTreeSet<&str>| !keys.is_empty());
    let wanted = |entry: &&'static Entry| keys.as_ref().is_none_or(|k| k.contains(entry.name));
    match resource.resource_type {
        TOPIC => {
            topic_name::check(name)
                .map_err(|e| Refused::new(ErrorCode::InvalidTopicException, e.to_string()))?;
            let topic = image
                .topic(name)
                .ok_or_else(|| Refused::code(ErrorCode::UnknownTopicOrPartition))?;
            let layers = Layers {
                topic: Some(&topic.overrides),
                ..image.layers()
            };
            let entries = topics::TOPICS.iter().filter(wanted);
            Ok(entries
                .map(|entry| Described {
                    entry,
                    read_only: false,
                    places: layers.all(entry).collect(),
                })
                .collect())
        }
        BROKER if name.is_empty() => {
            let layers = Layers {
                topic: None,
                node: None,
                cluster: Some(image.cluster_config()),
                statics: None,
            };
            let set = image.cluster_config().keys();
            let entries = set.filter_map(|key| brokers::find(key)).filter(wanted);
            Ok(entries
                .map(|entry| Described {
                    entry,
                    read_only: entry.update == Update::ReadOnly,
                    places: layers
                        .all(entry)
                        .filter(|place| place.source == Source::DynamicDefault)
                        .collect(),
                })
                .collect())
        }
        BROKER => {
            this_broker(image, name, "or empty string, ")?;
            let layers = image.layers();
            let entries = brokers::BROKERS.iter().filter(wanted);
            Ok(entries
                .map(|entry| Described {
                    entry,
                    read_only: entry.update == Update::ReadOnly,
                    places: layers.all(entry).collect(),
                })
                .collect())
        }
        BROKER_LOGGER if name.is_empty() => Err(invalid("Broker id must not be empty")),
        BROKER_LOGGER => this_broker(image, name, "").map(|()| Vec::new()),
        CLIENT_METRICS if name.is_empty() => Err(invalid(
            "Client metrics subscription name must not be empty",
        )),
        CLIENT_METRICS => Ok(Vec::new()),
        GROUP if name.is_empty() => Err(invalid("Group name must not be empty")),
        GROUP => {
            let (own, layers) = (image.group_configs().get(name), image.layers());
            let entries = groups::GROUPS.iter().filter(wanted);
            Ok(entries
                .map(|entry| Described {
                    entry,
                    read_only: false,
                    places: vec![groups::in_force(entry, own, &layers)],
                })
                .collect())
        }
        other => Err(invalid(format!("Unsupported resource type: {other}"))),
    }
}

fn this_broker(image: &Image, name: &str, or: &str) -> Result<(), Refused> {
    let id = image.node().id;
    match name.parse::<i32>() {
        Ok(asked) if asked == id => Ok(()),
        Ok(_) => Err(invalid(format!(
            "Unexpected broker id, expected {id} {or}but received {name}"
        ))),
        Err(_) => Err(invalid(format!(
            "Broker id must be an integer, but it is: {name}"
        ))),
    }
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, message)
}

fn result<'a>(
    described: &'a Described,
    request: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResourceResult<'a> {
    let Described {
        entry,
        read_only,
        places,
    } = described;
    let sensitive = entry.kind.is_sensitive();
    let shown = |value: &'a str| (!sensitive).then_some(value);
    let first = places.first();
    DescribeConfigsResourceResult {
        name: entry.name,
        value: first.and_then(|place| shown(&place.value)),
        read_only: *read_only,
        config_source: first
            .map_or(Source::Default, |place| place.source)
            .wire_id(),
        is_sensitive: sensitive,
        synonyms: if request.include_synonyms {
            places
                .iter()
                .map(|place| DescribeConfigsSynonym {
                    name: place.name,
                    value: shown(&place.given),
                    source: place.source.wire_id(),
                })
                .collect()
        } else {
            Array::empty()
        },
        config_type: entry.kind.wire_id(),
        documentation: request.include_documentation.then_some(entry.doc),
    }
}
