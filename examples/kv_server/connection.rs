//! A connection: takes the requests out of what has come, has them carried out, and answers all of them by one write.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use futures_util::future::join_all;
use saferring::cores::Core;
use saferring::net::TcpStream;

use crate::command::{Command, Merge, OnShard, Place, find, merge};
use crate::resp::{Args, Parser, reply};
use crate::session::Session;
use crate::shard::{Answers, Request, Shard, Shards, Socket, shard_of};

/// How much is answered before it is sent, even if more has been asked for.
const OUT_MAX: usize = 256 << 10;
/// How long a request may be, all arguments together.
const REQUEST_MAX: usize = 1 << 30;
/// How much memory a connection keeps for requests that come in parts.
const KEPT_MAX: usize = 64 << 10;

pub(crate) struct Connection {
    socket: Rc<Socket>,
    place: usize,
    parser: Parser,
    /// A request of which a part is still to come.
    begun: Vec<u8>,
    session: Session,
    answering: Answering,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.answering.shard.remove_socket(self.place);
    }
}

/// What becomes of requests until they are answered.
struct Answering {
    shard: Rc<Shard>,
    shards: Shards,
    core: Core,
    out: Vec<u8>,
    /// What changed something here, whose answers wait for the disk.
    writes: Vec<Range<usize>>,
    /// What other cores are to do, by core.
    requests: Vec<Request>,
    /// What was done here for an answer that others have a part in.
    own: Answers,
    gaps: Vec<Gap>,
}

/// An answer that is put together when all its parts are there.
struct Gap {
    /// Where in `out` it belongs.
    at: usize,
    command: &'static Command,
    merge: Merge,
    /// Which shard has which part.
    parts: Vec<usize>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, core: &Core, shard: &Rc<Shard>, shards: &Shards) -> Self {
        let socket = Rc::new(Socket {
            stream,
            sending: Cell::new(None),
        });
        Connection {
            place: shard.add_socket(&socket),
            socket,
            parser: Parser::default(),
            begun: Vec::new(),
            session: Session::new(Rc::clone(shard).server().clone()),
            answering: Answering {
                shard: Rc::clone(shard),
                shards: shards.clone(),
                core: core.clone(),
                out: Vec::new(),
                writes: Vec::new(),
                requests: (0..core.count()).map(|_| Request::default()).collect(),
                own: Answers::default(),
                gaps: Vec::new(),
            },
        }
    }

    /// Serves the client until it goes, or must go.
    pub(crate) async fn serve(mut self) -> io::Result<()> {
        let stream = &self.socket.stream;
        stream.set_nodelay(true)?;
        let mut chunks = stream.recv_stream();
        while let Some(batch) = chunks.next_batch().await {
            self.answering.begin();
            for chunk in &batch? {
                self.take(chunk).await?;
                if self.session.is_over {
                    break;
                }
            }
            self.send().await?;
            if self.session.is_over {
                break;
            }
        }
        Ok(())
    }

    /// Carries out what is in a chunk. Of a request that has begun before, only as much as belongs to it is copied to the rest.
    async fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        let mut chunk = chunk;
        while !self.begun.is_empty() && !chunk.is_empty() && !self.session.is_over {
            let missing = self.parser.expects().saturating_sub(self.begun.len());
            let line = || {
                chunk
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .map_or(chunk.len(), |at| at + 1)
            };
            let taken = if missing == 0 {
                line()
            } else {
                missing.min(chunk.len())
            };
            self.begun.extend_from_slice(&chunk[..taken]);
            chunk = &chunk[taken..];
            let begun = std::mem::take(&mut self.begun);
            let done = self.requests(&begun).await?;
            self.begun = begun;
            self.begun.drain(..done);
            if self.begun.is_empty() && self.begun.capacity() > KEPT_MAX {
                self.begun = Vec::new();
            }
        }
        if self.begun.len() > REQUEST_MAX {
            self.session.is_over = true;
        } else if !chunk.is_empty() && !self.session.is_over {
            let done = self.requests(chunk).await?;
            self.begun.extend_from_slice(&chunk[done..]);
        }
        Ok(())
    }

    /// Carries out the requests that are whole, and returns how many bytes they had.
    async fn requests(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut done = 0;
        while !self.session.is_over {
            let rest = &bytes[done..];
            match self.parser.parse(rest) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    let args = self.parser.args(rest);
                    if args.len() > 0 {
                        self.answering.run(&mut self.session, args);
                    }
                    done += len;
                }
                Err(error) => {
                    reply::error(&mut self.answering.out, &error.text());
                    self.session.is_over = true;
                }
            }
            if self.answering.out.len() > OUT_MAX {
                self.send().await?;
                self.answering.begin();
            }
        }
        Ok(done)
    }

    /// Sends the answers. While a client does not read them nothing more is taken from it, and if it does not for long it must go.
    async fn send(&mut self) -> io::Result<()> {
        let out = self.answering.complete().await?;
        if out.is_empty() {
            self.answering.shard.keep_buffer(out);
            return Ok(());
        }
        let shard = &self.answering.shard;
        self.socket.sending.set(Some(shard.round()));
        let (sent, out) = self.socket.stream.write_all(out).await;
        self.socket.sending.set(None);
        shard.keep_buffer(out);
        sent?;
        shard.room().await;
        Ok(())
    }
}

impl Answering {
    fn begin(&mut self) {
        self.shard.clock.go_on();
        if self.out.capacity() == 0 {
            self.out = self.shard.buffer();
        }
    }

    fn run(&mut self, session: &mut Session, args: Args<'_>) {
        let Some(command) = find(args, &mut self.out) else {
            return;
        };
        let args = args.after(1);
        match command.place {
            Place::Connection(f) => f(session, args, &mut self.out),
            Place::Key(f) => {
                let owner = self.owner(args.get(0));
                match owner == self.core.id() {
                    true => self.here(command, Merge::One, f, 1, |_| args),
                    false => self.elsewhere(command, Merge::One, f, &[owner], |_| args),
                }
            }
            Place::Keys(step, merge, f) => {
                let part = |at: usize| args.part(step * at..step * (at + 1));
                let keys = (0..args.len() / step).map(|at| self.owner(part(at).get(0)));
                self.parts(command, merge, f, keys.collect(), part);
            }
            Place::Shards(merge, f) => {
                self.parts(command, merge, f, (0..self.core.count()).collect(), |_| {
                    args
                });
            }
        }
    }

    fn owner(&self, key: &[u8]) -> usize {
        shard_of(key, self.core.count())
    }

    fn parts<'a>(
        &mut self,
        command: &'static Command,
        merge: Merge,
        f: OnShard,
        owners: Vec<usize>,
        part: impl Fn(usize) -> Args<'a>,
    ) {
        match owners.iter().all(|&owner| owner == self.core.id()) {
            true => self.here(command, merge, f, owners.len(), part),
            false => self.elsewhere(command, merge, f, &owners, part),
        }
    }

    /// Carries out a command of which all is here.
    fn here<'a>(
        &mut self,
        command: &'static Command,
        how: Merge,
        f: OnShard,
        parts: usize,
        part: impl Fn(usize) -> Args<'a>,
    ) {
        let start = self.out.len();
        let shard = &self.shard;
        if how == Merge::One {
            shard.run(command, f, part(0), &mut self.out);
        } else {
            merge(how, parts, &mut self.out, |at, out| {
                shard.run(command, f, part(at), out)
            });
        }
        if command.writes && shard.waits() {
            self.writes.push(start..self.out.len());
        }
    }

    /// Begins a command of which at least a part is elsewhere.
    fn elsewhere<'a>(
        &mut self,
        command: &'static Command,
        merge: Merge,
        f: OnShard,
        owners: &[usize],
        part: impl Fn(usize) -> Args<'a>,
    ) {
        for (at, &owner) in owners.iter().enumerate() {
            if owner == self.core.id() {
                self.shard.run(command, f, part(at), &mut self.own.bytes);
                self.own.ends.push(self.own.bytes.len());
            } else {
                self.requests[owner].push(command, f, part(at));
            }
        }
        self.gaps.push(Gap {
            at: self.out.len(),
            command,
            merge,
            parts: owners.to_vec(),
        });
    }

    /// All answers, when what they tell is as safe as was asked for.
    async fn complete(&mut self) -> io::Result<Vec<u8>> {
        let batch = self.shard.commit();
        let others = self.ask().await?;
        let mut trouble = None;
        if let (Some(batch), Some(log)) = (batch, &self.shard.log) {
            trouble = log.committed(batch).await.err();
        }
        let out = std::mem::take(&mut self.out);
        let writes = std::mem::take(&mut self.writes);
        if self.gaps.is_empty() && trouble.is_none() {
            self.writes = writes;
            self.writes.clear();
            return Ok(out);
        }
        Ok(self.put_together(&out, &writes, others, trouble.as_deref()))
    }

    /// Has the other cores carry out their parts, all at the same time.
    async fn ask(&mut self) -> io::Result<Vec<Answers>> {
        if self.gaps.is_empty() {
            return Ok(Vec::new());
        }
        let (core, shards) = (&self.core, &self.shards);
        let requests = self.requests.iter_mut().map(std::mem::take);
        let asked = requests.enumerate().map(|(owner, request)| async move {
            match request.is_empty() {
                true => Ok(Answers::default()),
                false => ask_one(core, shards, owner, request).await,
            }
        });
        join_all(asked).await.into_iter().collect()
    }

    /// The answers with those in the gaps; with an error for each that tells of a change here, if that could not be written.
    fn put_together(
        &mut self,
        out: &[u8],
        writes: &[Range<usize>],
        mut answers: Vec<Answers>,
        trouble: Option<&[u8]>,
    ) -> Vec<u8> {
        let own = self.core.id();
        if let Some(answers) = answers.get_mut(own) {
            *answers = std::mem::take(&mut self.own);
        }
        let mut next = vec![0; answers.len()];
        let (mut whole, mut from) = (Vec::with_capacity(out.len()), 0);
        let mut writes = writes.iter().filter(|_| trouble.is_some()).peekable();
        let mut copy = |whole: &mut Vec<u8>, to: usize| {
            while let Some(write) = writes.next_if(|write| write.start < to) {
                whole.extend_from_slice(&out[from..write.start]);
                reply::error(whole, trouble.unwrap_or_default());
                from = write.end;
            }
            whole.extend_from_slice(&out[from..to]);
            from = to;
        };
        for gap in self.gaps.drain(..) {
            copy(&mut whole, gap.at);
            let start = whole.len();
            merge(gap.merge, gap.parts.len(), &mut whole, |part, whole| {
                let shard = gap.parts[part];
                whole.extend_from_slice(answers[shard].get(next[shard]));
                next[shard] += 1;
            });
            if let Some(trouble) =
                trouble.filter(|_| gap.command.writes && gap.parts.contains(&own))
            {
                whole.truncate(start);
                reply::error(&mut whole, trouble);
            }
        }
        copy(&mut whole, out.len());
        whole
    }
}

/// Has another core carry out a request: between two of its tasks, or by one of its own if that has to wait for something.
async fn ask_one(
    core: &Core,
    shards: &Shards,
    owner: usize,
    request: Request,
) -> io::Result<Answers> {
    let there = |shards: &Shards| {
        let shard = shards.with(|shard| shard.clone());
        shard.map_err(|error| io::Error::new(error.kind(), error.to_string()))
    };
    let (now, later, mut request) = (shards.clone(), shards.clone(), request);
    // Who waits for the disk would only be told so.
    if !there(shards)?.waits() {
        let asked = move |_| Ok::<_, io::Error>(there(&now)?.serve_now(request));
        match core.call_now(owner, asked).await?? {
            Ok(answers) => return Ok(answers),
            Err(back) => request = back,
        }
    }
    let asked = async move |_| Ok(there(&later)?.serve(request).await);
    core.call(owner, asked).await?
}
