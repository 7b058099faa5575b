//! Timers, as sleeps and deadlines of operations use them.

use std::time::Instant;

use super::driver::Driver;
use super::timer::TimerKey;

impl<W> Driver<W> {
    /// When the next timer fires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.with(|inner| inner.timers.next_deadline())
    }

    /// Adds a timer. One whose time is over fires in the next turn, without a wait.
    pub(crate) fn add_timer(&self, deadline: Instant, waiter: Option<W>) -> TimerKey {
        let over = deadline <= Instant::now();
        self.with(|inner| inner.timers.insert(deadline, over, waiter))
    }

    /// `Err` gives `waiter` back if the timer has fired; `Ok` gives the one that it replaced.
    pub(crate) fn poll_timer(&self, key: TimerKey, waiter: W) -> Result<Option<W>, W> {
        self.with(|inner| match inner.timers.waiter_mut(key) {
            Some(known) => Ok(known.replace(waiter)),
            None => Err(waiter),
        })
    }

    /// When a timer that has not fired is due, to the millisecond.
    pub(crate) fn timer_deadline(&self, key: TimerKey) -> Option<Instant> {
        self.with(|inner| inner.timers.deadline(key))
    }

    pub(crate) fn timer_has_fired(&self, key: TimerKey) -> bool {
        self.with(|inner| inner.timers.has_fired(key))
    }

    /// Forgets a timer; gives back who waited for it.
    pub(crate) fn remove_timer(&self, key: TimerKey) -> Option<W> {
        self.with(|inner| inner.timers.remove(key))
    }

    pub(crate) fn has_timers(&self) -> bool {
        self.with(|inner| !inner.timers.is_empty())
    }

    /// The waiter of one timer that is over; call it until there is none.
    pub(crate) fn pop_expired(&self, now: Instant) -> Option<W> {
        self.with(|inner| inner.timers.pop_expired(now))
    }
}
