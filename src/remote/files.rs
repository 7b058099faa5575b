//! The service, and how files are opened by it.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::file::{File, Open};
use super::request::ask;
use super::ring::Ring;
use crate::fs::OpenOptions;

/// A service that opens files, and reads and writes them, for any thread; see the [module's documentation](super).
///
/// Clones are the same service. It ends, with its threads, when all clones, files and futures are gone, or by
/// [`shutdown`](Files::shutdown).
#[derive(Clone)]
pub struct Files {
    shared: Arc<Shared>,
}

struct Shared {
    rings: Box<[Arc<Ring>]>,
    /// Counts what was opened: rings have it in turn.
    opened: AtomicUsize,
}

impl Files {
    pub(super) fn new(rings: Vec<Ring>) -> Self {
        let rings = rings.into_iter().map(Arc::new).collect();
        let opened = AtomicUsize::new(0);
        Files {
            shared: Arc::new(Shared { rings, opened }),
        }
    }

    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// As for [`open_with`](Files::open_with), and so are cancel safety and kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let missing = files.open("no/such/file").await.unwrap_err();
    /// assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    /// # });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn open<P: AsRef<Path>>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<File>> + Send + use<P> {
        self.open_with(OpenOptions::new().read(true), path)
    }

    /// Opens a file to write it, and makes it if it is not there; what it holds is cut off.
    ///
    /// # Errors
    ///
    /// As for [`open_with`](Files::open_with), and so are cancel safety and kernel.
    pub fn create<P: AsRef<Path>>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<File>> + Send + use<P> {
        let mut options = OpenOptions::new();
        self.open_with(options.write(true).create(true).truncate(true), path)
    }

    /// Opens a file as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`], and `NotConnected` if the service has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the operation. If the file was opened, made or truncated nevertheless, it is closed.
    ///
    /// # Kernel
    ///
    /// One `OPENAT`; see openat(2).
    ///
    /// # Examples
    ///
    /// Past the page cache:
    ///
    /// ```
    /// use saferring::buf::AlignedBuf;
    /// use saferring::fs::OpenOptions;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let file = match files.open_with(OpenOptions::new().read(true).direct(true), "Cargo.toml").await {
    ///     Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return Ok(()), // not on this file system
    ///     opened => opened?,
    /// };
    /// let (read, block) = file.read_at(AlignedBuf::with_capacity(4096), 0).await;
    /// assert_eq!(read?, block.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn open_with<P: AsRef<Path>>(
        &self,
        options: &OpenOptions,
        path: P,
    ) -> impl Future<Output = io::Result<File>> + Send + use<P> {
        let (options, path) = (options.clone(), path.as_ref().to_owned());
        let ring = Arc::clone(self.shared.next());
        async move {
            let here = Arc::clone(&ring);
            let (opened, ()) = ask(&ring, (), move |lent| async move {
                let opened = options.open(path).await;
                (opened.and_then(|file| Open::new(here, file)), lent)
            })
            .await;
            opened.map(File::new)
        }
    }

    /// Ends the service, whoever still uses it, and waits until its threads are gone. What is under way there is cancelled and
    /// answers with an error, and so does what comes later; buffers come back. On a runtime of somebody's
    /// ([`on`](Files::on)) its files are closed, and what is under way goes on to its end.
    ///
    /// # Cancel safety
    ///
    /// Once it was polled it ends all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let files = saferring::remote::Files::start()?;
    /// # futures_executor::block_on(async {
    /// let file = files.open("Cargo.toml").await?;
    /// files.shutdown().await;
    /// let (read, buf) = file.read_at(vec![0; 10], 0).await;
    /// assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    /// assert_eq!(buf.len(), 10);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn shutdown(&self) {
        for ring in &self.shared.rings {
            ring.stop();
        }
        for ring in &self.shared.rings {
            ring.ended().await;
        }
    }
}

impl Shared {
    fn next(&self) -> &Arc<Ring> {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        &self.rings[turn % self.rings.len()]
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("rings", &self.shared.rings.len())
            .finish_non_exhaustive()
    }
}
