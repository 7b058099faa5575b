//! Where an operation is stored while it is in flight: in a cell of the driver, or behind a pointer there if it is too large.
//!
//! The driver knows cells as bytes. These functions know what type lies there.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::block_cache::{self, Block};
use crate::driver::Payload;

/// Where operations of a type are stored. A type has the same storage at each call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Storage {
    /// In the cell itself.
    Cell,
    /// In a cached block that the cell points to.
    Block,
    /// In a box that the cell points to: it has a buffer of unusual size or alignment inside.
    Box,
}

const fn fits<T, P>() -> bool {
    size_of::<T>() <= size_of::<P>() && align_of::<T>() <= align_of::<P>()
}

const fn storage<T>() -> Storage {
    if fits::<T, Payload>() {
        Storage::Cell
    } else if fits::<T, Block>() {
        Storage::Block
    } else {
        Storage::Box
    }
}

/// Moves `op` to its final address, and returns that.
///
/// # Safety
///
/// The payload is that of a reserved cell, and holds nothing yet.
#[inline]
pub(super) unsafe fn put<T>(payload: NonNull<Payload>, op: T) -> *mut T {
    let address = match const { storage::<T>() } {
        Storage::Cell => payload.cast::<T>().as_ptr(),
        Storage::Block => Box::into_raw(block_cache::take()).cast::<T>(),
        Storage::Box => Box::into_raw(Box::<T>::new_uninit()).cast::<T>(),
    };
    // SAFETY: cell, block or box is large and aligned enough, by `storage`. The cell is ours by the caller's promise, and
    // nobody else knows block or box. A pointer to one of these fits into the cell, where nothing else was put.
    unsafe {
        address.write(op);
        if const { !matches!(storage::<T>(), Storage::Cell) } {
            payload.cast::<*mut T>().write(address);
        }
    }
    address
}

/// Where the operation is.
///
/// # Safety
///
/// `put::<T>` was called for this payload, and `take` was not.
#[inline]
pub(super) unsafe fn address<T>(payload: NonNull<Payload>) -> *mut T {
    match const { storage::<T>() } {
        Storage::Cell => payload.cast::<T>().as_ptr(),
        // SAFETY: `put` left a pointer here.
        Storage::Block | Storage::Box => unsafe { payload.cast::<*mut T>().read() },
    }
}

/// Moves the operation out.
///
/// # Safety
///
/// As for [`address`]; the kernel does not have the operation, and nobody else looks at it; and this is called once.
#[inline]
pub(super) unsafe fn take<T>(payload: NonNull<Payload>) -> T {
    // SAFETY: by the caller's promise `put` left a value at its address, which nobody reads again. `put` took that address
    // from a block or a box that nobody else has; what it is made of again owns no value.
    unsafe {
        let address = address::<T>(payload);
        let op = address.read();
        match const { storage::<T>() } {
            Storage::Cell => {}
            Storage::Block => block_cache::give_back(Box::from_raw(address.cast())),
            Storage::Box => drop(Box::from_raw(address.cast::<MaybeUninit<T>>())),
        }
        op
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::mechanism::zc_send::Held;
    use crate::op::operations::*;

    #[test]
    fn operations_of_the_steady_path_allocate_nothing() {
        assert_eq!(storage::<Recv<Vec<u8>>>(), Storage::Cell);
        assert_eq!(storage::<Send<Vec<u8>>>(), Storage::Cell);
        assert_eq!(storage::<Held<SendZc<Vec<u8>>>>(), Storage::Cell);
        assert_eq!(storage::<Read<Vec<u8>>>(), Storage::Cell);
        assert_eq!(storage::<Write<Vec<u8>>>(), Storage::Cell);
        assert_eq!(storage::<Accept>(), Storage::Cell);
        assert_eq!(storage::<Connect>(), Storage::Cell);
        assert_eq!(storage::<RecvMsg<[Vec<u8>; 1]>>(), Storage::Block);
        assert_eq!(storage::<SendMsg<[Vec<u8>; 1]>>(), Storage::Block);
        assert_eq!(storage::<Held<SendMsgZc<[Vec<u8>; 1]>>>(), Storage::Block);
        assert_eq!(storage::<Statx>(), Storage::Block);
        assert_eq!(storage::<Recv<[u8; 4096]>>(), Storage::Box);
    }

    #[test]
    fn a_receive_into_a_vec_is_no_larger_than_it_must_be() {
        assert!(size_of::<Recv<Vec<u8>>>() <= 40);
    }
}
