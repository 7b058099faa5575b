//! What a core shows of itself to whoever watches it from another thread: how often its loop has turned, which task has its
//! turn, and where each task was spawned.

use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// "In no list", for a task's index.
pub(super) const NO_INDEX: u32 = u32::MAX;

/// In a task's place: the future of `block_on`.
pub(super) const ROOT_INDEX: u32 = NO_INDEX - 1;

/// Where the loop is: in one of its turns.
const TURNS: u8 = 0;
/// It waits in the kernel, or nobody runs it.
const AWAY: u8 = 1;
/// Beside these: whoever watches has seen it there.
const SEEN: u8 = 1 << 7;

/// The owner writes, and any thread reads.
#[repr(align(64))] // Whoever reads it takes nothing else from the owner's caches.
pub(crate) struct Pulse {
    /// Where the loop is. The owner writes it each time that it goes somewhere, and only ever a constant: that is one
    /// instruction. So a `SEEN` that stays tells that it goes nowhere.
    place: AtomicU8,
    /// The index of the task that is being polled or dropped, `ROOT_INDEX`, or `NO_INDEX`.
    running: AtomicU32,
    /// How often the loop was seen to stand still.
    stalls: AtomicU64,
    /// Who the tasks are, where somebody watches.
    notes: Option<Mutex<Notes>>,
}

/// What a look at a pulse shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    has_moved: bool,
    place: u8,
    running: u32,
}

/// Who holds a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A task that has its turn, by its number.
    Task(u32, Note),
    /// The future of a `block_on` that was called there.
    Root(&'static Location<'static>),
    /// The loop itself: the kernel, or a waker that is not of this crate.
    Loop,
}

/// Who a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) name: Option<String>,
    pub(crate) place: &'static Location<'static>,
}

#[derive(Default)]
struct Notes {
    /// By index.
    tasks: Vec<Option<Note>>,
    root: Option<&'static Location<'static>>,
}

impl Pulse {
    /// That of a loop that nobody runs. `noted`: with who its tasks are.
    pub(crate) fn new(noted: bool) -> Self {
        Pulse {
            place: AtomicU8::new(AWAY),
            running: AtomicU32::new(NO_INDEX),
            stalls: AtomicU64::new(0),
            notes: noted.then(Mutex::default),
        }
    }

    #[inline(always)]
    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// The index of the task that has its turn.
    #[inline]
    pub(super) fn task(&self) -> Option<u32> {
        Some(self.running()).filter(|&index| index < ROOT_INDEX)
    }

    #[inline(always)]
    pub(super) fn set_running(&self, index: u32) {
        self.running.store(index, Ordering::Relaxed);
    }

    /// The loop begins, or goes on with the next part of its turns. The owner calls this, and the next one.
    #[inline(always)]
    pub(crate) fn turns(&self) {
        self.place.store(TURNS, Ordering::Relaxed);
    }

    /// The loop waits in the kernel or for another thread, or nobody runs it any more.
    #[inline(always)]
    pub(crate) fn is_away(&self) {
        self.place.store(AWAY, Ordering::Relaxed);
    }

    /// Whether it is noted who the tasks are.
    #[inline(always)]
    pub(super) fn is_noted(&self) -> bool {
        self.notes.is_some()
    }

    /// No user's code runs under the lock, so a poisoned one holds no broken state.
    fn notes(&self) -> Option<MutexGuard<'_, Notes>> {
        let notes = self.notes.as_ref()?;
        Some(notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes who a task is, or that it is no more.
    #[cold]
    pub(super) fn note(&self, index: u32, note: Option<Note>) {
        let Some(mut notes) = self.notes() else {
            return;
        };
        let index = index as usize;
        if notes.tasks.len() <= index {
            notes.tasks.resize(index + 1, None);
        }
        notes.tasks[index] = note;
    }

    /// Notes where `block_on` was called.
    #[inline]
    pub(crate) fn note_root(&self, place: &'static Location<'static>) {
        if let Some(mut notes) = self.notes() {
            notes.root = Some(place);
        }
    }

    /// A look, by the one thread that watches: whether the loop has moved since the look before.
    pub(crate) fn look(&self) -> Look {
        let mark = |place: u8| (place & SEEN == 0).then_some(place | SEEN);
        let relaxed = Ordering::Relaxed;
        let marked = self.place.fetch_update(relaxed, relaxed, mark);
        let (Ok(place) | Err(place)) = marked;
        Look {
            has_moved: marked.is_ok(),
            place: place & !SEEN,
            running: self.running(),
        }
    }

    /// Who holds the loop, by the thread that watches; `None` if that has changed since it looked, or before it could be said.
    pub(crate) fn holder(&self) -> Option<Holder> {
        let notes = self.notes()?;
        let running = self.running();
        let place = self.place.load(Ordering::Relaxed);
        let holder = match running {
            ROOT_INDEX => notes.root.map(Holder::Root),
            NO_INDEX => Some(Holder::Loop),
            index => {
                let note = notes.tasks.get(index as usize).cloned().flatten();
                note.map(|note| Holder::Task(index, note))
            }
        };
        holder.filter(|_| place & SEEN != 0 && self.running() == running)
    }

    /// Counts a stall; from any thread.
    pub(crate) fn count_stall(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Relaxed)
    }
}

impl Look {
    /// At a loop in its turns.
    #[cfg(test)]
    pub(crate) fn of(has_moved: bool, running: u32) -> Self {
        Look {
            has_moved,
            place: TURNS,
            running,
        }
    }

    #[cfg(test)]
    pub(crate) fn away() -> Self {
        Look {
            has_moved: false,
            place: AWAY,
            running: NO_INDEX,
        }
    }

    /// Whether the loop has moved since the look before, or need not.
    pub(crate) fn is_well(self) -> bool {
        self.has_moved || self.place == AWAY
    }

    /// Which task has its turn.
    pub(crate) fn running(self) -> u32 {
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str) -> Note {
        Note {
            name: Some(name.to_owned()),
            place: Location::caller(),
        }
    }

    #[test]
    fn the_loop_is_seen_where_it_is() {
        let pulse = Pulse::new(true);
        assert!(pulse.look().is_well());
        assert!(pulse.look().is_well());
        pulse.turns();
        // Nobody has looked yet.
        assert_eq!(pulse.holder(), None);
        assert!(pulse.look().is_well());
        assert!(!pulse.look().is_well());
        assert_eq!(pulse.holder(), Some(Holder::Loop));
        pulse.note_root(Location::caller());
        pulse.set_running(ROOT_INDEX);
        assert!(matches!(pulse.holder(), Some(Holder::Root(_))));
        assert_eq!(pulse.task(), None);
        // To the same place once more.
        pulse.turns();
        assert_eq!(pulse.holder(), None);
        assert!(pulse.look().is_well());
        assert!(!pulse.look().is_well());
        pulse.is_away();
        assert!(pulse.look().is_well());
        assert!(pulse.look().is_well());
    }

    #[test]
    fn a_task_is_known_until_its_end() {
        let pulse = Pulse::new(true);
        pulse.turns();
        pulse.look();
        pulse.note(3, Some(note("three")));
        pulse.note(1, Some(note("one")));
        assert_eq!(pulse.look().running(), NO_INDEX);
        pulse.set_running(3);
        assert_eq!(pulse.look().running(), 3);
        let Some(Holder::Task(3, found)) = pulse.holder() else {
            panic!("{:?}", pulse.holder());
        };
        assert_eq!(found.name.as_deref(), Some("three"));
        pulse.note(3, None);
        assert_eq!(pulse.holder(), None);
        assert_eq!(pulse.task(), Some(3));
    }

    #[test]
    fn without_notes_nobody_is_known() {
        let pulse = Pulse::new(false);
        pulse.turns();
        pulse.look();
        pulse.note(0, Some(note("nobody")));
        pulse.set_running(0);
        assert_eq!(pulse.holder(), None);
    }
}
