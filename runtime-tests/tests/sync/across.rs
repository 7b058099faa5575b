//! Across cores: each type does what tokio's does, is shared with threads, and leads to tokio's and back.

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use futures_util::FutureExt;
use saferring::runtime::Runtime;
use saferring::sync::{
    Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, TryAcquireError,
};
use saferring_tests::{bounded, until};

use crate::{block_on, peek};

fn assert_send<T: Send + Sync>(value: T) -> T {
    value
}

#[test]
fn a_notify_tells_one_or_all() {
    bounded(|| {
        block_on(async {
            let notify = Arc::new(assert_send(Notify::new()));
            let mut first = pin!(notify.notified());
            let mut second = pin!(Arc::clone(&notify).notified_owned());
            assert!(!first.as_mut().enable());
            assert!(!second.as_mut().enable());
            notify.notify_one();
            assert!(first.as_mut().enable());
            assert_eq!(second.as_mut().now_or_never(), None);
            notify.notify_waiters();
            second.await;
            first.await;
            // Told alone, and gone: the next one is told.
            let mut dropped = Box::pin(notify.notified());
            let mut next = Box::pin(notify.notified());
            assert!(peek(&mut dropped).is_pending());
            assert!(peek(&mut next).is_pending());
            notify.notify_one();
            drop(dropped);
            assert!(peek(&mut next).is_ready());
        });
    });
}

#[test]
fn a_notify_is_told_by_a_thread() {
    bounded(|| {
        static NOTIFY: Notify = Notify::const_new();
        block_on(async {
            let told = saferring::spawn(NOTIFY.notified());
            thread::spawn(|| NOTIFY.notify_one()).join().unwrap();
            told.await.unwrap();
        });
    });
}

#[test]
fn a_semaphore_serves_in_order_and_its_permits_go_anywhere() {
    bounded(|| {
        block_on(async {
            let semaphore = Arc::new(assert_send(Semaphore::new(2)));
            let permit = Arc::clone(&semaphore).try_acquire_many_owned(2).unwrap();
            assert_eq!(
                Arc::clone(&semaphore).try_acquire_owned().unwrap_err(),
                TryAcquireError::NoPermits
            );
            let mut many = Box::pin(semaphore.acquire_many(2));
            let mut one = Box::pin(semaphore.acquire());
            assert!(peek(&mut many).is_pending());
            assert!(peek(&mut one).is_pending());
            thread::spawn(move || drop(permit)).join().unwrap();
            assert!(peek(&mut one).is_pending());
            let many = many.await.unwrap();
            assert!(peek(&mut one).is_pending());
            drop(many);
            drop(one);
            assert_eq!(semaphore.available_permits(), 2);
            let owned = Arc::clone(&semaphore).acquire_owned().await.unwrap();
            let mut waits = Box::pin(Arc::clone(&semaphore).acquire_many_owned(2));
            assert!(peek(&mut waits).is_pending());
            semaphore.close();
            assert!(waits.await.is_err());
            drop(owned);
            assert!(semaphore.acquire().await.is_err());
            assert!(semaphore.acquire_many(1).await.is_err());
        });
    });
}

#[test]
fn threads_take_turns_with_a_mutex() {
    bounded(|| {
        let mutex = Arc::new(assert_send(Mutex::new(0_u64)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || {
                    block_on(async {
                        for n in 0..500 {
                            if n % 2 == 0 {
                                *mutex.lock().await += 1;
                            } else {
                                *Arc::clone(&mutex).lock_owned().await += 1;
                            }
                        }
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|it| it.join().unwrap());
        assert_eq!(*mutex.blocking_lock(), 1500);
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 1500 }");
        let guard = Arc::clone(&mutex).try_lock_owned().unwrap();
        assert!(Arc::clone(&mutex).try_lock_owned().is_err());
        drop(guard);
        assert_eq!(Arc::into_inner(mutex).unwrap().into_inner(), 1500);
        static SHARED: Mutex<u8> = Mutex::const_new(7);
        assert_eq!(*SHARED.try_lock().unwrap(), 7);
        // Also of what has no size.
        let unsized_one: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2]));
        block_on(async {
            assert_eq!(*unsized_one.lock().await, [1, 2]);
            assert_eq!(*Arc::clone(&unsized_one).lock_owned().await, [1, 2]);
        });
    });
}

#[test]
fn a_lock_has_many_readers_or_one_writer() {
    bounded(|| {
        block_on(async {
            let lock = Arc::new(assert_send(RwLock::new(1)));
            let one = lock.read().await;
            let other = Arc::clone(&lock).read_owned().await;
            let mut writer = Box::pin(lock.write());
            assert!(peek(&mut writer).is_pending());
            // Behind the writer.
            let mut late = Box::pin(lock.read());
            assert!(peek(&mut late).is_pending());
            assert!(Arc::clone(&lock).try_read_owned().is_err());
            assert!(Arc::clone(&lock).try_write_owned().is_err());
            drop(one);
            drop(other);
            *writer.await += 1;
            assert_eq!(*late.await, 2);
            *Arc::clone(&lock).write_owned().await += 1;
            assert_eq!(*Arc::clone(&lock).try_read_owned().unwrap(), 3);
            *Arc::clone(&lock).try_write_owned().unwrap() += 1;
            assert_eq!(format!("{lock:?}"), "RwLock { data: 4 }");
            assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 4);
            static SHARED: RwLock<u8> = RwLock::const_new(7);
            assert_eq!(*SHARED.read().await, 7);
            let narrow = RwLock::with_max_readers((), 1);
            let _reader = narrow.read().await;
            assert!(narrow.try_read().is_err());
        });
    });
}

#[test]
fn a_barrier_waits_for_all_on_any_threads() {
    bounded(|| {
        let barrier = Arc::new(assert_send(Barrier::new(3)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || block_on(async move { barrier.wait().await.is_leader() }))
            })
            .collect();
        let leaders = threads.into_iter().map(|it| it.join().unwrap());
        assert_eq!(leaders.filter(|&leads| leads).count(), 1);
        assert!(block_on(async { Barrier::new(0).wait().await }).is_leader());
    });
}

#[test]
fn a_cell_is_filled_once_also_if_who_filled_it_is_gone() {
    bounded(|| {
        block_on(async {
            let cell = assert_send(OnceCell::const_new());
            let mut cancelled = Box::pin(cell.get_or_init(pending));
            assert!(peek(&mut cancelled).is_pending());
            let mut next = Box::pin(cell.get_or_init(|| ready(2)));
            assert!(peek(&mut next).is_pending());
            assert!(cell.set(3).unwrap_err().is_initializing_err());
            drop(cancelled);
            assert_eq!(next.await, &2);
            assert_eq!(cell.get(), Some(&2));
            assert!(cell.set(3).unwrap_err().is_already_init_err());
            assert_eq!(cell.clone(), cell);
            assert_eq!(cell.into_inner(), Some(2));

            let cell = OnceCell::new_with(None);
            assert_eq!(cell.get_or_try_init(|| ready(Err("no"))).await, Err("no"));
            assert_eq!(cell.get_or_try_init(|| ready(Ok::<_, ()>(4))).await, Ok(&4));
            assert_eq!(OnceCell::new_with(Some(1)).into_inner(), Some(1));
            assert_eq!(OnceCell::<u8>::new(), OnceCell::default());
        });
    });
}

#[test]
fn a_token_ends_its_children_and_not_its_parent() {
    bounded(|| {
        block_on(async {
            let parent = assert_send(CancellationToken::new());
            let child = parent.child_token();
            let other = parent.child_token();
            child.cancel();
            assert!(child.is_cancelled() && !parent.is_cancelled() && !other.is_cancelled());
            assert_eq!(child.run_until_cancelled(ready(1)).await, None);
            assert_eq!(other.run_until_cancelled(ready(1)).await, Some(1));
            let waits = saferring::spawn(other.clone().cancelled_owned());
            let runs = saferring::spawn(other.clone().run_until_cancelled_owned(pending::<()>()));
            assert_eq!(other.cancelled().now_or_never(), None);
            thread::spawn(move || parent.cancel()).join().unwrap();
            waits.await.unwrap();
            assert_eq!(runs.await.unwrap(), None);
            other.cancelled().await;
        });
    });
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    bounded(|| {
        let token = CancellationToken::new();
        let same = token.clone().drop_guard().disarm();
        token.drop_guard_ref().disarm();
        assert!(!token.is_cancelled());
        drop(token.drop_guard_ref());
        assert!(same.is_cancelled());
        let token = CancellationToken::new();
        drop(token.clone().drop_guard());
        assert!(token.is_cancelled());
    });
}

/// The same thing, seen by code that knows tokio's types alone.
#[test]
fn tokios_types_are_the_same() {
    bounded(|| {
        block_on(async {
            async fn told(notify: &tokio::sync::Notify) {
                notify.notified().await;
            }
            let notify: Notify = tokio::sync::Notify::new().into();
            notify.notify_one();
            told(&notify).await;
            let _: tokio::sync::Notify = notify.into();
            let semaphore: tokio::sync::Semaphore = Semaphore::const_new(1).into();
            assert_eq!(Semaphore::from(semaphore).available_permits(), 1);
            let mut mutex: Mutex<u8> = tokio::sync::Mutex::new(1).into();
            *mutex.get_mut() = 2;
            assert_eq!(tokio::sync::Mutex::<u8>::from(mutex).into_inner(), 2);
            let lock: RwLock<u8> = tokio::sync::RwLock::new(1).into();
            assert_eq!(tokio::sync::RwLock::<u8>::from(lock).into_inner(), 1);
            let barrier: Barrier = tokio::sync::Barrier::new(1).into();
            let _: tokio::sync::Barrier = barrier.into();
            let cell: OnceCell<u8> = tokio::sync::OnceCell::from(1_u8).into();
            assert_eq!(tokio::sync::OnceCell::<u8>::from(cell).get(), Some(&1));
            assert_eq!(Mutex::from(1).into_inner(), RwLock::from(1).into_inner());
            assert_eq!(OnceCell::from(1).get(), Some(&1));
            let token = CancellationToken::new();
            let theirs: tokio_util::sync::CancellationToken = token.clone().into();
            CancellationToken::from(theirs).cancel();
            assert!(token.is_cancelled());
        });
    });
}

/// What wakes a task is a thread, or a task of another runtime of the same thread.
#[test]
fn two_runtimes_of_a_thread_share_one() {
    bounded(|| {
        let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let notify = Arc::new(Notify::new());
        let mut told = Box::pin(notify.notified());
        one.block_on(async { assert!(peek(&mut told).is_pending()) });
        other.block_on(async { notify.notify_one() });
        one.block_on(told);
    });
}

#[test]
fn a_task_that_is_aborted_while_it_waits_takes_nothing() {
    bounded(|| {
        block_on(async {
            let semaphore = Arc::new(Semaphore::new(1));
            let held = semaphore.acquire().await.unwrap();
            let waiting = saferring::spawn({
                let semaphore = Arc::clone(&semaphore);
                async move { semaphore.acquire().await.map(drop) }
            });
            saferring::task::yield_now().await;
            drop(held);
            // It has the permit, and has not seen it.
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
            until("the permit", || semaphore.available_permits() == 1).await;
            let mutex = Mutex::new(());
            let guard = mutex.lock().await;
            let mut first = Box::pin(mutex.lock());
            let mut second = Box::pin(mutex.lock());
            assert!(peek(&mut first).is_pending());
            assert!(peek(&mut second).is_pending());
            drop(guard);
            drop(first);
            assert!(matches!(peek(&mut second), Poll::Ready(_)));
        });
    });
}
