//! The load of servers of HTTP: the program `wrk`, one for each server, with all connections open at all times. Between its
//! slices it is stopped by a signal, and a script counts its requests where they can be read meanwhile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use super::{Web, body};
use crate::contender::{Done, EchoSpec};
use crate::control::Control;
use crate::load::Target;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/count.lua");

/// How long all handshakes may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no such load; `None` if there is.
pub(crate) fn missing() -> Option<String> {
    let found = Command::new("wrk").arg("--version").output();
    found.err().map(|error| {
        format!("wrk, which asks the servers, cannot be run: {error} (Debian: apt-get install wrk)")
    })
}

/// Connects, and then asks in slices, of so many microseconds each, that [`Control::next`] tells. Requests count when they are
/// sent, so a slice of the server's lasts until it has answered the last.
pub(crate) fn run(target: Target, web: Web, mut control: Control) -> io::Result<Done> {
    let Some(scheme) = web.scheme() else {
        return Ok(Done::Unsupported);
    };
    if scheme == "http" {
        check(target, web)?;
    }
    let url = format!("{scheme}://{}/", target.addr);
    try_out(&url)?;
    let mut wrk = Wrk::start(&url, target.connections)?;
    while let Some(micros) = control.next() {
        let meter = control.start();
        let before = wrk.count()?;
        wrk.signal(Signal::CONT)?;
        let started = Instant::now();
        sleep(Duration::from_micros(micros));
        // It may have been kept from its core.
        while wrk.count()? == before {
            sleep(Duration::from_millis(1));
            if started.elapsed() > PATIENCE {
                return Err(wrk.explain());
            }
        }
        wrk.signal(Signal::STOP)?;
        control.report(meter, wrk.count()? - before, None);
    }
    Ok(Done::Ended)
}

fn wrk(url: &str, connections: usize, time: &str) -> Command {
    let mut wrk = Command::new("wrk");
    wrk.args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{time}"),
        url,
    ])
    .stdin(Stdio::null());
    wrk
}

/// Whether all goes well for a second, which `wrk` tells at its end alone.
fn try_out(url: &str) -> io::Result<()> {
    let Output { stdout, stderr, .. } = wrk(url, 4, "1s").output()?;
    let text = String::from_utf8_lossy(&stdout);
    let complaint = text
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
    match complaint {
        Some(line) => Err(io::Error::other(format!("wrk says: {}", line.trim()))),
        None if text.contains(" requests in ") && !text.contains(" 0 requests in ") => Ok(()),
        None => Err(io::Error::other(format!(
            "wrk says: {text}{}",
            String::from_utf8_lossy(&stderr)
        ))),
    }
}

/// A `wrk` that is stopped, but for its slices.
struct Wrk {
    child: Child,
    /// Shared with the script.
    count: File,
}

impl Wrk {
    fn start(url: &str, connections: usize) -> io::Result<Self> {
        let count = File::from(memfd_create("count", MemfdFlags::CLOEXEC)?);
        count.set_len(size_of::<f64>() as u64)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), count.as_raw_fd());
        let mut command = wrk(url, connections, "24h");
        command
            .args(["-s", SCRIPT])
            .env("COUNT", path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let die_with_us = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec it makes one system call, and allocates nothing.
        let child = unsafe { command.pre_exec(die_with_us) }.spawn()?;
        let mut wrk = Wrk { child, count };
        // All shake hands at the same time, so nobody does any more when each has asked a few times on average.
        let started = Instant::now();
        while wrk.count()? < 4 * connections as u64 {
            if started.elapsed() > PATIENCE || wrk.child.try_wait()?.is_some() {
                return Err(wrk.explain());
            }
            sleep(Duration::from_millis(1));
        }
        wrk.signal(Signal::STOP)?;
        Ok(wrk)
    }

    /// Requests until now.
    fn count(&self) -> io::Result<u64> {
        let mut count = [0; size_of::<f64>()];
        self.count.read_exact_at(&mut count, 0)?;
        Ok(f64::from_ne_bytes(count) as u64)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Why it asks nothing.
    fn explain(&mut self) -> io::Error {
        let _ = self.child.kill();
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        io::Error::other(format!("wrk gets no answers any more: {said}"))
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a server's answer is what all have to give, its headers included.
fn check(target: Target, web: Web) -> io::Result<()> {
    let mut stream = TcpStream::connect(target.addr)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let body = body(EchoSpec {
        message: target.message,
        connections: target.connections,
    });
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(&body) {
        match stream.read(&mut part)? {
            0 => break,
            n => answer.extend(&part[..n]),
        }
    }
    let head = answer.strip_suffix(&*body).unwrap_or(&answer);
    let head = String::from_utf8_lossy(head).to_lowercase();
    let mut lines = head.lines();
    let status = lines.next();
    let mut names: Vec<_> = lines
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    names.sort_unstable();
    let expected: &[&str] = match web {
        Web::Axum { .. } => &["content-length", "content-type", "date"],
        _ => &["content-length", "date"],
    };
    match status == Some("http/1.1 200 ok") && names == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "its answer is not that of the others: {head:?}"
        ))),
    }
}
