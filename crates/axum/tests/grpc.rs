//! gRPC by tonic: the service and the client of the example `grpc`.

#[path = "../examples/grpc/words.rs"]
mod words;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use axum::http::{Request, Response};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use saferring::net::TcpListener;
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring::sync::local::Notify;
use saferring::sync::{CancellationToken, mpsc};
use saferring::task::JoinHandle;
use saferring::time::timeout;
use saferring_axum::{Http, OnCore, Serving, serve};
use saferring_hyper::{HttpConnector, client_builder};
use saferring_tests::bounded;
use tonic::Code;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_prost::ProstCodec;

use words::{Text, Words, WordsClient, sent};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// The server, and what ends it once its calls have.
struct Server {
    origin: String,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        Server::of(Routes::new(Words))
    }

    fn of(routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = Serving {
            http: Http::new().http2_only(),
            ..Serving::default()
        };
        let server = serve(listener, routes.into_axum_router())
            .with(serving)
            .with_graceful_shutdown(async move { stopped.cancelled().await });
        Server {
            origin,
            stop,
            task: spawn(server.into_future()),
        }
    }

    fn client(&self) -> WordsClient {
        WordsClient::new(self.origin.parse().unwrap())
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

#[test]
fn a_call_is_answered_or_has_a_status() {
    run(async || {
        let server = Server::start();
        let mut client = server.client();
        let expected = std::fs::metadata("Cargo.toml").unwrap().len();
        assert_eq!(client.length("Cargo.toml").await.unwrap(), expected);
        let status = client.length("no such file").await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().starts_with("no such file: "), "{status:?}");
        // One that is larger than a window of HTTP/2 is no path.
        let status = client.length(&"x".repeat(1 << 20)).await.unwrap_err();
        assert_ne!(status.code(), Code::Ok);
        assert_eq!(client.length("Cargo.toml").await.unwrap(), expected);
        drop(client);
        server.end().await;
    });
}

#[test]
fn streams_go_both_ways_at_once() {
    run(async || {
        let server = Server::start();
        let mut client = server.client();
        let (say, said) = mpsc::channel(1);
        let mut answers = client.shout(sent(said)).await.unwrap();
        for (word, answer) in [("one", "ONE"), ("two", "TWO"), ("three", "THREE")] {
            say.send(word).await.unwrap();
            // It comes while the request goes on.
            assert_eq!(answers.message().await.unwrap().unwrap().text, answer);
        }
        // A call beside it, on the same connection.
        assert!(client.length("Cargo.toml").await.is_ok());
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);
        // More than the windows hold, by several at once.
        let many = (0..4).map(|_| {
            let texts = stream::iter(0..64).map(|_| Text {
                text: "y".repeat(20_000),
            });
            let mut client = server.client();
            async move {
                let answers = client.shout(texts).await.unwrap();
                answers
                    .map(|answer| answer.unwrap().text.len())
                    .fold(0, |sum, len| ready(sum + len))
                    .await
            }
        });
        assert_eq!(join_all(many).await, [64 * 20_000; 4]);
        drop((client, answers));
        server.end().await;
    });
}

#[test]
fn a_status_ends_a_stream_behind_what_was_answered() {
    run(async || {
        let server = Server::start();
        let mut client = server.client();
        let texts = ["one", "", "two"].map(|text| Text { text: text.into() });
        let mut answers = client.shout(stream::iter(texts)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "ONE");
        let status = answers.message().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "there is nothing to shout");
        drop((client, answers));
        server.end().await;
    });
}

#[test]
fn a_client_that_goes_ends_a_stream_and_no_other_call() {
    run(async || {
        let server = Server::start();
        let mut client = server.client();
        let (say, said) = mpsc::channel(1);
        let mut answers = client.shout(sent(said)).await.unwrap();
        say.send("one").await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "ONE");
        // The next answer is not waited for.
        say.send("two").await.unwrap();
        // Both directions: hyper goes on with a request whose answer nobody reads.
        drop((answers, say));
        assert!(client.length("Cargo.toml").await.is_ok());
        // It waits for its calls.
        server.end().await;
        let status = client.length("Cargo.toml").await.unwrap_err();
        assert!(
            [Code::Unknown, Code::Unavailable].contains(&status.code()),
            "{status:?}"
        );
    });
}

#[test]
fn a_client_may_bound_its_wait() {
    run(async || {
        let server = Server::start();
        let mut client = server.client();
        let (say, said) = mpsc::channel(1);
        let mut answers = client.shout(sent(said)).await.unwrap();
        let answer = timeout(Duration::from_millis(20), answers.message());
        assert!(answer.await.is_err());
        // Nothing is lost by that.
        say.send("one").await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "ONE");
        drop((answers, say, client));
        server.end().await;
    });
}

/// A service that does not answer.
#[derive(Clone)]
struct Stuck(OnCore<Calls>);

/// Its calls: that they have begun, and that they are dropped.
#[derive(Default)]
struct Calls {
    begun: Notify,
    dropped: Notify,
}

struct Call(OnCore<Calls>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

impl NamedService for Stuck {
    const NAME: &'static str = "saferring.Stuck";
}

impl tower::Service<Request<Body>> for Stuck {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let calls = self.0.clone();
        let stuck = tower::service_fn(move |_: tonic::Request<Text>| {
            let call = Call(calls.clone());
            async move {
                call.0.begun.notify_one();
                pending::<Result<tonic::Response<Text>, tonic::Status>>().await
            }
        });
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(stuck, request).await)
        })
    }
}

#[test]
fn a_call_that_is_dropped_is_dropped_by_the_server_too() {
    run(async || {
        let calls = OnCore::new(Calls::default());
        let server = Server::of(Routes::new(Stuck(calls.clone())).add_service(Words));
        let client = client_builder()
            .http2_only(true)
            .build(HttpConnector::new());
        let mut stuck = tonic::client::Grpc::with_origin(client, server.origin.parse().unwrap());
        let call = async {
            stuck.ready().await.unwrap();
            let (request, path) = (
                tonic::Request::new(Text::default()),
                PathAndQuery::from_static("/saferring.Stuck/Wait"),
            );
            let codec = ProstCodec::<Text, Text>::default();
            stuck.unary(request, path, codec).await
        };
        let mut call = Box::pin(call);
        {
            let mut begun = Box::pin(calls.begun.notified());
            let first = futures_util::future::select(&mut call, &mut begun).await;
            assert!(matches!(first, futures_util::future::Either::Right(_)));
        }
        drop(call);
        calls.dropped.notified().await;
        drop((stuck, calls));
        server.end().await;
    });
}
