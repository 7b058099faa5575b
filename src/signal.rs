//! Signals to the process.
//!
//! A server that ends when the terminal says so:
//!
//! ```no_run
//! use std::pin::pin;
//!
//! use futures_util::future::select;
//! use saferring::net::TcpListener;
//!
//! #[saferring::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:7000")?;
//!     let serve = async {
//!         while let Ok((stream, _)) = listener.accept().await {
//!             saferring::spawn(async move { stream.write_all("good bye\n").await.0 });
//!         }
//!     };
//!     select(pin!(serve), pin!(saferring::signal::ctrl_c())).await;
//!     println!("stopping");
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;

use signal_hook::SigId;
use signal_hook::consts::SIGINT;
use signal_hook::low_level::{pipe, unregister};

use crate::op::{PollAdd, Readiness};

/// Completes when the process is told to stop from the terminal (`SIGINT`, Ctrl-C) after this call.
///
/// From the first call on, Ctrl-C no longer ends the process by itself.
///
/// # Errors
///
/// If no descriptor is free, or the handler cannot be installed.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping it loses at most this future's own notice of the signal.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() {}
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::future::select;
/// use std::pin::pin;
/// select(pin!(serve()), pin!(saferring::signal::ctrl_c())).await;
/// println!("stopping");
/// # });
/// ```
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    let registration = Registration::new();
    async move {
        let (reader, _registration) = registration?;
        let (ready, _reader) = PollAdd::new(reader, Readiness::READABLE).await;
        ready.map(drop)
    }
}

/// Keeps the handler writing to our pipe.
struct Registration(SigId);

impl Registration {
    fn new() -> io::Result<(UnixStream, Self)> {
        let (reader, writer) = UnixStream::pair()?;
        let id = pipe::register(SIGINT, writer)?;
        Ok((reader, Registration(id)))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        unregister(self.0);
    }
}
