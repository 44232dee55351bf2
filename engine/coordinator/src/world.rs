//! What a coordinator asks of its surroundings, and what it tells them. The broker's shell implements it over a partition;
//! tests do over vectors, with a clock of their own.

use crate::config::GroupConfig;
use highwater_wire::ErrorCode;
use highwater_wire::message::{
    ConsumerGroupHeartbeatResponse, DeleteGroupsResponse, HeartbeatResponse, JoinGroupResponse,
    LeaveGroupResponse, OffsetCommitResponse, OffsetDeleteResponse, SyncGroupResponse,
};
use highwater_wire::records::group::{GroupKey, GroupValue};
use uuid::Uuid;

/// What one call may ask of, and tell to, the surroundings.
pub trait World {
    /// Milliseconds of a clock that never goes back; time-outs count in it.
    fn now_ms(&self) -> i64;

    /// Milliseconds since 1970, for what is written down.
    fn unix_ms(&self) -> i64;

    /// A random UUID (version 4), for member ids.
    fn uuid(&mut self) -> Uuid;

    /// The topics as they stand.
    fn topics(&self) -> &dyn Topics;

    /// The settings of the group's own, from its GROUP resource.
    fn group_config(&self, group: &str) -> GroupConfig;

    /// Appends the records as one batch, or none of them. What it gives is a place in the log, durable later.
    ///
    /// # Errors
    /// The code that the client is to hear: the batch has no place, nothing was written.
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), ErrorCode>;

    /// Answers a request: the one under way, or one that was parked. What is borrowed is to be encoded at once; the bytes
    /// leave when everything appended to this partition by now is durable.
    fn answer(&mut self, ticket: Ticket, response: Response<'_>);
}

/// A request that waits for its answer; the shell chooses the number, one for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who asks, and how the answer is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What the answer is given to.
    pub ticket: Ticket,
    /// Version of the request, and of its answer.
    pub version: i16,
    /// The client's own name for itself; empty where it has none.
    pub client_id: &'a str,
    /// Address of the client as Kafka writes it: `/127.0.0.1`.
    pub client_host: &'a str,
}

/// A record of `__consumer_offsets`, in the version that [`GroupValue::written_version`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// What it is about.
    pub key: GroupKey<'a>,
    /// What is said about it; none is a tombstone.
    pub value: Option<GroupValue<'a>>,
}

/// An answer, in the version that the request came in.
#[allow(missing_docs)] // each is documented as a message
#[derive(Debug, Clone, PartialEq)]
pub enum Response<'a> {
    JoinGroup(JoinGroupResponse<'a>),
    SyncGroup(SyncGroupResponse<'a>),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse<'a>),
    OffsetCommit(OffsetCommitResponse<'a>),
    OffsetDelete(OffsetDeleteResponse<'a>),
    DeleteGroups(DeleteGroupsResponse<'a>),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse<'a>),
}

/// The topics as a coordinator sees them.
pub trait Topics {
    /// The topic of this name.
    fn by_name(&self, name: &str) -> Option<Topic<'_>>;

    /// The topic of this id.
    fn by_id(&self, id: &Uuid) -> Option<Topic<'_>>;

    /// Shows every topic, in the order of names.
    fn each(&self, show: &mut dyn FnMut(Topic<'_>));

    /// Grows with every change of the metadata.
    fn version(&self) -> u64;
}

/// A topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic<'a> {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: &'a str,
    /// How many partitions it has.
    pub partitions: i32,
}
