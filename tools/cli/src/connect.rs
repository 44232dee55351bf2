//! How every command finds its cluster and says who it is: addresses, a file of settings, and settings one by one.

use highwater::{Client, ClientBuilder};

use crate::Result;
use crate::arguments::Broker;

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
        Ok(builder.client_id("highwater-cli"))
    }
}
