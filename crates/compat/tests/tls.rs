//! TLS under the traits of others: much both ways, bytes that were read ahead, ends, faults, and what TLS answers by itself.

use std::io;
use std::sync::Arc;

use futures_util::future::join;
use saferring::net::{TcpListener, TcpStream};
use saferring::runtime::Runtime;
use saferring::spawn;
use saferring_compat::CompatTls;
use saferring_tests::{bounded, pattern_bytes};
use saferring_tls::rustls::pki_types::PrivateKeyDer;
use saferring_tls::rustls::version::{TLS12, TLS13};
use saferring_tls::rustls::{ClientConfig, Error, RootCertStore, ServerConfig};
use saferring_tls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

saferring_tests::also_on_software!();

fn run(test: impl AsyncFnOnce() + Send + 'static) {
    bounded(|| Runtime::new().unwrap().block_on(test()));
}

async fn connected(is_new: bool) -> (TlsStream<TcpStream>, TlsStream<TcpStream>) {
    let versions = [if is_new { &TLS13 } else { &TLS12 }];
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_protocol_versions(&versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_protocol_versions(&versions)
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap());
    let (stream, accepted) = join(stream, listener.accept()).await;
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (client, server) = join(
        connector.connect("localhost".try_into().unwrap(), stream.unwrap()),
        acceptor.accept(accepted.unwrap().0),
    )
    .await;
    (client.unwrap(), server.unwrap())
}

#[test]
fn much_goes_both_ways_whatever_the_sizes() {
    run(async || {
        for is_new in [false, true] {
            let (client, server) = connected(is_new).await;
            let (mut client, server) = (CompatTls::new(client), CompatTls::new(server));
            let echo = spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(server);
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            for len in [1, 100, 4_096, 16_384, 16_385, 65_536, 65_537, 1_000_000] {
                let sent = pattern_bytes(len as u64, len);
                let mut came = vec![0; len];
                let (mut reader, mut writer) = tokio::io::split(&mut client);
                let writes = async {
                    writer.write_all(&sent).await.unwrap();
                    writer.flush().await.unwrap();
                };
                let (_, read) = join(writes, reader.read_exact(&mut came)).await;
                read.unwrap();
                assert!(came == sent, "{len}");
            }
            client.shutdown().await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0);
            echo.await.unwrap();
        }
    });
}

#[test]
fn the_stream_comes_back_with_what_was_not_read() {
    run(async || {
        let (client, server) = connected(true).await;
        let (mut client, mut server) = (CompatTls::new(client), CompatTls::new(server));
        assert!(client.session().protocol_version().is_some());
        assert!(client.get_ref().peer_addr().is_ok());
        assert!(format!("{client:?}").contains("TLSv1_3"));
        client.write_all(&pattern_bytes(0, 100_000)).await.unwrap();
        client.flush().await.unwrap();
        let mut first = vec![0; 10];
        server.read_exact(&mut first).await.unwrap();
        let mut server = server.into_inner().await.unwrap();
        let (read, rest) =
            saferring::io::AsyncReadExt::read_exact(&mut server, vec![0; 99_990]).await;
        read.unwrap();
        assert!([first, rest].concat() == pattern_bytes(0, 100_000));
        // And on.
        let mut client = client.into_inner().await.unwrap();
        saferring::io::AsyncWriteExt::write_all(&mut client, "on")
            .await
            .0
            .unwrap();
        let mut server = CompatTls::new(server);
        let mut on = [0; 2];
        server.read_exact(&mut on).await.unwrap();
        assert_eq!(&on, b"on");
    });
}

fn tls_error(error: &io::Error) -> &Error {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[test]
fn ends_and_faults_are_told() {
    run(async || {
        // An end without close_notify is none.
        let (client, server) = connected(true).await;
        let mut client = CompatTls::new(client);
        drop(server);
        let error = client.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        // What was forged is refused, and the forger told; later calls say the same.
        let (client, server) = connected(true).await;
        let mut server = CompatTls::new(server);
        let forged = "\x17\x03\x03\x00\x20................................";
        client.get_ref().write_all(forged).await.0.unwrap();
        let error = server.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);
        let error = server.write(b"more").await.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);
        let mut client = CompatTls::new(client);
        let error = client.read(&mut [0; 4]).await.unwrap_err();
        assert!(
            matches!(tls_error(&error), Error::AlertReceived(_)),
            "{error}"
        );

        // A transport that takes nothing more.
        let (client, server) = connected(true).await;
        drop(server);
        let mut client = CompatTls::new(client);
        let error = loop {
            if let Err(error) = client.write_all(&[7; 10_000]).await {
                break error;
            }
        };
        let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        assert!(client.write_all(b"x").await.is_err());
        assert!(client.shutdown().await.is_err());
    });
}

/// A read or write that is dropped has not happened, or has, and nothing is garbled.
#[test]
fn impatience_loses_nothing() {
    run(async || {
        let (client, server) = connected(true).await;
        let (mut client, mut server) = (CompatTls::new(client), CompatTls::new(server));
        let sends = spawn(async move {
            for number in 0..200_u64 {
                let part = pattern_bytes(number * 1_000, 1_000);
                client.write_all(&part).await.unwrap();
                if number % 3 == 0 {
                    // Dropped in the middle of a flush.
                    let _ = saferring_tests::poll_once(&mut Box::pin(client.flush())).await;
                }
            }
            client.shutdown().await.unwrap();
        });
        let mut all = Vec::new();
        let mut part = [0; 700];
        loop {
            let polled = saferring_tests::poll_once(&mut Box::pin(server.read(&mut part))).await;
            match polled {
                None => saferring::op::nop().await.unwrap(),
                Some(read) => match read.unwrap() {
                    0 => break,
                    n => all.extend_from_slice(&part[..n]),
                },
            }
        }
        assert!(all == pattern_bytes(0, 200_000));
        sends.await.unwrap();
    });
}
