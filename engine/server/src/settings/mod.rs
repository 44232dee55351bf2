//! What an engine is started with: Kafka's `server.properties` and what was said on top of it, parsed into values that can
//! be used. It opens nothing; what a setting does is the catalog's and the engine's business.

pub mod listeners;
pub mod properties;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use highwater_broker::config::{Effect, Entry, Layers, Misfit, Overrides, brokers, groups, topics};

pub use listeners::{Address, Listener};
pub use properties::{Origin, Properties};

/// Everything an engine needs to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `node.id`.
    pub node_id: i32,
    /// `log.dirs`.
    pub data_dir: PathBuf,
    /// The listeners for clients, at least one.
    pub listeners: Vec<Listener>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `highwater.shards`; `None` is one for each core but one.
    pub shards: Option<u16>,
    /// `highwater.shards.pin`.
    pub pin: bool,
    /// Every known setting as it was given: the layer below the dynamic ones.
    pub statics: Overrides,
    /// What the log should say about these settings when the engine starts.
    pub warnings: Vec<String>,
}

/// Why settings cannot be used: one, or several at once.
#[derive(Debug)]
pub struct Invalid {
    /// What is wrong, in the order of the settings' names. At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with one setting.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {wrong}")]
pub struct Problem {
    /// Where the setting was given.
    pub origin: Origin,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What can be wrong with a setting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is no such setting.
    #[error("unknown setting `{name}`{}", nearest.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// What was given.
        name: String,
        /// The known name that is nearest to it.
        nearest: Option<&'static str>,
    },
    /// It is a setting of topics.
    #[error("`{name}` is a setting of topics{}", default.map(|n| format!("; the broker's default for it is `{n}`")).unwrap_or_default())]
    Topic {
        /// What was given.
        name: String,
        /// The broker's setting that gives it its default.
        default: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("{name}: {misfit}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Why not.
        misfit: Misfit,
    },
    /// It does not go with another setting, in words.
    #[error("{0}")]
    Contradiction(String),
    /// It protects something, and is not built yet.
    #[error(
        "`{0}` cannot be obeyed: security is not built yet, and to start without it would leave open what it should close; remove it if that is intended"
    )]
    Protecting(String),
    /// Only the default can be had.
    #[error("`{name}` cannot be set: {reason}")]
    Refused {
        /// The setting.
        name: &'static str,
        /// What is missing.
        reason: &'static str,
    },
    /// The listeners cannot be used.
    #[error("{name}: {error}")]
    Listeners {
        /// The setting.
        name: &'static str,
        /// Why not.
        error: listeners::Error,
    },
    /// No directory, or an empty name.
    #[error("no data directory: set log.dirs (or --data-dir) to where the data should lie")]
    NoDirectory,
    /// Several directories.
    #[error(
        "log.dirs names {0} directories, and one is supported: keep one, or join the devices below the file system"
    )]
    Directories(usize),
    /// Only a controller.
    #[error(
        "process.roles has no `broker`, and a controller alone cannot be run: set process.roles=broker,controller"
    )]
    NoBroker,
    /// Two ids.
    #[error("node.id is {node} and broker.id is {broker}: remove broker.id")]
    Ids {
        /// `node.id`.
        node: String,
        /// `broker.id`.
        broker: String,
    },
}

impl Settings {
    /// Settings for an engine inside a program or a test: its data in `data_dir`, any free port of the loopback, all else
    /// by default.
    pub fn embedded(data_dir: impl Into<PathBuf>) -> Settings {
        let data_dir = data_dir.into();
        let properties = Properties::embedded(&data_dir);
        let settings = Settings::parse(&properties)
            .expect("a directory and a loopback listener are valid settings");
        // A path need not be text.
        Settings {
            data_dir,
            ..settings
        }
    }

    /// What these properties mean.
    pub fn parse(properties: &Properties) -> Result<Settings, Invalid> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut idle: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut statics = Overrides::new();
        for (name, given) in properties.iter() {
            match look(name, &given.value) {
                Ok(Known::Entry(entry)) => {
                    statics.insert(name.to_owned(), given.value.clone());
                    if let Effect::Waits(feature) = entry.effect
                        && entry.default != Some(given.value.trim())
                    {
                        idle.entry(feature.name()).or_default().push(entry.name);
                    }
                }
                Ok(Known::Obsolete(instead)) => warnings.push(format!(
                    "{}: `{name}` is no longer a setting and is ignored: {instead}",
                    given.origin
                )),
                Ok(Known::Foreign) => warnings.push(format!(
                    "{}: `{name}` belongs to a part of Kafka that is not here and is ignored",
                    given.origin
                )),
                Err(wrong) => problems.push(Problem {
                    origin: given.origin.clone(),
                    wrong,
                }),
            }
        }
        // Values that do not fit were reported, and count as not given here.
        for (name, why) in groups::contradictions(&Layers::statics(&statics)) {
            problems.push(Problem {
                origin: properties
                    .get(name)
                    .map_or(Origin::Caller, |given| given.origin.clone()),
                wrong: Wrong::Contradiction(why),
            });
        }
        for (feature, names) in idle {
            warnings.push(format!(
                "no effect until {feature} is there: {}",
                names.join(", ")
            ));
        }
        let mut reading = Reading {
            properties,
            problems,
        };
        let node_id = reading.node_id(&mut warnings);
        let data_dir = reading.data_dir();
        reading.roles();
        let listeners = reading.listeners();
        let (Some(data_dir), Some(listeners), true) =
            (data_dir, listeners, reading.problems.is_empty())
        else {
            return Err(Invalid {
                problems: reading.problems,
            });
        };
        let text = |name: &str| properties.get(name).map(|given| given.value.trim());
        Ok(Settings {
            node_id,
            data_dir,
            listeners,
            rack: text("broker.rack")
                .filter(|t| !t.is_empty())
                .map(str::to_owned),
            shards: text("highwater.shards")
                .and_then(|t| t.parse().ok())
                .filter(|n| *n > 0),
            pin: text("highwater.shards.pin") != Some("false"),
            statics,
            warnings,
        })
    }
}

impl Properties {
    /// A directory and any free port of the loopback.
    pub fn embedded(data_dir: &Path) -> Properties {
        let mut properties = Properties::new();
        properties.set_data_dir(data_dir);
        properties.set("listeners", "PLAINTEXT://127.0.0.1:0");
        // Whoever embeds an engine has threads of its own on the same cores.
        properties.set("highwater.shards.pin", "false");
        properties
    }

    /// Puts the data into this directory, whatever was said before.
    pub fn set_data_dir(&mut self, data_dir: &Path) {
        self.remove("log.dirs");
        self.set("log.dir", &data_dir.to_string_lossy());
    }

    /// Listens on this address only, whatever was said before; clients are told the same.
    pub fn set_listener(&mut self, address: &Address) {
        self.set("listeners", &format!("PLAINTEXT://{address}"));
        for name in [
            "advertised.listeners",
            "listener.security.protocol.map",
            "controller.listener.names",
            "inter.broker.listener.name",
        ] {
            self.remove(name);
        }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

enum Known {
    Entry(&'static Entry),
    Obsolete(&'static str),
    Foreign,
}

fn look(name: &str, value: &str) -> Result<Known, Wrong> {
    if let Some(entry) = brokers::find(name) {
        if let Err(misfit) = entry.kind.check(value) {
            return Err(Wrong::Value {
                name: entry.name,
                misfit,
            });
        }
        if let Effect::Refused(reason) = entry.effect
            && entry.default != Some(value.trim())
        {
            return Err(Wrong::Refused {
                name: entry.name,
                reason,
            });
        }
        if name == "security.inter.broker.protocol" && value.trim() != "PLAINTEXT" {
            return Err(Wrong::Protecting(name.to_owned()));
        }
        return Ok(Known::Entry(entry));
    }
    if let Some(instead) = brokers::obsolete(name) {
        return Ok(Known::Obsolete(instead));
    }
    if brokers::is_protecting(name) {
        return if value.trim().is_empty() {
            Ok(Known::Foreign)
        } else {
            Err(Wrong::Protecting(name.to_owned()))
        };
    }
    if let Some(topic) = topics::find(name) {
        return Err(Wrong::Topic {
            name: name.to_owned(),
            default: topic.synonyms.first().map(|synonym| synonym.name),
        });
    }
    if brokers::is_foreign(name) {
        return Ok(Known::Foreign);
    }
    Err(Wrong::Unknown {
        name: name.to_owned(),
        nearest: nearest(name),
    })
}

/// The known name that is likest, if one is like it at all.
fn nearest(name: &str) -> Option<&'static str> {
    brokers::BROKERS
        .iter()
        .map(|entry| entry.name)
        .chain(brokers::OBSOLETE.iter().map(|(old, _)| *old))
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .map(|(_, known)| known)
}

/// The settings that the engine itself reads; what is wrong with them is collected.
struct Reading<'a> {
    properties: &'a Properties,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn node_id(&mut self, warnings: &mut Vec<String>) -> i32 {
        let (node, broker) = (
            self.properties.get("node.id"),
            self.properties.get("broker.id"),
        );
        if let (Some(node), Some(broker)) = (node, broker)
            && node.value.trim() != broker.value.trim()
        {
            self.problems.push(Problem {
                origin: broker.origin.clone(),
                wrong: Wrong::Ids {
                    node: node.value.clone(),
                    broker: broker.value.clone(),
                },
            });
        }
        if let Some(broker) = broker {
            warnings.push(format!(
                "{}: `broker.id` is the old name of `node.id`",
                broker.origin
            ));
        }
        // What does not fit was reported with the others.
        node.or(broker)
            .and_then(|given| given.value.trim().parse().ok())
            .unwrap_or(1)
    }

    fn data_dir(&mut self) -> Option<PathBuf> {
        // Only `log.dirs` is a list; a directory named by `log.dir` may have a comma in it.
        let (origin, dirs) = match (
            self.properties.get("log.dirs"),
            self.properties.get("log.dir"),
        ) {
            (Some(given), _) => {
                let dirs = given
                    .value
                    .split(',')
                    .map(str::trim)
                    .filter(|d| !d.is_empty());
                (given.origin.clone(), dirs.collect())
            }
            (None, Some(given)) if !given.value.is_empty() => {
                (given.origin.clone(), vec![given.value.as_str()])
            }
            (None, given) => (
                given.map_or(Origin::Caller, |g| g.origin.clone()),
                Vec::new(),
            ),
        };
        let wrong = match dirs.as_slice() {
            [dir] => return Some(PathBuf::from(dir)),
            [] => Wrong::NoDirectory,
            several => Wrong::Directories(several.len()),
        };
        self.problems.push(Problem { origin, wrong });
        None
    }

    fn roles(&mut self) {
        if let Some(given) = self.properties.get("process.roles")
            && !given.value.split(',').any(|role| role.trim() == "broker")
            && !given.value.trim().is_empty()
        {
            self.problems.push(Problem {
                origin: given.origin.clone(),
                wrong: Wrong::NoBroker,
            });
        }
    }

    fn listeners(&mut self) -> Option<Vec<Listener>> {
        let (origin, text) = self.text("listeners");
        let (_, controllers) = self.text("controller.listener.names");
        let (_, protocols) = self.text("listener.security.protocol.map");
        let all = self.keep("listeners", origin.clone(), listeners::parse(&text))?;
        let clients = listeners::clients(&all, &controllers, &protocols);
        let mut clients = self.keep("listeners", origin, clients)?;
        let (origin, text) = self.text("advertised.listeners");
        let told = listeners::parse(&text).and_then(|told| advertise(&mut clients, &all, &told));
        self.keep("advertised.listeners", origin, told)?;
        Some(clients)
    }

    fn text(&self, name: &'static str) -> (Origin, String) {
        match self.properties.get(name) {
            Some(given) => (given.origin.clone(), given.value.clone()),
            None => {
                let default = brokers::find(name).and_then(|entry| entry.default);
                (Origin::Caller, default.unwrap_or_default().to_owned())
            }
        }
    }

    fn keep<T>(
        &mut self,
        name: &'static str,
        origin: Origin,
        found: Result<T, listeners::Error>,
    ) -> Option<T> {
        found
            .map_err(|error| {
                let wrong = Wrong::Listeners { name, error };
                self.problems.push(Problem { origin, wrong });
            })
            .ok()
    }
}

/// Notes what the clients of each listener are told.
fn advertise(
    clients: &mut [Listener],
    all: &[Listener],
    told: &[Listener],
) -> Result<(), listeners::Error> {
    for told in told {
        if matches!(told.address.host.as_str(), "0.0.0.0" | "::") {
            return Err(listeners::Error::Meta(told.address.to_string()));
        }
        if let Some(client) = clients.iter_mut().find(|l| l.name == told.name) {
            client.advertised = Some(told.address.clone());
        } else if !all.iter().any(|l| l.name == told.name) {
            return Err(listeners::Error::Unknown(told.name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
