//! One partition of a consumer, between its fetcher, its position, and who reads it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Waiting;
use crate::consumer::Start;
use crate::consumer::reading::Opened;
use crate::consumer::track::Track;
use crate::core::consumer::cursor::Cursor;
use crate::core::consumer::progress::Place;
use crate::error::TopicPartition;
use crate::group::Committed;

/// A replica that the leader sends us to (KIP-392).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    pub(crate) broker: i32,
    /// When the leader is asked again.
    pub(crate) until: Duration,
}

/// One partition of the assignment.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) place: TopicPartition,
    pub(crate) assigned: bool,
    pub(crate) cursor: Cursor,
    /// The leader's id and epoch; -1 when there is none.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// Which topic of that name it was when it was last heard of.
    pub(crate) topic_id: Option<Uuid>,
    /// Who is asked instead of the leader.
    pub(crate) replica: Option<Replica>,
    pub(crate) waiting: VecDeque<Waiting>,
    /// What is dealt with, where somebody wants to know.
    pub(crate) track: Option<Arc<Track>>,
    /// The partition's stream, where it has one.
    pub(crate) lane: Option<Arc<Lane>>,
    /// What was committed by itself last, or what the group had.
    pub(crate) committed: Option<Committed>,
}

/// What the application's side of a partition's stream shares with the consumer.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Told when something waits for the stream, or it has to look.
    pub(crate) arrived: Arc<Notify>,
    /// Told when, after its end, it may be done with.
    pub(crate) changed: Arc<Notify>,
    /// Whether the partition is being let go.
    pub(crate) ended: watch::Sender<bool>,
    /// Whether the application dropped the stream.
    pub(crate) gone: AtomicBool,
}

impl Lane {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: Arc::new(Notify::new()),
            changed: Arc::new(Notify::new()),
            ended: watch::Sender::new(false),
            gone: AtomicBool::new(false),
        })
    }
}

impl Slot {
    /// Begins another track, where it has one; the marks of the one before reach nobody.
    fn turn_over(&mut self, start: Option<Place>) {
        if let Some(before) = self.track.take() {
            before.moved();
            let changed = match &self.lane {
                Some(lane) => Arc::clone(&lane.changed),
                None => Arc::new(Notify::new()),
            };
            self.track = Some(Track::new(start, changed));
        }
        if let Some(lane) = &self.lane {
            lane.arrived.notify_one();
        }
    }

    /// Goes to another place.
    pub(super) fn seek(&mut self, to: Start) {
        self.cursor.seek(to);
        let start = match to {
            Start::Offset(offset) => Some(Place {
                offset,
                leader_epoch: -1,
            }),
            Start::Earliest | Start::Latest | Start::Timestamp(_) => None,
        };
        self.turn_over(start);
    }

    /// Has its marks go somewhere from here on, or nowhere.
    pub(crate) fn set_tracked(&mut self, tracked: bool) {
        self.track = tracked.then(|| {
            let start = self.cursor.position().map(|offset| Place {
                offset,
                leader_epoch: self.cursor.position_epoch(),
            });
            let changed = match &self.lane {
                Some(lane) => Arc::clone(&lane.changed),
                None => Arc::new(Notify::new()),
            };
            Track::new(start, changed)
        });
    }

    /// Who is asked for records.
    pub(crate) fn source(&self) -> i32 {
        self.replica_id().unwrap_or(self.leader)
    }

    pub(crate) fn replica_id(&self) -> Option<i32> {
        self.replica.map(|replica| replica.broker)
    }

    /// Takes note that a batch is handed out, or passed over; its records' marks count from here on. Returns false when the
    /// partition was sought elsewhere since the batch was taken.
    pub(crate) fn read(&mut self, generation: u32, opened: &mut Opened) -> bool {
        if generation != self.cursor.generation() {
            return false;
        }
        self.cursor.advance(opened.next_offset, opened.leader_epoch);
        let first = opened
            .records
            .as_ref()
            .and_then(|records| records.offset(0));
        if let (Some(track), Some(first)) = (&self.track, first)
            && track.next_offset().is_some_and(|next| next > first)
        {
            // The reset policy led back: what was handed out is of a log that is no more.
            self.turn_over(None);
        }
        if let Some(track) = &self.track {
            match &mut opened.records {
                Some(records) => records.follow(track),
                None => track.pass(opened.next_offset),
            }
        }
        true
    }

    /// The offset of the next record to be handed out, of a partition with a stream.
    pub(crate) fn position(&self) -> Option<i64> {
        let handed = match (&self.lane, &self.track) {
            (Some(_), Some(track)) => track.handed(),
            (_, _) => None,
        };
        handed.or(self.cursor.position())
    }
}
