//! Which CPUs the calling thread may use, and pinning it to one.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::io;
use std::path::Path;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::sys::set_helper_cpus;

use super::error::PlacementError;
use super::list;

/// The first CPU that a thread cannot be pinned to: the sets of glibc, and those of every crate, end here. Kernels with more
/// CPUs refuse to fill such a set, and accept one.
pub(super) const END: usize = CpuSet::MAX_CPU;

/// A thread's mask.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub(super) cpus: BTreeSet<usize>,
    /// Whether the kernel has left out what is offline: sched_getaffinity(2) does, and /proc does not.
    pub(super) online_only: bool,
}

/// The calling thread's.
///
/// # Errors
///
/// If neither the kernel nor /proc tells.
pub(super) fn current(root: &Path, notes: &mut Vec<String>) -> Result<Mask, PlacementError> {
    match sched_getaffinity(None) {
        Ok(set) => Ok(Mask {
            cpus: (0..END).filter(|&cpu| set.is_set(cpu)).collect(),
            online_only: true,
        }),
        Err(errno) => in_proc(root, errno.into(), notes),
    }
}

/// The same as /proc has it: there is room for any number of CPUs. `source` is why it is asked.
pub(super) fn in_proc(
    root: &Path,
    source: io::Error,
    notes: &mut Vec<String>,
) -> Result<Mask, PlacementError> {
    let status = read_to_string(root.join("proc/thread-self/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    match line.and_then(list::parse).filter(|cpus| !cpus.is_empty()) {
        Some(cpus) => {
            notes.push(format!(
                "sched_getaffinity(2) is refused ({source}); the CPUs are those of /proc/thread-self/status"
            ));
            Ok(Mask {
                cpus,
                online_only: false,
            })
        }
        None => Err(PlacementError::UnknownMask { source }),
    }
}

/// The CPUs of the mask that are online, and that a thread can be pinned to.
///
/// # Errors
///
/// If there are none that it can be pinned to.
pub(super) fn usable(
    root: &Path,
    mask: Mask,
    notes: &mut Vec<String>,
) -> Result<BTreeSet<usize>, PlacementError> {
    let Mask {
        mut cpus,
        online_only,
    } = mask;
    let online = read_list(root, "sys/devices/system/cpu/online").filter(|all| !all.is_empty());
    match online {
        // Some containers have a file that counts CPUs anew from 0. The kernel itself knows better.
        Some(online) if online_only && !cpus.is_subset(&online) => notes.push(format!(
            "/sys/devices/system/cpu/online has not all CPUs that the process may use ({}); they are used nevertheless",
            list::show(cpus.difference(&online))
        )),
        Some(online) if cpus.is_disjoint(&online) => notes.push(
            "/sys/devices/system/cpu/online has none of the CPUs that the process may use; all count as online".to_owned(),
        ),
        Some(online) => cpus = &cpus & &online,
        None => notes.push("/sys/devices/system/cpu/online does not tell which CPUs are online".to_owned()),
    }
    let too_high = cpus.split_off(&END);
    if cpus.is_empty() {
        return Err(PlacementError::TooHigh { end: END });
    }
    if !too_high.is_empty() {
        notes.push(format!(
            "CPUs {} are left out: threads can be pinned to those below {END} only",
            list::show(&too_high)
        ));
    }
    Ok(cpus)
}

/// The list of a file; `None` if it cannot be read, or is none.
pub(super) fn read_list(root: &Path, file: &str) -> Option<BTreeSet<usize>> {
    list::parse(&read_to_string(root.join(file)).ok()?)
}

/// Pins the calling thread to a CPU. Threads that it starts from then on are pinned there, too; but not those of its
/// runtime, which run where it has run before.
///
/// # Errors
///
/// Those of sched_setaffinity(2): `EINVAL` if the CPU is offline, or outside of the process's cpuset. And a number that is too
/// high for its set.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= END {
        let text =
            format!("cannot pin a thread to CPU {cpu}: it can be pinned to those below {END} only");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    let before = sched_getaffinity(None).ok();
    sched_setaffinity(None, &set).map_err(|errno| {
        let text = format!(
            "cannot pin a thread to CPU {cpu}: {errno}; it must be online, and in the cpuset of the process"
        );
        io::Error::new(errno.kind(), text)
    })?;
    set_helper_cpus(before);
    Ok(())
}
