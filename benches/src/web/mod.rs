//! Servers of HTTP by hyper and axum, with TLS and without, and of frames by `tokio_util`'s codecs.
//!
//! All answer with the same body and with the headers that hyper and axum add by themselves (`wrk.rs` looks), send without
//! delay, and bound the time for the head of a request.

mod saferring;
mod tokio;
pub(crate) mod wrk;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, Timer, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::server::conn::auto::{self, HttpServerConnExec};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use serde::{Deserialize, Serialize};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::contender::{Contender, EchoSpec};

pub(crate) use saferring::{saferring, saferring_plain};
pub(crate) use tokio::tokio;

/// What the others are compared with.
pub(crate) const TOKIO: &str = "tokio";

/// The A/A control.
pub(crate) const TOKIO_AGAIN: &str = "tokio (again)";

pub(crate) fn compared() -> Contender {
    let what = "a second process of tokio's servers of HTTP and frames: the A/A control";
    Contender::web(TOKIO_AGAIN, what, tokio)
}

/// What a server speaks, and by which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Web {
    /// HTTP/1.1 by hyper.
    Hyper {
        /// Over TLS.
        tls: bool,
    },
    /// HTTP/1.1 by axum.
    Axum {
        /// Over TLS.
        tls: bool,
    },
    /// Frames with their length before them, each sent back.
    Frames,
}

impl Web {
    /// As in `https`.
    pub(crate) fn scheme(self) -> Option<&'static str> {
        match self {
            Web::Hyper { tls } | Web::Axum { tls } => Some(if tls { "https" } else { "http" }),
            Web::Frames => None,
        }
    }
}

/// What all responses hold.
pub fn body(spec: EchoSpec) -> Bytes {
    Bytes::from(vec![b'x'; spec.message])
}

/// A service of hyper's that has this answer to everything.
pub fn service(
    body: Bytes,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = Ready<Result<Response<Full<Bytes>>, Infallible>>,
> {
    service_fn(move |_| ready(Ok(Response::new(Full::new(body.clone())))))
}

/// A router of axum's that has this answer at `/`.
pub fn router(body: Bytes) -> Router {
    Router::new().route("/", get(move || async { body }))
}

/// TLS by `ring`, with a certificate that is made now.
///
/// # Errors
///
/// If it cannot be made.
pub fn tls() -> io::Result<Arc<ServerConfig>> {
    let own = rcgen::generate_simple_self_signed(["localhost".into()]).map_err(io::Error::other)?;
    let key = own.signing_key.serialize_der();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.into()], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

/// Serves a connection by hyper.
///
/// # Errors
///
/// Those of hyper, which end the connection.
pub async fn serve_hyper<I, T>(io: I, timer: T, body: Bytes) -> io::Result<()>
where
    I: Read + Write + Unpin,
    T: Timer + Send + Sync + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(timer);
    let served = http.serve_connection(io, service(body)).await;
    served.map_err(io::Error::other)
}

type Routed = TowerToHyperService<Router>;

/// Serves a connection by a router: as `axum::serve` does, which sets no timer.
///
/// # Errors
///
/// Those of hyper, which end the connection.
pub async fn serve_axum<I, E, T>(io: I, executor: E, timer: T, router: Router) -> io::Result<()>
where
    I: Read + Write + Unpin + Send + 'static,
    E: HttpServerConnExec<<Routed as Service<Request<Incoming>>>::Future, axum::body::Body>,
    T: Timer + Send + Sync + 'static,
{
    let mut http = auto::Builder::new(executor);
    http.http1().timer(timer);
    let routed = Routed::new(router);
    let served = http.serve_connection_with_upgrades(io, routed).await;
    served.map_err(io::Error::other)
}

/// Sends back all frames of a connection.
async fn serve_frames<I>(io: I) -> io::Result<()>
where
    I: ::tokio::io::AsyncRead + ::tokio::io::AsyncWrite + Unpin,
{
    let mut frames = Framed::new(io, LengthDelimitedCodec::new());
    while let Some(frame) = frames.next().await.transpose()? {
        frames.send(frame.freeze()).await?;
    }
    Ok(())
}
