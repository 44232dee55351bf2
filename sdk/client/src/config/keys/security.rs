//! Settings of encryption and authentication.

use super::Unit::Same;
use super::{Key, librdkafka, sarama};
use crate::config::properties::{flag, wrong};
use crate::error::Error;
use crate::security::draft::{file, text};
use crate::security::sasl::Mechanism;
use crate::security::tls::Versions;

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "security.protocol",
        "(`PLAINTEXT`)",
        "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.",
        |p, k, v| {
            let set = p.security.protocol(v);
            set.ok_or_else(|| wrong(k, v, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"))
        },
    ),
    Key::new(
        "highwater.tls.enable",
        "(false)",
        "Whether connections are encrypted: half of `security.protocol`.",
        |p, k, v| {
            p.security.encrypted = Some(flag(k, v)?);
            Ok(())
        },
    )
    .spelled(&[sarama("Net.TLS.Enable", Same)]),
    Key::new(
        "highwater.sasl.enable",
        "(false)",
        "Whether the client says who it is: the other half.",
        |p, k, v| {
            p.security.authenticated = Some(flag(k, v)?);
            Ok(())
        },
    )
    .spelled(&[sarama("Net.SASL.Enable", Same)]),
    Key::new(
        "sasl.mechanism",
        "",
        "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. There is no default: Java's is Kerberos.",
        |p, k, v| {
            let mechanism = Mechanism::parse(v);
            p.security.mechanism = Some(mechanism.ok_or_else(|| wrong(k, v, Mechanism::NAMES))?);
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("sasl.mechanisms", Same),
        sarama("Net.SASL.Mechanism", Same),
    ])
    .worded(&[
        ("SASLTypePlaintext", "PLAIN"),
        ("SASLTypeSCRAMSHA256", "SCRAM-SHA-256"),
        ("SASLTypeSCRAMSHA512", "SCRAM-SHA-512"),
    ]),
    Key::new(
        "sasl.username",
        "",
        "The user's name. Java has it in `sasl.jaas.config`.",
        |p, _, v| {
            p.security.username = Some(v.to_owned());
            Ok(())
        },
    )
    .spelled(&[sarama("Net.SASL.User", Same)]),
    Key::new(
        "sasl.password",
        "",
        "The user's password.",
        |p, _, v| {
            p.security.password = Some(v.to_owned());
            Ok(())
        },
    )
    .spelled(&[sarama("Net.SASL.Password", Same)]),
    Key::new(
        "sasl.jaas.config",
        "",
        "Java's way to give both: `org.apache.kafka.common.security.scram.ScramLoginModule required username=\"..\" password=\"..\";`, or `plain.PlainLoginModule`.",
        |p, _, v| {
            p.security.jaas = Some(v.to_owned()).filter(|jaas| !jaas.is_empty());
            Ok(())
        },
    ),
    Key::new(
        "ssl.truststore.location",
        "",
        "A PEM file with the certificate authorities to trust; those of the system where nothing is given.",
        |p, _, v| {
            p.security.authorities = file(v);
            Ok(())
        },
    )
    .spelled(&[librdkafka("ssl.ca.location", Same)]),
    Key::new(
        "ssl.truststore.certificates",
        "",
        "The same as text.",
        |p, _, v| {
            p.security.authorities = text(v);
            Ok(())
        },
    )
    .spelled(&[librdkafka("ssl.ca.pem", Same)]),
    Key::new(
        "ssl.truststore.type",
        "(`PEM`)",
        "`PEM`. Java's own stores are to be converted: `keytool -exportcert -rfc`.",
        |_, k, v| pem(k, v),
    ),
    Key::new(
        "ssl.keystore.location",
        "",
        "A PEM file with the client's certificate, those between it and its authority, and its key unless that is given elsewhere.",
        |p, _, v| {
            p.security.certificates = file(v);
            Ok(())
        },
    )
    .spelled(&[librdkafka("ssl.certificate.location", Same)]),
    Key::new(
        "ssl.keystore.certificate.chain",
        "",
        "The certificates as text.",
        |p, _, v| {
            p.security.certificates = text(v);
            Ok(())
        },
    )
    .spelled(&[librdkafka("ssl.certificate.pem", Same)]),
    Key::new(
        "ssl.keystore.key",
        "",
        "The key as text: PKCS#8, PKCS#1 or SEC1 in PEM, not encrypted.",
        |p, _, v| {
            p.security.key = text(v);
            Ok(())
        },
    )
    .spelled(&[librdkafka("ssl.key.pem", Same)]),
    Key::new(
        "ssl.key.location",
        "",
        "A PEM file with the key.",
        |p, _, v| {
            p.security.key = file(v);
            Ok(())
        },
    ),
    Key::new(
        "ssl.keystore.type",
        "(`PEM`)",
        "`PEM`. Java's own stores are to be converted: `openssl pkcs12 -in store.p12 -nodes`.",
        |_, k, v| pem(k, v),
    ),
    Key::new(
        "ssl.endpoint.identification.algorithm",
        "(`https`)",
        "`https` checks that the broker's certificate is for the host that was dialed; empty, or librdkafka's `none`, does not.",
        |p, k, v| {
            p.security.checks_host = Some(match v.to_ascii_lowercase().as_str() {
                "https" => true,
                "" | "none" => false,
                _ => return Err(wrong(k, v, "https, or nothing")),
            });
            Ok(())
        },
    ),
    Key::new(
        "enable.ssl.certificate.verification",
        "(true)",
        "With `false` any certificate is taken. For tests.",
        |p, k, v| {
            p.security.checks_anything = Some(flag(k, v)?);
            Ok(())
        },
    ),
    Key::new(
        "ssl.enabled.protocols",
        "(`TLSv1.2,TLSv1.3`)",
        "The versions of TLS that are spoken.",
        |p, k, v| {
            let (mut v12, mut v13) = (false, false);
            for version in v.split(',').map(str::trim) {
                match version {
                    "TLSv1.2" => v12 = true,
                    "TLSv1.3" => v13 = true,
                    _ => return Err(wrong(k, v, "TLSv1.2 or TLSv1.3")),
                }
            }
            p.security.versions = Some(Versions { v12, v13 });
            Ok(())
        },
    ),
    Key::new(
        "ssl.key.password",
        "",
        "Empty: encrypted keys are to be decrypted (`openssl pkcs8`).",
        |_, k, v| empty(k, v, "an unencrypted key (openssl pkcs8 -in key.pem)"),
    ),
    Key::new(
        "ssl.keystore.password",
        "",
        "Empty: a PEM file has no password.",
        |_, k, v| empty(k, v, "a PEM file, which has no password"),
    ),
];

fn pem(key: &str, kind: &str) -> Result<(), Error> {
    if kind.eq_ignore_ascii_case("PEM") {
        return Ok(());
    }
    let how = "PEM (keytool -exportcert -rfc, openssl pkcs12 -nodes)";
    Err(wrong(key, kind, how))
}

/// For settings that hold secrets: a value is not repeated.
fn empty(key: &str, value: &str, expected: &str) -> Result<(), Error> {
    if value.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!("{key} is given, need {expected}")))
}
