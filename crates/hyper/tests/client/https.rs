//! TLS: certificates, versions by ALPN, and servers that do not keep to the rules.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, TcpListener as StdListener};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use saferring::net::{TcpListener, TcpStream};
use saferring_hyper::{Client, Http, HttpsConnector, MaybeHttps, client_builder, downcast};
use saferring_tests::{in_child, skipped};
use saferring_tls::rustls::pki_types::PrivateKeyDer;
use saferring_tls::rustls::{
    CertificateError, ClientConfig, Error as TlsError, RootCertStore, ServerConfig,
};
use saferring_tls::{OwnedReadHalf, OwnedWriteHalf, TlsAcceptor};

use crate::common::{
    Server, Text, asked, dropped_at_each_await, io_error, is_cut_off, post, run, text, told, uri,
};

/// Who signs all certificates here.
static AUTHORITY: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
});

/// For a server that offers these protocols, and proves to be these names.
fn acceptor(
    names: &[&str],
    protocols: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> Option<TlsAcceptor> {
    let names = names.iter().map(|&name| name.to_owned());
    let mut params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &AUTHORITY).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Some(TlsAcceptor::from(Arc::new(config)))
}

fn localhost(protocols: &[&str]) -> Option<TlsAcceptor> {
    acceptor(&["localhost"], protocols, |_| ())
}

const BOTH: &[&str] = &["h2", "http/1.1"];

fn connector() -> HttpsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(AUTHORITY.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    HttpsConnector::new(config)
}

fn client() -> Client<Text, HttpsConnector> {
    client_builder().build(connector())
}

/// The server by its name.
fn by_name(server: &Server) -> hyper::Uri {
    uri("https", format!("localhost:{}", server.addr.port()))
}

#[test]
fn both_sides_agree_upon_a_version() {
    run(async || {
        let client = client();
        for (protocols, version) in [
            (BOTH, Version::HTTP_2),
            (&["http/1.1"], Version::HTTP_11),
            (&[], Version::HTTP_11),
        ] {
            let server = Server::start(localhost(protocols));
            let uri = by_name(&server);
            let response = client.request(post(uri.clone(), "hello")).await.unwrap();
            assert_eq!(response.version(), version);
            assert_eq!(text(response).await, "hello");
            crate::common::settled().await;
            for body in ["again", "and again"] {
                asked(&client, &uri, body).await;
            }
            assert_eq!(server.accepted(), 1);
            server.end().await;
        }
        // The same client goes without TLS where it is told to.
        let server = Server::start(None);
        asked(&client, &server.uri("http"), "plain").await;
        drop(client);
        server.end().await;
    });
}

#[test]
fn a_client_of_http2_alone_offers_nothing_else() {
    run(async || {
        let mut roots = RootCertStore::empty();
        roots.add(AUTHORITY.der().clone()).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let client: Client<Text, _> = client_builder()
            .http2_only(true)
            .build(HttpsConnector::new(config));
        let server = Server::start(localhost(BOTH));
        asked(&client, &by_name(&server), "hello").await;
        server.end().await;
        let server = Server::start(localhost(&["http/1.1"]));
        let error = client
            .request(post(by_name(&server), ""))
            .await
            .unwrap_err();
        assert!(
            matches!(tls_error(&error), TlsError::AlertReceived(_)),
            "{}",
            told(&error)
        );
        drop(client);
        server.end().await;
    });
}

#[test]
fn addresses_are_proven_as_names_are() {
    run(async || {
        let names = ["localhost", "127.0.0.1", "::1"];
        let server = Server::start(acceptor(&names, BOTH, |_| ()));
        let client = client();
        asked(&client, &server.uri("https"), "an address of IPv4").await;
        asked(&client, &by_name(&server), "a name").await;
        server.end().await;
        if StdListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            return skipped("no IPv6");
        }
        let server = Server::on(
            (Ipv6Addr::LOCALHOST, 0).into(),
            acceptor(&names, BOTH, |_| ()),
        );
        let uri = server.uri("https");
        assert_eq!(uri.host(), Some("[::1]"));
        asked(&client, &uri, "an address of IPv6").await;
        drop(client);
        server.end().await;
    });
}

/// The error of rustls that one of the client's has inside.
#[track_caller]
fn tls_error(error: &hyper_util::client::legacy::Error) -> &TlsError {
    assert_eq!(io_error(error).kind(), ErrorKind::InvalidData);
    let inner = io_error(error).get_ref().unwrap();
    let found = inner.downcast_ref();
    found.unwrap_or_else(|| panic!("{}", told(error)))
}

/// What comes of a request to a server with this acceptor.
async fn refused(acceptor: Option<TlsAcceptor>, client: &Client<Text, HttpsConnector>) -> TlsError {
    let server = Server::start(acceptor);
    let error = client
        .request(post(by_name(&server), ""))
        .await
        .unwrap_err();
    // Who only prints the reasons sees it, too.
    let inner = tls_error(&error).clone();
    assert!(
        told(&error).contains(&inner.to_string()),
        "{}",
        told(&error)
    );
    server.end().await;
    inner
}

#[test]
fn a_certificate_must_be_right() {
    run(async || {
        let client = client();
        let other = acceptor(&["example.org"], BOTH, |_| ());
        assert!(matches!(
            refused(other, &client).await,
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        ));
        let expired = acceptor(&["localhost"], BOTH, |params| {
            params.not_after = date_time_ymd(2001, 1, 1);
        });
        assert!(matches!(
            refused(expired, &client).await,
            TlsError::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            )
        ));
        let trusts_nobody = ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let client = client_builder().build(HttpsConnector::new(trusts_nobody));
        assert!(matches!(
            refused(localhost(BOTH), &client).await,
            TlsError::InvalidCertificate(CertificateError::UnknownIssuer)
        ));
    });
}

#[test]
fn an_address_must_be_one() {
    run(async || {
        let client = client();
        for (uri, kind, why) in [
            (
                "ftp://localhost/",
                ErrorKind::Unsupported,
                "the scheme `ftp`",
            ),
            (
                "https://a..b/",
                ErrorKind::InvalidInput,
                "`a..b` is no name",
            ),
        ] {
            let request = post(uri.parse().unwrap(), "");
            let error = client.request(request).await.unwrap_err();
            assert_eq!(io_error(&error).kind(), kind);
            assert!(told(&error).contains(why), "{}", told(&error));
        }
    });
}

#[test]
fn a_handshake_without_an_end_is_bounded() {
    run(async || {
        // The kernel makes the connection; nobody says a word.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = uri("https", listener.local_addr().unwrap());
        let limit = Some(Duration::from_millis(30));
        let client: Client<Text, _> = client_builder().build(connector().connect_timeout(limit));
        let error = client.request(post(uri.clone(), "")).await.unwrap_err();
        assert_eq!(io_error(&error).kind(), ErrorKind::TimedOut);
        assert!(told(&error).contains("within 30ms"), "{}", told(&error));
        // One that goes away instead, one that speaks no TLS, and no bound at all.
        let client: Client<Text, _> = client_builder().build(connector().connect_timeout(None));
        drop(listener.accept().await.unwrap());
        for (answer, kind) in [
            ("", ErrorKind::UnexpectedEof),
            ("HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::InvalidData),
        ] {
            let served = async {
                let (stream, _) = listener.accept().await.unwrap();
                stream.read(vec![0; 5000]).await.0.unwrap();
                stream.write_all(answer).await.0.unwrap();
            };
            let asked = client.request(post(uri.clone(), ""));
            let ((), asked) = futures_util::join!(served, asked);
            assert_eq!(io_error(&asked.unwrap_err()).kind(), kind);
        }
    });
}

/// A body that begins and does not end.
async fn begins(_: Request<Incoming>) -> Result<Response<EndlessBody>, std::convert::Infallible> {
    Ok(Response::new(EndlessBody(Some("four"))))
}

struct EndlessBody(Option<&'static str>);

impl hyper::body::Body for EndlessBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(text) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(text.into())))),
            None => std::task::Poll::Pending,
        }
    }
}

#[test]
fn a_server_that_vanishes_in_a_body_is_told() {
    run(async || {
        let client = client();
        for protocols in [BOTH, &["http/1.1"]] {
            let acceptor = localhost(protocols).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let gone = saferring::sync::CancellationToken::new();
            let goes = gone.clone();
            let served = saferring::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(stream).await.unwrap().into_split();
                let http = Http::new();
                let served =
                    http.serve_connection(stream, service_fn(begins), std::future::pending());
                let _ = goes.run_until_cancelled(served).await;
            });
            let uri = uri("https", format!("localhost:{port}"));
            let response = client.request(post(uri, "")).await.unwrap();
            let mut body = response.into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "four");
            gone.cancel();
            served.await.unwrap();
            let error = body.frame().await.unwrap().unwrap_err();
            assert!(is_cut_off(&error), "{}", told(&error));
        }
    });
}

#[test]
fn an_upgraded_connection_is_a_stream_again() {
    run(async || {
        let acceptor = localhost(&["http/1.1"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = saferring::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap().into_split();
            let service = service_fn(|request: Request<Incoming>| async move {
                saferring::spawn(async move {
                    let upgraded = hyper::upgrade::on(request).await.unwrap();
                    type Halves = (OwnedReadHalf<TcpStream>, OwnedWriteHalf<TcpStream>);
                    let (stream, first) = downcast::<Halves>(upgraded).unwrap();
                    assert!(first.is_empty());
                    drop(stream);
                });
                let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
                response
                    .header(UPGRADE, "nothing")
                    .body(Empty::<Bytes>::new())
            });
            let http = Http::new();
            http.serve_connection(stream, service, std::future::pending())
                .await
                .unwrap();
        });
        let mut request = Request::get(uri("https", format!("localhost:{port}")))
            .header(UPGRADE, "nothing")
            .header(CONNECTION, "upgrade")
            .body(Full::default())
            .unwrap();
        *request.version_mut() = Version::HTTP_11;
        let response = client().request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let (stream, first) = downcast::<MaybeHttps>(upgraded).unwrap();
        assert!(matches!(stream, MaybeHttps::Https(_)) && first.is_empty());
        served.await.unwrap();
    });
}

#[test]
fn a_request_dropped_at_any_await_leaves_nothing() {
    in_child(
        "https::a_request_dropped_at_any_await_leaves_nothing",
        || {
            let runtime = saferring::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                for protocols in [BOTH, &["http/1.1"]] {
                    // No name: another thread would look it up, which has turns of its own.
                    let acceptor = acceptor(&["127.0.0.1"], protocols, |_| ());
                    let server = Server::start(acceptor);
                    let turns = dropped_at_each_await(client, &server.uri("https")).await;
                    assert!(turns > 5, "{turns}");
                    server.end().await;
                }
            });
        },
    );
}
