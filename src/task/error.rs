//! Why a task gave no value.

use std::any::Any;
use std::error::Error;
use std::{fmt, io};

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send>;

/// Why a task gave no value: it was cancelled, or it panicked.
///
/// It turns into an [`io::Error`] of kind `Other` by `?`.
///
/// ```no_run
/// #[saferring::main]
/// async fn main() {
///     let handle = saferring::spawn(std::future::pending::<()>());
///     handle.abort();
///     assert!(handle.await.unwrap_err().is_cancelled());
/// }
/// ```
pub struct JoinError {
    panic: Option<Shareable>,
}

impl JoinError {
    pub(super) fn cancelled() -> Self {
        Self { panic: None }
    }

    pub(crate) fn panicked(payload: Payload) -> Self {
        Self {
            panic: Some(Shareable(payload)),
        }
    }

    /// Whether the task was aborted, or its runtime shut down.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Whether the task panicked, be it in its future or in the future's `Drop`.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// What the panic carried, to pass on by [`std::panic::resume_unwind`] or to look into.
    ///
    /// # Panics
    ///
    /// If the task was cancelled; [`try_into_panic`](Self::try_into_panic) does not.
    ///
    /// ```no_run
    /// #[saferring::main]
    /// async fn main() {
    ///     let error = saferring::spawn(async { panic!("boom") }).await.unwrap_err();
    ///     assert_eq!(error.into_panic().downcast_ref::<&str>(), Some(&"boom"));
    /// }
    /// ```
    #[track_caller]
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(_) => panic!("JoinError::into_panic called, but the task was cancelled"),
        }
    }

    /// What the panic carried.
    ///
    /// # Errors
    ///
    /// The error itself, if the task was cancelled.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self.panic {
            Some(Shareable(payload)) => Ok(payload),
            None => Err(self),
        }
    }

    fn message(&self) -> Option<&str> {
        self.panic.as_ref().and_then(Shareable::message)
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.message()) {
            (true, _) => f.write_str("the task was cancelled"),
            (false, Some(message)) => write!(f, "the task panicked: {message}"),
            (false, None) => f.write_str("the task panicked"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_cancelled(), self.message()) {
            (true, _) => f.write_str("JoinError::Cancelled"),
            (false, Some(message)) => write!(f, "JoinError::Panic({message:?})"),
            (false, None) => f.write_str("JoinError::Panic(..)"),
        }
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error)
    }
}

/// A payload that may be shared, because a shared one shows nothing but text.
struct Shareable(Payload);

// SAFETY: through `&Shareable` one can only call `message`. It asks the payload for its `TypeId`, which reads no
// data, and looks inside only when the payload is a `&'static str` or a `String`, both of which are `Sync`.
unsafe impl Sync for Shareable {}

impl Shareable {
    fn message(&self) -> Option<&str> {
        if let Some(text) = self.0.downcast_ref::<&'static str>() {
            return Some(text);
        }
        self.0.downcast_ref::<String>().map(String::as_str)
    }
}
