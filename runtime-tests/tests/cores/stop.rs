//! Signals, and ends at random moments.

use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use saferring::cores::{Balance, Core, Cores, Mesh, OnPanic, PerCore, Placement, RunError};
use saferring::net::TcpStream;
use saferring_tests::{Random, bounded_by, in_child, rounds, spin_until};

use super::{Dropped, Drops};

/// To this very process.
fn send_signal(signal: i32) {
    // SAFETY: two numbers.
    assert_eq!(unsafe { libc::kill(libc::getpid(), signal) }, 0);
}

#[test]
fn signals_end_in_order() {
    in_child("stop::signals_end_in_order", || {
        for (signal, balance) in [
            (libc::SIGINT, Balance::Hash),
            (libc::SIGTERM, Balance::LeastLoaded),
        ] {
            let mut cores = Cores::builder()
                .cores(Placement::Unpinned(2))
                .signals(true)
                .grace(Duration::MAX)
                .build()
                .unwrap();
            let listener = cores.bind("127.0.0.1:0", balance).unwrap();
            let addr = listener.local_addr();
            let handle = cores.handle();
            let client = thread::spawn(move || {
                let mut stream = StdStream::connect(addr).unwrap();
                spin_until("the connection", || handle.connections().contains(&1));
                send_signal(signal);
                let mut bye = String::new();
                stream.read_to_string(&mut bye).unwrap();
                bye
            });
            let done = cores.run(async |core: Core| {
                core.serve(&listener, async |stream: TcpStream| {
                    Core::current().stopping().await;
                    let _ = stream.write_all("bye").await;
                })
                .await
            });
            done.unwrap();
            assert_eq!(client.join().unwrap(), "bye");
        }
    });
}

#[test]
fn a_second_signal_cuts_off_what_is_left() {
    in_child("stop::a_second_signal_cuts_off_what_is_left", || {
        let stopped = AtomicUsize::new(0);
        let cores = Cores::builder()
            .cores(Placement::Unpinned(2))
            .grace(Duration::MAX)
            .build()
            .unwrap();
        let handle = cores.handle();
        thread::scope(|scope| {
            scope.spawn(|| {
                // Who runs has heard signals before.
                handle.core(0).unwrap().run(async || ()).wait().unwrap();
                send_signal(libc::SIGTERM);
                spin_until("the first", || stopped.load(Ordering::Relaxed) == 2);
                send_signal(libc::SIGINT);
            });
            let error = cores.run(async |core: Core| {
                core.stopping().await;
                stopped.fetch_add(1, Ordering::Relaxed);
                pending::<()>().await;
            });
            assert!(matches!(error, Err(RunError::CutOff { cores, .. }) if cores == [0, 1]));
        });
    });
}

static LOG: PerCore<u64> = PerCore::new(|_| 0);

/// Calls, messages and connections, without end.
async fn load(
    core: Core,
    mesh: Mesh<Dropped>,
    drops: Drops,
    sent: &'static AtomicUsize,
    seed: u64,
) {
    let count = core.count();
    for task in 0..3 {
        let mut random = Random::new(seed * 31 + task * 7 + core.id() as u64);
        let (core, mesh, drops) = (core.clone(), mesh.clone(), drops.clone());
        saferring::spawn(async move {
            loop {
                let to = random.below(count as u64) as usize;
                match random.below(6) {
                    0 => drop(core.call_now(to, |_| vec![1; 8]).await),
                    1 => {
                        let back = core.call(to, async move |there| {
                            let other = (there.id() + 1) % there.count();
                            there
                                .call(other, async |_| saferring::op::nop().await)
                                .await
                        });
                        drop(back.await);
                    }
                    2 => drop(LOG.broadcast(|log| *log += 1).await),
                    3 => {
                        // Cancelled at some moment.
                        let mut call = Box::pin(core.call(to, async |_| pending::<()>().await));
                        for _ in 0..random.below(3) {
                            let _ = saferring_tests::poll_once(&mut call).await;
                            let _ = saferring::op::nop().await;
                        }
                    }
                    _ => {
                        sent.fetch_add(1, Ordering::Relaxed);
                        drop(mesh.send(to, drops.thing()).await);
                    }
                }
                saferring::task::yield_now().await;
            }
        });
    }
    let mut taken = 0_u64;
    while let Some(message) = mesh.recv().await {
        drop(message);
        taken += 1;
        if taken.is_multiple_of(64) {
            saferring::task::yield_now().await;
        }
    }
}

/// How it is to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Handle,
    Core,
    Panic,
    Return,
}

fn one_end_under_load(seed: u64) {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    SENT.store(0, Ordering::Relaxed);
    let mut random = Random::new(seed * 0x9e37_79b9);
    let count = 2 + random.below(2) as usize;
    let balance = [Balance::Hash, Balance::LeastLoaded][random.below(2) as usize];
    let on_panic = [OnPanic::Stop, OnPanic::Restart][random.below(2) as usize];
    let end = [End::Handle, End::Core, End::Panic, End::Return][random.below(4) as usize];
    let moment = Duration::from_micros(random.below(4000));
    saferring_tests::note(&format!(
        "{seed}: {count} {balance:?} {on_panic:?} {end:?} {moment:?}"
    ));
    let mut cores = super::builder(count)
        .requests(1 + random.below(4) as usize)
        .grace(Duration::from_millis(random.below(3)))
        .on_panic(on_panic)
        .build()
        .unwrap();
    let listener = cores.bind("127.0.0.1:0", balance).unwrap();
    let addr = listener.local_addr();
    let handle = cores.handle();
    let mesh = Mesh::new(1 + random.below(4) as usize);
    let drops = Drops::default();
    let over = AtomicBool::new(false);
    let lives = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Ok(mut stream) = StdStream::connect(addr) {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = stream.write_all(b"x");
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        scope.spawn(|| {
            thread::sleep(moment);
            if !matches!(end, End::Core) {
                // The other ends leave some that go on.
                thread::sleep(moment);
                handle.shutdown();
            }
        });
        let done = cores.run(async |core: Core| {
            let first = lives.fetch_add(1, Ordering::Relaxed) < count;
            saferring::spawn(load(core.clone(), mesh.clone(), drops.clone(), &SENT, seed));
            let served = core.serve(&listener, async |stream: TcpStream| {
                let (n, buf) = stream.read(Vec::with_capacity(16)).await;
                if n.is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(buf).await;
                }
            });
            if core.id() == 0 && first && !matches!(end, End::Handle) {
                let _ = saferring::time::timeout(moment, served).await;
                match end {
                    End::Core => core.shutdown(),
                    End::Panic => panic!("the bomb"),
                    End::Return | End::Handle => {}
                }
                return Ok(());
            }
            served.await
        });
        over.store(true, Ordering::Relaxed);
        match (&done, end) {
            (Ok(_) | Err(RunError::CutOff { .. }), _) => {}
            (Err(RunError::Panicked { core: 0, .. }), End::Panic) => {}
            _ => panic!("{end:?}: {done:?}"),
        }
    });
    assert_eq!(
        drops.count(),
        SENT.load(Ordering::Relaxed),
        "messages of {seed}"
    );
    assert_eq!(handle.connections(), vec![0; count]);
    let report = handle.report();
    for core in &report.cores {
        assert_eq!(
            core.connections,
            core.ended + core.cut + core.panicked,
            "{report}"
        );
        assert_eq!(core.leaked, 0, "{report}");
    }
}

#[test]
fn ends_at_random_moments_under_full_load_leave_nothing() {
    for part in 0..10 {
        bounded_by(Duration::from_secs(180), move || {
            for seed in 0..rounds(200) as u64 / 10 {
                one_end_under_load(1 + part * 1000 + seed);
            }
        });
    }
}
