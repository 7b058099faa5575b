//! compio.

use std::future::Future;
use std::io;
use std::net;
use std::path::Path;
use std::time::Instant;

use ::compio as rt;
use futures_util::StreamExt;
use io_uring::opcode;
use rt::BufResult;
use rt::driver::{OpCode, OpEntry, ProactorBuilder};
use rt::fs::{File, OpenOptions};
use rt::io::{AsyncRead, AsyncReadAt, AsyncWriteAtExt, AsyncWriteExt};
use rt::net::{TcpListener, TcpStream, UdpSocket};
use rt::runtime::{JoinHandle, Runtime, RuntimeBuilder};

use saferring_benches::contender::{Contender, Control, Done, EchoSpec, TwoCores, Work};
use saferring_benches::runtimes::{Access, Api, entries, serve, short, work, yield_once};

use super::{blocks, compio_web};
use crate::block::Block;

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "compio",
            what: "compio 0.19, io_uring driver, default ring flags, multishot accept",
            echo: Some(|listener, spec| echo(Runtime::new()?, listener, spec)),
            two_cores: TwoCores::Threads,
            web: |_| None,
            udp_echo: Some(|socket, spec| udp_echo(Runtime::new()?, socket, spec)),
            work: |work, control| self::work(Runtime::new()?, work, control),
        },
        Contender {
            name: "compio-t",
            what: "compio 0.19 with SINGLE_ISSUER, DEFER_TASKRUN, TASKRUN_FLAG and a ring sized for the connections, \
                   multishot accept; HTTP by cyper-core and compio-tls, axum without TLS by cyper_axum::serve, which has \
                   no timer for heads",
            echo: Some(|listener, spec| echo(build(&tuned(spec.connections))?, listener, spec)),
            two_cores: TwoCores::Threads,
            web: compio_web::web,
            udp_echo: Some(|socket, spec| udp_echo(build(&tuned(spec.connections))?, socket, spec)),
            work: |work, control| self::work(build(&tuned(0))?, work, control),
        },
    ]
}

pub(super) fn tuned(connections: usize) -> ProactorBuilder {
    let mut builder = ProactorBuilder::new();
    builder
        .single_issuer(true)
        .defer_taskrun(true)
        .taskrun_flag(true)
        .capacity(entries(connections));
    builder
}

pub(super) fn build(proactor: &ProactorBuilder) -> io::Result<Runtime> {
    RuntimeBuilder::new()
        .with_proactor(proactor.clone())
        .build()
}

fn echo(runtime: Runtime, listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(accept_all(listener, move |stream| {
        echo_one(stream, spec.message)
    }))
}

/// Accepts for ever, with a task for each connection.
pub(super) async fn accept_all<F: Future<Output = io::Result<()>> + 'static>(
    listener: net::TcpListener,
    echo_one: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut incoming = listener.incoming();
    let accept = async || match incoming.next().await {
        Some(accepted) => accepted,
        None => Err(io::ErrorKind::NotConnected.into()),
    };
    serve::<Compio, _, _>(accept, echo_one).await
}

fn udp_echo(runtime: Runtime, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(async { answer(UdpSocket::from_std(socket)?, spec.message).await })
}

fn work(runtime: Runtime, work: Work, control: Control) -> io::Result<Done> {
    runtime.block_on(work::run::<Compio>(work, control))
}

saferring_benches::servers_with_owned_buffers!(BufResult);
blocks!(BufResult);

/// The crate has no such operation, but takes those of others.
struct Nop;

// SAFETY: the entry points to nothing, so it stays valid whatever becomes of the operation.
unsafe impl OpCode for Nop {
    type Control = ();

    fn create_entry(&mut self, (): &mut ()) -> OpEntry {
        OpEntry::Submission(opcode::Nop::new().build())
    }
}

struct Compio;

impl Api for Compio {
    const NOP: bool = true;

    type File = File;
    type Buf = Block;
    type Join<T: 'static> = JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> JoinHandle<F::Output> {
        rt::runtime::spawn(future)
    }

    async fn join<T: 'static>(task: JoinHandle<T>) -> io::Result<T> {
        task.await
            .map_err(|error| io::Error::other(error.to_string()))
    }

    fn detach<T: 'static>(task: JoinHandle<T>) {
        task.detach();
    }

    fn yield_now(_: bool) -> impl Future<Output = ()> {
        yield_once()
    }

    fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
        rt::time::sleep_until(deadline)
    }

    async fn nop() -> io::Result<()> {
        rt::runtime::submit(Nop).await.0.map(drop)
    }

    fn bufs(count: usize, block: usize) -> io::Result<Vec<Block>> {
        Ok((0..count).map(|_| Block::new(block)).collect())
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::ReadDirect => options.read(true).custom_flags(libc::O_DIRECT),
            Access::Write => options.write(true),
        };
        options.open(path).await
    }

    fn read(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        read_block(file, buf, offset)
    }

    fn write(file: &File, buf: Block, offset: u64) -> impl Future<Output = io::Result<Block>> {
        write_block(file, buf, offset)
    }
}
