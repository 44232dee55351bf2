//! Settings of the client itself: where the cluster is, how long to wait, when to try again.

use super::Unit::{GoDuration, Same};
use super::{Key, librdkafka, sarama};
use crate::config::properties::{flag, ms, number, wrong};

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "bootstrap.servers",
        "",
        "Addresses of any brokers of the cluster: `host:port`, several with commas.",
        |p, _, v| {
            p.client.bootstrap = v
                .split(',')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect();
            Ok(())
        },
    )
    .spelled(&[librdkafka("metadata.broker.list", Same)]),
    Key::new(
        "client.id",
        "highwater",
        "Names this client in the broker's logs and quotas.",
        |p, _, v| {
            v.clone_into(&mut p.client.client_id);
            Ok(())
        },
    )
    .spelled(&[sarama("ClientID", Same)]),
    Key::new(
        "request.timeout.ms",
        "30000",
        "How long an answer may take before the connection is given up.",
        |p, k, v| {
            p.client.request_timeout = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("socket.timeout.ms", Same),
        sarama("Net.ReadTimeout", GoDuration),
    ]),
    Key::new(
        "socket.connection.setup.timeout.ms",
        "10000",
        "How long connecting, TLS, authentication and the version handshake may take together.",
        |p, k, v| {
            p.client.connect_timeout = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Net.DialTimeout", GoDuration)]),
    Key::new(
        "reconnect.backoff.ms",
        "50",
        "The first pause after a failed connection.",
        |p, k, v| {
            p.client.reconnect_backoff = ms(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "reconnect.backoff.max.ms",
        "1000",
        "What that pause doubles up to.",
        |p, k, v| {
            p.client.reconnect_backoff_max = ms(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "connections.max.idle.ms",
        "540000",
        "A connection on which nothing was asked for so long is closed, before the broker does it; 0 for never.",
        |p, k, v| {
            p.client.idle_max = ms(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "client.dns.lookup",
        "use_all_dns_ips",
        "`use_all_dns_ips`: all addresses of a name are tried, IPv6 and IPv4 in turn, without waiting long for a silent one.",
        |_, k, v| match v {
            "use_all_dns_ips" => Ok(()),
            _ => Err(wrong(k, v, "use_all_dns_ips")),
        },
    ),
    Key::new(
        "metadata.recovery.strategy",
        "rebootstrap",
        "Whether the bootstrap addresses are asked again when no known broker can be reached (`rebootstrap`) or not (`none`).",
        |p, k, v| {
            p.client.rebootstraps = match v {
                "rebootstrap" => true,
                "none" => false,
                _ => return Err(wrong(k, v, "rebootstrap or none")),
            };
            Ok(())
        },
    ),
    Key::new(
        "retry.backoff.ms",
        "100",
        "The first pause before a refused request is sent again.",
        |p, k, v| {
            p.client.retry_backoff = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Producer.Retry.Backoff", GoDuration)]),
    Key::new(
        "retry.backoff.max.ms",
        "1000",
        "What that pause doubles up to.",
        |p, k, v| {
            p.client.retry_backoff_max = ms(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "metadata.max.age.ms",
        "300000",
        "When metadata is asked for again though nothing failed.",
        |p, k, v| {
            p.client.metadata_age_max = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[
        librdkafka("topic.metadata.refresh.interval.ms", Same),
        sarama("Metadata.RefreshFrequency", GoDuration),
    ]),
    Key::new(
        "default.api.timeout.ms",
        "60000",
        "How long a call waits for metadata, or for an admin request with its retries.",
        |p, k, v| {
            p.client.api_timeout = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Admin.Timeout", GoDuration)]),
    Key::new(
        "allow.auto.create.topics",
        "true",
        "Whether asking for an unknown topic may create it, where the broker allows that.",
        |p, k, v| {
            p.client.auto_create_topics = flag(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Metadata.AllowAutoTopicCreation", Same)]),
    Key::new(
        "highwater.response.bytes.max",
        "268435456",
        "A longer answer breaks the connection.",
        |p, k, v| {
            p.client.response_bytes_max = number(k, v)?;
            Ok(())
        },
    )
    .spelled(&[librdkafka("receive.message.max.bytes", Same)]),
];
