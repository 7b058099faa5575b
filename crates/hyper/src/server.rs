//! Serving one connection.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use saferring::time::timeout;

use crate::executor::Executor;
use crate::io::{IntoIo, Io};
use crate::timer::Timer;

/// How a connection is served: either version of HTTP, as the client chooses.
///
/// By default a client has 30 s for the head of a request, and as long between two requests of a connection.
#[derive(Clone, Debug)]
pub struct Http {
    http1: http1::Builder,
    http2: http2::Builder<Executor>,
    header_timeout: Option<Duration>,
    versions: Versions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    Both,
    One,
    Two,
}

/// Why a connection did not end in order.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// Nothing that tells the version came within the time for a request's head.
    HeaderTimeout,
    /// The stream.
    Io(io::Error),
    /// The client, the service or a body.
    Http(hyper::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::HeaderTimeout => {
                f.write_str("the client has sent no request within the time for one")
            }
            ServeError::Io(error) => write!(f, "the connection failed: {error}"),
            ServeError::Http(error) => error.fmt(f),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ServeError::HeaderTimeout => None,
            ServeError::Io(error) => Some(error),
            ServeError::Http(error) => Some(error),
        }
    }
}

impl From<hyper::Error> for ServeError {
    fn from(error: hyper::Error) -> Self {
        ServeError::Http(error)
    }
}

impl Default for Http {
    fn default() -> Self {
        Http::new()
    }
}

impl Http {
    /// Both versions, with the defaults of hyper.
    pub fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(Timer);
        let mut http2 = http2::Builder::new(Executor);
        http2.timer(Timer);
        let http = Http {
            http1,
            http2,
            header_timeout: None,
            versions: Versions::Both,
        };
        http.header_timeout(Some(Duration::from_secs(30)))
    }

    /// How long a client may take for the head of a request; none: as long as it likes.
    pub fn header_timeout(mut self, limit: Option<Duration>) -> Self {
        self.header_timeout = limit;
        self.http1.header_read_timeout(limit);
        self
    }

    /// HTTP/1 only.
    pub fn http1_only(mut self) -> Self {
        self.versions = Versions::One;
        self
    }

    /// HTTP/2 only: the client must know.
    pub fn http2_only(mut self) -> Self {
        self.versions = Versions::Two;
        self
    }

    /// hyper's own options for HTTP/1.
    pub fn http1(&mut self) -> &mut http1::Builder {
        &mut self.http1
    }

    /// hyper's own options for HTTP/2.
    pub fn http2(&mut self) -> &mut http2::Builder<Executor> {
        &mut self.http2
    }

    /// Serves a connection until it ends. Once `stop` is ready no new request is taken, and it ends with those that have
    /// begun; [`pending`](std::future::pending) never is.
    ///
    /// A TCP stream should have [`set_nodelay`](saferring::net::TcpStream::set_nodelay), as [`serve`](crate::serve) does: answers are
    /// small, and HTTP/2 waits for what the other side delays.
    ///
    /// Upgrades are possible ([`hyper::upgrade::on`]), and [`downcast`](crate::downcast) gives the stream back.
    ///
    /// # Errors
    ///
    /// [`ServeError`]: a client that goes in the middle of a request is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cuts the connection off.
    pub async fn serve_connection<I, S, B>(
        &self,
        stream: I,
        service: S,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError>
    where
        I: IntoIo,
        S: HttpService<Incoming, ResBody = B>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut io, mut stop) = (stream.into_io(), pin!(stop));
        let is_http2 = match self.versions {
            Versions::One => false,
            Versions::Two => true,
            Versions::Both => {
                let version = self.version(&mut io);
                let mut version = pin!(version);
                let first = poll_fn(|cx| match version.as_mut().poll(cx) {
                    Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
                    version => version.map(Some),
                });
                match first.await {
                    Some(version) => version?,
                    // No request has begun.
                    None => return Ok(()),
                }
            }
        };
        if is_http2 {
            self.serve_http2(io, service, stop).await
        } else {
            self.serve_http1(io, service, stop).await
        }
    }

    async fn version<S: Read + Unpin>(&self, io: &mut Io<S>) -> Result<bool, ServeError> {
        let version = poll_fn(|cx| io.poll_is_http2(cx));
        let version = match self.header_timeout {
            None => version.await,
            Some(limit) => match timeout(limit, version).await {
                Ok(version) => version,
                Err(_) => return Err(ServeError::HeaderTimeout),
            },
        };
        version.map_err(ServeError::Io)
    }

    async fn serve_http1<T, S, B>(
        &self,
        io: Io<T>,
        service: S,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), ServeError>
    where
        T: Read + Write + Unpin + 'static,
        S: HttpService<Incoming, ResBody = B>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let connection = pin!(self.http1.serve_connection(io, service).with_upgrades());
        drained(connection, stop, |connection| {
            connection.graceful_shutdown()
        })
        .await
    }

    async fn serve_http2<T, S, B>(
        &self,
        io: Io<T>,
        service: S,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), ServeError>
    where
        T: Read + Write + Unpin + 'static,
        S: HttpService<Incoming, ResBody = B>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let connection = pin!(self.http2.serve_connection(io, service));
        drained(connection, stop, |connection| {
            connection.graceful_shutdown()
        })
        .await
    }
}

/// Waits for the end of a connection, which is told once when it is to end.
async fn drained<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<&mut C>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    tell: impl Fn(Pin<&mut C>),
) -> Result<(), ServeError> {
    let mut is_told = false;
    let served = poll_fn(|cx| {
        if !is_told && stop.as_mut().poll(cx).is_ready() {
            is_told = true;
            tell(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    });
    Ok(served.await?)
}
