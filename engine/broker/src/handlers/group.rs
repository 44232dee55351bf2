//! Requests about one group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, OffsetCommit, OffsetDelete,
//! ConsumerGroupHeartbeat. They go to the group's coordinator as they came; all of them begin with the group's id.

use std::rc::Rc;

use bytes::Bytes;
use highwater_wire::message::{
    ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest,
};
use highwater_wire::primitive::Get;
use highwater_wire::{ApiKey, Cursor, DecodeError, ErrorCode, Message};

use crate::answer::Answer;
use crate::coordination;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn handle(shard: &Rc<Shard>, context: &Context, body: Bytes) -> Answer {
    if context.api == ApiKey::ConsumerGroupHeartbeat && !shard.image().broker().consumer_protocol {
        return coordination::refused(context, body, ErrorCode::UnsupportedVersion);
    }
    let answered = match group(context.api, context.version, &body) {
        Ok(group) => coordination::one(shard, context, body.clone(), group),
        Err(error) => return Answer::Hangup(error.into()),
    };
    // A member may wait for minutes, and would keep the buffer that it was received in.
    drop(body);
    answered.await
}

/// The id that a request's body begins with.
fn group(api: ApiKey, version: i16, body: &[u8]) -> Result<&str, DecodeError> {
    #[allow(clippy::wildcard_enum_match_arm)] // no other API comes here
    let (message, dialect) = match api {
        ApiKey::JoinGroup => named::<JoinGroupRequest<'_>>(version),
        ApiKey::SyncGroup => named::<SyncGroupRequest<'_>>(version),
        ApiKey::Heartbeat => named::<HeartbeatRequest<'_>>(version),
        ApiKey::LeaveGroup => named::<LeaveGroupRequest<'_>>(version),
        ApiKey::OffsetCommit => named::<OffsetCommitRequest<'_>>(version),
        ApiKey::OffsetDelete => named::<OffsetDeleteRequest<'_>>(version),
        ApiKey::ConsumerGroupHeartbeat => named::<ConsumerGroupHeartbeatRequest<'_>>(version),
        other => unreachable!("{other} is not about one group"),
    };
    let dialect = dialect.ok_or(DecodeError::UnsupportedVersion { message, version })?;
    <&str>::get(dialect, &mut Cursor::new(body))
}

fn named<M: Message>(version: i16) -> (&'static str, Option<highwater_wire::primitive::Dialect>) {
    (M::NAME, M::dialect(version))
}
