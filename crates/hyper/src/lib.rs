//! HTTP/1 and HTTP/2 by [hyper] on saferring.
//!
//! hyper needs no `Send`: services, bodies and what they hold stay on their core, and may use `Rc` and `Cell`. What this
//! crate adds is what hyper asks of a runtime, and what a server and a client need around a connection:
//!
//! - [`Executor`] and [`Timer`], for hyper's own builders;
//! - [`Http`]: serves a connection of either version, with a bound on the time for a request's head, upgrades, and an end in
//!   order; [`serve`] does that for all connections of a listener, so many at a time;
//! - [`client`], [`client_builder`]: hyper-util's [`Client`], which sends requests over connections that it keeps, by what connects here:
//!   [`HttpConnector`], `HttpsConnector` (feature `tls`), or a function of one's own ([`connect_fn`]);
//! - [`FileBody`]: a file as the body of a message.
//!
//! The streams are those of [`saferring_compat`]: what is received is copied once, into hyper's own buffer, out of which
//! hyper gives bodies as `Bytes` without another copy; what is sent is copied once, out of hyper's buffers, which it only
//! lends. hyper asks for both copies: its streams read into, and write from, memory that is borrowed for the call. That of
//! an answer of 16 KiB costs some 0.3 µs of the 9 µs that the whole request takes; tokio's streams have no such copy. A
//! file goes with one copy from the registered buffers in which the kernel has put it into what is sent.
//!
//! # Examples
//!
//! A server on all cores; each counts its own requests, without atomics:
//!
//! ```no_run
//! use std::cell::Cell;
//! use std::convert::Infallible;
//! use std::rc::Rc;
//!
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper::{Request, Response, body::Incoming, service::service_fn};
//! use saferring::cores::{Balance, Cores};
//! use saferring_hyper::Http;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut cores = Cores::builder().build()?;
//!     let listener = cores.bind("127.0.0.1:3000", Balance::Hash)?;
//!     cores.run(async |core| {
//!         let (http, served) = (Rc::new(Http::new()), Rc::new(Cell::new(0)));
//!         let stopping = core.clone();
//!         core.serve(&listener, move |stream| {
//!             let (http, served, core) = (Rc::clone(&http), Rc::clone(&served), stopping.clone());
//!             async move {
//!                 let service = service_fn(|_request: Request<Incoming>| {
//!                     served.set(served.get() + 1);
//!                     let text = format!("request {} of this core\n", served.get());
//!                     async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)))) }
//!                 });
//!                 let _ = http.serve_connection(stream, service, core.stopping()).await;
//!             }
//!         })
//!         .await
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `client` | yes | hyper-util's client, and what it connects by |
//! | `server` | yes | [`Http`] and [`serve`] |
//! | `tls` | | a server serves a `saferring_tls::TlsStream` as it is; with `client`, `HttpsConnector`: `https` |
//! | `webpki-roots` | | `HttpsConnector::with_webpki_roots`: a client that trusts what Mozilla trusts |
//! | `native-roots` | | `HttpsConnector::with_native_roots`: a client that trusts what the system trusts |
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connect;
mod executor;
mod file;
#[cfg(all(feature = "client", feature = "tls"))]
mod https;
mod io;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "server")]
mod server;
mod timer;

#[cfg(feature = "client")]
pub use client::{Client, client, client_builder};
#[cfg(feature = "client")]
pub use connect::{ConnectFn, Connecting, HttpConnector, connect_fn};
pub use executor::Executor;
pub use file::FileBody;
#[cfg(all(feature = "client", feature = "tls"))]
pub use https::{HttpsConnector, MaybeHttps};
pub use io::{IntoIo, Io, downcast};
#[cfg(feature = "server")]
pub use serve::{Serving, serve};
#[cfg(feature = "server")]
pub use server::{Http, ServeError};
pub use timer::Timer;
