//! One contender while a workload is measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cells::{Cell, Kind};
use crate::child::Task;
use crate::contender::{Contender, EchoSpec, Work};
use crate::control::{Message, histogram};
use crate::data;
use crate::load::{Target, Way};
use crate::process::Process;

/// How long setting up may take, and a slice beyond its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one slice came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) ops: u64,
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

/// How it is measured.
#[derive(Debug)]
enum Course {
    /// By another process.
    Asked(Process),
    /// A slice is so many operations.
    Work(u64),
}

#[derive(Debug)]
pub(crate) struct Racer {
    pub(crate) process: Process,
    course: Course,
    pub(crate) samples: Vec<Sample>,
    pub(crate) latencies: Histogram<u64>,
}

impl Racer {
    /// Starts it and warms it up; `None` if this contender cannot do that at all.
    pub(crate) fn start(
        contender: &Contender,
        cell: &Cell,
        slice: Duration,
    ) -> io::Result<Option<Self>> {
        let started = match &cell.kind {
            Kind::Work(work) => Racer::start_work(contender, work, None, slice)?,
            Kind::Long(work, ops) => Racer::start_work(contender, work, Some(*ops), slice)?,
            kind => Racer::start_server(contender, kind, slice)?,
        };
        let Some(mut racer) = started else {
            return Ok(None);
        };
        racer.latencies.reset();
        racer.samples.clear();
        Ok(Some(racer))
    }

    fn new(process: Process, course: Course) -> Self {
        Racer {
            process,
            course,
            samples: Vec::new(),
            latencies: histogram(),
        }
    }

    fn start_work(
        contender: &Contender,
        work: &Work,
        ops: Option<u64>,
        slice: Duration,
    ) -> io::Result<Option<Self>> {
        let mut process = Process::start(contender.name, &Task::Work(work.clone()), None)?;
        match process.hear(PATIENCE)? {
            Message::Ready => {}
            Message::Unsupported => return Ok(None),
            other => return Err(io::Error::other(format!("it began with {other:?}"))),
        }
        let mut racer = Racer::new(process, Course::Work(ops.unwrap_or(64)));
        if ops.is_none() {
            racer.calibrate(slice)?;
        } else if let Work::Copy { from, to, .. } = work {
            racer.work()?;
            if !data::equal(from, to)? {
                return Err(io::Error::other("the copy differs from its source"));
            }
        }
        Ok(Some(racer))
    }

    /// Finds how many operations fill a slice. The first runs also warm up.
    fn calibrate(&mut self, slice: Duration) -> io::Result<()> {
        loop {
            let sample = self.work()?;
            let per_op = sample.wall.as_secs_f64() / sample.ops as f64;
            let fitting = (slice.as_secs_f64() / per_op.max(1e-10)) as u64;
            let Course::Work(ops) = &mut self.course else {
                return Ok(());
            };
            if sample.wall >= slice / 4 || *ops >= 1 << 40 {
                *ops = fitting.max(1);
                return Ok(());
            }
            *ops *= 2;
        }
    }

    fn start_server(
        contender: &Contender,
        kind: &Kind,
        slice: Duration,
    ) -> io::Result<Option<Self>> {
        let Some((mut process, target)) = server(contender, kind)? else {
            return Ok(None);
        };
        let load = connect(target).map_err(|error| process.explain(error))?;
        let mut racer = Racer::new(process, Course::Asked(load));
        racer.slice(slice / 2)?;
        Ok(Some(racer))
    }

    /// Measures one slice.
    pub(crate) fn slice(&mut self, slice: Duration) -> io::Result<Sample> {
        let sample = match &self.course {
            Course::Work(_) => self.work()?,
            Course::Asked(_) => self.serve(slice)?,
        };
        self.samples.push(sample);
        Ok(sample)
    }

    fn work(&mut self) -> io::Result<Sample> {
        let Course::Work(ops) = self.course else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let slice = self.process.slice(ops, PATIENCE)?;
        for (nanos, count) in slice.latencies {
            self.latencies.saturating_record_n(nanos, count);
        }
        Ok(Sample {
            ops: slice.ops,
            cpu: slice.cpu,
            wall: slice.wall,
        })
    }

    fn serve(&mut self, slice: Duration) -> io::Result<Sample> {
        let Course::Asked(load) = &mut self.course else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let before = self.process.cpu()?;
        let asked = load.slice(slice.as_micros() as u64, slice + PATIENCE);
        let asked = asked.map_err(|error| self.process.explain(error))?;
        let cpu = self.process.cpu()?.saturating_sub(before);
        for (nanos, count) in asked.latencies {
            self.latencies.saturating_record_n(nanos, count);
        }
        Ok(Sample {
            ops: asked.ops,
            cpu,
            wall: asked.wall,
        })
    }
}

/// A process that asks a server, connected.
fn connect(target: Target) -> io::Result<Process> {
    let mut load = Process::start("load", &Task::Load(target), None)?;
    match load.hear(PATIENCE)? {
        Message::Ready => Ok(load),
        other => Err(io::Error::other(format!(
            "the load generator began with {other:?}"
        ))),
    }
}

/// Starts a server with its socket, and tells how to ask it; `None` if this contender has none of that kind.
fn server(contender: &Contender, kind: &Kind) -> io::Result<Option<(Process, Target)>> {
    let (way, connections, message) = match *kind {
        Kind::Echo {
            connections,
            message,
        } => (Way::Tcp, connections, message),
        Kind::Idle { connections } => (Way::Tcp, connections, IDLE_MESSAGE),
        Kind::Churn { at_once, message } => (Way::Churn, at_once, message),
        Kind::Udp { clients, message } => (Way::Udp, clients, message),
        _ => return Ok(None),
    };
    let spec = EchoSpec {
        // Idle connections are those of a server that expects more than they have sent.
        message: match kind {
            Kind::Idle { .. } => IDLE_BUFFER,
            _ => message,
        },
        connections,
    };
    let (task, supported, socket): (_, _, OwnedFd) = match way {
        Way::Udp => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            (Task::Udp(spec), contender.udp_echo.is_some(), socket.into())
        }
        Way::Tcp | Way::Churn => (Task::Echo(spec), contender.echo.is_some(), listener()?),
    };
    if !supported {
        return Ok(None);
    }
    let socket = socket2::Socket::from(socket);
    let addr = socket.local_addr()?.as_socket_ipv4();
    let addr = addr.ok_or_else(|| io::Error::other("the socket has no IPv4 address"))?;
    let process = Process::start(contender.name, &task, Some(socket.into()))?;
    let target = Target {
        addr,
        connections,
        message,
        way,
    };
    Ok(Some((process, target)))
}

fn listener() -> io::Result<OwnedFd> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

const IDLE_MESSAGE: usize = 64;

/// What a read buffer holds, where connections have their own.
const IDLE_BUFFER: usize = 4096;

/// Bytes of anonymous memory that the server needs for a connection on which a message has been echoed.
pub(crate) fn idle_memory(contender: &Contender, kind: &Kind) -> io::Result<Option<f64>> {
    let Some((mut process, target)) = server(contender, kind)? else {
        return Ok(None);
    };
    let measure = || -> io::Result<f64> {
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
    };
    let measured = measure();
    measured.map(Some).map_err(|error| process.explain(error))
}

/// Bytes of anonymous memory an item, as the contender itself reports it.
pub(crate) fn work_memory(contender: &Contender, work: &Work) -> io::Result<Option<f64>> {
    let mut process = Process::start(contender.name, &Task::Work(work.clone()), None)?;
    // Some ask for a slice first, others do not.
    process.order(1)?;
    loop {
        match process.hear(PATIENCE)? {
            Message::Ready => {}
            Message::Memory {
                before,
                after,
                items,
            } => return Ok(Some(after.saturating_sub(before) as f64 / items as f64)),
            Message::Unsupported => return Ok(None),
            other => {
                return Err(io::Error::other(format!(
                    "it said {other:?}, not its memory"
                )));
            }
        }
    }
}
