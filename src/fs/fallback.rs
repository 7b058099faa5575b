//! What has no operation of the kernel's ring, done on a thread.

use std::io;

use crate::runtime::spawn_own;

/// Runs `f` on a thread. A panic of it comes back as an error.
pub(super) async fn blocking<R: Send + 'static>(
    f: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    spawn_own(f).await?
}
