//! That nothing keeps a descriptor it should have given back, and what happens when there is none left. The tests
//! count the descriptors of the whole process, so they take turns.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use highwater_reactor::local::join_all;
use highwater_reactor::{OpenOptions, Options, Reactor, run};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `EMFILE` on every Linux.
const NO_DESCRIPTOR_LEFT: i32 = 24;

static TURNS: Mutex<()> = Mutex::new(());

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn on_a_shard<F>(main: impl Fn(Reactor) -> F + Send + Clone + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let options = Options {
        shards: 1,
        pin: false,
        ..Options::default()
    };
    run(options, main).unwrap().join().unwrap();
}

#[test]
fn a_connection_leaves_no_descriptor_however_it_ends() {
    let _turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    on_a_shard(|reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let before = descriptors();
        for way in 0..300 {
            let client = reactor.connect(listener.local_addr()).await.unwrap();
            let (detached, _) = listener.accept().await.unwrap();
            if way % 5 == 0 {
                continue;
            }
            let server = reactor.adopt(detached).unwrap();
            let reader = server.clone();
            let reading = reactor.spawn(async move {
                let _ = reader.recv(&mut BytesMut::new(), 10).await;
            });
            match way % 5 {
                1 => reactor.yield_now().await,
                2 => client.send_all(&[b"bye"]).await.unwrap(),
                3 => server.shutdown(),
                _ => drop(reading),
            }
        }
        while descriptors() > before {
            reactor.yield_now().await;
        }
    });
}

#[test]
fn a_world_that_ends_keeps_at_most_what_glommio_keeps() {
    let _turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let live = || {
        let path = path.clone();
        on_a_shard(move |reactor| {
            let path = path.clone();
            async move {
                let listener = reactor.listen(ANY_PORT).unwrap();
                let file = reactor.open(&path, OpenOptions::CREATE).unwrap();
                reactor.sync_data(&file).await.unwrap();
                reactor.unblock(|| ()).await;
                // Left behind in all kinds of waits, each of which holds descriptors.
                let client = reactor.connect(listener.local_addr()).await.unwrap();
                let server = listener.accept().await.unwrap().0;
                let server = reactor.adopt(server).unwrap();
                let clock = reactor.clone();
                reactor
                    .spawn(async move {
                        let _held = (server, file);
                        clock.sleep(std::time::Duration::MAX).await;
                    })
                    .detach();
                reactor
                    .spawn(async move {
                        let _ = client.recv(&mut BytesMut::new(), 10).await;
                    })
                    .detach();
                reactor
                    .spawn(async move {
                        let _ = listener.accept().await;
                    })
                    .detach();
                reactor.yield_now().await;
            }
        });
    };
    live();
    let before = descriptors();
    for _ in 0..20 {
        live();
    }
    // glommio 0.9 leaks one eventfd per executor.
    assert!(
        descriptors() <= before + 20,
        "{} of {before}",
        descriptors()
    );
}

#[test]
fn accepting_without_a_descriptor_left_is_an_error_that_passes() {
    let _turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    on_a_shard(|reactor| async move {
        let listener = reactor.listen(ANY_PORT).unwrap();
        let connecting: Vec<_> = (0..3)
            .map(|_| reactor.connect(listener.local_addr()))
            .collect();
        let clients: Vec<_> = join_all(connecting)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        for _ in 0..3 {
            let error = listener.accept().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(NO_DESCRIPTOR_LEFT));
        }
        // Work on what is there goes on.
        clients[0].send_all(&[b"still here"]).await.unwrap();
        hoard.truncate(hoard.len() - 10);
        for _ in 0..3 {
            let (socket, _) = listener.accept().await.unwrap();
            drop(reactor.adopt(socket).unwrap());
        }
        drop(hoard);
    });
}
