//! The two records of kernel ABI that cross the ring interface.

use std::io;

use super::opcode_names::opcode_name;
use super::sqe::Sqe;
use crate::Error;
use crate::error::Elapsed;

use io_uring::{cqueue, squeue};
pub(crate) use io_uring::{opcode, types};

/// How an operation names its file.
pub(crate) type Target = types::Fd;

/// A submission queue entry: what the kernel is asked.
#[derive(Clone, Debug)]
#[repr(transparent)]
pub struct Entry(squeue::Entry);

impl Entry {
    #[inline]
    pub(crate) fn set_user_data(&mut self, user_data: u64) {
        self.0.set_user_data(user_data);
    }

    /// Names the file by its slot in the ring's table, instead of by descriptor.
    #[inline]
    pub(crate) fn use_file_slot(&mut self, slot: u32) {
        const FIXED_FILE: u8 = 1 << 0;
        *self.field::<u8, 1>() |= FIXED_FILE;
        *self.field::<u32, 4>() = slot;
    }

    /// Sets the `ioprio` field, for flags that the `io-uring` crate has no setter for.
    #[inline]
    pub(crate) fn with_ioprio(mut self, ioprio: u16) -> Self {
        *self.field::<u16, 2>() = ioprio;
        self
    }

    /// A field among the first eight bytes of the record: opcode u8, flags u8, ioprio u16, fd i32.
    #[inline]
    fn field<T: Integer, const OFFSET: usize>(&mut self) -> &mut T {
        const {
            assert!(size_of::<squeue::Entry>() == 64);
            assert!(OFFSET + size_of::<T>() <= 8 && OFFSET % align_of::<T>() == 0);
        }
        // SAFETY: `squeue::Entry` is a `repr(C)` newtype of the kernel's 64-byte `io_uring_sqe`, aligned to 8, whose first eight
        // bytes are integers without padding: any part of them at its natural alignment is one, too. We hold the value by `&mut`.
        unsafe { &mut *(&raw mut self.0).cast::<u8>().add(OFFSET).cast::<T>() }
    }
}

/// An entry, or a reference to one, that may go to the kernel, once: it is no `Clone`.
pub(crate) struct Promised<E>(E);

impl<E> Promised<E> {
    /// # Safety
    ///
    /// All that the entry points to stays valid, and is not touched by anyone else, until the final completion that
    /// carries its `user_data` was reaped.
    #[inline(always)]
    pub(crate) unsafe fn new(entry: E) -> Self {
        Promised(entry)
    }
}

impl Promised<&Entry> {
    #[inline(always)]
    pub(super) fn as_raw(&self) -> &squeue::Entry {
        &self.0.0
    }

    /// What it is made of.
    pub(super) fn entry(&self) -> &Entry {
        self.0
    }

    /// What it says.
    #[inline]
    pub(super) fn read(&self) -> Sqe {
        const {
            assert!(size_of::<Sqe>() == size_of::<squeue::Entry>());
            assert!(align_of::<Sqe>() == align_of::<squeue::Entry>());
        }
        // SAFETY: both are the kernel's 64-byte `io_uring_sqe`, with all bytes initialised: the crate makes it of zeros.
        unsafe { *(&raw const self.0.0).cast::<Sqe>() }
    }

    /// The same promise, for longer.
    pub(crate) fn into_owned(self) -> Promised<Entry> {
        Promised(self.0.clone())
    }
}

impl Promised<Entry> {
    pub(crate) fn borrow(&self) -> Promised<&Entry> {
        Promised(&self.0)
    }
}

/// Of which any bytes are a value.
trait Integer {}
impl Integer for u8 {}
impl Integer for u16 {}
impl Integer for u32 {}

impl From<squeue::Entry> for Entry {
    #[inline]
    fn from(entry: squeue::Entry) -> Self {
        Entry(entry)
    }
}

/// The result of an operation that something belongs to of another ring. No error of the kernel has this number.
pub(crate) const OTHER_RUNTIME: i32 = -(1 << 20);
/// The result of an operation whose deadline has passed, which is not what TCP calls a timeout.
pub(crate) const ELAPSED: i32 = OTHER_RUNTIME - 1;
/// The result of an operation for a ring that is gone.
pub(crate) const ENDED: i32 = OTHER_RUNTIME - 2;
/// The result of an operation that needs a thread of the kernel, where none can be had.
pub(crate) const NO_THREAD: i32 = OTHER_RUNTIME - 3;

/// Among the flags of a completion: the software ring does not know the operation, whose number stands above. It is none of the
/// kernel's.
const UNSUPPORTED: u32 = 1 << 14;

/// A completion queue entry: what the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

impl Completion {
    pub(crate) fn new(user_data: u64, result: i32, flags: u32) -> Self {
        Completion {
            user_data,
            result,
            flags,
        }
    }

    /// What the software ring answers to an operation that it does not know.
    pub(super) fn unsupported(user_data: u64, code: u8) -> Self {
        Completion::new(
            user_data,
            -libc::EOPNOTSUPP,
            UNSUPPORTED | u32::from(code) << 16,
        )
    }

    #[inline]
    pub(crate) fn user_data(&self) -> u64 {
        self.user_data
    }

    /// The raw result: not negative, or a negated error number.
    #[inline]
    pub fn raw_result(&self) -> i32 {
        self.result
    }

    /// The flags that came with it (`IORING_CQE_F_*`).
    #[inline]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The result as std would give it.
    ///
    /// # Errors
    ///
    /// A negative result is the error of that number.
    #[inline]
    pub fn result(&self) -> io::Result<u32> {
        match self.result {
            0.. => Ok(self.result as u32),
            OTHER_RUNTIME => Err(Error::OtherRuntime.into()),
            ELAPSED => Err(Elapsed::new().into()),
            NO_THREAD => Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the kernel can start no thread for this: the limit on processes is reached; raise it (`ulimit -u`, LimitNPROC= \
                 or TasksMax= in the service's unit, or the container's pids limit)",
            )),
            ENDED => Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "the runtime has ended, or this process is a child of the one that made it",
            )),
            _ if self.result == -libc::EOPNOTSUPP && self.flags & UNSUPPORTED != 0 => {
                let name = opcode_name((self.flags >> 16) as u8);
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("the operation {name} needs io_uring, which cannot be had here"),
                ))
            }
            _ => Err(io::Error::from_raw_os_error(-self.result)),
        }
    }

    /// Marks that the driver sets in place of the user data, which has been read by then.
    pub(crate) const BEGINS_ANEW: u64 = 1;
    pub(crate) const GIVEN_UP: u64 = 2;

    /// Whether the operation that this ended was interrupted, and has to be done again.
    #[inline]
    pub(crate) fn begins_anew(&self) -> bool {
        self.user_data == Self::BEGINS_ANEW
    }

    /// Whether it says that the operation was cancelled although nobody has asked for that.
    #[inline]
    pub(crate) fn is_given_up(&self) -> bool {
        self.user_data == Self::GIVEN_UP
    }

    /// Whether further completions of the same operation follow.
    #[inline]
    pub fn has_more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that the kernel chose.
    #[inline]
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// Whether the socket was known to hold more data when this receive ended.
    #[inline]
    pub(crate) fn socket_nonempty(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }
}

/// What the kernel says to itself of a call that a signal or a cancel has interrupted (`ERESTARTSYS` and its like). A splice
/// tells it to others, too.
const RESTARTS: std::ops::RangeInclusive<i32> = -516..=-512;

impl From<cqueue::Entry> for Completion {
    #[inline]
    fn from(entry: cqueue::Entry) -> Self {
        let result = match entry.result() {
            result if RESTARTS.contains(&result) => -libc::EINTR,
            result => result,
        };
        Completion::new(entry.user_data(), result, entry.flags())
    }
}
