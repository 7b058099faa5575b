//! The least and the most of everything.

use std::panic::{AssertUnwindSafe, catch_unwind};

use saferring::sync::{Barrier, RwLock, Semaphore, broadcast, local, mpsc};
use saferring_tests::bounded;

use crate::block_on;

fn panics<R>(code: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(code()))).is_err()
}

#[test]
fn there_are_no_more_permits_than_there_can_be() {
    bounded(|| {
        let max = local::Semaphore::MAX_PERMITS;
        assert_eq!(max, Semaphore::MAX_PERMITS);
        assert!(panics(|| local::Semaphore::new(max + 1)));
        assert!(panics(|| Semaphore::new(max + 1)));
        let semaphore = local::Semaphore::new(max);
        assert!(panics(|| semaphore.add_permits(1)));
        assert!(panics(|| semaphore.add_permits(usize::MAX)));
        assert_eq!(semaphore.available_permits(), max);
        // Given back where there is no room for it, which a drop must not panic for.
        let permit = semaphore.try_acquire().unwrap();
        semaphore.add_permits(1);
        drop(permit);
        assert_eq!(semaphore.available_permits(), max);
        let most = semaphore.try_acquire_many(u32::MAX).unwrap();
        assert_eq!(semaphore.available_permits(), max - u32::MAX as usize);
        drop(most);
        block_on(async {
            drop(semaphore.acquire_many(u32::MAX).await.unwrap());
            let none = local::Semaphore::new(0);
            assert!(none.try_acquire().is_err());
            assert!(none.try_acquire_many(0).is_ok());
        });
    });
}

#[test]
fn permits_of_different_semaphores_are_not_mixed() {
    bounded(|| {
        let [one, other] = [local::Semaphore::new(1), local::Semaphore::new(1)];
        let mut permit = one.try_acquire().unwrap();
        assert!(panics(|| permit.merge(other.try_acquire().unwrap())));
        // Neither is lost by that.
        assert_eq!(other.available_permits(), 1);
        drop(permit);
        assert_eq!(one.available_permits(), 1);
        let [one, other] = [one, other].map(std::rc::Rc::new);
        let mut permit = std::rc::Rc::clone(&one).try_acquire_owned().unwrap();
        let of_other = std::rc::Rc::clone(&other).try_acquire_owned().unwrap();
        assert!(panics(|| permit.merge(of_other)));
        assert_eq!(other.available_permits(), 1);
    });
}

#[test]
fn channels_hold_from_one_value_to_the_most_there_can_be() {
    bounded(|| {
        let max = Semaphore::MAX_PERMITS;
        assert!(panics(|| mpsc::channel::<u8>(0)));
        assert!(panics(|| local::mpsc::channel::<u8>(0)));
        assert!(panics(|| mpsc::channel::<u8>(max + 1)));
        assert!(panics(|| local::mpsc::channel::<u8>(max + 1)));
        assert!(panics(|| broadcast::channel::<u8>(0)));
        assert!(panics(|| broadcast::Sender::<u8>::new(usize::MAX)));
        let (sender, mut receiver) = local::mpsc::channel(max);
        sender.try_send(1).unwrap();
        assert_eq!((sender.capacity(), sender.max_capacity()), (max - 1, max));
        assert_eq!(sender.try_reserve_many(max - 1).unwrap().len(), max - 1);
        assert!(sender.try_reserve_many(max).is_err());
        assert!(sender.try_reserve_many(0).is_ok());
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(sender.capacity(), max);
        // Values without a size need no memory.
        let (sender, mut receiver) = local::mpsc::unbounded_channel();
        (0..100_000).for_each(|_| sender.send(()).unwrap());
        assert_eq!(receiver.len(), 100_000);
        assert_eq!(receiver.try_recv(), Ok(()));
    });
}

#[test]
fn locks_let_in_as_many_readers_as_they_are_made_for() {
    bounded(|| {
        let most = u32::MAX >> 3;
        assert!(panics(|| RwLock::with_max_readers((), most + 1)));
        assert!(panics(|| local::RwLock::with_max_readers((), most + 1)));
        assert!(panics(|| local::RwLock::with_max_readers((), 0)));
        let lock = local::RwLock::with_max_readers((), 2);
        let readers = [lock.try_read().unwrap(), lock.try_read().unwrap()];
        assert!(lock.try_read().is_err());
        drop(readers);
        drop(lock.try_write().unwrap());
        let lock = local::RwLock::with_max_readers((), 1);
        let reader = lock.try_write().unwrap().downgrade();
        assert!(lock.try_read().is_err());
        drop(reader);
        assert!(lock.try_read().is_ok());
        assert!(!panics(|| Barrier::new(0)));
    });
}
