//! One task of a core at a time.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::error::TryLockError;
use super::permits::Permits;

/// A value that one task of this core has at a time, also while it waits for something else. First come, first served.
///
/// What is locked over no `await` needs no more than a `RefCell`.
///
/// ```
/// use saferring::sync::local::Mutex;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let count = Mutex::new(0);
/// let mut guard = count.lock().await;
/// assert!(count.try_lock().is_err());
/// *guard += 1;
/// drop(guard);
/// assert_eq!(*count.lock().await, 1);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    permits: Permits,
    /// Borrowed by who has the permit.
    value: RefCell<T>,
}

impl<T> Mutex<T> {
    /// One that nobody has locked.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Mutex {
            permits: Permits::new(1),
            value: RefCell::new(value),
        }
    }

    /// The value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks it, as soon as nobody else has.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        // It is never closed.
        let _ = self.permits.take(1).await;
        self.guard()
    }

    /// Locks it, if nobody else has.
    ///
    /// # Errors
    ///
    /// If it is locked, or somebody waits for it.
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.permits.try_take(1).map_err(|_| TryLockError::new())?;
        Ok(self.guard())
    }

    /// Locks it; the guard has a share in the mutex.
    ///
    /// # Cancel safety
    ///
    /// The place in the line is lost.
    pub async fn lock_owned(self: Rc<Self>) -> OwnedMutexGuard<T> {
        // It is never closed.
        let _ = self.permits.take(1).await;
        OwnedMutexGuard { mutex: self }
    }

    /// Locks it, if nobody else has; the guard has a share in the mutex.
    ///
    /// # Errors
    ///
    /// If it is locked, or somebody waits for it.
    pub fn try_lock_owned(self: Rc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        self.permits.try_take(1).map_err(|_| TryLockError::new())?;
        Ok(OwnedMutexGuard { mutex: self })
    }

    /// The value, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            value: self.value.borrow_mut(),
            _held: Held(&self.permits),
        }
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mutex = f.debug_struct("Mutex");
        match self.value.try_borrow() {
            Ok(value) => mutex.field("data", &&*value),
            Err(_) => mutex.field("data", &format_args!("<locked>")),
        };
        mutex.finish()
    }
}

struct Held<'a>(&'a Permits);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

/// The lock: the value, until it is dropped. Forgotten, it stays locked.
#[must_use = "the mutex is unlocked when it is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    // In this order: the borrow ends before the next one is woken.
    value: RefMut<'a, T>,
    _held: Held<'a>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The lock with a share in its mutex, until it is dropped. The value is lent to a closure at a time, as safe code without atomics
/// cannot borrow from what it owns.
///
/// ```
/// use std::rc::Rc;
/// use saferring::sync::local::Mutex;
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let words = Rc::new(Mutex::new(vec!["one"]));
/// let mut guard = Rc::clone(&words).lock_owned().await;
/// guard.with_mut(|words| words.push("two"));
/// assert_eq!(guard.with(|words| words.len()), 2);
/// # });
/// ```
#[must_use = "the mutex is unlocked when it is dropped"]
pub struct OwnedMutexGuard<T: ?Sized> {
    mutex: Rc<Mutex<T>>,
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// Lends the value, and gives what the closure does.
    pub fn with<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.mutex.value.borrow())
    }

    /// Lends the value for changes, and gives what the closure does.
    pub fn with_mut<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        change(&mut self.mutex.value.borrow_mut())
    }

    /// What is locked.
    #[must_use]
    pub fn mutex(this: &Self) -> &Rc<Mutex<T>> {
        &this.mutex
    }
}

impl<T: ?Sized> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.permits.release(1);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| value.fmt(f))
    }
}
