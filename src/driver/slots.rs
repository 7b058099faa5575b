//! The table of operations: cells whose addresses never change, found by index and generation.
//!
//! Cells come in chunks, each twice the size of the one before, so that the table grows without moving a cell: the
//! kernel holds pointers into them. (`slab::Slab` keeps its cells in one `Vec`, which moves them when it grows.)
//!
//! A cell is two cache lines that memory brings together.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{self, NonNull};

use crate::sys::Completion;

/// Room for an operation inside its cell, in 8-byte words. A larger operation lives in a box of its own.
const PAYLOAD_WORDS: usize = 11;
pub(crate) type Payload = MaybeUninit<[u64; PAYLOAD_WORDS]>;

/// What is known of an operation by its type. `F` is what can be done to one by someone who does not know the type: the
/// driver's affair, and nothing to the table.
pub(crate) struct OpVTable<F> {
    /// `IORING_OP_*`
    pub(crate) code: u8,
    /// For people, as in `read` or `accept`.
    pub(crate) name: &'static str,
    /// Whether it takes what arrives at its file.
    pub(crate) reads: bool,
    pub(crate) calls: F,
    /// `Some` if one entry is answered by many completions.
    pub(crate) multishot: Option<MultishotVTable>,
}

/// What else can be done to a multishot operation.
pub(crate) struct MultishotVTable {
    /// If the stream lets this many completions pile up, the operation is cancelled until it has caught up.
    pub(crate) queued_max: u16,
    /// The group of provided buffers that the operation in this payload takes from.
    pub(crate) group: unsafe fn(payload: NonNull<Payload>) -> Option<u16>,
    /// Whether the first completion is the answer, and another only tells that the kernel has let go of the memory.
    pub(crate) notifies: bool,
    /// Whether such an operation was refused by this completion, and goes to the kernel once more after the last.
    pub(crate) refused: unsafe fn(payload: NonNull<Payload>, cqe: Completion) -> bool,
}

/// Names one operation, and where it is, from `reserve` to `release`. Whoever holds a key keeps the table alive.
pub(crate) struct Key<W: 'static, F: 'static> {
    slot: NonNull<Slot<W, F>>,
    index: u32,
    generation: u32,
}

impl<W, F> Key<W, F> {
    /// What the kernel gives back with each completion.
    #[inline]
    pub(crate) fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Where the operation is kept.
    #[inline]
    pub(crate) fn payload(self) -> NonNull<Payload> {
        const { assert!(offset_of!(Slot<W, F>, payload) < align_of::<Slot<W, F>>()) };
        let slot = self.slot.cast();
        // A sum, as the bits of the offset are not in an address that is aligned.
        slot.map_addr(|addr| addr | offset_of!(Slot<W, F>, payload))
    }
}

impl<W, F> PartialEq for Key<W, F> {
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }
}

impl<W, F> Clone for Key<W, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W, F> Copy for Key<W, F> {}

/// Where an operation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The cell is in the free list; `a` is the next free index.
    Free,
    /// Handed out, the entry not yet made.
    Reserved,
    /// It waits for another to end before it goes to the kernel; `a` is its index in the queue.
    Waiting,
    /// The kernel has it, and a future waits for it. `a` is the time of submission; `b` is how much it is to do before it
    /// is over (see `Submission::whole`), or for a multishot operation its last queued
    /// completion.
    InFlight,
    /// The kernel has it, nobody waits. `a` and `b` as above.
    Orphan,
    /// An orphan whose final completion is being acted on: the operation is on its way out, and not to be looked at.
    Ending,
    /// The kernel is done; `a` and `b` are result and flags. For a multishot operation `b` is as above.
    Complete,
}

/// A file as an operation's owner knows it: never looked into here, only compared and given back.
pub(crate) type FileRef = NonNull<()>;

/// In `Head::tag`: which turn of the file it has, as the owner numbers them; 0 is none.
const TURN: u8 = 0b11;
/// In `Head::tag`: the turn does not end with the answer; whoever takes that sees to it.
pub(crate) const KEEPS_TURN: u8 = 1 << 4;
/// In `Head::tag`: it was cancelled so that it begins anew.
pub(super) const INTERRUPTED: u8 = 1 << 2;
/// In `Head::tag`: it was cancelled for good.
pub(super) const CANCELLED: u8 = 1 << 3;
/// In `Head::tag`: it is the runtime's own, and no concern of users.
pub(super) const OWN: u8 = 1 << 5;

/// What the driver knows of an operation: 40 bytes in front of the operation itself.
pub(super) struct Head<W: 'static, F: 'static> {
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) tag: u8,
    /// How many completions of a multishot operation wait for their stream.
    pub(super) queued: u16,
    pub(super) a: u32,
    pub(super) b: u32,
    /// The file that the kernel works on for it. It is alive: the operation holds a count of it.
    pub(super) file: Option<FileRef>,
    pub(super) waiter: Option<W>,
    pub(super) vtable: Option<&'static OpVTable<F>>,
}

impl<W, F> Head<W, F> {
    pub(super) fn turn(&self) -> u8 {
        self.tag & TURN
    }

    /// The turn that ends with the answer.
    #[inline]
    pub(super) fn ending_turn(&self) -> u8 {
        match self.tag & KEEPS_TURN {
            0 => self.tag & TURN,
            _ => 0,
        }
    }

    /// Whether it is a multishot operation of which completions wait to be taken.
    pub(super) fn has_queued(&self) -> bool {
        self.is_multishot() && self.b != NONE
    }

    pub(super) fn multishot(&self) -> Option<&'static MultishotVTable> {
        self.vtable?.multishot.as_ref()
    }

    pub(super) fn is_multishot(&self) -> bool {
        self.multishot().is_some()
    }
}

#[repr(C, align(128))]
pub(super) struct Slot<W: 'static, F: 'static> {
    pub(super) head: Head<W, F>,
    pub(super) payload: Payload,
}

/// "No further index" in the lists that run through the table.
pub(super) const NONE: u32 = u32::MAX;

const FIRST_CHUNK: u32 = 64;
const CHUNKS: usize = 20;
/// Set in the user data of completions that are no operation's: of cancels, which have that of their target beside, and of
/// messages.
pub(super) const OURS: u64 = 1 << 63;
/// Generations have 31 bits: the highest of the user data is [`OURS`].
const GENERATION_MAX: u32 = u32::MAX >> 1;

pub(super) struct Slots<W: 'static, F: 'static> {
    chunks: [*mut Slot<W, F>; CHUNKS],
    /// How many cells exist.
    capacity: u32,
    /// How many of them were ever handed out: those beyond are not initialised, and their pages not touched.
    used: u32,
    free: u32,
    /// Operations between `submit` and their final completion.
    pub(super) in_flight: u32,
    /// Those of them that have no future any more.
    pub(super) orphans: u32,
    /// Those of these that are the runtime's own.
    pub(super) own: u32,
}

impl<W, F> Slots<W, F> {
    pub(super) fn new() -> Self {
        Slots {
            chunks: [ptr::null_mut(); CHUNKS],
            capacity: 0,
            used: 0,
            free: NONE,
            in_flight: 0,
            orphans: 0,
            own: 0,
        }
    }

    /// The chunk that holds cell `index`, and the cell's offset in it.
    #[inline]
    fn locate(index: u32) -> (usize, usize) {
        let shifted = index + FIRST_CHUNK;
        let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
        (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize)
    }

    /// The cell at `index`, which must have come from this table.
    #[inline]
    fn at(&self, index: u32) -> NonNull<Slot<W, F>> {
        debug_assert!(index < self.capacity);
        let (chunk, offset) = Self::locate(index);
        // SAFETY: `index < capacity`, so `grow` has allocated this chunk with more than `offset` cells.
        unsafe { NonNull::new_unchecked(self.chunks[chunk].add(offset)) }
    }

    /// The head of cell `index`.
    #[inline]
    fn head_at(&mut self, index: u32) -> &mut Head<W, F> {
        debug_assert!(index < self.used);
        // SAFETY: heads are initialised from `extend` on and touched only through `&mut self`, which this borrow holds;
        // the payload beside the head, which the kernel may be writing to, is not covered by the reference.
        unsafe { &mut (*self.at(index).as_ptr()).head }
    }

    /// The operation that a completion belongs to, unless that has ended and its cell serves another.
    #[inline]
    pub(super) fn find(&mut self, user_data: u64) -> Option<Key<W, F>> {
        let (index, generation) = (user_data as u32, (user_data >> 32) as u32);
        if index >= self.used {
            return None;
        }
        let slot = self.at(index);
        let head = self.head_at(index);
        (head.generation == generation && head.state != State::Free).then_some(Key {
            slot,
            index,
            generation,
        })
    }

    /// The head of the operation `key`, which is in the table.
    #[inline]
    pub(super) fn head(&mut self, key: Key<W, F>) -> &mut Head<W, F> {
        // SAFETY: keys are made by `reserve` and `find`, of cells of this table, which live as long as it does. As for
        // `head_at`.
        let head = unsafe { &mut (*key.slot.as_ptr()).head };
        debug_assert!(head.generation == key.generation && head.state != State::Free);
        head
    }

    /// Hands out a cell; `None` when the table cannot grow any more.
    #[inline]
    pub(super) fn reserve(&mut self, vtable: &'static OpVTable<F>) -> Option<Key<W, F>> {
        if self.free == NONE && !self.extend() {
            return None;
        }
        let index = self.free;
        let slot = self.at(index);
        let head = self.head_at(index);
        let next = head.a;
        head.state = State::Reserved;
        head.tag = 0;
        head.queued = 0;
        head.b = NONE;
        head.vtable = Some(vtable);
        let generation = head.generation;
        self.free = next;
        Some(Key {
            slot,
            index,
            generation,
        })
    }

    /// Takes the cell of `key` back. Late completions for it find another generation from now on.
    ///
    /// # Panics
    ///
    /// If the kernel has the operation: its memory is not to be touched.
    #[inline]
    pub(super) fn release(&mut self, key: Key<W, F>) {
        let free = self.free;
        let head = self.head(key);
        debug_assert!(head.waiter.is_none() && head.file.is_none());
        assert!(
            !matches!(head.state, State::InFlight | State::Orphan),
            "the kernel has the operation"
        );
        head.state = State::Free;
        head.generation = (head.generation + 1) & GENERATION_MAX;
        head.a = free;
        self.free = key.index;
    }

    /// Makes a cell that was never used the free one.
    #[cold]
    fn extend(&mut self) -> bool {
        if self.used == self.capacity && !self.grow() {
            return false;
        }
        let index = self.used;
        let head = Head {
            generation: 0,
            state: State::Free,
            tag: 0,
            queued: 0,
            a: self.free,
            b: NONE,
            file: None,
            waiter: None,
            vtable: None,
        };
        // SAFETY: `index < capacity`, so this is an allocated cell, which nobody knows yet.
        unsafe { (&raw mut (*self.at(index).as_ptr()).head).write(head) };
        self.used += 1;
        self.free = index;
        true
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let (chunk, _) = Self::locate(self.capacity);
        if chunk == CHUNKS {
            return false;
        }
        let count = FIRST_CHUNK << chunk;
        let Ok(layout) = Layout::array::<Slot<W, F>>(count as usize) else {
            return false;
        };
        // SAFETY: the layout is not empty: a slot has a size, and `count` is at least `FIRST_CHUNK`.
        let cells = unsafe { alloc(layout) }.cast::<Slot<W, F>>();
        if cells.is_null() {
            handle_alloc_error(layout);
        }
        self.chunks[chunk] = cells;
        self.capacity += count;
        true
    }

    /// The keys of all operations in the given states.
    pub(super) fn keys(&mut self, mut wanted: impl FnMut(State) -> bool) -> Vec<Key<W, F>> {
        (0..self.used)
            .filter_map(|index| {
                let slot = self.at(index);
                let head = self.head_at(index);
                wanted(head.state).then_some(Key {
                    slot,
                    index,
                    generation: head.generation,
                })
            })
            .collect()
    }

    /// How many operations there are that the kernel does not have.
    pub(super) fn forgotten(&mut self) -> usize {
        let in_flight = |state| matches!(state, State::InFlight | State::Orphan);
        (0..self.used)
            .map(|index| self.head_at(index).state)
            .filter(|&state| state != State::Free && !in_flight(state))
            .count()
    }

    #[cfg(test)]
    fn set_generation(&mut self, key: Key<W, F>, generation: u32) -> Key<W, F> {
        self.head_at(key.index).generation = generation;
        Key { generation, ..key }
    }
}

impl<W, F> Drop for Slots<W, F> {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            // The kernel did not give these operations back, and closing the ring does not make it: what it may still
            // write to is never freed.
            return;
        }
        for index in 0..self.used {
            // SAFETY: `extend` initialised the heads of the cells below `used`. Payloads of operations that completed and
            // were never asked for stay unread: their futures were forgotten.
            unsafe { ptr::drop_in_place(&raw mut (*self.at(index).as_ptr()).head) };
        }
        for (chunk, &cells) in self.chunks.iter().enumerate() {
            if cells.is_null() {
                continue;
            }
            let count = (FIRST_CHUNK << chunk) as usize;
            if let Ok(layout) = Layout::array::<Slot<W, F>>(count) {
                // SAFETY: `grow` allocated the chunk with this layout, and nothing is in flight in it.
                unsafe { dealloc(cells.cast(), layout) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static VTABLE: OpVTable<()> = OpVTable {
        code: 0,
        name: "none",
        reads: false,
        calls: (),
        multishot: None,
    };

    #[test]
    fn slot_is_two_cache_lines() {
        assert_eq!(size_of::<Slot<NonNull<u8>, ()>>(), 128);
        assert_eq!(size_of::<Head<NonNull<u8>, ()>>(), 40);
    }

    #[test]
    fn cells_never_move_when_the_table_grows() {
        let mut slots = Slots::<u64, ()>::new();
        let first = slots.reserve(&VTABLE).unwrap();
        let before = first.payload();
        let others: Vec<_> = (0..5000).map(|_| slots.reserve(&VTABLE).unwrap()).collect();
        assert_eq!(slots.find(first.user_data()).unwrap().payload(), before);
        let mut places: Vec<_> = others.iter().map(|key| key.payload()).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), others.len());
        for key in others {
            slots.release(key);
        }
        slots.release(first);
    }

    #[test]
    fn what_is_never_taken_is_counted() {
        let mut slots = Slots::<u64, ()>::new();
        let [taken, _forgotten, kernels] = [0; 3].map(|_| slots.reserve(&VTABLE).unwrap());
        slots.release(taken);
        slots.head(kernels).state = State::Orphan;
        assert_eq!(
            slots.forgotten(),
            1,
            "what the kernel has is lost, not forgotten"
        );
    }

    #[test]
    fn a_released_key_finds_nothing() {
        let mut slots = Slots::<u64, ()>::new();
        let old = slots.reserve(&VTABLE).unwrap();
        slots.release(old);
        assert!(slots.find(old.user_data()).is_none());
        let new = slots.reserve(&VTABLE).unwrap();
        assert_eq!(old.index, new.index);
        assert!(slots.find(old.user_data()).is_none());
        assert!(slots.find(new.user_data()).is_some());
        slots.release(new);
    }

    #[test]
    fn generations_leave_the_highest_bit_alone() {
        let mut slots = Slots::<u64, ()>::new();
        let key = slots.reserve(&VTABLE).unwrap();
        let key = slots.set_generation(key, GENERATION_MAX);
        assert_eq!(key.user_data() >> 63, 0);
        slots.release(key);
        let key = slots.reserve(&VTABLE).unwrap();
        assert_eq!(key.generation, 0);
        slots.release(key);
    }
}
