//! A call: on its way to the ring's thread, there, and back, in one allocation that caller and callee share.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use tokio::sync::OwnedSemaphorePermit;

use super::errors::ended;
use super::ring::Ring;
use crate::buf::{BufResult, Lender, Lent};
use crate::foreign;
use crate::runtime::{Job, Message};
use crate::sys::generation;
use crate::task::spawn;

#[cfg(not(loom))]
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}
#[cfg(loom)]
mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

/// What is done with a buffer on the ring's thread: `F` is called there, and its future awaited.
struct Request<F, B, T> {
    state: Mutex<State<F, B, T>>,
    /// Nobody waits any more.
    abandoned: AtomicBool,
}

struct State<F, B, T> {
    phase: Phase<F, B, T>,
    /// Who waits.
    asker: Option<Waker>,
    /// Who works on it, to be told when nobody waits any more.
    worker: Option<Waker>,
    /// Counts until the buffer is back.
    permit: Option<OwnedSemaphorePermit>,
}

enum Phase<F, B, T> {
    /// Not begun.
    Asked(F, B),
    Begun,
    Done(io::Result<T>, B),
    /// The answer was taken, or nobody wants it.
    Over,
}

impl<F, B, T> Request<F, B, T> {
    fn lock(&self) -> MutexGuard<'_, State<F, B, T>> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What is to be done, if anybody still waits for it.
    fn begin(&self) -> Option<(F, B)> {
        let mut state = self.lock();
        match mem::replace(&mut state.phase, Phase::Begun) {
            Phase::Asked(work, buf) => Some((work, buf)),
            other => {
                state.phase = other;
                None
            }
        }
    }

    /// `worker` is to hear if nobody waits any more; ask for that afterwards.
    fn watch(&self, worker: &Waker) {
        let worker = worker.clone(); // One of our own tasks: no foreign code.
        self.lock().worker = Some(worker);
    }

    /// The answer, and the buffer, of which the kernel has let go.
    fn finish(&self, result: io::Result<T>, buf: B) {
        let mut state = self.lock();
        let permit = state.permit.take();
        let worker = state.worker.take();
        let asker = state.asker.take();
        let unwanted = match state.phase {
            Phase::Over => Some((result, buf)),
            _ => {
                state.phase = Phase::Done(result, buf);
                None
            }
        };
        drop(state);
        drop((permit, worker));
        foreign::guarded(|| drop(unwanted));
        if let Some(asker) = asker {
            foreign::guarded(|| asker.wake());
        }
    }

    /// Nobody waits any more.
    fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        let mut state = self.lock();
        let phase = mem::replace(&mut state.phase, Phase::Over);
        let (asker, worker) = (state.asker.take(), state.worker.take());
        let permit = match phase {
            Phase::Asked(..) => state.permit.take(),
            _ => None,
        };
        drop(state);
        if let Some(worker) = worker {
            worker.wake(); // A task of ours: its inbox, no foreign code.
        }
        drop(permit);
        foreign::guarded(|| drop(asker));
        // The buffer, or the answer: the caller's, whose drop this is.
        drop(phase);
    }
}

impl<F, B, T> Lender<B> for Request<F, B, T>
where
    F: Send,
    B: Send + 'static,
    T: Send,
{
    fn give_back(self: Arc<Self>, buf: B) {
        self.finish(Err(ended()), buf);
    }
}

impl<F, Fut, B, T> Job for Request<F, B, T>
where
    F: FnOnce(Lent<B>) -> Fut + Send + 'static,
    Fut: Future<Output = (io::Result<T>, Lent<B>)> + 'static,
    B: Send + 'static,
    T: Send + 'static,
{
    fn run(self: Arc<Self>) {
        let Some((work, buf)) = self.begin() else {
            return;
        };
        let lent = Lent::new(buf, Arc::clone(&self) as Arc<dyn Lender<B>>);
        drop(spawn(perform(self, work(lent))));
    }

    fn refuse(self: Arc<Self>) {
        if let Some((_, buf)) = self.begin() {
            self.finish(Err(ended()), buf);
        }
    }

    fn come_home(self: Arc<Self>) {}

    fn lose_home(self: Arc<Self>) {}
}

/// The task of a call. If it is dropped, its buffer goes back from wherever it is then.
async fn perform<F, B: 'static, T>(
    request: Arc<Request<F, B, T>>,
    doing: impl Future<Output = (io::Result<T>, Lent<B>)>,
) {
    let mut doing = pin!(doing);
    let mut watched = false;
    let done = poll_fn(|cx| {
        if let Poll::Ready(done) = doing.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if !mem::replace(&mut watched, true) {
            request.watch(cx.waker());
        }
        match request.abandoned.load(Ordering::Acquire) {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    })
    .await;
    let Some((result, lent)) = done else { return };
    if let Some(buf) = lent.into_inner() {
        request.finish(result, buf);
    }
}

/// Has `ring` do `work` with `buf`, when there is room for one more call.
pub(super) async fn ask<F, Fut, B, T>(ring: &Ring, buf: B, work: F) -> BufResult<T, B>
where
    F: FnOnce(Lent<B>) -> Fut + Send + 'static,
    Fut: Future<Output = (io::Result<T>, Lent<B>)> + 'static,
    B: Send + 'static,
    T: Send + 'static,
{
    let permit = match ring.permit().await {
        Ok(permit) => permit,
        Err(error) => return (Err(error), buf),
    };
    let asker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let request = Arc::new(Request {
        state: Mutex::new(State {
            phase: Phase::Asked(work, buf),
            asker: Some(asker),
            worker: None,
            permit: Some(permit),
        }),
        abandoned: AtomicBool::new(false),
    });
    let answer = Answer {
        request: Some(Arc::clone(&request)),
        generation: ring.generation(),
    };
    ring.handle.give(Message::Do(request));
    answer.await
}

/// The answer to a call.
struct Answer<F, B, T> {
    request: Option<Arc<Request<F, B, T>>>,
    generation: u32,
}

impl<F, B, T> Answer<F, B, T> {
    fn is_inherited(&self) -> bool {
        self.generation != generation()
    }
}

impl<F, B, T> Future for Answer<F, B, T> {
    type Output = BufResult<T, B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(
            !self.is_inherited(),
            "a call of saferring::remote was awaited in a child of the process that made it, where nobody will answer: \
             await it before the fork, or in the parent"
        );
        let Some(request) = &self.request else {
            panic!("a call of saferring::remote was polled after it was ready");
        };
        let mut state = request.lock();
        if let Phase::Begun | Phase::Asked(..) = state.phase {
            let is_known = |asker: &Waker| asker.will_wake(cx.waker());
            if state.asker.as_ref().is_some_and(is_known) {
                return Poll::Pending;
            }
            drop(state);
            let waker = cx.waker().clone();
            state = request.lock();
            if let Phase::Begun | Phase::Asked(..) = state.phase {
                let before = state.asker.replace(waker);
                drop(state);
                foreign::guarded(|| drop(before));
                return Poll::Pending;
            }
        }
        let phase = mem::replace(&mut state.phase, Phase::Over);
        drop(state);
        self.request = None;
        match phase {
            Phase::Done(result, buf) => Poll::Ready((result, buf)),
            _ => panic!("a call of saferring::remote has no answer and no buffer"),
        }
    }
}

impl<F, B, T> Drop for Answer<F, B, T> {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else {
            return;
        };
        match self.is_inherited() {
            // The ring's thread may have stood in the middle of it.
            true => mem::forget(request),
            false => request.abandon(),
        }
    }
}

/// loom runs every interleaving; a wake that is lost shows as a deadlock.
#[cfg(all(test, loom))]
mod models {
    use std::task::Wake;

    use loom::sync::Notify;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    /// Counts its drop.
    struct Buf(loom::sync::Arc<AtomicUsize>);

    impl Drop for Buf {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Wakes(Notify);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }

    fn wakes() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes(Notify::new()));
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    /// A call that has not begun, its answer, and how many buffers were dropped.
    fn call() -> (
        Arc<Request<(), Buf, ()>>,
        Answer<(), Buf, ()>,
        loom::sync::Arc<AtomicUsize>,
    ) {
        let dropped = loom::sync::Arc::new(AtomicUsize::new(0));
        let request = Arc::new(Request {
            state: Mutex::new(State {
                phase: Phase::Asked((), Buf(loom::sync::Arc::clone(&dropped))),
                asker: None,
                worker: None,
                permit: None,
            }),
            abandoned: AtomicBool::new(false),
        });
        let answer = Answer {
            request: Some(Arc::clone(&request)),
            generation: generation(),
        };
        (request, answer, dropped)
    }

    #[test]
    fn an_answer_is_heard_of() {
        loom::model(|| {
            let (request, mut answer, dropped) = call();
            let worker = thread::spawn(move || {
                let Some(((), buf)) = request.begin() else {
                    panic!("somebody waits");
                };
                request.finish(Ok(()), buf);
            });
            let (wakes, waker) = wakes();
            let (result, buf) = loop {
                match Pin::new(&mut answer).poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(answer) => break answer,
                    Poll::Pending => wakes.0.wait(),
                }
            };
            assert!(result.is_ok());
            assert_eq!(dropped.load(Ordering::Relaxed), 0);
            drop(buf);
            assert!(worker.join().is_ok());
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        });
    }

    /// The work ends only because nobody waits any more.
    #[test]
    fn who_works_hears_that_nobody_waits() {
        loom::model(|| {
            let (request, answer, dropped) = call();
            let worker = thread::spawn(move || {
                let Some(((), buf)) = request.begin() else {
                    return;
                };
                let (wakes, waker) = wakes();
                request.watch(&waker);
                while !request.abandoned.load(Ordering::Acquire) {
                    wakes.0.wait();
                }
                request.finish(Err(ended()), buf);
            });
            drop(answer);
            assert!(worker.join().is_ok());
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        });
    }

    #[test]
    fn a_buffer_is_dropped_once() {
        loom::model(|| {
            let (request, answer, dropped) = call();
            let worker = thread::spawn(move || {
                if let Some(((), buf)) = request.begin() {
                    request.finish(Ok(()), buf);
                }
            });
            drop(answer);
            assert!(worker.join().is_ok());
            assert_eq!(dropped.load(Ordering::Relaxed), 1);
        });
    }
}
