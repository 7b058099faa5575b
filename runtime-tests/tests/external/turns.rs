//! What a turn does, and how it gets on with all else that a runtime is run by.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use saferring::net::{TcpListener, UnixStream};
use saferring::op::nop;
use saferring::runtime::{Builder, metrics, stall_looks};
use saferring::sync::{mpsc, oneshot};
use saferring::task::yield_now;
use saferring::time::sleep;
use saferring_tests::{bounded, spin_until};

use crate::support::{
    FOREVER, becomes_readable, clients, drive, drive_all, drive_to, echo_to, is_readable, runtime,
    settle,
};

#[test]
fn a_turn_is_bounded_and_says_that_there_is_more() {
    bounded(|| {
        let runtime = Builder::new().event_interval(8).build().unwrap();
        settle(&runtime);
        let polls = Rc::new(Cell::new(0));
        for _ in 0..100 {
            let polls = Rc::clone(&polls);
            runtime.spawn(async move { polls.set(polls.get() + 1) });
        }
        // A spawn makes it readable, once.
        assert!(is_readable(&runtime));
        for turn in 1..=12 {
            assert!(runtime.run_once());
            assert!(runtime.next_deadline().unwrap() <= Instant::now());
            assert_eq!(polls.get(), 8 * turn);
        }
        settle(&runtime);
        assert_eq!((polls.get(), runtime.next_deadline()), (100, None));
    });
}

/// One that is always ready has a turn of each call, and no more.
#[test]
fn what_is_always_ready_does_not_keep_the_loop() {
    bounded(|| {
        let runtime = runtime();
        let rounds = Rc::new(Cell::new(0_u32));
        let counter = Rc::clone(&rounds);
        let task = runtime.spawn(async move {
            loop {
                counter.set(counter.get() + 1);
                yield_now().await;
            }
        });
        for _ in 0..10 {
            let before = rounds.get();
            assert!(runtime.run_once());
            assert!(rounds.get() > before && rounds.get() - before <= 256);
        }
        task.abort();
        settle(&runtime);
        assert!(task.is_finished());
    });
}

#[test]
fn it_takes_turns_with_block_on() {
    bounded(|| {
        let runtime = runtime();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let clients = clients(listener.local_addr().unwrap(), 5, 40);
        let server = runtime.spawn(echo_to(listener, 5));
        while !server.is_finished() {
            settle(&runtime);
            runtime.block_on(async {
                for _ in 0..3 {
                    nop().await.unwrap();
                }
            });
            // Whatever has come meanwhile.
            assert!(is_readable(&runtime));
            assert_eq!(drive_to(&runtime, async { 5 }), 5);
            settle(&runtime);
            if !server.is_finished() {
                becomes_readable(&runtime);
            }
        }
        clients.join().unwrap();
        // A wake that comes after a block_on, for a task that it has left.
        let (sender, receiver) = oneshot::channel();
        let task = runtime.spawn(receiver);
        runtime.block_on(async { nop().await.unwrap() });
        let thread = std::thread::spawn(move || sender.send(3).unwrap());
        drive(&runtime, || task.is_finished());
        assert_eq!(runtime.block_on(task).unwrap(), Ok(3));
        thread.join().unwrap();
    });
}

/// A block_on that ends by a panic leaves it readable, too.
#[test]
fn a_panic_of_block_on_is_survived() {
    bounded(|| {
        let runtime = runtime();
        settle(&runtime);
        let task = runtime.spawn(sleep(Duration::from_millis(1)));
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { panic!("told to") })
        }));
        assert!(thrown.is_err());
        assert!(is_readable(&runtime));
        drive(&runtime, || task.is_finished());
    });
}

#[test]
fn two_runtimes_in_one_loop_serve_each_other() {
    bounded(|| {
        let (first, second) = (runtime(), runtime());
        let (to_second, mut from_first) = mpsc::unbounded_channel::<u32>();
        let (to_first, mut from_second) = mpsc::unbounded_channel::<u32>();
        let asks = first.spawn(async move {
            for number in 0..200 {
                to_second.send(number).unwrap();
                assert_eq!(from_second.recv().await, Some(number + 1));
            }
        });
        second.spawn(async move {
            while let Some(number) = from_first.recv().await {
                nop().await.unwrap();
                to_first.send(number + 1).unwrap();
            }
        });
        // An operation of the one's ring, awaited in the other.
        let (stream, peer) = UnixStream::pair().unwrap();
        let (read, _stream) =
            drive_to(
                &first,
                async move { (stream.read(vec![0; 4]).submit(), stream) },
            );
        let guest = second.spawn(async move { read.await.0.unwrap() });
        drive_all(&[&first, &second], || asks.is_finished());
        drive_to(
            &first,
            async move { peer.write_all(b"data").await.0.unwrap() },
        );
        drive_all(&[&first, &second], || guest.is_finished());
        assert_eq!(second.block_on(guest).unwrap(), 4);
    });
}

#[test]
fn nested_turns_panic_and_leave_no_trace() {
    bounded(|| {
        let outer = Rc::new(runtime());
        let inner = Rc::new(runtime());
        let (same, other) = (Rc::clone(&outer), Rc::clone(&inner));
        let nested = async move {
            let refuses = |call: &dyn Fn()| {
                let thrown = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
                let text = thrown.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| thrown.downcast_ref::<&str>().map(|&text| text.to_owned()));
                assert!(text.unwrap().contains("running on this thread already"));
            };
            for runtime in [&same, &other] {
                refuses(&|| assert!(runtime.run_once()));
                refuses(&|| runtime.block_on(async {}));
            }
            // These ask nothing of the thread.
            assert!(same.next_deadline().is_none_or(|at| at <= Instant::now()));
            other.try_as_fd().unwrap();
            nop().await.unwrap();
            drop((same, other));
            6
        };
        assert_eq!(drive_to(&outer, nested), 6);
        let same = Rc::clone(&outer);
        outer.block_on(async move {
            let thrown = catch_unwind(AssertUnwindSafe(|| same.run_once()));
            assert!(thrown.is_err());
        });
        assert_eq!(drive_to(&inner, async { 7 }), 7);
    });
}

#[test]
fn a_panic_of_a_task_goes_to_its_handle() {
    bounded(|| {
        let runtime = runtime();
        let task = runtime.spawn(async {
            nop().await.unwrap();
            panic!("told to");
        });
        drive(&runtime, || task.is_finished());
        assert!(runtime.block_on(task).unwrap_err().is_panic());
    });
}

/// What is done on this thread between two turns: of all of it the next wait hears.
#[test]
fn what_is_done_between_turns_is_not_slept_over() {
    bounded(|| {
        let runtime = runtime();
        let task = runtime.spawn(sleep(FOREVER));
        let wakers = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&wakers);
        let waits = runtime.spawn(poll_fn(move |cx| -> Poll<()> {
            list.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        }));
        let (stream, peer) = UnixStream::pair().unwrap();
        let read = drive_to(&runtime, async move {
            let read = stream.read(vec![0; 8]).submit();
            (read, stream)
        });
        settle(&runtime);

        wakers.borrow()[0].wake_by_ref();
        assert!(is_readable(&runtime));
        settle(&runtime);
        assert_eq!(wakers.borrow().len(), 2);
        waits.abort();
        assert!(is_readable(&runtime));
        drive(&runtime, || waits.is_finished());
        settle(&runtime);

        task.abort();
        assert!(is_readable(&runtime));
        drive(&runtime, || task.is_finished());
        settle(&runtime);

        runtime.spawn(async {});
        assert!(is_readable(&runtime));
        settle(&runtime);
        assert_eq!(runtime.metrics().tasks, 0);

        // The cancel of an operation that is dropped is to be submitted.
        assert_eq!(runtime.metrics().in_flight, 1);
        drop(read);
        assert!(runtime.next_deadline().unwrap() <= Instant::now());
        drive(&runtime, || runtime.metrics().in_flight == 0);
        drop((peer, wakers));
    });
}

#[test]
fn the_time_between_turns_is_no_stall() {
    bounded(|| {
        let bound = Duration::from_millis(100);
        let runtime = Builder::new().stall_detector(bound).build().unwrap();
        let looks = |count| {
            let end = stall_looks() + count;
            spin_until("looks of the watchdog", || stall_looks() >= end);
        };
        looks(8);
        settle(&runtime);
        looks(8);
        assert_eq!(runtime.metrics().stalls, 0);
        // One that holds up a turn is.
        drive_to(&runtime, async {
            spin_until("the report", || metrics().stalls > 0);
        });
        let stalls = runtime.metrics().stalls;
        looks(8);
        assert_eq!(runtime.metrics().stalls, stalls);
    });
}

#[test]
fn turns_are_counted() {
    bounded(|| {
        let runtime = runtime();
        let before = runtime.metrics().ticks;
        for _ in 0..7 {
            let _ = runtime.run_once();
        }
        assert_eq!(runtime.metrics().ticks, before + 7);
    });
}
