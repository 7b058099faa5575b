//! What ends a future from within: a scope around it, and in it every operation that is begun.
//!
//! A future that is dropped takes the buffers with it that its operations have. One whose *scope* is cancelled goes on: its
//! operations are cancelled, those that it begins later are refused, and it ends as any async function ends whose operations
//! fail. The scope of a poll is known by thread; an operation joins it when it is begun, and stays in it wherever it is polled.
//!
//! This layer knows nothing of operations. It keeps who is to be woken when the scope is cancelled; they then ask why.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::ptr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use pin_project::pin_project;
use slab::Slab;

use super::wake_ref::WakeRef;

thread_local! {
    /// The innermost scope around the present poll, or null. It is set by `within` alone, which keeps what it points to.
    /// Constant and without a destructor, so that a look at it is one load.
    static CURRENT: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// Whether there is a scope around the present poll.
#[inline]
pub(crate) fn is_active() -> bool {
    !CURRENT.get().is_null()
}

/// Why a scope was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Somebody wanted it.
    #[cfg_attr(not(feature = "sync"), allow(dead_code))]
    Cancelled,
    /// Its time is over.
    Elapsed,
}

/// A scope. A clone is the same one.
#[derive(Clone)]
pub(crate) struct CancelScope(Rc<Inner>);

struct Inner {
    /// The scope around it, and the number that it has there.
    outer: Option<(CancelScope, usize)>,
    reason: Cell<Option<Reason>>,
    /// Asked whether it is to be cancelled by now, before an operation is begun.
    source: Source,
    /// Never borrowed while code of a user runs.
    members: RefCell<Slab<Member>>,
}

/// Says whether a scope is to be cancelled, as somebody on another thread wants it. Runs no code of a user.
type Source = Option<Box<dyn Fn() -> bool>>;

/// Who is to hear that a scope is cancelled.
enum Member {
    Waiter(WakeRef),
    Inner(Weak<Inner>),
}

impl CancelScope {
    /// A scope within the current one, if there is one: it is cancelled with that.
    pub(crate) fn new() -> Self {
        Self::with_source(None)
    }

    /// The same, of something that may have been cancelled before anybody is polled for it.
    pub(crate) fn with_source(source: Source) -> Self {
        CancelScope(Rc::new_cyclic(|inner| {
            let outer = Self::current();
            let reason = outer.as_ref().and_then(CancelScope::reason);
            Inner {
                outer: outer.map(|outer| {
                    let member = Member::Inner(Weak::clone(inner));
                    let key = outer.0.members.borrow_mut().insert(member);
                    (outer, key)
                }),
                reason: Cell::new(reason),
                source,
                members: RefCell::default(),
            }
        }))
    }

    /// The innermost scope around the present poll.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        let current = CURRENT.get();
        if current.is_null() {
            return None;
        }
        // SAFETY: `within` has put it there, of an `Rc` that it borrows until it takes it away again; so the count is not zero,
        // and one is added for the value that is made. It is this thread's, as the variable is.
        Some(CancelScope(unsafe {
            Rc::increment_strong_count(current);
            Rc::from_raw(current)
        }))
    }

    /// Why it was cancelled, if it was.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.0.reason.get()
    }

    /// The same, after those that it goes by were asked.
    pub(crate) fn reason_now(&self) -> Option<Reason> {
        let mut scope = Some(self);
        while let (None, Some(asked)) = (self.reason(), scope) {
            if asked.0.source.as_ref().is_some_and(|source| source()) {
                asked.cancel(Reason::Cancelled);
            }
            scope = asked.0.outer.as_ref().map(|(outer, _)| outer);
        }
        self.reason()
    }

    /// Cancels it, and all within, but for what was cancelled before.
    pub(crate) fn cancel(&self, reason: Reason) {
        let mut scopes = vec![self.clone()];
        let mut waiters = Vec::new();
        while let Some(scope) = scopes.pop() {
            if scope.reason().is_some() {
                continue;
            }
            scope.0.reason.set(Some(reason));
            for (_, member) in scope.0.members.borrow().iter() {
                match member {
                    Member::Waiter(waiter) => waiters.push(waiter.clone()),
                    Member::Inner(inner) => scopes.extend(inner.upgrade().map(CancelScope)),
                }
            }
        }
        // Foreign code, in the end.
        for waiter in waiters {
            waiter.wake();
        }
    }

    /// Runs `poll` within the scope.
    #[inline]
    pub(crate) fn run<R>(&self, poll: impl FnOnce() -> R) -> R {
        within(Rc::as_ptr(&self.0), poll)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some((outer, key)) = self.outer.take() {
            let _ended = outer.0.members.borrow_mut().try_remove(key);
        }
    }
}

/// Runs `poll` within a scope, which the caller borrows meanwhile, or within none.
#[inline]
fn within<R>(scope: *const Inner, poll: impl FnOnce() -> R) -> R {
    /// Restores what was before, also when the poll panics.
    struct Left(*const Inner);
    impl Drop for Left {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _left = Left(CURRENT.replace(scope));
    poll()
}

/// Runs `poll` within no scope.
pub(crate) fn outside<R>(poll: impl FnOnce() -> R) -> R {
    within(ptr::null(), poll)
}

/// A future whose polls are within a scope.
#[pin_project]
pub(crate) struct Within<F> {
    pub(crate) scope: CancelScope,
    #[pin]
    pub(crate) future: F,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.scope.run(|| this.future.poll(cx))
    }
}

/// A place in a scope: of an operation, or of a stream.
pub(crate) struct Place {
    scope: CancelScope,
    /// Where its waker is, if it has left one.
    key: Option<u32>,
}

impl Place {
    pub(crate) fn new(scope: CancelScope) -> Self {
        Place { scope, key: None }
    }

    pub(crate) fn is_in(&self, scope: &CancelScope) -> bool {
        Rc::ptr_eq(&self.scope.0, &scope.0)
    }

    /// Why the scope was cancelled, if it was.
    pub(crate) fn reason(&self) -> Option<Reason> {
        self.scope.reason()
    }

    /// The same, before something is begun.
    pub(crate) fn reason_now(&self) -> Option<Reason> {
        self.scope.reason_now()
    }

    /// Leaves a waker for when the scope is cancelled.
    pub(crate) fn watch(&mut self, waiter: WakeRef) {
        let waiter = Member::Waiter(waiter);
        let mut members = self.scope.0.members.borrow_mut();
        let before = match self.key {
            Some(key) => Some(std::mem::replace(&mut members[key as usize], waiter)),
            None => {
                // As many operations there cannot be.
                self.key = u32::try_from(members.insert(waiter)).ok();
                None
            }
        };
        drop(members);
        drop(before);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let left = self.scope.0.members.borrow_mut().try_remove(key as usize);
        drop(left);
    }
}

/// A future that the cancellation around it does not reach: for what has to be done in any case, as saying good bye.
///
/// Its operations are those of nobody's [`CancellationToken::run`](crate::sync::CancellationToken::run) and
/// [`time::deadline`](crate::time::deadline) outside of it; those within it are as ever. Dropping it cancels them.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::task::shielded;
/// use saferring::time::{Duration, deadline};
///
/// let done = deadline(Duration::ZERO, async {
///     saferring::time::sleep(Duration::from_millis(1)).await;
///     assert!(saferring::op::nop().await.is_err()); // the time is over
///     shielded(saferring::op::nop()).await
/// });
/// assert!(done.await.is_ok());
/// # });
/// ```
pub fn shielded<F: Future>(future: F) -> Shielded<F> {
    Shielded { future }
}

/// The future of [`shielded`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct Shielded<F> {
    #[pin]
    future: F,
}

impl<F: Future> Future for Shielded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        outside(|| this.future.poll(cx))
    }
}

/// Whether the operations of this future are cancelled from outside: by a
/// [`CancellationToken::run`](crate::sync::CancellationToken::run) or [`time::deadline`](crate::time::deadline) around it. For
/// loops that compute or wait for something else than an operation.
///
/// ```
/// assert!(!saferring::task::is_cancelled());
/// ```
#[must_use]
pub fn is_cancelled() -> bool {
    CancelScope::current().is_some_and(|scope| scope.reason_now().is_some())
}
