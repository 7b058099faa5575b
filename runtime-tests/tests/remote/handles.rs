//! Work that other threads give to a runtime.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use saferring::runtime::{CallError, Handle, Remote, Runtime, spawn_blocking};
use saferring_tests::{bounded, poll_once, until};

use crate::support::{Wakes, block_on, poll_with, tokio, turns};

const fn send_and_sync<T: Send + Sync>() {}
const _: () = {
    send_and_sync::<Handle>();
    send_and_sync::<Remote<u32>>();
};

/// A thread with a runtime, which ends when this is dropped.
struct Elsewhere {
    handle: Handle,
    stop: Option<saferring::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Elsewhere {
    fn start() -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = saferring::sync::oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            tell.send(runtime.handle()).unwrap();
            let _ = runtime.block_on(stopped);
        });
        Elsewhere {
            handle: told.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn id(&self) -> ThreadId {
        self.thread.as_ref().unwrap().thread().id()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells where it is dropped.
struct Tells(mpsc::Sender<ThreadId>);

impl Drop for Tells {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

fn message(error: CallError) -> String {
    match error {
        CallError::Panicked(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thread_and_tasks_of_other_runtimes_get_answers() {
    bounded(|| {
        let there = Elsewhere::start();
        let ids = [
            there.handle.run(|| async { thread::current().id() }).wait(),
            block_on(there.handle.run(|| async { thread::current().id() })),
            tokio(2).block_on(there.handle.run(|| async { thread::current().id() })),
            Runtime::new()
                .unwrap()
                .block_on(there.handle.run(|| async { thread::current().id() })),
        ];
        for id in ids {
            assert_eq!(id.unwrap(), there.id());
        }
        assert!(format!("{:?}", there.handle).starts_with("Handle"));
    });
}

#[test]
fn futures_that_are_not_send_stay_there() {
    bounded(|| {
        let there = Elsewhere::start();
        let sum = there.handle.run(|| async {
            let cell = std::rc::Rc::new(Cell::new(40));
            saferring::op::nop().await.unwrap();
            cell.set(cell.get() + 2);
            cell.get()
        });
        assert_eq!(sum.wait().unwrap(), 42);
    });
}

#[test]
fn current_is_the_runtime_around() {
    bounded(|| {
        let [one, other] = [(); 2].map(|()| Runtime::new().unwrap());
        let current = one.block_on(async { Handle::current() });
        assert!(current.is_same(&one.handle()));
        assert!(current.is_same(&current.clone()));
        assert!(!current.is_same(&other.handle()));
        assert!(Handle::try_current().is_none());
        let inside = one.block_on(async { Handle::try_current() });
        assert!(inside.unwrap().is_same(&current));
        let outside = catch_unwind(Handle::current).unwrap_err();
        let text = outside.downcast_ref::<String>().unwrap();
        assert!(text.contains("outside a saferring runtime"), "{text}");
    });
}

#[test]
fn a_runtime_may_use_its_own_handle() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let answer = runtime.block_on(async {
            let inner = handle.clone();
            handle
                .run(move || async move { inner.run(|| async { 6 * 7 }).await })
                .await
        });
        assert_eq!(answer.unwrap().unwrap(), 42);
        // To block it would be to wait for itself.
        let blocked = runtime.block_on(async {
            let call = handle.run(|| async {});
            catch_unwind(AssertUnwindSafe(|| call.wait())).unwrap_err()
        });
        let text = blocked.downcast_ref::<String>().unwrap();
        assert!(text.contains("await it instead"), "{text}");
    });
}

#[test]
fn what_is_given_between_two_block_ons_waits_for_the_next() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let mut early = handle.run(|| async { 1 });
        turns(&runtime, 4);
        assert!(matches!(block_on(poll_once(&mut early)), Some(Ok(1))));
        let (wakes, waker) = Wakes::new();
        let mut between = pin!(handle.run(|| async { 2 }));
        assert!(poll_with(between.as_mut(), &waker).is_pending());
        assert_eq!(wakes.count(), 0);
        turns(&runtime, 4);
        assert_eq!(wakes.count(), 1);
        assert!(matches!(
            poll_with(between.as_mut(), &waker),
            Poll::Ready(Ok(2))
        ));
    });
}

#[test]
fn an_ended_runtime_refuses() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let begun = handle.run(pending::<()>);
        let done = handle.run(|| async { 5 });
        turns(&runtime, 4);
        let not_begun = handle.run(|| async {});
        drop(runtime);
        let after = handle.run(|| async {});
        for call in [begun, not_begun, after] {
            let error = call.wait().unwrap_err();
            assert!(matches!(error, CallError::Closed), "{error:?}");
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::NotConnected);
            assert!(error.to_string().contains("has ended"), "{error}");
        }
        assert_eq!(done.wait().unwrap(), 5, "an answer outlives its runtime");
        assert!(handle.is_same(&handle.clone()));
    });
}

#[test]
fn a_runtime_that_ends_meanwhile_answers_who_waits() {
    bounded(|| {
        let mut there = Elsewhere::start();
        let handle = there.handle.clone();
        let (tell, told) = mpsc::channel();
        let waiting = thread::spawn(move || {
            let begun = move || async move {
                tell.send(()).unwrap();
                pending::<()>().await
            };
            handle.run(begun).wait()
        });
        told.recv().unwrap();
        there.end();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, CallError::Closed), "{error:?}");
    });
}

#[test]
fn dropped_before_it_begins_it_never_does() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let (tell, told) = mpsc::channel();
        let tells = Tells(tell);
        let ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ran);
        drop(runtime.handle().run(move || async move {
            counts.fetch_add(1, Ordering::SeqCst);
            drop(tells);
        }));
        // What it has captured is gone with it.
        assert_eq!(told.try_recv().unwrap(), thread::current().id());
        turns(&runtime, 4);
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn dropped_while_it_runs_its_future_is_dropped_there() {
    bounded(|| {
        let there = Elsewhere::start();
        let (tell, told) = mpsc::channel();
        let (begin, began) = mpsc::channel();
        let call = there.handle.run(move || async move {
            let _tells = Tells(tell);
            begin.send(()).unwrap();
            pending::<()>().await
        });
        began.recv().unwrap();
        drop(call);
        assert_eq!(told.recv().unwrap(), there.id());
    });
}

#[test]
fn dropped_after_it_is_done_its_result_is_dropped_once() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let (tell, told) = mpsc::channel();
        let call = runtime.handle().run(move || async move { Tells(tell) });
        turns(&runtime, 4);
        assert!(told.try_recv().is_err());
        drop(call);
        assert_eq!(told.recv().unwrap(), thread::current().id());
        assert!(told.recv().is_err());
    });
}

#[test]
fn detached_it_runs_to_its_end() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let (tell, told) = mpsc::channel();
        let body = move || async move {
            saferring::op::nop().await.unwrap();
            tell.send(7).unwrap();
        };
        runtime.handle().run(body).detach();
        runtime.block_on(until("the end of what was detached", || {
            told.try_recv() == Ok(7)
        }));
    });
}

/// Panics when it is dropped.
struct Panics(&'static str);

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

#[test]
fn panics_reach_who_waits_and_nobody_else() {
    bounded(|| {
        let there = Elsewhere::start();
        let handle = &there.handle;
        #[allow(unreachable_code)]
        let in_closure = handle.run(|| {
            panic!("in the closure");
            async {}
        });
        let in_future = handle.run(|| async { panic!("in the future") });
        let late = handle.run(|| async {
            saferring::op::nop().await.unwrap();
            panic!("after a wait")
        });
        let in_drop = handle.run(|| {
            let panics = Panics("in the drop");
            poll_fn(move |_| {
                let _ = &panics;
                Poll::Ready(())
            })
        });
        for (call, text) in [
            (in_closure, "in the closure"),
            (in_future, "in the future"),
            (late, "after a wait"),
            (in_drop, "in the drop"),
        ] {
            let told = message(call.wait().unwrap_err());
            assert!(told.contains(text), "{told}");
        }
        // Nobody waits for this one.
        handle.run(|| async { panic!("for nobody") }).detach();
        assert_eq!(handle.run(|| async { 1 }).wait().unwrap(), 1);
    });
}

#[test]
fn a_panic_can_be_passed_on() {
    bounded(|| {
        let there = Elsewhere::start();
        let call = there.handle.run(|| async { std::panic::panic_any(42) });
        let Err(CallError::Panicked(error)) = call.wait() else {
            panic!("no panic")
        };
        assert_eq!(*error.into_panic().downcast::<i32>().unwrap(), 42);
    });
}

#[test]
fn eight_threads_are_served_each_in_its_order() {
    bounded(|| {
        const EACH: usize = 500;
        let there = Elsewhere::start();
        let seen = Arc::new(Mutex::new(vec![Vec::new(); 8]));
        let threads = (0..8).map(|thread| {
            let (handle, seen) = (there.handle.clone(), Arc::clone(&seen));
            thread::spawn(move || {
                let calls: Vec<_> = (0..EACH)
                    .map(|n| {
                        let seen = Arc::clone(&seen);
                        handle.run(move || {
                            seen.lock().unwrap()[thread].push(n);
                            async move { n }
                        })
                    })
                    .collect();
                let answers = calls.into_iter().map(|call| call.wait().unwrap());
                assert!(answers.eq(0..EACH));
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        let all: Vec<_> = (0..EACH).collect();
        assert_eq!(*seen.lock().unwrap(), vec![all; 8]);
    });
}

#[test]
fn a_lot_is_taken_out_at_once() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let before = runtime.metrics().ticks;
        let calls: Vec<_> = (0..1000)
            .map(|n| handle.run(move || async move { n }))
            .collect();
        let sum = runtime.block_on(async {
            let mut sum = 0;
            for call in calls {
                sum += call.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499_500);
        let ticks = runtime.metrics().ticks - before;
        assert!(ticks < 100, "{ticks} turns for 1,000 calls");
    });
}

/// Does its worst when it is woken.
struct Worst {
    handle: Handle,
    again: Mutex<Vec<Remote<()>>>,
    woken: AtomicUsize,
}

impl Wake for Worst {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        // Comes back in while the answer is told.
        let call = self.handle.run(|| async {});
        self.again.lock().unwrap().push(call);
        panic!("by a waker");
    }
}

#[test]
fn wakers_may_come_back_in_and_panic() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let worst = Arc::new(Worst {
            handle: handle.clone(),
            again: Mutex::default(),
            woken: AtomicUsize::new(0),
        });
        let waker = Waker::from(Arc::clone(&worst));
        let mut one = handle.run(|| async { 1 });
        let other = handle.run(|| async { 2 });
        assert!(
            Pin::new(&mut one)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        turns(&runtime, 8);
        assert_eq!(worst.woken.load(Ordering::SeqCst), 1);
        assert_eq!(one.wait().unwrap(), 1);
        assert_eq!(other.wait().unwrap(), 2);
        let again = std::mem::take(&mut *worst.again.lock().unwrap());
        assert_eq!(again.len(), 1);
        for call in again {
            call.wait().unwrap();
        }
    });
}

#[test]
fn the_last_waker_is_woken() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let mut call = pin!(runtime.handle().run(|| async {}));
        let [(first, one), (last, two)] = [(); 2].map(|()| Wakes::new());
        assert!(poll_with(call.as_mut(), &one).is_pending());
        assert!(poll_with(call.as_mut(), &two).is_pending());
        turns(&runtime, 4);
        assert_eq!((first.count(), last.count()), (0, 1));
        assert!(poll_with(call.as_mut(), &two).is_ready());
    });
}

#[test]
fn threads_of_the_blocking_pool_may_wait() {
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let answer = runtime.block_on(async {
            let handle = Handle::current();
            spawn_blocking(move || handle.run(|| async { 3 }).wait()).await
        });
        assert_eq!(answer.unwrap().unwrap(), 3);
    });
}

#[test]
fn what_it_uses_belongs_to_that_runtime() {
    bounded(|| {
        thread_local! {
            static HERE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
        }
        let there = Elsewhere::start();
        for n in 0..3 {
            let kept = there.handle.run(move || async move {
                HERE.with_borrow_mut(|here| {
                    here.push(n);
                    here.len()
                })
            });
            assert_eq!(kept.wait().unwrap(), n as usize + 1);
        }
        assert!(HERE.with_borrow(Vec::is_empty));
    });
}
