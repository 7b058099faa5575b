//! Random programs on what is for one core, and on tokio's: they must tell the same at each step.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use saferring_tests::{bounded, rounds};

use crate::Count;

/// What to do, to which of those that there are, with how much.
type Step = (u8, u8, u8);

/// Runs programs of `kinds` kinds of steps on both, and compares what they tell.
fn compare(kinds: u8, one: fn(&[Step]) -> Vec<String>, other: fn(&[Step]) -> Vec<String>) {
    let config = Config {
        cases: rounds(2000) as u32,
        failure_persistence: None,
        ..Config::default()
    };
    // The same each time; and what gives other numbers may keep a file open.
    let numbers = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, numbers)
        .run(&vec((0..kinds, 0..6_u8, 0..4_u8), 0..60), |program| {
            for (step, (one, other)) in one(&program).iter().zip(other(&program)).enumerate() {
                assert_eq!(*one, other, "step {step} of {program:?}");
            }
            Ok(())
        })
        .unwrap();
}

fn wakes(counts: &[Arc<Count>]) -> String {
    let counts: Vec<_> = counts.iter().map(|count| count.get().to_string()).collect();
    counts.join(",")
}

macro_rules! programs {
    ($name:ident, $sync:path) => {
        mod $name {
            use std::pin::Pin;
            use std::sync::Arc;
            use std::task::{Context, Poll, Waker};

            use sync::{Mutex, Notify, RwLock, Semaphore, mpsc};
            use $sync as sync;

            use super::{Step, wakes};
            use crate::{Count, poll};

            type Waits<'a, T> = Option<Pin<Box<dyn Future<Output = T> + 'a>>>;

            /// The `n`th of those that wait still.
            fn nth<'s, 'a, T>(
                waiting: &'s mut [Waits<'a, T>],
                n: u8,
            ) -> Option<(usize, &'s mut Waits<'a, T>)> {
                let left = waiting.iter_mut().enumerate();
                let mut left: Vec<_> = left.filter(|(_, one)| one.is_some()).collect();
                (!left.is_empty()).then(|| left.swap_remove(n as usize % left.len()))
            }

            /// Polls it; takes it out if it is ready.
            fn step<T>(waiting: &mut Waits<'_, T>, count: &Arc<Count>) -> Option<T> {
                match poll(waiting.as_mut()?, count) {
                    Poll::Ready(output) => {
                        *waiting = None;
                        Some(output)
                    }
                    Poll::Pending => None,
                }
            }

            fn take<T>(kept: &mut Vec<T>, n: u8) -> Option<T> {
                (!kept.is_empty()).then(|| kept.remove(n as usize % kept.len()))
            }

            pub(super) fn semaphore(program: &[Step]) -> Vec<String> {
                let semaphore = Semaphore::new(2);
                let mut counts = Vec::new();
                let mut waiting = Vec::new();
                let mut permits = Vec::new();
                let mut log = Vec::new();
                for &(what, which, n) in program {
                    let told = match what {
                        0 => {
                            waiting.push(Some(Box::pin(semaphore.acquire_many(n.into())) as _));
                            counts.push(Count::new());
                            String::new()
                        }
                        1 | 2 => nth(&mut waiting, which).map_or(String::new(), |(at, one)| {
                            let polled = step(one, &counts[at]);
                            let told = format!("{:?}", polled.as_ref().map(Result::is_ok));
                            permits.extend(polled.and_then(Result::ok));
                            told
                        }),
                        3 => nth(&mut waiting, which).map_or(String::new(), |(_, one)| {
                            *one = None::<Pin<Box<dyn Future<Output = _> + '_>>>;
                            String::new()
                        }),
                        4 => {
                            let got = semaphore.try_acquire_many(n.into());
                            let told = format!("{:?}", got.as_ref().err());
                            permits.extend(got);
                            told
                        }
                        5 | 6 => format!("{:?}", take(&mut permits, which).map(drop)),
                        7 => {
                            semaphore.add_permits(n.into());
                            String::new()
                        }
                        8 => semaphore.forget_permits(n.into()).to_string(),
                        9 => {
                            take(&mut permits, which).map(|permit| permit.forget());
                            String::new()
                        }
                        10 => {
                            let parted = permits.last_mut().and_then(|it| it.split(n.into()));
                            format!("{:?}", parted.map(drop))
                        }
                        _ => {
                            if (which, n) == (5, 3) {
                                semaphore.close();
                            }
                            semaphore.is_closed().to_string()
                        }
                    };
                    let available = semaphore.available_permits();
                    log.push(format!("{told} {available} {}", wakes(&counts)));
                }
                log
            }

            pub(super) fn notify(program: &[Step]) -> Vec<String> {
                let notify = Notify::new();
                let mut counts = Vec::new();
                let mut waiting = Vec::new();
                let mut log = Vec::new();
                for &(what, which, n) in program {
                    let mut told = String::new();
                    match what {
                        0 => {
                            let mut one = Box::pin(notify.notified());
                            if n == 0 {
                                told = one.as_mut().enable().to_string();
                            }
                            waiting.push(Some(one as _));
                            counts.push(Count::new());
                        }
                        1..=3 => {
                            if let Some((at, one)) = nth(&mut waiting, which) {
                                told = format!("{:?}", step(one, &counts[at]));
                            }
                        }
                        4 | 5 => {
                            if let Some((_, one)) = nth(&mut waiting, which) {
                                *one = None::<Pin<Box<dyn Future<Output = ()> + '_>>>;
                            }
                        }
                        6 => notify.notify_one(),
                        7 => notify.notify_last(),
                        _ => notify.notify_waiters(),
                    }
                    log.push(format!("{told} {}", wakes(&counts)));
                }
                log
            }

            enum Guard<'a> {
                Reads {
                    _guard: sync::RwLockReadGuard<'a, u8>,
                },
                Writes(sync::RwLockWriteGuard<'a, u8>),
            }

            pub(super) fn lock(program: &[Step]) -> Vec<String> {
                let lock = RwLock::with_max_readers(0, 3);
                let mut counts = Vec::new();
                let mut waiting: Vec<Waits<'_, Guard<'_>>> = Vec::new();
                let mut guards = Vec::new();
                let mut log = Vec::new();
                for &(what, which, n) in program {
                    let mut told = String::new();
                    match what {
                        0 => {
                            let lock = &lock;
                            waiting.push(Some(Box::pin(async move {
                                match n {
                                    0 | 1 => Guard::Reads {
                                        _guard: lock.read().await,
                                    },
                                    _ => Guard::Writes(lock.write().await),
                                }
                            })));
                            counts.push(Count::new());
                        }
                        1..=3 => {
                            if let Some((at, one)) = nth(&mut waiting, which) {
                                let got = step(one, &counts[at]);
                                told = got.is_some().to_string();
                                guards.extend(got);
                            }
                        }
                        4 => {
                            if let Some((_, one)) = nth(&mut waiting, which) {
                                *one = None;
                            }
                        }
                        5 => {
                            let got = match n {
                                0 | 1 => lock.try_read().ok().map(|_guard| Guard::Reads { _guard }),
                                _ => lock.try_write().ok().map(Guard::Writes),
                            };
                            told = got.is_some().to_string();
                            guards.extend(got);
                        }
                        6 => {
                            if let Some(Guard::Writes(guard)) =
                                guards.pop_if(|guard| matches!(guard, Guard::Writes(_)))
                            {
                                let _guard = guard.downgrade();
                                guards.push(Guard::Reads { _guard });
                            }
                        }
                        _ => drop(take(&mut guards, which)),
                    }
                    log.push(format!("{told} {} {}", guards.len(), wakes(&counts)));
                }
                log
            }

            pub(super) fn mutex(program: &[Step]) -> Vec<String> {
                let mutex = Mutex::new(0);
                let mut counts = Vec::new();
                let mut waiting = Vec::new();
                let mut guards = Vec::new();
                let mut log = Vec::new();
                for &(what, which, _) in program {
                    let mut told = String::new();
                    match what {
                        0 => {
                            waiting.push(Some(Box::pin(mutex.lock()) as _));
                            counts.push(Count::new());
                        }
                        1..=3 => {
                            if let Some((at, one)) = nth(&mut waiting, which) {
                                guards.extend(step(one, &counts[at]));
                            }
                        }
                        4 => {
                            if let Some((_, one)) = nth(&mut waiting, which) {
                                *one = None::<Pin<Box<dyn Future<Output = _> + '_>>>;
                            }
                        }
                        5 => guards.extend(mutex.try_lock()),
                        _ => drop(take(&mut guards, which)),
                    }
                    if let Some(guard) = guards.last_mut() {
                        **guard += 1;
                        told = guard.to_string();
                    }
                    assert!(guards.len() < 2);
                    log.push(format!("{told} {} {}", guards.len(), wakes(&counts)));
                }
                log
            }

            pub(super) fn channel(program: &[Step]) -> Vec<String> {
                let (sender, mut receiver) = mpsc::channel::<usize>(2);
                let mut counts = vec![Count::new()];
                let mut sending = vec![None];
                let mut reserving = vec![None];
                let mut places = Vec::new();
                let mut owned = Vec::new();
                // How often it had been woken when the receiver last had to wait: what one that has its answer is woken for is its
                // own business.
                let mut waits: Option<usize> = None;
                let mut log = Vec::new();
                for (value, &(what, which, n)) in program.iter().enumerate() {
                    let mut told = String::new();
                    match what {
                        0 | 1 => {
                            let reserves = n == 0;
                            let send = || Box::pin(sender.send(value)) as _;
                            sending.push((!reserves).then(send));
                            reserving.push(reserves.then(|| Box::pin(sender.reserve()) as _));
                            counts.push(Count::new());
                        }
                        2 | 3 => {
                            if let Some((at, one)) = nth(&mut sending, which) {
                                told = format!("{:?}", step(one, &counts[at]));
                            }
                        }
                        4 => {
                            if let Some((at, one)) = nth(&mut reserving, which) {
                                let got = step(one, &counts[at]);
                                told = format!("{:?}", got.as_ref().map(Result::is_ok));
                                places.extend(got.and_then(Result::ok));
                            }
                        }
                        5 if n < 2 => {
                            if let Some((_, one)) = nth(&mut sending, which) {
                                *one = None::<Pin<Box<dyn Future<Output = _> + '_>>>;
                            }
                        }
                        5 => {
                            if let Some((_, one)) = nth(&mut reserving, which) {
                                *one = None::<Pin<Box<dyn Future<Output = _> + '_>>>;
                            }
                        }
                        6 => told = format!("{:?}", sender.try_send(value)),
                        7 | 8 => {
                            let waker = Waker::from(Arc::clone(&counts[0]));
                            let mut cx = Context::from_waker(&waker);
                            let polled = receiver.poll_recv(&mut cx);
                            waits = polled.is_pending().then(|| counts[0].get());
                            told = format!("{polled:?}");
                        }
                        9 => told = format!("{:?}", receiver.try_recv()),
                        10 => match take(&mut places, which) {
                            Some(place) if n < 2 => mpsc::Permit::send(place, value),
                            place => drop(place),
                        },
                        11 => match take(&mut owned, which) {
                            Some(place) if n < 2 => drop(mpsc::OwnedPermit::send(place, value)),
                            Some(place) if n == 2 => drop(mpsc::OwnedPermit::release(place)),
                            place => drop(place),
                        },
                        12 => owned.extend(sender.clone().try_reserve_owned()),
                        _ => {
                            if (which, n) == (5, 3) {
                                receiver.close();
                            }
                            let mut buffer = Vec::new();
                            let waker = Waker::from(Arc::clone(&counts[0]));
                            let mut cx = Context::from_waker(&waker);
                            let many = receiver.poll_recv_many(&mut cx, &mut buffer, n.into());
                            waits = many.is_pending().then(|| counts[0].get());
                            told = format!("{many:?} {buffer:?}");
                        }
                    }
                    let (len, room) = (receiver.len(), sender.capacity());
                    let senders = sender.strong_count();
                    let woken = waits.map(|before| counts[0].get() > before);
                    let wakes = wakes(&counts[1..]);
                    log.push(format!("{told} {len} {room} {senders} {woken:?} {wakes}"));
                }
                log
            }
        }
    };
}

programs!(local, saferring::sync::local);
programs!(across, saferring::sync);
programs!(reference, tokio::sync);

#[test]
fn semaphores_do_as_tokios() {
    bounded(|| {
        compare(12, local::semaphore, reference::semaphore);
        compare(12, across::semaphore, reference::semaphore);
    });
}

#[test]
fn notifies_do_as_tokios() {
    bounded(|| {
        compare(9, local::notify, reference::notify);
        compare(9, across::notify, reference::notify);
    });
}

#[test]
fn locks_do_as_tokios() {
    bounded(|| {
        compare(9, local::lock, reference::lock);
        compare(9, across::lock, reference::lock);
        compare(8, local::mutex, reference::mutex);
        compare(8, across::mutex, reference::mutex);
    });
}

#[test]
fn channels_do_as_tokios() {
    bounded(|| {
        compare(14, local::channel, reference::channel);
        compare(14, across::channel, reference::channel);
    });
}
