//! How an operation of a known type is kept in a cell of the driver, which knows only bytes.

use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

use super::spare::{self, Block};
use super::turn::answered;
use super::{Driver, Multishot, Operation, SharedFd, Side, context};
use crate::driver::{
    Abandoned, Answered, Key, MultishotVTable, OpVTable, Owner, Payload, Progress, Submission,
};
use crate::foreign;
use crate::sys::OTHER_RUNTIME;
use crate::task::WakeRef;

/// Where an operation of some type is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Home {
    /// In the cell itself.
    Cell,
    /// In a block that the cell points to.
    Block,
    /// In a box that the cell points to: it has a buffer of unusual size or alignment inside.
    Box,
}

const fn fits<T, P>() -> bool {
    size_of::<T>() <= size_of::<P>() && align_of::<T>() <= align_of::<P>()
}

const fn home<T>() -> Home {
    if fits::<T, Payload>() {
        Home::Cell
    } else if fits::<T, Block>() {
        Home::Block
    } else {
        Home::Box
    }
}

/// Moves `op` to its final place.
///
/// # Safety
///
/// The payload is that of a reserved cell, and holds nothing yet.
#[inline]
unsafe fn put<T>(payload: NonNull<Payload>, op: T) {
    let boxed = match const { home::<T>() } {
        Home::Cell => {
            // SAFETY: the payload is large and aligned enough, by `home`, and ours by the caller's promise.
            return unsafe { payload.cast::<T>().write(op) };
        }
        Home::Block => {
            let block = Box::into_raw(spare::take()).cast::<T>();
            // SAFETY: the block is large and aligned enough, by `home`, and nobody else knows it.
            unsafe { block.write(op) };
            block
        }
        Home::Box => Box::into_raw(Box::new(op)),
    };
    // SAFETY: a pointer fits into a payload, which is ours.
    unsafe { payload.cast::<*mut T>().write(boxed) };
}

/// Where the operation is.
///
/// # Safety
///
/// `put::<T>` was called for this payload, and `take` was not.
#[inline]
unsafe fn place<T>(payload: NonNull<Payload>) -> *mut T {
    match const { home::<T>() } {
        Home::Cell => payload.cast::<T>().as_ptr(),
        // SAFETY: `put` left a pointer here.
        Home::Block | Home::Box => unsafe { payload.cast::<*mut T>().read() },
    }
}

/// Moves the operation out.
///
/// # Safety
///
/// As for [`place`]; the kernel has given its final completion; and this is called once.
#[inline]
unsafe fn take<T>(payload: NonNull<Payload>) -> T {
    // SAFETY: the caller's promise.
    let place = unsafe { place::<T>(payload) };
    match const { home::<T>() } {
        // SAFETY: `put` left a value here, and by the caller's promise nobody reads it again.
        Home::Cell => unsafe { place.read() },
        Home::Block => {
            // SAFETY: as above; and the block is one that `put` took from its box, whose pointer nobody else has.
            let (op, block) = unsafe { (place.read(), Box::from_raw(place.cast())) };
            spare::give(block);
            op
        }
        // SAFETY: `put` left a pointer from `Box::into_raw` here, and nobody reads it again.
        Home::Box => unsafe { *Box::from_raw(place) },
    }
}

/// Whether the operation may go to this ring: what it carries of a ring is of this one.
#[inline]
fn belongs<T: Operation>(op: &T, driver: &Driver) -> bool {
    // Once it is closing there is no file any more, and the kernel says so.
    let file = |file: &SharedFd| {
        !file.is_direct() || file.0.closing.get() || file.slot(driver.id()).is_some()
    };
    op.ring().is_none_or(|ring| ring == driver.id()) && op.file().is_none_or(file)
}

/// What the kernel is asked, by the operation in its cell.
///
/// # Safety
///
/// As for [`place`]; the kernel does not have the operation, and nobody else looks at it.
#[inline]
unsafe fn submission<T: Operation>(driver: &Driver, key: Key<WakeRef>) -> Submission {
    // A panic in `prepare` (a buffer's accessor broke its contract) leaks the cell, and with it the operation.
    // SAFETY: the caller's promise.
    let op = unsafe { &mut *place::<T>(key.payload()) };
    let entry = op.prepare(driver.id());
    match op.file() {
        None => Submission {
            entry,
            slot: None,
            file: None,
            turn: 0,
            whole: op.raw_fd() as u32,
        },
        Some(file) => Submission {
            entry,
            slot: if T::BY_SLOT {
                file.slot(driver.id())
            } else {
                None
            },
            file: Some(file.file_ref()),
            turn: Side::tag(op.turn()),
            whole: op.whole(),
        },
    }
}

/// Gives the operation in its cell to the kernel, in its turn.
///
/// # Safety
///
/// As for [`submission`]; it was not submitted before.
#[inline]
unsafe fn send<T: Operation>(driver: &Driver, key: Key<WakeRef>, owner: Owner<WakeRef>) {
    // SAFETY: the caller's promise.
    let what = unsafe { submission::<T>(driver, key) };
    // SAFETY: as above; only read.
    if let Some(file) = unsafe { &*place::<T>(key.payload()) }.file() {
        file.enter_kernel();
    }
    // SAFETY: the payload holds the operation that made the entry. What the entry points to is the operation's own
    // (contract of `Operation`), and that is not moved or touched before `take`, which waits for the final completion.
    unsafe { driver.submit(key, what, owner) };
}

/// [`OpVTable::admit`].
///
/// # Safety
///
/// The cell holds a `T` that waits; its turn has come.
unsafe fn admit<T: Operation>(driver: &Driver, key: Key<WakeRef>) -> bool {
    // SAFETY: the caller's promise; while the operation waits, its future does not look at it.
    let op = unsafe { &mut *place::<T>(key.payload()) };
    // Only a future that is polled takes what has arrived late, so that nothing is taken and dropped unseen.
    let (result, again) = if op.has_late() {
        (Some(-libc::ECANCELED), true)
    } else if driver.ring_info().is_none() {
        (Some(-libc::ECANCELED), false)
    } else if !belongs(op, driver) {
        (Some(OTHER_RUNTIME), false)
    } else {
        (op.early(), false)
    };
    if let Some(result) = result {
        if let Some(waiter) = driver.answer(key, result, again) {
            waiter.wake();
        }
        return false;
    }
    // SAFETY: it has waited, and is submitted once.
    unsafe { send::<T>(driver, key, Owner::Same) };
    true
}

/// [`OpVTable::resume`].
///
/// # Safety
///
/// The cell holds a `T` of which the kernel has done a part, and which it does not have now.
unsafe fn resume<T: Operation>(driver: &Driver, key: Key<WakeRef>, done: usize) {
    // SAFETY: the caller's promise; its future does not look at it before the final completion.
    unsafe { &mut *place::<T>(key.payload()) }.advance(done);
    // SAFETY: as above.
    let what = unsafe { submission::<T>(driver, key) };
    // SAFETY: as in `send`.
    unsafe { driver.resubmit(key, what) };
}

/// Acts on the answer of an orphan as [`answered`] does.
///
/// # Safety
///
/// As for [`SharedFd::from_ref`], if there is a file.
unsafe fn settle(file: Option<SharedFd>, abandoned: &Abandoned<WakeRef>) {
    let answer = Answered {
        waiter: None,
        file: file.as_ref().map(SharedFd::file_ref),
        turn: abandoned.turn,
        result: 0,
        notifies: false,
    };
    // SAFETY: `file` holds the count.
    unsafe { answered(answer) };
}

/// [`OpVTable::abandon`] of single-shot operations.
///
/// # Safety
///
/// As for [`take`].
unsafe fn abandon<T: Operation>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    let cqe = abandoned.cqe;
    // SAFETY: the operation in the cell holds the count.
    let file = abandoned
        .file
        .map(|file| unsafe { SharedFd::from_ref(file) });
    // SAFETY: the caller's promise.
    let op = unsafe { take::<T>(abandoned.key.payload()) };
    driver.release(abandoned.key);
    // What arrived late is kept before the next read is let go. The drop of a buffer is foreign code, and the last act.
    foreign::guarded(|| op.abandon(cqe));
    // SAFETY: `file` is a count.
    unsafe { settle(file, &abandoned) };
}

/// [`OpVTable::abandon`] of multishot operations.
///
/// # Safety
///
/// As for [`take`], if this is the last completion; otherwise as for [`place`].
unsafe fn abandon_multi<T: Multishot>(driver: &Driver, abandoned: Abandoned<WakeRef>) {
    let cqe = abandoned.cqe;
    // SAFETY: the operation in the cell holds the count.
    let file = abandoned
        .file
        .map(|file| unsafe { SharedFd::from_ref(file) });
    if cqe.has_more() {
        // SAFETY: the operation is in its place, and by the contract of `Multishot` the kernel writes to nothing inside
        // it; nobody has a `&mut` to it before it is taken out. `abandon_next` runs no foreign code while there is a loop.
        unsafe { (*place::<T>(abandoned.key.payload())).abandon_next(cqe) };
    } else {
        // SAFETY: the caller's promise.
        let op = unsafe { take::<T>(abandoned.key.payload()) };
        driver.release(abandoned.key);
        op.abandon_next(cqe);
        op.end();
        foreign::guarded(|| drop(op));
    }
    // SAFETY: `file` is a count.
    unsafe { settle(file, &abandoned) };
}

/// [`MultishotVTable::group`].
///
/// # Safety
///
/// As for [`place`].
unsafe fn multishot_group<T: Multishot>(payload: NonNull<Payload>) -> Option<u16> {
    // SAFETY: the operation is in its place, and the kernel writes to nothing inside it; nobody has a `&mut` to it before
    // it is taken out.
    unsafe { (*place::<T>(payload)).group() }
}

/// The vtables, one of a kind for each type.
pub(super) struct Table<T>(T);

impl<T: Operation> Table<T> {
    pub(super) const SINGLE: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        reads: T::READS,
        abandon: abandon::<T>,
        admit: admit::<T>,
        resume: resume::<T>,
        multishot: None,
    };
}

impl<T: Multishot> Table<T> {
    pub(super) const MULTI: &'static OpVTable<WakeRef> = &OpVTable {
        code: T::CODE,
        reads: T::READS,
        abandon: abandon_multi::<T>,
        admit: admit::<T>,
        resume: resume::<T>,
        multishot: Some(MultishotVTable {
            queued_max: T::QUEUED_MAX,
            group: multishot_group::<T>,
            notifies: T::NOTIFIES,
        }),
    };
}

/// An operation in the driver's table, owned by a future.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) driver: Rc<Driver>,
    pub(super) key: Key<WakeRef>,
}

impl Stored {
    /// Moves `op` into a cell and gives it to the kernel, or to the queue for its turn; `has_turn` if it has that. This is
    /// the one place where operations are submitted, and where what belongs to another ring is found out.
    ///
    /// # Errors
    ///
    /// The operation, and what it is to be answered with.
    #[inline]
    pub(super) fn submit<T: Operation>(
        driver: Rc<Driver>,
        op: T,
        vtable: &'static OpVTable<WakeRef>,
        owner: Owner<WakeRef>,
        has_turn: bool,
    ) -> Result<Self, (T, i32)> {
        if !belongs(&op, &driver) {
            return Err((op, OTHER_RUNTIME));
        }
        let Some(key) = driver.reserve(vtable) else {
            return Err((op, -libc::ENOMEM));
        };
        // SAFETY: the cell was just reserved for us.
        unsafe { put(key.payload(), op) };
        // SAFETY: `put` has just been called; nobody else knows the cell.
        let op = unsafe { &*place::<T>(key.payload()) };
        if !has_turn
            && let (Some(side), Some(file)) = (op.turn(), op.file())
            && !file.try_turn(side)
        {
            let place = file.queue(side, &driver, key);
            let waiter = match owner {
                Owner::Future(waiter) => waiter,
                Owner::Nobody | Owner::Same => None,
            };
            driver.wait(key, place, waiter);
        } else {
            // SAFETY: the cell holds the operation, which is not with the kernel.
            unsafe { send::<T>(&driver, key, owner) };
        }
        Ok(Stored { driver, key })
    }

    /// Takes the operation out that the kernel is done with, or never had, and frees the cell.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this; the final completion has been seen, or it has left its queue; and this is called once.
    #[inline]
    pub(super) unsafe fn take<T: Operation>(&self) -> T {
        // SAFETY: the caller's promise.
        let op = unsafe { take::<T>(self.key.payload()) };
        self.driver.release(self.key);
        op
    }

    /// The operation, while it is in its cell.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, and `take` was not called.
    #[inline]
    pub(super) unsafe fn get<T: Multishot>(&self) -> &T {
        // SAFETY: the caller's promise; by the contract of `Multishot` the kernel writes to nothing inside, and nobody
        // has a `&mut` to it before it is taken out.
        unsafe { &*place::<T>(self.key.payload()) }
    }

    /// Takes an operation out that waits at `place` of its queue.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, the operation waits there, and this is called once.
    pub(super) unsafe fn withdraw<T: Operation>(&self, place: u32) -> T {
        // SAFETY: the caller's promise: the kernel does not have it.
        let op = unsafe { self.take::<T>() };
        if let (Some(side), Some(file)) = (op.turn(), op.file()) {
            file.leave_queue(side, place);
        }
        op
    }

    /// Asks for the end of the operation, or ends it if it waits.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this, and the operation was not taken out.
    pub(super) unsafe fn cancel<T: Operation>(&self) {
        let Some(at) = self.driver.place(self.key) else {
            return self.driver.cancel(self.key);
        };
        // SAFETY: the caller's promise; as it waits, the kernel does not have it.
        let op = unsafe { &*place::<T>(self.key.payload()) };
        if let (Some(side), Some(file)) = (op.turn(), op.file()) {
            file.leave_queue(side, at);
        }
        drop(self.driver.answer(self.key, -libc::ECANCELED, false));
    }

    /// Whether `waker` is what the next completion wakes; sees that somebody turns the driver.
    #[inline]
    pub(super) fn is_watched(&self, waker: &Waker) -> bool {
        let progress = self.driver.progress(self.key, |one| one.will_wake(waker));
        context::attend(&self.driver);
        matches!(progress, Progress::Waits)
    }

    /// Leaves a waker for the next completion, and sees that somebody turns the driver. False: there is a completion.
    #[inline]
    pub(super) fn watch(&self, waiter: WakeRef) -> bool {
        match self.driver.set_waiter(self.key, waiter) {
            Ok(before) => {
                context::attend(&self.driver);
                drop(before);
                true
            }
            Err(_) => false,
        }
    }
}

/// Submits an operation that nobody waits for; gives it back if it cannot be submitted.
pub(crate) fn submit_detached<T: Operation>(driver: &Rc<Driver>, op: T) -> Result<(), T> {
    let driver = Rc::clone(driver);
    match Stored::submit(driver, op, Table::<T>::SINGLE, Owner::Nobody, true) {
        Ok(_) => Ok(()),
        Err((op, _)) => Err(op),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_the_steady_path_allocate_nothing() {
        use super::super::*;
        assert_eq!(home::<Recv<Vec<u8>>>(), Home::Cell);
        assert_eq!(home::<Send<Vec<u8>>>(), Home::Cell);
        assert_eq!(home::<SendZc<Vec<u8>>>(), Home::Cell);
        assert_eq!(home::<Read<Vec<u8>>>(), Home::Cell);
        assert_eq!(home::<Write<Vec<u8>>>(), Home::Cell);
        assert_eq!(home::<Accept>(), Home::Cell);
        assert_eq!(home::<Connect>(), Home::Cell);
        assert_eq!(home::<RecvMsg<[Vec<u8>; 1]>>(), Home::Block);
        assert_eq!(home::<SendMsg<[Vec<u8>; 1]>>(), Home::Block);
        assert_eq!(home::<SendMsgZc<[Vec<u8>; 1]>>(), Home::Block);
        assert_eq!(home::<Statx>(), Home::Block);
        assert_eq!(home::<Recv<[u8; 4096]>>(), Home::Box);
    }

    #[test]
    fn a_receive_into_a_vec_is_no_larger_than_it_must_be() {
        assert!(size_of::<super::super::Recv<Vec<u8>>>() <= 40);
    }
}
