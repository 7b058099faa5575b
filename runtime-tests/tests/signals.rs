//! Signals: each is told to all who listen, none is lost, and nothing is left behind. Every test has a process of its own,
//! whose signals they are.

use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{poll_immediate, select};
use saferring::Feature;
use saferring::runtime::{AdvancedConfig, Builder, Runtime};
use saferring::signal::unix::{Signal, SignalKind, signal};
use saferring::signal::{ctrl_c, shutdown};
use saferring_tests::{bounded, in_child, is_software, limit, open_fds, poll_once, until};

saferring_tests::also_on_software!();

fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Sends this thread a signal. Its handler has run when this returns.
fn raise(kind: SignalKind) {
    // SAFETY: the call takes a number only.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

/// Asserts that nothing is heard, though the kernel had the time to tell.
async fn assert_silent(listener: &mut Signal) {
    for _ in 0..3 {
        assert!(poll_immediate(listener.recv()).await.is_none());
        saferring::op::nop().await.unwrap();
    }
}

fn counting_waker() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    (count, waker)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_signal_that_can_be_caught_is_heard() {
    in_child("every_signal_that_can_be_caught_is_heard", || {
        let kinds = [
            (SignalKind::alarm(), libc::SIGALRM),
            (SignalKind::child(), libc::SIGCHLD),
            (SignalKind::hangup(), libc::SIGHUP),
            (SignalKind::interrupt(), libc::SIGINT),
            (SignalKind::io(), libc::SIGIO),
            (SignalKind::pipe(), libc::SIGPIPE),
            (SignalKind::quit(), libc::SIGQUIT),
            (SignalKind::terminate(), libc::SIGTERM),
            (SignalKind::user_defined1(), libc::SIGUSR1),
            (SignalKind::user_defined2(), libc::SIGUSR2),
            (SignalKind::window_change(), libc::SIGWINCH),
            (SignalKind::from_raw(libc::SIGTSTP), libc::SIGTSTP),
            (SignalKind::from_raw(libc::SIGABRT), libc::SIGABRT),
            (
                SignalKind::from_raw(libc::SIGRTMIN() + 3),
                libc::SIGRTMIN() + 3,
            ),
            (SignalKind::from_raw(libc::SIGRTMAX()), libc::SIGRTMAX()),
        ];
        runtime().block_on(async {
            let mut listeners = Vec::new();
            for (kind, number) in kinds {
                assert_eq!(kind.as_raw_value(), number);
                listeners.push((kind, signal(kind).unwrap()));
            }
            for (kind, _) in kinds {
                raise(kind);
                for (other, listener) in &mut listeners {
                    if *other == kind {
                        assert_eq!(listener.recv().await, Some(()));
                    }
                    assert!(
                        poll_immediate(listener.recv()).await.is_none(),
                        "{other:?} is heard at {kind:?}"
                    );
                }
            }
        });
    });
}

#[test]
fn kinds_are_the_numbers_of_signals() {
    bounded(|| {
        let kind = SignalKind::from(libc::SIGHUP);
        assert_eq!(kind, SignalKind::hangup());
        assert_eq!(i32::from(kind), libc::SIGHUP);
        assert_ne!(kind, SignalKind::from_raw(2));
        assert_eq!(format!("{kind:?}"), "SignalKind(SIGHUP)");
        assert_eq!(format!("{:?}", SignalKind::from_raw(50)), "SignalKind(50)");
        let set = std::collections::HashSet::from([kind, SignalKind::hangup()]);
        assert_eq!(set.len(), 1);
    });
}

/// Not one of them panics, and what was opened for those that the system refuses is closed: `bounded` looks.
#[test]
fn what_cannot_be_listened_for_is_an_error_that_says_why() {
    bounded(|| {
        let unknown = "the system has no such signal, or keeps it to itself";
        for (number, name, why) in [
            (
                libc::SIGKILL,
                "SIGKILL",
                "the kernel lets no process handle it",
            ),
            (
                libc::SIGSTOP,
                "SIGSTOP",
                "the kernel lets no process handle it",
            ),
            (libc::SIGILL, "SIGILL", FAULT),
            (libc::SIGFPE, "SIGFPE", FAULT),
            (libc::SIGSEGV, "SIGSEGV", FAULT),
            (0, "signal 0", unknown),
            (-1, "signal -1", unknown),
            (65, "signal 65", unknown),
            (1000, "signal 1000", unknown),
            (i32::MAX, "signal 2147483647", unknown),
            (i32::MIN, "signal -2147483648", unknown),
        ] {
            let error = signal(SignalKind::from_raw(number)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let expected = format!("{name} cannot be listened for: {why}");
            assert_eq!(error.to_string(), expected);
        }
    });
}

const FAULT: &str =
    "it tells of an instruction that has failed, which the thread cannot go on from";

#[test]
fn all_who_listen_hear_it_and_none_hears_what_came_before() {
    in_child(
        "all_who_listen_hear_it_and_none_hears_what_came_before",
        || {
            runtime().block_on(async {
                let mut early = [(); 3].map(|()| signal(SignalKind::hangup()).unwrap());
                raise(SignalKind::hangup());
                let mut late = signal(SignalKind::hangup()).unwrap();
                for one in &mut early {
                    assert_eq!(one.recv().await, Some(()));
                    assert_silent(one).await;
                }
                assert_silent(&mut late).await;
                raise(SignalKind::hangup());
                for one in early.iter_mut().chain([&mut late]) {
                    assert_eq!(one.recv().await, Some(()));
                }
            });
        },
    );
}

/// Also when so many have come that the handler's socket is full.
#[test]
fn signals_that_come_while_nobody_waits_are_told_once() {
    in_child("signals_that_come_while_nobody_waits_are_told_once", || {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            for count in [1, 2, 1000] {
                for _ in 0..count {
                    raise(SignalKind::user_defined1());
                }
                assert_eq!(listener.recv().await, Some(()));
                assert_silent(&mut listener).await;
            }
        });
    });
}

#[test]
fn one_who_waits_is_woken() {
    in_child("one_who_waits_is_woken", || {
        runtime().block_on(async {
            let heard = Rc::new(Cell::new(0));
            let mut listener = signal(SignalKind::user_defined2()).unwrap();
            let task = saferring::spawn({
                let heard = Rc::clone(&heard);
                async move {
                    while heard.get() < 3 {
                        // As a stream.
                        assert_eq!(listener.next().await, Some(()));
                        heard.set(heard.get() + 1);
                    }
                }
            });
            for count in 1..=3 {
                raise(SignalKind::user_defined2());
                let heard = Rc::clone(&heard);
                until("the signal", move || heard.get() == count).await;
            }
            task.await.unwrap();
        });
    });
}

#[test]
fn a_dropped_recv_loses_nothing() {
    in_child("a_dropped_recv_loses_nothing", || {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::terminate()).unwrap();
            for _ in 0..3 {
                // Before it, when it waits, and after the wait was answered.
                assert!(poll_once(&mut Box::pin(listener.recv())).await.is_none());
                let mut waiting = Box::pin(listener.recv());
                assert!(poll_once(&mut waiting).await.is_none());
                raise(SignalKind::terminate());
                for _ in 0..3 {
                    saferring::op::nop().await.unwrap();
                }
                drop(waiting);
                drop(listener.recv());
                assert_eq!(listener.recv().await, Some(()));
                assert_silent(&mut listener).await;
            }
        });
    });
}

/// The first begins a graceful end, the second one ends that: with a stream none is missed in between.
#[test]
fn a_stream_hears_the_second_interrupt() {
    in_child("a_stream_hears_the_second_interrupt", || {
        runtime().block_on(async {
            let mut interrupts = signal(SignalKind::interrupt()).unwrap();
            let serve = pin!(std::future::pending::<()>());
            raise(SignalKind::interrupt());
            select(serve, pin!(interrupts.recv())).await;
            // Nobody waits now.
            raise(SignalKind::interrupt());
            let drain = pin!(std::future::pending::<()>());
            select(drain, pin!(interrupts.recv())).await;
            assert_silent(&mut interrupts).await;
        });
    });
}

#[test]
fn a_second_call_hears_the_second_interrupt() {
    in_child("a_second_call_hears_the_second_interrupt", || {
        runtime().block_on(async {
            let first = ctrl_c();
            raise(SignalKind::interrupt());
            first.await.unwrap();
            // The handler stays, so that this ends nobody; it is nobody's.
            raise(SignalKind::interrupt());
            let mut second = Box::pin(ctrl_c());
            for _ in 0..3 {
                assert!(poll_once(&mut second).await.is_none());
                saferring::op::nop().await.unwrap();
            }
            raise(SignalKind::interrupt());
            second.await.unwrap();
        });
    });
}

#[test]
fn a_shutdown_says_which_signal_it_was() {
    in_child("a_shutdown_says_which_signal_it_was", || {
        runtime().block_on(async {
            for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
                // From the call on, not from the first poll.
                let asked = shutdown();
                raise(kind);
                assert_eq!(asked.await.unwrap(), kind);
                // And when it waits already.
                let mut asked = Box::pin(shutdown());
                assert!(poll_once(&mut asked).await.is_none());
                raise(kind);
                assert_eq!(asked.await.unwrap(), kind);
            }
            let asked = shutdown();
            raise(SignalKind::terminate());
            raise(SignalKind::interrupt());
            assert_eq!(asked.await.unwrap(), SignalKind::interrupt());
            let mut asked = Box::pin(shutdown());
            let mut hangups = signal(SignalKind::hangup()).unwrap();
            raise(SignalKind::hangup());
            assert_eq!(hangups.recv().await, Some(()));
            assert!(poll_once(&mut asked).await.is_none());
        });
    });
}

/// Those of one in flight, too, and those of one that has heard something, or was never asked.
#[test]
fn a_dropped_listener_gives_its_descriptors_back() {
    in_child("a_dropped_listener_gives_its_descriptors_back", || {
        runtime().block_on(async {
            // What the ring needs for it, it has from here on.
            let mut first = signal(SignalKind::hangup()).unwrap();
            assert_silent(&mut first).await;
            let before = open_fds();
            drop(signal(SignalKind::hangup()).unwrap());
            assert_eq!(open_fds(), before);

            let mut waiting = signal(SignalKind::hangup()).unwrap();
            assert!(poll_once(&mut Box::pin(waiting.recv())).await.is_none());
            let mut heard = signal(SignalKind::hangup()).unwrap();
            assert!(poll_once(&mut Box::pin(heard.recv())).await.is_none());
            raise(SignalKind::hangup());
            assert_eq!(heard.recv().await, Some(()));
            let dropped = (Box::pin(ctrl_c()), Box::pin(shutdown()));
            assert!(open_fds() != before);
            drop((waiting, heard, dropped));
            let at_first = before.clone();
            until("the descriptors", move || open_fds() == at_first).await;
            for _ in 0..100 {
                let mut one = signal(SignalKind::hangup()).unwrap();
                assert!(poll_once(&mut Box::pin(one.recv())).await.is_none());
            }
            until("the descriptors", move || open_fds() == before).await;
        });
    });
}

#[test]
fn a_listener_is_awaited_in_one_runtime_after_the_other() {
    in_child(
        "a_listener_is_awaited_in_one_runtime_after_the_other",
        || {
            // Made outside of any.
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            let (one, other) = (runtime(), runtime());
            for _ in 0..3 {
                for runtime in [&one, &other] {
                    // What is in flight stays in the ring where it was made; both hear it.
                    runtime.block_on(async {
                        assert_silent(&mut listener).await;
                        let task = saferring::spawn(async { raise(SignalKind::user_defined1()) });
                        assert_eq!(listener.recv().await, Some(()));
                        task.await.unwrap();
                    });
                }
            }
            // One that waits in a ring that ends goes on in another.
            one.block_on(assert_silent(&mut listener));
            drop(one);
            raise(SignalKind::user_defined1());
            other.block_on(async {
                assert_eq!(listener.recv().await, Some(()));
                assert_silent(&mut listener).await;
            });
            drop(other);
            raise(SignalKind::user_defined1());
            // Without a runtime there is nothing to wait in, but what has come can be had.
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(listener.poll_recv(&mut cx), Poll::Ready(Some(())));
            runtime().block_on(async {
                let task = saferring::spawn(async { raise(SignalKind::user_defined1()) });
                assert_eq!(listener.recv().await, Some(()));
                task.await.unwrap();
            });
        },
    );
}

/// A runtime that does not wait for its kernel at the end leaves nothing that a listener would wait for in vain.
#[test]
fn a_listener_outlives_a_runtime_without_grace() {
    in_child("a_listener_outlives_a_runtime_without_grace", || {
        let mut listener = signal(SignalKind::hangup()).unwrap();
        for _ in 0..10 {
            let builder = Builder::new().shutdown_grace(Duration::ZERO);
            let runtime = builder.build().unwrap();
            runtime.block_on(async {
                assert!(poll_immediate(listener.recv()).await.is_none());
                let task = saferring::spawn(async { raise(SignalKind::hangup()) });
                assert_eq!(listener.recv().await, Some(()));
                assert!(poll_immediate(listener.recv()).await.is_none());
                task.await.unwrap();
            });
        }
    });
}

/// The last waker is the one that is woken.
#[test]
fn a_listener_is_polled_with_one_waker_after_the_other() {
    in_child(
        "a_listener_is_polled_with_one_waker_after_the_other",
        || {
            runtime().block_on(async {
                let mut listener = signal(SignalKind::hangup()).unwrap();
                let (first, first_waker) = counting_waker();
                let (second, second_waker) = counting_waker();
                for waker in [&first_waker, &second_waker] {
                    let polled = listener.poll_recv(&mut Context::from_waker(waker));
                    assert!(polled.is_pending());
                }
                raise(SignalKind::hangup());
                let told = Arc::clone(&second);
                until("the wake", move || told.get() > 0).await;
                assert_eq!(first.get(), 0);
                let polled = listener.poll_recv(&mut Context::from_waker(&first_waker));
                assert_eq!(polled, Poll::Ready(Some(())));
                // The future that was polled is gone; its wait goes on with the next.
                let mut recv = pin!(listener.recv());
                let polled = recv.as_mut().poll(&mut Context::from_waker(&first_waker));
                assert!(polled.is_pending());
                raise(SignalKind::hangup());
                assert_eq!(recv.await, Some(()));
            });
        },
    );
}

#[test]
fn a_listener_of_another_thread_hears_it_as_well() {
    in_child("a_listener_of_another_thread_hears_it_as_well", || {
        let (listens, listening) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let mut listener = signal(SignalKind::terminate()).unwrap();
                listens.send(()).unwrap();
                assert_eq!(listener.recv().await, Some(()));
            });
        });
        runtime().block_on(async {
            let mut listener = signal(SignalKind::terminate()).unwrap();
            listening.recv().unwrap();
            raise(SignalKind::terminate());
            assert_eq!(listener.recv().await, Some(()));
        });
        thread.join().unwrap();
    });
}

/// Nobody tries for ever; what has come is told all the same, and later all is well.
#[test]
fn without_descriptors_a_signal_cannot_be_waited_for() {
    in_child("without_descriptors_a_signal_cannot_be_waited_for", || {
        let mut listener = signal(SignalKind::interrupt()).unwrap();
        // The kernel's ring waits without a descriptor. The ring in software beside it, which does what is switched off,
        // is made when it is first asked.
        let config = AdvancedConfig::new().disable(Feature::PollAdd);
        let runtime = Builder::new().advanced(config).build().unwrap();
        runtime.block_on(async {
            limit(libc::RLIMIT_NOFILE, 64);
            let hog: Vec<_> =
                std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
            if !is_software() {
                for _ in 0..2 {
                    assert_eq!(listener.recv().await, None);
                }
            }
            let (interrupted, asked) = (ctrl_c(), shutdown());
            drop(hog);
            for error in [interrupted.await.unwrap_err(), asked.await.unwrap_err()] {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            for _ in 0..2 {
                assert_silent(&mut listener).await;
                raise(SignalKind::interrupt());
                assert_eq!(listener.recv().await, Some(()));
            }
        });
    });
}

#[test]
fn outside_a_runtime_there_is_nothing_to_wait_in() {
    in_child("outside_a_runtime_there_is_nothing_to_wait_in", || {
        let mut listener = signal(SignalKind::alarm()).unwrap();
        assert_eq!(format!("{listener:?}"), "Signal(SignalKind(SIGALRM))");
        let mut cx = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| listener.poll_recv(&mut cx)));
        let text = *polled.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("outside a saferring runtime"), "{text}");
        // And it is as it was.
        raise(SignalKind::alarm());
        assert_eq!(runtime().block_on(listener.recv()), Some(()));
    });
}
