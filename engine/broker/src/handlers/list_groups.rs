//! ListGroups: the groups of all coordinators.

use std::rc::Rc;

use bytes::Bytes;

use crate::answer::Answer;
use crate::coordination;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn handle(shard: &Rc<Shard>, context: &Context, body: Bytes) -> Answer {
    coordination::list(shard, context, body).await
}
