//! Children of fork(2), and processes that are started, with operations in flight.

#![allow(clippy::async_yields_async)] // Reads outlive the call of `block_on` in which they were begun.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::runtime::Runtime;
use saferring_tests::in_child;

use super::{pair, runtime};

fn fork() -> libc::pid_t {
    // SAFETY: there is one thread besides, which waits for this one; the child uses what belongs to its thread, and ends by
    // `_exit`. The C library keeps its allocator usable there.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    child
}

/// Ends a child of [`fork`], without what a process does at its end.
fn exit(well: bool) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if well { 0 } else { 1 }) }
}

/// Whether a child of [`fork`] has ended well.
fn ended_well(child: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: the status lives across the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "it was killed: {status}");
    libc::WEXITSTATUS(status) == 0
}

/// The parent goes on with what was in flight, and with more.
fn goes_on(
    runtime: &Runtime,
    stream: &UnixStream,
    read: impl Future<Output = saferring::buf::BufResult<usize, Vec<u8>>>,
    peer: &mut impl Write,
) {
    runtime.block_on(async {
        peer.write_all(b"one").unwrap();
        assert_eq!(read.await.1, b"one");
        peer.write_all(b"two").unwrap();
        assert_eq!(stream.read(vec![0; 3]).await.1, b"two");
        let path = std::env::temp_dir().join(format!("saferring-fork-{}", std::process::id()));
        saferring::fs::write(&path, "on").await.0.unwrap();
        saferring::fs::remove_file(&path).await.unwrap();
        let job = saferring::spawn_blocking(|| 7);
        assert_eq!(job.await.unwrap(), 7);
    });
}

#[test]
fn a_child_that_goes_on_in_the_runtime_is_told() {
    in_child("forks::a_child_that_goes_on_in_the_runtime_is_told", || {
        let runtime = runtime();
        let (stream, mut peer) = pair();
        let read = runtime.block_on(async {
            let read = stream.read(vec![0; 3]).submit();
            nop().await.unwrap();
            saferring::spawn_blocking(|| ()).await.unwrap();
            read
        });
        let child = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let child = fork();
                if child == 0 {
                    std::future::pending::<()>().await;
                }
                child
            })
        }));
        let child = match child {
            Ok(child) => child,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).into()));
                exit(text.is_some_and(|text: String| text.contains("fork(2)")));
            }
        };
        assert!(ended_well(child));
        goes_on(&runtime, &stream, read, &mut peer);
        // One that enters it anew, or begins an operation.
        let child = fork();
        if child == 0 {
            let error = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async { nop().await.is_err() })
            }));
            exit(error.unwrap_or(true));
        }
        assert!(ended_well(child));
        let read = runtime.block_on(async { stream.read(vec![0; 3]).submit() });
        goes_on(&runtime, &stream, read, &mut peer);
    });
}

#[test]
fn a_child_may_drop_the_runtime_and_make_another() {
    in_child(
        "forks::a_child_may_drop_the_runtime_and_make_another",
        || {
            for anew in [false, true] {
                let mut parents = Some(runtime());
                let (stream, mut peer) = pair();
                let mut read = parents.as_ref().map(|runtime| {
                    runtime.block_on(async {
                        let read = stream.read(vec![0; 3]).submit();
                        nop().await.unwrap();
                        saferring::spawn(std::future::pending::<()>());
                        read
                    })
                });
                let child = fork();
                if child == 0 {
                    let well = catch_unwind(AssertUnwindSafe(|| {
                        if anew {
                            drop(read.take());
                        }
                        drop(parents.take());
                        if anew {
                            runtime().block_on(async {
                                let (stream, mut peer) = pair();
                                peer.write_all(b"new").unwrap();
                                assert_eq!(stream.read(vec![0; 3]).await.1, b"new");
                            });
                        }
                    }));
                    exit(well.is_ok());
                }
                assert!(ended_well(child));
                if let (Some(runtime), Some(read)) = (&parents, read) {
                    goes_on(runtime, &stream, read, &mut peer);
                }
            }
        },
    );
}

#[test]
fn processes_are_started_with_operations_in_flight() {
    in_child(
        "forks::processes_are_started_with_operations_in_flight",
        || {
            let runtime = runtime();
            let (stream, mut peer) = pair();
            let read = runtime.block_on(async {
                let read = stream.read(vec![0; 3]).submit();
                nop().await.unwrap();
                for _ in 0..10 {
                    let output = Command::new("echo").arg("hello").output().unwrap();
                    assert_eq!(output.stdout, b"hello\n");
                    nop().await.unwrap();
                }
                let mut command = Command::new("true");
                // With something to do in between, std forks in the plain way.
                // SAFETY: the closure does nothing.
                unsafe { command.pre_exec(|| Ok(())) };
                assert!(command.status().unwrap().success());
                nop().await.unwrap();
                let status = saferring::spawn_blocking(|| Command::new("true").status());
                assert!(status.await.unwrap().unwrap().success());
                read
            });
            goes_on(&runtime, &stream, read, &mut peer);
        },
    );
}
