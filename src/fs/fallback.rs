//! What the ring cannot do on this kernel, done on a thread.

use std::io;

use crate::op::{Op, Operation};
use crate::runtime::spawn_own;
use crate::sys::features;

/// Awaits `native` if the kernel has its opcode; otherwise runs `fallback`, which does the same, on a thread.
pub(super) async fn native_or<T>(
    native: io::Result<Op<T>>,
    fallback: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()>
where
    T: Operation<Output = io::Result<()>>,
{
    if features().has_opcode(T::CODE) {
        native?.await
    } else {
        blocking(fallback).await
    }
}

/// Runs `f` on a thread. A panic of it comes back as an error.
pub(super) async fn blocking<R: Send + 'static>(
    f: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    spawn_own(f).await?
}
