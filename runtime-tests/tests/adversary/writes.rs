//! Writes to one stream, which take turns: each writes bytes of its own value, and the far end looks at what comes.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::rc::Rc;

use saferring::net::{TcpStream, UnixStream};
use saferring_tests::adversary::{Held, Task};
use socket2::SockRef;

use crate::scene::{Scene, Setup, Tools, task};

pub(crate) const WRITES: &[Setup] = &[
    ("write", |tools| small(tools, [write, write, write])),
    ("write_all", |tools| {
        small(tools, [write_all, write, write_all])
    }),
    ("write_vectored", |tools| {
        small(tools, [vectored, write, vectored])
    }),
    ("write_all_vectored", |tools| {
        small(tools, [all_vectored, write, all_vectored])
    }),
];

pub(crate) const ZERO_COPY: &[Setup] = &[
    ("send_zc", |tools| tcp(tools, [send_zc, send_zc, send_zc])),
    ("write_all_zc", |tools| {
        tcp(tools, [all_zc, send_zc, all_zc])
    }),
    ("send_vectored_zc", |tools| {
        tcp(tools, [vectored_zc, all_zc, vectored_zc])
    }),
    // Unix sockets refuse it, and it goes on the plain way.
    ("refused_zc", |tools| {
        small(tools, [refused_zc, write_all, refused_zc])
    }),
];

/// Twice what the socket takes at once.
const LEN: usize = 8 << 10;
pub(crate) const INNOCENT: u8 = 100;
pub(crate) const INNOCENT_LEN: usize = 64;

type Write<S> = fn(&Rc<Tools>, &Rc<S>, u8) -> Task;

pub(crate) fn wrote(tools: &Tools, id: u8, result: io::Result<usize>) {
    match result {
        Ok(n) => tools.log.wrote(id, n),
        Err(error) => tools.failed("a write", &error),
    }
}

fn write(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let op = stream.write(tools.bytes(id, LEN));
    let tools = Rc::clone(tools);
    task(async move {
        let (result, buf) = op.await;
        wrote(&tools, id, result);
        drop(buf);
    })
}

fn write_all(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let (result, buf) = stream.write_all(tools.bytes(id, LEN)).await;
        wrote(&tools, id, result.map(|()| LEN));
        drop(buf);
    })
}

fn vectored(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let bufs = vec![tools.bytes(id, LEN / 2), tools.bytes(id, LEN / 2)];
        let (result, bufs) = stream.write_vectored(bufs).await;
        wrote(&tools, id, result);
        drop(bufs);
    })
}

fn all_vectored(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let bufs = vec![tools.bytes(id, LEN / 2), tools.bytes(id, LEN / 2)];
        let (result, bufs) = stream.write_all_vectored(bufs).await;
        wrote(&tools, id, result.map(|()| LEN));
        drop(bufs);
    })
}

fn send_zc(tools: &Rc<Tools>, stream: &Rc<TcpStream>, id: u8) -> Task {
    let send = stream.send_zc(tools.bytes(id, LEN));
    let tools = Rc::clone(tools);
    task(async move {
        let (result, buf) = send.await;
        wrote(&tools, id, result);
        drop(buf.await);
    })
}

fn all_zc(tools: &Rc<Tools>, stream: &Rc<TcpStream>, id: u8) -> Task {
    let (tools, stream) = (Rc::clone(tools), Rc::clone(stream));
    task(async move {
        let (result, buf) = stream.write_all_zc(tools.bytes(id, LEN)).await;
        wrote(&tools, id, result.map(|()| LEN));
        drop(buf.await);
    })
}

fn vectored_zc(tools: &Rc<Tools>, stream: &Rc<TcpStream>, id: u8) -> Task {
    let bufs = vec![tools.bytes(id, LEN / 2), tools.bytes(id, LEN / 2)];
    let send = stream.send_vectored_zc(bufs);
    let tools = Rc::clone(tools);
    task(async move {
        let (result, bufs) = send.await;
        wrote(&tools, id, result);
        drop(bufs.await);
    })
}

fn refused_zc(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let send = stream.send_zc(tools.bytes(id, LEN));
    let tools = Rc::clone(tools);
    task(async move {
        let (result, buf) = send.await;
        wrote(&tools, id, result);
        drop(buf.await);
    })
}

/// The far end: counts the bytes of each value, in the order in which they come.
pub(crate) struct Peer<S> {
    stream: S,
    runs: RefCell<Vec<(u8, usize)>>,
}

impl<S: AsFd> Peer<S>
where
    for<'a> &'a S: Read,
{
    pub(crate) fn new(stream: S) -> Rc<Self> {
        SockRef::from(&stream).set_nonblocking(true).unwrap();
        Rc::new(Peer {
            stream,
            runs: RefCell::default(),
        })
    }

    /// Takes what has come.
    pub(crate) fn drain(&self) {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = (&self.stream).read(&mut bytes) {
            let mut runs = self.runs.borrow_mut();
            for run in bytes[..n].chunk_by(|one, next| one == next) {
                match runs.last_mut() {
                    Some((id, count)) if *id == run[0] => *count += run.len(),
                    _ => runs.push((run[0], run.len())),
                }
            }
        }
    }

    /// Each write has come in one piece, and as much of it as it was told.
    fn check(&self, tools: &Tools) -> Result<(), String> {
        self.drain();
        whole(tools, &self.runs.borrow())
    }

    /// What has come: of each piece the value, and how long it is.
    pub(crate) fn runs(&self) -> Vec<(u8, usize)> {
        self.drain();
        self.runs.borrow().clone()
    }
}

/// Whether each write has come in one piece, and as much of it as it was told.
pub(crate) fn whole(tools: &Tools, runs: &[(u8, usize)]) -> Result<(), String> {
    let told = tools.log.writes();
    let mut ids: Vec<_> = runs.iter().map(|&(id, _)| id).collect();
    ids.sort_unstable();
    let once = ids.windows(2).all(|two| two[0] != two[1]);
    let whole = told.iter().all(|&(id, count)| {
        let come = runs.iter().filter(|run| run.0 == id).map(|run| run.1);
        come.sum::<usize>() == count || tools.stage.is_closed()
    });
    if once && whole {
        Ok(())
    } else {
        Err(format!("told: {told:?}, came: {runs:?}"))
    }
}

fn scene<S: 'static, P: AsFd + 'static>(
    tools: &Rc<Tools>,
    stream: &Held<Rc<S>>,
    peer: Rc<Peer<P>>,
    subjects: [Write<S>; 3],
    innocent: Write<S>,
) -> Scene
where
    for<'a> &'a P: Read,
{
    let ids = 1u8..;
    let subjects = subjects.into_iter().zip(ids);
    let subjects = subjects.filter_map(|(subject, id)| stream.with(|s| subject(tools, s, id)));
    let subjects = subjects.collect();
    let causing = Rc::clone(&peer);
    let writer = (Rc::clone(tools), stream.clone());
    let turn = std::cell::Cell::new(INNOCENT);
    Scene {
        subjects,
        innocents: vec![Box::new(move || {
            let id = turn.get();
            turn.set(id + 1);
            let write = writer.1.with(|stream| innocent(&writer.0, stream, id));
            write.unwrap_or_else(|| task(async {}))
        })],
        cause: Box::new(move |_| causing.drain()),
        check: Box::new(move |tools| peer.check(tools)),
        ..Scene::default()
    }
}

fn innocent_unix(tools: &Rc<Tools>, stream: &Rc<UnixStream>, id: u8) -> Task {
    let (tools, op) = (Rc::clone(tools), stream.write(vec![id; INNOCENT_LEN]));
    task(async move { wrote(&tools, id, op.await.0) })
}

fn innocent_tcp(tools: &Rc<Tools>, stream: &Rc<TcpStream>, id: u8) -> Task {
    let (tools, op) = (Rc::clone(tools), stream.write(vec![id; INNOCENT_LEN]));
    task(async move { wrote(&tools, id, op.await.0) })
}

fn small(tools: &Rc<Tools>, subjects: [Write<UnixStream>; 3]) -> Scene {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    SockRef::from(&ours).set_send_buffer_size(1).unwrap();
    let stream = UnixStream::from_std(ours);
    stream.set_zero_copy_threshold(1);
    let stream = tools.hold(stream, UnixStream::close);
    scene(tools, &stream, Peer::new(theirs), subjects, innocent_unix)
}

fn tcp(tools: &Rc<Tools>, subjects: [Write<TcpStream>; 3]) -> Scene {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let stream = TcpStream::from_std(ours);
    stream.set_zero_copy_threshold(1);
    let stream = tools.hold(stream, TcpStream::close);
    scene(tools, &stream, Peer::new(theirs), subjects, innocent_tcp)
}
