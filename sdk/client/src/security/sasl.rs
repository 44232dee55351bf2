//! Who a client is by name and password, and the exchange that shows it to a broker. Knows no socket.

use std::fmt;

use super::scram::{Hash, Scram};

/// A name and a password, and the mechanism by which they are shown to the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    mechanism: Mechanism,
    username: String,
    password: String,
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub(crate) const NAMES: &'static str = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Debug for Sasl {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism.name())
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Sasl {
    /// PLAIN (RFC 4616): the broker is given the password itself. For encrypted connections only.
    pub fn plain(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::Plain, username.into(), password.into())
    }

    /// SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides show that they know the password, and neither sends it.
    pub fn scram_sha256(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::ScramSha256, username.into(), password.into())
    }

    /// SCRAM-SHA-512: the same with the longer hash.
    pub fn scram_sha512(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::new(Mechanism::ScramSha512, username.into(), password.into())
    }

    pub(crate) fn new(mechanism: Mechanism, username: String, password: String) -> Self {
        Self {
            mechanism,
            username,
            password,
        }
    }

    pub(crate) fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Begins to show who we are. `nonce` must be different every time and not to be guessed.
    pub(crate) fn begin(&self, nonce: &[u8; 24]) -> Exchange {
        let hash = match self.mechanism {
            Mechanism::Plain => {
                let token = format!("\0{}\0{}", self.username, self.password);
                return Exchange::Plain(Some(token.into_bytes()));
            }
            Mechanism::ScramSha256 => Hash::Sha256,
            Mechanism::ScramSha512 => Hash::Sha512,
        };
        Exchange::Scram(Box::new(Scram::new(
            hash,
            &self.username,
            &self.password,
            nonce,
        )))
    }
}

/// An exchange under way: tokens to the broker and back until one side has enough.
pub(crate) enum Exchange {
    Plain(Option<Vec<u8>>),
    Scram(Box<Scram>),
}

/// What a broker said that cannot be believed, in words fit for a log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Disbelief(pub(crate) String);

impl Exchange {
    /// The first token.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(token) => token.take().unwrap_or_default(),
            Self::Scram(scram) => scram.first(),
        }
    }

    /// Takes the broker's token and gives the next, or `None` when both sides are satisfied. May compute for a while.
    pub(crate) fn next(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, Disbelief> {
        match self {
            // A broker that takes the password says nothing more.
            Self::Plain(_) => Ok(None),
            Self::Scram(scram) => scram.next(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_says_name_and_password_once() {
        let mut exchange = Sasl::plain("tim", "tanstaaftanstaaf").begin(&[0; 24]);
        assert_eq!(exchange.first(), b"\0tim\0tanstaaftanstaaf");
        assert_eq!(exchange.next(b""), Ok(None));
    }

    #[test]
    fn no_debug_output_shows_a_password() {
        let sasl = Sasl::scram_sha256("tim", "tanstaaf");
        let shown = format!("{sasl:?} {:?}", crate::Security::sasl_ssl(sasl.clone()));
        assert!(
            shown.contains("tim") && !shown.contains("tanstaaf"),
            "{shown}"
        );
    }
}
