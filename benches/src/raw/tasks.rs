//! What stands for tasks where there is no runtime.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::{opcode, types};
use rustix::event::{EventfdFlags, eventfd};

use super::ring::{Memory, Queues, Ring, result};
use crate::contender::{Control, Done, Work};
use crate::measure::Random;
use crate::wake::WakingThread;

pub(super) fn run(work: Work, control: Control) -> io::Result<Done> {
    let mut ring = Ring::new()?;
    match work {
        Work::Nop(depth) => {
            let mut queues = ring.queues();
            control.each(|ops| nops(&mut queues, depth as u64, ops))
        }
        Work::Yield(tasks) => control.each(|ops| yields(&mut ring, tasks as u64, ops)),
        Work::SpawnJoin(batch) => control.each(|ops| Ok(allocations(batch as u64, ops))),
        Work::Timers => control.each(|ops| timers(&mut ring, ops)),
        Work::Wake => wakes(&mut ring, control),
        _ => Ok(Done::Unsupported),
    }
}

fn nops(queues: &mut Queues<'_>, depth: u64, ops: u64) -> io::Result<u64> {
    let nop = opcode::Nop::new().build();
    let first = ops.min(depth);
    for _ in 0..first {
        // SAFETY: a nop points to nothing.
        unsafe { queues.push(&nop)? };
    }
    let mut left = ops - first;
    queues.keep_in_flight(first, |queues, cqe| {
        result(cqe)?;
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        // SAFETY: as above.
        unsafe { queues.push(&nop)? };
        Ok(true)
    })?;
    Ok(ops)
}

/// Says whether it wants to be called again.
type Step = Box<dyn FnMut() -> bool>;

/// A queue of boxed closures, and a look at the ring every 256 calls.
fn yields(ring: &mut Ring, tasks: u64, ops: u64) -> io::Result<u64> {
    let each = ops.div_ceil(tasks);
    let mut queue: VecDeque<Step> = VecDeque::new();
    for _ in 0..tasks {
        let mut left = each;
        queue.push_back(Box::new(move || {
            left = black_box(left) - 1;
            left > 0
        }));
    }
    let mut calls = 0u32;
    while let Some(mut step) = queue.pop_front() {
        if step() {
            queue.push_back(step);
        }
        calls = calls.wrapping_add(1);
        if calls.is_multiple_of(256) && ring.wants_enter() {
            ring.queues().turn(0)?;
        }
    }
    Ok(each * tasks)
}

/// Blocks as large as a small task, a header and eight bytes of future, allocated and freed: the floor, not a runtime.
fn allocations(batch: u64, ops: u64) -> u64 {
    let rounds = ops.div_ceil(batch);
    let mut blocks: Vec<Box<[u64; 8]>> = Vec::with_capacity(batch as usize);
    for round in 0..rounds {
        for i in 0..batch {
            blocks.push(black_box(Box::new([round ^ i; 8])));
        }
        for block in blocks.drain(..) {
            drop(black_box(block));
        }
    }
    rounds * batch
}

/// A heap of deadlines in milliseconds, and a ring to wait on until the next.
fn timers(ring: &mut Ring, ops: u64) -> io::Result<u64> {
    let mut random = Random::new(1);
    let mut heap = BinaryHeap::with_capacity(ops as usize);
    let started = Instant::now();
    for id in 0..ops {
        heap.push(Reverse((random.below(1_000), id)));
    }
    let mut queues = ring.queues();
    while let Some(&Reverse((deadline, id))) = heap.peek() {
        let deadline = Duration::from_millis(deadline + 1);
        match deadline.checked_sub(started.elapsed()) {
            Some(wait) if !wait.is_zero() => queues.turn_within(1, wait)?,
            _ => {
                black_box(id);
                heap.pop();
            }
        }
    }
    Ok(ops)
}

/// A thread on another core writes to an eventfd that the ring reads, and is unparked.
fn wakes(ring: &mut Ring, control: Control) -> io::Result<Done> {
    let event = Arc::new(File::from(eventfd(0, EventfdFlags::CLOEXEC)?));
    let memory = Memory::map(8)?;
    let read = opcode::Read::new(types::Fd(event.as_raw_fd()), memory.at(0, 8), 8).build();
    let mut queues = ring.queues();
    control.each(|ops| {
        let theirs = Arc::clone(&event);
        let mut waking = WakingThread::start(ops, move || {
            // An eventfd takes a write at any time.
            let _ = (&*theirs).write_all(&1u64.to_ne_bytes());
        })?;
        for _ in 0..ops {
            // SAFETY: the entry points to memory that is never unmapped and that nothing else uses.
            unsafe { queues.push(&read)? };
            loop {
                queues.turn(1)?;
                if let Some(cqe) = queues.next() {
                    result(&cqe)?;
                    break;
                }
            }
            waking.answer();
        }
        waking.end()?;
        Ok(ops)
    })
}
