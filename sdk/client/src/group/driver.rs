//! Does what the member wants done: asks the coordinator, watches the cluster, tells the application. Decides nothing.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::sync_group::SyncGroupRequestAssignment;
use highwater_wire::message::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use highwater_wire::{Array, ErrorCode, Request};
use tokio::time::sleep_until;

use super::Shared;
use crate::connection::{Connection, Reply};
use crate::core::group::assignor::Layout;
use crate::core::group::member::{Call, Identity, Step};
use crate::core::group::seat::Seat;
use crate::error::{Error, ErrorKind, Result};

/// The kind of group that consumers make up.
const PROTOCOL_TYPE: &str = "consumer";
/// How much longer than the rebalance time-out the answer to a join may take, as in Kafka's client.
const JOIN_LAPSE: Duration = Duration::from_secs(5);
/// How long the leader waits for metadata of topics; a group stands still meanwhile.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a topic that does not exist is asked about again.
const MISSING_INTERVAL: Duration = Duration::from_secs(1);
/// How many topics are asked about by their ids at a time.
const IDS_MAX: usize = 1000;
/// The first version in which many members leave at once.
const VERSION_LEAVE_MANY: i16 = 3;

/// What came of a call.
enum Outcome {
    Found(Result<()>),
    Joined(Result<Reply>),
    Counted(Result<Layout>),
    Synced(Result<Reply>),
    Beaten(Result<ErrorCode>),
    Left,
    /// A heartbeat of the consumer protocol.
    Answered(Result<Reply>),
}

type Flight = Pin<Box<dyn Future<Output = (Outcome, Option<Connection>)> + Send>>;

/// Runs until the member has left.
pub(super) async fn run(group: Arc<Shared>) {
    let mut flight: Option<Flight> = None;
    // One of its own: a broker answers a connection's requests in turn, and a join may take minutes.
    let mut connection: Option<Connection> = None;
    let mut cluster = group.client.shared.watch_cluster();
    let mut polls = 0;
    // As long as the member has to match topics itself.
    let mut all_topics = None;
    loop {
        let matches = group.member().is_some_and(|seat| seat.pattern().is_some());
        if matches != all_topics.is_some() {
            all_topics = matches.then(|| group.client.shared.use_all_topics());
            group.cluster_changed();
        }
        let now = group.client.shared.now();
        let polled = group.polls.load(Ordering::Relaxed);
        let asks = polled != polls || group.waiting.load(Ordering::Relaxed);
        polls = polled;
        let Some((step, misses)) = group.step(now, asks) else {
            return;
        };
        match step {
            Step::Stop => break,
            Step::Tell(event) => group.tell(event),
            Step::Send(call) => {
                if flight.take().is_some() {
                    // What is asked next would wait behind what was given up.
                    connection = None;
                }
                flight = Some(Box::pin(Arc::clone(&group).ask(call, connection.take())));
            }
            Step::Wait(until) => {
                let missing = misses.then(|| now + MISSING_INTERVAL);
                let until = [until, missing].into_iter().flatten().min();
                tokio::select! {
                    (outcome, used) = under_way(&mut flight) => {
                        flight = None;
                        connection = used;
                        group.answered(outcome);
                    }
                    () = at(&group, until) => if misses {
                        group.look_up();
                        group.client.shared.invalidate_metadata();
                    },
                    () = group.wake.notified() => {}
                    changed = cluster.changed() => {
                        if changed.is_err() {
                            break;
                        }
                        group.cluster_changed();
                    }
                }
            }
        }
    }
    group.ended.send_replace(true);
}

async fn under_way(flight: &mut Option<Flight>) -> (Outcome, Option<Connection>) {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

async fn at(group: &Shared, until: Option<Duration>) {
    match until {
        Some(until) => sleep_until(group.client.shared.instant(until)).await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// What to do next, and whether topics are missing that may come.
    fn step(&self, now: Duration, asks: bool) -> Option<(Step, bool)> {
        let mut member = self.member()?;
        if asks {
            member.polled(now);
        }
        let step = member.step(now);
        if member.take_stalled() {
            self.stalls.send_modify(|stalls| *stalls += 1);
        }
        Some((step, member.misses_topics()))
    }

    /// Compares what the member wants with the topics there are.
    pub(super) fn cluster_changed(&self) {
        let cluster = self.client.shared.cluster();
        let count = |name: &str| {
            let topic = cluster.topic(name)?;
            match topic.error {
                None => i32::try_from(topic.partitions.len()).ok(),
                Some(ErrorCode::UnknownTopicOrPartition) => Some(0),
                Some(_) => None,
            }
        };
        if let Some(mut seat) = self.member() {
            if let Some(pattern) = seat.pattern().filter(|_| cluster.is_complete) {
                let topics = cluster.topics().filter(|topic| {
                    topic.error.is_none() && !topic.is_internal && pattern.matches(&topic.name)
                });
                let names = topics.map(|topic| Arc::clone(&topic.name)).collect();
                seat.matched(names);
            }
            if let Some(member) = seat.as_classic() {
                member.cluster_changed(count);
            }
            if let Some(member) = seat.as_consumer() {
                member.resolve(|id| cluster.name_of(id).cloned());
            }
        }
    }

    /// Finds the names of topics that the coordinator named by their ids.
    fn look_up(&self) {
        let Some(mut seat) = self.member() else {
            return;
        };
        if let Some(member) = seat.as_consumer().filter(|member| member.misses_topics()) {
            let shared = &self.client.shared;
            let cluster = shared.cluster();
            member.resolve(|id| cluster.name_of(id).cloned());
            let missing: BTreeSet<_> = member.missing().into_iter().take(IDS_MAX).collect();
            drop(seat);
            if !missing.is_empty() {
                shared.use_topic_ids(missing);
            }
        }
    }

    /// Hands an answer to the member.
    fn answered(&self, outcome: Outcome) {
        let (now, random) = (self.client.shared.now(), self.client.shared.random());
        let Some(mut member) = self.member() else {
            return;
        };
        if let Err(error) = hear(&mut member, now, random, outcome) {
            tracing::debug!(group = &*self.id, %error, "no answer from the coordinator");
            if matches!(
                error.kind(),
                ErrorKind::Unsupported { .. } | ErrorKind::Config | ErrorKind::Auth
            ) {
                member.unable(now, random, error);
            } else {
                member.failed(now, random);
            }
        }
        let lost = !member.has_coordinator();
        drop(member);
        self.look_up();
        if lost {
            self.coordinator.lost();
        }
    }

    async fn ask(
        self: Arc<Self>,
        call: Call,
        connection: Option<Connection>,
    ) -> (Outcome, Option<Connection>) {
        let mut connection = connection.filter(Connection::is_alive);
        let outcome = match call {
            Call::FindCoordinator => {
                connection = None;
                Outcome::Found(self.coordinator.find().await.map(drop))
            }
            Call::Count(topics) => Outcome::Counted(
                self.client
                    .shared
                    .count_partitions(&topics, COUNT_TIMEOUT)
                    .await,
            ),
            Call::Join {
                member_id,
                protocols,
                reason,
            } => {
                let request = JoinGroupRequest {
                    group_id: &self.id,
                    session_timeout_ms: ms(self.config.session_timeout),
                    rebalance_timeout_ms: ms(self.config.poll_interval_max),
                    member_id: &member_id,
                    group_instance_id: self.config.instance_id.as_deref(),
                    protocol_type: PROTOCOL_TYPE,
                    protocols: protocols
                        .iter()
                        .map(|(assignor, metadata)| JoinGroupRequestProtocol {
                            name: assignor.name(),
                            metadata,
                        })
                        .collect::<Array<'_, _>>(),
                    reason,
                };
                let shared = self.client.shared.config();
                let timeout = self
                    .config
                    .poll_interval_max
                    .saturating_add(JOIN_LAPSE)
                    .max(shared.request_timeout);
                Outcome::Joined(self.call(&mut connection, &request, timeout).await)
            }
            Call::Sync {
                identity,
                protocol,
                assignments,
            } => {
                let request = SyncGroupRequest {
                    group_id: &self.id,
                    generation_id: identity.generation,
                    member_id: &identity.member_id,
                    group_instance_id: self.config.instance_id.as_deref(),
                    protocol_type: Some(PROTOCOL_TYPE),
                    protocol_name: Some(protocol.name()),
                    assignments: assignments
                        .iter()
                        .map(|(id, assignment)| SyncGroupRequestAssignment {
                            member_id: id,
                            assignment,
                        })
                        .collect::<Array<'_, _>>(),
                };
                Outcome::Synced(
                    self.call(
                        &mut connection,
                        &request,
                        self.client.shared.config().request_timeout,
                    )
                    .await,
                )
            }
            Call::Heartbeat(identity) => {
                Outcome::Beaten(self.beat(&mut connection, &identity).await)
            }
            Call::Beat(beat) => Outcome::Answered(self.say(&mut connection, &beat).await),
            Call::Leave { member_id, reason } => {
                if let Err(error) = self.leave(&mut connection, &member_id, reason).await {
                    // The session's end does what this was to do.
                    tracing::debug!(group = &*self.id, %error, "could not leave");
                }
                Outcome::Left
            }
        };
        (outcome, connection)
    }

    pub(super) async fn call<R: Request>(
        &self,
        connection: &mut Option<Connection>,
        request: &R,
        timeout: Duration,
    ) -> Result<Reply> {
        let connection = self.connect(connection).await?;
        let version = connection.version::<R>(i16::MAX)?;
        connection
            .send_within(request, version, [], true, timeout)?
            .answer()
            .await
    }

    pub(super) async fn connect(&self, connection: &mut Option<Connection>) -> Result<Connection> {
        if let Some(connection) = connection {
            return Ok(connection.clone());
        }
        let broker = self
            .coordinator
            .known()
            .ok_or_else(|| Error::network("the coordinator is not known"))?;
        let dialed = self.client.shared.pool.dial(&broker).await?;
        Ok(connection.insert(dialed).clone())
    }

    async fn beat(
        &self,
        connection: &mut Option<Connection>,
        identity: &Identity,
    ) -> Result<ErrorCode> {
        let request = HeartbeatRequest {
            group_id: &self.id,
            generation_id: identity.generation,
            member_id: &identity.member_id,
            group_instance_id: self.config.instance_id.as_deref(),
        };
        // An answer that takes a session is none.
        let timeout = self
            .config
            .session_timeout
            .min(self.client.shared.config().request_timeout);
        let reply = self.call(connection, &request, timeout).await?;
        let answer: HeartbeatResponse = reply.decode()?;
        Ok(ErrorCode::from_id(answer.error_code))
    }

    async fn leave(
        &self,
        connection: &mut Option<Connection>,
        member_id: &str,
        reason: &str,
    ) -> Result<()> {
        let connection = self.connect(connection).await?;
        let version = connection.version::<LeaveGroupRequest<'_>>(i16::MAX)?;
        let mut request = LeaveGroupRequest {
            group_id: &self.id,
            ..LeaveGroupRequest::default()
        };
        if version < VERSION_LEAVE_MANY {
            request.member_id = member_id;
        } else {
            let identity = MemberIdentity {
                member_id,
                group_instance_id: None,
                reason: Some(reason),
            };
            request.members = Array::from([identity]);
        }
        connection
            .send(&request, version, [], true)?
            .answer()
            .await
            .map(drop)
    }
}

/// An error where there is nothing to hear.
fn hear(seat: &mut Seat, now: Duration, random: u64, outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Found(Ok(())) => {
            seat.found(now, random, ErrorCode::None);
            return Ok(());
        }
        Outcome::Found(Err(error)) => {
            let code = error.code().ok_or(error)?;
            seat.found(now, random, code);
            return Ok(());
        }
        Outcome::Answered(reply) => {
            seat.beaten(now, random, &reply?.decode()?);
            return Ok(());
        }
        Outcome::Counted(_)
        | Outcome::Joined(_)
        | Outcome::Synced(_)
        | Outcome::Beaten(_)
        | Outcome::Left => {}
    }
    let Some(member) = seat.as_classic() else {
        return Ok(());
    };
    match outcome {
        Outcome::Found(_) | Outcome::Answered(_) => {}
        Outcome::Counted(Ok(counts)) => member.counted(&counts),
        Outcome::Counted(Err(error)) => {
            tracing::debug!(%error, "cannot lead yet");
            member.uncounted(now, random);
        }
        Outcome::Joined(reply) => member.joined(now, random, &reply?.decode()?),
        Outcome::Synced(reply) => member.synced(now, random, &reply?.decode()?),
        Outcome::Beaten(code) => member.beaten(now, random, code?),
        Outcome::Left => member.left(),
    }
    Ok(())
}

pub(super) fn ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

impl crate::client::Shared {
    /// How many partitions these topics have, and where, once the cluster told of each whether it exists; those that do not are left out.
    async fn count_partitions(
        &self,
        names: &BTreeSet<Arc<str>>,
        timeout: Duration,
    ) -> Result<Layout> {
        self.heard_of(names, timeout).await?;
        let cluster = self.cluster();
        let mut layout = Layout::default();
        for name in names {
            let Some(topic) = cluster.topic(name).filter(|topic| topic.error.is_none()) else {
                continue;
            };
            let Ok(count) = i32::try_from(topic.partitions.len()) else {
                continue;
            };
            layout.counts.insert(Arc::clone(name), count);
            if !topic.replicas.is_empty() {
                layout
                    .racks
                    .insert(Arc::clone(name), cluster.racks_of(topic));
            }
        }
        Ok(layout)
    }
}
