//! What other threads ask of a runtime: an inbox of jobs, which a task of the runtime takes out all at once.
//!
//! A thread that finds the inbox empty wakes the task, which wakes the runtime if that waits in the kernel; whoever comes
//! before the task has looked adds to the same lot. So a busy runtime is never woken, and a waiting one once a lot.

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

use crate::foreign;

/// How many jobs are run in one turn of the task, so that other tasks have theirs.
const JOBS_A_TURN: usize = 128;

/// Something to be done in a runtime.
pub(crate) trait Job: Send + Sync {
    /// Does it, on the runtime's thread.
    fn run(self: Arc<Self>);

    /// The runtime has ended, or is about to: nobody will do it. On any thread.
    fn refuse(self: Arc<Self>);

    /// Hears that it was done elsewhere, on the thread that it came from.
    fn come_home(self: Arc<Self>);

    /// It was done elsewhere, but where it came from nobody is left. On any thread.
    fn lose_home(self: Arc<Self>);
}

/// A job on its way.
pub(crate) enum Message {
    /// To who is to do it.
    Do(Arc<dyn Job>),
    /// Done, or refused, and back to where it came from.
    Home(Arc<dyn Job>),
}

impl Message {
    fn run(self) {
        foreign::guarded(|| match self {
            Message::Do(job) => job.run(),
            Message::Home(job) => job.come_home(),
        });
    }

    /// Nobody is there to run it.
    pub(crate) fn refuse(self) {
        foreign::guarded(|| match self {
            Message::Do(job) => job.refuse(),
            Message::Home(job) => job.lose_home(),
        });
    }
}

/// The inbox of a runtime.
pub(crate) struct Inbox(Mutex<State>);

struct State {
    messages: Vec<Message>,
    /// The task that waits for messages; none: it is awake.
    waker: Option<Waker>,
    open: bool,
}

impl Inbox {
    /// An inbox that nobody looks into yet; what comes meanwhile waits.
    pub(crate) fn new() -> Self {
        Inbox(Mutex::new(State {
            messages: Vec::new(),
            waker: None,
            open: true,
        }))
    }

    /// Puts one message in; gives it back if the inbox is closed.
    pub(crate) fn push(&self, message: Message) -> Result<(), Message> {
        let waker = {
            let mut state = self.lock();
            if !state.open {
                return Err(message);
            }
            state.messages.push(message);
            state.waker.take()
        };
        wake(waker);
        Ok(())
    }

    /// Moves all of `messages` in, in their order. If the inbox is closed they stay.
    pub(crate) fn append(&self, messages: &mut Vec<Message>) {
        let waker = {
            let mut state = self.lock();
            if !state.open {
                return;
            }
            state.messages.append(messages);
            state.waker.take()
        };
        wake(waker);
    }

    /// Takes all messages out, into `messages`, which is empty; `waker` is woken when there are others.
    fn take(&self, messages: &mut Vec<Message>, waker: &Waker) {
        let waker = waker.clone(); // One of our own tasks: no foreign code.
        let mut state = self.lock();
        mem::swap(&mut state.messages, messages);
        state.waker = Some(waker);
    }

    /// Lets nothing in any more; gives out what is in it.
    pub(crate) fn close(&self) -> Vec<Message> {
        let mut state = self.lock();
        state.open = false;
        state.waker = None;
        mem::take(&mut state.messages)
    }

    /// Closes it for good; nobody does what is in it.
    pub(crate) fn end(&self) {
        for message in self.close() {
            message.refuse();
        }
    }

    /// Lets messages in again, for another runtime.
    pub(crate) fn reopen(&self) {
        self.lock().open = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    // Of the task below: its inbox, no foreign code.
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The task that does what comes in. It closes the inbox when it is dropped, which the end of the runtime does.
pub(super) struct Service {
    inbox: Arc<Inbox>,
    /// Taken out, to be done.
    due: VecDeque<Message>,
    /// Empty; its memory is exchanged with the inbox's.
    spare: Vec<Message>,
}

impl Service {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Service {
            inbox,
            due: VecDeque::new(),
            spare: Vec::new(),
        }
    }
}

impl Future for Service {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Also with some left: whoever woke us has used up the waker that was there.
        this.inbox.take(&mut this.spare, cx.waker());
        this.due.extend(this.spare.drain(..));
        for _ in 0..JOBS_A_TURN {
            let Some(message) = this.due.pop_front() else {
                return Poll::Pending;
            };
            message.run();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let left = self.inbox.close();
        for message in self.due.drain(..).chain(left) {
            message.refuse();
        }
    }
}

/// loom runs every interleaving; a message that nobody hears of shows as a deadlock.
#[cfg(all(test, loom))]
mod models {
    use std::task::Wake;

    use loom::sync::Notify;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    /// Counts what becomes of it.
    #[derive(Default)]
    struct Counts {
        done: AtomicUsize,
        refused: AtomicUsize,
    }

    struct Counted(loom::sync::Arc<Counts>);

    impl Job for Counted {
        fn run(self: Arc<Self>) {
            self.0.done.fetch_add(1, Ordering::Relaxed);
        }

        fn refuse(self: Arc<Self>) {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }

        fn come_home(self: Arc<Self>) {
            unreachable!("nothing is sent home");
        }

        fn lose_home(self: Arc<Self>) {
            unreachable!("nothing is sent home");
        }
    }

    /// The task's waker, and how often it was woken.
    struct Wakes {
        notify: Notify,
        count: AtomicUsize,
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.notify.notify();
        }
    }

    fn send(inbox: &Inbox, counts: &loom::sync::Arc<Counts>, refusable: bool) {
        let job = Arc::new(Counted(loom::sync::Arc::clone(counts)));
        match inbox.push(Message::Do(job)) {
            Ok(()) => {}
            Err(message) if refusable => message.refuse(),
            Err(_) => panic!("an open inbox has refused"),
        }
    }

    /// Two threads send; the task sleeps whenever it has taken all, and hears of each, woken once a lot at most. All
    /// interleavings with at most three preemptions: the rest takes hours, and such bugs as there are show with two.
    #[test]
    fn no_message_is_lost_between_look_and_sleep() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let inbox = Arc::new(Inbox::new());
            let counts = loom::sync::Arc::new(Counts::default());
            let wakes = Arc::new(Wakes {
                notify: Notify::new(),
                count: AtomicUsize::new(0),
            });
            let senders = [1, 2].map(|messages| {
                let (inbox, counts) = (Arc::clone(&inbox), loom::sync::Arc::clone(&counts));
                thread::spawn(move || {
                    for _ in 0..messages {
                        send(&inbox, &counts, false);
                    }
                })
            });
            let waker = Waker::from(Arc::clone(&wakes));
            let mut service = Service::new(Arc::clone(&inbox));
            loop {
                let polled = Pin::new(&mut service).poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                if counts.done.load(Ordering::Relaxed) == 3 {
                    break;
                }
                wakes.notify.wait();
            }
            for sender in senders {
                sender.join().unwrap();
            }
            assert!(wakes.count.load(Ordering::Relaxed) <= 3);
        });
    }

    /// The end of the task beside a sender: the message is done or refused, once.
    #[test]
    fn what_is_sent_beside_the_end_is_done_or_refused() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new());
            let counts = loom::sync::Arc::new(Counts::default());
            let sender = {
                let (inbox, counts) = (Arc::clone(&inbox), loom::sync::Arc::clone(&counts));
                thread::spawn(move || {
                    send(&inbox, &counts, true);
                    send(&inbox, &counts, true);
                })
            };
            let mut service = Service::new(Arc::clone(&inbox));
            let _ = Pin::new(&mut service).poll(&mut Context::from_waker(Waker::noop()));
            drop(service);
            sender.join().unwrap();
            let [done, refused] =
                [&counts.done, &counts.refused].map(|count| count.load(Ordering::Relaxed));
            assert_eq!(done + refused, 2);
        });
    }
}
