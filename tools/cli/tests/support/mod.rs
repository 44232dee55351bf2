//! A broker of the binary, for tests, and commands against it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// A running `highwater serve`; killed when it is dropped.
pub struct Broker {
    pub child: Child,
    pub address: String,
}

impl Broker {
    pub fn start(data: &Path, more: &[&str]) -> Broker {
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(more)
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line
            .trim_end()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(line.starts_with("highwater ready at "), "{line:?}");
        Broker { child, address }
    }

    /// Runs a client command against it, with `input` on its standard input.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(arguments)
            .args(["--bootstrap", &self.address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("the command ends");
        // A command that does not read its input ends before all of it is written.
        let _ = writer.join().expect("the writer does not panic");
        output
    }

    /// The same, for a command that must succeed; its standard output.
    pub fn ok(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        output.stdout
    }

    /// SIGTERM, and the status it ends with.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .arg(&pid)
                .status()
                .expect("kill runs")
                .success()
        );
        self.child.wait().expect("the broker ends").code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that needs no broker.
pub fn offline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(arguments)
        .output()
        .expect("it runs")
}

/// A running `highwater consume --group`; killed when it is dropped.
pub struct Member {
    child: Child,
    said: BufReader<ChildStderr>,
    /// What it last said that it has.
    partitions: Vec<String>,
}

impl Member {
    pub fn start(broker: &Broker, topic: &str, group: &str, more: &[&str]) -> Member {
        let mut child = Command::new(env!("CARGO_BIN_EXE_highwater"))
            .args(["consume", topic, "--group", group, "--from-beginning"])
            .args([
                "--bootstrap",
                &broker.address,
                "-X",
                "heartbeat.interval.ms=50",
            ])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let said = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let partitions = Vec::new();
        Member {
            child,
            said,
            partitions,
        }
    }

    /// Waits until it says that it has so many partitions; which ones.
    pub fn has(&mut self, count: usize) -> Vec<String> {
        while self.partitions.len() != count {
            let mut line = String::new();
            let bytes = self
                .said
                .read_line(&mut line)
                .expect("standard error is read");
            assert!(bytes > 0, "it ended with {:?}", self.partitions);
            let words: Vec<&str> = line.split_whitespace().collect();
            let verb = words
                .iter()
                .position(|word| ["assigned", "revoked", "lost"].contains(word));
            let Some(verb) = verb else { continue };
            let named = words[verb + 1..].iter().filter(|word| **word != "nothing");
            if words[verb] == "assigned" {
                self.partitions.extend(named.map(ToString::to_string));
            } else {
                let gone: Vec<&&str> = named.collect();
                self.partitions.retain(|it| !gone.contains(&&it.as_str()));
            }
        }
        self.partitions.sort();
        self.partitions.clone()
    }

    /// SIGTERM; what it printed in its life.
    pub fn stop(mut self) -> String {
        terminate(&self.child);
        let mut printed = String::new();
        let mut stdout = self.child.stdout.take().expect("standard output is piped");
        std::io::Read::read_to_string(&mut stdout, &mut printed).expect("it prints text");
        assert!(self.child.wait().expect("it ends").success());
        printed
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn terminate(child: &Child) {
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.expect("kill runs").success());
}
