//! `Core::call` and its like.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use saferring::cores::{Core, PerCore};
use saferring::runtime::CallError;
use saferring::task::yield_now;
use saferring_tests::{bounded, poll_once, until};

use super::{Drops, Gate, all_done, builder};

#[test]
fn cores_call_each_other_at_full_load() {
    bounded(|| {
        let cores = builder(2).requests(4).build().unwrap();
        let sums = cores.run(async |core: Core| {
            let other = 1 - core.id();
            let calls = (0..1000_u64).map(|n| {
                let core = core.clone();
                async move {
                    core.call(other, async move |there| {
                        // Back again, while as many as may be wait here.
                        there.call_now(1 - there.id(), move |_| n).await.unwrap()
                    })
                    .await
                    .unwrap()
                }
            });
            let sum: u64 = join_all(calls).await.into_iter().sum();
            all_done(&core).await;
            io::Result::Ok(sum)
        });
        assert_eq!(sums.unwrap(), [499_500; 2]);
    });
}

static BEGUN: PerCore<Vec<usize>> = PerCore::new(|_| Vec::new());

#[test]
fn calls_begin_in_the_order_in_which_they_were_sent() {
    for requests in [1, 3, 1024] {
        bounded(move || {
            let done = builder(2)
                .requests(requests)
                .build()
                .unwrap()
                .run(async |core: Core| {
                    if core.id() == 0 {
                        // Tasks have their turns in the order in which they were spawned.
                        let calls = (0..500).map(|n| {
                            let core = core.clone();
                            saferring::spawn(async move {
                                let note = move || BEGUN.with(|list| list.push(n));
                                match n % 2 {
                                    0 => core.call_now(1, move |_| note()).await,
                                    _ => core.call(1, async move |_| note()).await,
                                }
                            })
                        });
                        for done in join_all(calls.collect::<Vec<_>>()).await {
                            done.unwrap().unwrap();
                        }
                        let list = BEGUN.with_on(1, |list| list.clone()).await.unwrap();
                        let evens = list.iter().copied().filter(|n| n % 2 == 0);
                        assert!(evens.eq((0..500).step_by(2)));
                        let odds = list.iter().copied().filter(|n| n % 2 == 1);
                        assert!(odds.eq((1..500).step_by(2)));
                    }
                    all_done(&core).await;
                });
            done.unwrap();
        });
    }
}

/// Calls the other core, which calls this one, so deep.
fn nest(core: Core, depth: usize) -> Pin<Box<dyn Future<Output = usize>>> {
    Box::pin(async move {
        if depth == 0 {
            return 0;
        }
        let other = (core.id() + 1) % core.count();
        let below = core.call(other, move |there| nest(there, depth - 1));
        below.await.unwrap() + 1
    })
}

#[test]
fn calls_nest_deeply_with_room_for_one() {
    bounded(|| {
        let depths = builder(2)
            .requests(1)
            .build()
            .unwrap()
            .run(async |core: Core| {
                let all = join_all((0..3).map(|_| nest(core.clone(), 1000))).await;
                all_done(&core).await;
                io::Result::Ok(all)
            });
        assert_eq!(depths.unwrap(), [[1000; 3]; 2]);
    });
}

#[test]
fn a_core_calls_itself() {
    bounded(|| {
        let done = builder(1)
            .requests(1)
            .build()
            .unwrap()
            .run(async |core: Core| {
                assert_eq!(nest(core.clone(), 100).await, 100);
                assert_eq!(core.call_now(0, |core| core.id()).await.unwrap(), 0);
                let error = core.call(1, async |_| ()).await.unwrap_err();
                assert!(matches!(
                    error,
                    CallError::NoSuchCore {
                        core: 1,
                        cores: 1,
                        ..
                    }
                ));
                let error = io::Error::from(error);
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            });
        done.unwrap();
    });
}

#[test]
fn more_than_may_wait_do_not_leave_the_caller() {
    bounded(|| {
        let gate = Gate::default();
        let done = builder(2)
            .requests(1)
            .build()
            .unwrap()
            .run(async |core: Core| {
                if core.id() == 1 {
                    gate.block();
                } else {
                    gate.wait_for_blocked();
                    let drops = Drops::default();
                    let [first, second] = [drops.thing(), drops.thing()];
                    let mut sent = Box::pin(core.call_now(1, move |_| drop(first)));
                    assert!(poll_once(&mut sent).await.is_none());
                    let mut waits = Box::pin(core.call_now(1, move |_| drop(second)));
                    assert!(poll_once(&mut waits).await.is_none());
                    let _ = saferring::op::nop().await;
                    assert!(poll_once(&mut waits).await.is_none());
                    // It has not left, and is dropped here; the other is taken back.
                    drop(waits);
                    drop(sent);
                    assert_eq!(drops.threads(), [thread::current().id(); 2]);
                    // So there is room when core 1 has looked.
                    gate.open();
                    core.call_now(1, |_| ()).await.unwrap();
                }
                all_done(&core).await;
            });
        done.unwrap();
    });
}

#[test]
fn call_within_counts_the_time_that_it_waits() {
    bounded(|| {
        let gate = Gate::default();
        let done = builder(2)
            .requests(1)
            .build()
            .unwrap()
            .run(async |core: Core| {
                if core.id() == 1 {
                    gate.block();
                } else {
                    gate.wait_for_blocked();
                    let drops = Drops::default();
                    // It is sent, and not begun; then there is no room.
                    for wait in [
                        Duration::ZERO,
                        Duration::from_millis(1),
                        Duration::from_millis(2),
                    ] {
                        let thing = drops.thing();
                        let error = core.call_within(wait, 1, async move |_| drop(thing)).await;
                        assert!(matches!(error, Err(CallError::TimedOut)));
                    }
                    assert_eq!(drops.threads(), [thread::current().id(); 3]);
                    let waits = core.call_within(Duration::MAX, 1, async |_| 5);
                    let (answer, ()) = futures_util::join!(waits, async { gate.open() });
                    assert_eq!(answer.unwrap(), 5);
                    // Begun, it may take longer than it may wait.
                    let slow = core.call_within(Duration::from_secs(20), 1, async |core: Core| {
                        for _ in 0..10 {
                            yield_now().await;
                        }
                        core.id()
                    });
                    assert_eq!(slow.await.unwrap(), 1);
                    let error = core.call_within(Duration::MAX, 2, async |_| ()).await;
                    assert!(matches!(error, Err(CallError::NoSuchCore { .. })));
                }
                all_done(&core).await;
            });
        done.unwrap();
    });
}

#[test]
fn a_begun_call_outlasts_its_wait() {
    bounded(|| {
        let begun = &AtomicUsize::new(0);
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                let wait = Duration::from_millis(1);
                // As long as the wait, several times.
                let slow = core.call_within(Duration::from_secs(30), 1, async move |_| {
                    saferring::time::sleep(wait * 20).await;
                    7
                });
                assert_eq!(slow.await.unwrap(), 7);
                begun.store(1, Ordering::Relaxed);
            }
            all_done(&core).await;
        });
        done.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn what_is_cancelled_is_dropped_where_it_is() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                let here = thread::current().id();
                let there = core.call_now(1, |_| thread::current().id()).await.unwrap();
                // Before it has begun: the closure, here.
                let drops = Drops::default();
                let thing = drops.thing();
                let mut call = Box::pin(core.call(1, async move |_| drop(thing)));
                assert!(poll_once(&mut call).await.is_none());
                drop(call);
                assert_eq!(drops.threads(), [here]);
                // Never polled.
                let thing = drops.thing();
                drop(core.call(1, async move |_| drop(thing)));
                assert_eq!(drops.threads(), [here; 2]);
                // While it runs: its future, there.
                let drops = Drops::default();
                let begun = Arc::new(AtomicUsize::new(0));
                let (thing, begins) = (drops.thing(), Arc::clone(&begun));
                let mut call = Box::pin(core.call(1, async move |_| {
                    let _thing = thing;
                    begins.store(1, Ordering::Relaxed);
                    pending::<()>().await;
                }));
                assert!(poll_once(&mut call).await.is_none());
                until("the call", || begun.load(Ordering::Relaxed) == 1).await;
                assert_eq!(drops.count(), 0);
                drop(call);
                until("its drop", || drops.count() == 1).await;
                assert_eq!(drops.threads(), [there]);
                // When it is answered: the result, here.
                let drops = Drops::default();
                let (made, begun) = (drops.clone(), Arc::new(AtomicUsize::new(0)));
                let begins = Arc::clone(&begun);
                let mut call = Box::pin(core.call_now(1, move |_| {
                    begins.store(1, Ordering::Relaxed);
                    made.thing()
                }));
                assert!(poll_once(&mut call).await.is_none());
                until("the call", || begun.load(Ordering::Relaxed) == 1).await;
                drop(call);
                until("its drop", || drops.count() == 1).await;
                assert_eq!(drops.threads(), [here]);
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}

#[test]
fn the_end_of_the_called_core_is_told() {
    bounded(|| {
        let gate = Gate::default();
        let done = builder(3)
            .requests(1)
            .build()
            .unwrap()
            .run(async |core: Core| {
                if core.id() == 1 {
                    gate.block();
                    // One turn for what has come.
                    yield_now().await;
                    return;
                }
                if core.id() == 0 {
                    gate.wait_for_blocked();
                    // One that runs until the end, one that is sent, one that waits for room.
                    let drops = Drops::default();
                    let calls = (0..3).map(|_| {
                        let thing = drops.thing();
                        core.call(1, async move |_| {
                            let _thing = thing;
                            pending::<()>().await;
                        })
                    });
                    let calls: Vec<_> = calls.collect();
                    let opening = async {
                        let _ = saferring::op::nop().await;
                        gate.open();
                    };
                    let (ended, ()) = futures_util::join!(join_all(calls), opening);
                    assert!(
                        ended
                            .iter()
                            .all(|end| matches!(end, Err(CallError::Closed)))
                    );
                    until("all drops", || drops.count() == 3).await;
                    // Afterwards.
                    let error = core.call(1, async |_| ()).await.unwrap_err();
                    assert!(matches!(error, CallError::Closed));
                    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotConnected);
                    core.shutdown();
                }
                core.stopping().await;
            });
        done.unwrap();
    });
}

#[test]
fn a_caller_that_ends_leaves_nothing_behind() {
    bounded(|| {
        let drops = Drops::default();
        let done = builder(2).build().unwrap().run(async |core: Core| {
            let running = core.id() == 0;
            if running {
                for _ in 0..10 {
                    let (thing, core) = (drops.thing(), core.clone());
                    saferring::spawn(async move {
                        let call = core.call(1, async move |_| {
                            let _thing = thing;
                            pending::<()>().await;
                        });
                        call.await
                    });
                }
                // Behind all of them.
                yield_now().await;
                core.call_now(1, |_| ()).await.unwrap();
                return;
            }
            // They are all cancelled when core 0 has ended.
            until("all drops", || drops.count() == 10).await;
        });
        done.unwrap();
        assert_eq!(drops.count(), 10);
    });
}

/// Panics when it is woken and when it is dropped, and polls a call of its own before.
struct Rude(AtomicUsize);

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if let Some(core) = Core::try_current() {
            let mut call = Box::pin(core.call_now(0, |_| ()));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        panic!("a rude waker");
    }
}

#[test]
fn wakers_that_panic_and_come_back_in_harm_nobody() {
    bounded(|| {
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                for _ in 0..10 {
                    let rude = Arc::new(Rude(AtomicUsize::new(0)));
                    let waker = Waker::from(Arc::clone(&rude));
                    let mut call = Box::pin(core.call_now(1, |_| 3));
                    let polled = call.as_mut().poll(&mut Context::from_waker(&waker));
                    assert!(polled.is_pending());
                    drop(waker);
                    until("the wake", || rude.0.load(Ordering::Relaxed) > 0).await;
                    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert!(matches!(polled, Poll::Ready(Ok(3))));
                }
                assert_eq!(core.call_now(1, |_| 4).await.unwrap(), 4);
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}
