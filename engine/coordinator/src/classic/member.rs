//! A member of a classic group: what it says, what it was given, and what it waits for.

use crate::world::{Caller, Ticket};
use highwater_wire::Array;
use highwater_wire::message::join_group::JoinGroupRequestProtocol;
use std::rc::Rc;

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    /// Instance id of a static member.
    pub(crate) instance: Option<Rc<str>>,
    pub(crate) client_id: Rc<str>,
    pub(crate) client_host: Rc<str>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// What it speaks, the one it likes best first; no name twice.
    pub(crate) protocols: Vec<Protocol>,
    /// What the leader gave it; empty for nothing.
    pub(crate) assignment: Box<[u8]>,
    /// Its JoinGroup that waits for the generation to begin.
    pub(crate) parked_join: Option<Parked>,
    /// Its SyncGroup that waits for the leader's assignment.
    pub(crate) parked_sync: Option<Parked>,
    /// Whether no generation with it has begun: it does not know its id for sure then, and cannot heartbeat.
    pub(crate) is_new: bool,
}

/// A protocol that a member speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Rc<str>,
    pub(crate) metadata: Box<[u8]>,
}

/// A request that waits, and the version its answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) ticket: Ticket,
    pub(crate) version: i16,
}

impl Parked {
    pub(crate) fn of(caller: &Caller<'_>) -> Parked {
        Parked {
            ticket: caller.ticket,
            version: caller.version,
        }
    }
}

impl Protocol {
    /// The protocols of a JoinGroup. A name that comes again is left out.
    pub(crate) fn all(protocols: &Array<'_, JoinGroupRequestProtocol<'_>>) -> Vec<Protocol> {
        let mut all: Vec<Protocol> = Vec::with_capacity(protocols.len());
        for protocol in protocols {
            if all.iter().all(|known| *known.name != *protocol.name) {
                all.push(Protocol {
                    name: protocol.name.into(),
                    metadata: protocol.metadata.into(),
                });
            }
        }
        all
    }
}

impl Member {
    /// What it says, is called and was given, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let protocols = self.protocols.iter();
        let said: usize = protocols
            .map(|protocol| protocol.name.len() + protocol.metadata.len())
            .sum();
        let instance = self.instance.as_ref().map_or(0, |instance| instance.len());
        said + instance + self.client_id.len() + self.client_host.len() + self.assignment.len()
    }

    /// What it says with this protocol; nothing where it does not speak it.
    pub(crate) fn metadata(&self, protocol: &str) -> &[u8] {
        self.protocols
            .iter()
            .find(|known| *known.name == *protocol)
            .map_or(&[], |known| &known.metadata)
    }

    /// Whether it says what it said before.
    pub(crate) fn matches(&self, protocols: &Array<'_, JoinGroupRequestProtocol<'_>>) -> bool {
        let said = protocols.iter().map(|said| (said.name, said.metadata));
        let known = self
            .protocols
            .iter()
            .map(|known| (&*known.name, &*known.metadata));
        self.protocols.len() == protocols.len() && said.eq(known)
    }

    /// Whether its silence means nothing: it waits for us. A newcomer's wait ends all the same.
    pub(crate) fn is_excused(&self) -> bool {
        !self.is_new && (self.parked_join.is_some() || self.parked_sync.is_some())
    }
}
