//! ApiVersions (18): what this broker answers, in which versions, and which features are in force.
//!
//! Knows the table and the image; asks nobody.

use std::rc::Rc;

use bytes::Bytes;
use highwater_wire::message::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use highwater_wire::{ApiKey, Cursor, Decode, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::{self, Context};
use crate::shard::Shard;

/// The first version in which clients say what they are (KIP-511).
const INTRODUCED_SINCE: i16 = 3;

/// The first version whose clients read a lowest level of 0.
const ZERO_SINCE: i16 = 4;

/// The lowest level of `metadata.version` that a KRaft cluster of today can be at (3.3-IV3).
const METADATA_VERSION_MIN: i16 = 7;

/// The answer, at once. A version that is not served is answered in version 0, so that the client learns which are.
pub(crate) fn handle(shard: &Rc<Shard>, context: &Context, body: &Bytes) -> Answer {
    if !dispatch::versions(ApiKey::ApiVersions).is_some_and(|v| v.contains(&context.version)) {
        let response = ApiVersionsResponse::unsupported_version();
        return context.answer_in(ApiVersionsResponse::UNSUPPORTED_ANSWER_VERSION, &response);
    }
    let request = match ApiVersionsRequest::decode(context.version, &mut Cursor::new(body)) {
        Ok(request) => request,
        Err(error) => return Answer::Hangup(error.into()),
    };
    if context.version >= INTRODUCED_SINCE {
        let (name, version) = (
            request.client_software_name,
            request.client_software_version,
        );
        if !is_software_text(name) || !is_software_text(version) {
            return context.answer(&ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.id(),
                ..ApiVersionsResponse::default()
            });
        }
        context.guest.introduces_itself(name, version);
    }
    let image = shard.image();
    context.answer(&ApiVersionsResponse {
        api_keys: api_keys().collect(),
        supported_features: image
            .features()
            .iter()
            .map(|(name, level)| SupportedFeatureKey {
                name,
                min_version: lowest(name).min(*level),
                max_version: *level,
            })
            // Older clients do not read a lowest level of 0 (KAFKA-17492).
            .filter(|feature| feature.min_version > 0 || context.version >= ZERO_SINCE)
            .collect(),
        finalized_features_epoch: image.end().get(),
        finalized_features: image
            .features()
            .iter()
            .map(|(name, level)| FinalizedFeatureKey {
                name,
                max_version_level: *level,
                min_version_level: *level,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    })
}

/// The lowest level at which a feature can be.
fn lowest(feature: &str) -> i16 {
    match feature {
        "metadata.version" => METADATA_VERSION_MIN,
        _ => 0,
    }
}

fn api_keys() -> impl Iterator<Item = ApiVersion> {
    dispatch::served().map(|(api, versions)| ApiVersion {
        api_key: api.id(),
        // Versions 0 to 2 of Produce are offered for librdkafka's sake, which looks for them, and not served
        // (KAFKA-18659).
        min_version: if api == ApiKey::Produce {
            0
        } else {
            *versions.start()
        },
        max_version: *versions.end(),
    })
}

/// What Kafka takes for a client's name and version (`ApiVersionsRequest.isValid`): letters, digits, `-` and `.`, not at
/// the ends.
fn is_software_text(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    end(text.chars().next()) && end(text.chars().next_back()) && text.chars().all(inner)
}
