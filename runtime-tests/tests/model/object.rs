//! Descriptors, and what the model knows about them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use saferring::fs::File;
use saferring::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use saferring::op::RegisteredFd;
use saferring_tests::fd_link;
use socket2::{Domain, Socket, Type};

use super::bytes::{Input, Output};
use super::handle::Home;

/// Our end.
#[derive(Clone)]
pub(crate) enum Ours {
    Unix(Rc<UnixStream>),
    Tcp(Rc<TcpStream>),
    Direct(Rc<RegisteredFd>),
    Udp(Rc<UdpSocket>),
    UnixListener(Rc<UnixListener>),
    TcpListener(Rc<TcpListener>),
    File(Rc<File>),
    DirectFile(Rc<RegisteredFd>),
    /// A file that is still to be opened.
    Opening,
    Gone,
}

/// A datagram that was sent to us.
pub(crate) struct Datagram {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: SocketAddr,
    pub(crate) received: bool,
}

/// Places of a file that are written to: after its first bytes, which never change.
pub(crate) const FILE_BASE: usize = 256;
pub(crate) const FILE_PLACE: usize = 64;
pub(crate) const FILE_PLACES: usize = 16;
pub(crate) const FILE_LEN: usize = FILE_BASE + FILE_PLACE * FILE_PLACES;

/// A place of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) begun: bool,
    /// The step at which the write had ended.
    pub(crate) sure: Option<usize>,
}

pub(crate) struct Object {
    pub(crate) ours: Ours,
    pub(crate) raw: RawFd,
    pub(crate) is_udp: bool,
    pub(crate) link: Option<String>,
    pub(crate) peers: Vec<Socket>,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) datagrams: Vec<Datagram>,
    /// Connections to a listener: number, and other end; none once it was accepted.
    pub(crate) connections: Vec<Option<Socket>>,
    /// The address to connect to, or to send to.
    pub(crate) addr: Option<socket2::SockAddr>,
    pub(crate) places: Vec<Place>,
    /// The contents of a file that is only read.
    pub(crate) contents: Option<Vec<u8>>,
    /// The runtimes that it was used in.
    pub(crate) homes: Vec<Home>,
    /// It was closed, or is being closed.
    pub(crate) closed: bool,
    /// Who reads, or writes, may never end: one was forgotten, or is with a runtime that is gone.
    pub(crate) readers_stuck: bool,
    pub(crate) writers_stuck: bool,
    /// The kernel has something of it that no runtime hears of any more.
    pub(crate) kernel_stuck: bool,
    /// Its descriptor may stay open: by what was forgotten.
    pub(crate) may_stay: bool,
    /// Something may have been written since the connection was reset, and may have been told so.
    pub(crate) wrote_after_reset: bool,
    /// An accept was dropped.
    pub(crate) lost_acceptor: bool,
}

impl Object {
    pub(crate) fn new(ours: Ours, raw: RawFd, number: usize) -> Self {
        Object {
            is_udp: matches!(ours, Ours::Udp(_)),
            ours,
            raw,
            link: fd_link(raw),
            peers: Vec::new(),
            input: Input::new(number),
            output: Output::default(),
            datagrams: Vec::new(),
            connections: Vec::new(),
            addr: None,
            places: Vec::new(),
            contents: None,
            homes: Vec::new(),
            closed: false,
            readers_stuck: false,
            writers_stuck: false,
            kernel_stuck: false,
            may_stay: false,
            wrote_after_reset: false,
            lost_acceptor: false,
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.ours, Ours::Unix(_) | Ours::Tcp(_) | Ours::Direct(_))
    }

    /// Only a ring knows it, or knew it.
    pub(crate) fn is_direct(&self) -> bool {
        self.raw < 0
    }

    /// How many datagrams, or connections, wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        let datagrams = self.datagrams.iter().filter(|datagram| !datagram.received);
        datagrams.count() + self.connections.iter().flatten().count()
    }

    /// Takes what the peer has received so far.
    pub(crate) fn drain_peer(&mut self) {
        let mut chunk = [0; 65536];
        for peer in &self.peers {
            loop {
                match io::Read::read(&mut &*peer, &mut chunk) {
                    Ok(0) => break,
                    Ok(n) => self.output.received.extend_from_slice(&chunk[..n]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        self.output.cut = true;
                        break;
                    }
                }
            }
        }
    }
}

/// A Unix or TCP connection: ours, and the other end, which does not block.
pub(crate) fn connected(tcp: bool) -> (OwnedFd, Socket) {
    let (ours, peer) = if tcp {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (
            OwnedFd::from(listener.accept().unwrap().0),
            Socket::from(peer),
        )
    } else {
        let (ours, peer) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
        (ours.into(), peer)
    };
    peer.set_nonblocking(true).unwrap();
    if tcp {
        // Else the second write would wait for the first's acknowledgement.
        peer.set_tcp_nodelay(true).unwrap();
        socket2::SockRef::from(&ours).set_tcp_nodelay(true).unwrap();
    }
    (ours, peer)
}

/// A listener, and where it listens.
pub(crate) fn listener(tcp: bool) -> (OwnedFd, socket2::SockAddr) {
    let listener = if tcp {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let addr: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&addr.into()).unwrap();
        listener
    } else {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        // The kernel chooses a name without a file.
        // SAFETY: a family alone is a Unix address, which the kernel completes with a free name.
        let ((), unnamed) = unsafe {
            socket2::SockAddr::try_init(|storage, len| {
                let family: *mut libc::sockaddr_un = storage.cast();
                (*family).sun_family = libc::AF_UNIX as libc::sa_family_t;
                *len = size_of::<libc::sa_family_t>() as libc::socklen_t;
                Ok(())
            })
        }
        .unwrap();
        listener.bind(&unnamed).unwrap();
        listener
    };
    listener.listen(64).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener.into(), addr)
}

/// Connects to a listener, and tells a number.
pub(crate) fn connect(addr: &socket2::SockAddr, number: u32) -> Socket {
    let peer = Socket::new(addr.domain(), Type::STREAM, None).unwrap();
    peer.connect(addr).unwrap();
    let sent = io::Write::write(&mut &peer, &number.to_le_bytes()).unwrap();
    assert_eq!(sent, 4);
    peer.set_nonblocking(true).unwrap();
    peer
}

/// The number that whoever has connected has told.
pub(crate) fn connection_number(accepted: &Socket) -> io::Result<u32> {
    accepted.set_nonblocking(false)?;
    accepted.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut number = [0; 4];
    io::Read::read_exact(&mut &*accepted, &mut number)?;
    accepted.set_read_timeout(None)?;
    Ok(u32::from_le_bytes(number))
}

/// What stands in a file before anything is written.
pub(crate) fn file_contents() -> Vec<u8> {
    let mut bytes = saferring_tests::pattern_bytes(0, FILE_BASE);
    bytes.resize(FILE_LEN, 0);
    bytes
}

/// What is written to a place of a file.
pub(crate) fn place_bytes(place: usize) -> Vec<u8> {
    let bytes = saferring_tests::pattern_bytes((place as u64 + 1) << 20, FILE_PLACE);
    bytes.into_iter().map(|byte| byte.max(1)).collect()
}

/// A file in memory, with its contents.
pub(crate) fn file() -> std::fs::File {
    // SAFETY: the name ends with a NUL, and lives across the call.
    let fd = unsafe { libc::memfd_create(c"model".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the descriptor is new, and known here only.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    std::os::unix::fs::FileExt::write_all_at(&file, &file_contents(), 0).unwrap();
    file
}

/// A file that is on the disk, to be opened by its path.
pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

pub(crate) fn raw(fd: &impl AsRawFd) -> RawFd {
    fd.as_raw_fd()
}

pub(crate) fn link(raw: RawFd) -> Option<String> {
    (raw >= 0).then(|| fd_link(raw)).flatten()
}

type Closing = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// The close of a descriptor, if nobody borrows it.
pub(crate) fn closing(ours: Ours) -> Option<Closing> {
    Some(match ours {
        Ours::Unix(stream) => Box::pin(Rc::try_unwrap(stream).ok()?.close()),
        Ours::Tcp(stream) => Box::pin(Rc::try_unwrap(stream).ok()?.close()),
        Ours::Direct(stream) => Box::pin(Rc::try_unwrap(stream).ok()?.close()),
        Ours::DirectFile(stream) => Box::pin(Rc::try_unwrap(stream).ok()?.close()),
        Ours::Udp(socket) => Box::pin(Rc::try_unwrap(socket).ok()?.close()),
        Ours::UnixListener(listener) => Box::pin(Rc::try_unwrap(listener).ok()?.close()),
        Ours::TcpListener(listener) => Box::pin(Rc::try_unwrap(listener).ok()?.close()),
        Ours::File(file) => Box::pin(Rc::try_unwrap(file).ok()?.close()),
        Ours::Opening | Ours::Gone => return None,
    })
}

impl Object {
    /// Our end goes: what waits for it there is nobody's any more.
    pub(crate) fn peer_may_see_end(&mut self) {
        self.output.cut = true;
    }
}
