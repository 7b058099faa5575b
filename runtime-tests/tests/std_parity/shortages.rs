//! No descriptors, no memory that may be locked, no threads.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::poll_immediate;
use saferring::features;
use saferring::fs::{self, FixedBufPool};
use saferring::net::{TcpListener, UnixListener, UnixStream, lookup_host};
use saferring::op::nop;
use saferring::runtime::{Builder, Runtime, metrics, spawn_blocking};
use saferring_tests::{Refusal, in_child, is_software, limit, refuse, unprivileged, until};

use super::{Scratch, pair, runtime};

/// Takes all descriptors that are left.
fn take_descriptors() -> Vec<std::fs::File> {
    let mut taken = Vec::new();
    loop {
        match OpenOptions::new().read(true).open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                return taken;
            }
        }
    }
}

/// The error is told, not again and again; who waited is served when there are descriptors.
#[test]
fn a_stream_of_connections_waits_for_descriptors() {
    in_child(
        "shortages::a_stream_of_connections_waits_for_descriptors",
        || {
            runtime().block_on(async {
                limit(libc::RLIMIT_NOFILE, 64);
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let waiting = std::net::TcpStream::connect(address).unwrap();
                let mut taken = take_descriptors();
                let errors = Rc::new(Cell::new(0));
                let count = Rc::clone(&errors);
                let accepting = saferring::spawn(async move {
                    let mut incoming = listener.incoming();
                    loop {
                        match incoming.next().await.unwrap() {
                            Ok(stream) => return stream,
                            Err(error) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                                count.set(count.get() + 1);
                            }
                        }
                    }
                });
                until("the error", || errors.get() > 0).await;
                let before = metrics().ticks;
                for _ in 0..2000 {
                    nop().await.unwrap();
                }
                assert!(metrics().ticks - before >= 2000);
                assert!(errors.get() < 20, "{} errors", errors.get());
                taken.truncate(taken.len() - 4);
                let stream = accepting.await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), waiting.local_addr().unwrap());
            });
        },
    );
}

#[test]
fn an_accept_waits_for_descriptors() {
    in_child("shortages::an_accept_waits_for_descriptors", || {
        let dir = Scratch::new("accept-shortage");
        runtime().block_on(async {
            limit(libc::RLIMIT_NOFILE, 64);
            let path = dir.path("listener");
            let listener = Rc::new(UnixListener::bind(&path).unwrap());
            let _waiting = [0, 1].map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap());
            let mut taken = take_descriptors();
            let errors = Rc::new(Cell::new(0));
            let accepting = [0, 1].map(|_| {
                let (count, listener) = (Rc::clone(&errors), Rc::clone(&listener));
                saferring::spawn(async move {
                    loop {
                        match listener.accept().await {
                            Ok(accepted) => return accepted,
                            Err(error) => {
                                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                                count.set(count.get() + 1);
                            }
                        }
                    }
                })
            });
            until("the error", || errors.get() > 0).await;
            for _ in 0..2000 {
                nop().await.unwrap();
            }
            assert!(errors.get() < 40, "{} errors", errors.get());
            taken.truncate(taken.len() - 4);
            for one in accepting {
                one.await.unwrap();
            }
        });
    });
}

/// Who gives up waiting and begins anew is not told more often.
#[test]
fn accepts_that_are_given_up_leave_the_pause_as_it_was() {
    in_child(
        "shortages::accepts_that_are_given_up_leave_the_pause_as_it_was",
        || {
            runtime().block_on(async {
                limit(libc::RLIMIT_NOFILE, 64);
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let waiting = std::net::TcpStream::connect(address).unwrap();
                let mut taken = take_descriptors();
                let mut errors = 0;
                for _ in 0..2000 {
                    let mut accept = Box::pin(listener.accept());
                    for _ in 0..3 {
                        if let Some(accepted) = poll_immediate(&mut accept).await {
                            let error = accepted.unwrap_err();
                            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                            errors += 1;
                            break;
                        }
                        nop().await.unwrap();
                    }
                }
                assert!((1..20).contains(&errors), "{errors} errors");
                taken.truncate(taken.len() - 4);
                // However often it is begun anew.
                let from = loop {
                    let mut accept = Box::pin(listener.accept());
                    let mut accepted = poll_immediate(&mut accept).await;
                    if accepted.is_none() {
                        nop().await.unwrap();
                        accepted = poll_immediate(&mut accept).await;
                    }
                    match accepted {
                        Some(Ok((_, from))) => break from,
                        Some(Err(error)) => panic!("{error}"),
                        None => {}
                    }
                };
                assert_eq!(from, waiting.local_addr().unwrap());
            });
        },
    );
}

/// A connect that waits for room in a queue has no use for a descriptor.
#[test]
fn a_descriptor_is_for_who_waits_for_one() {
    in_child("shortages::a_descriptor_is_for_who_waits_for_one", || {
        let dir = Scratch::new("for-whom");
        runtime().block_on(async {
            limit(libc::RLIMIT_NOFILE, 64);
            let path = dir.path("full");
            let full = std::os::unix::net::UnixListener::bind(&path).unwrap();
            // SAFETY: the call takes numbers only. A second listen sets the length of the queue.
            let listening = unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&full), 0) };
            assert_eq!(listening, 0);
            let connects: Vec<_> = (0..10)
                .map(|_| saferring::spawn(UnixStream::connect(path.clone())))
                .collect();
            nop().await.unwrap();
            let spare = saferring::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let waiting = std::net::TcpStream::connect(address).unwrap();
            let _taken = take_descriptors();
            for _ in 0..10 {
                let error = listener.accept().await.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            let accepting = saferring::spawn(async move { listener.accept().await });
            nop().await.unwrap();
            let started = Instant::now();
            drop(spare);
            let (_, from) = accepting.await.unwrap().unwrap();
            assert_eq!(from, waiting.local_addr().unwrap());
            // By now the pause is half a second long.
            assert!(started.elapsed() < Duration::from_millis(400));
            assert!(connects.iter().any(|connect| !connect.is_finished()));
        });
    });
}

/// A descriptor that is closed on this thread is taken at once, however long the pause has become by then.
#[test]
fn who_waits_for_a_descriptor_takes_the_next_that_is_closed() {
    in_child(
        "shortages::who_waits_for_a_descriptor_takes_the_next_that_is_closed",
        || {
            runtime().block_on(async {
                limit(libc::RLIMIT_NOFILE, 64);
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                let mut streams = Vec::new();
                let waiting = std::net::TcpStream::connect(address).unwrap();
                let spare = saferring::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                streams.extend(take_descriptors());
                for _ in 0..4 {
                    let error = listener.accept().await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                }
                let accepting = saferring::spawn(async move { listener.accept().await });
                nop().await.unwrap();
                drop(spare);
                let (_, from) = accepting.await.unwrap().unwrap();
                assert_eq!(from, waiting.local_addr().unwrap());
            });
        },
    );
}

/// What a service has by default on many systems.
#[test]
fn little_memory_that_may_be_locked_is_enough_or_is_told() {
    in_child(
        "shortages::little_memory_that_may_be_locked_is_enough_or_is_told",
        || {
            limit(libc::RLIMIT_MEMLOCK, 64 * 1024);
            unprivileged(|| {
                let both = [Runtime::new(), Runtime::new()];
                for runtime in &both {
                    let runtime = match runtime {
                        Ok(runtime) => runtime,
                        // Others of the same user have taken it.
                        Err(error) => {
                            assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
                            continue;
                        }
                    };
                    runtime.block_on(async {
                        let (stream, mut peer) = pair();
                        let mut chunks = stream.recv_stream();
                        for round in 0..20u8 {
                            peer.write_all(&[round; 100]).unwrap();
                            let chunk = chunks.next().await.unwrap().unwrap();
                            assert_eq!(chunk[..], [round; 100]);
                        }
                        let metrics = metrics();
                        // Where there are none, none are refused.
                        let has_none = metrics.provided_buffers == 0 && features().multishot_recv();
                        assert_eq!(metrics.provided_refused, has_none);
                        assert_eq!(metrics.provided_refused, metrics.provided_dry > 0);
                        match FixedBufPool::new(64, 64 * 1024) {
                            Ok(pool) => drop(pool.take().await),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
                            }
                        }
                    });
                }
            });
        },
    );
}

#[test]
fn without_threads_each_thing_is_told_or_done_here() {
    in_child(
        "shortages::without_threads_each_thing_is_told_or_done_here",
        || {
            let runtime = runtime();
            // Where nobody has a process already, this one counts.
            limit(libc::RLIMIT_NPROC, 1);
            unprivileged(|| {
                assert!(std::thread::Builder::new().spawn(|| {}).is_err());
                runtime.block_on(async {
                    let path = std::env::temp_dir();
                    let path = path.join(format!("saferring-no-thread-{}", std::process::id()));
                    let (written, contents) = fs::write(&path, "contents").await;
                    assert_eq!(contents, "contents");
                    let metadata = fs::metadata("/").await;
                    if is_software() {
                        // It has no other to do it, and does it itself.
                        written.unwrap();
                        assert_eq!(std::fs::read(&path).unwrap(), b"contents");
                        std::fs::remove_file(&path).unwrap();
                        assert!(metadata.unwrap().is_dir());
                    } else {
                        let error = written.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
                        assert!(error.to_string().contains("ulimit -u"), "{error}");
                        let error = metadata.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
                    }
                    let here = metrics().run_here;
                    assert!(lookup_host("localhost:80").await.unwrap().next().is_some());
                    assert_eq!(metrics().run_here, here + 1);
                    let error = spawn_blocking(|| ()).await.unwrap_err();
                    assert!(
                        error.is_panic() && error.to_string().contains("ulimit -u"),
                        "{error}"
                    );
                    // What needs no thread goes on.
                    let (stream, mut peer) = pair();
                    peer.write_all(b"on").unwrap();
                    assert_eq!(stream.read(vec![0; 2]).await.1, b"on");
                });
            });
        },
    );
}

/// Those that there are do what more of them would have done.
#[test]
fn without_more_threads_there_are_those_that_are() {
    in_child(
        "shortages::without_more_threads_there_are_those_that_are",
        || {
            let runtime = Builder::new().blocking_threads(4).build().unwrap();
            runtime.block_on(async {
                let first = spawn_blocking(|| std::thread::current().id());
                let first = first.await.unwrap();
                for call in [libc::SYS_clone, libc::SYS_clone3] {
                    let errno = libc::EAGAIN;
                    refuse(Refusal { call, errno }).unwrap();
                }
                assert!(std::thread::Builder::new().spawn(|| {}).is_err());
                let more: Vec<_> = (0..20)
                    .map(|_| spawn_blocking(|| std::thread::current().id()))
                    .collect();
                for one in more {
                    assert_eq!(one.await.unwrap(), first);
                }
            });
        },
    );
}
