//! Giving other tasks a turn: what the run queue costs.

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;

use saferring::runtime::Runtime;

use crate::measure::{Cpu, Meter, pin};
use crate::raw::Ring;
use crate::{Bench, Sample, Variant, Workload};

pub(crate) fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "yield-1",
            what: "a yield of the only task (raw: a queue of boxed closures, and a look at the ring every 256 calls)",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw::new(1)?)),
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
            name: "yield-100",
            what: "a yield, 100 tasks in turn (raw: as above)",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw::new(100)?)),
                },
                Variant {
                    name: "saferring",
                    make: |_| Ok(Box::new(Saferring::new(100)?)),
                },
                Variant {
                    name: "tokio",
                    make: |_| Ok(Box::new(Tokio::new(100, true)?)),
                },
                Variant {
                    name: "tokio no I/O",
                    make: |_| Ok(Box::new(Tokio::new(100, false)?)),
                },
            ],
        },
    ]
}

struct Raw {
    ring: Ring,
    tasks: u64,
}

impl Raw {
    fn new(tasks: u64) -> io::Result<Self> {
        Ok(Raw {
            ring: Ring::new()?,
            tasks,
        })
    }
}

/// Says whether it wants to be called again.
type Step = Box<dyn FnMut() -> bool>;

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let each = ops.div_ceil(self.tasks);
        let meter = Meter::start(Cpu::Thread);
        let mut queue: VecDeque<Step> = VecDeque::new();
        for _ in 0..self.tasks {
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
            if calls.is_multiple_of(256) && self.ring.wants_enter() {
                self.ring.queues().turn(0)?;
            }
        }
        Ok(meter.stop(each * self.tasks, None))
    }
}

struct Saferring {
    runtime: Runtime,
    tasks: u64,
}

impl Saferring {
    fn new(tasks: u64) -> io::Result<Self> {
        Ok(Saferring {
            runtime: Runtime::new()?,
            tasks,
        })
    }
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let each = ops.div_ceil(self.tasks);
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Thread);
        self.runtime.block_on(async {
            let spawn = |_| {
                saferring::spawn(async move {
                    for _ in 0..each {
                        saferring::task::yield_now().await;
                    }
                })
            };
            let tasks: Vec<_> = (0..self.tasks).map(spawn).collect();
            for task in tasks {
                task.await.map_err(io::Error::other)?;
            }
            io::Result::Ok(())
        })?;
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(each * self.tasks, Some(enters)))
    }
}

struct Tokio {
    runtime: tokio::runtime::Runtime,
    tasks: u64,
}

impl Tokio {
    fn new(tasks: u64, io: bool) -> io::Result<Self> {
        let runtime = crate::tokio_runtime(io)?;
        Ok(Tokio { runtime, tasks })
    }
}

impl Bench for Tokio {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let each = ops.div_ceil(self.tasks);
        let meter = Meter::start(Cpu::Thread);
        self.runtime.block_on(async {
            let spawn = |_| {
                tokio::spawn(async move {
                    for _ in 0..each {
                        tokio::task::yield_now().await;
                    }
                })
            };
            let tasks: Vec<_> = (0..self.tasks).map(spawn).collect();
            for task in tasks {
                task.await?;
            }
            io::Result::Ok(())
        })?;
        Ok(meter.stop(each * self.tasks, None))
    }
}
