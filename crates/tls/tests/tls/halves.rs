//! The two halves of a stream, in tasks of their own.

use saferring::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use saferring::spawn;
use saferring_tests::{pattern_bytes, poll_once};
use saferring_tls::rustls::{AlertDescription, Error};

use crate::common::*;

#[test]
fn halves_work_in_tasks_of_their_own() {
    run(async || {
        let (client, server) = connected().await;
        let (mut reader, mut writer) = server.into_split();
        let echo = spawn(async move {
            saferring::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let (mut reader, mut writer) = client.into_split();
        let sent = pattern_bytes(0, 500_000);
        let expected = sent.clone();
        let writing = spawn(async move {
            writer.write_all(sent).await.0.unwrap();
            writer.flush().await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let (end, all) = rest(&mut reader).await;
        end.unwrap();
        assert_eq!(all, expected);
        writing.await.unwrap();
        echo.await.unwrap();
    });
}

#[test]
fn a_reader_that_waits_does_not_hold_the_writer_up() {
    run(async || {
        let (client, mut server) = connected().await;
        let (mut reader, mut writer) = client.into_split();
        let mut reading = Box::pin(reader.read([0; 5]));
        assert!(poll_once(&mut reading).await.is_none());
        writer.write_all("first").await.0.unwrap();
        let (read, first) = server.read_exact([0; 5]).await;
        read.unwrap();
        server.write_all(first).await.0.unwrap();
        let (read, first) = reading.await;
        assert_eq!((read.unwrap(), &first), (5, b"first"));
    });
}

#[test]
fn halves_become_whole_again_with_all_that_was_looked_at() {
    run(async || {
        let (client, mut server) = connected().await;
        server.write_all("hello").await.0.unwrap();
        let (mut reader, writer) = client.into_split();
        assert_eq!(reader.fill_buf().await.unwrap(), b"hello");
        reader.consume(1);
        assert_eq!(reader.fill_buf().await.unwrap(), b"ello");
        assert!(std::ptr::eq(reader.get_ref(), writer.get_ref()));
        assert!(
            reader
                .with_state(|state| state.protocol_version())
                .is_some()
        );
        assert!(format!("{reader:?} {writer:?}").contains("OwnedWriteHalf"));

        let (others, other) = connected().await.0.into_split();
        let error = others.reunite(writer).unwrap_err();
        assert!(error.to_string().contains("not from the same stream"));
        drop(other);
        let mut client = reader.reunite(error.1).unwrap();
        let (read, buf) = client.read(Vec::with_capacity(1)).await;
        assert_eq!(buf.len(), read.unwrap());
        let left = 4 - buf.len();
        let (read, _) = client.read_exact(vec![0; left]).await;
        read.unwrap();
        client.write_all("bye").await.0.unwrap();
        assert_eq!(server.read_exact([0; 3]).await.1, *b"bye");
    });
}

#[test]
fn what_was_looked_at_is_read_first() {
    run(async || {
        let (client, mut server) = connected().await;
        let (mut reader, _writer) = client.into_split();
        server.write_all("abc").await.0.unwrap();
        server.write_all("def").await.0.unwrap();
        assert_eq!(reader.fill_buf().await.unwrap(), b"abc");
        assert!(reader.read(Vec::new()).await.0.is_err());
        assert_eq!(reader.read_exact([0; 6]).await.1, *b"abcdef");
    });
}

#[test]
fn a_reader_that_finds_a_fault_tells_the_peer_and_the_writer() {
    run(async || {
        let (client, mut server) = connected().await;
        let (mut reader, mut writer) = client.into_split();
        let forged = "\x17\x03\x03\x00\x20................................";
        server.get_ref().write_all(forged).await.0.unwrap();
        let error = reader.read([0; 1]).await.0.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);
        let error = writer.write("x").await.0.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);
        let told = Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(tls_error(&server.read([0; 1]).await.0.unwrap_err()), &told);
    });
}

/// While the writer waits for the transport, the alert is left to it.
#[test]
fn an_alert_waits_for_a_write_that_is_on_its_way() {
    run(async || {
        let (client, mut server) = connected().await;
        let (mut reader, mut writer) = client.into_split();
        let sent = vec![7; 3_000_000];
        let mut writing = Box::pin(writer.write_all(sent));
        for _ in 0..1000 {
            assert!(poll_once(&mut writing).await.is_none());
            saferring::op::nop().await.unwrap();
        }
        let forged = "\x17\x03\x03\x00\x20................................";
        server.get_ref().write_all(forged).await.0.unwrap();
        let error = reader.read([0; 1]).await.0.unwrap_err();
        assert_eq!(tls_error(&error), &Error::DecryptError);
        let reading = rest(&mut server);
        let ((written, _), (read, got)) = futures_util::join!(writing, reading);
        assert_eq!(tls_error(&written.unwrap_err()), &Error::DecryptError);
        assert!(!got.is_empty() && got.iter().all(|&byte| byte == 7));
        let told = Error::AlertReceived(AlertDescription::BadRecordMac);
        assert_eq!(tls_error(&read.unwrap_err()), &told);
    });
}
