//! One value, from one task of a core to another.
//!
//! ```
//! use saferring::sync::local::oneshot;
//!
//! # saferring::runtime::Runtime::new().unwrap().block_on(async {
//! let (sender, receiver) = oneshot::channel();
//! saferring::spawn(async move { sender.send(6 * 7) });
//! assert_eq!(receiver.await, Ok(42));
//! # });
//! ```

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::waiting::Waiting;
use crate::task::{WakeRef, poll_proceed, spend};
use error::{RecvError, TryRecvError};

/// Why nothing was received.
pub mod error {
    pub use tokio::sync::oneshot::error::TryRecvError;

    /// The sender is gone without a value, or the receiver was closed before.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    #[error("channel closed")]
    pub struct RecvError(());

    impl RecvError {
        pub(super) fn new() -> Self {
            RecvError(())
        }
    }
}

/// A channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        stage: Cell::new(Stage::Open),
        is_closed: Cell::new(false),
        value: Cell::new(None),
        receiver: Waiting::default(),
        sender: Waiting::default(),
    });
    let sender = Sender {
        shared: Rc::clone(&shared),
    };
    let receiver = Receiver {
        shared: Some(shared),
    };
    (sender, receiver)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The sender has sent nothing yet.
    Open,
    /// There is a value.
    Sent,
    /// There will be none.
    Over,
}

/// Nothing of it is ever borrowed, so that drops and wakers may do what they like.
struct Shared<T> {
    stage: Cell<Stage>,
    /// The receiver takes nothing more.
    is_closed: Cell<bool>,
    value: Cell<Option<T>>,
    receiver: Waiting,
    sender: Waiting,
}

impl<T> Shared<T> {
    fn take(&self) -> Option<T> {
        if self.stage.get() == Stage::Sent {
            self.stage.set(Stage::Over);
        }
        self.value.take()
    }

    /// What the receiver is told, if it has not to wait.
    fn answer(&self) -> Option<Result<T, RecvError>> {
        match self.stage.get() {
            Stage::Sent => self.take().map(Ok),
            Stage::Over => Some(Err(RecvError::new())),
            Stage::Open => self.is_closed.get().then(|| Err(RecvError::new())),
        }
    }

    fn close(&self) {
        if !self.is_closed.replace(true) {
            self.sender.wake();
        }
    }
}

/// Sends one value.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the value. It never waits.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    pub fn send(self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        self.shared.value.set(Some(value));
        self.shared.stage.set(Stage::Sent);
        // The drop wakes the receiver.
        Ok(())
    }

    /// Whether the receiver is gone or closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.get()
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// There is nothing to lose.
    pub async fn closed(&mut self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Whether the receiver is gone or closed; if not, wakes the task when it is.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(poll_proceed(cx));
        if !self.is_closed() {
            if self.shared.sender.is_woken_by(cx) {
                return Poll::Pending;
            }
            let waker = WakeRef::new(cx.waker());
            // That may have run anything.
            if !self.is_closed() {
                self.shared.sender.set(Some(waker));
                return Poll::Pending;
            }
        }
        spend();
        Poll::Ready(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.stage.get() == Stage::Open {
            self.shared.stage.set(Stage::Over);
        }
        self.shared.receiver.wake();
        self.shared.sender.set(None);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Receives one value: it is a future.
///
/// # Panics
///
/// If it is polled after it was ready.
///
/// # Cancel safety
///
/// Polled through `&mut`, nothing is lost. A value that was sent is lost with the receiver.
#[must_use = "futures do nothing unless you await them"]
pub struct Receiver<T> {
    /// None once it has answered.
    shared: Option<Rc<Shared<T>>>,
}

impl<T> Receiver<T> {
    /// Takes nothing that is not sent yet. What was sent can still be received.
    pub fn close(&mut self) {
        if let Some(shared) = &self.shared {
            shared.close();
        }
    }

    /// The value, if it is there.
    ///
    /// # Errors
    ///
    /// If it is not there yet, or there will be none.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let Some(shared) = &self.shared else {
            return Err(TryRecvError::Closed);
        };
        let answer = match shared.answer() {
            None => return Err(TryRecvError::Empty),
            Some(answer) => answer.map_err(|_| TryRecvError::Closed),
        };
        self.shared = None;
        answer
    }

    /// Whether there is no value to be received now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_none_or(|shared| shared.stage.get() != Stage::Sent)
    }

    /// Whether it has answered, so that it must not be polled any more.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.shared.is_none()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(poll_proceed(cx));
        let Some(shared) = &self.shared else {
            panic!("polled after it was ready");
        };
        let mut answer = shared.answer();
        if answer.is_none() {
            if shared.receiver.is_woken_by(cx) {
                return Poll::Pending;
            }
            let waker = WakeRef::new(cx.waker());
            // That may have run anything.
            answer = shared.answer();
            if answer.is_none() {
                shared.receiver.set(Some(waker));
            }
        }
        let Some(answer) = answer else {
            return Poll::Pending;
        };
        spend();
        self.shared = None;
        Poll::Ready(answer)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.close();
            shared.receiver.set(None);
            // The user's drop comes last.
            drop(shared.take());
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}
