//! Proxies of others, as their packages bring them.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::gateway::PATIENCE;
use super::program;

/// One that listens, until this is dropped.
pub(crate) struct Peer(Child);

impl Peer {
    /// nginx with the configuration in a file of its directory.
    pub(crate) fn nginx(file: &Path, addresses: &[SocketAddr]) -> Self {
        let directory = file.parent().unwrap();
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(directory).arg("-c").arg(file);
        Self::start(command, directory, addresses)
    }

    /// HAProxy with the configuration in a file of its directory.
    pub(crate) fn haproxy(file: &Path, addresses: &[SocketAddr]) -> Self {
        let mut command = Command::new(program("haproxy"));
        command.arg("-db").arg("-f").arg(file);
        Self::start(command, file.parent().unwrap(), addresses)
    }

    /// It listens at each of the addresses when this returns.
    fn start(mut command: Command, directory: &Path, addresses: &[SocketAddr]) -> Self {
        let path = directory.join("output");
        let output = std::fs::File::create(&path).unwrap();
        let child = command
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} (`make packages` installs it): {error}"));
        let (mut peer, began) = (Self(child), Instant::now());
        while addresses.iter().any(|at| TcpStream::connect(at).is_err()) {
            if began.elapsed() > PATIENCE || peer.0.try_wait().unwrap().is_some() {
                let said = std::fs::read_to_string(&path).unwrap();
                panic!("{command:?} does not listen: {said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        peer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}
