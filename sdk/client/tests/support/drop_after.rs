//! A future that is dropped at one of its awaits.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

/// Far longer than anything that is dropped takes.
const LONG: Duration = Duration::from_secs(60);

/// Polls a future so many times, each time when it asked for it, and drops it then.
pub(crate) async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    let dropped = poll_fn(|context| {
        if left > 0 {
            left -= 1;
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
        }
        if left == 0 {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    });
    timeout(LONG, dropped).await.expect("it goes on")
}
