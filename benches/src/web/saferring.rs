//! On saferring.

use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use ::saferring::net::TcpStream;
use ::saferring::runtime::Runtime;
use futures_util::{SinkExt, StreamExt};
use saferring_axum::RouterService;
use saferring_compat::{Compat, Framed};
use saferring_hyper::{Http, Serving};
use saferring_tls::{TlsAcceptor, TlsStream};
use tokio_util::codec::LengthDelimitedCodec;

use super::{Web, body, router, serve_frames, service, tls};
use crate::contender::{Echo, EchoSpec};
use crate::runtimes::saferring::accept_all;

pub(crate) fn saferring(web: Web) -> Option<Echo> {
    Some(match web {
        Web::Hyper { tls: false } => hyper,
        Web::Hyper { tls: true } => hyper_tls,
        Web::Axum { tls: false } => axum,
        Web::Axum { tls: true } => axum_tls,
        Web::Frames => |listener, _| accepting(listener, frames),
    })
}

/// What is there for those who keep to tokio's traits.
pub(crate) fn saferring_plain(web: Web) -> Option<Echo> {
    match web {
        Web::Frames => Some(|listener, _| {
            accepting(listener, async |stream| {
                stream.set_nodelay(true)?;
                serve_frames(Compat::new(stream)).await
            })
        }),
        Web::Hyper { .. } | Web::Axum { .. } => None,
    }
}

fn accepting(
    listener: TcpListener,
    serve: impl AsyncFn(TcpStream) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    Runtime::new()?.block_on(accept_all(listener, serve))
}

fn hyper(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    let (body, serving) = (
        body(spec),
        Serving {
            http: http1(),
            ..Serving::default()
        },
    );
    Runtime::new()?.block_on(async {
        let listener = ::saferring::net::TcpListener::from_std(listener);
        let make = |_: &TcpStream| service(body.clone());
        saferring_hyper::serve(listener, serving, make, drop, pending()).await
    })
}

/// As `serve_hyper` has it.
fn http1() -> Http {
    Http::new().http1_only()
}

fn hyper_tls(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    let (body, http) = (body(spec), Rc::new(http1()));
    over_tls(listener, async move |stream| {
        let service = service(body.clone());
        let served = http.serve_connection(stream, service, pending());
        served.await.map_err(io::Error::other)
    })
}

fn axum(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    Runtime::new()?.block_on(async {
        let listener = ::saferring::net::TcpListener::from_std(listener);
        saferring_axum::serve(listener, router(body(spec))).await
    })
}

fn axum_tls(listener: TcpListener, spec: EchoSpec) -> io::Result<()> {
    let (router, http) = (router(body(spec)), Rc::new(Http::new()));
    over_tls(listener, async move |stream| {
        let routed = RouterService::new(&router, None);
        let served = http.serve_connection(stream, routed, pending());
        served.await.map_err(io::Error::other)
    })
}

fn over_tls(
    listener: TcpListener,
    serve: impl AsyncFn(TlsStream<TcpStream>) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls()?);
    accepting(listener, async move |stream: TcpStream| {
        stream.set_nodelay(true)?;
        serve(acceptor.accept(stream).await?).await
    })
}

async fn frames(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(frame) = frames.next().await.transpose()? {
        frames.send(frame.freeze()).await?;
    }
    Ok(())
}
