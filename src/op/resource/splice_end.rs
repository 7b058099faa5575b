//! What bytes are spliced from and to.

use std::io;

use super::fd::SharedFd;

/// What [`io::splice`](crate::io::splice) moves bytes from and to: `&TcpStream`, `&UnixStream`, `&mut File` for a file
/// by its cursor or one without positions, [`File::at`](crate::fs::File::at) for a file by position.
///
/// Only this crate can implement it.
pub trait SpliceEnd {
    /// The descriptor.
    #[doc(hidden)]
    fn fd(&self) -> &SharedFd;

    /// Whether the position is the file's cursor, which reads and writes move, too.
    #[doc(hidden)]
    fn is_cursor(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Where the next byte comes from or goes to; `u64::MAX` for a stream.
    #[doc(hidden)]
    fn position(&mut self) -> io::Result<u64>;

    /// So many bytes were moved.
    #[doc(hidden)]
    fn advance(&mut self, moved: u64);
}
