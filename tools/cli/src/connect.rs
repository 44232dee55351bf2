//! How every command finds its cluster and says who it is: addresses, a file of settings, and settings one by one.

use highwater::{Client, ClientBuilder, ClientConfig};

use crate::Result;
use crate::arguments::Broker;

/// Names us in the broker's logs and quotas, unless settings do.
const CLIENT_ID: &str = "highwater-cli";

impl Broker {
    /// A client as the flags describe it, not yet connected. What is given one by one is stronger than the file.
    pub(crate) fn client(&self) -> Result<ClientBuilder> {
        let mut builder = match &self.client_config {
            Some(path) => Client::from_properties_file(path)?,
            None => Client::builder(""),
        };
        for (key, value) in &self.properties {
            builder = builder.property(key, value)?;
        }
        let bootstrap = self.bootstrap.clone();
        let is_given = self.bootstrap.is_some();
        builder = builder.configure(|config| {
            if is_given || config.bootstrap.is_empty() {
                let addresses = bootstrap.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
                config.bootstrap = addresses
                    .split(',')
                    .map(|it| it.trim().to_owned())
                    .collect();
            }
        });
        Ok(builder.configure(|config| {
            // What nobody named is named here.
            if config.client_id == ClientConfig::default().client_id {
                CLIENT_ID.clone_into(&mut config.client_id);
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn client_id(broker: &Broker) -> String {
        let mut client_id = String::new();
        let builder = broker.client().unwrap();
        drop(builder.configure(|config| client_id.clone_from(&config.client_id)));
        client_id
    }

    #[test]
    fn the_name_that_was_given_is_the_one_that_brokers_see() {
        let mut broker = Broker {
            bootstrap: None,
            client_config: None,
            properties: Vec::new(),
        };
        assert_eq!(client_id(&broker), CLIENT_ID);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "client.id=from-the-file").unwrap();
        broker.client_config = Some(file.path().to_owned());
        assert_eq!(client_id(&broker), "from-the-file");
        let given = ("client.id".to_owned(), "given".to_owned());
        broker.properties.push(given);
        assert_eq!(client_id(&broker), "given");
    }
}
