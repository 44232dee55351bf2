//! A request for a coordinator as it travels: what is asked, its header's facts and the body as it came, which it does not read.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use highwater_wire::{Response, encode_response};

use super::question::Question;
use crate::answer::Cause;
use crate::dispatch::Context;

/// What a coordinator's shard gives back: a whole frame, or why the connection must end.
pub(crate) type Reply = Result<Bytes, Cause>;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    /// What is asked.
    pub(crate) question: Question,
    /// The version asked, and that of the answer.
    pub(crate) version: i16,
    /// Goes back with the answer.
    pub(crate) correlation_id: i32,
    /// The client's name for itself.
    pub(crate) client_id: Option<Arc<str>>,
    /// Where the client is.
    pub(crate) client: IpAddr,
    /// The request after its header.
    pub(crate) body: Bytes,
}

impl Inquiry {
    /// The request of this context.
    pub(crate) fn new(context: &Context, question: Question, body: Bytes) -> Inquiry {
        Inquiry {
            question,
            version: context.version,
            correlation_id: context.correlation_id,
            client_id: context.client_id.clone(),
            client: context.guest.peer().ip(),
            body,
        }
    }

    /// `response` as it leaves.
    pub(crate) fn encode<R: Response>(&self, response: &R) -> Reply {
        let encoded = encode_response(self.correlation_id, self.version, response)?;
        Ok(encoded.bytes.into())
    }

    /// The client's address as Kafka writes it down (`InetAddress.toString`): no name, a slash, and IPv6 at full length.
    pub(crate) fn client_host(&self) -> String {
        match self.client.to_canonical() {
            IpAddr::V4(address) => format!("/{address}"),
            IpAddr::V6(address) => {
                let groups: Vec<String> = address
                    .segments()
                    .iter()
                    .map(|s| format!("{s:x}"))
                    .collect();
                format!("/{}", groups.join(":"))
            }
        }
    }

    /// The same without its body: for a request that waits for long. What it would be refused with does not depend on it.
    pub(crate) fn hollow(&self) -> Inquiry {
        Inquiry {
            body: Bytes::new(),
            ..self.clone()
        }
    }
}
