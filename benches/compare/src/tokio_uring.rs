//! tokio-uring.

use std::future::Future;
use std::io;
use std::net;
use std::path::Path;
use std::time::Instant;

use ::tokio_uring as rt;
use rt::Runtime;
use rt::fs::File;
use rt::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use saferring_benches::contender::{Contender, EchoSpec, TwoCores};
use saferring_benches::runtimes::{Access, Api, entries, serve, short, work};

use super::blocks;
use crate::block::Block;

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "tokio-uring",
            what: "tokio-uring 0.5, default ring flags",
            echo: Some(|listener, spec| echo(default()?, listener, spec)),
            two_cores: TwoCores::Threads,
            web: |_| None,
            udp_echo: Some(|socket, spec| udp_echo(default()?, socket, spec)),
            work: |work, control| default()?.block_on(work::run::<TokioUring>(work, control)),
        },
        Contender {
            name: "tokio-uring-t",
            what: "tokio-uring 0.5 with SINGLE_ISSUER, COOP_TASKRUN and a ring sized for the connections",
            echo: Some(|listener, spec| echo(tuned(spec.connections)?, listener, spec)),
            two_cores: TwoCores::Threads,
            web: |_| None,
            udp_echo: Some(|socket, spec| udp_echo(tuned(spec.connections)?, socket, spec)),
            work: |work, control| tuned(0)?.block_on(work::run::<TokioUring>(work, control)),
        },
    ]
}

fn default() -> io::Result<Runtime> {
    Runtime::new(&rt::builder())
}

/// Not DEFER_TASKRUN: it waits in epoll, which does not run what is deferred.
fn tuned(connections: usize) -> io::Result<Runtime> {
    let mut ring = rt::uring_builder();
    ring.setup_single_issuer().setup_coop_taskrun();
    let mut builder = rt::builder();
    Runtime::new(builder.uring_builder(&ring).entries(entries(connections)))
}

fn echo(runtime: Runtime, listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener);
        let accept = async || listener.accept().await.map(|(stream, _)| stream);
        serve::<TokioUring, _, _>(accept, |stream| echo_one(stream, spec.message)).await
    })
}

fn udp_echo(runtime: Runtime, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(async { answer(UdpSocket::from_std(socket), spec.message).await })
}

saferring_benches::servers_with_owned_buffers!();
blocks!();

struct TokioUring;

impl Api for TokioUring {
    const NOP: bool = true;

    type File = File;
    type Buf = Block;
    type Join<T: 'static> = JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
        rt::spawn(future)
    }

    async fn join<T: 'static>(task: JoinHandle<T>) -> io::Result<T> {
        Ok(task.await?)
    }

    fn yield_now(_: bool) -> impl Future<Output = ()> {
        tokio::task::yield_now()
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        tokio::time::sleep_until(deadline.into())
    }

    fn nop() -> impl Future<Output = io::Result<()>> {
        rt::no_op()
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<Block>> {
        Ok((0..count).map(|_| Block::new(block)).collect())
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        Ok(File::from_std(access.open(path)?))
    }

    fn read(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        read_block(file, buf, offset)
    }

    fn write(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        write_block(file, buf, offset)
    }
}
