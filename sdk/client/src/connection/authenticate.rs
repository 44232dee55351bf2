//! Shows a broker who we are: SaslHandshake names the mechanism, SaslAuthenticate carries its tokens (KIP-43, KIP-152).

use std::time::Duration;

use bytes::Bytes;
use highwater_wire::message::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use highwater_wire::{ErrorCode, Message, Request, decode_response};
use tokio::task::spawn_blocking;

use crate::core::versions::Versions;
use crate::error::{Error, Result};
use crate::security::Sasl;

/// More tokens than any mechanism has.
const ROUNDS_MAX: usize = 8;

/// Something that a broker can be asked by, one question after the other.
pub(super) trait Ask {
    fn peer(&self) -> &str;

    /// The frame of the answer.
    fn ask<R: Request + Sync>(
        &mut self,
        request: &R,
        version: i16,
    ) -> impl Future<Output = Result<Bytes>> + Send;
}

/// Says who we are, and gives how long that is believed (KIP-368), where it has an end.
///
/// # Errors
///
/// [`Auth`](crate::ErrorKind::Auth) when the broker does not believe us, or we do not believe the broker.
pub(super) async fn authenticate(
    connection: &mut impl Ask,
    sasl: &Sasl,
    versions: &Versions,
) -> Result<Option<Duration>> {
    let mechanism = sasl.mechanism().name();
    let peer = connection.peer().to_owned();
    let refused = |why: &dyn std::fmt::Display| {
        Error::auth(format!("{peer} does not let us in by {mechanism}: {why}"))
    };
    let parse = |error| Error::protocol(format!("{peer} does not answer as Kafka: {error}"));

    // Version 0 would have the tokens follow bare.
    versions.pick(SaslHandshakeRequest::API, &(1..=1))?;
    let frame = connection
        .ask(&SaslHandshakeRequest { mechanism }, 1)
        .await?;
    let (_, answer) = decode_response::<SaslHandshakeResponse<'_>>(1, &frame).map_err(parse)?;
    let code = ErrorCode::from_id(answer.error_code);
    if code == ErrorCode::UnsupportedSaslMechanism {
        let known: Vec<&str> = answer.mechanisms.iter().take(16).collect();
        return Err(refused(&format!("it takes {}", known.join(", "))));
    }
    if code.is_error() {
        return Err(refused(&code));
    }

    let version = versions.pick(
        SaslAuthenticateRequest::API,
        &SaslAuthenticateRequest::VERSIONS,
    )?;
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::config(format!("no random number: {error}")))?;
    let mut exchange = sasl.begin(&nonce);
    let mut token = exchange.first();
    for _ in 0..ROUNDS_MAX {
        let request = SaslAuthenticateRequest { auth_bytes: &token };
        let frame = connection.ask(&request, version).await?;
        let (_, answer) =
            decode_response::<SaslAuthenticateResponse<'_>>(version, &frame).map_err(parse)?;
        let code = ErrorCode::from_id(answer.error_code);
        if code.is_error() {
            let words = answer.error_message.filter(|words| !words.is_empty());
            return Err(refused(&words.unwrap_or(code.message())));
        }
        let theirs = answer.auth_bytes.to_vec();
        let lifetime_ms = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
        // A password is hashed thousands of times: not where others wait.
        let next;
        (exchange, next) = spawn_blocking(move || {
            let next = exchange.next(&theirs);
            (exchange, next)
        })
        .await
        .map_err(|_| Error::closed("runtime"))?;
        match next.map_err(|error| refused(&error))? {
            Some(next) => token = next,
            None => return Ok((lifetime_ms > 0).then(|| Duration::from_millis(lifetime_ms))),
        }
    }
    Err(refused(&"the exchange does not end"))
}
