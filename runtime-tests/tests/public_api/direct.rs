//! Direct descriptors: whose table they are in, and what is said when there is no place in it.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::catch_unwind;

use saferring::Feature;
use saferring::op::{RegisteredFd, Registry};
use saferring::runtime::in_flight;
use saferring_tests::{bounded, in_child, limit, skipped, until, uses};
use socket2::{Domain, Type};

use super::{panic_text, runtime};

/// The current table, if this kernel has one.
fn registry() -> Option<Registry> {
    match Registry::current() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            skipped(&error.to_string());
            None
        }
        registry => Some(registry.unwrap()),
    }
}

#[test]
fn a_registry_is_of_a_runtime_that_runs() {
    bounded(|| {
        let outside = catch_unwind(Registry::current).map(drop).unwrap_err();
        let text = panic_text(outside);
        assert!(
            text.contains("outside a saferring runtime") && text.contains("Runtime::block_on"),
            "{text}"
        );

        let ended = runtime().block_on(async { registry() });
        let Some(ended) = ended else { return };
        let file = std::fs::File::open("/dev/null").unwrap();
        let errors = [
            ended.register(&file).map(drop).unwrap_err(),
            ended
                .open("/dev/null", libc::O_RDONLY, 0)
                .map(drop)
                .unwrap_err(),
            ended
                .socket(Domain::UNIX, Type::STREAM, None)
                .map(drop)
                .unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
            assert!(error.to_string().contains("has ended"), "{error}");
        }
    });
}

/// The table is as large as the limit on descriptors allows.
#[test]
fn a_full_table_is_told_and_has_room_again() {
    in_child("direct::a_full_table_is_told_and_has_room_again", || {
        limit(libc::RLIMIT_NOFILE, 100);
        runtime().block_on(async {
            let Some(registry) = registry() else { return };
            let file = std::fs::File::open("/dev/null").unwrap();
            let mut all: Vec<RegisteredFd> = Vec::new();
            let error = loop {
                match registry.register(&file) {
                    Ok(one) => all.push(one),
                    Err(error) => break error,
                }
            };
            if !uses(Feature::RegisteredFiles) {
                // The table is in software: each costs a descriptor, and those are out before the table is full.
                assert!(all.len() >= 64, "{}", all.len());
                let open = registry.open("/dev/null", libc::O_RDONLY, 0).unwrap();
                let open = open.await.map(drop).unwrap_err();
                let errors = [error, open].map(|error| error.raw_os_error());
                assert_eq!(errors, [Some(libc::EMFILE); 2]);
                drop(all.swap_remove(10));
                let open = registry.open("/dev/null", libc::O_RDONLY, 0).unwrap();
                let again = open.await.unwrap();
                assert_eq!(again.read_at(vec![0; 8], 0).await.0.unwrap(), 0);
                return;
            }
            assert_eq!(all.len(), 64);
            let open = registry.open("/dev/null", libc::O_RDONLY, 0);
            let accept = all[0].accept();
            for error in [
                error,
                open.map(drop).unwrap_err(),
                accept.map(drop).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
                assert!(error.to_string().contains("is full"), "{error}");
            }
            drop(all.swap_remove(10));
            let open = registry.open("/dev/null", libc::O_RDONLY, 0).unwrap();
            let again = open.await.unwrap();
            assert_eq!(again.read_at(vec![0; 8], 0).await.0.unwrap(), 0);
        });
    });
}

/// A file that cannot be registered is not a full table.
#[test]
fn what_the_kernel_does_not_register_has_its_error() {
    bounded(|| {
        runtime().block_on(async {
            let Some(registry) = registry() else { return };
            let mut options = std::fs::OpenOptions::new();
            let path = options.read(true).custom_flags(libc::O_PATH);
            let path = path.open("/dev/null").unwrap();
            for _ in 0..3 {
                let error = registry.register(&path).map(drop).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{error}");
            }
            // Its place is free again.
            let file = std::fs::File::open("/dev/null").unwrap();
            let registered = registry.register(file.as_fd()).unwrap();
            assert_eq!(format!("{registered:?}"), "RegisteredFd(slot 0)");
        });
    });
}

/// A datagram that came for a dropped receive is one for the next, which takes what fits and loses the rest, as recv(2)
/// does.
#[test]
fn datagrams_keep_their_bounds() {
    bounded(|| {
        runtime().block_on(async {
            let Some(registry) = registry() else { return };
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.connect(socket.local_addr().unwrap()).unwrap();
            let registered = registry.register(&socket).unwrap();
            drop(socket);
            let receive = registered.recv(vec![0; 16]).submit();
            peer.send(b"much too long").unwrap();
            peer.send(b"two").unwrap();
            until("the datagram", || in_flight().is_empty()).await;
            drop(receive);
            let (received, bytes) = registered.recv(vec![0; 4]).await;
            assert_eq!((received.unwrap(), &bytes[..]), (4, &b"much"[..]));
            let (received, bytes) = registered.recv(vec![0; 4]).await;
            assert_eq!((received.unwrap(), &bytes[..]), (3, &b"two"[..]));
        });
    });
}
