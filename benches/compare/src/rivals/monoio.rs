//! monoio.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net;
use std::path::Path;
use std::task::{Poll, Waker};
use std::time::Instant;

use ::monoio as rt;
use rt::fs::File;
use rt::io::{AsyncReadRent, AsyncWriteRentExt};
use rt::net::udp::UdpSocket;
use rt::net::{TcpListener, TcpStream};
use rt::task::JoinHandle;
use rt::{IoUringDriver, RuntimeBuilder};

use super::block::Block;
use super::{Access, Rival, entries, is_of_one_connection, short, work, yield_once};
use crate::contender::{Contender, Control, Done, EchoSpec, Work};

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "monoio",
            what: "monoio 0.2.4, io_uring driver, default ring flags, feature sync (wakes from other threads)",
            echo: Some(|listener, spec| echo(builder(), listener, spec)),
            udp_echo: Some(|socket, spec| udp_echo(builder(), socket, spec)),
            work: |work, control| self::work(builder(), work, control),
        },
        Contender {
            name: "monoio-t",
            what: "monoio 0.2.4 with SINGLE_ISSUER, DEFER_TASKRUN and a ring sized for the connections, feature sync",
            echo: Some(|listener, spec| echo(tuned(spec.connections), listener, spec)),
            udp_echo: Some(|socket, spec| udp_echo(tuned(spec.connections), socket, spec)),
            work: |work, control| self::work(tuned(0), work, control),
        },
    ]
}

type Builder = RuntimeBuilder<IoUringDriver>;

fn builder() -> Builder {
    RuntimeBuilder::new()
}

fn tuned(connections: usize) -> Builder {
    let mut ring = io_uring_06::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    builder()
        .uring_builder(ring)
        .with_entries(entries(connections))
}

fn echo(builder: Builder, listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    builder.build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    rt::spawn(async move {
                        // An error ends this connection.
                        let _ = echo_one(stream, spec.message).await;
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Err(error),
            }
        }
    })
}

async fn echo_one(mut stream: TcpStream, message: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::with_capacity(message);
    loop {
        let (read, filled) = stream.read(buf).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, used) = stream.write_all(filled).await;
        written?;
        buf = used;
    }
}

fn udp_echo(builder: Builder, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    builder.build()?.block_on(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buf = Vec::with_capacity(spec.message);
        loop {
            let (received, datagram) = socket.recv_from(buf).await;
            let (_, sender) = received?;
            // What cannot be sent is lost, as datagrams are.
            let (_, used) = socket.send_to(datagram, sender).await;
            buf = used;
        }
    })
}

fn work(builder: Builder, work: Work, control: Control) -> io::Result<Done> {
    match work {
        // Its timers are an option, which costs the rest of its work something.
        Work::Timers | Work::Sleepers { .. } => builder
            .enable_timer()
            .build()?
            .block_on(work::run::<Monoio>(work, control)),
        _ => builder
            .build()?
            .block_on(work::run::<Monoio>(work, control)),
    }
}

/// Tasks that wait for others to have a turn.
#[derive(Default)]
struct Line {
    waiting: Vec<Waker>,
    /// Wakes the task that wakes them, unless that is awake.
    usher: Option<Waker>,
    has_usher: bool,
}

thread_local! {
    static LINE: RefCell<Line> = RefCell::default();
}

/// A task that wakes itself is polled again before all others here. So a task that wants to come after them has another
/// wake it, from the end of the queue.
async fn yield_in_turn() {
    let mut waited = false;
    poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        let (usher, first) = LINE.with_borrow_mut(|line| {
            line.waiting.push(cx.waker().clone());
            let first = !std::mem::replace(&mut line.has_usher, true);
            (line.usher.take(), first)
        });
        if first {
            rt::spawn(usher_in());
        }
        if let Some(usher) = usher {
            usher.wake();
        }
        Poll::Pending
    })
    .await
}

/// Each time it is woken, wakes all that wait.
async fn usher_in() {
    let mut woken = Vec::new();
    poll_fn(|cx| {
        LINE.with_borrow_mut(|line| {
            std::mem::swap(&mut line.waiting, &mut woken);
            line.usher = Some(cx.waker().clone());
        });
        woken.drain(..).for_each(Waker::wake);
        Poll::Pending
    })
    .await
}

struct Monoio;

impl Rival for Monoio {
    const NOP: bool = false;

    type File = File;
    type Buf = Block;
    type Join<T: 'static> = JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
        rt::spawn(future)
    }

    async fn join<T: 'static>(task: JoinHandle<T>) -> io::Result<T> {
        Ok(task.await)
    }

    fn detach<T: 'static>(task: JoinHandle<T>) {
        drop(task);
    }

    async fn yield_now(alone: bool) {
        match alone {
            true => yield_once().await,
            false => yield_in_turn().await,
        }
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        rt::time::sleep_until(rt::time::Instant::from_std(deadline))
    }

    async fn nop() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn buf(block: usize) -> Block {
        Block::new(block)
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        File::from_std(access.open(path)?)
    }

    async fn read(file: &File, buf: Block, offset: u64) -> io::Result<Block> {
        let (read, buf) = file.read_at(buf, offset).await;
        if read? != buf.len() {
            return Err(short());
        }
        Ok(buf)
    }

    async fn copy([from, to]: &[File; 2], buf: Block, offset: u64) -> io::Result<Block> {
        let buf = Self::read(from, buf, offset).await?;
        let (written, buf) = to.write_all_at(buf, offset).await;
        written?;
        Ok(buf)
    }
}
