//! Datagrams, of Unix and of UDP.

use std::io::ErrorKind;
use std::net::Shutdown;

use futures_util::future::poll_immediate;
use saferring::net::{UdpSocket, UnixDatagram};
use saferring::op::nop;
use saferring_tests::bounded;

use super::runtime;

struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("saferring-api-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn unix_datagrams_go_to_paths_and_keep_their_bounds() {
    bounded(|| {
        let dir = Dir::new("datagrams");
        let (a, b) = (dir.0.join("a"), dir.0.join("b"));
        runtime().block_on(async {
            let (one, two) = (
                UnixDatagram::bind(&a).unwrap(),
                UnixDatagram::bind(&b).unwrap(),
            );
            for data in ["first", "", "third"] {
                assert_eq!(one.send_to(data, &b).await.0.unwrap(), data.len());
                let (received, buf) = two.recv_from(vec![0; 16]).await;
                let (n, from) = received.unwrap();
                assert_eq!(&buf[..n], data.as_bytes());
                assert_eq!(from.unwrap().as_pathname(), Some(&*a));
            }
            // What does not fit is cut off, as in std.
            one.connect(&b).await.unwrap();
            one.send("too long").await.0.unwrap();
            one.send("next").await.0.unwrap();
            let (received, buf) = two.recv(vec![0; 3]).await;
            assert_eq!((received.unwrap(), &buf[..]), (3, &b"too"[..]));
            assert_eq!(two.recv(vec![0; 16]).await.1[..4], *b"next");

            let taken = UnixDatagram::bind(&a).unwrap_err();
            assert_eq!(taken.kind(), ErrorKind::AddrInUse);
            let sender = UnixDatagram::unbound().unwrap();
            let lost = sender.send_to("x", dir.0.join("none")).await;
            assert_eq!(lost.0.unwrap_err().kind(), ErrorKind::NotFound);
            assert_eq!(lost.1, "x");
            let unconnected = sender.send("x").await.0.unwrap_err();
            assert_eq!(unconnected.kind(), ErrorKind::NotConnected);
            drop(two);
            let refused = one.send("x").await.0.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            one.close().await.unwrap();
        });
    });
}

#[test]
fn unix_datagrams_end_by_shutdown_and_go_to_std_and_back() {
    bounded(|| {
        runtime().block_on(async {
            let (one, two) = UnixDatagram::pair().unwrap();
            one.send("last").await.0.unwrap();
            one.shutdown(Shutdown::Write).unwrap();
            let error = one.send("x").await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(two.recv(vec![0; 8]).await.1[..4], *b"last");
            two.shutdown(Shutdown::Read).unwrap();
            assert_eq!(two.recv(vec![0; 8]).await.0.unwrap(), 0);

            let (one, two) = UnixDatagram::pair().unwrap();
            let theirs = one.into_std().unwrap();
            theirs.set_nonblocking(true).unwrap();
            assert_eq!(
                theirs.recv(&mut [0; 8]).unwrap_err().kind(),
                ErrorKind::WouldBlock
            );
            let ours = UnixDatagram::from_std(theirs);
            let receive = ours.recv(vec![0; 8]).submit();
            assert_eq!(
                UnixDatagram::into_std(ours).unwrap_err().kind(),
                ErrorKind::ResourceBusy
            );
            two.send("x").await.0.unwrap();
            assert_eq!(receive.await.0.unwrap(), 1);
        });
    });
}

/// Looked at as often as one likes, and still there.
#[test]
fn a_datagram_that_is_peeked_at_stays() {
    bounded(|| {
        runtime().block_on(async {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (to, from) = (receiver.local_addr().unwrap(), sender.local_addr().unwrap());
            for data in ["one", "another"] {
                sender.send_to(data, to).await.0.unwrap();
            }
            for room in [2, 3, 16] {
                let (peeked, buf) = receiver.peek_from(vec![0; room]).await;
                let length = room.min(3);
                assert_eq!(peeked.unwrap(), (length, from));
                assert_eq!(buf[..length], b"one"[..length]);
            }
            for data in ["one", "another"] {
                let (received, buf) = receiver.recv_from(vec![0; 16]).await;
                assert_eq!(received.unwrap(), (data.len(), from));
                assert_eq!(&buf[..data.len()], data.as_bytes());
            }
        });
    });
}

#[test]
fn a_connected_udp_socket_hears_its_peer_alone() {
    bounded(|| {
        runtime().block_on(async {
            let (one, two) = (
                UdpSocket::bind("127.0.0.1:0").unwrap(),
                UdpSocket::bind("127.0.0.1:0").unwrap(),
            );
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            let at = one.local_addr().unwrap();
            one.connect(two.local_addr().unwrap()).await.unwrap();
            assert_eq!(one.peer_addr().unwrap(), two.local_addr().unwrap());
            other.send_to("not heard", at).await.0.unwrap();
            two.send_to("heard", at).await.0.unwrap();
            assert_eq!(one.recv(vec![0; 16]).await.1[..5], *b"heard");
            one.send("answer").await.0.unwrap();
            let (received, _) = two.recv_from(vec![0; 16]).await;
            assert_eq!(received.unwrap(), (6, at));
            let theirs = one.into_std().unwrap();
            assert_eq!(theirs.local_addr().unwrap(), at);
            UdpSocket::from_std(theirs).close().await.unwrap();
        });
    });
}

/// Also of a datagram that has come for a receive that was dropped, and of a sender with a name or without.
#[test]
fn a_unix_datagram_tells_how_long_it_was() {
    bounded(|| {
        let dir = Dir::new("long");
        runtime().block_on(async {
            let path = dir.0.join("receiver");
            let receiver = UnixDatagram::bind(&path).unwrap();
            let named = UnixDatagram::bind(dir.0.join("sender")).unwrap();
            let nameless = UnixDatagram::unbound().unwrap();
            for (sender, has_name) in [(&named, true), (&nameless, false)] {
                for dropped in [false, true] {
                    for (room, len) in [(3, 3), (8, 8), (20, 8)] {
                        let mut first = Box::pin(receiver.recv_meta(vec![0; 8]));
                        if dropped {
                            assert!(poll_immediate(&mut first).await.is_none());
                        }
                        sender.send_to("too much", &path).await.0.unwrap();
                        if dropped {
                            nop().await.unwrap();
                        }
                        drop(first);
                        let (meta, data) = receiver.recv_meta(vec![0; room]).await;
                        let meta = meta.unwrap();
                        assert_eq!((meta.len, meta.full_len), (len, 8));
                        assert_eq!(meta.is_cut(), room < 8);
                        assert_eq!(&data[..len], &b"too much"[..len]);
                        let from = meta.addr.as_ref().and_then(|from| from.as_pathname());
                        assert_eq!(from.is_some(), has_name, "{from:?}");
                    }
                }
            }
        });
    });
}

/// One that is too large is not sent, with a copy or without.
#[test]
fn a_datagram_that_is_too_large_is_refused_as_in_std() {
    bounded(|| {
        runtime().block_on(async {
            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = peer.local_addr().unwrap();
            ours.connect(address).await.unwrap();
            theirs.connect(address).unwrap();
            let std = theirs.send(&[0; 70_000]).unwrap_err();
            for threshold in [1, usize::MAX] {
                ours.set_zero_copy_threshold(threshold);
                let (sent, buf) = ours.send_zc(vec![7; 70_000]).await;
                let error = sent.unwrap_err();
                assert_eq!(error.raw_os_error(), std.raw_os_error(), "{error}");
                assert_eq!(buf.await, [7; 70_000]);
            }
            let (sent, buf) = ours.send_zc(*b"small").await;
            assert_eq!((sent.unwrap(), buf.await), (5, *b"small"));
            assert_eq!(peer.recv(&mut [0; 9]).unwrap(), 5);
        });
    });
}
