//! What settings say about security, one at a time and in any order, until it is asked what they come to.

use std::fmt;
use std::path::PathBuf;

use super::sasl::Mechanism;
use super::tls::{Check, Identity, Pem, Versions};
use super::{Sasl, Security, Tls, jaas};
use crate::error::{Error, Result};

/// Settings so far.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub(crate) encrypted: Option<bool>,
    pub(crate) authenticated: Option<bool>,
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) jaas: Option<String>,
    pub(crate) authorities: Option<Pem>,
    pub(crate) certificates: Option<Pem>,
    pub(crate) key: Option<Pem>,
    pub(crate) checks_host: Option<bool>,
    pub(crate) checks_anything: Option<bool>,
    pub(crate) versions: Option<Versions>,
}

impl fmt::Debug for Draft {
    /// Without passwords and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("encrypted", &self.encrypted)
            .field("authenticated", &self.authenticated)
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .field("authorities", &self.authorities)
            .field("certificates", &self.certificates)
            .field("checks_host", &self.checks_host)
            .field("checks_anything", &self.checks_anything)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

/// A file's place, or nothing where the setting is empty.
pub(crate) fn file(path: &str) -> Option<Pem> {
    (!path.is_empty()).then(|| Pem::File(PathBuf::from(path)))
}

/// A text in PEM, or nothing where the setting is empty.
pub(crate) fn text(pem: &str) -> Option<Pem> {
    // Some ways of keeping settings have one line for each.
    let pem = pem.replace("\\n", "\n");
    (!pem.is_empty()).then(|| Pem::Text(pem.into_bytes()))
}

impl Draft {
    /// `security.protocol`.
    pub(crate) fn protocol(&mut self, protocol: &str) -> Option<()> {
        let (encrypted, authenticated) = match protocol.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => return None,
        };
        self.encrypted = Some(encrypted);
        self.authenticated = Some(authenticated);
        Some(())
    }

    /// What it comes to; `None` where nothing was said.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) where something is missing, or nothing would heed what was said.
    pub(crate) fn finish(&self) -> Result<Option<Security>> {
        let encrypted = self.encrypted.unwrap_or(false);
        let authenticated = self.authenticated.unwrap_or(false);
        if !authenticated && (self.username.is_some() || self.jaas.is_some()) {
            return Err(Error::config(
                "a user is given, and security.protocol is neither SASL_SSL nor SASL_PLAINTEXT",
            ));
        }
        if !encrypted && (self.authorities.is_some() || self.certificates.is_some()) {
            return Err(Error::config(
                "certificates are given, and security.protocol is neither SSL nor SASL_SSL",
            ));
        }
        if self.encrypted.is_none() && self.authenticated.is_none() {
            return Ok(None);
        }
        Ok(Some(Security {
            tls: if encrypted { Some(self.tls()?) } else { None },
            sasl: if authenticated {
                Some(self.sasl()?)
            } else {
                None
            },
        }))
    }

    fn tls(&self) -> Result<Tls> {
        let identity = match (&self.certificates, &self.key) {
            (Some(certificates), Some(key)) => Some(Identity {
                certificates: certificates.clone(),
                key: key.clone(),
            }),
            (None, None) => None,
            // Java keeps both in one file.
            (Some(both @ Pem::File(_)), None) => Some(Identity {
                certificates: both.clone(),
                key: both.clone(),
            }),
            (Some(Pem::Text(_)), None) => {
                return Err(Error::config("a certificate is given without its key"));
            }
            (None, Some(_)) => {
                return Err(Error::config("a key is given without its certificate"));
            }
        };
        let check = match (self.checks_anything, self.checks_host) {
            (Some(false), _) => Check::Nothing,
            (_, Some(false)) => Check::Chain,
            (_, Some(true) | None) => Check::Host,
        };
        Ok(Tls {
            authorities: self.authorities.iter().cloned().collect(),
            identity,
            check,
            versions: self.versions.unwrap_or_default(),
        })
    }

    fn sasl(&self) -> Result<Sasl> {
        let missing = |what: &str| Error::config(format!("SASL is asked for, and {what}"));
        let mechanism = self.mechanism.ok_or_else(|| {
            missing(&format!(
                "sasl.mechanism is not given, need {}",
                Mechanism::NAMES
            ))
        })?;
        if let Some(jaas) = &self.jaas {
            let login = jaas::parse(jaas)
                .map_err(|why| Error::config(format!("sasl.jaas.config does not parse: {why}")))?;
            if login.is_scram == (mechanism == Mechanism::Plain) {
                let name = mechanism.name();
                let why = format!("the login module of sasl.jaas.config is not one for {name}");
                return Err(Error::config(why));
            }
            if self.username.is_some() || self.password.is_some() {
                return Err(missing(
                    "a user is given twice: by sasl.jaas.config and by sasl.username",
                ));
            }
            return Ok(Sasl::new(mechanism, login.username, login.password));
        }
        let username = self.username.clone();
        let username = username.ok_or_else(|| missing("sasl.username is not given"))?;
        let password = self.password.clone();
        let password = password.ok_or_else(|| missing("sasl.password is not given"))?;
        Ok(Sasl::new(mechanism, username, password))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Properties;
    use crate::{Sasl, Security};

    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Option<Security>> {
        let mut properties = Properties::default();
        for (name, value) in settings {
            properties.set(name, value)?;
        }
        properties.security.finish()
    }

    fn sasl(settings: &[(&str, &str)]) -> Sasl {
        read(settings).unwrap().unwrap().sasl.unwrap()
    }

    #[test]
    fn each_client_says_the_same_in_its_own_words() {
        let expected = Sasl::scram_sha512("u", "p");
        let java = "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"u\" password=\"p\";";
        assert_eq!(
            sasl(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "SCRAM-SHA-512"),
                ("sasl.jaas.config", java),
            ]),
            expected
        );
        assert_eq!(
            sasl(&[
                ("security.protocol", "sasl_ssl"),
                ("sasl.mechanisms", "SCRAM-SHA-512"),
                ("sasl.username", "u"),
                ("sasl.password", "p"),
            ]),
            expected
        );
        assert_eq!(
            sasl(&[
                ("Net.SASL.Enable", "true"),
                ("Net.TLS.Enable", "true"),
                ("Net.SASL.Mechanism", "SASLTypeSCRAMSHA512"),
                ("Net.SASL.User", "u"),
                ("Net.SASL.Password", "p"),
            ]),
            expected
        );
    }

    #[test]
    fn certificates_come_as_files_or_as_text() {
        let tls = read(&[
            ("security.protocol", "SSL"),
            ("ssl.ca.location", "ca.pem"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", "both.pem"),
            ("ssl.endpoint.identification.algorithm", ""),
        ]);
        let tls = tls.unwrap().unwrap().tls.unwrap();
        assert_eq!(tls.authorities, [Pem::File("ca.pem".into())]);
        let identity = tls.identity.unwrap();
        assert!(identity.certificates == identity.key);
        assert_eq!(tls.check, Check::Chain);
        assert!(read(&[("ssl.truststore.type", "JKS")]).is_err());
        assert!(read(&[("ssl.key.password", "secret")]).is_err());
    }

    #[test]
    fn what_nothing_would_heed_is_an_error_that_shows_no_password() {
        let secret = "xyzzy";
        for settings in [
            &[("sasl.username", "u"), ("sasl.password", secret)][..],
            &[("ssl.ca.location", "ca.pem")],
            &[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "PLAIN"),
                ("sasl.password", secret),
            ],
            &[("security.protocol", "SASL_SSL"), ("sasl.username", "u")],
            &[
                ("security.protocol", "SASL_PLAINTEXT"),
                ("sasl.mechanism", "PLAIN"),
                (
                    "sasl.jaas.config",
                    "ScramLoginModule required username=u password=xyzzy;",
                ),
            ],
            &[("sasl.password", secret), ("Net.SASL.Password", "another")],
            &[("security.protocol", "TLS")],
        ] {
            let error = read(settings).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(secret), "{shown}");
        }
        let mut properties = Properties::default();
        properties.set("sasl.password", secret).unwrap();
        assert!(!format!("{properties:?}").contains(secret));
    }
}
