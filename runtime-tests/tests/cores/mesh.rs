//! `Mesh`: order, room, and the end.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use saferring::cores::{Core, Mesh, SendError};
use saferring::task::yield_now;
use saferring_tests::{bounded, poll_once};

use super::{Drops, Gate, all_done, builder, panic_text};

#[test]
fn messages_come_in_order_and_a_full_mailbox_is_waited_for() {
    for capacity in [0, 1, 3, 1000] {
        bounded(move || {
            let mesh = Mesh::<u32>::new(capacity);
            let cores = builder(2).build().unwrap();
            let received = cores.run(async |core: Core| {
                let other = 1 - core.id();
                let sender = {
                    let mesh = mesh.clone();
                    saferring::spawn(async move {
                        for n in 0..1000 {
                            mesh.send(other, n).await.unwrap();
                        }
                    })
                };
                let mut next = 0;
                while next < 1000 {
                    let (from, n) = mesh.recv().await.unwrap();
                    assert_eq!((from, n), (other, next));
                    next += 1;
                }
                sender.await.unwrap();
                io::Result::Ok(next)
            });
            assert_eq!(received.unwrap(), [1000; 2]);
        });
    }
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    for (asked, capacity) in [(0, 1), (1, 1), (2, 2), (100_000, 100_000)] {
        bounded(move || {
            let mesh = Mesh::<usize>::new(asked);
            let done = builder(2).build().unwrap().run(async |core: Core| {
                if core.id() == 0 {
                    // To another core and to itself.
                    for to in [0, 1] {
                        for n in 0..capacity {
                            mesh.try_send(to, n).unwrap();
                        }
                        let error = mesh.try_send(to, 77).unwrap_err();
                        assert_eq!(error, SendError::Full(77));
                        assert_eq!(error.into_inner(), 77);
                    }
                    let error = mesh.try_send(2, 78).unwrap_err();
                    assert_eq!(error, SendError::NoSuchCore(78));
                    assert_eq!(mesh.send(2, 79).await, Err(SendError::NoSuchCore(79)));
                    for n in 0..capacity {
                        assert_eq!(mesh.recv().await, Some((0, n)));
                    }
                    assert_eq!(mesh.try_recv(), None);
                    // Room comes back when they are taken.
                    for n in 0..capacity {
                        mesh.send(1, capacity + n).await.unwrap();
                    }
                } else {
                    for n in 0..2 * capacity {
                        assert_eq!(mesh.recv().await, Some((0, n)));
                    }
                }
                all_done(&core).await;
            });
            done.unwrap();
        });
    }
}

#[test]
fn there_may_be_room_for_more_than_can_be_counted() {
    bounded(|| {
        let mesh = Mesh::<usize>::new(usize::MAX);
        let cores = builder(2).requests(usize::MAX).build().unwrap();
        let done = cores.run(async |core: Core| {
            let other = 1 - core.id();
            mesh.send(other, core.id()).await.unwrap();
            assert_eq!(mesh.recv().await, Some((other, other)));
            assert_eq!(
                core.call(other, async |there| there.id()).await.unwrap(),
                other
            );
            all_done(&core).await;
        });
        done.unwrap();
    });
}

#[test]
fn a_message_to_a_core_that_has_ended_comes_back() {
    bounded(|| {
        let mesh = Mesh::<Box<u8>>::new(1);
        let late = Mesh::<u8>::new(1);
        let done = builder(3).build().unwrap().run(async |core: Core| {
            if core.id() == 1 {
                return;
            }
            if core.id() == 0 {
                // What waits for room hears of the end; before that one may go out.
                let error = loop {
                    match mesh.send(1, Box::new(5)).await {
                        Ok(()) => yield_now().await,
                        Err(error) => break error,
                    }
                };
                assert_eq!(error, SendError::Closed(Box::new(5)));
                let error = mesh.try_send(1, Box::new(6)).unwrap_err();
                assert_eq!(error, SendError::Closed(Box::new(6)));
                // Also of a mesh that nobody has used before.
                assert_eq!(late.send(1, 7).await, Err(SendError::Closed(7)));
                assert_eq!(format!("{error:?}"), "Closed(..)");
            }
            all_done_of_two(&core).await;
        });
        done.unwrap();
    });
}

/// Without core 1.
async fn all_done_of_two(core: &Core) {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    if DONE.fetch_add(1, Ordering::Relaxed) == 1 {
        DONE.store(0, Ordering::Relaxed);
        core.shutdown();
    }
    core.stopping().await;
}

#[test]
fn recv_ends_when_all_others_have_and_nothing_is_left() {
    bounded(|| {
        let mesh = Mesh::<usize>::new(4);
        let received = builder(3).build().unwrap().run(async |core: Core| {
            if core.id() > 0 {
                for n in 0..4 {
                    mesh.send(0, n).await.unwrap();
                }
                return io::Result::Ok(0);
            }
            let mut received = 0;
            while mesh.recv().await.is_some() {
                received += 1;
            }
            assert_eq!(mesh.recv().await, None);
            Ok(received)
        });
        assert_eq!(received.unwrap(), [8, 0, 0]);
    });
}

#[test]
fn senders_take_turns() {
    bounded(|| {
        let mesh = Mesh::<usize>::new(100);
        let gate = Gate::default();
        let done = builder(3).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                // Until all is there.
                gate.block();
                let (mut turns, mut before) = (0, 0);
                for n in 0..200 {
                    if n == 0 {
                        // Both have arrived by now: they were in the inbox before the first look.
                        yield_now().await;
                    }
                    let (from, _) = mesh.recv().await.unwrap();
                    turns += usize::from(from != before);
                    before = from;
                }
                assert!(turns >= 198, "{turns} turns");
            } else {
                for n in 0..100 {
                    mesh.try_send(0, n).unwrap();
                }
                // When this is sent, so is all before.
                static SENT: AtomicUsize = AtomicUsize::new(0);
                for _ in 0..3 {
                    let _ = saferring::op::nop().await;
                }
                if SENT.fetch_add(1, Ordering::AcqRel) % 2 == 1 {
                    gate.open();
                }
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}

#[test]
fn a_send_that_is_dropped_while_it_waits_has_not_been() {
    bounded(|| {
        let mesh = Mesh::<super::Dropped>::new(1);
        let numbers = Mesh::<usize>::new(1);
        let drops = Drops::default();
        let done = builder(2).build().unwrap().run(async |core: Core| {
            if core.id() == 0 {
                mesh.send(1, drops.thing()).await.unwrap();
                for n in 1..=10 {
                    let mut waiting = Box::pin(mesh.send(1, drops.thing()));
                    assert!(poll_once(&mut waiting).await.is_none());
                    drop(waiting);
                    assert_eq!(drops.count(), n);
                }
                numbers.send(1, 1).await.unwrap();
                // There is room for one, when the first is taken.
                mesh.send(1, drops.thing()).await.unwrap();
            } else {
                numbers.recv().await.unwrap();
                drop(mesh.recv().await.unwrap());
                drop(mesh.recv().await.unwrap());
                assert_eq!(drops.count(), 12);
            }
            all_done(&core).await;
        });
        done.unwrap();
        assert_eq!(drops.count(), 12);
    });
}

#[test]
fn a_recv_that_is_dropped_loses_nothing_and_several_receive() {
    bounded(|| {
        let mesh = Mesh::<usize>::new(7);
        let sums = builder(2).build().unwrap().run(async |core: Core| {
            let mut sum = 0;
            if core.id() == 0 {
                for n in 0..1000 {
                    mesh.send(1, n).await.unwrap();
                }
            } else {
                let receivers = (0..3).map(|receiver| {
                    let mesh = mesh.clone();
                    async move {
                        let (mut sum, mut polls) = (0, 0);
                        loop {
                            let mut next = Box::pin(mesh.recv());
                            polls += 1;
                            let found = match poll_once(&mut next).await {
                                // The others are dropped while they wait.
                                None if polls % 3 == receiver => next.await,
                                found => found.flatten(),
                            };
                            match found {
                                Some((_, n)) => sum += n,
                                None if mesh.is_over() => break sum,
                                None => yield_now().await,
                            }
                        }
                    }
                });
                sum = join_all(receivers).await.into_iter().sum();
            }
            io::Result::Ok(sum)
        });
        assert_eq!(sums.unwrap(), [0, 499_500]);
    });
}

trait IsOver {
    fn is_over(&self) -> bool;
}

impl IsOver for Mesh<usize> {
    /// Whether core 0 has ended and nothing is left.
    fn is_over(&self) -> bool {
        matches!(self.try_send(0, 0), Err(SendError::Closed(_)))
    }
}

#[test]
fn what_is_sent_in_one_turn_comes_in_one() {
    bounded(|| {
        let mesh = Mesh::<usize>::new(1000);
        let done = builder(2).build().unwrap().run(async |core: Core| {
            let ticks = || saferring::runtime::metrics().ticks;
            if core.id() == 0 {
                // Core 1 has its end, and sleeps.
                mesh.recv().await.unwrap();
                for n in 0..1000 {
                    mesh.try_send(1, n).unwrap();
                }
                mesh.recv().await.unwrap();
            } else {
                mesh.send(0, 0).await.unwrap();
                let before = ticks();
                for n in 0..1000 {
                    assert_eq!(mesh.recv().await, Some((0, n)));
                }
                let grown = ticks() - before;
                println!("{grown} ticks for 1,000 messages");
                // The budget of a task ends a turn now and then, a message does not.
                assert!(grown < 100, "{grown}");
                mesh.send(0, 0).await.unwrap();
            }
            all_done(&core).await;
        });
        done.unwrap();
    });
}

#[test]
fn outside_of_a_core_it_panics() {
    bounded(|| {
        let receive = || drop(Mesh::<String>::new(1).try_recv());
        let text = panic_text(std::panic::catch_unwind(receive).unwrap_err());
        assert!(text.starts_with("this thread is no core"), "{text}");
    });
}

#[test]
fn it_is_shown() {
    bounded(|| {
        let text = format!("{:?}", Mesh::<u8>::new(3));
        assert_eq!(text, "Mesh { capacity: 3, .. }");
    });
}
