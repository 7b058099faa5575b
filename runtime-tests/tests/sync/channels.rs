//! Channels: those across cores and those for one core do the same; watch and broadcast.

use std::thread;

use saferring::sync::{broadcast, mpsc, oneshot, watch};
use saferring_tests::bounded;

use crate::{block_on, peek};

macro_rules! channels {
    ($name:ident, $sync:path) => {
        mod $name {
            use std::future::poll_fn;
            use std::task::Poll;

            use saferring_tests::bounded;
            use sync::mpsc::error::{TryRecvError, TrySendError};
            use sync::{mpsc, oneshot};
            use $sync as sync;

            use crate::{Count, block_on, peek, poll};

            #[test]
            fn values_come_in_order_and_the_end_after_them() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = mpsc::channel(2);
                        let other = sender.clone();
                        assert!(sender.same_channel(&other));
                        assert!(!sender.same_channel(&mpsc::channel(1).0));
                        let task = saferring::spawn(async move {
                            for n in 0..100 {
                                sender.send(n).await.unwrap();
                            }
                        });
                        for n in 0..100 {
                            assert_eq!(receiver.recv().await, Some(n));
                        }
                        task.await.unwrap();
                        other.try_send(100).unwrap();
                        other.try_send(101).unwrap();
                        assert_eq!(other.try_send(102), Err(TrySendError::Full(102)));
                        assert_eq!((receiver.len(), receiver.capacity()), (2, 0));
                        drop(other);
                        assert!(receiver.is_closed());
                        assert_eq!(receiver.try_recv(), Ok(100));
                        assert_eq!(poll_fn(|cx| receiver.poll_recv(cx)).await, Some(101));
                        assert_eq!(receiver.recv().await, None);
                        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
                    });
                });
            }

            #[test]
            fn many_values_come_at_once_behind_what_is_there() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = mpsc::channel(8);
                        let mut buffer = vec![0];
                        assert_eq!(receiver.recv_many(&mut buffer, 0).await, 0);
                        (1..=5).for_each(|n| sender.try_send(n).unwrap());
                        assert_eq!(receiver.recv_many(&mut buffer, 3).await, 3);
                        let rest = poll_fn(|cx| receiver.poll_recv_many(cx, &mut buffer, 100));
                        assert_eq!(rest.await, 2);
                        assert_eq!(buffer, [0, 1, 2, 3, 4, 5]);
                        assert_eq!(sender.capacity(), 8);
                        drop(sender);
                        assert_eq!(receiver.recv_many(&mut buffer, 3).await, 0);
                    });
                });
            }

            #[test]
            fn room_is_kept_and_given_up() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = mpsc::channel(3);
                        assert_eq!(sender.max_capacity(), 3);
                        let mut places = sender.reserve_many(2).await.unwrap();
                        assert_eq!(places.len(), 2);
                        places.next().unwrap().send(1);
                        drop(places);
                        let place = sender.try_reserve().unwrap();
                        let many = sender.try_reserve_many(1).unwrap();
                        assert!(sender.try_reserve().is_err());
                        assert!(sender.try_reserve_many(1).is_err());
                        drop((place, many));
                        let owned = sender.clone().reserve_owned().await.unwrap();
                        let other = sender.clone().try_reserve_owned().unwrap();
                        assert!(owned.same_channel(&other));
                        assert!(owned.same_channel_as_sender(&sender));
                        assert!(matches!(
                            sender.clone().try_reserve_owned(),
                            Err(TrySendError::Full(_))
                        ));
                        owned.send(2).try_send(3).unwrap_err();
                        other.release().try_send(3).unwrap();
                        assert!(sender.reserve_many(4).await.is_err());
                        assert!(sender.try_reserve_many(4).is_err());
                        for n in 1..=3 {
                            assert_eq!(receiver.recv().await, Some(n));
                        }
                        assert_eq!(receiver.max_capacity(), 3);
                        assert!(receiver.is_empty());
                    });
                });
            }

            #[test]
            fn a_sender_that_is_dropped_while_it_waits_gives_its_turn_on() {
                bounded(|| {
                    let (sender, mut receiver) = mpsc::channel(1);
                    sender.try_send(0).unwrap();
                    let [count, later] = [Count::new(), Count::new()];
                    let mut first = Box::pin(sender.send(1));
                    let mut second = Box::pin(sender.send(2));
                    let mut third = Box::pin(sender.reserve());
                    assert!(poll(&mut first, &count).is_pending());
                    assert!(poll(&mut second, &later).is_pending());
                    assert!(poll(&mut third, &later).is_pending());
                    assert_eq!(receiver.try_recv(), Ok(0));
                    assert_eq!((count.get(), later.get()), (1, 0));
                    assert!(sender.try_send(3).is_err());
                    drop(first);
                    assert_eq!(later.get(), 1);
                    assert!(peek(&mut second).is_ready());
                    assert!(peek(&mut third).is_pending());
                    drop(third);
                    assert_eq!(receiver.try_recv(), Ok(2));
                    assert_eq!(sender.capacity(), 1);
                });
            }

            #[test]
            fn a_closed_channel_gives_what_was_sent_and_what_room_is_kept_for() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = mpsc::channel(2);
                        let place = sender.reserve().await.unwrap();
                        sender.try_send(1).unwrap();
                        let mut waiting = Box::pin(sender.send(3));
                        assert!(peek(&mut waiting).is_pending());
                        let mut closed = Box::pin(sender.closed());
                        assert!(peek(&mut closed).is_pending());
                        receiver.close();
                        closed.await;
                        assert!(sender.is_closed());
                        assert_eq!(waiting.await.unwrap_err().0, 3);
                        assert_eq!(sender.send(3).await.unwrap_err().0, 3);
                        assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
                        assert!(sender.reserve().await.is_err());
                        assert!(sender.clone().reserve_owned().await.is_err());
                        assert!(sender.reserve_many(1).await.is_err());
                        assert!(matches!(
                            sender.clone().try_reserve_owned(),
                            Err(TrySendError::Closed(_))
                        ));
                        assert_eq!(receiver.recv().await, Some(1));
                        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                        place.send(2);
                        assert_eq!(receiver.recv().await, Some(2));
                        assert_eq!(receiver.recv().await, None);
                    });
                });
            }

            /// The receiver waits for a place in a closed channel that is given up.
            #[test]
            fn a_place_that_is_given_up_ends_a_closed_channel() {
                bounded(|| {
                    for how in 0..4 {
                        let (sender, mut receiver) = mpsc::channel::<u8>(2);
                        let count = Count::new();
                        let mut places = Box::pin(sender.reserve_many(2));
                        let owned = sender.clone().try_reserve_owned().unwrap();
                        if how == 3 {
                            // Has one of two, and waits.
                            assert!(peek(&mut places).is_pending());
                        }
                        receiver.close();
                        if how < 3 {
                            drop(places);
                        } else {
                            drop(owned);
                            let mut end = Box::pin(receiver.recv());
                            assert!(poll(&mut end, &count).is_pending());
                            drop(places);
                            assert!(count.get() > 0);
                            assert_eq!(peek(&mut end), Poll::Ready(None));
                            continue;
                        }
                        let mut end = Box::pin(receiver.recv());
                        assert!(poll(&mut end, &count).is_pending());
                        match how {
                            0 => drop(owned),
                            1 => drop(owned.release()),
                            _ => drop(owned.send(1)),
                        }
                        assert!(count.get() > 0, "{how}");
                        let expected = (how == 2).then_some(1);
                        assert_eq!(peek(&mut end), Poll::Ready(expected));
                    }
                });
            }

            #[test]
            fn weak_senders_keep_no_channel_open() {
                bounded(|| {
                    let (sender, mut receiver) = mpsc::channel::<u8>(1);
                    let weak = sender.downgrade();
                    let same = weak.clone().upgrade().unwrap();
                    assert!(same.same_channel(&sender));
                    assert_eq!((sender.strong_count(), sender.weak_count()), (2, 1));
                    assert_eq!((weak.strong_count(), weak.weak_count()), (2, 1));
                    assert_eq!(receiver.sender_strong_count(), 2);
                    assert_eq!(receiver.sender_weak_count(), 1);
                    drop((sender, same));
                    assert!(weak.upgrade().is_none());
                    assert_eq!(peek(&mut Box::pin(receiver.recv())), Poll::Ready(None));

                    let (sender, mut receiver) = mpsc::unbounded_channel::<u8>();
                    let weak = sender.downgrade();
                    let same = weak.clone().upgrade().unwrap();
                    assert!(same.same_channel(&sender));
                    assert_eq!((sender.strong_count(), sender.weak_count()), (2, 1));
                    assert_eq!((weak.strong_count(), weak.weak_count()), (2, 1));
                    drop((sender, same));
                    assert!(weak.upgrade().is_none());
                    assert_eq!(receiver.sender_strong_count(), 0);
                    assert_eq!(receiver.sender_weak_count(), 1);
                    assert!(receiver.is_closed());
                    assert_eq!(peek(&mut Box::pin(receiver.recv())), Poll::Ready(None));
                });
            }

            #[test]
            fn without_a_bound_nobody_waits_to_send() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = mpsc::unbounded_channel();
                        (0..1000).for_each(|n| sender.clone().send(n).unwrap());
                        assert_eq!(receiver.recv().await, Some(0));
                        let mut buffer = Vec::new();
                        assert_eq!(receiver.recv_many(&mut buffer, 10).await, 10);
                        assert_eq!(receiver.try_recv(), Ok(11));
                        let many = poll_fn(|cx| receiver.poll_recv_many(cx, &mut buffer, 1000));
                        assert_eq!(many.await, 988);
                        assert!(receiver.is_empty() && receiver.len() == 0);
                        sender.send(1).unwrap();
                        receiver.close();
                        sender.closed().await;
                        assert!(sender.is_closed());
                        assert_eq!(sender.send(2).unwrap_err().0, 2);
                        assert_eq!(poll_fn(|cx| receiver.poll_recv(cx)).await, Some(1));
                        assert_eq!(receiver.recv().await, None);
                    });
                });
            }

            #[test]
            fn one_value_or_none() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = oneshot::channel();
                        assert!(receiver.is_empty());
                        assert!(receiver.try_recv().is_err());
                        assert!(peek(&mut receiver).is_pending());
                        sender.send(1).unwrap();
                        assert!(!receiver.is_empty());
                        assert_eq!((&mut receiver).await, Ok(1));
                        assert!(receiver.is_terminated());
                        assert!(receiver.try_recv().is_err());
                        receiver.close();
                    });
                    let (sender, mut receiver) = oneshot::channel::<u8>();
                    let count = Count::new();
                    assert!(poll(&mut receiver, &count).is_pending());
                    drop(sender);
                    assert_eq!(count.get(), 1);
                    assert!(matches!(peek(&mut receiver), Poll::Ready(Err(_))));
                });
            }

            #[test]
            fn a_receiver_that_is_closed_or_gone_is_seen() {
                bounded(|| {
                    block_on(async {
                        let (sender, mut receiver) = oneshot::channel();
                        receiver.close();
                        assert_eq!(sender.send(1), Err(1));
                        assert!(receiver.await.is_err());

                        // Sent before it was closed.
                        let (sender, mut receiver) = oneshot::channel();
                        sender.send(1).unwrap();
                        receiver.close();
                        assert_eq!(receiver.try_recv(), Ok(1));
                    });
                    let (mut sender, receiver) = oneshot::channel();
                    assert!(!sender.is_closed());
                    assert!(peek(&mut Box::pin(sender.closed())).is_pending());
                    let count = Count::new();
                    let mut closed = Box::pin(sender.closed());
                    assert!(poll(&mut closed, &count).is_pending());
                    drop(receiver);
                    assert_eq!(count.get(), 1);
                    assert!(peek(&mut closed).is_ready());
                    drop(closed);
                    block_on(poll_fn(|cx| sender.poll_closed(cx)));
                    assert!(sender.is_closed());
                    assert_eq!(sender.send(1), Err(1));
                });
            }
        }
    };
}

channels!(across, saferring::sync);
channels!(local, saferring::sync::local);

#[test]
fn threads_send_to_a_task_and_a_task_to_a_thread() {
    bounded(|| {
        block_on(async {
            let (sender, mut receiver) = mpsc::channel(3);
            let threads: Vec<_> = (0..3)
                .map(|n| {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        (0..500).for_each(|m| sender.blocking_send((n, m)).unwrap());
                    })
                })
                .collect();
            drop(sender);
            let mut next = [0; 3];
            while let Some((n, m)) = receiver.recv().await {
                assert_eq!(next[n], m);
                next[n] += 1;
            }
            assert_eq!(next, [500; 3]);
            threads.into_iter().for_each(|it| it.join().unwrap());

            let (answer, answered) = oneshot::channel();
            let thread = thread::spawn(move || answered.blocking_recv());
            answer.send(1).unwrap();
            assert_eq!(thread.join().unwrap(), Ok(1));
        });
    });
}

#[test]
fn a_watch_shows_the_newest() {
    bounded(|| {
        block_on(async {
            let (sender, mut receiver) = watch::channel(1);
            let mut other = receiver.clone();
            assert!(other.same_channel(&receiver));
            assert!(sender.same_channel(&sender.clone()));
            assert!(peek(&mut Box::pin(receiver.changed())).is_pending());
            sender.send(2).unwrap();
            sender.send(3).unwrap();
            receiver.changed().await.unwrap();
            assert_eq!(*receiver.borrow(), 3);
            let found = receiver.wait_for(|&n| n == 3).await.unwrap();
            assert_eq!((*found, found.has_changed()), (3, false));
            drop(found);
            let found = other.wait_for(|&n| n == 3).await.unwrap();
            assert_eq!((*found, found.has_changed()), (3, true));
            drop(found);
            let late = sender.subscribe();
            assert!(!late.has_changed().unwrap());
            let thread = thread::spawn(move || (4..=9).for_each(|n| sender.send(n).unwrap()));
            assert_eq!(*receiver.wait_for(|&n| n == 9).await.unwrap(), 9);
            thread.join().unwrap();
            // The last value still counts, and nothing after it.
            assert_eq!(*other.wait_for(|&n| n == 9).await.unwrap(), 9);
            assert!(other.wait_for(|&n| n == 10).await.is_err());
            assert!(other.changed().await.is_err());

            let sender = watch::Sender::new(0);
            sender.closed().await;
            let receiver = sender.subscribe();
            let mut closed = Box::pin(sender.closed());
            assert!(peek(&mut closed).is_pending());
            drop(receiver);
            closed.await;
            assert_eq!(*watch::Sender::<u8>::default().borrow(), 0);
        });
    });
}

#[test]
fn a_broadcast_reaches_all_and_tells_who_is_late() {
    use broadcast::error::{RecvError, TryRecvError};

    bounded(|| {
        block_on(async {
            let (sender, mut receiver) = broadcast::channel(2);
            let mut other = sender.subscribe();
            assert!(other.same_channel(&receiver));
            assert!(sender.same_channel(&sender.clone()));
            let mut waits = Box::pin(receiver.recv());
            assert!(peek(&mut waits).is_pending());
            let thread = thread::spawn({
                let sender = sender.clone();
                move || sender.send(1).unwrap()
            });
            assert_eq!(waits.await, Ok(1));
            thread.join().unwrap();
            (2..=4).for_each(|n| assert!(sender.send(n).is_ok()));
            assert_eq!(other.recv().await, Err(RecvError::Lagged(2)));
            assert_eq!(other.recv().await, Ok(3));
            let mut late = other.resubscribe();
            assert_eq!(other.blocking_recv(), Ok(4));
            assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
            let weak = sender.downgrade();
            assert!(weak.clone().upgrade().unwrap().same_channel(&sender));
            drop(sender);
            assert!(weak.upgrade().is_none());
            assert_eq!(late.recv().await, Err(RecvError::Closed));

            let sender = broadcast::Sender::<u8>::new(1);
            sender.closed().await;
            let receiver = sender.subscribe();
            let mut closed = Box::pin(sender.closed());
            assert!(peek(&mut closed).is_pending());
            drop(receiver);
            closed.await;
        });
    });
}

#[test]
fn ends_of_tokios_are_ends_of_ours() {
    bounded(|| {
        block_on(async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let sender = mpsc::Sender::from(sender);
            sender.send(1).await.unwrap();
            assert_eq!(mpsc::Receiver::from(receiver).recv().await, Some(1));
            let _: tokio::sync::mpsc::Sender<u8> = sender.into();
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            mpsc::UnboundedSender::from(sender).send(1).unwrap();
            let mut receiver = mpsc::UnboundedReceiver::from(receiver);
            assert_eq!(receiver.recv().await, Some(1));
            let (sender, receiver) = oneshot::channel();
            tokio::sync::oneshot::Sender::from(sender).send(1).unwrap();
            assert_eq!(tokio::sync::oneshot::Receiver::from(receiver).await, Ok(1));
            let (sender, receiver) = watch::channel(1);
            let theirs = tokio::sync::watch::Receiver::from(receiver);
            tokio::sync::watch::Sender::from(sender).send(2).unwrap();
            assert_eq!(*theirs.borrow(), 2);
            let (sender, receiver) = broadcast::channel(1);
            let mut theirs = tokio::sync::broadcast::Receiver::from(receiver);
            sender.send(1).unwrap();
            assert_eq!(theirs.try_recv(), Ok(1));
        });
    });
}
