//! What stands for tasks where there is no runtime.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use io_uring::{opcode, types};
use saferring_benches::measure::Random;
use saferring_benches::raw::{Memory, Queues, Ring, result};

use crate::contender::{Control, Done, Work};

pub(super) fn run(work: Work, mut control: Control) -> io::Result<Done> {
    let mut ring = Ring::new()?;
    match work {
        Work::Nop { depth } => {
            let mut queues = ring.queues();
            while let Some(ops) = control.next() {
                let meter = control.start();
                nops(&mut queues, depth as u64, ops)?;
                control.report(meter, ops, None);
            }
        }
        Work::Yield { tasks } => {
            while let Some(ops) = control.next() {
                let each = ops.div_ceil(tasks as u64);
                let meter = control.start();
                yields(&mut ring, tasks, each)?;
                control.report(meter, each * tasks as u64, None);
            }
        }
        Work::SpawnJoin { batch } => {
            while let Some(ops) = control.next() {
                let rounds = ops.div_ceil(batch as u64);
                let meter = control.start();
                allocations(batch, rounds);
                control.report(meter, rounds * batch as u64, None);
            }
        }
        Work::Timers => {
            while let Some(ops) = control.next() {
                let meter = control.start();
                timers(&mut ring, ops)?;
                control.report(meter, ops, None);
            }
        }
        Work::Wake => wakes(&mut ring, control)?,
        _ => return Ok(Done::Unsupported),
    }
    Ok(Done::Ended)
}

fn nops(queues: &mut Queues<'_>, depth: u64, ops: u64) -> io::Result<()> {
    let nop = opcode::Nop::new().build();
    let mut to_push = ops;
    for _ in 0..depth.min(ops) {
        // SAFETY: a nop points to nothing.
        unsafe { queues.push(&nop)? };
        to_push -= 1;
    }
    let mut done = 0;
    while done < ops {
        queues.turn(1)?;
        while let Some(cqe) = queues.next() {
            result(&cqe)?;
            done += 1;
            if to_push > 0 {
                // SAFETY: as above.
                unsafe { queues.push(&nop)? };
                to_push -= 1;
            }
        }
    }
    Ok(())
}

/// Says whether it wants to be called again.
type Step = Box<dyn FnMut() -> bool>;

/// A queue of boxed closures, and a look at the ring every 256 calls.
fn yields(ring: &mut Ring, tasks: usize, each: u64) -> io::Result<()> {
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
    Ok(())
}

/// Blocks as large as a small task, a header and eight bytes of future, allocated and freed: the floor, not a runtime.
fn allocations(batch: usize, rounds: u64) {
    let mut blocks: Vec<Box<[u64; 8]>> = Vec::with_capacity(batch);
    for round in 0..rounds {
        for i in 0..batch as u64 {
            blocks.push(black_box(Box::new([round ^ i; 8])));
        }
        for block in blocks.drain(..) {
            drop(black_box(block));
        }
    }
}

/// A heap of deadlines in milliseconds, and a ring to wait on until the next.
fn timers(ring: &mut Ring, ops: u64) -> io::Result<()> {
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
    Ok(())
}

/// A thread on another core writes to an eventfd that the ring reads, and is unparked.
fn wakes(ring: &mut Ring, mut control: Control) -> io::Result<()> {
    // SAFETY: eventfd takes no pointers.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, so nobody else owns it.
    let event = Arc::new(unsafe { File::from_raw_fd(fd) });
    let memory = Memory::map(8)?;
    let mut queues = ring.queues();
    while let Some(ops) = control.next() {
        let meter = control.start();
        let answered = Arc::new(AtomicU64::new(0));
        let (theirs, answers) = (Arc::clone(&event), Arc::clone(&answered));
        let waker = thread::spawn(move || {
            crate::cores::leave_for_other();
            for round in 1..=ops {
                (&*theirs).write_all(&1u64.to_ne_bytes())?;
                while answers.load(Ordering::Acquire) < round {
                    thread::park();
                }
            }
            io::Result::Ok(())
        });
        for round in 1..=ops {
            let fd = types::Fd(event.as_raw_fd());
            let read = opcode::Read::new(fd, memory.at(0, 8), 8).build();
            // SAFETY: the entry points to memory that is never unmapped and that nothing else uses.
            unsafe { queues.push(&read)? };
            loop {
                queues.turn(1)?;
                if let Some(cqe) = queues.next() {
                    result(&cqe)?;
                    break;
                }
            }
            answered.store(round, Ordering::Release);
            waker.thread().unpark();
        }
        waker
            .join()
            .map_err(|_| io::Error::other("the waking thread panicked"))??;
        control.report(meter, ops, None);
    }
    Ok(())
}
