//! What the partitions of one shard and one data directory share: the reactor, the directory's fence, the tools of the cold
//! path, the write-back. It knows no partition by name.

use std::cell::RefCell;
use std::rc::Rc;

use highwater_log::Fence;
use highwater_reactor::Reactor;

use crate::producers::Census;
use crate::repack::Repacker;
use crate::write_back::WriteBack;

/// Made once per shard and data directory, before its partitions.
#[derive(Clone)]
pub struct Host {
    shared: Rc<Shared>,
}

struct Shared {
    reactor: Reactor,
    fence: Fence,
    repacker: RefCell<Repacker>,
    write_back: WriteBack,
    census: Census,
}

impl Host {
    /// The host of a shard's partitions in the data directory that `fence` belongs to.
    pub fn new(reactor: Reactor, fence: Fence) -> Host {
        let write_back = WriteBack::new(reactor.clone());
        Host {
            shared: Rc::new(Shared {
                reactor,
                fence,
                repacker: RefCell::default(),
                write_back,
                census: Census::default(),
            }),
        }
    }

    /// This shard's reactor.
    pub fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }

    /// The directory's fence: raised at the first failed write or sync, for good.
    pub fn fence(&self) -> &Fence {
        &self.shared.fence
    }

    /// Bytes of this host's partitions that no sync has covered yet.
    pub fn unsynced_bytes(&self) -> u64 {
        self.shared.write_back.unsynced_bytes()
    }

    /// How long the oldest of these bytes has been waiting, in milliseconds.
    pub fn oldest_unsynced_ms(&self) -> u64 {
        self.shared.write_back.oldest_unsynced_ms()
    }

    /// Idempotent producers remembered by this host's partitions.
    pub fn producers(&self) -> usize {
        self.shared.census.producers()
    }

    pub(crate) fn census(&self) -> &Census {
        &self.shared.census
    }

    pub(crate) fn repacker(&self) -> &RefCell<Repacker> {
        &self.shared.repacker
    }

    pub(crate) fn write_back(&self) -> &WriteBack {
        &self.shared.write_back
    }
}
