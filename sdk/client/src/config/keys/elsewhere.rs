//! Settings of other clients that do nothing here, and why: some need not be said, some are not built.

const CLASSES: &str = "it names a class of Java; types are chosen in code here";
const MEMORY: &str = "`buffer.memory` bounds what waits, in bytes";
const RETRIES: &str = "retries end with `delivery.timeout.ms` or the call's own deadline";
const TLS: &str = "rustls offers only what is safe";
const SYSTEM: &str = "the operating system sizes its buffers itself";
const SPANS: &str = "the `tracing` subscriber and the `metrics` recorder decide what is seen";
const RESULTS: &str = "each call gives its result to who made it";
const VERSIONS: &str = "versions are always negotiated";
const PREFETCH: &str = "`highwater.fetch.buffer.memory` bounds what is read ahead";
const ALWAYS: &str = "it is always so";
const INSIDE: &str = "this client decides it by itself";

/// Accepted with a warning.
pub(crate) const IGNORED: &[(&str, &str)] = &[
    // Java
    ("key.serializer", CLASSES),
    ("value.serializer", CLASSES),
    ("key.deserializer", CLASSES),
    ("value.deserializer", CLASSES),
    ("metric.reporters", CLASSES),
    ("security.providers", CLASSES),
    ("ssl.cipher.suites", TLS),
    ("ssl.curves.list", TLS),
    ("ssl.sigalgs.list", TLS),
    ("ssl.keymanager.algorithm", CLASSES),
    ("ssl.trustmanager.algorithm", CLASSES),
    ("ssl.provider", CLASSES),
    ("ssl.secure.random.implementation", CLASSES),
    ("ssl.protocol", "`ssl.enabled.protocols` names the versions"),
    ("ssl.truststore.password", "a PEM file has no password"),
    (
        "ssl.ca.certificate.stores",
        "the system's authorities are trusted where none are named",
    ),
    ("https.ca.location", "nothing is fetched by HTTPS"),
    ("https.ca.pem", "nothing is fetched by HTTPS"),
    ("Net.SASL.Version", VERSIONS),
    ("Net.SASL.Handshake", ALWAYS),
    ("check.crcs", "checksums are always checked"),
    (
        "enable.metrics.push",
        "metrics are not pushed to the broker",
    ),
    ("metrics.num.samples", SPANS),
    ("metrics.recording.level", SPANS),
    ("metrics.sample.window.ms", SPANS),
    ("retries", RETRIES),
    ("send.buffer.bytes", SYSTEM),
    ("receive.buffer.bytes", SYSTEM),
    (
        "max.poll.records",
        "records are handed out one by one, or by the batch they came in",
    ),
    (
        "metadata.max.idle.ms",
        "topics in use stay known, and few others are",
    ),
    (
        "exclude.internal.topics",
        "internal topics are read by name only",
    ),
    (
        "internal.throw.on.fetch.stable.offset.unsupported",
        "it is internal to Java's client",
    ),
    (
        "internal.leave.group.on.close",
        "it is internal to Java's client",
    ),
    (
        "partitioner.adaptive.partitioning.enable",
        "the rule `sticky_key` is the one that does not adapt",
    ),
    ("partitioner.availability.timeout.ms", INSIDE),
    (
        "socket.connection.setup.timeout.max.ms",
        "`socket.connection.setup.timeout.ms` does not grow",
    ),
    // librdkafka
    ("builtin.features", INSIDE),
    (
        "message.copy.max.bytes",
        "a record is copied once, into its batch",
    ),
    (
        "topic.metadata.refresh.fast.interval.ms",
        "`retry.backoff.ms` is the pause",
    ),
    ("topic.metadata.refresh.fast.cnt", INSIDE),
    ("topic.metadata.refresh.sparse", ALWAYS),
    ("topic.metadata.propagation.max.ms", INSIDE),
    ("metadata.recovery.rebootstrap.trigger.ms", INSIDE),
    ("broker.address.family", INSIDE),
    ("debug", SPANS),
    ("socket.blocking.max.ms", INSIDE),
    ("socket.send.buffer.bytes", SYSTEM),
    ("socket.receive.buffer.bytes", SYSTEM),
    (
        "socket.keepalive.enable",
        "`request.timeout.ms` finds dead connections",
    ),
    ("socket.nagle.disable", ALWAYS),
    (
        "socket.max.fails",
        "a request that is not answered in time ends its connection",
    ),
    (
        "broker.address.ttl",
        "names are resolved anew for each connection",
    ),
    ("reconnect.backoff.jitter.ms", "pauses always vary"),
    ("statistics.interval.ms", SPANS),
    ("enabled_events", RESULTS),
    ("log_level", SPANS),
    ("log.queue", SPANS),
    ("log.thread.name", SPANS),
    ("log.connection.close", SPANS),
    ("enable.random.seed", INSIDE),
    ("internal.termination.signal", INSIDE),
    ("api.version.request", VERSIONS),
    ("api.version.request.timeout.ms", VERSIONS),
    ("api.version.fallback.ms", VERSIONS),
    ("broker.version.fallback", VERSIONS),
    ("group.protocol.type", "it is `consumer`"),
    (
        "coordinator.query.interval.ms",
        "a coordinator that moved says so",
    ),
    ("queued.min.messages", PREFETCH),
    ("fetch.queue.backoff.ms", PREFETCH),
    ("fetch.error.backoff.ms", "`retry.backoff.ms` is the pause"),
    (
        "enable.partition.eof",
        "the high watermark of a partition can be asked for",
    ),
    ("offset.store.method", "offsets are stored by the broker"),
    ("offset.store.path", "offsets are stored by the broker"),
    (
        "offset.store.sync.interval.ms",
        "offsets are stored by the broker",
    ),
    ("queue.buffering.max.messages", MEMORY),
    ("message.send.max.retries", RETRIES),
    ("queue.buffering.backpressure.threshold", INSIDE),
    (
        "batch.num.messages",
        "`batch.size` bounds a batch, in bytes",
    ),
    ("delivery.report.only.error", RESULTS),
    (
        "sticky.partitioning.linger.ms",
        "records without key stay for a batch, not for a time",
    ),
    ("queuing.strategy", "it is `fifo`"),
    ("produce.offset.report", ALWAYS),
    ("consume.callback.max.messages", RESULTS),
    // sarama
    ("Admin.Retry.Max", RETRIES),
    ("Admin.Retry.Backoff", "`retry.backoff.ms` is the pause"),
    (
        "Net.WriteTimeout",
        "`request.timeout.ms` counts from the request on",
    ),
    (
        "Net.KeepAlive",
        "`request.timeout.ms` finds dead connections",
    ),
    ("Metadata.Retry.Max", RETRIES),
    ("Metadata.Retry.Backoff", "`retry.backoff.ms` is the pause"),
    ("Metadata.Full", "only topics in use are asked for"),
    (
        "Metadata.Timeout",
        "`default.api.timeout.ms` bounds the wait",
    ),
    ("Metadata.SingleFlight", ALWAYS),
    ("Producer.Return.Successes", RESULTS),
    ("Producer.Return.Errors", RESULTS),
    (
        "Producer.Flush.Messages",
        "`batch.size` bounds a batch, in bytes",
    ),
    (
        "Producer.Flush.MaxMessages",
        "`batch.size` bounds a batch, in bytes",
    ),
    ("Producer.Retry.Max", RETRIES),
    ("Producer.Retry.MaxBufferLength", MEMORY),
    ("Producer.Retry.MaxBufferBytes", MEMORY),
    (
        "Consumer.Group.Rebalance.Strategy",
        "`Consumer.Group.Rebalance.GroupStrategies` names them",
    ),
    ("Consumer.Group.Rebalance.Retry.Max", RETRIES),
    (
        "Consumer.Group.Rebalance.Retry.Backoff",
        "`retry.backoff.ms` is the pause",
    ),
    (
        "Consumer.Group.ResetInvalidOffsets",
        "`auto.offset.reset` says what happens",
    ),
    ("Consumer.Retry.Max", RETRIES),
    ("Consumer.Retry.Backoff", "`retry.backoff.ms` is the pause"),
    (
        "Consumer.Fetch.Max",
        "a batch larger than a fetch is fetched alone",
    ),
    (
        "Consumer.MaxProcessingTime",
        "a slow reader holds up nobody else",
    ),
    ("Consumer.Return.Errors", RESULTS),
    ("Consumer.Offsets.Retry.Max", RETRIES),
    (
        "Consumer.Offsets.Retention",
        "the broker's `offsets.retention.minutes` decides",
    ),
    ("ChannelBufferSize", PREFETCH),
    ("ApiVersionsRequest", VERSIONS),
    ("Version", VERSIONS),
];

/// Refused, because to pass over them would be a lie. A name that ends in a dot stands for all that begin with it.
pub(crate) const UNBUILT: &[(&str, &str)] = &[
    ("transactional.id", "transactions are not built yet"),
    ("transaction.timeout.ms", "transactions are not built yet"),
    (
        "transaction.two.phase.commit.enable",
        "transactions are not built yet",
    ),
    ("Producer.Transaction.", "transactions are not built yet"),
    (
        "share.acknowledgement.mode",
        "share groups are not built yet",
    ),
    (
        "bootstrap.controllers",
        "controllers cannot be asked directly; name brokers in `bootstrap.servers`",
    ),
    (
        "Net.ResolveCanonicalBootstrapServers",
        "bootstrap names are used as they are",
    ),
    (
        "Consumer.Group.Member.UserData",
        "the assignors write what members tell each other",
    ),
    ("interceptor.classes", "there are no interceptors"),
    ("plugin.library.paths", "there are no plugins"),
    ("topic.blacklist", "topics are not hidden"),
    (
        "enable.gapless.guarantee",
        "it is experimental in librdkafka",
    ),
    (
        "ssl.crl.location",
        "lists of revoked certificates are not read",
    ),
    ("ssl.engine.factory.class", "it names a class of Java"),
    ("ssl.engine.id", "engines are OpenSSL's"),
    ("ssl.engine.location", "engines are OpenSSL's"),
    ("ssl.providers", "providers are OpenSSL's"),
    (
        "Net.TLS.Config",
        "it is no text: see the settings that begin with `ssl.`",
    ),
    ("Net.SASL.AuthIdentity", "a client acts as itself only"),
    ("Net.SASL.SCRAMAuthzID", "a client acts as itself only"),
    ("sasl.kerberos.", "Kerberos is not built"),
    ("sasl.oauthbearer.", "OAUTHBEARER is not built"),
    (
        "enable.sasl.oauthbearer.unsecure.jwt",
        "OAUTHBEARER is not built",
    ),
    ("sasl.login.", "login classes are Java's"),
    (
        "sasl.client.callback.handler.class",
        "login classes are Java's",
    ),
    ("Net.SASL.GSSAPI", "Kerberos is not built"),
    ("Net.SASL.TokenProvider", "OAUTHBEARER is not built"),
    ("Net.Proxy.", "proxies are not built"),
    (
        "Net.LocalAddr",
        "the operating system chooses the local address",
    ),
];
