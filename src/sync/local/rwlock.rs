//! Many tasks of a core that read, or one that writes.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::error::TryLockError;
use super::permits::Permits;

/// A value that many tasks of this core read, or one writes, also while they wait for something else. First come, first served:
/// who reads waits behind who waits to write.
///
/// ```
/// use saferring::sync::local::RwLock;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let list = RwLock::new(vec![1]);
/// {
///     let (one, other) = (list.read().await, list.read().await);
///     assert_eq!(*one, *other);
///     assert!(list.try_write().is_err());
/// }
/// list.write().await.push(2);
/// assert_eq!(*list.read().await, [1, 2]);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    permits: Permits,
    /// How many permits there are: who reads has one, who writes has all.
    max_reads: u32,
    /// Borrowed by who has permits.
    value: RefCell<T>,
}

impl<T> RwLock<T> {
    /// One that nobody has locked.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self::with_max_readers(value, u32::MAX >> 3)
    }

    /// One that so many may read at the same time.
    ///
    /// # Panics
    ///
    /// If that is 0, or more than `u32::MAX >> 3`.
    #[must_use]
    #[track_caller]
    pub const fn with_max_readers(value: T, max_reads: u32) -> Self {
        assert!(max_reads > 0, "nobody could lock it");
        assert!(max_reads <= u32::MAX >> 3, "more readers than there can be");
        RwLock {
            permits: Permits::new(max_reads as usize),
            max_reads,
            value: RefCell::new(value),
        }
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, when nobody writes, or has waited longer to write.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        self.take(1).await;
        self.reads()
    }

    /// Locks it for writing, when nobody else has it.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.take(self.max_reads).await;
        self.writes()
    }

    /// Locks it for reading, if that can be had now.
    ///
    /// # Errors
    ///
    /// If somebody writes, or waits for it.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.try_take(1)?;
        Ok(self.reads())
    }

    /// Locks it for writing, if that can be had now.
    ///
    /// # Errors
    ///
    /// If somebody else has it.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.try_take(self.max_reads)?;
        Ok(self.writes())
    }

    /// [`read`](Self::read); the guard has a share in the lock.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn read_owned(self: Rc<Self>) -> OwnedRwLockReadGuard<T> {
        self.take(1).await;
        OwnedRwLockReadGuard { lock: self }
    }

    /// [`write`](Self::write); the guard has a share in the lock.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn write_owned(self: Rc<Self>) -> OwnedRwLockWriteGuard<T> {
        self.take(self.max_reads).await;
        OwnedRwLockWriteGuard { lock: self }
    }

    /// [`try_read`](Self::try_read); the guard has a share in the lock.
    ///
    /// # Errors
    ///
    /// If somebody writes, or waits for it.
    pub fn try_read_owned(self: Rc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        self.try_take(1)?;
        Ok(OwnedRwLockReadGuard { lock: self })
    }

    /// [`try_write`](Self::try_write); the guard has a share in the lock.
    ///
    /// # Errors
    ///
    /// If somebody else has it.
    pub fn try_write_owned(self: Rc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        self.try_take(self.max_reads)?;
        Ok(OwnedRwLockWriteGuard { lock: self })
    }

    /// The value, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    async fn take(&self, permits: u32) {
        // It is never closed.
        let _ = self.permits.take(permits as usize).await;
    }

    fn try_take(&self, permits: u32) -> Result<(), TryLockError> {
        let taken = self.permits.try_take(permits as usize);
        taken.map_err(|_| TryLockError::new())
    }

    fn reads(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard {
            value: self.value.borrow(),
            _held: Held {
                permits: &self.permits,
                n: 1,
            },
        }
    }

    fn writes(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard {
            value: self.value.borrow_mut(),
            held: Held {
                permits: &self.permits,
                n: self.max_reads,
            },
            lock: self,
        }
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RwLock");
        match self.value.try_borrow() {
            Ok(value) => lock.field("data", &&*value),
            Err(_) => lock.field("data", &format_args!("<locked>")),
        };
        lock.finish()
    }
}

struct Held<'a> {
    permits: &'a Permits,
    n: u32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.permits.release(self.n as usize);
    }
}

/// The lock for reading, until it is dropped. Forgotten, it stays locked.
#[must_use = "the lock ends when it is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // In this order: the borrow ends before the next one is woken.
    value: Ref<'a, T>,
    _held: Held<'a>,
}

/// The lock for writing, until it is dropped. Forgotten, it stays locked.
#[must_use = "the lock ends when it is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // In this order: the borrow ends before the next ones are woken.
    value: RefMut<'a, T>,
    held: Held<'a>,
    lock: &'a RwLock<T>,
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// From now on only for reading, with others that read. Nobody writes in between.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        let RwLockWriteGuard {
            value,
            mut held,
            lock,
        } = self;
        drop(value);
        let value = lock.value.borrow();
        let kept = Held {
            permits: held.permits,
            n: 1,
        };
        held.n -= 1;
        RwLockReadGuard { value, _held: kept }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The lock for reading with a share in it, until it is dropped. As [`OwnedMutexGuard`](super::OwnedMutexGuard) it lends the value
/// to closures.
#[must_use = "the lock ends when it is dropped"]
pub struct OwnedRwLockReadGuard<T: ?Sized> {
    lock: Rc<RwLock<T>>,
}

/// The lock for writing with a share in it, until it is dropped. As [`OwnedMutexGuard`](super::OwnedMutexGuard) it lends the value
/// to closures.
#[must_use = "the lock ends when it is dropped"]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    lock: Rc<RwLock<T>>,
}

impl<T: ?Sized> OwnedRwLockReadGuard<T> {
    /// Lends the value, and gives what the closure does.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock.value.borrow())
    }
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Lends the value, and gives what the closure does.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock.value.borrow())
    }

    /// Lends the value for changes, and gives what the closure does.
    pub fn with_mut<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.lock.value.borrow_mut())
    }
}

impl<T: ?Sized> Drop for OwnedRwLockReadGuard<T> {
    fn drop(&mut self) {
        self.lock.permits.release(1);
    }
}

impl<T: ?Sized> Drop for OwnedRwLockWriteGuard<T> {
    fn drop(&mut self) {
        self.lock.permits.release(self.lock.max_reads as usize);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockReadGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| value.fmt(f))
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedRwLockWriteGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| value.fmt(f))
    }
}
