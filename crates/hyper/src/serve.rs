//! Serving all connections of a listener, on one core.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use futures_util::StreamExt;
use hyper::body::{Body, Incoming};
use hyper::service::HttpService;
use saferring::net::{TcpListener, TcpStream};
use saferring::sync::CancellationToken;
use saferring::sync::local::Semaphore;
use saferring::task::JoinSet;

use crate::server::{Http, ServeError};

/// How [`serve`] serves.
#[derive(Clone, Debug)]
pub struct Serving {
    /// How each connection is served.
    pub http: Http,
    /// How many connections are served at a time; more wait to be accepted.
    pub connections: usize,
}

impl Default for Serving {
    /// As [`Http::new`], and so many connections as there may be.
    fn default() -> Self {
        Serving {
            http: Http::new(),
            connections: Semaphore::MAX_PERMITS,
        }
    }
}

/// Serves the connections of a listener on this core, each with a service of its own, until `stop` is ready. Then no
/// connection is accepted any more, those that are there end with the requests that have begun, and this returns when the last
/// has.
///
/// `failed` hears of connections that did not end in order. For all cores see [`saferring::cores`] and the
/// [crate's page](crate).
///
/// # Errors
///
/// Those of accept(2) that are not about one connection or a shortage, which it waits for.
///
/// # Cancel safety
///
/// Dropping it cuts off all connections.
pub async fn serve<S, B>(
    listener: TcpListener,
    serving: Serving,
    mut make_service: impl FnMut(&TcpStream) -> S,
    mut failed: impl FnMut(ServeError),
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: HttpService<Incoming, ResBody = B> + 'static,
    S::Future: 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let http = Rc::new(serving.http);
    let room = Rc::new(Semaphore::new(
        serving.connections.min(Semaphore::MAX_PERMITS),
    ));
    let stops = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut incoming = listener.incoming();
    let mut stop = pin!(stop);
    loop {
        let mut next = pin!(async {
            let permit = Rc::clone(&room).acquire_owned().await;
            (permit, incoming.next().await)
        });
        let accepted = poll_fn(|cx| {
            if stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            while let Poll::Ready(Some(ended)) = connections.poll_join_next(cx) {
                tell(ended, &mut failed);
            }
            next.as_mut().poll(cx).map(Some)
        });
        let (permit, stream) = match accepted.await {
            None => break,
            Some((permit, Some(stream))) => (permit, stream?),
            Some((_, None)) => break,
        };
        let service = make_service(&stream);
        let (http, stops) = (Rc::clone(&http), stops.clone());
        connections.spawn(async move {
            let _permit = permit;
            // Answers are small, and each is one write.
            let _ = stream.set_nodelay(true);
            http.serve_connection(stream, service, stops.cancelled())
                .await
        });
    }
    drop(incoming);
    drop(listener);
    stops.cancel();
    while let Some(ended) = connections.join_next().await {
        tell(ended, &mut failed);
    }
    Ok(())
}

/// A panic is the connection's own, and has been printed.
fn tell<E>(ended: Result<Result<(), ServeError>, E>, failed: &mut impl FnMut(ServeError)) {
    if let Ok(Err(error)) = ended {
        failed(error);
    }
}
