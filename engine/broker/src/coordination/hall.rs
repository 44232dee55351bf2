//! The coordinators that live on one shard: one for each partition of `__consumer_offsets` that the shard owns.
//!
//! Knows partitions and images; what a coordinator does is its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use highwater_reactor::local::Semaphore;
use highwater_record::Compression;
use highwater_wire::ErrorCode;
use uuid::Uuid;

use super::alarm::Alarm;
use super::desk::{Asked, Desk, Means};
use super::inquiry::Inquiry;
use super::surroundings::Press;
use super::{loading, offsets_topic};
use crate::metadata::image::{self, Image};
use crate::shard::Shard;

/// Logs that are read at once: each takes a buffer.
const LOADED_AT_ONCE: usize = 4;

/// See the module.
pub(crate) struct Hall {
    desks: RefCell<BTreeMap<i32, Rc<Desk>>>,
    /// The topic that `desks` are partitions of.
    topic: Cell<Option<Uuid>>,
    press: RefCell<Press>,
    alarm: Alarm,
    loading: Semaphore,
    is_closed: Cell<bool>,
}

impl Hall {
    /// No coordinators yet.
    pub(crate) fn new() -> Hall {
        Hall {
            desks: RefCell::default(),
            topic: Cell::new(None),
            press: RefCell::default(),
            alarm: Alarm::default(),
            loading: Semaphore::new(LOADED_AT_ONCE),
            is_closed: Cell::new(false),
        }
    }

    /// Takes an image in, its partitions already open: coordinators begin where the shard has a new partition, end where
    /// the topic is gone, and look at what has changed.
    pub(crate) fn apply(&self, shard: &Rc<Shard>, image: &Arc<Image>) {
        if self.is_closed.get() {
            return;
        }
        let config = &image.broker().groups;
        let topic = image.topic(offsets_topic::NAME);
        if self.topic.get() != topic.map(|topic| topic.id) {
            self.empty(ErrorCode::NotCoordinator);
            self.topic.set(topic.map(|topic| topic.id));
        }
        for desk in self.all() {
            desk.apply(self.means(&mut self.press.borrow_mut(), image), config);
            self.alarm.set(desk.due_ms());
        }
        let Some(topic) = topic else { return };
        let count = offsets_topic::partitions(topic);
        for index in 0..count {
            if image::owner(&topic.id, index, shard.reactor().shards()) != shard.id()
                || self.desks.borrow().contains_key(&index)
            {
                continue;
            }
            let Some(partition) = shard.partition(&topic.id, index) else {
                continue;
            };
            let desk = Desk::new(shard.reactor(), (index, count), partition, config.clone());
            self.desks.borrow_mut().insert(index, Rc::clone(&desk));
            let load = loading::load(Rc::clone(shard), desk);
            shard.reactor().spawn(load).detach();
        }
    }

    /// Asks the coordinator of a partition, if it is here.
    pub(super) fn ask(&self, image: Arc<Image>, index: i32, inquiry: &Inquiry) -> Option<Asked> {
        let desk = self.desks.borrow().get(&index).cloned()?;
        let asked = desk.ask(
            self.means(&mut self.press.borrow_mut(), &image),
            inquiry.clone(),
        );
        self.alarm.set(desk.due_ms());
        Some(asked)
    }

    /// A coordinator's log was read.
    pub(super) fn serve(&self, image: &Arc<Image>, desk: &Rc<Desk>) {
        desk.serve(self.means(&mut self.press.borrow_mut(), image));
        self.alarm.set(desk.due_ms());
    }

    /// Does what is due.
    pub(super) fn tick(&self, shard: &Shard) {
        let image = shard.image();
        for desk in self.all() {
            desk.tick(self.means(&mut self.press.borrow_mut(), &image));
        }
    }

    /// When the first coordinator has something to do.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let desks = self.desks.borrow();
        desks.values().filter_map(|desk| desk.due_ms()).min()
    }

    /// Ends every coordinator: nobody waits for one any more.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.empty(ErrorCode::NotCoordinator);
        // Nobody has anything to do: the sleeper sees that the shard is closing.
        self.alarm.set(Some(0));
    }

    fn empty(&self, code: ErrorCode) {
        let desks = std::mem::take(&mut *self.desks.borrow_mut());
        for desk in desks.into_values() {
            desk.close(code);
        }
    }

    /// Every coordinator, by its partition's index.
    pub(super) fn all(&self) -> Vec<Rc<Desk>> {
        self.desks.borrow().values().cloned().collect()
    }

    pub(super) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Limits how many logs are read at once.
    pub(super) fn loading(&self) -> &Semaphore {
        &self.loading
    }

    fn means<'a>(&self, press: &'a mut Press, image: &Arc<Image>) -> Means<'a> {
        let settings = image.broker().offsets_topic;
        Means {
            image: Arc::clone(image),
            press,
            compression: Compression::of(settings.codec),
            commit_timeout: Duration::from_millis(settings.commit_timeout_ms.into()),
        }
    }
}
