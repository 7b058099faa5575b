//! Servers that count their connections.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::Connect;
use saferring::net::TcpListener;
use saferring::runtime::{Runtime, in_flight};
use saferring::sync::CancellationToken;
use saferring::task::{JoinHandle, JoinSet};
use saferring_hyper::{Client, Http};
use saferring_tests::{bounded, open_fds, poll_once, until};
use saferring_tls::TlsAcceptor;

pub(crate) type Text = Full<Bytes>;

pub(crate) fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// A server of this core that sends bodies back, over TLS if it has an acceptor.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    accepted: Rc<Cell<usize>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(acceptor: Option<TlsAcceptor>) -> Self {
        Server::on("127.0.0.1:0".parse().unwrap(), acceptor)
    }

    pub(crate) fn on(addr: SocketAddr, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, accepted) = (CancellationToken::new(), Rc::new(Cell::new(0)));
        let (stopped, counted) = (stop.clone(), Rc::clone(&accepted));
        let task = saferring::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(Ok((stream, _))) = stopped.run_until_cancelled(listener.accept()).await {
                counted.set(counted.get() + 1);
                stream.set_nodelay(true).unwrap();
                let (acceptor, stop) = (acceptor.clone(), stopped.clone());
                connections.spawn(async move {
                    let (http, echo, stop) = (Http::new(), service_fn(echo), stop.cancelled());
                    // Clients go as they like, and some do not trust this server.
                    let Some(acceptor) = acceptor else {
                        let _ = http.serve_connection(stream, echo, stop).await;
                        return;
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let _ = http.serve_connection(stream.into_split(), echo, stop).await;
                    }
                });
            }
            drop(listener);
            while connections.join_next().await.is_some() {}
        });
        Server {
            addr,
            accepted,
            stop,
            task,
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.get()
    }

    pub(crate) fn uri(&self, scheme: &str) -> Uri {
        uri(scheme, self.addr)
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Text>, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map_or_else(|_| "cut off".into(), |body| body.to_bytes());
    Ok(Response::new(Full::new(body)))
}

pub(crate) fn uri(scheme: &str, host: impl Display) -> Uri {
    format!("{scheme}://{host}/").parse().unwrap()
}

pub(crate) fn post(uri: Uri, body: impl Into<Bytes>) -> Request<Text> {
    Request::post(uri).body(Full::new(body.into())).unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Sends a body, and expects it back.
pub(crate) async fn asked<C>(client: &Client<Text, C>, uri: &Uri, body: &'static str)
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let response = client.request(post(uri.clone(), body)).await.unwrap();
    assert_eq!(text(response).await, body);
    settled().await;
}

/// Lets the tasks that are ready run: a connection is kept as soon as one of them has seen that its response is read.
pub(crate) async fn settled() {
    for _ in 0..50 {
        let _ = saferring::op::nop().await;
    }
}

/// Waits until nothing is in flight but what was before, and the tasks that wait for it have run.
pub(crate) async fn quiet(what: &'static str, before: usize) {
    until(what, || in_flight().len() <= before).await;
    settled().await;
}

/// The reasons of an error, and theirs.
pub(crate) fn reasons<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    reasons(error).map(|error| format!("{error}: ")).collect()
}

/// Whether an error tells that the connection has ended too early: the words are hyper's, those of TLS, or of
/// the system, where the other side has closed before it had read all.
pub(crate) fn is_cut_off(error: &(dyn Error + 'static)) -> bool {
    let words = ["EOF", "end of file", "without close_notify", "reset"];
    words.iter().any(|words| told(error).contains(words))
}

/// The error of the connector.
#[track_caller]
pub(crate) fn io_error(error: &hyper_util::client::legacy::Error) -> &std::io::Error {
    assert!(error.is_connect(), "{}", told(error));
    let source = error.source().and_then(|source| source.downcast_ref());
    source.unwrap_or_else(|| panic!("{}", told(error)))
}

/// Drops an exchange at each of its awaits, and looks each time that its descriptors go. Tells how many there were.
pub(crate) async fn dropped_at_each_await<C>(
    client: impl Fn() -> Client<Text, C>,
    uri: &Uri,
) -> usize
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let before = open_fds().len();
    for turns in 0.. {
        let client = client();
        let request = client.request(post(uri.clone(), vec![b'x'; 20_000]));
        let mut exchange = Box::pin(async move { text(request.await.unwrap()).await.len() });
        let mut len = None;
        for _ in 0..turns {
            len = poll_once(&mut exchange).await;
            if len.is_some() {
                break;
            }
            // As far as it comes by itself.
            let _ = saferring::op::nop().await;
        }
        drop((exchange, client));
        until("the end of the connection", || open_fds().len() <= before).await;
        if let Some(len) = len {
            assert_eq!(len, 20_000);
            return turns;
        }
    }
    unreachable!("there are not so many turns")
}
