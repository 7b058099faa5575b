//! A value that is made once, by whoever needs it first.

use tokio::sync::SetError;

use super::newtype::{converts, derefs};
use crate::task::cooperative;

/// A value that is made when a task of any thread first needs it, by a future.
///
/// It is [`tokio::sync::OnceCell`], whose other methods it has: `get`, `get_mut`, `initialized`, `take`.
///
/// ```
/// use saferring::sync::OnceCell;
///
/// static ANSWER: OnceCell<u32> = OnceCell::const_new();
///
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(*ANSWER.get_or_init(async || 42).await, 42);
/// assert_eq!(*ANSWER.get_or_init(async || unreachable!()).await, 42);
/// assert!(ANSWER.set(1).is_err());
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceCell<T>(tokio::sync::OnceCell<T>);

derefs!([T] OnceCell<T>: tokio::sync::OnceCell<T>);
converts!([T] OnceCell [T]: tokio::sync::OnceCell<T>);

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        OnceCell(tokio::sync::OnceCell::from(value))
    }
}

impl<T> OnceCell<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        OnceCell(tokio::sync::OnceCell::new())
    }

    /// One with this value, if it is one.
    #[must_use]
    pub fn new_with(value: Option<T>) -> Self {
        OnceCell(tokio::sync::OnceCell::new_with(value))
    }

    /// An empty one, for a `static`.
    #[must_use]
    pub const fn const_new() -> Self {
        OnceCell(tokio::sync::OnceCell::const_new())
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// The value, if there is one already, or somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        self.0.set(value)
    }

    /// The value. If there is none it is made by `init`, or by somebody else's, who came first.
    ///
    /// # Cancel safety
    ///
    /// If this was making the value, the next that waits makes it.
    pub async fn get_or_init<F, Fut>(&self, init: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        cooperative(self.0.get_or_init(init)).await
    }

    /// [`get_or_init`](Self::get_or_init) by what may fail.
    ///
    /// # Errors
    ///
    /// What `init` fails with. The next that waits tries again.
    ///
    /// # Cancel safety
    ///
    /// As `get_or_init`.
    pub async fn get_or_try_init<E, F, Fut>(&self, init: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        cooperative(self.0.get_or_try_init(init)).await
    }

    /// The value, if there is one.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.0.into_inner()
    }
}
