//! What makes the descriptor readable: with poll(2) as with epoll(7), on rings of all setups.

use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use saferring::Feature;
use saferring::fs::File;
use saferring::net::UnixStream;
use saferring::op::nop;
use saferring::runtime::{AdvancedConfig, Builder, Handle, Runtime, Setup, spawn_blocking};
use saferring::sync::oneshot;
use saferring::time::sleep;
use saferring_tests::{bounded, rounds};

use crate::support::{
    By, FOREVER, becomes_readable, drive, drive_by, drive_to, echoes, is_readable, runtime, settle,
};

/// Rings of all kinds that can be had here.
fn all_kinds() -> Vec<Runtime> {
    let without = |features: &[Feature]| {
        let config = features
            .iter()
            .fold(AdvancedConfig::new(), |config, &one| config.disable(one));
        Builder::new().advanced(config)
    };
    let older = |kernel| {
        let config = AdvancedConfig::new().disable_newer_than(kernel).unwrap();
        Builder::new().advanced(config)
    };
    let builders = [
        Builder::new(),
        Builder::new().setup(Setup::Cooperative),
        Builder::new().setup(Setup::Plain),
        Builder::new().sqpoll(Duration::from_millis(1)),
        // Nothing in memory tells of work that waits for an enter.
        without(&[Feature::TaskrunFlag]),
        without(&[Feature::MessageWakes]),
        without(&[Feature::TaskrunFlag, Feature::MessageWakes]),
        // A software ring stands beside these.
        older("6.0"),
        older("5.19"),
        older("5.14"),
    ];
    builders.map(|builder| builder.build().unwrap()).into()
}

#[test]
fn fifty_connections_are_served_by_a_loop_on_poll() {
    bounded(|| {
        let runtime = runtime();
        let messages = rounds(40);
        let ticks = echoes(By::Poll, &runtime, 50, messages);
        // Each tick has taken in, or has submitted: it does not spin.
        let requests = 50 * messages as u64;
        assert!(ticks < 4 * requests + 1000, "{ticks} for {requests}");
        // Nor does it now.
        settle(&runtime);
        let before = runtime.metrics();
        for _ in 0..100 {
            assert!(!is_readable(&runtime));
        }
        assert_eq!(runtime.metrics(), before);
    });
}

#[test]
fn every_kind_of_ring_is_told_of() {
    bounded(|| {
        for by in [By::Poll, By::Edges] {
            for runtime in all_kinds() {
                echoes(by, &runtime, 3, 10);
                // From another thread alone, with nothing in flight.
                for _ in 0..20 {
                    let (sender, receiver) = oneshot::channel();
                    let thread = thread::spawn(move || sender.send(7).unwrap());
                    assert_eq!(drive_by(by, &runtime, receiver), Ok(7));
                    thread.join().unwrap();
                }
                let blocking = drive_by(by, &runtime, async { spawn_blocking(|| 8).await });
                assert_eq!(blocking.unwrap(), 8);
                drive_by(by, &runtime, sleep(Duration::from_millis(2)));
            }
        }
    });
}

/// Kernels put the signal of one eventfd off that comes of another's, and from 6.11 on once only.
#[test]
fn an_eventfd_of_the_programs_is_told_of_each_time() {
    bounded(|| {
        for runtime in all_kinds() {
            let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
            let file = std::fs::File::from(event.try_clone().unwrap());
            let mut file = File::from_std(file);
            for number in 1..=4_u64 {
                let read = runtime.spawn(async move {
                    let (read, value) = file.read(Vec::with_capacity(8)).await;
                    assert_eq!(read.unwrap(), 8);
                    (file, value)
                });
                settle(&runtime);
                let event = Arc::clone(&event);
                let thread = thread::spawn(move || {
                    rustix::io::write(&event, &number.to_ne_bytes()).unwrap();
                });
                drive(&runtime, || read.is_finished());
                thread.join().unwrap();
                let (back, value) = runtime.block_on(read).unwrap();
                assert_eq!(value, number.to_ne_bytes());
                file = back;
            }
        }
    });
}

#[test]
fn a_timer_is_told_by_its_deadline() {
    bounded(|| {
        let runtime = runtime();
        settle(&runtime);
        assert_eq!(runtime.next_deadline(), None);
        let began = Instant::now();
        let nap = Duration::from_millis(30);
        let task = runtime.spawn(sleep(nap));
        // It has not begun, and is to do so at once.
        assert!(runtime.next_deadline().unwrap() <= Instant::now());
        settle(&runtime);
        assert!(runtime.next_deadline().unwrap() >= began + nap);
        // A turn for the task, and some for a wheel of timers: nobody spins meanwhile.
        let waits = drive(&runtime, || task.is_finished());
        assert!(began.elapsed() >= nap);
        assert!(waits <= 5, "{waits} waits");
        settle(&runtime);
        assert_eq!(runtime.next_deadline(), None);
        assert!(!is_readable(&runtime));
    });
}

/// Thousands of times, so that the wake comes at every moment of a turn.
#[test]
fn no_wake_of_another_thread_is_lost() {
    bounded(|| {
        let runtime = runtime();
        for by in [By::Poll, By::Edges] {
            let (to_thread, requests) = mpsc::channel::<oneshot::Sender<usize>>();
            let thread = thread::spawn(move || {
                for (number, request) in requests.into_iter().enumerate() {
                    for _ in 0..number % 64 * 16 {
                        std::hint::spin_loop();
                    }
                    request.send(number).unwrap();
                }
            });
            let count = rounds(5000);
            drive_by(by, &runtime, async move {
                for number in 0..count {
                    let (sender, receiver) = oneshot::channel();
                    to_thread.send(sender).unwrap();
                    assert_eq!(receiver.await, Ok(number));
                }
            });
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_wake_makes_a_sleeping_poll_return() {
    bounded(|| {
        let runtime = runtime();
        for _ in 0..20 {
            let (sender, receiver) = oneshot::channel();
            let task = runtime.spawn(receiver);
            settle(&runtime);
            assert!(!task.is_finished() && !is_readable(&runtime));
            let poller = thread::spawn(move || sender.send(1).unwrap());
            becomes_readable(&runtime);
            poller.join().unwrap();
            drive(&runtime, || task.is_finished());
        }
    });
}

#[test]
fn jobs_and_calls_of_other_threads_come_in() {
    bounded(|| {
        let runtime = runtime();
        let sum = drive_to(&runtime, async {
            let mut sum = 0;
            for number in 0..50 {
                sum += spawn_blocking(move || number).await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 49 * 50 / 2);

        let handle = drive_to(&runtime, async { Handle::current() });
        settle(&runtime);
        let (tell, told) = oneshot::channel();
        let thread = thread::spawn(move || {
            let call = |number| {
                handle.run(move || async move {
                    nop().await.unwrap();
                    number * 2
                })
            };
            let answers = (0..50).map(|number| futures_executor::block_on(call(number)).unwrap());
            tell.send(answers.collect::<Vec<_>>()).unwrap();
        });
        let answers = drive_to(&runtime, told).unwrap();
        thread.join().unwrap();
        assert!(answers.into_iter().eq((0..50).map(|number| number * 2)));
    });
}

#[test]
fn with_nothing_to_do_it_is_not_readable() {
    bounded(|| {
        let runtime = runtime();
        let (stream, peer) = UnixStream::pair().unwrap();
        let stream = Rc::new(stream);
        let reader = Rc::clone(&stream);
        let read =
            runtime.spawn(async move { reader.read(Vec::with_capacity(8)).await.0.unwrap() });
        runtime.spawn(sleep(FOREVER));
        // Before anything was run it says so.
        assert!(is_readable(&runtime));
        settle(&runtime);
        for _ in 0..100 {
            assert!(!is_readable(&runtime));
            assert!(!runtime.run_once());
        }
        let enters = runtime.metrics().enters;
        assert!(!runtime.run_once());
        // Not for nothing.
        assert!(runtime.metrics().enters <= enters + 1);
        let peer = peer.into_std().unwrap();
        std::io::Write::write_all(&mut &peer, b"data").unwrap();
        becomes_readable(&runtime);
        drive(&runtime, || read.is_finished());
        assert_eq!(runtime.block_on(read).unwrap(), 4);
    });
}

/// A stream that nobody reads keeps nobody awake, though it has become readable.
#[test]
fn data_that_nobody_wants_is_no_work() {
    bounded(|| {
        let runtime = runtime();
        let (stream, peer) = UnixStream::pair().unwrap();
        let peer = peer.into_std().unwrap();
        std::io::Write::write_all(&mut &peer, b"a").unwrap();
        let stream = drive_to(&runtime, async move {
            assert_eq!(stream.read(Vec::with_capacity(1)).await.0.unwrap(), 1);
            let read = stream.read(Vec::with_capacity(1)).submit();
            nop().await.unwrap();
            drop(read);
            stream
        });
        std::io::Write::write_all(&mut &peer, b"more").unwrap();
        settle(&runtime);
        let ticks = runtime.metrics().ticks;
        for _ in 0..10 {
            assert!(!is_readable(&runtime));
        }
        assert_eq!(runtime.metrics().ticks, ticks);
        let read = async move { stream.read(Vec::with_capacity(8)).await.0.unwrap() };
        assert_eq!(drive_to(&runtime, read), 4);
    });
}

#[test]
fn the_descriptor_stays_the_same() {
    bounded(|| {
        let runtime = runtime();
        let fd = runtime.as_raw_fd();
        assert_eq!(runtime.try_as_fd().unwrap().as_raw_fd(), fd);
        runtime.block_on(async { nop().await.unwrap() });
        assert_eq!(runtime.as_fd().as_raw_fd(), fd);
    });
}
