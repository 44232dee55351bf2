//! Bytes that Kafka's own classes wrote are read, and written again as they were.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]

mod support;

use highwater_wire::ApiKey;
use highwater_wire::records::MetadataRecord;
use std::collections::BTreeMap;
use support::catalog::catalog;
use support::golden::{APIS, Golden, MESSAGES, RECORDS, golden, record};

#[test]
fn every_message_of_kafka_is_read_and_written_again_as_it_was() {
    let mut seen: BTreeMap<(&str, i16), usize> = BTreeMap::new();
    let catalog = catalog();
    for Golden {
        name,
        version,
        bytes,
    } in golden(MESSAGES)
    {
        let entry = catalog.iter().find(|entry| entry.name == name).expect(name);
        assert_eq!(
            (entry.again)(version, &bytes),
            Ok((bytes, 0)),
            "{name} {version}"
        );
        *seen.entry((name, version)).or_default() += 1;
    }
    for entry in &catalog {
        for version in entry.first..=entry.last {
            assert!(
                seen.contains_key(&(entry.name, version)),
                "no bytes for {} {version}",
                entry.name
            );
        }
    }
}

#[test]
fn every_record_of_the_metadata_log_is_read_and_written_again_as_it_was() {
    let mut seen = BTreeMap::new();
    for golden in golden(RECORDS) {
        let (id, value) = record(&golden);
        let Golden { name, version, .. } = golden;
        let (record, read) = MetadataRecord::decode(&value).expect(name);
        assert_eq!(
            (format!("{}Record", record.name()), read),
            (name.to_owned(), version)
        );
        assert_eq!(
            record.encode(version).as_ref(),
            Ok(&value),
            "{name} {version}"
        );
        let last = seen.entry(id).or_insert((0, 0));
        *last = (version, record.latest_version());
    }
    assert_eq!(seen.len(), 26);
    for (id, (last, latest)) in seen {
        assert_eq!(last, latest, "record {id}");
    }
}

#[test]
fn the_apis_are_those_of_kafka_with_the_versions_that_are_stable_there() {
    let catalog = catalog();
    let mut missing: Vec<ApiKey> = ApiKey::ALL.to_vec();
    for line in APIS.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, name, versions, flexible] = words[..] else {
            panic!("{line}")
        };
        let api = ApiKey::from_id(id.parse().unwrap()).expect(name);
        assert_eq!(api.name(), name);
        let flexible = flexible
            .strip_suffix('+')
            .map_or(i16::MAX, |first| first.parse().unwrap());
        assert_eq!(api.first_flexible_version(), flexible, "{name}");
        missing.retain(|other| *other != api);
        let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
        let last = if name == "InitProducerId" { "5" } else { last };
        for kind in ["Request", "Response"] {
            let whole = format!("{name}{kind}");
            let Some(entry) = catalog.iter().find(|entry| entry.name == whole) else {
                continue;
            };
            assert_eq!(
                (entry.first, entry.last),
                (first.parse().unwrap(), last.parse().unwrap()),
                "{whole}"
            );
            assert_eq!(entry.flexible, flexible, "{whole}");
        }
    }
    let later = [
        ApiKey::StreamsGroupTopologyDescriptionUpdate,
        ApiKey::UnregisterController,
    ];
    assert_eq!(missing, later, "all but those that came after 4.3");
}
