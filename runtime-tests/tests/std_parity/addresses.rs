//! Unix addresses, of all three kinds.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use saferring::fs::{self, File};
use saferring::net::{UnixDatagram, UnixListener, UnixStream};
use saferring_tests::bounded;

use super::{Scratch, pair, runtime};

/// Addresses of std compare by what they show.
fn same(ours: io::Result<SocketAddr>, theirs: io::Result<SocketAddr>) {
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(ours.is_unnamed(), theirs.is_unnamed());
    assert_eq!(ours.as_pathname(), theirs.as_pathname());
    assert_eq!(ours.as_abstract_name(), theirs.as_abstract_name());
}

#[test]
fn pairs_and_the_unbound_have_none() {
    bounded(|| {
        runtime().block_on(async {
            let (stream, peer) = pair();
            same(stream.local_addr(), peer.local_addr());
            same(stream.peer_addr(), peer.peer_addr());
            assert!(stream.local_addr().unwrap().is_unnamed());
            let theirs = std::os::unix::net::UnixDatagram::unbound().unwrap();
            let ours = UnixDatagram::unbound().unwrap();
            same(ours.local_addr(), theirs.local_addr());
            let (a, b) = UnixDatagram::pair().unwrap();
            a.send("x").await.0.unwrap();
            let (received, _) = b.recv_from(vec![0; 1]).await;
            let (n, from) = received.unwrap();
            assert_eq!(n, 1);
            assert!(from.is_none_or(|from| from.is_unnamed()));
            assert!(a.local_addr().unwrap().is_unnamed());
        });
    });
}

/// Who listens at a path or under a name has that address; who comes has none.
async fn accepts_as_std(theirs: std::os::unix::net::UnixListener) {
    let ours = UnixListener::from(theirs.try_clone().unwrap());
    let at = theirs.local_addr().unwrap();
    same(ours.local_addr(), theirs.local_addr());
    let connect = || std::os::unix::net::UnixStream::connect_addr(&at).unwrap();
    let first = connect();
    let (accepted, from) = ours.accept().await.unwrap();
    same(Ok(from), first.local_addr());
    same(accepted.peer_addr(), first.local_addr());
    same(accepted.local_addr(), first.peer_addr());
    let second = connect();
    let (accepted, from) = theirs.accept().unwrap();
    same(Ok(from), accepted.peer_addr());
    let second = UnixStream::from(second);
    same(second.peer_addr(), Ok(at));
    same(second.local_addr(), accepted.peer_addr());
}

#[test]
fn listeners_tell_their_own_and_their_clients() {
    bounded(|| {
        let dir = Scratch::new("listeners");
        runtime().block_on(async {
            let path = dir.path("at");
            let listener = UnixListener::bind(&path).unwrap();
            let at = listener.local_addr().unwrap();
            assert_eq!(at.as_pathname(), Some(&*path));
            let client = UnixStream::connect(&path).await.unwrap();
            same(client.peer_addr(), Ok(at));
            assert!(client.local_addr().unwrap().is_unnamed());
            let (accepted, from) = listener.accept().await.unwrap();
            assert!(from.is_unnamed());
            assert_eq!(accepted.local_addr().unwrap().as_pathname(), Some(&*path));
            accepts_as_std(listener.into_std().unwrap()).await;

            let name = format!("saferring-parity-{}\0with zero", std::process::id());
            let name = SocketAddr::from_abstract_name(name).unwrap();
            let listener = std::os::unix::net::UnixListener::bind_addr(&name).unwrap();
            accepts_as_std(listener).await;
        });
    });
}

/// A client that has bound itself is known by that, be it a path or a name.
#[test]
fn clients_with_an_address_are_known_by_it() {
    bounded(|| {
        let dir = Scratch::new("clients");
        let id = std::process::id();
        let own = [
            SocketAddr::from_pathname(dir.path("client")).unwrap(),
            SocketAddr::from_abstract_name(format!("saferring-client-{id}")).unwrap(),
        ];
        runtime().block_on(async {
            let path = dir.path("server");
            let server = UnixListener::bind(&path).unwrap();
            let datagrams = UnixDatagram::bind(dir.path("datagrams")).unwrap();
            for (n, own) in own.into_iter().enumerate() {
                // std has no stream that is bound and connects.
                let socket =
                    socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
                let socket = socket.unwrap();
                let address = match (own.as_pathname(), own.as_abstract_name()) {
                    (Some(path), _) => socket2::SockAddr::unix(path),
                    (_, Some(name)) => {
                        let name = [b"\0", name].concat();
                        let name = std::str::from_utf8(&name).unwrap();
                        socket2::SockAddr::unix(name)
                    }
                    _ => unreachable!("it has an address"),
                };
                socket.bind(&address.unwrap()).unwrap();
                let server_at = socket2::SockAddr::unix(&path).unwrap();
                socket.connect(&server_at).unwrap();
                let (accepted, from) = server.accept().await.unwrap();
                same(Ok(from), Ok(own.clone()));
                same(accepted.peer_addr(), Ok(own.clone()));
                drop((socket, accepted));

                drop(std::fs::remove_file(dir.path("client")));
                let sender = std::os::unix::net::UnixDatagram::bind_addr(&own).unwrap();
                for _ in 0..2 {
                    sender.send_to(b"x", dir.path("datagrams")).unwrap();
                }
                let (received, _) = datagrams.recv_from(vec![0; 8]).await;
                let (length, from) = received.unwrap();
                assert_eq!(length, 1, "{n}");
                same(Ok(from.unwrap()), Ok(own.clone()));
                let std = datagrams.std_clone();
                let (_, from) = std.recv_from(&mut [0; 8]).unwrap();
                same(Ok(from), Ok(own));
            }
        });
    });
}

trait StdClone {
    fn std_clone(&self) -> std::os::unix::net::UnixDatagram;
}

impl StdClone for UnixDatagram {
    fn std_clone(&self) -> std::os::unix::net::UnixDatagram {
        let fd = std::os::fd::AsFd::as_fd(self);
        fd.try_clone_to_owned().unwrap().into()
    }
}

#[test]
fn a_path_with_a_zero_is_refused_as_in_std() {
    bounded(|| {
        let path = "/tmp/a\0b";
        let std = std::os::unix::net::UnixListener::bind(path).unwrap_err();
        assert_eq!(std.kind(), io::ErrorKind::InvalidInput);
        let kind = std.kind();
        runtime().block_on(async {
            let sender = UnixDatagram::unbound().unwrap();
            let (sent, buf) = sender.send_to("kept", path).await;
            assert_eq!(buf, "kept");
            for error in [
                UnixListener::bind(path).map(drop),
                UnixDatagram::bind(path).map(drop),
                UnixStream::connect(path).await.map(drop),
                sender.connect(path).await,
                sent.map(drop),
                File::open(path).await.map(drop),
                File::create(path).await.map(drop),
                fs::metadata(path).await.map(drop),
                fs::symlink_metadata(path).await.map(drop),
                fs::rename(path, "x").await,
                fs::rename("x", path).await,
                fs::remove_file(path).await,
                fs::remove_dir(path).await,
                fs::create_dir(path).await,
                fs::create_dir_all(path).await,
                fs::copy(path, "x").await.map(drop),
                fs::read(path).await.map(drop),
                fs::write(path, "x").await.0,
            ] {
                assert_eq!(error.unwrap_err().kind(), kind);
            }
            let std = std::fs::exists(path).map_err(|error| error.kind());
            assert_eq!(fs::try_exists(path).await.map_err(|e| e.kind()), std);
        });
    });
}

/// Longer than a socket's address can be, and one that ends just there.
#[test]
fn the_longest_path_is_that_of_std() {
    bounded(|| {
        let dir = Scratch::new("long");
        let room = 107 - dir.path("").as_os_str().len();
        runtime().block_on(async {
            for length in [room, room + 1, room + 2, 300] {
                let path = dir.path(&"x".repeat(length));
                let std = std::os::unix::net::UnixListener::bind(&path);
                let std = std.map(drop).map_err(|error| error.kind());
                drop(std::fs::remove_file(&path));
                let ours = UnixListener::bind(&path);
                let known = ours.as_ref().map(|l| l.local_addr().unwrap());
                if let Ok(known) = known {
                    assert_eq!(known.as_pathname(), Some(&*path));
                }
                let ours = ours.map(drop).map_err(|error| error.kind());
                assert_eq!(ours, std, "{length}");
            }
            let empty = std::os::unix::net::UnixStream::connect("").map(drop);
            assert_eq!(
                UnixStream::connect("")
                    .await
                    .map(drop)
                    .map_err(|e| e.kind()),
                empty.map_err(|e| e.kind())
            );
        });
    });
}
