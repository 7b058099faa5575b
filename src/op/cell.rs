//! Where an operation of a known type lies in a cell of the driver, which knows only bytes.

use std::ptr::NonNull;

use super::spare::{self, Block};
use crate::driver::Payload;

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
pub(super) unsafe fn put<T>(payload: NonNull<Payload>, op: T) {
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
pub(super) unsafe fn place<T>(payload: NonNull<Payload>) -> *mut T {
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
pub(super) unsafe fn take<T>(payload: NonNull<Payload>) -> T {
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
