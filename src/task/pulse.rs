//! What a core shows of itself to whoever watches it from another thread: how often its loop has turned, which task has its
//! turn, and where each task was spawned.

use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// "In no list", for a task's index.
pub(super) const NO_INDEX: u32 = u32::MAX;

/// Where the loop is: the lowest bits of `Pulse::moves`, one after the other.
const PLACES: u64 = 4;
/// It polls tasks.
const TASKS: u64 = 0;
/// It waits in the kernel, or nobody runs it.
const AWAY: u64 = 2;

/// The owner writes, and any thread reads.
#[repr(align(64))] // Whoever reads it takes nothing else from the owner's caches.
pub(crate) struct Pulse {
    /// Grows with each step of the loop. A plain count, written by the owner alone.
    moves: AtomicU64,
    /// The index of the task that is being polled or dropped, or `NO_INDEX`.
    running: AtomicU32,
    /// How often the loop was seen to stand still.
    stalls: AtomicU64,
    /// Who the tasks are, where somebody watches.
    notes: Option<Mutex<Notes>>,
}

/// What a look at a pulse shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    moves: u64,
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
            moves: AtomicU64::new(AWAY),
            running: AtomicU32::new(NO_INDEX),
            stalls: AtomicU64::new(0),
            notes: noted.then(Mutex::default),
        }
    }

    #[inline(always)]
    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Says which task has its turn, and returns which had it before.
    #[inline(always)]
    pub(super) fn set_running(&self, index: u32) -> u32 {
        let before = self.running();
        self.running.store(index, Ordering::Relaxed);
        before
    }

    /// So many steps on. Only the owner calls it, so no step is lost.
    #[inline(always)]
    pub(crate) fn step(&self, steps: u64) {
        let moves = self.moves.load(Ordering::Relaxed);
        self.moves
            .store(moves.wrapping_add(steps), Ordering::Relaxed);
    }

    /// On to the next time that the loop is at a place.
    #[inline(always)]
    fn go_to(&self, place: u64) {
        let moves = self.moves.load(Ordering::Relaxed);
        let next = (moves | (PLACES - 1)).wrapping_add(1 + place);
        self.moves.store(next, Ordering::Relaxed);
    }

    /// The loop begins, or goes on with the tasks.
    #[inline(always)]
    pub(crate) fn polls(&self) {
        self.go_to(TASKS);
    }

    /// The loop has work of its own.
    pub(crate) fn works(&self) {
        self.go_to(TASKS + 1);
    }

    /// The loop waits for somebody else, or ends.
    pub(crate) fn is_away(&self) {
        self.go_to(AWAY);
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

    /// From any thread.
    pub(crate) fn look(&self) -> Look {
        Look {
            moves: self.moves.load(Ordering::Relaxed),
            running: self.running(),
        }
    }

    /// Who holds the loop, from any thread; `None` if that has changed before it could be said.
    pub(crate) fn holder(&self) -> Option<Holder> {
        let notes = self.notes()?;
        let look = self.look();
        let holder = match look.running {
            NO_INDEX if look.moves % PLACES == TASKS => notes.root.map(Holder::Root),
            NO_INDEX => Some(Holder::Loop),
            index => {
                let note = notes.tasks.get(index as usize).cloned().flatten();
                note.map(|note| Holder::Task(index, note))
            }
        };
        holder.filter(|_| self.look() == look)
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
    #[cfg(test)]
    pub(crate) fn of(moves: u64, running: u32) -> Self {
        Look { moves, running }
    }

    /// Whether the loop has moved between two looks.
    pub(crate) fn has_moved_since(self, before: Look) -> bool {
        self.moves != before.moves
    }

    /// Whether the loop waits in the kernel, or nobody runs it.
    pub(crate) fn is_away(self) -> bool {
        self.moves % PLACES == AWAY
    }

    /// Whether another task has had a turn between two looks.
    pub(crate) fn is_of_another_than(self, before: Look) -> bool {
        self.running != before.running
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
        assert!(pulse.look().is_away());
        pulse.note_root(Location::caller());
        pulse.polls();
        let before = pulse.look();
        assert!(!before.is_away());
        assert!(matches!(pulse.holder(), Some(Holder::Root(_))));
        pulse.step(1);
        assert!(pulse.look().has_moved_since(before));
        assert_eq!(pulse.holder(), Some(Holder::Loop));
        pulse.step(1);
        assert!(pulse.look().is_away());
        pulse.step(1);
        assert!(!pulse.look().is_away());
        pulse.polls();
        assert!(matches!(pulse.holder(), Some(Holder::Root(_))));
        // From wherever it is.
        pulse.works();
        pulse.is_away();
        assert!(pulse.look().is_away());
    }

    #[test]
    fn a_task_is_known_until_its_end() {
        let pulse = Pulse::new(true);
        pulse.polls();
        pulse.note(3, Some(note("three")));
        pulse.note(1, Some(note("one")));
        let idle = pulse.look();
        assert_eq!(pulse.set_running(3), NO_INDEX);
        assert!(pulse.look().is_of_another_than(idle));
        let Some(Holder::Task(3, found)) = pulse.holder() else {
            panic!("{:?}", pulse.holder());
        };
        assert_eq!(found.name.as_deref(), Some("three"));
        pulse.note(3, None);
        assert_eq!(pulse.holder(), None);
        assert_eq!(pulse.set_running(NO_INDEX), 3);
    }

    #[test]
    fn without_notes_nobody_is_known() {
        let pulse = Pulse::new(false);
        pulse.polls();
        pulse.note(0, Some(note("nobody")));
        pulse.set_running(0);
        assert_eq!(pulse.holder(), None);
    }
}
