//! Hazard 32: kernels, limits and filters that refuse a ring. Each in a process of its own, as limits are the process's.

use saferring::runtime::{Backend, Builder, Runtime};
use saferring::{Error, Feature, Status};
use saferring_tests::{
    Refusal, in_child, is_software, limit, open_fds, refuse, ring_fds, unprivileged,
};

saferring_tests::also_on_software!();

#[track_caller]
fn refused(built: Result<Runtime, Error>, words: &[&str]) {
    let error = built.map(drop).unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    let io = std::io::Error::from(error);
    assert_eq!(io.to_string(), text);
    assert_eq!(ring_fds(), 0);
}

#[test]
fn hazard_32_little_locked_memory() {
    in_child("hazard_32_little_locked_memory", || {
        limit(libc::RLIMIT_MEMLOCK, 64 << 10);
        unprivileged(|| {
            match Builder::new()
                .backend(Backend::IoUring)
                .entries(4096)
                .build()
            {
                // Rings are not charged on this kernel, or a smaller one was made.
                Ok(runtime) => {
                    let info = runtime.ring_info().unwrap();
                    assert!(
                        info.submission_entries >= 8
                            && info.completion_entries >= info.submission_entries
                    );
                    runtime.block_on(saferring::op::nop()).unwrap();
                }
                Err(error) => refused(Err(error), &["ulimit -l", "RLIMIT_MEMLOCK"]),
            }
        });
    });
}

#[test]
fn hazard_32_no_locked_memory() {
    in_child("hazard_32_no_locked_memory", || {
        limit(libc::RLIMIT_MEMLOCK, 0);
        unprivileged(|| match Runtime::new() {
            Ok(runtime) => runtime.block_on(saferring::op::nop()).unwrap(),
            Err(error) => refused(Err(error), &["ulimit -l", "RLIMIT_MEMLOCK is 0 KiB"]),
        });
    });
}

/// What io_uring_setup(2) may answer, and what the operator is told.
#[test]
fn hazard_32_each_refusal_says_what_to_do() {
    in_child("hazard_32_each_refusal_says_what_to_do", || {
        let refuses = |call, errno| refuse(Refusal { call, errno }).unwrap();
        for (errno, words) in [
            (
                libc::EACCES,
                ["seccomp profile or security module", "io_uring_setup"],
            ),
            (libc::ENFILE, ["no file descriptor is free", "ulimit -n"]),
            (libc::EINVAL, ["too old", "5.15"]),
            (libc::EIO, ["io_uring_setup failed", "io_uring_setup(2)"]),
            (libc::ENOMEM, ["locked memory is too low", "ulimit -l"]),
        ] {
            refuses(libc::SYS_io_uring_setup, errno);
            match io_uring().map(drop).unwrap_err() {
                Error::RingUnavailable { source, .. } => {
                    assert_eq!(source.raw_os_error(), Some(errno));
                }
                other => panic!("{other}"),
            }
            refused(io_uring(), &words);
        }
        // The limit is named as it is.
        let mut now = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the call writes to the record, which lives across it.
        let failed = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut now) };
        assert_eq!(failed, 0);
        let words = match now.rlim_cur {
            libc::RLIM_INFINITY => "RLIMIT_MEMLOCK is unlimited".to_owned(),
            bytes => format!("RLIMIT_MEMLOCK is {} KiB", bytes / 1024),
        };
        refused(
            Builder::new()
                .backend(Backend::IoUring)
                .entries(4096)
                .build(),
            &[&words],
        );
        limit(libc::RLIMIT_MEMLOCK, 48 << 10);
        let builders = [
            Builder::new(),
            Builder::new().sqpoll(std::time::Duration::from_millis(1)),
        ];
        for builder in builders {
            refused(
                builder.backend(Backend::IoUring).build(),
                &["RLIMIT_MEMLOCK is 48 KiB", "Builder::entries"],
            );
        }
        refuses(libc::SYS_prlimit64, libc::EPERM);
        refused(io_uring(), &["RLIMIT_MEMLOCK unknown"]);
    });
}

/// With no descriptor free, and with one, which the ring gets: before 6.13 the runtime lacks another, for its eventfd.
#[test]
fn hazard_32_no_descriptor_is_free() {
    in_child("hazard_32_no_descriptor_is_free", || {
        let used = open_fds().last().unwrap().0 as u64 + 1;
        // Fill the gaps below.
        let mut fillers = Vec::new();
        limit(libc::RLIMIT_NOFILE, used + 3);
        while let Ok(file) = std::fs::File::open("/dev/null") {
            fillers.push(file);
        }
        refused_without_proc(io_uring());
        fillers.pop();
        match Runtime::new() {
            Ok(runtime) => runtime.block_on(saferring::op::nop()).unwrap(),
            error => refused_without_proc(error),
        }
        fillers.truncate(fillers.len() - 2);
        // Now there is room, and nothing that was found out in need is believed for good.
        let runtime = Runtime::new().unwrap();
        runtime.block_on(saferring::op::nop()).unwrap();
        drop(fillers);
        let file = "/proc/self/exe";
        runtime
            .block_on(async { saferring::fs::File::open(file).await.map(drop) })
            .unwrap();
        assert!(
            saferring::features().has_opcode(0),
            "{:?}",
            saferring::features()
        );
    });
}

/// [`refused`] where not even a directory can be read.
#[track_caller]
fn refused_without_proc(built: Result<Runtime, Error>) {
    let error = built.map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("ulimit -n"), "{text}");
    assert_eq!(std::io::Error::from(error).to_string(), text);
}

/// A runtime on io_uring, or an error.
fn io_uring() -> Result<Runtime, Error> {
    Builder::new().backend(Backend::IoUring).build()
}

#[test]
fn hazard_32_filter_says_eperm() {
    in_child("hazard_32_filter_says_eperm", || {
        refuse(Refusal {
            call: libc::SYS_io_uring_setup,
            errno: libc::EPERM,
        })
        .unwrap();
        refused(io_uring(), &["seccomp", "container", "io_uring_setup"]);
        // Where the software ring is asked for, that is what a runtime has.
        assert_eq!(saferring::features().has_opcode(0), is_software());
    });
}

#[test]
fn hazard_32_filter_says_enosys() {
    in_child("hazard_32_filter_says_enosys", || {
        refuse(Refusal {
            call: libc::SYS_io_uring_setup,
            errno: libc::ENOSYS,
        })
        .unwrap();
        refused(io_uring(), &["seccomp", "container", "5.15"]);
    });
}

/// A filter that lets the ring be made and nothing be registered with it: probes, and the ring's own index.
#[test]
fn hazard_32_filter_forbids_registration() {
    in_child("hazard_32_filter_forbids_registration", || {
        refuse(Refusal {
            call: libc::SYS_io_uring_register,
            errno: libc::EPERM,
        })
        .unwrap();
        let runtime = Runtime::new().unwrap();
        assert!(!runtime.ring_info().unwrap().registered_ring);
        runtime.block_on(saferring::op::nop()).unwrap();
        drop(runtime);
        assert_eq!(ring_fds(), 0);
    });
}

#[test]
fn unknown_backends_are_named() {
    in_child("unknown_backends_are_named", || {
        // SAFETY: this process has no other thread that looks at the environment now.
        unsafe { std::env::set_var("SAFERRING_BACKEND", "kqueue") };
        refused(Runtime::new(), &["kqueue", "io_uring", "SAFERRING_BACKEND"]);
    });
}

/// Where the kernel can tell them apart, a runtime that waits for events is not counted as waiting for a disk.
#[test]
fn waiting_is_not_io_wait() {
    in_child("waiting_is_not_io_wait", || {
        let runtime = Runtime::new().unwrap();
        let used = runtime.features().status(Feature::NoIowait) == Status::Used;
        assert_eq!(runtime.ring_info().unwrap().no_iowait, used);
    });
}
