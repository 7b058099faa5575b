//! Moving bytes from one descriptor to another, inside the kernel.

use std::io;

use super::Incomplete;
use super::errors::takes_no_more;
use super::pipe::Pipe;
use crate::op::SpliceEnd;

/// Moves up to `len` bytes from one descriptor to another without bringing them to user space, and returns how many:
/// fewer than `len` if `from` ends before.
///
/// As sendfile(2), and from sockets, too: `from` and `to` are `&TcpStream`, `&UnixStream`, `&mut File` (by the cursor,
/// or without positions, as a pipe), or [`File::at`](crate::fs::File::at), in any combination. `u64::MAX` moves all
/// there is. Reads and writes of a stream by others wait for each step, not for the whole.
///
/// For large files to a socket. While a socket that is written to is full, a thread of the kernel waits with it: for
/// many slow peers at once, read and write instead. The bytes pass through a pipe of its own, of 1 MiB where that is
/// allowed, made and closed for each call, and each step is carried out by a thread of the kernel, so that it takes
/// some length to pay. What a file is written with meanwhile may be sent or not, even after this has ended: a socket
/// holds the pages of the file until the peer has them.
///
/// # Errors
///
/// What pipe(2) and splice(2) say: `InvalidInput` for what cannot be spliced, such as a UDP socket or a file open for
/// appending; `WriteZero` if `to` takes no more; those of reading and writing. How much was moved by then is told of one that was
/// cancelled ([`Incomplete`]); as below, bytes that were under way are lost then.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping it while it waits for a stream to have data loses nothing. Otherwise bytes of a stream that were under way,
/// up to 1 MiB, are lost or sent, and nobody knows how many were moved before. No descriptor is lost.
///
/// Await reads of the same stream before: what one has got that is dropped later comes behind what was spliced.
///
/// # Kernel
///
/// `SPLICE`, and `POLL_ADD` to wait for streams.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs::File;
/// use saferring::io;
/// use saferring::net::UnixStream;
///
/// let file = File::open("Cargo.toml").await?;
/// let (a, b) = UnixStream::pair()?;
/// let sent = io::splice(file.at(0), &a, u64::MAX).await?;
/// a.close().await?;
/// let (received, text) = io::AsyncReadExt::read_to_end(&mut &b, Vec::new()).await;
/// assert_eq!(received? as u64, sent);
/// assert_eq!(text, std::fs::read("Cargo.toml")?);
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn splice(mut from: impl SpliceEnd, mut to: impl SpliceEnd, len: u64) -> io::Result<u64> {
    let pipe = Pipe::new()?;
    let mut moved = 0;
    while moved < len {
        let cut = |error| Incomplete::after(moved as usize, error);
        let mut left = pipe.fill(&mut from, len - moved).await.map_err(cut)?;
        if left == 0 {
            break;
        }
        while left > 0 {
            let cut = |error| Incomplete::after(moved as usize, error);
            let n = pipe.drain(&mut to, left).await.map_err(cut)?;
            if n == 0 {
                return Err(takes_no_more());
            }
            from.advance(n);
            to.advance(n);
            moved += n;
            left -= n;
        }
    }
    Ok(moved)
}
