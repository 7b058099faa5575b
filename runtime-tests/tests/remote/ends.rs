//! The ends of the service, of its runtime, of its process, and of its files.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};

use saferring::remote::Files;
use saferring::runtime::{Backend, Builder, Runtime};
use saferring_tests::{Watch, bounded, in_child, limit, pattern_bytes, spin_until};

use crate::support::{Scratch, Wakes, block_on, poll_with, tokio, turns};

#[track_caller]
fn is_ended<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
    assert!(error.to_string().contains("has ended"), "{error}");
}

fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "remote-ends").count()
}

#[test]
fn threads_have_their_name_and_end_with_the_last_user() {
    bounded(|| {
        let builder = Files::builder().rings(2).thread_name("remote-ends");
        let files = builder.start().unwrap();
        assert_eq!(threads(), 2);
        let file = block_on(files.open("Cargo.toml")).unwrap();
        let read = file.read_at(vec![0; 4], 0);
        drop(files);
        drop(file);
        // The other ring's is gone; this one has a call to come.
        spin_until("the end of one thread", || threads() == 1);
        assert_eq!(block_on(read).0.unwrap(), 4);
        spin_until("the end of the other", || threads() == 0);
    });
}

#[test]
fn a_shutdown_answers_everybody_and_waits_for_the_threads() {
    bounded(|| {
        let scratch = Scratch::filled("shutdown", 1 << 16);
        for round in 0..20 {
            let builder = Files::builder().rings(2).max_in_flight(8);
            let files = builder.thread_name("remote-ends").start().unwrap();
            let watch = Watch::new();
            tokio(2).block_on(async {
                let mut tasks = Vec::new();
                for n in 0..4 {
                    let file = files.open(scratch.path()).await.unwrap();
                    let watch = watch.clone();
                    tasks.push(tokio::spawn(async move {
                        for at in 0.. {
                            let at = (at * 4 + n) % 60_000;
                            let (read, buf) = file.read_at(watch.buf(64), at).await;
                            match read {
                                Ok(read) => assert_eq!(buf.bytes(), pattern_bytes(at, read)),
                                Err(error) => return (error, buf),
                            }
                        }
                        unreachable!()
                    }));
                }
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                files.shutdown().await;
                // A thread that was joined may be listed for a moment.
                spin_until("the end of the threads", || threads() == 0);
                for task in tasks {
                    let (error, _buf) = task.await.unwrap();
                    let cancelled = error.raw_os_error() == Some(libc::ECANCELED);
                    assert!(
                        cancelled || error.kind() == io::ErrorKind::NotConnected,
                        "{error}"
                    );
                }
                is_ended(files.open("Cargo.toml").await);
                files.shutdown().await;
            });
            assert_eq!((watch.alive(), watch.dropped_twice()), (0, 0));
        }
    });
}

#[test]
fn a_runtime_that_ends_gives_the_buffers_back() {
    bounded(|| {
        let scratch = Scratch::filled("runtime-ends", 100);
        let options = saferring::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .clone();
        // So many turns after the calls were made.
        for steps in 0..4 {
            let runtime = Runtime::new().unwrap();
            let files = Files::builder().max_in_flight(3).on(runtime.handle());
            let file = runtime
                .block_on(files.open_with(&options, scratch.path()))
                .unwrap();
            let watch = Watch::new();
            let mut calls: Vec<_> = (0..6)
                .map(|n| {
                    let bytes = pattern_bytes(n, 1);
                    Box::pin(file.write_at(watch.filled(bytes), n))
                })
                .collect();
            let (wakes, waker) = Wakes::new();
            for call in &mut calls {
                assert!(poll_with(call.as_mut(), &waker).is_pending());
            }
            if steps > 0 {
                turns(&runtime, steps);
            }
            drop(runtime);
            assert!(wakes.count() >= 6, "all were told");
            for (n, call) in calls.iter_mut().enumerate() {
                let Poll::Ready((written, buf)) = poll_with(call.as_mut(), &waker) else {
                    panic!("call {n} has no answer after {steps} turns");
                };
                assert_eq!(buf.bytes(), pattern_bytes(n as u64, 1));
                match written {
                    Ok(n) => assert_eq!(n, 1),
                    error => is_ended(error),
                }
            }
            is_ended(files.open("Cargo.toml").map_sync());
            is_ended(file.metadata().map_sync());
            is_ended(file.close().map_sync());
            drop(calls);
            assert_eq!((watch.alive(), watch.dropped_twice()), (0, 0));
        }
    });
}

/// Awaited on this thread.
trait Sync: Future + Sized {
    fn map_sync(self) -> Self::Output {
        block_on(self)
    }
}

impl<F: Future> Sync for F {}

#[test]
fn the_service_ends_on_a_runtime_that_goes_on() {
    bounded(|| {
        let scratch = Scratch::filled("goes-on", 10);
        let name = scratch.path().to_string_lossy().into_owned();
        let open = || {
            saferring_tests::open_fds()
                .iter()
                .any(|(_, link)| *link == name)
        };
        let runtime = Runtime::new().unwrap();
        let files = Files::on(runtime.handle());
        let file = runtime.block_on(files.open(scratch.path())).unwrap();
        assert!(open());
        drop((files, file));
        runtime.block_on(saferring_tests::until("the close", || !open()));
        // A service that nobody has run.
        let never = Runtime::new().unwrap();
        let files = Files::on(never.handle());
        let mut opening = Box::pin(files.open(scratch.path()));
        assert!(poll_with(opening.as_mut(), Waker::noop()).is_pending());
        drop(never);
        is_ended(block_on(opening));
        block_on(files.shutdown());
    });
}

#[test]
fn a_close_is_for_all_clones() {
    bounded(|| {
        let scratch = Scratch::filled("close", 10);
        let files = Files::start().unwrap();
        block_on(async {
            let file = files.open(scratch.path()).await.unwrap();
            let (clone, again) = (file.clone(), file.clone());
            file.close().await.unwrap();
            // Its place is nobody else's.
            let _other = files.open("Cargo.toml").await.unwrap();
            for error in [
                clone.read_at(vec![0; 4], 0).await.0.unwrap_err(),
                clone.sync_all().await.unwrap_err(),
                again.close().await.unwrap_err(),
            ] {
                assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{error}");
            }
        });
    });
}

#[test]
fn a_close_that_nobody_waits_for_closes() {
    bounded(|| {
        let scratch = Scratch::filled("close-dropped", 10);
        let runtime = Runtime::new().unwrap();
        let files = Files::on(runtime.handle());
        let file = runtime.block_on(files.open(scratch.path())).unwrap();
        let clone = file.clone();
        let mut close = Box::pin(file.close());
        assert!(poll_with(close.as_mut(), Waker::noop()).is_pending());
        drop(close);
        let error = runtime.block_on(clone.len()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    });
}

#[test]
fn a_name_that_cannot_be_is_an_error() {
    bounded(|| {
        let error = Files::builder().thread_name("a\0b").start().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("thread_name"), "{error}");
    });
}

#[test]
fn threads_that_cannot_be_made_are_told_of() {
    in_child("ends::threads_that_cannot_be_made_are_told_of", || {
        let at = saferring_tests::open_fds().len() as u64;
        // Room for none of the second ring's descriptors, or of the first's.
        limit(libc::RLIMIT_NOFILE, at + 1);
        let error = Files::builder().rings(64).start().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(" of 64 of the file service"), "{text}");
    });
}

#[test]
fn a_stack_that_cannot_be_had_is_told_of() {
    in_child("ends::a_stack_that_cannot_be_had_is_told_of", || {
        // So that the thread itself cannot be made: there is no room for its stack.
        limit(libc::RLIMIT_AS, 1 << 20);
        let result = Files::start();
        let error = result.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start thread 1 of 1 of the file service"),
            "{error}"
        );
    });
}

#[test]
fn options_of_the_runtime_hold() {
    bounded(|| {
        let builder = Builder::new().backend(Backend::Software).entries(16);
        let files = Files::builder().runtime(builder).rings(0).max_in_flight(0);
        let files = files.start().unwrap();
        let about = block_on(async { files.open("Cargo.toml").await?.metadata().await });
        assert!(about.unwrap().is_file());
    });
}

#[test]
fn a_child_is_told_that_the_service_is_its_parents() {
    in_child(
        "ends::a_child_is_told_that_the_service_is_its_parents",
        || {
            let scratch = Scratch::filled("fork", 10);
            let files = Files::start().unwrap();
            let file = block_on(files.open(scratch.path())).unwrap();
            let runtime = Runtime::new().unwrap();
            let lazy = Files::on(runtime.handle());
            let mut under_way = Box::pin(lazy.open(scratch.path()));
            assert!(poll_with(under_way.as_mut(), Waker::noop()).is_pending());
            // SAFETY: the other threads wait; the child uses memory, which the C library keeps usable, and ends by `_exit`.
            let child = unsafe { libc::fork() };
            assert!(child >= 0);
            if child == 0 {
                let told = catch_unwind(AssertUnwindSafe(|| {
                    let (read, buf) = block_on(file.read_at(vec![7; 3], 0));
                    assert_eq!(buf, [7; 3]);
                    let errors = [
                        read.unwrap_err(),
                        block_on(files.open("Cargo.toml")).unwrap_err(),
                        block_on(file.clone().close()).unwrap_err(),
                    ];
                    for error in errors {
                        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
                        assert!(error.to_string().contains("parent process"), "{error}");
                    }
                    let awaited = catch_unwind(AssertUnwindSafe(|| {
                        poll_with(under_way.as_mut(), Waker::noop()).is_ready()
                    }));
                    assert!(awaited.is_err());
                    block_on(files.shutdown());
                    drop((under_way, file, files, lazy));
                    // Its own serves it.
                    let own = Files::start().unwrap();
                    assert!(block_on(own.open("Cargo.toml")).is_ok());
                }));
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(told.is_err())) };
            }
            let mut status = 0;
            // SAFETY: the status lives across the call.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0, "the child has failed");
            // The parent's goes on.
            assert_eq!(
                block_on(file.read_at(vec![0; 10], 0)).1,
                pattern_bytes(0, 10)
            );
            assert!(runtime.block_on(under_way).is_ok());
        },
    );
}
