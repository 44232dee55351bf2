//! The records of one partition, for as long as it is this consumer's.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::watch;

use super::batch::{ConsumerRecord, RecordBatch};
use super::reading::{Decoder, Reading};
use super::shared::{Lane, Shared};
use super::track::{Stop, Track};
use super::{Commit, Start};
use crate::error::{Result, TopicPartition};
use crate::group::{self, Offsets};

/// One partition of a consumer, to be read by a task of its own; see [`Partitions`](super::Partitions).
///
/// It ends once the partition is being let go or was lost: then the application marks what it still has with
/// [`done`](ConsumerRecord::done), or drops the stream, and the partition goes. Dropped before, the partition stays with this
/// consumer and is not read.
pub struct PartitionStream {
    shared: Arc<Shared>,
    group: Option<Arc<group::Shared>>,
    slot: usize,
    place: TopicPartition,
    initial_offset: Option<i64>,
    lane: Arc<Lane>,
    /// The slot's, until a seek made another.
    track: Arc<Track>,
    decoder: Decoder,
    reading: Option<Reading>,
    current: Option<Current>,
    /// What was handed out last, where asking for more says that it is dealt with.
    handed: Option<Handed>,
    arrived: Option<Pin<Box<OwnedNotified>>>,
}

/// A partition about to be read.
pub(super) struct Opened {
    pub(super) slot: usize,
    pub(super) place: TopicPartition,
    pub(super) initial_offset: Option<i64>,
    pub(super) lane: Arc<Lane>,
    pub(super) track: Arc<Track>,
}

struct Current {
    batch: RecordBatch,
    /// The next record.
    index: usize,
}

enum Handed {
    Record(ConsumerRecord),
    Batch(RecordBatch),
}

impl PartitionStream {
    pub(super) fn new(
        shared: Arc<Shared>,
        group: Option<Arc<group::Shared>>,
        opened: Opened,
    ) -> Self {
        let Opened {
            slot,
            place,
            initial_offset,
            lane,
            track,
        } = opened;
        Self {
            shared,
            group,
            slot,
            place,
            initial_offset,
            lane,
            track,
            decoder: Decoder::new(),
            reading: None,
            current: None,
            handed: None,
            arrived: None,
        }
    }

    /// The topic and the partition.
    pub fn place(&self) -> &TopicPartition {
        &self.place
    }

    /// The offset that reading began at, which is what the group had committed; `None` when that had to be looked up.
    pub fn initial_offset(&self) -> Option<i64> {
        self.initial_offset
    }

    /// The high watermark the last fetch saw; `None` before, and after the stream's end.
    pub fn high_watermark(&self) -> Option<i64> {
        let state = self.shared.lock();
        let slot = &state.slots[self.slot];
        let is_ours = slot
            .lane
            .as_ref()
            .is_some_and(|lane| Arc::ptr_eq(lane, &self.lane));
        slot.cursor.high_watermark.filter(|_| is_ours)
    }

    /// Waits until the partition is being let go or was lost. The future keeps nothing alive and may be polled by any task.
    pub fn revoked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ended = self.lane.ended.subscribe();
        async move {
            // An error means that everybody is gone: that is an end, too.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    }

    /// Tells when the partition is being let go or was lost.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.lane.ended.subscribe()
    }

    /// The lowest offset that is not dealt with; `None` while nobody knows where reading begins.
    pub(crate) fn watermark(&self) -> Option<i64> {
        self.track.dealt_with().map(|committed| committed.offset)
    }

    /// Goes back to the first record that is not dealt with: what was handed out after it comes again.
    pub(crate) fn rewind(&mut self) {
        if let Some(committed) = self.track.dealt_with()
            && self.track.stop().is_none()
        {
            let mut state = self.shared.lock();
            let slot = &state.slots[self.slot];
            let is_ours = slot
                .track
                .as_ref()
                .is_some_and(|track| Arc::ptr_eq(track, &self.track));
            if is_ours {
                state.seek(self.slot, Start::Offset(committed.offset));
                if let Some(track) = &state.slots[self.slot].track {
                    track.begin(committed);
                }
            }
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        *self.lane.ended.borrow()
    }

    /// The next batch, as it lies in the log; `None` once the partition is being let go.
    ///
    /// Cancel-safe: a batch is taken out only when it is returned.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_batch`](super::Consumer::next_batch).
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        poll_fn(|cx| self.poll_batch(cx)).await
    }

    /// The next record, owned; `None` once the partition is being let go.
    ///
    /// Cancel-safe. Do not mix with [`next_batch`](Self::next_batch), which starts after the batch this one is in the middle of.
    ///
    /// # Errors
    ///
    /// As [`next_batch`](Self::next_batch).
    pub async fn next(&mut self) -> Result<Option<ConsumerRecord>> {
        poll_fn(|cx| self.poll_record(cx)).await
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        self.asked();
        if let Some(Current { batch, .. }) = self.current.take() {
            // What is passed over is dealt with.
            batch.mark_done();
        }
        loop {
            let Some(batch) = ready!(self.poll_open(cx))? else {
                return Poll::Ready(Ok(None));
            };
            match self.track.claim(batch.next_offset()) {
                Ok(()) => {
                    if self.marks_by_itself() {
                        self.handed = Some(Handed::Batch(batch.clone()));
                    }
                    return Poll::Ready(Ok(Some(batch)));
                }
                Err(Stop::Ended) => return Poll::Ready(Ok(None)),
                Err(Stop::Moved) => {}
            }
        }
    }

    fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ConsumerRecord>>> {
        self.asked();
        loop {
            if let Some(Current { batch, index }) = &mut self.current {
                match batch.get(*index) {
                    None => self.current = None,
                    Some(record) => match self.track.claim(record.offset() + 1) {
                        Ok(()) => {
                            *index += 1;
                            if self.marks_by_itself() {
                                self.handed = Some(Handed::Record(record.clone()));
                            }
                            return Poll::Ready(Ok(Some(record)));
                        }
                        Err(Stop::Ended) => return Poll::Ready(Ok(None)),
                        Err(Stop::Moved) => self.current = None,
                    },
                }
            }
            match ready!(self.poll_open(cx))? {
                Some(batch) => self.current = Some(Current { batch, index: 0 }),
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// The next batch with records to be seen. It is not handed out yet.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<RecordBatch>>> {
        loop {
            match self.track.stop() {
                Some(Stop::Ended) => return Poll::Ready(Ok(None)),
                Some(Stop::Moved) => self.moved(),
                None => {}
            }
            if let Some(position) = self.position()? {
                let Some(reading) = &mut self.reading else {
                    continue;
                };
                let (generation, end) = (reading.generation, reading.fetched.high_watermark);
                let mut opened = reading.open(position, &self.shared.config, &mut self.decoder)?;
                if reading.is_empty() {
                    self.reading = None;
                }
                let read = self.shared.lock().slots[self.slot].read(generation, &mut opened);
                if read {
                    opened.tell(&self.shared, &self.place, end);
                }
                if let Some(records) = opened.records.filter(|_| read) {
                    // A reset that led back began another track.
                    self.follow_track();
                    return Poll::Ready(Ok(Some(records)));
                }
                continue;
            }
            let notify = || Box::pin(Arc::clone(&self.lane.arrived).notified_owned());
            let arrived = self.arrived.get_or_insert_with(notify);
            ready!(arrived.as_mut().poll(cx));
            self.arrived = None;
        }
    }

    /// Where the next batch is read from, if there is one and it may be handed out.
    fn position(&mut self) -> Result<Option<i64>> {
        let mut state = self.shared.lock();
        let slot = &state.slots[self.slot];
        let is_ours = slot
            .track
            .as_ref()
            .is_some_and(|track| Arc::ptr_eq(track, &self.track));
        if !is_ours || slot.cursor.is_paused() {
            return Ok(None);
        }
        let generation = slot.cursor.generation();
        self.reading
            .take_if(|reading| reading.generation != generation);
        if self.reading.is_none() {
            self.reading = state.take(self.slot)?;
        }
        let position = state.slots[self.slot].cursor.position();
        Ok(self.reading.as_ref().map(|_| position.unwrap_or(0)))
    }

    /// The partition was sought elsewhere.
    fn moved(&mut self) {
        self.reading = None;
        self.current = None;
        self.handed = None;
        self.follow_track();
    }

    fn follow_track(&mut self) {
        let state = self.shared.lock();
        let slot = &state.slots[self.slot];
        let is_ours = slot
            .lane
            .as_ref()
            .is_some_and(|lane| Arc::ptr_eq(lane, &self.lane));
        match &slot.track {
            Some(track) if is_ours => self.track = Arc::clone(track),
            // It was let go meanwhile.
            Some(_) | None => self.track.end(),
        }
    }

    fn strategy(&self) -> Commit {
        self.shared.config.group.commit
    }

    fn marks_by_itself(&self) -> bool {
        matches!(self.strategy(), Commit::OnPoll { .. } | Commit::EachBatch)
    }

    /// The application asks for more.
    fn asked(&mut self) {
        let is_whole = match self.handed.take() {
            None => return,
            Some(Handed::Record(record)) => {
                record.mark_done();
                self.current
                    .as_ref()
                    .is_none_or(|current| current.index >= current.batch.len())
            }
            Some(Handed::Batch(batch)) => {
                batch.mark_done();
                true
            }
        };
        if is_whole
            && self.strategy() == Commit::EachBatch
            && self.track.stop().is_none()
            && let (Some(group), Some(committed)) = (&self.group, self.track.dealt_with())
        {
            let offsets = Offsets::from([(self.place.clone(), committed)]);
            // Nobody waits; what comes to nothing is logged, and committed with the next.
            drop(group.commits.enqueue(offsets));
        }
    }
}

impl Stream for PartitionStream {
    type Item = Result<ConsumerRecord>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_record(cx).map(Result::transpose)
    }
}

impl Drop for PartitionStream {
    fn drop(&mut self) {
        self.lane.gone.store(true, Ordering::SeqCst);
        self.lane.changed.notify_one();
        let mut state = self.shared.lock();
        let lane = state.slots[self.slot].lane.as_ref();
        if lane.is_some_and(|lane| Arc::ptr_eq(lane, &self.lane)) {
            // Nobody reads it any more: what waits makes room for others. Marks still count.
            state.clear(self.slot);
            state.set_paused(self.slot, true);
        }
    }
}

impl fmt::Debug for PartitionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionStream")
            .field("place", &self.place)
            .field("initial_offset", &self.initial_offset)
            .field("is_ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}
