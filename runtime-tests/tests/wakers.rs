//! Hazards 16 and 17: wakers on other threads, and wakers that outlive their runtime. The executor's loom models look at
//! every order of a few steps; these look at many steps, with the kernel's wait among them.

use std::cell::Cell;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use saferring::fs::File;
use saferring::op::nop;
use saferring::runtime::{Builder, Runtime, metrics};
use saferring_tests::adversary::{Act, Flag, Point, When, planned, set};
use saferring_tests::{Watch, bounded, in_child, open_fds, rounds, spin_until, until};

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Builder::new().entries(32).build().unwrap()
}

/// A value from another thread, as any channel would bring it: kept under a lock, with a waker.
#[derive(Clone, Default)]
struct Post(Arc<Mutex<(usize, Option<Waker>)>>);

impl Post {
    fn send(&self) {
        let waker = {
            let mut post = self.0.lock().unwrap();
            post.0 += 1;
            post.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn receive(&self) {
        poll_fn(|cx| {
            let mut post = self.0.lock().unwrap();
            if post.0 > 0 {
                post.0 -= 1;
                return Poll::Ready(());
            }
            post.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The waker goes from thread to thread, and its last clone is dropped far from home, where the task is gone or not.
#[test]
fn hazard_16_wakers_are_used_and_dropped_elsewhere() {
    bounded(|| {
        let home = thread::current().id();
        for round in 0..200 {
            let runtime = runtime();
            let watch = Watch::new();
            let held = watch.buf(1);
            let (tell, told) = mpsc::channel::<Waker>();
            let not_send = Rc::new(Cell::new(0));
            let task = runtime.spawn(async move {
                let _held = held;
                poll_fn(|cx| {
                    not_send.set(not_send.get() + 1);
                    let _ = tell.send(cx.waker().clone());
                    Poll::<()>::Pending
                })
                .await;
            });
            if round % 2 == 0 {
                drop(task);
            } else {
                task.abort();
                drop(task);
                // Aborted before it ran: there is no waker.
                runtime.block_on(saferring::task::yield_now());
                assert_eq!((watch.dropped(), watch.last_thread()), (1, Some(home)));
                continue;
            }
            runtime.block_on(saferring::task::yield_now());
            let waker = told.recv().unwrap();
            let others: Vec<_> = (0..3)
                .map(|_| {
                    let waker = waker.clone();
                    thread::spawn(move || {
                        for _ in 0..50 {
                            waker.wake_by_ref();
                            drop(waker.clone());
                        }
                        waker.wake();
                    })
                })
                .collect();
            drop(waker);
            runtime.block_on(saferring::op::nop()).unwrap();
            // In the middle of their wakes.
            drop(runtime);
            assert_eq!((watch.dropped(), watch.last_thread()), (1, Some(home)));
            for other in others {
                other.join().unwrap();
            }
        }
    });
}

/// Wakers that outlive their runtime, by tasks, by timers and by operations, keep no descriptor for good.
#[test]
fn hazard_16_wakers_outlive_the_runtime() {
    in_child("hazard_16_wakers_outlive_the_runtime", || {
        drop(runtime());
        let before = open_fds();
        let mut wakers = Vec::new();
        for _ in 0..50 {
            let runtime = runtime();
            let waker = runtime.block_on(async {
                let task = saferring::spawn(async {
                    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                    saferring::op::nop().await.unwrap();
                    waker
                });
                wakers.push(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await);
                task.await.unwrap()
            });
            wakers.push(waker);
        }
        thread::spawn(move || {
            for waker in &wakers {
                waker.wake_by_ref();
            }
            drop(wakers);
        })
        .join()
        .unwrap();
        assert_eq!(open_fds(), before);
    });
}

/// There and back, each time with the runtime asleep in the kernel, or about to be.
#[test]
fn hazard_17_no_wake_is_lost_around_the_wait() {
    bounded(|| {
        let rounds = rounds(20_000);
        let runtime = runtime();
        let (there, back) = (Post::default(), Post::default());
        let other = {
            let (there, back) = (there.clone(), back.clone());
            thread::spawn(move || {
                // A runtime of its own: both sleep in the kernel.
                self::runtime().block_on(async {
                    for _ in 0..rounds {
                        there.receive().await;
                        back.send();
                    }
                });
            })
        };
        runtime.block_on(async {
            for _ in 0..rounds {
                there.send();
                back.receive().await;
            }
        });
        other.join().unwrap();
    });
}

/// Wakes never wait for the runtime, however many there are and however long it does something else.
#[test]
fn hazard_17_wakes_do_not_block() {
    const TASKS: usize = 1000;
    const WAKES: usize = 100;
    bounded(|| {
        let runtime = runtime();
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let polls = Rc::new(Cell::new(0));
        let open = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (wakers, polls, open) =
                    (Arc::clone(&wakers), Rc::clone(&polls), Arc::clone(&open));
                let mut known = false;
                runtime.spawn(poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    if open.load(Ordering::Acquire) {
                        return Poll::Ready(());
                    }
                    if !known {
                        known = true;
                        wakers.lock().unwrap().push(cx.waker().clone());
                    }
                    Poll::Pending
                }))
            })
            .collect();
        runtime.block_on(until("the first polls", || polls.get() == TASKS));
        let done = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (wakers, done) = (wakers.lock().unwrap().clone(), Arc::clone(&done));
                thread::spawn(move || {
                    for _ in 0..WAKES {
                        wakers.iter().for_each(Waker::wake_by_ref);
                    }
                    done.fetch_add(1, Ordering::Release);
                })
            })
            .collect();
        // The runtime is not running: nobody empties the queue.
        spin_until("the wakes", || done.load(Ordering::Acquire) == 4);
        open.store(true, Ordering::Release);
        wakers.lock().unwrap().drain(..).for_each(Waker::wake);
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// A wake from elsewhere ends the wait for a timer that is far away.
#[test]
fn hazard_17_wakes_end_a_timed_wait() {
    bounded(|| {
        let runtime = runtime();
        for _ in 0..200 {
            let post = Post::default();
            let sender = {
                let post = post.clone();
                thread::spawn(move || post.send())
            };
            runtime.block_on(async {
                let far = saferring::time::timeout(Duration::from_secs(3600), post.receive());
                far.await.unwrap();
            });
            sender.join().unwrap();
        }
    });
}

/// Wakes that come between two calls of `block_on`, or for a task whose handle is elsewhere, are not lost.
#[test]
fn hazard_17_wakes_while_nothing_runs() {
    bounded(|| {
        let runtime = runtime();
        let post = Post::default();
        let task = {
            let post = post.clone();
            runtime.spawn(async move { post.receive().await })
        };
        runtime.block_on(saferring::task::yield_now());
        let sender = post.clone();
        thread::spawn(move || sender.send()).join().unwrap();
        runtime.block_on(task).unwrap();
        assert_eq!(runtime.metrics().tasks, 0);
    });
}

/// Closures on blocking threads answer through such a waker.
#[test]
fn hazard_17_blocking_threads_wake() {
    bounded(|| {
        runtime().block_on(async {
            let tasks: Vec<_> = (0..500)
                .map(|n| saferring::spawn_blocking(move || n * 2))
                .collect();
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), n * 2);
            }
            let panicked = saferring::spawn_blocking(|| panic!("wanted")).await;
            assert!(panicked.unwrap_err().is_panic());
            assert_eq!(metrics().tasks, 0);
        });
    });
}

/// Polls a sleep again when it is dropped, with a new waker of its kind, whose turn to be dropped comes so.
struct PollsInDrop;

type Sleeps = std::cell::RefCell<Option<std::pin::Pin<Box<saferring::time::Sleep>>>>;

thread_local! {
    static SLEEP: Sleeps = const { Sleeps::new(None) };
}

impl std::task::Wake for PollsInDrop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PollsInDrop {
    fn drop(&mut self) {
        poll_sleep();
    }
}

fn poll_sleep() {
    let Ok(Some(mut sleep)) = SLEEP.try_with(std::cell::RefCell::take) else {
        return;
    };
    let waker = Waker::from(Arc::new(PollsInDrop));
    let polled =
        std::future::Future::poll(sleep.as_mut(), &mut std::task::Context::from_waker(&waker));
    assert!(polled.is_pending());
    SLEEP.set(Some(sleep));
}

/// A waker that makes itself due again whenever it is dropped keeps no task waiting.
#[test]
fn a_drop_that_causes_the_next_keeps_nobody_waiting() {
    bounded(|| {
        runtime().block_on(async {
            let long = saferring::time::sleep(Duration::from_secs(3600));
            SLEEP.set(Some(Box::pin(long)));
            poll_sleep();
            poll_sleep();
            for _ in 0..10 {
                saferring::op::nop().await.unwrap();
            }
            // With nothing to poll, the last drop causes none.
            SLEEP.set(None);
            saferring::op::nop().await.unwrap();
        });
    });
}

/// Whether a thread waits for what may take long.
fn is_waiting() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names = tasks
        .flatten()
        .map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.any(|name| name.is_ok_and(|name| name.starts_with("saferring-wait")))
}

/// Who may open a file while somebody has a lease of it waits on a thread. What that has opened is not lost when the waker that
/// waited for it panics on the way.
#[test]
fn a_waker_that_panics_when_it_is_dropped_costs_no_descriptor() {
    let name = "a_waker_that_panics_when_it_is_dropped_costs_no_descriptor";
    in_child(name, || {
        let path = std::env::temp_dir().join(format!("saferring-wakers-{}", std::process::id()));
        std::fs::write(&path, "leased").unwrap();
        let holder = std::fs::File::open(&path).unwrap();
        let lease = |kind: libc::c_int| {
            // SAFETY: the call takes numbers only.
            let failed = unsafe { libc::fcntl(holder.as_raw_fd(), libc::F_SETLEASE, kind) };
            assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
        };
        // SAFETY: no handler: the holder is not to be told that its lease is wanted.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        lease(libc::F_RDLCK);
        let before = open_fds();
        runtime().block_on(async {
            let mut opening = Box::pin(File::options().write(true).create(true).open(&path));
            let flag = Flag::default();
            let waker = flag.waker();
            let mut poll = || planned(|| opening.as_mut().poll(&mut Context::from_waker(&waker)));
            while !is_waiting() {
                assert!(matches!(poll(), Ok(Some(Poll::Pending))));
                nop().await.unwrap();
            }
            // Once more: the answer of the kernel is what has made the thread.
            assert!(matches!(poll(), Ok(Some(Poll::Pending))));
            flag.take();
            lease(libc::F_UNLCK);
            spin_until("the thread's wake", || flag.take());
            set(Some((Point::WakerDrop, Act::Panic, When::Each)));
            let opened = poll();
            set(None);
            match opened {
                Ok(Some(Poll::Ready(Ok(writer)))) => drop(writer),
                other => panic!("opened: {other:?}"),
            }
        });
        assert_eq!(open_fds(), before);
        std::fs::remove_file(&path).unwrap();
    });
}
