//! Sending requests over connections that are kept.

use hyper::body::Body;
use hyper_util::client::legacy::{self, Builder};

use crate::connect::HttpConnector;
use crate::executor::Executor;
use crate::timer::Timer;

/// Sends requests, over connections that it keeps for the next ones: hyper-util's client. A clone is the same client.
///
/// [`client`] makes one for `http`, and [`client_builder`] one with other options or another connector, such as `HttpsConnector`
/// (feature `tls`). It is a service of tower's, too.
///
/// # The core that it belongs to
///
/// Each core makes its own: a connection is a task of the runtime in which it was made, and goes with it. The client itself may be
/// moved and shared, but what another core sends goes to that task and back.
///
/// # Bodies
///
/// hyper-util wants the body of a request to be `Send` and `Unpin`. Where it cannot be, hyper's own connections are the way; they keep
/// nothing, and need no `Send`:
///
/// ```no_run
/// use std::collections::VecDeque;
/// use std::convert::Infallible;
/// use std::pin::Pin;
/// use std::rc::Rc;
/// use std::task::{Context, Poll};
///
/// use bytes::Bytes;
/// use hyper::body::{Body, Frame};
/// use hyper::client::conn::http1;
/// use hyper::{Request, header};
/// use saferring::net::TcpStream;
/// use saferring_hyper::IntoIo;
///
/// /// Sends the bytes of each part, as long as they are shared.
/// struct Parts(VecDeque<Rc<[u8]>>);
///
/// impl Body for Parts {
///     type Data = Bytes;
///     type Error = Infallible;
///
///     fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
///         let part = self.0.pop_front();
///         Poll::Ready(part.map(|part| Ok(Frame::data(Bytes::copy_from_slice(&part)))))
///     }
/// }
///
/// #[saferring::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let io = TcpStream::connect("127.0.0.1:3000").await?.into_io();
///     // For HTTP/2: `http2::handshake(saferring_hyper::Executor, io)`.
///     let (mut sender, connection) = http1::handshake(io).await?;
///     saferring::spawn(connection);
///     let parts = Parts(VecDeque::from([Rc::from(&b"hello"[..])]));
///     let request = Request::post("/").header(header::HOST, "127.0.0.1:3000").body(parts)?;
///     println!("{}", sender.send_request(request).await?.status());
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// A request fails with hyper-util's [`Error`](legacy::Error). Its [`source`](std::error::Error::source) tells why: where
/// [`is_connect`](legacy::Error::is_connect), it is the connector's [`io::Error`](std::io::Error).
///
/// A request that finds its connection closed before it was sent is sent over another. One that was sent into a connection which the
/// other side was closing meanwhile fails: whether it has come there cannot be known.
///
/// # Panics
///
/// A request that needs a connection panics outside of a runtime. While that is being made, it must stay on the thread where it was
/// polled first: elsewhere its drop panics, which ends the process if another panic is the cause.
///
/// # Cancel safety
///
/// The request may have been sent. Its connection is closed if it is of HTTP/1; of HTTP/2 only the stream ends.
pub type Client<B, C = HttpConnector> = legacy::Client<C, B>;

/// A client for `http`, with the options of [`client_builder`].
///
/// # Examples
///
/// ```no_run
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Empty};
///
/// #[saferring::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let client = saferring_hyper::client::<Empty<Bytes>>();
///     let response = client.get("http://127.0.0.1:3000/".parse()?).await?;
///     println!("{}", response.status());
///     println!("{:?}", response.into_body().collect().await?.to_bytes());
///     Ok(())
/// }
/// ```
pub fn client<B>() -> Client<B>
where
    B: Body + Send,
    B::Data: Send,
{
    client_builder().build(HttpConnector::new())
}

/// hyper-util's builder, on the tasks and timers of saferring: a connection without a request is closed after
/// [90 s](Builder::pool_idle_timeout). [`Builder::build`] makes the client.
///
/// # Examples
///
/// For `https`, with bounds of its own:
///
/// ```no_run
/// # #[cfg(feature = "webpki-roots")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # saferring::runtime::Runtime::new()?.block_on(async {
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use http_body_util::Empty;
/// use saferring_hyper::{Client, HttpsConnector, client_builder};
///
/// let connector = HttpsConnector::with_webpki_roots()? // a feature
///     .connect_timeout(Some(Duration::from_secs(5)));
/// let client: Client<Empty<Bytes>, _> = client_builder()
///     .pool_max_idle_per_host(8)
///     .http2_keep_alive_interval(Duration::from_secs(20))
///     .build(connector);
/// println!("{}", client.get("https://example.com/".parse()?).await?.status());
/// # Ok(())
/// # })
/// # }
/// # #[cfg(not(feature = "webpki-roots"))]
/// # fn main() {}
/// ```
///
/// HTTP/2 without TLS, for a server that is known to speak it:
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Empty;
/// use saferring_hyper::{Client, HttpConnector, client_builder};
///
/// let client: Client<Empty<Bytes>> = client_builder().http2_only(true).build(HttpConnector::new());
/// # drop(client);
/// ```
pub fn client_builder() -> Builder {
    let mut builder = Builder::new(Executor);
    builder.timer(Timer).pool_timer(Timer);
    builder
}
