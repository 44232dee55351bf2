//! The simulated world: that it is deterministic, that its disk forgets and fails as asked, and that what the shards
//! say to each other arrives.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may"
)]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use highwater_reactor::local::{Notify, Queue, join_all, oneshot};
use highwater_reactor::sim::{Crash, Operation, World};
use highwater_reactor::{Exchange, Gone, Instant, OpenOptions, Reactor, ShardId};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn root() -> &'static Path {
    Path::new("/")
}

/// Two shards, files, sockets, timers and calls, all at once; what came out, in order.
fn a_busy_life(seed: u64) -> (u64, Vec<u64>) {
    let world = World::with_shards(seed, 2);
    let exchange = Exchange::<u64, u64>::new(2, 2);
    let seen = Rc::new(RefCell::new(Vec::new()));
    for number in 0..2 {
        let reactor = world.shard(number);
        let post = exchange.clone().bind(&reactor);
        let (seen, server) = (Rc::clone(&seen), reactor.clone());
        reactor
            .spawn(async move {
                while let Ok(call) = post.next().await {
                    seen.borrow_mut().push(call.request);
                    let pause = Duration::from_micros(server.random_u64() % 100);
                    server.sleep(pause).await;
                    call.reply.send(call.request + 1);
                    let next = ShardId::new(1 - server.shard().get());
                    if call.request < 50 {
                        let onward = post.call(next, call.request + 1);
                        server
                            .spawn(async move { onward.await.unwrap_or(0) })
                            .detach();
                    }
                }
            })
            .detach();
    }
    let reactor = world.shard(0);
    let outside = exchange.outside();
    world.run(async {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let client = reactor.connect(listener.local_addr()).await.unwrap();
        let server = reactor.adopt(listener.accept().await.unwrap().0).unwrap();
        let sending = reactor.spawn(async move {
            for n in 0..200_u8 {
                server.send_all(&[&[n; 1000]]).await.unwrap();
            }
        });
        outside.post(ShardId::ZERO, 0).unwrap();
        let mut received = BytesMut::new();
        while received.len() < 200_000 {
            let count = client.recv(&mut received, 4096).await.unwrap();
            seen.borrow_mut().push(count as u64);
        }
        sending.await;
        reactor.sleep(Duration::from_secs(1)).await;
    });
    let seen = seen.take();
    (world.trace(), seen)
}

#[test]
fn equal_seeds_live_equal_lives() {
    for seed in 0..20 {
        assert_eq!(a_busy_life(seed), a_busy_life(seed), "seed {seed}");
    }
    assert_ne!(a_busy_life(1), a_busy_life(2));
}

#[test]
fn time_jumps_to_the_next_timer() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let before = reactor.unix_ms();
    world.run(async {
        let week = Duration::from_secs(7 * 24 * 3600);
        reactor.sleep(week).await;
        assert!(reactor.now() >= Instant::ZERO + week);
        assert!(reactor.now() < Instant::ZERO + week + Duration::from_secs(1));
        assert_eq!(
            reactor.timeout(week, std::future::pending::<()>()).await,
            None
        );
    });
    assert_eq!((reactor.unix_ms() - before) / 1000, 14 * 24 * 3600);
    world.set_unix_ms(0);
    assert_eq!(reactor.unix_ms(), 0);
}

#[test]
#[should_panic(expected = "everything sleeps for ever")]
fn a_deadlock_is_named() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let never = Notify::new();
    let waiting = never.notified();
    world.run(reactor.spawn(waiting));
}

#[test]
fn a_dropped_task_is_cancelled_and_a_detached_one_is_not() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let done = Rc::new(RefCell::new(Vec::new()));
    world.run(async {
        let work = |name: &'static str| {
            let (reactor, done) = (reactor.clone(), Rc::clone(&done));
            async move {
                reactor.sleep(Duration::from_millis(1)).await;
                done.borrow_mut().push(name);
            }
        };
        drop(reactor.spawn(work("dropped")));
        reactor.spawn(work("detached")).detach();
        reactor.sleep(Duration::from_millis(10)).await;
    });
    assert_eq!(done.take(), ["detached"]);
}

fn file_with(world: &World, synced: &[u8], unsynced: &[u8]) -> Reactor {
    let reactor = world.shard(0);
    world.run(async {
        let file = reactor
            .open("/file".as_ref(), OpenOptions::CREATE_NEW)
            .unwrap();
        file.append_at(0, &[synced]).unwrap();
        reactor.sync_data(&file).await.unwrap();
        reactor.sync_dir(root()).await.unwrap();
        if !unsynced.is_empty() {
            file.append_at(synced.len() as u64, &[unsynced]).unwrap();
        }
    });
    reactor
}

fn content(reactor: &Reactor) -> Vec<u8> {
    reactor.read_all("/file".as_ref(), 1 << 30).unwrap()
}

#[test]
fn a_power_cut_leaves_what_was_synced() {
    let world = World::new(7);
    let reactor = file_with(&world, b"synced", b" and not");
    assert_eq!(content(&reactor), b"synced and not");
    assert_eq!(world.disk().durable("/file".as_ref()).unwrap(), b"synced");
    world.restart();
    assert_eq!(content(&reactor), b"synced and not");
    world.crash(Crash::LoseUnsynced);
    assert_eq!(content(&reactor), b"synced");
}

#[test]
fn a_torn_write_is_cut_at_the_byte_asked_for() {
    for kept_bytes in 0..9 {
        for length_kept in [false, true] {
            let world = World::new(7);
            let reactor = file_with(&world, b"synced", b" and not");
            world.crash(Crash::Torn {
                kept_bytes,
                length_kept,
            });
            let kept = kept_bytes.min(8) as usize;
            let mut expected = b"synced and not"[..6 + kept].to_vec();
            if length_kept {
                expected.resize(14, 0);
            }
            assert_eq!(content(&reactor), expected);
        }
    }
}

#[test]
fn random_survivors_never_touch_what_was_synced() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let world = World::new(seed);
        let reactor = file_with(&world, &[1; 5000], &[2; 20_000]);
        world.crash(Crash::KeepRandom);
        let content = content(&reactor);
        assert!(content[..5000].iter().all(|byte| *byte == 1));
        assert!(content[5000..].iter().all(|byte| matches!(byte, 0 | 2)));
        outcomes.insert(content);
    }
    assert!(
        outcomes.len() > 20,
        "only {} different outcomes",
        outcomes.len()
    );
}

#[test]
fn names_are_durable_only_with_their_directory() {
    let world = World::new(7);
    let reactor = world.shard(0);
    world.run(async {
        reactor.create_dir_all("/a/b".as_ref()).unwrap();
        reactor.sync_dir(root()).await.unwrap();
        reactor.sync_dir("/a".as_ref()).await.unwrap();
        for name in ["/a/b/old", "/a/b/gone"] {
            let file = reactor
                .open(name.as_ref(), OpenOptions::CREATE_NEW)
                .unwrap();
            file.append_at(0, &[name.as_bytes()]).unwrap();
            reactor.sync_data(&file).await.unwrap();
        }
        reactor.sync_dir("/a/b".as_ref()).await.unwrap();
        reactor
            .rename("/a/b/old".as_ref(), "/a/b/new".as_ref())
            .unwrap();
        reactor.remove_file("/a/b/gone".as_ref()).unwrap();
        reactor.create_dir("/a/c".as_ref()).unwrap();
    });
    let names = || -> Vec<_> {
        reactor
            .list("/a/b".as_ref())
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    };
    assert_eq!(names(), ["new"]);
    world.crash(Crash::LoseUnsynced);
    assert_eq!(names(), ["gone", "old"]);
    assert!(!reactor.exists("/a/c".as_ref()).unwrap());
    assert_eq!(
        reactor.read_all("/a/b/old".as_ref(), 100).unwrap(),
        b"/a/b/old"
    );
    world.run(async {
        reactor
            .rename("/a/b/old".as_ref(), "/a/b/gone".as_ref())
            .unwrap();
        reactor.sync_dir("/a/b".as_ref()).await.unwrap();
    });
    world.crash(Crash::LoseUnsynced);
    assert_eq!(names(), ["gone"]);
    assert_eq!(
        reactor.read_all("/a/b/gone".as_ref(), 100).unwrap(),
        b"/a/b/old"
    );
}

#[test]
fn write_atomic_leaves_the_old_or_the_new_whole() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let world = World::new(seed);
        let reactor = world.shard(0);
        let path = Path::new("/checkpoint");
        world
            .run(reactor.write_atomic(path, b"the old content"))
            .unwrap();
        let writer = reactor.clone();
        let writing = reactor.spawn(async move {
            let _ = writer
                .write_atomic(Path::new("/checkpoint"), b"the new")
                .await;
        });
        world.run(async {
            reactor
                .sleep(Duration::from_micros(reactor.random_u64() % 5000))
                .await;
        });
        world.crash(Crash::KeepRandom);
        drop(writing);
        let content = reactor.read_all(path, 100).unwrap();
        assert!(
            matches!(&content[..], b"the old content" | b"the new"),
            "{content:?}"
        );
        seen.insert(content);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn faults_come_at_the_operation_asked_for_and_once() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let disk = world.disk();
    let error = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    world.run(async {
        let file = reactor
            .open("/file".as_ref(), OpenOptions::CREATE_NEW)
            .unwrap();
        disk.fail(Operation::Write, 2, libc_errno::EIO);
        file.append_at(0, &[b"first"]).unwrap();
        assert_eq!(
            error(file.append_at(5, &[b"second"])),
            Some(libc_errno::EIO)
        );
        file.append_at(5, &[b"third"]).unwrap();
        disk.fail_write_after(1, 3, libc_errno::ENOSPC);
        assert_eq!(
            error(file.append_at(10, &[b"fou", b"rth"])),
            Some(libc_errno::ENOSPC)
        );
        assert_eq!(content(&reactor), b"firstthirdfou");
        disk.fail(Operation::Sync, 1, libc_errno::EIO);
        assert_eq!(error(reactor.sync_data(&file).await), Some(libc_errno::EIO));
        file.append_at(13, &[b"!"]).unwrap();
        reactor.sync_data(&file).await.unwrap();
        disk.fail(Operation::Rename, 1, libc_errno::EIO);
        let rename = || reactor.rename("/file".as_ref(), "/other".as_ref());
        assert_eq!(error(rename()), Some(libc_errno::EIO));
        disk.fail_from(Operation::Create, 1, libc_errno::EMFILE);
        for _ in 0..2 {
            assert!(reactor.open("/new".as_ref(), OpenOptions::CREATE).is_err());
        }
        disk.heal();
        reactor.open("/new".as_ref(), OpenOptions::CREATE).unwrap();
        reactor.sync_dir(root()).await.unwrap();
    });
    world.crash(Crash::LoseUnsynced);
    assert_eq!(
        content(&reactor),
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0!",
        "the failed sync has lost the rest"
    );
}

mod libc_errno {
    pub(crate) const EIO: i32 = 5;
    pub(crate) const EMFILE: i32 = 24;
    pub(crate) const ENOSPC: i32 = 28;
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let world = World::new(7);
    let reactor = world.shard(0);
    world.disk().set_capacity(Some(100));
    let file = reactor
        .open("/file".as_ref(), OpenOptions::CREATE_NEW)
        .unwrap();
    file.allocate(60).unwrap();
    assert_eq!(world.disk().used(), 60);
    let other = reactor
        .open("/other".as_ref(), OpenOptions::CREATE_NEW)
        .unwrap();
    let full = other.append_at(0, &[&[1; 50]]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(other.len().unwrap(), 40);
    file.append_at(0, &[&[1; 60]]).unwrap();
    assert!(file.append_at(60, &[&[1]]).is_err());
    reactor.remove_file("/other".as_ref()).unwrap();
    assert!(file.append_at(60, &[&[1]]).is_err(), "it is still open");
    drop(other);
    file.append_at(60, &[&[1; 40]]).unwrap();
    assert_eq!(world.disk().used(), 100);
}

#[test]
fn a_file_opened_before_a_crash_is_of_no_use_after_it() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let file = reactor
        .open("/file".as_ref(), OpenOptions::CREATE_NEW)
        .unwrap();
    world.restart();
    assert!(file.append_at(0, &[b"late"]).is_err());
    assert_eq!(content(&reactor), b"");
}

#[test]
fn a_crash_ends_tasks_and_connections() {
    let world = World::new(7);
    let reactor = world.shard(0);
    let alive = Rc::new(());
    let listener = reactor.listen(ANY_PORT).unwrap();
    let address = listener.local_addr();
    let (task, waiting) = (reactor.clone(), Rc::clone(&alive));
    reactor
        .spawn(async move {
            let _socket = task.connect(address).await.unwrap();
            std::future::pending::<()>().await;
            drop(waiting);
        })
        .detach();
    world.run(listener.accept()).unwrap();
    world.crash(Crash::LoseUnsynced);
    assert_eq!(Rc::strong_count(&alive), 1);
    reactor.listen(address).unwrap();
}

#[test]
fn connections_carry_bytes_in_order_and_say_when_they_end() {
    for seed in 0..50 {
        let world = World::with_shards(seed, 2);
        let (here, there) = (world.shard(0), world.shard(1));
        world.run(async {
            let listener = here.listen(ANY_PORT).unwrap();
            let file = there.open("/file".as_ref(), OpenOptions::CREATE).unwrap();
            file.append_at(0, &[&[9; 100_000]]).unwrap();
            let address = listener.local_addr();
            let client = there.clone();
            let sending = there.spawn(async move {
                let socket = client.connect(address).await.unwrap();
                socket
                    .send_all(&[b"head", b"", &[7; 150_000]])
                    .await
                    .unwrap();
                socket.send_file(&file, 50_000, 50_000).await.unwrap();
            });
            let (socket, peer) = listener.accept().await.unwrap();
            let socket = here.adopt(socket).unwrap();
            assert_eq!(socket.peer_addr(), peer);
            let mut received = BytesMut::new();
            while socket.recv(&mut received, 10_000).await.unwrap() > 0 {}
            sending.await;
            assert_eq!(&received[..4], b"head");
            assert!(received[4..150_004].iter().all(|byte| *byte == 7));
            assert!(received[150_004..].iter().all(|byte| *byte == 9));
            assert_eq!(received.len(), 200_004);
            assert!(socket.send_all(&[b"too late"]).await.is_err());
        });
        assert!(here_refuses(&world));
    }
}

fn here_refuses(world: &World) -> bool {
    let reactor = world.shard(0);
    let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
    let error = world.run(reactor.connect(nobody)).unwrap_err();
    error.kind() == std::io::ErrorKind::ConnectionRefused
}

#[test]
fn an_accept_can_fail_and_loses_no_connection() {
    let world = World::new(7);
    let reactor = world.shard(0);
    world.run(async {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let _client = reactor.connect(listener.local_addr()).await.unwrap();
        world.net().fail_accept(1, libc_errno::EMFILE);
        let error = listener.accept().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc_errno::EMFILE));
        listener.accept().await.unwrap();
    });
}

#[test]
fn calls_between_shards_keep_their_order_and_their_answers() {
    for seed in 0..50 {
        let world = World::with_shards(seed, 3);
        let exchange = Exchange::<(u16, u32), u32>::new(3, 2);
        let posts: Vec<_> = (0..3)
            .map(|number| exchange.clone().bind(&world.shard(number)))
            .collect();
        for number in 0..3 {
            let (post, reactor) = (posts[usize::from(number)].clone(), world.shard(number));
            reactor
                .clone()
                .spawn(async move {
                    let mut last = [None; 3];
                    while let Ok(call) = post.next().await {
                        let (from, n) = call.request;
                        assert_eq!(call.from, Some(ShardId::new(from)));
                        let before = last[usize::from(from)].replace(n);
                        assert!(before < Some(n), "{n} after {before:?}");
                        let clock = reactor.clone();
                        let answering = async move {
                            clock
                                .sleep(Duration::from_micros(clock.random_u64() % 50))
                                .await;
                            call.reply.send(n * 2);
                        };
                        reactor.spawn(answering).detach();
                    }
                })
                .detach();
        }
        world.run(async {
            let calls = (0..300).map(|n| {
                let from = (n % 3) as u16;
                let to = ShardId::new((n / 3 % 3) as u16);
                let call = posts[usize::from(from)].call(to, (from, n));
                async move { (n, call.await) }
            });
            for (n, answer) in join_all(calls.collect::<Vec<_>>()).await {
                assert_eq!(answer, Ok(n * 2));
            }
        });
    }
}

#[test]
fn a_dropped_call_leaves_nothing_behind_and_a_dropped_reply_is_gone() {
    let world = World::with_shards(7, 2);
    let exchange = Exchange::<Rc2, Rc2>::new(2, 1);
    let here = exchange.clone().bind(&world.shard(0));
    let there = exchange.bind(&world.shard(1));
    let counted = std::sync::Arc::new(());
    let request = || Rc2(std::sync::Arc::clone(&counted));
    world.run(async {
        let one = ShardId::new(1);
        let calls: Vec<_> = (0..5).map(|_| here.call(one, request())).collect();
        assert_eq!(std::sync::Arc::strong_count(&counted), 6);
        drop(calls);
        // The one that had left can no longer be taken back.
        assert_eq!(std::sync::Arc::strong_count(&counted), 2);
        let call = there.next().await.unwrap();
        call.reply.send(call.request);
        let answer = here.call(one, request());
        drop(there.next().await.unwrap().reply);
        assert_eq!(answer.await.map(|_| ()), Err(Gone));
        assert_eq!(std::sync::Arc::strong_count(&counted), 1);
        let late = here.call(one, request());
        drop(there);
        assert_eq!(late.await.map(|_| ()), Err(Gone));
        assert_eq!(here.call(one, request()).await.map(|_| ()), Err(Gone));
    });
    assert_eq!(std::sync::Arc::strong_count(&counted), 1);
}

/// A request whose life can be counted from outside.
#[derive(Debug)]
struct Rc2(#[expect(dead_code, reason = "only its count matters")] std::sync::Arc<()>);

#[test]
fn a_queue_hands_everything_on_in_order_however_the_tasks_take_turns() {
    for seed in 0..50 {
        let world = World::new(seed);
        let reactor = world.shard(0);
        let queue = Queue::new(3);
        let producer = queue.clone();
        reactor
            .spawn(async move {
                for n in 0..100 {
                    producer.push(n).await.unwrap();
                }
                producer.close();
                assert_eq!(producer.push(0).await, Err(0));
            })
            .detach();
        world.run(async {
            let mut expected = 0;
            while let Some(n) = queue.pop().await {
                assert_eq!(n, expected);
                expected += 1;
            }
            assert_eq!(expected, 100);
        });
    }
}

#[test]
fn blocking_work_is_done_and_a_oneshot_tells_when_its_sender_is_gone() {
    let world = World::new(7);
    let reactor = world.shard(0);
    world.run(async {
        assert_eq!(reactor.unblock(|| 5).await, 5);
        let (sender, receiver) = oneshot::channel::<u32>();
        drop(sender);
        assert_eq!(receiver.await, Err(oneshot::Closed));
        let (sender, receiver) = oneshot::channel::<u32>();
        drop(receiver);
        assert_eq!(sender.send(1), Err(1));
    });
}
