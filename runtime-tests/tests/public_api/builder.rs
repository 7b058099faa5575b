//! What a builder's options come to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use saferring::Error;
use saferring::op::nop;
use saferring::runtime::{Backend, Builder, Setup, fixed_buffers};
use saferring_tests::{bounded, in_child};

#[test]
fn a_backend_is_named_by_the_builder_or_the_environment() {
    in_child(
        "builder::a_backend_is_named_by_the_builder_or_the_environment",
        || {
            for backend in [Backend::Auto, Backend::IoUring] {
                let runtime = Builder::new().backend(backend).build().unwrap();
                runtime.block_on(nop()).unwrap();
                assert!(runtime.ring_info().is_some());
            }
            for (name, known) in [("auto", true), ("io_uring", true), ("epoll", false)] {
                // SAFETY: of this process's threads only this one looks at the environment.
                unsafe { std::env::set_var("SAFERRING_BACKEND", name) };
                // What the builder names is not overridden.
                Builder::new().backend(Backend::IoUring).build().unwrap();
                let built = Builder::new().backend(Backend::Auto).build();
                match built.map(drop) {
                    Ok(()) => assert!(known, "{name}"),
                    Err(error) => {
                        assert!(!known, "{name}");
                        let text = error.to_string();
                        assert!(text.contains(name), "{text}");
                        assert!(matches!(error, Error::UnknownBackend { .. }));
                        let error = std::io::Error::from(error);
                        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
                    }
                }
            }
        },
    );
}

#[test]
fn the_ring_is_as_large_as_asked_for() {
    bounded(|| {
        for (asked, got) in [(1, 8), (8, 8), (100, 128)] {
            for setup in [Setup::Deferred, Setup::Cooperative, Setup::Plain] {
                let builder = Builder::new().entries(asked).completion_entries(asked * 4);
                let runtime = builder.setup(setup).build().unwrap();
                let ring = runtime.ring_info().unwrap();
                assert_eq!(ring.submission_entries, got, "{setup:?}");
                assert!(ring.completion_entries >= asked * 4);
                // More than that can be in flight.
                runtime.block_on(async {
                    let many: Vec<_> = (0..300).map(|_| nop().submit()).collect();
                    for one in many {
                        one.await.unwrap();
                    }
                });
            }
        }
    });
}

#[test]
fn blocking_jobs_run_on_so_many_threads() {
    bounded(|| {
        for threads in [1, 3] {
            let runtime = Builder::new().blocking_threads(threads).build().unwrap();
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            runtime.block_on(async {
                let jobs: Vec<_> = (0..20)
                    .map(|_| {
                        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                        saferring::spawn_blocking(move || {
                            let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(running, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                        })
                    })
                    .collect();
                for job in jobs {
                    job.await.unwrap();
                }
            });
            let most = most.load(Ordering::SeqCst);
            assert!(most >= 1 && most <= threads, "{most} of {threads}");
        }
    });
}

#[test]
fn a_builder_begins_with_its_defaults() {
    bounded(|| {
        let (new, default) = (Builder::new(), Builder::default());
        assert_eq!(format!("{new:?}"), format!("{default:?}"));
        assert_ne!(format!("{new:?}"), format!("{:?}", default.entries(7)));
    });
}

/// A job that does not end holds up the end of a runtime for so long, and no longer.
#[test]
fn the_end_waits_as_long_as_it_may() {
    bounded(|| {
        for grace in [Duration::ZERO, Duration::from_millis(50)] {
            let runtime = Builder::new().shutdown_grace(grace).build().unwrap();
            let (end, ended) = mpsc::channel::<()>();
            let (begin, begun) = mpsc::channel();
            runtime.block_on(async {
                drop(saferring::spawn_blocking(move || {
                    begin.send(()).unwrap();
                    let _ = ended.recv();
                }));
            });
            begun.recv().unwrap();
            let started = Instant::now();
            drop(runtime);
            let took = started.elapsed();
            assert!(took >= grace && took < Duration::from_secs(4), "{took:?}");
            drop(end);
        }
        // One that ends is waited for.
        let runtime = Builder::new();
        let runtime = runtime
            .shutdown_grace(Duration::from_secs(30))
            .build()
            .unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        let (begin, begun) = mpsc::channel();
        runtime.block_on(async {
            let done = Arc::clone(&done);
            drop(saferring::spawn_blocking(move || {
                begin.send(()).unwrap();
                for _ in 0..1000 {
                    std::thread::yield_now();
                }
                done.store(1, Ordering::SeqCst);
            }));
        });
        begun.recv().unwrap();
        drop(runtime);
        assert_eq!(done.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn the_pools_of_buffers_are_as_told() {
    bounded(|| {
        let builder = Builder::new().fixed_buffers(8192, 2);
        let runtime = builder.provided_buffers(512, 8, 1).build().unwrap();
        runtime.block_on(async {
            let pool = fixed_buffers().unwrap();
            let (one, _two) = (pool.take().await, pool.take().await);
            assert_eq!(saferring::buf::IoBufMut::buf_capacity(&one), 8192);
            let mut third = Box::pin(pool.take());
            assert!(
                futures_util::future::poll_immediate(&mut third)
                    .await
                    .is_none()
            );
            drop(one);
            third.await;
        });
    });
}
