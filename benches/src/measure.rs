//! Clocks, cores and random numbers.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use crate::Sample;

/// Whose CPU time is counted.
#[derive(Clone, Copy, Debug)]
pub enum Cpu {
    /// The calling thread's.
    Thread,
    /// That of all threads, those included that the kernel makes for the process.
    Process,
}

impl Cpu {
    /// What it has used so far.
    pub fn time(self) -> Duration {
        let clock = match self {
            Cpu::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
            Cpu::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
        };
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a timespec that lives across the call, which only writes to it. It cannot fail: both clocks
        // exist on every Linux.
        unsafe { libc::clock_gettime(clock, &mut now) };
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
}

/// Measures one slice.
#[derive(Debug)]
pub struct Meter {
    clock: Cpu,
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    /// Starts it.
    pub fn start(clock: Cpu) -> Self {
        Meter {
            clock,
            wall: Instant::now(),
            cpu: clock.time(),
        }
    }

    /// Ends it, after so many operations and calls of io_uring_enter(2).
    pub fn stop(self, ops: u64, enters: Option<u64>) -> Sample {
        Sample {
            ops,
            cpu: self.clock.time().saturating_sub(self.cpu),
            wall: self.wall.elapsed(),
            enters,
        }
    }
}

/// Keeps the calling thread on one core until it is dropped.
#[derive(Debug)]
#[must_use = "the thread may move again as soon as this is dropped"]
pub struct Pinned {
    before: Option<libc::cpu_set_t>,
}

/// Keeps the calling thread on the n-th of the cores it may use. With fewer cores they are shared; where the system
/// refuses, the thread stays free.
pub fn pin(n: usize) -> Pinned {
    match allowed_cores().as_slice() {
        [] => Pinned { before: None },
        cores => pin_to(cores[n % cores.len()]),
    }
}

/// Keeps the calling thread on the core of this number, whether or not it may use it now. Where the system refuses, the
/// thread stays where it is.
pub fn pin_to(core: usize) -> Pinned {
    let before = affinity();
    // SAFETY: a set of all zeros is the empty set.
    let mut wanted: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core < libc::CPU_SETSIZE as usize {
        // SAFETY: the index is below the size of the set.
        unsafe { libc::CPU_SET(core, &mut wanted) };
        set_affinity(&wanted);
    }
    Pinned { before }
}

/// The numbers of the cores that the calling thread may use; none if the system does not tell.
pub fn allowed_cores() -> Vec<usize> {
    let Some(set) = affinity() else {
        return Vec::new();
    };
    // SAFETY: CPU_ISSET only reads the set, and the index is below its size.
    let allowed = |&cpu: &usize| unsafe { libc::CPU_ISSET(cpu, &set) };
    (0..libc::CPU_SETSIZE as usize).filter(allowed).collect()
}

fn affinity() -> Option<libc::cpu_set_t> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the call writes at most the given size into `set`, which lives across it.
    let got = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    // SAFETY: zeros are a valid set, whatever the call has written to it.
    (got == 0).then(|| unsafe { set.assume_init() })
}

fn set_affinity(set: &libc::cpu_set_t) {
    // SAFETY: the call reads the given size from `set`, which lives across it.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) };
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set_affinity(before);
        }
    }
}

/// Marsaglia's xorshift generator: a nanosecond a number, the same for every variant.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is not zero.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }
}
