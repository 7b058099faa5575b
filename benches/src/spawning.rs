//! Starting a task and awaiting it.

use std::hint::black_box;
use std::io;

use saferring::runtime::Runtime;

use crate::measure::{Cpu, Meter, pin};
use crate::{Bench, Sample, Variant, Workload};

const BATCH: u64 = 1000;

pub(crate) fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "spawn-1",
            what: "a task spawned and joined, one at a time (raw: one block of memory allocated and freed)",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw(1))),
                },
                Variant {
                    name: "saferring",
                    make: |_| Ok(Box::new(Saferring::new(1)?)),
                },
                Variant {
                    name: "tokio",
                    make: |_| Ok(Box::new(Tokio::new(1, true)?)),
                },
                Variant {
                    name: "tokio no I/O",
                    make: |_| Ok(Box::new(Tokio::new(1, false)?)),
                },
            ],
        },
        Workload {
            name: "spawn-1000",
            what: "a task spawned and joined, in batches of 1000 (raw: 1000 blocks allocated, then freed)",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw(BATCH))),
                },
                Variant {
                    name: "saferring",
                    make: |_| Ok(Box::new(Saferring::new(BATCH)?)),
                },
                Variant {
                    name: "tokio",
                    make: |_| Ok(Box::new(Tokio::new(BATCH, true)?)),
                },
                Variant {
                    name: "tokio no I/O",
                    make: |_| Ok(Box::new(Tokio::new(BATCH, false)?)),
                },
            ],
        },
    ]
}

/// As large as a small task: a header and eight bytes of future.
type Block = [u64; 8];

struct Raw(u64);

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let rounds = ops.div_ceil(self.0);
        let meter = Meter::start(Cpu::Thread);
        let mut blocks: Vec<Box<Block>> = Vec::with_capacity(self.0 as usize);
        for round in 0..rounds {
            for i in 0..self.0 {
                blocks.push(black_box(Box::new([round ^ i; 8])));
            }
            for block in blocks.drain(..) {
                drop(black_box(block));
            }
        }
        Ok(meter.stop(rounds * self.0, None))
    }
}

struct Saferring {
    runtime: Runtime,
    batch: u64,
}

impl Saferring {
    fn new(batch: u64) -> io::Result<Self> {
        Ok(Saferring {
            runtime: Runtime::new()?,
            batch,
        })
    }
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let rounds = ops.div_ceil(self.batch);
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Thread);
        self.runtime.block_on(async {
            let mut tasks = Vec::with_capacity(self.batch as usize);
            for round in 0..rounds {
                tasks.extend((0..self.batch).map(|i| saferring::spawn(async move { round ^ i })));
                for task in tasks.drain(..) {
                    black_box(task.await.map_err(io::Error::other)?);
                }
            }
            io::Result::Ok(())
        })?;
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(rounds * self.batch, Some(enters)))
    }
}

struct Tokio {
    runtime: tokio::runtime::Runtime,
    batch: u64,
}

impl Tokio {
    fn new(batch: u64, io: bool) -> io::Result<Self> {
        let runtime = crate::tokio_runtime(io)?;
        Ok(Tokio { runtime, batch })
    }
}

impl Bench for Tokio {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let rounds = ops.div_ceil(self.batch);
        let meter = Meter::start(Cpu::Thread);
        self.runtime.block_on(async {
            let mut tasks = Vec::with_capacity(self.batch as usize);
            for round in 0..rounds {
                tasks.extend((0..self.batch).map(|i| tokio::spawn(async move { round ^ i })));
                for task in tasks.drain(..) {
                    black_box(task.await?);
                }
            }
            io::Result::Ok(())
        })?;
        Ok(meter.stop(rounds * self.batch, None))
    }
}
