//! saferring and the other runtimes, each used as its documentation says.
//!
//! What all of them do alike is written once, over [`Api`]: accepting connections here, and in [`work`] tasks that keep
//! so many operations in flight, and so on. Its functions are generic, so no call on the way is dynamic. What a server
//! does with a connection is written out for each.

mod files;
pub(crate) mod saferring;
mod servers;
pub(crate) mod tokio;
pub mod work;

use std::fs::{File, OpenOptions};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::task::Poll;
use std::time::Instant;

use futures_util::FutureExt;

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be read past the page cache.
    ReadDirect,
    /// To be written; it exists.
    Write,
}

impl Access {
    /// Opens it without the runtime, which takes over.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn open(self, path: &Path) -> io::Result<File> {
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
#[expect(clippy::missing_errors_doc, reason = "those of the runtime")]
pub trait Api: 'static {
    /// The runtime has a no-op of the ring's.
    const NOP: bool;

    /// An open file.
    type File: 'static;
    /// What a task reads into, again and again.
    type Buf: 'static;
    /// The handle of a task.
    type Join<T: 'static>;

    /// Starts a task.
    fn spawn<F: Future<Output: 'static> + 'static>(future: F) -> Self::Join<F::Output>;
    /// Awaits a task.
    fn join<T: 'static>(task: Self::Join<T>) -> impl Future<Output = io::Result<T>>;
    /// Lets the task go on without its handle.
    fn detach<T: 'static>(task: Self::Join<T>) {
        drop(task);
    }

    /// Gives other tasks a turn; `alone` says that there are none.
    fn yield_now(alone: bool) -> impl Future<Output = ()>;
    /// Sleeps.
    fn sleep_until(deadline: Instant) -> impl Future<Output = ()>;
    /// A no-op through the ring.
    fn nop() -> impl Future<Output = io::Result<()>> {
        async { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// So many buffers of a block each.
    fn bufs(count: usize, block: usize) -> io::Result<Vec<Self::Buf>>;
    /// Opens a file.
    fn open(path: &Path, access: Access) -> impl Future<Output = io::Result<Self::File>>;
    /// Reads a whole block.
    fn read(
        file: &Self::File,
        buf: Self::Buf,
        offset: u64,
    ) -> impl Future<Output = io::Result<Self::Buf>>;
    /// Writes the block that was read last.
    fn write(
        file: &Self::File,
        buf: Self::Buf,
        offset: u64,
    ) -> impl Future<Output = io::Result<Self::Buf>>;
}

/// Accepts for ever, with a task for each connection.
///
/// # Errors
///
/// Those of `accept` that say something about the connections to come.
pub async fn serve<A: Api, S: 'static, F: Future<Output = io::Result<()>> + 'static>(
    mut accept: impl AsyncFnMut() -> io::Result<S>,
    echo: impl Fn(S) -> F,
) -> io::Result<()> {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    loop {
        match accept().await {
            Ok(stream) => {
                // An error ends this connection. By `map`: an async block would hold the future twice, as what it has
                // captured and as what it awaits.
                A::detach(A::spawn(echo(stream).map(drop)));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionAborted | ConnectionReset | Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives other tasks a turn, where the runtime has no function for it.
pub async fn yield_once() {
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

/// A read that ended short, or a write: the files here have whole blocks.
pub fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block ended short")
}

/// Entries of a ring for so many connections, each with an operation in flight.
pub fn entries(connections: usize) -> u32 {
    connections.clamp(1024, 16_384).next_power_of_two() as u32
}
