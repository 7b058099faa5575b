//! What wakers and drops may do to what is for one core, which must bear all of it: panic, call back in, poll, drop, and run
//! elsewhere.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use saferring::runtime::Runtime;
use saferring::sync::local::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use saferring_tests::bounded;

use crate::{Count, peek, poll};

type Act = Rc<dyn Fn()>;

thread_local! {
    /// What a waker of [`acting`] does, when it is woken and when it is dropped.
    static ACT: RefCell<Option<Act>> = const { RefCell::new(None) };
    /// How often yet: one that waits again would be woken without end.
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

fn set_act(act: impl Fn() + 'static) {
    ACT.set(Some(Rc::new(act)));
    LEFT.set(40);
}

fn act() {
    let act = ACT.with_borrow(Clone::clone);
    if let Some(act) = act.filter(|_| LEFT.get() > 0) {
        LEFT.set(LEFT.get() - 1);
        act();
    }
}

/// The same in a drop, which must not panic while another panic is on its way.
fn act_last() {
    if !std::thread::panicking() {
        act();
    }
}

/// A waker that does [`ACT`] when it is woken or dropped.
fn acting() -> Waker {
    struct Acts;
    impl Wake for Acts {
        fn wake(self: Arc<Self>) {
            act();
        }
    }
    impl Drop for Acts {
        fn drop(&mut self) {
            act_last();
        }
    }
    Waker::from(Arc::new(Acts))
}

/// One that does so when it is cloned, too.
fn acting_when_cloned() -> Waker {
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            act();
            RawWaker::new(std::ptr::null(), &VTABLE)
        },
        |_| act(),
        |_| act(),
        |_| act_last(),
    );
    // SAFETY: there is no data, and its functions may be called anywhere: what they do stays on the thread that calls.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// Polls with a waker that acts.
fn provoke<F: Future + Unpin + ?Sized>(future: &mut F) -> Poll<F::Output> {
    // By turns of the two kinds.
    thread_local!(static TURN: Cell<bool> = const { Cell::new(false) });
    let waker = match TURN.replace(!TURN.get()) {
        true => acting(),
        false => acting_when_cloned(),
    };
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// With `act` as what wakers do, within a runtime and without.
fn with(acts: impl Fn() + 'static, scene: impl Fn()) {
    set_act(acts);
    scene();
    LEFT.set(40);
    Runtime::new().unwrap().block_on(async { scene() });
    ACT.set(None);
}

/// What a waker may do to a semaphore.
#[test]
fn wakers_may_do_anything_to_a_semaphore() {
    bounded(|| {
        let semaphore = Rc::new(Semaphore::new(0));
        let used = Rc::clone(&semaphore);
        let acts = move || {
            used.add_permits(1);
            drop(used.try_acquire());
            let mut future = Box::pin(used.acquire_many(2));
            drop(provoke(&mut future));
            drop(future);
            assert!(used.forget_permits(1) < 2);
            panic!("told to");
        };
        with(acts, || {
            let mut waiting: Vec<_> = (0..4)
                .map(|n| Box::pin(semaphore.acquire_many(n)))
                .collect();
            let polls = |waiting: &mut Vec<_>| {
                for future in waiting {
                    let _ = catch_unwind(AssertUnwindSafe(|| provoke(future).map(drop)));
                }
            };
            polls(&mut waiting);
            semaphore.add_permits(3);
            waiting.truncate(2);
            waiting.push(Box::pin(semaphore.acquire_many(1)));
            polls(&mut waiting);
        });
        // Nothing waits any more, and it serves as ever.
        ACT.set(None);
        semaphore.forget_permits(usize::MAX);
        let mut future = Box::pin(semaphore.acquire());
        assert!(peek(&mut future).is_pending());
        semaphore.add_permits(1);
        assert!(peek(&mut future).is_ready());
        semaphore.close();
    });
}

#[test]
fn wakers_may_close_what_they_are_woken_by() {
    bounded(|| {
        for _ in 0..2 {
            let semaphore = Rc::new(Semaphore::new(0));
            let used = Rc::clone(&semaphore);
            with(
                move || used.close(),
                || {
                    let mut future = Box::pin(semaphore.acquire());
                    let polled = provoke(&mut future);
                    semaphore.add_permits(1);
                    assert!(polled.is_ready() || peek(&mut future).is_ready());
                },
            );
            let notify = Rc::new(Notify::new());
            let used = Rc::clone(&notify);
            with(
                move || {
                    used.notify_waiters();
                    used.notify_one();
                },
                || {
                    let mut futures: Vec<_> = (0..3).map(|_| Box::pin(notify.notified())).collect();
                    for future in &mut futures {
                        let _ = provoke(future);
                    }
                    notify.notify_waiters();
                    assert!(futures.iter_mut().all(|future| peek(future).is_ready()));
                },
            );
        }
    });
}

/// Those that are told are those that waited, although their wakers come to wait again.
#[test]
fn wakers_that_wait_again_are_not_told_again() {
    bounded(|| {
        let notify = Rc::new(Notify::new());
        let again = Rc::new(RefCell::new(Vec::new()));
        let (used, kept) = (Rc::clone(&notify), Rc::clone(&again));
        set_act(move || {
            let mut future = Box::pin(Rc::clone(&used).notified_owned());
            if peek(&mut future).is_pending() {
                kept.borrow_mut().push(future);
            }
        });
        let mut future = Box::pin(notify.notified());
        assert!(provoke(&mut future).is_pending());
        let before = again.take();
        notify.notify_waiters();
        drop(before);
        let after = again.take();
        ACT.set(None);
        assert!(!after.is_empty());
        for mut future in after {
            assert!(peek(&mut future).is_pending());
        }
    });
}

#[test]
fn wakers_may_take_and_drop_locks() {
    bounded(|| {
        let lock = Rc::new(RwLock::new(0));
        let mutex = Rc::new(Mutex::new(0));
        let (used, other) = (Rc::clone(&lock), Rc::clone(&mutex));
        let acts = move || {
            let _ = used.try_write().map(|mut guard| *guard += 1);
            let _ = used.try_read().map(|guard| *guard);
            let _ = other.try_lock().map(|mut guard| *guard += 1);
            let _ = Rc::clone(&other)
                .try_lock_owned()
                .map(|mut guard| guard.with_mut(|n| *n += 1));
            let mut future = Box::pin(other.lock());
            let _ = provoke(&mut future);
            let mut future = Box::pin(used.write());
            let _ = provoke(&mut future);
        };
        with(acts, || {
            let (writer, guard) = (lock.try_write(), mutex.try_lock());
            let mut reads = Box::pin(lock.read());
            let mut writes = Box::pin(lock.write());
            let mut locks = Box::pin(mutex.lock());
            let _ = (provoke(&mut reads), provoke(&mut writes));
            let _ = provoke(&mut locks);
            let _ = writer.map(|writer| drop(writer.downgrade()));
            drop(guard);
            drop((reads, writes, locks));
        });
        assert!(lock.try_write().is_ok());
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn wakers_may_send_receive_and_end_channels() {
    bounded(|| {
        for bound in [1, 3] {
            let (sender, receiver) = mpsc::channel::<u8>(bound);
            let receiver = Rc::new(RefCell::new(Some(receiver)));
            let (used, taken) = (sender.clone(), Rc::clone(&receiver));
            let acts = move || {
                let _ = used.try_send(1);
                if let Some(mut receiver) = taken.try_borrow_mut().ok().and_then(|mut it| it.take())
                {
                    let _ = receiver.try_recv();
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        let _ = provoke(&mut Box::pin(receiver.recv()));
                    }));
                    taken.replace(Some(receiver));
                }
                let mut future = Box::pin(used.send(2));
                let _ = provoke(&mut future);
                drop(used.clone());
                drop(used.downgrade().upgrade());
                drop(used.try_reserve());
                panic!("told to");
            };
            with(acts, || {
                let mut waiting: Vec<_> = (0..4).map(|n| Box::pin(sender.send(n))).collect();
                for future in &mut waiting {
                    let _ = catch_unwind(AssertUnwindSafe(|| provoke(future)));
                }
                for _ in 0..3 {
                    let taken = receiver.take();
                    if let Some(mut one) = taken {
                        let _ = catch_unwind(AssertUnwindSafe(|| {
                            let _ = provoke(&mut Box::pin(one.recv()));
                        }));
                        receiver.replace(Some(one));
                    }
                    let _ = sender.try_send(9);
                }
                drop(waiting);
            });
            ACT.set(None);
            let mut receiver = receiver.take().unwrap();
            while receiver.try_recv().is_ok() {}
            assert_eq!(sender.capacity(), bound);
            sender.try_send(1).unwrap();
            assert_eq!(receiver.try_recv(), Ok(1));
        }
    });
}

#[test]
fn wakers_may_end_the_other_end_of_a_oneshot() {
    bounded(|| {
        let (sender, mut receiver) = oneshot::channel();
        let kept = Rc::new(RefCell::new(Some(sender)));
        let used = Rc::clone(&kept);
        set_act(move || {
            if let Some(sender) = used.take() {
                sender.send(1).unwrap();
            }
        });
        // The clone of the waker sends, while the receiver registers it.
        let polled = Pin::new(&mut receiver).poll(&mut Context::from_waker(&acting_when_cloned()));
        assert_eq!(polled, Poll::Ready(Ok(1)));
        let (mut sender, receiver) = oneshot::channel::<u8>();
        let kept = Rc::new(RefCell::new(Some(receiver)));
        let used = Rc::clone(&kept);
        set_act(move || drop(used.take()));
        let mut closed = Box::pin(sender.closed());
        let waker = acting_when_cloned();
        let polled = closed.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_ready());
        drop(waker);
        ACT.set(None);
    });
}

/// Does something with its channel when it is dropped.
struct Last(Option<Box<dyn FnOnce()>>);

impl Last {
    fn new(act: impl FnOnce() + 'static) -> Self {
        Last(Some(Box::new(act)))
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(act) = self.0.take() {
            act();
        }
    }
}

#[test]
fn values_may_use_their_channel_as_they_are_dropped() {
    bounded(|| {
        let gone = Rc::new(Cell::new(0));
        let (sender, receiver) = mpsc::channel::<Last>(4);
        for _ in 0..3 {
            let (own, gone) = (sender.clone(), Rc::clone(&gone));
            let value = Last::new(move || {
                gone.set(gone.get() + 1);
                assert!(own.is_closed());
                assert!(own.try_send(Last(None)).is_err());
                assert!(own.try_reserve().is_err());
                assert!(own.downgrade().upgrade().is_some());
            });
            assert!(sender.try_send(value).is_ok());
        }
        // Room that is kept longer than the receiver lives.
        let place = sender.try_reserve().unwrap();
        drop(receiver);
        assert_eq!(gone.get(), 3);
        let counted = Rc::clone(&gone);
        place.send(Last::new(move || counted.set(counted.get() + 1)));
        assert_eq!(gone.get(), 4);
        assert_eq!(sender.capacity(), 3);

        // Its own receiver is in it, and its own sender.
        let (sender, receiver) = mpsc::unbounded_channel::<Last>();
        let (other, counted) = (sender.clone(), Rc::clone(&gone));
        let kept = Rc::new(RefCell::new(Some(receiver)));
        let taken = Rc::clone(&kept);
        assert!(
            sender
                .send(Last::new(move || {
                    drop(taken.take());
                    assert!(other.send(Last(None)).is_err());
                    counted.set(counted.get() + 1);
                }))
                .is_ok()
        );
        let receiver = kept.take().unwrap();
        drop(receiver);
        assert_eq!(gone.get(), 5);

        let (sender, receiver) = oneshot::channel::<Last>();
        let counted = Rc::clone(&gone);
        assert!(
            sender
                .send(Last::new(move || counted.set(counted.get() + 1)))
                .is_ok()
        );
        drop(receiver);
        assert_eq!(gone.get(), 6);
    });
}

#[test]
fn a_value_that_panics_as_it_is_dropped_takes_no_other_with_it() {
    bounded(|| {
        let gone = Rc::new(Cell::new(0));
        let (sender, receiver) = mpsc::channel::<Last>(4);
        for n in 0..3 {
            let gone = Rc::clone(&gone);
            let value = Last::new(move || {
                gone.set(gone.get() + 1);
                assert_ne!(n, 1, "told to");
            });
            assert!(sender.try_send(value).is_ok());
        }
        let count = Count::new();
        let mut closed = Box::pin(sender.closed());
        assert!(poll(&mut closed, &count).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
        assert_eq!(gone.get(), 3);
        assert_eq!(count.get(), 1);
        assert!(peek(&mut closed).is_ready());
        assert_eq!(sender.capacity(), 4);

        let (mut sender, receiver) = oneshot::channel::<Last>();
        assert!(poll(&mut Box::pin(sender.closed()), &count).is_pending());
        assert!(sender.send(Last::new(|| panic!("told to"))).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
    });
}

/// Ends dropped in any order, with something in the channel and without.
#[test]
fn ends_may_go_in_any_order() {
    bounded(|| {
        for sent in [false, true] {
            for order in 0..6 {
                let gone = Rc::new(Cell::new(0));
                let (sender, receiver) = mpsc::channel::<Last>(1);
                let (weak, other) = (sender.downgrade(), sender.clone());
                if sent {
                    let gone = Rc::clone(&gone);
                    assert!(sender.try_send(Last::new(move || gone.set(1))).is_ok());
                }
                let mut ends: Vec<Box<dyn std::any::Any>> = vec![
                    Box::new(sender),
                    Box::new(receiver),
                    Box::new((weak, other)),
                ];
                drop(ends.remove(order / 2));
                drop(ends.remove(order % 2));
                drop(ends);
                assert_eq!(gone.get(), u32::from(sent));
            }
        }
    });
}

/// The tasks that wait for each other belong to two runtimes of one thread, and to another crate's executor on it.
#[test]
fn tasks_of_several_executors_of_a_thread_share_one() {
    bounded(|| {
        let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let mutex = Rc::new(Mutex::new(0));
        let (sender, mut receiver) = mpsc::channel(1);
        let guard = mutex.try_lock().unwrap();
        let held = Rc::clone(&mutex);
        let mut task = None;
        one.block_on(async {
            task = Some(saferring::spawn(async move {
                *held.lock().await += 1;
                sender.send(7).await.unwrap();
                sender.send(8).await.unwrap();
            }));
            saferring::task::yield_now().await;
        });
        // It is given the lock, while no loop of its own runs.
        drop(guard);
        let mut first = None;
        other.block_on(async {
            let again = Rc::clone(&mutex);
            first = Some(saferring::spawn(async move { *again.lock().await }));
            saferring::task::yield_now().await;
            assert!(peek(&mut Box::pin(receiver.recv())).is_pending());
        });
        one.block_on(async {
            assert_eq!(receiver.recv().await, Some(7));
            assert_eq!(receiver.recv().await, Some(8));
            task.unwrap().await.unwrap();
        });
        other.block_on(async { assert_eq!(first.unwrap().await.unwrap(), 1) });
    });
}

#[test]
fn tasks_of_another_crates_executor_share_one() {
    use futures_executor::LocalPool;
    use futures_util::task::LocalSpawnExt;

    bounded(|| {
        let mut pool = LocalPool::new();
        let spawner = pool.spawner();
        let (sender, mut receiver) = mpsc::channel(1);
        let notify = Rc::new(Notify::new());
        let told = Rc::clone(&notify);
        spawner
            .spawn_local(async move {
                for n in 0..100 {
                    sender.send(n).await.unwrap();
                }
                told.notify_one();
            })
            .unwrap();
        pool.run_until(async {
            for n in 0..100 {
                assert_eq!(receiver.recv().await, Some(n));
            }
            notify.notified().await;
        });
    });
}
