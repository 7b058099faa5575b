//! saferring, used as its documentation says.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use saferring::buf::AlignedBuf;
use saferring::fs::{File, OpenOptions};
use saferring::net::{TcpListener, TcpStream, UdpSocket};
use saferring::runtime::Runtime;
use saferring_benches::measure::Random;

use crate::contender::{Contender, Control, Done, EchoSpec, Work};
use crate::wake::Doorbell;

pub(crate) fn all() -> Vec<Contender> {
    vec![
        Contender {
            name: "saferring",
            what: "defaults; echo by incoming() and recv_stream(), files by read_at and write_at",
            echo: Some(echo),
            udp_echo: Some(udp_echo),
            work,
        },
        Contender {
            name: "saferring (fs::copy)",
            what: "the copy by fs::copy, which chooses blocks and depth itself",
            echo: None,
            udp_echo: None,
            work: copy_whole,
        },
    ]
}

fn echo(listener: std::net::TcpListener, _: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = TcpListener::from_std(listener);
        let mut incoming = listener.incoming();
        while let Some(accepted) = incoming.next().await {
            // A connection that failed before it was accepted ends nothing else.
            if let Ok(stream) = accepted {
                saferring::spawn(async move {
                    // An error ends this connection.
                    let _ = echo_one(stream).await;
                });
            }
        }
        Ok(())
    })
}

async fn echo_one(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut chunks = stream.recv_stream();
    while let Some(chunk) = chunks.next().await.transpose()? {
        stream.write_all(chunk).await.0?;
    }
    Ok(())
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

fn work(work: Work, mut control: Control) -> io::Result<Done> {
    Runtime::new()?.block_on(async {
        match work {
            Work::RandomRead { .. } | Work::SequentialRead { .. } => read(work, control).await?,
            Work::Copy { .. } => copies(work, control).await?,
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

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block ended short")
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
    let (path, len, block, depth, direct, random): (PathBuf, _, _, _, _, _) = match work {
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
    let options = OpenOptions::new().read(true).direct(direct).open(path);
    let file = Rc::new(options.await?);
    let places = Rc::new(RefCell::new(Places {
        random,
        next: 0,
        blocks: len / block as u64,
        left: 0,
    }));
    let mut bufs: Vec<_> = (0..depth)
        .map(|_| AlignedBuf::with_capacity(block))
        .collect();
    while let Some(ops) = control.next() {
        let meter = control.start();
        places.borrow_mut().left = ops;
        let reader = |buf| saferring::spawn(read_some(Rc::clone(&file), Rc::clone(&places), buf));
        let tasks: Vec<_> = bufs.drain(..).map(reader).collect();
        for task in tasks {
            bufs.push(task.await.map_err(io::Error::other)??);
        }
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn read_some(
    file: Rc<File>,
    places: Rc<RefCell<Places>>,
    mut buf: AlignedBuf,
) -> io::Result<AlignedBuf> {
    let block = buf.capacity();
    loop {
        let Some(index) = places.borrow_mut().next() else {
            return Ok(buf);
        };
        let (read, filled) = file.read_at(buf, index * block as u64).await;
        buf = filled;
        if read? != block {
            return Err(short());
        }
    }
}

struct Copy {
    from: File,
    to: File,
    next: Cell<u64>,
    block: usize,
    len: u64,
}

async fn copies(work: Work, mut control: Control) -> io::Result<()> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        depth,
    } = work
    else {
        return Ok(());
    };
    let copy = Rc::new(Copy {
        from: File::open(from).await?,
        to: File::create(to).await?,
        next: Cell::new(0),
        block,
        len,
    });
    let blocks = len / block as u64;
    let buf = |_| Vec::with_capacity(copy.block);
    let mut bufs: Vec<Vec<u8>> = (0..depth).map(buf).collect();
    while let Some(ops) = control.next() {
        let meter = control.start();
        let passes = ops.div_ceil(blocks);
        for _ in 0..passes {
            copy.to.set_len(0).await?;
            copy.next.set(0);
            let copier = |buf| saferring::spawn(copy_blocks(Rc::clone(&copy), buf));
            let tasks: Vec<_> = bufs.drain(..).map(copier).collect();
            for task in tasks {
                bufs.push(task.await.map_err(io::Error::other)??);
            }
        }
        control.report(meter, passes * blocks, None);
    }
    Ok(())
}

async fn copy_blocks(copy: Rc<Copy>, mut buf: Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        let offset = copy.next.get();
        if offset >= copy.len {
            return Ok(buf);
        }
        copy.next.set(offset + copy.block as u64);
        let (read, filled) = copy.from.read_at(buf, offset).await;
        if read? != copy.block {
            return Err(short());
        }
        let (written, filled) = copy.to.write_all_at(filled, offset).await;
        written?;
        buf = filled;
    }
}

fn copy_whole(work: Work, mut control: Control) -> io::Result<Done> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        ..
    } = work
    else {
        return Ok(Done::Unsupported);
    };
    let blocks = len / block as u64;
    Runtime::new()?.block_on(async {
        while let Some(ops) = control.next() {
            let meter = control.start();
            let passes = ops.div_ceil(blocks);
            for _ in 0..passes {
                if saferring::fs::copy(&from, &to).await? != len {
                    return Err(short());
                }
            }
            control.report(meter, passes * blocks, None);
        }
        Ok(Done::Ended)
    })
}
