//! How a file service is made.

use std::io;

use tokio::sync::Semaphore;

use super::files::Files;
use super::ring::Ring;
use crate::runtime::{self, Handle};

/// Makes a [`Files`]; from [`Files::builder`].
///
/// # Examples
///
/// ```
/// use saferring::remote::Files;
/// use saferring::runtime::Builder;
///
/// let files = Files::builder()
///     .rings(2)
///     .thread_name("my-files")
///     .runtime(Builder::new().entries(1024))
///     .max_in_flight(512)
///     .start()?;
/// # drop(files);
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct Builder {
    rings: usize,
    thread_name: String,
    runtime: runtime::Builder,
    max_in_flight: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            rings: 1,
            thread_name: "saferring-files".to_owned(),
            runtime: runtime::Builder::new(),
            max_in_flight: 1024,
        }
    }

    /// How many threads there are, each with a ring; one by default, and at least. One serves what the page cache holds faster
    /// than most programs ask for it: a second is for more than one core's worth of copying, and for file systems that block.
    ///
    /// A file belongs to one ring. They are given to the rings in turn as they are opened; a file that is too much for one
    /// can be opened once for each.
    pub fn rings(mut self, rings: usize) -> Self {
        self.rings = rings.max(1);
        self
    }

    /// The name of each thread, of which Linux shows 15 bytes; `saferring-files` by default.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// How the threads' runtimes are made.
    pub fn runtime(mut self, builder: runtime::Builder) -> Self {
        self.runtime = builder;
        self
    }

    /// How many calls a ring has at most, at least one; 1024 by default. Others wait in the order in which they came, and have
    /// sent nothing. What was opened, read and so on for a future that is gone counts until the kernel has let go of its buffer.
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.max_in_flight = calls.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// If a thread or its runtime cannot be made, or the name holds a NUL byte (`InvalidInput`). The error says which, and
    /// those that were started end.
    pub fn start(self) -> io::Result<Files> {
        if self.thread_name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the name of a thread holds a NUL byte: give Builder::thread_name one without",
            ));
        }
        let start = |ring| {
            let numbers = [ring, self.rings];
            Ring::start(
                &self.thread_name,
                &self.runtime,
                self.max_in_flight,
                numbers,
            )
        };
        let rings: io::Result<Vec<_>> = (1..=self.rings).map(start).collect();
        Ok(Files::new(rings?))
    }

    /// Serves from a runtime that there is, as [`Files::on`]; of the options, [`max_in_flight`](Self::max_in_flight) holds.
    pub fn on(self, handle: Handle) -> Files {
        Files::new(vec![Ring::on(handle, self.max_in_flight)])
    }
}

// Here, as `Files` does not know how it is made.
impl Files {
    /// One thread, and the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`].
    ///
    /// # Examples
    ///
    /// ```
    /// let files = saferring::remote::Files::start()?;
    /// let file = futures_executor::block_on(files.open("Cargo.toml"))?;
    /// assert!(futures_executor::block_on(file.len())? > 0);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Says how many threads, and more.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Serves from a runtime that there is, beside its other tasks. It does not keep that alive: calls answer `NotConnected`
    /// when it has ended, and wait while nobody runs it.
    ///
    /// # Examples
    ///
    /// ```
    /// use saferring::remote::Files;
    /// use saferring::runtime::{Handle, Runtime, spawn_blocking};
    ///
    /// let runtime = Runtime::new()?;
    /// let len = runtime.block_on(async {
    ///     let files = Files::on(Handle::current());
    ///     let elsewhere = move || futures_executor::block_on(async { files.open("Cargo.toml").await?.len().await });
    ///     spawn_blocking(elsewhere).await
    /// });
    /// assert_eq!(len.unwrap()?, std::fs::metadata("Cargo.toml")?.len());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(handle: Handle) -> Self {
        Self::builder().on(handle)
    }
}
