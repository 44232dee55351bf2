//! Which requests meet which fault: rules in the order they were made, the first that fits strikes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_wire::ApiKey;
use highwater_wire::message::MetadataRequest;
use tokio::sync::watch;

use super::asked::Asked;
use super::fault::Fault;
use super::refusal::refusal;
use super::rewrite::produced_byte;

/// The rules of one cluster, and what went through it. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Rules(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts the changes of `state` that somebody may wait for.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    seen: BTreeMap<ApiKey, usize>,
}

#[derive(Debug)]
struct Entry {
    api: Option<ApiKey>,
    fault: Fault,
    broker: Option<i32>,
    /// How many fitting requests pass before the first is struck.
    pass: usize,
    /// How many it strikes; `None` is all.
    times: Option<usize>,
    struck: usize,
}

impl Rules {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, api: Option<ApiKey>, fault: Fault) -> Rule {
        let mut state = self.lock();
        state.entries.push(Entry {
            api,
            fault,
            broker: None,
            pass: 0,
            times: Some(1),
            struck: 0,
        });
        Rule {
            rules: self.clone(),
            index: state.entries.len() - 1,
        }
    }

    /// No rule strikes any more.
    pub(super) fn stop(&self) {
        for entry in &mut self.lock().entries {
            entry.times = Some(entry.struck);
        }
    }

    /// Counts a request.
    pub(super) fn saw(&self, api: ApiKey) {
        *self.lock().seen.entry(api).or_default() += 1;
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// The fault that a request meets on its way to the broker. It has struck by then.
    pub(super) fn strike(
        &self,
        asked: &Asked<'_>,
        frame: &[u8],
        broker: Option<i32>,
    ) -> Option<Fault> {
        self.strike_by(asked.api, broker, |fault| reaches(fault, asked, frame))
    }

    /// Whether the records in the answer to a fetch are to be corrupt. It has struck by then.
    pub(super) fn strike_records(&self, broker: Option<i32>) -> bool {
        let struck = self.strike_by(ApiKey::Fetch, broker, |it| it == Fault::CorruptBatch);
        struck.is_some()
    }

    /// The first rule strikes that is of this API and this broker, and whose fault `reaches` the request: one that would
    /// do nothing to it waits for another.
    fn strike_by(
        &self,
        api: ApiKey,
        broker: Option<i32>,
        reaches: impl Fn(Fault) -> bool,
    ) -> Option<Fault> {
        let fault = {
            let mut state = self.lock();
            let entry = state.entries.iter_mut().find(|entry| {
                entry.api.is_none_or(|of| of == api)
                    && (entry.broker.is_none() || entry.broker == broker)
                    && entry.times.is_none_or(|times| entry.struck < times)
                    && reaches(entry.fault)
            })?;
            if entry.pass > 0 {
                entry.pass -= 1;
                return None;
            }
            entry.struck += 1;
            entry.fault
        };
        self.0.changed.send_modify(|count| *count += 1);
        Some(fault)
    }

    pub(super) fn requests(&self, api: ApiKey) -> usize {
        self.lock().seen.get(&api).copied().unwrap_or(0)
    }

    pub(super) async fn wait_requests(&self, api: ApiKey, count: usize) {
        self.wait(|state| state.seen.get(&api).copied().unwrap_or(0) >= count)
            .await;
    }

    async fn wait(&self, holds: impl Fn(&State) -> bool) {
        let mut changed = self.0.changed.subscribe();
        while !holds(&self.lock()) {
            // The sender lives in `self`.
            let _ = changed.changed().await;
        }
    }
}

/// Whether a fault does anything to a request on its way to the broker.
fn reaches(fault: Fault, asked: &Asked<'_>, frame: &[u8]) -> bool {
    match fault {
        Fault::Refuse(_) if asked.is_one_way() => true,
        Fault::Refuse(_) | Fault::RefuseAfter(_) if asked.api == ApiKey::Metadata => {
            // It is the topics that are refused.
            let request = asked.request::<MetadataRequest<'_>>();
            request.is_ok_and(|request| request.topics.is_none_or(|topics| !topics.is_empty()))
        }
        Fault::Refuse(code) | Fault::RefuseAfter(code) => refusal(asked, code).is_some(),
        // A fetch's records wait for their answer.
        Fault::CorruptBatch => produced_byte(asked, frame).is_some(),
        Fault::Delay(_) | Fault::Cut | Fault::WrongCorrelation | Fault::Flood => {
            !asked.is_one_way()
        }
        Fault::Lose
        | Fault::Drop
        | Fault::DisconnectBefore
        | Fault::DisconnectAfter
        | Fault::Duplicate => true,
    }
}

/// A rule that was made by `fail`: it strikes the next fitting request once, unless told otherwise. A request that the
/// fault would do nothing to does not fit: one without a batch where that is to be corrupt, or one that nothing can refuse.
/// Dropping the rule changes nothing.
#[derive(Clone, Debug)]
pub struct Rule {
    rules: Rules,
    index: usize,
}

impl Rule {
    fn edit(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.rules.lock().entries.get_mut(self.index) {
            change(entry);
        }
    }

    /// Strikes so many requests in all.
    pub fn times(self, times: usize) -> Self {
        self.edit(|entry| entry.times = Some(times));
        self
    }

    /// Strikes every request, until [`stop`](Self::stop).
    pub fn always(self) -> Self {
        self.edit(|entry| entry.times = None);
        self
    }

    /// Lets so many fitting requests pass before the first is struck.
    pub fn after(self, requests: usize) -> Self {
        self.edit(|entry| entry.pass = requests);
        self
    }

    /// Strikes only requests to this broker.
    pub fn on_broker(self, id: i32) -> Self {
        self.edit(|entry| entry.broker = Some(id));
        self
    }

    /// Strikes no more.
    pub fn stop(&self) {
        self.edit(|entry| entry.times = Some(entry.struck));
    }

    /// How many requests it has struck: those that its fault did something to.
    pub fn struck(&self) -> usize {
        let state = self.rules.lock();
        state
            .entries
            .get(self.index)
            .map_or(0, |entry| entry.struck)
    }

    /// Waits until it has struck at least so many requests.
    ///
    /// Cancel-safe: it only looks.
    pub async fn hit(&self, times: usize) {
        let index = self.index;
        self.rules
            .wait(|state| {
                state
                    .entries
                    .get(index)
                    .is_none_or(|entry| entry.struck >= times)
            })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::message::metadata::MetadataRequestTopic;
    use highwater_wire::message::{FetchRequest, ListGroupsRequest, ProduceRequest};
    use highwater_wire::{ErrorCode, Request, encode_request};

    const REFUSE: Fault = Fault::Refuse(ErrorCode::NotLeaderOrFollower);

    fn meets(rules: &Rules, api: ApiKey, broker: Option<i32>) -> Option<Fault> {
        rules.strike_by(api, broker, |_| true)
    }

    fn produce(rules: &Rules) -> Option<Fault> {
        meets(rules, ApiKey::Produce, Some(1))
    }

    #[test]
    fn a_rule_strikes_once_unless_told_otherwise() {
        let rules = Rules::new();
        let once = rules.add(Some(ApiKey::Produce), REFUSE);
        assert_eq!(meets(&rules, ApiKey::Fetch, None), None);
        assert_eq!(produce(&rules), Some(REFUSE));
        assert_eq!(produce(&rules), None);
        assert_eq!(once.struck(), 1);
        let _ = rules.add(None, Fault::Drop).times(2).after(1);
        let struck: Vec<_> = (0..5).map(|_| produce(&rules)).collect();
        let dropped = Some(Fault::Drop);
        assert_eq!(struck, [None, dropped, dropped, None, None]);
        let always = rules.add(None, Fault::Cut).always();
        assert!((0..9).all(|_| produce(&rules) == Some(Fault::Cut)));
        always.stop();
        assert_eq!(produce(&rules), None);
    }

    #[test]
    fn rules_strike_in_the_order_they_were_made_and_where_they_were_told() {
        let rules = Rules::new();
        let _ = rules.add(None, Fault::Drop).on_broker(2);
        let _ = rules.add(None, Fault::Cut);
        let _ = rules.add(None, REFUSE);
        assert_eq!(produce(&rules), Some(Fault::Cut));
        let second = meets(&rules, ApiKey::Produce, Some(2));
        assert_eq!(second, Some(Fault::Drop));
        assert_eq!(produce(&rules), Some(REFUSE));
    }

    /// What a request of this version meets.
    fn asks<R: Request>(rules: &Rules, version: i16, request: &R) -> Option<Fault> {
        let encoded = encode_request(1, None, version, request).unwrap();
        let frame = &encoded.bytes[4..];
        rules.strike(&Asked::read(1, frame).unwrap(), frame, Some(1))
    }

    #[test]
    fn a_corrupt_batch_waits_for_an_answer_with_records() {
        let rules = Rules::new();
        let rule = rules.add(None, Fault::CorruptBatch);
        assert_eq!(asks(&rules, 4, &FetchRequest::default()), None);
        assert_eq!(asks(&rules, 0, &ListGroupsRequest::default()), None);
        assert_eq!(asks(&rules, 9, &ProduceRequest::default()), None);
        assert_eq!(rule.struck(), 0);
        assert!(rules.strike_records(None));
        assert_eq!(rule.struck(), 1);
        assert!(!rules.strike_records(None));
    }

    #[test]
    fn a_refusal_waits_for_a_request_that_can_be_refused() {
        let rules = Rules::new();
        let rule = rules.add(None, REFUSE);
        let about = |topics| MetadataRequest {
            topics,
            ..MetadataRequest::default()
        };
        assert_eq!(asks(&rules, 9, &about(Some([].into()))), None);
        assert_eq!(rule.struck(), 0);
        let topic = MetadataRequestTopic {
            name: Some("t"),
            ..MetadataRequestTopic::default()
        };
        assert_eq!(asks(&rules, 9, &about(Some([topic].into()))), Some(REFUSE));
        let _ = rules.add(None, REFUSE);
        let _ = rules.add(None, Fault::Cut);
        let one_way = ProduceRequest {
            acks: 0,
            ..ProduceRequest::default()
        };
        // Without an answer there is none to be cut, but the request can be lost.
        assert_eq!(asks(&rules, 9, &one_way), Some(REFUSE));
        assert_eq!(asks(&rules, 9, &one_way), None);
        assert_eq!(
            asks(&rules, 0, &ListGroupsRequest::default()),
            Some(Fault::Cut)
        );
    }
}
