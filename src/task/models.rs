//! loom models of what other threads may do to a task while its owner works. loom runs every interleaving that the
//! memory model allows; its cells report unordered access, and a lost wake shows as a deadlock.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::*;

/// Where the owner waits. Counts, outside the model, how often it is freed.
struct Notifier {
    notify: Arc<Notify>,
    freed: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    /// Read when notified and written when freed, so that loom reports a notification that is not ordered before the end.
    alive: AtomicUsize,
}

impl Unpark for Notifier {
    fn unpark(&self) {
        self.alive.load(Ordering::Relaxed);
        self.notify.notify();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
        self.freed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

struct Model {
    executor: Executor,
    notify: Arc<Notify>,
    freed: Freed,
}

struct Freed(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Freed {
    fn assert_once(&self) {
        assert_eq!(self.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}

fn model() -> Model {
    let notify = Arc::new(Notify::new());
    let freed = std::sync::Arc::default();
    let notifier = Notifier {
        notify: notify.clone(),
        freed: std::sync::Arc::clone(&freed),
        alive: AtomicUsize::new(1),
    };
    Model {
        executor: Executor::new(Box::new(notifier), false),
        notify,
        freed: Freed(freed),
    }
}

/// For three threads with many steps: all interleavings with at most three preemptions. The rest takes hours, and
/// such bugs as there are show with two.
fn bounded(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

impl Model {
    /// Runs and parks until `handle` is finished.
    fn run_until_finished<T>(&self, handle: &JoinHandle<T>) {
        loop {
            let more = self.executor.run(8, &mut || ());
            if handle.is_finished() {
                return;
            }
            if !more && self.executor.prepare_park() {
                self.notify.wait();
                self.executor.unparked();
            }
        }
    }

    /// A task that ends when `ready` says so, and has been polled once; and its waker.
    fn waiting_task(&self, ready: impl Fn() -> bool + 'static) -> (JoinHandle<()>, Waker) {
        let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
        let out = slot.clone();
        let mut polled = false;
        let handle = self.executor.spawn(poll_fn(move |cx| {
            if !polled {
                polled = true;
                *slot.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        self.executor.run(1, &mut || ());
        let waker = out.borrow_mut().take().unwrap();
        (handle, waker)
    }
}

#[test]
fn a_wake_beside_a_park_is_not_lost() {
    loom::model(|| {
        let model = model();
        let entered = model.executor.enter();
        let ready = Arc::new(AtomicUsize::new(0));
        let seen = ready.clone();
        let (handle, waker) = model.waiting_task(move || seen.load(Ordering::Relaxed) == 1);
        let thread = thread::spawn(move || {
            ready.store(1, Ordering::Relaxed);
            waker.wake();
        });
        model.run_until_finished(&handle);
        thread.join().unwrap();
        drop(handle);
        drop(entered);
        drop(model.executor);
        model.freed.assert_once();
    });
}

#[test]
fn two_wakes_beside_one_poll_show_what_both_wrote() {
    bounded(|| {
        let model = model();
        let entered = model.executor.enter();
        let (one, two) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = (one.clone(), two.clone());
        // Relaxed loads: that the wake makes the stores visible is what is shown.
        let (handle, waker) = model.waiting_task(move || {
            seen.0.load(Ordering::Relaxed) + seen.1.load(Ordering::Relaxed) == 2
        });
        let other = waker.clone();
        let first = thread::spawn(move || {
            one.store(1, Ordering::Relaxed);
            waker.wake();
        });
        let second = thread::spawn(move || {
            two.store(1, Ordering::Relaxed);
            other.wake_by_ref();
        });
        model.run_until_finished(&handle);
        first.join().unwrap();
        second.join().unwrap();
        drop(handle);
        drop(entered);
        drop(model.executor);
        model.freed.assert_once();
    });
}

#[test]
fn a_wake_in_the_middle_of_the_poll_is_seen() {
    bounded(|| {
        let model = model();
        let entered = model.executor.enter();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = count.clone();
        let (handle, waker) = model.waiting_task(move || seen.load(Ordering::Relaxed) == 2);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                count.fetch_add(1, Ordering::Relaxed);
                waker.wake_by_ref();
            }
        });
        model.run_until_finished(&handle);
        thread.join().unwrap();
        drop((handle, entered));
        drop(model.executor);
        model.freed.assert_once();
    });
}

#[test]
fn the_last_waker_dropped_elsewhere_and_the_last_share_free_once() {
    loom::model(|| {
        let model = model();
        let entered = model.executor.enter();
        let (handle, waker) = model.waiting_task(|| false);
        let other = waker.clone();
        let first = thread::spawn(move || drop(waker));
        let second = thread::spawn(move || drop(other));
        handle.abort();
        drop(handle);
        model.executor.run(8, &mut || ());
        assert_eq!(model.executor.task_count(), 0);
        first.join().unwrap();
        second.join().unwrap();
        drop(entered);
        drop(model.executor);
        model.freed.assert_once();
    });
}

#[test]
fn a_wake_beside_the_end_of_its_task_frees_once() {
    loom::model(|| {
        let model = model();
        let entered = model.executor.enter();
        let (handle, waker) = model.waiting_task(|| true);
        let thread = thread::spawn(move || {
            waker.wake_by_ref();
            waker.wake();
        });
        handle.abort();
        drop(handle);
        model.executor.run(8, &mut || ());
        model.executor.run(8, &mut || ());
        thread.join().unwrap();
        drop(entered);
        drop(model.executor);
        model.freed.assert_once();
    });
}

#[test]
fn the_executors_end_beside_wakes_frees_all_once() {
    bounded(|| {
        let model = model();
        let entered = model.executor.enter();
        let (handle, waker) = model.waiting_task(|| false);
        let root = model.executor.root_waker().clone();
        drop(entered);
        let first = thread::spawn(move || {
            waker.wake_by_ref();
            drop(waker);
        });
        let second = thread::spawn(move || root.wake());
        drop(handle);
        drop(model.executor);
        first.join().unwrap();
        second.join().unwrap();
        model.freed.assert_once();
    });
}

#[test]
fn the_executors_end_beside_an_unpark_keeps_the_notifier_until_it_has_notified() {
    loom::model(|| {
        let model = model();
        let entered = model.executor.enter();
        let (handle, waker) = model.waiting_task(|| true);
        assert!(model.executor.prepare_park());
        // By value: what it hands over may be the task's last reference before `unpark` has been called.
        let thread = thread::spawn(move || waker.wake());
        handle.abort();
        drop(handle);
        model.executor.unparked();
        model.executor.run(8, &mut || ());
        drop(entered);
        drop(model.executor);
        thread.join().unwrap();
        model.freed.assert_once();
    });
}

#[test]
fn headers_freed_elsewhere_beside_the_executors_end_free_what_is_shared_once() {
    loom::model(|| {
        let model = model();
        let entered = model.executor.enter();
        let (first, first_waker) = model.waiting_task(|| false);
        let (second, second_waker) = model.waiting_task(|| false);
        first.abort();
        second.abort();
        drop((first, second));
        model.executor.run(8, &mut || ());
        drop(entered);
        let threads = [first_waker, second_waker].map(|waker| thread::spawn(move || drop(waker)));
        drop(model.executor);
        for thread in threads {
            thread.join().unwrap();
        }
        model.freed.assert_once();
    });
}
