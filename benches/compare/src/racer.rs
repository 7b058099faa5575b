//! One contender while a workload is measured.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cells::{Cell, Kind};
use crate::child::Task;
use crate::contender::{Contender, EchoSpec, Work};
use crate::control::Message;
use crate::data;
use crate::load::{Clients, Load, Until};
use crate::process::Process;

/// How long setting up may take, and a slice beyond its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Latencies up to a minute, three digits of them.
pub(crate) fn histogram() -> Histogram<u64> {
    // Only bounds that make no sense are refused.
    Histogram::new_with_max(60_000_000_000, 3).unwrap_or_else(|_| Histogram::new(3).unwrap())
}

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
    Clients(Clients),
    Churn {
        addr: SocketAddrV4,
        at_once: usize,
        message: usize,
    },
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
        load: Option<&mut Load>,
        slice: Duration,
    ) -> io::Result<Option<Self>> {
        let started = match (&cell.kind, load) {
            (Kind::Work(work), _) => Racer::start_work(contender, work, None, slice)?,
            (Kind::Long(work, ops), _) => Racer::start_work(contender, work, Some(*ops), slice)?,
            (_, Some(load)) => Racer::start_server(contender, cell, load, slice)?,
            (_, None) => return Err(io::Error::other("there is no load generator")),
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
        cell: &Cell,
        load: &mut Load,
        slice: Duration,
    ) -> io::Result<Option<Self>> {
        let Some((mut process, addr)) = server(contender, &cell.kind)? else {
            return Ok(None);
        };
        let course = match cell.kind {
            Kind::Echo {
                connections,
                message,
            } => Clients::tcp(addr.into(), connections, message).map(Course::Clients),
            Kind::Udp { clients, message } => {
                Clients::udp(addr.into(), clients, message).map(Course::Clients)
            }
            Kind::Churn { at_once, message } => Ok(Course::Churn {
                addr,
                at_once,
                message,
            }),
            _ => Err(io::Error::other("this is no workload for a server")),
        };
        let course = course.map_err(|error| process.explain(error))?;
        let mut racer = Racer::new(process, course);
        racer.slice(Some(load), slice / 2)?;
        Ok(Some(racer))
    }

    /// Measures one slice.
    pub(crate) fn slice(&mut self, load: Option<&mut Load>, slice: Duration) -> io::Result<Sample> {
        let sample = match (&self.course, load) {
            (Course::Work(_), _) => self.work()?,
            (_, Some(load)) => self.serve(load, slice)?,
            (_, None) => return Err(io::Error::other("there is no load generator")),
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

    fn serve(&mut self, load: &mut Load, slice: Duration) -> io::Result<Sample> {
        let until = Until::Elapsed(slice);
        let before = self.process.cpu()?;
        let latencies = &mut self.latencies;
        let driven = match &self.course {
            Course::Clients(clients) => load.drive(clients, until, latencies),
            Course::Churn {
                addr,
                at_once,
                message,
            } => load.churn(*addr, *at_once, *message, until, latencies),
            Course::Work(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        let driven = driven.map_err(|error| self.process.explain(error))?;
        Ok(Sample {
            ops: driven.requests,
            cpu: self.process.cpu()?.saturating_sub(before),
            wall: driven.wall,
        })
    }
}

/// Starts a server with its socket; `None` if this contender has none of that kind.
fn server(contender: &Contender, kind: &Kind) -> io::Result<Option<(Process, SocketAddrV4)>> {
    let (task, supported, socket): (_, _, OwnedFd) = match *kind {
        Kind::Udp { clients, message } => {
            let spec = EchoSpec {
                message,
                connections: clients,
            };
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            (Task::Udp(spec), contender.udp_echo.is_some(), socket.into())
        }
        Kind::Echo {
            connections,
            message,
        }
        | Kind::Churn {
            at_once: connections,
            message,
        } => {
            let spec = EchoSpec {
                message,
                connections,
            };
            (Task::Echo(spec), contender.echo.is_some(), listener()?)
        }
        Kind::Idle { connections } => {
            let spec = EchoSpec {
                message: IDLE_MESSAGE,
                connections,
            };
            (Task::Echo(spec), contender.echo.is_some(), listener()?)
        }
        _ => return Ok(None),
    };
    if !supported {
        return Ok(None);
    }
    let socket = socket2::Socket::from(socket);
    let addr = socket.local_addr()?.as_socket_ipv4();
    let addr = addr.ok_or_else(|| io::Error::other("the socket has no IPv4 address"))?;
    let process = Process::start(contender.name, &task, Some(socket.into()))?;
    Ok(Some((process, addr)))
}

fn listener() -> io::Result<OwnedFd> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

pub(crate) const IDLE_MESSAGE: usize = 64;

/// Bytes of anonymous memory that the server needs for a connection on which a message has been echoed.
pub(crate) fn idle_memory(
    contender: &Contender,
    cell: &Cell,
    connections: usize,
    load: &mut Load,
) -> io::Result<Option<f64>> {
    let Some((mut process, addr)) = server(contender, &cell.kind)? else {
        return Ok(None);
    };
    let mut measure = || -> io::Result<f64> {
        let mut ignored = histogram();
        // With the first ones, what all share is made.
        let first = Clients::tcp(addr.into(), 4, IDLE_MESSAGE)?;
        load.drive(&first, Until::OneEach, &mut ignored)?;
        let before = process.memory()?;
        let clients = Clients::tcp(addr.into(), connections, IDLE_MESSAGE)?;
        load.drive(&clients, Until::OneEach, &mut ignored)?;
        let after = process.memory()?;
        Ok(after.saturating_sub(before) as f64 / connections as f64)
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
