//! Servers of HTTP, and peers that misbehave.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::connect::Connect;
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring::sync::{CancellationToken, local::Notify};
use saferring::task::JoinHandle;
use saferring_compat::Compat;
use saferring_hyper::{
    Client, Http, IntoIo, Io, ServeError, Serving, client, client_builder, connect_fn, downcast,
    serve,
};
use saferring_tests::bounded;

saferring_tests::also_on_software!();

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

fn answer(body: impl Into<Bytes>) -> Answer {
    Ok(Response::new(Full::new(body.into())))
}

/// Sends the body back.
async fn echo(request: Request<Incoming>) -> Answer {
    match request.into_body().collect().await {
        Ok(body) => answer(body.to_bytes()),
        Err(_) => answer("cut off"),
    }
}

/// A server of this core that echoes, and what stops it.
struct Server {
    addr: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
    failed: Rc<Cell<usize>>,
}

impl Server {
    fn start(serving: Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, failed) = (CancellationToken::new(), Rc::new(Cell::new(0)));
        let (stopped, counted) = (stop.clone(), Rc::clone(&failed));
        let task = spawn(async move {
            let make = |_: &TcpStream| service_fn(echo);
            let failed = move |_| counted.set(counted.get() + 1);
            serve(listener, serving, make, failed, stopped.cancelled()).await
        });
        Server {
            addr,
            stop,
            task,
            failed,
        }
    }

    async fn end(self) -> usize {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.failed.get()
    }

    fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.addr).parse().unwrap()
    }
}

fn post(uri: Uri, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::new(body.into())).unwrap()
}

async fn text(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// All that a connection answers to some bytes. `ends`: nothing comes behind them.
async fn raw(server: &Server, bytes: &[u8], part: usize, ends: bool) -> String {
    let stream = TcpStream::connect(server.addr).await.unwrap();
    for part in bytes.chunks(part) {
        if stream.write_all(part.to_vec()).await.0.is_err() {
            break;
        }
    }
    if ends {
        let _ = stream.shutdown(saferring::net::Shutdown::Write);
    }
    let mut reader = &stream;
    let (_, all) = saferring::io::AsyncReadExt::read_to_end(&mut reader, Vec::new()).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// A client of one connection, which is there already.
fn over<B>(io: Io<Compat<UnixStream>>) -> Client<B, impl Connect + Clone>
where
    B: Body + Send,
    B::Data: Send,
{
    let io = Cell::new(Some(io));
    let connect = connect_fn(move |_| {
        let io = io.take().ok_or(ErrorKind::ConnectionRefused.into());
        ready(io)
    });
    client_builder().build(connect)
}

#[test]
fn http2_shares_a_connection_and_ends_in_order() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let (stop, begun) = (CancellationToken::new(), Rc::new(Notify::new()));
        let (stopped, began) = (stop.clone(), Rc::clone(&begun));
        let task = spawn(async move {
            let count = Rc::new(Cell::new(0)); // not Send
            let service = service_fn(move |request: Request<Incoming>| {
                assert_eq!(request.version(), Version::HTTP_2);
                let (count, began) = (Rc::clone(&count), Rc::clone(&began));
                async move {
                    count.set(count.get() + 1);
                    if request.uri().path() == "/slow" {
                        began.notify_one();
                        saferring::time::sleep(Duration::from_millis(20)).await;
                    }
                    answer(count.get().to_string())
                }
            });
            Http::new()
                .serve_connection(other, service, stopped.cancelled())
                .await
        });
        let client = over(one.into_io().negotiated_h2());
        let uri = |path: &str| format!("https://example.org{path}").parse().unwrap();
        for n in ["1", "2", "3"] {
            let response = client.request(post(uri("/"), "")).await.unwrap();
            assert_eq!(text(response).await, n);
        }
        let slow = client.request(post(uri("/slow"), ""));
        let stops = async {
            begun.notified().await;
            stop.cancel();
        };
        let (slow, ()) = futures_util::future::join(slow, stops).await;
        assert_eq!(text(slow.unwrap()).await, "4");
        task.await.unwrap().unwrap();
        // The other side is gone, and there is no second one.
        let gone = client.request(post(uri("/"), "")).await.unwrap_err();
        assert!(gone.is_connect(), "{gone}");
    });
}

#[test]
fn a_request_may_come_in_any_parts() {
    run(async || {
        let server = Server::start(Serving::default());
        let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
            POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for part in [1, 2, 3, 7, 24, 1_000] {
            let all = raw(&server, request, part, false).await;
            assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 2, "{all}");
            assert!(all.contains("\r\n\r\nhelloHTTP"), "{all}");
            assert!(all.ends_with("\r\n\r\nabc"), "{all}");
        }
        assert_eq!(server.end().await, 0);
    });
}

#[test]
fn what_is_no_request_is_refused() {
    run(async || {
        let server = Server::start(Serving::default());
        let large = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(1 << 20)
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
        for (request, status) in [
            ("nonsense\r\n\r\n", "400"),
            ("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nhost a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "400"),
            (&large, "431"),
            (&many, "431"),
        ] {
            let all = raw(&server, request.as_bytes(), 1 << 16, true).await;
            // Of a head that is too large not all is read, and so the connection may be reset before the answer.
            let is_cut = request.len() > 100_000 && all.is_empty();
            assert!(
                is_cut || all.starts_with(&format!("HTTP/1.1 {status}")),
                "{all}"
            );
        }
        // Nothing, and the end in the middle.
        for part in [
            "",
            "GET / HT",
            "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nfour",
        ] {
            let all = raw(&server, part.as_bytes(), 100, true).await;
            assert!(!all.contains("200 OK") || all.contains("cut off"), "{all}");
        }
        // It still serves.
        let client = client();
        assert_eq!(
            text(client.request(post(server.uri("/"), "yes")).await.unwrap()).await,
            "yes"
        );
        drop(client);
        assert!(server.end().await >= 7);
    });
}

#[test]
fn who_sends_no_request_in_time_is_cut_off() {
    run(async || {
        let limit = Some(Duration::from_millis(30));
        for head in ["", "PRI * HTTP/2", "GET / HTTP/1.1\r\nhost:"] {
            let (one, other) = UnixStream::pair().unwrap();
            let http = Http::new().header_timeout(limit);
            let served = http.serve_connection(other, service_fn(echo), pending());
            one.write_all(head.as_bytes().to_vec()).await.0.unwrap();
            match served.await.unwrap_err() {
                ServeError::HeaderTimeout => assert!(!head.starts_with("GET")),
                ServeError::Http(error) => assert!(error.is_timeout(), "{error:?}"),
                error => panic!("{error:?}"),
            }
        }
    });
}

#[test]
fn who_has_not_begun_is_let_go_at_the_end() {
    run(async || {
        let server = Server::start(Serving::default());
        let idle = TcpStream::connect(server.addr).await.unwrap();
        let client = client();
        text(client.request(post(server.uri("/"), "")).await.unwrap()).await;
        assert_eq!(server.end().await, 0);
        assert_eq!(idle.read(vec![0; 1]).await.0.unwrap(), 0);
    });
}

#[test]
fn so_many_connections_are_served_at_a_time() {
    run(async || {
        let server = Server::start(Serving {
            connections: 2,
            ..Serving::default()
        });
        let first = [(); 2].map(|()| TcpStream::connect(server.addr));
        let first = join_all(first).await;
        let ask = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";
        for stream in &first {
            let stream = stream.as_ref().unwrap();
            stream.write_all(ask).await.0.unwrap();
            assert!(stream.read(vec![0; 500]).await.0.unwrap() > 0);
        }
        let third = TcpStream::connect(server.addr).await.unwrap();
        third.write_all(ask).await.0.unwrap();
        let mut read = Box::pin(third.read(vec![0; 500]));
        for _ in 0..50 {
            assert!(
                futures_util::future::poll_immediate(&mut read)
                    .await
                    .is_none()
            );
            let _ = saferring::op::nop().await;
        }
        drop(first);
        assert!(read.await.0.unwrap() > 0);
        drop(third);
        server.end().await;
    });
}

#[test]
fn an_upgraded_connection_is_a_stream_again() {
    run(async || {
        let (one, other) = UnixStream::pair().unwrap();
        let serves = spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async move {
                spawn(async move {
                    let upgraded = hyper::upgrade::on(request).await.unwrap();
                    let (stream, first) = downcast::<UnixStream>(upgraded).unwrap();
                    let (stream, left) = stream.into_inner().await.unwrap();
                    let mut all = first;
                    all.extend(left.iter().flat_map(|left| left.to_vec()));
                    while all.len() < 10 {
                        let (n, part) = stream.read(vec![0; 10]).await;
                        all.extend_from_slice(&part[..n.unwrap()]);
                    }
                    stream.write_all(all).await.0.unwrap();
                });
                let mut response = Response::new(Empty::<Bytes>::new());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response
                    .headers_mut()
                    .insert(UPGRADE, "echo".parse().unwrap());
                Ok::<_, Infallible>(response)
            });
            Http::new()
                .serve_connection(other, service, pending())
                .await
        });
        let client = over(one.into_io());
        let request = Request::builder()
            .method(Method::GET)
            .uri("http://example.org/")
            .header(UPGRADE, "echo")
            .header(CONNECTION, "upgrade")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let (stream, _) = downcast::<UnixStream>(upgraded).unwrap();
        let (stream, _) = stream.into_inner().await.unwrap();
        stream.write_all("0123456789").await.0.unwrap();
        let (_, back) = stream.read_exact(vec![0; 10]).await;
        assert_eq!(back, b"0123456789");
        serves.await.unwrap().unwrap();
    });
}
