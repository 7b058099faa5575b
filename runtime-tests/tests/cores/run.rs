//! `Cores::run`: results, errors, the start and the end.

use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use saferring::cores::{Balance, Core, Cores, Mesh, Placement, RunError};
use saferring::runtime::{self, CallError, Runtime};
use saferring_tests::{bounded, in_child, limit, unprivileged};

use super::{builder, panic_text};

#[test]
fn each_core_runs_the_closure_and_gives_its_result() {
    bounded(|| {
        let started = AtomicUsize::new(0);
        let names = ["a", "b", "c"].map(str::to_owned);
        let cores = builder(3)
            .thread_name(|core| format!("shard-{core}"))
            .build()
            .unwrap();
        assert_eq!(cores.count(), 3);
        let results = cores.run(async |core: Core| {
            // Both are borrowed.
            started.fetch_add(1, Ordering::Relaxed);
            let thread = thread::current().name().unwrap().to_owned();
            assert_eq!(Core::current().id(), core.id());
            assert_eq!((core.count(), core.cpu()), (3, None));
            assert!(core.handle().is_same(&runtime::Handle::current()));
            io::Result::Ok((names[core.id()].clone(), thread))
        });
        let results = results.unwrap();
        let expected = [("a", "shard-0"), ("b", "shard-1"), ("c", "shard-2")];
        assert_eq!(results, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(started.into_inner(), 3);
        assert!(Core::try_current().is_none());
    });
}

#[test]
fn a_pinned_core_is_on_its_cpu() {
    bounded(|| {
        let cores = Cores::builder()
            .cores(Placement::Count(1))
            .signals(false)
            .pinned(true)
            .build()
            .unwrap();
        let handle = cores.handle();
        let cpus = cores.run(async |core: Core| io::Result::Ok(core.cpu()));
        let report = handle.report();
        assert_eq!(report.cores[0].cpu, cpus.unwrap()[0]);
        assert!(report.cores[0].cpu.is_some());
        let cores = builder(1).pinned(false).build().unwrap();
        let cpus = cores.run(async |core: Core| io::Result::Ok(core.cpu()));
        assert_eq!(cpus.unwrap(), [None]);
    });
}

#[test]
fn a_closure_may_give_nothing() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |_| ());
        assert_eq!(done.unwrap(), [(), ()]);
    });
}

#[test]
fn the_first_error_stops_all_and_is_the_answer() {
    bounded(|| {
        let drained = AtomicUsize::new(0);
        let error = builder(3)
            .build()
            .unwrap()
            .run(async |core: Core| {
                if core.id() == 1 {
                    return Err(io::Error::other("no luck"));
                }
                core.stopping().await;
                saferring::time::sleep(Duration::from_millis(1)).await;
                drained.fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .unwrap_err();
        assert!(matches!(&error, RunError::Failed { core: 1, .. }));
        assert_eq!(error.to_string(), "core 1: no luck");
        assert_eq!(drained.into_inner(), 2);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::Other);
    });
}

#[test]
fn who_never_asks_is_cut_off_at_once() {
    bounded(|| {
        let cores = builder(2).grace(Duration::from_secs(3600)).build().unwrap();
        let error = cores
            .run(async |core: Core| {
                if core.id() == 1 {
                    core.shutdown();
                }
                pending::<()>().await;
            })
            .unwrap_err();
        assert!(matches!(&error, RunError::CutOff { cores, .. } if cores == &[0, 1]));
        assert!(error.to_string().contains("Core::stopping"), "{error}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn who_asks_has_the_grace_period_and_no_more() {
    for grace in [Duration::ZERO, Duration::from_millis(5)] {
        bounded(move || {
            let error = builder(2)
                .grace(grace)
                .build()
                .unwrap()
                .run(async |core: Core| {
                    core.shutdown();
                    core.stopping().await;
                    assert!(core.is_stopping());
                    pending::<()>().await;
                });
            assert!(matches!(error, Err(RunError::CutOff { cores, .. }) if cores == [0, 1]));
        });
    }
}

#[test]
fn a_shutdown_before_the_start_leaves_time_for_an_end_in_order() {
    bounded(|| {
        for balance in [Balance::Hash, Balance::ByCpu, Balance::LeastLoaded] {
            let mut cores = builder(2).grace(Duration::MAX).build().unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            cores.handle().shutdown();
            let done = cores.run(async |core: Core| {
                core.stopping().await;
                core.serve(&listener, async |_| ()).await
            });
            assert_eq!(done.unwrap().len(), 2);
        }
    });
}

#[test]
fn work_waits_for_the_start_and_is_refused_after_the_end() {
    bounded(|| {
        let cores = builder(2).build().unwrap();
        let handle = cores.handle();
        assert_eq!(handle.count(), 2);
        assert!(handle.core(2).is_none());
        let early = handle.core(1).unwrap().run(async || Core::current().id());
        let stops = handle.clone();
        let stopping = thread::spawn(move || {
            let id = early.wait().unwrap();
            stops.shutdown();
            id
        });
        cores.run(async |core: Core| core.stopping().await).unwrap();
        assert_eq!(stopping.join().unwrap(), 1);
        let late = handle.core(1).unwrap().run(async || ()).wait();
        assert!(matches!(late, Err(CallError::Closed)));
        handle.shutdown();
        assert_eq!(handle.connections(), [0, 0]);
        assert_eq!(handle.report().cores.len(), 2);
        println!("{}", handle.report());
    });
}

#[test]
fn work_for_cores_that_never_run_is_refused() {
    bounded(|| {
        let cores = builder(1).build().unwrap();
        let handle = cores.handle();
        let early = handle.core(0).unwrap().run(async || ());
        drop(cores);
        assert!(matches!(early.wait(), Err(CallError::Closed)));
        let late = handle.core(0).unwrap().run(async || ());
        assert!(matches!(late.wait(), Err(CallError::Closed)));
    });
}

static NUMBERS: Mesh<usize> = Mesh::new(2);

/// Messages in a static mesh, among the cores of each call.
fn exchange() {
    let sums = builder(2).build().unwrap().run(async |core: Core| {
        let sending = saferring::spawn(async move {
            for n in 0..100 {
                NUMBERS.send(1 - core.id(), n).await.unwrap();
            }
        });
        let mut sum = 0;
        for _ in 0..100 {
            sum += NUMBERS.recv().await.unwrap().1;
        }
        sending.await.unwrap();
        io::Result::Ok(sum)
    });
    assert_eq!(sums.unwrap(), [4950, 4950]);
}

#[test]
fn a_static_mesh_serves_several_cores_one_after_the_other_and_at_the_same_time() {
    bounded(|| {
        exchange();
        let others = thread::spawn(exchange);
        exchange();
        others.join().unwrap();
    });
}

#[test]
fn cores_run_within_blocking_work_of_others() {
    bounded(|| {
        let cores = builder(2).build().unwrap();
        let done = cores.run(async |core: Core| {
            saferring::spawn_blocking(exchange).await.unwrap();
            assert_eq!(Core::current().id(), core.id());
        });
        done.unwrap();
    });
}

#[test]
fn within_a_runtime_they_do_not_run() {
    bounded(|| {
        let refused = || {
            let cores = builder(1).build().unwrap();
            let panic = catch_unwind(AssertUnwindSafe(|| cores.run(async |_| ()))).unwrap_err();
            assert_eq!(
                panic_text(panic),
                "Cores::run was called in a runtime, which it would stop: call it on another thread (spawn_blocking)"
            );
        };
        Runtime::new().unwrap().block_on(async { refused() });
        builder(1)
            .build()
            .unwrap()
            .run(async |_| refused())
            .unwrap();
    });
}

#[test]
fn a_name_that_no_thread_can_have_is_an_error() {
    bounded(|| {
        let cores = builder(2).thread_name(|core| format!("a\0{core}")).build();
        let error = cores.unwrap().run(async |_| ()).unwrap_err();
        assert!(matches!(error, RunError::Start { core: 0, .. }));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
    });
}

/// Fails to start, and runs nothing.
#[track_caller]
fn does_not_start(mut cores: Cores) {
    let started = AtomicUsize::new(0);
    let handle = cores.handle();
    let early = handle.core(0).unwrap().run(async || ());
    let _listener = cores.bind("127.0.0.1:0", Balance::LeastLoaded);
    let error = cores
        .run(async |_| {
            started.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap_err();
    println!("{error}");
    let RunError::Start { core, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        error
            .to_string()
            .starts_with(&format!("core {core} cannot start: "))
    );
    assert_eq!(started.into_inner(), 0);
    assert!(matches!(early.wait(), Err(CallError::Closed)));
}

#[test]
fn without_descriptors_none_runs() {
    in_child("run::without_descriptors_none_runs", || {
        let free = saferring_tests::open_fds().len() as u64 + 8;
        limit(libc::RLIMIT_NOFILE, free);
        for count in [1, 5, 30] {
            let cores = builder(count).build().unwrap();
            if count == 30 {
                does_not_start(cores);
            } else {
                // Either is right, but it must end.
                let _ = cores.run(async |_| ());
            }
        }
    });
}

#[test]
fn without_threads_none_runs() {
    in_child("run::without_threads_none_runs", || {
        unprivileged(|| {
            let threads = std::fs::read_dir("/proc/self/task").unwrap().count() as u64;
            for more in [0, 1, 2] {
                let soft = libc::rlimit {
                    rlim_cur: threads + more,
                    rlim_max: threads + 100,
                };
                // SAFETY: the call reads the limit, which lives across it.
                let set = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const soft) };
                assert_eq!(set, 0);
                // With two more the cores have theirs, and nobody can accept.
                does_not_start(builder(2).build().unwrap());
            }
        });
    });
}

#[test]
fn a_placement_of_none_is_an_error() {
    bounded(|| {
        let error = builder(0).build().unwrap_err();
        println!("{error}");
    });
}
