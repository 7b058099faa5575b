//! What a core sends to others: gathered while its tasks run, and given over all at once to each.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::Shared;
use crate::runtime::Message;
use crate::task::WakeRef;

pub(super) struct Outbox {
    shared: Arc<Shared>,
    /// By core.
    waiting: Box<[RefCell<Vec<Message>>]>,
    /// By core, the number of the lot that is gathered for it, from 1 on.
    lots: Box<[Cell<u64>]>,
    /// Cores for which something waits.
    due: RefCell<Vec<usize>>,
    /// The task that gives them over; none: it is to run already, or is gone.
    flusher: Cell<Option<WakeRef>>,
    /// No task gives anything over any more.
    closed: Cell<bool>,
}

impl Outbox {
    pub(super) fn new(shared: &Arc<Shared>) -> Rc<Self> {
        Rc::new(Outbox {
            shared: Arc::clone(shared),
            waiting: shared.seats.iter().map(|_| RefCell::default()).collect(),
            lots: shared.seats.iter().map(|_| Cell::new(1)).collect(),
            due: RefCell::default(),
            flusher: Cell::new(None),
            closed: Cell::new(false),
        })
    }

    /// In which lot goes what is sent to core `to` now.
    pub(super) fn lot(&self, to: usize) -> u64 {
        self.lots[to].get()
    }

    fn end_lot(&self, to: usize) {
        self.lots[to].set(self.lots[to].get() + 1);
    }

    /// Sends it when the tasks that are ready have had their turns.
    pub(super) fn send(&self, to: usize, message: Message) {
        if self.closed.get() {
            self.end_lot(to);
            return give(&self.shared, to, message);
        }
        let mut waiting = self.waiting[to].borrow_mut();
        if waiting.is_empty() {
            self.due.borrow_mut().push(to);
        }
        waiting.push(message);
        drop(waiting);
        if let Some(flusher) = self.flusher.take() {
            flusher.wake();
        }
    }

    fn flush(&self) {
        // What is refused may send again.
        while let Some(to) = self.next_due() {
            let mut messages = self.waiting[to].take();
            self.end_lot(to);
            self.shared.seats[to].inbox.append(&mut messages);
            for message in messages.drain(..) {
                message.refuse();
            }
            let mut waiting = self.waiting[to].borrow_mut();
            if waiting.is_empty() {
                *waiting = messages; // For its memory.
            }
        }
    }

    fn next_due(&self) -> Option<usize> {
        self.due.borrow_mut().pop()
    }
}

/// Sends a message by itself, from any thread.
pub(super) fn give(shared: &Shared, to: usize, message: Message) {
    if let Err(refused) = shared.seats[to].inbox.push(message) {
        refused.refuse();
    }
}

/// The task that gives over what waits. It runs behind the tasks that were ready when it was woken, so that what they all
/// send goes in one lot.
pub(super) struct Flusher(pub(super) Rc<Outbox>);

impl Future for Flusher {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.flush();
        self.0.flusher.set(Some(WakeRef::new(cx.waker())));
        Poll::Pending
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.0.closed.set(true);
        drop(self.0.flusher.take());
        self.0.flush();
    }
}
