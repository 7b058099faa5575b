//! Buffered writes of 4 KiB over a file that is in the page cache.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use io_uring::{opcode, types};
use saferring::runtime::Runtime;

use crate::measure::{Cpu, Meter, pin};
use crate::raw::{Memory, Ring, result};
use crate::read_data::{BLOCK, directory};
use crate::{Bench, Sample, Variant, Workload};

/// The part of the file that is written over and over, so that the disk does not take part.
const BLOCKS: u64 = 1024;

pub(crate) fn workloads() -> Vec<Workload> {
    let what = "a 4 KiB write to a cached file, CPU of the process with the kernel's threads (saferring inline: with \
                set_inline_writes)";
    let workload = |name, variants| Workload {
        name,
        what,
        variants,
    };
    let variant = |name, make| Variant { name, make };
    vec![
        workload(
            "write-cached-1",
            vec![
                variant("raw", |_| Ok(Box::new(Raw::new(1)?))),
                variant("saferring", |_| Ok(Box::new(Saferring::new(1, false)?))),
                variant("saferring inline", |_| {
                    Ok(Box::new(Saferring::new(1, true)?))
                }),
            ],
        ),
        workload(
            "write-cached-32",
            vec![
                variant("raw", |_| Ok(Box::new(Raw::new(32)?))),
                variant("saferring", |_| Ok(Box::new(Saferring::new(32, false)?))),
                variant("saferring inline", |_| {
                    Ok(Box::new(Saferring::new(32, true)?))
                }),
            ],
        ),
    ]
}

fn target() -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory()?)?;
    file.set_len(BLOCKS * BLOCK as u64)?;
    Ok(file)
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "a write ended short")
}

struct Raw {
    ring: Ring,
    file: File,
    memory: Memory,
    depth: u64,
    next: u64,
}

impl Raw {
    fn new(depth: u64) -> io::Result<Self> {
        Ok(Raw {
            ring: Ring::new()?,
            file: target()?,
            memory: Memory::map(depth as usize * BLOCK)?,
            depth,
            next: 0,
        })
    }
}

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let fd = types::Fd(self.file.as_raw_fd());
        let before = self.ring.enters();
        let mut queues = self.ring.queues();
        let mut entry = |slot: u64| {
            self.next += 1;
            let place = self.memory.at(slot as usize * BLOCK, BLOCK);
            opcode::Write::new(fd, place, BLOCK as u32)
                .offset(self.next % BLOCKS * BLOCK as u64)
                .build()
                .user_data(slot)
        };
        let meter = Meter::start(Cpu::Process);
        let mut pushed = ops.min(self.depth);
        for slot in 0..pushed {
            // SAFETY: the memory is never unmapped, and each slot of it has one write at a time.
            unsafe { queues.push(&entry(slot))? };
        }
        let mut done = 0;
        while done < ops {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                if result(&cqe)? != BLOCK {
                    return Err(short());
                }
                done += 1;
                if pushed < ops {
                    pushed += 1;
                    // SAFETY: as above: the slot's write has just ended.
                    unsafe { queues.push(&entry(cqe.user_data()))? };
                }
            }
        }
        let enters = queues.enters() - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

struct Saferring {
    runtime: Runtime,
    file: Rc<saferring::fs::File>,
    depth: u64,
    next: Rc<Cell<u64>>,
}

impl Saferring {
    fn new(depth: u64, inline: bool) -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let file = saferring::fs::File::from_std(target()?);
        file.set_inline_writes(inline);
        Ok(Saferring {
            runtime,
            file: Rc::new(file),
            depth,
            next: Rc::default(),
        })
    }
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Process);
        let left = Rc::new(Cell::new(ops));
        self.runtime.block_on(async {
            let writer = |_| {
                let (file, next, left) = (
                    Rc::clone(&self.file),
                    Rc::clone(&self.next),
                    Rc::clone(&left),
                );
                saferring::spawn(async move {
                    let mut buf = vec![0; BLOCK];
                    while left.get() > 0 {
                        left.set(left.get() - 1);
                        next.set(next.get() + 1);
                        let offset = next.get() % BLOCKS * BLOCK as u64;
                        let (written, kept) = file.write_at(buf, offset).await;
                        buf = kept;
                        if written? != BLOCK {
                            return Err(short());
                        }
                    }
                    Ok(())
                })
            };
            let tasks: Vec<_> = (0..self.depth).map(writer).collect();
            for task in tasks {
                task.await.map_err(io::Error::other)??;
            }
            io::Result::Ok(())
        })?;
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}
