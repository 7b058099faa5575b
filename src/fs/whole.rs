//! Whole files in one call.

use std::io;
use std::path::Path;

use super::File;
use super::path_error::at;
use crate::buf::{BufResult, IoBuf};

/// Reads a whole file.
///
/// # Errors
///
/// As for [`File::open`] and [`File::read_to_end`].
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Nothing is lost: the file is as it was.
///
/// # Kernel
///
/// `OPENAT`, `STATX` and `READ`s.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let bytes = saferring::fs::read("Cargo.toml").await?;
/// # assert_eq!(bytes, std::fs::read("Cargo.toml")?);
/// assert!(bytes.starts_with(b"["));
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path).await?;
    let (read, bytes) = file.read_to_end(Vec::new()).await;
    read.map(|_| bytes)
}

/// Reads a whole file of UTF-8 text.
///
/// # Errors
///
/// `InvalidData` if it is not UTF-8, with a [`PathError`](super::PathError) inside; otherwise as for [`read`], and so
/// are panics, cancel safety and kernel.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// let text = saferring::fs::read_to_string("Cargo.toml").await?;
/// assert!(text.contains("saferring"));
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let path = path.as_ref();
    String::from_utf8(read(path).await?).map_err(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
        at(path)(error)
    })
}

/// Makes a file of `contents`, or puts them in the place of what is there, and gives the buffer back.
///
/// A reader may meanwhile see a part: see [`rename`](super::rename) for how to avoid that.
///
/// # Errors
///
/// As for [`File::create`] and [`File::write_all`].
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future leaves open how much of the file is written.
///
/// # Kernel
///
/// `OPENAT` and `WRITE`s.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use saferring::fs;
///
/// # let path = std::env::temp_dir().join(format!("saferring-whole-{}", std::process::id()));
/// let (written, _contents) = fs::write(&path, "contents").await;
/// written?;
/// assert_eq!(fs::read_to_string(&path).await?, "contents");
/// # fs::remove_file(&path).await
/// # })
/// # }
/// ```
pub async fn write<B>(path: impl AsRef<Path>, contents: B) -> BufResult<(), B>
where
    B: IoBuf, // Owned: instead of `&buf[..n]` give `buf.slice(..n)`.
{
    match File::create(path).await {
        Ok(mut file) => file.write_all(contents).await,
        Err(error) => (Err(error), contents),
    }
}
