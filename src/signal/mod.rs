//! Signals to the process.
//!
//! [`shutdown`] is what a server waits for: Ctrl-C in a terminal, `SIGTERM` from whoever runs services and containers.
//! [`ctrl_c`] is the first alone, and [`unix::signal`] any signal, again and again.
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
//!     select(pin!(serve), pin!(saferring::signal::shutdown())).await;
//!     println!("stopping");
//!     Ok(())
//! }
//! ```
//!
//! # A second Ctrl-C
//!
//! Once anything has listened for it, Ctrl-C no longer ends the process by itself, also when nobody listens any more. So a
//! program that takes its time to end should listen on, for a user who will not wait. A [`Signal`](unix::Signal) misses
//! nothing between the first and the second; its documentation has the program. With [`ctrl_c`] and [`shutdown`] make the
//! second future as soon as the first is ready: each hears what comes after its own call, and one signal is one for all that
//! wait at the time.
//!
//! ```no_run
//! # async fn serve() {}
//! # async fn let_clients_finish() {}
//! use std::pin::pin;
//!
//! use futures_util::future::select;
//! use saferring::signal::ctrl_c;
//!
//! #[saferring::main]
//! async fn main() {
//!     select(pin!(serve()), pin!(ctrl_c())).await;
//!     let again = ctrl_c();
//!     println!("waiting for clients; Ctrl-C again ends at once");
//!     select(pin!(let_clients_finish()), pin!(again)).await;
//! }
//! ```
#![forbid(unsafe_code)]

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;

mod kind;
pub mod unix;

use unix::{SignalKind, signal};

/// Completes when the process is told to stop from the terminal (`SIGINT`, Ctrl-C) after this call.
///
/// From the first call on, Ctrl-C no longer ends the process by itself; see [a second Ctrl-C](self#a-second-ctrl-c).
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
    let listening = signal(SignalKind::interrupt());
    async move {
        let mut listening = listening?;
        poll_fn(|cx| listening.poll_heard(cx)).await
    }
}

/// Completes when the process is told to stop after this call, and says how: by `SIGINT` (Ctrl-C) or `SIGTERM`, which is what
/// systemd, Docker, Kubernetes and kill(1) send.
///
/// If both have come it is `SIGINT`. From the first call on, neither ends the process by itself; see
/// [a second Ctrl-C](self#a-second-ctrl-c).
///
/// # Errors
///
/// If no descriptor is free (it takes four), or the handlers cannot be installed.
///
/// # Panics
///
/// When awaited outside a runtime.
///
/// # Cancel safety
///
/// Dropping it loses at most this future's own notice of the signals.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() {}
/// # saferring::runtime::Runtime::new().unwrap().block_on(async {
/// use futures_util::future::{Either, select};
/// use std::pin::pin;
/// let asked = pin!(saferring::signal::shutdown());
/// if let Either::Right((signal, _)) = select(pin!(serve()), asked).await {
///     println!("stopping, because of {signal:?}");
/// }
/// # });
/// ```
pub fn shutdown() -> impl Future<Output = io::Result<SignalKind>> {
    let listening = signal(SignalKind::interrupt())
        .and_then(|interrupts| Ok([interrupts, signal(SignalKind::terminate())?]));
    async move {
        let mut listening = listening?;
        poll_fn(|cx| {
            for one in &mut listening {
                if let Poll::Ready(heard) = one.poll_heard(cx) {
                    return Poll::Ready(heard.map(|()| one.kind()));
                }
            }
            Poll::Pending
        })
        .await
    }
}
