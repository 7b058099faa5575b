//! Buffers that an operation owns while the kernel works on them.
//!
//! An operation takes its buffer by value and gives it back with the result: a [`BufResult`]. While the operation is
//! in flight nobody else can reach the buffer, so there is nothing to borrow and nothing to get wrong.
//!
//! [Owned buffers in ten minutes](owned_buffers) shows how one reads and writes so. What follows is the reference.
//!
//! # How a read fills a buffer
//!
//! One rule holds for every read, receive and the like:
//!
//! 1. A read starts at the **first byte** of the buffer and may fill it up to its **capacity**.
//! 2. When `n` bytes arrived, a growable buffer (`Vec<u8>`, [`AlignedBuf`], `BytesMut`) has **length exactly `n`**,
//!    whatever its length was before: at the end of a file that is 0. A fixed buffer (`[u8; N]`, `Box<[u8]>`) keeps
//!    its length; the first `n` bytes are the new ones.
//! 3. When the read fails, the length is what it was before. The contents may have changed.
//!
//! What fills a buffer as a whole (`read_exact` and the like) fills one that has a length to its **length**, and an empty one
//! to its **capacity**; a slice that was given an end, to that. So a vector that is used again is filled as it was before,
//! not to whatever it has room for. Of several buffers (`read_exact_vectored`) each is filled so.
//!
//! [`slice`](IoBuf::slice) narrows what an operation sees. A read into `vec.slice(a..)` keeps the first `a` bytes and
//! leaves the vector with length `a + n`. That is how one appends: `let at = vec.len(); vec.slice(at..)`.
//!
//! `Vec::with_capacity(n)` may allocate more than `n` bytes, and a read may fill them all. Where the bound matters,
//! state it: `Vec::with_capacity(n).slice(..n)`.
//!
//! An array is `Copy`: what goes in is a copy, and what was read is in the array that comes back, not in the one that was given.
//!
//! A write sends the buffer's initialised bytes, from the first to its length, and changes nothing.
//!
//! ```
//! use saferring::buf::{IoBuf, IoBufMut};
//!
//! // `fill_from` fills a buffer as a read does.
//! let mut vec = b"old contents".to_vec();
//! vec.fill_from(b"new");
//! assert_eq!(vec, b"new");
//!
//! let mut tail = vec.slice(1..);
//! tail.fill_from(b"o");
//! assert_eq!(tail.into_inner(), b"no");
//!
//! let mut array = *b"old";
//! array.fill_from(b"N");
//! assert_eq!(array, *b"Nld");
//! ```
//!
//! # Which buffers there are
//!
//! | type | write from it | read into it | length after a read of `n` |
//! |---|---|---|---|
//! | `Vec<u8>`, [`AlignedBuf`], [`PooledBuf`], `BytesMut` | yes | yes | `n` |
//! | `[u8; N]`, `Box<[u8]>` | yes | yes | unchanged |
//! | [`Slice<B>`](Slice) | yes | as `B` | as `B`: `begin + n`, or unchanged |
//! | `String`, `&'static [u8]`, `&'static [u8; N]`, `&'static str`, `Arc<[u8]>`, `Rc<[u8]>`, `Bytes` | yes | no | – |
//!
//! `Bytes` and `BytesMut` need the feature `bytes`. Several buffers at once (`Vec<B>`, `[B; N]` and tuples of up to
//! four) go through [`IoVectoredBuf`] and [`IoVectoredBufMut`]. `O_DIRECT` files want [`AlignedBuf`],
//! or the [`PooledBuf`] of a [`BufferPool`], which goes from core to core and is used again.
//!
//! # Why the traits are unsafe
//!
//! The kernel gets a pointer and a length and trusts them. An implementation that reports memory which is not its own
//! would let safe code read or overwrite anything, so the promise is written down where it is made: see [`IoBuf`] and
//! [`IoBufMut`].

mod aligned;
mod buffer_pool;
#[cfg(feature = "bytes")]
mod bytes;
mod free_list;
mod io_buf;
mod io_buf_mut;
#[cfg(feature = "remote")]
mod lent;
mod partial;
mod registration;
mod slice;
mod vectored;

#[doc = include_str!("owned_buffers.md")]
pub mod owned_buffers {}

pub use aligned::AlignedBuf;
pub use buffer_pool::{BufferPool, PooledBuf};
pub use io_buf::IoBuf;
pub(crate) use io_buf::bytes;
pub use io_buf_mut::IoBufMut;
pub(crate) use io_buf_mut::bytes_mut;
#[cfg(feature = "remote")]
pub(crate) use lent::{Lender, Lent};
pub(crate) use partial::{Unfilled, Unwritten};
#[doc(hidden)]
pub use registration::Registration;
pub use slice::Slice;
pub use vectored::{IoVectoredBuf, IoVectoredBufMut};

/// What a buffer operation gives back: its result, and the buffer, which comes back whatever the result is.
///
/// `?` is for the result: `let (read, buf) = stream.read(buf).await; let n = read?;`, or `.await.0?` if nobody wants the buffer.
///
/// ```
/// use saferring::buf::BufResult;
///
/// fn first_byte((result, buf): BufResult<usize, Vec<u8>>) -> std::io::Result<Option<u8>> {
///     let n = result?;
///     Ok(buf[..n].first().copied())
/// }
/// assert_eq!(first_byte((Ok(2), b"hi".to_vec())).unwrap(), Some(b'h'));
/// ```
pub type BufResult<T, B> = (std::io::Result<T>, B);
