//! Clocks, cores and random numbers.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPU time, user and system, of this process: of all threads, those included that the kernel makes for it.
pub fn cpu_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default() // Every Linux has it.
}

/// What a clock says. Not by rustix, which looks for the vDSO, and that is not there under valgrind.
pub(crate) fn clock(id: libc::clockid_t) -> io::Result<Duration> {
    // SAFETY: zeros are a valid time.
    let mut now: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `now` lives across the call, which only writes to it.
    match unsafe { libc::clock_gettime(id, &mut now) } {
        0 => Ok(Duration::new(now.tv_sec as u64, now.tv_nsec as u32)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The cores this process was given: servers on the first, loads and other threads on the second.
static CORES: OnceLock<Vec<usize>> = OnceLock::new();

/// What this process may use, or what its parent said.
pub(crate) fn learn_cores(said: Option<Vec<usize>>) -> &'static [usize] {
    CORES.get_or_init(|| said.unwrap_or_else(allowed_cores))
}

/// The numbers of the cores that the calling thread may use; none if the system does not tell.
fn allowed_cores() -> Vec<usize> {
    sched_getaffinity(None).map_or(Vec::new(), |set| {
        (0..CpuSet::MAX_CPU)
            .filter(|&core| set.is_set(core))
            .collect()
    })
}

/// Keeps the calling thread, and those that it starts, on one core for good: the first is the servers', the second all others'.
pub(crate) fn stay_on_core(n: usize) {
    stay_on(&[n]);
}

/// Keeps the calling thread, and those that it starts, on these two cores for good.
pub(crate) fn stay_on_both_cores() {
    stay_on(&[0, 1]);
}

fn stay_on(which: &[usize]) {
    if let Some(cores) = CORES.get().filter(|cores| !cores.is_empty()) {
        let mut set = CpuSet::new();
        for n in which {
            set.set(cores[n % cores.len()]);
        }
        // Where the system refuses, the thread stays free.
        let _ = sched_setaffinity(None, &set);
    }
}

/// Marsaglia's xorshift generator: a nanosecond a number, the same for every contender.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which is not zero.
    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * u128::from(bound)) >> 64) as u64
    }
}

/// The blocks of a file that come next, at random or in a row.
#[derive(Debug)]
pub(crate) struct Offsets {
    random: Option<Random>,
    next: u64,
    block: u64,
    blocks: u64,
    /// How many are left of this slice.
    pub(crate) left: u64,
}

impl Offsets {
    pub(crate) fn new(blocks: u64, block: usize, random: bool) -> Self {
        Offsets {
            random: random.then(|| Random::new(1)),
            next: 0,
            block: block as u64,
            blocks,
            left: 0,
        }
    }
}

/// Offsets until the slice is over.
impl Iterator for Offsets {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        if let Some(random) = &mut self.random {
            return Some(random.below(self.blocks) * self.block);
        }
        let index = self.next;
        self.next = if index + 1 == self.blocks {
            0
        } else {
            index + 1
        };
        Some(index * self.block)
    }
}
