//! The service `saferring.Words` and its client, as tonic's generated code has them: written by hand, so that no `protoc` is needed.
//!
//! ```proto
//! package saferring;
//! message Text { string text = 1; }
//! message Length { uint64 bytes = 1; }
//! service Words {
//!   rpc Length(Text) returns (Length);             // of the file of this name
//!   rpc Shout(stream Text) returns (stream Text);  // each as soon as it has come
//! }
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::uri::PathAndQuery;
use axum::http::{self, Uri};
use futures_util::{Stream, TryStreamExt, stream};
use saferring_axum::local;
use saferring_hyper::{Client, HttpConnector, client_builder};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Length {
    #[prost(uint64, tag = "1")]
    pub(crate) bytes: u64,
}

const LENGTH: &str = "/saferring.Words/Length";
const SHOUT: &str = "/saferring.Words/Shout";

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Words;

async fn length(request: Request<Text>) -> Result<Response<Length>, Status> {
    // What is awaited in here is of this core.
    local(async move {
        let path = request.into_inner().text;
        match saferring::fs::metadata(&path).await {
            Ok(metadata) => Ok(Response::new(Length {
                bytes: metadata.len(),
            })),
            Err(error) => Err(Status::not_found(format!("{path}: {error}"))),
        }
    })
    .await
}

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

async fn shout(request: Request<Streaming<Text>>) -> Result<Response<Texts>, Status> {
    let texts = request.into_inner();
    let shouted = texts.and_then(|Text { text }| {
        local(async move {
            saferring::task::yield_now().await;
            match text.as_str() {
                "" => Err(Status::invalid_argument("there is nothing to shout")),
                text => Ok(Text {
                    text: text.to_uppercase(),
                }),
            }
        })
    });
    Ok(Response::new(Box::pin(shouted)))
}

impl NamedService for Words {
    const NAME: &'static str = "saferring.Words";
}

impl Service<http::Request<Body>> for Words {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                LENGTH => {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                    grpc.unary(tower::service_fn(length), request).await
                }
                SHOUT => {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                    grpc.streaming(tower::service_fn(shout), request).await
                }
                _ => Status::unimplemented("Words has no such method").into_http(),
            })
        })
    }
}

/// A client of the service.
#[derive(Debug)]
pub(crate) struct WordsClient(tonic::client::Grpc<Client<Body>>);

impl WordsClient {
    /// Connects to `http://…` when it is used.
    pub(crate) fn new(origin: Uri) -> Self {
        let client = client_builder()
            .http2_only(true)
            .build(HttpConnector::new());
        WordsClient(tonic::client::Grpc::with_origin(client, origin))
    }

    pub(crate) async fn length(&mut self, path: &str) -> Result<u64, Status> {
        self.ready().await?;
        let request = Request::new(Text { text: path.into() });
        let path = PathAndQuery::from_static(LENGTH);
        let response = self.0.unary(request, path, ProstCodec::default()).await?;
        let Length { bytes } = response.into_inner();
        Ok(bytes)
    }

    pub(crate) async fn shout(
        &mut self,
        texts: impl Stream<Item = Text> + Send + 'static,
    ) -> Result<Streaming<Text>, Status> {
        self.ready().await?;
        let (texts, path) = (Request::new(texts), PathAndQuery::from_static(SHOUT));
        let response = self.0.streaming(texts, path, ProstCodec::default()).await?;
        Ok(response.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))
    }
}

/// What is sent into a channel, as a stream.
pub(crate) fn sent(
    texts: saferring::sync::mpsc::Receiver<&'static str>,
) -> impl Stream<Item = Text> + Send {
    stream::unfold(texts, async |mut texts| {
        let text = texts.recv().await?;
        Some((Text { text: text.into() }, texts))
    })
}
