//! Copying a file from the page cache to the page cache, 64 KiB at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use io_uring::{opcode, squeue, types};
use saferring::buf::{IoBuf, IoBufMut};
use saferring::runtime::{Runtime, fixed_buffers};

use crate::measure::{Cpu, Meter, pin};
use crate::raw::{Memory, Ring, result};
use crate::read_data::{Data, data, directory};
use crate::{Bench, Sample, Scale, Variant, Workload};

const PIECE: usize = 64 * 1024;
const DEPTH: usize = 16;

pub(crate) fn workloads() -> Vec<Workload> {
    let variant = |name, make| Variant { name, make };
    vec![Workload {
        name: "copy",
        what: "64 KiB of a cached file copied to a new one, 16 pieces at once, CPU of the process with the kernel's \
               threads (raw: read and write; raw registered: registered files and buffers; saferring: read_at and \
               write_at with vectors; fixed: with registered buffers; inline: with set_inline_writes, too; fs::copy)",
        variants: vec![
            variant("raw", |scale| Ok(Box::new(Raw::new(scale, false)?))),
            variant("raw registered", |scale| {
                Ok(Box::new(Raw::new(scale, true)?))
            }),
            variant("saferring", |scale| {
                Ok(Box::new(Saferring::new(scale, Way::Vectors)?))
            }),
            variant("saferring fixed", |scale| {
                Ok(Box::new(Saferring::new(scale, Way::Fixed)?))
            }),
            variant("saferring inline", |scale| {
                Ok(Box::new(Saferring::new(scale, Way::Inline)?))
            }),
            variant("saferring fs::copy", |scale| {
                Ok(Box::new(Saferring::new(scale, Way::Copy)?))
            }),
            variant("std::fs::copy", |scale| Ok(Box::new(Std::new(scale)?))),
        ],
    }]
}

/// What is copied, and where to.
struct Files {
    data: Arc<Data>,
    target: File,
    pieces: u64,
}

impl Files {
    fn new(scale: Scale) -> io::Result<Self> {
        let data = data(scale.file_len)?;
        let target = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_TMPFILE)
            .open(directory()?)?;
        let pieces = scale.file_len / PIECE as u64;
        Ok(Files {
            data,
            target,
            pieces,
        })
    }

    /// Empties the target, and puts the source into the page cache.
    fn prepare(&self) -> io::Result<()> {
        self.target.set_len(0)?;
        self.data.warm()
    }

    /// Copies as often as so many pieces take; what it costs, without the preparations between.
    fn measure(&self, ops: u64, mut copy: impl FnMut() -> io::Result<()>) -> io::Result<Sample> {
        let rounds = ops.div_ceil(self.pieces);
        let (mut cpu, mut wall) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            self.prepare()?;
            let meter = Meter::start(Cpu::Process);
            copy()?;
            let sample = meter.stop(0, None);
            cpu += sample.cpu;
            wall += sample.wall;
        }
        Ok(Sample {
            ops: rounds * self.pieces,
            cpu,
            wall,
            enters: None,
        })
    }

    fn target_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.target.as_raw_fd()).into()
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a read or write ended short")
}

struct Raw {
    ring: Ring,
    pieces: Pieces,
}

/// Everything of the loop but its ring.
struct Pieces {
    files: Files,
    source: File,
    memory: Memory,
    registered: bool,
}

impl Raw {
    fn new(scale: Scale, registered: bool) -> io::Result<Self> {
        let files = Files::new(scale)?;
        let source = files.data.open(false)?;
        let ring = Ring::new()?;
        let memory = Memory::map(DEPTH * PIECE)?;
        if registered {
            let all = libc::iovec {
                iov_base: memory.at(0, memory.len()).cast(),
                iov_len: memory.len(),
            };
            // SAFETY: the region is never unmapped, and nothing but this ring's operations uses it.
            unsafe { ring.submitter().register_buffers(&[all])? };
            let fds = [source.as_raw_fd(), files.target.as_raw_fd()];
            ring.submitter().register_files(&fds)?;
        }
        let pieces = Pieces {
            files,
            source,
            memory,
            registered,
        };
        Ok(Raw { ring, pieces })
    }
}

impl Pieces {
    /// The read (or the write) of a piece through a slot's memory.
    fn entry(&self, slot: u64, piece: u64, write: bool) -> squeue::Entry {
        let place = self.memory.at(slot as usize * PIECE, PIECE);
        let (len, offset) = (PIECE as u32, piece * PIECE as u64);
        let file = match write {
            true => &self.files.target,
            false => &self.source,
        };
        let (fd, fixed) = (types::Fd(file.as_raw_fd()), types::Fixed(write.into()));
        let entry = match (self.registered, write) {
            (false, false) => opcode::Read::new(fd, place, len).offset(offset).build(),
            (false, true) => opcode::Write::new(fd, place, len).offset(offset).build(),
            (true, false) => opcode::ReadFixed::new(fixed, place, len, 0)
                .offset(offset)
                .build(),
            (true, true) => opcode::WriteFixed::new(fixed, place, len, 0)
                .offset(offset)
                .build(),
        };
        entry.user_data(piece << 8 | slot << 1 | u64::from(write))
    }

    fn copy(&self, ring: &mut Ring) -> io::Result<()> {
        let pieces = self.files.pieces;
        let mut queues = ring.queues();
        let (mut next, mut left) = (pieces.min(DEPTH as u64), pieces);
        for slot in 0..next {
            // SAFETY: the memory is never unmapped, and each slot of it has one operation at a time.
            unsafe { queues.push(&self.entry(slot, slot, false))? };
        }
        while left > 0 {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                if result(&cqe)? != PIECE {
                    return Err(short());
                }
                let data = cqe.user_data();
                let (slot, piece, written) = (data >> 1 & 0x7f, data >> 8, data & 1 != 0);
                left -= u64::from(written);
                let entry = match written {
                    false => self.entry(slot, piece, true),
                    true if next < pieces => self.entry(slot, next, false),
                    true => continue,
                };
                next += u64::from(written);
                // SAFETY: as above: the slot's operation has just ended.
                unsafe { queues.push(&entry)? };
            }
        }
        Ok(())
    }
}

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let Raw { ring, pieces } = self;
        let before = ring.enters();
        let sample = pieces.files.measure(ops, || pieces.copy(ring))?;
        let enters = ring.enters() - before;
        Ok(Sample {
            enters: Some(enters),
            ..sample
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Vectors,
    Fixed,
    Inline,
    Copy,
}

struct Saferring {
    files: Files,
    runtime: Runtime,
    way: Way,
}

impl Saferring {
    fn new(scale: Scale, way: Way) -> io::Result<Self> {
        Ok(Saferring {
            files: Files::new(scale)?,
            runtime: Runtime::new()?,
            way,
        })
    }

    async fn copy(&self) -> io::Result<()> {
        if self.way == Way::Copy {
            let target = self.files.target_path();
            return saferring::fs::copy(self.files.data.path(), target)
                .await
                .map(drop);
        }
        let source = saferring::fs::File::from_std(self.files.data.open(false)?);
        let target = saferring::fs::File::from_std(self.files.target.try_clone()?);
        target.set_inline_writes(self.way == Way::Inline);
        let files = Rc::new((source, target));
        match self.way {
            Way::Vectors => self.pieces(&files, || Ok(Vec::with_capacity(PIECE))).await,
            Way::Fixed | Way::Inline | Way::Copy => {
                let pool = fixed_buffers()?;
                let taken = || pool.try_take().ok_or_else(short);
                self.pieces(&files, taken).await
            }
        }
    }

    async fn pieces<B: IoBufMut + IoBuf>(
        &self,
        files: &Rc<(saferring::fs::File, saferring::fs::File)>,
        buf: impl Fn() -> io::Result<B>,
    ) -> io::Result<()> {
        let next = Rc::new(std::cell::Cell::new(0));
        let pieces = self.files.pieces;
        let worker = |mut buf: B| {
            let (files, next) = (Rc::clone(files), Rc::clone(&next));
            saferring::spawn(async move {
                while next.get() < pieces {
                    let offset = next.replace(next.get() + 1) * PIECE as u64;
                    let (read, filled) = files.0.read_at(buf, offset).await;
                    if read? != PIECE {
                        return Err(short());
                    }
                    let (written, filled) = files.1.write_at(filled, offset).await;
                    if written? != PIECE {
                        return Err(short());
                    }
                    buf = filled;
                }
                Ok(())
            })
        };
        let mut tasks = Vec::new();
        for _ in 0..DEPTH {
            tasks.push(worker(buf()?));
        }
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.runtime.metrics().enters;
        let copy = || self.runtime.block_on(self.copy());
        let sample = self.files.measure(ops, copy)?;
        let enters = self.runtime.metrics().enters - before;
        Ok(Sample {
            enters: Some(enters),
            ..sample
        })
    }
}

/// copy_file_range(2), which std uses: the bytes stay in the kernel.
struct Std(Files);

impl Std {
    fn new(scale: Scale) -> io::Result<Self> {
        Files::new(scale).map(Std)
    }
}

impl Bench for Std {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let paths = (self.0.data.path(), self.0.target_path());
        self.0
            .measure(ops, || std::fs::copy(&paths.0, &paths.1).map(drop))
    }
}
