//! glommio.

use std::future::Future;
use std::io;
use std::net;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::path::Path;
use std::time::Instant;

use ::glommio as rt;
use futures_util::{AsyncReadExt, AsyncWriteExt, FutureExt};
use rt::io::{BufferedFile, DmaFile, OpenOptions, ReadResult};
use rt::net::{TcpListener, TcpStream, UdpSocket};
use rt::timer::Timer;
use rt::{LocalExecutor, LocalExecutorBuilder, Placement};

use saferring_benches::contender::{Contender, Control, Done, EchoSpec, TwoCores, Work};
use saferring_benches::runtimes::{Access, Api, serve, short, work};

pub(super) fn contender() -> Contender {
    Contender {
        name: "glommio",
        what: "glommio 0.9, defaults; it chooses the ring flags itself",
        echo: Some(echo),
        two_cores: TwoCores::Threads,
        web: |_| None,
        udp_echo: Some(udp_echo),
        work,
    }
}

fn executor() -> io::Result<LocalExecutor> {
    Ok(LocalExecutorBuilder::new(Placement::Unbound).make()?)
}

fn echo(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    executor()?.run(async {
        // SAFETY: the descriptor is a listener's, and its owner gives it up.
        let listener = unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) };
        let accept = async || listener.accept().await.map_err(io::Error::from);
        serve::<Glommio, _, _>(accept, |stream| echo_one(stream, spec.message)).await
    })
}

fn udp_echo(socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    // SAFETY: the descriptor is a UDP socket's, and its owner gives it up.
    let socket = move || unsafe { UdpSocket::from_raw_fd(socket.into_raw_fd()) };
    executor()?.run(async { answer(socket(), spec.message).await })
}

saferring_benches::servers_with_borrowed_buffers!();

fn work(work: Work, control: Control) -> io::Result<Done> {
    executor()?.run(work::run::<Glommio>(work, control))
}

enum File {
    Direct(DmaFile),
    Cached(BufferedFile),
}

/// Reads bring their own buffers; this is how long they are to be, and what the last one brought.
type Buf = (usize, Option<ReadResult>);

struct Glommio;

impl Api for Glommio {
    const NOP: bool = false;

    type File = File;
    type Buf = Buf;
    type Join<T: 'static> = rt::Task<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> rt::Task<F::Output> {
        rt::spawn_local(future)
    }

    async fn join<T: 'static>(task: rt::Task<T>) -> io::Result<T> {
        Ok(task.await)
    }

    fn detach<T: 'static>(task: rt::Task<T>) {
        task.detach();
    }

    async fn yield_now(_: bool) {
        rt::executor().yield_now().await;
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        Timer::new(deadline.saturating_duration_since(Instant::now())).map(drop)
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<Buf>> {
        Ok((0..count).map(|_| (block, None)).collect())
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        Ok(match access {
            Access::Read => File::Cached(BufferedFile::open(path).await?),
            Access::ReadDirect => File::Direct(DmaFile::open(path).await?),
            Access::Write => {
                let mut options = OpenOptions::new();
                File::Cached(options.write(true).buffered_open(path).await?)
            }
        })
    }

    async fn read(file: &File, (block, last): Buf, offset: u64) -> io::Result<Buf> {
        drop(last);
        let read = match file {
            File::Direct(file) => file.read_at_aligned(offset, block).await?,
            File::Cached(file) => file.read_at(offset, block).await?,
        };
        match read.len() == block {
            true => Ok((block, Some(read))),
            false => Err(short()),
        }
    }

    /// What was read cannot be written as it is: a write takes a vector, and keeps it.
    async fn write(file: &File, (block, read): Buf, offset: u64) -> io::Result<Buf> {
        let (File::Cached(file), bytes) = (file, read.map_or(vec![0; block], |read| read.to_vec()))
        else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        match file.write_at(bytes, offset).await? == block {
            true => Ok((block, None)),
            false => Err(short()),
        }
    }
}
