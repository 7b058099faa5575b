//! tokio's `current_thread` runtime, by its normal interface.

use std::future::poll_fn;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use saferring::buf::AlignedBuf;
use saferring_benches::measure::Random;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::contender::{Contender, Control, Done, EchoSpec, Work};
use crate::wake::Doorbell;

pub(crate) fn all() -> Vec<Contender> {
    vec![Contender {
        name: "tokio",
        what: "current_thread; reads by pread in spawn_blocking, the copy by tokio::fs::File",
        echo: Some(echo),
        udp_echo: Some(udp_echo),
        work,
    }]
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn echo(listener: std::net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    runtime()?.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        loop {
            // A connection that failed before it was accepted ends nothing else.
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // An error ends this connection.
                    let _ = echo_one(stream, spec.message).await;
                });
            }
        }
    })
}

async fn echo_one(mut stream: TcpStream, message: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buf = vec![0; message];
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..n]).await?;
    }
}

fn udp_echo(socket: std::net::UdpSocket, spec: EchoSpec) -> io::Result<()> {
    runtime()?.block_on(async {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let mut buf = vec![0; spec.message];
        loop {
            let (n, sender) = socket.recv_from(&mut buf).await?;
            // What cannot be sent is lost, as datagrams are.
            let _ = socket.send_to(&buf[..n], sender).await;
        }
    })
}

fn work(work: Work, mut control: Control) -> io::Result<Done> {
    runtime()?.block_on(async {
        match work {
            Work::RandomRead { .. } | Work::SequentialRead { .. } => read(work, control).await?,
            Work::Copy { .. } => copy(work, control).await?,
            Work::Nop { .. } | Work::Streams { .. } => return Ok(Done::Unsupported),
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
            Work::Sleepers { count } => {
                let before = control.memory();
                for _ in 0..count {
                    tokio::spawn(tokio::time::sleep(Duration::from_secs(3600)));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                control.report_memory(before, count);
            }
            Work::Pending { count } => {
                let before = control.memory();
                for _ in 0..count {
                    tokio::spawn(pending());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                control.report_memory(before, count);
            }
        }
        Ok(Done::Ended)
    })
}

/// Spawns them all, then awaits each.
async fn join<T: Send + 'static, F: Future<Output = io::Result<T>> + Send + 'static>(
    futures: impl Iterator<Item = F>,
) -> io::Result<()> {
    let tasks: Vec<_> = futures.map(tokio::spawn).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn yields(each: u64) -> io::Result<()> {
    for _ in 0..each {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn sleep_until(deadline: Instant) -> io::Result<()> {
    tokio::time::sleep_until(deadline).await;
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

/// Where the next read goes.
struct Places {
    random: Option<Random>,
    next: u64,
    blocks: u64,
    left: u64,
}

impl Places {
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if let Some(random) = &mut self.random {
            return Some(random.below(self.blocks));
        }
        let index = self.next;
        self.next = (index + 1) % self.blocks;
        Some(index)
    }
}

async fn read(work: Work, mut control: Control) -> io::Result<()> {
    let (path, len, block, depth, direct, random) = match work {
        Work::RandomRead {
            path,
            len,
            block,
            depth,
            direct,
        } => (path, len, block, depth, direct, Some(Random::new(1))),
        Work::SequentialRead {
            path,
            len,
            block,
            depth,
        } => (path, len, block, depth, false, None),
        _ => return Ok(()),
    };
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    options.custom_flags(if direct { libc::O_DIRECT } else { 0 });
    let file = Arc::new(options.open(path)?);
    let places = Arc::new(Mutex::new(Places {
        random,
        next: 0,
        blocks: len / block as u64,
        left: 0,
    }));
    let mut bufs: Vec<_> = (0..depth).map(|_| AlignedBuf::zeroed(block)).collect();
    while let Some(ops) = control.next() {
        let meter = control.start();
        places.lock().unwrap_or_else(PoisonError::into_inner).left = ops;
        let reader = |buf| tokio::spawn(read_some(Arc::clone(&file), Arc::clone(&places), buf));
        let tasks: Vec<_> = bufs.drain(..).map(reader).collect();
        for task in tasks {
            bufs.push(task.await??);
        }
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn read_some(
    file: Arc<std::fs::File>,
    places: Arc<Mutex<Places>>,
    mut buf: AlignedBuf,
) -> io::Result<AlignedBuf> {
    loop {
        let next = places.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(index) = next else {
            return Ok(buf);
        };
        let file = Arc::clone(&file);
        let pread = move || {
            let offset = index * buf.len() as u64;
            file.read_exact_at(&mut buf, offset).map(|()| buf)
        };
        buf = tokio::task::spawn_blocking(pread).await??;
    }
}

/// One block after the other: a file has one position.
async fn copy(work: Work, mut control: Control) -> io::Result<()> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        ..
    } = work
    else {
        return Ok(());
    };
    let mut from = tokio::fs::File::open(from).await?;
    let mut to = tokio::fs::File::create(to).await?;
    let blocks = len / block as u64;
    let mut buf = vec![0; block];
    while let Some(ops) = control.next() {
        let meter = control.start();
        let passes = ops.div_ceil(blocks);
        for _ in 0..passes {
            to.set_len(0).await?;
            from.rewind().await?;
            to.rewind().await?;
            for _ in 0..blocks {
                from.read_exact(&mut buf).await?;
                to.write_all(&buf).await?;
            }
            to.flush().await?;
        }
        control.report(meter, passes * blocks, None);
    }
    Ok(())
}
