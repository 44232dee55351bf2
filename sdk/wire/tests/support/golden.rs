//! Bytes that Kafka's own classes wrote (`tests/golden/README.md`).

pub(crate) const MESSAGES: &str = include_str!("../golden/messages.txt");
pub(crate) const RECORDS: &str = include_str!("../golden/records.txt");
pub(crate) const GROUPS: &str = include_str!("../golden/groups.txt");
pub(crate) const APIS: &str = include_str!("../golden/apis.txt");

pub(crate) struct Golden<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: i16,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn golden(text: &str) -> impl Iterator<Item = Golden<'_>> {
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

/// The type of a golden record, and the record as the value of a log record.
pub(crate) fn record(golden: &Golden<'_>) -> (u8, Vec<u8>) {
    let id = record_id(golden.name);
    let mut value = vec![1, id, u8::try_from(golden.version).unwrap()];
    value.extend(&golden.bytes);
    (id, value)
}

/// The number of a metadata record, by Kafka's list and not by ours.
fn record_id(name: &str) -> u8 {
    match name {
        "RegisterBrokerRecord" => 0,
        "UnregisterBrokerRecord" => 1,
        "TopicRecord" => 2,
        "PartitionRecord" => 3,
        "ConfigRecord" => 4,
        "PartitionChangeRecord" => 5,
        "FenceBrokerRecord" => 7,
        "UnfenceBrokerRecord" => 8,
        "RemoveTopicRecord" => 9,
        "DelegationTokenRecord" => 10,
        "UserScramCredentialRecord" => 11,
        "FeatureLevelRecord" => 12,
        "ClientQuotaRecord" => 14,
        "ProducerIdsRecord" => 15,
        "BrokerRegistrationChangeRecord" => 17,
        "AccessControlEntryRecord" => 18,
        "RemoveAccessControlEntryRecord" => 19,
        "NoOpRecord" => 20,
        "ZkMigrationStateRecord" => 21,
        "RemoveUserScramCredentialRecord" => 22,
        "BeginTransactionRecord" => 23,
        "EndTransactionRecord" => 24,
        "AbortTransactionRecord" => 25,
        "RemoveDelegationTokenRecord" => 26,
        "RegisterControllerRecord" => 27,
        "ClearElrRecord" => 28,
        _ => panic!("{name} is no record"),
    }
}
