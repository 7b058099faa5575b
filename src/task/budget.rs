//! How much a task takes in one turn before it lets the others have theirs.
//!
//! What is to be had without waiting does not end a turn: a task that receives from a channel which another thread keeps
//! full would hold up everything else of its thread. So each turn has a budget. Whatever may be ready at once for ever
//! (channels and locks, the chunks of a stream, the answers of tasks) takes one from it, and when it is used up says
//! that it has to wait, after it has woken the task: which goes on when the others, the sockets and the timers had their turn.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project::pin_project;

/// What a turn begins with. tokio's is as much.
const TURN: u32 = 128;

/// Of whoever has no turn: outside a runtime.
const UNBOUNDED: u32 = u32::MAX;

thread_local! {
    /// What is left of the present turn. Constant and without a destructor, so an access is one load.
    static LEFT: Cell<u32> = const { Cell::new(UNBOUNDED) };
}

/// A turn begins.
#[inline(always)]
pub(super) fn begin_turn() {
    LEFT.set(TURN);
}

/// An executor is left: what is not within one has no turn. (One that is left within another's turn ends that one's bound.)
pub(super) fn end_turns() {
    LEFT.set(UNBOUNDED);
}

/// Whether the task may take something in this turn. If not, it has been woken, for its next one.
///
/// Waking may be foreign code: ask before you look at anything.
#[inline]
pub(crate) fn poll_proceed(cx: &Context<'_>) -> Poll<()> {
    if has_budget_remaining() {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Takes one.
#[inline]
pub(crate) fn spend() {
    LEFT.set(LEFT.get().saturating_sub(1));
}

/// Whether something is left of the budget of this turn: if not, the next resource that is asked says that it has to wait.
/// True outside a runtime, where there is none.
///
/// ```
/// assert!(saferring::task::has_budget_remaining());
/// ```
#[inline]
#[must_use]
pub fn has_budget_remaining() -> bool {
    LEFT.get() != 0
}

/// Takes one from the budget of this turn; if it is used up, lets the others have their turn first. For loops that wait for
/// nothing, and for resources that know nothing of budgets.
///
/// # Cancel safety
///
/// There is nothing to lose.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// let mut sum = 0_u64;
/// for n in 0..100_000_u64 {
///     sum += n * n;
///     saferring::task::consume_budget().await; // gives way once in 128 times
/// }
/// # assert!(sum > 0);
/// # });
/// ```
pub async fn consume_budget() {
    cooperative(std::future::ready(())).await;
}

/// A future that takes one from the budget of a turn when it completes, and waits for the next turn if none is left: for a
/// channel or lock of another crate, that is ready again and again.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::StreamExt;
/// let mut numbers = futures_util::stream::iter(0..1000); // never waits
/// while let Some(n) = saferring::task::cooperative(numbers.next()).await {
///     # let _ = n;
/// }
/// # });
/// ```
pub fn cooperative<F: Future>(future: F) -> Cooperative<F> {
    Cooperative { future }
}

/// The future of [`cooperative`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct Cooperative<F> {
    #[pin]
    future: F,
}

impl<F: Future> Future for Cooperative<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(poll_proceed(cx));
        let output = ready!(self.project().future.poll(cx));
        spend();
        Poll::Ready(output)
    }
}

/// A future whose turns have no bound: it goes on for as long as what it asks is ready. All else of its thread waits meanwhile,
/// timers, sockets and signals too.
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::task::{consume_budget, unconstrained};
/// unconstrained(async {
///     for _ in 0..1000 {
///         consume_budget().await; // does not give way
///     }
/// })
/// .await;
/// # });
/// ```
pub fn unconstrained<F: Future>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

/// The future of [`unconstrained`].
#[must_use = "futures do nothing unless you await them"]
#[pin_project]
#[derive(Debug)]
pub struct Unconstrained<F> {
    #[pin]
    future: F,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _restored = Restored(LEFT.replace(UNBOUNDED));
        self.project().future.poll(cx)
    }
}

/// Sets the budget of the turn to what it was, also when the poll panics.
struct Restored(u32);

impl Drop for Restored {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}
