//! One step of rustls's state machine, for both sides.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedConnectionCommon,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error};

use crate::buffers::{Incoming, Outgoing, Plain};

/// What a record adds to the bytes in it, with any version and cipher: a first guess that saves asking.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;
/// How many bytes are in a record at most.
const RECORD_MAX: usize = 16 * 1024;

/// The connection as rustls has it.
pub(crate) enum Engine {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What rustls works on.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) incoming: Incoming,
    pub(crate) plain: Plain,
    pub(crate) outgoing: Outgoing,
}

#[cfg(test)]
impl Buffers {
    pub(crate) fn memory(&self) -> usize {
        self.incoming.memory() + self.plain.memory() + self.outgoing.memory()
    }
}

/// What a step is made for.
pub(crate) enum Goal<'a> {
    /// To decrypt: this takes the bytes of a record, and says how many it took. The rest is kept.
    Read(&'a mut dyn FnMut(&[u8]) -> usize),
    /// To encrypt these bytes.
    Encrypt(&'a [u8]),
    /// To tell the peer that nothing more will come.
    Close,
    /// To learn what is to be sent.
    Advance,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done, and there may be more to do.
    Again,
    /// A record was decrypted, and so many of its bytes were taken.
    Record(usize),
    /// What was to be encrypted is, or the close_notify.
    Encrypted,
    /// More must be received first. It is so, too, when everything was done that there was to do.
    Waits,
    /// The peer has said that nothing more will come.
    PeerClosed,
    /// Both sides have.
    Closed,
}

impl Engine {
    /// Makes one step. After an error the records to tell the peer of it are among what is to be sent.
    pub(crate) fn step(
        &mut self,
        buffers: &mut Buffers,
        goal: &mut Goal<'_>,
    ) -> Result<Step, Error> {
        let stepped = self.step_once(buffers, goal);
        if stepped.is_err() {
            // It gives these before it looks at the records again, which it must not after an error.
            while self.state().wants_write() {
                if self.step_once(buffers, &mut Goal::Advance).is_err() {
                    break;
                }
            }
        }
        stepped
    }

    /// All that rustls tells of the connection.
    pub(crate) fn state(&self) -> &CommonState {
        match self {
            Engine::Client(connection) => connection,
            Engine::Server(connection) => connection,
        }
    }

    fn step_once(&mut self, buffers: &mut Buffers, goal: &mut Goal<'_>) -> Result<Step, Error> {
        match self {
            Engine::Client(connection) => step::<ClientConnectionData>(connection, buffers, goal),
            Engine::Server(connection) => step::<ServerConnectionData>(connection, buffers, goal),
        }
    }
}

/// A side of a connection: both have the method, but no trait of rustls's does.
trait Side: Sized {
    fn process<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self>;
}

impl Side for ClientConnectionData {
    fn process<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self> {
        connection.process_tls_records(records)
    }
}

impl Side for ServerConnectionData {
    fn process<'c, 'i>(
        connection: &'c mut UnbufferedConnectionCommon<Self>,
        records: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self> {
        connection.process_tls_records(records)
    }
}

fn step<D: Side>(
    connection: &mut UnbufferedConnectionCommon<D>,
    buffers: &mut Buffers,
    goal: &mut Goal<'_>,
) -> Result<Step, Error> {
    let Buffers {
        incoming,
        plain,
        outgoing,
    } = buffers;
    let UnbufferedStatus { mut discard, state } = D::process(connection, incoming.records());
    let handled = match state {
        Ok(state) => handle(state, &mut discard, plain, outgoing, goal),
        Err(error) => Err(error),
    };
    incoming.discard(discard);
    handled
}

/// Does what the state asks for.
fn handle<D>(
    state: ConnectionState<'_, '_, D>,
    discard: &mut usize,
    plain: &mut Plain,
    outgoing: &mut Outgoing,
    goal: &mut Goal<'_>,
) -> Result<Step, Error> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            let mut step = Step::Again;
            while let Some(record) = traffic.next_record() {
                let record = record?;
                *discard += record.discard;
                let taken = match goal {
                    Goal::Read(take) if step == Step::Again => {
                        let taken = take(record.payload).min(record.payload.len());
                        step = Step::Record(taken);
                        taken
                    }
                    _ => 0,
                };
                plain.push(&record.payload[taken..]);
            }
            Ok(step)
        }
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing),
        ConnectionState::TransmitTlsData(data) => {
            // They are as good as sent: whatever is sent later is sent behind them.
            data.done();
            Ok(Step::Again)
        }
        ConnectionState::WriteTraffic(traffic) => write(traffic, outgoing, goal),
        ConnectionState::BlockedHandshake => Ok(Step::Waits),
        ConnectionState::PeerClosed => Ok(Step::PeerClosed),
        ConnectionState::Closed => Ok(Step::Closed),
        ConnectionState::ReadEarlyData(_) => {
            Err(Error::General("early data, which is switched off".into()))
        }
        _ => Err(Error::General(
            "a state of rustls that saferring-tls does not know".into(),
        )),
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut Outgoing) -> Result<Step, Error> {
    let required = |error: &EncodeError| match error {
        EncodeError::InsufficientSize(size) => Some(size.required_size),
        EncodeError::AlreadyEncoded => None,
    };
    outgoing
        .append(0, |room| data.encode(room), required)
        .map_err(|error| Error::General(error.to_string()))?;
    Ok(Step::Again)
}

fn write<D>(
    mut traffic: WriteTraffic<'_, D>,
    outgoing: &mut Outgoing,
    goal: &Goal<'_>,
) -> Result<Step, Error> {
    let required = |error: &EncryptError| match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    };
    let written = match goal {
        Goal::Read(_) | Goal::Advance => return Ok(Step::Waits),
        Goal::Encrypt(bytes) => {
            let room = bytes.len() + bytes.len().div_ceil(RECORD_MAX) * RECORD_OVERHEAD;
            outgoing.append(room, |room| traffic.encrypt(bytes, room), required)
        }
        Goal::Close => outgoing.append(
            RECORD_OVERHEAD,
            |room| traffic.queue_close_notify(room),
            required,
        ),
    };
    match written {
        Ok(()) => Ok(Step::Encrypted),
        Err(error) => Err(Error::General(error.to_string())),
    }
}
