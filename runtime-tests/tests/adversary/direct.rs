//! Direct descriptors, which only one ring knows: when its runtime is gone, so are they.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::rc::Rc;

use bytes::Bytes;
use saferring::op::{RegisteredFd, Registry};
use saferring_tests::adversary::{Held, Task};
use saferring_tests::{Watch, poll_once};
use socket2::{Domain, SockAddr, SockRef, Type};

use crate::files::Fifo;
use crate::scene::{PATIENCE, Scene, Setup, Tools, task};
use crate::writes::{INNOCENT, INNOCENT_LEN, Peer, whole, wrote};

pub(crate) const DIRECT: &[Setup] = &[
    ("direct_recv", |tools| recvs(tools, [recv, recv, recv])),
    ("direct_send", |tools| sends(tools, [send, send_all, send])),
    ("direct_accept", accepts),
    ("direct_open", opens),
    ("direct_socket", sockets),
];

type Direct = Rc<RegisteredFd>;
type Recv = fn(&Rc<Tools>, &Direct) -> Task;
type Send = fn(&Rc<Tools>, &Direct, u8) -> Task;

/// Twice what the socket takes at once.
const LEN: usize = 8 << 10;

/// Notes an error, unless what failed belongs to a runtime that is gone or another one, or is closed.
fn failed(tools: &Tools, what: &str, error: &io::Error) {
    let elsewhere = error.to_string().contains("another runtime") && tools.stage.is_moved();
    if !tools.stage.is_lost() && !elsewhere {
        tools.failed(what, error);
    }
}

/// As [`Tools::all_came`], of what a ring that is still there has brought.
fn all_came(tools: &Tools, end: u8) -> Result<(), String> {
    if tools.stage.is_lost() {
        // It went with what had come.
        tools.stage.set_closed();
    }
    tools.all_came(end)
}

fn hold(tools: &Tools, fd: impl Into<OwnedFd>) -> Held<Direct> {
    let registered = Registry::current().unwrap().register(fd.into()).unwrap();
    tools.hold(registered, RegisteredFd::close)
}

fn came(tools: &Tools, result: io::Result<usize>, bytes: &[u8]) -> bool {
    match result {
        Ok(n) => {
            tools.log.bytes(&bytes[..n]);
            n > 0
        }
        Err(error) => {
            failed(tools, "a receive", &error);
            false
        }
    }
}

fn recv(tools: &Rc<Tools>, socket: &Direct) -> Task {
    let (tools, op) = (Rc::clone(tools), socket.recv(tools.buf(8)));
    task(async move {
        let (result, buf) = op.await;
        came(&tools, result, buf.bytes());
    })
}

fn recvs(tools: &Rc<Tools>, subjects: [Recv; 3]) -> Scene {
    let (ours, theirs) = StdStream::pair().unwrap();
    let socket = hold(tools, ours);
    let subjects = subjects.into_iter();
    let subjects = subjects.filter_map(|subject| socket.with(|socket| subject(tools, socket)));
    let subjects = subjects.collect();
    let reading = Rc::clone(tools);
    let (next, theirs) = (Rc::new(Cell::new(0u8)), Rc::new(theirs));
    let (sent, ending) = (Rc::clone(&next), Rc::clone(&theirs));
    let ended = Rc::new(Cell::new(false));
    let finished = Rc::clone(&ended);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let (tools, socket) = (Rc::clone(&reading), socket.clone());
            task(async move {
                while let Some(recv) = socket.with(|socket| socket.recv(vec![0; 8])) {
                    let (result, bytes) = recv.await;
                    if !came(&tools, result, &bytes) {
                        break;
                    }
                }
            })
        })],
        cause: Box::new(move |round| {
            let (from, count) = (sent.get(), if round == 0 { 24 } else { 8 });
            if from < 220 && !finished.get() {
                // The socket may be gone.
                let _ = (&*theirs).write(&(from..from + count).collect::<Vec<_>>());
                sent.set(from + count);
            }
        }),
        end: Box::new(move || {
            ended.set(true);
            let _ = ending.shutdown(Shutdown::Write);
        }),
        check: Box::new(move |tools| all_came(tools, next.get())),
        ..Scene::default()
    }
}

fn send(tools: &Rc<Tools>, socket: &Direct, id: u8) -> Task {
    let (op, tools) = (socket.send(tools.bytes(id, LEN)), Rc::clone(tools));
    task(async move {
        let (result, buf) = op.await;
        sent(&tools, id, result);
        drop(buf);
    })
}

fn send_all(tools: &Rc<Tools>, socket: &Direct, id: u8) -> Task {
    let (op, tools) = (socket.send_all(tools.bytes(id, LEN)), Rc::clone(tools));
    task(async move {
        let (result, buf) = op.await;
        sent(&tools, id, result);
        drop(buf);
    })
}

fn sent(tools: &Tools, id: u8, result: io::Result<usize>) {
    match result {
        Ok(_) => wrote(tools, id, result),
        Err(error) => failed(tools, "a send", &error),
    }
}

fn sends(tools: &Rc<Tools>, subjects: [Send; 3]) -> Scene {
    let (ours, theirs) = StdStream::pair().unwrap();
    SockRef::from(&ours).set_send_buffer_size(1).unwrap();
    let (socket, peer) = (hold(tools, ours), Peer::new(theirs));
    let subjects = subjects.into_iter().zip(1..);
    let subjects = subjects.filter_map(|(subject, id)| socket.with(|one| subject(tools, one, id)));
    let subjects = subjects.collect();
    let (causing, writing) = (Rc::clone(&peer), Rc::clone(tools));
    let turn = Cell::new(INNOCENT);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let id = turn.replace(turn.get() + 1);
            let op = socket.with(|socket| socket.send(vec![id; INNOCENT_LEN]));
            let tools = Rc::clone(&writing);
            task(async move {
                if let Some(op) = op {
                    sent(&tools, id, op.await.0);
                }
            })
        })],
        cause: Box::new(move |_| causing.drain()),
        check: Box::new(move |tools| whole(tools, &peer.runs())),
        ..Scene::default()
    }
}

/// Clients, each of which sends its place in the list.
#[derive(Default)]
struct Clients {
    made: RefCell<Vec<std::net::TcpStream>>,
    /// How many connections were accepted.
    taken: Cell<usize>,
    ended: Cell<bool>,
}

impl Clients {
    fn connect(&self, to: SocketAddr) {
        if let Ok(mut client) = std::net::TcpStream::connect(to) {
            let mut made = self.made.borrow_mut();
            client.write_all(&[made.len() as u8]).unwrap();
            made.push(client);
        }
    }

    fn take(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    /// Whether all their connections are closed.
    fn are_closed(&self) -> bool {
        self.made.borrow_mut().iter_mut().all(|client| {
            client.set_nonblocking(true).unwrap();
            !matches!(client.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
        })
    }
}

/// Notes what the client says first.
async fn greet(tools: &Tools, connection: &RegisteredFd) {
    let (result, bytes) = connection.recv(vec![0; 1]).await;
    let failed = result.is_err();
    if !came(tools, result, &bytes) && !failed {
        tools.stage.fault("a client said nothing");
    }
}

async fn accept_until_closed(tools: &Tools, listener: &Held<Direct>, clients: &Clients) {
    while let Some(op) = listener.with(|listener| listener.accept()) {
        let mut accept = op.unwrap().submit();
        let connection = loop {
            if let Some(connection) = poll_once(&mut accept).await {
                break connection;
            }
            if clients.ended.get() && clients.are_closed() {
                return;
            }
            let _ = saferring::op::nop().await;
        };
        match connection {
            Ok(connection) => {
                clients.take();
                greet(tools, &connection).await;
            }
            Err(error) => return failed(tools, "an accept", &error),
        }
    }
}

/// Each connection goes to somebody, and is closed when that is done with it.
fn accepts(tools: &Rc<Tools>) -> Scene {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let listener = hold(tools, listener);
    let clients = Rc::new(Clients::default());
    let subject = |_| {
        let op = listener.with(|listener| listener.accept().unwrap());
        let (tools, clients) = (Rc::clone(tools), Rc::clone(&clients));
        task(async move {
            match op.unwrap().await {
                Ok(connection) => {
                    clients.take();
                    greet(&tools, &connection).await;
                }
                Err(error) => failed(&tools, "an accept", &error),
            }
        })
    };
    let subjects = (0..3).map(subject).collect();
    let counted = Rc::clone(&clients);
    let (causing, ending) = (Rc::clone(&clients), Rc::clone(&clients));
    let accepting = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let (tools, listener) = (Rc::clone(&accepting), listener.clone());
            let clients = Rc::clone(&clients);
            task(async move { accept_until_closed(&tools, &listener, &clients).await })
        })],
        cause: Box::new(move |_| {
            for _ in 0..2 {
                if !causing.ended.get() && causing.made.borrow().len() < 8 {
                    causing.connect(addr);
                }
            }
        }),
        end: Box::new(move || ending.ended.set(true)),
        check: Box::new(move |tools| {
            let all = tools.log.all();
            let once = all.windows(2).all(|two| two[0] < two[1]);
            let (made, taken) = (counted.made.take().len(), counted.taken.get());
            match once && (made == taken || tools.stage.is_closed() || tools.stage.is_lost()) {
                true => Ok(()),
                false => Err(format!("{made} made, {taken} taken, came {all:?}")),
            }
        }),
        competes: true,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

/// A FIFO knows how often it is open: when all that read it are closed, it cannot be opened for writing.
fn opens(tools: &Rc<Tools>) -> Scene {
    let fifo = Rc::new(Fifo::new());
    let open = |tools: &Rc<Tools>, fifo: &Rc<Fifo>, watch: &Watch| {
        let (tools, fifo, buf) = (Rc::clone(tools), Rc::clone(fifo), watch.buf(8));
        task(async move {
            let flags = libc::O_RDONLY | libc::O_NONBLOCK;
            let op = Registry::current().unwrap().open(&fifo.0, flags, 0);
            let op = op.unwrap();
            let file = match op.await {
                Ok(file) => file,
                Err(error) => return failed(&tools, "an open", &error),
            };
            // It has no positions.
            let (result, buf) = file.read_at(buf, 0).await;
            drop(buf);
            if !matches!(&result, Err(error) if error.raw_os_error() == Some(libc::ESPIPE)) {
                came(&tools, result, &[]);
            }
            match file.install().await {
                Ok(fd) => drop(fd),
                Err(error) => failed(&tools, "an install", &error),
            }
        })
    };
    let subjects = (0..3).map(|_| open(tools, &fifo, &tools.watch)).collect();
    let ended = Rc::new(Cell::new(false));
    let (waiting, finished) = (Rc::clone(&fifo), Rc::clone(&ended));
    let opening = Rc::clone(tools);
    Scene {
        subjects,
        innocents: vec![
            Box::new(move || open(&opening, &fifo, &Watch::new())),
            Box::new(move || {
                let (fifo, ended) = (Rc::clone(&waiting), Rc::clone(&finished));
                task(async move {
                    while !ended.get() || fifo.is_read() {
                        let _ = saferring::op::nop().await;
                    }
                })
            }),
        ],
        end: Box::new(move || ended.set(true)),
        cause: Box::new(|_| std::thread::yield_now()),
        patience: PATIENCE,
        submits: true,
        moves: true,
        ..Scene::default()
    }
}

/// Sockets that connect, say a byte, and are gone.
fn sockets(tools: &Rc<Tools>) -> Scene {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = SockAddr::from(listener.local_addr().unwrap());
    // The innocent's byte is no buffer of the adversary.
    let talk = move |tools: &Rc<Tools>, byte: Option<Bytes>| {
        let (tools, addr) = (Rc::clone(tools), addr.clone());
        task(async move {
            let talked = async {
                let registry = Registry::current()?;
                let socket = registry.socket(Domain::IPV4, Type::STREAM, None)?.await?;
                socket.connect(addr).await?;
                let byte = byte.unwrap_or_else(|| tools.bytes(1, 1));
                let (sent, buf) = socket.send(byte).await;
                sent?;
                drop(buf);
                socket.close().await
            };
            if let Err(error) = talked.await {
                failed(&tools, "a socket", &error);
            }
        })
    };
    let talking = Rc::clone(tools);
    let listener = Rc::new(listener);
    listener.set_nonblocking(true).unwrap();
    let closing = Rc::clone(&listener);
    let ended = Rc::new(Cell::new(false));
    let finished = Rc::clone(&ended);
    let subjects = (0..3).map(|_| talk(tools, None)).collect();
    Scene {
        subjects,
        innocents: vec![
            Box::new(move || talk(&talking, Some(Bytes::from_static(&[1])))),
            // When all is over each connection has ended.
            Box::new(move || {
                let (listener, ended) = (Rc::clone(&closing), Rc::clone(&finished));
                task(async move {
                    while !ended.get() {
                        let _ = saferring::op::nop().await;
                    }
                    while let Ok((mut stream, _)) = listener.accept() {
                        stream.set_nonblocking(true).unwrap();
                        // A byte may come first.
                        while !matches!(stream.read(&mut [0]), Ok(0)) {
                            let _ = saferring::op::nop().await;
                        }
                    }
                })
            }),
        ],
        end: Box::new(move || ended.set(true)),
        check: Box::new(move |_| {
            drop(listener);
            Ok(())
        }),
        submits: true,
        moves: true,
        ..Scene::default()
    }
}
