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

use super::block::Block;
use super::{Access, Rival, entries, is_of_one_connection, short, work, yield_once};
use crate::contender::{Contender, Control, Done, EchoSpec, Work};

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "compio",
            what: "compio 0.19, io_uring driver, default ring flags, multishot accept",
            echo: Some(|listener, spec| echo(Runtime::new()?, listener, spec)),
            udp_echo: Some(|socket, spec| udp_echo(Runtime::new()?, socket, spec)),
            work: |work, control| self::work(Runtime::new()?, work, control),
        },
        Contender {
            name: "compio-t",
            what: "compio 0.19 with SINGLE_ISSUER, DEFER_TASKRUN, TASKRUN_FLAG and a ring sized for the connections, \
                   multishot accept",
            echo: Some(|listener, spec| echo(build(&tuned(spec.connections))?, listener, spec)),
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
    let echo_one = move |stream| echo_one(stream, spec.message);
    runtime.block_on(serve(listener, echo_one))
}

/// Accepts for ever, with a task for each connection.
pub(super) async fn serve<F: Future<Output = io::Result<()>> + 'static>(
    listener: net::TcpListener,
    echo_one: impl Fn(TcpStream) -> F,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut incoming = listener.incoming();
    while let Some(accepted) = incoming.next().await {
        match accepted {
            Ok(stream) => {
                let echoing = echo_one(stream);
                let task = rt::runtime::spawn(async move {
                    // An error ends this connection.
                    let _ = echoing.await;
                });
                task.detach();
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no more connections are accepted"))
}

async fn echo_one(mut stream: TcpStream, message: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::with_capacity(message);
    loop {
        buf.clear(); // A read makes it longer, never shorter.
        let BufResult(read, filled) = stream.read(buf).await;
        if read? == 0 {
            return Ok(());
        }
        let BufResult(written, used) = stream.write_all(filled).await;
        written?;
        buf = used;
    }
}

fn udp_echo(runtime: Runtime, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buf = Vec::with_capacity(spec.message);
        loop {
            buf.clear();
            let BufResult(received, datagram) = socket.recv_from(buf).await;
            let (_, sender) = received?;
            // What cannot be sent is lost, as datagrams are.
            let BufResult(_, used) = socket.send_to(datagram, sender).await;
            buf = used;
        }
    })
}

fn work(runtime: Runtime, work: Work, control: Control) -> io::Result<Done> {
    runtime.block_on(work::run::<Compio>(work, control))
}

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

impl Rival for Compio {
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

    fn buf(block: usize) -> Block {
        Block::new(block)
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

    async fn read(file: &File, buf: Block, offset: u64) -> io::Result<Block> {
        let BufResult(read, buf) = file.read_at(buf, offset).await;
        if read? != buf.len() {
            return Err(short());
        }
        Ok(buf)
    }

    async fn copy([from, to]: &[File; 2], buf: Block, offset: u64) -> io::Result<Block> {
        let buf = Self::read(from, buf, offset).await?;
        let mut to = to;
        let BufResult(written, buf) = to.write_all_at(buf, offset).await;
        written?;
        Ok(buf)
    }
}
