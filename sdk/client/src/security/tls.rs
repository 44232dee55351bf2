//! How TLS is set up: whom to trust, what certificate to show, and how much of the broker's to check.

use std::fmt;
use std::path::PathBuf;

/// Encryption by TLS 1.2 or 1.3. The default trusts the certificate authorities that the system trusts, checks that the
/// broker's certificate is for the host that was dialed, and shows no certificate.
///
/// Files are read when the client connects, and are in PEM: Java's key stores are not.
#[derive(Clone, Default)]
pub struct Tls {
    pub(crate) authorities: Vec<Pem>,
    pub(crate) identity: Option<Identity>,
    pub(crate) check: Check,
    pub(crate) versions: Versions,
}

/// Something in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

/// The client's certificate, followed by those between it and its authority, and its key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) certificates: Pem,
    pub(crate) key: Pem,
}

/// How much of the broker's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Check {
    /// Who signed it, when, and for which host.
    #[default]
    Host,
    /// Who signed it, and when.
    Chain,
    /// Nothing.
    Nothing,
}

/// Which versions are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) v12: bool,
    pub(crate) v13: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            v12: true,
            v13: true,
        }
    }
}

impl Tls {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this file, instead of those that the system trusts. More than one may be given.
    pub fn authority_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// The same with the text itself.
    pub fn authority_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(Pem::Text(pem.into()));
        self
    }

    /// Shows the certificate in one file, followed by those between it and its authority, with its key in another: "mutual
    /// TLS". It may be the same file. The key is PKCS#8, PKCS#1 or SEC1, and is not encrypted.
    pub fn identity_files(
        mut self,
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some(Identity {
            certificates: Pem::File(certificates.into()),
            key: Pem::File(key.into()),
        });
        self
    }

    /// The same with the texts themselves.
    pub fn identity_pem(
        mut self,
        certificates: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some(Identity {
            certificates: Pem::Text(certificates.into()),
            key: Pem::Text(key.into()),
        });
        self
    }

    /// Does not check that the broker's certificate is for the host that was dialed
    /// (`ssl.endpoint.identification.algorithm=`): whoever has any certificate of the authority can be the broker.
    pub fn any_host(mut self) -> Self {
        self.check = Check::Chain;
        self
    }

    /// Takes any certificate (`enable.ssl.certificate.verification=false`): whoever can reach into the network can be the
    /// broker. For tests.
    pub fn dangerously_any_certificate(mut self) -> Self {
        self.check = Check::Nothing;
        self
    }
}

impl fmt::Debug for Pem {
    /// A file by its name; of a text nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Text(_) => f.write_str("(text)"),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self
            .identity
            .as_ref()
            .map(|identity| &identity.certificates);
        f.debug_struct("Tls")
            .field("authorities", &self.authorities)
            .field("certificates", &certificates)
            .field("check", &self.check)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}
