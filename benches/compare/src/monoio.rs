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

use saferring_benches::contender::{Contender, Control, Done, EchoSpec, TwoCores, Work};
use saferring_benches::runtimes::{Access, Api, entries, serve, short, work, yield_once};

use super::{blocks, monoio_web};
use crate::block::Block;

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "monoio",
            what: "monoio 0.2.4, io_uring driver, default ring flags, feature sync (wakes from other threads)",
            echo: Some(|listener, spec| echo(builder(), listener, spec)),
            two_cores: TwoCores::Threads,
            web: |_| None,
            udp_echo: Some(|socket, spec| udp_echo(builder(), socket, spec)),
            work: |work, control| self::work(builder(), work, control),
        },
        Contender {
            name: "monoio-t",
            what: "monoio 0.2.4 with SINGLE_ISSUER, DEFER_TASKRUN and a ring sized for the connections, feature sync; \
                   HTTP by monoio-compat, with an epoll in the ring, TLS by tokio-rustls",
            echo: Some(|listener, spec| echo(tuned(spec.connections), listener, spec)),
            two_cores: TwoCores::Threads,
            web: monoio_web::web,
            udp_echo: Some(|socket, spec| udp_echo(tuned(spec.connections), socket, spec)),
            work: |work, control| self::work(tuned(0), work, control),
        },
    ]
}

pub(super) type Builder = RuntimeBuilder<IoUringDriver>;

fn builder() -> Builder {
    RuntimeBuilder::new()
}

pub(super) fn tuned(connections: usize) -> Builder {
    let mut ring = io_uring_06::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    builder()
        .uring_builder(ring)
        .with_entries(entries(connections))
}

fn echo(builder: Builder, listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    builder.build()?.block_on(accept_all(listener, |stream| {
        echo_one(stream, spec.message)
    }))
}

/// Accepts for ever, with a task for each connection.
pub(super) async fn accept_all<F: Future<Output = io::Result<()>> + 'static>(
    listener: net::TcpListener,
    one: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let accept = async || listener.accept().await.map(|(stream, _)| stream);
    serve::<Monoio, _, _>(accept, one).await
}

fn udp_echo(builder: Builder, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    let answering = async { answer(UdpSocket::from_std(socket)?, spec.message).await };
    builder.build()?.block_on(answering)
}

fn work(builder: Builder, work: Work, control: Control) -> io::Result<Done> {
    // Its timers are an option, which costs the rest of its work something.
    match work {
        Work::Timers | Work::Sleepers(_) => {
            let mut runtime = builder.enable_timer().build()?;
            runtime.block_on(work::run::<Monoio>(work, control))
        }
        _ => builder
            .build()?
            .block_on(work::run::<Monoio>(work, control)),
    }
}

saferring_benches::servers_with_owned_buffers!();
blocks!();

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

impl Api for Monoio {
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

    async fn yield_now(alone: bool) {
        match alone {
            true => yield_once().await,
            false => yield_in_turn().await,
        }
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        rt::time::sleep_until(rt::time::Instant::from_std(deadline))
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<Block>> {
        Ok((0..count).map(|_| Block::new(block)).collect())
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        File::from_std(access.open(path)?)
    }

    fn read(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        read_block(file, buf, offset)
    }

    fn write(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        write_block(file, buf, offset)
    }
}
