//! Options of sockets, as std sets and sees them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::Duration;

use saferring::net::{TcpListener, TcpStream, UdpSocket};
use saferring_tests::{bounded, skipped};
use socket2::SockRef;

use super::runtime;

/// std's view of the same socket.
fn std_tcp(stream: &TcpStream) -> std::net::TcpStream {
    stream.as_fd().try_clone_to_owned().unwrap().into()
}

fn std_udp(socket: &UdpSocket) -> std::net::UdpSocket {
    socket.as_fd().try_clone_to_owned().unwrap().into()
}

#[test]
fn of_tcp_streams() {
    bounded(|| {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let ours = TcpStream::connect(address).await.unwrap();
            let theirs = std_tcp(&ours);
            for nodelay in [true, false] {
                ours.set_nodelay(nodelay).unwrap();
                assert_eq!(theirs.nodelay().unwrap(), nodelay);
                theirs.set_nodelay(!nodelay).unwrap();
                assert_eq!(ours.nodelay().unwrap(), !nodelay);
            }
            for ttl in [1, 64, 255] {
                ours.set_ttl(ttl).unwrap();
                assert_eq!(theirs.ttl().unwrap(), ttl);
                assert_eq!(ours.ttl().unwrap(), ttl);
            }
            for ttl in [256, 1000] {
                let std = theirs.set_ttl(ttl).unwrap_err().kind();
                assert_eq!(ours.set_ttl(ttl).unwrap_err().kind(), std);
            }
            for linger in [None, Some(Duration::ZERO), Some(Duration::from_secs(7))] {
                ours.set_linger(linger).unwrap();
                assert_eq!(SockRef::from(&theirs).linger().unwrap(), linger);
                assert_eq!(ours.linger().unwrap(), linger);
            }
            ours.set_linger(None).unwrap();
            assert_eq!(ours.local_addr().unwrap(), theirs.local_addr().unwrap());
            assert_eq!(ours.peer_addr().unwrap(), address);
        });
    });
}

/// An error that came by itself is told once, by whoever asks first.
#[test]
fn a_pending_error_is_taken() {
    bounded(|| {
        runtime().block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let ours = TcpStream::connect(address).await.unwrap();
            assert!(ours.take_error().unwrap().is_none());
            let (peer, _) = listener.accept().unwrap();
            SockRef::from(&peer)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
            drop(peer);
            let error = ours.take_error().unwrap().unwrap();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            assert!(ours.take_error().unwrap().is_none());
        });
    });
}

#[test]
fn of_udp_sockets() {
    bounded(|| {
        runtime().block_on(async {
            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let theirs = std_udp(&ours);
            assert_eq!(ours.broadcast().unwrap(), theirs.broadcast().unwrap());
            for broadcast in [true, false] {
                ours.set_broadcast(broadcast).unwrap();
                assert_eq!(theirs.broadcast().unwrap(), broadcast);
                assert_eq!(ours.broadcast().unwrap(), broadcast);
            }
            // Without it, the kernel does not send to all.
            let port = ours.local_addr().unwrap().port();
            let everybody = (Ipv4Addr::BROADCAST, port);
            let std = theirs.send_to(b"x", everybody).unwrap_err().kind();
            let sent = ours.send_to("x", everybody).await.0;
            assert_eq!(sent.unwrap_err().kind(), std);
            for ttl in [1, 128] {
                ours.set_ttl(ttl).unwrap();
                assert_eq!(theirs.ttl().unwrap(), ttl);
                assert_eq!(ours.ttl().unwrap(), ttl);
            }
        });
    });
}

/// Whether the calls of ours answer as those of std do, on another socket.
#[test]
fn groups_are_joined_and_left_as_in_std() {
    bounded(|| {
        runtime().block_on(async {
            let group = Ipv4Addr::new(239, 255, 77, 1);
            let here = Ipv4Addr::LOCALHOST;
            let ours = UdpSocket::bind("0.0.0.0:0").unwrap();
            let theirs = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            for (group, join) in [
                (group, false),
                (group, true),
                (group, true),
                (group, false),
                (group, false),
                (Ipv4Addr::LOCALHOST, true),
            ] {
                let (own, std) = match join {
                    true => (
                        ours.join_multicast_v4(group, here),
                        theirs.join_multicast_v4(&group, &here),
                    ),
                    false => (
                        ours.leave_multicast_v4(group, here),
                        theirs.leave_multicast_v4(&group, &here),
                    ),
                };
                let std = std.map_err(|error| error.kind());
                assert_eq!(own.map_err(|error| error.kind()), std, "{group} {join}");
            }

            let (Ok(ours), Ok(theirs)) = (
                UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
                std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
            ) else {
                return; // There is no IPv6 here.
            };
            let group = "ff02::7777".parse().unwrap();
            for join in [false, true, true, false, false] {
                let (own, std) = match join {
                    true => (
                        ours.join_multicast_v6(&group, 1),
                        theirs.join_multicast_v6(&group, 1),
                    ),
                    false => (
                        ours.leave_multicast_v6(&group, 1),
                        theirs.leave_multicast_v6(&group, 1),
                    ),
                };
                let std = std.map_err(|error| error.kind());
                assert_eq!(own.map_err(|error| error.kind()), std, "{join}");
            }
        });
    });
}

/// A datagram to the group arrives while the socket is in it.
#[test]
fn who_has_joined_receives() {
    bounded(|| {
        runtime().block_on(async {
            let group = Ipv4Addr::new(239, 255, 77, 2);
            let receiver = UdpSocket::bind("0.0.0.0:0").unwrap();
            if receiver
                .join_multicast_v4(group, Ipv4Addr::LOCALHOST)
                .is_err()
            {
                return skipped("no multicast");
            }
            let port = receiver.local_addr().unwrap().port();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let out = SockRef::from(&sender).set_multicast_if_v4(&Ipv4Addr::LOCALHOST);
            if out.is_err() || sender.send_to("group", (group, port)).await.0.is_err() {
                return skipped("no route for multicast");
            }
            let (received, data) = receiver.recv_from(vec![0; 16]).await;
            let from = sender.local_addr().unwrap();
            assert_eq!(received.unwrap(), (5, from));
            assert_eq!(&data[..5], b"group");
            receiver
                .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
                .unwrap();
        });
    });
}
