//! Reads of a file, at random places or in a row.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use io_uring::{opcode, squeue, types};
use saferring_benches::measure::Random;
use saferring_benches::raw::{Memory, Queues, Ring, result};

use super::short;
use crate::contender::{Control, Done, Work};

struct Reads {
    file: std::fs::File,
    memory: Memory,
    block: usize,
    blocks: u64,
    registered: bool,
    /// `None`: in a row.
    random: Option<Random>,
    next: u64,
}

pub(super) fn run(work: Work, mut control: Control, registered: bool) -> io::Result<Done> {
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
        _ => return Ok(Done::Unsupported),
    };
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(if direct { libc::O_DIRECT } else { 0 })
        .open(path)?;
    let mut ring = Ring::new()?;
    let memory = Memory::map(depth * block)?;
    if registered {
        let all = libc::iovec {
            iov_base: memory.at(0, memory.len()).cast(),
            iov_len: memory.len(),
        };
        // SAFETY: the region is never unmapped, and nothing but this ring's reads uses it.
        unsafe { ring.submitter().register_buffers(&[all])? };
        ring.submitter().register_files(&[file.as_raw_fd()])?;
    }
    let mut reads = Reads {
        file,
        memory,
        block,
        blocks: len / block as u64,
        registered,
        random,
        next: 0,
    };
    let mut queues = ring.queues();
    while let Some(ops) = control.next() {
        let meter = control.start();
        reads.slice(&mut queues, depth, ops)?;
        control.report(meter, ops, None);
    }
    Ok(Done::Ended)
}

impl Reads {
    fn slice(&mut self, queues: &mut Queues<'_>, depth: usize, ops: u64) -> io::Result<()> {
        let mut to_push = ops;
        for slot in 0..depth.min(ops as usize) {
            // SAFETY: the memory is never unmapped, and each slot of it has one read at a time.
            unsafe { queues.push(&self.entry(slot))? };
            to_push -= 1;
        }
        let mut done = 0;
        while done < ops {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                if result(&cqe)? != self.block {
                    return Err(short());
                }
                done += 1;
                if to_push > 0 {
                    // SAFETY: as above: the slot's read has just ended.
                    unsafe { queues.push(&self.entry(cqe.user_data() as usize))? };
                    to_push -= 1;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn entry(&mut self, slot: usize) -> squeue::Entry {
        let index = match &mut self.random {
            Some(random) => random.below(self.blocks),
            None => {
                let index = self.next;
                self.next = if index + 1 == self.blocks {
                    0
                } else {
                    index + 1
                };
                index
            }
        };
        let offset = index * self.block as u64;
        let buf = self.memory.at(slot * self.block, self.block);
        let len = self.block as u32;
        let entry = if self.registered {
            opcode::ReadFixed::new(types::Fixed(0), buf, len, 0)
                .offset(offset)
                .build()
        } else {
            opcode::Read::new(types::Fd(self.file.as_raw_fd()), buf, len)
                .offset(offset)
                .build()
        };
        entry.user_data(slot as u64)
    }
}
