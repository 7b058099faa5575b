//! saferring, used as its documentation says.

mod dials;
mod files;

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use saferring::buf::AlignedBuf;
use saferring::fs::{FixedBuf, FixedBufPool};
use saferring::net::{TcpListener, TcpStream, UdpSocket};
use saferring::runtime::{Builder, Runtime};
use saferring_benches::measure::Random;

use crate::contender::{Contender, Control, Done, EchoSpec, Work};
use crate::wake::Doorbell;
pub(crate) use dials::DIAL;

pub(crate) fn all() -> Vec<Contender> {
    let mut all = vec![
        Contender {
            name: "saferring",
            what: "defaults; echo by incoming() and recv_stream(), UDP by recv_from_stream(); files in registered \
                   buffers, the copy with set_inline_writes",
            echo: Some(echo),
            udp_echo: Some(udp_echo),
            work,
        },
        Contender {
            name: "saferring (plain)",
            what: "defaults; echo by read() into the connection's own buffer, UDP by recv_from() and send_to(); files in \
                   ordinary buffers, writes by the kernel's threads",
            echo: Some(echo_plain),
            udp_echo: Some(udp_echo_plain),
            work: work_plain,
        },
        Contender {
            name: "saferring (spin)",
            what: "Builder::spin of 50 µs; echo as above",
            echo: Some(echo_spinning),
            udp_echo: None,
            work: |_, _| Ok(Done::Unsupported),
        },
        files::whole(),
    ];
    all.extend(dials::all());
    all
}

fn echo(listener: std::net::TcpListener, _: EchoSpec) -> io::Result<()> {
    serve(Runtime::new()?, listener, echo_chunks)
}

fn echo_spinning(listener: std::net::TcpListener, _: EchoSpec) -> io::Result<()> {
    let runtime = Builder::new().spin(Duration::from_micros(50)).build()?;
    serve(runtime, listener, echo_chunks)
}

fn echo_plain(listener: std::net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let echo = async move |stream| echo_read(stream, spec.message).await;
    serve(Runtime::new()?, listener, echo)
}

fn serve(
    runtime: Runtime,
    listener: std::net::TcpListener,
    echo: impl AsyncFn(TcpStream) -> io::Result<()> + Copy + 'static,
) -> io::Result<()> {
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener);
        let mut incoming = listener.incoming();
        while let Some(accepted) = incoming.next().await {
            // A connection that failed before it was accepted ends nothing else, and an error ends its own.
            if let Ok(stream) = accepted {
                saferring::spawn(async move { echo(stream).await });
            }
        }
        Ok(())
    })
}

async fn echo_chunks(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut chunks = stream.recv_stream();
    while let Some(chunk) = chunks.next().await.transpose()? {
        stream.write_all(chunk).await.0?;
    }
    Ok(())
}

async fn echo_read(stream: TcpStream, message: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = Vec::with_capacity(message);
    loop {
        let (received, data) = stream.read(buf).await;
        if received? == 0 {
            return Ok(());
        }
        let (sent, data) = stream.write_all(data).await;
        sent?;
        buf = data;
    }
}

fn udp_echo(socket: std::net::UdpSocket, _: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let socket = Rc::new(UdpSocket::from_std(socket));
        let mut datagrams = socket.recv_from_stream();
        while let Some((datagram, sender)) = datagrams.next().await.transpose()? {
            let socket = Rc::clone(&socket);
            // What cannot be sent is lost, as datagrams are.
            saferring::spawn(async move { socket.send_to(datagram, sender).await.0 });
        }
        Ok(())
    })
}

fn udp_echo_plain(socket: std::net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let socket = UdpSocket::from_std(socket);
        let mut buf = Vec::with_capacity(spec.message);
        loop {
            let (received, datagram) = socket.recv_from(buf).await;
            let (_, sender) = received?;
            let (_, datagram) = socket.send_to(datagram, sender).await;
            buf = datagram;
        }
    })
}

fn work_plain(work: Work, control: Control) -> io::Result<Done> {
    let buf = |block| Ok(AlignedBuf::with_capacity(block));
    Runtime::new()?.block_on(async {
        match work {
            Work::RandomRead { .. } | Work::SequentialRead { .. } => {
                files::read(work, control, buf).await?;
            }
            Work::Copy { .. } => files::copies(work, control, false, buf).await?,
            _ => return Ok(Done::Unsupported),
        }
        Ok(Done::Ended)
    })
}

/// Registered buffers, out of one pool.
fn fixed(depth: usize, block: usize) -> io::Result<impl Fn(usize) -> io::Result<FixedBuf>> {
    let pool = FixedBufPool::new(depth as u32, block)?;
    Ok(move |_| {
        pool.try_take()
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    })
}

fn work(work: Work, mut control: Control) -> io::Result<Done> {
    Runtime::new()?.block_on(async {
        match work {
            Work::RandomRead { depth, block, .. } | Work::SequentialRead { depth, block, .. } => {
                files::read(work, control, fixed(depth, block)?).await?;
            }
            Work::Copy { depth, block, .. } => {
                files::copies(work, control, true, fixed(depth, block)?).await?;
            }
            Work::Streams { .. } => files::streams(work, control).await?,
            Work::Nop { depth } => {
                while let Some(ops) = control.next() {
                    let meter = control.start();
                    let left = Rc::new(Cell::new(ops));
                    join((0..depth).map(|_| nops(Rc::clone(&left)))).await?;
                    control.report(meter, ops, None);
                }
            }
            Work::Yield { tasks } => {
                while let Some(ops) = control.next() {
                    let each = ops.div_ceil(tasks as u64);
                    let meter = control.start();
                    join((0..tasks).map(|_| yields(each))).await?;
                    control.report(meter, each * tasks as u64, None);
                }
            }
            Work::SpawnJoin { batch } => {
                while let Some(ops) = control.next() {
                    let rounds = ops.div_ceil(batch as u64);
                    let meter = control.start();
                    for round in 0..rounds {
                        join((0..batch as u64).map(|i| async move { Ok(round ^ i) })).await?;
                    }
                    control.report(meter, rounds * batch as u64, None);
                }
            }
            Work::Wake => {
                while let Some(ops) = control.next() {
                    let meter = control.start();
                    let bell = Doorbell::start(ops)?;
                    for _ in 0..ops {
                        bell.rung().await;
                        bell.answer();
                    }
                    bell.end()?;
                    control.report(meter, ops, None);
                }
            }
            Work::Timers => {
                while let Some(ops) = control.next() {
                    let meter = control.start();
                    let (mut random, started) = (Random::new(1), Instant::now());
                    let sleep = |_| {
                        let wait = Duration::from_micros(random.below(1_000_000));
                        sleep_until(started + wait)
                    };
                    join((0..ops).map(sleep)).await?;
                    control.report(meter, ops, None);
                }
            }
            Work::Sleepers { .. } | Work::Pending { .. } => memory(work, control).await,
        }
        // What is still pending is no concern of this process, which is about to end.
        Ok(Done::Ended)
    })
}

async fn memory(work: Work, mut control: Control) {
    let before = control.memory();
    match work {
        Work::Sleepers { count } => {
            for _ in 0..count {
                saferring::spawn(saferring::time::sleep(Duration::from_secs(3600)));
            }
            // By then each has been polled.
            saferring::time::sleep(Duration::from_millis(50)).await;
            control.report_memory(before, count);
        }
        Work::Pending { count } => {
            for _ in 0..count {
                saferring::spawn(pending());
            }
            saferring::time::sleep(Duration::from_millis(50)).await;
            control.report_memory(before, count);
        }
        _ => {}
    }
}

/// Spawns them all, then awaits each.
async fn join<T: 'static, F: Future<Output = io::Result<T>> + 'static>(
    futures: impl Iterator<Item = F>,
) -> io::Result<()> {
    let tasks: Vec<_> = futures.map(saferring::spawn).collect();
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn nops(left: Rc<Cell<u64>>) -> io::Result<()> {
    while left.get() > 0 {
        left.set(left.get() - 1);
        saferring::op::nop().await?;
    }
    Ok(())
}

async fn yields(each: u64) -> io::Result<()> {
    for _ in 0..each {
        saferring::task::yield_now().await;
    }
    Ok(())
}

async fn sleep_until(deadline: Instant) -> io::Result<()> {
    saferring::time::sleep_until(deadline).await;
    Ok(())
}

async fn pending() {
    let mut kept: Option<Waker> = None;
    poll_fn(|cx| {
        kept = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}
