//! Making a kernel ring: the ladder of setup flags, and errors that say what to do.

use std::fmt;
use std::io;

use io_uring::IoUring;

use super::config::RingConfig;
use super::features::{Features, plan};
use super::flags;
use crate::Error;
use crate::feature::{Feature, FeatureSet};

/// What is done without first where a set of flags is refused: a kernel says `EINVAL` to an unknown one, and not which.
const DROPPED: [Feature; 6] = [
    Feature::NoSqarray,
    Feature::DeferTaskrun,
    Feature::SingleIssuer,
    Feature::TaskrunFlag,
    Feature::CoopTaskrun,
    Feature::SubmitAll,
];

/// Fewer entries than this are not worth a ring.
const ENTRIES_MIN: u32 = 8;

/// Makes the ring with the flags that are planned for it; if the kernel does not accept them, with fewer.
pub(super) fn create(
    config: &RingConfig,
    features: &Features,
) -> Result<(IoUring, FeatureSet), Error> {
    let mut refused = FeatureSet::EMPTY;
    loop {
        let flags = plan(config, |flag| features.has(flag) && !refused.has(flag));
        let error = match create_smaller(config, flags) {
            Ok(ring) => {
                check_floor(&ring)?;
                return Ok((ring, flags));
            }
            Err(error) => error,
        };
        let unknown = error.raw_os_error() == Some(libc::EINVAL);
        let next = DROPPED.into_iter().find(|&flag| flags.has(flag));
        refused = match next {
            Some(flag) if unknown => refused.with(flag),
            // Without the thread the kernel may have the rest.
            _ if flags.has(Feature::Sqpoll) => FeatureSet::EMPTY.with(Feature::Sqpoll),
            _ => return Err(explain(error)),
        };
    }
}

/// Rings are charged to the locked-memory limit from 6.14 on, so a refusal for want of memory is answered with half the
/// size.
fn create_smaller(config: &RingConfig, flags: FeatureSet) -> io::Result<IoUring> {
    let mut entries = config.entries.max(ENTRIES_MIN);
    let mut completions = config.completions.max(entries);
    loop {
        match builder(config, flags, completions).build(entries) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && entries > ENTRIES_MIN => {
                entries = (entries / 2).max(ENTRIES_MIN);
                completions = (completions / 2).max(entries);
            }
            other => return other,
        }
    }
}

fn builder(config: &RingConfig, flags: FeatureSet, completions: u32) -> io_uring::Builder {
    let mut builder = IoUring::builder();
    // A child of fork() must not share our queues.
    builder.dontfork().setup_clamp().setup_cqsize(completions);
    let idle = config.tuning.sqpoll;
    if let Some(idle) = idle.filter(|_| flags.has(Feature::Sqpoll)) {
        builder.setup_sqpoll(idle.as_millis().clamp(1, u32::MAX.into()) as u32);
    }
    flags::apply(&mut builder, flags);
    builder
}

/// The runtime stands on the io_uring core of Linux 5.15, which 5.10.162 and later carry too.
fn check_floor(ring: &IoUring) -> Result<(), Error> {
    let has = ring.params();
    let floor = [
        ("NODROP", has.is_feature_nodrop()),
        ("SUBMIT_STABLE", has.is_feature_submit_stable()),
        ("RW_CUR_POS", has.is_feature_rw_cur_pos()),
        ("FAST_POLL", has.is_feature_fast_poll()),
        ("EXT_ARG", has.is_feature_ext_arg()),
        ("NATIVE_WORKERS", has.is_feature_native_workers()),
        ("RSRC_TAGS", has.is_feature_resource_tagging()),
    ];
    match floor.iter().find(|(_, present)| !present) {
        None => Ok(()),
        Some((feature, _)) => Err(Error::KernelTooOld { feature }),
    }
}

/// Why io_uring_setup(2) refused, and what the operator can do.
pub(super) fn explain(error: io::Error) -> Error {
    let (reason, cure) = match error.raw_os_error() {
        Some(libc::ENOSYS) => (
            "this kernel has no io_uring, or a seccomp profile hides it".to_owned(),
            "use Linux 5.15 or later (or 5.10.162 and later); in a container, allow the system calls io_uring_setup, \
             io_uring_enter and io_uring_register in its seccomp profile"
                .to_owned(),
        ),
        Some(libc::EPERM | libc::EACCES) => {
            let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
            explain_permission(&sysctl.unwrap_or_default())
        }
        Some(libc::ENOMEM) => (
            format!("the limit on locked memory is too low ({})", memlock()),
            "raise it (`ulimit -l unlimited`, or LimitMEMLOCK= in the service's unit), or ask for a smaller ring with \
             Builder::entries"
                .to_owned(),
        ),
        Some(libc::EMFILE | libc::ENFILE) => (
            "no file descriptor is free".to_owned(),
            "raise the limit (`ulimit -n`, or LimitNOFILE= in the service's unit)".to_owned(),
        ),
        Some(libc::EINVAL) => (
            "this kernel's io_uring is too old".to_owned(),
            "use Linux 5.15 or later, or 5.10.162 and later".to_owned(),
        ),
        _ => (
            "io_uring_setup failed".to_owned(),
            "see io_uring_setup(2)".to_owned(),
        ),
    };
    Error::RingUnavailable {
        reason,
        cure,
        source: error,
    }
}

/// The same for a want of permission: `sysctl` is what the file of kernel.io_uring_disabled says, which is nothing before
/// 6.6.
fn explain_permission(sysctl: &str) -> (String, String) {
    match sysctl.trim() {
        "2" => (
            "io_uring is switched off on this machine (kernel.io_uring_disabled = 2)".to_owned(),
            "as root: `sysctl -w kernel.io_uring_disabled=0`".to_owned(),
        ),
        "1" => (
            "io_uring is switched off for unprivileged processes (kernel.io_uring_disabled = 1)".to_owned(),
            "run in the group that kernel.io_uring_group names, or as root: `sysctl -w kernel.io_uring_disabled=0`"
                .to_owned(),
        ),
        _ => (
            "a seccomp profile or security module forbids io_uring (the default of Docker 25 and containerd 2 does)"
                .to_owned(),
            "run the container with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
        ),
    }
}

/// The locked-memory limit in words. (Asked by libc: rustix takes for granted that a limit can be asked for, which a seccomp
/// profile may forbid.)
pub(crate) fn memlock() -> impl fmt::Display {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives across the call, which only writes to it.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0;
    match limit.rlim_cur {
        _ if failed => "RLIMIT_MEMLOCK unknown".to_owned(),
        libc::RLIM_INFINITY => "RLIMIT_MEMLOCK is unlimited".to_owned(),
        bytes => format!("RLIMIT_MEMLOCK is {} KiB", bytes / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See Documentation/admin-guide/sysctl/kernel.rst of Linux.
    #[test]
    fn what_forbids_the_ring_is_named() {
        for (sysctl, named, cure) in [
            ("2\n", "(kernel.io_uring_disabled = 2)", "sysctl -w"),
            (
                "1\n",
                "(kernel.io_uring_disabled = 1)",
                "kernel.io_uring_group",
            ),
            ("0\n", "seccomp", "io_uring_setup"),
            ("", "seccomp", "io_uring_setup"),
        ] {
            let (reason, todo) = explain_permission(sysctl);
            assert!(reason.contains(named), "{sysctl:?}: {reason}");
            assert!(todo.contains(cure), "{sysctl:?}: {todo}");
        }
    }
}
