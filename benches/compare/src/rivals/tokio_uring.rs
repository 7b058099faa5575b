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

use super::block::Block;
use super::{Access, Rival, entries, is_of_one_connection, short, work};
use crate::contender::{Contender, EchoSpec};

pub(super) fn contenders() -> [Contender; 2] {
    [
        Contender {
            name: "tokio-uring",
            what: "tokio-uring 0.5, default ring flags",
            echo: Some(|listener, spec| echo(default()?, listener, spec)),
            udp_echo: Some(|socket, spec| udp_echo(default()?, socket, spec)),
            work: |work, control| default()?.block_on(work::run::<TokioUring>(work, control)),
        },
        Contender {
            name: "tokio-uring-t",
            what: "tokio-uring 0.5 with SINGLE_ISSUER, COOP_TASKRUN and a ring sized for the connections",
            echo: Some(|listener, spec| echo(tuned(spec.connections)?, listener, spec)),
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

async fn echo_one(stream: TcpStream, message: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::with_capacity(message);
    loop {
        buf.clear(); // A read makes it longer, never shorter.
        let (read, filled) = stream.read(buf).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, used) = stream.write_all(filled).await;
        written?;
        buf = used;
    }
}

fn udp_echo(runtime: Runtime, socket: net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime.block_on(async {
        let socket = UdpSocket::from_std(socket);
        let mut buf = Vec::with_capacity(spec.message);
        loop {
            buf.clear();
            let (received, datagram) = socket.recv_from(buf).await;
            let (_, sender) = received?;
            // What cannot be sent is lost, as datagrams are.
            let (_, used) = socket.send_to(datagram, sender).await;
            buf = used;
        }
    })
}

struct TokioUring;

impl Rival for TokioUring {
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

    fn detach<T: 'static>(task: JoinHandle<T>) {
        drop(task);
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

    fn buf(block: usize) -> Block {
        Block::new(block)
    }

    async fn open(path: &Path, access: Access) -> io::Result<File> {
        Ok(File::from_std(access.open(path)?))
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
