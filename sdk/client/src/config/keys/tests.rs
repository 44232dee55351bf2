use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;

/// Kafka 4.1: the names of `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig`.
const JAVA: &str = include_str!("java.txt");
/// librdkafka 2.x, `CONFIGURATION.md`.
const LIBRDKAFKA: &str = include_str!("librdkafka.txt");
/// sarama 1.61, the fields of `Config`.
const SARAMA: &str = include_str!("sarama.txt");

fn is_dealt_with(name: &str) -> bool {
    find(name).is_some()
        || IGNORED.iter().any(|(ignored, _)| *ignored == name)
        || UNBUILT.iter().any(|(unbuilt, _)| {
            *unbuilt == name || (unbuilt.ends_with('.') && name.starts_with(unbuilt))
        })
}

#[test]
fn every_setting_of_the_other_clients_is_known_passed_over_or_refused_with_a_reason() {
    for list in [JAVA, LIBRDKAFKA, SARAMA] {
        let lost: Vec<&str> = list.lines().filter(|name| !is_dealt_with(name)).collect();
        assert_eq!(lost, Vec::<&str>::new());
    }
}

#[test]
fn no_name_stands_for_two_settings() {
    let mut seen = BTreeSet::new();
    for name in names().chain(UNBUILT.iter().map(|(name, _)| *name)) {
        assert!(seen.insert(name), "{name}");
    }
}

#[test]
fn a_spelling_is_one_that_its_client_has() {
    for spelling in all().flat_map(|key| key.spellings) {
        let list = match spelling.dialect {
            Dialect::Librdkafka => LIBRDKAFKA,
            Dialect::Sarama => SARAMA,
        };
        assert!(
            list.lines().any(|name| name == spelling.name),
            "{}",
            spelling.name
        );
    }
}

#[test]
fn a_default_is_what_is_there_when_nothing_was_said() {
    let nothing = format!("{:?}", Properties::default());
    for key in all().filter(|key| !key.default.starts_with('(') && !key.default.is_empty()) {
        let mut said = Properties::default();
        (key.set)(&mut said, key.name, key.default).expect(key.name);
        assert_eq!(format!("{said:?}"), nothing, "{}", key.name);
    }
}

#[test]
fn values_come_in_the_words_and_units_of_their_client() {
    let mut p = Properties::default();
    for (name, value) in [
        ("Producer.RequiredAcks", "sarama.WaitForLocal"),
        ("Producer.Compression", "CompressionLZ4"),
        ("Producer.Partitioner", "NewHashPartitioner"),
        ("Net.ReadTimeout", "1m30s"),
        ("Consumer.Offsets.Initial", "-2"),
        ("queue.buffering.max.kbytes", "1024"),
        ("fetch.wait.max.ms", "100"),
    ] {
        p.set(name, value).expect(name);
    }
    assert_eq!(p.producer.acks, crate::Acks::Leader);
    assert_eq!(p.producer.compression.codec(), crate::Codec::Lz4);
    assert_eq!(p.client.request_timeout.as_secs(), 90);
    assert_eq!(p.consumer.offset_reset, crate::OffsetReset::Earliest);
    assert_eq!(p.producer.buffer_bytes, 1 << 20);
    assert_eq!(p.consumer.fetch_wait_max.as_millis(), 100);
    assert!(p.set("Net.DialTimeout", "5 seconds").is_err());
}

#[test]
fn what_is_committed_by_itself_is_what_each_client_would_commit() {
    use std::time::Duration;

    use crate::Commit;

    let every = Duration::from_secs(5);
    for (settings, commit) in [
        (&[][..], Commit::Watermark { every }),
        (&[("enable.auto.commit", "true")], Commit::OnPoll { every }),
        (&[("enable.auto.commit", "false")], Commit::Manual),
        (
            &[
                ("enable.auto.offset.store", "false"),
                ("enable.auto.commit", "true"),
            ],
            Commit::Watermark { every },
        ),
        (
            &[
                ("enable.auto.commit", "true"),
                ("enable.auto.offset.store", "false"),
            ],
            Commit::Watermark { every },
        ),
        (
            &[("Consumer.Offsets.AutoCommit.Enable", "true")],
            Commit::Watermark { every },
        ),
        (
            &[("Consumer.Offsets.AutoCommit.Enable", "false")],
            Commit::Manual,
        ),
    ] {
        let mut p = Properties::default();
        for (name, value) in settings {
            p.set(name, value).unwrap();
        }
        assert_eq!(p.consumer.group.commit, commit, "{settings:?}");
    }
}

#[test]
fn durations_of_go_are_read_as_go_reads_them() {
    for (text, nanoseconds) in [
        ("0", Some(0)),
        ("1500000", Some(1_500_000)),
        ("250ms", Some(250_000_000)),
        ("1.5s", Some(1_500_000_000)),
        ("1h2m3s", Some(3_723_000_000_000)),
        ("2µs", Some(2_000)),
        ("", None),
        ("5", Some(5)),
        ("s", None),
        ("-1s", None),
        ("1d", None),
        ("99999999999h", None),
    ] {
        assert_eq!(go_duration(text), nanoseconds, "{text:?}");
    }
}

/// The reference page.
fn page() -> String {
    let mut page = String::from(include_str!("page.md"));
    for Section(title, keys) in SECTIONS {
        let _ = write!(
            page,
            "\n## {title}\n\n| setting | default | meaning | librdkafka | sarama |\n|---|---|---|---|---|\n"
        );
        for key in *keys {
            let default = match key.default {
                "" => "empty".to_owned(),
                text => text
                    .strip_prefix('(')
                    .and_then(|text| text.strip_suffix(')'))
                    .map_or_else(|| format!("`{text}`"), str::to_owned),
            };
            let names = |dialect| {
                let spellings = key.spellings.iter().filter(|s| s.dialect == dialect);
                let names: Vec<String> = spellings
                    .map(|s| match s.unit {
                        Unit::Kib => format!("`{}` (KiB)", s.name),
                        Unit::Same | Unit::GoDuration => format!("`{}`", s.name),
                    })
                    .collect();
                names.join(", ")
            };
            let _ = writeln!(
                page,
                "| `{}` | {default} | {} | {} | {} |",
                key.name,
                key.about,
                names(Dialect::Librdkafka),
                names(Dialect::Sarama)
            );
        }
    }
    for (title, list) in [
        ("Passed over with a warning", IGNORED),
        ("Refused", UNBUILT),
    ] {
        let _ = write!(page, "\n## {title}\n\n| setting | why |\n|---|---|\n");
        for (name, why) in list {
            let all = if name.ends_with('.') { "*" } else { "" };
            let _ = writeln!(page, "| `{name}{all}` | {why} |");
        }
    }
    page
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/sdk/configuration.md"
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page(),
        "docs/sdk/configuration.md is out of date: run UPDATE_DOCS=1 cargo test -p highwater reference_page"
    );
}
