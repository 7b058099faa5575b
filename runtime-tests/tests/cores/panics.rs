//! What panics on a core, and whom it reaches.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use saferring::cores::{Core, Mesh, OnPanic, PerCore, RunError};
use saferring::runtime::{self, CallError};
use saferring_tests::bounded;

use super::{Bomb, Drops, all_done, builder, panic_text};

/// Is ready at once, and panics when it is dropped.
struct PanicsInDrop(#[allow(dead_code)] Bomb);

impl Future for PanicsInDrop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Where it panics.
#[derive(Clone, Copy, Debug)]
enum Where {
    Closure,
    Future,
    Drop,
}

fn panics(place: Where) -> Pin<Box<dyn Future<Output = ()>>> {
    match place {
        Where::Closure => panic!("the bomb"),
        Where::Future => Box::pin(async { panic!("the bomb") }),
        Where::Drop => Box::pin(PanicsInDrop(Bomb)),
    }
}

#[test]
fn the_first_panic_stops_all_and_is_the_answer() {
    for place in [Where::Closure, Where::Future, Where::Drop] {
        bounded(move || {
            let drained = AtomicUsize::new(0);
            let drained = &drained;
            let error = builder(3).build().unwrap().run(|core: Core| {
                if core.id() == 2 {
                    return panics(place);
                }
                Box::pin(async move {
                    core.stopping().await;
                    saferring::time::sleep(Duration::from_millis(1)).await;
                    drained.fetch_add(1, Ordering::Relaxed);
                }) as Pin<Box<dyn Future<Output = ()> + '_>>
            });
            let error = error.unwrap_err();
            assert!(error.to_string().starts_with("core 2: "), "{error}");
            let RunError::Panicked { core: 2, panic, .. } = error else {
                panic!("{place:?}: {error}");
            };
            assert_eq!(panic_text(panic.into_panic()), "the bomb");
            assert_eq!(drained.load(Ordering::Relaxed), 2);
        });
    }
}

#[test]
fn a_panic_of_what_makes_the_runtime_is_the_answer_and_none_runs() {
    bounded(|| {
        let started = AtomicUsize::new(0);
        let cores = builder(3).runtime(|core| {
            assert_ne!(core, 1, "the bomb");
            runtime::Builder::new()
        });
        let error = cores.build().unwrap().run(async |_| {
            started.fetch_add(1, Ordering::Relaxed);
        });
        assert!(matches!(error, Err(RunError::Panicked { core: 1, .. })));
        assert_eq!(started.into_inner(), 0);
    });
}

#[test]
fn a_called_panic_reaches_its_caller_only() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                for place in [Where::Closure, Where::Future, Where::Drop] {
                    let error = core.call(1, move |_| panics(place)).await.unwrap_err();
                    let CallError::Panicked(panic) = error else {
                        panic!("{place:?}: {error}");
                    };
                    assert_eq!(panic_text(panic.into_panic()), "the bomb");
                }
                let error = core.call_now(1, |_| -> () { panic!("the bomb") }).await;
                assert!(matches!(error, Err(CallError::Panicked(_))));
                // Of what the closure has captured.
                let bomb = Bomb;
                let error = core.call_now(1, move |_| drop(bomb)).await;
                assert!(matches!(error, Err(CallError::Panicked(_))));
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}

#[test]
fn a_result_that_nobody_takes_and_panics_reaches_nobody() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                for _ in 0..3 {
                    let mut call = Box::pin(core.call_now(1, |_| Bomb));
                    assert!(saferring_tests::poll_once(&mut call).await.is_none());
                    drop(call);
                    // Comes after it, both ways.
                    core.call_now(1, |_| ()).await.unwrap();
                }
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}

static BOMBS: PerCore<Bomb> = PerCore::new(|_| Bomb);
static MORE_BOMBS: PerCore<[Bomb; 1]> = PerCore::new(|_| [Bomb]);
static NONE: PerCore<()> = PerCore::new(|_| panic!("the bomb"));

#[test]
fn values_that_panic_when_they_are_made_or_dropped() {
    bounded(|| {
        let drops = Drops::default();
        let drops_there = drops.clone();
        let last = PerCore::with_make(move |_| drops_there.thing());
        let done = builder(2).build().unwrap().run(async |core: Core| {
            // Both on one core: one panic while the other is under way would end the process.
            BOMBS.with(|_| ());
            last.with(|_| ());
            MORE_BOMBS.with(|_| ());
            let other = 1 - core.id();
            for _ in 0..2 {
                let error = NONE.with_on(other, |()| ()).await.unwrap_err();
                assert!(matches!(error, CallError::Panicked(_)), "{error}");
            }
            all_done(&core).await;
        });
        done.unwrap();
        assert_eq!(drops.count(), 2);
    });
}

static BOMB_MESH: Mesh<Bomb> = Mesh::new(8);

#[test]
fn messages_that_panic_when_they_are_dropped() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |core: Core| {
            for _ in 0..3 {
                BOMB_MESH.send(1 - core.id(), Bomb).await.unwrap();
            }
            // They are there, and are left there.
            all_done(&core).await;
            BOMB_MESH
                .send(1 - core.id(), Bomb)
                .await
                .unwrap_or_else(std::mem::forget);
        });
        done.unwrap();
    });
}

static LIVES: PerCore<Vec<u32>> = PerCore::new(|_| Vec::new());
static MAIL: Mesh<u32> = Mesh::new(2);

#[test]
fn after_a_restart_everything_works_again() {
    for place in [Where::Closure, Where::Future, Where::Drop] {
        bounded(move || {
            let lives = AtomicUsize::new(0);
            let lives = &lives;
            let cores = builder(2).on_panic(OnPanic::Restart).build().unwrap();
            let handle = cores.handle();
            let done = cores.run(|core: Core| {
                if core.id() == 1 && lives.fetch_add(1, Ordering::Relaxed) < 2 {
                    LIVES.with(|list| list.push(1));
                    return panics(place);
                }
                let running = async move {
                    if core.id() == 0 {
                        // As soon as it lives for good.
                        while lives.load(Ordering::Relaxed) < 3 {
                            let _ = core.call(1, async |_| ()).await;
                            let _ = MAIL.send(1, 7).await;
                            saferring::task::yield_now().await;
                        }
                        loop {
                            let len = LIVES.with_on(1, |list| list.len()).await;
                            match len {
                                Ok(len) => break assert_eq!(len, 0, "a value of a life before"),
                                Err(error) => assert!(matches!(error, CallError::Closed)),
                            }
                        }
                        core.call(1, async |_| ()).await.unwrap();
                        let mut sent = 0;
                        while sent < 100 {
                            if MAIL.send(1, 100 + sent).await.is_ok() {
                                sent += 1;
                            }
                        }
                        assert_eq!(MAIL.recv().await, Some((1, 1)));
                        core.shutdown();
                    } else {
                        let mut next = 100;
                        while next < 200 {
                            let (from, n) = MAIL.recv().await.unwrap();
                            assert_eq!(from, 0);
                            if n != 7 {
                                assert_eq!(n, next);
                                next += 1;
                            }
                        }
                        MAIL.send(0, 1).await.unwrap();
                    }
                    core.stopping().await;
                };
                Box::pin(running) as Pin<Box<dyn Future<Output = ()> + '_>>
            });
            done.unwrap();
            assert_eq!(handle.report().cores[1].restarts, 2);
        });
    }
}

#[test]
fn a_core_that_panics_again_and_again_rests_and_stops_when_told() {
    bounded(|| {
        let lives = AtomicUsize::new(0);
        let cores = builder(2).on_panic(OnPanic::Restart).build().unwrap();
        let error = cores.run(async |core: Core| {
            if core.id() == 1 {
                lives.fetch_add(1, Ordering::Relaxed);
                panic!("the bomb");
            }
            let until = async || lives.load(Ordering::Relaxed) >= 4;
            while !until().await {
                saferring::time::sleep(Duration::from_millis(1)).await;
            }
            // It rests for 80 ms now, for longer than this takes.
            core.shutdown();
            core.stopping().await;
            io::Result::Ok(())
        });
        assert!(matches!(error, Err(RunError::Panicked { core: 1, .. })));
        assert!(lives.into_inner() <= 6);
    });
}

static COUNTED: Mesh<super::Dropped> = Mesh::new(4);

#[test]
fn each_message_is_dropped_once_whatever_becomes_of_its_core() {
    bounded(|| {
        let drops = Drops::default();
        let sent = AtomicUsize::new(0);
        let lives = AtomicUsize::new(0);
        let cores = builder(3).on_panic(OnPanic::Restart).build().unwrap();
        let done = cores.run(async |core: Core| {
            if core.id() == 0 {
                let life = lives.fetch_add(1, Ordering::Relaxed);
                for _ in 0..5 * life {
                    drop(COUNTED.recv().await);
                }
                assert!(
                    life >= 5,
                    "to start again, with messages that nobody has taken"
                );
                core.shutdown();
                return;
            }
            while !core.is_stopping() {
                sent.fetch_add(1, Ordering::Relaxed);
                let _ = COUNTED.send(0, drops.thing()).await;
                saferring::task::yield_now().await;
            }
        });
        done.unwrap();
        assert_eq!(drops.count(), sent.into_inner());
    });
}
