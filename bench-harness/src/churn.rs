//! Group churn (G1): members of one group join, leave and die while a producer writes. How long each change takes until every
//! partition has its reader again, how many records are read twice for it, and that none is skipped. Knows a member's
//! assignment from its own listener, not from the broker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use highwater::{OffsetReset, Rebalance};
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::arguments::Churn;
use crate::embedded::{Embedded, Launch};
use crate::ledger::Verdict;
use crate::load::{self, Load, Pace, Shared};
use crate::payload::{Payload, Seeded};
use crate::run::{Result, create_topic, temporary};

/// A change that has not settled after so long never will.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// How long the readers may be silent at the end while something is missing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) members: u32,
    pub(crate) partitions: u32,
    pub(crate) assignor: &'static str,
    pub(crate) session_timeout_ms: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    /// From the first member's start until all of them have their parts.
    pub(crate) form_s: f64,
    pub(crate) joins: Changes,
    pub(crate) leaves: Changes,
    pub(crate) kills: Changes,
    pub(crate) verdict: Verdict,
}

/// Changes of one kind.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Changes {
    /// How long each took until every partition had its reader again.
    pub(crate) settled_s: Vec<f64>,
    /// Records read once too often meanwhile.
    pub(crate) duplicated: u64,
}

impl Outcome {
    /// Whether every promise was kept. Reading twice is none: a group promises at least once.
    pub(crate) fn is_clean(&self) -> bool {
        let Verdict {
            lost,
            reordered,
            corrupt,
            ..
        } = self.verdict;
        lost == 0 && reordered == 0 && corrupt == 0
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "one group of {} members, {} partitions, {}; session time-out {} ms, heartbeats every {} ms; {:.0} s",
            self.members,
            self.partitions,
            self.assignor,
            self.session_timeout_ms,
            self.heartbeat_ms,
            self.seconds
        )?;
        writeln!(
            f,
            "{:<8}{:>8}{:>12}{:>12}{:>14}",
            "", "times", "median s", "longest s", "read twice"
        )?;
        let form = Changes {
            settled_s: vec![self.form_s],
            duplicated: 0,
        };
        let changes = [
            ("form", &form),
            ("join", &self.joins),
            ("leave", &self.leaves),
            ("kill", &self.kills),
        ];
        for (name, changes) in changes {
            let (median, longest) = changes.middle_and_end();
            let (times, twice) = (changes.settled_s.len(), changes.duplicated);
            writeln!(
                f,
                "{name:<8}{times:>8}{median:>12.2}{longest:>12.2}{twice:>14}"
            )?;
        }
        let Verdict {
            acknowledged,
            lost,
            reordered,
            corrupt,
            failed,
            ..
        } = self.verdict;
        writeln!(
            f,
            "checked: {acknowledged} acknowledged; {lost} skipped, {reordered} reordered, {corrupt} corrupt; {failed} failed to be sent"
        )?;
        if !self.is_clean() {
            writeln!(f, "A PROMISE WAS BROKEN")?;
        }
        Ok(())
    }
}

impl Changes {
    fn middle_and_end(&self) -> (f64, f64) {
        let mut sorted = self.settled_s.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
    }
}

/// Who has what, as the members themselves know.
#[derive(Debug, Default)]
struct Board {
    has: Mutex<BTreeMap<u32, BTreeSet<i32>>>,
    /// A member that nobody told to go has gone.
    deserter: Mutex<Option<u32>>,
    changed: Notify,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, BTreeSet<i32>>> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, member: u32, rebalance: &Rebalance) {
        let mut all = self.lock();
        let has = all.entry(member).or_default();
        match rebalance {
            Rebalance::Assigned(places) => has.extend(places.iter().map(|it| it.partition)),
            Rebalance::Revoked(places) => places.keys().for_each(|it| {
                has.remove(&it.partition);
            }),
            Rebalance::Lost(places) => places.iter().for_each(|it| {
                has.remove(&it.partition);
            }),
        }
        drop(all);
        self.changed.notify_one();
    }

    fn deserted(&self, member: u32) {
        *self.deserter.lock().unwrap_or_else(PoisonError::into_inner) = Some(member);
        self.changed.notify_one();
    }

    fn gone(&self, member: u32) {
        self.lock().remove(&member);
        self.changed.notify_one();
    }

    /// Whether so many members have all partitions between them, each its fair part.
    fn is_settled(&self, members: usize, partitions: u32) -> bool {
        let all = self.lock();
        let loads: Vec<usize> = all.values().map(BTreeSet::len).collect();
        let read: BTreeSet<i32> = all.values().flatten().copied().collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        all.len() == members
            && read.len() == partitions as usize
            && loads.iter().sum::<usize>() == read.len()
            && most
                .zip(least)
                .is_some_and(|(most, least)| most - least <= 1)
    }
}

/// A member with threads of its own, so that it can be killed without a word to the broker.
struct Member {
    number: u32,
    runtime: Runtime,
    leave: Arc<Notify>,
    reading: JoinHandle<highwater::Result<()>>,
}

/// What all members share.
struct Group<'a> {
    arguments: &'a Churn,
    bootstrap: String,
    shared: Arc<Shared>,
    board: Arc<Board>,
    members: Vec<Member>,
    /// The next one's number.
    number: u32,
}

impl Group<'_> {
    fn join(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let (number, leave) = (self.number, Arc::new(Notify::new()));
        let reading = read(
            self.arguments.clone(),
            self.bootstrap.clone(),
            number,
            Arc::clone(&self.shared),
            Arc::clone(&self.board),
            Arc::clone(&leave),
        );
        let board = Arc::clone(&self.board);
        let reading = runtime.spawn(async move {
            let ended = reading.await;
            if ended.is_err() {
                board.deserted(number);
            }
            ended
        });
        self.members.push(Member {
            number,
            runtime,
            leave,
            reading,
        });
        self.number += 1;
        Ok(())
    }

    async fn leave(&mut self, index: usize) -> Result<()> {
        let Member {
            number,
            runtime,
            leave,
            reading,
        } = self.members.swap_remove(index);
        leave.notify_one();
        let left = reading.await;
        runtime.shutdown_background();
        self.board.gone(number);
        Ok(left??)
    }

    fn kill(&mut self, index: usize) {
        let Member {
            number, runtime, ..
        } = self.members.swap_remove(index);
        // Its tasks end where they are, and its connections with them.
        runtime.shutdown_background();
        self.board.gone(number);
    }

    /// How long it takes, since `began`, until every partition has its reader again.
    async fn settled(&self, began: Instant) -> Result<f64> {
        let settled = async {
            while !self
                .board
                .is_settled(self.members.len(), self.arguments.partitions)
            {
                self.board.changed.notified().await;
                let deserter = *self
                    .board
                    .deserter
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if let Some(number) = deserter {
                    return Err(format!("member {number} ended by itself"));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(SETTLE_MAX, settled).await {
            Ok(settled) => Ok(settled.map(|()| began.elapsed().as_secs_f64())?),
            Err(_) => Err(format!(
                "the group did not settle within {SETTLE_MAX:?}: {:?}",
                self.board.lock()
            )
            .into()),
        }
    }
}

/// One member's life.
async fn read(
    arguments: Churn,
    bootstrap: String,
    number: u32,
    shared: Arc<Shared>,
    board: Arc<Board>,
    leave: Arc<Notify>,
) -> highwater::Result<()> {
    let client = load::client(&bootstrap).await?;
    let mut consumer = client
        .consumer()
        .group(&shared.topic)
        .subscribe([&shared.topic])
        .offset_reset(OffsetReset::Earliest)
        .assignors([arguments.assignor])
        .auto_commit(Some(Duration::from_millis(arguments.commit_ms)))
        .configure(|config| {
            config.group.session_timeout = Duration::from_millis(arguments.session_timeout_ms);
            config.group.heartbeat_interval = Duration::from_millis(arguments.heartbeat_ms);
        })
        .on_rebalance({
            let board = Arc::clone(&board);
            move |rebalance, _| {
                board.note(number, &rebalance);
                std::future::ready(())
            }
        })
        .build()
        .await?;
    let read = tokio::select! {
        read = load::consume(&shared, &mut consumer) => {
            board.deserted(number);
            read
        }
        () = leave.notified() => Ok(()),
    };
    if let Err(error) = &read {
        eprintln!("highwater-bench: member {number}: {error}");
    }
    consumer.shutdown(SETTLE_MAX).await?;
    read
}

/// Lets members come and go as `arguments` says, and checks what they read.
pub(crate) async fn churn(arguments: &Churn) -> Result<Outcome> {
    let (engine, _directory) = match &arguments.bootstrap {
        Some(_) => (None, None),
        None => {
            let directory = temporary(arguments.directory.as_deref())?;
            let engine = Embedded::start(&Launch {
                directory: directory.path(),
                listen: ([127, 0, 0, 1], 0).into(),
                shards: None,
                durability: arguments.durability,
            })?;
            (Some(engine), Some(directory))
        }
    };
    let address = engine.as_ref().map(|engine| engine.address().to_string());
    let bootstrap = arguments.bootstrap.clone().or(address).unwrap_or_default();
    let client = load::client(&bootstrap).await?;
    let topic = format!("churn-{}", std::process::id());
    create_topic(&client, &topic, arguments.partitions, arguments.durability).await?;
    let payload = Payload::generated(arguments.seed, arguments.record_bytes as usize);
    let shared = Arc::new(Shared::new(topic, arguments.partitions, 1, payload, 16));
    let load = Load::new(0, Arc::clone(&shared), client.producer().build().await?).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let pace = Pace::Scheduled {
        records_per_s: arguments.rate as f64,
    };
    let producing = tokio::spawn(load.run(pace, Arc::clone(&stop)));

    let began = Instant::now();
    let board = Arc::new(Board::default());
    let mut group = Group {
        arguments,
        bootstrap,
        shared: Arc::clone(&shared),
        board,
        members: Vec::new(),
        number: 0,
    };
    for _ in 0..arguments.members {
        group.join()?;
    }
    let form_s = group.settled(began).await?;
    let mut seeded = Seeded::new(arguments.seed);
    let (mut joins, mut leaves, mut kills) =
        (Changes::default(), Changes::default(), Changes::default());
    for round in 1..=arguments.rounds {
        let who = seeded.below(group.members.len() as u64) as usize;
        kills
            .time(&mut group, async |group| {
                group.kill(who);
                Ok(())
            })
            .await?;
        joins.time(&mut group, async |group| group.join()).await?;
        let who = seeded.below(group.members.len() as u64) as usize;
        leaves
            .time(&mut group, async |group| group.leave(who).await)
            .await?;
        joins.time(&mut group, async |group| group.join()).await?;
        eprintln!(
            "round {round} of {}: {} records received",
            arguments.rounds,
            shared.ledger().received_count()
        );
    }
    stop.store(true, Ordering::Relaxed);
    producing.await?;
    drained(&shared).await;
    for _ in 0..group.members.len() {
        group.leave(0).await?;
    }
    if let Some(failure) = shared.failure() {
        eprintln!("highwater-bench: the first record that could not be sent: {failure}");
    }
    for (stream, sequence) in shared.ledger().lost_samples(5) {
        eprintln!("highwater-bench: skipped: record {sequence} of partition {stream}");
    }
    let verdict = shared.ledger().verdict();
    Ok(Outcome {
        members: arguments.members,
        partitions: arguments.partitions,
        assignor: arguments.assignor.name(),
        session_timeout_ms: arguments.session_timeout_ms,
        heartbeat_ms: arguments.heartbeat_ms,
        seed: arguments.seed,
        seconds: began.elapsed().as_secs_f64(),
        form_s,
        joins,
        leaves,
        kills,
        verdict,
    })
}

impl Changes {
    /// Makes a change and waits until the group has settled.
    async fn time(
        &mut self,
        group: &mut Group<'_>,
        change: impl AsyncFnOnce(&mut Group<'_>) -> Result<()>,
    ) -> Result<()> {
        let (began, before) = (Instant::now(), group.shared.ledger().verdict().duplicated);
        change(group).await?;
        self.settled_s.push(group.settled(began).await?);
        // What the change made somebody read again comes before what was written since.
        let until = group.shared.ledger().acknowledged_count();
        let caught_up = async {
            while group.shared.ledger().received_count() < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let late = tokio::time::timeout(SETTLE_MAX, caught_up).await;
        late.map_err(|_| format!("the group did not catch up within {SETTLE_MAX:?}"))?;
        self.duplicated += group.shared.ledger().verdict().duplicated - before;
        Ok(())
    }
}

/// Waits until all that was acknowledged is read, or nothing more comes.
async fn drained(shared: &Shared) {
    let mut seen = (0, Instant::now());
    loop {
        let (received, lost) = {
            let ledger = shared.ledger();
            (ledger.received_count(), ledger.verdict().lost)
        };
        if received > seen.0 {
            seen = (received, Instant::now());
        }
        if lost == 0 || seen.1.elapsed() > SILENCE_MAX {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
