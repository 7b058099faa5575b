//! The other runtimes, each used as its documentation says.
//!
//! What all of them do alike is written once, in `work`, over [`Rival`]: tasks that keep so many operations in flight,
//! and so on. Its functions are generic, so no call on the way is dynamic. Servers are written out for each.

mod block;
mod compio;
mod compio_managed;
mod glommio;
mod monoio;
mod tokio_uring;
mod work;

use std::fs::{File, OpenOptions};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::task::Poll;
use std::time::Instant;

use crate::contender::Contender;

pub(crate) fn all() -> Vec<Contender> {
    let mut all = Vec::from(monoio::contenders());
    all.extend(compio::contenders());
    all.push(compio_managed::contender());
    all.push(glommio::contender());
    all.extend(tokio_uring::contenders());
    all
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    /// Past the page cache.
    ReadDirect,
    /// It exists.
    Write,
}

impl Access {
    /// Opens it without the runtime, which takes over.
    fn open(self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        match self {
            Access::Read => options.read(true),
            Access::ReadDirect => options.read(true).custom_flags(libc::O_DIRECT),
            Access::Write => options.write(true),
        };
        options.open(path)
    }
}

/// What a runtime offers, called inside it.
trait Rival: 'static {
    /// The runtime has a no-op of the ring's.
    const NOP: bool;

    type File: 'static;
    /// What a task reads into, again and again.
    type Buf: 'static;
    type Join<T: 'static>;

    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Self::Join<F::Output>;
    fn join<T: 'static>(task: Self::Join<T>) -> impl Future<Output = io::Result<T>>;
    /// Lets the task go on without its handle.
    fn detach<T: 'static>(task: Self::Join<T>);

    /// Gives other tasks a turn; `alone` says that there are none.
    fn yield_now(alone: bool) -> impl Future<Output = ()>;
    fn sleep_until(deadline: Instant) -> impl Future<Output = ()>;
    fn nop() -> impl Future<Output = io::Result<()>>;

    fn buf(block: usize) -> Self::Buf;
    fn open(path: &Path, access: Access) -> impl Future<Output = io::Result<Self::File>>;
    /// Reads a whole block.
    fn read(
        file: &Self::File,
        buf: Self::Buf,
        offset: u64,
    ) -> impl Future<Output = io::Result<Self::Buf>>;
    /// Reads a whole block of one file and writes it to the same place of the other.
    fn copy(
        files: &[Self::File; 2],
        buf: Self::Buf,
        offset: u64,
    ) -> impl Future<Output = io::Result<Self::Buf>>;
}

/// Gives other tasks a turn, where the runtime has no function for it.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// An error of accept that says nothing about the connections to come.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block ended short")
}

/// Entries of a ring for so many connections, each with an operation in flight.
fn entries(connections: usize) -> u32 {
    connections.clamp(1024, 16_384).next_power_of_two() as u32
}
