//! A TCP echo server on one core, its clients on another.
//!
//! What counts is the server thread's CPU time. It reads that clock itself, when asked over a connection of its own:
//! the first one that a server accepts is answered with a [`stamp`] instead of an echo.

mod load;
mod multishot;
mod saferring;
mod single;
mod tokio;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::measure::{Cpu, pin};
use crate::{Bench, Sample, Variant, Workload};
use load::Load;

/// Serves so many connections, and before them the one for stamps, until all are closed. Messages have so many bytes.
type Serve = fn(TcpListener, Cell) -> io::Result<()>;

/// One combination of load.
#[derive(Clone, Copy, Debug)]
struct Cell {
    connections: usize,
    message: usize,
}

macro_rules! variants {
    ($cell:expr) => {
        vec![
            Variant {
                name: "raw",
                make: |_| Ok(Box::new(Echo::start(single::serve, $cell)?)),
            },
            Variant {
                name: "raw multishot",
                make: |_| Ok(Box::new(Echo::start(multishot::serve, $cell)?)),
            },
            Variant {
                name: "saferring",
                make: |_| Ok(Box::new(Echo::start(saferring::serve, $cell)?)),
            },
            Variant {
                name: "saferring chunks",
                make: |_| Ok(Box::new(Echo::start(saferring::serve_chunks, $cell)?)),
            },
            Variant {
                name: "tokio",
                make: |_| Ok(Box::new(Echo::start(tokio::serve, $cell)?)),
            },
        ]
    };
}

pub(crate) fn workloads() -> Vec<Workload> {
    const SMALL: Cell = Cell {
        connections: 50,
        message: 64,
    };
    const LARGE: Cell = Cell {
        connections: 200,
        message: 1024,
    };
    vec![
        Workload {
            name: "echo-50x64",
            what: "a request of 64 bytes served, 50 connections, CPU of the server (raw: one receive and one send a \
                   request, as saferring; raw multishot: with a buffer ring, as saferring chunks)",
            variants: variants!(SMALL),
        },
        Workload {
            name: "echo-200x1024",
            what: "a request of 1024 bytes served, 200 connections (as above)",
            variants: variants!(LARGE),
        },
    ]
}

/// Bytes of the answer on the connection for stamps.
const STAMP: usize = 16;
/// Stands for a number of enters that is not known.
const UNKNOWN: u64 = u64::MAX;

/// What the calling thread, a server, has used so far.
fn stamp(enters: u64) -> [u8; STAMP] {
    let mut stamp = [0; STAMP];
    stamp[..8].copy_from_slice(&(Cpu::Thread.time().as_nanos() as u64).to_ne_bytes());
    stamp[8..].copy_from_slice(&enters.to_ne_bytes());
    stamp
}

/// A server in its thread, and its clients.
struct Echo {
    /// `None` only while this is dropped.
    load: Option<Load>,
    listener: TcpListener,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Echo {
    fn start(serve: Serve, cell: Cell) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let served = listener.try_clone()?;
        let server = thread::Builder::new()
            .name("server".into())
            .spawn(move || {
                let _pinned = pin(0);
                serve(served, cell)
            })?;
        let mut echo = Echo {
            load: None,
            listener,
            server: Some(server),
        };
        echo.load = Some(Load::connect(addr, cell)?);
        Ok(echo)
    }
}

impl Bench for Echo {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(1);
        let Some(load) = &mut self.load else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (cpu_before, enters_before) = load.stamp()?;
        let started = Instant::now();
        load.drive(ops)?;
        let wall = started.elapsed();
        let (cpu, enters) = load.stamp()?;
        Ok(Sample {
            ops,
            cpu: Duration::from_nanos(cpu - cpu_before),
            wall,
            enters: (enters != UNKNOWN).then(|| enters - enters_before),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // With its connections closed, the server ends; if it still waits for some, because we could not make them all,
        // this ends that, too.
        self.load = None;
        // SAFETY: shutdown takes no pointers.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        match self.server.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("the echo server failed: {error}"),
            Some(Err(_)) => eprintln!("the echo server panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}
