//! SaslHandshake: which way of authenticating a connection goes on with. Never flexible, like ApiVersions' answer: it comes
//! before anything else is known.

use crate::{Array, Wire};

/// Names the mechanism. With version 1 the tokens travel in [`SaslAuthenticate`](super::SaslAuthenticateRequest); with
/// version 0 they follow bare, which nobody should want any more (KIP-152).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = SaslHandshake, response = SaslHandshakeResponse<'r>, versions = 0..=1)]
pub struct SaslHandshakeRequest<'a> {
    /// `PLAIN`, `SCRAM-SHA-256`, and so on.
    pub mechanism: &'a str,
}

/// Whether the broker knows it.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = SaslHandshake, versions = 0..=1)]
pub struct SaslHandshakeResponse<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// The mechanisms this listener takes.
    pub mechanisms: Array<'a, &'a str>,
}
