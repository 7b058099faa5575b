//! Descriptors are closed and dropped.

use std::time::Instant;

use super::drive::is_late;
use super::handle::Handle;
use super::object::Ours;
use super::step::{OUTSIDE, without};
use super::world::{World, tolerate};

impl World {
    /// Awaits something in a runtime, without waiting for good.
    pub(crate) fn await_bounded<F: Future + Unpin>(
        &mut self,
        at: u8,
        mut future: F,
    ) -> Option<F::Output> {
        let started = Instant::now();
        let mut round = 0;
        while !is_late(started, round) {
            let runtime = self.runtime(at);
            let polled = tolerate(|| {
                runtime.block_on(async {
                    for _ in 0..3 {
                        if let Some(output) = saferring_tests::poll_once(&mut future).await {
                            return Some(output);
                        }
                        saferring::op::nop().await.unwrap();
                    }
                    None
                })
            });
            if let Some(Some(output)) = polled {
                return Some(output);
            }
            round += 1;
            if round > 20 {
                self.turn_all();
            }
        }
        None
    }

    /// Closes a descriptor; what is in flight on it is cancelled.
    pub(crate) fn close(&mut self, object: usize, at: u8) {
        let ours = std::mem::replace(&mut self.objects[object].ours, Ours::Gone);
        self.objects[object].peer_may_see_end();
        let crossed = self.objects[object]
            .homes
            .iter()
            .any(|&home| home != self.home(at));
        let Some(closing) = super::object::closing(ours) else {
            return;
        };
        let raw = self.objects[object].raw;
        let same = |handle: &Handle| {
            let other = &self.objects[handle.object];
            handle.object != object && (other.raw == raw || other.raw < 0 && raw < 0)
        };
        let confused = without("same-number") && self.handles.iter().any(same);
        let target = &mut self.objects[object];
        if target.kernel_stuck || confused || (crossed && without("cross-close")) {
            self.touch(object, at);
            self.at(at, |_| drop(closing));
            return;
        }
        target.closed = true;
        target.input.lossy = true;
        let closed = self.await_bounded(at, closing);
        let closed = closed.unwrap_or_else(|| panic!("a close of object {object} does not end"));
        closed.unwrap_or_else(|error| panic!("a close of object {object} failed: {error}"));
        // What was submitted since has found no descriptor.
        self.turn(at, 3);
        let in_flight = self.runtime(at).in_flight();
        let on_it = in_flight
            .iter()
            .any(|op| op.fd == Some(raw) && raw >= 0 && op.name != "close");
        assert!(
            !on_it,
            "object {object} was closed with this in flight: {in_flight:?}"
        );
        let link = super::object::link(raw);
        let still = link.is_some() && link == self.objects[object].link;
        assert!(!still, "object {object} is open after its close");
    }

    /// Drops our end.
    pub(crate) fn drop_object(&mut self, object: usize, at: u8) {
        let ours = std::mem::replace(&mut self.objects[object].ours, Ours::Gone);
        self.objects[object].peer_may_see_end();
        if at != OUTSIDE || without("outside") {
            self.touch(object, at % OUTSIDE);
        }
        self.at(at, |_| drop(ours));
    }
}
