//! Closures that run on other cores.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::core::Core;
use super::room::CallCredit;
use crate::runtime::{Call, CallError, Home, Job, Later, Message, Now, Remote, Work};
use crate::time::sleep;

/// A call of one core to another, which ends where it began. What it is part of is known by the core that it comes to.
pub(super) struct FromCore {
    from: usize,
    /// Where it takes room until it has begun, if it does.
    room: Option<usize>,
}

impl Home for FromCore {
    fn send_home<W: Work>(call: Arc<Call<W, Self>>) {
        let from = call.home.from;
        match Core::try_current() {
            Some(core) if core.id() != from => core.send(from, Message::Home(call)),
            // A thread that is no core any more ends one.
            Some(_) | None => call.come_home(),
        }
    }

    fn begun(&self) {
        let (Some(to), Some(core)) = (self.room, Core::try_current()) else {
            return;
        };
        let credit = core.shared().credits.between(self.from, to);
        // What is refused at home has begun nowhere.
        let is_there = core.id() == to;
        if is_there && credit.count.add(core.taken(self.from), core.lot(self.from)) {
            core.send(self.from, Message::Home(Arc::clone(credit) as Arc<dyn Job>));
        }
    }
}

impl Job for CallCredit {
    fn run(self: Arc<Self>) {}

    fn refuse(self: Arc<Self>) {}

    fn come_home(self: Arc<Self>) {
        if let Some(core) = Core::try_current() {
            self.count.give_back(&core.rooms()[self.to]);
        }
    }

    fn lose_home(self: Arc<Self>) {}
}

impl Core {
    /// Runs `f` on core `to`, in a task of its own there, and gives what its future answers. The future need not be `Send`, as
    /// it stays there; `f` gets that core.
    ///
    /// So many calls of one core may wait at another as [`Builder::requests`](super::Builder::requests) says; more wait here
    /// for room, first come, first served. A call that has begun takes no room any more, and answers need none: cores that
    /// call each other cannot stop each other, however deep the calls are.
    ///
    /// Calls from one core to another begin in the order in which they were sent. What the closure has captured is dropped
    /// here if it never begins, and the answer if nobody waits for it any more.
    ///
    /// # Errors
    ///
    /// [`CallError::NoSuchCore`]; [`CallError::Closed`] if that core has ended, or ends before the future does;
    /// [`CallError::Panicked`] if `f` or its future panics.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, the future is dropped there, as an abort does to a task.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::cores::{Cores, Placement};
    ///
    /// let cores = Cores::builder().cores(Placement::Count(1)).build()?;
    /// let sums = cores.run(async |core| {
    ///     let last = core.count() - 1;
    ///     core.call(last, async |there| there.id() + 40).await
    /// })?;
    /// assert_eq!(sums, [40]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call<F, Fut>(&self, to: usize, f: F) -> Result<Fut::Output, CallError>
    where
        F: FnOnce(Core) -> Fut + Send + 'static,
        Fut: Future<Output: Send> + 'static,
    {
        self.room_at(to).await?;
        self.submit(to, Later(move || f(Core::current()))).await
    }

    /// [`call`](Core::call), which gives up if it has not begun within `wait`. How long it takes from then on is not
    /// limited: what is done cannot be undone.
    ///
    /// # Errors
    ///
    /// As [`call`](Core::call), and [`CallError::TimedOut`] if it has not begun.
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Core::call).
    pub async fn call_within<F, Fut>(
        &self,
        wait: Duration,
        to: usize,
        f: F,
    ) -> Result<Fut::Output, CallError>
    where
        F: FnOnce(Core) -> Fut + Send + 'static,
        Fut: Future<Output: Send> + 'static,
    {
        let mut over = pin!(sleep(wait));
        let mut room = pin!(self.room_at(to));
        poll_fn(|cx| match room.as_mut().poll(cx) {
            Poll::Ready(room) => Poll::Ready(room),
            Poll::Pending => over.as_mut().poll(cx).map(|()| Err(CallError::TimedOut)),
        })
        .await?;
        let mut call = self.submit(to, Later(move || f(Core::current())));
        let mut waits = true;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = Pin::new(&mut call).poll(cx) {
                return Poll::Ready(answer);
            }
            if waits && over.as_mut().poll(cx).is_ready() {
                waits = false;
                if call.withdraw() {
                    return Poll::Ready(Err(CallError::TimedOut));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// [`call`](Core::call) for a closure that awaits nothing: it is called between two tasks there, without one of its
    /// own, which costs a fifth less.
    ///
    /// # Errors
    ///
    /// As [`call`](Core::call).
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, the closure may be called all the same.
    pub async fn call_now<F, R>(&self, to: usize, f: F) -> Result<R, CallError>
    where
        F: FnOnce(Core) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.room_at(to).await?;
        self.submit(to, Now(move || f(Core::current()))).await
    }

    /// Waits until one more request may be sent to `to`.
    async fn room_at(&self, to: usize) -> Result<(), CallError> {
        let Some(room) = self.rooms().get(to) else {
            return Err(CallError::NoSuchCore {
                core: to,
                cores: self.count(),
            });
        };
        room.take().await.map_err(|_| CallError::Closed)
    }

    /// Sends work to a core where room was taken for it.
    fn submit<W: Work>(&self, to: usize, work: W) -> Remote<W::Output> {
        self.submit_from(to, work, Some(to))
    }

    /// Sends a closure to core `to`, which there is, whether or not there is room.
    pub(super) fn submit_now<F, R>(&self, to: usize, f: F) -> Remote<R>
    where
        F: FnOnce(Core) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.submit_from(to, Now(move || f(Core::current())), None)
    }

    fn submit_from<W: Work>(&self, to: usize, work: W, room: Option<usize>) -> Remote<W::Output> {
        let home = FromCore {
            from: self.id(),
            room,
        };
        let call = Call::new(work, home);
        self.send(to, Message::Do(Arc::clone(&call) as Arc<dyn Job>));
        Remote::new(call)
    }
}
