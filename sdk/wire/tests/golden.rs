//! Bytes that Kafka's own classes wrote are read, and written again as they were.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]

mod support;

use highwater_wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use highwater_wire::records::MetadataRecord;
use highwater_wire::records::group::{GroupKey, GroupValue};
use highwater_wire::{ApiKey, DecodeError};
use std::collections::BTreeMap;
use support::catalog::catalog;
use support::golden::{APIS, GROUPS, Golden, MESSAGES, RECORDS, golden, record};

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
fn every_record_of_groups_is_read_and_written_again_as_it_was() {
    let mut keys: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    let mut values: BTreeMap<&str, Vec<i16>> = BTreeMap::new();
    for Golden {
        name,
        version,
        bytes,
    } in golden(GROUPS)
    {
        if let Some(name) = name.strip_suffix("Key") {
            let key = GroupKey::decode(&bytes).expect(name);
            assert_eq!(key.name(), name);
            assert_eq!(key.encode().as_ref(), Ok(&bytes), "{name}");
            keys.insert(name, bytes);
        } else if let Some(name) = name.strip_suffix("Value") {
            let key = GroupKey::decode(&keys[name]).expect(name);
            let (value, read) = GroupValue::decode(&key, &bytes).expect(name);
            assert_eq!((value.record_type(), read), (key.record_type(), version));
            assert_eq!(
                value.encode(version).as_ref(),
                Ok(&bytes),
                "{name} {version}"
            );
            let written = values.entry(name).or_default();
            written.push(version);
            let latest = if name == "LegacyOffsetCommit" {
                0 // Kafka writes no other version behind this key
            } else {
                value.latest_version()
            };
            assert!(written.contains(&0) && version <= latest, "{name}");
            if version == latest {
                assert!((0..latest).all(|older| written.contains(&older)), "{name}");
            }
        }
    }
    assert_eq!((keys.len(), values.len()), (10, 10));
    let numbers: Vec<i16> = keys
        .values()
        .map(|key| GroupKey::decode(key).unwrap().record_type())
        .collect();
    for record_type in i16::MIN..=i16::MAX {
        let [first, second] = record_type.to_be_bytes();
        let read = GroupKey::decode(&[&[first, second][..], &[0; 20]].concat()).map(|_| ());
        let known = numbers.contains(&record_type);
        let expected = Err(DecodeError::UnknownGroupRecord { record_type });
        assert_eq!(read, if known { Ok(()) } else { expected });
    }
}

#[test]
fn what_consumers_tell_each_other_is_read_and_written_again_as_it_was() {
    let mut seen: BTreeMap<&str, Vec<i16>> = BTreeMap::new();
    for Golden {
        name,
        version,
        bytes,
    } in golden(GROUPS)
    {
        let again = match name {
            "ConsumerProtocolSubscription" => {
                let (said, claimed) =
                    ConsumerProtocolSubscription::decode_prefixed(&bytes).unwrap();
                assert_eq!(claimed, version);
                said.encode_prefixed(version)
            }
            "ConsumerProtocolAssignment" => {
                let (said, claimed) = ConsumerProtocolAssignment::decode_prefixed(&bytes).unwrap();
                assert_eq!(claimed, version);
                said.encode_prefixed(version)
            }
            _ => continue,
        };
        assert_eq!(again, Ok(bytes), "{name} {version}");
        seen.entry(name).or_default().push(version);
    }
    assert_eq!(seen.len(), 2);
    for (name, mut versions) in seen {
        versions.dedup();
        assert_eq!(versions, [0, 1, 2, 3], "{name}");
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
