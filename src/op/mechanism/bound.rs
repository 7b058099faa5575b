//! What may end an operation before its time: its own deadline, and the scope that it was begun in.
//!
//! Both are seen to by the poll that they wake: it cancels the operation, and reads the answer `ECANCELED` as what has been
//! the reason.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::deadline::Deadline;
use crate::error::Elapsed;
use crate::op::context::Driver;
use crate::sys::{Completion, ELAPSED};
use crate::task::{CancelScope, Place, Reason, WakeRef, is_active, is_cancelled, outside};

pub(super) enum Bound {
    None,
    Deadline(Deadline),
    Scope(Member),
    Both(Box<(Member, Deadline)>),
}

/// An operation in a scope.
pub(super) struct Member {
    place: Place,
    /// Whether the scope's end has been acted upon.
    told: bool,
}

impl Bound {
    pub(super) fn after(timeout: Duration) -> Self {
        Bound::Deadline(Deadline::After(timeout))
    }

    #[inline]
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Bound::None)
    }

    /// Joins the scope around the present poll, if there is one and it is in none. Says why that was cancelled, if it was.
    #[cold]
    pub(super) fn join_scope(&mut self) -> Option<i32> {
        if self.member().is_none() {
            let member = Member {
                place: Place::new(CancelScope::current()?),
                told: false,
            };
            *self = match std::mem::replace(self, Bound::None) {
                Bound::Deadline(deadline) => Bound::Both(Box::new((member, deadline))),
                _ => Bound::Scope(member),
            };
        }
        self.member()?.place.reason_now().map(answer)
    }

    fn member(&mut self) -> Option<&mut Member> {
        match self {
            Bound::None | Bound::Deadline(_) => None,
            Bound::Scope(member) => Some(member),
            Bound::Both(both) => Some(&mut both.0),
        }
    }

    fn deadline(&mut self) -> Option<&mut Deadline> {
        match self {
            Bound::None | Bound::Scope(_) => None,
            Bound::Deadline(deadline) => Some(deadline),
            Bound::Both(both) => Some(&mut both.1),
        }
    }

    /// Leaves a waker with both, for `driver`, which turns now.
    pub(super) fn arm(&mut self, driver: &Rc<Driver>, waiter: Option<&WakeRef>) {
        if let (Some(member), Some(waiter)) = (self.member(), waiter) {
            member.place.watch(waiter.clone());
        }
        if let Some(deadline) = self.deadline() {
            deadline.arm(driver, waiter);
        }
    }

    /// Whether the deadline has passed.
    pub(super) fn has_passed(&mut self) -> bool {
        self.deadline()
            .is_some_and(|deadline| deadline.has_passed())
    }

    /// True once for each: the operation is to be cancelled.
    pub(super) fn expire(&mut self) -> bool {
        let passed = self.deadline().is_some_and(Deadline::expire);
        let cancelled = self.member().is_some_and(|member| {
            member.place.reason().is_some() && !std::mem::replace(&mut member.told, true)
        });
        passed || cancelled
    }

    /// What a cancelled operation is answered with, if it was one of these that cancelled it.
    pub(super) fn verdict(&mut self) -> Option<i32> {
        if self
            .deadline()
            .is_some_and(|deadline| deadline.is_expired())
        {
            return Some(ELAPSED);
        }
        let member = self.member().filter(|member| member.told)?;
        member.place.reason().map(answer)
    }
}

/// What the operations of a cancelled scope are answered with.
fn answer(reason: Reason) -> i32 {
    match reason {
        Reason::Cancelled => -libc::ECANCELED,
        Reason::Elapsed => ELAPSED,
    }
}

/// The error of what was cancelled in part: that of the scope around this poll.
pub(crate) fn cancellation() -> io::Error {
    let reason = CancelScope::current().and_then(|scope| scope.reason_now());
    match reason {
        Some(Reason::Elapsed) => Elapsed::new().into(),
        Some(Reason::Cancelled) | None => io::Error::from_raw_os_error(libc::ECANCELED),
    }
}

/// Before a step that is no operation of the ring, but is one to the user: the error of what is begun too late.
pub(crate) fn checkpoint() -> io::Result<()> {
    match is_cancelled() {
        true => Err(cancellation()),
        false => Ok(()),
    }
}

/// Waits for what is no operation, and cannot be cancelled: `None` if the scope around it is cancelled before.
pub(crate) async fn unless_cancelled<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut place = CancelScope::current().map(Place::new);
    poll_fn(|cx| {
        if let Poll::Ready(output) = Pin::new(&mut *future).poll(cx) {
            return Poll::Ready(Some(output));
        }
        let Some(place) = &mut place else {
            return Poll::Pending;
        };
        // Foreign code, in which the scope may be cancelled: so it is asked after that.
        place.watch(WakeRef::new(cx.waker()));
        match place.reason() {
            Some(_) => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}

/// The scopes in which a stream is asked for its items. It is in none itself: what it has requested stays requested, and nothing
/// of it is lost. But who asks within a scope that is cancelled is answered with the reason, and from then on that this is the
/// end.
#[derive(Default)]
pub(crate) struct Asked(Option<Box<Member>>);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// Asks a stream, whose `Asked` is at `asked`, for its next item by `poll`.
#[inline]
pub(crate) fn ask<S, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    asked: fn(&mut S) -> &mut Asked,
    poll: fn(&mut S, &mut Context<'_>) -> Poll<Option<io::Result<T>>>,
) -> Poll<Option<io::Result<T>>> {
    if !is_active() && asked(stream).0.is_none() {
        return poll(stream, cx);
    }
    ask_within(stream, cx, asked, poll)
}

#[cold]
fn ask_within<S, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    asked: fn(&mut S) -> &mut Asked,
    poll: fn(&mut S, &mut Context<'_>) -> Poll<Option<io::Result<T>>>,
) -> Poll<Option<io::Result<T>>> {
    let Some(scope) = CancelScope::current() else {
        asked(stream).0 = None;
        return poll(stream, cx);
    };
    asked(stream).enter(scope);
    if let Some(ended) = asked(stream).ended() {
        return Poll::Ready(ended);
    }
    let polled = outside(|| poll(stream, cx));
    if polled.is_pending() {
        // Foreign code, in which the scope may be cancelled: so it is asked again.
        let waiter = WakeRef::new(cx.waker());
        if let Some(member) = &mut asked(stream).0 {
            member.place.watch(waiter);
        }
        if let Some(ended) = asked(stream).ended() {
            return Poll::Ready(ended);
        }
    }
    polled
}

impl Asked {
    fn enter(&mut self, scope: CancelScope) {
        let known = self
            .0
            .as_ref()
            .is_some_and(|member| member.place.is_in(&scope));
        if !known {
            self.0 = Some(Box::new(Member {
                place: Place::new(scope),
                told: false,
            }));
        }
    }

    /// What is answered in the name of the stream, if the scope is cancelled.
    fn ended<T>(&mut self) -> Option<Option<io::Result<T>>> {
        let member = self.0.as_mut()?;
        let reason = member.place.reason_now()?;
        if std::mem::replace(&mut member.told, true) {
            return Some(None);
        }
        let answered = Completion::new(0, answer(reason), 0).result();
        Some(answered.err().map(Err))
    }
}
