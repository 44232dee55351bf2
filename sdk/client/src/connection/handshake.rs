//! What happens on a connection before it is anybody's: TLS, the versions, who we are. One thing after the other, on the
//! stream itself.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use highwater_wire::frame::{Frames, Next};
use highwater_wire::message::{ApiVersionsRequest, ApiVersionsResponse};
use highwater_wire::{ErrorCode, Message, Request, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::authenticate::{Ask, authenticate};
use super::dial::dial;
use super::secured::Secured;
use super::stream::{Stream, broke};
use crate::config::ClientConfig;
use crate::core::versions::Versions;
use crate::error::{Error, Result};

/// Longer answers than any of a handshake.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Connects, and does all that comes before the first request. Gives the stream, what the broker speaks, and for how long it
/// believes us, where that has an end.
pub(super) async fn shake(
    host: &str,
    port: u16,
    peer: &str,
    config: &ClientConfig,
    secured: &Secured,
) -> Result<(Stream, Versions, Option<Duration>)> {
    let lost = |error: io::Error| {
        Error::network(format!("cannot connect to {peer}: {error}")).with_source(error)
    };
    let stream = dial(host, port).await.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    let mut fresh = Fresh {
        stream: secured.encrypt(stream, host, peer).await?,
        peer,
        config,
        correlation: 0,
    };
    let versions = fresh.versions().await?;
    let session = match secured.sasl() {
        Some(sasl) => authenticate(&mut fresh, sasl, &versions).await?,
        None => None,
    };
    Ok((fresh.stream, versions, session))
}

/// A connection without tasks yet.
struct Fresh<'a> {
    stream: Stream,
    peer: &'a str,
    config: &'a ClientConfig,
    correlation: i32,
}

impl Ask for Fresh<'_> {
    fn peer(&self) -> &str {
        self.peer
    }

    async fn ask<R: Request + Sync>(&mut self, request: &R, version: i16) -> Result<Bytes> {
        let client_id = Some(self.config.client_id.as_str());
        let encoded = encode_request(self.correlation, client_id, version, request)
            .map_err(|error| Error::config(error.to_string()))?;
        let peer = self.peer;
        let broke = |error: io::Error| {
            broke(
                &format!("connection to {peer} broke in the handshake"),
                error,
            )
        };
        self.stream.write_all(&encoded.bytes).await.map_err(broke)?;
        self.stream.flush().await.map_err(broke)?;
        let frames = Frames::new(self.config.response_bytes_max.min(ANSWER_BYTES_MAX));
        let mut buffer = BytesMut::new();
        let frame = loop {
            match frames.next(&mut buffer) {
                Ok(Next::Frame(frame)) => break frame,
                Ok(Next::Wanted(bytes)) => {
                    // No more than this answer: what follows belongs to the reader.
                    let bytes = bytes.try_into().unwrap_or(u64::MAX);
                    let mut limited = pin!((&mut self.stream).take(bytes));
                    if limited.read_buf(&mut buffer).await.map_err(broke)? == 0 {
                        return Err(Error::network(format!("{peer} closed in the handshake")));
                    }
                }
                Err(error) => {
                    return Err(Error::protocol(format!(
                        "{peer} does not answer as Kafka: {error}"
                    )));
                }
            }
        };
        let found = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        if found != Some(self.correlation) {
            let (expected, found) = (self.correlation, found.unwrap_or_default());
            return Err(Error::protocol(format!(
                "{peer} answers with correlation id {found}, expected {expected}"
            )));
        }
        self.correlation += 1;
        Ok(frame)
    }
}

impl Fresh<'_> {
    /// Asks for the broker's versions: in our highest, and again in its own when it knows fewer (KIP-511: it then answers in
    /// version 0, which tells them).
    async fn versions(&mut self) -> Result<Versions> {
        let peer = self.peer;
        let request = ApiVersionsRequest {
            client_software_name: "highwater",
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let mut version = *ApiVersionsRequest::VERSIONS.end();
        loop {
            let frame = self.ask(&request, version).await?;
            // The error code comes first in every version, behind the correlation id.
            let code = frame.get(4..6).and_then(|code| code.first_chunk::<2>());
            let code = ErrorCode::from_id(code.map_or(0, |code| i16::from_be_bytes(*code)));
            let spoken = if code == ErrorCode::UnsupportedVersion {
                0
            } else {
                version
            };
            let wrong =
                |error| Error::protocol(format!("{peer} does not answer as Kafka: {error}"));
            let (_, answer) =
                decode_response::<ApiVersionsResponse<'_>>(spoken, &frame).map_err(wrong)?;
            let ranges = answer
                .api_keys
                .iter()
                .map(|a| (a.api_key, a.min_version, a.max_version));
            let features = answer.finalized_features.iter();
            let versions = Versions::new(ranges)
                .with_features(features.map(|it| (it.name, it.max_version_level)));
            if code == ErrorCode::UnsupportedVersion && version > 0 {
                // An answer without ranges comes from brokers that only knew version 0. The version sinks with every round.
                version = versions
                    .pick(ApiVersionsRequest::API, &(0..=version - 1))
                    .unwrap_or(0);
                continue;
            }
            if code.is_error() {
                return Err(Error::broker(code, None));
            }
            return Ok(versions);
        }
    }
}
