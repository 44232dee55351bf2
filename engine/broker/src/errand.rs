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

use highwater_reactor::{Gone, ShardId};

use crate::shard::Shard;

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

/// Writes the two enums that travel between shards, one variant per errand.
macro_rules! errands {
    ($($(#[$doc:meta])* $name:ident($errand:ty)),* $(,)?) => {
        /// An errand on its way to the shard that does it.
        pub enum Message { $($(#[$doc])* $name($errand)),* }

        /// An errand's answer on its way back.
        pub enum Reply { $($(#[$doc])* $name(<$errand as Errand>::Answer)),* }

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
    /// A new metadata image to take in.
    Apply(crate::shard::Apply),
    /// A change of the metadata, for the controller.
    Control(crate::metadata::Control),
    /// A connection to serve from now on.
    Adopt(crate::serve::Adopt),
}
