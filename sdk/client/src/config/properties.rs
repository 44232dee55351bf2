//! Settings as text: names and values from code, a file or the environment become the three configurations.
//!
//! What the names are is [`keys`]' business. An unknown name is an error that says which known one is nearest; a name
//! given twice in two spellings must say the same thing twice.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use highwater_record::{Codec, Compression};

use super::keys::{self, IGNORED, UNBUILT};
use super::{ClientConfig, ConsumerConfig, ProducerConfig};
use crate::consumer::Commit;
use crate::error::{Error, Result};
use crate::partitioner::Chosen;
use crate::security::draft::Draft;

/// All configurations, as one properties file sets them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties {
    pub(crate) client: ClientConfig,
    pub(crate) producer: ProducerConfig,
    pub(crate) consumer: ConsumerConfig,
    pub(crate) partitioner: Chosen,
    pub(crate) security: Draft,
    /// Whether what is committed by itself is what was marked, not what was handed out.
    pub(crate) commits_marks: bool,
    levels: Vec<Compression>,
    level_of_any: Option<i32>,
    given: Given,
}

/// What was set by name: by the key's own name, the spelling and the value in Java's terms.
#[derive(Clone, Default)]
struct Given(BTreeMap<&'static str, (String, String)>);

impl fmt::Debug for Given {
    /// Without the values: there may be passwords among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Given {
    /// Notes that `key` was given. The same spelling may come again, with another value; another spelling must agree.
    fn note(&mut self, key: &'static str, spelling: &str, value: &str) -> Result<()> {
        if let Some((before, held)) = self.0.get(key)
            && before != spelling
            && !held.eq_ignore_ascii_case(value)
        {
            return Err(Error::config(format!(
                "{spelling} contradicts {before}: both set {key}, need one of them"
            )));
        }
        let given = (spelling.to_owned(), value.to_owned());
        self.0.insert(key, given);
        Ok(())
    }
}

impl Properties {
    /// Sets one property by its name in any client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for an unknown name, an unusable value, or one that contradicts
    /// what another name has set.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let value = value.trim();
        if let Some((key, unit)) = keys::find(name) {
            let value = keys::in_java(key, unit, value)
                .ok_or_else(|| wrong(name, value, unit.expected()))?;
            let mut given = self.given.clone();
            given.note(key.name, name, &value)?;
            (key.set)(self, name, &value)?;
            self.given = given;
            self.apply_marks();
            return self.apply_level();
        }
        if let Some((_, why)) = IGNORED.iter().find(|(ignored, _)| *ignored == name) {
            tracing::warn!(setting = name, why, "setting has no effect");
            return Ok(());
        }
        let unbuilt = UNBUILT.iter().find(|(unbuilt, _)| {
            *unbuilt == name || (unbuilt.ends_with('.') && name.starts_with(unbuilt))
        });
        if let Some((_, why)) = unbuilt {
            return Err(Error::config(format!("{name} cannot be set: {why}")));
        }
        let nearest = keys::nearest(name);
        Err(Error::config(format!(
            "unknown property {name:?}, nearest is {nearest:?}"
        )))
    }

    /// A level for batches of `codec`.
    pub(crate) fn level(&mut self, codec: Codec, key: &str, value: &str) -> Result<()> {
        let level: i32 = number(key, value)?;
        let compression = Compression::new(codec, Some(level))
            .map_err(|error| Error::config(format!("{key}: {error}")))?;
        self.levels.push(compression);
        Ok(())
    }

    /// A level for whatever codec is chosen; below zero says nothing.
    pub(crate) fn level_of_any(&mut self, level: i32) {
        self.level_of_any = Some(level).filter(|level| *level >= 0);
    }

    /// Java commits what was handed out, sarama what was marked, librdkafka either.
    fn apply_marks(&mut self) {
        let commit = &mut self.consumer.group.commit;
        if let (true, Commit::OnPoll { every }) = (self.commits_marks, *commit) {
            *commit = Commit::Watermark { every };
        }
    }

    /// A level counts only for the codec in force, whichever of both came first.
    fn apply_level(&mut self) -> Result<()> {
        let codec = self.producer.compression.codec();
        if let Some(level) = self.level_of_any
            && !matches!(codec, Codec::None | Codec::Snappy)
        {
            self.producer.compression = Compression::new(codec, Some(level))
                .map_err(|error| Error::config(format!("compression.level: {error}")))?;
        }
        let levels = self.levels.iter().rev();
        if let Some(level) = levels.copied().find(|level| level.codec() == codec) {
            self.producer.compression = level;
        }
        Ok(())
    }
}

pub(crate) fn wrong(key: &str, value: &str, expected: &str) -> Error {
    Error::config(format!("{key} is {value:?}, need {expected}"))
}

pub(crate) fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| wrong(key, value, "a number in range"))
}

pub(crate) fn ms(key: &str, value: &str) -> Result<Duration> {
    let ms: u64 = number(key, value)?;
    // Java's limit; also keeps deadlines within what a monotonic clock can hold.
    if ms > i32::MAX as u64 {
        return Err(wrong(key, value, "at most 2147483647"));
    }
    Ok(Duration::from_millis(ms))
}

pub(crate) fn flag(key: &str, value: &str) -> Result<bool> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(wrong(key, value, "true or false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_may_agree_but_not_contradict_each_other() {
        let mut p = Properties::default();
        p.set("linger.ms", "5").unwrap();
        p.set("linger.ms", "7").unwrap();
        p.set("queue.buffering.max.ms", "7").unwrap();
        p.set("Producer.Flush.Frequency", "7ms").unwrap();
        let error = p.set("queue.buffering.max.ms", "8").unwrap_err();
        assert_eq!(
            error.to_string(),
            "queue.buffering.max.ms contradicts Producer.Flush.Frequency: both set linger.ms, need one of them"
        );
        assert_eq!(
            p.producer.linger,
            crate::Linger::Fixed(Duration::from_millis(7))
        );
    }

    #[test]
    fn what_is_not_built_says_so_and_what_has_no_meaning_is_passed_over() {
        let mut p = Properties::default();
        let error = p.set("transactional.id", "t").unwrap_err();
        assert_eq!(
            error.to_string(),
            "transactional.id cannot be set: transactions are not built yet"
        );
        assert!(p.set("sasl.kerberos.service.name", "kafka").is_err());
        p.set(
            "key.serializer",
            "org.apache.kafka.common.serialization.StringSerializer",
        )
        .unwrap();
    }

    #[test]
    fn one_level_for_all_codecs_counts_for_the_one_that_is_chosen() {
        let mut p = Properties::default();
        p.set("compression.level", "6").unwrap();
        assert_eq!(p.producer.compression.level(), None);
        p.set("compression.codec", "gzip").unwrap();
        assert_eq!(p.producer.compression.level(), Some(6));
        p.set("compression.gzip.level", "9").unwrap();
        assert_eq!(p.producer.compression.level(), Some(9));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Properties::default().set("linger.m", "5").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown property "linger.m", nearest is "linger.ms""#
        );
    }

    #[test]
    fn a_level_counts_whether_it_comes_before_or_after_its_codec() {
        let mut before = Properties::default();
        before.set("compression.zstd.level", "7").unwrap();
        before.set("compression.type", "zstd").unwrap();
        let mut after = Properties::default();
        after.set("compression.type", "zstd").unwrap();
        after.set("compression.zstd.level", "7").unwrap();
        assert_eq!(before.producer.compression.level(), Some(7));
        assert_eq!(after.producer.compression.level(), Some(7));
        assert!(after.set("compression.gzip.level", "77").is_err());
    }

    #[test]
    fn values_out_of_range_are_refused_with_what_is_expected() {
        let mut p = Properties::default();
        let error = p.set("acks", "2").unwrap_err();
        assert_eq!(error.to_string(), r#"acks is "2", need all, 1 or 0"#);
        assert!(p.set("linger.ms", "-1").is_err());
        assert!(p.set("request.timeout.ms", "99999999999").is_err());
    }
}
