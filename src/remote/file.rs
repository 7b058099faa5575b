//! An open file of the service.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use super::errors::{ended, inherited};
use super::request::ask;
use super::ring::Ring;
use super::table::{self, Place};
use crate::buf::{BufResult, Lent};
use crate::fs::{self, Metadata};
use crate::runtime::{Job, Message, Remote};

/// An open file, for any thread: read and written by position, any number of calls at once, as [`fs::File`].
///
/// Clones are the same file. It is closed when all of them, and the futures of their calls, are gone, and errors of that
/// are ignored; [`close`](File::close) reports them.
///
/// # Examples
///
/// Reads by tasks that share a file:
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let files = saferring::remote::Files::start()?;
/// # futures_executor::block_on(async {
/// let file = files.open("Cargo.toml").await?;
/// let reads = (0..4).map(|n| file.read_at(vec![0; 16], 16 * n)); // `Send`, and without a borrow of the file
/// let blocks = futures_util::future::join_all(reads).await;
/// for (read, _buf) in blocks {
///     assert_eq!(read?, 16);
/// }
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct File {
    open: Arc<Open>,
}

/// A file that is open on a ring's thread, until this is dropped.
pub(super) struct Open {
    ring: Arc<Ring>,
    place: Place,
}

impl Open {
    /// On the ring's thread.
    ///
    /// # Errors
    ///
    /// If the service ends just now.
    pub(super) fn new(ring: Arc<Ring>, file: fs::File) -> io::Result<Self> {
        let place = table::insert(ring.table, file).ok_or_else(ended)?;
        Ok(Open { ring, place })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.ring.is_inherited() {
            let free = Arc::new(Free(self.place));
            self.ring.handle.give(Message::Do(free));
        }
    }
}

/// Has the ring's thread free a place.
struct Free(Place);

impl Job for Free {
    fn run(self: Arc<Self>) {
        self.0.free();
    }

    fn refuse(self: Arc<Self>) {}

    fn come_home(self: Arc<Self>) {}

    fn lose_home(self: Arc<Self>) {}
}

impl File {
    pub(super) fn new(open: Open) -> Self {
        let open = Arc::new(open);
        File { open }
    }

    /// Has the ring's thread do something with the file and a buffer.
    pub(super) fn with<F, Fut, B, T>(
        &self,
        buf: B,
        work: F,
    ) -> impl Future<Output = BufResult<T, B>> + Send + use<F, Fut, B, T>
    where
        F: FnOnce(fs::File, Lent<B>) -> Fut + Send + 'static,
        Fut: Future<Output = (io::Result<T>, Lent<B>)> + 'static,
        B: Send + 'static,
        T: Send + 'static,
    {
        let open = Arc::clone(&self.open);
        async move {
            let place = open.place;
            ask(&open.ring, buf, move |lent| {
                // Now, as the place is that of another file when the caller and all others are gone.
                let file = place.file();
                async move {
                    match file {
                        Ok(file) => work(file, lent).await,
                        Err(error) => (Err(error), lent),
                    }
                }
            })
            .await
        }
    }

    /// The same without a buffer.
    fn without<F, Fut, T>(
        &self,
        work: F,
    ) -> impl Future<Output = io::Result<T>> + Send + use<F, Fut, T>
    where
        F: FnOnce(fs::File) -> Fut + Send + 'static,
        Fut: Future<Output = io::Result<T>> + 'static,
        T: Send + 'static,
    {
        let done = self.with((), |file, lent| async { (work(file).await, lent) });
        async { done.await.0 }
    }

    /// Brings data and metadata to the disk; as [`fs::File::sync_all`].
    ///
    /// # Errors
    ///
    /// What fsync(2) says, and `NotConnected` if the service has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the data is on the disk.
    ///
    /// # Kernel
    ///
    /// One `FSYNC`, carried out by a thread of the kernel.
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.without(|file| async move { file.sync_all().await })
    }

    /// Brings data to the disk, and of the metadata what it takes to read it back; as [`fs::File::sync_data`].
    ///
    /// # Errors
    ///
    /// What fdatasync(2) says, and `NotConnected` if the service has ended.
    ///
    /// # Cancel safety
    ///
    /// As for [`sync_all`](File::sync_all), and so is what the kernel does.
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.without(|file| async move { file.sync_data().await })
    }

    /// What the file system knows about the file.
    ///
    /// # Errors
    ///
    /// What statx(2) says, and `NotConnected` if the service has ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Kernel
    ///
    /// One `STATX`, carried out by a thread of the kernel.
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + Send + use<> {
        self.without(|file| async move { file.metadata().await })
    }

    /// The length in bytes: that of the [`metadata`](File::metadata), and so are errors, cancel safety and kernel.
    // A file's length is not that of a container: std has no `is_empty` here either.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> impl Future<Output = io::Result<u64>> + Send + use<> {
        self.without(|file| async move { Ok(file.metadata().await?.len()) })
    }

    /// Cuts the file off at `len` bytes, or fills it up with zeros; as [`fs::File::set_len`].
    ///
    /// # Errors
    ///
    /// What ftruncate(2) says, such as `InvalidInput` if the file is not open for writing, and `NotConnected` if the
    /// service has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it happens.
    ///
    /// # Kernel
    ///
    /// `FTRUNCATE` since 6.9, carried out by a thread of the kernel; before that ftruncate(2) on a thread of the runtime's.
    pub fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.without(move |file| async move { file.set_len(len).await })
    }

    /// Cancels what is in flight on the file, waits until that has ended, and closes the file: for all clones, whose later
    /// calls answer `EBADF`, as does closing it once more.
    ///
    /// It does not wait for room ([`max_in_flight`](super::Builder::max_in_flight)).
    ///
    /// # Errors
    ///
    /// What close(2) says: some network file systems report here that a write has failed. The file is closed even so.
    /// `NotConnected` if the service has ended, which has closed it.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled the file is closed even if the future is dropped.
    ///
    /// # Kernel
    ///
    /// One `CLOSE`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let file = files.open("Cargo.toml").await?;
    /// let clone = file.clone();
    /// file.close().await?;
    /// let (read, _buf) = clone.read_at([0; 8], 0).await;
    /// assert!(read.is_err());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn close(self) -> io::Result<()> {
        let ring = Arc::clone(&self.open.ring);
        if ring.is_inherited() {
            return Err(inherited());
        }
        // It keeps the place, which otherwise might be that of another file by the time that it begins.
        let close = move || async move { self.open.place.take()?.close().await };
        let mut closing = Closing(Some(ring.handle.run(close)));
        match &mut closing.0 {
            Some(closed) => {
                let closed = closed.await;
                closing.0 = None;
                closed.map_err(|_| ended())?
            }
            None => Ok(()),
        }
    }
}

/// A close that goes on if nobody waits for it.
struct Closing(Option<Remote<io::Result<()>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(close) = self.0.take() {
            close.detach();
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("place", &self.open.place)
            .finish_non_exhaustive()
    }
}
