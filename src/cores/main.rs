//! What `#[saferring::main(cores = …)]` calls.

use std::future::Future;
use std::panic::resume_unwind;

use super::core::Core;
use super::cores::Cores;
use super::error::{CoreOutput, RunError};
use super::placement::Placement;
use crate::runtime;

/// What a `main` that runs on several cores may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a `main` with `cores` cannot return `{Self}`",
    label = "returned on each core",
    note = "it returns nothing or a `Result<(), E>` whose error is `Send`: `std::io::Error`, or `Box<dyn Error + Send + Sync>` \
            instead of `Box<dyn Error>`"
)]
pub trait MainOutput: CoreOutput {
    fn all(result: Result<(), Self::Error>) -> Self;
}

impl MainOutput for () {
    fn all(_: Result<(), Self::Error>) -> Self {}
}

impl<E: Send> MainOutput for Result<(), E> {
    fn all(result: Result<(), E>) -> Self {
        result
    }
}

/// Runs `main` on each core.
///
/// # Panics
///
/// If a core cannot be started, and with the first panic of any.
#[doc(hidden)]
pub fn run_main<F, Fut>(
    placement: Placement,
    runtime: impl Fn(usize) -> runtime::Builder + Send + Sync + 'static,
    main: F,
) -> Fut::Output
where
    F: Fn(Core) -> Fut + Sync,
    Fut: Future<Output: MainOutput>,
{
    let built = Cores::builder().cores(placement).runtime(runtime).build();
    let cores = match built {
        Ok(cores) => cores,
        Err(error) => panic!("saferring: cannot start the cores: {error}"),
    };
    match cores.run(main) {
        // A `main` that has not asked when to stop is cut off then, as a signal ends a process.
        Ok(_) | Err(RunError::CutOff { .. }) => MainOutput::all(Ok(())),
        Err(RunError::Failed { error, .. }) => MainOutput::all(Err(error)),
        Err(RunError::Panicked { panic, .. }) => resume_unwind(panic.into_panic()),
        Err(RunError::Start { core, source }) => {
            panic!("saferring: core {core} cannot start: {source}")
        }
    }
}
