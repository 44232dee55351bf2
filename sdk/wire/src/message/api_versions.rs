//! ApiVersions: what the broker speaks.

use crate::{ApiKey, Array, ErrorCode, Request, Wire};

/// Asks which APIs in which versions the broker speaks: the first request on a connection. As of version 3 the client says
/// what it is (KIP-511).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ApiVersions, response = ApiVersionsResponse<'r>, versions = 0..=4, flexible = 3..)]
pub struct ApiVersionsRequest<'a> {
    /// Name of the client library.
    #[wire(versions = 3.., ignorable)]
    pub client_software_name: &'a str,
    /// Version of the client library.
    #[wire(versions = 3.., ignorable)]
    pub client_software_version: &'a str,
}

/// What the broker speaks. Its header is version 0 in every version, and a version the broker does not know is answered in
/// version 0: see [`ApiVersionsResponse::unsupported_version`].
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = ApiVersions, versions = 0..=4, flexible = 3..)]
pub struct ApiVersionsResponse<'a> {
    /// [`ErrorCode`] of the whole answer.
    pub error_code: i16,
    /// The APIs the broker speaks.
    pub api_keys: Array<'a, ApiVersion>,
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    #[wire(versions = 1.., ignorable)]
    pub throttle_time_ms: i32,
    /// Features the broker could enable. Versions 0 to 3 must leave out those whose lowest version is 0 (KAFKA-17011).
    #[wire(tag = 0, versions = 3.., ignorable)]
    pub supported_features: Array<'a, SupportedFeatureKey<'a>>,
    /// Counts changes of the finalized features, -1 when it is not known.
    #[wire(tag = 1, versions = 3.., default = -1, ignorable)]
    pub finalized_features_epoch: i64,
    /// Features in force for the whole cluster; meaningless while the epoch is -1.
    #[wire(tag = 2, versions = 3.., ignorable)]
    pub finalized_features: Array<'a, FinalizedFeatureKey<'a>>,
    /// Whether a controller is ready for the migration from ZooKeeper. Always false here.
    #[wire(tag = 3, versions = 3.., ignorable)]
    pub zk_migration_ready: bool,
}

/// One API and the versions of it on offer.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ApiVersion {
    /// Number of the API.
    pub api_key: i16,
    /// Lowest version offered.
    pub min_version: i16,
    /// Highest version offered.
    pub max_version: i16,
}

/// A feature that can be enabled.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct SupportedFeatureKey<'a> {
    /// Name of the feature.
    pub name: &'a str,
    /// Lowest level that can be enabled.
    pub min_version: i16,
    /// Highest level that can be enabled.
    pub max_version: i16,
}

/// A feature in force.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct FinalizedFeatureKey<'a> {
    /// Name of the feature.
    pub name: &'a str,
    /// Highest level in force.
    pub max_version_level: i16,
    /// Lowest level in force.
    pub min_version_level: i16,
}

impl ApiVersionsResponse<'_> {
    /// The version in which a request of a version that is not known is answered.
    pub const UNSUPPORTED_ANSWER_VERSION: i16 = 0;

    /// The answer to a request of a version that is not known, to be encoded in
    /// [`UNSUPPORTED_ANSWER_VERSION`](Self::UNSUPPORTED_ANSWER_VERSION): it names the versions of ApiVersions itself, so
    /// that the client asks again in one of them (KIP-511).
    #[must_use]
    pub fn unsupported_version() -> Self {
        Self {
            error_code: ErrorCode::UnsupportedVersion.id(),
            api_keys: Array::from([ApiVersion::of::<ApiVersionsRequest<'_>>()]),
            ..Self::default()
        }
    }
}

impl ApiVersion {
    /// What to offer of an API that is spoken in every version known here. Produce is offered from version 0, though
    /// what it asks in versions 0 to 2 cannot be done: librdkafka would not speak to the broker at all (KAFKA-18659).
    #[must_use]
    pub const fn of<R: Request>() -> Self {
        let first = if R::API.id() == ApiKey::Produce.id() {
            0
        } else {
            *R::VERSIONS.start()
        };
        Self {
            api_key: R::API.id(),
            min_version: first,
            max_version: *R::VERSIONS.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ProduceRequest;
    use crate::{Cursor, Decode, encode_response};

    #[test]
    fn an_unknown_version_is_answered_in_a_form_that_everybody_reads() {
        let answer = ApiVersionsResponse::unsupported_version();
        let frame =
            encode_response(7, ApiVersionsResponse::UNSUPPORTED_ANSWER_VERSION, &answer).unwrap();
        let expected = b"\0\0\0\x10\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x04";
        assert_eq!(frame.bytes, expected);
        let read = ApiVersionsResponse::decode(0, &mut Cursor::new(&frame.bytes[8..])).unwrap();
        assert_eq!(
            read.api_keys.first(),
            Some(ApiVersion {
                api_key: 18,
                min_version: 0,
                max_version: 4
            })
        );
    }

    #[test]
    fn produce_is_offered_from_version_0() {
        let offered = ApiVersion::of::<ProduceRequest<'_>>();
        assert_eq!((offered.min_version, offered.max_version), (0, 13));
    }
}
