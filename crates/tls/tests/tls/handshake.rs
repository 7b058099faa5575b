//! Handshakes that succeed, in pieces of any size, and those that fail: what each side is told.

use std::io::ErrorKind;
use std::sync::Arc;

use saferring::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use saferring::time::{Duration, timeout};
use saferring_tests::rounds;
use saferring_tls::rustls::client::Resumption;
use saferring_tls::rustls::{
    AlertDescription, CertificateError, Error, HandshakeKind, ProtocolVersion,
};
use saferring_tls::{TlsAcceptor, TlsConnector};

use crate::cancel::dropped_after;
use crate::common::*;

/// Says hello both ways.
async fn talk(
    client: &mut (impl AsyncRead + AsyncWriteExt),
    server: &mut (impl AsyncRead + AsyncWriteExt),
) {
    client.write_all("hello").await.0.unwrap();
    let (read, buf) = server.read_exact([0; 5]).await;
    read.unwrap();
    server.write_all(buf).await.0.unwrap();
    let (read, buf) = client.read_exact(Vec::with_capacity(5).slice_to(5)).await;
    read.unwrap();
    assert_eq!(&buf[..], b"hello");
}

trait SliceTo: saferring::buf::IoBuf + Sized {
    fn slice_to(self, end: usize) -> saferring::buf::Slice<Self> {
        self.slice(..end)
    }
}

impl SliceTo for Vec<u8> {}

#[test]
fn both_versions_work_over_loopback() {
    run(async || {
        for (version, expected) in [
            (&TLS12, ProtocolVersion::TLSv1_2),
            (&TLS13, ProtocolVersion::TLSv1_3),
        ] {
            let ends = ends(configs(&[version]));
            let (mut client, mut server) = connected_by(&ends, tcp_pair().await).await;
            talk(&mut client, &mut server).await;
            assert_eq!(client.protocol_version(), Some(expected));
            assert_eq!(server.protocol_version(), Some(expected));
            assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(
                client.negotiated_cipher_suite(),
                server.negotiated_cipher_suite()
            );
            assert_eq!(client.peer_certificates().unwrap().len(), 1);
            assert!(server.peer_certificates().is_none());
            assert_eq!(client.alpn_protocol(), None);
            assert!(client.state().negotiated_key_exchange_group().is_some());
            assert!(client.get_ref().peer_addr().is_ok());
            assert!(client.get_mut().set_nodelay(true).is_ok());
            assert!(format!("{client:?}").starts_with("TlsStream"));
            assert!(server.into_inner().local_addr().is_ok());
        }
    });
}

#[test]
fn a_byte_at_a_time_is_enough() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let ends = ends(configs(&[version]));
            let (client, server) = pair();
            let pair = (Narrow::new(1, client), Narrow::new(1, server));
            let (mut client, mut server) = connected_by(&ends, pair).await;
            talk(&mut client, &mut server).await;
        }
    });
}

/// The first read ends at each byte of what the other side sends, and so do those of any length.
#[test]
fn every_cut_of_the_handshake_is_fine() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let (mut client, server) = configs(&[version]);
            client.resumption = Resumption::disabled();
            let ends = ends((client, server));
            for first in 1..rounds(1200) {
                let (client, server) = pair();
                let cut = |inner| Narrow {
                    inner,
                    first,
                    most: 1 << 20,
                };
                let pair = (cut(client), cut(server));
                let (mut client, mut server) = connected_by(&ends, pair).await;
                talk(&mut client, &mut server).await;
            }
            for most in [2, 3, 5, 7, 64, 255, 256] {
                let (client, server) = pair();
                let pair = (Narrow::new(most, client), Narrow::new(most, server));
                let (mut client, mut server) = connected_by(&ends, pair).await;
                talk(&mut client, &mut server).await;
            }
        }
    });
}

#[test]
fn a_protocol_is_agreed_on() {
    run(async || {
        let (mut client, mut server) = configs(BOTH);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let agreed = ends((client.clone(), server.clone()));
        let (one, other) = connected_by(&agreed, pair()).await;
        assert_eq!(one.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(other.alpn_protocol(), Some(&b"http/1.1"[..]));

        server.alpn_protocols = vec![b"gopher".to_vec()];
        let (client, server) = both(&ends((client, server)), pair()).await;
        let told = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        assert_eq!(tls_error(&client.unwrap_err()), &told);
        assert_eq!(
            tls_error(&server.unwrap_err()),
            &Error::NoApplicationProtocol
        );
    });
}

#[test]
fn sessions_are_resumed() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let ends = ends(configs(&[version]));
            let mut kinds = Vec::new();
            for _ in 0..3 {
                let (mut client, mut server) = connected_by(&ends, pair()).await;
                talk(&mut client, &mut server).await; // With TLS 1.3 the tickets come before this.
                assert_eq!(client.handshake_kind(), server.handshake_kind());
                kinds.push(client.handshake_kind());
            }
            let (full, resumed) = (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed));
            assert_eq!(kinds, [full, resumed, resumed]);
        }
    });
}

#[test]
fn early_data_is_left_out() {
    run(async || {
        let (mut client, mut server) = configs(&[&TLS13]);
        client.enable_early_data = true;
        server.max_early_data_size = 1000;
        let ends = ends((client, server));
        assert_eq!(ends.1.config().max_early_data_size, 0);
        assert!(ends.0.config().enable_early_data);
        for _ in 0..2 {
            let (mut client, mut server) = connected_by(&ends, pair()).await;
            talk(&mut client, &mut server).await;
        }
    });
}

#[test]
fn clients_show_certificates() {
    run(async || {
        let (client, server) = configs(BOTH);
        let server = wants_clients(server);
        let (chain, key) = certificate("client", |_| ());
        let known = saferring_tls::rustls::ClientConfig::builder()
            .with_root_certificates(roots())
            .with_client_auth_cert(chain.clone(), key)
            .unwrap();
        let (_client, shown) = connected_by(&ends((known, server.clone())), pair()).await;
        assert_eq!(shown.peer_certificates(), Some(&chain[..]));

        // With TLS 1.3 the client is done first, and told by its first read.
        let (client, server) = both(&ends((client, server)), pair()).await;
        assert_eq!(
            tls_error(&server.unwrap_err()),
            &Error::NoCertificatesPresented
        );
        let (read, _) = client.unwrap().read([0; 10]).await;
        let told = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(tls_error(&read.unwrap_err()), &told);
    });
}

#[test]
fn a_certificate_that_is_no_good_is_refused() {
    run(async || {
        for version in [&TLS12, &TLS13] {
            let (client, _) = configs(&[version]);
            let server = |(chain, key)| {
                saferring_tls::rustls::ServerConfig::builder_with_protocol_versions(&[version])
                    .with_no_client_auth()
                    .with_single_cert(chain, key)
                    .unwrap()
            };
            let pairs = [
                (server(expired()), AlertDescription::CertificateExpired),
                (
                    server(certificate("elsewhere", |_| ())),
                    AlertDescription::BadCertificate,
                ),
            ];
            for (server, alert) in pairs {
                let (client, server) = both(&ends((client.clone(), server)), pair()).await;
                let error = client.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
                let Error::InvalidCertificate(why) = tls_error(&error) else {
                    panic!("{error:?}")
                };
                match alert {
                    AlertDescription::CertificateExpired => {
                        assert!(matches!(why, CertificateError::ExpiredContext { .. }));
                    }
                    _ => assert!(matches!(
                        why,
                        CertificateError::NotValidForNameContext { .. }
                    )),
                }
                let told = server.unwrap_err();
                assert_eq!(tls_error(&told), &Error::AlertReceived(alert));
            }
        }
    });
}

#[test]
fn versions_that_differ_are_told() {
    run(async || {
        let (client, _) = configs(&[&TLS12]);
        let (_, server) = configs(&[&TLS13]);
        let (client, server) = both(&ends((client, server)), pair()).await;
        let told = Error::AlertReceived(AlertDescription::ProtocolVersion);
        assert_eq!(tls_error(&client.unwrap_err()), &told);
        assert!(matches!(
            tls_error(&server.unwrap_err()),
            Error::PeerIncompatible(_)
        ));
    });
}

#[test]
fn what_is_no_hello_is_answered_by_an_alert() {
    run(async || {
        let (_, acceptor) = ends(configs(BOTH));
        // rustls has no alert for a message that is too long.
        for (garbage, alert_len) in [
            ("GET / HTTP/1.1\r\n\r\n", 7),
            ("\x16\x03\x01\x00\x05hello", 0),
            ("\x16\x03\x01\x00\x05\x02\0\0\x01!", 7),
            ("\0\0\0\0\0\0\0", 7),
        ] {
            let (client, server) = pair();
            client.write_all(garbage).await.0.unwrap();
            let error = acceptor.accept(server).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
            tls_error(&error);
            let (read, answer) = rest(&mut &client).await;
            read.unwrap();
            assert_eq!(answer.len(), alert_len, "{garbage:?}: {answer:?}");
            assert!(answer.is_empty() || answer[0] == 21);
        }
    });
}

#[test]
fn an_end_in_the_middle_of_the_handshake_is_told() {
    run(async || {
        let (connector, acceptor) = ends(configs(BOTH));
        let (client, server) = pair();
        drop(client);
        let error = acceptor.accept(server).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("during the TLS handshake"));

        let (client, server) = pair();
        let end = async {
            server.read(vec![0; 1000]).await.0.unwrap();
            server.write_all("\x16\x03\x03").await.0.unwrap();
            drop(server);
        };
        let (error, ()) = futures_util::join!(connector.connect(localhost(), client), end);
        assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_slow_handshake_is_bounded_by_a_timeout() {
    run(async || {
        let (connector, acceptor) = ends(configs(BOTH));
        let (client, server) = pair();
        let bound = Duration::from_millis(20);
        assert!(timeout(bound, acceptor.accept(server)).await.is_err());
        // It is gone, with its stream.
        assert_eq!(client.read([0; 1]).await.0.unwrap(), 0);

        let (client, server) = pair();
        let connecting = connector.connect(localhost(), client);
        assert!(timeout(bound, connecting).await.is_err());
        let (read, hello) = rest(&mut &server).await;
        read.unwrap();
        assert_eq!(hello[0], 22);
    });
}

/// Either side gives up after each number of polls: the other hears of an end, and a handshake that both have made is one.
#[test]
fn a_handshake_may_be_dropped_after_any_poll() {
    run(async || {
        let (connector, acceptor) = ends(configs(BOTH));
        for clients in [false, true] {
            let mut polls = 0;
            loop {
                let (client, server) = tcp_pair().await;
                let connects = connector.connect(localhost(), client);
                let accepts = acceptor.accept(server);
                let (dropped, other) = match clients {
                    true => futures_util::join!(dropped_after(polls, connects), accepts),
                    false => futures_util::join!(dropped_after(polls, accepts), connects),
                };
                match (dropped, other) {
                    (Some(dropped), other) => {
                        let (mut one, mut other) = (dropped.unwrap(), other.unwrap());
                        one.write_all("made").await.0.unwrap();
                        assert_eq!(other.read_exact([0; 4]).await.1, *b"made");
                        break;
                    }
                    // The last word of a handshake may be the other side's.
                    (None, Ok(mut other)) => {
                        let (read, _) = other.read(vec![0; 8]).await;
                        read.unwrap_err();
                    }
                    (None, Err(error)) => {
                        let kinds = [
                            ErrorKind::UnexpectedEof,
                            ErrorKind::ConnectionReset,
                            ErrorKind::BrokenPipe,
                        ];
                        assert!(kinds.contains(&error.kind()), "{error:?}");
                    }
                }
                polls += 1;
            }
            assert!(polls > 2, "{polls}");
        }
    });
}

#[test]
fn ends_can_be_shared() {
    run(async || {
        let (client, server) = configs(BOTH);
        let (client, server) = (Arc::new(client), Arc::new(server));
        let ends = (
            TlsConnector::from(Arc::clone(&client)),
            TlsAcceptor::from(Arc::clone(&server)),
        );
        let clones = ends.clone();
        connected_by(&clones, pair()).await;
        assert!(Arc::ptr_eq(clones.0.config(), &client));
        assert!(Arc::ptr_eq(clones.1.config(), &server));
        assert!(format!("{ends:?}").contains("TlsAcceptor"));
    });
}
