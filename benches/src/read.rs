//! Random reads of 4 KiB: from the page cache, and past it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use io_uring::{opcode, squeue, types};
use saferring::buf::{AlignedBuf, IoBufMut};
use saferring::fs::{File, FixedBuf, FixedBufPool, OpenOptions};
use saferring::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::measure::{Cpu, Meter, Random, pin};
use crate::raw::{Memory, Ring, result};
use crate::read_data::{BLOCK, Data, data};
use crate::{Bench, Sample, Variant, Workload, tokio_runtime};

/// The variants that exist for both kinds of file.
macro_rules! ring_variants {
    ($depth:literal, $kind:expr) => {
        [
            Variant {
                name: "raw",
                make: |scale| {
                    Ok(Box::new(Raw::new(
                        data(scale.file_len)?,
                        $depth,
                        $kind,
                        false,
                    )?))
                },
            },
            Variant {
                name: "raw registered",
                make: |scale| {
                    Ok(Box::new(Raw::new(
                        data(scale.file_len)?,
                        $depth,
                        $kind,
                        true,
                    )?))
                },
            },
            Variant {
                name: "saferring",
                make: |scale| {
                    Ok(Box::new(Saferring::new(
                        data(scale.file_len)?,
                        $depth,
                        $kind,
                        |depth| Ok((0..depth).map(|_| AlignedBuf::zeroed(BLOCK)).collect()),
                    )?))
                },
            },
            Variant {
                name: "saferring fixed",
                make: |scale| {
                    Ok(Box::new(Saferring::new(
                        data(scale.file_len)?,
                        $depth,
                        $kind,
                        fixed,
                    )?))
                },
            },
        ]
    };
}

macro_rules! tokio_variants {
    ($depth:literal) => {
        [
            Variant {
                name: "tokio",
                make: |scale| Ok(Box::new(TokioFs::new(data(scale.file_len)?, $depth)?)),
            },
            Variant {
                name: "tokio pread",
                make: |scale| Ok(Box::new(TokioPread::new(data(scale.file_len)?, $depth)?)),
            },
        ]
    };
}

pub(crate) fn workloads() -> Vec<Workload> {
    use Kind::{Cached, Direct};
    let cached = "a 4 KiB read at a random place of a cached file, CPU of the process (raw registered: registered \
                  file and buffers; tokio: seek and read of tokio::fs::File; tokio pread: pread in spawn_blocking)";
    let direct = "a 4 KiB read at a random place, O_DIRECT, CPU of the process";
    let workload = |name, what, variants: &[&[Variant]]| Workload {
        name,
        what,
        variants: variants.concat(),
    };
    vec![
        workload(
            "read-cached-1",
            cached,
            &[&ring_variants!(1, Cached), &tokio_variants!(1)],
        ),
        workload(
            "read-cached-32",
            cached,
            &[&ring_variants!(32, Cached), &tokio_variants!(32)],
        ),
        workload("read-direct-1", direct, &[&ring_variants!(1, Direct)]),
        workload("read-direct-32", direct, &[&ring_variants!(32, Direct)]),
    ]
}

/// Whether reads go through the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cached,
    Direct,
}

impl Kind {
    fn prepare(self, data: &Data) -> io::Result<()> {
        match self {
            Kind::Cached => data.warm(),
            Kind::Direct => {
                data.cool();
                Ok(())
            }
        }
    }
}

fn short_read() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a read ended short")
}

struct Raw {
    ring: Ring,
    data: Arc<Data>,
    file: std::fs::File,
    memory: Memory,
    depth: usize,
    kind: Kind,
    registered: bool,
    random: Random,
}

impl Raw {
    fn new(data: Arc<Data>, depth: usize, kind: Kind, registered: bool) -> io::Result<Self> {
        let ring = Ring::new()?;
        let memory = Memory::map(depth * BLOCK)?;
        let file = data.open(kind == Kind::Direct)?;
        if registered {
            let all = libc::iovec {
                iov_base: memory.at(0, memory.len()).cast(),
                iov_len: memory.len(),
            };
            // SAFETY: the region is never unmapped, and nothing but this ring's reads uses it.
            unsafe { ring.submitter().register_buffers(&[all])? };
            ring.submitter().register_files(&[file.as_raw_fd()])?;
        }
        Ok(Raw {
            ring,
            data,
            file,
            memory,
            depth,
            kind,
            registered,
            random: Random::new(1),
        })
    }
}

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        self.kind.prepare(&self.data)?;
        let blocks = self.data.blocks();
        let fd = types::Fd(self.file.as_raw_fd());
        let before = self.ring.enters();
        let mut queues = self.ring.queues();
        let mut entry = |slot: usize| -> squeue::Entry {
            let offset = self.random.below(blocks) * BLOCK as u64;
            let buf = self.memory.at(slot * BLOCK, BLOCK);
            let entry = if self.registered {
                opcode::ReadFixed::new(types::Fixed(0), buf, BLOCK as u32, 0)
                    .offset(offset)
                    .build()
            } else {
                opcode::Read::new(fd, buf, BLOCK as u32)
                    .offset(offset)
                    .build()
            };
            entry.user_data(slot as u64)
        };
        let meter = Meter::start(Cpu::Process);
        let mut to_push = ops;
        for slot in 0..self.depth.min(ops as usize) {
            // SAFETY: the memory is never unmapped, and each slot of it has one read at a time.
            unsafe { queues.push(&entry(slot))? };
            to_push -= 1;
        }
        let mut done = 0;
        while done < ops {
            queues.turn(1)?;
            while let Some(cqe) = queues.next() {
                if result(&cqe)? != BLOCK {
                    return Err(short_read());
                }
                done += 1;
                if to_push > 0 {
                    // SAFETY: as above: the slot's read has just ended.
                    unsafe { queues.push(&entry(cqe.user_data() as usize))? };
                    to_push -= 1;
                }
            }
        }
        let enters = queues.enters() - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

/// Registered buffers.
fn fixed(depth: usize) -> io::Result<Vec<FixedBuf>> {
    let pool = FixedBufPool::new(depth as u32, BLOCK)?;
    Ok((0..depth).filter_map(|_| pool.try_take()).collect())
}

struct Saferring<B> {
    runtime: Runtime,
    data: Arc<Data>,
    file: Rc<File>,
    bufs: Vec<B>,
    kind: Kind,
    random: Rc<RefCell<Random>>,
}

impl<B> Saferring<B> {
    fn new(
        data: Arc<Data>,
        depth: usize,
        kind: Kind,
        bufs: impl FnOnce(usize) -> io::Result<Vec<B>>,
    ) -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let mut options = OpenOptions::new();
        options.read(true).direct(kind == Kind::Direct);
        let file = runtime.block_on(options.open(data.path()))?;
        Ok(Saferring {
            bufs: runtime.block_on(async { bufs(depth) })?,
            runtime,
            data,
            file: Rc::new(file),
            kind,
            random: Rc::new(RefCell::new(Random::new(1))),
        })
    }
}

impl<B: IoBufMut> Bench for Saferring<B> {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        self.kind.prepare(&self.data)?;
        let blocks = self.data.blocks();
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Process);
        let to_do = Rc::new(Cell::new(ops));
        self.runtime.block_on(async {
            let reader = |mut buf: B| {
                let (file, to_do) = (Rc::clone(&self.file), Rc::clone(&to_do));
                let random = Rc::clone(&self.random);
                saferring::spawn(async move {
                    while to_do.get() > 0 {
                        to_do.set(to_do.get() - 1);
                        let offset = random.borrow_mut().below(blocks) * BLOCK as u64;
                        let (read, filled) = file.read_at(buf, offset).await;
                        buf = filled;
                        if read? != BLOCK {
                            return Err(short_read());
                        }
                    }
                    Ok(buf)
                })
            };
            let tasks: Vec<_> = self.bufs.drain(..).map(reader).collect();
            for task in tasks {
                self.bufs.push(task.await.map_err(io::Error::other)??);
            }
            io::Result::Ok(())
        })?;
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

/// Each of the readers has a file of its own, because a file has one position. They may use all cores.
struct TokioFs {
    runtime: tokio::runtime::Runtime,
    data: Arc<Data>,
    readers: Vec<(tokio::fs::File, Vec<u8>, Random)>,
}

impl TokioFs {
    fn new(data: Arc<Data>, depth: usize) -> io::Result<Self> {
        let reader = |n| {
            let file = tokio::fs::File::from_std(data.open(false)?);
            Ok((file, vec![0; BLOCK], Random::new(n as u64 + 1)))
        };
        Ok(TokioFs {
            runtime: tokio_runtime(true)?,
            readers: (0..depth).map(reader).collect::<io::Result<_>>()?,
            data,
        })
    }
}

impl Bench for TokioFs {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        Kind::Cached.prepare(&self.data)?;
        let blocks = self.data.blocks();
        let each = ops.div_ceil(self.readers.len() as u64);
        let total = each * self.readers.len() as u64;
        let meter = Meter::start(Cpu::Process);
        self.runtime.block_on(async {
            let read = |(mut file, mut buf, mut random): (tokio::fs::File, Vec<u8>, Random)| {
                tokio::spawn(async move {
                    for _ in 0..each {
                        let offset = random.below(blocks) * BLOCK as u64;
                        file.seek(io::SeekFrom::Start(offset)).await?;
                        file.read_exact(&mut buf).await?;
                    }
                    io::Result::Ok((file, buf, random))
                })
            };
            let tasks: Vec<_> = self.readers.drain(..).map(read).collect();
            for task in tasks {
                self.readers.push(task.await??);
            }
            io::Result::Ok(())
        })?;
        Ok(meter.stop(total, None))
    }
}

/// Half the trips to the thread pool, for those who do not need tokio's file type.
struct TokioPread {
    runtime: tokio::runtime::Runtime,
    data: Arc<Data>,
    file: Arc<std::fs::File>,
    readers: Vec<(Vec<u8>, Random)>,
}

impl TokioPread {
    fn new(data: Arc<Data>, depth: usize) -> io::Result<Self> {
        let reader = |n| (vec![0; BLOCK], Random::new(n as u64 + 1));
        Ok(TokioPread {
            runtime: tokio_runtime(true)?,
            file: Arc::new(data.open(false)?),
            data,
            readers: (0..depth).map(reader).collect(),
        })
    }
}

impl Bench for TokioPread {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        Kind::Cached.prepare(&self.data)?;
        let blocks = self.data.blocks();
        let each = ops.div_ceil(self.readers.len() as u64);
        let total = each * self.readers.len() as u64;
        let meter = Meter::start(Cpu::Process);
        self.runtime.block_on(async {
            let read = |(mut buf, mut random): (Vec<u8>, Random)| {
                let file = Arc::clone(&self.file);
                tokio::spawn(async move {
                    for _ in 0..each {
                        let offset = random.below(blocks) * BLOCK as u64;
                        let file = Arc::clone(&file);
                        let pread = move || file.read_exact_at(&mut buf, offset).map(|()| buf);
                        buf = tokio::task::spawn_blocking(pread).await??;
                    }
                    io::Result::Ok((buf, random))
                })
            };
            let tasks: Vec<_> = self.readers.drain(..).map(read).collect();
            for task in tasks {
                self.readers.push(task.await??);
            }
            io::Result::Ok(())
        })?;
        Ok(meter.stop(total, None))
    }
}
