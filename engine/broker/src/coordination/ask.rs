//! Requests on their way to the coordinators of their groups, and the answers on their way back. The bytes travel as they
//! came; they are read where the group lives.
//!
//! ```text
//!   one group        its partition's shard ──> frame, sent as it is
//!   many groups      one errand per shard, one frame per partition ──> merged here
//!   all groups       one errand per shard, one frame each ──> merged here
//! ```

use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use highwater_coordinator::partition_for;
use highwater_reactor::{Gone, ShardId};
use highwater_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use highwater_wire::{
    Array, Cursor, Decode, ErrorCode, Response, decode_response, encode_response,
};
use smallvec::SmallVec;
use uuid::Uuid;

use super::desk::Asked;
use super::inquiry::{Inquiry, Reply};
use super::question::Question;
use super::{offsets_topic, refusal};
use crate::answer::{Answer, Cause, Frame};
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::route::{self, PerShard};
use crate::shard::Shard;

/// What stands before a frame.
const FRAME_LENGTH_BYTES: usize = 4;

/// A request for the coordinators of some partitions, all on one shard.
pub(crate) struct Ask {
    partitions: SmallVec<[i32; 1]>,
    inquiry: Inquiry,
}

impl Errand for Ask {
    type Answer = SmallVec<[Reply; 1]>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let Ask {
            partitions,
            inquiry,
        } = self;
        let count = count(shard);
        let asked: SmallVec<[Asked; 1]> = partitions
            .into_iter()
            .map(|index| {
                let asked = shard.hall().ask(shard.image(), index, &inquiry);
                asked.unwrap_or_else(|| absent(&inquiry, index, count))
            })
            .collect();
        async move {
            let mut replies = SmallVec::with_capacity(asked.len());
            for asked in asked {
                replies.push(match asked {
                    Asked::Answered(reply) => reply,
                    Asked::Waiting(receiver) => receiver.await.unwrap_or(Err(Cause::Gone)),
                });
            }
            replies
        }
    }
}

/// Nobody coordinates this partition here.
fn absent(inquiry: &Inquiry, index: i32, count: i32) -> Asked {
    let is_mine = |group: &str| partition_for(group, count) == index;
    Asked::Answered(refusal::answer(
        inquiry,
        ErrorCode::NotCoordinator,
        &is_mine,
    ))
}

/// How many partitions the offsets topic has: at least one, so that every group has its place.
fn count(shard: &Shard) -> i32 {
    let image = shard.image();
    image
        .topic(offsets_topic::NAME)
        .map_or(1, |topic| offsets_topic::partitions(topic))
        .max(1)
}

/// The offsets topic's id and how many partitions it has, if there is one.
fn place(shard: &Shard) -> Option<(Uuid, i32)> {
    let image = shard.image();
    let topic = image.topic(offsets_topic::NAME)?;
    let count = offsets_topic::partitions(topic);
    (count > 0).then_some((topic.id, count))
}

/// Asks the coordinator of `group`. What must keep its order is done before this returns; the wait holds nothing of the
/// request.
pub(crate) fn one(
    shard: &Rc<Shard>,
    context: &Context,
    question: Question,
    body: Bytes,
    group: &str,
) -> impl Future<Output = Answer> + use<> {
    let inquiry = Inquiry::new(context, question, body);
    let begun = match place(shard) {
        Some((topic_id, count)) => {
            let partition = partition_for(group, count);
            let to = route::owner(shard, &topic_id, partition);
            let ask = Ask {
                partitions: SmallVec::from_iter([partition]),
                inquiry,
            };
            Ok(errand::begin(shard, to, ask))
        }
        None => Err(refusal::answer(
            &inquiry,
            ErrorCode::NotCoordinator,
            &|_| true,
        )),
    };
    async move {
        sent(match begun {
            Ok(begun) => {
                let replies = begun.await;
                let reply = replies.ok().and_then(|mut replies| replies.pop());
                reply.unwrap_or(Err(Cause::Gone))
            }
            Err(refused) => refused,
        })
    }
}

/// Asks the coordinators of all `groups`; `merge` makes one answer of theirs, of which there may be none.
///
/// # Errors
/// When the connection must end.
pub(crate) async fn many<'a>(
    shard: &Rc<Shard>,
    context: &Context,
    question: Question,
    body: Bytes,
    groups: impl Iterator<Item = &'a str>,
    merge: impl FnOnce(&[Bytes]) -> Result<Answer, Cause>,
) -> Result<Answer, Cause> {
    let inquiry = Inquiry::new(context, question, body);
    let Some((topic_id, count)) = place(shard) else {
        let refused = refusal::answer(&inquiry, ErrorCode::NotCoordinator, &|_| true);
        return Ok(sent(refused));
    };
    let partitions: BTreeSet<i32> = groups.map(|group| partition_for(group, count)).collect();
    let mut parts = PerShard::new();
    for partition in partitions {
        parts.push(route::owner(shard, &topic_id, partition), partition);
    }
    // Each partition looks through the whole request for its own groups. If that is long, others have a turn between.
    let at_once = if context.is_wide { 1 } else { usize::MAX };
    let mut begun = Vec::new();
    let mut frames = Vec::new();
    for (to, partitions) in parts {
        for some in partitions.chunks(at_once) {
            let ask = Ask {
                partitions: some.into(),
                inquiry: inquiry.clone(),
            };
            begun.push(errand::begin(shard, to, ask));
            if !context.is_wide {
                continue;
            }
            for replies in begun.drain(..) {
                collect(replies.await, &mut frames)?;
            }
            shard.reactor().yield_now().await;
        }
    }
    drop(inquiry);
    for replies in begun {
        collect(replies.await, &mut frames)?;
    }
    match frames.as_slice() {
        [only] => Ok(sent(Ok(only.clone()))),
        frames => merge(frames),
    }
}

/// The frames of one shard, in with the others.
fn collect(
    replies: Result<SmallVec<[Reply; 1]>, Gone>,
    frames: &mut Vec<Bytes>,
) -> Result<(), Cause> {
    for reply in replies.map_err(|Gone| Cause::Gone)? {
        frames.push(reply?);
    }
    Ok(())
}

/// The answer to a request that no coordinator is asked.
pub(crate) fn refused(
    context: &Context,
    question: Question,
    body: Bytes,
    code: ErrorCode,
) -> Answer {
    let inquiry = Inquiry::new(context, question, body);
    sent(refusal::answer(&inquiry, code, &|_| true))
}

/// ListGroups to one shard's coordinators.
#[derive(Clone)]
pub(crate) struct List {
    version: i16,
    correlation_id: i32,
    body: Bytes,
}

impl Errand for List {
    type Answer = Reply;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Reply> + use<> {
        std::future::ready(self.of(shard))
    }
}

impl List {
    fn of(&self, shard: &Rc<Shard>) -> Reply {
        let request = ListGroupsRequest::decode(self.version, &mut Cursor::new(&self.body))?;
        let desks = shard.hall().all();
        let mut groups = Vec::new();
        let seen: Vec<_> = desks.iter().map(|desk| desk.look()).collect();
        let (states, types) = (
            request.states_filter.to_vec(),
            request.types_filter.to_vec(),
        );
        for desk in &seen {
            match desk.list(&states, &types) {
                Ok(some) => groups.extend(some),
                Err(code) => {
                    return self.encode(&ListGroupsResponse {
                        error_code: code.id(),
                        ..ListGroupsResponse::default()
                    });
                }
            }
        }
        self.encode(&ListGroupsResponse {
            groups: Array::from(groups),
            ..ListGroupsResponse::default()
        })
    }

    fn encode(&self, response: &ListGroupsResponse<'_>) -> Reply {
        let encoded = encode_response(self.correlation_id, self.version, response)?;
        Ok(encoded.bytes.into())
    }
}

/// Asks every coordinator for its groups.
pub(crate) async fn list(shard: &Rc<Shard>, context: &Context, body: Bytes) -> Answer {
    let list = List {
        version: context.version,
        correlation_id: context.correlation_id,
        body,
    };
    let begun: Vec<_> = (0..shard.reactor().shards())
        .map(|to| errand::begin(shard, ShardId::new(to), list.clone()))
        .collect();
    let mut frames = Vec::with_capacity(begun.len());
    for reply in begun {
        match reply.await {
            Ok(Ok(frame)) => frames.push(frame),
            Ok(Err(cause)) => return Answer::Hangup(cause),
            Err(Gone) => return Answer::Hangup(Cause::Gone),
        }
    }
    let mut groups: Vec<ListedGroup<'_>> = Vec::new();
    for frame in &frames {
        match body_of::<ListGroupsResponse<'_>>(context, frame) {
            Ok(response) if response.error_code != ErrorCode::None.id() => {
                return context.answer(&ListGroupsResponse {
                    error_code: response.error_code,
                    ..ListGroupsResponse::default()
                });
            }
            Ok(response) => groups.extend(response.groups.iter()),
            Err(cause) => return Answer::Hangup(cause),
        }
    }
    context.answer(&ListGroupsResponse {
        groups: Array::from(groups),
        ..ListGroupsResponse::default()
    })
}

/// A coordinator's frame, read again.
pub(crate) fn body_of<'a, R: Response + Decode<'a>>(
    context: &Context,
    frame: &'a [u8],
) -> Result<R, Cause> {
    let frame = frame.get(FRAME_LENGTH_BYTES..).unwrap_or_default();
    let (_, response) = decode_response::<R>(context.version, frame)?;
    Ok(response)
}

fn sent(reply: Reply) -> Answer {
    match reply {
        Ok(head) => Answer::Frame(Frame {
            head,
            splices: Vec::new(),
        }),
        Err(cause) => Answer::Hangup(cause),
    }
}
