//! Connecting to a socket of this host, and why that fails, for operators.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::time::sleep;

/// The pause before a socket whose queue is full is asked again, which doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Connects to the socket at a path. Where its queue is full, it is asked again until this is dropped: with TCP the
/// kernel waits for that, with such a socket it does not, and tells nobody when there is room (connect(2), `EAGAIN`).
///
/// # Errors
/// If nothing listens there, or may not be connected to.
pub(in crate::upstream) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let mut pause = FIRST_PAUSE;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            connected => return connected,
        }
        // Those who wait do not all come back at once.
        sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}

/// Why nothing could be connected to at a path.
#[cold]
pub(in crate::upstream) fn explain(path: &Path, error: &io::Error) -> String {
    let is_socket = || fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let why = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "there is no socket: its server does not run, or makes it elsewhere",
        Some(Errno::CONNREFUSED) if !is_socket() => "what is there is no socket",
        Some(Errno::CONNREFUSED) => {
            "nothing listens there: a server that has ended left the socket"
        }
        Some(Errno::ACCESS) => {
            "the user of the gateway may not connect: it must be able to write to the socket, and to search its directories"
        }
        Some(Errno::NOTDIR) => "a part of the path is no directory",
        Some(Errno::PROTOTYPE) => "the socket there is none of streams",
        _ => return error.to_string(),
    };
    format!("{why} ({error})")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[tokio::test]
    async fn what_keeps_the_gateway_from_a_socket_is_told_in_plain_words() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").unwrap();
        drop(UnixListener::bind(at("left")).unwrap());
        let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
        for (name, why) in [
            ("nowhere", "there is no socket: its server does not run"),
            ("file", "what is there is no socket"),
            ("left", "nothing listens there"),
            ("datagrams", "the socket there is none of streams"),
            ("file/below", "a part of the path is no directory"),
        ] {
            let error = connect(&at(name)).await.unwrap_err();
            let told = explain(&at(name), &error);
            assert!(told.starts_with(why), "{name}: {told}");
            assert!(told.contains("os error"), "{name}: {told}");
        }
    }

    #[test]
    fn who_lacks_permission_is_told_which() {
        let told = explain(Path::new("/run/app.sock"), &Errno::ACCESS.into());
        assert!(told.contains("write to the socket"), "{told}");
    }
}
