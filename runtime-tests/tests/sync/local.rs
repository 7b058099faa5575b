//! For one core: locks, permits and signals, as tokio's documentation has them, and cancelled at each await.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use futures_util::FutureExt;
use saferring::sync::local::{Mutex, Notify, RwLock, Semaphore};
use saferring_tests::bounded;

use crate::{Count, block_on, drive, peek, poll};

#[test]
fn a_notify_tells_the_first_the_last_or_all() {
    bounded(|| {
        drive(async {
            let notify = Rc::new(Notify::new());
            // Kept once for who comes.
            notify.notify_one();
            notify.notify_one();
            notify.notified().await;
            assert_eq!(notify.notified().now_or_never(), None);

            let counts = [(); 3].map(|()| Count::new());
            let mut waiting = [(); 3].map(|()| Box::pin(notify.notified()));
            for (future, count) in waiting.iter_mut().zip(&counts) {
                assert!(poll(future, count).is_pending());
            }
            notify.notify_last();
            notify.notify_one();
            assert_eq!(counts.each_ref().map(|count| count.get()), [1, 0, 1]);
            let mut made = Box::pin(Rc::clone(&notify).notified_owned());
            notify.notify_waiters();
            assert!(waiting.iter_mut().all(|future| peek(future).is_ready()));
            // It counts for what was made and not polled.
            assert!(peek(&mut made).is_ready());
            assert!(peek(&mut made).is_ready());
            assert_eq!(notify.notified().now_or_never(), None);
        });
    });
}

#[test]
fn an_enabled_future_is_told_without_a_poll() {
    bounded(|| {
        block_on(async {
            let notify = Rc::new(Notify::default());
            let mut first = pin!(notify.notified());
            let mut second = pin!(Rc::clone(&notify).notified_owned());
            assert!(!first.as_mut().enable());
            assert!(!first.as_mut().enable());
            assert!(!second.as_mut().enable());
            notify.notify_one();
            assert!(first.as_mut().enable());
            assert!(!second.as_mut().enable());
            notify.notify_one();
            second.await;
            first.await;
        });
    });
}

#[test]
fn what_one_was_told_alone_is_told_to_the_next_if_it_is_gone() {
    bounded(|| {
        let notify = Notify::new();
        let count = Count::new();
        for last in [false, true] {
            let mut waiting = [(); 3].map(|()| Box::pin(notify.notified()));
            for future in &mut waiting {
                assert!(poll(future, &count).is_pending());
            }
            let [first, mut second, third] = waiting;
            if last {
                notify.notify_last();
                drop(third);
                assert!(peek(&mut second).is_ready());
                drop(first);
            } else {
                notify.notify_one();
                drop(first);
                assert!(peek(&mut second).is_ready());
                drop(third);
            }
        }
        // With nobody left it is kept.
        let mut only = Box::pin(notify.notified());
        assert!(peek(&mut only).is_pending());
        notify.notify_one();
        drop(only);
        assert!(notify.notified().now_or_never().is_some());
        // What all were told is not.
        let mut only = Box::pin(notify.notified());
        assert!(peek(&mut only).is_pending());
        notify.notify_waiters();
        drop(only);
        assert!(notify.notified().now_or_never().is_none());
    });
}

#[test]
fn a_semaphore_serves_in_order_however_many_are_asked_for() {
    bounded(|| {
        drive(async {
            let semaphore = Rc::new(Semaphore::new(3));
            let mut held = Rc::clone(&semaphore).try_acquire_many_owned(3).unwrap();
            assert_eq!(held.num_permits(), 3);
            let [three, one] = [Count::new(), Count::new()];
            let mut many = Box::pin(semaphore.acquire_many(3));
            let mut few = Box::pin(Rc::clone(&semaphore).acquire_owned());
            assert!(poll(&mut many, &three).is_pending());
            assert!(poll(&mut few, &one).is_pending());
            drop(held.split(1));
            drop(held.split(1));
            assert!(held.split(2).is_none());
            // Those are for the first, although the second asks for less.
            assert_eq!(semaphore.available_permits(), 0);
            assert!(semaphore.try_acquire().is_err());
            assert_eq!((three.get(), one.get()), (0, 0));
            // It gives up: what it had got goes to the next.
            drop(many);
            assert_eq!(one.get(), 1);
            assert_eq!(semaphore.available_permits(), 1);
            let mut got = few.await.unwrap();
            got.merge(held);
            assert_eq!(got.num_permits(), 2);
            assert!(Rc::ptr_eq(got.semaphore(), &semaphore));
            got.forget();
            assert_eq!(semaphore.available_permits(), 1);
            semaphore.add_permits(2);
            assert_eq!(semaphore.forget_permits(10), 3);
            assert_eq!(semaphore.forget_permits(1), 0);
            // None is always to be had.
            drop(semaphore.acquire_many(0).await.unwrap());
        });
    });
}

#[test]
fn borrowed_permits_are_parted_and_put_together() {
    bounded(|| {
        let semaphore = Semaphore::new(5);
        let mut one = semaphore.try_acquire_many(4).unwrap();
        let other = one.split(3).unwrap();
        assert_eq!((one.num_permits(), other.num_permits()), (1, 3));
        one.merge(other);
        assert!(std::ptr::eq(one.semaphore(), &semaphore));
        one.forget();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn a_closed_semaphore_gives_nothing_and_takes_everything_back() {
    bounded(|| {
        drive(async {
            let semaphore = Rc::new(Semaphore::new(3));
            let held = Rc::clone(&semaphore).acquire_many_owned(2).await.unwrap();
            let count = Count::new();
            // One got all that it asked for and has not seen it, the other a part.
            let mut served = Box::pin(semaphore.acquire_many(2));
            let mut part = Box::pin(semaphore.acquire_many(2));
            assert!(poll(&mut served, &count).is_pending());
            assert!(poll(&mut part, &count).is_pending());
            drop(held);
            assert_eq!(count.get(), 1);
            semaphore.close();
            assert_eq!(count.get(), 2);
            assert!(semaphore.is_closed());
            assert!(served.await.is_err());
            assert!(part.await.is_err());
            assert!(semaphore.acquire().await.is_err());
            assert!(semaphore.try_acquire().is_err());
            assert!(Rc::clone(&semaphore).try_acquire_owned().is_err());
            assert_eq!(semaphore.available_permits(), 3);
        });
    });
}

#[test]
fn tasks_take_turns_with_a_mutex_in_their_order() {
    bounded(|| {
        block_on(async {
            let mutex = Rc::new(Mutex::new(Vec::new()));
            let guard = mutex.lock().await;
            let tasks: Vec<_> = (0..10)
                .map(|n| {
                    let mutex = Rc::clone(&mutex);
                    saferring::spawn(async move {
                        if n % 2 == 0 {
                            let mut order = mutex.lock().await;
                            saferring::task::yield_now().await;
                            order.push(n);
                        } else {
                            let mut order = Rc::clone(&mutex).lock_owned().await;
                            saferring::task::yield_now().await;
                            order.with_mut(|order| order.push(n));
                        }
                    })
                })
                .collect();
            saferring::task::yield_now().await;
            assert!(mutex.try_lock().is_err());
            assert_eq!(format!("{mutex:?}"), "Mutex { data: <locked> }");
            drop(guard);
            for task in tasks {
                task.await.unwrap();
            }
            let guard = Rc::clone(&mutex).try_lock_owned().unwrap();
            assert!(guard.with(|order| order.iter().copied().eq(0..10)));
            assert!(Rc::clone(&mutex).try_lock_owned().is_err());
            assert!(Rc::ptr_eq(
                saferring::sync::local::OwnedMutexGuard::mutex(&guard),
                &mutex
            ));
            drop(guard);
            let mut mutex = Rc::into_inner(mutex).unwrap();
            mutex.get_mut().clear();
            assert!(mutex.into_inner().is_empty());
            assert_eq!(*Mutex::<u8>::default().lock().await, 0);
            assert_eq!(Mutex::from(1).into_inner(), 1);
            // Also of what has no size.
            let unsized_one: Rc<Mutex<[u8]>> = Rc::new(Mutex::new([1, 2]));
            assert_eq!(*unsized_one.lock().await, [1, 2]);
            assert_eq!(
                Rc::clone(&unsized_one).lock_owned().await.with(<[u8]>::len),
                2
            );
        });
    });
}

#[test]
fn a_lock_has_many_readers_or_one_writer_in_order() {
    bounded(|| {
        drive(async {
            let lock = Rc::new(RwLock::new(1));
            let one = lock.read().await;
            let other = Rc::clone(&lock).read_owned().await;
            assert_eq!((*one, other.with(|n| *n)), (1, 1));
            let [wrote, read] = [Count::new(), Count::new()];
            let mut writer = Box::pin(lock.write());
            let mut late = Box::pin(lock.read());
            assert!(poll(&mut writer, &wrote).is_pending());
            assert!(poll(&mut late, &read).is_pending());
            assert!(lock.try_read().is_err() && lock.try_write().is_err());
            assert!(Rc::clone(&lock).try_read_owned().is_err());
            assert!(Rc::clone(&lock).try_write_owned().is_err());
            drop((one, other));
            assert_eq!((wrote.get(), read.get()), (1, 0));
            let mut writer = writer.await;
            *writer += 1;
            // Nobody writes between what was written and what is read of it.
            let mut next = Box::pin(lock.write());
            assert!(peek(&mut next).is_pending());
            let reader = writer.downgrade();
            assert_eq!((*reader, *late.await), (2, 2));
            assert!(peek(&mut next).is_pending());
            drop(reader);
            drop(next.await);
            let mut owned = Rc::clone(&lock).write_owned().await;
            owned.with_mut(|n| *n += 1);
            assert_eq!(owned.with(|n| *n), 3);
            assert_eq!(format!("{owned:?}, {lock:?}"), "3, RwLock { data: 3 }");
            drop(owned);
            assert_eq!(Rc::clone(&lock).try_read_owned().unwrap().with(|n| *n), 3);
            Rc::clone(&lock)
                .try_write_owned()
                .unwrap()
                .with_mut(|n| *n = 4);
            *lock.try_write().unwrap() += 1;
            assert_eq!(*lock.try_read().unwrap(), 5);
            let mut lock = Rc::into_inner(lock).unwrap();
            *lock.get_mut() = 6;
            assert_eq!(lock.into_inner(), 6);
        });
    });
}

/// A writer that gives up lets the readers behind it in.
#[test]
fn a_writer_that_is_gone_holds_nobody_up() {
    bounded(|| {
        let lock = RwLock::from(());
        let reader = lock.try_read().unwrap();
        let count = Count::new();
        let mut writer = Box::pin(lock.write());
        let mut behind = [(); 3].map(|()| Box::pin(lock.read()));
        assert!(peek(&mut writer).is_pending());
        for future in &mut behind {
            assert!(poll(future, &count).is_pending());
        }
        drop(writer);
        assert_eq!(count.get(), 3);
        for future in &mut behind {
            assert!(peek(future).is_ready());
        }
        drop(reader);
        // Also one that had all it asked for.
        let reader = lock.try_read().unwrap();
        let mut writer = Box::pin(lock.write());
        let mut behind = Box::pin(lock.write());
        assert!(peek(&mut writer).is_pending());
        assert!(peek(&mut behind).is_pending());
        drop(reader);
        drop(writer);
        assert!(peek(&mut behind).is_ready());
    });
}

/// A waiter that is polled by another task is woken there.
#[test]
fn the_last_that_polled_is_woken() {
    bounded(|| {
        let [before, after] = [Count::new(), Count::new()];
        let semaphore = Semaphore::new(0);
        let notify = Notify::new();
        let (sender, mut receiver) = saferring::sync::local::oneshot::channel();
        let (many, mut values) = saferring::sync::local::mpsc::channel(1);
        let mut permit = Box::pin(semaphore.acquire());
        let mut told = Box::pin(notify.notified());
        let mut value = Box::pin(values.recv());
        for count in [&before, &before, &after] {
            assert!(poll(&mut permit, count).is_pending());
            assert!(poll(&mut told, count).is_pending());
            assert!(poll(&mut receiver, count).is_pending());
            assert!(poll(&mut value, count).is_pending());
        }
        semaphore.add_permits(1);
        notify.notify_one();
        sender.send(()).unwrap();
        many.try_send(()).unwrap();
        assert_eq!((before.get(), after.get()), (0, 4));
    });
}

/// As tokio's: it keeps its place, and what comes to it is lost; all others go on.
#[test]
fn what_is_forgotten_costs_what_it_had_and_no_more() {
    bounded(|| {
        let semaphore = Semaphore::new(0);
        let mut forgotten = Box::pin(semaphore.acquire());
        let mut next = Box::pin(semaphore.acquire());
        assert!(peek(&mut forgotten).is_pending());
        assert!(peek(&mut next).is_pending());
        std::mem::forget(forgotten);
        semaphore.add_permits(1);
        assert!(peek(&mut next).is_pending());
        semaphore.add_permits(1);
        assert!(peek(&mut next).is_ready());

        let mut mutex = Mutex::new(1);
        std::mem::forget(mutex.try_lock().unwrap());
        assert!(mutex.try_lock().is_err());
        assert!(peek(&mut Box::pin(mutex.lock())).is_pending());
        assert_eq!(*mutex.get_mut(), 1);
        assert_eq!(mutex.into_inner(), 1);
        let lock = RwLock::new(1);
        std::mem::forget(lock.try_read().unwrap());
        assert!(lock.try_read().is_ok() && lock.try_write().is_err());
        let shared = Rc::new(Mutex::new(1));
        std::mem::forget(Rc::clone(&shared).try_lock_owned().unwrap());
        assert!(shared.try_lock().is_err());
    });
}

/// They have no atomics, so no other thread may have them.
#[test]
fn nothing_of_it_is_send() {
    trait Ambiguous<A> {
        fn is_not_send() {}
    }
    impl<T: ?Sized> Ambiguous<()> for T {}
    impl<T: ?Sized + Send> Ambiguous<u8> for T {}
    macro_rules! not_send {
        ($($name:ty),*) => {
            // Which of the two is meant can be told only of what is not `Send`.
            $(<$name as Ambiguous<_>>::is_not_send();)*
        };
    }
    bounded(|| {
        use saferring::sync::local::{self, futures, mpsc, oneshot};
        not_send!(Notify, Semaphore, Mutex<u8>, RwLock<u8>);
        not_send!(futures::Notified<'_>, futures::OwnedNotified);
        not_send!(local::SemaphorePermit<'_>, local::OwnedSemaphorePermit);
        not_send!(local::MutexGuard<'_, u8>, local::OwnedMutexGuard<u8>);
        not_send!(
            local::RwLockReadGuard<'_, u8>,
            local::OwnedRwLockReadGuard<u8>
        );
        not_send!(
            local::RwLockWriteGuard<'_, u8>,
            local::OwnedRwLockWriteGuard<u8>
        );
        not_send!(oneshot::Sender<u8>, oneshot::Receiver<u8>);
        not_send!(mpsc::Sender<u8>, mpsc::Receiver<u8>, mpsc::WeakSender<u8>);
        not_send!(mpsc::Permit<'_, u8>, mpsc::OwnedPermit<u8>);
        not_send!(mpsc::UnboundedSender<u8>, mpsc::UnboundedReceiver<u8>);
    });
}

#[test]
fn they_work_to_the_end_of_their_thread() {
    struct Last(Rc<Notify>, Semaphore, Box<dyn FnOnce()>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.notify_one();
            self.1.add_permits(1);
            assert!(self.1.try_acquire().is_ok());
            std::mem::replace(&mut self.2, Box::new(|| ()))();
        }
    }
    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }
    bounded(|| {
        let count = Count::new();
        let counts = std::sync::Arc::clone(&count);
        std::thread::spawn(move || {
            let notify = Rc::new(Notify::new());
            let mut told = Box::pin(Rc::clone(&notify).notified_owned());
            // Made before all that the library keeps for the thread, it is dropped after that.
            LAST.set(Some(Last(
                notify,
                Semaphore::new(0),
                Box::new(move || assert!(peek(&mut told).is_pending())),
            )));
            let again = LAST.with_borrow(|last| last.as_ref().map(|last| Rc::clone(&last.0)));
            let mut waits = Box::pin(again.unwrap().notified_owned());
            assert!(poll(&mut waits, &counts).is_pending());
            LAST.with_borrow_mut(|last| {
                let last = last.as_mut().unwrap();
                let before = std::mem::replace(&mut last.2, Box::new(|| ()));
                last.2 = Box::new(move || {
                    assert!(peek(&mut waits).is_ready());
                    before();
                });
            });
        })
        .join()
        .unwrap();
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn a_panic_under_a_lock_unlocks_it() {
    bounded(|| {
        let mutex = Rc::new(Mutex::new(Cell::new(0)));
        let other = Rc::clone(&mutex);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let mut guard = other.try_lock_owned().unwrap();
            guard.with_mut(|_| panic!("told to"));
        }));
        assert!(caught.is_err());
        assert_eq!(mutex.try_lock().unwrap().get(), 0);
    });
}
