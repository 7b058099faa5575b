//! An entry, read: `struct io_uring_sqe` by the names of its fields.

/// A copy of an entry. Addresses in it are numbers here, so that any thread may carry it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Sqe {
    pub(super) opcode: u8,
    pub(super) flags: u8,
    pub(super) ioprio: u16,
    pub(super) fd: i32,
    /// An offset, or a second address.
    pub(super) off: u64,
    pub(super) addr: u64,
    pub(super) len: u32,
    /// The flags of the operation itself.
    pub(super) op_flags: u32,
    pub(super) user_data: u64,
    /// A slot of the table of buffers, or a group of provided buffers.
    pub(super) buf_index: u16,
    pub(super) personality: u16,
    /// A slot of the table of files (counted from one), the file that a splice reads, or in its lower half the length of an
    /// address.
    pub(super) file_index: u32,
    pub(super) addr3: u64,
    pub(super) pad: u64,
}

/// `IOSQE_*`
pub(super) const FIXED_FILE: u8 = 1 << 0;
const IO_DRAIN: u8 = 1 << 1;
const IO_LINK: u8 = 1 << 2;
const IO_HARDLINK: u8 = 1 << 3;
pub(super) const BUFFER_SELECT: u8 = 1 << 5;
const CQE_SKIP_SUCCESS: u8 = 1 << 6;
/// What no operation of ours uses.
pub(super) const UNKNOWN_FLAGS: u8 = IO_DRAIN | IO_LINK | IO_HARDLINK | CQE_SKIP_SUCCESS | 1 << 7;

/// `IORING_RECVSEND_*` and `IORING_ACCEPT_*`, in `ioprio`.
pub(super) const POLL_FIRST: u16 = 1 << 0;
pub(super) const RECV_MULTISHOT: u16 = 1 << 1;
pub(super) const ACCEPT_MULTISHOT: u16 = 1 << 0;

/// `IORING_ASYNC_CANCEL_*`
pub(super) const CANCEL_ALL: u32 = 1 << 0;
pub(super) const CANCEL_FD: u32 = 1 << 1;
pub(super) const CANCEL_ANY: u32 = 1 << 2;

/// `IORING_CQE_F_*`
pub(super) const CQE_BUFFER: u32 = 1 << 0;
pub(super) const CQE_MORE: u32 = 1 << 1;
pub(super) const CQE_SOCK_NONEMPTY: u32 = 1 << 2;
pub(super) const CQE_NOTIF: u32 = 1 << 3;
pub(super) const CQE_BUFFER_SHIFT: u32 = 16;

impl Sqe {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Where its first address points to.
    pub(super) fn pointer<T>(&self) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.addr as usize)
    }

    /// Where its second address points to.
    pub(super) fn second<T>(&self) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.off as usize)
    }

    /// Whether it is a send that names an address.
    pub(super) fn has_send_address(&self) -> bool {
        self.off != 0
    }

    /// What a cancel is for.
    pub(super) fn cancels(&self) -> u64 {
        self.addr
    }

    /// Whether its result goes to the table of files.
    pub(super) fn opens_into_slot(&self) -> bool {
        use io_uring::opcode;
        let opens = matches!(
            self.opcode,
            opcode::OpenAt::CODE | opcode::Accept::CODE | opcode::Socket::CODE
        );
        opens && self.destination().is_some()
    }

    /// The slot of the table of files that the result goes to.
    pub(super) fn destination(&self) -> Option<u32> {
        self.file_index.checked_sub(1)
    }
}
