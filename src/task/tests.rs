//! Drives the executor by itself: no ring, no kernel.

#![allow(
    clippy::waker_clone_wake,
    reason = "waking by value is a path of its own, and is what these tests are about"
)]

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use super::*;

/// What an executor's tests need of a kernel: a place to wait.
#[derive(Clone, Default)]
struct Notifier(Arc<(Mutex<usize>, Condvar, AtomicUsize)>);

impl Unpark for Notifier {
    fn unpark(&self) {
        let (notified, condvar, total) = &*self.0;
        total.fetch_add(1, Ordering::SeqCst);
        *notified.lock().unwrap() += 1;
        condvar.notify_one();
    }
}

impl Notifier {
    fn wait(&self) {
        let (notified, condvar, _) = &*self.0;
        let mut notified = condvar
            .wait_while(notified.lock().unwrap(), |notified| *notified == 0)
            .unwrap();
        *notified -= 1;
    }

    fn total(&self) -> usize {
        self.0.2.load(Ordering::SeqCst)
    }
}

fn executor() -> (Executor, Notifier) {
    let notifier = Notifier::default();
    (Executor::new(Box::new(notifier.clone()), false), notifier)
}

/// Polls until nothing is left to do right now.
fn settle(executor: &Executor) {
    for _ in 0..10_000 {
        if !executor.run(64, &mut || ()) {
            return;
        }
    }
    panic!("never settles");
}

fn block_on<F: Future>(executor: &Executor, notifier: &Notifier, future: F) -> F::Output {
    let _entered = executor.enter();
    let mut future = pin!(future);
    let mut output = None;
    executor.schedule_root();
    loop {
        let mut root = || {
            let mut cx = Context::from_waker(executor.root_waker());
            if output.is_none() {
                if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                    output = Some(value);
                }
            }
        };
        let more = executor.run(32, &mut root);
        if let Some(output) = output {
            return output;
        }
        if !more && executor.prepare_park() {
            notifier.wait();
            executor.unparked();
        }
    }
}

/// Runs `body` within an executor that has nothing else to do, and polls until it settles.
fn within<R>(body: impl FnOnce(&Executor) -> R) -> R {
    let (executor, _notifier) = executor();
    let _entered = executor.enter();
    body(&executor)
}

/// The answer of a handle whose task must be over.
fn answer<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    assert!(handle.is_finished(), "the task is not over");
    match pin!(handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("finished, but pending"),
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn text(error: JoinError) -> &'static str {
    error.into_panic().downcast_ref::<&'static str>().unwrap()
}

/// Puts its waker where a test can reach it, then stays pending.
fn leak_waker(into: Rc<RefCell<Option<Waker>>>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        *into.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
}

fn task_with_waker(executor: &Executor) -> (JoinHandle<()>, Waker) {
    let slot = Rc::new(RefCell::new(None));
    let handle = executor.spawn(leak_waker(slot.clone()));
    settle(executor);
    let waker = slot.borrow_mut().take().unwrap();
    (handle, waker)
}

// === Spawn and join ===

#[test]
fn spawned_tasks_give_their_output() {
    let (executor, notifier) = executor();
    let sum = block_on(&executor, &notifier, async {
        let handles: Vec<_> = (0..100_u64)
            .map(|n| {
                spawn(async move {
                    yield_now().await;
                    n
                })
            })
            .collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 4950);
    assert_eq!(executor.task_count(), 0);
    assert_eq!(notifier.total(), 0);
}

#[test]
fn spawn_outside_a_runtime_panics_and_says_where_to_call_it() {
    let panic = catch_unwind(|| drop(spawn(async {}))).unwrap_err();
    assert_eq!(
        *panic.downcast_ref::<&str>().unwrap(),
        "spawn called outside a saferring runtime: call it inside Runtime::block_on or #[saferring::main]"
    );
}

#[test]
fn tasks_run_first_in_first_out() {
    within(|executor| {
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in 0..3 {
            let order = order.clone();
            executor.spawn(async move {
                for turn in 0..3 {
                    order.borrow_mut().push((turn, name));
                    yield_now().await;
                }
            });
        }
        settle(executor);
        let expected: Vec<_> = (0..3).flat_map(|t| (0..3).map(move |n| (t, n))).collect();
        assert_eq!(*order.borrow(), expected);
    });
}

#[test]
fn the_budget_is_kept_and_leftover_work_is_told() {
    within(|executor| {
        let polls = Rc::new(Cell::new(0));
        for _ in 0..5 {
            let polls = polls.clone();
            executor.spawn(async move { polls.set(polls.get() + 1) });
        }
        assert!(executor.run(3, &mut || ()));
        assert_eq!(polls.get(), 3);
        assert!(!executor.prepare_park());
        assert!(!executor.run(3, &mut || ()));
        assert_eq!(polls.get(), 5);
        assert!(executor.prepare_park());
        assert!(executor.prepare_park());
        executor.unparked();
    });
}

#[test]
fn the_root_takes_its_turn_among_the_tasks() {
    within(|executor| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let log = |name| {
            let order = order.clone();
            async move { order.borrow_mut().push(name) }
        };
        executor.spawn(log("before"));
        executor.schedule_root();
        executor.schedule_root();
        executor.spawn(log("after"));
        executor.run(10, &mut || order.borrow_mut().push("root"));
        assert_eq!(*order.borrow(), ["before", "root", "after"]);
    });
}

#[test]
fn a_panic_of_the_root_leaves_the_executor_usable() {
    within(|executor| {
        let handle = executor.spawn(async { 1 });
        executor.schedule_root();
        let run = AssertUnwindSafe(|| executor.run(10, &mut || panic!("root")));
        assert!(catch_unwind(run).is_err());
        settle(executor);
        assert_eq!(answer(handle).unwrap(), 1);
    });
}

#[test]
fn ids_name_tasks_and_only_tasks() {
    within(|executor| {
        assert_eq!(try_id(), None);
        let (first, second) = (
            executor.spawn(async { id() }),
            executor.spawn(async { id() }),
        );
        let (first_id, second_id) = (first.id(), second.id());
        assert_ne!(first_id, second_id);
        executor.schedule_root();
        executor.run(10, &mut || assert_eq!(try_id(), None));
        assert_eq!(answer(first).unwrap(), first_id);
        assert_eq!(answer(second).unwrap(), second_id);
    });
    assert_eq!(try_id(), None);
}

#[test]
fn handles_of_detached_tasks_leave_the_task_running() {
    within(|executor| {
        let done = Rc::new(Cell::new(false));
        let seen = done.clone();
        drop(executor.spawn(async move {
            yield_now().await;
            done.set(true);
        }));
        settle(executor);
        assert!(seen.get());
        assert_eq!(Rc::strong_count(&seen), 1);
    });
}

#[test]
fn unclaimed_output_is_dropped_once_with_or_without_its_handle() {
    within(|executor| {
        let drops = Rc::new(Cell::new(0));
        let output = || {
            let drops = drops.clone();
            async move { OnDrop(move || drops.set(drops.get() + 1)) }
        };
        drop(executor.spawn(output()));
        settle(executor);
        assert_eq!(drops.get(), 1);
        let handle = executor.spawn(output());
        settle(executor);
        assert_eq!(drops.get(), 1);
        drop(handle);
        assert_eq!(drops.get(), 2);
        let handle = executor.spawn(output());
        settle(executor);
        drop(answer(handle));
        assert_eq!(drops.get(), 3);
    });
}

#[test]
fn a_handle_that_was_joined_panics_when_polled_again() {
    within(|executor| {
        let mut handle = executor.spawn(async {});
        settle(executor);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut handle).poll(&mut cx).is_ready());
        let again = AssertUnwindSafe(|| Pin::new(&mut handle).poll(&mut cx));
        assert!(catch_unwind(again).is_err());
    });
}

#[test]
fn over_aligned_futures_and_outputs_are_placed_right() {
    #[repr(align(128))]
    #[derive(Clone, Copy)]
    struct Wide(u8);
    within(|executor| {
        let wide = Wide(7);
        let handle = executor.spawn(async move {
            yield_now().await;
            assert_eq!((&raw const wide).addr() % 128, 0);
            wide
        });
        settle(executor);
        assert_eq!(answer(handle).unwrap().0, 7);
    });
}

#[test]
fn a_task_is_as_small_as_its_header_and_its_largest_stage() {
    assert_eq!(size_of::<cell::TaskCell<std::future::Ready<()>>>(), 72);
    assert_eq!(size_of::<Option<WakeRef>>(), 8);
}

#[test]
fn auto_traits_are_as_promised() {
    fn send_sync<T: Send + Sync>() {}
    fn unpin<T: Unpin>() {}
    send_sync::<JoinError>();
    send_sync::<Id>();
    send_sync::<YieldNow>();
    unpin::<JoinHandle<std::marker::PhantomPinned>>();
    unpin::<JoinSet<std::marker::PhantomPinned>>();

    // A method of the trait below is ambiguous for a type that is Send.
    trait Ambiguous<A> {
        fn check() {}
    }
    impl<T: ?Sized> Ambiguous<()> for T {}
    struct IsSend;
    impl<T: ?Sized + Send> Ambiguous<IsSend> for T {}
    <Executor as Ambiguous<_>>::check();
    <JoinHandle<()> as Ambiguous<_>>::check();
    <JoinSet<()> as Ambiguous<_>>::check();
    <WakeRef as Ambiguous<_>>::check();
    <Entered<'_> as Ambiguous<_>>::check();
}

// === Abort ===

#[test]
fn abort_before_the_first_poll_drops_the_future_unpolled() {
    within(|executor| {
        let dropped = Rc::new(Cell::new(false));
        let seen = dropped.clone();
        let guard = OnDrop(move || dropped.set(true));
        let handle = executor.spawn(async move {
            let _guard = guard;
            panic!("polled");
        });
        handle.abort();
        handle.abort();
        assert!(!handle.is_finished());
        settle(executor);
        assert!(seen.get());
        assert!(answer::<()>(handle).unwrap_err().is_cancelled());
    });
}

#[test]
fn abort_while_pending_drops_the_future_in_its_turn() {
    within(|executor| {
        let handle = executor.spawn(pending::<()>());
        settle(executor);
        handle.abort();
        assert_eq!(executor.task_count(), 1);
        settle(executor);
        assert_eq!(executor.task_count(), 0);
        assert!(answer(handle).unwrap_err().is_cancelled());
    });
}

#[test]
fn abort_of_itself_takes_effect_when_the_poll_is_pending() {
    within(|executor| {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let (inner, steps) = (own.clone(), Rc::new(Cell::new(0)));
        let seen = steps.clone();
        let handle = executor.spawn(async move {
            inner.borrow().as_ref().unwrap().abort();
            steps.set(1);
            pending::<()>().await;
            steps.set(2);
        });
        *own.borrow_mut() = Some(handle);
        settle(executor);
        assert_eq!(seen.get(), 1);
        let handle = own.take().unwrap();
        assert!(answer(handle).unwrap_err().is_cancelled());
    });
}

#[test]
fn abort_of_itself_before_the_output_gives_the_output() {
    within(|executor| {
        let own = Rc::new(RefCell::new(None::<JoinHandle<u8>>));
        let inner = own.clone();
        let handle = executor.spawn(async move {
            inner.borrow().as_ref().unwrap().abort();
            9
        });
        *own.borrow_mut() = Some(handle);
        settle(executor);
        assert_eq!(answer(own.take().unwrap()).unwrap(), 9);
    });
}

#[test]
fn abort_after_the_end_changes_nothing() {
    within(|executor| {
        let handle = executor.spawn(async { 5 });
        settle(executor);
        handle.abort();
        settle(executor);
        assert_eq!(answer(handle).unwrap(), 5);
    });
}

#[test]
fn abort_outside_of_enter_unparks_and_takes_effect_in_the_next_run() {
    let (executor, notifier) = executor();
    let handle = executor.spawn(pending::<()>());
    {
        let _entered = executor.enter();
        settle(&executor);
        assert!(executor.prepare_park());
    }
    handle.abort();
    assert_eq!(notifier.total(), 1);
    let _entered = executor.enter();
    executor.unparked();
    settle(&executor);
    assert!(answer(handle).unwrap_err().is_cancelled());
}

#[test]
fn an_aborted_and_detached_task_is_freed_in_its_turn() {
    within(|executor| {
        let alive = Rc::new(());
        let held = alive.clone();
        let handle = executor.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        settle(executor);
        handle.abort();
        drop(handle);
        assert_eq!(Rc::strong_count(&alive), 2);
        settle(executor);
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}

// === Panics ===

#[test]
fn a_panic_in_poll_reaches_its_handle_and_nothing_else() {
    within(|executor| {
        let bad = executor.spawn(async { panic!("boom") });
        let good = executor.spawn(async { 3 });
        settle(executor);
        let error = answer::<()>(bad).unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.to_string(), "the task panicked: boom");
        assert_eq!(format!("{error:?}"), "JoinError::Panic(\"boom\")");
        assert_eq!(text(error), "boom");
        assert_eq!(answer(good).unwrap(), 3);
    });
}

#[test]
fn a_panic_in_the_futures_drop_reaches_its_handle() {
    within(|executor| {
        let bomb = || OnDrop(|| panic!("in drop"));
        // A future that still holds its bomb when it is dropped, after it has given its output.
        let (mut held, after) = (Some(bomb()), Rc::new(()));
        let output = after.clone();
        let ended = executor.spawn(poll_fn(move |_| {
            let _keep = &mut held;
            Poll::Ready(output.clone())
        }));
        let held = bomb();
        let aborted = executor.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        settle(executor);
        aborted.abort();
        settle(executor);
        assert_eq!(text(answer(ended).unwrap_err()), "in drop");
        assert_eq!(Rc::strong_count(&after), 1);
        assert_eq!(text(answer(aborted).unwrap_err()), "in drop");
    });
}

#[test]
fn a_panic_in_poll_hides_the_one_in_drop() {
    within(|executor| {
        let mut bomb = Some(OnDrop(|| panic!("in drop")));
        let handle = executor.spawn(poll_fn(move |_| -> Poll<()> {
            let _keep = &mut bomb;
            panic!("in poll")
        }));
        settle(executor);
        assert_eq!(text(answer(handle).unwrap_err()), "in poll");
    });
}

#[test]
fn outputs_and_payloads_that_panic_when_dropped_unjoined_hurt_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(OnDrop(|| panic!("the payload, too")));
        }
    }
    within(|executor| {
        drop(executor.spawn(async { Bomb }));
        settle(executor);
        let handle = executor.spawn(async { Bomb });
        settle(executor);
        drop(handle);
        drop(executor.spawn(async { panic_any(OnDrop(|| panic!("payload"))) }));
        let handle = executor.spawn(async { panic_any(OnDrop(|| panic!("payload"))) });
        settle(executor);
        drop(handle);
        assert_eq!(executor.task_count(), 0);
    });
}

#[test]
fn join_errors_turn_into_io_errors_with_their_cause() {
    within(|executor| {
        let handle = executor.spawn(async { panic_any(String::from("why 1")) });
        settle(executor);
        let error = std::io::Error::from(answer::<()>(handle).unwrap_err());
        assert_eq!(error.to_string(), "the task panicked: why 1");
        let cause = error.into_inner().unwrap().downcast::<JoinError>().unwrap();
        let payload = cause.try_into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "why 1");
        let cancelled = JoinError::cancelled();
        assert_eq!(cancelled.to_string(), "the task was cancelled");
        assert!(cancelled.try_into_panic().unwrap_err().is_cancelled());
    });
}

#[test]
fn run_and_shutdown_refuse_to_be_called_from_a_task() {
    let (executor, _notifier) = executor();
    let executor = Rc::new(executor);
    let inner = executor.clone();
    let handle = executor.spawn(async move {
        let run = catch_unwind(AssertUnwindSafe(|| inner.run(1, &mut || ())));
        let shutdown = catch_unwind(AssertUnwindSafe(|| inner.shutdown()));
        run.is_err() && shutdown.is_err()
    });
    settle(&executor);
    assert!(answer(handle).unwrap());
}

// === Wakers on other threads ===

#[test]
fn a_wake_from_another_thread_unparks_once() {
    let (executor, notifier) = executor();
    let (sender, receiver) = mpsc::channel::<Waker>();
    let woken = Arc::new(AtomicUsize::new(0));
    let seen = woken.clone();
    let thread = thread::spawn(move || {
        let waker = receiver.recv().unwrap();
        woken.store(1, Ordering::Release);
        waker.wake_by_ref();
        waker.clone().wake();
        waker.wake();
    });
    block_on(
        &executor,
        &notifier,
        poll_fn(|cx| {
            if seen.load(Ordering::Acquire) == 1 {
                return Poll::Ready(());
            }
            let _ = sender.send(cx.waker().clone());
            Poll::Pending
        }),
    );
    thread.join().unwrap();
    assert!(notifier.total() <= 1);
}

#[test]
fn tasks_woken_elsewhere_run_in_the_order_of_their_wakes() {
    within(|executor| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let wakers: Vec<_> = (0..5)
            .map(|n| {
                let (slot, order) = (Rc::new(RefCell::new(None)), order.clone());
                let out = slot.clone();
                executor.spawn(poll_fn(move |cx| {
                    if slot.replace(Some(cx.waker().clone())).is_some() {
                        order.borrow_mut().push(n);
                        return Poll::Ready(());
                    }
                    Poll::Pending
                }));
                out
            })
            .collect();
        settle(executor);
        let wakers: Vec<_> = [3, 1, 4, 0, 2]
            .iter()
            .map(|&n: &usize| wakers[n].borrow().clone().unwrap())
            .collect();
        let thread = thread::spawn(move || {
            wakers.iter().for_each(Waker::wake_by_ref);
            wakers.into_iter().for_each(Waker::wake);
        });
        thread.join().unwrap();
        settle(executor);
        assert_eq!(*order.borrow(), [3, 1, 4, 0, 2]);
    });
}

#[test]
fn a_foreign_thread_that_drops_the_last_waker_never_drops_the_future() {
    struct AtHome(ThreadId, Rc<Cell<u32>>);
    impl Drop for AtHome {
        fn drop(&mut self) {
            assert_eq!(thread::current().id(), self.0);
            self.1.set(self.1.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let at_home = || AtHome(thread::current().id(), drops.clone());
    let (executor, _notifier) = executor();
    let slot = Rc::new(RefCell::new(None));
    {
        let _entered = executor.enter();
        let (held, out) = (at_home(), slot.clone());
        let handle = executor.spawn(poll_fn(move |cx| {
            let _held = &held;
            *out.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(AtHome(held.0, held.1.clone()))
        }));
        settle(&executor);
        assert_eq!(drops.get(), 1);
        drop(handle);
        assert_eq!(drops.get(), 2);
    }
    let waker = slot.take().unwrap();
    thread::spawn(move || drop(waker)).join().unwrap();
    assert_eq!(drops.get(), 2);
}

#[test]
fn wakers_outlive_the_executor_on_any_thread() {
    let (executor, notifier) = executor();
    let entered = executor.enter();
    let (handle, waker) = task_with_waker(&executor);
    let root = executor.root_waker().clone();
    drop(entered);
    waker.wake_by_ref(); // Stays in the inbox until the executor ends.
    drop(executor);
    assert!(answer(handle).unwrap_err().is_cancelled());
    let (here, root_here) = (waker.clone(), root.clone());
    thread::spawn(move || {
        waker.wake_by_ref();
        root.clone().wake();
        drop(root);
        waker.clone().wake();
        waker.wake();
    })
    .join()
    .unwrap();
    here.wake_by_ref();
    drop(here);
    root_here.wake();
    assert_eq!(notifier.total(), 0);
    assert_eq!(
        Arc::strong_count(&notifier.0),
        1,
        "the last waker freed what was shared"
    );
}

#[test]
fn nothing_is_left_when_the_executor_ends_last() {
    let (executor, notifier) = executor();
    let entered = executor.enter();
    let (handle, waker) = task_with_waker(&executor);
    thread::spawn(move || drop(waker)).join().unwrap();
    handle.abort();
    drop(handle);
    settle(&executor);
    let (detached, waker) = task_with_waker(&executor);
    drop(detached);
    waker.wake_by_ref();
    drop(entered);
    drop(waker);
    executor.schedule_root();
    drop(executor);
    assert_eq!(Arc::strong_count(&notifier.0), 1);
}

#[test]
fn many_threads_wake_one_task_and_no_wake_is_lost() {
    const THREADS: usize = 4;
    const WAKES: usize = if cfg!(miri) { 20 } else { 5_000 };
    let (executor, notifier) = executor();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let polls = block_on(&executor, &notifier, async move {
        let mut threads = None;
        let mut polls = 0;
        let task = spawn(poll_fn(move |cx| {
            polls += 1;
            threads.get_or_insert_with(|| {
                (0..THREADS)
                    .map(|n| {
                        let (waker, count) = (cx.waker().clone(), count.clone());
                        thread::spawn(move || {
                            for turn in 0..WAKES {
                                count.fetch_add(1, Ordering::Relaxed);
                                if (turn + n) % 2 == 0 {
                                    waker.wake_by_ref();
                                } else {
                                    waker.clone().wake();
                                }
                            }
                        })
                    })
                    .collect::<Vec<_>>()
            });
            if seen.load(Ordering::Relaxed) == THREADS * WAKES {
                for thread in threads.take().unwrap() {
                    thread.join().unwrap();
                }
                return Poll::Ready(polls);
            }
            Poll::Pending
        }));
        task.await.unwrap()
    });
    assert!(polls <= THREADS * WAKES + 1);
}

#[test]
fn a_wake_in_the_middle_of_a_poll_polls_again() {
    within(|executor| {
        let mut polls = 0;
        let handle = executor.spawn(poll_fn(move |cx| {
            polls += 1;
            let waker = cx.waker().clone();
            if polls < 3 {
                thread::spawn(move || waker.wake()).join().unwrap();
                return Poll::Pending;
            }
            waker.wake(); // Queued, and over: freed when it is popped.
            Poll::Ready(polls)
        }));
        settle(executor);
        assert_eq!(answer(handle).unwrap(), 3);
    });
}

// === Shutdown ===

#[test]
fn shutdown_drops_every_future_and_answers_every_handle() {
    let (executor, _notifier) = executor();
    let alive = Rc::new(());
    let mut handles = Vec::new();
    {
        let _entered = executor.enter();
        for turn in 0..10 {
            let held = alive.clone();
            handles.push(executor.spawn(async move {
                let _held = held;
                pending::<()>().await;
            }));
            if turn == 5 {
                settle(&executor);
            }
        }
        let done = executor.spawn(async { 1 });
        settle(&executor);
        executor.spawn(async {}); // Still queued when all ends.
        executor.shutdown();
        assert_eq!(executor.task_count(), 0);
        assert_eq!(answer(done).unwrap(), 1);
    }
    assert_eq!(Rc::strong_count(&alive), 1);
    drop(executor);
    for handle in handles {
        handle.abort();
        assert!(answer(handle).unwrap_err().is_cancelled());
    }
}

#[test]
fn a_future_spawned_during_or_after_shutdown_is_cancelled_at_once() {
    let (executor, _notifier) = executor();
    let _entered = executor.enter();
    let log = Rc::new(RefCell::new(Vec::new()));
    let (outer, inner) = (log.clone(), log.clone());
    let handle = Rc::new(RefCell::new(None));
    let slot = handle.clone();
    let guard = OnDrop(move || {
        let inner = inner.clone();
        let own = id();
        let guard = OnDrop(move || inner.borrow_mut().push(("inner", id() == own)));
        *slot.borrow_mut() = Some(spawn(async move { drop(guard) }));
        outer.borrow_mut().push(("outer", id() == own));
    });
    executor.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    executor.shutdown();
    assert_eq!(*log.borrow(), [("inner", false), ("outer", true)]);
    let inner = handle.take().unwrap();
    assert!(answer(inner).unwrap_err().is_cancelled());
    let late = spawn(async {});
    assert!(answer(late).unwrap_err().is_cancelled());
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn futures_that_wake_abort_and_join_each_other_in_drop_survive_shutdown() {
    let (executor, _notifier) = executor();
    let _entered = executor.enter();
    let handles = Rc::new(RefCell::new(Vec::new()));
    let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
    for n in 0..8_usize {
        let (handles_in, wakers_in) = (handles.clone(), wakers.clone());
        let guard = OnDrop(move || {
            let woken = wakers_in.borrow().clone();
            woken.iter().for_each(Waker::wake_by_ref);
            let mut handles = handles_in.borrow_mut();
            let victim: Option<JoinHandle<()>> = handles.get_mut(n ^ 1).and_then(Option::take);
            drop(handles);
            if let Some(victim) = victim {
                victim.abort();
                drop(victim);
            }
            if n == 3 {
                panic!("in drop");
            }
        });
        let wakers = wakers.clone();
        let task = executor.spawn(async move {
            let _guard = guard;
            poll_fn(|cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            pending::<()>().await;
        });
        handles.borrow_mut().push(Some(task));
    }
    settle(&executor);
    executor.shutdown();
    assert_eq!(executor.task_count(), 0);
    settle(&executor);
}

#[test]
fn dropping_the_executor_shuts_it_down_with_spawn_at_hand() {
    let (executor, notifier) = executor();
    let cancelled = Rc::new(Cell::new(false));
    let seen = cancelled.clone();
    let guard = OnDrop(move || cancelled.set(spawn(async {}).is_finished()));
    executor.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    drop(executor);
    assert!(seen.get());
    assert_eq!(Arc::strong_count(&notifier.0), 1);
}

#[test]
fn a_task_may_own_its_handle() {
    within(|executor| {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let inner = own.clone();
        *own.borrow_mut() = Some(executor.spawn(async move {
            let mut handle = inner.borrow_mut().take().unwrap();
            let mut once = false;
            poll_fn(|cx| {
                assert!(Pin::new(&mut handle).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| {
                if !std::mem::replace(&mut once, true) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }));
        settle(executor);
        assert_eq!(executor.task_count(), 0);
        assert_eq!(Rc::strong_count(&own), 1);
    });
}

#[test]
fn two_executors_of_one_thread_join_each_others_tasks() {
    let (first, first_notifier) = executor();
    let (second, second_notifier) = executor();
    let handle = first.spawn(async {
        yield_now().await;
        11
    });
    let waiting = second.spawn(handle);
    {
        let _entered = second.enter();
        settle(&second);
        assert!(second.prepare_park());
    }
    {
        let _entered = first.enter();
        settle(&first);
    }
    assert_eq!(second_notifier.total(), 1);
    assert_eq!(first_notifier.total(), 0);
    drop(first);
    {
        let _entered = second.enter();
        second.unparked();
        settle(&second);
    }
    assert_eq!(answer(waiting).unwrap().unwrap(), 11);
    drop(second);
    assert_eq!(Arc::strong_count(&first_notifier.0), 1);
    assert_eq!(Arc::strong_count(&second_notifier.0), 1);
}

// === WakeRef ===

/// Counts its wakes; its clones and drops are counted by the Arc.
#[derive(Default)]
struct CountWaker(AtomicUsize);

impl Wake for CountWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_wake_ref_to_an_own_task_counts_plainly() {
    within(|executor| {
        let polls = Rc::new(Cell::new(0));
        let slot = Rc::new(RefCell::new(None));
        let (counted, out) = (polls.clone(), slot.clone());
        let handle = executor.spawn(poll_fn(move |cx| -> Poll<()> {
            counted.set(counted.get() + 1);
            *out.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }));
        settle(executor);
        let waker = slot.take().unwrap();
        let first = WakeRef::new(&waker);
        drop(first.clone());
        assert!(first.will_wake(&waker));
        assert!(!first.will_wake(Waker::noop()));
        assert_eq!(first.task_id(), Some(handle.id()));
        first.wake();
        WakeRef::new(&waker).wake();
        drop(WakeRef::new(&waker));
        settle(executor);
        assert_eq!(polls.get(), 2);
        // After the end it holds the memory, and wakes nobody.
        let kept = WakeRef::new(&waker);
        drop(waker);
        slot.take();
        handle.abort();
        drop(handle);
        settle(executor);
        kept.wake();
        settle(executor);
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_wake_ref_to_a_task_that_is_over_and_let_go_is_foreign() {
    within(|executor| {
        let (handle, waker) = task_with_waker(executor);
        handle.abort();
        settle(executor);
        drop(handle);
        let late = WakeRef::new(&waker);
        assert_eq!(late.task_id(), None);
        assert!(late.will_wake(&waker));
        drop(waker);
        late.wake();
    });
}

#[test]
fn a_wake_ref_to_the_root_is_own_but_names_no_task() {
    within(|executor| {
        let reference = WakeRef::new(executor.root_waker());
        assert!(reference.will_wake(executor.root_waker()));
        assert_eq!(reference.task_id(), None);
        reference.wake();
        let turns = Cell::new(0);
        executor.run(10, &mut || turns.set(turns.get() + 1));
        assert_eq!(turns.get(), 1);
    });
}

#[test]
fn a_wake_ref_used_after_its_executor_was_left_takes_the_inbox() {
    let (executor, notifier) = executor();
    let (handle, reference) = {
        let _entered = executor.enter();
        let (handle, waker) = task_with_waker(&executor);
        let reference = WakeRef::new(&waker);
        assert!(executor.prepare_park());
        (handle, reference)
    };
    reference.wake();
    assert_eq!(notifier.total(), 1);
    let _entered = executor.enter();
    executor.unparked();
    assert!(!executor.prepare_park());
    settle(&executor);
    assert!(!handle.is_finished());
}

#[test]
fn a_wake_ref_to_a_foreign_waker_shares_it_and_runs_no_foreign_code_within_a_scope() {
    let count = Arc::new(CountWaker::default());
    let waker = Waker::from(count.clone());
    let reference = WakeRef::new(&waker);
    assert_eq!(Arc::strong_count(&count), 3);
    assert!(reference.will_wake(&waker));
    assert_eq!(reference.task_id(), None);
    let shared = reference.clone();
    assert_eq!(Arc::strong_count(&count), 3);
    let scope = crate::foreign::Scope::enter();
    reference.wake();
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    drop(scope);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    shared.wake();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(Arc::strong_count(&count), 2);
    let dropped = WakeRef::new(&waker);
    drop(waker);
    let scope = crate::foreign::Scope::enter();
    drop(dropped);
    assert_eq!(Arc::strong_count(&count), 2);
    drop(scope);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_foreign_waker_joins_a_task_and_is_dropped_with_the_handle() {
    within(|executor| {
        let count = Arc::new(CountWaker::default());
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        let mut handle = executor.spawn(yield_now());
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        settle(executor);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(answer(handle).is_ok());
        let mut handle = executor.spawn(pending::<()>());
        assert!(Pin::new(&mut handle).poll(&mut cx).is_pending());
        assert_eq!(Arc::strong_count(&count), 3);
        drop(handle);
        assert_eq!(Arc::strong_count(&count), 2);
    });
}

// === JoinSet ===

#[test]
fn a_set_answers_in_the_order_in_which_tasks_end() {
    let (executor, notifier) = executor();
    let order = block_on(&executor, &notifier, async {
        let mut set = JoinSet::new();
        assert!(set.join_next().await.is_none());
        for n in [3, 1, 2] {
            set.spawn(async move {
                for _ in 0..n {
                    yield_now().await;
                }
                n
            });
        }
        assert_eq!(set.len(), 3);
        let mut order = Vec::new();
        while let Some(n) = set.join_next().await {
            order.push(n.unwrap());
        }
        assert!(set.is_empty() && set.try_join_next().is_none());
        order
    });
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn a_set_tells_of_panics_and_aborts() {
    let (executor, notifier) = executor();
    block_on(&executor, &notifier, async {
        let mut set = JoinSet::new();
        set.spawn(async { panic!("boom") });
        let error = set.join_next().await.unwrap().unwrap_err();
        assert_eq!(text(error), "boom");
        set.spawn(pending::<()>());
        set.spawn(pending::<()>());
        yield_now().await;
        set.abort_all();
        assert!(set.try_join_next().is_none());
        for _ in 0..2 {
            let error = set.join_next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled());
        }
        set.spawn(pending::<()>());
        set.shutdown().await;
        assert!(set.is_empty());
    });
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn dropping_join_next_loses_no_answer() {
    within(|executor| {
        let mut set = JoinSet::new();
        set.spawn(async { 8 });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(set.join_next()).poll(&mut cx).is_pending());
        settle(executor);
        drop(set.join_next());
        assert!(matches!(
            pin!(set.join_next()).poll(&mut cx),
            Poll::Ready(Some(Ok(8)))
        ));
    });
}

#[test]
fn a_dropped_set_aborts_and_a_detached_one_does_not() {
    within(|executor| {
        let alive = Rc::new(());
        let hold = |held: Rc<()>| async move {
            yield_now().await;
            yield_now().await;
            drop(held);
        };
        let mut set = JoinSet::new();
        set.spawn(hold(alive.clone()));
        executor.run(1, &mut || ());
        set.detach_all();
        assert!(set.is_empty());
        // The detached task's notice must not be taken for one of the set's own.
        set.spawn(async {});
        executor.run(1, &mut || ());
        assert_eq!(Rc::strong_count(&alive), 2);
        settle(executor);
        assert!(matches!(set.try_join_next(), Some(Ok(()))));
        assert!(set.try_join_next().is_none());
        assert_eq!(Rc::strong_count(&alive), 1);
        let held = alive.clone();
        set.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        settle(executor);
        drop(set);
        settle(executor);
        assert_eq!(Rc::strong_count(&alive), 1);
    });
}

#[test]
fn a_set_used_outside_a_runtime_panics_and_stays_empty() {
    let mut set = JoinSet::new();
    assert!(catch_unwind(AssertUnwindSafe(|| set.spawn(ready(())))).is_err());
    assert!(set.is_empty() && set.try_join_next().is_none());
    within(|executor| {
        set.spawn(pending());
        settle(executor);
        assert!(set.try_join_next().is_none());
    });
    assert!(set.try_join_next().unwrap().unwrap_err().is_cancelled());
}

#[test]
fn a_set_polled_from_within_a_notice_still_hears_of_the_end() {
    /// Polls the set from `wake`, as an executor that runs what it wakes on the spot would.
    struct Inline(Mutex<Option<Box<dyn FnMut(&Waker) + Send>>>);
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let taken = self.0.lock().unwrap().take();
            if let Some(mut poll) = taken {
                poll(&Waker::from(self.clone()));
                *self.0.lock().unwrap() = Some(poll);
            }
        }
    }
    // The closure below stays on this thread; the waker's type cannot know.
    struct Here<T>(T);
    // SAFETY: the test's only thread uses it.
    unsafe impl<T> Send for Here<T> {}
    impl<T: FnMut(&Waker)> Here<T> {
        fn call(&mut self, waker: &Waker) {
            (self.0)(waker);
        }
    }
    within(|executor| {
        let got = Rc::new(RefCell::new(Vec::new()));
        let seen = got.clone();
        let mut set = JoinSet::new();
        set.spawn(async { 4 });
        let mut here = Here(move |waker: &Waker| {
            let polled = set.poll_join_next(&mut Context::from_waker(waker));
            if let Poll::Ready(Some(answer)) = polled {
                got.borrow_mut().push(answer.unwrap());
            }
        });
        let inline = Arc::new(Inline(Mutex::new(Some(Box::new(move |waker| {
            here.call(waker);
        })))));
        Waker::from(inline.clone()).wake();
        assert!(seen.borrow().is_empty());
        settle(executor);
        assert_eq!(*seen.borrow(), [4]);
        inline.0.lock().unwrap().take();
    });
}
