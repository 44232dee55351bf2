//! Whatever a shard of the production world waits for, in whatever mixture, wakes it.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may"
)]

use std::cell::Cell;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use highwater_reactor::local::{join, join_all};
use highwater_reactor::{Exchange, Gone, OpenOptions, Options, Reactor, ShardId, run};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn on_shards<F>(shards: u16, main: impl Fn(Reactor) -> F + Send + Clone + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let options = Options {
        shards,
        pin: false,
        ..Options::default()
    };
    run(options, main).unwrap().join().unwrap();
}

/// Appends and syncs `count` times.
async fn keep_syncing(reactor: Reactor, path: std::path::PathBuf, count: u64) {
    let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
    for n in 0..count {
        file.append_at(n * 1000, &[&[7; 1000]]).unwrap();
        reactor.sync_data(&file).await.unwrap();
    }
}

#[test]
fn syncs_timers_sockets_calls_and_blocking_work_all_get_on_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let exchange = Exchange::<u32, u32>::new(2, 4);
    on_shards(2, move |reactor| {
        let (path, exchange) = (path.clone(), exchange.clone());
        async move {
            let post = exchange.bind(&reactor);
            let me = reactor.shard().get();
            let server = post.clone();
            let serving = reactor.spawn(async move {
                while let Ok(call) = server.next().await {
                    call.reply.send(call.request + 1);
                }
            });
            let syncing = join_all(
                (0..4).map(|n| keep_syncing(reactor.clone(), path.join(format!("{me}-{n}")), 20)),
            );
            let calling = async {
                for n in 0..200 {
                    // The other shard is gone when it was done first.
                    let answer = post.call(ShardId::new(n as u16 % 2), n).await;
                    assert!(answer == Ok(n + 1) || (answer == Err(Gone) && n as u16 % 2 != me));
                }
            };
            let sleeping = async {
                for _ in 0..20 {
                    reactor.sleep(Duration::from_micros(300)).await;
                }
            };
            let blocking = async {
                for n in 0..50 {
                    assert_eq!(reactor.unblock(move || n).await, n);
                }
            };
            let talking = async {
                let listener = reactor.listen(ANY_PORT).unwrap();
                let client = reactor.connect(listener.local_addr()).await.unwrap();
                let server = reactor.adopt(listener.accept().await.unwrap().0).unwrap();
                let mut bytes = BytesMut::new();
                for _ in 0..200 {
                    client.send_all(&[b"ping"]).await.unwrap();
                    server.recv(&mut bytes, 100).await.unwrap();
                    server.send_all(&[&bytes.split()]).await.unwrap();
                    client.recv(&mut bytes, 100).await.unwrap();
                    bytes.clear();
                }
            };
            join(
                join(syncing, calling),
                join(sleeping, join(blocking, talking)),
            )
            .await;
            drop(serving);
        }
    });
}

#[test]
fn a_timer_is_heard_while_a_sync_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_shards(1, move |reactor| {
        let path = path.clone();
        async move {
            let enough = Rc::new(Cell::new(false));
            let (clock, ticked) = (reactor.clone(), Rc::clone(&enough));
            reactor
                .spawn(async move {
                    for _ in 0..20 {
                        clock.sleep(Duration::from_micros(200)).await;
                    }
                    ticked.set(true);
                })
                .detach();
            let mut round = 0;
            while !enough.get() {
                keep_syncing(reactor.clone(), path.clone(), 1 + round % 3).await;
                round += 1;
            }
        }
    });
}

#[test]
fn a_shard_that_never_sleeps_hears_of_its_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_shards(1, move |reactor| {
        let path = path.clone();
        async move {
            let busy = reactor.clone();
            let never_at_rest = reactor.spawn(async move {
                loop {
                    busy.yield_now().await;
                }
            });
            keep_syncing(reactor.clone(), path, 20).await;
            drop(never_at_rest);
        }
    });
}

#[test]
fn a_sync_that_nobody_waits_for_any_more_comes_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_shards(1, move |reactor| {
        let path = path.clone();
        async move {
            for _ in 0..20 {
                let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
                file.append_at(0, &[&[7; 10_000]]).unwrap();
                let syncing = reactor.sync_data(&file);
                assert!(reactor.timeout(Duration::ZERO, syncing).await.is_none());
            }
            // The last one is under way when the shard ends.
        }
    });
}

#[test]
fn a_shard_knows_when_somebody_last_waited_for_a_sync() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_shards(1, move |reactor| {
        let path = path.clone();
        async move {
            let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
            assert_eq!(reactor.last_sync(), None);
            let began = reactor.now();
            let mut syncing = pin!(reactor.sync_data(&file));
            poll_fn(|context| Poll::Ready(syncing.as_mut().poll(context).is_pending())).await;
            assert!(reactor.last_sync() >= Some(began), "one is under way");
            syncing.await.unwrap();
            let last = reactor.last_sync().unwrap();
            assert!((began..=reactor.now()).contains(&last));
            assert_eq!(reactor.last_sync(), Some(last), "and none any more");
        }
    });
}

#[test]
fn more_syncs_than_the_ring_takes_wait_in_line_and_each_is_told_how_it_went() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_shards(1, move |reactor| {
        let path = path.clone();
        async move {
            let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
            file.append_at(0, &[&[7; 10_000]]).unwrap();
            let device = Path::new("/dev/null");
            let no_file = reactor.open(device, OpenOptions::READ_WRITE).unwrap();
            for _ in 0..3 {
                let syncs = (0..400).map(|n| {
                    let file = if n % 4 == 0 { &no_file } else { &file };
                    reactor.sync_data(file)
                });
                for (n, outcome) in join_all(syncs).await.into_iter().enumerate() {
                    let number = outcome.err().and_then(|error| error.raw_os_error());
                    assert_eq!(number, (n % 4 == 0).then_some(libc::EINVAL));
                }
            }
        }
    });
}

#[test]
fn another_thread_can_wake_a_task() {
    on_shards(1, |reactor| async move {
        let flag = Arc::new(AtomicBool::new(false));
        let place: Arc<Mutex<Option<Waker>>> = Arc::default();
        for _ in 0..100 {
            flag.store(false, Ordering::SeqCst);
            let (set, waker) = (Arc::clone(&flag), Arc::clone(&place));
            let waking = std::thread::spawn(move || {
                loop {
                    if let Some(waker) = waker.lock().unwrap().take() {
                        set.store(true, Ordering::SeqCst);
                        return waker.wake();
                    }
                    std::thread::yield_now();
                }
            });
            let (set, waker) = (Arc::clone(&flag), Arc::clone(&place));
            let waiting = reactor.spawn(poll_fn(move |context| {
                if set.load(Ordering::SeqCst) {
                    return Poll::Ready(());
                }
                *waker.lock().unwrap() = Some(context.waker().clone());
                Poll::Pending
            }));
            waiting.await;
            waking.join().unwrap();
        }
    });
}

#[test]
fn a_message_wakes_a_shard_that_just_fell_asleep() {
    let exchange = Exchange::<u32, u32>::new(2, 2);
    on_shards(2, move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            if reactor.shard() == ShardId::ZERO {
                for n in 0..5_000 {
                    assert_eq!(post.call(ShardId::new(1), n).await, Ok(n));
                }
            } else {
                for _ in 0..5_000 {
                    let call = post.next().await.unwrap();
                    call.reply.send(call.request);
                }
            }
        }
    });
}
