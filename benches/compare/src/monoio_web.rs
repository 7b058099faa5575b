//! HTTP on monoio, by `monoio-compat`: its streams are told by an epoll in the ring when they are ready. TLS is that of
//! `tokio-rustls`, because such a stream has tokio's traits, and `monoio-rustls` wants others.

use std::io;
use std::net;

use monoio::io::IntoPollIo;
use monoio::net::tcp::stream_poll::TcpStreamPoll;
use monoio_compat::hyper::{MonoioIo, MonoioTimer};
use saferring_benches::contender::{Echo, EchoSpec, Web};
use saferring_benches::web::{body, serve_hyper, tls};
use tokio_rustls::TlsAcceptor;

use super::monoio::{accept_all, tuned};

pub(super) fn web(web: Web) -> Option<Echo> {
    match web {
        Web::Hyper { tls: false } => Some(hyper),
        Web::Hyper { tls: true } => Some(hyper_tls),
        Web::Axum { .. } | Web::Frames => None,
    }
}

fn hyper(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let body = body(spec);
    polled(listener, spec, async move |stream| {
        serve_hyper(MonoioIo::new(stream), MonoioTimer, body.clone()).await
    })
}

fn hyper_tls(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let (body, acceptor) = (body(spec), TlsAcceptor::from(tls()?));
    polled(listener, spec, async move |stream| {
        let stream = acceptor.accept(stream).await?;
        serve_hyper(MonoioIo::new(stream), MonoioTimer, body.clone()).await
    })
}

fn polled(
    listener: net::TcpListener,
    spec: EchoSpec,
    serve: impl AsyncFn(TcpStreamPoll) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    let mut runtime = tuned(spec.connections).enable_timer().build()?;
    runtime.block_on(accept_all(listener, |stream| {
        let serve = serve.clone();
        async move {
            stream.set_nodelay(true)?;
            serve(stream.into_poll_io()?).await
        }
    }))
}
