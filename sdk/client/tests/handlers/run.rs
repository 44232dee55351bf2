//! A run that can be ended in different ways.

use std::sync::Arc;

use highwater::GroupHandler;
use highwater::handler::GroupBuilder;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::LONG;

/// A run that can be stopped, or killed.
pub(crate) struct Run {
    pub(crate) stop: Arc<Notify>,
    pub(crate) task: JoinHandle<highwater::Result<()>>,
}

impl Run {
    pub(crate) fn of(group: GroupBuilder, handler: impl GroupHandler) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let run = async move { group.run_until(handler, stopped.notified()).await };
        let task = tokio::spawn(run);
        Self { stop, task }
    }

    pub(crate) async fn end(self) -> highwater::Result<()> {
        timeout(LONG, self.task)
            .await
            .expect("the run ends")
            .unwrap()
    }

    pub(crate) async fn stop(self) -> highwater::Result<()> {
        self.stop.notify_one();
        self.end().await
    }

    /// As if the process died, but for its goodbye.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Runs what `run` makes of a shutdown.
pub(crate) fn spawn<R>(run: impl FnOnce(Arc<Notify>) -> R) -> Run
where
    R: Future<Output = highwater::Result<()>> + Send + 'static,
{
    let stop = Arc::new(Notify::new());
    let task = tokio::spawn(run(Arc::clone(&stop)));
    Run { stop, task }
}
