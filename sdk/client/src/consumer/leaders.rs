//! Keeps a consumer's partitions with the fetchers of their leaders, as metadata moves.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use tokio::task::JoinSet;

use super::fetcher::Fetcher;
use super::shared::Shared;

/// Runs, with all fetchers, until the consumer is dropped.
pub(super) async fn follow(shared: Weak<Shared>) {
    // Aborts the fetchers when it is dropped.
    let mut tasks = JoinSet::new();
    let Some(mut changes) = shared.upgrade().map(|s| s.client.shared.watch_cluster()) else {
        return;
    };
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let cluster = Arc::clone(&changes.borrow_and_update());
        let mut leaderless = false;
        {
            let mut state = strong.lock();
            let mut fresh = BTreeSet::new();
            for index in 0..state.slots.len() {
                let slot = &state.slots[index];
                if !slot.assigned {
                    continue;
                }
                let known = cluster.partition(&slot.place.topic, slot.place.partition);
                let leader = known.and_then(|partition| partition.leader);
                let epoch = known.map_or(-1, |partition| partition.leader_epoch);
                leaderless |= leader.is_none();
                let sources = [leader, slot.replica_id()];
                let id = cluster.topic(&slot.place.topic).map(|topic| topic.id);
                let id = id.filter(|id| !id.is_nil());
                if let (Some(before), Some(now)) = (slot.topic_id, id)
                    && before != now
                {
                    state.remade(index, &strong);
                }
                let slot = &mut state.slots[index];
                slot.topic_id = id.or(slot.topic_id);
                if slot.leader != leader.unwrap_or(-1) || slot.leader_epoch != epoch {
                    state.set_leader(index, leader.unwrap_or(-1), epoch);
                }
                for broker in sources.into_iter().flatten() {
                    if !state.has_fetcher(broker) {
                        let wake = state.add_fetcher(broker);
                        let fetcher = Fetcher::new(Weak::clone(&shared), broker, wake);
                        tasks.spawn(fetcher.run());
                        fresh.insert(broker);
                    }
                    if fresh.contains(&broker) {
                        state.touch(index);
                    }
                }
            }
        }
        if leaderless {
            strong.client.shared.invalidate_metadata();
        }
        let assigned = Arc::clone(&strong);
        drop(strong);
        // Holding the shared part here would be harmless: dropping the consumer aborts this task.
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = assigned.assigned.notified() => {}
        }
    }
}
