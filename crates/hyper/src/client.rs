//! Sending requests over connections that are kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, Uri, Version};
use saferring::net::TcpStream;

use crate::executor::Executor;
use crate::io::IntoIo;
use crate::timer::Timer;

/// Sends requests, over connections that it keeps for the next ones. A clone is the same client.
///
/// It belongs to its core: each core has its own.
///
/// # Examples
///
/// ```no_run
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Empty};
/// use hyper::Request;
/// use saferring_hyper::Client;
///
/// #[saferring::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let client = Client::new();
///     let request = Request::get("http://127.0.0.1:3000/").body(Empty::<Bytes>::new())?;
///     let response = client.request(request).await?;
///     println!("{}", response.status());
///     println!("{:?}", response.into_body().collect().await?.to_bytes());
///     Ok(())
/// }
/// ```
pub struct Client<B, C = Tcp>(Rc<Inner<B, C>>);

struct Inner<B, C> {
    connect: C,
    hosts: RefCell<HashMap<Host, Kept<B>>>,
    idle_timeout: Duration,
    idle_max: usize,
}

/// Who is connected to.
type Host = (Scheme, Authority);

/// Connections to a host.
struct Kept<B> {
    /// Without a request.
    idle: Vec<(http1::SendRequest<B>, Instant)>,
    /// One is enough for all requests.
    http2: Option<http2::SendRequest<B>>,
}

/// Makes connections for a [`Client`]: by TCP, by TLS, through a proxy.
pub trait Connect: 'static {
    /// What it connects by.
    type Stream: IntoIo;

    /// Connects to the host of this address.
    fn connect(&self, uri: &Uri) -> impl Future<Output = io::Result<Connected<Self::Stream>>>;
}

/// A new connection.
#[derive(Debug)]
pub struct Connected<S> {
    /// The stream.
    pub stream: S,
    /// The other side expects HTTP/2: TLS has agreed upon that, or it is known.
    pub http2: bool,
}

/// Connects by TCP: `http` only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    type Stream = TcpStream;

    async fn connect(&self, uri: &Uri) -> io::Result<Connected<TcpStream>> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{uri}: this client speaks http alone: give it a connector for TLS"),
            ));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        Ok(Connected {
            stream,
            http2: false,
        })
    }
}

/// Why there is no response.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The address names no scheme and host.
    NoHost,
    /// No connection could be had.
    Connect(io::Error),
    /// The request, the other side or the connection.
    Http(hyper::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoHost => f.write_str(
                "the request's address names no host: write it in full, as in http://127.0.0.1:3000/",
            ),
            ClientError::Connect(error) => write!(f, "cannot connect: {error}"),
            ClientError::Http(error) => error.fmt(f),
        }
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ClientError::NoHost => None,
            ClientError::Connect(error) => Some(error),
            ClientError::Http(error) => Some(error),
        }
    }
}

impl<B> Client<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A client that connects by TCP.
    pub fn new() -> Self {
        Client::with_connect(Tcp)
    }
}

impl<B> Default for Client<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn default() -> Self {
        Client::new()
    }
}

impl<B, C> Client<B, C>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    C: Connect,
{
    /// A client that connects as `connect` does.
    pub fn with_connect(connect: C) -> Self {
        Client(Rc::new(Inner {
            connect,
            hosts: RefCell::default(),
            idle_timeout: Duration::from_secs(90),
            idle_max: 32,
        }))
    }

    /// How many connections are without a request now, of those that the other side has not closed.
    pub fn idle(&self) -> usize {
        let hosts = self.0.hosts.borrow();
        let idle = hosts.values().flat_map(|kept| &kept.idle);
        idle.filter(|(sender, _)| sender.is_ready()).count()
    }

    /// Sends a request, whose address is in full, and gives the response as soon as its head is there.
    ///
    /// A request that finds its connection closed before it was sent is sent over another. One that was sent into a connection
    /// which the other side was closing meanwhile fails: whether it has come there cannot be known.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    ///
    /// # Cancel safety
    ///
    /// The request may have been sent. Its connection is closed.
    pub async fn request(&self, request: Request<B>) -> Result<Response<Incoming>, ClientError> {
        let uri = request.uri().clone();
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ClientError::NoHost);
        };
        let host = (scheme.clone(), authority.clone());
        let mut request = request;
        while let Some(sender) = self.kept(&host) {
            match self.send(&host, sender, request).await {
                Ok(response) => return Ok(response),
                Err((_, Some(back))) => request = back,
                Err((error, None)) => return Err(ClientError::Http(error)),
            }
        }
        let sender = self.connected(&host, &uri).await?;
        match self.send(&host, sender, request).await {
            Ok(response) => Ok(response),
            Err((error, _)) => Err(ClientError::Http(error)),
        }
    }

    /// A connection that is there.
    fn kept(&self, host: &Host) -> Option<Sender<B>> {
        let mut hosts = self.0.hosts.borrow_mut();
        let kept = hosts.get_mut(host)?;
        if let Some(sender) = &kept.http2 {
            if !sender.is_closed() {
                return Some(Sender::Two(sender.clone()));
            }
            kept.http2 = None;
        }
        while let Some((sender, since)) = kept.idle.pop() {
            if sender.is_ready() && since.elapsed() < self.0.idle_timeout {
                return Some(Sender::One(sender));
            }
        }
        None
    }

    async fn connected(&self, host: &Host, uri: &Uri) -> Result<Sender<B>, ClientError> {
        let connected = self.0.connect.connect(uri).await;
        let connected = connected.map_err(ClientError::Connect)?;
        let io = connected.stream.into_io();
        if connected.http2 {
            let (sender, connection) = http2::Builder::new(Executor)
                .timer(Timer)
                .handshake(io)
                .await
                .map_err(ClientError::Http)?;
            drop(saferring::spawn(async move { drop(connection.await) }));
            self.keep(host, |kept| kept.http2 = Some(sender.clone()));
            return Ok(Sender::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(ClientError::Http)?;
        drop(saferring::spawn(async move {
            drop(connection.with_upgrades().await);
        }));
        Ok(Sender::One(sender))
    }

    fn keep(&self, host: &Host, f: impl FnOnce(&mut Kept<B>)) {
        let mut hosts = self.0.hosts.borrow_mut();
        f(hosts.entry(host.clone()).or_insert_with(|| Kept {
            idle: Vec::new(),
            http2: None,
        }));
    }

    async fn send(
        &self,
        host: &Host,
        sender: Sender<B>,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, Unsent<Request<B>>> {
        match sender {
            Sender::Two(mut sender) => {
                *request.version_mut() = Version::HTTP_2;
                sender.try_send_request(request).await.map_err(taken_apart)
            }
            Sender::One(mut sender) => {
                let whole = request.uri().clone();
                origin_form(&mut request, &host.1);
                match sender.try_send_request(request).await {
                    Ok(response) => {
                        self.keep_when_idle(host.clone(), sender);
                        Ok(response)
                    }
                    Err(error) => {
                        let (error, mut request) = taken_apart(error);
                        if let Some(request) = &mut request {
                            // For another connection.
                            *request.uri_mut() = whole;
                        }
                        Err((error, request))
                    }
                }
            }
        }
    }

    /// Keeps a connection once the body of its response has been read.
    fn keep_when_idle(&self, host: Host, mut sender: http1::SendRequest<B>) {
        let weak = Rc::downgrade(&self.0);
        drop(saferring::spawn(async move {
            if sender.ready().await.is_err() {
                return;
            }
            if let Some(inner) = weak.upgrade() {
                let max = inner.idle_max;
                Client(inner).keep(&host, |kept| {
                    if kept.idle.len() < max {
                        kept.idle.push((sender, Instant::now()));
                    }
                });
            }
        }));
    }
}

/// Why a request was not answered, and the request, if it has come to nobody.
type Unsent<T> = (hyper::Error, Option<T>);

enum Sender<B> {
    One(http1::SendRequest<B>),
    Two(http2::SendRequest<B>),
}

/// HTTP/1 names the host in a header, and the rest in the first line.
fn origin_form<B>(request: &mut Request<B>, authority: &Authority) {
    if !request.headers().contains_key(HOST) {
        let host = authority.as_str();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        if let Ok(host) = HeaderValue::from_str(host) {
            request.headers_mut().insert(HOST, host);
        }
    }
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
}

/// With the request, if it has come to nobody.
fn taken_apart<T>(mut error: TrySendError<T>) -> Unsent<T> {
    let request = error.take_message();
    (error.into_error(), request)
}

impl<B, C> Clone for Client<B, C> {
    fn clone(&self) -> Self {
        Client(Rc::clone(&self.0))
    }
}

impl<B, C> fmt::Debug for Client<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
