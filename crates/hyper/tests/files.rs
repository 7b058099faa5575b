//! Files as bodies: whole, in parts, cut while they are sent, and for clients that go.

use std::cell::RefCell;
use std::error::Error;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Request, Response};
use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UnixStream};
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring::sync::CancellationToken;
use saferring_hyper::{Executor, FileBody, Http, IntoIo, ServeError, Serving, serve};
use saferring_tests::{bounded, pattern_bytes, until};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

/// A file of a test's own.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &[u8]) -> Self {
        let name = format!("saferring-hyper-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Temporary(path)
    }

    fn set_len(&self, len: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(&self.0);
        file.unwrap().set_len(len).unwrap();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Serves one connection with the file, and gives what became of it.
async fn serve_file(stream: UnixStream, path: PathBuf) -> Result<(), ServeError> {
    let service = service_fn(|request: Request<Incoming>| {
        let path = path.clone();
        async move {
            let file = File::open(path).await?;
            let body = match request.uri().query() {
                None => FileBody::new(&file).await?,
                Some(range) => {
                    let (start, end) = range.split_once('-').unwrap();
                    FileBody::range(&file, start.parse().unwrap()..end.parse().unwrap())
                }
            };
            io::Result::Ok(Response::new(body))
        }
    });
    Http::new()
        .serve_connection(stream, service, pending())
        .await
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

/// A client of HTTP/1 for a connection.
async fn client(stream: impl IntoIo) -> http1::SendRequest<Empty<Bytes>> {
    let (sender, connection) = http1::handshake(stream.into_io()).await.unwrap();
    spawn(async move { drop(connection.await) });
    sender
}

#[test]
fn files_of_all_sizes_are_sent_whole_and_in_parts() {
    run(async || {
        let all = pattern_bytes(0, 300_001);
        for len in [0, 1, 4_096, 65_536, 65_537, 131_072, all.len()] {
            let file = Temporary::new("sizes", &all[..len]);
            let (one, other) = UnixStream::pair().unwrap();
            let served = spawn(serve_file(other, file.0.clone()));
            let mut client = client(one).await;
            for (start, end) in [(0, len), (0, len / 2), (len / 3, len), (len, len)] {
                let uri = format!("/?{start}-{end}");
                let response = client.send_request(get(&uri)).await.unwrap();
                let told = response.headers()[CONTENT_LENGTH].to_str().unwrap();
                assert_eq!(told, (end - start).to_string());
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert!(body == all[start..end]);
            }
            let response = client.send_request(get("/")).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body == all[..len]);
            drop(client);
            served.await.unwrap().unwrap();
        }
    });
}

#[test]
fn http2_sends_several_at_once() {
    run(async || {
        let all = pattern_bytes(7, 500_000);
        let file = Temporary::new("http2", &all);
        let (one, other) = UnixStream::pair().unwrap();
        let served = spawn(serve_file(other, file.0.clone()));
        let handshake = http2::handshake(Executor, one.into_io()).await;
        let (client, connection) = handshake.unwrap();
        let connection = spawn(connection);
        let ask = |number: usize| {
            let (mut client, all) = (client.clone(), all.clone());
            spawn(async move {
                let uri = format!("http://files/?{}-{}", number * 1000, all.len());
                let response = client.send_request(get(&uri)).await.unwrap();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert!(body == all[number * 1000..]);
            })
        };
        for ask in (0..10).map(ask).collect::<Vec<_>>() {
            ask.await.unwrap();
        }
        drop(client);
        connection.await.unwrap().unwrap();
        served.await.unwrap().unwrap();
    });
}

/// The other side was promised more: it must not take what has come for all.
#[test]
fn a_file_that_is_cut_while_it_is_sent_ends_the_connection() {
    run(async || {
        let len = 30_000_000;
        let file = Temporary::new("cut", &vec![7; len]);
        let (one, other) = UnixStream::pair().unwrap();
        let served = spawn(serve_file(other, file.0.clone()));
        let response = client(one).await.send_request(get("/")).await.unwrap();
        file.set_len(1_000_000);
        let error = response.into_body().collect().await.unwrap_err();
        let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
        let error = served.await.unwrap().unwrap_err();
        let cause = error.source().unwrap().source().unwrap();
        let cause = cause.downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
        assert!(cause.to_string().contains("has become shorter"), "{cause}");
    });
}

#[test]
fn what_is_appended_meanwhile_is_not_sent_and_more_than_there_is_is_an_error() {
    run(async || {
        let file = Temporary::new("grows", &[1; 100_000]);
        let open = File::open(&file.0).await.unwrap();
        let body = FileBody::new(&open).await.unwrap();
        assert_eq!(body.size_hint().exact(), Some(100_000));
        file.set_len(200_000);
        assert_eq!(body.collect().await.unwrap().to_bytes(), [1; 100_000][..]);
        let mut more = FileBody::range(&open, 199_999..200_002);
        let first = more.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), [0][..]);
        let error = more.frame().await.unwrap().unwrap_err();
        assert!(
            error.to_string().contains("2 bytes of it are missing"),
            "{error}"
        );
        assert!(more.is_end_stream() && more.frame().await.is_none());
        let none = FileBody::range(&open, 5..5);
        assert!(none.is_end_stream() && none.collect().await.unwrap().to_bytes().is_empty());
        // A chunk outlives its body and its file.
        let mut body = FileBody::range(&open, 0..10);
        let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop((body, open));
        assert_eq!(chunk, [1; 10][..]);
    });
}

#[test]
fn a_client_that_goes_in_the_middle_leaves_nothing() {
    run(async || {
        let file = Temporary::new("gone", &vec![7; 30_000_000]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (path, failed) = (file.0.clone(), Rc::new(RefCell::new(Vec::new())));
        let (told, stop) = (Rc::clone(&failed), CancellationToken::new());
        let stopped = stop.clone();
        let server = spawn(async move {
            let make = |_: &TcpStream| {
                let path = path.clone();
                service_fn(move |_: Request<Incoming>| {
                    let path = path.clone();
                    async move {
                        let file = File::open(path).await?;
                        io::Result::Ok(Response::new(FileBody::new(&file).await?))
                    }
                })
            };
            let failed = |error| told.borrow_mut().push(error);
            serve(
                listener,
                Serving::default(),
                make,
                failed,
                stopped.cancelled(),
            )
            .await
        });
        for _ in 0..3 {
            let stream = TcpStream::connect(addr).await.unwrap();
            stream
                .write_all("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .0
                .unwrap();
            let (read, head) = stream.read(vec![0; 1000]).await;
            assert!(read.unwrap() > 0 && head.starts_with(b"HTTP/1.1 200"));
        }
        until("all have failed", || failed.borrow().len() == 3).await;
        stop.cancel();
        server.await.unwrap().unwrap();
    });
}
