//! The load generator, in a process of its own for each server: one request in flight on each connection, the next as
//! soon as the answer is there.
//!
//! All requests and answers of a turn of its ring are timed together, by one look at the clock: when the answers were
//! seen, and when the next requests were about to be sent.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use io_uring::{opcode, squeue, types};
use serde::{Deserialize, Serialize};

use crate::contender::Done;
use crate::control::{Control, histogram};
use crate::raw::ring::{Memory, POLL_FIRST, Queues, Ring, result};
use crate::talk::{self, Talk, Verb};
use crate::web::{Web, wrk};

/// A server that answers nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of so many requests, the bytes of one answer are looked at.
const SAMPLED: u64 = 64;

/// Whom to ask, and how.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddrV4,
    pub(crate) connections: usize,
    pub(crate) message: usize,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Tcp,
    Udp,
    /// A connection for each request.
    Churn,
    /// Of a server that has both cores, as this has.
    TwoCores,
    /// As this wants to be spoken to.
    Web(Web),
    /// Gets or sets keys by the protocol of redis, so many requests at once on a connection.
    Keys(Verb, usize),
}

/// Asks in the way that the target wants it.
pub(crate) fn run(target: Target, control: Control) -> io::Result<Done> {
    match target.way {
        Way::Web(web) if web.scheme().is_some() => wrk::run(target, web, control),
        _ => ask(target, control),
    }
}

/// Connects, and then asks in slices, of so many microseconds each, that [`Control::next`] tells; each connection has
/// one request at least, even in a slice of none.
fn ask(target: Target, mut control: Control) -> io::Result<Done> {
    let mut load = Load::new(target)?;
    let mut latencies = histogram();
    while let Some(micros) = control.next() {
        let meter = control.start();
        let requests = load.drive(Duration::from_micros(micros), &mut latencies)?;
        control.report(meter, requests * load.lane.talk.ops, Some(&latencies));
        latencies.reset();
    }
    Ok(Done::Ended)
}

/// A connection to the server; of churn, none yet.
fn client(target: Target, index: usize) -> io::Result<Option<OwnedFd>> {
    Ok(match target.way {
        Way::Tcp | Way::TwoCores | Way::Web(_) => Some(connected(target.addr)?.into()),
        Way::Keys(..) => {
            let stream = connected(target.addr)?;
            talk::set_key(&stream, index, target.message)?;
            Some(stream.into())
        }
        Way::Udp => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(target.addr)?;
            Some(socket.into())
        }
        Way::Churn => None,
    })
}

/// A connection to a server that listens, or soon will.
fn connected(addr: SocketAddrV4) -> io::Result<TcpStream> {
    let started = Instant::now();
    loop {
        match TcpStream::connect_timeout(&addr.into(), PATIENCE) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && started.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Connections to one server, and memory for what they move.
struct Load {
    ring: Ring,
    lane: Lane,
    clients: Vec<Option<OwnedFd>>,
}

/// In the user data, beside the client: the answer is looked at.
const SAMPLE: u64 = 1 << 63;

impl Load {
    fn new(target: Target) -> io::Result<Self> {
        let connections = target.connections;
        let talk = Talk::new(target);
        let completions = (2 * connections).next_power_of_two().clamp(4096, 32_768);
        let lane = Lane {
            target,
            requests: Memory::map(talk.requests.len())?,
            answers: Memory::map(connections * talk.answer.len())?,
            address: Memory::map(size_of::<libc::sockaddr_in>())?,
            talk,
            asked: 0,
        };
        let address = socket_address(target.addr);
        // SAFETY: nothing has been submitted yet, and a socket address is plain bytes.
        unsafe {
            lane.requests.write(0, &lane.talk.requests);
            let bytes = (&raw const address).cast::<u8>();
            let bytes = std::slice::from_raw_parts(bytes, size_of_val(&address));
            lane.address.write(0, bytes);
        }
        let clients = (0..connections).map(|index| client(target, index));
        Ok(Load {
            ring: Ring::sized(256, completions as u32)?,
            lane,
            clients: clients.collect::<io::Result<_>>()?,
        })
    }

    /// Keeps a request going with each client, and records how long the answers take, in nanoseconds; returns how many
    /// there were. Clients that churn close first, and regularly.
    fn drive(&mut self, time: Duration, latencies: &mut Histogram<u64>) -> io::Result<u64> {
        let Load {
            ring,
            lane,
            clients,
        } = self;
        let churn = lane.target.way == Way::Churn;
        let mut queues = ring.queues();
        let started = Instant::now();
        let mut sent_at = vec![started; clients.len()];
        for (index, client) in clients.iter_mut().enumerate() {
            lane.ask(&mut queues, client, index)?;
        }
        let (mut in_flight, mut done) = (clients.len(), 0);
        let mut heard = started;
        while in_flight > 0 {
            queues.turn_within(1, PATIENCE)?;
            let now = Instant::now();
            let go_on = now - started < time;
            while let Some(cqe) = queues.next() {
                let data = cqe.user_data();
                heard = now;
                // What else succeeds says nothing, so this is an answer, or an error of any.
                let n = result(&cqe)?;
                let index = (data & !SAMPLE) as usize;
                lane.check(index, n, data & SAMPLE != 0)?;
                latencies.saturating_record((now - sent_at[index]).as_nanos() as u64);
                done += 1;
                if churn {
                    clients[index] = None;
                }
                if go_on {
                    sent_at[index] = now;
                    lane.ask(&mut queues, &mut clients[index], index)?;
                } else {
                    in_flight -= 1;
                }
            }
            if now - heard >= PATIENCE {
                return Err(hangs());
            }
        }
        Ok(done)
    }
}

fn hangs() -> io::Error {
    io::Error::other(format!("it hangs: no answer for {} s", PATIENCE.as_secs()))
}

fn socket_address(addr: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: addr.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(addr.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

/// A socket bound to the loopback address of its client, so that ports in TIME_WAIT do not run out; the port is chosen
/// when it connects.
fn unconnected(index: usize) -> io::Result<OwnedFd> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads as many bytes as it is told, of an integer that lives across the call. If it refuses,
    // ports are chosen too early, and run out sooner.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    socket.set_tcp_nodelay(true)?;
    let ip = Ipv4Addr::new(127, 0, 1 + (index / 200) as u8, 2 + (index % 200) as u8);
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    Ok(socket.into())
}

/// What requests and answers are made of.
struct Lane {
    target: Target,
    talk: Talk,
    requests: Memory,
    /// A part for each client's answer.
    answers: Memory,
    /// The server's address, for connects.
    address: Memory,
    /// How often.
    asked: u64,
}

impl Lane {
    /// The user data of the next request. Of some the memory is cleared, so that an old answer is not taken for the
    /// new.
    #[inline]
    fn next_data(&mut self, index: usize) -> u64 {
        self.asked += 1;
        if !self.asked.is_multiple_of(SAMPLED) {
            return index as u64;
        }
        let len = self.talk.answer.len();
        let to = self.answers.at(index * len, len);
        // SAFETY: this is in the mapping, and no receive into it is in flight: this client's has ended.
        unsafe { to.write_bytes(0, len) };
        index as u64 | SAMPLE
    }

    /// One request, and the receive of its answer; of one who is not connected, with the connect before.
    #[inline]
    fn ask(
        &mut self,
        queues: &mut Queues<'_>,
        client: &mut Option<OwnedFd>,
        index: usize,
    ) -> io::Result<()> {
        let data = self.next_data(index);
        let Talk { len, stride, .. } = self.talk;
        let request = self.requests.at(index * stride, len);
        let (fd, link) = match client {
            Some(fd) => (types::Fd(fd.as_raw_fd()), squeue::Flags::empty()),
            None => {
                let fd = types::Fd(client.insert(unconnected(index)?).as_raw_fd());
                self.connect(queues, fd, data)?;
                (fd, squeue::Flags::IO_LINK)
            }
        };
        let send = opcode::Send::new(fd, request, len as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS | link)
            .user_data(data);
        let len = self.talk.answer.len();
        let to = self.answers.at(index * len, len);
        let recv = opcode::Recv::new(fd, to, len as u32)
            .ioprio(POLL_FIRST)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(data);
        // SAFETY: both point to memory that is never unmapped. The request is only read; a client's part is written by
        // one receive at a time, because a client sends its next request after the answer.
        unsafe {
            queues.push(&send)?;
            queues.push(&recv)
        }
    }

    fn connect(&self, queues: &mut Queues<'_>, fd: types::Fd, data: u64) -> io::Result<()> {
        let len = size_of::<libc::sockaddr_in>();
        let connect = opcode::Connect::new(fd, self.address.at(0, len).cast(), len as u32)
            .build()
            .flags(squeue::Flags::IO_LINK | squeue::Flags::SKIP_SUCCESS)
            .user_data(data);
        // SAFETY: the address is in memory that is never unmapped, and does not change.
        unsafe { queues.push(&connect) }
    }

    #[inline]
    fn check(&self, index: usize, n: usize, sampled: bool) -> io::Result<()> {
        let answer = &self.talk.answer;
        let len = answer.len();
        if n != len {
            return Err(io::Error::other(format!(
                "the connection ended after {n} of {len} bytes"
            )));
        }
        // SAFETY: the receive of this answer has ended, and the next has not been submitted.
        if sampled && !unsafe { self.answers.holds(index * len, answer) } {
            return Err(io::Error::other("its answer is wrong"));
        }
        Ok(())
    }
}
