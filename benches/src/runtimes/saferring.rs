//! saferring, used as its documentation says.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::{self, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::saferring as rt;
use futures_util::{FutureExt, StreamExt};
use rt::buf::{AlignedBuf, IoBufMut};
use rt::cores::{Balance, Core, Cores, Placement};
use rt::fs::{File, FixedBuf, FixedBufPool, OpenOptions};
use rt::net::{TcpListener, TcpStream, UdpSocket};
use rt::runtime::{Backend, Builder, Runtime, metrics};
use rt::task::JoinHandle;

use super::{Access, Api, files, serve, short, work};
use crate::contender::{Contender, Control, Done, EchoSpec, TwoCores, Work, say_listening};
use crate::web;

/// What the names of those with one of the latency options begin with: they run only if asked for by name.
pub(crate) const TUNING: &str = "tuning ";

/// What it is called that is at its best.
pub(crate) const OURS: &str = "saferring";

/// As the comparison has them: saferring at its best, and what that is worth.
pub(crate) fn compared() -> Vec<Contender> {
    let mut all = vec![
        Contender {
            name: OURS,
            what: "defaults; echo by incoming() and recv_stream(), UDP by recv_from_stream(); files in registered \
                   buffers, the copy with set_inline_writes; on two cores by Core::serve() and Balance::Hash; keys and \
                   values by the example kv_server; HTTP by saferring-hyper, saferring-axum and saferring-tls, frames by \
                   saferring_compat::Framed",
            echo: Some(echo_chunks),
            two_cores: TwoCores::Own(|_| serve_on_two_cores(Builder::new)),
            web: web::saferring,
            udp_echo: Some(udp_echo),
            work: any_work::<FixedBuf, true>,
        },
        Contender {
            name: "saferring (plain)",
            what: "defaults; echo by read() into the connection's own buffer, UDP by recv_from() and send_to(); files in \
                   ordinary buffers, writes by the kernel's threads; frames by tokio_util's \
                   Framed on Compat",
            echo: Some(echo_plain),
            two_cores: TwoCores::No,
            web: web::saferring_plain,
            udp_echo: Some(udp_echo_plain),
            work: file_work::<AlignedBuf, false>,
        },
        Contender::server(
            "saferring (spin)",
            "Builder::spin of 50 µs; echo as above",
            |listener, _| by_chunks(Builder::new().spin(MICROS_50), listener),
        ),
        COPY,
        Contender {
            name: "saferring (software)",
            what: "Builder::backend(Backend::Software), which needs no io_uring; echo by recv_stream(), UDP by recv_from(); \
                   files in ordinary buffers",
            echo: Some(|listener, _| by_chunks(software(), listener)),
            two_cores: TwoCores::Own(|_| serve_on_two_cores(software)),
            web: |_| None,
            udp_echo: Some(|socket, spec| {
                software()
                    .build()?
                    .block_on(async { answer(UdpSocket::from_std(socket), spec.message).await })
            }),
            work: |work, control| match work.file() {
                Some(_) => {
                    let control = control.count(|| metrics().enters);
                    let work = work::files::<Saferring<AlignedBuf, false>>(work, control);
                    software().build()?.block_on(work)
                }
                None => {
                    let control = control.count(|| metrics().enters);
                    let work = work::tasks::<Saferring<AlignedBuf, false>>(work, control);
                    software().build()?.block_on(work)
                }
            },
        },
    ];
    all.extend(tuned());
    all
}

/// Without io_uring.
fn software() -> Builder {
    Builder::new().backend(Backend::Software)
}

/// As the ratios have them: saferring as in its first example, and what does better.
pub(crate) fn ratios() -> Vec<Contender> {
    vec![
        Contender {
            name: OURS,
            what: "defaults; echo by read() into the connection's own buffer; files in ordinary buffers",
            echo: Some(echo_plain),
            two_cores: TwoCores::No,
            web: web::saferring,
            udp_echo: None,
            work: any_work::<AlignedBuf, false>,
        },
        Contender::server("saferring chunks", "echo by recv_stream()", echo_chunks),
        Contender::worker(
            "saferring fixed",
            "files in registered buffers",
            file_work::<FixedBuf, false>,
        ),
        Contender::worker(
            "saferring inline",
            "files in registered buffers, with set_inline_writes",
            |work, control| match work {
                Work::Write(_) | Work::Copy(..) => file_work::<FixedBuf, true>(work, control),
                _ => Ok(Done::Unsupported),
            },
        ),
        COPY,
        Contender::worker(
            "std::fs::copy",
            "the copy by copy_file_range(2): the bytes stay in the kernel",
            |work, control| match work {
                Work::Copy(from, to) => control.each(|ops| {
                    let passes = ops.div_ceil(from.count());
                    for _ in 0..passes {
                        std::fs::copy(&from.path, &to)?;
                    }
                    Ok(passes * from.count())
                }),
                _ => Ok(Done::Unsupported),
            },
        ),
    ]
}

/// On two cores alone, for who asks for each by itself. Not among the ratios: its serve is a second caller of the no-op, which
/// is not inlined any more then, and so costs 63 instructions more.
pub(crate) fn on_two_cores() -> Contender {
    Contender {
        two_cores: TwoCores::Own(|_| serve_on_two_cores(Builder::new)),
        ..Contender::worker(
            "saferring cores",
            "on two cores by Core::serve() and recv_stream()",
            |_, _| Ok(Done::Unsupported),
        )
    }
}

const COPY: Contender = Contender::worker(
    "saferring (fs::copy)",
    "the copy by fs::copy, which lets the kernel copy",
    files::copy_whole,
);

const MICROS_50: Duration = Duration::from_micros(50);

/// One for each latency option, with its value.
macro_rules! tuned {
    ($($name:literal: $option:ident($($value:expr),*);)*) => {
        [$(Contender::server(
            concat!("tuning ", $name),
            stringify!($option($($value),*)),
            |listener, _| by_chunks(Builder::new().$option($($value),*), listener),
        ),)*]
    };
}

fn tuned() -> [Contender; 5] {
    tuned! {
        "min-wait": min_wait(MICROS_50, 8);
        "sqpoll": sqpoll(20 * MICROS_50);
        "napi": napi(MICROS_50, true);
        "interval-16": event_interval(16);
        "interval-4096": event_interval(4096);
    }
}

fn echo_chunks(listener: net::TcpListener, _: EchoSpec) -> io::Result<()> {
    by_chunks(Builder::new(), listener)
}

fn by_chunks(builder: Builder, listener: net::TcpListener) -> io::Result<()> {
    let runtime = builder.build()?;
    runtime.block_on(accept_all(listener, echo_one_by_chunks))
}

async fn echo_one_by_chunks(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut chunks = stream.recv_stream();
    while let Some(chunk) = chunks.next().await.transpose()? {
        stream.write_all(chunk).await.0?;
    }
    Ok(())
}

fn serve_on_two_cores(runtime: fn() -> Builder) -> io::Result<()> {
    let builder = Cores::builder()
        .cores(Placement::Count(2))
        .runtime(move |_| runtime());
    let mut cores = builder.build().map_err(io::Error::other)?;
    let listener = cores.bind((Ipv4Addr::LOCALHOST, 0), Balance::Hash)?;
    say_listening(listener.local_addr());
    let serve = async |core: Core| {
        // An error ends a connection.
        let handler = |stream| echo_one_by_chunks(stream).map(drop);
        core.serve(&listener, handler).await
    };
    cores.run(serve).map(drop).map_err(io::Error::other)
}

fn echo_plain(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let echo = async move |stream| echo_one(stream, spec.message).await;
    Runtime::new()?.block_on(accept_all(listener, echo))
}

pub(crate) async fn accept_all(
    listener: net::TcpListener,
    echo: impl AsyncFn(TcpStream) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener);
    let mut incoming = listener.incoming();
    let accept = async || match incoming.next().await {
        Some(accepted) => accepted,
        None => Err(io::ErrorKind::NotConnected.into()),
    };
    let echo_one = |stream| {
        let echo = echo.clone();
        async move { echo(stream).await }
    };
    serve::<Saferring<AlignedBuf, false>, _, _>(accept, echo_one).await
}

fn udp_echo(socket: net::UdpSocket, _: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let socket = Rc::new(UdpSocket::from_std(socket));
        let mut datagrams = socket.recv_from_stream();
        while let Some((datagram, sender)) = datagrams.next().await.transpose()? {
            let socket = Rc::clone(&socket);
            // What cannot be sent is lost, as datagrams are.
            rt::spawn(async move { socket.send_to(datagram, sender).await.0 });
        }
        Ok(())
    })
}

fn udp_echo_plain(socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async { answer(UdpSocket::from_std(socket), spec.message).await })
}

crate::servers_with_owned_buffers!();

fn any_work<B: Buf, const INLINE: bool>(work: Work, control: Control) -> io::Result<Done> {
    match work.file() {
        Some(_) => file_work::<B, INLINE>(work, control),
        None => task_work(work, control),
    }
}

/// In one form for all, so that the compiler inlines what has one caller, as in a program of its own.
fn task_work(work: Work, control: Control) -> io::Result<Done> {
    let work =
        work::tasks::<Saferring<AlignedBuf, false>>(work, control.count(|| metrics().enters));
    Runtime::new()?.block_on(work)
}

fn file_work<B: Buf, const INLINE: bool>(work: Work, control: Control) -> io::Result<Done> {
    let control = control.count(|| metrics().enters);
    Runtime::new()?.block_on(async {
        match work {
            Work::Streams(file, streams) if INLINE => files::streams(file, streams, control).await,
            work => work::files::<Saferring<B, INLINE>>(work, control).await,
        }
    })
}

/// A buffer that files are read into and written from.
trait Buf: IoBufMut + Sized {
    fn bufs(count: usize, block: usize) -> io::Result<Vec<Self>>;
}

impl Buf for AlignedBuf {
    fn bufs(count: usize, block: usize) -> io::Result<Vec<Self>> {
        Ok((0..count).map(|_| AlignedBuf::zeroed(block)).collect())
    }
}

/// Registered buffers, out of one pool.
impl Buf for FixedBuf {
    fn bufs(count: usize, block: usize) -> io::Result<Vec<Self>> {
        let pool = FixedBufPool::new(count as u32, block)?;
        let mut bufs: Vec<_> = (0..count).filter_map(|_| pool.try_take()).collect();
        bufs.iter_mut().for_each(|buf| buf.resize(block, 0));
        Ok(bufs)
    }
}

struct Saferring<B, const INLINE: bool>(PhantomData<B>);

impl<B: Buf, const INLINE: bool> Api for Saferring<B, INLINE> {
    const NOP: bool = true;

    type File = File;
    type Buf = B;
    type Join<T: 'static> = JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
        rt::spawn(future)
    }

    async fn join<T: 'static>(task: JoinHandle<T>) -> io::Result<T> {
        task.await.map_err(io::Error::other)
    }

    fn yield_now(_: bool) -> impl Future<Output = ()> {
        rt::task::yield_now()
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        rt::time::sleep_until(deadline)
    }

    fn nop() -> impl Future<Output = io::Result<()>> {
        rt::op::nop()
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<B>> {
        B::bufs(count, block)
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        let file = match access {
            Access::Read => File::open(path).await?,
            Access::ReadDirect => {
                OpenOptions::new()
                    .read(true)
                    .direct(true)
                    .open(path)
                    .await?
            }
            Access::Write => OpenOptions::new().write(true).open(path).await?,
        };
        file.set_inline_writes(INLINE);
        Ok(file)
    }

    async fn read(file: &File, buf: B, offset: u64) -> io::Result<B> {
        let (read, buf) = file.read_at(buf, offset).await;
        match read? == buf.buf_capacity() {
            true => Ok(buf),
            false => Err(short()),
        }
    }

    async fn write(file: &File, buf: B, offset: u64) -> io::Result<B> {
        let (written, buf) = file.write_at(buf, offset).await;
        match written? == buf.buf_capacity() {
            true => Ok(buf),
            false => Err(short()),
        }
    }
}
