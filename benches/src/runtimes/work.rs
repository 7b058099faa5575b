//! The work, for any of the runtimes.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::{Access, Api};
use crate::contender::{Blocks, Control, Done, Work};
use crate::control::{Message, anonymous_memory, say};
use crate::measure::{Offsets, Random};
use crate::wake::{Flag, WakingThread};

const HOUR: Duration = Duration::from_secs(3600);

/// Does the work, inside the runtime.
///
/// # Errors
///
/// Those of the runtime.
pub async fn run<A: Api>(work: Work, control: Control) -> io::Result<Done> {
    match work.file() {
        Some(_) => files::<A>(work, control).await,
        None => tasks::<A>(work, control).await,
    }
}

/// Work on files.
pub(super) async fn files<A: Api>(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::Read {
            file,
            random,
            direct,
        } => {
            let access = match direct {
                true => Access::ReadDirect,
                false => Access::Read,
            };
            transfer::<A, false>(&file, access, random, control).await
        }
        Work::Write(file) => transfer::<A, true>(&file, Access::Write, false, control).await,
        Work::Copy(from, to) => copy::<A>(&from, &to, control).await,
        _ => Ok(Done::Unsupported),
    }
}

/// Work without files.
pub(super) async fn tasks<A: Api>(work: Work, control: Control) -> io::Result<Done> {
    match work {
        Work::Nop(depth) if A::NOP => nop::<A>(depth, control).await,
        Work::Yield(tasks) => yields::<A>(tasks as u64, control).await,
        Work::SpawnJoin(batch) => spawn_join::<A>(batch as u64, control).await,
        Work::Wake => wake::<A>(control).await,
        Work::Timers => timers::<A>(control).await,
        Work::Sleepers(count) => {
            memory::<A, _>(count, || A::sleep_until(Instant::now() + HOUR)).await
        }
        Work::Pending(count) => memory::<A, _>(count, pending).await,
        _ => Ok(Done::Unsupported),
    }
}

/// Spawns them all, then awaits each.
async fn join<A: Api, T: 'static, F: Future<Output = io::Result<T>> + 'static>(
    futures: impl Iterator<Item = F>,
    mut each: impl FnMut(T),
) -> io::Result<()> {
    let tasks: Vec<_> = futures.map(A::spawn).collect();
    for task in tasks {
        each(A::join(task).await??);
    }
    Ok(())
}

/// Reads or writes with so many tasks.
async fn transfer<A: Api, const WRITE: bool>(
    spec: &Blocks,
    access: Access,
    random: bool,
    control: Control,
) -> io::Result<Done> {
    let file = Rc::new(A::open(&spec.path, access).await?);
    let mut bufs = A::bufs(spec.depth, spec.block)?;
    let offsets = Offsets::new(spec.count(), spec.block, random);
    let offsets = Rc::new(RefCell::new(offsets));
    let slice = async |ops| {
        offsets.borrow_mut().left = ops;
        let tasks = std::mem::take(&mut bufs).into_iter().map(|mut buf| {
            let (file, offsets) = (Rc::clone(&file), Rc::clone(&offsets));
            async move {
                loop {
                    let Some(offset) = offsets.borrow_mut().next() else {
                        return Ok(buf);
                    };
                    buf = match WRITE {
                        true => A::write(&file, buf, offset).await?,
                        false => A::read(&file, buf, offset).await?,
                    };
                }
            }
        });
        join::<A, _, _>(tasks, |buf| bufs.push(buf)).await?;
        Ok(ops)
    };
    control.each_async(slice).await
}

async fn copy<A: Api>(from: &Blocks, to: &Path, control: Control) -> io::Result<Done> {
    // For all runtimes the same system call, made directly: not every one has it, and some would ask a thread to make
    // it.
    let mut target = OpenOptions::new();
    let target = target.write(true).create(true).truncate(true).open(to)?;
    let files = Rc::new([
        A::open(&from.path, Access::Read).await?,
        A::open(to, Access::Write).await?,
    ]);
    let mut bufs = A::bufs(from.depth, from.block)?;
    let blocks = from.count();
    let offsets = Rc::new(RefCell::new(Offsets::new(blocks, from.block, false)));
    let slice = async |ops: u64| {
        for _ in 0..ops.div_ceil(blocks) {
            target.set_len(0)?;
            offsets.borrow_mut().left = blocks;
            let tasks = std::mem::take(&mut bufs).into_iter().map(|mut buf| {
                let (files, offsets) = (Rc::clone(&files), Rc::clone(&offsets));
                async move {
                    loop {
                        let Some(offset) = offsets.borrow_mut().next() else {
                            return Ok(buf);
                        };
                        let read = A::read(&files[0], buf, offset).await?;
                        buf = A::write(&files[1], read, offset).await?;
                    }
                }
            });
            join::<A, _, _>(tasks, |buf| bufs.push(buf)).await?;
        }
        Ok(ops.next_multiple_of(blocks))
    };
    control.each_async(slice).await
}

async fn nop<A: Api>(depth: usize, control: Control) -> io::Result<Done> {
    let slice = async |ops| {
        let left = Rc::new(Cell::new(ops));
        let nops = (0..depth).map(|_| {
            let left = Rc::clone(&left);
            async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    A::nop().await?;
                }
                Ok(())
            }
        });
        join::<A, _, _>(nops, drop).await?;
        Ok(ops)
    };
    control.each_async(slice).await
}

async fn yields<A: Api>(tasks: u64, control: Control) -> io::Result<Done> {
    let slice = async |ops: u64| {
        let each = ops.div_ceil(tasks);
        let yielding = (0..tasks).map(|_| async move {
            for _ in 0..each {
                A::yield_now(tasks == 1).await;
            }
            Ok(())
        });
        join::<A, _, _>(yielding, drop).await?;
        Ok(each * tasks)
    };
    control.each_async(slice).await
}

async fn spawn_join<A: Api>(batch: u64, control: Control) -> io::Result<Done> {
    let slice = async |ops: u64| {
        let rounds = ops.div_ceil(batch);
        // Kept, so that no allocation is measured but the runtime's.
        let mut tasks = Vec::with_capacity(batch as usize);
        for round in 0..rounds {
            tasks.extend((0..batch).map(|i| A::spawn(async move { round ^ i })));
            for task in tasks.drain(..) {
                black_box(A::join(task).await?);
            }
        }
        Ok(rounds * batch)
    };
    control.each_async(slice).await
}

async fn wake<A: Api>(control: Control) -> io::Result<Done> {
    let slice = async |ops| {
        let flag = Arc::new(Flag::default());
        let theirs = Arc::clone(&flag);
        let mut waking = WakingThread::start(ops, move || theirs.raise())?;
        let answering = A::spawn(async move {
            for _ in 0..ops {
                flag.lower().await;
                waking.answer();
            }
            waking.end()
        });
        A::join(answering).await??;
        Ok(ops)
    };
    control.each_async(slice).await
}

async fn timers<A: Api>(control: Control) -> io::Result<Done> {
    let slice = async |ops| {
        let (mut random, started) = (Random::new(1), Instant::now());
        let sleeps = (0..ops).map(|_| {
            let deadline = started + Duration::from_micros(random.below(1_000_000));
            async move {
                A::sleep_until(deadline).await;
                Ok(())
            }
        });
        join::<A, _, _>(sleeps, drop).await?;
        Ok(ops)
    };
    control.each_async(slice).await
}

/// Makes so many tasks that do not end, and reports their memory once each has been polled.
async fn memory<A: Api, F: Future<Output = ()> + 'static>(
    count: usize,
    make: impl Fn() -> F,
) -> io::Result<Done> {
    let before = anonymous_memory("self")?;
    for _ in 0..count {
        A::detach(A::spawn(make()));
    }
    // Every one of the runtimes polls new tasks in the order in which they were spawned.
    A::join(A::spawn(async {})).await?;
    let needed = anonymous_memory("self")?.saturating_sub(before);
    say(&Message::Memory(needed as f64 / count as f64));
    Ok(Done::Ended)
}

async fn pending() {
    let mut kept: Option<Waker> = None;
    poll_fn(|cx| {
        kept = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}
