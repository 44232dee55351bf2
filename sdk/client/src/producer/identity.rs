//! The producer's id and epoch, asked for once and bumped when a partition's sequences went wrong.

use std::sync::{Mutex, PoisonError};

use highwater_wire::ErrorCode;
use highwater_wire::message::{InitProducerIdRequest, InitProducerIdResponse};
use tokio::time::sleep;

use crate::client;
use crate::core::producer::queue::Identity;
use crate::error::{Error, Result};

#[derive(Debug, Default)]
pub(crate) struct Identities {
    current: Mutex<Option<Identity>>,
    /// Held by the one who asks a broker.
    asking: tokio::sync::Mutex<()>,
}

impl Identities {
    pub(crate) fn current(&self) -> Option<Identity> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves `old` behind, unless somebody already did: by the next epoch, which an idempotent
    /// producer may choose itself, or by asking for a new id when there is none.
    pub(crate) fn bump(&self, old: Identity) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == Some(old) {
            let epoch = old.epoch.checked_add(1).filter(|epoch| *epoch < i16::MAX);
            *current = epoch.map(|epoch| Identity { epoch, ..old });
        }
    }

    /// Asks a broker for an id until it gives one. Cancel-safe.
    ///
    /// # Errors
    ///
    /// A refusal that does not pass.
    pub(crate) async fn obtain(&self, client: &client::Shared) -> Result<()> {
        let _one = self.asking.lock().await;
        let mut failures = 0;
        while self.current().is_none() {
            match ask(client).await {
                Ok(identity) => {
                    *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
                }
                Err(error) if error.is_retriable() => {
                    tracing::debug!(%error, "no producer id yet");
                    failures += 1;
                    sleep(client.retry_backoff().pause(failures, client.random())).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn ask(client: &client::Shared) -> Result<Identity> {
    let request = InitProducerIdRequest {
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let reply = client.call_any(&request).await?;
    let answer: InitProducerIdResponse = reply.decode()?;
    let code = ErrorCode::from_id(answer.error_code);
    if code.is_error() {
        return Err(Error::broker(code, None));
    }
    Ok(Identity {
        id: answer.producer_id,
        epoch: answer.producer_epoch,
    })
}
