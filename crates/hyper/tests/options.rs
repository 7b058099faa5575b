//! Each option of a server, and what hyper asks of a runtime.

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Timer as _;
use hyper::service::service_fn;
use hyper::{Request, Response};
use saferring::net::UnixStream;
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring::task::JoinHandle;
use saferring_hyper::{Executor, Http, IntoIo, ServeError, Timer};
use saferring_tests::bounded;

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// Serves one connection so; what is in the other end of it is the client's.
fn served(http: Http) -> (UnixStream, JoinHandle<Result<(), ServeError>>) {
    let (one, other) = UnixStream::pair().unwrap();
    let served = spawn(async move {
        let hello = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
        });
        http.serve_connection(other, hello, pending()).await
    });
    (one, served)
}

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://here/")
        .header("host", "here")
        .body(Empty::new())
        .unwrap()
}

async fn by_http1(stream: impl IntoIo) -> hyper::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(stream.into_io()).await?;
    spawn(async move { drop(connection.await) });
    let response = sender.send_request(request()).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

async fn by_http2(stream: impl IntoIo) -> hyper::Result<Bytes> {
    let mut builder = http2::Builder::new(Executor);
    builder
        .timer(Timer)
        .keep_alive_interval(Duration::from_secs(10));
    let (mut sender, connection) = builder.handshake(stream.into_io()).await?;
    spawn(async move { drop(connection.await) });
    let response = sender.send_request(request()).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[test]
fn a_server_speaks_what_it_is_told_to() {
    run(async || {
        for http in [Http::default(), Http::new().http1_only()] {
            let (stream, served) = served(http);
            assert_eq!(by_http1(stream).await.unwrap(), "hello");
            served.await.unwrap().unwrap();
        }
        for http in [Http::default(), Http::new().http2_only()] {
            let (stream, served) = served(http);
            assert_eq!(by_http2(stream).await.unwrap(), "hello");
            served.await.unwrap().unwrap();
        }
        let (stream, one) = served(Http::new().http1_only());
        assert!(by_http2(stream).await.is_err());
        assert!(matches!(one.await.unwrap(), Err(ServeError::Http(error)) if error.is_parse()));
        let (stream, two) = served(Http::new().http2_only());
        assert!(by_http1(stream).await.is_err());
        assert!(matches!(two.await.unwrap(), Err(ServeError::Http(_))));
    });
}

#[test]
fn hyper_has_options_of_its_own() {
    run(async || {
        let mut http = Http::new();
        http.http1().keep_alive(false);
        http.http2().max_concurrent_streams(1);
        let (stream, served_one) = served(http.clone());
        let (mut sender, connection) = http1::handshake(stream.into_io()).await.unwrap();
        let connection = spawn(connection);
        let response = sender.send_request(request()).await.unwrap();
        assert_eq!(response.headers()["connection"], "close");
        response.into_body().collect().await.unwrap();
        connection.await.unwrap().unwrap();
        served_one.await.unwrap().unwrap();
        let (stream, served_two) = served(http);
        assert_eq!(by_http2(stream).await.unwrap(), "hello");
        served_two.await.unwrap().unwrap();
    });
}

#[test]
fn without_a_bound_a_client_may_take_its_time() {
    run(async || {
        let (stream, mut served) = served(Http::new().header_timeout(None));
        saferring::time::sleep(Duration::from_millis(5)).await;
        assert!(poll_immediate(&mut served).await.is_none());
        assert_eq!(by_http1(stream).await.unwrap(), "hello");
        served.await.unwrap().unwrap();
    });
}

/// A stream that fails, under hyper's traits alone.
struct Broken;

impl hyper::rt::Read for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("torn")))
    }
}

impl hyper::rt::Write for Broken {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("torn")))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_server_says_why_a_connection_has_failed() {
    run(async || {
        let hello = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        });
        let io = saferring_hyper::Io::new(Broken);
        assert_eq!(format!("{io:?}"), "Io { .. }");
        let error = Http::new()
            .serve_connection(io, hello, pending())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "the connection failed: torn");
        assert_eq!(error.source().unwrap().to_string(), "torn");

        let (stream, served_late) =
            served(Http::new().header_timeout(Some(Duration::from_millis(1))));
        let error = served_late.await.unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the client has sent no request within the time for one"
        );
        assert!(error.source().is_none());
        drop(stream);

        let (stream, served_nonsense) = served(Http::new());
        stream.write_all("nonsense\r\n\r\n").await.0.unwrap();
        let error = served_nonsense.await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "invalid HTTP method parsed");
        assert!(error.source().unwrap().is::<hyper::Error>());
    });
}

/// A sleep that is not ours.
struct Other;

impl Future for Other {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl hyper::rt::Sleep for Other {}

#[test]
fn timers_end_when_they_are_told_to() {
    run(async || {
        let began = Instant::now();
        Timer.sleep(Duration::from_millis(2)).await;
        assert!(began.elapsed() >= Duration::from_millis(2));
        Timer.sleep_until(began).await;
        let mut never = Timer.sleep(Duration::MAX);
        assert!(poll_immediate(&mut never).await.is_none());
        Timer.reset(&mut never, began);
        never.await;
        let mut others: Pin<Box<dyn hyper::rt::Sleep>> = Box::pin(Other);
        assert!(poll_immediate(&mut others).await.is_none());
        Timer.reset(&mut others, began);
        others.await;
    });
}
