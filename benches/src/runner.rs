//! One contender while a workload is measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use crate::cells::{Cell, Kind};
use crate::child::Task;
use crate::contender::{Contender, EchoSpec, TwoCores, Work};
use crate::control::{Message, Slice};
use crate::data;
use crate::keys;
use crate::load::{Target, Way};
use crate::measure::learn_cores;
use crate::process::Process;
use crate::sockets::{free_addr, listener};

/// How long setting up may take, and a slice beyond its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that sleeps, and has not used CPU time for so long, has answered everything.
const REST: Duration = Duration::from_millis(3);

const REST_TRIES: u32 = 100;

const IDLE_MESSAGE: usize = 64;

/// What a read buffer holds, where connections have their own.
const IDLE_BUFFER: usize = 4096;

pub(crate) struct Runner {
    pub(crate) process: Process,
    /// A process that asks this one, if it is a server.
    load: Option<Process>,
    is_wrk: bool,
    /// Operations of a slice, if it is no server.
    ops: u64,
}

impl Runner {
    /// Starts it and warms it up; `None` if this contender cannot do that at all.
    pub(crate) fn start(who: &Contender, cell: &Cell, slice: Duration) -> io::Result<Option<Self>> {
        if cell.cores() > learn_cores(None).len() {
            return Ok(None);
        }
        let (work, ops) = match &cell.kind {
            Kind::Work(work) => (work, None),
            Kind::Long(work, ops) => (work, Some(*ops)),
            kind => return Runner::start_server(who, kind, slice),
        };
        let mut process = Process::start(who.name, Task::Work(work.clone()), None)?;
        match process.hear(PATIENCE)? {
            Message::Ready => {}
            Message::Unsupported => return Ok(None),
            other => return Err(io::Error::other(format!("it began with {other:?}"))),
        }
        let mut runner = Runner {
            process,
            load: None,
            is_wrk: false,
            ops: ops.unwrap_or(64),
        };
        if ops.is_none() {
            runner.calibrate(slice)?;
        } else if let Work::Copy(from, to) = work {
            runner.slice(slice)?;
            if !data::equal(&from.path, to)? {
                return Err(io::Error::other("the copy differs from its source"));
            }
        }
        Ok(Some(runner))
    }

    /// Finds how many operations fill a slice. The first runs also warm up.
    fn calibrate(&mut self, slice: Duration) -> io::Result<()> {
        loop {
            let sample = self.slice(slice)?;
            if sample.wall >= slice / 4 || self.ops >= 1 << 40 {
                let per_op = sample.wall.as_secs_f64() / sample.ops as f64;
                self.ops = ((slice.as_secs_f64() / per_op.max(1e-10)) as u64).max(1);
                return Ok(());
            }
            self.ops *= 2;
        }
    }

    fn start_server(who: &Contender, kind: &Kind, slice: Duration) -> io::Result<Option<Self>> {
        let Some((mut process, target)) = server(who, kind)? else {
            return Ok(None);
        };
        let load = connect(target).map_err(|error| process.explain(error))?;
        let mut runner = Runner {
            process,
            load: Some(load),
            is_wrk: matches!(target.way, Way::Web(web) if web.scheme().is_some()),
            ops: 0,
        };
        runner.slice(slice / 2)?;
        Ok(Some(runner))
    }

    /// Measures one slice, of so long if it is another process that asks.
    pub(crate) fn slice(&mut self, slice: Duration) -> io::Result<Slice> {
        let Some(load) = &mut self.load else {
            return self.process.slice(self.ops, PATIENCE);
        };
        let before = self.process.cpu()?;
        let asked = load.slice(slice.as_micros() as u64, slice + PATIENCE);
        let asked = asked.map_err(|error| self.process.explain(error))?;
        let after = match self.is_wrk {
            true => self.cpu_at_rest()?,
            false => self.process.cpu()?,
        };
        let cpu = after.saturating_sub(before);
        Ok(Slice { cpu, ..asked })
    }

    /// What a server has used once it has nothing left to do: `wrk` waits for no answers at the end of its slice.
    fn cpu_at_rest(&self) -> io::Result<Duration> {
        let mut cpu = self.process.cpu()?;
        for _ in 0..REST_TRIES {
            sleep(REST);
            let now = self.process.cpu()?;
            if now == cpu && self.process.is_asleep()? {
                break;
            }
            cpu = now;
        }
        Ok(cpu)
    }

    /// Measures so many operations, or as many as are asked for in about the time that they take: two microseconds a
    /// request are what a server takes at best.
    pub(crate) fn run(&mut self, ops: u64) -> io::Result<Slice> {
        self.ops = ops;
        self.slice(Duration::from_micros(2 * ops))
    }
}

/// A process that asks a server, connected.
fn connect(target: Target) -> io::Result<Process> {
    let mut load = Process::start("load", Task::Load(target), None)?;
    match load.hear(PATIENCE)? {
        Message::Ready => Ok(load),
        other => Err(io::Error::other(format!("the load began with {other:?}"))),
    }
}

/// Starts a server, and tells how to ask it; `None` if this contender has none of that kind.
fn server(contender: &Contender, kind: &Kind) -> io::Result<Option<(Process, Target)>> {
    // Idle connections are those of a server that expects more than they have sent.
    let (way, connections, message, buffer) = match *kind {
        Kind::Idle(connections) => (Way::Tcp, connections, IDLE_MESSAGE, IDLE_BUFFER),
        Kind::Serve(way, connections, message) => (way, connections, message, message),
        _ => return Ok(None),
    };
    let spec = EchoSpec {
        message: buffer,
        connections,
    };
    let name = contender.name;
    let (process, addr) = match way {
        Way::Udp if contender.udp_echo.is_some() => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let addr = socket.local_addr()?;
            let process = Process::start(name, Task::Udp(spec), Some(socket.into()))?;
            (process, addr)
        }
        Way::Tcp | Way::Churn if contender.echo.is_some() => {
            let (socket, addr) = listener()?;
            let process = Process::start(name, Task::Echo(spec), Some(socket.into()))?;
            (process, addr)
        }
        Way::Web(web) if (contender.web)(web).is_some() => {
            let (socket, addr) = listener()?;
            let process = Process::start(name, Task::Web(web, spec), Some(socket.into()))?;
            (process, addr)
        }
        Way::TwoCores if !matches!(contender.two_cores, TwoCores::No) => {
            let mut process = Process::start(name, Task::TwoCores(spec), None)?;
            match process.hear(PATIENCE)? {
                Message::Listening(addr) => (process, addr),
                other => return Err(io::Error::other(format!("it began with {other:?}"))),
            }
        }
        Way::Keys(..) => {
            keys::prepare(name)?;
            let addr = free_addr()?;
            if keys::command(name, addr).is_none() {
                return Ok(None);
            }
            (Process::start(name, Task::Keys(addr), None)?, addr)
        }
        _ => return Ok(None),
    };
    let SocketAddr::V4(addr) = addr else {
        return Err(io::Error::other("it has no IPv4 address"));
    };
    let target = Target {
        addr,
        connections,
        message,
        way,
    };
    Ok(Some((process, target)))
}

/// Bytes of anonymous memory an item; `None` if this contender cannot do that at all.
pub(crate) fn memory(contender: &Contender, kind: &Kind) -> io::Result<Option<f64>> {
    if let Kind::Memory(work) = kind {
        return work_memory(contender, work);
    }
    let Some((mut process, target)) = server(contender, kind)? else {
        return Ok(None);
    };
    let measured = connections_memory(&process, target);
    measured.map(Some).map_err(|error| process.explain(error))
}

/// What the server needs for a connection on which a message has been echoed.
fn connections_memory(process: &Process, target: Target) -> io::Result<f64> {
    // With the first ones, what all share is made.
    let few = Target {
        connections: 4,
        ..target
    };
    let mut first = connect(few)?;
    first.slice(0, PATIENCE)?;
    let before = process.memory()?;
    let mut all = connect(target)?;
    all.slice(0, PATIENCE)?;
    let after = process.memory()?;
    Ok(after.saturating_sub(before) as f64 / target.connections as f64)
}

/// As the contender itself reports it.
fn work_memory(contender: &Contender, work: &Work) -> io::Result<Option<f64>> {
    let mut process = Process::start(contender.name, Task::Work(work.clone()), None)?;
    match process.hear(PATIENCE)? {
        Message::Memory(each) => Ok(Some(each)),
        Message::Unsupported => Ok(None),
        other => Err(io::Error::other(format!(
            "it said {other:?}, not its memory"
        ))),
    }
}
