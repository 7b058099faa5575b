//! A closure that goes to another thread's runtime, and its result that comes back.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::{fmt, io};

use super::answer::Answer;
use super::caught::{Ending, caught};
use super::context;
use super::inbox::Job;
use crate::task::{JoinError, spawn};

/// Why there is no result from another core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The other runtime has ended, or ended before it was done.
    #[error(
        "the other runtime has ended: call it while it runs, and let it run until it is not needed any more"
    )]
    Closed,
    /// There is no core with this number.
    #[error("there is no core {core}: they are numbered from 0 to {}", cores - 1)]
    #[non_exhaustive]
    NoSuchCore {
        /// The number as given.
        core: usize,
        /// How many cores there are.
        cores: usize,
    },
    /// It had to wait for longer than it was to, and has not begun.
    #[error(
        "the other core has not begun within the time that the call was to wait: it is busy, or its mailbox is full"
    )]
    TimedOut,
    /// It panicked there. [`JoinError::into_panic`] passes the panic on.
    #[error("on the other core, {0}")]
    Panicked(#[source] JoinError),
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match error {
            CallError::Closed => io::ErrorKind::NotConnected,
            CallError::NoSuchCore { .. } => io::ErrorKind::InvalidInput,
            CallError::TimedOut => io::ErrorKind::TimedOut,
            CallError::Panicked(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// What is to be done there, and how.
pub(crate) trait Work: Send + 'static {
    type Output: Send + 'static;

    /// Begins it; `done` is called once with the call itself.
    fn begin<H: Home>(self, call: Arc<Call<Self, H>>)
    where
        Self: Sized;
}

/// Where a call came from.
pub(crate) trait Home: Send + Sync + 'static {
    /// The call has its answer, or will have none: the caller is to hear of it.
    fn send_home<W: Work>(call: Arc<Call<W, Self>>)
    where
        Self: Sized;

    /// The call has begun, and is in no mailbox any more.
    fn begun(&self);
}

/// A caller that may be anywhere: it is told by whoever has the answer.
pub(crate) struct Anywhere;

impl Home for Anywhere {
    fn send_home<W: Work>(call: Arc<Call<W, Self>>) {
        call.answer.tell();
    }

    fn begun(&self) {}
}

/// A call: first with its work, then with the answer. Caller and callee share it.
pub(crate) struct Call<W: Work, H> {
    work: Mutex<Option<W>>,
    answer: Answer<W::Output>,
    pub(crate) home: H,
}

impl<W: Work, H: Home> Call<W, H> {
    pub(crate) fn new(work: W, home: H) -> Arc<Self> {
        Arc::new(Call {
            work: Mutex::new(Some(work)),
            answer: Answer::new(),
            home,
        })
    }

    fn take_work(&self) -> Option<W> {
        self.work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn finish(self: Arc<Self>, ending: Ending<W::Output>) {
        self.answer.fill(ending);
        H::send_home(self);
    }
}

impl<W: Work, H: Home> Job for Call<W, H> {
    fn run(self: Arc<Self>) {
        self.home.begun();
        match self.take_work() {
            Some(work) => work.begin(self),
            // Withdrawn.
            None => H::send_home(self),
        }
    }

    fn refuse(self: Arc<Self>) {
        self.home.begun();
        H::send_home(self);
    }

    fn come_home(self: Arc<Self>) {
        self.answer.tell();
    }

    fn lose_home(self: Arc<Self>) {
        // Whoever waits may have gone elsewhere.
        self.answer.tell();
    }
}

/// A closure that is called and done.
pub(crate) struct Now<F>(pub(crate) F);

impl<F, R> Work for Now<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn begin<H: Home>(self, call: Arc<Call<Self, H>>) {
        call.finish(catch_unwind(AssertUnwindSafe(self.0)));
    }
}

/// A closure whose future becomes a task, which ends early if nobody waits for it any more.
pub(crate) struct Later<F>(pub(crate) F);

impl<F, Fut> Work for Later<F>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output: Send> + 'static,
{
    type Output = Fut::Output;

    fn begin<H: Home>(self, call: Arc<Call<Self, H>>) {
        drop(spawn(async move {
            let mut unfinished = Unfinished(Some(call));
            let abandoned = |cx: &mut Context<'_>| match &unfinished.0 {
                Some(call) => call.answer.poll_abandoned(cx),
                None => Poll::Ready(()),
            };
            let ending = caught(self.0, abandoned).await;
            if let (Some(call), Some(ending)) = (unfinished.0.take(), ending) {
                call.finish(ending);
            }
        }));
    }
}

/// A call whose task runs. If it is dropped, with its runtime or because nobody waits, the call has no answer.
struct Unfinished<W: Work, H: Home>(Option<Arc<Call<W, H>>>);

impl<W: Work, H: Home> Drop for Unfinished<W, H> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            H::send_home(call);
        }
    }
}

/// What the caller sees of a call, whatever the work is.
trait Waited<R>: Send + Sync {
    fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Option<Ending<R>>>;
    /// Takes the work away, if it has not begun. False: it has.
    fn withdraw(&self) -> bool;

    fn abandon(&self);
}

impl<W: Work, H: Home> Waited<W::Output> for Call<W, H> {
    fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Option<Ending<W::Output>>> {
        self.answer.poll(cx)
    }

    fn withdraw(&self) -> bool {
        self.take_work().is_some()
    }

    fn abandon(&self) {
        let work = self.take_work();
        self.answer.abandon();
        drop(work);
    }
}

/// The result of a closure that another thread's runtime runs; see [`Handle::run`](super::Handle::run).
///
/// It can be awaited anywhere. If it is dropped before, what it waits for is cancelled as an aborted task is: the future
/// is dropped there, and its operations are cancelled. [`detach`](Remote::detach) lets it run on.
#[must_use = "what it waits for is cancelled when it is dropped: await it, or call `detach`"]
pub struct Remote<R>(Option<Arc<dyn Waited<R>>>);

impl<R> Remote<R> {
    pub(crate) fn new<W: Work<Output = R>, H: Home>(call: Arc<Call<W, H>>) -> Self {
        Remote(Some(call))
    }

    /// Blocks the thread until the result is there: for threads without a runtime.
    ///
    /// # Errors
    ///
    /// As when it is awaited.
    ///
    /// # Panics
    ///
    /// In a runtime, whose other tasks it would hold up: await it there.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::runtime::Runtime;
    ///
    /// let runtime = Runtime::new()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || handle.run(|| async { 6 * 7 }).wait());
    /// let joined = saferring::runtime::spawn_blocking;
    /// let answer = runtime.block_on(async { joined(move || thread.join()).await });
    /// assert_eq!(answer.unwrap().unwrap().unwrap(), 42);
    /// # Ok::<_, saferring::Error>(())
    /// ```
    #[track_caller]
    pub fn wait(self) -> Result<R, CallError> {
        context::refuse_to_block("Remote::wait", "await it instead");
        let waker = Waker::from(Arc::new(Unparks(thread::current())));
        let mut this = pin!(self);
        loop {
            if let Poll::Ready(result) = this.as_mut().poll(&mut Context::from_waker(&waker)) {
                return result;
            }
            thread::park();
        }
    }

    /// Takes the closure back and drops it, if it has not begun there. False: it has.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.as_ref().is_some_and(|call| call.withdraw())
    }

    /// Lets it run to its end without anybody who waits. What it returns is dropped, and a panic is printed only.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

/// Wakes a thread that waits.
struct Unparks(Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl<R> Future for Remote<R> {
    type Output = Result<R, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &self.0 else {
            panic!("a Remote was polled after it was ready");
        };
        let ending = ready!(call.poll_answer(cx));
        self.0 = None;
        Poll::Ready(match ending {
            Some(Ok(output)) => Ok(output),
            Some(Err(panic)) => Err(CallError::Panicked(JoinError::panicked(panic))),
            None => Err(CallError::Closed),
        })
    }
}

impl<R> Drop for Remote<R> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.abandon();
        }
    }
}

impl<R> fmt::Debug for Remote<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
