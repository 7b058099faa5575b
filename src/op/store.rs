//! How an operation of a known type is kept in a cell of the driver, which knows only bytes.

use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::rc::Rc;

use super::spare::{self, Block};
use super::{Driver, Multishot, Operation};
use crate::driver::{Key, MultishotVTable, OpVTable, Owner, Payload};
use crate::sys::Completion;
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

/// An operation has had its final completion, and is ours again.
#[inline]
pub(super) fn landed<T: Operation>(op: &mut T, cqe: Completion) {
    op.leave(cqe);
    if let Some(file) = op.file() {
        file.left_kernel();
    }
}

/// [`OpVTable::abandon`] of single-shot operations.
///
/// # Safety
///
/// As for [`take`], if `last`.
unsafe fn abandon<T: Operation>(payload: NonNull<Payload>, cqe: Completion, last: bool) {
    if last {
        // SAFETY: the caller's promise.
        let mut op = unsafe { take::<T>(payload) };
        landed(&mut op, cqe);
        op.abandon(cqe);
    }
}

/// [`OpVTable::abandon`] of multishot operations.
///
/// # Safety
///
/// As for [`take`], if `last`; otherwise as for [`place`].
unsafe fn abandon_multi<T: Multishot>(payload: NonNull<Payload>, cqe: Completion, last: bool) {
    if last {
        // SAFETY: the caller's promise.
        let mut op = unsafe { take::<T>(payload) };
        op.abandon_next(cqe);
        landed(&mut op, cqe);
    } else {
        // SAFETY: the operation is in its place, and by the contract of `Multishot` the kernel writes to nothing inside
        // it; nobody has a `&mut` to it before it is taken out.
        unsafe { (*place::<T>(payload)).abandon_next(cqe) };
    }
}

/// [`OpVTable::fd`].
///
/// # Safety
///
/// As for [`place`].
unsafe fn fd<T: Operation>(payload: NonNull<Payload>) -> RawFd {
    // SAFETY: the operation is in its place, and the kernel writes to nothing inside it: it is not in flight, or is a
    // multishot operation, to which nobody has a `&mut` before it is taken out.
    unsafe { (*place::<T>(payload)).raw_fd() }
}

/// [`MultishotVTable::group`].
///
/// # Safety
///
/// As for [`place`].
unsafe fn multishot_group<T: Multishot>(payload: NonNull<Payload>) -> Option<u16> {
    // SAFETY: as in `fd`.
    unsafe { (*place::<T>(payload)).group() }
}

/// The vtables, one of a kind for each type.
pub(super) struct Table<T>(T);

impl<T: Operation> Table<T> {
    pub(super) const SINGLE: &'static OpVTable = &OpVTable {
        code: T::CODE,
        abandon: abandon::<T>,
        fd: fd::<T>,
        multishot: None,
    };
}

impl<T: Multishot> Table<T> {
    pub(super) const MULTI: &'static OpVTable = &OpVTable {
        code: T::CODE,
        abandon: abandon_multi::<T>,
        fd: fd::<T>,
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
    /// Moves `op` into a cell and puts it into flight; gives it back if there is no cell.
    #[inline]
    pub(super) fn submit<T: Operation>(
        driver: Rc<Driver>,
        op: T,
        vtable: &'static OpVTable,
        owner: Owner<WakeRef>,
    ) -> Result<Self, T> {
        let Some(key) = driver.reserve(vtable) else {
            return Err(op);
        };
        let payload = key.payload();
        // SAFETY: the cell was just reserved for us.
        unsafe { put(payload, op) };
        // A panic in `prepare` (a buffer's accessor broke its contract) leaks the cell, and with it the operation.
        // SAFETY: `put` has just been called; nobody else knows the cell.
        let op = unsafe { &mut *place::<T>(payload) };
        let entry = op.prepare();
        let mut slot = None;
        if let Some(file) = op.file() {
            file.enter_kernel();
            slot = if T::BY_SLOT { file.slot(&driver) } else { None };
        }
        let on = op.raw_fd();
        // SAFETY: the payload holds the operation that made the entry. What the entry points to is the operation's own
        // (contract of `Operation`), and that is not moved or touched before `take`, which waits for the final
        // completion.
        unsafe { driver.submit(key, entry, on, slot, owner) };
        Ok(Stored { driver, key })
    }

    /// Takes the finished operation out, and frees the cell.
    ///
    /// # Safety
    ///
    /// `submit::<T>` made this; the final completion has been seen; and this is called once.
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
}

/// Submits an operation that nobody waits for; gives it back if it cannot be submitted.
pub(crate) fn submit_detached<T: Operation>(driver: &Rc<Driver>, op: T) -> Result<(), T> {
    Stored::submit(Rc::clone(driver), op, Table::<T>::SINGLE, Owner::Nobody).map(drop)
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
    fn a_receive_into_a_vec_ends_in_its_first_cache_line() {
        assert!(size_of::<super::super::Recv<Vec<u8>>>() <= 32);
    }
}
