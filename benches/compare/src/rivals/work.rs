//! The work, for any of the rivals.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use saferring_benches::measure::Random;

use super::{Access, Rival};
use crate::contender::{Control, Done, Work};
use crate::wake::Doorbell;

const HOUR: Duration = Duration::from_secs(3600);

/// Does the work, inside the runtime.
pub(super) async fn run<R: Rival>(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::RandomRead {
            path,
            len,
            block,
            depth,
            direct,
        } => {
            let access = if direct {
                Access::ReadDirect
            } else {
                Access::Read
            };
            let places = Places::new(len, block, Some(Random::new(1)));
            read::<R>(&path, access, places, depth, control).await?;
        }
        Work::SequentialRead {
            path,
            len,
            block,
            depth,
        } => {
            let places = Places::new(len, block, None);
            read::<R>(&path, Access::Read, places, depth, control).await?;
        }
        Work::Copy {
            from,
            to,
            len,
            block,
            depth,
        } => {
            let places = Places::new(len, block, None);
            copy::<R>([&from, &to], places, depth, control).await?;
        }
        Work::Streams { .. } => return Ok(Done::Unsupported),
        Work::Nop { .. } if !R::NOP => return Ok(Done::Unsupported),
        Work::Nop { depth } => nop::<R>(depth, control).await?,
        Work::Yield { tasks } => yields::<R>(tasks as u64, control).await?,
        Work::SpawnJoin { batch } => spawn_join::<R>(batch as u64, control).await?,
        Work::Wake => wake::<R>(control).await?,
        Work::Timers => timers::<R>(control).await?,
        Work::Sleepers { count } => {
            let sleeper = || R::sleep_until(Instant::now() + HOUR);
            memory::<R, _>(count, sleeper, control).await?;
        }
        Work::Pending { count } => memory::<R, _>(count, pending, control).await?,
    }
    Ok(Done::Ended)
}

/// Spawns them all, then awaits each.
async fn join<R: Rival, T: 'static, F: Future<Output = io::Result<T>> + 'static>(
    futures: impl Iterator<Item = F>,
    mut each: impl FnMut(T),
) -> io::Result<()> {
    let tasks: Vec<_> = futures.map(R::spawn).collect();
    for task in tasks {
        each(R::join(task).await??);
    }
    Ok(())
}

/// The blocks that come next.
struct Places {
    random: Option<Random>,
    next: u64,
    block: usize,
    blocks: u64,
    left: u64,
}

impl Places {
    fn new(len: u64, block: usize, random: Option<Random>) -> Self {
        Places {
            random,
            next: 0,
            block,
            blocks: len / block as u64,
            left: 0,
        }
    }

    /// The offset of the next block, unless that is enough for this slice.
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let index = match &mut self.random {
            Some(random) => random.below(self.blocks),
            None => {
                let index = self.next;
                self.next = (index + 1) % self.blocks;
                index
            }
        };
        Some(index * self.block as u64)
    }
}

async fn read<R: Rival>(
    path: &Path,
    access: Access,
    places: Places,
    depth: usize,
    mut control: Control,
) -> io::Result<()> {
    let file = Rc::new(R::open(path, access).await?);
    let mut bufs: Vec<_> = (0..depth).map(|_| R::buf(places.block)).collect();
    let places = Rc::new(RefCell::new(places));
    while let Some(ops) = control.next() {
        let meter = control.start();
        places.borrow_mut().left = ops;
        let ready = std::mem::take(&mut bufs).into_iter();
        let readers = ready.map(|buf| read_some::<R>(Rc::clone(&file), Rc::clone(&places), buf));
        join::<R, _, _>(readers, |buf| bufs.push(buf)).await?;
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn read_some<R: Rival>(
    file: Rc<R::File>,
    places: Rc<RefCell<Places>>,
    mut buf: R::Buf,
) -> io::Result<R::Buf> {
    loop {
        let Some(offset) = places.borrow_mut().next() else {
            return Ok(buf);
        };
        buf = R::read(&file, buf, offset).await?;
    }
}

async fn copy<R: Rival>(
    [from, to]: [&Path; 2],
    places: Places,
    depth: usize,
    mut control: Control,
) -> io::Result<()> {
    // For all rivals the same system call, made directly: not every one has it, and some would ask a thread to make it.
    let mut target = OpenOptions::new();
    let target = target.write(true).create(true).truncate(true).open(to)?;
    let files = Rc::new([
        R::open(from, Access::Read).await?,
        R::open(to, Access::Write).await?,
    ]);
    let mut bufs: Vec<_> = (0..depth).map(|_| R::buf(places.block)).collect();
    let blocks = places.blocks;
    let places = Rc::new(RefCell::new(places));
    while let Some(ops) = control.next() {
        let meter = control.start();
        let passes = ops.div_ceil(blocks);
        for _ in 0..passes {
            target.set_len(0)?;
            places.borrow_mut().left = blocks;
            let ready = std::mem::take(&mut bufs).into_iter();
            let copiers =
                ready.map(|buf| copy_some::<R>(Rc::clone(&files), Rc::clone(&places), buf));
            join::<R, _, _>(copiers, |buf| bufs.push(buf)).await?;
        }
        control.report(meter, passes * blocks, None);
    }
    Ok(())
}

async fn copy_some<R: Rival>(
    files: Rc<[R::File; 2]>,
    places: Rc<RefCell<Places>>,
    mut buf: R::Buf,
) -> io::Result<R::Buf> {
    loop {
        let Some(offset) = places.borrow_mut().next() else {
            return Ok(buf);
        };
        buf = R::copy(&files, buf, offset).await?;
    }
}

async fn nop<R: Rival>(depth: usize, mut control: Control) -> io::Result<()> {
    while let Some(ops) = control.next() {
        let meter = control.start();
        let left = Rc::new(Cell::new(ops));
        let nops = (0..depth).map(|_| {
            let left = Rc::clone(&left);
            async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    R::nop().await?;
                }
                Ok(())
            }
        });
        join::<R, _, _>(nops, drop).await?;
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn yields<R: Rival>(tasks: u64, mut control: Control) -> io::Result<()> {
    while let Some(ops) = control.next() {
        let each = ops.div_ceil(tasks);
        let meter = control.start();
        let yielding = (0..tasks).map(|_| async move {
            for _ in 0..each {
                R::yield_now(tasks == 1).await;
            }
            Ok(())
        });
        join::<R, _, _>(yielding, drop).await?;
        control.report(meter, each * tasks, None);
    }
    Ok(())
}

async fn spawn_join<R: Rival>(batch: u64, mut control: Control) -> io::Result<()> {
    while let Some(ops) = control.next() {
        let rounds = ops.div_ceil(batch);
        let meter = control.start();
        for round in 0..rounds {
            join::<R, _, _>((0..batch).map(|i| async move { Ok(round ^ i) }), drop).await?;
        }
        control.report(meter, rounds * batch, None);
    }
    Ok(())
}

async fn wake<R: Rival>(mut control: Control) -> io::Result<()> {
    while let Some(ops) = control.next() {
        let meter = control.start();
        let bell = Doorbell::start(ops)?;
        let answering = R::spawn(async move {
            for _ in 0..ops {
                bell.rung().await;
                bell.answer();
            }
            bell.end()
        });
        R::join(answering).await??;
        control.report(meter, ops, None);
    }
    Ok(())
}

async fn timers<R: Rival>(mut control: Control) -> io::Result<()> {
    while let Some(ops) = control.next() {
        let meter = control.start();
        let (mut random, started) = (Random::new(1), Instant::now());
        let sleeps = (0..ops).map(|_| {
            let deadline = started + Duration::from_micros(random.below(1_000_000));
            async move {
                R::sleep_until(deadline).await;
                Ok(())
            }
        });
        join::<R, _, _>(sleeps, drop).await?;
        control.report(meter, ops, None);
    }
    Ok(())
}

/// Makes so many tasks that do not end, and reports their memory once each has been polled.
async fn memory<R: Rival, F: Future<Output = ()> + 'static>(
    count: usize,
    make: impl Fn() -> F,
    mut control: Control,
) -> io::Result<()> {
    let before = control.memory();
    for _ in 0..count {
        R::detach(R::spawn(make()));
    }
    // Every one of the rivals polls new tasks in the order in which they were spawned.
    R::join(R::spawn(async {})).await?;
    control.report_memory(before, count);
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
