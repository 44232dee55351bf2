//! Four engines contend for one core while the whole process is stopped and continued at random; no round trip may
//! take more than five seconds, the stops themselves not counted.
//!
//! ```text
//! cargo run --release -p highwater-reactor --example soak -- [--seconds 20] [--engines 4] [--connections 64]
//!                                                            [--pause-ms-max 300] [--core 0]
//! ```
//!
//! The parent process is the load and the tormentor; the child, the same program again, is the engines. Why this
//! is asked: `docs/decisions/0001-glommio-behind-a-seam.md`.
#![allow(
    clippy::disallowed_methods,
    reason = "this is a shell: it measures real time"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use highwater_reactor::{OpenOptions, Options, Reactor, Running, run};

/// What a round trip may take, without the stops.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);

/// What a client waits before it takes its connection for dead, stops included.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a request and of its answer.
const MESSAGE_BYTES: usize = 100;

/// How long and how hard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Engines, a thread each, all on one core.
    pub(crate) engines: u16,
    /// Connections to each.
    pub(crate) connections: u32,
    /// The end: by time, by round trips per connection, or both.
    pub(crate) seconds: Option<u64>,
    /// See `seconds`.
    pub(crate) round_trips: Option<u64>,
    /// The longest stop.
    pub(crate) pause_ms_max: u64,
    /// The core that all share.
    pub(crate) core: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            engines: 4,
            connections: 64,
            seconds: Some(20),
            round_trips: None,
            pause_ms_max: 300,
            core: 0,
        }
    }
}

/// What came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    /// Round trips done.
    pub(crate) round_trips: u64,
    /// The longest, the stops not counted.
    pub(crate) longest: Duration,
    /// Those over five seconds, or never answered.
    pub(crate) stalled: u64,
    /// How often the engines were stopped.
    pub(crate) stops: u64,
    /// And for how long in all.
    pub(crate) stopped: Duration,
}

/// The program; see the top.
pub(crate) fn main() -> io::Result<()> {
    let mut plan = Plan::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        if flag == SERVE {
            return serve(&arguments.collect::<Vec<_>>());
        }
        let value = arguments.next().and_then(|value| value.parse().ok());
        let Some(value) = value else {
            return Err(io::Error::other(format!("{flag} <number>?")));
        };
        match flag.as_str() {
            "--seconds" => plan.seconds = Some(value),
            "--engines" => plan.engines = small(value),
            "--connections" => plan.connections = small(value).into(),
            "--pause-ms-max" => plan.pause_ms_max = value,
            "--core" => plan.core = small(value).into(),
            other => return Err(io::Error::other(format!("no such flag: {other}"))),
        }
    }
    let outcome = soak(plan)?;
    println!(
        "{} round trips, longest {:.3} s without the stops, {} over {} s; {} stops, {:.1} s in all",
        outcome.round_trips,
        outcome.longest.as_secs_f64(),
        outcome.stalled,
        ROUND_TRIP_MAX.as_secs(),
        outcome.stops,
        outcome.stopped.as_secs_f64(),
    );
    if outcome.stalled > 0 {
        Err(io::Error::other("a round trip stalled"))
    } else {
        Ok(())
    }
}

fn small(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Runs the soak: starts the engines in a process of their own, loads them and torments them.
pub(crate) fn soak(plan: Plan) -> io::Result<Outcome> {
    let mut engines = Engines::start(plan)?;
    let shared = Arc::new(Shared::default());
    let end = plan
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut clients = Vec::new();
    for address in &engines.addresses {
        for _ in 0..plan.connections {
            let stream = TcpStream::connect(address)?;
            let shared = Arc::clone(&shared);
            let client = thread::Builder::new().stack_size(64 << 10);
            let work = move || shared.converse(stream, end, plan.round_trips);
            clients.push(client.spawn(work)?);
        }
    }
    let torment = {
        let (shared, pid) = (Arc::clone(&shared), engines.child.id());
        thread::spawn(move || shared.torment(pid, plan.pause_ms_max))
    };
    for client in clients {
        let _ = client.join();
    }
    shared.done.store(true, Ordering::Relaxed);
    torment.thread().unpark();
    let _ = torment.join();
    engines.stop()?;
    let stops = lock(&shared.stops);
    let mut outcome = *lock(&shared.outcome);
    outcome.round_trips = shared.round_trips.load(Ordering::Relaxed);
    outcome.stops = stops.len() as u64;
    outcome.stopped = stops.iter().filter_map(|stop| Some(stop.1? - stop.0)).sum();
    Ok(outcome)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Shared {
    round_trips: AtomicU64,
    done: AtomicBool,
    outcome: Mutex<Outcome>,
    /// When the engines were stopped, and when they were continued.
    stops: Mutex<Vec<(Instant, Option<Instant>)>>,
}

impl Shared {
    /// One connection's life: a request, its answer, and again.
    fn converse(&self, mut stream: TcpStream, end: Option<Instant>, count: Option<u64>) {
        let prepared = stream
            .set_nodelay(true)
            .and(stream.set_read_timeout(Some(PATIENCE)));
        let mut message = [7; MESSAGE_BYTES];
        let mut done = 0;
        let mut longest = Duration::ZERO;
        while count.is_none_or(|count| done < count) && end.is_none_or(|end| Instant::now() < end) {
            let began = Instant::now();
            let answered = stream
                .write_all(&message)
                .and_then(|()| stream.read_exact(&mut message));
            if prepared.is_err() || answered.is_err() {
                lock(&self.outcome).stalled += 1;
                break;
            }
            let took = began.elapsed();
            if took > longest {
                let without_stops = took.saturating_sub(self.stopped_since(began));
                longest = longest.max(without_stops);
                if without_stops > ROUND_TRIP_MAX {
                    lock(&self.outcome).stalled += 1;
                }
            }
            done += 1;
        }
        self.round_trips.fetch_add(done, Ordering::Relaxed);
        let mut outcome = lock(&self.outcome);
        outcome.longest = outcome.longest.max(longest);
    }

    fn stopped_since(&self, began: Instant) -> Duration {
        let now = Instant::now();
        let stops = lock(&self.stops);
        let ended = |end: &Option<Instant>| end.unwrap_or(now);
        let recent = stops.iter().rev().take_while(|(_, end)| ended(end) > began);
        recent
            .map(|(start, end)| ended(end) - (*start).max(began))
            .sum()
    }

    /// Stops and continues the engines, again and again.
    fn torment(&self, pid: u32, pause_ms_max: u64) {
        let mut dice: u64 = 0x2545_F491_4F6C_DD1D;
        let mut roll = move |most: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            Duration::from_millis(1 + dice % most.max(1))
        };
        while !self.done.load(Ordering::Relaxed) {
            thread::park_timeout(roll(400));
            if pause_ms_max == 0 {
                continue;
            }
            lock(&self.stops).push((Instant::now(), None));
            signal("STOP", pid);
            thread::park_timeout(roll(pause_ms_max));
            signal("CONT", pid);
            if let Some(stop) = lock(&self.stops).last_mut() {
                stop.1 = Some(Instant::now());
            }
        }
    }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
}

/// The engines' process.
struct Engines {
    child: Child,
    addresses: Vec<SocketAddr>,
}

const SERVE: &str = "--serve";

impl Engines {
    fn start(plan: Plan) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SERVE, &plan.engines.to_string(), &plan.core.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        let lines = BufReader::new(output)
            .lines()
            .take(usize::from(plan.engines));
        let addresses = lines
            .map(|line| line?.parse().map_err(io::Error::other))
            .collect::<io::Result<Vec<_>>>()?;
        if addresses.len() < usize::from(plan.engines) {
            return Err(io::Error::other("an engine did not start"));
        }
        Ok(Self { child, addresses })
    }

    /// Ends the process, which must not have noticed anything of its own.
    fn stop(&mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other("an engine failed"))
        }
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child: engines that echo, each a world of its own with one shard, until standard input ends.
fn serve(arguments: &[String]) -> io::Result<()> {
    let number = |index: usize| arguments.get(index)?.parse::<u16>().ok();
    let (Some(engines), Some(core)) = (number(0), number(1)) else {
        return Err(io::Error::other("how many engines on which core?"));
    };
    let engines: Vec<Running> = (0..engines)
        .map(|number| {
            let options = Options {
                shards: 1,
                cores: vec![usize::from(core)],
                ..Options::default()
            };
            run(options, move |reactor| echo_forever(reactor, number)).map_err(io::Error::other)
        })
        .collect::<io::Result<_>>()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let stalls: u64 = engines.iter().map(Running::stalls).sum();
    if stalls > 0 {
        Err(io::Error::other(format!("{stalls} stalls")))
    } else {
        Ok(())
    }
}

async fn echo_forever(reactor: Reactor, number: u16) {
    let anywhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listener = reactor.listen(anywhere).expect("some port is free");
    println!("{}", listener.local_addr());
    // Timers beside the traffic: they are what an engine has, and what must not get lost either.
    for every_ms in [1, 7, 100] {
        let clock = reactor.clone();
        let ticking = async move {
            loop {
                clock.sleep(Duration::from_millis(every_ms)).await;
            }
        };
        reactor.spawn(ticking).detach();
    }
    // Every second engine always has a sync under way: its completions ring its bell, beside everything else.
    if number % 2 == 1 {
        reactor
            .spawn(sync_forever(reactor.clone(), number))
            .detach();
    }
    while let Ok((socket, _)) = listener.accept().await {
        let Ok(socket) = reactor.adopt(socket) else {
            continue;
        };
        let echo = async move {
            let mut bytes = BytesMut::new();
            while let Ok(1..) = socket.recv(&mut bytes, 4096).await {
                if socket.send_all(&[&bytes]).await.is_err() {
                    break;
                }
                bytes.clear();
            }
        };
        reactor.spawn(echo).detach();
    }
}

async fn sync_forever(reactor: Reactor, number: u16) {
    let name = format!("highwater-soak-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = reactor
        .open(&path, OpenOptions::TRUNCATE)
        .expect("a file to write");
    // Open is enough: it goes with the process, however that ends.
    reactor.remove_file(&path).expect("it is ours");
    loop {
        file.append_at(0, &[&[7; 100]]).expect("room for 100 bytes");
        reactor.sync_data(&file).await.expect("a sync");
    }
}
