//! What is ready again and again lets the others have their turn.

use std::cell::RefCell;
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use saferring::sync::{
    Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, local, mpsc,
    oneshot, watch,
};
use saferring::time::sleep;
use saferring_tests::bounded;

use crate::block_on;

/// Does `step` for ever, beside a timer and an operation, which must not wait for its end.
fn others_have_their_turn(step: impl AsyncFnMut() + 'static) {
    block_on(async move {
        let mut step = step;
        let busy = saferring::spawn(async move {
            loop {
                step().await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        saferring::op::nop().await.unwrap();
        busy.abort();
        assert!(busy.await.unwrap_err().is_cancelled());
    });
}

/// The same, beside a thread that does `work` for as long.
fn beside(work: impl Fn() + Send + 'static, step: impl AsyncFnMut() + 'static) {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let thread = thread::spawn(move || {
        while !end.load(Ordering::Relaxed) {
            work();
        }
        // What it shares is dropped by who joins: the thread sanitizer does not see how the last owner comes to know of the others.
        work
    });
    others_have_their_turn(step);
    ended.store(true, Ordering::Relaxed);
    drop(thread.join().unwrap());
}

#[test]
fn a_thread_that_keeps_a_channel_full_holds_nobody_up() {
    bounded(|| {
        let (sender, mut receiver) = mpsc::channel(1024);
        beside(
            move || _ = sender.try_send(()),
            async move || receiver.recv().await.unwrap(),
        );
        let (sender, mut receiver) = mpsc::channel(1024);
        let mut buffer = Vec::new();
        beside(
            move || _ = sender.try_send(()),
            async move || {
                buffer.clear();
                receiver.recv_many(&mut buffer, 1).await;
            },
        );
        let (sender, mut receiver) = broadcast::channel(1024);
        beside(
            move || drop(sender.send(())),
            async move || drop(receiver.recv().await),
        );
        let (sender, mut receiver) = watch::channel(0_u64);
        beside(
            move || sender.send_modify(|n| *n += 1),
            async move || receiver.changed().await.unwrap(),
        );
        let (sender, mut receiver) = watch::channel(0_u64);
        beside(
            move || sender.send_modify(|n| *n += 1),
            async move || drop(receiver.wait_for(|&n| n == u64::MAX).await),
        );
    });
}

#[test]
fn a_thread_that_tells_again_and_again_holds_nobody_up() {
    bounded(|| {
        let notify = Arc::new(Notify::new());
        let teller = Arc::clone(&notify);
        beside(
            move || teller.notify_one(),
            async move || notify.notified().await,
        );
        let semaphore = Arc::new(Semaphore::new(0));
        let giver = Arc::clone(&semaphore);
        beside(
            move || {
                if giver.available_permits() < 1024 {
                    giver.add_permits(1);
                }
            },
            async move || semaphore.acquire().await.unwrap().forget(),
        );
        let mutex = Arc::new(Mutex::new(()));
        let other = Arc::clone(&mutex);
        beside(
            move || drop(other.blocking_lock()),
            async move || drop(mutex.lock().await),
        );
    });
}

#[test]
fn channels_that_are_always_ready_hold_nobody_up() {
    bounded(|| {
        let (sender, mut receiver) = mpsc::channel(1);
        others_have_their_turn(async move || {
            sender.send(1).await.unwrap();
            assert_eq!(receiver.recv().await, Some(1));
        });
        let (sender, _receiver) = mpsc::channel::<()>(1);
        others_have_their_turn(async move || drop(sender.reserve().await.unwrap()));
        let (sender, _receiver) = mpsc::channel::<()>(1);
        others_have_their_turn(async move || drop(sender.reserve_many(1).await.unwrap()));
        let (sender, _receiver) = mpsc::channel::<()>(1);
        others_have_their_turn(async move || drop(sender.clone().reserve_owned().await.unwrap()));
        let (sender, receiver) = mpsc::channel::<()>(1);
        drop(receiver);
        others_have_their_turn(async move || sender.closed().await);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        others_have_their_turn(async move || {
            sender.send(1).unwrap();
            assert_eq!(receiver.recv().await, Some(1));
        });
        let (sender, mut receiver) = mpsc::unbounded_channel();
        others_have_their_turn(async move || {
            sender.send(1).unwrap();
            let mut buffer = Vec::new();
            assert_eq!(receiver.recv_many(&mut buffer, 4).await, 1);
        });
        let (sender, receiver) = mpsc::unbounded_channel::<()>();
        drop(receiver);
        others_have_their_turn(async move || sender.closed().await);
        others_have_their_turn(async || {
            let (sender, receiver) = oneshot::channel();
            sender.send(1).unwrap();
            assert_eq!(receiver.await, Ok(1));
        });
        others_have_their_turn(async || oneshot::channel::<()>().0.closed().await);
        let (sender, receiver) = watch::channel(());
        drop(receiver);
        others_have_their_turn(async move || sender.closed().await);
        let (_sender, mut receiver) = watch::channel(());
        others_have_their_turn(async move || drop(receiver.wait_for(|()| true).await.unwrap()));
        let (sender, mut receiver) = broadcast::channel(1);
        others_have_their_turn(async move || {
            sender.send(1).unwrap();
            assert_eq!(receiver.recv().await, Ok(1));
        });
        let (sender, receiver) = broadcast::channel::<()>(1);
        drop(receiver);
        others_have_their_turn(async move || sender.closed().await);
    });
}

#[test]
fn locks_that_are_always_free_hold_nobody_up() {
    bounded(|| {
        let mutex = Arc::new(Mutex::new(()));
        let one = Arc::clone(&mutex);
        others_have_their_turn(async move || drop(one.lock().await));
        others_have_their_turn(async move || drop(Arc::clone(&mutex).lock_owned().await));
        let lock = Arc::new(RwLock::new(()));
        let one = Arc::clone(&lock);
        others_have_their_turn(async move || drop(one.read().await));
        let one = Arc::clone(&lock);
        others_have_their_turn(async move || drop(one.write().await));
        let one = Arc::clone(&lock);
        others_have_their_turn(async move || drop(Arc::clone(&one).read_owned().await));
        others_have_their_turn(async move || drop(Arc::clone(&lock).write_owned().await));
        let semaphore = Arc::new(Semaphore::new(2));
        let one = Arc::clone(&semaphore);
        others_have_their_turn(async move || drop(one.acquire().await.unwrap()));
        let one = Arc::clone(&semaphore);
        others_have_their_turn(async move || drop(one.acquire_many(2).await.unwrap()));
        let one = Arc::clone(&semaphore);
        others_have_their_turn(async move || {
            drop(Arc::clone(&one).acquire_owned().await.unwrap());
        });
        others_have_their_turn(async move || {
            drop(Arc::clone(&semaphore).acquire_many_owned(2).await.unwrap());
        });
        let barrier = Barrier::new(1);
        others_have_their_turn(async move || assert!(barrier.wait().await.is_leader()));
        let cell = OnceCell::new();
        others_have_their_turn(async move || assert_eq!(*cell.get_or_init(|| ready(1)).await, 1));
        let cell = OnceCell::new();
        others_have_their_turn(async move || {
            assert_eq!(cell.get_or_try_init(|| ready(Ok::<_, ()>(1))).await, Ok(&1));
        });
        let token = CancellationToken::new();
        token.cancel();
        let one = token.clone();
        others_have_their_turn(async move || one.cancelled().await);
        let one = token.clone();
        others_have_their_turn(async move || one.clone().cancelled_owned().await);
        let one = token.clone();
        others_have_their_turn(async move || _ = one.run_until_cancelled(ready(())).await);
        others_have_their_turn(async move || {
            let _ = token.clone().run_until_cancelled_owned(ready(())).await;
        });
        let notify = Arc::new(Notify::new());
        others_have_their_turn(async move || {
            notify.notify_one();
            Arc::clone(&notify).notified_owned().await;
        });
    });
}

#[test]
fn what_is_local_and_always_ready_holds_nobody_up() {
    bounded(|| {
        let (sender, mut receiver) = local::mpsc::channel(1);
        others_have_their_turn(async move || {
            sender.send(1).await.unwrap();
            assert_eq!(receiver.recv().await, Some(1));
        });
        let (sender, receiver) = local::mpsc::unbounded_channel::<()>();
        let mut buffer = Vec::new();
        let receiver = Rc::new(RefCell::new(Some(receiver)));
        let other = Rc::clone(&receiver);
        let one = sender.clone();
        others_have_their_turn(async move || {
            one.send(()).unwrap();
            let mut receiver = receiver.take().unwrap();
            receiver.recv_many(&mut buffer, 4).await;
            drop(other.replace(Some(receiver)));
        });
        others_have_their_turn(async move || sender.closed().await);
        others_have_their_turn(async || {
            let (sender, receiver) = local::oneshot::channel();
            sender.send(1).unwrap();
            assert_eq!(receiver.await, Ok(1));
        });
        others_have_their_turn(async || local::oneshot::channel::<()>().0.closed().await);
        let notify = local::Notify::new();
        others_have_their_turn(async move || {
            notify.notify_one();
            notify.notified().await;
        });
        let semaphore = local::Semaphore::new(1);
        others_have_their_turn(async move || drop(semaphore.acquire().await.unwrap()));
        let mutex = local::Mutex::new(());
        others_have_their_turn(async move || drop(mutex.lock().await));
        let lock = local::RwLock::new(());
        others_have_their_turn(async move || {
            drop(lock.read().await);
            drop(lock.write().await);
        });
    });
}

/// A turn's budget is taken from once for each.
#[test]
fn each_takes_one_from_the_budget() {
    bounded(|| {
        block_on(async {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            let (nearer, mut near) = local::mpsc::unbounded_channel();
            (0..300).for_each(|n| sender.send(n).unwrap());
            (0..300).for_each(|n| nearer.send(n).unwrap());
            saferring::task::yield_now().await;
            let mut taken = 0;
            while saferring::task::has_budget_remaining() {
                assert_eq!(receiver.recv().await, Some(taken));
                assert_eq!(near.recv().await, Some(taken));
                taken += 1;
            }
            assert_eq!(taken, 64);
        });
    });
}
