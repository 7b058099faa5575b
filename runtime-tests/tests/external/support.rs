//! Loops of our own, and what they drive.

use std::cell::Cell;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::Runtime;
use saferring_tests::pattern_bytes;

pub(crate) fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// By what a loop waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Poll,
    /// epoll(7), which tells of each change once.
    Edges,
}

/// Waits for any of the runtimes, without a timeout if they have no timers.
fn wait(runtimes: &[&Runtime]) {
    let mut sources: Vec<_> = runtimes
        .iter()
        .map(|runtime| PollFd::from_borrowed_fd(runtime.as_fd(), PollFlags::IN))
        .collect();
    match poll(&mut sources, left(runtimes).as_ref()) {
        Err(Errno::INTR) => {}
        polled => drop(polled.unwrap()),
    }
}

fn left(runtimes: &[&Runtime]) -> Option<Timespec> {
    let deadlines = runtimes
        .iter()
        .filter_map(|runtime| runtime.next_deadline());
    let left = deadlines.min()?.saturating_duration_since(Instant::now());
    Some(Timespec::try_from(left).unwrap())
}

/// Runs one runtime after the other until `done`; how often it has waited.
pub(crate) fn drive_all(runtimes: &[&Runtime], mut done: impl FnMut() -> bool) -> u32 {
    let mut waits = 0;
    loop {
        let more = runtimes
            .iter()
            .fold(false, |more, runtime| runtime.run_once() | more);
        if done() {
            return waits;
        }
        if !more {
            wait(runtimes);
            waits += 1;
        }
    }
}

/// The same with one.
pub(crate) fn drive(runtime: &Runtime, done: impl FnMut() -> bool) -> u32 {
    drive_all(&[runtime], done)
}

/// Runs a future as a task of the runtime, in such a loop.
pub(crate) fn drive_to<T: 'static>(
    runtime: &Runtime,
    future: impl Future<Output = T> + 'static,
) -> T {
    drive_by(By::Poll, runtime, future)
}

/// The same in a loop that waits in this way.
pub(crate) fn drive_by<T: 'static>(
    by: By,
    runtime: &Runtime,
    future: impl Future<Output = T> + 'static,
) -> T {
    let answer = Rc::new(Cell::new(None));
    let place = Rc::clone(&answer);
    let task = runtime.spawn(async move { place.set(Some(future.await)) });
    match by {
        By::Poll => drop(drive(runtime, || task.is_finished())),
        By::Edges => drive_by_edges(runtime, || task.is_finished()),
    }
    answer.take().unwrap()
}

fn drive_by_edges(runtime: &Runtime, mut done: impl FnMut() -> bool) {
    let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    let (data, flags) = (EventData::new_u64(0), EventFlags::IN | EventFlags::ET);
    epoll::add(&epoll, runtime, data, flags).unwrap();
    loop {
        let more = runtime.run_once();
        if done() {
            return;
        }
        if !more {
            let mut events = Vec::with_capacity(4);
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&epoll, spare, left(&[runtime]).as_ref()) {
                Err(Errno::INTR) => {}
                waited => drop(waited.unwrap()),
            }
        }
    }
}

/// Runs it until there is nothing to do.
pub(crate) fn settle(runtime: &Runtime) {
    loop {
        while runtime.run_once() {}
        if !is_readable(runtime) {
            return;
        }
    }
}

pub(crate) fn is_readable(runtime: &Runtime) -> bool {
    let mut source = [PollFd::from_borrowed_fd(runtime.as_fd(), PollFlags::IN)];
    poll(&mut source, Some(&Timespec::default())).unwrap() > 0
}

/// Whether it is readable, or becomes so before a test counts as hanging.
pub(crate) fn becomes_readable(runtime: &Runtime) {
    let mut source = [PollFd::from_borrowed_fd(runtime.as_fd(), PollFlags::IN)];
    while let Err(error) = poll(&mut source, None) {
        assert_eq!(error, Errno::INTR);
    }
}

/// Sends everything back to so many connections, until their ends.
pub(crate) async fn echo_to(listener: TcpListener, connections: usize) {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (stream, _) = listener.accept().await.unwrap();
        tasks.push(saferring::spawn(echo(stream)));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn echo(stream: TcpStream) {
    let mut buffer = Vec::with_capacity(512);
    loop {
        buffer.clear();
        let (read, data) = stream.read(buffer).await;
        if read.unwrap() == 0 {
            return;
        }
        let (sent, data) = stream.write_all(data).await;
        sent.unwrap();
        buffer = data;
    }
}

/// A thread with so many connections, which has each echo so many messages.
pub(crate) fn clients(to: SocketAddr, connections: usize, messages: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..connections)
            .map(|_| StdStream::connect(to).unwrap())
            .collect();
        let mut answer = [0; 64];
        for message in 0..messages {
            let sent = pattern_bytes(message as u64, answer.len());
            for stream in &mut streams {
                stream.write_all(&sent).unwrap();
            }
            for stream in &mut streams {
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(answer[..], sent);
            }
        }
    })
}

/// An echo to so many connections; how often the loop has turned for it.
pub(crate) fn echoes(by: By, runtime: &Runtime, connections: usize, messages: usize) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clients = clients(listener.local_addr().unwrap(), connections, messages);
    let before = runtime.metrics().ticks;
    drive_by(by, runtime, echo_to(listener, connections));
    clients.join().unwrap();
    runtime.metrics().ticks - before
}

/// So long that what waits for it hangs.
pub(crate) const FOREVER: Duration = Duration::from_secs(100_000);
