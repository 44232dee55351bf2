//! What a producer traces, as a subscriber sees it: a span for each request, an event for each batch, nothing for a record.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use highwater::testing::{ApiKey, FakeBroker, Fault};
use highwater::{Client, ErrorCode, Record};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};

type Fields = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
struct Seen {
    spans: Vec<Traced>,
    events: Vec<Traced>,
    /// Those that this thread is in, the innermost last.
    entered: Vec<u64>,
}

/// A span, or an event, with the span that it is in.
#[derive(Clone, Debug)]
struct Traced {
    name: String,
    fields: Fields,
    within: Option<u64>,
    /// How many handles there are.
    open: usize,
}

/// Keeps all spans and events of a producer's and a connection's modules; of one thread.
#[derive(Clone, Default)]
struct Keeping(Arc<Mutex<Seen>>);

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Seen {
    fn span(&mut self, id: &Id) -> &mut Traced {
        &mut self.spans[usize::try_from(id.into_u64()).unwrap() - 1]
    }
}

impl Subscriber for Keeping {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let is_ours = ["highwater::producer", "highwater::connection"];
        is_ours.iter().any(|ours| target.starts_with(ours)) && *metadata.level() <= Level::TRACE
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut seen = self.0.lock().unwrap();
        let mut fields = Fields::new();
        span.record(&mut Reader(&mut fields));
        let within = match span.is_contextual() {
            true => seen.entered.last().copied(),
            false => span.parent().map(Id::into_u64),
        };
        seen.spans.push(Traced {
            name: span.metadata().name().to_owned(),
            fields,
            within,
            open: 1,
        });
        Id::from_u64(u64::try_from(seen.spans.len()).unwrap())
    }

    fn record(&self, _: &Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut seen = self.0.lock().unwrap();
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        let traced = Traced {
            name: fields.remove("message").unwrap_or_default(),
            fields,
            within: seen.entered.last().copied(),
            open: 0,
        };
        seen.events.push(traced);
    }

    fn enter(&self, span: &Id) {
        self.0.lock().unwrap().entered.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.0.lock().unwrap().entered.pop(), Some(span.into_u64()));
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.0.lock().unwrap().span(span).open += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut seen = self.0.lock().unwrap();
        let span = seen.span(&span);
        span.open -= 1;
        span.open == 0
    }
}

#[tokio::test]
async fn a_produce_request_has_a_span_each_batch_an_event_in_it_and_a_record_nothing() {
    let keeping = Keeping::default();
    let _guard = tracing::subscriber::set_default(keeping.clone());
    let broker = FakeBroker::start(1).await.unwrap();
    broker.topic("t", 2);
    broker.fail(ApiKey::Produce, Fault::Refuse(ErrorCode::NotEnoughReplicas));
    let client = Client::builder(broker.bootstrap()).connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let records = (0..1000).map(|number| Record::to("t").partition(number % 2).value("v"));
    let placed = producer.send_batch(records).await.unwrap();
    assert_eq!(placed.len(), 1000);
    // The caller has its answer before the span is over.
    tokio::task::yield_now().await;

    let seen = keeping.0.lock().unwrap().clone();
    let named = |name: &str| {
        let spans = (1..).zip(&seen.spans);
        let name = name.to_owned();
        spans.filter(move |(_, span)| span.name == name)
    };
    let produce: BTreeMap<u64, &Traced> = named("produce").collect();
    assert_eq!(produce.len(), broker.requests(ApiKey::Produce));
    assert!(
        produce
            .values()
            .all(|span| span.within.is_none() && span.open == 0)
    );
    assert!(produce.values().all(|span| span.fields["broker"] == "0"));
    let requests = named("request").filter(|(_, span)| span.fields["api"] == "\"Produce\"");
    let within: Vec<u64> = requests.map(|(_, span)| span.within.unwrap()).collect();
    assert_eq!(within, produce.keys().copied().collect::<Vec<_>>());

    let of = |name: &str| {
        let events = seen.events.iter().filter(|event| event.name == name);
        events.cloned().collect::<Vec<_>>()
    };
    let (written, refused) = (of("batch written"), of("batch refused"));
    let batches = produce.values().map(|span| &span.fields["batches"]);
    let batches: usize = batches.map(|count| count.parse::<usize>().unwrap()).sum();
    assert_eq!(written.len() + refused.len(), batches);
    assert!(batches < 50, "{batches} for 1000 records");
    assert!(!refused.is_empty());
    let first = produce.keys().next().copied();
    assert!(refused.iter().all(|event| event.within == first));
    for event in written.iter().chain(&refused) {
        assert!(produce.contains_key(&event.within.unwrap()), "{event:?}");
        assert_eq!(event.fields["topic"], "\"t\"");
    }
    assert!(seen.events.len() < 200, "{} events", seen.events.len());
}
