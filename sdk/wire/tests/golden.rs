//! Bytes that Kafka's own classes wrote are read, and written again as they were.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]

mod support;

use highwater_wire::records::MetadataRecord;
use std::collections::BTreeMap;
use support::catalog::catalog;

struct Golden<'a> {
    name: &'a str,
    version: i16,
    bytes: Vec<u8>,
}

fn golden(text: &str) -> impl Iterator<Item = Golden<'_>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (
                words.next().unwrap(),
                words.next().unwrap().parse().unwrap(),
            );
            let hex = words.next().unwrap_or_default();
            let bytes = (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
                .collect();
            Golden {
                name,
                version,
                bytes,
            }
        })
}

#[test]
fn every_message_of_kafka_is_read_and_written_again_as_it_was() {
    let mut seen: BTreeMap<(&str, i16), usize> = BTreeMap::new();
    let catalog = catalog();
    for Golden {
        name,
        version,
        bytes,
    } in golden(include_str!("golden/messages.txt"))
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
    for Golden {
        name,
        version,
        bytes,
    } in golden(include_str!("golden/records.txt"))
    {
        let id = support::catalog::record_id(name);
        let mut value = vec![1, id, u8::try_from(version).unwrap()];
        value.extend(bytes);
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
