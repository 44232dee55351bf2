//! How far one partition has come between two seeks: what was handed out of it, and what the application has marked.
//!
//! A seek, and letting the partition go, end a track: marks that come after that reach nobody.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::batch::RecordBatch;
use crate::core::consumer::progress::{Handout, Marks, Place, Progress};
use crate::core::consumer::said::Said;
use crate::group::Committed;

/// The partition is being let go.
const ENDED: u64 = 1 << 63;
/// A seek made another track.
const MOVED: u64 = 1 << 62;

#[derive(Debug)]
pub(super) struct Track {
    /// The offset after what a partition's stream handed out, and whether it may hand out more. Who ends the track learns with
    /// the same step what there is to wait for.
    handed: AtomicU64,
    /// Whether anything was ever marked.
    used: AtomicBool,
    dealt: Mutex<Dealt>,
    /// Told what may be waited for once the track has ended.
    changed: Arc<Notify>,
}

/// What is dealt with.
#[derive(Debug)]
struct Dealt {
    /// By marks.
    progress: Progress,
    /// By number.
    said: Said,
}

/// Why a stream may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Ended,
    Moved,
}

fn stop(handed: u64) -> Option<Stop> {
    if handed & ENDED != 0 {
        Some(Stop::Ended)
    } else if handed & MOVED != 0 {
        Some(Stop::Moved)
    } else {
        None
    }
}

impl Track {
    pub(super) fn new(start: Option<Place>, changed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            handed: AtomicU64::new(0),
            used: AtomicBool::new(false),
            dealt: Mutex::new(Dealt {
                progress: Progress::new(start),
                said: Said::default(),
            }),
            changed,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Dealt> {
        self.dealt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a batch that is to be handed out.
    pub(super) fn hand_out(self: &Arc<Self>, batch: &RecordBatch, first_offset: i64) -> Mark {
        let marks = self.lock().progress.hand_out(&Handout {
            first_offset,
            next_offset: batch.next_offset(),
            leader_epoch: batch.leader_epoch(),
            records: batch.len(),
            offsets: &|index| batch.offset(index).unwrap_or(first_offset),
        });
        Mark {
            track: Arc::clone(self),
            marks,
        }
    }

    /// What lies before `next_offset` is not to be seen.
    pub(super) fn pass(&self, next_offset: i64) {
        self.lock().progress.pass(next_offset);
    }

    /// What the group is to be told: the lowest offset that is not dealt with, by marks or by what was said since. `None` while
    /// nobody knows where reading begins.
    pub(super) fn dealt_with(&self) -> Option<Committed> {
        let mut dealt = self.lock();
        let marks = dealt.progress.watermark();
        dealt.said.over(marks)
    }

    /// This is what the group knows, unless something was said already.
    pub(super) fn begin(&self, committed: Committed) {
        self.lock().said.begin(committed);
    }

    /// The application says how far it has come, or, `in_any_case`, where to go on from.
    pub(super) fn say(&self, committed: Committed, in_any_case: bool) {
        self.used.store(true, Ordering::Relaxed);
        {
            let mut dealt = self.lock();
            let marks = dealt.progress.watermark();
            dealt.said.say(committed, marks, in_any_case);
        }
        self.tell_change();
    }

    /// Tells who waits for what was handed out, once the track has ended.
    fn tell_change(&self) {
        if self.handed.load(Ordering::SeqCst) & ENDED != 0 {
            self.changed.notify_one();
        }
    }

    pub(super) fn next_offset(&self) -> Option<i64> {
        self.lock().progress.next_offset()
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn is_outstanding(&self) -> bool {
        self.lock().progress.is_outstanding()
    }

    /// A stream hands out what lies before `next_offset`.
    pub(super) fn claim(&self, next_offset: i64) -> Result<(), Stop> {
        let next = u64::try_from(next_offset).unwrap_or(0);
        let handed = self.handed.load(Ordering::Relaxed);
        if let Some(stop) = stop(handed) {
            return Err(stop);
        }
        // Only the stream counts up, so what stands in the way is an end.
        self.handed
            .compare_exchange(handed, next, Ordering::SeqCst, Ordering::SeqCst)
            .map_err(|now| stop(now).unwrap_or(Stop::Moved))?;
        Ok(())
    }

    /// Whether a stream may go on.
    pub(super) fn stop(&self) -> Option<Stop> {
        stop(self.handed.load(Ordering::SeqCst))
    }

    /// The offset after what a stream handed out; `None` before it handed out anything.
    pub(super) fn handed(&self) -> Option<i64> {
        let handed = self.handed.load(Ordering::SeqCst) & !(ENDED | MOVED);
        i64::try_from(handed).ok().filter(|handed| *handed > 0)
    }

    /// Nothing more is handed out: another track has taken over.
    pub(super) fn moved(&self) {
        self.handed.fetch_or(MOVED, Ordering::SeqCst);
    }

    /// Nothing more is handed out: the partition is being let go.
    pub(super) fn end(&self) {
        self.handed.fetch_or(ENDED, Ordering::SeqCst);
    }

    /// Whether all that a stream handed out is dealt with. Once the track has ended, `changed` is told when it may be so.
    pub(super) fn is_drained(&self) -> bool {
        let handed = self.handed().unwrap_or(0);
        self.dealt_with().is_none_or(|place| place.offset >= handed)
    }
}

/// Where a batch's marks go.
#[derive(Clone)]
pub(super) struct Mark {
    track: Arc<Track>,
    marks: Arc<Marks>,
}

impl Mark {
    /// Record `index` of the batch is dealt with.
    pub(super) fn record(&self, index: usize) {
        self.marked(self.marks.mark(index));
    }

    /// All of them are.
    pub(super) fn batch(&self) {
        self.marked(self.marks.mark_all());
    }

    fn marked(&self, is_finished: bool) {
        let track = &*self.track;
        if !track.used.load(Ordering::Relaxed) {
            track.used.store(true, Ordering::Relaxed);
        }
        if is_finished {
            track.lock().progress.finished(&self.marks);
        }
        track.tell_change();
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark").finish_non_exhaustive()
    }
}
