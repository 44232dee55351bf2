//! What groups cost the broker: offset commits and heartbeats for each second of its CPU time, measured on this machine.
//!
//! ```text
//! cargo run --release -p highwater-engine --example groups -- commits | heartbeats | fetches | load | rebalance
//!     [connections=8] [in_flight=8] [partitions=1] [seconds=5] [any setting of the broker, highwater.durability=written]
//! ```
//!
//! It starts itself again as the broker, so that the CPU time it reads is the broker's alone. `load` commits for 10,000 groups,
//! kills the broker, and says how long the next one takes until it answers for them. `rebalance` has 200 members of one group
//! share 1,000 partitions again and again, and times the heartbeats of another group on the same shard.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "this is a shell: it measures real time"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use highwater_engine::settings::Properties;
use highwater_engine::{Engine, Settings};
use highwater_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use highwater_wire::message::find_coordinator::FindCoordinatorRequest;
use highwater_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use highwater_wire::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use highwater_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use highwater_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use highwater_wire::message::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use highwater_wire::{Request, decode_response, encode_request};

/// Groups of the load.
const GROUPS: usize = 10_000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((what, rest)) = arguments.split_first() else {
        return Err(io::Error::other(
            "commits, heartbeats, fetches, load or rebalance?",
        ));
    };
    let mut pairs: BTreeMap<&str, &str> = rest
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    if what == "serve" {
        return serve(&pairs);
    }
    let mut number = |name, default| {
        let given: Option<&str> = pairs.remove(name);
        given.map_or(default, |value| value.parse().expect("a number"))
    };
    let run = Run {
        connections: number("connections", 8),
        in_flight: number("in_flight", 8),
        partitions: i32::try_from(number("partitions", 1)).expect("a few"),
        time: Duration::from_secs(number("seconds", 5) as u64),
    };
    let dir = std::env::temp_dir().join(format!("highwater-groups-{}", std::process::id()));
    let outcome = match what.as_str() {
        "commits" | "heartbeats" | "fetches" => measure(what, &run, &dir, &pairs),
        "load" => load(&run, &dir, &pairs),
        "rebalance" => rebalance(&run, &dir, &pairs),
        other => Err(io::Error::other(format!("{other} cannot be measured"))),
    };
    fs::remove_dir_all(&dir)?;
    outcome
}

/// What is asked at once, and for how long.
#[derive(Clone, Copy, Debug)]
struct Run {
    connections: usize,
    in_flight: usize,
    partitions: i32,
    time: Duration,
}

/// The broker's side: an engine until the standard input ends.
fn serve(pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
    let dir = pairs.get("dir").expect("a directory");
    let mut properties = Properties::embedded(Path::new(dir));
    for (key, value) in pairs.iter().filter(|(key, _)| **key != "dir") {
        properties.set(key, value);
    }
    let settings = Settings::parse(&properties).map_err(io::Error::other)?;
    let engine = Engine::start(settings).map_err(io::Error::other)?;
    println!("{}", engine.local_addr());
    io::stdin().read_to_end(&mut Vec::new())?;
    engine.shutdown().map_err(io::Error::other)
}

/// The broker as a process, killed when it is dropped.
struct Broker {
    process: Child,
    address: SocketAddr,
}

impl Broker {
    fn start(dir: &Path, pairs: &BTreeMap<&str, &str>) -> io::Result<Broker> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(format!("dir={}", dir.display()));
        for (key, value) in [
            ("highwater.durability", "written"),
            ("group.initial.rebalance.delay.ms", "0"),
        ] {
            if !pairs.contains_key(key) {
                command.arg(format!("{key}={value}"));
            }
        }
        command.args(pairs.iter().map(|(key, value)| format!("{key}={value}")));
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = process.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Broker { process, address })
    }

    /// CPU time so far, in seconds; the kernel counts it in hundredths.
    fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Resident memory, in MiB.
    fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself; what it says then was seen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Peer {
    socket: TcpStream,
    input: BufReader<TcpStream>,
}

impl Peer {
    fn connect(address: SocketAddr) -> Peer {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let input = BufReader::with_capacity(64 << 10, socket.try_clone().unwrap());
        Peer { socket, input }
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.input.read_exact(&mut frame).unwrap();
        frame
    }

    fn ask<R: Request>(&mut self, version: i16, request: &R) -> Vec<u8> {
        let encoded = encode_request(1, Some("bench"), version, request).unwrap();
        self.socket.write_all(&encoded.bytes).unwrap();
        self.frame()
    }

    /// Makes the topic and the coordinators.
    fn prepare(&mut self, partitions: i32) {
        self.ask(
            7,
            &CreateTopicsRequest {
                topics: [CreatableTopic {
                    name: "orders",
                    num_partitions: partitions,
                    replication_factor: 1,
                    ..CreatableTopic::default()
                }]
                .into(),
                timeout_ms: 10_000,
                ..CreateTopicsRequest::default()
            },
        );
        let keys = FindCoordinatorRequest {
            coordinator_keys: ["any"].into(),
            ..FindCoordinatorRequest::default()
        };
        self.ask(6, &keys);
        // Every coordinator has read its log when groups of every partition are answered.
        let names: Vec<String> = (0..1000).map(|n| format!("probe-{n}")).collect();
        self.wait(&names);
    }

    /// Waits until every one of `groups` is answered without an error.
    fn wait(&mut self, groups: &[String]) {
        loop {
            let request = OffsetFetchRequest {
                groups: groups
                    .iter()
                    .map(|group_id| OffsetFetchRequestGroup {
                        group_id,
                        topics: None,
                        ..OffsetFetchRequestGroup::default()
                    })
                    .collect(),
                ..OffsetFetchRequest::default()
            };
            let frame = self.ask(9, &request);
            let (_, response) = decode_response::<OffsetFetchResponse<'_>>(9, &frame).unwrap();
            if response.groups.iter().all(|group| group.error_code == 0) {
                return;
            }
        }
    }

    /// Joins a group alone; its member id.
    fn join(&mut self, group: &str) -> String {
        let mut id = String::new();
        loop {
            let frame = self.ask(
                9,
                &JoinGroupRequest {
                    group_id: group,
                    session_timeout_ms: 60_000,
                    rebalance_timeout_ms: 60_000,
                    member_id: &id,
                    protocol_type: "consumer",
                    protocols: [JoinGroupRequestProtocol {
                        name: "range",
                        metadata: b"",
                    }]
                    .into(),
                    ..JoinGroupRequest::default()
                },
            );
            let (_, response) = decode_response::<JoinGroupResponse<'_>>(9, &frame).unwrap();
            response.member_id.clone_into(&mut id);
            if response.error_code == 0 {
                break;
            }
            assert_eq!(response.error_code, 79, "a member id is required first");
        }
        let frame = self.ask(
            5,
            &SyncGroupRequest {
                group_id: group,
                generation_id: 1,
                member_id: &id,
                assignments: [SyncGroupRequestAssignment {
                    member_id: &id,
                    assignment: b"x",
                }]
                .into(),
                ..SyncGroupRequest::default()
            },
        );
        let (_, response) = decode_response::<SyncGroupResponse<'_>>(5, &frame).unwrap();
        assert_eq!(response.error_code, 0);
        id
    }
}

fn commit(group: &str, member: Option<&str>, partitions: i32, offset: i64) -> Vec<u8> {
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: if member.is_some() { 1 } else { -1 },
        member_id: member.unwrap_or_default(),
        topics: [OffsetCommitRequestTopic {
            name: "orders",
            partitions: (0..partitions)
                .map(|partition_index| OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset: offset,
                    ..OffsetCommitRequestPartition::default()
                })
                .collect(),
            ..OffsetCommitRequestTopic::default()
        }]
        .into(),
        ..OffsetCommitRequest::default()
    };
    encode_request(1, Some("bench"), 9, &request).unwrap().bytes
}

fn measure(what: &str, run: &Run, dir: &Path, pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
    let broker = Broker::start(dir, pairs)?;
    Peer::connect(broker.address).prepare(run.partitions);
    let (cpu, begun) = (broker.cpu_s(), Instant::now());
    let until = begun + run.time;
    let clients: Vec<_> = (0..run.connections)
        .map(|n| {
            let (run, address, what) = (*run, broker.address, what.to_owned());
            std::thread::spawn(move || ask(&what, n, &run, address, until))
        })
        .collect();
    let answers: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let (took, used) = (begun.elapsed().as_secs_f64(), broker.cpu_s() - cpu);
    let each_partition = if what == "commits" {
        format!(" of {} partitions", run.partitions)
    } else {
        String::new()
    };
    #[allow(clippy::cast_precision_loss)]
    let answers = answers as f64;
    println!(
        "{answers:.0} {what}{each_partition} in {took:.2} s, {used:.2} s of the broker's CPU: {:.0} a second, {:.0} a CPU second, {:.1} us each; {:.0} MiB resident",
        answers / took,
        answers / used,
        used / answers * 1e6,
        broker.resident_mib(),
    );
    Ok(())
}

/// One connection that keeps `in_flight` requests under way; how many were answered.
fn ask(what: &str, n: usize, run: &Run, address: SocketAddr, until: Instant) -> u64 {
    let mut peer = Peer::connect(address);
    let group = format!("bench-{n}");
    let member = peer.join(&group);
    let request = match what {
        "commits" => commit(&group, Some(&member), run.partitions, 1),
        "heartbeats" => {
            let request = HeartbeatRequest {
                group_id: &group,
                generation_id: 1,
                member_id: &member,
                group_instance_id: None,
            };
            encode_request(1, Some("bench"), 4, &request).unwrap().bytes
        }
        _ => {
            let request = OffsetFetchRequest {
                groups: [OffsetFetchRequestGroup {
                    group_id: &group,
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                }]
                .into(),
                ..OffsetFetchRequest::default()
            };
            encode_request(1, Some("bench"), 9, &request).unwrap().bytes
        }
    };
    let mut answered = 0;
    for _ in 0..run.in_flight {
        peer.socket.write_all(&request).unwrap();
    }
    while Instant::now() < until {
        let frame = peer.frame();
        check(what, &frame);
        peer.socket.write_all(&request).unwrap();
        answered += 1;
    }
    for _ in 0..run.in_flight {
        check(what, &peer.frame());
        answered += 1;
    }
    answered
}

/// An answer that refuses is none.
fn check(what: &str, frame: &[u8]) {
    match what {
        "commits" => {
            let (_, response) = decode_response::<OffsetCommitResponse<'_>>(9, frame).unwrap();
            for topic in response.topics.iter() {
                assert!(topic.partitions.iter().all(|row| row.error_code == 0));
            }
        }
        "heartbeats" => {
            let (_, response) = decode_response::<HeartbeatResponse>(4, frame).unwrap();
            assert_eq!(response.error_code, 0);
        }
        _ => {}
    }
}

fn load(run: &Run, dir: &Path, pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
    let names: Vec<String> = (0..GROUPS).map(|n| format!("group-{n}")).collect();
    let broker = Broker::start(dir, pairs)?;
    let mut peer = Peer::connect(broker.address);
    peer.prepare(run.partitions);
    for some in names.chunks(100) {
        for (offset, group) in (0..).zip(some) {
            let request = commit(group, None, run.partitions, offset);
            peer.socket.write_all(&request).unwrap();
        }
        for _ in some {
            check("commits", &peer.frame());
        }
    }
    drop((peer, broker));
    let begun = Instant::now();
    let broker = Broker::start(dir, pairs)?;
    let ready = begun.elapsed();
    let mut peer = Peer::connect(broker.address);
    for some in names.chunks(1000) {
        peer.wait(some);
    }
    println!(
        "{GROUPS} groups of {} partitions: ready after {ready:.0?}, all answered after {:.0?}, {:.2} s of CPU, {:.0} MiB resident",
        run.partitions,
        begun.elapsed(),
        broker.cpu_s(),
        broker.resident_mib(),
    );
    Ok(())
}

/// Members of the group that is rebalanced.
const MEMBERS: usize = 200;

/// Bytes of what each of them says: a subscription with the partitions it has. It is another one in each round, so that whoever
/// joins again begins a rebalance.
const METADATA_BYTES: usize = 120;

/// What each is given: five partitions.
const ASSIGNMENT: [u8; 60] = [9; 60];

fn rebalance(run: &Run, dir: &Path, pairs: &BTreeMap<&str, &str>) -> io::Result<()> {
    let mut pairs = pairs.clone();
    pairs.entry("highwater.shards").or_insert("1");
    // Long enough for everybody to be in the first generation.
    pairs.insert("group.initial.rebalance.delay.ms", "1000");
    let broker = Broker::start(dir, &pairs)?;
    let address = broker.address;
    Peer::connect(address).prepare(1000);
    let mut members: Vec<(Peer, String)> = (0..MEMBERS)
        .map(|_| {
            let mut peer = Peer::connect(address);
            peer.socket.write_all(&join_bytes("", 0)).unwrap();
            let frame = peer.frame();
            let (_, response) = decode_response::<JoinGroupResponse<'_>>(9, &frame).unwrap();
            assert_eq!(response.error_code, 79);
            (peer, response.member_id.to_owned())
        })
        .collect();
    // The first one waits for everybody.
    generation(&mut members, u8::MAX);
    let quiet = while_pulsing(address, || std::thread::sleep(run.time));
    let mut times = Vec::new();
    let beside = while_pulsing(address, || {
        let begun = Instant::now();
        while begun.elapsed() < run.time {
            let round = Instant::now();
            #[allow(clippy::cast_possible_truncation)]
            generation(&mut members, times.len() as u8);
            times.push(round.elapsed());
        }
    });
    times.sort_unstable();
    println!(
        "{} generations of {MEMBERS} members: {:.1?} in the middle, {:.1?} at most",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1],
    );
    for (when, pulses) in [("before", quiet), ("meanwhile", beside)] {
        println!(
            "{} heartbeats of another group {when}: {:.2?} in the middle, {:.2?} of 99 in 100, {:.2?} at most",
            pulses.len(),
            pulses[pulses.len() / 2],
            pulses[pulses.len() * 99 / 100],
            pulses[pulses.len() - 1],
        );
    }
    Ok(())
}

/// How long heartbeats of another group took while `work` was done, the shortest first.
fn while_pulsing(address: SocketAddr, work: impl FnOnce()) -> Vec<Duration> {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let pulse = std::thread::spawn(move || heartbeats(address, &stopped));
    work();
    drop(stop);
    let mut pulses = pulse.join().unwrap();
    pulses.sort_unstable();
    pulses
}

fn join_bytes(member_id: &str, round: u8) -> Vec<u8> {
    let metadata = [round; METADATA_BYTES];
    let request = JoinGroupRequest {
        group_id: "crowd",
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        member_id,
        protocol_type: "consumer",
        protocols: [JoinGroupRequestProtocol {
            name: "range",
            metadata: &metadata,
        }]
        .into(),
        ..JoinGroupRequest::default()
    };
    encode_request(1, Some("bench"), 9, &request).unwrap().bytes
}

/// Everybody joins, the leader assigns, everybody has its own.
fn generation(members: &mut [(Peer, String)], round: u8) {
    for (peer, id) in members.iter_mut() {
        peer.socket.write_all(&join_bytes(id, round)).unwrap();
    }
    let (mut generation, mut leader, mut all) = (None, 0, Vec::new());
    for (n, (peer, _)) in members.iter_mut().enumerate() {
        let frame = peer.frame();
        let (_, response) = decode_response::<JoinGroupResponse<'_>>(9, &frame).unwrap();
        assert_eq!(response.error_code, 0);
        let same = *generation.get_or_insert(response.generation_id);
        assert_eq!(response.generation_id, same);
        if !response.members.is_empty() {
            leader = n;
            let ids = response.members.iter();
            all = ids.map(|member| member.member_id.to_owned()).collect();
        }
    }
    assert_eq!(all.len(), members.len());
    for (n, (peer, id)) in members.iter_mut().enumerate() {
        let assignments = all.iter().filter(|_| n == leader);
        let request = SyncGroupRequest {
            group_id: "crowd",
            generation_id: generation.unwrap(),
            member_id: id,
            assignments: assignments
                .map(|member_id| SyncGroupRequestAssignment {
                    member_id,
                    assignment: &ASSIGNMENT,
                })
                .collect(),
            ..SyncGroupRequest::default()
        };
        let request = encode_request(1, Some("bench"), 5, &request).unwrap();
        peer.socket.write_all(&request.bytes).unwrap();
    }
    for (peer, _) in members.iter_mut() {
        let frame = peer.frame();
        let (_, response) = decode_response::<SyncGroupResponse<'_>>(5, &frame).unwrap();
        let answer = (response.error_code, response.assignment);
        assert_eq!(answer, (0, &ASSIGNMENT[..]));
    }
}

/// How long each heartbeat of a group of one took.
fn heartbeats(address: SocketAddr, stopped: &std::sync::mpsc::Receiver<()>) -> Vec<Duration> {
    let mut peer = Peer::connect(address);
    let group = format!("quiet {}", peer.socket.local_addr().unwrap());
    let member = peer.join(&group);
    let request = HeartbeatRequest {
        group_id: &group,
        generation_id: 1,
        member_id: &member,
        group_instance_id: None,
    };
    let mut times = Vec::new();
    while stopped.recv_timeout(Duration::from_millis(1))
        == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
    {
        let begun = Instant::now();
        let frame = peer.ask(4, &request);
        times.push(begun.elapsed());
        check("heartbeats", &frame);
    }
    times
}
