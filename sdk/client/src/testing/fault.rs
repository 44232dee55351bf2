//! What can go wrong with one request, as its sender sees it. Who makes it go wrong is the proxy's and the broker's business.

use std::time::Duration;

use highwater_wire::ErrorCode;

/// What happens to a request instead of a plain answer.
///
/// Answers of one connection come in order, so whatever holds one back holds back those behind it. What is done to an answer
/// does not strike a request that has none (`acks=0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The broker does nothing; everything in the request is refused with this code. A request without an answer
    /// (`acks=0`) is only lost; metadata names the brokers all the same, and refuses the topics that were asked about.
    Refuse(ErrorCode),
    /// The broker does what it is asked, and the answer says this code all the same: a time-out behind an append, say.
    RefuseAfter(ErrorCode),
    /// The broker does what it is asked, and the answer comes so much later. The delay runs on tokio's clock.
    Delay(Duration),
    /// The request never arrives; nothing after it on this connection is answered either.
    Lose,
    /// The broker does what it is asked; neither the answer nor any after it on this connection arrives.
    Drop,
    /// The connection closes and the request never arrives.
    DisconnectBefore,
    /// The broker does what it is asked, and the connection closes instead of the answer.
    DisconnectAfter,
    /// The broker is asked twice; the second answer is lost.
    Duplicate,
    /// The broker does what it is asked; the first half of the answer's frame comes, then the connection closes.
    Cut,
    /// The broker does what it is asked, and the answer comes under the correlation id of another request.
    WrongCorrelation,
    /// The broker does what it is asked; instead of the answer comes the start of a frame of 2 GiB, then the connection
    /// closes.
    Flood,
    /// A bit of a batch is flipped: of the records of a produce request, so that the broker refuses them, or of the next
    /// fetch answer that has records. Waits for such a one.
    CorruptBatch,
}

/// What becomes of an answer on its way out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It is sent.
    Whole(Vec<u8>),
    /// These bytes are sent, then the connection closes.
    Last(Vec<u8>),
    /// Nothing is sent any more.
    Hang,
}

impl Fault {
    /// What `fault` makes of an answer, a frame with its length. A delay is over by then, and what changes the answer's
    /// content has changed it.
    pub(super) fn delivery(fault: Option<Self>, mut answer: Vec<u8>) -> Delivery {
        match fault {
            Some(Self::Lose | Self::Drop) => Delivery::Hang,
            Some(Self::DisconnectBefore | Self::DisconnectAfter) => Delivery::Last(Vec::new()),
            Some(Self::Cut) => {
                answer.truncate(answer.len() / 2);
                Delivery::Last(answer)
            }
            Some(Self::Flood) => Delivery::Last(i32::MAX.to_be_bytes().to_vec()),
            Some(Self::WrongCorrelation) => {
                if let Some(id) = answer.get_mut(4..8) {
                    id.iter_mut().for_each(|byte| *byte ^= 0x55);
                }
                Delivery::Whole(answer)
            }
            Some(
                Self::Refuse(_)
                | Self::RefuseAfter(_)
                | Self::Delay(_)
                | Self::Duplicate
                | Self::CorruptBatch,
            )
            | None => Delivery::Whole(answer),
        }
    }
}
