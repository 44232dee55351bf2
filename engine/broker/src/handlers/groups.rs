//! Requests about many groups: DescribeGroups, DeleteGroups, ConsumerGroupDescribe. Each coordinator answers for its own, and
//! the rows are put together here.

use std::rc::Rc;

use bytes::Bytes;
use highwater_wire::message::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
};
use highwater_wire::{Array, Cursor, Decode, DecodeError, ErrorCode};

use crate::answer::{Answer, Cause};
use crate::coordination::{self, ManyGroups, Question, body_of};
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    body: Bytes,
    asked: ManyGroups,
) -> Answer {
    let question = Question::Many(asked);
    if asked == ManyGroups::ConsumerGroupDescribe && !shard.image().broker().consumer_protocol {
        return coordination::refused(context, question, body, ErrorCode::UnsupportedVersion);
    }
    let whole = body.clone();
    let groups = match groups(asked, context.version, &whole) {
        Ok(groups) => groups,
        Err(error) => return Answer::Hangup(error.into()),
    };
    let merge = |frames: &[Bytes]| merge(context, asked, frames);
    let answered = coordination::many(shard, context, question, body, groups.iter(), merge);
    answered.await.unwrap_or_else(Answer::Hangup)
}

/// The groups that are named.
fn groups(asked: ManyGroups, version: i16, body: &[u8]) -> Result<Array<'_, &str>, DecodeError> {
    let mut body = Cursor::new(body);
    Ok(match asked {
        ManyGroups::DescribeGroups => DescribeGroupsRequest::decode(version, &mut body)?.groups,
        ManyGroups::DeleteGroups => DeleteGroupsRequest::decode(version, &mut body)?.groups_names,
        ManyGroups::ConsumerGroupDescribe => {
            ConsumerGroupDescribeRequest::decode(version, &mut body)?.group_ids
        }
    })
}

fn merge(context: &Context, asked: ManyGroups, frames: &[Bytes]) -> Result<Answer, Cause> {
    Ok(match asked {
        ManyGroups::DescribeGroups => {
            let mut groups = Vec::new();
            for frame in frames {
                groups.extend(
                    body_of::<DescribeGroupsResponse<'_>>(context, frame)?
                        .groups
                        .iter(),
                );
            }
            context.answer(&DescribeGroupsResponse {
                throttle_time_ms: 0,
                groups: Array::from(groups),
            })
        }
        ManyGroups::DeleteGroups => {
            let mut results = Vec::new();
            for frame in frames {
                results.extend(
                    body_of::<DeleteGroupsResponse<'_>>(context, frame)?
                        .results
                        .iter(),
                );
            }
            context.answer(&DeleteGroupsResponse {
                throttle_time_ms: 0,
                results: Array::from(results),
            })
        }
        ManyGroups::ConsumerGroupDescribe => {
            let mut groups = Vec::new();
            for frame in frames {
                let part = body_of::<ConsumerGroupDescribeResponse<'_>>(context, frame)?;
                groups.extend(part.groups.iter());
            }
            context.answer(&ConsumerGroupDescribeResponse {
                throttle_time_ms: 0,
                groups: Array::from(groups),
            })
        }
    })
}
