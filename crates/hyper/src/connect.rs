//! What a client connects by.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use saferring::net::TcpStream;
use saferring::time::timeout;
use saferring_compat::Compat;
use send_wrapper::SendWrapper;
use tower_service::Service;

use crate::io::{IntoIo, Io};

/// As long as a client waits for a connection, unless it is told otherwise.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that is being made.
///
/// # Panics
///
/// If it is dropped on another thread than that of its connector's call: hyper-util wants it `Send`, and it never leaves its core. Polled
/// there it is an error, as a panic would drop it and so be two, which end the process.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Connecting<S>(SendWrapper<Pin<Box<dyn Future<Output = io::Result<Io<S>>>>>>);

impl<S> Connecting<S> {
    pub(crate) fn new(future: impl Future<Output = io::Result<Io<S>>> + 'static) -> Self {
        Connecting(SendWrapper::new(Box::pin(future)))
    }
}

impl<S> Future for Connecting<S> {
    type Output = io::Result<Io<S>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.0.valid() {
            return Poll::Ready(Err(io::Error::other(
                "the connection of a request is made on the thread where that has begun, and it was moved to another",
            )));
        }
        self.0.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for Connecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

/// Connects by TCP: `http` alone. What is sent goes out at once (`TCP_NODELAY`).
///
/// The addresses of a name are tried one after the other.
///
/// # Errors
///
/// `Unsupported` for another scheme than `http`, `TimedOut` if it takes too long, and those of
/// [`TcpStream::connect`](saferring::net::TcpStream::connect).
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Empty;
/// use std::time::Duration;
///
/// use saferring_hyper::{Client, HttpConnector, client_builder};
///
/// let connector = HttpConnector::new().connect_timeout(Some(Duration::from_secs(3)));
/// let client: Client<Empty<Bytes>> = client_builder().build(connector);
/// # drop(client);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpConnector {
    connect_timeout: Option<Duration>,
}

impl Default for HttpConnector {
    fn default() -> Self {
        HttpConnector::new()
    }
}

impl HttpConnector {
    /// One that waits 30 s for a connection.
    pub fn new() -> Self {
        HttpConnector {
            connect_timeout: Some(CONNECT_TIMEOUT),
        }
    }

    /// How long a connection may take, with the look-up of its name; none: as long as the system lets it.
    pub fn connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.connect_timeout = limit;
        self
    }
}

impl Service<Uri> for HttpConnector {
    type Response = Io<Compat<TcpStream>>;
    type Error = io::Error;
    type Future = Connecting<Compat<TcpStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.connect_timeout;
        Connecting::new(async move {
            match uri.scheme_str() {
                Some("http") => Ok(within(limit, tcp(&uri, 80)).await?.into_io()),
                Some("https") => Err(unsupported(
                    "this client speaks http alone: https takes an HttpsConnector (feature `tls`)",
                )),
                _ => Err(no_such_scheme(&uri, "http")),
            }
        })
    }
}

/// Connects to the host and port of an address.
pub(crate) async fn tcp(uri: &Uri, default_port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host(uri), uri.port_u16().unwrap_or(default_port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The host, without the brackets of an IPv6 address.
pub(crate) fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Bounds the time that a connection takes to be made.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    connecting: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(limit) = limit else {
        return connecting.await;
    };
    match timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no connection could be made within {limit:?}"),
        )),
    }
}

pub(crate) fn no_such_scheme(uri: &Uri, known: &str) -> io::Error {
    let scheme = uri.scheme_str().unwrap_or_default();
    unsupported(format!("the scheme `{scheme}` is not {known}"))
}

fn unsupported(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// A connector that is a function, which need not be `Send`, and neither need its futures: for Unix sockets, proxies, tests.
///
/// The stream is one of saferring's, or an [`Io`], which can tell that the other side speaks HTTP/2 ([`Io::negotiated_h2`]).
///
/// # Panics
///
/// If it is used or dropped on another thread, as part of a client or of a request, too.
///
/// # Examples
///
/// ```no_run
/// use bytes::Bytes;
/// use http_body_util::Empty;
/// use saferring::net::UnixStream;
/// use saferring_hyper::{Client, client_builder, connect_fn};
///
/// #[saferring::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let connector = connect_fn(|_uri| UnixStream::connect("/run/docker.sock"));
///     let client: Client<Empty<Bytes>, _> = client_builder().build(connector);
///     println!("{}", client.get("http://docker/version".parse()?).await?.status());
///     Ok(())
/// }
/// ```
pub fn connect_fn<F, S>(connect: F) -> ConnectFn<F>
where
    F: AsyncFn(Uri) -> io::Result<S> + 'static,
    S: IntoIo,
{
    ConnectFn(SendWrapper::new(Rc::new(connect)))
}

/// Connects by a function; made by [`connect_fn`].
pub struct ConnectFn<F>(SendWrapper<Rc<F>>);

impl<F, S> Service<Uri> for ConnectFn<F>
where
    F: AsyncFn(Uri) -> io::Result<S> + 'static,
    S: IntoIo,
{
    type Response = Io<S::Stream>;
    type Error = io::Error;
    type Future = Connecting<S::Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connect = Rc::clone(&self.0);
        Connecting::new(async move { Ok(connect(uri).await?.into_io()) })
    }
}

impl<F> Clone for ConnectFn<F> {
    fn clone(&self) -> Self {
        ConnectFn(self.0.clone())
    }
}

impl<F> fmt::Debug for ConnectFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectFn").finish_non_exhaustive()
    }
}
