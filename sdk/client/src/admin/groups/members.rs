//! Taking members out of a group from outside: those that died, and will not say so themselves.

use std::collections::BTreeSet;

use highwater_wire::Array;
use highwater_wire::message::leave_group::MemberIdentity;
use highwater_wire::message::{LeaveGroupRequest, LeaveGroupResponse};

use crate::admin::errand::{Errand, all_failed, complete};
use crate::admin::{Admin, Call, Operation, Results, ask, refused};
use crate::connection::Connection;
use crate::error::Result;

/// The first version of LeaveGroup that takes many members, and static ones (KIP-345).
const VERSION_MANY: i16 = 3;

/// How a member of a group is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberName {
    /// By the id that the coordinator gave it.
    Id(String),
    /// By its own `group.instance.id`: a static member, whoever holds the name.
    Instance(String),
}

impl MemberName {
    fn wire<'a>(&'a self, reason: &'a str) -> MemberIdentity<'a> {
        let (member_id, group_instance_id) = match self {
            Self::Id(id) => (id.as_str(), None),
            Self::Instance(id) => ("", Some(id.as_str())),
        };
        MemberIdentity {
            member_id,
            group_instance_id,
            reason: Some(reason),
        }
    }
}

/// What [`Admin::remove_group_members`] does.
#[derive(Clone, Debug)]
pub struct RemoveGroupMembers {
    group: String,
    members: BTreeSet<MemberName>,
    reason: String,
}

impl Call<RemoveGroupMembers> {
    /// Why, for the broker's log (KIP-800).
    pub fn reason(self, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        self.set(|it| it.reason = reason)
    }
}

impl Operation for RemoveGroupMembers {
    type Output = Results<MemberName, ()>;

    async fn run(self, errand: Errand) -> Result<Self::Output> {
        let this = &self;
        errand
            .of_coordinator(&self.group, |connection: Connection| async move {
                let version = connection.version::<LeaveGroupRequest<'_>>(i16::MAX)?;
                if version < VERSION_MANY {
                    this.one_by_one(&connection).await
                } else {
                    this.at_once(&connection).await
                }
            })
            .await
    }
}

impl RemoveGroupMembers {
    async fn at_once(&self, connection: &Connection) -> Result<Results<MemberName, ()>> {
        let members = self.members.iter().map(|it| it.wire(&self.reason));
        let request = LeaveGroupRequest {
            group_id: &self.group,
            members: members.collect(),
            ..LeaveGroupRequest::default()
        };
        let reply = ask(connection, &request, VERSION_MANY).await?;
        let answer: LeaveGroupResponse<'_> = reply.decode()?;
        refused(answer.error_code, None)?;
        let left = answer.members.iter().map(|it| {
            let name = match it.group_instance_id {
                Some(instance) => MemberName::Instance(instance.to_owned()),
                None => MemberName::Id(it.member_id.to_owned()),
            };
            (name, refused(it.error_code, None))
        });
        let mut results = left.collect();
        complete(&mut results, &self.members);
        Ok(results)
    }

    async fn one_by_one(&self, connection: &Connection) -> Result<Results<MemberName, ()>> {
        let mut results = Results::new();
        for name in &self.members {
            let left = match self.one(connection, name).await {
                Ok(left) => left,
                Err(error) if results.is_empty() => return Err(error),
                // Those that left would be unknown if they were asked to leave again.
                Err(error) => {
                    let rest = self.members.range(name..);
                    results.extend(all_failed(rest, &error));
                    break;
                }
            };
            results.insert(name.clone(), left);
        }
        Ok(results)
    }

    /// What came of one member; an error where that was not told.
    async fn one(&self, connection: &Connection, name: &MemberName) -> Result<Result<()>> {
        let MemberName::Id(member_id) = name else {
            let request = LeaveGroupRequest::default();
            return Ok(ask(connection, &request, VERSION_MANY).await.map(drop));
        };
        let request = LeaveGroupRequest {
            group_id: &self.group,
            member_id,
            members: Array::empty(),
        };
        let reply = ask(connection, &request, 0).await?;
        let answer: LeaveGroupResponse<'_> = reply.decode()?;
        Ok(refused(answer.error_code, None))
    }
}

impl Admin {
    /// Takes members out of a group, as if they had left; the others share what they had.
    ///
    /// Cancel-safe; what a broker was asked to do, it may still do.
    ///
    /// # Errors
    ///
    /// When the coordinator does not answer or refuses; a refusal of one member is in the results,
    /// as [`UnknownMemberId`](crate::ErrorCode::UnknownMemberId) where the group has none such.
    pub fn remove_group_members(
        &self,
        group: impl Into<String>,
        members: impl IntoIterator<Item = MemberName>,
    ) -> Call<RemoveGroupMembers> {
        self.call(RemoveGroupMembers {
            group: group.into(),
            members: members.into_iter().collect(),
            reason: "removed by an administrator".to_owned(),
        })
    }
}
