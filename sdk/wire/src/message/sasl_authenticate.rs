//! SaslAuthenticate: a token of a SASL exchange, one way and back (KIP-152). What is in it is the mechanism's business.

use crate::Wire;

/// The client's token.
#[derive(Clone, PartialEq, Wire)]
#[wire(api = SaslAuthenticate, response = SaslAuthenticateResponse<'r>, versions = 0..=2, flexible = 2..)]
pub struct SaslAuthenticateRequest<'a> {
    /// What the mechanism says. It may hold a password.
    pub auth_bytes: &'a [u8],
}

impl std::fmt::Debug for SaslAuthenticateRequest<'_> {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SaslAuthenticateRequest");
        shown
            .field("auth_bytes_len", &self.auth_bytes.len())
            .finish()
    }
}

/// The broker's token, or why it does not believe the client.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = SaslAuthenticate, versions = 0..=2, flexible = 2..)]
pub struct SaslAuthenticateResponse<'a> {
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    pub error_code: i16,
    /// What went wrong, in words.
    pub error_message: Option<&'a str>,
    /// What the mechanism says.
    pub auth_bytes: &'a [u8],
    /// How long the client may go on before it authenticates again, in milliseconds; 0 for ever (KIP-368).
    #[wire(versions = 1.., ignorable)]
    pub session_lifetime_ms: i64,
}
