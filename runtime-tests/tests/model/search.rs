//! Random programs, in child processes: a crash and a hang are failures like any other, and can be made smaller.
//!
//! A program is named by the seed, its number, the steps of proptest's search for a simpler one (`s`implify and
//! `c`omplicate), and the steps left out after that. So no program has to be handed over.

use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use saferring_tests::alone;

use super::step::{Step, code, programs};
use super::world;

const CHILD: &str = "SAFERRING_MODEL_CHILD";
const FAILED: &str = "the program failed: ";
/// How long one program may take.
const PROGRAM_LIMIT: Duration = Duration::from_secs(20);
/// How long the search for a smaller program may take.
const SHRINK_LIMIT: Duration = Duration::from_secs(90);
/// How often a smaller program is tried: the kernel's threads make some failures rare.
const TRIES: usize = 3;

/// Which program, and what of it.
#[derive(Clone, Debug)]
struct Name {
    seed: u64,
    number: u64,
    /// What proptest's search did.
    path: String,
    /// The indices of steps that are left out.
    dropped: Vec<usize>,
}

impl Name {
    fn tree(&self) -> impl ValueTree<Value = Vec<Step>> + use<> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let mut tree = programs().new_tree(&mut runner).unwrap();
        for step in self.path.chars() {
            match step {
                's' => tree.simplify(),
                _ => tree.complicate(),
            };
        }
        tree
    }

    fn steps(&self) -> Vec<Step> {
        self.kept(self.tree().current())
    }

    fn kept(&self, steps: Vec<Step>) -> Vec<Step> {
        let steps = steps.into_iter().enumerate();
        let kept = steps.filter(|(index, _)| !self.dropped.contains(index));
        kept.map(|(_, step)| step).collect()
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} {} {} ", self.seed, self.number, self.path);
        for index in &self.dropped {
            let _ = write!(text, "{index},");
        }
        text
    }

    fn from_text(text: &str) -> Option<Name> {
        let mut parts = text.splitn(4, ' ');
        let (seed, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let path = parts.next()?.to_owned();
        let dropped = parts.next()?.split(',');
        let dropped = dropped.filter_map(|index| index.parse().ok()).collect();
        Some(Name {
            seed,
            number,
            path,
            dropped,
        })
    }
}

/// Runs a program on a thread of its own; the message of its failure.
fn attempt(steps: Vec<Step>) -> Result<(), String> {
    let (ended, end) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = world::attempt(&steps);
        let _ = ended.send(());
        result
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = end.recv_timeout(PROGRAM_LIMIT) {
        eprintln!("{FAILED}it did not end within {PROGRAM_LIMIT:?}");
        std::process::abort();
    }
    match thread.join() {
        Ok(result) => result,
        Err(_) => Err("a panic outside the program".to_owned()),
    }
}

/// Whether this is a child process that tries a smaller program.
pub(crate) fn is_shrinking() -> bool {
    use std::sync::OnceLock;
    static SHRINKING: OnceLock<bool> = OnceLock::new();
    *SHRINKING.get_or_init(|| std::env::var(CHILD).is_ok_and(|task| task.starts_with("one ")))
}

/// Runs one program, kept from an earlier failure.
pub(crate) fn run(steps: &[Step]) {
    let _alone = alone();
    if let Err(message) = attempt(steps.to_vec()) {
        panic!("{message}\n{}", code(steps));
    }
}

/// What a child process does, if this is one.
fn child(text: &str) {
    let (what, rest) = text.split_once(' ').unwrap();
    match what {
        "one" => {
            let steps = Name::from_text(rest).unwrap().steps();
            for _ in 0..TRIES {
                if let Err(message) = attempt(steps.clone()) {
                    eprintln!("{FAILED}{message}");
                    std::process::exit(1);
                }
            }
        }
        _ => {
            let mut numbers = rest.split(' ');
            let mut number = || numbers.next().unwrap().parse::<u64>().unwrap();
            let (seed, from, to) = (number(), number(), number());
            let place = std::fs::OpenOptions::new().write(true).open(what).unwrap();
            for number in from..to {
                place.write_all_at(&number.to_le_bytes(), 0).unwrap();
                let name = Name {
                    seed,
                    number,
                    path: String::new(),
                    dropped: Vec::new(),
                };
                if let Err(message) = attempt(name.steps()) {
                    eprintln!("{FAILED}{message}");
                    std::process::exit(1);
                }
            }
        }
    }
    std::process::exit(0);
}

/// Runs a child to its end; how it failed.
fn in_child(test: &str, task: &str, limit: Duration) -> Result<(), String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, task)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let mut pause = Duration::from_micros(500);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > limit {
            let _ = child.kill();
            break child.wait().unwrap();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let text = reader.join().unwrap();
    if status.success() {
        return Ok(());
    }
    let signal = status
        .signal()
        .map(|signal| format!("signal {signal}; "))
        .unwrap_or_default();
    Err(match text.rsplit_once(FAILED) {
        Some((_, message)) => signal + message.trim(),
        None => signal + text.trim(),
    })
}

/// Looks for a smaller program that fails as well.
fn shrink(test: &str, name: Name, message: String) -> (Name, String) {
    let deadline = Instant::now() + SHRINK_LIMIT;
    let mut best = (name, message);
    let fails = |name: &Name| {
        let limit = PROGRAM_LIMIT * 2;
        in_child(test, &format!("one {}", name.to_text()), limit).err()
    };
    drop_steps(&mut best, &fails, deadline);
    // The values, by proptest's search, with the same steps left out.
    let mut tree = best.0.tree();
    let mut name = best.0.clone();
    // Its first steps drop elements, which was done already: they fail, as an element's place is one of `dropped` then.
    let mut more = tree.simplify();
    name.path.push('s');
    let len = best.0.tree().current().len();
    let mut best_steps = best.0.steps();
    while more && Instant::now() < deadline {
        // An element less would shift what is dropped.
        let steps = tree.current();
        let message = if steps.len() != len {
            None
        } else if name.kept(steps) == best_steps {
            Some(best.1.clone())
        } else {
            fails(&name)
        };
        match message {
            Some(message) => {
                best = (name.clone(), message);
                best_steps = name.kept(tree.current());
                more = tree.simplify();
                name.path.push('s');
            }
            None => {
                more = tree.complicate();
                name.path.push('c');
            }
        }
    }
    drop_steps(&mut best, &fails, deadline + SHRINK_LIMIT / 4);
    best
}

/// Leaves out as many steps as possible: first many at once, then each.
fn drop_steps(
    best: &mut (Name, String),
    fails: &impl Fn(&Name) -> Option<String>,
    deadline: Instant,
) {
    let len = best.0.tree().current().len();
    let mut size = len / 2;
    while size > 0 {
        let mut from = len;
        let mut any = false;
        while from > 0 && Instant::now() < deadline {
            let until = from;
            from = from.saturating_sub(size);
            let mut name = best.0.clone();
            let new = (from..until).filter(|index| !best.0.dropped.contains(index));
            name.dropped.extend(new);
            if name.dropped.len() == best.0.dropped.len() {
                continue;
            }
            if let Some(message) = fails(&name) {
                *best = (name, message);
                any = true;
            }
        }
        // One that could not go may go now.
        if size > 1 || !any || Instant::now() >= deadline {
            size /= 2;
        }
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs random programs; `test` is the name of the calling test.
pub(crate) fn search(test: &str, programs: u64) {
    if let Ok(task) = std::env::var(CHILD) {
        child(&task);
    }
    let _alone = alone();
    let asked = number_of("SAFERRING_MODEL_PROGRAMS");
    let programs = asked.unwrap_or(programs);
    // The suite tries the same programs each time; who asks for a number of them gets others each time.
    let usual = asked.is_none().then_some(1);
    let seed = number_of("SAFERRING_MODEL_SEED")
        .or(usual)
        .unwrap_or_else(|| {
            use std::hash::{BuildHasher, RandomState};
            RandomState::new().hash_one(std::process::id()) % 1_000_000_000
        });
    let first = number_of("SAFERRING_MODEL_FIRST").unwrap_or(0);
    let place = std::env::temp_dir().join(format!("saferring-model-{}", std::process::id()));
    std::fs::write(&place, [0; 8]).unwrap();
    let started = Instant::now();
    eprintln!("SAFERRING_MODEL_SEED={seed}, {programs} programs from number {first} on");
    let task = format!("{} {seed} {first} {}", place.display(), first + programs);
    let limit = Duration::from_millis(200) * programs.min(u32::MAX.into()) as u32 + PROGRAM_LIMIT;
    let result = in_child(test, &task, limit);
    let number = std::fs::read(&place).unwrap();
    let _ = std::fs::remove_file(&place);
    let Err(message) = result else {
        eprintln!("{programs} programs in {:?}", started.elapsed());
        return;
    };
    let number = u64::from_le_bytes(number.try_into().unwrap());
    let name = Name {
        seed,
        number,
        path: String::new(),
        dropped: Vec::new(),
    };
    eprintln!(
        "program {number} failed after {:?}: {message}",
        started.elapsed()
    );
    let (name, message) = shrink(test, name, message);
    panic!(
        "program {number} of seed {seed} failed: {message}\nmade smaller:\n{}",
        code(&name.steps())
    );
}
