//! Keeps a consumer's partitions with the fetchers of their leaders, as metadata moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::fetcher::Fetcher;
use super::shared::Shared;

/// Runs, with all fetchers, until the consumer is dropped.
pub(super) async fn follow(shared: Weak<Shared>) {
    // Aborts the fetchers when it is dropped.
    let mut tasks = JoinSet::new();
    let mut fetchers: BTreeMap<i32, Arc<Notify>> = BTreeMap::new();
    let Some(mut changes) = shared.upgrade().map(|s| s.client.shared.watch_cluster()) else {
        return;
    };
    loop {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        let cluster = Arc::clone(&changes.borrow_and_update());
        let mut leaderless = false;
        let mut woken: Vec<Arc<Notify>> = Vec::new();
        for slot in strong.lock().slots.iter_mut().filter(|slot| slot.assigned) {
            let known = cluster.partition(&slot.place.topic, slot.place.partition);
            let leader = known.and_then(|partition| partition.leader);
            let epoch = known.map_or(-1, |partition| partition.leader_epoch);
            leaderless |= leader.is_none();
            if slot.leader == leader.unwrap_or(-1) && slot.leader_epoch == epoch {
                continue;
            }
            woken.extend(slot.fetcher.take());
            slot.leader = leader.unwrap_or(-1);
            slot.leader_epoch = epoch;
            if let Some(leader) = leader {
                let fetcher = fetchers.entry(leader).or_insert_with(|| {
                    let wake = Arc::new(Notify::new());
                    let fetcher = Fetcher::new(Weak::clone(&shared), leader, Arc::clone(&wake));
                    tasks.spawn(fetcher.run());
                    wake
                });
                slot.fetcher = Some(Arc::clone(fetcher));
                woken.push(Arc::clone(fetcher));
            }
        }
        woken.iter().for_each(|fetcher| fetcher.notify_one());
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
