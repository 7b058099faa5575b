//! How a file is opened.

use std::future::Future;
use std::io;
use std::path::Path;

use super::File;
use super::fifo::Again;
use crate::op::{OpenAt, SharedFd};

/// How a file is opened: as [`std::fs::OpenOptions`], with the same rules.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs::{self, File, OpenOptions};
///
/// # let path = std::env::temp_dir().join(format!("saferring-options-{}", std::process::id()));
/// let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path).await?;
/// let (written, _) = file.write_all_at("secret", 0).await;
/// written?;
/// assert_eq!(file.metadata().await?.mode() & 0o777, 0o600);
/// # fs::remove_file(&path).await
/// # })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    direct: bool,
    mode: u32,
    custom_flags: i32,
}

impl OpenOptions {
    /// Everything off; created files get mode 0o666 minus the umask.
    #[allow(clippy::new_without_default)] // As std: options with nothing set open nothing.
    pub fn new() -> Self {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            direct: false,
            mode: 0o666,
            custom_flags: 0,
        }
    }

    /// Whether the file can be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether the file can be written. What is there stays unless overwritten or [truncated](Self::truncate).
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Whether every write goes to the end of the file. The kernel then ignores the offset of a write.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Whether what is there is cut off. Wants write access.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Whether the file is made if it is not there. Wants write or append access.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Whether the file is made, and it is an error if it is there already. `create` and `truncate` then do not
    /// matter. Wants write or append access.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// The mode of a file that is made, before the umask takes its part.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Further flags for open(2). Those of the access mode are left out.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }

    /// Whether reads and writes go past the page cache (`O_DIRECT`).
    ///
    /// The address and the length of each buffer and the offset of each operation must then be multiples of the
    /// device's block: 512 or 4096 bytes, as a rule (statx(2), `STATX_DIOALIGN`). [`AlignedBuf`] has addresses that
    /// are multiples of 4096. What is not aligned fails with `EINVAL` ([`InvalidInput`]), and so does opening on a file
    /// system that cannot do it, though the file may have been made by then.
    ///
    /// A read that reaches the end of the file may end anywhere. To write a file whose length is no multiple of the
    /// block, write whole blocks and cut the file off with [`File::set_len`].
    ///
    /// [`AlignedBuf`]: crate::buf::AlignedBuf
    /// [`InvalidInput`]: io::ErrorKind::InvalidInput
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// use saferring::buf::AlignedBuf;
    /// use saferring::fs::OpenOptions;
    ///
    /// let file = match OpenOptions::new().read(true).direct(true).open("Cargo.toml").await {
    ///     Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return Ok(()), // not on this file system
    ///     opened => opened?,
    /// };
    /// let (read, block) = file.read_at(AlignedBuf::with_capacity(4096), 0).await;
    /// assert_eq!(read?, block.len());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn direct(&mut self, direct: bool) -> &mut Self {
        self.direct = direct;
        self
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the options contradict each other (no access mode at all; creating or truncating without
    /// write access; truncating and appending) or the path holds a NUL byte; otherwise what open(2) says.
    ///
    /// # Panics
    ///
    /// When awaited outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the operation. If the file was opened, made or truncated nevertheless, it is closed.
    ///
    /// # Kernel
    ///
    /// One `OPENAT`; see openat(2). A FIFO waits for its other end, as in std; one who opens that and does nothing is
    /// noticed after up to 20 ms.
    pub fn open<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<File>> + use<P> {
        let (path, flags, mode) = (path.as_ref().to_owned(), self.flags(), self.mode);
        async move {
            let flags = flags?;
            // Without waiting: otherwise a thread of the kernel might wait for the other end of a FIFO, and others
            // behind it.
            let op = OpenAt::new(&path, flags | libc::O_NONBLOCK, mode)?;
            let again = Again { path, flags, mode };
            let fd = match op.await {
                // There is no reader yet, or somebody holds a lease: what std waits for.
                Err(error) if again.may_wait(&error) => again.open().await?,
                opened => again.check(opened?).await?,
            };
            Ok(File::new(SharedFd::new(fd)))
        }
    }

    fn flags(&self) -> io::Result<i32> {
        let direct = if self.direct { libc::O_DIRECT } else { 0 };
        let flags = self.access()? | self.creation()? | direct;
        Ok(flags | (self.custom_flags & !libc::O_ACCMODE))
    }

    fn access(&self) -> io::Result<i32> {
        match (self.read, self.write, self.append) {
            (true, false, false) => Ok(libc::O_RDONLY),
            (false, true, false) => Ok(libc::O_WRONLY),
            (true, true, false) => Ok(libc::O_RDWR),
            (false, _, true) => Ok(libc::O_WRONLY | libc::O_APPEND),
            (true, _, true) => Ok(libc::O_RDWR | libc::O_APPEND),
            (false, false, false) => Err(invalid(
                "a file must be opened with at least one of read, write and append",
            )),
        }
    }

    fn creation(&self) -> io::Result<i32> {
        let changes = self.truncate || self.create || self.create_new;
        if changes && !self.write && !self.append {
            return Err(invalid(
                "creating or truncating a file wants write or append access",
            ));
        }
        if self.append && self.truncate && !self.create_new {
            return Err(invalid(
                "a file cannot be opened with both append and truncate",
            ));
        }
        if self.create_new {
            return Ok(libc::O_CREAT | libc::O_EXCL);
        }
        let create = if self.create { libc::O_CREAT } else { 0 };
        let truncate = if self.truncate { libc::O_TRUNC } else { 0 };
        Ok(create | truncate)
    }
}

impl File {
    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`], and so are panics, cancel safety and kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # saferring::runtime::Runtime::new().unwrap().block_on(async {
    /// use saferring::fs::File;
    ///
    /// let error = File::open("/no/such/file").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    /// # });
    /// ```
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file to write it: makes it, or cuts off what is there.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`], and so are panics, cancel safety and kernel.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # saferring::runtime::Runtime::new()?.block_on(async {
    /// # let path = std::env::temp_dir().join(format!("saferring-file-create-{}", std::process::id()));
    /// use saferring::fs::File;
    ///
    /// let file = File::create(&path).await?;
    /// assert_eq!(file.metadata().await?.len(), 0);
    /// # saferring::fs::remove_file(&path).await
    /// # })
    /// # }
    /// ```
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Makes a file that was not there, to read and write it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; otherwise as for [`OpenOptions::open`], and so are panics, cancel safety and kernel.
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }

    /// Options to open a file with.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;

    /// Every combination of the six switches ends as it does in std, on a file that exists and on one that does not.
    #[test]
    fn the_rules_are_those_of_std() {
        let path = std::env::temp_dir().join(format!("saferring-rules-{}", std::process::id()));
        let runtime = Runtime::new().unwrap();
        for exists in [false, true] {
            for bits in 0..64 {
                let on = |bit: u32| bits >> bit & 1 == 1;
                let prepare = || {
                    let _ = std::fs::remove_file(&path);
                    if exists {
                        std::fs::write(&path, "contents").unwrap();
                    }
                };
                let outcome = |opened: Option<io::ErrorKind>| {
                    let left = std::fs::read(&path).ok();
                    (opened, left)
                };
                prepare();
                let expected = std::fs::OpenOptions::new()
                    .read(on(0))
                    .write(on(1))
                    .append(on(2))
                    .truncate(on(3))
                    .create(on(4))
                    .create_new(on(5))
                    .open(&path);
                let expected = outcome(expected.err().map(|error| error.kind()));
                prepare();
                let opened = runtime.block_on(
                    OpenOptions::new()
                        .read(on(0))
                        .write(on(1))
                        .append(on(2))
                        .truncate(on(3))
                        .create(on(4))
                        .create_new(on(5))
                        .open(&path),
                );
                let opened = outcome(opened.err().map(|error| error.kind()));
                assert_eq!(opened, expected, "bits {bits:06b}, exists: {exists}");
            }
        }
        let _ = std::fs::remove_file(&path);
    }
}
