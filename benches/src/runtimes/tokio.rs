//! tokio's `current_thread` runtime, by its normal interface.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ::saferring::buf::AlignedBuf;
use ::tokio as rt;
use rt::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use rt::net::{TcpListener, TcpStream, UdpSocket};
use rt::runtime::{Builder, Runtime};
use rt::task::{JoinHandle, spawn_blocking};

use super::{Access, Api, serve, work};
use crate::contender::{Blocks, Contender, Control, Done, EchoSpec, TwoCores, Work, say_listening};
use crate::sockets::listener;
use crate::web;

pub(crate) fn compared() -> Vec<Contender> {
    vec![Contender {
        name: web::TOKIO,
        what: "current_thread (on two cores the multi-thread runtime with two workers); reads by pread in spawn_blocking, the copy by tokio::fs::File; axum by the loop of axum::serve, with a timer",
        echo: Some(echo),
        two_cores: TwoCores::Own(echo_on_two_cores),
        web: web::tokio,
        udp_echo: Some(udp_echo),
        work: |work, control| runtime()?.block_on(do_work(work, control)),
    }]
}

pub(crate) fn ratios() -> Vec<Contender> {
    let mut all = compared();
    // With its I/O driver, a yield of the only task looks at epoll.
    all.push(Contender::worker(
        "tokio no I/O",
        "without its I/O driver: no peer, but its tasks cost less",
        |work, control| match work {
            Work::Yield(_) | Work::SpawnJoin(_) => {
                let runtime = Builder::new_current_thread().build()?;
                runtime.block_on(work::run::<Tokio>(work, control))
            }
            _ => Ok(Done::Unsupported),
        },
    ));
    all
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn echo(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    serve_all(listener, |stream| echo_one(stream, spec.message))
}

/// Accepts for ever, with a task for each connection.
pub(crate) fn serve_all<F: Future<Output = io::Result<()>> + 'static>(
    listener: net::TcpListener,
    one: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    runtime()?.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let accept = async || listener.accept().await.map(|(stream, _)| stream);
        serve::<Tokio, _, _>(accept, one).await
    })
}

/// As `#[tokio::main]` does it: the main thread accepts, and two workers share the connections.
fn echo_on_two_cores(spec: EchoSpec) -> io::Result<()> {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let (listener, addr) = listener()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        say_listening(addr);
        loop {
            let (stream, _) = listener.accept().await?;
            rt::spawn(echo_one(stream, spec.message));
        }
    })
}

fn udp_echo(socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime()?.block_on(async {
        socket.set_nonblocking(true)?;
        answer(UdpSocket::from_std(socket)?, spec.message).await
    })
}

crate::servers_with_borrowed_buffers!();

async fn do_work(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::Copy(from, to) => copy(from, &to, control).await,
        work => work::run::<Tokio>(work, control).await,
    }
}

/// One block after the other: a file has one position.
async fn copy(spec: Blocks, to: &Path, control: Control) -> io::Result<Done> {
    let mut from = rt::fs::File::open(&spec.path).await?;
    let mut to = rt::fs::File::create(to).await?;
    let blocks = spec.count();
    let mut buf = vec![0; spec.block];
    let slice = async |ops: u64| {
        for _ in 0..ops.div_ceil(blocks) {
            to.set_len(0).await?;
            from.rewind().await?;
            to.rewind().await?;
            for _ in 0..blocks {
                from.read_exact(&mut buf).await?;
                to.write_all(&buf).await?;
            }
            to.flush().await?;
        }
        Ok(ops.next_multiple_of(blocks))
    };
    control.each_async(slice).await
}

/// What stays on the thread of a `current_thread` runtime. The work is written for runtimes whose tasks need not be
/// `Send`, and tokio's `spawn` asks for it; a `LocalSet` would cost more than what people use.
struct Stays<T>(T);

// SAFETY: tasks are spawned inside `block_on` of a `current_thread` runtime alone, which polls them and drops them and
// what they return on the thread that called it. The runtime is made and dropped on that thread, too.
unsafe impl<T> Send for Stays<T> {}

impl<F: Future> Future for Stays<F> {
    type Output = Stays<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned whenever the whole is: it is never moved out, and there is no `Drop`.
        let future = unsafe { self.map_unchecked_mut(|stays| &mut stays.0) };
        future.poll(cx).map(Stays)
    }
}

struct Tokio;

impl Api for Tokio {
    const NOP: bool = false;

    type File = Arc<File>;
    type Buf = AlignedBuf;
    type Join<T: 'static> = JoinHandle<Stays<T>>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Self::Join<F::Output> {
        rt::spawn(Stays(future))
    }

    async fn join<T: 'static>(task: Self::Join<T>) -> io::Result<T> {
        Ok(task.await?.0)
    }

    fn yield_now(_: bool) -> impl Future<Output = ()> {
        rt::task::yield_now()
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        rt::time::sleep_until(deadline.into())
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<AlignedBuf>> {
        Ok((0..count).map(|_| AlignedBuf::zeroed(block)).collect())
    }

    async fn open(path: &Path, access: Access) -> io::Result<Arc<File>> {
        access.open(path).map(Arc::new)
    }

    async fn read(file: &Arc<File>, mut buf: AlignedBuf, offset: u64) -> io::Result<AlignedBuf> {
        let file = Arc::clone(file);
        spawn_blocking(move || file.read_exact_at(&mut buf, offset).map(|()| buf)).await?
    }

    async fn write(file: &Arc<File>, buf: AlignedBuf, offset: u64) -> io::Result<AlignedBuf> {
        let file = Arc::clone(file);
        spawn_blocking(move || file.write_all_at(&buf, offset).map(|()| buf)).await?
    }
}
