//! The spans that docs/sdk/telemetry.md names: which there are, what they say, and what lies in what.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::testing::TestCluster;
use highwater::{GroupProtocol, OffsetReset, Record};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};

const LONG: Duration = Duration::from_secs(60);
const RECORDS: usize = 1000;

/// A span of the client.
#[derive(Clone, Debug, Default)]
struct Span {
    name: &'static str,
    /// Which it was made in, if in any.
    within: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps the client's spans, of one thread.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

thread_local! {
    /// Those that are entered, the innermost last.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Spans {
    fn at<T>(&self, id: u64, does: impl FnOnce(&mut Span) -> T) -> Option<T> {
        let at = usize::try_from(id).unwrap() - 1;
        self.0.lock().unwrap().get_mut(at).map(does)
    }

    fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        let named = spans.iter().filter(|span| span.name == name);
        named.cloned().collect()
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("highwater::")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let within = ENTERED.with_borrow(|entered| entered.last().copied());
        let mut span = Span {
            name: attributes.metadata().name(),
            within: within.and_then(|id| self.at(id, |span| span.name)),
            ..Span::default()
        };
        attributes.record(&mut span);
        let mut spans = self.0.lock().unwrap();
        spans.push(span);
        Id::from_u64(u64::try_from(spans.len()).unwrap())
    }

    fn record(&self, id: &Id, values: &Values<'_>) {
        self.at(id.into_u64(), |span| values.record(span));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        let left = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(id.into_u64()));
    }

    fn try_close(&self, id: Id) -> bool {
        self.at(id.into_u64(), |span| span.is_closed = true);
        true
    }
}

/// Writes records, reads them in a group, and leaves it.
async fn a_service(protocol: GroupProtocol) -> Spans {
    let cluster = TestCluster::builder().topic("t", 2);
    let cluster = cluster.start().await.unwrap();
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let client = highwater::Client::builder(cluster.bootstrap());
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let values = vec![[0; 8]; RECORDS];
    let records = values.iter().map(|value| Record::to("t").value(value));
    producer.send_batch(records).await.unwrap();
    let consumer = client.consumer().group("g").subscribe(["t"]);
    let consumer = consumer.offset_reset(OffsetReset::Earliest);
    let consumer = consumer.configure(|config| config.group.protocol = protocol);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..RECORDS {
        let record = timeout(LONG, consumer.next()).await.expect("it comes");
        record.unwrap().unwrap().done();
    }
    consumer.shutdown(LONG).await.unwrap();
    spans
}

#[tokio::test]
async fn a_fetch_and_a_rebalance_have_spans_of_their_own() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let spans = a_service(protocol).await;
        let fetches = spans.named("fetch");
        let asked = spans.named("request").into_iter();
        let asked = asked.filter(|span| span.fields["api"] == "Fetch").count();
        assert_eq!(fetches.len(), asked, "one for each");
        let of = |span: &Span, field: &str| span.fields.get(field)?.parse::<usize>().ok();
        for fetch in &fetches {
            assert!(of(fetch, "broker").is_some(), "{fetch:?}");
            assert!(of(fetch, "partitions").is_some(), "{fetch:?}");
        }
        let bytes: usize = fetches.iter().filter_map(|span| of(span, "bytes")).sum();
        assert!(bytes > RECORDS * 8, "{bytes}");
        let within = spans.named("request").into_iter();
        let mut within = within.filter(|span| span.fields["api"] == "Fetch");
        assert!(within.all(|span| span.within == Some("fetch")));

        let rebalances = spans.named("rebalance");
        let changes = rebalances.iter().map(|span| {
            let change = span.fields["change"].as_str();
            assert_eq!(span.fields["group"], "g");
            assert!(span.is_closed, "{span:?}");
            (change, of(span, "partitions").unwrap())
        });
        let changes: Vec<_> = changes.collect();
        assert_eq!(changes, [("assigned", 2), ("revoked", 2)]);
        let asked = spans.named("request").into_iter();
        let mut asked = asked.filter(|span| span.within == Some("rebalance"));
        assert!(asked.any(|span| span.fields["api"] == "OffsetFetch"));
    }
}

#[tokio::test]
async fn connections_requests_and_commits_have_theirs_and_no_record_has() {
    let spans = a_service(GroupProtocol::Consumer).await;
    let requests = spans.named("request");
    let apis: Vec<&str> = requests
        .iter()
        .map(|span| span.fields["api"].as_str())
        .collect();
    for api in ["Produce", "Fetch", "OffsetCommit", "ConsumerGroupHeartbeat"] {
        assert!(apis.contains(&api), "{api} of {apis:?}");
    }
    for connect in spans.named("connect") {
        assert!(connect.fields["peer"].starts_with("127.0.0.1:"));
    }
    let commits = spans.named("commit");
    assert!(commits.iter().all(|span| span.fields["group"] == "g"));
    assert!(!commits.is_empty());
    let all = spans.0.lock().unwrap().len();
    assert!(all < RECORDS / 4, "{all} spans of {RECORDS} records");
}
