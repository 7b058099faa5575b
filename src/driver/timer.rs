//! Deadlines, without a kernel object for each: a hierarchical timer wheel.
//!
//! Time is counted in milliseconds since the wheel was made. Level 0 has a slot for each millisecond of the current 64,
//! level 1 a slot for each 64 of the current 4,096, and so on: a level takes six more bits of the time. A timer sits at
//! the level of the highest bits in which its time differs from `elapsed_ms`, so:
//!
//! - every occupied slot of a level lies after the current one (level 0: at or after it), and no slot wraps around;
//! - all that is at one level comes before all that is at the next.
//!
//! The earliest slot is therefore the lowest bit of the lowest bitmap that is not empty. When time reaches a slot above
//! level 0, its timers are spread over the levels below (a cascade), at most once a level in a timer's life. The levels
//! cover one block of 2^36 ms (two years); deadlines in later blocks wait in a list of their own, which is looked
//! through when the block is over. However far the clock jumps, the work is per timer and never per millisecond.

use std::time::{Duration, Instant};

use slab::Slab;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// The bits of a time that the levels tell apart. The rest numbers the block of time that the wheel is in.
const WHEEL_BITS: u32 = SLOT_BITS * LEVELS as u32;
/// The list of timers outside the current block, after those of the slots.
const FAR: usize = LEVELS * SLOTS;
const LISTS: usize = FAR + 1;

/// "No timer" as a list's first.
const NIL: u32 = u32::MAX;
/// The time of deadlines that cannot be counted, 584 million years from the start. The clock never shows it.
const NEVER_MS: u64 = u64::MAX;
/// In a slot with no more timers than this, it is cheaper to look for the earliest than to wake up early to cascade.
const LOOK_MAX: usize = 4;

/// Names one timer until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    index: u32,
    generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the list `Timer::list`.
    Pending,
    /// In no list; the owner has not removed it yet.
    Fired,
}

/// 32 bytes in the slab: the state's unused values tell free cells apart.
struct Timer<W> {
    waiter: Option<W>,
    /// When it fires; never before the `elapsed_ms` of its insertion.
    due_ms: u64,
    /// Neighbours in a ring: the first one's `prev` is the last, so a list needs no second word for its end.
    prev: u32,
    next: u32,
    generation: u32,
    list: u16,
    state: State,
}

/// The timers of one thread. `W` is whatever wakes the waiting future; it is only kept and given back.
pub(crate) struct Timers<W> {
    start: Instant,
    /// Every timer due before this has fired.
    elapsed_ms: u64,
    timers: Slab<Timer<W>>,
    pending: usize,
    /// Given to the next timer. One counter serves all cells: it only has to differ from a cell's earlier ones.
    generation: u32,
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
    /// The first timer of each list.
    first: [u32; LISTS],
}

impl<W> Timers<W> {
    /// No timers; `now` becomes time zero.
    pub(crate) fn new(now: Instant) -> Self {
        Timers {
            start: now,
            elapsed_ms: 0,
            timers: Slab::new(),
            pending: 0,
            generation: 0,
            occupied: [0; LEVELS],
            first: [NIL; LISTS],
        }
    }

    /// Adds a timer. It fires at the first millisecond at or after `deadline`, never before; if that is `over`, at the
    /// next [`pop_expired`](Self::pop_expired), behind those that are due already.
    ///
    /// # Panics
    ///
    /// There are 2^32 timers.
    pub(crate) fn insert(&mut self, deadline: Instant, over: bool, waiter: Option<W>) -> TimerKey {
        let generation = self.generation;
        self.generation = generation.wrapping_add(1);
        let cell = self.timers.vacant_entry();
        let index = match u32::try_from(cell.key()) {
            Ok(index) if index != NIL => index,
            _ => panic!("saferring: too many timers"),
        };
        let since = deadline.saturating_duration_since(self.start);
        let part_ms = u64::from(since.subsec_nanos().div_ceil(1_000_000));
        cell.insert(Timer {
            waiter,
            due_ms: match over {
                true => self.elapsed_ms,
                false => whole_ms(since, part_ms).max(self.elapsed_ms),
            },
            prev: index,
            next: index,
            generation,
            list: 0,
            state: State::Pending,
        });
        self.link(index);
        self.pending += 1;
        TimerKey { index, generation }
    }

    /// Whether the timer is over and [`pop_expired`](Self::pop_expired) has seen it. A removed timer has not fired.
    pub(crate) fn has_fired(&self, key: TimerKey) -> bool {
        self.timers
            .get(key.index as usize)
            .is_some_and(|timer| timer.generation == key.generation && timer.state == State::Fired)
    }

    /// When a pending timer is due, to the millisecond; `None` once it has fired or is removed.
    pub(crate) fn deadline(&self, key: TimerKey) -> Option<Instant> {
        let timer = self.timers.get(key.index as usize)?;
        if timer.generation != key.generation || timer.state != State::Pending {
            return None;
        }
        self.start.checked_add(Duration::from_millis(timer.due_ms))
    }

    /// A pending timer's waiter, to replace it; `None` once it has fired or is removed.
    pub(crate) fn waiter_mut(&mut self, key: TimerKey) -> Option<&mut Option<W>> {
        self.timers
            .get_mut(key.index as usize)
            .filter(|timer| timer.generation == key.generation && timer.state == State::Pending)
            .map(|timer| &mut timer.waiter)
    }

    /// Forgets a timer, pending or fired, in constant time; gives its waiter if that is still there. A key that was
    /// removed before finds nothing.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<W> {
        let timer = self.timers.get(key.index as usize)?;
        if timer.generation != key.generation {
            return None;
        }
        if timer.state == State::Pending {
            self.unlink(key.index);
            self.pending -= 1;
        }
        self.timers.remove(key.index as usize).waiter
    }

    /// When [`pop_expired`](Self::pop_expired) will have something to do: at the earliest timer, or before it when
    /// many timers have to be told apart first; never after it. `None`: there are no timers.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next_ms = match self.next_slot() {
            Some((0, _, slot_ms)) => slot_ms,
            Some((level, slot, slot_ms)) => self
                .earliest_of_few(level * SLOTS + slot)
                .unwrap_or(slot_ms),
            None if self.first[FAR] != NIL => self
                .earliest_of_few(FAR)
                .unwrap_or(((self.elapsed_ms >> WHEEL_BITS) + 1) << WHEEL_BITS),
            None => return None,
        };
        self.start.checked_add(Duration::from_millis(next_ms))
    }

    /// Fires the timers that are over at `now`, in the order of their milliseconds and then of insertion, up to the
    /// first one that has a waiter, and gives that. Call it until it gives `None`: so the caller can act on each waiter
    /// with nothing borrowed. A `now` before that of an earlier call counts as that one.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<W> {
        let since = now.saturating_duration_since(self.start);
        // One less than `NEVER_MS`, so that the deadlines beyond all counting do not fire early.
        let now_ms = whole_ms(since, u64::from(since.subsec_millis())).min(NEVER_MS - 1);
        let now_ms = now_ms.max(self.elapsed_ms);
        while let Some((level, slot)) = self.reach_slot(now_ms) {
            if level > 0 {
                self.respread(level * SLOTS + slot);
                continue;
            }
            let index = self.first[slot];
            self.unlink(index);
            self.pending -= 1;
            let timer = &mut self.timers[index as usize];
            timer.state = State::Fired;
            if let Some(waiter) = timer.waiter.take() {
                return Some(waiter);
            }
        }
        self.elapsed_ms = now_ms;
        None
    }

    /// Takes the waiters of all timers, which nothing will fire any more.
    pub(crate) fn take_waiters(&mut self) -> Vec<W> {
        let timers = self.timers.iter_mut();
        timers
            .filter_map(|(_, timer)| timer.waiter.take())
            .collect()
    }

    /// Whether no timer is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// How many timers are pending.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.pending
    }

    /// The earliest occupied slot of the wheel: level, slot, and when it begins.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = SLOT_BITS * level as u32;
        let level_ms = self.elapsed_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        Some((level, slot, level_ms | (slot as u64) << shift))
    }

    /// Moves the time to the earliest occupied slot, if that has begun at `now_ms`: level and slot.
    fn reach_slot(&mut self, now_ms: u64) -> Option<(usize, usize)> {
        loop {
            if let Some((level, slot, slot_ms)) = self.next_slot() {
                if slot_ms > now_ms {
                    return None;
                }
                // Not backwards: `slot_ms` is at least `elapsed_ms`, as occupied slots lie at or after the current.
                self.elapsed_ms = slot_ms;
                return Some((level, slot));
            }
            let now_block = now_ms >> WHEEL_BITS;
            if self.first[FAR] == NIL || now_block == self.elapsed_ms >> WHEEL_BITS {
                return None;
            }
            // Straight to the block of the earliest timer: the blocks in between have nothing to fire.
            let earliest_ms = self.list(FAR).map(|timer| timer.due_ms).min();
            let block = earliest_ms.map_or(now_block, |ms| now_block.min(ms >> WHEEL_BITS));
            self.elapsed_ms = block << WHEEL_BITS;
            self.respread(FAR);
        }
    }

    /// When the earliest timer of a list is due, if that is quickly found.
    fn earliest_of_few(&self, list: usize) -> Option<u64> {
        if self.list(list).nth(LOOK_MAX).is_some() {
            return None;
        }
        self.list(list).map(|timer| timer.due_ms).min()
    }

    /// The timers of a list, in order.
    fn list(&self, list: usize) -> impl Iterator<Item = &Timer<W>> {
        let first = self.first[list];
        let mut next = first;
        std::iter::from_fn(move || {
            if next == NIL {
                return None;
            }
            let timer = &self.timers[next as usize];
            next = if timer.next == first { NIL } else { timer.next };
            Some(timer)
        })
    }

    /// Takes all timers from a list and links them anew, as the time has moved on.
    fn respread(&mut self, list: usize) {
        let first = self.first[list];
        self.clear_list(list);
        let mut index = first;
        while index != NIL {
            // Read before `link` overwrites it.
            let next = self.timers[index as usize].next;
            self.link(index);
            index = if next == first { NIL } else { next };
        }
    }

    /// Marks a list as empty.
    fn clear_list(&mut self, list: usize) {
        self.first[list] = NIL;
        if list < FAR {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }

    /// Puts a timer at the end of the list for its time. Its neighbours so far are ignored.
    fn link(&mut self, index: u32) {
        let due_ms = self.timers[index as usize].due_ms;
        debug_assert!(due_ms >= self.elapsed_ms);
        // The lowest level's bits count as different, so that a timer that is due now goes to the current slot.
        let differing = (due_ms ^ self.elapsed_ms) | (SLOTS as u64 - 1);
        let level = (differing.ilog2() / SLOT_BITS) as usize;
        let list = if level < LEVELS {
            let slot = (due_ms >> (SLOT_BITS * level as u32)) as usize % SLOTS;
            self.occupied[level] |= 1 << slot;
            level * SLOTS + slot
        } else {
            FAR
        };
        let first = self.first[list];
        let last = if first == NIL {
            self.first[list] = index;
            index
        } else {
            let last = std::mem::replace(&mut self.timers[first as usize].prev, index);
            self.timers[last as usize].next = index;
            last
        };
        let timer = &mut self.timers[index as usize];
        timer.prev = last;
        timer.next = if first == NIL { index } else { first };
        timer.list = list as u16;
    }

    /// Takes a pending timer out of its list.
    fn unlink(&mut self, index: u32) {
        let timer = &self.timers[index as usize];
        let (prev, next, list) = (timer.prev, timer.next, usize::from(timer.list));
        if next == index {
            self.clear_list(list);
            return;
        }
        self.timers[prev as usize].next = next;
        self.timers[next as usize].prev = prev;
        if self.first[list] == index {
            self.first[list] = next;
        }
    }
}

/// `since` in milliseconds, those of its broken second given; as many as can be counted.
fn whole_ms(since: Duration, part_ms: u64) -> u64 {
    since.as_secs().saturating_mul(1000).saturating_add(part_ms)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ptr::NonNull;

    use super::*;

    const BLOCK_MS: u64 = 1 << WHEEL_BITS;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Everything that fires at `now`.
    fn pop_all<W>(timers: &mut Timers<W>, now: Instant) -> Vec<W> {
        std::iter::from_fn(|| timers.pop_expired(now)).collect()
    }

    /// The last instant, or with `step_back` the first, that can be written down.
    fn extreme(step_back: bool) -> Instant {
        let mut instant = Instant::now();
        for bit in (0..64).rev() {
            let step = Duration::from_secs(1 << bit);
            let next = if step_back {
                instant.checked_sub(step)
            } else {
                instant.checked_add(step)
            };
            instant = next.unwrap_or(instant);
        }
        instant
    }

    /// Lists, bitmaps and counts agree, and every timer lies where the module's first lines say.
    fn check<W>(timers: &Timers<W>) {
        let mut linked = 0;
        for list in 0..LISTS {
            let (level, slot) = (list / SLOTS, list % SLOTS);
            let first = timers.first[list];
            if list < FAR {
                assert_eq!(timers.occupied[level] >> slot & 1 == 1, first != NIL);
            }
            let mut prev = match first {
                NIL => continue,
                first => timers.timers[first as usize].prev,
            };
            let mut index = first;
            loop {
                let timer = &timers.timers[index as usize];
                assert_eq!(timer.prev, prev);
                assert_eq!(usize::from(timer.list), list);
                assert_eq!(timer.state, State::Pending);
                assert!(timer.due_ms >= timers.elapsed_ms);
                let shift = SLOT_BITS * level as u32;
                let above = shift + if list < FAR { SLOT_BITS } else { 0 };
                let same_above = timer.due_ms >> above == timers.elapsed_ms >> above;
                assert_eq!(same_above, list < FAR);
                if list < FAR {
                    assert_eq!((timer.due_ms >> shift) as usize % SLOTS, slot);
                    let current = (timers.elapsed_ms >> shift) as usize % SLOTS;
                    assert!(slot > current || level == 0 && slot == current);
                }
                linked += 1;
                prev = index;
                index = timer.next;
                if index == first {
                    break;
                }
            }
        }
        assert_eq!(linked, timers.len());
        assert_eq!(timers.is_empty(), linked == 0);
    }

    #[test]
    fn a_timer_is_small() {
        assert_eq!(size_of::<Timer<NonNull<u8>>>(), 32);
        assert_eq!(size_of::<TimerKey>(), 8);
        // What `Slab` keeps for a cell: the timer or the next free cell, told apart by an unused value of the state.
        #[allow(dead_code, reason = "only its size is of interest")]
        enum Cell {
            Free(usize),
            Taken(Timer<NonNull<u8>>),
        }
        assert_eq!(size_of::<Cell>(), 32);
    }

    #[test]
    fn an_empty_wheel_has_nothing_to_do() {
        let start = Instant::now();
        let mut timers = Timers::<u32>::new(start);
        assert!(timers.is_empty());
        assert_eq!(timers.next_deadline(), None);
        assert_eq!(timers.pop_expired(start + ms(5 * BLOCK_MS)), None);
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn no_timer_fires_early() {
        let start = Instant::now();
        for nanos in [1, 999_999, 1_000_000, 1_000_001, 63_999_999, 64_000_001] {
            let deadline = start + Duration::from_nanos(nanos);
            let due = start + ms(nanos.div_ceil(1_000_000));
            let mut timers = Timers::new(start);
            timers.insert(deadline, false, Some(nanos));
            assert_eq!(timers.next_deadline(), Some(due));
            assert_eq!(timers.pop_expired(due - Duration::from_nanos(1)), None);
            assert_eq!(timers.pop_expired(due), Some(nanos));
            assert_eq!(timers.pop_expired(due), None);
        }
    }

    #[test]
    fn a_past_deadline_fires_at_the_next_pop() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.insert(start - ms(1), false, Some(1));
        timers.insert(start, false, Some(2));
        assert_eq!(timers.next_deadline(), Some(start));
        assert_eq!(pop_all(&mut timers, start), [1, 2]);
        assert_eq!(timers.pop_expired(start + ms(1000)), None);
        timers.insert(start + ms(10), false, Some(3));
        assert_eq!(timers.next_deadline(), Some(start + ms(1000)));
        // A clock that went back does not hold it up.
        assert_eq!(pop_all(&mut timers, start), [3]);
    }

    #[test]
    fn timers_fire_in_order_at_every_distance() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let mut due: Vec<u64> = (0..46)
            .flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])
            .collect();
        for &due in due.iter().rev() {
            timers.insert(start + ms(due), false, Some(due));
            check(&timers);
        }
        due.sort_unstable();
        assert_eq!(pop_all(&mut timers, start + ms(BLOCK_MS << 10)), due);
        assert!(timers.is_empty());
    }

    #[test]
    fn one_millisecond_keeps_the_order_of_insertion() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let due = start + ms(5000);
        // Each is inserted nearer to the deadline, so at a lower level, than the one before.
        for (order, now) in [0, 4000, 4100, 4990, 5000].into_iter().enumerate() {
            assert_eq!(timers.pop_expired(start + ms(now - now / 5000)), None);
            timers.insert(due, false, Some(order));
        }
        assert_eq!(pop_all(&mut timers, due), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn next_deadline_is_exact_for_a_few_timers() {
        let start = Instant::now();
        for due in [
            0,
            63,
            64,
            4095,
            10_000,
            1 << 30,
            BLOCK_MS - 1,
            BLOCK_MS,
            5 * BLOCK_MS + 7,
        ] {
            let mut timers = Timers::new(start);
            for other in 0..LOOK_MAX as u64 {
                timers.insert(start + ms(due + other), false, Some(other));
            }
            assert_eq!(timers.next_deadline(), Some(start + ms(due)));
        }
    }

    #[test]
    fn next_deadline_reaches_every_timer_in_few_steps() {
        let start = Instant::now();
        for due in [
            63,
            64,
            4095,
            10_000,
            1 << 30,
            BLOCK_MS - 1,
            BLOCK_MS,
            BLOCK_MS + 12_345_678,
        ] {
            let mut timers = Timers::new(start);
            // Too many to be looked through, so that the time has to go from cascade to cascade.
            for _ in 0..=LOOK_MAX {
                timers.insert(start + ms(due), false, Some(due));
            }
            let mut steps = 0;
            loop {
                let next = timers.next_deadline().unwrap();
                assert!(next <= start + ms(due));
                steps += 1;
                if timers.pop_expired(next).is_some() {
                    break;
                }
            }
            assert!(steps <= LEVELS + 1, "{steps} steps to {due}");
        }
    }

    #[test]
    fn waiters_are_replaced_while_pending_only() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let key = timers.insert(start + ms(1), false, None);
        *timers.waiter_mut(key).unwrap() = Some("first");
        assert_eq!(
            timers.waiter_mut(key).unwrap().replace("second"),
            Some("first")
        );
        assert!(!timers.has_fired(key));
        assert_eq!(timers.pop_expired(start + ms(1)), Some("second"));
        assert!(timers.has_fired(key));
        assert!(timers.waiter_mut(key).is_none());
        assert_eq!(timers.remove(key), None);
        assert!(!timers.has_fired(key));
    }

    #[test]
    fn timers_without_a_waiter_fire_unseen() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let silent = timers.insert(start + ms(1), false, None);
        timers.insert(start + ms(2), false, Some(2));
        let last = timers.insert(start + ms(3), false, None);
        assert_eq!(timers.pop_expired(start + ms(3)), Some(2));
        assert!(timers.has_fired(silent) && !timers.has_fired(last));
        assert_eq!(timers.pop_expired(start + ms(3)), None);
        assert!(timers.has_fired(last));
        assert!(timers.is_empty());
    }

    #[test]
    fn a_stale_key_is_harmless() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let old = timers.insert(start + ms(1), false, Some(1));
        assert_eq!(timers.remove(old), Some(1));
        assert_eq!(timers.remove(old), None);
        let new = timers.insert(start + ms(2), false, Some(2));
        assert_eq!(old.index, new.index);
        assert_eq!(timers.remove(old), None);
        assert!(timers.waiter_mut(old).is_none());
        assert_eq!(pop_all(&mut timers, start + ms(2)), [2]);
        assert!(timers.has_fired(new) && !timers.has_fired(old));
    }

    #[test]
    fn generations_wrap() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.generation = u32::MAX;
        let old = timers.insert(start, false, Some(1));
        assert_eq!(timers.remove(old), Some(1));
        let new = timers.insert(start, false, Some(2));
        assert_eq!((old.generation, new.generation), (u32::MAX, 0));
        assert_eq!(timers.remove(old), None);
        assert_eq!(timers.remove(new), Some(2));
    }

    #[test]
    fn removal_works_at_every_place_in_a_list() {
        let start = Instant::now();
        for due in [3, 100, BLOCK_MS] {
            for removed in 0..3 {
                let mut timers = Timers::new(start);
                let keys = [0, 1, 2].map(|id| timers.insert(start + ms(due), false, Some(id)));
                assert_eq!(timers.remove(keys[removed]), Some(removed));
                check(&timers);
                let left: Vec<_> = (0..3).filter(|&id| id != removed).collect();
                assert_eq!(pop_all(&mut timers, start + ms(due)), left);
                check(&timers);
            }
        }
    }

    #[test]
    fn cells_are_used_again() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for round in 0..1000 {
            let keys: Vec<_> = (0..10)
                .map(|id| timers.insert(start + ms(round + id), false, Some(id)))
                .collect();
            pop_all(&mut timers, start + ms(round + 5));
            for key in keys {
                timers.remove(key);
            }
        }
        assert!(timers.is_empty());
        assert!(timers.timers.capacity() <= 16);
    }

    #[test]
    fn a_jump_over_many_blocks_loses_nothing() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let far = [
            3 * BLOCK_MS + 5,
            1000 * BLOCK_MS,
            1001 * BLOCK_MS - 1,
            1001 * BLOCK_MS,
        ];
        for due in far {
            timers.insert(start + ms(due), false, Some(due));
        }
        assert_eq!(timers.pop_expired(start + ms(2 * BLOCK_MS)), None);
        check(&timers);
        assert_eq!(pop_all(&mut timers, start + ms(999 * BLOCK_MS)), far[..1]);
        check(&timers);
        assert_eq!(
            pop_all(&mut timers, start + ms(1001 * BLOCK_MS - 1)),
            far[1..3]
        );
        assert_eq!(timers.next_deadline(), Some(start + ms(1001 * BLOCK_MS)));
        assert_eq!(pop_all(&mut timers, start + ms(1001 * BLOCK_MS)), far[3..]);
    }

    #[test]
    fn instants_at_the_ends_of_time_are_served() {
        let (first, last) = (extreme(true), extreme(false));
        for start in [first, Instant::now(), last] {
            let mut timers = Timers::new(start);
            let never = timers.insert(last, false, Some(1));
            let past = timers.insert(first, false, Some(2));
            assert!(timers.next_deadline().is_some_and(|next| next <= start));
            if start == last {
                assert_eq!(pop_all(&mut timers, first), [1, 2]);
                continue;
            }
            assert_eq!(pop_all(&mut timers, first), [2]);
            assert!(timers.has_fired(past));
            let _ = timers.next_deadline();
            // Beyond what can be counted: neither early nor lost.
            assert_eq!(timers.pop_expired(last), None);
            check(&timers);
            assert_eq!(timers.remove(never), Some(1));
        }
    }

    /// Small numbers that look random (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1) % bound
        }

        /// As often around a nanosecond as around a year.
        fn time(&mut self) -> Duration {
            let bits = self.below(58);
            Duration::from_nanos(self.below(1 << bits))
        }
    }

    /// What a wheel should do, by a sorted map of all that is pending.
    struct Model {
        random: Random,
        start: Instant,
        now: Instant,
        elapsed_ms: u64,
        timers: Timers<u64>,
        /// Due time and number of the timer, to its waiter.
        pending: BTreeMap<(u64, u64), Option<u64>>,
        /// Keys ever given out, some of them stale, with what the map knows them by.
        keys: Vec<(TimerKey, (u64, u64))>,
        next_id: u64,
    }

    impl Model {
        fn new(seed: u64) -> Self {
            let start = Instant::now();
            Model {
                random: Random(seed),
                start,
                now: start,
                elapsed_ms: 0,
                timers: Timers::new(start),
                pending: BTreeMap::new(),
                keys: Vec::new(),
                next_id: 0,
            }
        }

        fn insert(&mut self) {
            let time = self.random.time();
            let deadline = match self.random.below(10) {
                0 => self.now - time.min(self.now - self.start),
                1 => self.now + time * 1000,
                2 => self.now + time.min(ms(200)),
                _ => self.now + time,
            };
            let id = self.next_id;
            self.next_id += 1;
            let waiter = (self.random.below(8) > 0).then_some(id);
            let due_ms = (deadline - self.start).as_nanos().div_ceil(1_000_000) as u64;
            let place = (due_ms.max(self.elapsed_ms), id);
            self.pending.insert(place, waiter);
            self.keys
                .push((self.timers.insert(deadline, false, waiter), place));
        }

        /// Removes a timer: pending, fired, or removed already.
        fn remove(&mut self) {
            if self.keys.is_empty() {
                return;
            }
            let which = self.random.below(self.keys.len() as u64) as usize;
            let (key, place) = self.keys[which];
            let expected = self.pending.remove(&place).flatten();
            assert_eq!(self.timers.remove(key), expected);
            assert!(!self.timers.has_fired(key));
            // Some keys stay, to be tried again when they are stale.
            if self.random.below(3) > 0 {
                self.keys.swap_remove(which);
            }
        }

        fn replace_waiter(&mut self) {
            if self.keys.is_empty() {
                return;
            }
            let which = self.random.below(self.keys.len() as u64) as usize;
            let (key, place) = self.keys[which];
            let new = self
                .random
                .below(2)
                .checked_sub(1)
                .map(|_| place.1 + 1_000_000);
            match (self.timers.waiter_mut(key), self.pending.get_mut(&place)) {
                (Some(real), Some(expected)) => {
                    assert_eq!(real, expected);
                    (*real, *expected) = (new, new);
                }
                (None, None) => {}
                (real, expected) => panic!("{real:?} instead of {expected:?}"),
            }
        }

        /// Moves the clock, and fires what is over: all of it, or only some.
        fn advance(&mut self) {
            let next = self.timers.next_deadline();
            self.now = match (self.random.below(4), next) {
                (0, Some(next)) => next.max(self.now),
                (1, _) => self.now + ms(self.random.below(130)),
                _ => self.now + self.random.time(),
            };
            let now_ms = (self.now - self.start).as_millis() as u64;
            let all = self.random.below(4) > 0;
            while all || self.random.below(4) > 0 {
                let expected = loop {
                    match self.pending.first_entry() {
                        Some(first) if first.key().0 <= now_ms => {
                            self.elapsed_ms = first.key().0;
                            if let Some(waiter) = first.remove() {
                                break Some(waiter);
                            }
                        }
                        _ => break None,
                    }
                };
                assert_eq!(self.timers.pop_expired(self.now), expected);
                if expected.is_none() {
                    self.elapsed_ms = now_ms;
                    break;
                }
            }
        }

        fn check(&self) {
            check(&self.timers);
            assert_eq!(self.timers.len(), self.pending.len());
            let earliest = self
                .pending
                .keys()
                .next()
                .map(|place| self.start + ms(place.0));
            let next = self.timers.next_deadline();
            assert_eq!(next.is_some(), earliest.is_some());
            assert!(next <= earliest, "{next:?} is after {earliest:?}");
            for (key, place) in &self.keys {
                assert!(!(self.timers.has_fired(*key) && self.pending.contains_key(place)));
            }
        }
    }

    #[test]
    fn random_use_agrees_with_a_sorted_map() {
        for seed in 1..=300 {
            println!("seed {seed}");
            let mut model = Model::new(seed);
            // From few timers, most of them alone in their lists, to many.
            let inserts = 2 + model.random.below(8);
            for step in 0..1000 {
                match model.random.below(20) {
                    choice if choice < inserts => model.insert(),
                    choice if choice < 12 => model.remove(),
                    choice if choice < 14 => model.replace_waiter(),
                    _ => model.advance(),
                }
                if step % 16 == 0 {
                    model.check();
                }
            }
            model.check();
            // In the end everything fires, however far it is.
            let end = model.now + ms(BLOCK_MS << 14);
            let expected: Vec<_> = model.pending.values().copied().flatten().collect();
            assert_eq!(pop_all(&mut model.timers, end), expected);
            assert!(model.timers.is_empty());
        }
    }
}
