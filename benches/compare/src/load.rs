//! The load generator, in a process of its own for each server: one request in flight on each connection, the next as soon as the answer is there.
//!
//! All requests and answers of a turn of its ring are timed together, by one look at the clock: when the answers were
//! seen, and when the next requests were about to be sent.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use io_uring::{opcode, squeue, types};
use saferring_benches::raw::{Memory, POLL_FIRST, Queues, Ring, result};
use serde::{Deserialize, Serialize};

use crate::control::{Control, histogram};

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
}

/// Connects, and then asks in slices, of so many microseconds each, that [`Control::next`] tells; each connection has one
/// request at least, even in a slice of none.
pub(crate) fn run(target: Target, mut control: Control) -> io::Result<()> {
    let mut load = Load::new(target)?;
    let clients = match target.way {
        Way::Tcp => Clients::tcp(target)?,
        Way::Udp => Clients::udp(target)?,
        Way::Churn => Clients::none(target),
    };
    let mut latencies = histogram();
    while let Some(micros) = control.next() {
        let time = Duration::from_micros(micros);
        let meter = control.start();
        let requests = match target.way {
            Way::Tcp | Way::Udp => load.drive(&clients, time, &mut latencies)?,
            Way::Churn => load.churn(target, time, &mut latencies)?,
        };
        control.report(meter, requests, Some(&latencies));
        latencies.reset();
    }
    Ok(())
}

/// The connections to one server.
#[derive(Debug)]
struct Clients {
    fds: Vec<OwnedFd>,
    message: usize,
}

impl Clients {
    /// Connects one by one.
    fn tcp(target: Target) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect_timeout(&target.addr.into(), PATIENCE)?;
            stream.set_nodelay(true)?;
            Ok(stream.into())
        };
        Clients::connect(target, connect)
    }

    fn udp(target: Target) -> io::Result<Self> {
        let connect = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(target.addr)?;
            Ok(socket.into())
        };
        Clients::connect(target, connect)
    }

    fn connect(target: Target, connect: impl Fn(usize) -> io::Result<OwnedFd>) -> io::Result<Self> {
        let fds = (0..target.connections).map(connect);
        Ok(Clients {
            fds: fds.collect::<io::Result<_>>()?,
            message: target.message,
        })
    }

    fn none(target: Target) -> Self {
        Clients {
            fds: Vec::new(),
            message: target.message,
        }
    }
}

/// A ring, and memory for what it moves.
#[derive(Debug)]
struct Load {
    ring: Ring,
    request: Memory,
    /// A place for each connection's answer.
    answers: Memory,
    /// The server's address, for connects.
    address: Memory,
    requests: u64,
}

/// In the user data, beside the place: the answer is looked at.
const SAMPLE: u64 = 1 << 63;

impl Load {
    fn new(target: Target) -> io::Result<Self> {
        let Target {
            connections,
            message,
            ..
        } = target;
        let request = Memory::map(message)?;
        let text: Vec<u8> = (0..message).map(|i| (i * 7 + i / 251) as u8 | 1).collect();
        // SAFETY: nothing has been submitted yet.
        unsafe { request.write(0, &text) };
        let completions = (2 * connections).next_power_of_two().clamp(4096, 32_768);
        Ok(Load {
            ring: Ring::sized(256, completions as u32)?,
            request,
            answers: Memory::map(connections * message)?,
            address: Memory::map(size_of::<libc::sockaddr_in>())?,
            requests: 0,
        })
    }

    /// Keeps a request going on each connection, and records how long the answers take, in nanoseconds; returns how many
    /// there were.
    fn drive(
        &mut self,
        clients: &Clients,
        time: Duration,
        latencies: &mut Histogram<u64>,
    ) -> io::Result<u64> {
        let message = clients.message;
        let mut lane = Lane {
            queues: self.ring.queues(),
            request: &self.request,
            answers: &self.answers,
            message,
            requests: &mut self.requests,
        };
        let started = Instant::now();
        let mut sent_at = vec![started; clients.fds.len()];
        for place in 0..clients.fds.len() {
            lane.ask(clients, place)?;
        }
        let (mut in_flight, mut done) = (clients.fds.len(), 0);
        let mut heard = started;
        while in_flight > 0 {
            lane.queues.turn_within(1, PATIENCE)?;
            let now = Instant::now();
            let go_on = now - started < time;
            while let Some(cqe) = lane.queues.next() {
                let data = cqe.user_data();
                heard = now;
                // Sends that succeed say nothing, so this is an answer, or an error of either.
                let n = result(&cqe)?;
                let place = (data & !SAMPLE) as usize;
                lane.check(place, n, data & SAMPLE != 0)?;
                latencies.saturating_record((now - sent_at[place]).as_nanos() as u64);
                done += 1;
                if go_on {
                    sent_at[place] = now;
                    lane.ask(clients, place)?;
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

    /// Connects, exchanges one message and closes, so many at a time; the client closes first, and regularly. Connections
    /// have source addresses of their own for each place, so that ports in TIME_WAIT do not run out. Returns how many there
    /// were.
    fn churn(
        &mut self,
        target: Target,
        time: Duration,
        latencies: &mut Histogram<u64>,
    ) -> io::Result<u64> {
        let at_once = target.connections;
        let mut lane = Lane {
            queues: self.ring.queues(),
            request: &self.request,
            answers: &self.answers,
            message: target.message,
            requests: &mut self.requests,
        };
        let address = socket_address(target.addr);
        // SAFETY: a socket address is plain bytes; connects of earlier calls have ended or have copied it when submitted.
        unsafe {
            let bytes = (&raw const address).cast::<u8>();
            let bytes = std::slice::from_raw_parts(bytes, size_of_val(&address));
            self.address.write(0, bytes);
        }
        let started = Instant::now();
        let mut open: Vec<Option<(OwnedFd, Instant)>> = Vec::new();
        for place in 0..at_once {
            let socket = client_socket(place)?;
            lane.visit(&socket, &self.address, place)?;
            open.push(Some((socket, started)));
        }
        let (mut in_flight, mut done) = (at_once, 0);
        let mut heard = started;
        while in_flight > 0 {
            lane.queues.turn_within(1, PATIENCE)?;
            let now = Instant::now();
            let go_on = now - started < time;
            while let Some(cqe) = lane.queues.next() {
                let data = cqe.user_data();
                heard = now;
                let n = result(&cqe)?;
                let place = (data & !SAMPLE) as usize;
                lane.check(place, n, data & SAMPLE != 0)?;
                if let Some((_, since)) = open[place].take() {
                    latencies.saturating_record((now - since).as_nanos() as u64);
                }
                done += 1;
                if go_on {
                    let socket = client_socket(place)?;
                    lane.visit(&socket, &self.address, place)?;
                    open[place] = Some((socket, now));
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

/// A socket bound to the loopback address of its place, whose port is chosen when it connects.
fn client_socket(place: usize) -> io::Result<OwnedFd> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads as many bytes as it is told, of an integer that lives across the call. If it refuses, ports
    // are chosen too early, and run out sooner.
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
    let ip = Ipv4Addr::new(127, 0, 1 + (place / 200) as u8, 2 + (place % 200) as u8);
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    Ok(socket.into())
}

/// The ring and the memory during a slice.
struct Lane<'a> {
    queues: Queues<'a>,
    request: &'a Memory,
    answers: &'a Memory,
    message: usize,
    requests: &'a mut u64,
}

impl Lane<'_> {
    /// The user data of the next request. Of some the place is cleared, so that an old answer is not taken for the new.
    #[inline]
    fn next_data(&mut self, place: usize) -> u64 {
        *self.requests += 1;
        let data = place as u64;
        if !self.requests.is_multiple_of(SAMPLED) {
            return data;
        }
        let to = self.answers.at(place * self.message, self.message);
        // SAFETY: the place is in the mapping, and no receive into it is in flight: this connection's has ended.
        unsafe { to.write_bytes(0, self.message) };
        data | SAMPLE
    }

    /// One request, and the receive of its answer.
    #[inline]
    fn ask(&mut self, clients: &Clients, place: usize) -> io::Result<()> {
        let fd = types::Fd(clients.fds[place].as_raw_fd());
        let data = self.next_data(place);
        let (send, recv) = self.exchange(fd, place, data);
        // SAFETY: both point to memory that is never unmapped. The request is only read; the place is written by one
        // receive at a time, because a client sends its next request after the answer.
        unsafe {
            self.queues.push(&send)?;
            self.queues.push(&recv)
        }
    }

    /// One connection: connect, send, receive.
    fn visit(&mut self, socket: &OwnedFd, address: &Memory, place: usize) -> io::Result<()> {
        let fd = types::Fd(socket.as_raw_fd());
        let data = self.next_data(place);
        let len = size_of::<libc::sockaddr_in>();
        let connect = opcode::Connect::new(fd, address.at(0, len).cast(), len as u32)
            .build()
            .flags(squeue::Flags::IO_LINK | squeue::Flags::SKIP_SUCCESS)
            .user_data(data);
        let (send, recv) = self.exchange(fd, place, data);
        // SAFETY: as in `ask`; the address is in memory that is never unmapped, too.
        unsafe {
            self.queues.push(&connect)?;
            self.queues.push(&send.flags(squeue::Flags::IO_LINK))?;
            self.queues.push(&recv)
        }
    }

    #[inline]
    fn exchange(&self, fd: types::Fd, place: usize, data: u64) -> (squeue::Entry, squeue::Entry) {
        let len = self.message as u32;
        let send = opcode::Send::new(fd, self.request.at(0, self.message), len)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(data);
        let to = self.answers.at(place * self.message, self.message);
        let recv = opcode::Recv::new(fd, to, len)
            .ioprio(POLL_FIRST)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(data);
        (send, recv)
    }

    #[inline]
    fn check(&self, place: usize, n: usize, sampled: bool) -> io::Result<()> {
        if n != self.message {
            return Err(io::Error::other(format!(
                "the connection ended after {n} of {} bytes",
                self.message
            )));
        }
        if sampled {
            // SAFETY: the request is never written again.
            let sent = unsafe {
                std::slice::from_raw_parts(self.request.at(0, self.message), self.message)
            };
            // SAFETY: the receive into the place has ended, and the next has not been submitted.
            if !unsafe { self.answers.holds(place * self.message, sent) } {
                return Err(io::Error::other("it does not echo what it gets"));
            }
        }
        Ok(())
    }
}
