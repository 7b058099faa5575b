//! How such a runtime ends, and what it is refused.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use saferring::net::UnixStream;
use saferring::sync::oneshot;
use saferring::time::sleep;
use saferring_tests::{Watch, bounded, in_child, limit, open_fds};

use crate::support::{FOREVER, drive_to, is_readable, runtime, settle};

#[test]
fn a_runtime_is_dropped_between_two_turns() {
    bounded(|| {
        for is_settled in [true, false] {
            let runtime = runtime();
            let watch = Watch::new();
            let (stream, _peer) = UnixStream::pair().unwrap();
            let buf = watch.buf(16);
            let (sender, receiver) = oneshot::channel::<()>();
            runtime.spawn(async move {
                let _ = stream.read(buf).await;
            });
            runtime.spawn(receiver);
            runtime.spawn(sleep(FOREVER));
            assert!(is_readable(&runtime));
            if is_settled {
                settle(&runtime);
            } else {
                let _ = runtime.run_once();
            }
            assert_eq!(watch.alive(), 1);
            // A wake that finds nobody.
            let thread = thread::spawn(move || sender.send(()).is_ok());
            drop(runtime);
            thread.join().unwrap();
            assert_eq!((watch.alive(), watch.dropped()), (0, 1));
        }
    });
}

#[test]
fn a_shutdown_gives_everything_back() {
    bounded(|| {
        let fds = open_fds().len();
        let runtime = runtime();
        runtime.as_fd();
        runtime.spawn(sleep(FOREVER));
        settle(&runtime);
        runtime.shutdown_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(open_fds().len(), fds);
    });
}

#[test]
fn without_a_free_descriptor_it_says_so() {
    in_child("ends::without_a_free_descriptor_it_says_so", || {
        let runtime = runtime();
        limit(libc::RLIMIT_NOFILE, 64);
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        let error = runtime.try_as_fd().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        assert!(catch_unwind(AssertUnwindSafe(|| runtime.as_raw_fd())).is_err());
        // It runs all the same, and later it may have one.
        let _ = runtime.run_once();
        drop(files);
        runtime.try_as_fd().unwrap();
        assert_eq!(drive_to(&runtime, async { 4 }), 4);
    });
}

#[test]
fn in_a_child_of_fork_it_is_the_parents() {
    bounded(|| {
        let (runtime, other) = (runtime(), runtime());
        settle(&runtime);
        // SAFETY: the child uses memory, which the C library keeps usable, and ends by `_exit`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let told = catch_unwind(AssertUnwindSafe(|| {
                assert!(catch_unwind(AssertUnwindSafe(|| runtime.run_once())).is_err());
                assert_eq!(
                    other.try_as_fd().unwrap_err().kind(),
                    ErrorKind::NotConnected
                );
                // What it spawns says nothing to the parent.
                runtime.spawn(async {});
            }));
            // SAFETY: it ends the process, and no more.
            unsafe { libc::_exit(i32::from(told.is_err())) };
        }
        let mut status = 0;
        // SAFETY: `status` lives across the call, and the child is ours and was not waited for.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert!(!is_readable(&runtime));
        assert_eq!(drive_to(&runtime, async { 5 }), 5);
    });
}
