//! What the seam costs, measured on this machine; the figures belong into `docs/decisions/0001-glommio-behind-a-seam.md`.
//!
//! ```text
//! cargo run --release -p highwater-reactor --example measure -- start | round-trip | call | sync DIR | timers | against ADDRESS PID
//! ```
//!
//! `round-trip` starts itself again as the server, so that the CPU time it reads is the server's alone; `against` loads
//! any other echo server in the same way.
#![allow(unsafe_code, reason = "one system call that std does not have")]
#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it measures real time"
)]

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use highwater_reactor::local::join_all;
use highwater_reactor::{Exchange, OpenOptions, Options, Reactor, ShardId, run};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["start"] => start(),
        ["round-trip"] => [(64, 100), (64, 64 << 10), (1, 100)]
            .into_iter()
            .try_for_each(|(connections, bytes)| round_trip(connections, bytes)),
        ["against", address, pid] => {
            let address = address.parse().map_err(io::Error::other)?;
            load(64, 100, address, pid.parse().map_err(io::Error::other)?);
            Ok(())
        }
        ["serve"] => serve(),
        ["call"] => call(),
        ["sync", directory] => sync(Path::new(directory)),
        ["timers"] => timers(),
        _ => Err(io::Error::other(
            "start, round-trip, call, sync DIR or timers?",
        )),
    }
}

fn on_core(core: usize) -> Options {
    Options {
        shards: 1,
        cores: vec![core],
        ..Options::default()
    }
}

/// Runs `main` on one shard and gives what it gave.
fn on_a_shard<T, F>(options: Options, main: impl Fn(Reactor) -> F + Send + Clone + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let running = run(options, move |reactor| {
        let (sender, output) = (sender.clone(), main(reactor));
        async move { sender.send(output.await).expect("somebody waits") }
    });
    running
        .expect("the shard starts")
        .join()
        .expect("the shard ends well");
    receiver.recv().expect("the shard has sent something")
}

/// A field of /proc/self/status in KiB.
fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.trim_matches([':', '\t', ' ', 'k', 'B']).parse().ok())
        .unwrap_or(0)
}

fn start() -> io::Result<()> {
    for shards in [1, 2, 4, 8] {
        let before = status_kib("VmRSS");
        let began = Instant::now();
        let (ready, readies) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(std::sync::Mutex::new(gone));
        let options = Options {
            shards,
            pin: false,
            ..Options::default()
        };
        let running = run(options, move |reactor| {
            let (ready, gone) = (ready.clone(), Arc::clone(&gone));
            async move {
                let _ = ready.send(());
                let wait = move || gone.lock().is_ok_and(|gone| gone.recv().is_err());
                reactor.unblock(wait).await;
            }
        })
        .map_err(io::Error::other)?;
        for _ in 0..shards {
            readies.recv().map_err(io::Error::other)?;
        }
        let took = began.elapsed();
        let after = status_kib("VmRSS");
        drop(go);
        let ending = Instant::now();
        running.join().map_err(io::Error::other)?;
        println!(
            "{shards} shards: {took:.1?} to start, {:.1?} to end, {} KiB more resident",
            ending.elapsed(),
            after.saturating_sub(before)
        );
    }
    println!("resident at the end: {} KiB", status_kib("VmRSS"));
    Ok(())
}

/// CPU time of a process, all threads, by the scheduler's own count.
fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let nanos = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn serve() -> io::Result<()> {
    let running = run(on_core(0), |reactor| async move {
        let anywhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = reactor.listen(anywhere).expect("some port is free");
        println!("{}", listener.local_addr());
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(socket) = reactor.adopt(socket) else {
                continue;
            };
            let echo = async move {
                let mut bytes = BytesMut::new();
                while let Ok(1..) = socket.recv(&mut bytes, 256 << 10).await {
                    if socket.send_all(&[&bytes]).await.is_err() {
                        break;
                    }
                    bytes.clear();
                }
            };
            reactor.spawn(echo).detach();
        }
    });
    let _running = running.map_err(io::Error::other)?;
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

fn round_trip(connections: usize, bytes: usize) -> io::Result<()> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = server
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no output"))?;
    let line = BufReader::new(output)
        .lines()
        .next()
        .ok_or_else(|| io::Error::other("no line"))??;
    let address: SocketAddr = line.parse().map_err(io::Error::other)?;
    load(connections, bytes, address, server.id());
    drop(server.stdin.take());
    server.wait().map(drop)
}

/// Drives an echo server for some seconds and says what each round trip cost it.
fn load(connections: usize, bytes: usize, address: SocketAddr, pid: u32) {
    let (count, cpu, took) = on_a_shard(on_core(1), move |reactor| async move {
        let clock = reactor.clone();
        let message: Rc<[u8]> = vec![7; bytes].into();
        let end = reactor.now() + Duration::from_secs(4);
        let clients = (0..connections).map(|_| {
            let (reactor, message) = (reactor.clone(), Rc::clone(&message));
            reactor.clone().spawn(async move {
                let socket = reactor.connect(address).await.expect("the server listens");
                let (mut count, mut answer) = (0_u64, BytesMut::new());
                while reactor.now() < end {
                    socket
                        .send_all(&[&message])
                        .await
                        .expect("the server reads");
                    answer.clear();
                    while answer.len() < message.len() {
                        socket
                            .recv(&mut answer, 256 << 10)
                            .await
                            .expect("the server answers");
                    }
                    count += 1;
                }
                count
            })
        });
        let clients: Vec<_> = clients.collect();
        let (cpu, began) = (cpu_time(pid), clock.now());
        let counts = join_all(clients).await;
        (
            counts.into_iter().sum::<u64>(),
            cpu_time(pid) - cpu,
            clock.now() - began,
        )
    });
    let per_trip = cpu.as_secs_f64() * 1e6 / count as f64;
    println!(
        "{connections} connections, {bytes} B: {count} round trips in {took:.1?}, server {per_trip:.2} us of CPU \
         each ({:.3} CPU-s/GB each way)",
        cpu.as_secs_f64() / (count as f64 * bytes as f64 / 1e9)
    );
}

fn percentile(sorted: &[Duration], of: usize) -> Duration {
    sorted
        .get(sorted.len() * of / 100)
        .copied()
        .unwrap_or_default()
}

fn call() -> io::Result<()> {
    let exchange = Exchange::<u64, u64>::new(2, 1024);
    let options = Options {
        shards: 2,
        cores: vec![0, 1],
        ..Options::default()
    };
    let running = run(options, move |reactor| {
        let exchange = exchange.clone();
        async move {
            let post = exchange.bind(&reactor);
            if reactor.shard() != ShardId::ZERO {
                while let Ok(call) = post.next().await {
                    if call.request == u64::MAX {
                        break;
                    }
                    call.reply.send(call.request);
                }
                return;
            }
            let other = ShardId::new(1);
            let mut took = Vec::with_capacity(100_000);
            for n in 0..100_000 {
                let began = reactor.now();
                post.call(other, n).await.expect("the other shard is there");
                took.push(reactor.now() - began);
            }
            took.sort_unstable();
            let began = reactor.now();
            for batch in 0..2_000_u64 {
                let calls = (0..500).map(|n| post.call(other, batch * 500 + n));
                join_all(calls.collect::<Vec<_>>()).await;
            }
            let rate = 1e6 / (reactor.now() - began).as_secs_f64();
            println!(
                "calls: p50 {:.1?}, p99 {:.1?} there and back; {:.2} M/s in batches of 500",
                percentile(&took, 50),
                percentile(&took, 99),
                rate / 1e6
            );
            let _ = post.call(other, u64::MAX).await;
        }
    });
    let running = running.map_err(io::Error::other)?;
    running.join().map_err(io::Error::other)
}

/// The three ways to sync, in turn, so that a busy disk treats them alike.
fn sync(directory: &Path) -> io::Result<()> {
    const WAYS: [&str; 3] = ["io_uring", "the pool", "an inline call"];
    let directory = directory.to_owned();
    on_a_shard(on_core(0), move |reactor| {
        let directory = directory.clone();
        async move {
            for block in [64 << 10, 1 << 20_usize] {
                let files = [0, 1, 2].map(|way| {
                    let path = directory.join(format!("highwater-measure-{way}"));
                    let file = reactor
                        .open(&path, OpenOptions::TRUNCATE)
                        .expect("a file to write");
                    file.allocate(300 * block as u64).expect("room");
                    let plain = fs::OpenOptions::new()
                        .write(true)
                        .open(&path)
                        .expect("the same");
                    (path, file, Arc::new(plain))
                });
                let bytes = vec![7; block];
                let mut took = WAYS.map(|_| Vec::new());
                let mut cpu = WAYS.map(|_| Duration::ZERO);
                for n in 0..300 {
                    for (way, (_, file, plain)) in files.iter().enumerate() {
                        file.append_at((n * block) as u64, &[&bytes]).expect("room");
                        let (began, used) = (reactor.now(), process_cpu_time());
                        match way {
                            0 => reactor.sync_data(file).await.expect("a sync"),
                            1 => {
                                let plain = Arc::clone(plain);
                                reactor
                                    .unblock(move || plain.sync_data())
                                    .await
                                    .expect("a sync");
                            }
                            _ => plain.sync_data().expect("a sync"),
                        }
                        took[way].push(reactor.now() - began);
                        cpu[way] += process_cpu_time() - used;
                    }
                }
                for (way, (path, ..)) in files.iter().enumerate() {
                    took[way].sort_unstable();
                    println!(
                        "fdatasync of {} KiB by {}: p50 {:.0?}, p90 {:.0?}, {:.0?} of CPU",
                        block >> 10,
                        WAYS[way],
                        percentile(&took[way], 50),
                        percentile(&took[way], 90),
                        cpu[way] / 300
                    );
                    reactor.remove_file(path).expect("it is ours");
                }
            }
        }
    });
    Ok(())
}

/// CPU time of this process with its kernel workers, those that have ended included.
fn process_cpu_time() -> Duration {
    // SAFETY: zeros are a valid structure of this kind, and the kernel writes no more than it has room for.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let part = |time: libc::timeval| {
        let micros = time.tv_sec * 1_000_000 + time.tv_usec;
        Duration::from_micros(micros.unsigned_abs())
    };
    part(usage.ru_utime) + part(usage.ru_stime)
}

fn timers() -> io::Result<()> {
    on_a_shard(on_core(0), |reactor| async move {
        for count in [1_000_u64, 100_000] {
            let cpu = cpu_time(std::process::id());
            let sleeps = (0..count).map(|n| {
                let clock = reactor.clone();
                reactor.spawn(async move {
                    for round in 0..10 {
                        clock
                            .sleep(Duration::from_micros((n * 7919 + round) % 200_000))
                            .await;
                    }
                })
            });
            let tasks: Vec<_> = sleeps.collect();
            for task in tasks {
                task.await;
            }
            let each =
                (cpu_time(std::process::id()) - cpu) / u32::try_from(count * 10).unwrap_or(1);
            println!("{count} tasks asleep at once: {each:.0?} of CPU per sleep");
        }
    });
    Ok(())
}
