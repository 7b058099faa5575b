//! Names and addresses: what they come to, and what is said of those that come to nothing.

use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::net::{
    Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs as StdAddrs,
};
use std::os::fd::OwnedFd;
use std::path::Path;

use saferring::fs::{self, PathError};
use saferring::net::{
    AddrError, TcpListener, TcpStream, ToSocketAddrs, UdpSocket, UnixDatagram, UnixStream,
    lookup_host,
};
use saferring_tests::bounded;

use super::{Scratch, pair, runtime};

/// The same addresses, or an error of the same kind, as from std.
async fn same(host: impl ToSocketAddrs + StdAddrs + Debug + Clone) {
    let theirs = StdAddrs::to_socket_addrs(&host).map(Vec::from_iter);
    let ours = lookup_host(host.clone()).await.map(Vec::from_iter);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{host:?}"),
        (ours, theirs) => assert_eq!(
            ours.map_err(|error| error.kind()),
            theirs.map_err(|error| error.kind()),
            "{host:?}"
        ),
    }
}

#[test]
fn every_form_comes_to_what_it_does_in_std() {
    bounded(|| {
        runtime().block_on(async {
            let v4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7);
            let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 8, 0, 0);
            same(v4).await;
            same(v6).await;
            same(SocketAddr::from(v6)).await;
            same((Ipv4Addr::LOCALHOST, 1)).await;
            same((Ipv6Addr::LOCALHOST, 2)).await;
            same((SocketAddr::from(v4).ip(), 3)).await;
            same(&[SocketAddr::from(v4), SocketAddr::from(v6)][..]).await;
            same("127.0.0.1:80").await;
            same("[::1]:80").await;
            same("localhost:80").await;
            same("localhost:80".to_owned()).await;
            same(&"localhost:80".to_owned()).await;
            same(("127.0.0.1", 80)).await;
            same(("::1", 80)).await;
            same(("localhost", 80)).await;
            // No addresses at all.
            for text in [
                "localhost",
                "localhost:http",
                "localhost:99999",
                "127.0.0.1",
                "",
            ] {
                same(text).await;
            }
            // A name with a zero, and one that is longer than any.
            same("zero\0inside:80").await;
            same(("zero\0inside", 80)).await;
            same(("x".repeat(300).as_str(), 80)).await;
        });
    });
}

/// A name that cannot be resolved is named.
#[test]
fn errors_say_which_name_it_was() {
    bounded(|| {
        runtime().block_on(async {
            let name = "zero\0inside";
            let error = lookup_host((name, 80)).await.map(drop).unwrap_err();
            let begin = format!("cannot resolve {name:?}: ");
            assert!(error.to_string().starts_with(&begin), "{error}");
            let error = TcpListener::bind("localhost").unwrap_err();
            assert!(
                error.to_string().contains("\"localhost\" is no address"),
                "{error}"
            );
        });
    });
}

/// The system's error inside of one that says more.
fn inner(error: &io::Error) -> Option<i32> {
    let source = error.get_ref()?.source()?;
    source.downcast_ref::<io::Error>()?.raw_os_error()
}

/// Where the caller gave one address, the error is the system's own. Otherwise it says which address it is about.
#[test]
fn errors_say_which_address_it_was() {
    bounded(|| {
        runtime().block_on(async {
            let addresses = [1, 2].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let refused = Some(libc::ECONNREFUSED);
            let error = TcpStream::connect(addresses[0]).await.unwrap_err();
            assert_eq!(error.raw_os_error(), refused);
            let error = TcpStream::connect(&addresses[..]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert_eq!(inner(&error), refused);
            let address = error.get_ref().unwrap().downcast_ref::<AddrError>();
            assert_eq!(address.unwrap().addr(), addresses[1]);
            let text = error.to_string();
            assert!(text.starts_with("127.0.0.1:2: "), "{text}");
            assert!(text.ends_with("(addresses tried: 2)"), "{text}");

            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = taken.local_addr().unwrap();
            let error = TcpListener::bind(address).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
            let error = TcpListener::bind(("localhost", address.port())).err();
            let text = error.map(|error| error.to_string());
            assert!(text.is_none_or(|text| text.contains(&format!(":{}: ", address.port()))));
        });
    });
}

/// As for addresses: of several paths, or where the error is not the system's.
#[test]
fn errors_say_which_path_it_was() {
    bounded(|| {
        let dir = Scratch::new("named");
        let (file, missing) = (dir.file("file", b"\xff"), dir.path("missing"));
        runtime().block_on(async {
            let error = fs::remove_file(&missing).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
            let error = fs::create_dir_all(&file).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EEXIST));

            let names = |error: io::Error, kind, path: &Path| {
                assert_eq!(error.kind(), kind, "{error}");
                let named = error.get_ref().unwrap().downcast_ref::<PathError>();
                assert_eq!(named.unwrap().path(), path);
                let begin = format!("{}: ", path.display());
                assert!(error.to_string().starts_with(&begin), "{error}");
                inner(&error)
            };
            let error = fs::copy(&missing, &file).await.unwrap_err();
            assert_eq!(
                names(error, ErrorKind::NotFound, &missing),
                Some(libc::ENOENT)
            );
            let error = fs::copy(&file, missing.join("x")).await.unwrap_err();
            names(error, ErrorKind::NotFound, &missing.join("x"));
            let error = fs::copy(&file, &file).await.unwrap_err();
            names(error, ErrorKind::InvalidInput, &file);
            let error = fs::read_to_string(&file).await.unwrap_err();
            names(error, ErrorKind::InvalidData, &file);
            // Not the directory that was asked for, but one on the way.
            let link = dir.path("link");
            std::os::unix::fs::symlink(&missing, &link).unwrap();
            let error = fs::create_dir_all(link.join("a")).await.unwrap_err();
            let number = names(error, ErrorKind::AlreadyExists, &link);
            assert_eq!(number, Some(libc::EEXIST));
        });
    });
}

#[track_caller]
fn same_kind<A, B>(ours: io::Result<A>, theirs: io::Result<B>) {
    let ours = ours.map(drop).unwrap_err();
    let theirs = theirs.map(drop).unwrap_err();
    assert_eq!(ours.kind(), theirs.kind(), "{ours}; {theirs}");
}

#[test]
fn of_several_addresses_the_first_that_works_is_taken() {
    bounded(|| {
        runtime().block_on(async {
            let none: &[SocketAddr] = &[];
            let closed = {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                listener.local_addr().unwrap()
            };
            let listener = TcpListener::bind("localhost:0").unwrap();
            let open = listener.local_addr().unwrap();
            assert!(open.ip().is_loopback());
            let both = [closed, open];
            let stream = TcpStream::connect(&both[..]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open);
            let refused = [closed, closed];
            same_kind(
                TcpStream::connect(&refused[..]).await,
                std::net::TcpStream::connect(&refused[..]),
            );
            same_kind(
                TcpStream::connect(none).await,
                std::net::TcpStream::connect(none),
            );
            // The address of another machine cannot be bound to.
            let foreign = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
            let bound = TcpListener::bind(&[foreign, "127.0.0.1:0".parse().unwrap()][..]).unwrap();
            assert!(bound.local_addr().unwrap().ip().is_loopback());
            same_kind(
                TcpListener::bind(foreign),
                std::net::TcpListener::bind(foreign),
            );
            same_kind(TcpListener::bind(none), std::net::TcpListener::bind(none));
        });
    });
}

#[test]
fn datagrams_go_to_names() {
    bounded(|| {
        runtime().block_on(async {
            let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
            let theirs = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = theirs.local_addr().unwrap();
            let mut buf = [0; 8];
            // As text, by name and as one of a list.
            assert_eq!(ours.send_to("1", address.to_string()).await.0.unwrap(), 1);
            let list = [address, ours.local_addr().unwrap()];
            assert_eq!(ours.send_to("22", &list[..]).await.0.unwrap(), 2);
            assert_eq!(ours.send_to("333", &address).await.0.unwrap(), 3);
            for len in 1..=3 {
                assert_eq!(theirs.recv(&mut buf).unwrap(), len);
            }
            let none: &[SocketAddr] = &[];
            let (sent, buf) = ours.send_to("back", none).await;
            same_kind(sent, theirs.send_to(b"back", none));
            assert_eq!(buf, "back");
            let (sent, buf) = ours.send_to("back", "zero\0:1").await;
            same_kind(sent, theirs.send_to(b"back", "zero\0:1"));
            assert_eq!(buf, "back");
        });
    });
}

/// A descriptor is taken for what its type says. That it is something else shows when it is used.
#[test]
fn sockets_of_another_family_are_told_as_in_std() {
    bounded(|| {
        runtime().block_on(async {
            let tcp = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let ours = UnixStream::from(OwnedFd::from(tcp()));
            let theirs = std::os::unix::net::UnixStream::from(OwnedFd::from(tcp()));
            same_kind(ours.local_addr(), theirs.local_addr());
            let ours = TcpStream::from(OwnedFd::from(pair().1));
            let theirs = std::net::TcpStream::from(OwnedFd::from(pair().1));
            same_kind(ours.local_addr(), theirs.local_addr());

            // A datagram of the Unix family has no sender that UDP knows.
            let ends = || std::os::unix::net::UnixDatagram::pair().unwrap();
            let ((ours, peer), (theirs, other_peer)) = (ends(), ends());
            let ours = UdpSocket::from(OwnedFd::from(ours));
            let theirs = std::net::UdpSocket::from(OwnedFd::from(theirs));
            peer.send(b"x").unwrap();
            other_peer.send(b"x").unwrap();
            same_kind(
                ours.recv_from([0; 1]).await.0,
                theirs.recv_from(&mut [0; 1]),
            );

            // A name that std and we make for the test alone: nobody else uses the abstract one.
            use std::os::linux::net::SocketAddrExt;
            let name = format!("saferring-names-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
            let unix = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
            let theirs = std::net::TcpListener::from(OwnedFd::from(unix.try_clone().unwrap()));
            let ours = TcpListener::from(OwnedFd::from(unix));
            let _clients =
                [0, 1].map(|_| std::os::unix::net::UnixStream::connect_addr(&address).unwrap());
            same_kind(ours.accept().await, theirs.accept());
        });
    });
}

/// Each type takes std's over, and gives it back if nothing is in flight.
#[test]
fn sockets_come_from_std_and_go_back() {
    bounded(|| {
        runtime().block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let listener = TcpListener::from(listener);
            let client = TcpStream::from(std::net::TcpStream::connect(address).unwrap());
            assert_eq!(
                listener.accept().await.unwrap().1,
                client.local_addr().unwrap()
            );
            assert_eq!(listener.into_std().unwrap().local_addr().unwrap(), address);
            let read = client.read([0; 1]).submit();
            let busy = client.into_std().unwrap_err();
            assert_eq!(busy.kind(), ErrorKind::ResourceBusy, "{busy}");
            drop(read);

            let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = udp.local_addr().unwrap();
            let udp = UdpSocket::from(udp);
            assert_eq!(udp.into_std().unwrap().local_addr().unwrap(), address);
            let (a, b) = std::os::unix::net::UnixDatagram::pair().unwrap();
            let a = UnixDatagram::from(a);
            a.send("x").await.0.unwrap();
            assert_eq!(b.recv(&mut [0; 2]).unwrap(), 1);
            a.into_std().unwrap().send(b"yz").unwrap();
            assert_eq!(b.recv(&mut [0; 2]).unwrap(), 2);

            let (reader, writer) = std::io::pipe().unwrap();
            let file = saferring::fs::File::from(std::fs::File::from(OwnedFd::from(reader)));
            let read = file.read_at([0; 1], 0).submit();
            let busy = file.into_std().unwrap_err();
            assert_eq!(busy.kind(), ErrorKind::ResourceBusy, "{busy}");
            drop((read, writer));
        });
    });
}
