//! Long polls: who waits for which offset until when, on one shard and over several.
//!
//! Knows partitions and time; not what a fetch answers. A wait ends by the append itself, which wakes the partition's
//! watchers; nothing polls.
//!
//! ```text
//!   one shard      Read { park } ──> plan; enough? answer : watch every partition ──┐
//!                                      └──────────── woken by an append, or late <──┘
//!   several        Read everywhere, at once; not enough: Read { park } everywhere, the first that wakes begins the next round
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use highwater_partition::{Fetch, FetchPlan, Isolation, Watch};
use highwater_reactor::local::{Either, Latch, race};
use highwater_reactor::{Instant, ShardId};
use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::answer;
use crate::errand::{self, Errand};
use crate::route::PerShard;
use crate::shard::Shard;

/// How long a read may be parked on another shard before the connection's shard renews it: what is left of it there when
/// the connection goes.
const PARKED_MAX: Duration = Duration::from_secs(5);

/// How much a fetch takes, and when it is worth answering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// The most bytes, but for the first batch.
    pub(crate) bytes_max: u32,
    /// Fewer are waited with.
    pub(crate) bytes_min: u32,
    /// Until then.
    pub(crate) until: Instant,
}

/// One partition to read.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The answer's row, for whoever asks.
    pub(crate) row: usize,
    /// The topic.
    pub(crate) topic_id: Uuid,
    /// The partition's index.
    pub(crate) partition: i32,
    /// What of it.
    pub(crate) fetch: Fetch,
}

/// What was found, row by row.
pub(crate) type Found = Vec<(usize, Result<FetchPlan, ErrorCode>)>;

/// Whose parked read it is: a connection has one at a time on a shard, and its next one ends it.
pub(crate) type Owner = (ShardId, u64);

/// Reads of partitions on one shard, planned at once or, where there is not enough, when there is.
pub(crate) struct Read {
    targets: Vec<Target>,
    amount: Amount,
    owner: Owner,
    wait: bool,
}

impl Errand for Read {
    type Answer = Found;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Found> + use<> {
        let shard = Rc::clone(shard);
        async move { read(&shard, &self).await }
    }
}

/// Reads the targets on the shards that own them; waits until the amount is there, or an error, or the time is up.
pub(crate) async fn gather(
    shard: &Rc<Shard>,
    guest: u64,
    targets: PerShard<Target>,
    amount: Amount,
) -> Found {
    let targets: Vec<(ShardId, Vec<Target>)> = targets.into_iter().collect();
    let begin = |at: usize, bytes_min: u32, wait: bool| {
        let (to, targets) = &targets[at];
        let slice = if *to == shard.id() {
            Duration::MAX
        } else {
            PARKED_MAX
        };
        let until = amount.until.min(shard.reactor().now() + slice);
        let amount = Amount {
            bytes_min,
            until,
            ..amount
        };
        let read = Read {
            targets: targets.clone(),
            amount,
            owner: (shard.id(), guest),
            wait,
        };
        errand::begin(shard, *to, read)
    };
    let alone = targets.len() == 1;
    loop {
        // Alone, a shard waits by itself; several are first asked what they have.
        let begun: Vec<_> = (0..targets.len())
            .map(|at| begin(at, amount.bytes_min, alone))
            .collect();
        let mut found = Found::new();
        let mut shares = Vec::with_capacity(begun.len());
        for ((_, targets), read) in targets.iter().zip(begun) {
            let part = read.await.unwrap_or_else(|_| {
                targets
                    .iter()
                    .map(|t| (t.row, Err(ErrorCode::NotLeaderOrFollower)))
                    .collect()
            });
            shares.push(bytes(&part));
            found.extend(part);
        }
        let late = shard.reactor().now() >= amount.until || shard.is_closing();
        if late || targets.is_empty() || is_enough(&found, amount.bytes_min) {
            return found;
        }
        if !alone {
            // Whoever brings what is missing begins the next round, which ends the others' wait.
            let missing = u64::from(amount.bytes_min).saturating_sub(shares.iter().sum());
            let waits = shares.iter().enumerate().map(|(at, share)| {
                let enough = u32::try_from(share + missing).unwrap_or(u32::MAX);
                begin(at, enough, true)
            });
            first(waits.collect()).await;
        }
    }
}

fn bytes(found: &Found) -> u64 {
    found
        .iter()
        .map(|(_, found)| found.as_ref().map_or(0, |plan| u64::from(plan.bytes)))
        .sum()
}

/// Whether what was found is worth answering: bytes enough, or something that went wrong.
fn is_enough(found: &Found, bytes_min: u32) -> bool {
    let urgent = |(_, found): &(usize, Result<FetchPlan, ErrorCode>)| {
        found.as_ref().map_or(true, |plan| plan.diverging.is_some())
    };
    bytes(found) >= u64::from(bytes_min) || found.iter().any(urgent)
}

async fn read(shard: &Rc<Shard>, read: &Read) -> Found {
    // A read of this shard's own connection ends when the connection drops it.
    let place = (read.owner.0 != shard.id()).then(|| shard.parked().enter(read.owner));
    loop {
        let found = plan(shard, read);
        let late = shard.reactor().now() >= read.amount.until || shard.is_closing();
        if !read.wait || late || is_enough(&found, read.amount.bytes_min) {
            return found;
        }
        let woken = first(watches(shard, &read.targets, &found));
        let superseded = async {
            match &place {
                Some(place) => place.superseded.wait().await,
                None => std::future::pending().await,
            }
        };
        let late = shard.reactor().sleep_until(read.amount.until);
        let ended = race(superseded, race(late, shard.closing().wait()));
        if let Either::Right(Either::Left(())) = race(woken, ended).await {
            return found;
        }
    }
}

/// The reads of other shards' connections that are parked here, one for each connection at most.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    by_owner: Rc<RefCell<BTreeMap<Owner, (u64, Latch)>>>,
    entered: Cell<u64>,
}

/// A read's place among the parked.
#[derive(Debug)]
struct ParkedPlace {
    parked: Rc<RefCell<BTreeMap<Owner, (u64, Latch)>>>,
    owner: Owner,
    number: u64,
    superseded: Latch,
}

impl Parked {
    /// Takes the owner's place and ends who had it.
    fn enter(&self, owner: Owner) -> ParkedPlace {
        let number = self.entered.get();
        self.entered.set(number + 1);
        let superseded = Latch::new();
        let before = self
            .by_owner
            .borrow_mut()
            .insert(owner, (number, superseded.clone()));
        if let Some((_, before)) = before {
            before.open();
        }
        ParkedPlace {
            parked: Rc::clone(&self.by_owner),
            owner,
            number,
            superseded,
        }
    }
}

impl Drop for ParkedPlace {
    fn drop(&mut self) {
        let mut parked = self.parked.borrow_mut();
        if parked
            .get(&self.owner)
            .is_some_and(|(number, _)| *number == self.number)
        {
            parked.remove(&self.owner);
        }
    }
}

/// What can be read now, in order, within the amount.
fn plan(shard: &Shard, read: &Read) -> Found {
    let mut left = read.amount.bytes_max;
    let mut at_least_one = true;
    let mut found = Found::with_capacity(read.targets.len());
    for target in &read.targets {
        let planned = shard
            .partition_or_error(&target.topic_id, target.partition)
            .and_then(|partition| {
                let bytes_max = target.fetch.bytes_max.min(left);
                partition
                    .plan_fetch(&Fetch {
                        bytes_max,
                        at_least_one,
                        ..target.fetch
                    })
                    .map_err(|refusal| answer::fetch_refusal(&refusal))
            });
        if let Ok(plan) = &planned
            && plan.bytes > 0
        {
            at_least_one = false;
            left = left.saturating_sub(plan.bytes);
        }
        found.push((target.row, planned));
    }
    found
}

/// One watch per partition, beyond what was found there.
fn watches(shard: &Shard, targets: &[Target], found: &Found) -> Vec<Watch> {
    let mut watches = Vec::with_capacity(targets.len());
    for (target, (_, found)) in targets.iter().zip(found) {
        let (Ok(plan), Some(partition)) =
            (found, shard.partition(&target.topic_id, target.partition))
        else {
            continue;
        };
        let readable = match target.fetch.isolation {
            Isolation::ReadUncommitted => plan.high_watermark,
            Isolation::ReadCommitted => plan.last_stable,
        };
        watches.push(partition.watch(target.fetch.from.max(readable)));
    }
    watches
}

/// Waits for the first of several; for ever if there are none.
async fn first<F: Future>(futures: Vec<F>) {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|task| {
        if futures
            .iter_mut()
            .any(|future| future.as_mut().poll(task).is_ready())
        {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
