//! Both ends of a session, without a transport.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use saferring::buf::{IoBuf, IoBufMut};

use super::*;

/// Both ends of a connection, with no transport between: what one has to send is what the other has received.
fn pair() -> (Session, Session) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = vec![made.cert.der().clone()];
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let name = "localhost".try_into().unwrap();
    let client = UnbufferedClientConnection::new(Arc::new(client), name).unwrap();
    let server = UnbufferedServerConnection::new(Arc::new(server)).unwrap();
    (
        Session::new(Engine::Client(client)),
        Session::new(Engine::Server(server)),
    )
}

/// Gives one what the other has to send, and returns how much that was.
fn carry(from: &mut Session, to: &mut Session) -> usize {
    let mut carried = 0;
    while let Some(buf) = from.next_to_send().unwrap() {
        let mut room = to.lend().unwrap();
        let n = room.fill_from(&buf);
        to.took_in(Ok(n), room).unwrap();
        from.sent(Ok(n), buf).unwrap();
        carried += n;
        if to.handshake().unwrap() && !to.is_handshaking() {
            let _ = to.decrypt(|_| 0).unwrap();
        }
    }
    carried
}

fn connected() -> (Session, Session) {
    let (mut client, mut server) = pair();
    while !(client.handshake().unwrap() & server.handshake().unwrap()) {
        let carried = carry(&mut client, &mut server) + carry(&mut server, &mut client);
        assert_ne!(carried, 0, "both wait");
    }
    carry(&mut server, &mut client);
    (client, server)
}

fn take_all(session: &mut Session) -> Vec<u8> {
    let mut all = Vec::new();
    while let Decrypted::Taken(_) = session
        .decrypt(|bytes| {
            all.extend_from_slice(bytes);
            bytes.len()
        })
        .unwrap()
    {}
    all
}

#[test]
fn a_quiet_connection_holds_no_buffers() {
    let (mut client, mut server) = connected();
    assert_eq!(client.buffers.memory(), 0);
    assert_eq!(server.buffers.memory(), 0);
    let sent = vec![7; 150_000];
    let mut at = 0;
    let mut got = Vec::new();
    while at < sent.len() {
        at += client.write(&[sent.clone().slice(at..)]).unwrap();
        carry(&mut client, &mut server);
        got.extend(take_all(&mut server));
    }
    assert_eq!(got, sent);
    assert_eq!(client.buffers.memory(), 0);
    assert_eq!(server.buffers.memory(), 0);
}

#[test]
fn a_failed_transport_leaves_nothing_to_send() {
    let (mut client, _server) = connected();
    client.write(&["hello"]).unwrap();
    let buf = client.next_to_send().unwrap().unwrap();
    client.write(&["more"]).unwrap();
    let gone = io::Error::from(io::ErrorKind::ConnectionReset);
    let error = client.sent(Err(gone), buf).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(client.buffers.memory(), 0);
    let again = client.write(&["x"]).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::ConnectionReset);
    assert!(client.next_to_send().is_err());
}

#[test]
fn a_transport_that_takes_nothing_is_an_error_and_an_interrupted_one_goes_on() {
    let (mut client, mut server) = connected();
    client.write(&["hello"]).unwrap();
    let buf = client.next_to_send().unwrap().unwrap();
    let interrupted = io::Error::from(io::ErrorKind::Interrupted);
    client.sent(Err(interrupted), buf).unwrap();
    carry(&mut client, &mut server);
    assert_eq!(take_all(&mut server), b"hello");
    client.write(&["again"]).unwrap();
    let buf = client.next_to_send().unwrap().unwrap();
    let error = client.sent(Ok(0), buf).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn a_failure_is_told_to_who_writes_meanwhile() {
    let (mut client, mut server) = connected();
    let forged = b"\x17\x03\x03\x00\x20................................";
    let mut room = client.lend().unwrap();
    room.fill_from(forged);
    client.took_in(Ok(forged.len()), room).unwrap();
    assert!(client.decrypt(|_| 0).is_err());
    let alert = client.next_to_send().unwrap().unwrap();
    for error in [
        client.next_to_send().unwrap_err(),
        client.close().unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    client.sent(Ok(alert.len()), alert).unwrap();
    assert!(client.next_to_send().unwrap().is_none());
    server.write(&["into the void"]).unwrap();
    // A write that is dropped is told apart.
    let _dropped = server.next_to_send().unwrap();
    let error = server.next_to_send().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn what_is_taken_in_part_is_sent_on() {
    let (mut client, mut server) = connected();
    client.write(&("hel", "lo")).unwrap();
    while let Some(buf) = client.next_to_send().unwrap() {
        let mut room = server.lend().unwrap();
        room.fill_from(&buf[..1]);
        server.took_in(Ok(1), room).unwrap();
        client.sent(Ok(1), buf).unwrap();
    }
    assert_eq!(take_all(&mut server), b"hello");
}

/// By hand, as an adapter does it.
#[test]
fn slices_of_all_sizes_are_records_in_order() {
    let (mut client, mut server) = connected();
    for lens in [
        vec![],
        vec![0],
        vec![1],
        vec![1, 2, 3],
        vec![100, 16_384],
        vec![5_000, 3, 0, 5_000, 3],
        vec![70_000],
        vec![60_000, 60_000],
    ] {
        let parts: Vec<Vec<u8>> = lens.iter().map(|&len| vec![len as u8; len]).collect();
        let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        // Whatever the memory had in it.
        client.reuse(vec![9; 20_000]);
        let n = client.encrypt(&slices).unwrap();
        assert_eq!(n, lens.iter().sum::<usize>().min(WRITE_MAX));
        let records = client.take_records();
        assert_eq!(records.is_empty(), n == 0);
        // A byte at a time is enough, and so are all at once.
        let piece = if n < 1_000 { 1 } else { 40_000 };
        let mut came = Vec::new();
        for piece in records.chunks(piece) {
            server.received(piece).unwrap();
            came.extend(take_all(&mut server));
        }
        assert!(came == parts.concat()[..n], "{lens:?}");
        assert_eq!(server.buffers.memory() + client.buffers.memory(), 0);
    }
    // One that says it took more than there was has had what there was.
    client.encrypt(&[IoSlice::new(b"hello")]).unwrap();
    server.received(&client.take_records()).unwrap();
    assert_eq!(server.decrypt(|_| 2).unwrap(), Decrypted::Taken(2));
    assert_eq!(server.plain(), b"llo");
    assert_eq!(server.decrypt(|_| 99).unwrap(), Decrypted::Taken(3));
    assert_eq!(server.decrypt(|_| 99).unwrap(), Decrypted::Waits);
    // The end of the writing direction, in order; and an end without it.
    client.close().unwrap();
    client.close().unwrap();
    assert!(client.encrypt(&[IoSlice::new(b"more")]).is_err());
    server.received(&client.take_records()).unwrap();
    assert_eq!(server.decrypt(|_| 0).unwrap(), Decrypted::Ended);
    client.received(b"").unwrap();
    let error = client.decrypt(|_| 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_was_not_sent_ends_the_writing_and_what_is_no_record_the_reading() {
    let (mut client, mut server) = connected();
    client.encrypt(&[IoSlice::new(b"lost")]).unwrap();
    client.not_sent(&io::ErrorKind::BrokenPipe.into());
    assert!(client.take_records().is_empty());
    let error = client.encrypt(&[IoSlice::new(b"more")]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(format!("{client:?}").contains("TLSv1_3"));
    // A peer cannot have it hold as much as it likes.
    let endless = loop {
        // The start of a record, and never its end.
        if let Err(error) = server.received(&[0; 16_384]) {
            break error;
        }
    };
    assert_eq!(endless.kind(), io::ErrorKind::InvalidData);
}
