//! `meta.properties`: whose a data directory is, in Java's properties format (`MetaProperties.java`).
//!
//! Text in, text out.

use uuid::Uuid;

use crate::uuid_text;

/// The name of the file at the top of a data directory.
pub const FILE_NAME: &str = "meta.properties";

/// Whose a data directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `cluster.id`: 22 characters, or any text a cluster was formatted with.
    pub cluster_id: String,
    /// `node.id`, at least 0.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: Uuid,
}

/// What the file says; version 0 may leave everything out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: Option<String>,
    /// `node.id`, in version 0 `broker.id`.
    pub node_id: Option<i32>,
    /// `directory.id`, which Kafka adds where it is missing.
    pub directory_id: Option<Uuid>,
}

/// Why the file cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It is not UTF-8.
    #[error("is not text")]
    NotText,
    /// A version this code does not know.
    #[error("has version {found:?}, expected 0 or 1")]
    Version {
        /// The value found.
        found: String,
    },
    /// A key that version 1 must have.
    #[error("has no {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value that does not parse.
    #[error("has {key}={found}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value found.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}

impl Identity {
    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            escape(&self.cluster_id),
            self.node_id,
            uuid_text::encode(&self.directory_id)
        )
    }
}

impl MetaProperties {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Defect`].
    pub fn parse(bytes: &[u8]) -> Result<MetaProperties, Defect> {
        let text = std::str::from_utf8(bytes).map_err(|_| Defect::NotText)?;
        let mut version = None;
        let mut meta = MetaProperties::default();
        let mut broker_id = None;
        for (key, value) in text.lines().filter_map(property) {
            match key.as_str() {
                "version" => version = Some(value),
                "cluster.id" => meta.cluster_id = Some(value),
                "node.id" => meta.node_id = Some(node_id("node.id", value)?),
                "broker.id" => broker_id = Some(node_id("broker.id", value)?),
                "directory.id" => {
                    meta.directory_id = Some(uuid_text::parse(&value).map_err(|_| {
                        let (key, expected) = ("directory.id", "22 characters of base64url");
                        Defect::Value {
                            key,
                            found: value,
                            expected,
                        }
                    })?);
                }
                _ => {}
            }
        }
        match version.as_deref() {
            Some("1") => {
                if meta.cluster_id.is_none() {
                    return Err(Defect::Missing { key: "cluster.id" });
                }
                if meta.node_id.is_none() {
                    return Err(Defect::Missing { key: "node.id" });
                }
            }
            Some("0") | None => meta.node_id = meta.node_id.or(broker_id),
            Some(found) => {
                return Err(Defect::Version {
                    found: found.to_owned(),
                });
            }
        }
        Ok(meta)
    }
}

fn node_id(key: &'static str, found: String) -> Result<i32, Defect> {
    match found.parse() {
        Ok(id @ 0..) => Ok(id),
        Ok(_) | Err(_) => Err(Defect::Value {
            key,
            found,
            expected: "a number from 0 on",
        }),
    }
}

/// Key and value of a line; `None` for comments and empty lines.
fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut key = String::new();
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => key.extend(rest.next()),
            '=' | ':' => break,
            _ => key.push(letter),
        }
    }
    let mut value = String::new();
    let mut rest = rest.as_str().trim_start().chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => value.extend(rest.next()),
            _ => value.push(letter),
        }
    }
    Some((key.trim_end().to_owned(), value))
}

/// Java escapes what would begin a comment or end a key, in values too.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        if matches!(letter, '\\' | '=' | ':' | '#' | '!') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_kafka_writes_is_read() {
        let text = "#\n#Fri Nov 20 09:14:01 UTC 2026\ncluster.id=Ms4nbNYMRiq6qz6x0PBRaA\n\
                    directory.id=-IXcmt-qQdKL6Ssnp4ACJg\nnode.id=7\nversion=1\n";
        let meta = MetaProperties::parse(text.as_bytes()).expect("it is sound");
        assert_eq!(meta.cluster_id.as_deref(), Some("Ms4nbNYMRiq6qz6x0PBRaA"));
        assert_eq!(meta.node_id, Some(7));
        assert!(meta.directory_id.is_some());
    }

    #[test]
    fn version_zero_calls_the_node_a_broker() {
        let meta = MetaProperties::parse(b"version=0\nbroker.id=3\n").expect("it is sound");
        assert_eq!(meta.node_id, Some(3));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        let said = |text: &str| {
            MetaProperties::parse(text.as_bytes())
                .expect_err("bad")
                .to_string()
        };
        assert_eq!(said("version=2"), "has version \"2\", expected 0 or 1");
        assert_eq!(said("version=1\nnode.id=1"), "has no cluster.id");
        assert_eq!(
            said("version=1\ncluster.id=a\nnode.id=x"),
            "has node.id=x, expected a number from 0 on"
        );
    }

    proptest! {
        #[test]
        fn an_identity_comes_back_from_its_text(cluster_id in "[!-~]{1,30}", node_id in 0..i32::MAX, id: u128) {
            let identity = Identity { cluster_id, node_id, directory_id: Uuid::from_u128(id) };
            let meta = MetaProperties::parse(identity.to_text().as_bytes()).expect("it is sound");
            prop_assert_eq!(meta.cluster_id, Some(identity.cluster_id));
            prop_assert_eq!((meta.node_id, meta.directory_id), (Some(node_id), Some(identity.directory_id)));
        }

        #[test]
        fn no_bytes_upset_the_parser(bytes: Vec<u8>) {
            let _ = MetaProperties::parse(&bytes);
        }
    }
}
