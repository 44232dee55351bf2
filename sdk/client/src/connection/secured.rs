//! What connections are made with: the settings of security, with files read and checked once, when the client connects.

use std::fmt;

use tokio::net::TcpStream;

use super::stream::Stream;
use crate::error::Result;
use crate::security::{Sasl, Security};

/// Ready to be used for any number of connections.
#[derive(Clone)]
pub(crate) struct Secured {
    sasl: Option<Sasl>,
    #[cfg(feature = "tls")]
    tls: Option<tokio_rustls::TlsConnector>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured")
            .field("sasl", &self.sasl)
            .finish_non_exhaustive()
    }
}

impl Secured {
    pub(super) fn sasl(&self) -> Option<&Sasl> {
        self.sasl.as_ref()
    }

    /// Reads what the settings name. Files are read off the runtime's threads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a file that cannot be read or does not hold what it should.
    #[cfg(feature = "tls")]
    pub(crate) async fn read(security: &Security) -> Result<Self> {
        let tls = match security.tls.clone() {
            Some(tls) => {
                let reading = tokio::task::spawn_blocking(move || encryption::connector(&tls));
                let connector = reading.await;
                Some(connector.map_err(|_| crate::Error::closed("runtime"))??)
            }
            None => None,
        };
        Ok(Self {
            sasl: security.sasl.clone(),
            tls,
        })
    }

    /// The same without TLS, which is an error where it is asked for.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS, files are read")]
    pub(crate) async fn read(security: &Security) -> Result<Self> {
        if security.tls.is_some() {
            return Err(crate::Error::config(
                "TLS is asked for, and the crate is built without its feature `tls`",
            ));
        }
        Ok(Self {
            sasl: security.sasl.clone(),
        })
    }

    /// Puts TLS over `stream` where it is asked for.
    #[cfg(feature = "tls")]
    pub(super) async fn encrypt(
        &self,
        stream: TcpStream,
        host: &str,
        peer: &str,
    ) -> Result<Stream> {
        use tokio_rustls::rustls::pki_types::ServerName;

        let Some(connector) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            crate::Error::config(format!("{host:?} is no name that a certificate can be for"))
        })?;
        let stream = connector.connect(name, stream).await;
        let broke = |error| super::stream::broke(&format!("no TLS with {peer}"), error);
        Ok(Stream::Tls(Box::new(stream.map_err(broke)?)))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with TLS, there is a handshake")]
    pub(super) async fn encrypt(&self, stream: TcpStream, _: &str, _: &str) -> Result<Stream> {
        Ok(Stream::Plain(stream))
    }
}

#[cfg(feature = "tls")]
mod encryption {
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};

    use super::super::verify::{AnyCertificate, AnyHost};
    use crate::error::{Error, Result};
    use crate::security::tls::{Check, Pem, Tls};

    /// The most bytes a file with certificates may have.
    const FILE_BYTES_MAX: u64 = 16 << 20;

    pub(super) fn connector(tls: &Tls) -> Result<TlsConnector> {
        let unusable = |error: tokio_rustls::rustls::Error| {
            Error::config(format!("TLS cannot be set up: {error}")).with_source(error)
        };
        let provider = Arc::new(ring::default_provider());
        let mut versions = Vec::new();
        if tls.versions.v13 {
            versions.push(&version::TLS13);
        }
        if tls.versions.v12 {
            versions.push(&version::TLS12);
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(unusable)?;
        let builder = match tls.check {
            Check::Host => builder.with_root_certificates(authorities(tls)?),
            Check::Chain => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyHost(verifier(tls, provider)?))),
            Check::Nothing => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        };
        let config = match &tls.identity {
            Some(identity) => {
                let chain = certificates(&identity.certificates)?;
                let key = key(&identity.key)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(unusable)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn verifier(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
        WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(tls)?), provider)
            .build()
            .map_err(|error| Error::config(format!("TLS cannot be set up: {error}")))
    }

    /// Those named, or else those that the system trusts.
    fn authorities(tls: &Tls) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        if tls.authorities.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            let (taken, _) = store.add_parsable_certificates(found.certs);
            if taken == 0 {
                let why = found.errors.first().map(ToString::to_string);
                let why = why.unwrap_or_else(|| "there are none".to_owned());
                return Err(Error::config(format!(
                    "no certificate authorities of the system, name some (ssl.truststore.location): {why}"
                )));
            }
        }
        for pem in &tls.authorities {
            for certificate in certificates(pem)? {
                store.add(certificate).map_err(|error| {
                    Error::config(format!("{pem:?} holds an unusable authority: {error}"))
                })?;
            }
        }
        Ok(store)
    }

    fn bytes(pem: &Pem) -> Result<Vec<u8>> {
        use std::io::Read;
        let path = match pem {
            Pem::Text(text) => return Ok(text.clone()),
            Pem::File(path) => path,
        };
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => {
                let why = format!("cannot read {}: {error}", path.display());
                Err(Error::config(why).with_source(error))
            }
        }
    }

    fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>> {
        let bytes = bytes(pem)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(Error::config(format!(
                "{pem:?} holds no certificate in PEM; a store of Java's is to be converted (keytool -exportcert -rfc)"
            ))),
            Err(error) => Err(Error::config(format!("{pem:?} does not parse: {error}"))),
        }
    }

    fn key(pem: &Pem) -> Result<PrivateKeyDer<'static>> {
        let bytes = bytes(pem)?;
        let is_encrypted = bytes
            .windows(b"ENCRYPTED PRIVATE KEY".len())
            .any(|window| window == b"ENCRYPTED PRIVATE KEY");
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            Error::config(if is_encrypted {
                format!("the key in {pem:?} is encrypted, need one that is not (openssl pkcs8)")
            } else {
                format!("{pem:?} holds no usable key in PEM: {error}")
            })
        })
    }
}
