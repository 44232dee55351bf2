//! Which requests meet which fault: rules in the order they were made, the first that fits strikes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_wire::ApiKey;
use tokio::sync::watch;

use super::fault::Fault;

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

/// Where a request is when it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// On its way to the broker.
    Request,
    /// Its answer is here and has records.
    Records,
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

    /// The fault that a request at this stage meets. It has struck by then.
    pub(super) fn strike(&self, api: ApiKey, broker: Option<i32>, stage: Stage) -> Option<Fault> {
        let fault = {
            let mut state = self.lock();
            let entry = state.entries.iter_mut().find(|entry| {
                // Only a fetch's records wait for their answer.
                let at = if entry.fault == Fault::CorruptBatch && api == ApiKey::Fetch {
                    Stage::Records
                } else {
                    Stage::Request
                };
                at == stage
                    && entry.api.is_none_or(|of| of == api)
                    && (entry.broker.is_none() || entry.broker == broker)
                    && entry.times.is_none_or(|times| entry.struck < times)
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

/// A rule that was made by `fail`: it strikes the next fitting request once, unless told otherwise. Dropping it changes
/// nothing.
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

    /// How many requests it has struck.
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
    use highwater_wire::ErrorCode;

    const REFUSE: Fault = Fault::Refuse(ErrorCode::NotLeaderOrFollower);

    fn produce(rules: &Rules) -> Option<Fault> {
        rules.strike(ApiKey::Produce, Some(1), Stage::Request)
    }

    #[test]
    fn a_rule_strikes_once_unless_told_otherwise() {
        let rules = Rules::new();
        let once = rules.add(Some(ApiKey::Produce), REFUSE);
        assert_eq!(rules.strike(ApiKey::Fetch, None, Stage::Request), None);
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
        let second = rules.strike(ApiKey::Produce, Some(2), Stage::Request);
        assert_eq!(second, Some(Fault::Drop));
        assert_eq!(produce(&rules), Some(REFUSE));
    }

    #[test]
    fn a_corrupt_batch_waits_for_an_answer_with_records() {
        let rules = Rules::new();
        let _ = rules.add(Some(ApiKey::Fetch), Fault::CorruptBatch);
        assert_eq!(rules.strike(ApiKey::Fetch, None, Stage::Request), None);
        let records = rules.strike(ApiKey::Fetch, None, Stage::Records);
        assert_eq!(records, Some(Fault::CorruptBatch));
    }
}
