//! What can go wrong between a service and a Kafka cluster, in one cheap-to-clone value.
//!
//! One error is shared by all records of a failed batch, so it is reference counted; it knows no
//! socket and no task, only facts a caller can act on.

use std::fmt;
use std::sync::Arc;

use highwater_wire::ErrorCode;

use crate::core::producer::undelivered::Undelivered;
use crate::record::OwnedRecord;

/// A topic's name and one partition of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Whether the records of a failed batch may be in the log all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// They are not: no broker accepted them, and none will.
    No,
    /// They left this process and no answer settled their fate.
    Maybe,
    /// They are, although their place is not known.
    Yes,
}

/// What kind of thing went wrong.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is unknown, out of range, or at odds with another one.
    Config,
    /// One side did not believe who the other is: the broker our name, password or certificate, or we its certificate or
    /// its proof.
    Auth,
    /// The broker knows who we are, and we may not do that: the code says whether it is about a topic, a group, the cluster
    /// or a transactional id.
    Authorization(ErrorCode),
    /// No broker could be reached, or a connection broke.
    Network,
    /// A deadline passed: of a request, of a delivery, or of a wait for metadata or memory.
    Timeout,
    /// A broker refused, with this code.
    Broker(ErrorCode),
    /// A record, alone, is larger than `max.request.size` or than the broker takes.
    RecordTooLarge,
    /// `buffer.memory` is exhausted and the caller did not want to wait.
    Buffer,
    /// Another producer took over this producer's identity.
    Fenced,
    /// The client, producer or consumer was shut down.
    Closed,
    /// The broker does not speak any version of this API that we speak.
    Unsupported {
        /// The API's name.
        api: &'static str,
        /// The versions this client speaks, lowest and highest.
        need: (i16, i16),
        /// The versions the broker speaks, when it knows the API at all.
        have: Option<(i16, i16)>,
    },
    /// A consumer's position is not in the log and the reset policy is to stop.
    Offset,
    /// A batch of records does not hold together: its checksum, its lengths, its compression.
    Corrupt,
    /// An application's handler failed or panicked; the source is its error.
    Handler,
    /// A key or a value could not be turned into bytes, or not be made of them.
    Serialization,
    /// The peer broke the protocol: a frame too long, a wrong correlation id, bytes that do not
    /// parse.
    Protocol,
}

#[derive(Debug)]
struct Body {
    kind: ErrorKind,
    message: String,
    written: Written,
    topic_partition: Option<TopicPartition>,
    offset: Option<i64>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// The batch, and which record of it.
    record: Option<(Arc<Undelivered>, u32)>,
}

/// A failure, with what is known about it. Cloning costs one reference count.
#[derive(Clone)]
pub struct Error(Arc<Body>);

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of somebody else's: a handler's, or a serializer's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Body {
            kind,
            message: message.into(),
            written: Written::No,
            topic_partition: None,
            offset: None,
            source: None,
            record: None,
        }))
    }

    pub(crate) fn broker(code: ErrorCode, detail: Option<&str>) -> Self {
        let message = match detail {
            Some(detail) if !detail.is_empty() => detail.to_owned(),
            Some(_) | None => code.message().to_owned(),
        };
        let is_authorization = matches!(
            code,
            ErrorCode::TopicAuthorizationFailed
                | ErrorCode::GroupAuthorizationFailed
                | ErrorCode::ClusterAuthorizationFailed
                | ErrorCode::TransactionalIdAuthorizationFailed
                | ErrorCode::DelegationTokenAuthorizationFailed
        );
        let kind = if is_authorization {
            ErrorKind::Authorization(code)
        } else {
            ErrorKind::Broker(code)
        };
        Self::new(kind, message)
    }

    pub(crate) fn auth(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Auth, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn network(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Network, message)
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    pub(crate) fn closed(what: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("{what} is shut down"))
    }

    fn edit(self, change: impl FnOnce(&mut Body)) -> Self {
        let mut body = Arc::try_unwrap(self.0).unwrap_or_else(|shared| Body {
            kind: shared.kind.clone(),
            message: shared.message.clone(),
            written: shared.written,
            topic_partition: shared.topic_partition.clone(),
            offset: shared.offset,
            source: shared.source.clone(),
            record: shared.record.clone(),
        });
        change(&mut body);
        Self(Arc::new(body))
    }

    pub(crate) fn with_written(self, written: Written) -> Self {
        if self.0.written == written {
            return self;
        }
        self.edit(|body| body.written = written)
    }

    pub(crate) fn at(self, topic: &Arc<str>, partition: i32) -> Self {
        let place = TopicPartition {
            topic: Arc::clone(topic),
            partition,
        };
        self.edit(|body| body.topic_partition = Some(place))
    }

    pub(crate) fn at_offset(self, offset: i64) -> Self {
        self.edit(|body| body.offset = Some(offset))
    }

    pub(crate) fn with_source(
        self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = Arc::from(source.into());
        self.edit(|body| body.source = Some(source))
    }

    /// Says which record this is about.
    pub(crate) fn of_record(self, batch: &Arc<Undelivered>, index: u32) -> Self {
        let record = (Arc::clone(batch), index);
        self.edit(|body| body.record = Some(record))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Whether the same call may succeed later without anything being changed.
    ///
    /// The client has already retried within its own deadlines by the time an error is seen, so
    /// this tells whether it is worth keeping the record, not that nobody tried.
    pub fn is_retriable(&self) -> bool {
        match &self.0.kind {
            ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Buffer => true,
            ErrorKind::Broker(code) => code.is_retriable(),
            ErrorKind::Config
            | ErrorKind::Auth
            | ErrorKind::Authorization(_)
            | ErrorKind::RecordTooLarge
            | ErrorKind::Fenced
            | ErrorKind::Closed
            | ErrorKind::Unsupported { .. }
            | ErrorKind::Offset
            | ErrorKind::Corrupt
            | ErrorKind::Handler
            | ErrorKind::Serialization
            | ErrorKind::Protocol => false,
        }
    }

    /// Whether the value that returned this error will never succeed again and should be dropped.
    ///
    /// Without authorization only the call fails: the value may do other things, and rights can be given at any time.
    pub fn is_fatal(&self) -> bool {
        match &self.0.kind {
            ErrorKind::Auth
            | ErrorKind::Fenced
            | ErrorKind::Closed
            | ErrorKind::Unsupported { .. } => true,
            ErrorKind::Config
            | ErrorKind::Authorization(_)
            | ErrorKind::Network
            | ErrorKind::Timeout
            | ErrorKind::Broker(_)
            | ErrorKind::RecordTooLarge
            | ErrorKind::Buffer
            | ErrorKind::Offset
            | ErrorKind::Corrupt
            | ErrorKind::Serialization
            | ErrorKind::Handler
            | ErrorKind::Protocol => false,
        }
    }

    /// Whether the records this error is about may be in the log.
    pub fn possibly_written(&self) -> Written {
        self.0.written
    }

    /// The partition this error is about, if it is about one.
    pub fn topic_partition(&self) -> Option<&TopicPartition> {
        self.0.topic_partition.as_ref()
    }

    /// The offset this error is about, if it is about one (a corrupt batch, a position).
    pub fn offset(&self) -> Option<i64> {
        self.0.offset
    }

    /// The record whose delivery failed: to be produced again, or put elsewhere.
    ///
    /// `None` for errors that are not about a record, and for a record that was refused before it was
    /// copied into a batch: the caller still has that one. The first call for any record of a batch
    /// reads the whole batch.
    pub fn record(&self) -> Option<&OwnedRecord> {
        let (batch, index) = self.0.record.as_ref()?;
        batch.record(*index)
    }

    /// The broker's code, if a broker refused.
    pub fn code(&self) -> Option<ErrorCode> {
        if let ErrorKind::Broker(code) | ErrorKind::Authorization(code) = self.0.kind {
            Some(code)
        } else {
            None
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = &*self.0;
        f.write_str(&body.message)?;
        if let ErrorKind::Broker(code) | ErrorKind::Authorization(code) = &body.kind {
            write!(f, " ({code:?})")?;
        }
        if let Some(place) = &body.topic_partition {
            write!(f, " [{place}")?;
            if let Some(offset) = body.offset {
                write!(f, " at offset {offset}")?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("written", &self.0.written)
            .field("topic_partition", &self.0.topic_partition)
            .field("offset", &self.0.offset)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
