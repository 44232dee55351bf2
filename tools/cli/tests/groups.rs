//! Consumer groups as one meets them at a terminal: members that share partitions, offsets that stay, and setting them.

mod support;

use serde_json::Value;
use tempfile::TempDir;

use support::{Broker, Member};

fn broker(data: &TempDir) -> Broker {
    let settings = [
        "--set",
        "group.initial.rebalance.delay.ms=0",
        "--set",
        "offsets.topic.num.partitions=4",
        "--set",
        "group.min.session.timeout.ms=500",
    ];
    Broker::start(data.path(), &settings)
}

fn numbers(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("{n}\n")).collect()
}

fn sorted(printed: &[u8]) -> Vec<usize> {
    let text = String::from_utf8(printed.to_vec()).expect("text");
    let mut numbers: Vec<usize> = text
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    numbers
}

fn json(broker: &Broker, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_slice(&broker.ok(&arguments, b"")).expect("JSON")
}

#[test]
fn every_group_reads_everything_and_goes_on_where_it_stopped() {
    let data = TempDir::new().unwrap();
    let broker = broker(&data);
    broker.ok(&["topic", "create", "t", "--partitions", "3"], b"");
    broker.ok(&["produce", "t"], numbers(0..100).as_bytes());
    let read = |group: &str, count: &str| {
        let flags = [
            "consume",
            "t",
            "--group",
            group,
            "--from-beginning",
            "-n",
            count,
        ];
        sorted(&broker.ok(&flags, b""))
    };
    assert_eq!(read("a", "40").len(), 40);
    assert_eq!(read("b", "100"), (0..100).collect::<Vec<_>>());
    let rest = read("a", "60");
    assert_eq!(rest.len(), 60);
    broker.ok(&["produce", "t"], numbers(100..110).as_bytes());
    assert_eq!(read("a", "10"), (100..110).collect::<Vec<_>>());
    let listed = json(&broker, &["group", "list"]);
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["group"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ["a", "b"]);
    let described = &json(&broker, &["group", "describe", "a", "b"]);
    assert_eq!(
        (&described[0]["state"], &described[0]["lag"]),
        (&"Empty".into(), &0.into())
    );
    assert_eq!(described[1]["lag"], 10);
    let offsets = json(&broker, &["group", "offsets", "a"]);
    let committed: i64 = offsets
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["committed"].as_i64().unwrap())
        .sum();
    assert_eq!(committed, 110);
}

#[test]
fn where_a_group_begins_is_said_by_settings_from_a_file_too() {
    let data = TempDir::new().unwrap();
    let broker = broker(&data);
    broker.ok(&["topic", "create", "t"], b"");
    broker.ok(&["produce", "t"], numbers(0..10).as_bytes());
    let file = data.path().join("client.properties");
    std::fs::write(&file, "auto.offset.reset=earliest\n").unwrap();
    let read = |group: &str, flags: &[&str]| {
        let all = [&["consume", "t", "--group", group, "--exit"], flags].concat();
        sorted(&broker.ok(&all, b"")).len()
    };
    let config = ["--client-config", file.to_str().unwrap()];
    assert_eq!(read("file", &config), 10);
    assert_eq!(read("flag", &["-X", "Consumer.Offsets.Initial=-2"]), 10);
    let stronger = [&config[..], &["-X", "auto.offset.reset=latest"]].concat();
    assert_eq!(read("stronger", &stronger), 0);
    assert_eq!(read("nothing", &[]), 0);
    assert_eq!(read("beginning", &["--from-beginning"]), 10);
}

#[test]
fn members_share_the_partitions_and_take_over_those_of_one_that_is_killed() {
    let data = TempDir::new().unwrap();
    let broker = broker(&data);
    broker.ok(&["topic", "create", "t", "--partitions", "4"], b"");
    for assignor in ["range", "cooperative-sticky"] {
        let strategy = format!("partition.assignment.strategy={assignor}");
        let flags = ["-X", &strategy, "-X", "session.timeout.ms=1000"];
        let mut first = Member::start(&broker, "t", assignor, &flags);
        assert_eq!(first.has(4).len(), 4);
        let mut second = Member::start(&broker, "t", assignor, &flags);
        let (of_first, of_second) = (first.has(2), second.has(2));
        let mut all = [of_first, of_second.clone()].concat();
        all.sort();
        assert_eq!(all, ["t-0", "t-1", "t-2", "t-3"]);
        let members = json(&broker, &["group", "members", assignor]);
        let members = members.as_array().unwrap();
        assert!(
            members
                .iter()
                .any(|it| it["partitions"] == serde_json::json!(of_second)),
            "{members:?}"
        );
        let described = &json(&broker, &["group", "describe", assignor])[0];
        assert_eq!(
            (&described["state"], &described["assignor"]),
            (&"Stable".into(), &assignor.into())
        );
        second.kill();
        assert_eq!(first.has(4).len(), 4);
        broker.ok(&["produce", "t"], numbers(0..10).as_bytes());
        let flags = [
            "consume",
            "t",
            "--group",
            "other",
            "--from-beginning",
            "--exit",
        ];
        broker.ok(&flags, b"");
        first.stop();
    }
}

#[test]
fn offsets_are_reset_while_nobody_reads_and_only_when_told_to() {
    let data = TempDir::new().unwrap();
    let broker = broker(&data);
    broker.ok(&["topic", "create", "t", "--partitions", "2"], b"");
    broker.ok(
        &["produce", "t", "--partition", "0"],
        numbers(0..10).as_bytes(),
    );
    broker.ok(
        &["produce", "t", "--partition", "1"],
        numbers(10..15).as_bytes(),
    );
    let consume = ["consume", "t", "--group", "g", "--from-beginning", "--exit"];
    assert_eq!(sorted(&broker.ok(&consume, b"")).len(), 15);
    let reset = |flags: &[&str]| {
        let shown = json(&broker, &[&["group", "reset-offsets", "g"], flags].concat());
        let offsets = shown["offsets"].as_array().unwrap().iter();
        offsets
            .map(|it| {
                (
                    it["before"].as_i64().unwrap(),
                    it["after"].as_i64().unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(reset(&["--all-topics", "--to-earliest"]), [(10, 0), (5, 0)]);
    assert_eq!(
        reset(&["--topic", "t:1", "--shift-by", "-2"]),
        [(5, 3)],
        "nothing was changed before"
    );
    assert_eq!(
        reset(&["--topic", "t", "--to-offset", "7"]),
        [(10, 7), (5, 5)],
        "within the log"
    );
    assert_eq!(
        reset(&["--all-topics", "--to-datetime", "2001-01-01T00:00:00"]),
        [(10, 0), (5, 0)]
    );
    assert_eq!(
        reset(&["--all-topics", "--to-datetime", "2999-01-01T00:00:00Z"]),
        [(10, 10), (5, 5)]
    );
    assert_eq!(
        reset(&["--topic", "t:0", "--to-offset", "6", "--execute"]),
        [(10, 6)]
    );
    assert_eq!(sorted(&broker.ok(&consume, b"")), [6, 7, 8, 9]);

    let mut member = Member::start(&broker, "t", "g", &[]);
    member.has(2);
    let refused = broker.run(
        &[
            "group",
            "reset-offsets",
            "g",
            "--all-topics",
            "--to-latest",
            "--execute",
        ],
        b"",
    );
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("Stable"),
        "{refused:?}"
    );
    let refused = broker.run(&["group", "delete", "g"], b"");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("NonEmptyGroup"),
        "{refused:?}"
    );
    member.stop();
    broker.ok(&["group", "delete", "g", "--topic", "t:1"], b"");
    let offsets = json(&broker, &["group", "offsets", "g"]);
    assert_eq!(offsets.as_array().unwrap().len(), 1);
    broker.ok(&["group", "delete", "g"], b"");
    assert_eq!(json(&broker, &["group", "list"]), serde_json::json!([]));
    let refused = broker.run(&["group", "describe", "g"], b"");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("GroupIdNotFound"),
        "{refused:?}"
    );
}
