//! Requests about one group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetDelete,
//! ConsumerGroupHeartbeat. They go to the group's coordinator as they came; all of them begin with the group's id.

use std::rc::Rc;

use bytes::Bytes;
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest,
};
use highwater_wire::primitive::Get;
use highwater_wire::{Cursor, DecodeError, ErrorCode, Message};

use crate::answer::Answer;
use crate::coordination::{self, OneGroup, Question};
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    body: Bytes,
    asked: OneGroup,
) -> Answer {
    let question = Question::One(asked);
    if asked == OneGroup::ConsumerGroupHeartbeat && !shard.image().broker().consumer_protocol {
        return coordination::refused(context, question, body, ErrorCode::UnsupportedVersion);
    }
    let answered = match group(asked, context.version, &body) {
        Ok(group) => coordination::one(shard, context, question, body.clone(), group),
        Err(error) => return Answer::Hangup(error.into()),
    };
    // A member may wait for minutes, and would keep the buffer that it was received in.
    drop(body);
    answered.await
}

/// The id that a request's body begins with.
fn group(asked: OneGroup, version: i16, body: &[u8]) -> Result<&str, DecodeError> {
    let (message, dialect) = match asked {
        OneGroup::JoinGroup => named::<JoinGroupRequest<'_>>(version),
        OneGroup::SyncGroup => named::<SyncGroupRequest<'_>>(version),
        OneGroup::Heartbeat => named::<HeartbeatRequest<'_>>(version),
        OneGroup::LeaveGroup => named::<LeaveGroupRequest<'_>>(version),
        OneGroup::OffsetCommit => named::<OffsetCommitRequest<'_>>(version),
        OneGroup::OffsetDelete => named::<OffsetDeleteRequest<'_>>(version),
        OneGroup::ConsumerGroupHeartbeat => named::<ConsumerGroupHeartbeatRequest<'_>>(version),
    };
    let dialect = dialect.ok_or(DecodeError::UnsupportedVersion { message, version })?;
    <&str>::get(dialect, &mut Cursor::new(body))
}

fn named<M: Message>(version: i16) -> (&'static str, Option<highwater_wire::primitive::Dialect>) {
    (M::NAME, M::dialect(version))
}
