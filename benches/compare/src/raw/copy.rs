//! A copy of a file: `depth` blocks on their way, each read and then written.

use std::io;
use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue, types};
use saferring_benches::raw::{Memory, Queues, Ring, result};

use super::short;
use crate::contender::{Control, Done, Work};

struct Copy {
    files: [std::fs::File; 2],
    memory: Memory,
    block: usize,
    registered: bool,
}

/// In the user data: the slot below, the block above.
const SLOT: u64 = 0xffff;
const BLOCK: u32 = 16;
const WRITE: u64 = 1 << 63;

pub(super) fn run(work: Work, mut control: Control, registered: bool) -> io::Result<Done> {
    let Work::Copy {
        from,
        to,
        len,
        block,
        depth,
    } = work
    else {
        return Ok(Done::Unsupported);
    };
    let mut ring = Ring::new()?;
    let copy = Copy {
        files: [std::fs::File::open(from)?, std::fs::File::create(to)?],
        memory: Memory::map(depth * block)?,
        block,
        registered,
    };
    if registered {
        let all = libc::iovec {
            iov_base: copy.memory.at(0, copy.memory.len()).cast(),
            iov_len: copy.memory.len(),
        };
        // SAFETY: the region is never unmapped, and nothing but this ring's operations uses it.
        unsafe { ring.submitter().register_buffers(&[all])? };
        let fds = [copy.files[0].as_raw_fd(), copy.files[1].as_raw_fd()];
        ring.submitter().register_files(&fds)?;
    }
    let blocks = len / block as u64;
    let mut queues = ring.queues();
    while let Some(ops) = control.next() {
        let meter = control.start();
        let passes = ops.div_ceil(blocks);
        for _ in 0..passes {
            copy.files[1].set_len(0)?;
            copy.pass(&mut queues, depth, blocks)?;
        }
        control.report(meter, passes * blocks, None);
    }
    Ok(Done::Ended)
}

impl Copy {
    fn pass(&self, queues: &mut Queues<'_>, depth: usize, blocks: u64) -> io::Result<()> {
        let mut next = 0;
        while next < blocks.min(depth as u64) {
            // SAFETY: the memory is never unmapped, and each slot of it has one operation at a time.
            unsafe { queues.push(&self.entry(next, next, false))? };
            next += 1;
        }
        let mut written = 0;
        while written < blocks {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                if result(&cqe)? != self.block {
                    return Err(short());
                }
                let data = cqe.user_data();
                let slot = data & SLOT;
                let entry = if data & WRITE == 0 {
                    self.entry(slot, data >> BLOCK, true)
                } else {
                    written += 1;
                    if next == blocks {
                        continue;
                    }
                    next += 1;
                    self.entry(slot, next - 1, false)
                };
                // SAFETY: as above: the slot's operation has just ended.
                unsafe { queues.push(&entry)? };
            }
        }
        Ok(())
    }

    #[inline]
    fn entry(&self, slot: u64, index: u64, write: bool) -> squeue::Entry {
        let buf = self.memory.at(slot as usize * self.block, self.block);
        let (len, offset) = (self.block as u32, index * self.block as u64);
        let fd = types::Fd(self.files[usize::from(write)].as_raw_fd());
        let fixed = types::Fixed(u32::from(write));
        let entry = match (self.registered, write) {
            (false, false) => opcode::Read::new(fd, buf, len).offset(offset).build(),
            (false, true) => opcode::Write::new(fd, buf, len).offset(offset).build(),
            (true, false) => opcode::ReadFixed::new(fixed, buf, len, 0)
                .offset(offset)
                .build(),
            (true, true) => opcode::WriteFixed::new(fixed, buf, len, 0)
                .offset(offset)
                .build(),
        };
        let kind = if write { WRITE } else { 0 };
        entry.user_data(kind | index << BLOCK | slot)
    }
}
