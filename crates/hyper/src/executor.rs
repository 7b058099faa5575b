//! Tasks of hyper's.

use std::future::Future;

/// Runs hyper's tasks on the core that polls the connection. They need not be `Send`.
///
/// # Panics
///
/// [`execute`](hyper::rt::Executor::execute) panics outside of a saferring runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        drop(saferring::spawn(async move {
            drop(future.await);
        }));
    }
}
