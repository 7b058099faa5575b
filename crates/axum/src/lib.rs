//! [axum]'s routers on saferring.
//!
//! [`serve`] is `axum::serve` for a listener of saferring's, on one core; [`serve_core`] serves a port together with the other
//! cores. Both end in order, bound the time for a request's head and the number of connections.
//!
//! # Handlers that await saferring's operations
//!
//! axum wants the futures of handlers to be `Send`, and those of saferring are not: they stay on their core. [`local`] makes
//! one `Send`, and checks that it does stay there:
//!
//! ```
//! use axum::http::StatusCode;
//! use saferring_axum::local;
//!
//! async fn motd() -> Result<String, StatusCode> {
//!     local(async {
//!         match saferring::fs::read_to_string("/etc/motd").await {
//!             Ok(text) => Ok(text),
//!             Err(_) => Err(StatusCode::NOT_FOUND),
//!         }
//!     })
//!     .await
//! }
//! ```
//!
//! # State of a core
//!
//! Each core builds a router of its own, so that its state is of that core alone: [`OnCore`] is an `Rc` that axum takes. What
//! all cores share goes into it as an `Arc`.
//!
//! ```no_run
//! use std::cell::Cell;
//!
//! use axum::Router;
//! use axum::extract::State;
//! use axum::routing::get;
//! use saferring::cores::{Balance, Cores};
//! use saferring_axum::{OnCore, Serving, serve_core};
//!
//! async fn count(State(count): State<OnCore<Cell<u64>>>) -> String {
//!     count.set(count.get() + 1);
//!     format!("request {} of this core\n", count.get())
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut cores = Cores::builder().build()?;
//!     let listener = cores.bind("127.0.0.1:3000", Balance::Hash)?;
//!     cores.run(async |core| {
//!         let router = Router::new().route("/", get(count)).with_state(OnCore::new(Cell::new(0)));
//!         serve_core(&core, &listener, router, Serving::default()).await
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! # Files
//!
//! [`FileBody`] is a file as a body, read ahead into registered buffers:
//!
//! ```
//! use axum::body::Body;
//! use axum::http::StatusCode;
//! use axum::{Router, routing::get};
//! use saferring::fs::File;
//! use saferring_axum::{FileBody, local};
//!
//! async fn page() -> Result<Body, StatusCode> {
//!     let body = local(async {
//!         let file = File::open("Cargo.toml").await?;
//!         FileBody::new(&file).await
//!     });
//!     Ok(Body::new(body.await.map_err(|_| StatusCode::NOT_FOUND)?))
//! }
//!
//! let router: Router = Router::new().route("/", get(page));
//! # drop(router);
//! ```
//!
//! # gRPC
//!
//! tonic without its feature `transport` needs nothing of tokio's: `Routes::into_axum_router` makes a router to be served here, and
//! `saferring_hyper::client_builder().http2_only(true)` makes the client below `tonic::client::Grpc`, or below a generated one
//! (`with_origin`). The example `grpc` has both, with streams both ways. What is different from tonic's own server and channel:
//!
//! - A handler awaits what saferring has inside [`local`], and a stream of answers each of its steps.
//! - Nobody looks at `grpc-timeout`, which `Request::set_timeout` sends: that is part of `transport`. Bound a call by
//!   [`saferring::time::timeout`], on either side.
//! - Where no connection can be had, the status of a call is `Unknown`, and not `Unavailable`; its source is the client's error.
//! - A client that has enough of a stream must end its own as well: hyper goes on with a request whose answer is not read any more. That
//!   is so on tokio, too.
//!
//! # What needs tokio
//!
//! A few things of axum's spawn on tokio, and so do not work here: `axum::serve`, `WebSocketUpgrade::on_upgrade`, and middleware
//! of tower's with a clock of its own (`timeout`, rate limits, `buffer`). [`hyper::upgrade::on`] works, and
//! [`saferring::time::timeout`] in a handler.
#![forbid(unsafe_code)]

mod local;
mod serve;
mod service;

pub use local::{Local, OnCore, local};
pub use saferring_hyper::{FileBody, Http, ServeError, Serving};
pub use serve::{Serve, serve, serve_core};
pub use service::RouterService;
