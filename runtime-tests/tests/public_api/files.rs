//! What is known of files, and the functions of `fs`, beside std's answers.

use std::ffi::CString;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use saferring::fs::{self, File, Metadata};
use saferring_tests::bounded;

use super::runtime;

pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        let name = format!("saferring-api-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[track_caller]
fn same(ours: &Metadata, theirs: &std::fs::Metadata, path: &Path) {
    let all = [
        (ours.len(), theirs.len()),
        (ours.size(), theirs.size()),
        (ours.dev(), theirs.dev()),
        (ours.ino(), theirs.ino()),
        (ours.mode().into(), theirs.mode().into()),
        (ours.nlink(), theirs.nlink()),
        (ours.uid().into(), theirs.uid().into()),
        (ours.gid().into(), theirs.gid().into()),
        (ours.rdev(), theirs.rdev()),
        (ours.blksize(), theirs.blksize()),
        (ours.blocks(), theirs.blocks()),
    ];
    for (n, (ours, theirs)) in all.into_iter().enumerate() {
        assert_eq!(ours, theirs, "{path:?}: number {n}");
    }
    let times = [
        (ours.atime(), theirs.atime()),
        (ours.atime_nsec(), theirs.atime_nsec()),
        (ours.mtime(), theirs.mtime()),
        (ours.mtime_nsec(), theirs.mtime_nsec()),
        (ours.ctime(), theirs.ctime()),
        (ours.ctime_nsec(), theirs.ctime_nsec()),
    ];
    for (n, (ours, theirs)) in times.into_iter().enumerate() {
        assert_eq!(ours, theirs, "{path:?}: time {n}");
    }
    assert_eq!(ours.modified().unwrap(), theirs.modified().unwrap());
    assert_eq!(ours.accessed().unwrap(), theirs.accessed().unwrap());
    assert_eq!(ours.created().ok(), theirs.created().ok());
    assert_eq!(ours.permissions(), theirs.permissions());
    let (kind, theirs) = (ours.file_type(), theirs.file_type());
    let kinds = [
        (kind.is_file(), theirs.is_file()),
        (kind.is_dir(), theirs.is_dir()),
        (kind.is_symlink(), theirs.is_symlink()),
        (kind.is_block_device(), theirs.is_block_device()),
        (kind.is_char_device(), theirs.is_char_device()),
        (kind.is_fifo(), theirs.is_fifo()),
        (kind.is_socket(), theirs.is_socket()),
        (ours.is_file(), theirs.is_file()),
        (ours.is_dir(), theirs.is_dir()),
        (ours.is_symlink(), theirs.is_symlink()),
    ];
    for (n, (ours, theirs)) in kinds.into_iter().enumerate() {
        assert_eq!(ours, theirs, "{path:?}: kind {n}");
    }
}

#[test]
fn metadata_is_that_of_std_for_files_of_every_kind() {
    bounded(|| {
        let dir = Dir::new("metadata");
        let at = |name: &str| dir.0.join(name);
        std::fs::write(at("file"), [7; 5000]).unwrap();
        std::fs::hard_link(at("file"), at("other name")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::os::unix::fs::symlink("nothing", at("broken link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let fifo = CString::new(at("fifo").as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends with a zero and lives across the call.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o640) }, 0);
        let mut paths = ["file", "link", "broken link", "socket", "fifo", "."]
            .map(at)
            .to_vec();
        paths.push("/dev/null".into());
        // If there is one that can be looked at.
        let devices = std::fs::read_dir("/sys/block")
            .into_iter()
            .flatten()
            .flatten();
        let devices = devices.map(|one| Path::new("/dev").join(one.file_name()));
        paths.extend(devices.filter(|path| path.exists()).take(1));
        runtime().block_on(async {
            for path in &paths {
                let theirs = std::fs::symlink_metadata(path).unwrap();
                same(&fs::symlink_metadata(path).await.unwrap(), &theirs, path);
                match std::fs::metadata(path) {
                    Ok(theirs) => same(&fs::metadata(path).await.unwrap(), &theirs, path),
                    Err(error) => {
                        let ours = fs::metadata(path).await.unwrap_err();
                        assert_eq!(ours.kind(), error.kind());
                    }
                }
                let exists = std::fs::exists(path).unwrap();
                assert_eq!(fs::try_exists(path).await.unwrap(), exists);
            }
            let file = File::open(at("file")).await.unwrap();
            let theirs = std::fs::metadata(at("file")).unwrap();
            same(&file.metadata().await.unwrap(), &theirs, &at("file"));
        });
    });
}

#[test]
fn names_are_made_changed_and_removed() {
    bounded(|| {
        let dir = Dir::new("names");
        let at = |name: &str| dir.0.join(name);
        runtime().block_on(async {
            fs::create_dir(at("one")).await.unwrap();
            assert!(at("one").is_dir());
            fs::create_dir_all(at("one/two/three")).await.unwrap();
            fs::create_dir_all(at("one/two/three")).await.unwrap();
            fs::write(at("one/two/file"), "content").await.0.unwrap();
            fs::rename(at("one/two/file"), at("moved")).await.unwrap();
            assert_eq!(std::fs::read(at("moved")).unwrap(), b"content");
            assert!(!fs::try_exists(at("one/two/file")).await.unwrap());
            // What is there is replaced.
            std::fs::write(at("other"), "other").unwrap();
            fs::rename(at("other"), at("moved")).await.unwrap();
            assert_eq!(fs::read_to_string(at("moved")).await.unwrap(), "other");
            assert_eq!(fs::copy(at("moved"), at("copied")).await.unwrap(), 5);
            assert_eq!(fs::read(at("copied")).await.unwrap(), b"other");
            for name in ["one/two/three", "one/two", "one"] {
                fs::remove_dir(at(name)).await.unwrap();
                assert!(!at(name).exists());
            }
            fs::remove_file(at("moved")).await.unwrap();
            fs::remove_file(at("copied")).await.unwrap();
            assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0);
        });
    });
}

#[test]
fn room_is_reserved_and_files_are_cut_off_synced_and_guarded() {
    bounded(|| {
        let dir = Dir::new("room");
        let path = dir.0.join("file");
        runtime().block_on(async {
            let mut options = File::options();
            options.read(true).write(true).create(true).mode(0o600);
            let file = options.open(&path).await.unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            match file.allocate(4096, 4096).await {
                Ok(()) => {
                    let metadata = file.metadata().await.unwrap();
                    assert_eq!(metadata.len(), 8192);
                    assert!(metadata.blocks() > 0);
                    assert_eq!(file.read_at(vec![1; 8], 4096).await.1, [0; 8]);
                }
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
            }
            let error = file.allocate(0, 0).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            file.write_all_at("0123456789", 0).await.0.unwrap();
            file.set_len(4).await.unwrap();
            file.sync_data().await.unwrap();
            file.sync_all().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"0123");
            let permissions = std::fs::Permissions::from_mode(0o640);
            file.set_permissions(permissions.clone()).await.unwrap();
            let metadata = file.metadata().await.unwrap();
            assert_eq!(metadata.mode() & 0o777, 0o640);
            // At once, they are the same bytes.
            file.set_inline_writes(true);
            file.write_at("ab", 0).await.0.unwrap();
            file.set_inline_writes(false);
            file.write_at("cd", 2).await.0.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
            file.close().await.unwrap();
        });
    });
}

/// Ranges of a file are those of its bytes.
#[test]
fn a_stream_of_a_file_has_the_bounds_of_a_slice() {
    bounded(|| {
        let dir = Dir::new("bounds");
        let path = dir.0.join("file");
        let bytes: Vec<u8> = (0..200).collect();
        std::fs::write(&path, &bytes).unwrap();
        runtime().block_on(async {
            let file = File::open(&path).await.unwrap();
            use Bound::{Excluded, Included, Unbounded};
            for begin in [Unbounded, Included(3), Excluded(3), Excluded(199)] {
                for end in [Unbounded, Included(150), Excluded(150), Included(199)] {
                    if (begin, end) == (Excluded(199), Included(150))
                        || (begin, end) == (Excluded(199), Excluded(150))
                    {
                        continue; // A slice would panic.
                    }
                    let range = (begin, end);
                    let chunks = file.read_stream(range, 2);
                    let chunks: Vec<_> = chunks.try_collect().await.unwrap();
                    let read: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.to_vec()).collect();
                    let index = |bound: Bound<u64>| bound.map(|at| at as usize);
                    assert!(read == bytes[(index(begin), index(end))], "{range:?}");
                }
            }
        });
    });
}
