//! A future whose panic is a value: what an application does wrong must not take a worker of many down with it.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// An application's code panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub(super) struct Panicked(String);

impl Panicked {
    fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "with something that is no text".to_owned()))
    }
}

/// Runs a future to its end, or to its panic; it is not polled after that.
pub(super) async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(Panicked::of(&*payload))),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_everything_else_is_passed_on() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        let told = caught(async { panic!("no {}", "way") }).await;
        assert_eq!(told.unwrap_err().to_string(), "panicked: no way");
        let told = caught(async {
            tokio::task::yield_now().await;
            panic!("later")
        });
        assert_eq!(told.await.unwrap_err(), Panicked("later".to_owned()));
    }
}
