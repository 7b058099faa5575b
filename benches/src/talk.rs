//! What the load generator says to a server, and what it has to hear.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::load::{Target, Way};

/// What a request of the protocol of redis does. All set the key before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Verb {
    Get,
    Set,
}

pub(crate) struct Talk {
    /// Of one client after the other, or one for all.
    pub(crate) requests: Vec<u8>,
    /// Bytes of a request.
    pub(crate) len: usize,
    /// From one client's request to the next one's.
    pub(crate) stride: usize,
    pub(crate) answer: Vec<u8>,
    /// Operations that a request stands for.
    pub(crate) ops: u64,
}

impl Talk {
    pub(crate) fn new(target: Target) -> Self {
        let text = text(target.message);
        let (verb, batch) = match target.way {
            Way::Keys(verb, batch) => (verb, batch),
            Way::Web(_) => return Talk::echo(frame(&text)),
            _ => return Talk::echo(text),
        };
        let request = |client| match verb {
            Verb::Get => command(&[b"GET", &key(client)]),
            Verb::Set => command(&[b"SET", &key(client), &text]),
        };
        let requests: Vec<u8> = (0..target.connections)
            .flat_map(|client| request(client).repeat(batch))
            .collect();
        let answer = match verb {
            Verb::Get => bulk(&text),
            Verb::Set => OK.into(),
        };
        let len = requests.len() / target.connections;
        Talk {
            requests,
            len,
            stride: len,
            answer: answer.repeat(batch),
            ops: batch as u64,
        }
    }

    /// The same for all, and it comes back as it is.
    fn echo(request: Vec<u8>) -> Self {
        Talk {
            requests: request.clone(),
            len: request.len(),
            stride: 0,
            answer: request,
            ops: 1,
        }
    }
}

const OK: &[u8] = b"+OK\r\n";

/// Sets a client's key.
pub(crate) fn set_key(mut stream: &TcpStream, client: usize, message: usize) -> io::Result<()> {
    stream.write_all(&command(&[b"SET", &key(client), &text(message)]))?;
    let mut answer = [0; OK.len()];
    stream.read_exact(&mut answer)?;
    match answer == OK {
        true => Ok(()),
        false => Err(io::Error::other("it does not set a key")),
    }
}

/// As many bytes, none of them zero, nor the end of a line.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8 | 0x11).collect()
}

/// All of the same length.
fn key(client: usize) -> Vec<u8> {
    format!("key:{client:012}").into_bytes()
}

/// With its length before it, as `LengthDelimitedCodec` has it.
fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let head = format!("*{}\r\n", words.len()).into_bytes();
    let words: Vec<Vec<u8>> = words.iter().map(|word| bulk(word)).collect();
    [head, words.concat()].concat()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::*;
    use crate::web::Web;

    fn talk(way: Way) -> Talk {
        Talk::new(Target {
            addr: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            connections: 2,
            message: 3,
            way,
        })
    }

    #[test]
    fn an_echo_is_its_request() {
        let talk = talk(Way::Tcp);
        assert_eq!((talk.len, talk.stride, talk.ops), (3, 0, 1));
        assert_eq!(talk.requests, talk.answer);
    }

    #[test]
    fn a_frame_has_its_length_before_it() {
        let talk = talk(Way::Web(Web::Frames));
        let frame = [&[0, 0, 0, 3], &text(3)[..]].concat();
        assert_eq!(
            (talk.requests, talk.answer, talk.len),
            (frame.clone(), frame, 7)
        );
    }

    #[test]
    fn each_client_has_a_key() {
        let talk = talk(Way::Keys(Verb::Get, 2));
        let (first, second) = talk.requests.split_at(talk.stride);
        let get = |client| format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:00000000000{client}\r\n");
        assert_eq!(first, get(0).repeat(2).as_bytes());
        assert_eq!(second, get(1).repeat(2).as_bytes());
        let value = [b"$3\r\n", &text(3)[..], b"\r\n"].concat();
        assert_eq!((talk.answer, talk.ops), (value.repeat(2), 2));
    }

    #[test]
    fn a_set_is_acknowledged() {
        let talk = talk(Way::Keys(Verb::Set, 1));
        let value = String::from_utf8(text(3)).expect("below 128");
        let set = format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\n{value}\r\n");
        assert_eq!(&talk.requests[..talk.len], set.as_bytes());
        assert_eq!(talk.answer, b"+OK\r\n");
    }
}
