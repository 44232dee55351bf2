//! Several questions at once, each with an answer of its own. Knows nothing of what is asked.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Questions of one call that are under way at a time; the others wait for their turn.
const AT_ONCE_MAX: usize = 32;

/// What each of these comes to, in their order.
///
/// Cancel-safe as far as they are: dropping it drops them.
pub(super) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting = futures.into_iter().enumerate();
    let mut under_way: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut outputs: BTreeMap<usize, F::Output> = BTreeMap::new();
    poll_fn(|context| {
        loop {
            let room = AT_ONCE_MAX - under_way.len();
            under_way.extend(
                waiting
                    .by_ref()
                    .take(room)
                    .map(|(at, it)| (at, Box::pin(it))),
            );
            if under_way.is_empty() {
                return Poll::Ready(());
            }
            let before = under_way.len();
            under_way.retain_mut(|(at, future)| match future.as_mut().poll(context) {
                Poll::Ready(output) => {
                    outputs.insert(*at, output);
                    false
                }
                Poll::Pending => true,
            });
            if under_way.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    outputs.into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn all_are_under_way_together_up_to_a_limit_and_answers_keep_their_order() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let wait = async |rounds: usize| {
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            for _ in 0..rounds {
                yield_now().await;
            }
            now.set(now.get() - 1);
            rounds
        };
        let joined = join_all((0..100).rev().map(&wait).collect()).await;
        assert_eq!(joined, (0..100).rev().collect::<Vec<_>>());
        assert_eq!(most.get(), AT_ONCE_MAX);
        assert_eq!(join_all(vec![wait(0)]).await, [0]);
        let nothing = Vec::<std::future::Ready<()>>::new();
        assert!(join_all(nothing).await.is_empty());
    }
}
