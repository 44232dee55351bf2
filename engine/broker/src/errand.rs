//! Work for the shard that owns a partition, a session or the controller: called where it is here, posted where it is not.
//!
//! Knows how work travels, not what it does: each kind says so beside the handler that needs it.
//!
//! ```text
//!   begin(to, errand) ── to == here ──> errand.start(shard)            the ordered part runs at once
//!                     └─ elsewhere ───> queue ──> errand.start(shard)  in the order it was posted
//!   the future that comes back waits for what the errand waits for
//! ```

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use highwater_reactor::{Exchange, Gone, ShardId};

use crate::route::PerShard;
use crate::shard::Shard;

/// How many errands wait at a shard before those who send them wait themselves.
const EXCHANGE_DEPTH: usize = 4096;

/// What the shards of a broker send each other, before any of them starts. Clones are the same; each shard takes one.
#[derive(Clone)]
pub struct Mailbox(pub(crate) Exchange<Message, Reply>);

impl Mailbox {
    /// For `shards` shards.
    pub fn new(shards: u16) -> Mailbox {
        Mailbox(Exchange::new(shards, EXCHANGE_DEPTH))
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox")
    }
}

/// A piece of work that one shard does for another.
pub(crate) trait Errand: Send + Sized + 'static {
    /// What comes back.
    type Answer: Send + 'static;

    /// Does the work. What must keep its order is done before this returns; what waits is in the future.
    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<Self>;
}

/// An errand with a place in [`Message`] and [`Reply`].
pub(crate) trait Travels: Errand {
    /// The errand as it travels.
    fn pack(self) -> Message;

    /// The answer as it came; `None` when it answers something else, which would be a bug.
    fn unpack(reply: Reply) -> Option<Self::Answer>;
}

/// Sends `errand` to shard `to`, where it is in line when this returns, and gives the wait for its answer.
///
/// Two errands begun one after the other start in that order on the same shard.
pub(crate) fn begin<E: Travels>(
    shard: &Rc<Shard>,
    to: ShardId,
    errand: E,
) -> impl Future<Output = Result<E::Answer, Gone>> + use<E> {
    let (here, there) = if to == shard.id() {
        (Some(errand.start(shard)), None)
    } else {
        (None, Some(shard.post().call(to, errand.pack())))
    };
    async move {
        match (here, there) {
            (Some(here), _) => Ok(here.await),
            (None, Some(there)) => {
                let reply = there.await?;
                Ok(E::unpack(reply).expect("a reply is made by the errand it answers"))
            }
            (None, None) => Err(Gone),
        }
    }
}

/// Asks each shard for its part and puts what comes back into the rows. The rows of a shard that has gone stay as they are.
pub(crate) async fn fill<E, T, A>(
    shard: &Rc<Shard>,
    parts: PerShard<T>,
    errand: impl Fn(Vec<T>) -> E,
    rows: &mut [A],
) where
    E: Travels<Answer = Vec<(usize, A)>>,
{
    let begun: Vec<_> = parts
        .into_iter()
        .map(|(to, part)| begin(shard, to, errand(part)))
        .collect();
    for answers in begun {
        for (row, answer) in answers.await.unwrap_or_default() {
            if let Some(row) = rows.get_mut(row) {
                *row = answer;
            }
        }
    }
}

/// Writes the two enums that travel between shards, one variant per errand.
macro_rules! errands {
    ($($(#[$doc:meta])* $name:ident($errand:ty)),* $(,)?) => {
        /// An errand on its way to the shard that does it.
        pub(crate) enum Message { $($(#[$doc])* $name($errand)),* }

        /// An errand's answer on its way back.
        pub(crate) enum Reply { $($(#[$doc])* $name(<$errand as Errand>::Answer)),* }

        impl Message {
            /// Does the ordered part at once and gives the rest.
            pub(crate) fn start(self, shard: &Rc<Shard>) -> Pin<Box<dyn Future<Output = Reply>>> {
                match self {
                    $(Message::$name(errand) => {
                        let rest = errand.start(shard);
                        Box::pin(async move { Reply::$name(rest.await) })
                    })*
                }
            }
        }

        $(impl Travels for $errand {
            fn pack(self) -> Message {
                Message::$name(self)
            }

            fn unpack(reply: Reply) -> Option<Self::Answer> {
                match reply {
                    Reply::$name(answer) => Some(answer),
                    #[allow(clippy::wildcard_enum_match_arm, unreachable_patterns)]
                    _ => None,
                }
            }
        })*
    };
}

errands! {
    /// Batches for partitions owned there.
    Append(crate::handlers::produce::Append),
    /// Reads of partitions owned there.
    Read(crate::parking::Read),
    /// A fetch session that lives there.
    Session(crate::handlers::fetch::SessionErrand),
    /// Offsets by name and time.
    LookUp(crate::handlers::list_offsets::LookUp),
    /// Log starts to move.
    Delete(crate::handlers::delete_records::Delete),
    /// Ends of leader epochs.
    EpochEnds(crate::handlers::offset_for_leader_epoch::EpochEnds),
    /// Who produces.
    Producers(crate::handlers::describe_producers::Producers),
    /// Sizes on disk.
    Sizes(crate::handlers::describe_log_dirs::Sizes),
    /// A request for coordinators that live there.
    Ask(crate::coordination::Ask),
    /// The groups of coordinators that live there.
    List(crate::coordination::List),
    /// A connection to serve from now on.
    Adopt(crate::accept::Adopt),
    /// A change of the metadata, for the controller.
    Control(crate::metadata::Control),
    /// The data directory to open partitions in.
    Mount(crate::lifecycle::Mount),
    /// A new metadata image to take in.
    Apply(crate::lifecycle::Apply),
    /// What the checkpoints say of partitions there.
    Checkpoint(crate::lifecycle::Checkpoint),
    /// Checkpoints to be written at once.
    WriteCheckpoints(crate::lifecycle::WriteCheckpoints),
    /// Checkpoints that have been written.
    CheckpointsWritten(crate::lifecycle::CheckpointsWritten),
    /// Connections to be ended in order.
    Drain(crate::lifecycle::Drain),
    /// The end.
    Close(crate::lifecycle::Close),
}
