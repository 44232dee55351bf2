//! The binary as its users meet it: a broker on a directory, topics, lines in and lines out, and what lies on the disk then.

mod support;

use tempfile::TempDir;

use support::{Broker, offline};

fn lines(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{n} the quick brown fox\n").into_bytes())
        .collect()
}

#[test]
fn a_file_comes_back_byte_for_byte_in_every_codec_and_the_directory_verifies() {
    let data = TempDir::new().unwrap();
    let broker = Broker::start(data.path(), &[]);
    let file = lines(20_000);
    for codec in ["none", "gzip:1", "snappy", "lz4", "zstd:3"] {
        let topic = format!("file-{}", codec.split(':').next().unwrap());
        broker.ok(&["topic", "create", &topic, "--partitions", "1"], b"");
        broker.ok(&["produce", &topic, "--codec", codec], &file);
        let back = broker.ok(&["consume", &topic, "--from-beginning", "--exit"], b"");
        assert!(
            back == file,
            "{codec}: {} bytes in, {} out",
            file.len(),
            back.len()
        );
    }
    assert_eq!(broker.stop(), Some(0));
    let data = data.path().to_str().unwrap();
    let verified = offline(&["log", "verify", data, "--json"]);
    assert!(verified.status.success());
    let found: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    // The metadata log has records of its own.
    assert!(found["records"].as_u64().unwrap() >= 100_000, "{found}");
    assert_eq!(found["problems"].as_array().unwrap().len(), 0);
    assert_eq!(found["bytes_ahead"], 0);
}

#[test]
fn a_flipped_bit_is_named_by_file_and_offset() {
    let data = TempDir::new().unwrap();
    let broker = Broker::start(data.path(), &[]);
    broker.ok(&["topic", "create", "t", "--partitions", "1"], b"");
    broker.ok(&["produce", "t"], &lines(1000));
    assert_eq!(broker.stop(), Some(0));
    let log = data.path().join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let verified = offline(&["log", "verify", data.path().to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(1));
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(
        said.contains("t-0/00000000000000000000.log at position"),
        "{said}"
    );
    assert!(said.contains("crc"), "{said}");
    let dumped = offline(&["log", "dump", log.to_str().unwrap()]);
    assert_eq!(dumped.status.code(), Some(1));
}

#[test]
fn keys_headers_and_offsets_are_kept_and_printed() {
    let data = TempDir::new().unwrap();
    let broker = Broker::start(data.path(), &["--set", "num.partitions=1"]);
    let produce = ["produce", "t", "-K", ":", "-H", "h=1", "-H", "i=2"];
    broker.ok(&produce, b"a:1\nb:2\nno key\n");
    let printed = broker.ok(
        &[
            "consume",
            "t",
            "--from-beginning",
            "-n",
            "3",
            "--format",
            "%t %p %o %k=%s %K %h\\n",
        ],
        b"",
    );
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(
        printed,
        "t 0 0 a=1 1 h=1,i=2\nt 0 1 b=2 1 h=1,i=2\nt 0 2 =no key -1 h=1,i=2\n"
    );
    let last = broker.ok(&["consume", "t", "--offset", "-1", "--exit", "--json"], b"");
    let last: serde_json::Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(
        (&last["offset"], &last["value"]),
        (&2.into(), &"no key".into())
    );
    assert_eq!(last["key"], serde_json::Value::Null);
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let data = TempDir::new().unwrap();
    let broker = Broker::start(data.path(), &[]);
    let create = [
        "topic",
        "create",
        "a",
        "b",
        "--partitions",
        "3",
        "--config",
        "retention.ms=60000",
    ];
    broker.ok(&create, b"");
    assert_eq!(broker.ok(&["topic", "list"], b""), b"a\nb\n");
    let described = broker.ok(&["topic", "describe", "a", "--json"], b"");
    let described: serde_json::Value = serde_json::from_slice(&described).unwrap();
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(described[0]["configs"]["retention.ms"], "60000");
    let again = broker.run(&["topic", "create", "a"], b"");
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("a: "),
        "{again:?}"
    );
    broker.ok(&["topic", "create", "a", "--if-not-exists"], b"");
    broker.ok(&["topic", "delete", "a", "b"], b"");
    assert_eq!(broker.ok(&["topic", "list"], b""), b"");
    let wrong = broker.run(
        &["topic", "create", "c", "--config", "retention.mss=1"],
        b"",
    );
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("retention.mss"),
        "{wrong:?}"
    );
}

#[test]
fn what_was_produced_is_there_after_a_kill_and_a_restart() {
    let data = TempDir::new().unwrap();
    let file = lines(5000);
    let mut broker = Broker::start(data.path(), &[]);
    broker.ok(&["topic", "create", "t", "--partitions", "1"], b"");
    broker.ok(&["produce", "t"], &file);
    broker.child.kill().unwrap();
    drop(broker);
    let broker = Broker::start(data.path(), &[]);
    assert!(broker.ok(&["consume", "t", "--from-beginning", "--exit"], b"") == file);
}

#[test]
fn a_second_broker_on_one_directory_names_the_first_and_ends_with_one() {
    let data = TempDir::new().unwrap();
    let broker = Broker::start(data.path(), &[]);
    let path = data.path().to_str().unwrap();
    let second = offline(&["serve", "--data-dir", path, "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&broker.child.id().to_string()), "{said}");
}

#[test]
fn a_setting_that_nobody_knows_names_the_nearest() {
    let data = TempDir::new().unwrap();
    let path = data.path().to_str().unwrap();
    let wrong = ["serve", "--data-dir", path, "--set", "log.segment.byte=1"];
    let output = offline(&wrong);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("log.segment.bytes"));
}

#[test]
fn a_broker_that_is_not_there_is_an_error_and_not_a_wait_without_end() {
    let output = offline(&["topic", "list", "--bootstrap", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1"));
}

#[test]
fn completions_know_the_commands() {
    let output = offline(&["completions", "bash"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("produce"));
}
