//! What every shard of a broker is asked together: to take a directory and images in, to say where its logs stand, to end.
//!
//! Knows the order of things; each is done by whose it is.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use crate::errand::Errand;
use crate::guests;
use crate::metadata::image::Image;
use crate::partitions::{CheckpointRow, Partitions, Storage};
use crate::shard::Shard;

/// A new image to take in.
pub(crate) struct Apply(pub(crate) Arc<Image>);

impl Errand for Apply {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        let shard = Rc::clone(shard);
        async move { shard.apply(self.0).await }
    }
}

/// Where this shard's partitions lie.
pub(crate) struct Mount(pub(crate) Storage);

impl Errand for Mount {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        shard.set_partitions(Partitions::new(shard.reactor(), self.0));
        std::future::ready(())
    }
}

/// What the checkpoints say of this shard's partitions.
pub(crate) struct Checkpoint;

impl Errand for Checkpoint {
    type Answer = Vec<CheckpointRow>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let rows = shard
            .partitions()
            .map_or_else(Vec::new, |partitions| partitions.checkpoint());
        std::future::ready(rows)
    }
}

/// Checkpoints are wanted now, of the shard that holds the directory. Answers whether they were written.
pub(crate) struct WriteCheckpoints;

impl Errand for WriteCheckpoints {
    type Answer = bool;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = bool> + use<> {
        shard.checkpoints().ask()
    }
}

/// The recovery points that this shard has given are written down.
pub(crate) struct CheckpointsWritten;

impl Errand for CheckpointsWritten {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        if let Some(partitions) = shard.partitions() {
            partitions.checkpoints_written();
        }
        std::future::ready(())
    }
}

/// The end of connections: nothing new is begun, what was begun is answered.
pub(crate) struct Drain;

impl Errand for Drain {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        shard.closing().open();
        // Members wait for each other: nobody would answer them any more.
        shard.hall().close();
        guests::drain(Rc::clone(shard))
    }
}

/// The end of partitions.
pub(crate) struct Close;

impl Errand for Close {
    type Answer = Option<Vec<CheckpointRow>>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let partitions = shard.partitions();
        async move {
            match partitions {
                Some(partitions) => partitions.close().await,
                None => Some(Vec::new()),
            }
        }
    }
}
