//! A broker on a thread of its own, and the CPU time of this one.

use std::sync::mpsc;
use std::time::Duration;

use highwater::testing::FakeBroker;

/// A broker with the topic `null` of eight partitions; it counts records and keeps none.
pub(crate) fn null_cluster() -> FakeBroker {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let cluster = FakeBroker::start(1).await.unwrap();
            cluster.topic("null", 8);
            cluster.count_only();
            sender.send(cluster).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

/// CPU that this thread has used (`/proc/thread-self/schedstat`, first field: nanoseconds).
pub(crate) fn now() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
