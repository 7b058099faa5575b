//! Serving a router.

use std::fmt;
use std::future::{Future, IntoFuture, pending};
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use axum::Router;
use saferring::cores::{Core, Listener};
use saferring::net::TcpListener;
use saferring::sync::local::Semaphore;
use saferring_hyper::{ServeError, Serving};

use crate::service::RouterService;

/// Serves the connections of a listener on this core, until it is told to stop; to be awaited.
///
/// # Errors
///
/// As [`saferring_hyper::serve`]. What goes wrong with single connections goes to [`Serve::on_error`].
///
/// # Cancel safety
///
/// Dropping it cuts off all connections.
///
/// # Examples
///
/// ```no_run
/// use axum::Router;
/// use axum::routing::get;
/// use saferring::net::TcpListener;
///
/// #[saferring::main]
/// async fn main() -> std::io::Result<()> {
///     let router = Router::new().route("/", get(|| async { "Hello, world!" }));
///     let listener = TcpListener::bind("127.0.0.1:3000")?;
///     let stop = async {
///         let _ = saferring::signal::shutdown().await;
///     };
///     saferring_axum::serve(listener, router).with_graceful_shutdown(stop).await
/// }
/// ```
pub fn serve(listener: TcpListener, router: Router) -> Serve {
    Serve {
        listener,
        router,
        serving: Serving::default(),
        failed: Box::new(drop),
        stop: Box::pin(pending()),
    }
}

/// A server that is to be awaited; made by [`serve`].
#[must_use = "it serves when it is awaited"]
pub struct Serve {
    listener: TcpListener,
    router: Router,
    serving: Serving,
    failed: Box<dyn FnMut(ServeError)>,
    stop: Pin<Box<dyn Future<Output = ()>>>,
}

impl Serve {
    /// Once `stop` is ready no connection is accepted any more, and those that are there end with the requests that have begun.
    pub fn with_graceful_shutdown(mut self, stop: impl Future<Output = ()> + 'static) -> Self {
        self.stop = Box::pin(stop);
        self
    }

    /// How each connection is served, and how many at a time.
    pub fn with(mut self, serving: Serving) -> Self {
        self.serving = serving;
        self
    }

    /// What hears of connections that did not end in order; by default nothing does.
    pub fn on_error(mut self, failed: impl FnMut(ServeError) + 'static) -> Self {
        self.failed = Box::new(failed);
        self
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Serve {
                listener,
                router,
                serving,
                failed,
                stop,
            } = self;
            let make = |stream: &saferring::net::TcpStream| {
                RouterService::new(&router, stream.peer_addr().ok())
            };
            saferring_hyper::serve(listener, serving, make, failed, stop).await
        })
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("serving", &self.serving)
            .finish_non_exhaustive()
    }
}

/// Serves the connections that come to this core, until the cores are to stop: then they end with the requests that have begun, or are
/// cut off at the end of the grace period.
///
/// `serving.connections` are served at a time by this core; more have been accepted, and wait for the others to end.
///
/// # Errors
///
/// As [`Core::serve`].
///
/// # Cancel safety
///
/// As [`Core::serve`].
///
/// # Examples
///
/// See the [crate's page](crate#state-of-a-core).
pub async fn serve_core(
    core: &Core,
    listener: &Listener,
    router: Router,
    serving: Serving,
) -> io::Result<()> {
    let http = Rc::new(serving.http);
    let room = Rc::new(Semaphore::new(
        serving.connections.min(Semaphore::MAX_PERMITS),
    ));
    let this = core.clone();
    core.serve(listener, move |stream| {
        let routed = RouterService::new(&router, stream.peer_addr().ok());
        let (http, room, core) = (Rc::clone(&http), Rc::clone(&room), this.clone());
        async move {
            let Ok(_permit) = room.acquire().await else {
                return;
            };
            let _ = stream.set_nodelay(true);
            // Who goes without a word needs no answer.
            let served = http.serve_connection(stream, routed, core.stopping());
            let _ = served.await;
        }
    })
    .await
}
