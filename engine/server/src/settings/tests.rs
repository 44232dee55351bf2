use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Settings, Invalid> {
    let mut properties = Properties::parse(text, |_| Origin::Caller).unwrap();
    if properties.get("log.dirs").is_none() {
        properties.set("log.dir", "/data");
    }
    Settings::parse(&properties)
}

fn problem(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// The keys and values of the `config/server.properties` that Apache Kafka 4.x ships.
const SHIPPED: &str = "
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

#[test]
fn the_file_that_kafka_ships_is_taken_as_it_is() {
    let settings = parse(SHIPPED).unwrap();
    assert_eq!(settings.node_id, 1);
    assert_eq!(settings.data_dir, Path::new("/tmp/kraft-combined-logs"));
    assert_eq!(
        settings.listeners[0].address,
        Address {
            host: String::new(),
            port: 9092
        }
    );
    assert_eq!(
        settings.listeners[0]
            .advertised
            .as_ref()
            .unwrap()
            .to_string(),
        "localhost:9092"
    );
    assert_eq!(settings.statics["log.retention.hours"], "168");
}

#[test]
fn an_unknown_setting_names_the_nearest() {
    assert_eq!(
        problem("num.partition=3"),
        "given setting: unknown setting `num.partition`; did you mean `num.partitions`?"
    );
    assert!(!problem("qqqq=1").contains("did you mean"));
}

#[test]
fn a_setting_of_topics_names_the_brokers_default_for_it() {
    let text = problem("retention.ms=5");
    assert!(text.contains("`log.retention.ms`"), "{text}");
}

#[test]
fn obsolete_settings_are_taken_with_a_warning() {
    let settings = parse("zookeeper.connect=a:2181\nbroker.id=7\ninter.broker.protocol.version=3.9\nlog.message.format.version=3.0").unwrap();
    assert_eq!(settings.node_id, 7);
    assert_eq!(settings.warnings.len(), 4, "{:?}", settings.warnings);
}

#[test]
fn security_that_would_be_ignored_stops_the_start() {
    for text in [
        "ssl.keystore.location=/k",
        "sasl.enabled.mechanisms=PLAIN",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:admin",
        "listener.name.internal.ssl.client.auth=required",
        "security.inter.broker.protocol=SSL",
        "listeners=SSL://:9093",
        "listeners=A://:9093\nlistener.security.protocol.map=A:SASL_PLAINTEXT",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert!(parse("authorizer.class.name=").is_ok());
}

#[test]
fn every_problem_is_told_at_once() {
    let invalid = parse("num.partitions=zero\nlisteners=nonsense\nbrokr.rack=a").unwrap_err();
    assert_eq!(invalid.problems.len(), 3, "{invalid}");
}

#[test]
fn several_directories_are_refused() {
    assert!(problem("log.dirs=/a,/b").contains("2 directories"));
    assert_eq!(parse("log.dirs=/a").unwrap().data_dir, Path::new("/a"));
}

#[test]
fn an_engine_without_a_directory_is_refused() {
    let error = Settings::parse(&Properties::new()).unwrap_err().to_string();
    assert!(error.contains("log.dirs"), "{error}");
}

#[test]
fn a_controller_alone_is_refused() {
    assert!(problem("process.roles=controller").contains("process.roles"));
}

#[test]
fn ids_that_differ_are_refused() {
    assert!(problem("node.id=1\nbroker.id=2").contains("node.id is 1"));
}

#[test]
fn nobody_can_be_told_to_connect_to_every_interface() {
    assert!(problem("advertised.listeners=PLAINTEXT://0.0.0.0:9092").contains("0.0.0.0"));
    assert_eq!(
        parse("listeners=PLAINTEXT://0.0.0.0:9092")
            .unwrap()
            .listeners[0]
            .advertised,
        None
    );
}

#[test]
fn a_listener_given_on_top_replaces_those_of_the_file() {
    let mut properties = Properties::parse(SHIPPED, |_| Origin::Caller).unwrap();
    properties.set_listener(&Address::parse("127.0.0.1:19092").unwrap());
    let settings = Settings::parse(&properties).unwrap();
    assert_eq!(settings.listeners[0].address.to_string(), "127.0.0.1:19092");
    assert_eq!(settings.listeners[0].advertised, None);
}

#[test]
fn a_data_directory_given_on_top_replaces_the_files() {
    let mut properties = Properties::parse(SHIPPED, |_| Origin::Caller).unwrap();
    properties.set_data_dir(Path::new("/a,b"));
    assert_eq!(
        Settings::parse(&properties).unwrap().data_dir,
        Path::new("/a,b")
    );
}

#[test]
fn settings_of_features_to_come_are_named_once_for_each_feature() {
    let settings = parse("transaction.state.log.min.isr=1\ntransaction.state.log.replication.factor=1\nnum.io.threads=4").unwrap();
    assert_eq!(
        settings.warnings,
        [
            "no effect until transactions is there: transaction.state.log.min.isr, transaction.state.log.replication.factor"
        ]
    );
}

#[test]
fn several_listeners_each_tell_their_own_address() {
    let settings = parse(
        "listeners=INSIDE://:29092,CONTROLLER://:29093,OUTSIDE://0.0.0.0:9092
         advertised.listeners=INSIDE://broker:29092,OUTSIDE://localhost:9092
         controller.listener.names=CONTROLLER
         listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    )
    .unwrap();
    let told: Vec<_> = settings
        .listeners
        .iter()
        .map(|l| (l.name.as_str(), l.advertised.as_ref().unwrap().to_string()))
        .collect();
    assert_eq!(
        told,
        [
            ("INSIDE", "broker:29092".to_owned()),
            ("OUTSIDE", "localhost:9092".to_owned()),
        ]
    );
    assert!(problem("advertised.listeners=OTHER://a:1").contains("OTHER"));
}

#[test]
fn group_settings_that_contradict_each_other_stop_the_start() {
    let mut properties = Properties::embedded(Path::new("/d"));
    properties.set("group.consumer.session.timeout.ms", "4000");
    let invalid = Settings::parse(&properties).unwrap_err();
    assert_eq!(
        invalid.problems[0].wrong,
        Wrong::Contradiction(
            "group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms".into()
        )
    );
}
