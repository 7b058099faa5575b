//! Examples as processes of their own.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::SystemTime;

/// An example, as it was built beside this test after the last change of what it is made of, or is now.
///
/// # Panics
///
/// If it cannot be built.
pub fn example(name: &str) -> PathBuf {
    let tests = match std::env::current_exe() {
        Ok(tests) => tests,
        Err(error) => panic!("cannot find the test binary: {error}"),
    };
    // `deps` lies in the folder of the profile, and that in the one of all.
    let mut folders = tests.ancestors().skip(2);
    let (Some(profile), Some(target)) = (folders.next(), folders.next()) else {
        panic!("{} lies in no target folder", tests.display());
    };
    let built = profile.join("examples").join(name);
    if is_stale(&built) {
        let profile = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(other) => other,
        };
        let cargo = Command::new(env!("CARGO"))
            .args([
                "build",
                "--package",
                "saferring",
                "--all-features",
                "--example",
                name,
                "--profile",
                profile,
                "--target-dir",
            ])
            .arg(target)
            .status();
        let is_built = cargo.is_ok_and(|status| status.success());
        assert!(is_built, "{name} cannot be built");
    }
    built
}

/// Whether the program is missing, or older than one of its sources. Where there are none nothing has changed.
fn is_stale(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let Ok(built) = modified(program) else {
        return true;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = ["src", "macros/src", "examples"];
    let mut changed = sources
        .into_iter()
        .filter_map(|dir| newest(&root.join(dir)));
    changed.any(|changed| changed > built)
}

/// When the file that was changed last was, of those in a folder and in all below.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let of_entry = |entry: fs::DirEntry| {
        let data = entry.metadata().ok()?;
        if data.is_dir() {
            newest(&entry.path())
        } else {
            data.modified().ok()
        }
    };
    entries.filter_map(of_entry).max()
}

/// The first line that a program prints, without its end.
///
/// # Panics
///
/// If the program was not started with a pipe for what it prints, or that cannot be read.
pub fn first_line(child: &mut Child) -> String {
    let Some(mut out) = child.stdout.take() else {
        panic!("what it prints does not go to a pipe");
    };
    let (mut line, mut byte) = (Vec::new(), [0; 1]);
    while matches!(out.read(&mut byte), Ok(1)) && byte != *b"\n" {
        line.push(byte[0]);
    }
    // What follows is little, and goes to the pipe.
    child.stdout = Some(out);
    match String::from_utf8(line) {
        Ok(line) => line,
        Err(error) => panic!("it prints {error}"),
    }
}

/// A program whose end is not waited for otherwise.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
