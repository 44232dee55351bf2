//! The clock of one shard's coordinators: sleeps until the first of them has something to do. It does not know what.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::Instant;
use highwater_reactor::local::{Notify, race};

use crate::shard::Shard;

/// The least time between two looks, whatever is due.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// When the sleeper wakes, and the bell that wakes it sooner.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// In milliseconds of the reactor's clock.
    set_ms: Cell<Option<i64>>,
    sooner: Notify,
}

impl Alarm {
    /// Somebody has something to do at `due_ms`.
    pub(super) fn set(&self, due_ms: Option<i64>) {
        if let Some(due) = due_ms
            && self.set_ms.get().is_none_or(|set| due < set)
        {
            self.set_ms.set(Some(due));
            self.sooner.notify_all();
        }
    }
}

/// Wakes the coordinators of a shard when something is due, for as long as the shard runs.
pub(crate) async fn ring(shard: Rc<Shard>) {
    while !shard.is_closing() {
        let hall = shard.hall();
        let sooner = hall.alarm().sooner.notified();
        let due = hall.due_ms();
        hall.alarm().set_ms.set(due);
        match due {
            Some(due) => {
                let due = Instant::from_start(Duration::from_millis(due.max(0).cast_unsigned()));
                let soonest = shard.reactor().now() + LOOK_PAUSE;
                let sleep = shard.reactor().sleep_until(due.max(soonest));
                race(sleep, sooner).await;
            }
            None => sooner.await,
        }
        hall.tick(&shard);
    }
}
