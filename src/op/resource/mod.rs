//! What operations hold: descriptors and what belongs to them, registered and provided buffers, and the like.
//!
//! Nothing in here submits anything, or knows an operation.

mod arena;
mod backoff;
mod batch;
mod fd;
mod fixed_buf;
mod fixed_pool;
mod iovecs;
mod linger;
mod message;
mod msg_header;
mod path;
mod position;
mod provided;
mod queue;
mod recv_source;
mod registered_fd;
mod slot;
pub(super) mod sock_addr;
mod splice_end;
mod stash;
mod transfer;
mod turn;
mod waiters;
mod zc_hold;
mod zc_usage;

pub(super) use backoff::descriptor_closed;
pub(crate) use backoff::{Backoff, Pause};
pub use batch::Batch;
pub(crate) use fd::SharedFd;
pub(crate) use fd::{handle, in_flight, lose};
pub use fixed_buf::FixedBuf;
pub(super) use fixed_buf::registered_slot;
pub use fixed_pool::FixedBufPool;
pub(super) use iovecs::IoVecs;
pub(super) use linger::linger;
pub use message::Message;
pub(super) use msg_header::MsgHeader;
pub(super) use path::c_path;
pub(super) use position::Begun;
pub(crate) use position::{CURRENT, Position};
pub use provided::ProvidedBuf;
pub(crate) use recv_source::Received;
pub(super) use recv_source::RecvSource;
pub use registered_fd::RegisteredFd;
pub(super) use slot::Slot;
pub use splice_end::SpliceEnd;
pub(super) use stash::Order;
pub(super) use transfer::{ReadInto, byte_count, bytes_of, len_u32, read_result};
pub use turn::Side;
pub(super) use zc_hold::{Hold, zc_flags};
pub(crate) use zc_usage::Usage;
