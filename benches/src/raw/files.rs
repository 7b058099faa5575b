//! Reads, writes and copies of files, in ordinary buffers or with all registered.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use io_uring::squeue::Entry;
use io_uring::{opcode, types};

use super::ring::{Memory, Queues, Ring, result};
use crate::contender::{Blocks, Control, Done, Work};
use crate::measure::Offsets;
use crate::runtimes::short;

/// Up to two files, and memory for a block of each slot.
struct Files {
    files: Vec<File>,
    memory: Memory,
    block: usize,
    registered: bool,
}

impl Files {
    fn new(ring: &Ring, files: Vec<File>, spec: &Blocks, registered: bool) -> io::Result<Self> {
        let memory = Memory::map(spec.depth * spec.block)?;
        if registered {
            let all = libc::iovec {
                iov_base: memory.at(0, memory.len()).cast(),
                iov_len: memory.len(),
            };
            // SAFETY: the region is never unmapped, and nothing but this ring's operations uses it.
            unsafe { ring.submitter().register_buffers(&[all])? };
            let fds: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
            ring.submitter().register_files(&fds)?;
        }
        Ok(Files {
            files,
            memory,
            block: spec.block,
            registered,
        })
    }

    /// The read or write of a block through a slot's memory.
    #[inline]
    fn entry(&self, write: bool, file: usize, slot: u64, offset: u64) -> Entry {
        let (buf, len) = (
            self.memory.at(slot as usize * self.block, self.block),
            self.block as u32,
        );
        let (fd, fixed) = (
            types::Fd(self.files[file].as_raw_fd()),
            types::Fixed(file as u32),
        );
        match (self.registered, write) {
            (false, false) => opcode::Read::new(fd, buf, len).offset(offset).build(),
            (false, true) => opcode::Write::new(fd, buf, len).offset(offset).build(),
            (true, false) => opcode::ReadFixed::new(fixed, buf, len, 0)
                .offset(offset)
                .build(),
            (true, true) => opcode::WriteFixed::new(fixed, buf, len, 0)
                .offset(offset)
                .build(),
        }
    }
}

pub(super) fn run(work: Work, control: Control, registered: bool) -> io::Result<Done> {
    let mut ring = Ring::new()?;
    let mut options = OpenOptions::new();
    let (spec, write, random) = match work {
        Work::Read {
            file,
            random,
            direct,
        } => {
            options.custom_flags(if direct { libc::O_DIRECT } else { 0 });
            (file, false, random)
        }
        Work::Write(file) => (file, true, false),
        Work::Copy(from, to) => {
            let files = vec![File::open(&from.path)?, File::create(to)?];
            let files = Files::new(&ring, files, &from, registered)?;
            let (blocks, mut queues) = (from.count(), ring.queues());
            return control.each(|ops| {
                for _ in 0..ops.div_ceil(blocks) {
                    files.files[1].set_len(0)?;
                    copy(&files, &mut queues, from.depth as u64, blocks)?;
                }
                Ok(ops.next_multiple_of(blocks))
            });
        }
        _ => return Ok(Done::Unsupported),
    };
    let file = options.read(!write).write(write).open(&spec.path)?;
    let files = Files::new(&ring, vec![file], &spec, registered)?;
    let mut offsets = Offsets::new(spec.count(), spec.block, random);
    let mut queues = ring.queues();
    control.each(|ops| {
        offsets.left = ops;
        transfer(&files, &mut queues, write, spec.depth as u64, &mut offsets)?;
        Ok(ops)
    })
}

/// Reads or writes at these offsets.
fn transfer(
    files: &Files,
    queues: &mut Queues<'_>,
    write: bool,
    depth: u64,
    offsets: &mut Offsets,
) -> io::Result<()> {
    let mut next = |slot| {
        let offset = offsets.next()?;
        Some(files.entry(write, 0, slot, offset).user_data(slot))
    };
    let mut in_flight = 0;
    for (slot, entry) in (0..depth).map_while(|slot| Some((slot, next(slot)?))) {
        // SAFETY: the memory is never unmapped, and each slot of it has one operation at a time.
        unsafe { queues.push(&entry)? };
        in_flight = slot + 1;
    }
    queues.keep_in_flight(in_flight, |queues, cqe| {
        if result(cqe)? != files.block {
            return Err(short());
        }
        let Some(entry) = next(cqe.user_data()) else {
            return Ok(false);
        };
        // SAFETY: as above: the slot's operation has just ended.
        unsafe { queues.push(&entry)? };
        Ok(true)
    })
}

/// In the user data: the slot below, the block above.
const SLOT: u64 = 0xffff;
const BLOCK: u32 = 16;
const WRITE: u64 = 1 << 63;

/// A pass over the file: so many blocks on their way, each read and then written.
fn copy(files: &Files, queues: &mut Queues<'_>, depth: u64, blocks: u64) -> io::Result<()> {
    let entry = |slot, index, write: bool| {
        let offset = index * files.block as u64;
        let kind = if write { WRITE } else { 0 };
        let entry = files.entry(write, usize::from(write), slot, offset);
        entry.user_data(kind | index << BLOCK | slot)
    };
    let first = blocks.min(depth);
    for slot in 0..first {
        // SAFETY: as in `transfer`.
        unsafe { queues.push(&entry(slot, slot, false))? };
    }
    let mut started = first;
    queues.keep_in_flight(first, |queues, cqe| {
        let data = cqe.user_data();
        if result(cqe)? != files.block {
            return Err(short());
        }
        let entry = if data & WRITE == 0 {
            entry(data & SLOT, data >> BLOCK, true)
        } else if started == blocks {
            return Ok(false);
        } else {
            started += 1;
            entry(data & SLOT, started - 1, false)
        };
        // SAFETY: as in `transfer`.
        unsafe { queues.push(&entry)? };
        Ok(true)
    })
}
