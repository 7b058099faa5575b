//! What operations hold: descriptors and what belongs to them, registered and provided buffers, and the like.
//!
//! Nothing in here submits anything, or knows an operation.

mod arena;
mod batch;
mod fd;
mod fixed_buf;
mod fixed_pool;
mod iovecs;
mod message;
mod msg_header;
mod path;
mod provided;
mod queue;
mod recv_source;
mod registered_fd;
pub(super) mod sock_addr;
mod splice_end;
mod transfer;
mod waiters;
mod zc_hold;
mod zc_usage;

pub use batch::Batch;
pub use fd::Side;
pub(crate) use fd::{Backoff, CURRENT, Pause, Position, SharedFd, handle, in_flight, lose};
pub(super) use fd::{Begun, Order, Slot, descriptor_closed, linger};
pub use fixed_buf::FixedBuf;
pub(super) use fixed_buf::registered_slot;
pub use fixed_pool::FixedBufPool;
pub(super) use iovecs::IoVecs;
pub use message::Message;
pub(super) use msg_header::MsgHeader;
pub(super) use path::c_path;
pub use provided::ProvidedBuf;
pub(crate) use recv_source::Received;
pub(super) use recv_source::RecvSource;
pub use registered_fd::RegisteredFd;
pub use splice_end::SpliceEnd;
pub(super) use transfer::{
    ReadInto, byte_count, byte_count_after, len_u32, read_result, send_flags,
};
pub(super) use zc_hold::{Hold, zc_flags};
pub(crate) use zc_usage::Usage;
