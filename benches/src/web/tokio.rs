//! On tokio's `current_thread` runtime.

use std::io;
use std::net::TcpListener;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::net::TcpStream;
use axum::Router;
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Web, body, router, serve_axum, serve_frames, serve_hyper, tls};
use crate::contender::Echo;
use crate::runtimes::tokio::serve_all;

pub(crate) fn tokio(web: Web) -> Option<Echo> {
    Some(match web {
        Web::Hyper { tls: false } => |listener, spec| {
            let body = body(spec);
            plain(listener, async move |stream| hyper(stream, &body).await)
        },
        Web::Hyper { tls: true } => |listener, spec| {
            let body = body(spec);
            over_tls(listener, async move |stream| hyper(stream, &body).await)
        },
        Web::Axum { tls: false } => |listener, spec| {
            let router = router(body(spec));
            plain(listener, async move |stream| axum(stream, &router).await)
        },
        Web::Axum { tls: true } => |listener, spec| {
            let router = router(body(spec));
            over_tls(listener, async move |stream| axum(stream, &router).await)
        },
        Web::Frames => |listener, _| plain(listener, serve_frames),
    })
}

async fn hyper(stream: impl AsyncRead + AsyncWrite + Unpin, body: &Bytes) -> io::Result<()> {
    serve_hyper(TokioIo::new(stream), TokioTimer::new(), body.clone()).await
}

async fn axum(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: &Router,
) -> io::Result<()> {
    let (io, executor) = (TokioIo::new(stream), TokioExecutor::new());
    serve_axum(io, executor, TokioTimer::new(), router.clone()).await
}

fn plain(
    listener: TcpListener,
    serve: impl AsyncFn(TcpStream) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    serve_all(listener, |stream| {
        let serve = serve.clone();
        async move {
            stream.set_nodelay(true)?;
            serve(stream).await
        }
    })
}

fn over_tls(
    listener: TcpListener,
    serve: impl AsyncFn(TlsStream<TcpStream>) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls()?);
    plain(listener, async move |stream| {
        serve(acceptor.accept(stream).await?).await
    })
}
