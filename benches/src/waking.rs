//! Waking a task on another thread, and being woken back.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{self, JoinHandle};

use futures_util::task::AtomicWaker;
use io_uring::{opcode, types};
use saferring::runtime::Runtime;
use tokio::sync::Notify;

use crate::measure::{Cpu, Meter, pin};
use crate::raw::{Memory, Queues, Ring, result};
use crate::{Bench, Sample, Variant, Workload, tokio_runtime};

pub(crate) fn workloads() -> Vec<Workload> {
    vec![Workload {
        name: "wake",
        what: "a wake of another thread's task and one back, CPU of both threads, enters of one (raw: eventfds, each \
               read by a ring)",
        variants: vec![
            Variant {
                name: "raw",
                make: |_| Ok(Box::new(Raw::new()?)),
            },
            Variant {
                name: "saferring",
                make: |_| Ok(Box::new(Saferring::new()?)),
            },
            Variant {
                name: "tokio",
                make: |_| Ok(Box::new(Tokio::new()?)),
            },
        ],
    }]
}

/// The other thread, on another core. It ends when it is woken and told to.
struct Peer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Peer {
    fn start(run: impl FnOnce(&AtomicBool) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("peer".into()).spawn(move || {
            let _pinned = pin(1);
            run(&stopped)
        })?;
        Ok(Peer {
            stop,
            thread: Some(thread),
        })
    }

    fn stop(&mut self, wake: impl FnOnce()) {
        self.stop.store(true, Ordering::SeqCst);
        wake();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("the woken thread failed: {error}"),
            Some(Err(_)) => eprintln!("the woken thread panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

fn eventfd() -> io::Result<Arc<File>> {
    // SAFETY: eventfd takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, so nobody else owns it.
    Ok(Arc::new(unsafe { File::from_raw_fd(fd) }))
}

fn signal(mut event: &File) -> io::Result<()> {
    event.write_all(&1u64.to_ne_bytes())
}

struct Raw {
    ring: Ring,
    memory: Memory,
    /// Ours, and the peer's.
    events: [Arc<File>; 2],
    peer: Peer,
}

impl Raw {
    fn new() -> io::Result<Self> {
        let events = [eventfd()?, eventfd()?];
        let theirs = events.clone();
        let peer = Peer::start(move |stop| {
            let mut ring = Ring::new()?;
            let memory = Memory::map(8)?;
            let mut queues = ring.queues();
            loop {
                push_read(&mut queues, &theirs[1], &memory)?;
                await_read(&mut queues)?;
                if stop.load(Ordering::SeqCst) {
                    return Ok(());
                }
                signal(&theirs[0])?;
            }
        })?;
        Ok(Raw {
            ring: Ring::new()?,
            memory: Memory::map(8)?,
            events,
            peer,
        })
    }
}

fn push_read(queues: &mut Queues<'_>, event: &File, memory: &Memory) -> io::Result<()> {
    let fd = types::Fd(event.as_raw_fd());
    let read = opcode::Read::new(fd, memory.at(0, 8), 8).build();
    // SAFETY: the entry points to memory that is never unmapped and that nothing else uses.
    unsafe { queues.push(&read) }
}

fn await_read(queues: &mut Queues<'_>) -> io::Result<()> {
    loop {
        queues.turn(1)?;
        if let Some(cqe) = queues.next() {
            return result(&cqe).map(drop);
        }
    }
}

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.ring.enters();
        let mut queues = self.ring.queues();
        let meter = Meter::start(Cpu::Process);
        for _ in 0..ops {
            signal(&self.events[1])?;
            push_read(&mut queues, &self.events[0], &self.memory)?;
            await_read(&mut queues)?;
        }
        let enters = queues.enters() - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let event = &self.events[1];
        self.peer.stop(|| {
            // An eventfd takes a write at any time.
            let _ = signal(event);
        });
    }
}

/// A flag that a task waits for: a std waker, and nothing that belongs to a runtime.
#[derive(Default)]
struct Flag {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Flag {
    fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    async fn lower(&self) {
        poll_fn(|cx| {
            if self.raised.swap(false, Ordering::SeqCst) {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            match self.raised.swap(false, Ordering::SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

struct Saferring {
    runtime: Runtime,
    /// Ours, and the peer's.
    flags: Arc<[Flag; 2]>,
    peer: Peer,
}

impl Saferring {
    fn new() -> io::Result<Self> {
        let flags = Arc::new([Flag::default(), Flag::default()]);
        let theirs = Arc::clone(&flags);
        let peer = Peer::start(move |stop| {
            Runtime::new()?.block_on(async {
                loop {
                    theirs[1].lower().await;
                    if stop.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    theirs[0].raise();
                }
            })
        })?;
        Ok(Saferring {
            runtime: Runtime::new()?,
            flags,
            peer,
        })
    }
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Process);
        self.runtime.block_on(async {
            for _ in 0..ops {
                self.flags[1].raise();
                self.flags[0].lower().await;
            }
        });
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

impl Drop for Saferring {
    fn drop(&mut self) {
        let flag = &self.flags[1];
        self.peer.stop(|| flag.raise());
    }
}

struct Tokio {
    runtime: tokio::runtime::Runtime,
    /// Ours, and the peer's.
    notifies: Arc<[Notify; 2]>,
    peer: Peer,
}

impl Tokio {
    fn new() -> io::Result<Self> {
        let notifies = Arc::new([Notify::new(), Notify::new()]);
        let theirs = Arc::clone(&notifies);
        let peer = Peer::start(move |stop| {
            tokio_runtime(true)?.block_on(async {
                loop {
                    theirs[1].notified().await;
                    if stop.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    theirs[0].notify_one();
                }
            })
        })?;
        Ok(Tokio {
            runtime: tokio_runtime(true)?,
            notifies,
            peer,
        })
    }
}

impl Bench for Tokio {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let meter = Meter::start(Cpu::Process);
        self.runtime.block_on(async {
            for _ in 0..ops {
                self.notifies[1].notify_one();
                self.notifies[0].notified().await;
            }
        });
        Ok(meter.stop(ops, None))
    }
}

impl Drop for Tokio {
    fn drop(&mut self) {
        let notify = &self.notifies[1];
        self.peer.stop(|| notify.notify_one());
    }
}
