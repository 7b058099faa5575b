//! Connections that are kept, and those that cannot be.

use std::future::ready;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::Version;
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::in_flight;
use saferring_hyper::{Client, HttpConnector, client, client_builder, connect_fn};
use saferring_tests::{in_child, until};
use socket2::{Domain, Socket, Type};

use crate::common::{
    Server, Text, asked, dropped_at_each_await, io_error, is_cut_off, post, quiet, run, settled,
    text, told, uri,
};

#[test]
fn requests_go_over_connections_that_are_kept() {
    run(async || {
        let server = Server::start(None);
        let client = client();
        for len in [0, 1, 5_000, 300_000] {
            let body = vec![b'x'; len];
            let request = post(server.uri("http"), body.clone());
            assert_eq!(text(client.request(request).await.unwrap()).await, body);
            settled().await;
            assert_eq!(server.accepted(), 1);
        }
        // So many at once need as many connections.
        let many = (0..8).map(|n| {
            let response = client.request(post(server.uri("http"), vec![b'y'; n]));
            async move { text(response.await.unwrap()).await.len() }
        });
        assert_eq!(join_all(many).await, (0..8).collect::<Vec<_>>());
        until("the connections", || server.accepted() == 8).await;
        settled().await;
        asked(&client, &server.uri("http"), "one of them").await;
        assert_eq!(server.accepted(), 8);
        drop(client);
        server.end().await;
    });
}

#[test]
fn a_connection_that_the_server_has_closed_is_replaced() {
    run(async || {
        let first = Server::start(None);
        let (client, addr, uri) = (client(), first.addr, first.uri("http"));
        asked(&client, &uri, "one").await;
        first.end().await;
        quiet("the end of the connection", 0).await;
        let refused = client.request(post(uri.clone(), "none")).await.unwrap_err();
        assert_eq!(io_error(&refused).kind(), ErrorKind::ConnectionRefused);
        let second = Server::on(addr, None);
        asked(&client, &uri, "two").await;
        assert_eq!(second.accepted(), 1);
        drop(client);
        second.end().await;
    });
}

#[test]
fn a_server_that_is_known_to_speak_http2_needs_no_tls() {
    run(async || {
        let server = Server::start(None);
        let client: Client<Text> = client_builder()
            .http2_only(true)
            .build(HttpConnector::default());
        let many = (0..8).map(|_| client.request(post(server.uri("http"), "all at once")));
        for response in join_all(many).await {
            let response = response.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            assert_eq!(text(response).await, "all at once");
        }
        assert_eq!(server.accepted(), 1);
        drop(client);
        server.end().await;
    });
}

/// Answers one request with this, and closes the connection.
async fn answer_once(listener: &TcpListener, answer: &'static str) {
    let (stream, _) = listener.accept().await.unwrap();
    stream.read(vec![0; 500]).await.0.unwrap();
    stream.write_all(answer).await.0.unwrap();
}

#[test]
fn a_server_that_vanishes_in_a_body_is_told() {
    run(async || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = uri("http", listener.local_addr().unwrap());
        let client = client();
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfour",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n",
        ] {
            let served = answer_once(&listener, answer);
            let asked = async {
                let response = client.request(post(uri.clone(), "")).await.unwrap();
                let error = response.into_body().collect().await.unwrap_err();
                assert!(is_cut_off(&error), "{}", told(&error));
            };
            futures_util::join!(served, asked);
        }
        // Nor is the connection kept.
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour";
        let response = client.request(post(uri, ""));
        let ((), response) = futures_util::join!(answer_once(&listener, whole), response);
        assert_eq!(text(response.unwrap()).await, "four");
    });
}

#[test]
fn a_client_tells_what_is_wrong() {
    run(async || {
        let client = client();
        let ask = async |uri: &str| {
            let request = post(uri.parse().unwrap(), "");
            client.request(request).await.unwrap_err()
        };
        let error = ask("/").await;
        assert!(told(&error).contains("AbsoluteUri"), "{}", told(&error));
        for (uri, why) in [
            ("https://localhost/", "takes an HttpsConnector"),
            ("ftp://localhost/", "the scheme `ftp` is not http"),
        ] {
            let error = ask(uri).await;
            let error = io_error(&error);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(why), "{error}");
        }
        // An answer that is none.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = uri("http", listener.local_addr().unwrap()).to_string();
        let (error, ()) =
            futures_util::join!(ask(&address), answer_once(&listener, "HELO\r\n\r\n"));
        assert!(!error.is_connect(), "{}", told(&error));
    });
}

#[test]
fn a_connection_without_an_end_is_bounded() {
    run(async || {
        // With room for one connection that nobody accepts: the kernel answers no other.
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&addr.into()).unwrap();
        socket.listen(0).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        let first = TcpStream::connect(addr).await.unwrap();
        let connector = HttpConnector::new().connect_timeout(Some(Duration::from_millis(30)));
        let client: Client<Text> = client_builder().build(connector);
        let error = client.request(post(uri("http", addr), "")).await;
        let error = error.unwrap_err();
        assert_eq!(io_error(&error).kind(), ErrorKind::TimedOut);
        assert!(told(&error).contains("within 30ms"), "{}", told(&error));
        drop((first, socket));
    });
}

#[test]
fn a_function_connects() {
    run(async || {
        let server = Server::start(None);
        let addr = server.addr;
        let client: Client<Text, _> =
            client_builder().build(connect_fn(async move |uri: hyper::Uri| match uri.host() {
                Some("alias") => TcpStream::connect(addr).await,
                _ => Err(ErrorKind::NotFound.into()),
            }));
        asked(&client, &uri("http", "alias"), "hello").await;
        let other = client.request(post(uri("http", "other"), "")).await;
        assert_eq!(io_error(&other.unwrap_err()).kind(), ErrorKind::NotFound);
        // One that is no async function.
        let client: Client<Text, _> = client_builder().build(connect_fn(|_| {
            ready(Err::<TcpStream, _>(ErrorKind::Other.into()))
        }));
        let other = client.request(post(uri("http", "other"), "")).await;
        assert_eq!(io_error(&other.unwrap_err()).kind(), ErrorKind::Other);
        server.end().await;
    });
}

#[test]
fn connections_without_requests_are_closed_in_time() {
    run(async || {
        let server = Server::start(None);
        settled().await;
        let before = in_flight().len();
        let client: Client<Text> = client_builder()
            .pool_idle_timeout(Duration::from_millis(10))
            .build(HttpConnector::new());
        asked(&client, &server.uri("http"), "hello").await;
        // By the timers of the runtime: nobody asks for it again.
        quiet("the end of the connection", before).await;
        asked(&client, &server.uri("http"), "again").await;
        assert_eq!(server.accepted(), 2);
        drop(client);
        server.end().await;
    });
}

#[test]
fn connections_are_closed_with_their_client() {
    run(async || {
        let server = Server::start(None);
        settled().await;
        let before = in_flight().len();
        let client = client();
        asked(&client, &server.uri("http"), "hello").await;
        assert!(in_flight().len() > before);
        drop(client);
        quiet("the end of the connection", before).await;
        server.end().await;
    });
}

#[test]
fn a_request_dropped_at_any_await_leaves_nothing() {
    in_child(
        "pool::a_request_dropped_at_any_await_leaves_nothing",
        || {
            let runtime = saferring::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let server = Server::start(None);
                let uri = server.uri("http");
                assert!(dropped_at_each_await(client, &uri).await > 3);
                let client = || {
                    client_builder()
                        .http2_only(true)
                        .build(HttpConnector::new())
                };
                assert!(dropped_at_each_await(client, &uri).await > 3);
                server.end().await;
            });
        },
    );
}
