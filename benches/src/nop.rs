//! A round trip through the ring that does nothing else.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use io_uring::opcode;
use saferring::runtime::Runtime;

use crate::measure::{Cpu, Meter, pin};
use crate::raw::{Ring, result};
use crate::{Bench, Sample, Variant, Workload};

pub(crate) fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "nop-1",
            what: "a nop round trip, one at a time (tokio has no ring to send it through)",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw::new(1)?)),
                },
                Variant {
                    name: "saferring",
                    make: |_| Ok(Box::new(Saferring::new(1)?)),
                },
            ],
        },
        Workload {
            name: "nop-32",
            what: "a nop round trip, 32 in flight",
            variants: vec![
                Variant {
                    name: "raw",
                    make: |_| Ok(Box::new(Raw::new(32)?)),
                },
                Variant {
                    name: "saferring",
                    make: |_| Ok(Box::new(Saferring::new(32)?)),
                },
            ],
        },
    ]
}

struct Raw {
    ring: Ring,
    depth: u64,
}

impl Raw {
    fn new(depth: u64) -> io::Result<Self> {
        Ok(Raw {
            ring: Ring::new()?,
            depth,
        })
    }
}

impl Bench for Raw {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.ring.enters();
        let mut queues = self.ring.queues();
        let meter = Meter::start(Cpu::Thread);
        let nop = opcode::Nop::new().build();
        let mut to_push = ops;
        for _ in 0..self.depth.min(ops) {
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
        let enters = queues.enters() - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}

struct Saferring {
    runtime: Runtime,
    depth: usize,
}

impl Saferring {
    fn new(depth: usize) -> io::Result<Self> {
        Ok(Saferring {
            runtime: Runtime::new()?,
            depth,
        })
    }
}

/// Nops as long as there are some to do.
async fn nops(to_do: Rc<Cell<u64>>) -> io::Result<()> {
    while to_do.get() > 0 {
        to_do.set(to_do.get() - 1);
        saferring::op::nop().await?;
    }
    Ok(())
}

impl Bench for Saferring {
    fn run(&mut self, ops: u64) -> io::Result<Sample> {
        let _pinned = pin(0);
        let before = self.runtime.metrics().enters;
        let meter = Meter::start(Cpu::Thread);
        let to_do = Rc::new(Cell::new(ops));
        self.runtime.block_on(async {
            let spawn = |_| saferring::spawn(nops(Rc::clone(&to_do)));
            let tasks: Vec<_> = (0..self.depth).map(spawn).collect();
            for task in tasks {
                task.await.map_err(io::Error::other)??;
            }
            io::Result::Ok(())
        })?;
        let enters = self.runtime.metrics().enters - before;
        Ok(meter.stop(ops, Some(enters)))
    }
}
