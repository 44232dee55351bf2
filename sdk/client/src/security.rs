//! How connections are secured, and who the client is to the brokers (`security.protocol`).
//!
//! Plain values: what they mean on a connection is [`connection`](crate::connection)'s business. Passwords and keys are in
//! no `Debug` output.

pub(crate) mod draft;
pub(crate) mod jaas;
pub(crate) mod sasl;
pub(crate) mod scram;
pub(crate) mod tls;

pub use sasl::Sasl;
pub use tls::Tls;

/// Whether connections are encrypted, and how the client says who it is. The default is neither.
///
/// ```
/// use highwater::{Client, Sasl, Security};
///
/// let password = "from somewhere safe";
/// let client = Client::builder("kafka:9093")
///     .security(Security::sasl_ssl(Sasl::scram_sha512("billing", password)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub(crate) tls: Option<Tls>,
    pub(crate) sasl: Option<Sasl>,
}

impl Security {
    /// `PLAINTEXT`: not encrypted, nobody says who they are.
    pub fn plaintext() -> Self {
        Self::default()
    }

    /// `SSL`: encrypted; the client is whom its certificate names, if it has one.
    pub fn ssl(tls: Tls) -> Self {
        Self {
            tls: Some(tls),
            sasl: None,
        }
    }

    /// `SASL_PLAINTEXT`: not encrypted. With [`Sasl::plain`] the password can be read on the wire.
    pub fn sasl_plaintext(sasl: Sasl) -> Self {
        Self {
            tls: None,
            sasl: Some(sasl),
        }
    }

    /// `SASL_SSL`: encrypted, with the certificate authorities the system trusts unless [`with_tls`](Self::with_tls) says
    /// otherwise.
    pub fn sasl_ssl(sasl: Sasl) -> Self {
        Self {
            tls: Some(Tls::new()),
            sasl: Some(sasl),
        }
    }

    /// Encrypted in this way.
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}
