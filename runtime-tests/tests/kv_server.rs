//! The example `kv_server`, as a process of its own: what it answers, byte for byte as redis 7.0.15 does; what is left of what it has
//! answered when it is killed, when its log is cut short and when the disk is full; and clients that mean it no good.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;

use saferring_tests::{Killed, Random, bounded, example, first_line, rounds, spin_until};

/// A server that ends, by a kill, when it is dropped.
struct Server {
    process: Killed,
    addr: SocketAddr,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        Server::start_with(args, |_| ())
    }

    fn start_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Server {
        let mut command = Command::new(example("kv_server"));
        command.args(args).stdout(Stdio::piped());
        prepare(&mut command);
        let mut process = Killed(command.spawn().unwrap());
        let line = first_line(&mut process.0);
        let addr = line.strip_prefix("listening on ").unwrap_or_else(|| {
            let _ = process.0.kill();
            panic!("it says: {line}")
        });
        Server {
            addr: addr.parse().unwrap(),
            process,
        }
    }

    fn client(&self) -> Client {
        Client(TcpStream::connect(self.addr).unwrap())
    }

    fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Sends it, and fails if something else than this comes.
    #[track_caller]
    fn expect(&mut self, sent: &[u8], expected: &[u8]) {
        self.send(sent);
        let mut answer = vec![0; expected.len()];
        let mut read = 0;
        while read < answer.len() && expected.starts_with(&answer[..read]) {
            match self.0.read(&mut answer[read..]).unwrap() {
                0 => break,
                n => read += n,
            }
        }
        let answer = answer[..read].escape_ascii().to_string();
        let asked = sent[..sent.len().min(500)].escape_ascii();
        assert_eq!(answer, expected.escape_ascii().to_string(), "to {asked}");
    }

    /// One answer that is no list; `None` if the server is gone.
    fn answer(&mut self) -> Option<Vec<u8>> {
        let (mut line, mut byte) = (Vec::new(), [0; 1]);
        while !line.ends_with(b"\r\n") {
            if !matches!(self.0.read(&mut byte), Ok(1)) {
                return None;
            }
            line.push(byte[0]);
        }
        if line[0] == b'$' && line != b"$-1\r\n" {
            let len: usize = text(&line[1..line.len() - 2]).parse().unwrap();
            let mut bulk = vec![0; len + 2];
            self.0.read_exact(&mut bulk).ok()?;
            line.extend(bulk);
        }
        Some(line)
    }

    fn ask(&mut self, args: &[&str]) -> Option<Vec<u8>> {
        self.0.write_all(&request(args)).ok()?;
        self.answer()
    }

    /// A field of INFO, as a number or not.
    fn info(&mut self, field: &str) -> String {
        let all = self.ask(&["INFO"]).unwrap();
        let field = format!("{field}:");
        let mut lines = text(&all).lines();
        let line = lines.find_map(|line| line.strip_prefix(&field));
        line.unwrap_or_else(|| panic!("{field} is missing in {}", text(&all)))
            .to_owned()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn request<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(bulk(arg.as_ref()));
    }
    bytes
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A folder that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = format!("saferring-kv-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The log of a server with one core, which has been started once.
    fn log(&self) -> PathBuf {
        self.0.join("1.1").join("0.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is sent, and what comes back, as redis answers it.
const CONVERSATIONS: &[(&str, &str)] = &[
    (
        "PING\r\nPING hi\r\nECHO 'a b'\r\n",
        "+PONG\r\n$2\r\nhi\r\n$3\r\na b\r\n",
    ),
    (
        "SET a 1\r\nGET a\r\nGET nothing\r\nINCR a\r\nINCRBY a 10\r\nDECR a\r\nDECRBY a 100\r\n",
        "+OK\r\n$1\r\n1\r\n$-1\r\n:2\r\n:12\r\n:11\r\n:-89\r\n",
    ),
    (
        "SET a 9223372036854775807\r\nINCR a\r\nSET a 01\r\nINCR a\r\nINCRBY a +1\r\nDECRBY a -9223372036854775808\r\n",
        "+OK\r\n-ERR increment or decrement would overflow\r\n+OK\r\n-ERR value is not an integer or out of range\r\n\
         -ERR value is not an integer or out of range\r\n-ERR decrement would overflow\r\n",
    ),
    (
        "MSET a 1 b 2 c 3\r\nMGET a b nothing c\r\nEXISTS a a nothing\r\nDEL a b nothing\r\nEXISTS a b c\r\nMSET a\r\nMSET a 1 b\r\n",
        "+OK\r\n*4\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$1\r\n3\r\n:2\r\n:2\r\n:1\r\n\
         -ERR wrong number of arguments for 'mset' command\r\n-ERR wrong number of arguments for 'mset' command\r\n",
    ),
    (
        "FLUSHALL\r\nMSET one 1 two 2\r\nKEYS t*\r\nKEYS [n-p]?e\r\nDBSIZE\r\nFLUSHALL x\r\nFLUSHALL ASYNC\r\nDBSIZE\r\nKEYS *\r\n",
        "+OK\r\n+OK\r\n*1\r\n$3\r\ntwo\r\n*1\r\n$3\r\none\r\n:2\r\n-ERR syntax error\r\n+OK\r\n:0\r\n*0\r\n",
    ),
    (
        "SET e 1 EX 100\r\nTTL e\r\nSET e 2 KEEPTTL GET\r\nTTL e\r\nSET e 3\r\nTTL e\r\nTTL nothing\r\nPTTL nothing\r\nEXPIRE e 50\r\n\
         EXPIRE e 40 GT\r\nEXPIRE e 30 LT\r\nEXPIRE e 20 NX\r\nTTL e\r\nPERSIST e\r\nEXPIRE nothing 5\r\nEXPIRE e -1\r\nGET e\r\n",
        "+OK\r\n:100\r\n$1\r\n1\r\n:100\r\n+OK\r\n:-1\r\n:-2\r\n:-2\r\n:1\r\n:0\r\n:1\r\n:0\r\n:30\r\n:1\r\n:0\r\n:1\r\n$-1\r\n",
    ),
    (
        "SET n 1 NX\r\nSET n 2 NX\r\nSET n 3 XX\r\nSET nothing 3 XX\r\nSET n 4 NX GET\r\nGET n\r\nSET n 5 NX XX\r\nSET n 5 EX 0\r\n\
         SET n 5 EX x\r\nSET n 5 EX\r\nSET n 5 PX 9223372036854775807\r\nSET n 6 PXAT 1\r\nGET n\r\n",
        "+OK\r\n$-1\r\n+OK\r\n$-1\r\n$1\r\n3\r\n$1\r\n3\r\n-ERR syntax error\r\n-ERR invalid expire time in 'set' command\r\n\
         -ERR value is not an integer or out of range\r\n-ERR syntax error\r\n-ERR invalid expire time in 'set' command\r\n+OK\r\n$-1\r\n",
    ),
    (
        "EXPIRE a 5 NX XX\r\nEXPIRE a 5 GT LT\r\nEXPIRE a 5 foo\r\nEXPIRE a 9223372036854775807\r\nEXPIRE a x\r\n",
        "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n\
         -ERR GT and LT options at the same time are not compatible\r\n-ERR Unsupported option foo\r\n\
         -ERR invalid expire time in 'expire' command\r\n-ERR value is not an integer or out of range\r\n",
    ),
    (
        "SELECT 0\r\nSELECT 1\r\nSELECT x\r\nCLIENT GETNAME\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nCLIENT SETNAME 'a b'\r\n\
         CLIENT foo\r\nCLIENT\r\nCONFIG GET databases\r\nCONFIG GET nothing\r\nCONFIG FOO\r\nCOMMAND COUNT x\r\n",
        "+OK\r\n-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n$-1\r\n+OK\r\n$2\r\nme\r\n\
         -ERR Client names cannot contain spaces, newlines or special characters.\r\n\
         -ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n-ERR wrong number of arguments for 'client' command\r\n\
         *2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n*0\r\n-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n\
         -ERR wrong number of arguments for 'command|count' command\r\n",
    ),
    (
        "HELLO 3\r\nHELLO x\r\nHELLO 2 FOO\r\nfoo\r\nfoo a 'b\r\n",
        "-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n\
         -ERR Syntax error in HELLO option 'FOO'\r\n-ERR unknown command 'foo', with args beginning with: \r\n\
         -ERR Protocol error: unbalanced quotes in request\r\n",
    ),
    (
        "\r\n*0\r\n*-1\r\n*2\r\n$3\r\nFOO\r\n$4\r\na\r\nb\r\n*1\rX$4\rXPINGxx",
        "-ERR unknown command 'FOO', with args beginning with: 'a  b' \r\n+PONG\r\n",
    ),
];

#[test]
fn it_answers_as_redis_does() {
    bounded(|| {
        for cores in ["1", "2", "3"] {
            let server = Server::start(&["--cores", cores]);
            for (sent, expected) in CONVERSATIONS {
                server.client().expect(sent.as_bytes(), expected.as_bytes());
                // The same in pieces.
                let mut client = server.client();
                client.0.set_nodelay(true).unwrap();
                let (last, first) = sent.as_bytes().split_last().unwrap();
                first.chunks(7).for_each(|piece| client.send(piece));
                client.expect(&[*last], expected.as_bytes());
            }
            let mut client = server.client();
            client.expect(b"QUIT\r\nPING\r\n", b"+OK\r\n");
            assert_eq!(client.answer(), None);
        }
    });
}

#[test]
fn garbage_ends_its_connection_and_no_other() {
    bounded(|| {
        let server = Server::start(&[]);
        let mut other = server.client();
        let long = |begun: &str| [begun.as_bytes(), &b"1".repeat(70_000)].concat();
        for (sent, error) in [
            (b"*1\r\n+3\r\n".to_vec(), "expected '$', got '+'"),
            (b"*1\r\n\n3\r\n".to_vec(), "expected '$', got ' '"),
            (b"*x\r\n".to_vec(), "invalid multibulk length"),
            (b"*2147483648\r\n".to_vec(), "invalid multibulk length"),
            (b"*1\r\n$-1\r\n".to_vec(), "invalid bulk length"),
            (
                b"*1\r\n$9223372036854775808\r\n".to_vec(),
                "invalid bulk length",
            ),
            (b"*1\r\n$536870913\r\n".to_vec(), "invalid bulk length"),
            (b"PING \"a\r\n".to_vec(), "unbalanced quotes in request"),
            (long(""), "too big inline request"),
            (long("*"), "too big mbulk count string"),
            (long("*1\r\n$"), "too big bulk count string"),
        ] {
            let mut client = server.client();
            let error = format!("-ERR Protocol error: {error}\r\n");
            client.expect(
                &[b"PING\r\n", &sent[..]].concat(),
                &[b"+PONG\r\n", error.as_bytes()].concat(),
            );
            assert_eq!(client.answer(), None);
            other.expect(b"PING\r\n", b"+PONG\r\n");
        }
        // As much as it may be, and never there: no memory is taken for it.
        let mut client = server.client();
        client.send(b"*2147483647\r\n$536870912\r\nabc");
        other.expect(b"PING\r\n", b"+PONG\r\n");
        assert!(resident_mib(&server) < 100);
    });
}

/// How much memory a server has.
fn resident_mib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1024
}

#[test]
fn pipelines_over_several_cores_are_answered_in_order() {
    bounded(|| {
        let server = Server::start(&["--cores", "3"]);
        let (mut client, mut random) = (server.client(), Random::new(11));
        let mut model = HashMap::<String, String>::new();
        for _ in 0..rounds(300) {
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..random.below(40) + 1 {
                let mut key = || format!("key{}", random.below(30));
                let keys = [key(), key(), key()];
                let get = |model: &HashMap<String, String>, key: &String| match model.get(key) {
                    Some(value) => bulk(value.as_bytes()),
                    None => b"$-1\r\n".to_vec(),
                };
                let number = |number: usize| format!(":{number}\r\n").into_bytes();
                let [a, b, c] = keys.each_ref().map(|key| &key[..]);
                let (request, answer) = match random.below(7) {
                    0 => (request(&["GET", a]), get(&model, &keys[0])),
                    1 => {
                        let value = random.below(1_000).to_string();
                        model.insert(a.to_owned(), value.clone());
                        (request(&["SET", a, &value]), b"+OK\r\n".to_vec())
                    }
                    2 => {
                        let all: Vec<_> = keys.iter().map(|key| get(&model, key)).collect();
                        let answer = [&b"*3\r\n"[..], &all.concat()].concat();
                        (request(&["MGET", a, b, c]), answer)
                    }
                    3 => {
                        for key in &keys {
                            model.insert(key.clone(), format!("of {key}"));
                        }
                        let values = keys.each_ref().map(|key| format!("of {key}"));
                        let args = ["MSET", a, &values[0], b, &values[1], c, &values[2]];
                        (request(&args), b"+OK\r\n".to_vec())
                    }
                    4 => {
                        let gone = keys.iter().filter(|key| model.remove(*key).is_some());
                        (request(&["DEL", a, b, c]), number(gone.count()))
                    }
                    5 => {
                        let there = keys.iter().filter(|key| model.contains_key(*key));
                        (request(&["EXISTS", a, b, c]), number(there.count()))
                    }
                    _ => (request(&["DBSIZE"]), number(model.len())),
                };
                sent.extend(request);
                expected.extend(answer);
            }
            client.expect(&sent, &expected);
        }
    });
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_a_kill() {
    bounded(|| {
        const CLIENTS: usize = 4;
        const KEYS: u64 = 5;
        let folder = Folder::new("kill");
        // By client and key, the last value that was acknowledged, and the last that was sent.
        let mut known = vec![vec![(0_u64, 0_u64); KEYS as usize]; CLIENTS];
        let mut rewrites = 0;
        for round in 0..20 {
            let cores = ["2", "2", "1", "3"][round % 4];
            let args = [
                "--cores",
                cores,
                "--dir",
                folder.path(),
                "--append",
                "always",
            ];
            let server = Server::start(&[&args[..], &["--rewrite-from", "1000"]].concat());
            let mut client = server.client();
            for (id, keys) in known.iter_mut().enumerate() {
                for (key, (acknowledged, sent)) in keys.iter_mut().enumerate() {
                    let answer = client.ask(&["GET", &format!("{id}:{key}")]).unwrap();
                    let number = text(&answer).lines().nth(1).unwrap_or("0");
                    let is = number.split(' ').next().unwrap().parse().unwrap();
                    assert!(
                        (*acknowledged..=*sent).contains(&is),
                        "round {round}, {id}:{key}: {acknowledged} was acknowledged, {sent} was sent, {is} is there"
                    );
                    // What is there after a start stays there.
                    *acknowledged = is;
                }
            }
            let done = Arc::new(AtomicUsize::new(0));
            let clients: Vec<_> = known
                .drain(..)
                .enumerate()
                .map(|(id, mut keys)| {
                    let (mut client, done) = (server.client(), Arc::clone(&done));
                    thread::spawn(move || {
                        for key in (0..KEYS as usize).cycle() {
                            let (acknowledged, sent) = &mut keys[key];
                            *sent += 1;
                            let value = format!("{sent} {}", "v".repeat(100));
                            match client.ask(&["SET", &format!("{id}:{key}"), &value]) {
                                Some(answer) => assert_eq!(text(&answer), "+OK\r\n"),
                                None => break,
                            }
                            *acknowledged = *sent;
                            done.fetch_add(1, Relaxed);
                        }
                        keys
                    })
                })
                .collect();
            spin_until("answers", || done.load(Relaxed) > 150);
            rewrites += client.info("aof_rewrites").parse::<u64>().unwrap();
            drop(server);
            known = clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect();
        }
        assert!(rewrites > 0, "no log was written anew under way");
    });
}

#[test]
fn a_log_that_was_cut_short_is_cut_to_its_last_whole_batch() {
    bounded(|| {
        let folder = Folder::new("torn");
        let args = ["--dir", folder.path(), "--append", "always"];
        let server = Server::start(&args);
        let mut client = server.client();
        client.expect(b"SET first 1\r\n", b"+OK\r\n");
        let before = fs::metadata(folder.log()).unwrap().len();
        client.expect(b"SET second 2\r\n", b"+OK\r\n");
        drop(server);
        let whole = fs::read(folder.log()).unwrap();
        for end in (before + 1..whole.len() as u64).step_by(5) {
            fs::write(folder.log(), &whole[..end as usize]).unwrap();
            let mut server = Server::start_with(&args, |command| {
                command.stderr(Stdio::piped());
            });
            server.client().expect(
                b"GET first\r\nGET second\r\nSET third 3\r\n",
                b"$1\r\n1\r\n$-1\r\n+OK\r\n",
            );
            let mut stderr = server.process.0.stderr.take().unwrap();
            drop(server);
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            let lost = format!("{} bytes from {before} on are dropped", end - before);
            assert!(said.contains(&lost), "{said}");
            let server = Server::start(&args);
            server
                .client()
                .expect(b"MGET first third\r\n", b"*2\r\n$1\r\n1\r\n$1\r\n3\r\n");
        }
        // In the middle it is no torn tail, and nothing is thrown away.
        let mut damaged = whole;
        damaged[before as usize - 1] ^= 1;
        fs::write(folder.log(), &damaged).unwrap();
        let said = refusal(&args);
        assert!(
            said.contains("0.log: damaged at byte 16") && said.contains("truncate"),
            "{said}"
        );
        assert_eq!(fs::read(folder.log()).unwrap(), damaged);
    });
}

/// What a server says that does not start.
fn refusal(args: &[&str]) -> String {
    let mut command = Command::new(example("kv_server"));
    let output = command.args(args).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn two_servers_do_not_share_a_folder() {
    bounded(|| {
        let folder = Folder::new("shared");
        let _server = Server::start(&["--dir", folder.path()]);
        let said = refusal(&["--dir", folder.path()]);
        assert!(said.contains("another kv_server uses it"), "{said}");
        let said = refusal(&["--append", "always"]);
        assert!(said.contains("--append needs --dir"), "{said}");
    });
}

/// So long may the files of a process be; it can be changed while that runs.
fn set_file_limit(pid: i32, len: u64) {
    let limit = libc::rlimit {
        rlim_cur: len,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is read, and nothing is written.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn without_room_changes_are_refused_until_there_is_some() {
    bounded(|| {
        for append in ["always", "everysec"] {
            let folder = Folder::new(append);
            let args = ["--dir", folder.path(), "--append", append];
            let server = Server::start_with(&args, |command| {
                // Where what it says goes there is no room either.
                let said = std::env::temp_dir().join(format!("{append}-{}", std::process::id()));
                fs::write(&said, vec![b'.'; 30_000]).unwrap();
                let stderr = File::options().append(true).open(&said).unwrap();
                fs::remove_file(&said).unwrap();
                command.stderr(stderr);
                // SAFETY: between fork and exec it makes two system calls, with memory of its own.
                unsafe {
                    command.pre_exec(|| {
                        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                        set_file_limit(0, 20_000); // Each of some twenty changes waits for the disk.
                        Ok(())
                    });
                }
            });
            let (mut client, value) = (server.client(), "v".repeat(1_000));
            let mut acknowledged = Vec::new();
            let error = (0..100_000).find_map(|key| {
                let key = key.to_string();
                let answer = client.ask(&["SET", &key, &value]).unwrap();
                if answer == b"+OK\r\n" {
                    acknowledged.push(key);
                    return None;
                }
                Some(answer)
            });
            let error = error.expect("all found room");
            assert_eq!(
                text(&error),
                "-MISCONF Errors writing to the AOF file: File too large\r\n"
            );
            assert_eq!(client.info("aof_last_write_status"), "err");
            for write in [
                &["DEL", "0"][..],
                &["MSET", "a", "1"],
                &["INCR", "n"],
                &["FLUSHALL"],
            ] {
                assert_eq!(client.ask(write).unwrap(), error);
            }
            assert_eq!(client.ask(&["GET", "0"]).unwrap(), bulk(value.as_bytes()));
            set_file_limit(server.pid() as i32, libc::RLIM_INFINITY);
            spin_until("room", || {
                client.ask(&["SET", "again", "1"]).unwrap() == b"+OK\r\n"
            });
            assert_eq!(client.info("aof_last_write_status"), "ok");
            // Written is what was answered, when what was changed after it is on the disk.
            let mut log = File::open(folder.log()).unwrap();
            let mut written = Vec::new();
            spin_until("again in the log", || {
                log.read_to_end(&mut written).unwrap();
                written.windows(6).any(|bytes| bytes == b"again1")
            });
            drop(server);
            let server = Server::start(&args);
            let mut client = server.client();
            for key in acknowledged {
                assert_eq!(
                    client.ask(&["GET", &key]).unwrap(),
                    bulk(value.as_bytes()),
                    "{key}"
                );
            }
        }
    });
}

#[test]
fn a_client_that_does_not_read_takes_no_memory() {
    bounded(|| {
        const ASKED: usize = 200;
        let server = Server::start(&[]);
        let mut client = server.client();
        let value = vec![b'v'; 1 << 20];
        client.send(&request(&[b"SET", b"big", &value[..]]));
        assert_eq!(client.answer().unwrap(), b"+OK\r\n");
        let mut slow = server.client();
        slow.send(&b"GET big\r\n".repeat(ASKED));
        for _ in 0..rounds(1_000) {
            client.expect(b"PING\r\n", b"+PONG\r\n");
        }
        let mib = resident_mib(&server);
        assert!(mib < 80, "{mib} MiB");
        for _ in 0..ASKED {
            assert_eq!(slow.answer().unwrap().len(), value.len() + 12);
        }
    });
}

#[test]
fn a_client_that_never_reads_must_go() {
    bounded(|| {
        let server = Server::start(&["--patience", "1"]);
        let mut client = server.client();
        client.send(&request(&[&b"SET"[..], b"big", &vec![b'v'; 8 << 20]]));
        assert_eq!(client.answer().unwrap(), b"+OK\r\n");
        let mut slow = server.client();
        slow.send(&b"GET big\r\n".repeat(20));
        spin_until("both", || client.info("connected_clients") == "2");
        spin_until("one", || client.info("connected_clients") == "1");
        let mut read = 0;
        let mut buf = vec![0; 1 << 20];
        loop {
            match slow.0.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(read < 20 * (8 << 20), "all of it has come");
    });
}

#[test]
fn keys_end_also_when_nobody_asks_and_after_a_start() {
    bounded(|| {
        let folder = Folder::new("ends");
        let args = ["--dir", folder.path(), "--append", "always", "--cores", "2"];
        let server = Server::start(&args);
        let mut client = server.client();
        client.expect(
            b"SET a 1 PX 1\r\nSET b 2 PX 2\r\nSET c 3 EX 1000\r\nSET d 4\r\nPEXPIRE d 3\r\n",
            b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n:1\r\n",
        );
        spin_until("ends", || {
            client.info("db0").starts_with("keys=1,expires=1,")
        });
        drop(server);
        let server = Server::start(&args);
        let mut client = server.client();
        let left = client.ask(&["TTL", "c"]).unwrap();
        let left: u64 = text(&left[1..]).trim_end().parse().unwrap();
        assert!((1..=1_000).contains(&left), "{left}");
        spin_until("ends", || client.ask(&["DBSIZE"]).unwrap() == b":1\r\n");
    });
}

#[test]
fn a_log_that_has_grown_is_written_anew() {
    bounded(|| {
        let folder = Folder::new("anew");
        let args = ["--dir", folder.path(), "--rewrite-from", "100000"];
        let server = Server::start(&args);
        let mut client = server.client();
        client.expect(
            &[b"SET stays 1\r\n", &b"SET goes 2\r\nDEL goes\r\n"[..]].concat(),
            b"+OK\r\n+OK\r\n:1\r\n",
        );
        let pipeline: Vec<u8> = (0..100)
            .flat_map(|key| request(&["SET", &(key % 10).to_string(), &"v".repeat(1_000)]))
            .collect();
        let written = AtomicU64::new(0);
        spin_until("rewrites", || {
            client.expect(&pipeline, &b"+OK\r\n".repeat(100));
            written.fetch_add(pipeline.len() as u64, Relaxed);
            client.info("aof_rewrites").parse::<u64>().unwrap() >= 3
        });
        spin_until("an end", || {
            let len: u64 = client.info("aof_current_size").parse().unwrap();
            len < written.load(Relaxed) && len == fs::metadata(folder.log()).unwrap().len()
        });
        drop(server);
        // As a kill leaves it that comes while the log is written anew.
        let new = folder.log().with_extension("log.new");
        fs::write(&new, "half of i").unwrap();
        let server = Server::start(&args);
        let mut client = server.client();
        client.expect(
            b"DBSIZE\r\nGET stays\r\nGET goes\r\nSTRLEN 9\r\n",
            b":11\r\n$1\r\n1\r\n$-1\r\n:1000\r\n",
        );
        assert!(!new.exists());
    });
}

saferring_tests::also_on_software!();
