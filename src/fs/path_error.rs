//! Errors that name a path.

use std::io;
use std::path::{Path, PathBuf};

/// Which path an error is about, where a function deals with several or reads what is not the system's to judge.
///
/// It lies inside of the [`io::Error`] of [`copy`](super::copy()), [`create_dir_all`](super::create_dir_all) and
/// [`read_to_string`](super::read_to_string), which has the kind of the error that it was made of. That itself is the
/// [source](std::error::Error::source), and has the system's number.
///
/// # Examples
///
/// ```
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use saferring::fs::{self, PathError};
/// use std::path::Path;
///
/// let error = fs::copy("/no/such/file", "copy").await.unwrap_err();
/// assert_eq!(error.to_string(), "/no/such/file: No such file or directory (os error 2)");
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<PathError>());
/// assert_eq!(inner.unwrap().path(), Path::new("/no/such/file"));
/// # });
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct PathError {
    path: PathBuf,
    source: io::Error,
}

impl PathError {
    /// The path as it was given, or one that leads to it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Adds `path` to an error.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |source| {
        let path = path.to_owned();
        io::Error::new(source.kind(), PathError { path, source })
    }
}
