//! OffsetFetch: how far groups have consumed. One group up to version 7, many from there on (KIP-709), each answered by its
//! coordinator.

use std::rc::Rc;

use bytes::Bytes;
use highwater_wire::message::{OffsetFetchRequest, OffsetFetchResponse};
use highwater_wire::{Array, Cursor, Decode};

use crate::answer::{Answer, Cause};
use crate::coordination::{self, Question, body_of};
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn handle(shard: &Rc<Shard>, context: &Context, body: Bytes) -> Answer {
    let whole = body.clone();
    let request = match OffsetFetchRequest::decode(context.version, &mut Cursor::new(&whole)) {
        Ok(request) => request,
        Err(error) => return Answer::Hangup(error.into()),
    };
    if context.version < coordination::FETCHES_MANY_SINCE {
        return coordination::one(
            shard,
            context,
            Question::OffsetFetch,
            body,
            request.group_id,
        )
        .await;
    }
    let groups: Vec<&str> = request.groups.iter().map(|group| group.group_id).collect();
    let merge = |frames: &[Bytes]| merge(context, frames);
    let answered = coordination::many(
        shard,
        context,
        Question::OffsetFetch,
        body,
        groups.into_iter(),
        merge,
    );
    answered.await.unwrap_or_else(Answer::Hangup)
}

fn merge(context: &Context, frames: &[Bytes]) -> Result<Answer, Cause> {
    let mut groups = Vec::new();
    for frame in frames {
        groups.extend(
            body_of::<OffsetFetchResponse<'_>>(context, frame)?
                .groups
                .iter(),
        );
    }
    Ok(context.answer(&OffsetFetchResponse {
        groups: Array::from(groups),
        ..OffsetFetchResponse::default()
    }))
}
