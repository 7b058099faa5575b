//! What the ends of a channel share.
//!
//! Its values are borrowed only to move some in or out, so that their drops, and wakers, may do anything with the channel.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::error::TryRecvError;
use crate::sync::local::notify::Notify;
use crate::sync::local::permits::Permits;
use crate::sync::local::waiting::Waiting;
use crate::task::{WakeRef, cooperative, poll_proceed, spend};

pub(super) struct Chan<T> {
    values: RefCell<VecDeque<T>>,
    /// Room for values; closed when the receiver takes no more.
    room: Permits,
    /// How many values there is room for; none: it is not counted.
    bound: Option<usize>,
    senders: Cell<usize>,
    weak: Cell<usize>,
    receiver: Waiting,
    is_gone: Cell<bool>,
    /// Told when it is closed.
    closed: Notify,
}

impl<T> Chan<T> {
    /// With one sender.
    #[track_caller]
    pub(super) fn new(bound: Option<usize>) -> Rc<Self> {
        Rc::new(Chan {
            values: RefCell::default(),
            room: Permits::new(bound.unwrap_or(0)),
            bound,
            senders: Cell::new(1),
            weak: Cell::new(0),
            receiver: Waiting::default(),
            is_gone: Cell::new(false),
            closed: Notify::new(),
        })
    }

    pub(super) fn room(&self) -> &Permits {
        &self.room
    }

    pub(super) fn bound(&self) -> usize {
        self.bound.unwrap_or(usize::MAX)
    }

    pub(super) fn len(&self) -> usize {
        self.values.borrow().len()
    }

    pub(super) fn senders(&self) -> usize {
        self.senders.get()
    }

    pub(super) fn weak(&self) -> usize {
        self.weak.get()
    }

    pub(super) fn add_sender(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    pub(super) fn sender_gone(&self) {
        self.senders.set(self.senders.get() - 1);
        if self.senders.get() == 0 {
            self.receiver.wake();
        }
    }

    pub(super) fn add_weak(&self) {
        self.weak.set(self.weak.get() + 1);
    }

    pub(super) fn weak_gone(&self) {
        self.weak.set(self.weak.get() - 1);
    }

    /// Puts a value in, for which there is room.
    pub(super) fn push(&self, value: T) {
        if self.is_gone.get() {
            // Nobody would ever take it out.
            return drop(value);
        }
        self.values.borrow_mut().push_back(value);
        self.receiver.wake();
    }

    /// Gives room back that was kept and not used.
    pub(super) fn give_up(&self, n: usize) {
        self.room.release(n);
        self.settle();
    }

    /// Tells the receiver of a closed channel when no room is kept any more.
    pub(super) fn settle(&self) {
        if self.room.is_closed() && self.is_idle() {
            self.receiver.wake();
        }
    }

    /// Whether nobody keeps room for something to be sent.
    fn is_idle(&self) -> bool {
        self.bound
            .is_none_or(|bound| self.room.available() == bound)
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.closed.notify_waiters();
    }

    pub(super) async fn closed(&self) {
        let closed = self.closed.notified();
        if self.room.is_closed() {
            // So that it takes from the budget.
            return cooperative(std::future::ready(())).await;
        }
        closed.await;
    }

    /// No value comes any more.
    fn is_over(&self) -> bool {
        self.senders.get() == 0 || (self.room.is_closed() && self.is_idle())
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let value = self.values.borrow_mut().pop_front();
        match value {
            Some(value) => {
                self.taken(1);
                Ok(value)
            }
            None if self.is_over() => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    fn taken(&self, n: usize) {
        if self.bound.is_some() {
            self.room.release(n);
        }
    }

    /// What `take` gives, as soon as it gives something or nothing comes any more.
    fn poll_with<R>(&self, cx: &Context<'_>, mut take: impl FnMut() -> Option<R>) -> Poll<R> {
        ready!(poll_proceed(cx));
        let mut taken = take();
        if taken.is_none() {
            if self.receiver.is_woken_by(cx) {
                return Poll::Pending;
            }
            let waker = WakeRef::new(cx.waker());
            // That may have run anything.
            taken = take();
            if taken.is_none() {
                self.receiver.set(Some(waker));
            }
        }
        let Some(taken) = taken else {
            return Poll::Pending;
        };
        spend();
        Poll::Ready(taken)
    }

    pub(super) fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        self.poll_with(cx, || match self.try_recv() {
            Ok(value) => Some(Some(value)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        })
    }

    pub(super) fn poll_recv_many(
        &self,
        cx: &Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        if limit == 0 {
            return Poll::Ready(0);
        }
        self.poll_with(cx, || {
            let mut values = self.values.borrow_mut();
            let n = limit.min(values.len());
            buffer.extend(values.drain(..n));
            drop(values);
            if n > 0 {
                self.taken(n);
                return Some(n);
            }
            self.is_over().then_some(0)
        })
    }

    /// The receiver is gone: what was sent is dropped, as the last act.
    pub(super) fn receiver_gone(&self) {
        self.is_gone.set(true);
        self.close();
        self.receiver.set(None);
        let values = self.values.take();
        self.taken(values.len());
        drop(values);
    }
}
