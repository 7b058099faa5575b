//! Paths as the kernel wants them.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The path with its closing NUL.
///
/// # Errors
///
/// `InvalidInput` if the path holds a NUL byte.
pub(in crate::op) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the path {path:?} holds a NUL byte, which no file name can"),
        )
    })
}
