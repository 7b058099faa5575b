//! Handles are polled, awaited, cancelled, dropped, forgotten and lost.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::future::lazy;

use super::handle::{Does, Handle, Outcome};
use super::step::{Act, How, Limit, OUTSIDE, Step, WakerKind, without};
use super::wakers::{Flag, Panics, Turns};
use super::world::{Wanted, World, index, resume_unless_wanted, said};

/// How long something may take that must come.
const MUST: Duration = Duration::from_millis(1500);
/// The same while a smaller program is looked for.
const MUST_SOON: Duration = Duration::from_millis(150);

/// Whether something that must come is late: after that time, and as many turns, for the machine may be busy.
pub(crate) fn is_late(started: Instant, round: u32) -> bool {
    let limit = if super::search::is_shrinking() {
        MUST_SOON
    } else {
        MUST
    };
    round > 300 && started.elapsed() > limit
}

/// What a poll has brought.
pub(crate) enum Polled {
    Pending,
    Ready(Outcome),
    /// It panicked, because it was outside a runtime, and cannot be polled any more.
    Broken,
}

impl World {
    pub(crate) fn handle_step(&mut self, step: Step) {
        let number = match step {
            Step::Poll { handle, .. }
            | Step::Await { handle, .. }
            | Step::Cancel { handle, .. }
            | Step::Drop { handle, .. }
            | Step::Forget { handle }
            | Step::Lose { handle, .. } => handle,
            _ => return,
        };
        let Some(index) = index(number, self.handles.len()) else {
            return;
        };
        let used = matches!(
            step,
            Step::Poll { .. } | Step::Await { .. } | Step::Lose { .. }
        );
        if used && self.is_stranded(index) {
            return;
        }
        match step {
            Step::Poll { at, waker, .. } => self.poll(index, at, waker),
            Step::Await { at, in_task, .. } => self.wait(index, at % OUTSIDE, in_task),
            Step::Cancel { at, .. } => {
                let at = self.place_of(index, at);
                let mut handle = self.handles.remove(index);
                self.at(at, |_| handle.cancelled |= handle.pending.cancel());
                self.handles.insert(index, handle);
            }
            Step::Drop { at, .. } => {
                let at = self.place_of(index, at);
                let handle = self.handles.remove(index);
                self.give_up(handle, at);
            }
            Step::Forget { .. } if !without("forget") => self.forget(index),
            Step::Lose { at, panics, .. } => self.lose(index, at % OUTSIDE, panics),
            _ => {}
        }
    }

    /// Where a handle is used: where it was before, if crossing is left out.
    pub(crate) fn place_of(&self, index: usize, at: u8) -> u8 {
        let handle = &self.handles[index];
        if at == OUTSIDE && !without("outside") {
            return at;
        }
        let at = at % OUTSIDE;
        let stays = without("cross") || handle.does == Does::Chunks && without("cross-chunks");
        let stays = stays || handle.does == Does::Open && without("registry");
        match handle.homes.first() {
            Some(&home) if stays && self.is_alive(home) => home.0,
            _ => self.place_of_object(handle.object, at),
        }
    }

    /// A stream whose runtime is gone, if streams are to stay in theirs.
    pub(crate) fn is_stranded(&self, index: usize) -> bool {
        let handle = &self.handles[index];
        let gone = handle.homes.iter().any(|&home| !self.is_alive(home));
        let stays = handle.does == Does::Chunks && without("cross-chunks")
            || handle.does == Does::Open && without("registry");
        stays && gone
    }

    /// Polls a handle that was taken out of the table.
    pub(crate) fn poll_in(&mut self, handle: &mut Handle, at: u8, waker: Option<&Waker>) -> Polled {
        let inside = at != OUTSIDE || without("outside");
        let slot = at % OUTSIDE;
        let runtime = inside.then(|| self.runtime(slot));
        if inside {
            let home = self.home(slot);
            if !handle.homes.contains(&home) {
                handle.homes.push(home);
            }
            self.touch(handle.object, slot);
        }
        let pending = &mut handle.pending;
        let polled = catch_unwind(AssertUnwindSafe(|| match runtime {
            Some(runtime) => runtime.block_on(lazy(|cx| match waker {
                Some(waker) => pending.poll(&mut Context::from_waker(waker)),
                None => pending.poll(cx),
            })),
            None => pending.poll(&mut Context::from_waker(waker.unwrap_or(Waker::noop()))),
        }));
        match polled {
            Ok(Poll::Pending) => Polled::Pending,
            Ok(Poll::Ready(outcome)) => Polled::Ready(outcome),
            Err(payload) if payload.is::<Wanted>() => {
                panic!(
                    "the waker of another has broken the poll of handle {} ({:?})",
                    handle.id, handle.does
                )
            }
            Err(_) if !inside && said().contains("outside a saferring runtime") => Polled::Broken,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Deals with what a poll has brought; puts the handle back at its place if there is more to come. Says whether it
    /// was ready.
    pub(crate) fn polled(&mut self, index: usize, handle: Handle, polled: Polled) -> bool {
        match polled {
            Polled::Pending => self.handles.insert(index, handle),
            Polled::Ready(outcome) => {
                self.settle(index, handle, outcome);
                return true;
            }
            Polled::Broken if handle.pending.is_async_fn() => self.give_up(handle, 0),
            Polled::Broken => self.handles.insert(index, handle),
        }
        false
    }

    fn poll(&mut self, index: usize, at: u8, kind: WakerKind) {
        let inside = at == OUTSIDE && without("outside-polls");
        let at = self.place_of(index, if inside { 0 } else { at });
        let waker = match kind {
            WakerKind::Own => None,
            WakerKind::Panicking if !without("panicking-wakers") => {
                Some(Waker::from(Arc::new(Panics)))
            }
            WakerKind::Turning if !without("turning-wakers") => Some(Waker::from(Arc::new(Turns))),
            _ => Some(Waker::from(Arc::new(Flag::default()))),
        };
        let mut handle = self.handles.remove(index);
        let polled = self.poll_in(&mut handle, at, waker.as_ref());
        self.polled(index, handle, polled);
    }

    /// Begins an operation, and polls it if it is to be.
    pub(crate) fn begin(
        &mut self,
        object: usize,
        act: Act,
        size: u16,
        at: u8,
        how: How,
        limit: Limit,
    ) {
        let before = self.handles.len();
        self.at(at, |world| world.start(object, act, size, at, how, limit));
        if how == How::Polled && self.handles.len() > before {
            self.poll(before, at, WakerKind::Own);
        }
    }

    /// Polls a handle whenever it is woken, until it is ready: for a while, or for long if it must become so.
    pub(crate) fn wait(&mut self, index: usize, at: u8, in_task: bool) {
        let at = self.place_of(index, at);
        let must = self.must(index);
        let alone = must && self.is_alone(index, at);
        if in_task {
            self.wait_in_task(index, at, must, alone);
        } else {
            self.wait_woken(index, at, must, alone);
        }
    }

    fn wait_woken(&mut self, index: usize, at: u8, must: bool, alone: bool) {
        let flag = Arc::new(Flag::default());
        flag.0.store(true, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&flag));
        let started = Instant::now();
        for round in 0.. {
            if flag.0.swap(false, Ordering::Relaxed) {
                let mut handle = self.handles.remove(index);
                let polled = self.poll_in(&mut handle, at, Some(&waker));
                if self.polled(index, handle, polled) {
                    return;
                }
            }
            if self.is_over(index, round, started, must) {
                return;
            }
            self.turn(at, 2);
            if round > 20 && !alone {
                self.turn_all();
            }
        }
    }

    fn wait_in_task(&mut self, index: usize, at: u8, must: bool, alone: bool) {
        let mut handle = self.handles.remove(index);
        handle.homes.push(self.home(at));
        self.touch(handle.object, at);
        let place = Rc::new(RefCell::new((Some(handle), None)));
        let shared = Rc::clone(&place);
        let task = self.runtime(at).spawn(std::future::poll_fn(move |cx| {
            let mut place = shared.borrow_mut();
            let (Some(handle), outcome) = &mut *place else {
                return Poll::Ready(());
            };
            let polled = handle.pending.poll(cx);
            polled.map(|ready| *outcome = Some(ready))
        }));
        let started = Instant::now();
        for round in 0.. {
            self.turn(at, 2);
            if round > 20 && !alone {
                self.turn_all();
            }
            if task.is_finished() {
                break;
            }
            if !must && round > 4 || is_late(started, round) {
                task.abort();
                self.turn(at, 1);
                break;
            }
        }
        let (handle, outcome) = place.take();
        let handle = handle.expect("the task leaves the handle where it is");
        match outcome {
            Some(outcome) => self.settle(index, handle, outcome),
            None => {
                self.handles.insert(index, handle);
                assert!(!must, "{}", self.not_ready(index));
            }
        }
    }

    fn is_over(&self, index: usize, round: u32, started: Instant, must: bool) -> bool {
        if !must {
            return round >= 4;
        }
        assert!(!is_late(started, round), "{}", self.not_ready(index));
        false
    }

    fn not_ready(&self, index: usize) -> String {
        let handle = &self.handles[index];
        format!(
            "handle {} ({:?}, of object {}, polled in {:?}) does not become ready, but must",
            handle.id, handle.does, handle.object, handle.homes
        )
    }

    /// The handle is dropped; what its task had got is not lost by that.
    pub(crate) fn give_up(&mut self, handle: Handle, at: u8) {
        let (object, does, epoch) = (handle.object, handle.does, handle.epoch);
        if at != OUTSIDE || without("outside") {
            self.touch(object, at % OUTSIDE);
        }
        if handle.pending.is_task() {
            // Its future is dropped when its runtime runs, and may receive something until then.
            let homes = handle.homes.iter().map(|&home| (object, home));
            self.aborted.extend(homes);
        }
        let got = self.at(at, |world| {
            let (id, pending) = (handle.id, handle.pending);
            world.dropped(object, does);
            pending.give_up().map(|outcome| (id, outcome))
        });
        if let Some(Some((id, outcome))) = got {
            self.settle_late(id, object, does, epoch, outcome);
        }
    }

    /// The handle is forgotten.
    fn forget(&mut self, index: usize) {
        if self.handles[index].pending.is_task() {
            return;
        }
        let handle = self.handles.remove(index);
        self.forgotten += handle.bufs;
        self.dropped(handle.object, handle.does);
        let object = &mut self.objects[handle.object];
        object.may_stay = true;
        match handle.does {
            Does::Write { .. } => object.writers_stuck = true,
            Does::Datagram | Does::Buffer | Does::FileRead { .. } | Does::FileWrite { .. } => {}
            _ => {
                object.readers_stuck = true;
                object.input.lossy = true;
            }
        }
        self.pool_leaks |= handle.does == Does::Chunks;
        std::mem::forget(handle.pending);
    }

    /// A task polls the handle, and ends by a panic or an abort.
    fn lose(&mut self, index: usize, at: u8, panics: bool) {
        let at = self.place_of(index, at);
        let handle = self.handles.remove(index);
        if handle.pending.is_task() {
            return self.give_up(handle, at);
        }
        let (object, does, epoch, id) = (handle.object, handle.does, handle.epoch, handle.id);
        self.touch(object, at);
        self.dropped(object, does);
        let runtime = self.runtime(at);
        let place = Rc::new(RefCell::new(None));
        let shared = Rc::clone(&place);
        let mut pending = handle.pending;
        let task = runtime.spawn(async move {
            let got = std::future::poll_fn(|cx| Poll::Ready(pending.poll(cx))).await;
            if let Poll::Ready(outcome) = got {
                *shared.borrow_mut() = Some(outcome);
            }
            if panics {
                resume_unwind(Box::new(Wanted));
            }
            std::future::pending::<()>().await;
        });
        self.turn(at, 1);
        task.abort();
        self.turn(at, 1);
        let ended = self.await_bounded(at, task);
        match ended {
            Some(Err(error)) if error.is_panic() => resume_unless_wanted(error.into_panic()),
            Some(Err(_)) => {}
            _ => panic!("a task that was aborted has not ended"),
        }
        if let Some(outcome) = place.take() {
            self.settle_late(id, object, does, epoch, outcome);
        }
    }
}
