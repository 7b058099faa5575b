//! Values that belong to a task, as thread locals belong to a thread.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project::{pin_project, pinned_drop};

/// Declares task locals: statics of type [`task::LocalKey`](crate::task::LocalKey).
///
/// ```
/// saferring::task_local! {
///     /// The request that is being answered.
///     static REQUEST: u64;
/// }
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// async fn log(line: &str) -> String {
///     format!("[{}] {line}", REQUEST.get())
/// }
/// assert_eq!(REQUEST.scope(7, log("begins")).await, "[7] begins");
/// # });
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty);* $(;)?) => {$(
        $(#[$attr])*
        $vis static $name: $crate::task::LocalKey<$t> = {
            ::std::thread_local! {
                static VALUE: $crate::task::LocalSlot<$t> = const { $crate::task::LocalSlot::new() };
            }
            $crate::task::LocalKey::new(&VALUE)
        };
    )*};
}

/// Where a task local's value is while its future is polled. For [`task_local!`](crate::task_local).
#[doc(hidden)]
#[derive(Debug)]
pub struct LocalSlot<T>(RefCell<Option<T>>);

impl<T> LocalSlot<T> {
    #[doc(hidden)]
    pub const fn new() -> Self {
        LocalSlot(RefCell::new(None))
    }
}

/// A value for all that a future does: set by [`scope`](Self::scope), and looked at from anywhere within.
///
/// Tasks that are spawned within do not have it. Declared by [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    slot: &'static thread::LocalKey<LocalSlot<T>>,
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(slot: &'static thread::LocalKey<LocalSlot<T>>) -> Self {
        LocalKey { slot }
    }

    /// A future within which the value is set, also while it is dropped.
    ///
    /// # Panics
    ///
    /// When polled within [`with`](Self::with) of the same key.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> TaskLocalFuture<T, F> {
        TaskLocalFuture {
            key: self,
            value: Some(value),
            future: Some(future),
        }
    }

    /// Calls `f` with the value set.
    ///
    /// # Panics
    ///
    /// When called within [`with`](Self::with) of the same key; and with what `f` panics.
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut value = Some(value);
        self.entered(&mut value, f)
    }

    /// Gives the value to `f`.
    ///
    /// # Panics
    ///
    /// Where it is not set; [`try_with`](Self::try_with) does not panic.
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => {
                panic!("{error}: set it by LocalKey::scope around the future that asks for it")
            }
        }
    }

    /// Gives the value to `f`.
    ///
    /// # Errors
    ///
    /// Where it is not set.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let called = self.slot.try_with(|slot| {
            let value = slot.0.try_borrow().ok()?;
            value.as_ref().map(f)
        });
        called.ok().flatten().ok_or(AccessError(()))
    }

    /// A clone of the value.
    ///
    /// # Panics
    ///
    /// Where it is not set.
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// A clone of the value.
    ///
    /// # Errors
    ///
    /// Where it is not set.
    pub fn try_get(&'static self) -> Result<T, AccessError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// Calls `f` with `value` in place, and takes it out again, also if `f` panics.
    fn entered<R>(&'static self, value: &mut Option<T>, f: impl FnOnce() -> R) -> R {
        struct Left<'a, T: 'static>(&'static LocalKey<T>, &'a mut Option<T>);
        impl<T> Drop for Left<'_, T> {
            fn drop(&mut self) {
                self.0.swap(self.1);
            }
        }
        self.swap(value);
        let _left = Left(self, value);
        f()
    }

    fn swap(&'static self, value: &mut Option<T>) {
        // At the thread's end there may be no place any more; then it is not set.
        let _ = self.slot.try_with(|slot| match slot.0.try_borrow_mut() {
            Ok(mut current) => std::mem::swap(&mut *current, value),
            Err(_) => {
                panic!("a task local's scope was entered within `with` of the same task local")
            }
        });
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

/// A task local that is not set here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessError(());

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task local is not set")
    }
}

impl fmt::Debug for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessError")
    }
}

impl Error for AccessError {}

/// The future of [`LocalKey::scope`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project(PinnedDrop)]
pub struct TaskLocalFuture<T: 'static, F> {
    key: &'static LocalKey<T>,
    value: Option<T>,
    #[pin]
    future: Option<F>,
}

impl<T, F> TaskLocalFuture<T, F> {
    /// Takes the value out, after which the future goes on without.
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.key.entered(this.value, || {
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                panic!("a task local's scope was polled after it had completed");
            };
            let polled = future.poll(cx);
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        })
    }
}

#[pinned_drop]
impl<T, F> PinnedDrop for TaskLocalFuture<T, F> {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.future.is_some() {
            this.key.entered(this.value, || this.future.set(None));
        }
    }
}

impl<T, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocalFuture").finish_non_exhaustive()
    }
}
