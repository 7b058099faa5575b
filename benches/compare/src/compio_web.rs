//! HTTP on compio, by cyper and by compio's own TLS.

use std::io;
use std::net;

use compio::net::{TcpListener, TcpStream};
use compio::tls::{TlsAcceptor, TlsStream};
use cyper_core::{CompioExecutor, CompioTimer, HyperStream};
use saferring_benches::contender::{Echo, EchoSpec, Web};
use saferring_benches::web::{body, router, serve_axum, serve_hyper, tls};

use super::compio::{accept_all, build, tuned};

pub(super) fn web(web: Web) -> Option<Echo> {
    match web {
        Web::Hyper { tls: false } => Some(hyper),
        Web::Hyper { tls: true } => Some(hyper_tls),
        Web::Axum { tls: false } => Some(axum),
        Web::Axum { tls: true } => Some(axum_tls),
        Web::Frames => None,
    }
}

fn hyper(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let body = body(spec);
    let serve = |stream: TcpStream| {
        let body = body.clone();
        async move {
            stream.set_nodelay(true)?;
            serve_hyper(HyperStream::new_plain(stream), CompioTimer, body).await
        }
    };
    build(&tuned(spec.connections))?.block_on(accept_all(listener, serve))
}

fn hyper_tls(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let body = body(spec);
    over_tls(listener, spec, async move |stream| {
        serve_hyper(HyperStream::new_tls(stream), CompioTimer, body.clone()).await
    })
}

/// By `cyper_axum::serve`, which lets nobody set a timer.
fn axum(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    build(&tuned(spec.connections))?.block_on(async {
        let listener = WithoutDelay(TcpListener::from_std(listener)?);
        cyper_axum::serve(listener, router(body(spec))).await
    })
}

/// A listener whose connections send without delay.
struct WithoutDelay(TcpListener);

impl cyper_axum::Listener for WithoutDelay {
    type Io = TcpStream;
    type Addr = net::SocketAddr;

    async fn accept(&mut self) -> (TcpStream, net::SocketAddr) {
        let accepted = cyper_axum::Listener::accept(&mut self.0).await;
        // It serves all the same.
        let _ = accepted.0.set_nodelay(true);
        accepted
    }

    fn local_addr(&self) -> io::Result<net::SocketAddr> {
        self.0.local_addr()
    }
}

fn axum_tls(listener: net::TcpListener, spec: EchoSpec) -> io::Result<()> {
    let router = router(body(spec));
    over_tls(listener, spec, async move |stream| {
        let stream = HyperStream::new_tls(stream);
        serve_axum(stream, CompioExecutor, CompioTimer, router.clone()).await
    })
}

fn over_tls(
    listener: net::TcpListener,
    spec: EchoSpec,
    serve: impl AsyncFn(TlsStream<TcpStream>) -> io::Result<()> + Clone + 'static,
) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(tls()?);
    let serve = |stream: TcpStream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            stream.set_nodelay(true)?;
            serve(acceptor.accept(stream).await?).await
        }
    };
    build(&tuned(spec.connections))?.block_on(accept_all(listener, serve))
}
