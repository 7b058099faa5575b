//! Layer 2: operations: what the kernel can be asked, as values and futures.
//!
//! [`Op`] is an operation that is not yet submitted: lazy, with setters that take it by value. Awaiting it submits it;
//! [`Op::submit`] submits it at once and gives a [`Submitted`], which can only be awaited or cancelled. Either way
//! what comes out is the operation's output: for one with a buffer `(io::Result<n>, buffer)`.
//!
//! # One mechanism
//!
//! An operation owns all that the kernel may touch: buffer, descriptor (counted), address, path. When it is submitted
//! it moves, once, into a cell of the driver whose address never changes, and takes the kernel's pointers there. It
//! moves out again when its final completion has arrived, and not before, whatever happens to the future: dropped,
//! forgotten, cancelled, or alive after its runtime. So nothing that safe code does frees or reads memory that the
//! kernel works on.
//!
//! # Examples
//!
//! A read with a deadline that gives the buffer back in either case:
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # saferring::runtime::Runtime::new()?.block_on(async {
//! use std::time::Duration;
//! use saferring::fs::File;
//!
//! let file = File::open("Cargo.toml").await?;
//! let (result, buf) = file.read_at(vec![0; 512], 0).timeout(Duration::from_secs(1)).await;
//! assert_eq!(result?, buf.len());
//! # Ok(())
//! # })
//! # }
//! ```

mod cell;
mod context;
mod fd;
mod fixed_buf;
mod fixed_pool;
mod flight;
mod fork;
mod late;
mod multi;
mod queue;
mod slot;
mod spare;
mod store;
mod submitted;
mod turn;
mod vtable;
mod waiters;

mod accept;
mod accept_direct;
mod accept_multi;
mod batch;
mod close;
mod connect;
mod cursor;
mod fallocate;
mod fsync;
mod ftruncate;
mod install;
mod iovecs;
mod mkdirat;
mod nop;
mod open_direct;
mod openat;
mod path;
mod pause;
mod pipe;
mod poll;
mod provided;
mod read;
mod readv;
mod ready;
mod recv;
mod recv_datagram;
mod recv_from_multi;
mod recv_msg;
mod recv_multi;
mod registered_fd;
mod renameat;
mod send;
mod send_msg;
mod send_msg_zc;
mod send_to;
mod send_zc;
mod settle;
mod sock_addr;
mod socket;
mod socket_direct;
mod splice;
mod statx;
mod unlinkat;
mod wake_event;
mod write;
mod writev;
mod zc_buf;
mod zc_usage;
mod zero_copy;

use std::os::fd::{AsRawFd, RawFd};

pub(crate) use crate::driver::Pool;
pub use crate::sys::{Completion, Entry, RingId};
pub use accept::Accept;
pub use accept_direct::AcceptDirect;
pub use accept_multi::AcceptMulti;
pub use batch::Batch;
pub use close::Close;
pub use connect::Connect;
pub(crate) use context::{
    Driver, Entered, current, enter, guests, has_guests, is_elsewhere, register,
};
pub use fallocate::Fallocate;
pub(crate) use fd::SharedFd;
pub use fixed_buf::FixedBuf;
pub use fixed_pool::FixedBufPool;
pub use fsync::Fsync;
pub use ftruncate::Ftruncate;
pub use mkdirat::MkdirAt;
pub(crate) use multi::Multi;
pub use nop::{Nop, nop};
pub use open_direct::OpenDirect;
pub use openat::OpenAt;
pub(crate) use pause::{Looks, Pause};
pub use pipe::SpliceEnd;
pub(crate) use pipe::{Pipe, has_writer};
pub use poll::{PollAdd, Readiness};
pub use provided::ProvidedBuf;
pub use read::Read;
pub(crate) use read::{CURRENT, Place};
pub use readv::Readv;
pub(crate) use ready::Ready;
pub use recv::Recv;
pub use recv_datagram::RecvDatagram;
pub(crate) use recv_from_multi::RecvFromMulti;
pub use recv_msg::{Message, RecvMsg};
pub(crate) use recv_multi::{Received, RecvMulti};
pub use registered_fd::{RegisteredFd, Registry};
pub use renameat::RenameAt;
pub use send::Send;
pub use send_msg::SendMsg;
pub(crate) use send_msg_zc::SendMsgZc;
pub(crate) use send_to::SendTo;
pub(crate) use send_zc::SendZc;
pub(crate) use settle::Settle;
pub use socket::Socket;
pub use socket_direct::SocketDirect;
pub use statx::{Statx, StatxBuf};
pub(crate) use store::submit_detached;
pub use submitted::{Op, Submitted};
pub use turn::Side;
pub(crate) use turn::{handle, lose, operations};
pub use unlinkat::UnlinkAt;
pub(crate) use wake_event::WakeEvent;
pub use write::Write;
pub use writev::Writev;
pub use zc_buf::ZcBuf;
pub(crate) use zc_usage::Usage;

/// What the kernel is asked, what it borrows meanwhile, and how its answer reads.
///
/// The trait is public because it bounds [`Op`]; entries can only be made inside this crate.
///
/// # Safety
///
/// - Pointers that [`prepare`](Operation::prepare) puts into the entry reach only `self` (which is then at its final
///   address and stays there until its final completion), memory that `self` owns, or `'static` memory.
/// - What the kernel writes to is not aliased: no reference to it exists, and no safe code can make one, until
///   `complete` or `abandon` runs.
/// - `prepare` is called once, and describes the operation that [`CODE`](Operation::CODE) names.
pub unsafe trait Operation: 'static {
    /// The operation's number (`IORING_OP_*`), for feature detection and the in-flight dump.
    const CODE: u8;

    /// Whether the kernel can be told its file by a slot of the ring's table.
    const BY_SLOT: bool = false;

    /// What the operation ends with.
    type Output;

    /// Whether its turn goes on after the last answer, until [`Multishot::end`]: what it has received has not been taken yet.
    const KEEPS_TURN: bool = false;

    /// Whether it takes what arrives at its file, so that something that arrived late is an answer, too.
    const READS: bool = false;

    /// Fills the submission entry, for this ring. Called once, at the operation's final address; again after
    /// [`advance`](Operation::advance).
    fn prepare(&mut self, ring: RingId) -> Entry;

    /// The kernel is done, and `self` is ours again.
    fn complete(self, cqe: Completion) -> Self::Output;

    /// As [`complete`](Operation::complete), when nobody is left to take the output. Whatever arrived late goes where
    /// it is not lost: a descriptor closes itself, bytes are kept for the next read.
    fn abandon(self, cqe: Completion)
    where
        Self: Sized,
    {
        drop(self.complete(cqe));
    }

    /// Which turn of its file it needs. It then waits until the operation before has been answered.
    fn turn(&self) -> Option<Side> {
        None
    }

    /// Asked when its turn is free: how is it answered without the kernel? It may take what has arrived late.
    fn early(&mut self) -> Option<i32> {
        None
    }

    /// Whether [`early`](Operation::early) would take what has arrived late. That is left to a poll, because an answer that
    /// is dropped unseen would be lost.
    fn has_late(&self) -> bool {
        false
    }

    /// What the kernel is to have done before the operation is over: after an answer that is less, the rest is given to it,
    /// in the same turn. 0: any answer ends it.
    fn whole(&self) -> u32 {
        0
    }

    /// So much of the whole is done.
    fn advance(&mut self, _done: usize) {}

    /// The ring that something in it belongs to: it goes to no other.
    fn ring(&self) -> Option<RingId> {
        None
    }

    /// The descriptor that it holds a count of, and that its entry names. An operation on a `SharedFd` that does not
    /// tell it would be overlooked by a close, which waits for what the kernel has.
    fn file(&self) -> Option<&SharedFd> {
        None
    }

    /// The number of the descriptor that it is on now, or -1.
    fn raw_fd(&self) -> RawFd {
        self.file().map_or(-1, AsRawFd::as_raw_fd)
    }
}

/// An operation that one entry starts and many completions answer.
///
/// # Safety
///
/// As for [`Operation`]; and the kernel writes to nothing inside `self` nor to anything that `next` reads, so that
/// `self` may be looked at while it is in flight.
pub unsafe trait Multishot: Operation {
    /// A stream that lets this many completions pile up is cancelled in the kernel until it has caught up.
    const QUEUED_MAX: u16;

    /// Whether the first completion is the answer, and another only tells that the kernel has let go of the memory.
    const NOTIFIES: bool = false;

    /// Of an operation that notifies: whether this completion belongs to a refusal. After the last one of such the operation
    /// goes to the kernel once more, another way. Told once of each.
    fn refused(&self, _cqe: Completion) -> bool {
        false
    }

    /// What each completion stands for.
    type Item;

    /// Reads one completion, be it the last or not. By a shared reference, as the operation lies in the driver's table,
    /// where the list of operations in flight may look at it at any time.
    fn next(&self, cqe: Completion) -> Self::Item;

    /// The last item was taken, or nobody is left to take it.
    fn end(&self) {}

    /// As [`next`](Multishot::next), when nobody is left to take the item.
    fn abandon_next(&self, cqe: Completion) {
        drop(self.next(cqe));
    }

    /// The group of provided buffers that it takes from.
    fn group(&self) -> Option<u16> {
        None
    }
}
