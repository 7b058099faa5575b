//! A router as hyper calls it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use tower_service::Service as Tower;

/// A router as hyper calls it, for one connection: for those that [`serve`](crate::serve) and [`serve_core`](crate::serve_core) do not
/// know, such as one over TLS.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use saferring::net::UnixStream;
/// use saferring_axum::{Http, RouterService};
///
/// async fn serve(stream: UnixStream, router: &Router) {
///     let stop = std::future::pending();
///     let _ = Http::new().serve_connection(stream, RouterService::new(router, None), stop).await;
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RouterService {
    router: Router,
    #[cfg_attr(
        not(feature = "connect-info"),
        expect(dead_code, reason = "nobody asks")
    )]
    peer: Option<SocketAddr>,
}

impl RouterService {
    /// The router, for the connection of this peer, of which `ConnectInfo` tells (feature `connect-info`).
    pub fn new(router: &Router, peer: Option<SocketAddr>) -> Self {
        RouterService {
            router: router.clone(),
            peer,
        }
    }
}

impl Service<Request<Incoming>> for RouterService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        #[cfg(feature = "connect-info")]
        let request = self.with_peer(request);
        let mut router = self.router.clone();
        Box::pin(async move {
            let ready = poll_fn(|cx| Tower::<Request<Incoming>>::poll_ready(&mut router, cx));
            ready.await?;
            router.call(request).await
        })
    }
}

#[cfg(feature = "connect-info")]
impl RouterService {
    fn with_peer(&self, mut request: Request<Incoming>) -> Request<Incoming> {
        if let Some(peer) = self.peer {
            let info = axum::extract::ConnectInfo(peer);
            request.extensions_mut().insert(info);
        }
        request
    }
}
