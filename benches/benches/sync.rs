//! Channels and locks with criterion: `saferring::sync`, and `saferring::sync::local`, beside tokio's on tokio's runtime of one
//! thread. The time is elapsed time: nothing here waits for anything but the processor.

use std::time::Duration;

use criterion::Criterion;

/// Does so many steps, and says how long they took.
type Work = fn(u64) -> Duration;

/// The work on one set of primitives and the runtime that they are for.
macro_rules! contender {
    ($name:ident, $sync:path, $shared:ident, $spawn:path) => {
        mod $name {
            use std::time::{Duration, Instant};

            use sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
            use $sync as sync;

            use super::{Shared as _, Work, runtimes::$name::block_on, shared::$shared};

            pub(super) const WORKS: &[(&str, Work)] = &[
                ("mpsc/one task", one_task),
                ("mpsc/two tasks", two_tasks),
                ("oneshot", one_value),
                ("notify/two tasks", ping_pong),
                ("semaphore", permits),
                ("mutex", locks),
            ];

            /// A value goes in and comes out.
            fn one_task(n: u64) -> Duration {
                block_on(async {
                    let (sender, mut receiver) = mpsc::channel(64);
                    let started = Instant::now();
                    for value in 0..n {
                        assert!(sender.send(value).await.is_ok());
                        assert_eq!(receiver.recv().await, Some(value));
                    }
                    started.elapsed()
                })
            }

            /// One sends all, the other receives all.
            fn two_tasks(n: u64) -> Duration {
                block_on(async {
                    let (sender, mut receiver) = mpsc::channel(64);
                    let started = Instant::now();
                    drop($spawn(async move {
                        for value in 0..n {
                            assert!(sender.send(value).await.is_ok());
                        }
                    }));
                    let mut received = 0;
                    while receiver.recv().await.is_some() {
                        received += 1;
                    }
                    assert_eq!(received, n);
                    started.elapsed()
                })
            }

            fn one_value(n: u64) -> Duration {
                block_on(async {
                    let started = Instant::now();
                    for value in 0..n {
                        let (sender, receiver) = oneshot::channel();
                        assert!(sender.send(value).is_ok());
                        assert!(receiver.await.is_ok());
                    }
                    started.elapsed()
                })
            }

            /// Two tasks tell each other by turns.
            fn ping_pong(n: u64) -> Duration {
                block_on(async {
                    let [ping, pong] = [(); 2].map(|()| $shared::share(Notify::new()));
                    let (told, answers) = ($shared::clone(&ping), $shared::clone(&pong));
                    drop($spawn(async move {
                        for _ in 0..n {
                            told.notified().await;
                            answers.notify_one();
                        }
                    }));
                    let started = Instant::now();
                    for _ in 0..n {
                        ping.notify_one();
                        pong.notified().await;
                    }
                    started.elapsed()
                })
            }

            fn permits(n: u64) -> Duration {
                block_on(async {
                    let semaphore = Semaphore::new(1);
                    let started = Instant::now();
                    for _ in 0..n {
                        assert!(semaphore.acquire().await.is_ok());
                    }
                    started.elapsed()
                })
            }

            fn locks(n: u64) -> Duration {
                block_on(async {
                    let mutex = Mutex::new(0);
                    let started = Instant::now();
                    for _ in 0..n {
                        *mutex.lock().await += 1;
                    }
                    assert_eq!(mutex.into_inner(), n);
                    started.elapsed()
                })
            }
        }
    };
}

contender!(tokio, ::tokio::sync, Arc, ::tokio::spawn);
contender!(across, saferring::sync, Arc, saferring::spawn);
contender!(local, saferring::sync::local, Rc, saferring::spawn);

/// What tasks share things by.
mod shared {
    pub(crate) use std::rc::Rc;
    pub(crate) use std::sync::Arc;
}

trait Shared<T> {
    fn share(value: T) -> Self;
}

impl<T> Shared<T> for shared::Arc<T> {
    fn share(value: T) -> Self {
        shared::Arc::new(value)
    }
}

impl<T> Shared<T> for shared::Rc<T> {
    fn share(value: T) -> Self {
        shared::Rc::new(value)
    }
}

mod runtimes {
    pub(crate) mod tokio {
        pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
            let runtime = ::tokio::runtime::Builder::new_current_thread().build();
            runtime
                .expect("tokio's runtime has no driver here")
                .block_on(future)
        }
    }

    pub(crate) mod across {
        pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
            let runtime = saferring::runtime::Runtime::new();
            runtime.expect("there are rings").block_on(future)
        }
    }

    pub(crate) use across as local;
}

/// A thread with a runtime of its own sends, and this one receives.
macro_rules! two_threads {
    ($name:ident, $sync:path) => {
        fn $name(n: u64) -> Duration {
            use runtimes::$name::block_on;
            use $sync as sync;
            let (sender, mut receiver) = sync::mpsc::channel(64);
            let thread = std::thread::spawn(move || {
                block_on(async move {
                    for value in 0..n {
                        assert!(sender.send(value).await.is_ok());
                    }
                });
            });
            let took = block_on(async move {
                assert!(n == 0 || receiver.recv().await.is_some());
                let started = std::time::Instant::now();
                while receiver.recv().await.is_some() {}
                started.elapsed()
            });
            assert!(thread.join().is_ok());
            took
        }
    };
}

mod threads {
    use std::time::Duration;

    use super::{Work, runtimes};

    two_threads!(tokio, ::tokio::sync);
    two_threads!(across, saferring::sync);

    pub(super) const TOKIO: (&str, Work) = ("mpsc/two threads", tokio);
    pub(super) const ACROSS: (&str, Work) = ("mpsc/two threads", across);
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let contenders = [
        ("tokio", tokio::WORKS, Some(threads::TOKIO)),
        ("sync", across::WORKS, Some(threads::ACROSS)),
        ("sync::local", local::WORKS, None),
    ];
    let works = tokio::WORKS.iter().map(|(name, _)| *name);
    for name in works.chain([threads::TOKIO.0]) {
        let mut group = criterion.benchmark_group(name);
        for (contender, works, between_threads) in &contenders {
            let mut works = works.iter().chain(between_threads);
            if let Some((_, work)) = works.find(|(work, _)| *work == name) {
                group.bench_function(*contender, |bencher| bencher.iter_custom(work));
            }
        }
        group.finish();
    }
    criterion.final_summary();
}
