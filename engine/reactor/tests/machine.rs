//! The production world, end to end: what every test here starts are real executors, sockets and files.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use bytes::BytesMut;
use highwater_reactor::{
    Exchange, File, Full, Gone, OpenOptions, Options, Reactor, ShardId, Socket, StartError, run,
};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn options(shards: u16) -> Options {
    Options {
        shards,
        pin: false,
        ..Options::default()
    }
}

/// Runs `main` on one shard and gives what it gave.
fn on_a_shard<T, F>(main: impl Fn(Reactor) -> F + Send + Clone + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let running = run(options(1), move |reactor| {
        let (sender, output) = (sender.clone(), main(reactor));
        async move { sender.send(output.await).unwrap() }
    })
    .unwrap();
    running.join().unwrap();
    receiver.recv().unwrap()
}

async fn echo(socket: Socket) -> std::io::Result<u64> {
    let (mut bytes, mut total) = (BytesMut::new(), 0);
    while socket.recv(&mut bytes, 64 << 10).await? > 0 {
        total += bytes.len() as u64;
        socket.send_all(&[&bytes.split()]).await?;
    }
    Ok(total)
}

#[test]
fn what_is_sent_comes_back() {
    let (address, addresses) = mpsc::channel();
    let running = run(options(1), move |reactor| {
        let address = address.clone();
        async move {
            let listener = reactor.listen(ANY_PORT).unwrap();
            address.send(listener.local_addr()).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let total = echo(reactor.adopt(socket).unwrap()).await.unwrap();
            assert_eq!(total, 3 << 20);
        }
    })
    .unwrap();
    let mut client = TcpStream::connect(addresses.recv().unwrap()).unwrap();
    let sent: Vec<u8> = (0..3 << 20).map(|i: u32| (i % 251) as u8).collect();
    let mut reader = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut received = Vec::new();
        reader.read_to_end(&mut received).unwrap();
        received
    });
    client.write_all(&sent).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(reading.join().unwrap() == sent, "the bytes differ");
    running.join().unwrap();
}

#[test]
fn what_is_large_is_gone_at_once_and_its_space_soon() {
    let dir = tempfile::tempdir().unwrap();
    let (path, folder) = (dir.path().join("large"), dir.path().join("folder"));
    let inside = folder.join("inside");
    let gone = (path.clone(), folder.clone());
    on_a_shard(move |reactor| {
        let (path, folder, inside) = (path.clone(), folder.clone(), inside.clone());
        async move {
            reactor.create_dir(&folder).unwrap();
            for file in [&path, &inside] {
                let file = reactor.open(file, OpenOptions::CREATE_NEW).unwrap();
                file.append_at(0, &[&vec![7; 2 << 20]]).unwrap();
            }
            reactor.remove_large_file(&path).await.unwrap();
            reactor.remove_large_dir(&folder).await.unwrap();
            let again = reactor.remove_large_file(&path).await;
            assert!(again.is_err(), "it is gone");
        }
    });
    assert!(!gone.0.exists() && !gone.1.exists());
    assert_eq!(held_in(dir.path()), 0, "a file is still held");
}

#[test]
fn whoever_has_a_large_file_open_reads_on_when_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, closed) = (dir.path().join("large"), dir.path().join("closed"));
    on_a_shard(move |reactor| {
        let (path, closed) = (path.clone(), closed.clone());
        async move {
            // Many steps, and a rest.
            let bytes: Vec<u8> = (0..(41 << 20) + 5).map(|at: u32| (at >> 8) as u8).collect();
            let whole = |file: &File| {
                let mut read = vec![0; bytes.len()];
                file.read_exact_at(0, &mut read).unwrap();
                assert!(read == bytes, "a byte is gone");
            };
            let make = |path: &Path| {
                let file = reactor.open(path, OpenOptions::CREATE_NEW).unwrap();
                file.append_at(0, &[&bytes]).unwrap();
                file
            };
            // One that was opened for itself, and one that shares the handle.
            drop(make(&path));
            let reader = reactor.open(&path, OpenOptions::READ).unwrap();
            reactor.remove_large_file(&path).await.unwrap();
            whole(&reader);
            let writer = make(&closed);
            let reader = writer.clone();
            reactor.remove_file(&closed).unwrap();
            reactor.close_large_file(writer).await;
            whole(&reader);
            // The last one gives the space back, and nobody is left.
            reactor.close_large_file(reader).await;
        }
    });
    assert_eq!(held_in(dir.path()), 0, "a file is still held");
}

#[test]
fn what_is_in_line_for_a_socket_is_sent_though_its_file_is_removed() {
    const LARGE: usize = (37 << 20) + 5;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let bytes: Vec<u8> = (0..LARGE).map(|at| (at >> 8) as u8 | 1).collect();
    // Around where a cut by so many steps from the end would be, and around a multiple of them.
    let ranges = [(33 << 20) - 60_000, (32 << 20) - 60_000].map(|from| from..from + 120_000);
    let (content, sent) = (bytes.clone(), ranges.clone());
    on_a_shard(move |reactor| {
        let (path, content, sent) = (path.clone(), content.clone(), sent.clone());
        async move {
            let file = reactor.open(&path, OpenOptions::CREATE_NEW).unwrap();
            file.append_at(0, &[&content]).unwrap();
            let socket = reactor.connect(address).await.unwrap();
            for range in sent {
                let (from, len) = (range.start as u64, range.len() as u64);
                socket.send_file(&file, from, len).await.unwrap();
            }
            drop(file);
            reactor.remove_large_file(&path).await.unwrap();
            socket.shutdown();
        }
    });
    // Nobody has read anything so far.
    let mut received = Vec::new();
    let (mut socket, _) = listener.accept().unwrap();
    socket.read_to_end(&mut received).unwrap();
    let expected = ranges.map(|range| &bytes[range]).concat();
    assert!(received == expected, "a byte has changed");
}

/// How many files of a directory are open, whether they have a name still or not.
fn held_in(dir: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(dir))
        .count()
}

#[test]
fn of_many_large_files_that_go_one_is_held_open_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    on_a_shard(move |reactor| {
        let path = path.clone();
        async move {
            let names: Vec<_> = (0..20).map(|name| path.join(name.to_string())).collect();
            for name in &names {
                let file = reactor.open(name, OpenOptions::CREATE_NEW).unwrap();
                file.append_at(0, &[&vec![7; 1 << 20]]).unwrap();
            }
            for name in names.clone() {
                let removing = reactor.clone();
                let removed = async move { removing.remove_large_file(&name).await.unwrap() };
                reactor.spawn(removed).detach();
            }
            while names.iter().any(|name| name.exists()) {
                assert!(held_in(&path) <= 1);
                reactor.yield_now().await;
            }
        }
    });
}

/// What a receiver that wishes for `worthwhile` bytes at once gets in its first receive, when the peer sends `parts` one
/// after the other and closes. The receiver waits before anything is sent.
fn first_receive(worthwhile: usize, parts: &'static [usize]) -> usize {
    on_a_shard(move |reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let client = reactor.connect(listener.local_addr()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let socket = reactor.adopt(socket).unwrap();
        let waiting = reactor.spawn(async move {
            let mut bytes = BytesMut::with_capacity(1 << 20);
            let receive = socket.recv_with(&mut bytes, 1 << 20, worthwhile, |_| ());
            receive.await.unwrap()
        });
        reactor.yield_now().await;
        for part in parts {
            client.send_all(&[&vec![7; *part]]).await.unwrap();
            reactor.yield_now().await;
        }
        client.shutdown();
        waiting.await
    })
}

#[test]
fn a_receive_that_wishes_for_much_is_not_woken_for_little() {
    assert_eq!(first_receive(100_000, &[60_000, 40_000]), 100_000);
}

#[test]
fn a_receive_that_wishes_for_more_than_comes_gets_what_came() {
    assert_eq!(first_receive(100_000, &[60_000]), 60_000);
    assert_eq!(first_receive(100_000, &[]), 0);
}

#[test]
fn what_was_too_little_for_one_receive_is_there_for_the_next() {
    let received = on_a_shard(|reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let client = reactor.connect(listener.local_addr()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let socket = reactor.adopt(socket).unwrap();
        let mut bytes = BytesMut::new();
        let much = socket.recv_with(&mut bytes, 1 << 20, 1 << 20, |into| into.reserve(1 << 20));
        let given_up = reactor.timeout(Duration::from_millis(1), much).await;
        assert!(given_up.is_none(), "nothing was sent");
        client.send_all(&[b"little"]).await.unwrap();
        socket.recv(&mut bytes, 100).await.unwrap();
        bytes
    });
    assert_eq!(&received[..], b"little");
}

#[test]
fn a_connection_can_be_served_by_another_shard_than_the_one_that_accepted_it() {
    let exchange = Exchange::new(2, 4);
    let running = run(options(2), move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            if reactor.shard() == ShardId::ZERO {
                let listener = reactor.listen(ANY_PORT).unwrap();
                let client = reactor.connect(listener.local_addr()).await.unwrap();
                let (socket, _) = listener.accept().await.unwrap();
                let serving = post.call(ShardId::new(1), socket);
                client.send_all(&[b"over ", b"there"]).await.unwrap();
                let mut answer = BytesMut::new();
                while answer.len() < 10 {
                    assert!(client.recv(&mut answer, 100).await.unwrap() > 0);
                }
                assert_eq!(&answer[..], b"over there");
                client.shutdown();
                assert_eq!(serving.await, Ok(10));
            } else {
                let call = post.next().await.unwrap();
                let total = echo(reactor.adopt(call.request).unwrap()).await.unwrap();
                call.reply.send(total);
            }
        }
    })
    .unwrap();
    running.join().unwrap();
}

#[test]
fn calls_arrive_in_order_through_a_queue_that_is_too_small() {
    let exchange = Exchange::<u32, u32>::new(2, 2);
    let running = run(options(2), move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            let other = ShardId::new(1 - reactor.shard().get());
            let server = {
                let post = post.clone();
                reactor.spawn(async move {
                    for expected in 0..1000 {
                        let call = post.next().await.unwrap();
                        assert_eq!(call.request, expected);
                        call.reply.send(expected + 1);
                    }
                })
            };
            let calls: Vec<_> = (0..1000).map(|n| post.call(other, n)).collect();
            for (n, call) in calls.into_iter().enumerate() {
                assert_eq!(call.await, Ok(n as u32 + 1));
            }
            server.await;
        }
    })
    .unwrap();
    running.join().unwrap();
}

#[test]
fn a_call_to_a_shard_that_stopped_is_answered_with_gone() {
    let exchange = Exchange::<(), ()>::new(2, 2);
    let running = run(options(2), move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            if reactor.shard() == ShardId::ZERO {
                for _ in 0..5 {
                    assert_eq!(post.call(ShardId::new(1), ()).await, Err(Gone));
                }
            } else {
                drop(post.next().await.unwrap().reply);
            }
        }
    })
    .unwrap();
    running.join().unwrap();
}

#[test]
fn a_thread_that_is_no_shard_can_post_to_one() {
    let exchange = Exchange::<u32, ()>::new(1, 2);
    let outside = exchange.outside();
    outside.post(ShardId::ZERO, 1).unwrap();
    let running = run(options(1), move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            let mut sum = 0;
            while sum < 6 {
                let call = post.next().await.unwrap();
                assert_eq!(call.from, None);
                sum += call.request;
            }
        }
    })
    .unwrap();
    for n in [2, 3] {
        let mut message = n;
        while let Err(Full::Full(back)) = outside.post(ShardId::ZERO, message) {
            message = back;
            std::thread::yield_now();
        }
    }
    running.join().unwrap();
    assert_eq!(outside.post(ShardId::ZERO, 4), Err(Full::Gone(4)));
}

#[test]
fn files_are_written_read_listed_renamed_and_synced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    on_a_shard(move |reactor| {
        let path = path.clone();
        async move {
            let first = path.join("first");
            let file = reactor.open(&first, OpenOptions::CREATE_NEW).unwrap();
            file.allocate(1 << 20).unwrap();
            file.append_at(0, &[b"abc", b"", b"def"]).unwrap();
            file.append_at(6, &[&[7; 100_000]]).unwrap();
            assert_eq!(file.len().unwrap(), 100_006);
            file.start_writeback(0, 100_006).unwrap();
            reactor.sync_data(&file).await.unwrap();
            let mut bytes = BytesMut::from(&b"x"[..]);
            assert_eq!(file.read_at_append(2, 5, &mut bytes).unwrap(), 5);
            assert_eq!(&bytes[..], b"xcdef\x07");
            assert_eq!(file.read_at_append(100_000, 50, &mut bytes).unwrap(), 6);
            file.set_len(6).unwrap();
            let second = path.join("second");
            reactor.rename(&first, &second).unwrap();
            reactor.sync_dir(&path).await.unwrap();
            reactor
                .write_atomic(&path.join("third"), b"whole")
                .await
                .unwrap();
            reactor.create_dir(&path.join("folder")).unwrap();
            let names: Vec<_> = reactor
                .list(&path)
                .unwrap()
                .into_iter()
                .map(|entry| (entry.name.into_string().unwrap(), entry.is_dir, entry.len))
                .collect();
            let expected = [
                ("folder", true, 0),
                ("second", false, 6),
                ("third", false, 5),
            ];
            assert_eq!(
                names,
                expected.map(|(name, is_dir, len)| (name.to_owned(), is_dir, len))
            );
            assert_eq!(reactor.read_all(&second, 6).unwrap(), b"abcdef");
            assert!(reactor.read_all(&second, 5).is_err());
            reactor.prefetch(&file, 0, 6).await.unwrap();
        }
    });
}

#[test]
fn a_file_is_sent_as_it_lies() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_a_shard(move |reactor| {
        let path = path.clone();
        async move {
            let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 249) as u8).collect();
            let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
            file.append_at(0, &[&content]).unwrap();
            let listener = reactor.listen(ANY_PORT).unwrap();
            let client = reactor.connect(listener.local_addr()).await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let socket = reactor.adopt(socket).unwrap();
            let sending = reactor.spawn(async move {
                socket.send_all_more(&[b"head"]).await.unwrap();
                socket.send_file(&file, 1000, 4_000_000).await.unwrap();
                socket
                    .send_file(&file, 4_999_999, 2)
                    .await
                    .unwrap_err()
                    .kind()
            });
            let mut received = BytesMut::new();
            while client.recv(&mut received, 256 << 10).await.unwrap() > 0 {}
            assert_eq!(sending.await, std::io::ErrorKind::UnexpectedEof);
            assert_eq!(&received[..4], b"head");
            assert!(
                received[4..4_000_004] == content[1000..4_001_000],
                "the bytes differ"
            );
            assert_eq!(&received[4_000_004..], &content[4_999_999..]);
        }
    });
}

#[test]
fn a_taken_port_is_an_error() {
    let taken = TcpListener::bind(ANY_PORT).unwrap();
    let address = taken.local_addr().unwrap();
    let kinds = on_a_shard(move |reactor| async move {
        let ours = reactor.listen(ANY_PORT).unwrap();
        let twice = reactor.listen(ours.local_addr()).unwrap_err().kind();
        (reactor.listen(address).unwrap_err().kind(), twice)
    });
    assert_eq!(
        kinds,
        (std::io::ErrorKind::AddrInUse, std::io::ErrorKind::AddrInUse)
    );
}

#[test]
fn a_refused_connection_is_an_error() {
    let kind = on_a_shard(|reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let address = listener.local_addr();
        drop(listener);
        reactor.connect(address).await.unwrap_err().kind()
    });
    assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn blocking_work_comes_back_and_so_does_its_panic() {
    on_a_shard(|reactor| async move {
        let works: Vec<_> = (0..600_u32)
            .map(|n| reactor.unblock(move || n * 2))
            .collect();
        let sum: u32 = highwater_reactor::local::join_all(works)
            .await
            .into_iter()
            .sum();
        assert_eq!(sum, 599 * 600);
    });
    let running = run(options(1), |reactor| async move {
        reactor.unblock(|| panic!("no such luck")).await
    })
    .unwrap();
    let panicked = running.join().unwrap_err();
    assert_eq!(panicked.to_string(), "shard 0 panicked: no such luck");
}

#[test]
fn a_panic_of_one_shard_is_reported_while_the_others_run() {
    let running = run(options(2), |reactor| async move {
        if reactor.shard() == ShardId::new(1) {
            panic!("one of us");
        }
        reactor.sleep(Duration::MAX).await;
    })
    .unwrap();
    let panicked = running.join().unwrap_err();
    assert_eq!(
        (panicked.shard, panicked.message.as_str()),
        (ShardId::new(1), "one of us")
    );
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let order = on_a_shard(|reactor| async move {
        let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let tasks: Vec<_> = [30, 10, 20, 0]
            .into_iter()
            .map(|ms| {
                let (reactor, order) = (reactor.clone(), order.clone());
                reactor.clone().spawn(async move {
                    reactor.sleep(Duration::from_millis(ms)).await;
                    order.borrow_mut().push(ms);
                })
            })
            .collect();
        highwater_reactor::local::join_all(tasks).await;
        assert_eq!(
            reactor
                .timeout(Duration::from_millis(1), std::future::pending::<()>())
                .await,
            None
        );
        assert_eq!(
            reactor.timeout(Duration::from_secs(100), async { 5 }).await,
            Some(5)
        );
        order.take()
    });
    assert_eq!(order, [0, 10, 20, 30]);
}

#[test]
fn a_shard_flooded_with_calls_still_has_time_for_its_timers() {
    let exchange = Exchange::<bool, ()>::new(2, 64);
    let running = run(options(2), move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            if reactor.shard() == ShardId::ZERO {
                let serving = {
                    let post = post.clone();
                    reactor.spawn(async move {
                        while let Ok(call) = post.next().await {
                            call.reply.send(());
                        }
                    })
                };
                for _ in 0..50 {
                    reactor.sleep(Duration::from_millis(1)).await;
                }
                drop(serving);
            } else {
                // Until the other is gone.
                loop {
                    let calls: Vec<_> = (0..256).map(|_| post.call(ShardId::ZERO, true)).collect();
                    for call in calls {
                        if call.await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    })
    .unwrap();
    running.join().unwrap();
}

#[test]
fn a_connection_that_never_rests_lets_the_others_have_their_turns() {
    on_a_shard(|reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let flood = reactor.connect(listener.local_addr()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let sink = reactor.adopt(socket).unwrap();
        let pouring =
            reactor.spawn(async move { while flood.send_all(&[&[0; 64 << 10]]).await.is_ok() {} });
        let draining = reactor.spawn(async move {
            let mut bytes = BytesMut::new();
            while let Ok(1..) = sink.recv(&mut bytes, 64 << 10).await {
                bytes.clear();
            }
        });
        for _ in 0..50 {
            reactor.sleep(Duration::from_millis(1)).await;
        }
        drop((pouring, draining));
    });
}

#[test]
fn a_shard_that_stands_still_is_counted() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let options = Options {
        stall_report_after: Duration::from_millis(600),
        ..options(1)
    };
    let running = run(options, move |_| {
        let released = std::sync::Arc::clone(&released);
        // Blocks its thread, as no shard should.
        async move { assert!(released.lock().unwrap().recv().is_err()) }
    })
    .unwrap();
    while running.stalls() == 0 {
        std::thread::yield_now();
    }
    drop(release);
    running.join().unwrap();
}

#[test]
fn many_worlds_live_in_one_process() {
    let worlds: Vec<_> = (0..4)
        .map(|_| {
            run(
                Options {
                    shards: 2,
                    ..Options::default()
                },
                |reactor| async move {
                    for _ in 0..20 {
                        reactor.sleep(Duration::from_millis(1)).await;
                        reactor.unblock(|| ()).await;
                    }
                },
            )
            .unwrap()
        })
        .collect();
    for world in worlds {
        world.join().unwrap();
    }
}

#[test]
fn what_a_shard_leaves_behind_is_dropped_when_it_ends() {
    let alive = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&alive);
    let running = run(options(1), move |reactor| {
        let held = std::sync::Arc::clone(&held);
        async move {
            let queue = highwater_reactor::local::Queue::<()>::new(1);
            // It waits for itself, for ever.
            let (own, held) = (queue.clone(), std::sync::Arc::clone(&held));
            reactor
                .spawn(async move {
                    let _held = held;
                    own.pop().await
                })
                .detach();
            reactor.yield_now().await;
        }
    })
    .unwrap();
    running.join().unwrap();
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

#[test]
fn a_core_that_cannot_be_had_is_no_reason_not_to_start() {
    let options = Options {
        shards: 1,
        cores: vec![100_000],
        ..Options::default()
    };
    let running = run(options, |reactor| async move { reactor.yield_now().await }).unwrap();
    running.join().unwrap();
}

#[test]
fn no_shards_is_a_refusal() {
    let refusal = run(options(0), |_| async {}).unwrap_err();
    assert!(matches!(refusal, StartError::NoShards));
}
